"""The report for a ticket: Markdown as GitHub and GitLab read it, within 100 columns and Jira's 32,767 characters."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from html import unescape

from pcapwatch.findings.actions import actions, checks, do_not
from pcapwatch.report.escape import markdown, markdown_code
from pcapwatch.report.host_lines import host_lines
from pcapwatch.report.http_lines import http_lines
from pcapwatch.report.ladder import EXAMPLE_ROWS, ladder_lines, paths_of
from pcapwatch.report.lines import (
    capture_lines,
    closer_table,
    detail_line,
    example_head,
    no_waiting_line,
    port_lines,
    trouble_lines,
    untold_waits,
    waiting_lines,
    waiting_table,
)
from pcapwatch.report.model import Report
from pcapwatch.report.words import Clock

#: Jira's limit, the least of the ticket systems'.
MOST_CHARACTERS = 32_767
TABLE_WIDTH = 100
_LADDER_WIDTH = 92
#: ``on HOST: COMMAND: EXPECTATION``; colons inside addresses and commands have no space behind them.
_COMMAND = re.compile(r"(?P<where>on .+?: )?(?P<command>(?:[^:]|:(?! ))+)(?P<expect>: .*)?")


def render_markdown(report: Report, clock: Clock | None = None, limit: int = MOST_CHARACTERS) -> str:
    """At most ``limit`` characters: what does not fit is left out by whole parts from the end, and it says so."""
    clock = clock or Clock.of(report.quality.first_ns)
    return _fitted([part for part in _parts(report, clock) if part], limit)


def _parts(report: Report, clock: Clock) -> Iterator[str]:
    yield f"**{markdown(report.verdict)}**\n"
    yield _list("Capture", capture_lines(report.quality, clock))
    if report.quality.connections:
        header, rows = closer_table(report.closers)
        yield "### Who closes first\n\n" + table(header, [row for row, _ in rows])
        yield _list("", filter(None, map(detail_line, report.closers)))
    if report.waiting:
        yield "### TIME_WAIT\n\n" + table(*waiting_table(report, clock, 12))
        yield _list("", [*waiting_lines(report.waiting), *untold_waits(report)])
    elif report.quality.connections:
        yield _list("TIME_WAIT", [no_waiting_line(report)])
    yield _list("Ports", port_lines(report.ports, clock))
    yield _list("Kernel", host_lines(report, clock))
    yield _list("HTTP", http_lines(report.persistence))
    yield _list("Races and aborts", trouble_lines(report.troubles))
    yield from _advice(report)
    yield _list("Cannot see", report.cannot_see)
    yield _list("Assumed", report.assumptions)
    yield from _evidence(report, clock)


def _advice(report: Report) -> Iterator[str]:
    found = [f"**{finding.code}** ({finding.severity}) {markdown(finding.title)}" for finding in report.findings]
    yield _list("Findings", found, escaped=True)
    todo = actions(report.findings)
    steps = [
        f"{number}. {markdown(action.text)} ({', '.join(action.codes)})\n" for number, action in enumerate(todo, 1)
    ]
    yield "### Do\n\n" + "".join(steps) if steps else ""
    yield _list("Verify", [f"{command(line)} ({', '.join(codes)})" for line, codes in checks(todo)], escaped=True)
    yield _list("Do not", do_not(report.findings))


def _evidence(report: Report, clock: Clock) -> Iterator[str]:
    paths = paths_of(report.summary)
    for number, example in enumerate(report.examples):
        lines = [markdown_code(line) for line in example_head(example, clock)]
        if example.ladder:
            drawn = ladder_lines(example.ladder, _LADDER_WIDTH, EXAMPLE_ROWS, files=paths)
            lines += ["", *map(markdown_code, drawn)]
        yield ("" if number else "### Evidence\n\n") + "```text\n" + "\n".join(lines) + "\n```\n"


def _list(title: str, lines: Iterable[str], *, escaped: bool = False) -> str:
    """A headed list, one line an item; two leading spaces make a subordinate item. Empty without lines."""
    items = []
    for line in lines:
        indent = "  " if line.startswith("  ") else ""
        text = line.strip()
        items.append(f"{indent}- {text if escaped else markdown(text)}\n")
    return (f"### {title}\n\n" if title and items else "") + "".join(items)


def command(line: str) -> str:
    """A line of `verify`, its command as a code span to be copied; where to run it and what to expect as prose."""
    found = _COMMAND.fullmatch(line)
    if not found:
        return markdown(line)
    return f"{markdown(found['where'] or '')}{_code(found['command'])}{markdown(found['expect'] or '')}"


def _code(text: str) -> str:
    """A code span, fenced twice if the text holds the fence (CommonMark 6.1)."""
    safe = markdown_code(text)
    return f"`` {safe} ``" if "`" in safe else f"`{safe}`"


def table(header: Sequence[str], rows: Sequence[Sequence[str]], width: int = TABLE_WIDTH) -> str:
    """A pipe table, its first column left, the others right, padded so that it reads as text too.

    Where a padded line would pass ``width`` the padding goes; where a row still would, its first cell breaks after an
    arrow. No cell is ever cut: half an address names another host.
    """
    cells = [[markdown(cell) for cell in row] for row in rows]
    widths = [max(3, len(header[i]), *(len(row[i]) for row in cells)) for i in range(len(header))]
    rule = [f":{'-' * (widths[0] + 1)}", *(f"{'-' * (column + 1)}:" for column in widths[1:])]
    if sum(widths) + 3 * len(widths) + 1 > width:
        widths, rule = [0] * len(widths), [":--", *["--:"] * (len(widths) - 1)]
        cells = [[_broken(row[0]), *row[1:]] if len(unescape(_row(row, widths))) > width else row for row in cells]
    return "\n".join([_row(header, widths), f"|{'|'.join(rule)}|", *(_row(row, widths) for row in cells)]) + "\n"


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = [
        cells[0].ljust(widths[0]),
        *(cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True)),
    ]
    return f"| {' | '.join(padded)} |"


def _broken(cell: str) -> str:
    return cell.replace(" → ", " →<br>")


def _fitted(parts: list[str], limit: int) -> str:
    """Whole parts up to the limit, the last line saying how many are missing."""
    whole = "\n".join(parts)
    if len(whole) <= limit:
        return whole
    kept, size, missing = [], 0, 0
    note = (
        "\n*Cut to {limit} characters: {missing} parts are missing; the JSON report (`-o report.json`) has them all.*\n"
    )
    room = limit - len(note) - 24
    for part in parts:
        if missing or size + len(part) + 1 > room:
            missing += 1
        else:
            kept.append(part)
            size += len(part) + 1
    if not kept and parts:
        kept = [parts[0][: room - 1] + "…\n"]
    return "\n".join(kept) + note.format(limit=limit, missing=missing)
