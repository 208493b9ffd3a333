"""``pcapwatch live``: the same, while it happens."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path

import typer

from pcapwatch.analysis import Report
from pcapwatch.cli import live_options, options
from pcapwatch.cli.analyze import FORMATS, FailOn, check_level, fails, rendered
from pcapwatch.cli.kept import check_packets, tell_packets
from pcapwatch.cli.output import checked, deliver, write_stdout
from pcapwatch.cli.stops import Signals, Stops
from pcapwatch.cli.watching import Watch, draw_screen, metrics_at, print_lines, wants_screen
from pcapwatch.errors import UsageError
from pcapwatch.live.address import parse_address
from pcapwatch.live.session import IDLE_EXPIRY, RingOptions, open_interface, open_stream
from pcapwatch.settings import Settings


def live(
    sources: live_options.Sources = None,
    list_: live_options.ListInterfaces = False,
    follow: live_options.Follow = False,
    no_tui: live_options.NoTui = False,
    interval: live_options.Interval = "1s",
    duration: live_options.Duration = None,
    count: live_options.Count = None,
    until_finding: live_options.UntilFinding = None,
    report: live_options.ReportFile = None,
    metrics: live_options.MetricsAddress = None,
    write: live_options.Write = None,
    rotate: live_options.Rotate = None,
    keep: live_options.Keep = None,
    packets: live_options.Packets = None,
    snaplen: live_options.Snaplen = 262_144,
    ring: live_options.Ring = "64MB",
    no_promiscuous: live_options.NoPromiscuous = False,
    fanout: live_options.Fanout = None,
    netns: live_options.Netns = None,
    no_host: live_options.NoHost = False,
    user: live_options.User = None,
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
    if list_:
        print_interfaces(netns)
        return
    check_level(fail_on)
    destinations, stops = checked(report or [], None, FORMATS), Stops.of(duration, until_finding)
    interval_s = live_options.interval_s(interval)
    settings = Settings(
        filter=filter_,
        link_type=link_type or (),
        keep_duplicates=keep_duplicates,
        time_wait=time_wait or (),
        port_range=port_range or (),
        full_urls=full_urls,
        max_connections=max_connections,
        max_pairs=max_pairs,
        idle_expiry=IDLE_EXPIRY,
    )
    settings.ports()
    chosen = RingOptions(
        interface=(sources or [""])[0],
        snaplen=snaplen,
        ring_bytes=live_options.ring_bytes(ring),
        promiscuous=not no_promiscuous,
        fanout=live_options.parse_fanout(fanout),
        netns=netns,
    )
    files = live_options.write_options(write, rotate, keep)
    check_packets(packets)
    load(screen=wants_screen(no_tui=no_tui), metrics=metrics is not None)
    if metrics is not None:
        parse_address(metrics)  # a wrong one is said before anything is captured

    def give(known: Report) -> None:
        clock = options.clock(known.quality.first_ns, local=False, relative=False)
        deliver(destinations, lambda name, width, colour: rendered(known, name, clock, width, colour=colour))

    if streams := live_options.streams(sources, files, follow=follow):
        opened = open_stream(streams, settings, follow=follow, most_packets=count, drop_privileges=True, user=user)
    else:
        watched = not no_host
        opened = open_interface(
            chosen, settings, write=files, most_packets=count, watch_host=watched, drop_privileges=True, user=user
        )
    # Signals are answered until the report is written: SIGUSR1 or a second SIGTERM meanwhile must not cost it.
    with Signals() as signals:
        with opened as session, metrics_at(metrics) as served:
            check_writable({"--report": report or [], "--packets": [packets] if packets else []})
            watch = Watch(session, stops, signals, interval_s, tuple(report or ()), give, served)
            if session.kept_right is not None:
                watch.notices.say(session.kept_right)
            concluded = draw_screen(watch) if wants_screen(no_tui=no_tui) else print_lines(watch)
            watch.notices.tell_finding(stops.fired(concluded), session.counters.elapsed_s)
            watch.notices.tell_unfired(stops.finding)
        give(concluded)
        watch.notices.tell_reports(watch.files)
        are_in_files = files is not None or (streams and streams != ["-"])
        tell_packets(session, packets, concluded, are_lost=not are_in_files and stops.fired(concluded) is not None)
    if session.failure is not None:
        raise session.failure
    if fails(concluded, fail_on):
        raise typer.Exit(1)


#: What is imported only when it is used: reports, and the temporary files that they are written to.
_LATER = ("pcapwatch.report.text", "pcapwatch.report.markdown", "pcapwatch.report.json", "tempfile", "unicodedata")


def load(*, screen: bool, metrics: bool) -> None:
    """Import all that will be used: who is left once rights are given up may not read a Python of root's."""
    for name in (*_LATER, *(["pcapwatch.live.dashboard"] if screen else [])):
        import_module(name)
    if metrics:
        for name in ("pcapwatch.live.metrics", "pcapwatch.live.families", "prometheus_client", "encodings.idna"):
            import_module(name)


def check_writable(named: dict[str, list[Path]]) -> None:
    """With the rights that are left; ``UsageError`` now rather than when all has been captured."""
    for option, file in ((option, file) for option, files in named.items() for file in files):
        if not os.access(file if file.exists() else file.parent, os.W_OK):
            raise UsageError(
                f"{option} {file}: not writable with the rights that are left once the capture is open "
                f"(user {os.geteuid()}); choose a folder of that user"
            )


def print_interfaces(netns: str | None) -> None:
    """``--list``."""
    from pcapwatch.live.interfaces import interfaces, listing

    write_stdout("".join(f"{row}\n" for row in listing(interfaces(netns))).encode())
