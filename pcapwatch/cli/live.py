"""``pcapwatch live``: the same, while it happens."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pcapwatch.analysis import Report
from pcapwatch.cli import options
from pcapwatch.cli.analyze import FORMATS, FailOn, check_level, fails, rendered
from pcapwatch.cli.output import checked, deliver
from pcapwatch.cli.stops import Signals, Stops
from pcapwatch.cli.watching import Watch, draw_screen, metrics_at, print_lines, wants_screen
from pcapwatch.errors import UsageError
from pcapwatch.live.address import parse_address
from pcapwatch.live.session import IDLE_EXPIRY, open_stream
from pcapwatch.settings import SECOND_NS, Settings, parse_duration

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
MetricsAddress = Annotated[
    str | None,
    typer.Option(
        "--metrics", metavar="[HOST]:PORT", help="Answer Prometheus there; loopback unless told.", show_default=False
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
    metrics: MetricsAddress = None,
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
    if metrics is not None:
        parse_address(metrics)  # a wrong one is said before anything is captured
    if interval_s <= 0:
        raise UsageError("--interval 0s: give more than none, as 1s")

    def give(known: Report) -> None:
        deliver(destinations, lambda name, width, colour: rendered(known, name, options.clock(known.quality.first_ns, local=False, relative=False), width, colour=colour))

    opened = open_stream(sources, settings, follow=follow, most_packets=count)
    with opened as session, Signals() as signals, metrics_at(metrics) as served:
        watch = Watch(session, stops, signals, interval_s, tuple(report or ()), give, served)
        concluded = draw_screen(watch) if wants_screen(no_tui=no_tui) else print_lines(watch)
    give(concluded)
    if fails(concluded, fail_on):
        raise typer.Exit(1)
