"""The report for a terminal, in the order in which an incident is read; plain text without colour."""

from __future__ import annotations

from collections.abc import Iterator

from pcapwatch.findings.actions import actions, checks, do_not
from pcapwatch.report.host_lines import host_lines
from pcapwatch.report.http_lines import http_lines
from pcapwatch.report.ladder import EXAMPLE_ROWS, ladder_lines, paths_of
from pcapwatch.report.layout import LABEL, Page
from pcapwatch.report.lines import (
    capture_lines,
    closer_table,
    detail_line,
    example_head,
    no_waiting_line,
    port_lines,
    severity_note,
    trouble_lines,
    untold_waits,
    waiting_lines,
    waiting_table,
)
from pcapwatch.report.model import Report
from pcapwatch.report.words import Clock

#: What a severity looks like; colour only repeats the word.
_STYLES = {"critical": "bold red", "warning": "yellow", "notice": "cyan", "info": ""}


def render_text(report: Report, width: int = 100, clock: Clock | None = None, *, colour: bool = False) -> str:
    """``width`` in columns, at least 80; ``clock`` says how instants are shown; without ``colour`` no control bytes."""
    page, clock = Page(width), clock or clock_of(report)
    page.prose(report.verdict, "bold")
    page.blank()
    page.labelled("Capture", capture_lines(report.quality, clock))
    if report.quality.connections:
        _tables(page, report, clock)
        _evidence(page, report, clock)
    _advice(page, report)
    page.labelled("Cannot see", report.cannot_see)
    page.labelled("Assumed", report.assumptions)
    return page.coloured() if colour else page.plain()


def clock_of(report: Report) -> Clock:
    """UTC, with offsets from the first packet."""
    return Clock.of(report.quality.first_ns)


def _tables(page: Page, report: Report, clock: Clock) -> None:
    page.blank()
    header, rows = closer_table(report.closers)
    page.table(header, [row for row, _ in rows])
    for closer in report.closers:
        if detail := detail_line(closer):
            page.prose(detail, indent=2)
    page.blank()
    if report.waiting:
        page.table(*waiting_table(report, clock, 12 if page.width < 100 else 24), left=frozenset({0, 4}))
        for line in (*waiting_lines(report.waiting), *untold_waits(report)):
            page.prose(line, indent=4, first="  · ")
    else:
        page.labelled("TIME_WAIT", [no_waiting_line(report)])
    page.labelled("Ports", port_lines(report.ports, clock))
    page.labelled("Kernel", host_lines(report, clock))
    page.labelled("HTTP", http_lines(report.persistence))
    page.labelled("Races, aborts", trouble_lines(report.troubles))


def _evidence(page: Page, report: Report, clock: Clock) -> None:
    paths = paths_of(report.summary)
    for number, example in enumerate(report.examples):
        page.blank()
        page.labelled("" if number else "Evidence", example_head(example, clock))
        if example.ladder:
            for line in ladder_lines(example.ladder, page.width, EXAMPLE_ROWS, files=paths):
                page.raw(line)
    page.blank()


def _advice(page: Page, report: Report) -> None:
    for number, finding in enumerate(report.findings):
        label = "" if number else "Findings"
        page.prose(f"{finding.code} {severity_note(finding)}: {finding.title}", _STYLES[finding.severity], LABEL, label)
    if report.findings:
        page.blank()
    steps = actions(report.findings)
    for number, action in enumerate(steps, 1):
        text = f"{number}  {action.text}  [{', '.join(action.codes)}]"
        page.prose(text, "", LABEL, "Do" if number == 1 else "")
    for number, (command, codes) in enumerate(checks(steps)):
        page.prose(f"{command}  [{', '.join(codes)}]", "", LABEL, "" if number else "Verify")
    page.labelled("Do not", _joined(do_not(report.findings)))
    page.blank()


def _joined(lines: list[str]) -> Iterator[str]:
    if lines:
        yield " · ".join(lines)
