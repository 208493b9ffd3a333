"""``pcapwatch analyze``: the report."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Annotated

import typer

from pcapwatch.cli import options
from pcapwatch.cli.output import checked, deliver
from pcapwatch.errors import UsageError
from pcapwatch.report.model import SEVERITIES
from pcapwatch.settings import Settings, shown

if TYPE_CHECKING:
    from pcapwatch.analysis import Report
    from pcapwatch.report.words import Clock

FORMATS = ("txt", "md", "json")

FailOn = Annotated[
    str | None,
    typer.Option(
        "--fail-on",
        metavar="LEVEL",
        help=f"Exit 1 if a finding reaches it: {', '.join(SEVERITIES)}.",
        show_default=False,
    ),
]


HostSnapshot = Annotated[
    list[str] | None,
    typer.Option(
        "--host-snapshot",
        metavar="FILE",
        help="What a host's kernel said (pcapwatch host -o FILE). Repeatable.",
        show_default=False,
    ),
]


def analyze(
    captures: options.Captures,
    output: options.Output = None,
    format_: options.Format = None,
    filter_: options.Filter = None,
    link_type: options.LinkType = None,
    keep_duplicates: options.KeepDuplicates = False,
    time_wait: options.TimeWait = None,
    port_range: options.PortRange = None,
    host_snapshot: HostSnapshot = None,
    fail_on: FailOn = None,
    names: options.Names = False,
    full_urls: options.FullUrls = False,
    local: options.Local = False,
    relative: options.Relative = False,
    threads: options.Threads = None,
    max_connections: options.MaxConnections = None,
    max_pairs: options.MaxPairs = None,
) -> None:
    """The report: verdict, closers, TIME_WAIT, ports, HTTP persistence, findings, what to do.

    Formats: txt, md, json. Example: pcapwatch analyze capture.pcap -o report.md -- tcp port 80
    """
    check_level(fail_on)
    destinations = checked(output or [], format_, FORMATS)
    options.check_times([name for _, name in destinations], local=local, relative=relative)
    settings = Settings(
        threads=threads,
        filter=filter_,
        link_type=link_type or (),
        keep_duplicates=keep_duplicates,
        time_wait=time_wait or (),
        port_range=port_range or (),
        host_snapshot=host_snapshot or (),
        full_urls=full_urls,
        names=names,
        max_connections=max_connections,
        max_pairs=max_pairs,
    ).with_hosts_read()
    settings.ports()  # a wrong range is said before the capture is read
    # One report and the process ends. The collector would look through the facts of thousands of pairs again and again.
    gc.disable()
    analysis = options.run(captures, settings)

    from pcapwatch.analysis import report_of

    report = report_of(analysis, settings)
    clock = options.clock(report.quality.first_ns, local=local, relative=relative)
    deliver(destinations, lambda name, width, colour: rendered(report, name, clock, width, colour=colour))
    options.note_unfinished(report.summary["capture"]["files"])
    if fails(report, fail_on):
        raise typer.Exit(1)


def fails(report: Report, level: str | None) -> bool:
    """Whether a finding reaches the level of ``--fail-on``."""
    return level is not None and any(SEVERITIES.index(f.severity) >= SEVERITIES.index(level) for f in report.findings)


def check_level(level: str | None) -> None:
    """``UsageError`` for a level that there is not."""
    if level is not None and level not in SEVERITIES:
        raise UsageError(f"--fail-on {shown(level)}: choose {', '.join(SEVERITIES)}")


def rendered(report: Report, name: str, clock: Clock, width: int, *, colour: bool) -> bytes:
    """The report in a format."""
    if name == "json":
        return report.to_json().encode()
    if name == "md":
        from pcapwatch.report.markdown import render_markdown

        return render_markdown(report, clock).encode()
    from pcapwatch.report.text import render_text

    return render_text(report, width, clock, colour=colour).encode()
