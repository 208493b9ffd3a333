"""``pcapwatch live``: the same, while it happens."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from pcapwatch.analysis import Report
from pcapwatch.cli import options
from pcapwatch.cli.analyze import FORMATS, FailOn, check_level, fails, rendered
from pcapwatch.cli.output import checked, deliver, write_stdout
from pcapwatch.cli.stops import Signals, Stops
from pcapwatch.errors import PcapwatchError, UsageError
from pcapwatch.live.lines import line
from pcapwatch.live.moment import Moment
from pcapwatch.live.session import IDLE_EXPIRY, Session, open_stream
from pcapwatch.report.escape import terminal
from pcapwatch.settings import SECOND_NS, Settings, parse_duration

#: Between two looks at what a signal asked for.
_SLICE_S = 0.1
#: Making a report may take at most this share of the time; on a busy capture the lines become rarer instead.
_SHARE = 0.1

Sources = Annotated[
    list[str],
    typer.Argument(
        metavar="SOURCE...", help="- for a pipe, or with --follow a file that grows.", show_default=False
    ),
]
NoTui = Annotated[bool, typer.Option("--no-tui", help="A line every interval instead of the screen.")]
Interval = Annotated[str, typer.Option("--interval", metavar="LENGTH", help="From one line or screen to the next.")]
Duration = Annotated[
    str | None, typer.Option("--duration", metavar="LENGTH", help="Stop after so long.", show_default=False)
]
Count = Annotated[
    int | None, typer.Option("--count", metavar="N", min=1, help="Stop after so many packets.", show_default=False)
]
UntilFinding = Annotated[
    str | None,
    typer.Option("--until-finding", metavar="CODE", help="Stop when this finding fires.", show_default=False),
]
ReportFile = Annotated[
    list[Path] | None,
    typer.Option(
        "--report",
        "-o",
        metavar="FILE",
        help="Write the report here at the end and on SIGUSR1; the suffix says the format. Repeatable.",
        show_default=False,
    ),
]
Follow = Annotated[bool, typer.Option("--follow", help="The file may still grow: go on at its end.")]


def live(
    sources: Sources,
    follow: Follow = False,
    no_tui: NoTui = False,
    interval: Interval = "1s",
    duration: Duration = None,
    count: Count = None,
    until_finding: UntilFinding = None,
    report: ReportFile = None,
    fail_on: FailOn = None,
    filter_: options.Filter = None,
    link_type: options.LinkType = None,
    keep_duplicates: options.KeepDuplicates = False,
    time_wait: options.TimeWait = None,
    port_range: options.PortRange = None,
    full_urls: options.FullUrls = False,
    max_connections: options.MaxConnections = None,
    max_pairs: options.MaxPairs = None,
) -> None:
    """The same while it happens: who closes, how many wait in TIME_WAIT, where the ports go; then the report.

    Example: ssh host tcpdump -U -w - port 80 | pcapwatch live - --no-tui
    """
    check_level(fail_on)
    destinations = checked(report or [], None, FORMATS)
    stops = Stops.of(duration, until_finding)
    settings = Settings(
        filter=filter_,
        link_type=link_type or (),
        keep_duplicates=keep_duplicates,
        time_wait=time_wait or (),
        port_range=port_range,
        full_urls=full_urls,
        max_connections=max_connections,
        max_pairs=max_pairs,
        idle_expiry=IDLE_EXPIRY,
    )
    settings.ports()
    interval_s = parse_duration(interval) / SECOND_NS
    if interval_s <= 0:
        raise UsageError("--interval 0s: give more than none, as 1s")

    def give(known: Report) -> None:
        deliver(destinations, lambda name, width, colour: rendered(known, name, options.clock(known.quality.first_ns, local=False, relative=False), width, colour=colour))

    with open_stream(sources, settings, follow=follow, most_packets=count) as session, Signals() as signals:
        _print_lines(session, stops, signals, interval_s, give)
        concluded = session.conclude()
    give(concluded)
    if fails(concluded, fail_on):
        raise typer.Exit(1)


def _print_lines(
    session: Session, stops: Stops, signals: Signals, interval_s: float, give: Callable[[Report], None]
) -> None:
    """Until the source is over, a stop is reached, or a signal says so."""
    previous, due_s = session.counters, time.monotonic() + interval_s
    while not signals.stop and session.advance(min(_SLICE_S, interval_s)):
        moment = None
        if time.monotonic() >= due_s:
            began_s = time.monotonic()
            moment = session.moment(previous)
            write_stdout(f"{line(moment)}\n".encode())
            previous, now_s = moment.counters, time.monotonic()
            due_s = now_s + max(interval_s - (now_s - began_s), (now_s - began_s) / _SHARE)
        if signals.take_report():
            give_now(session, moment, give)
        if stops.reached(session.counters, moment):
            return


def give_now(session: Session, moment: Moment | None, give: Callable[[Report], None]) -> None:
    """The report so far, on SIGUSR1; a full disk does not end the capture."""
    try:
        give(moment.report if moment else session.report())
    except PcapwatchError as error:
        sys.stderr.write(f"pcapwatch: {terminal(str(error))}\n")
