"""``pcapwatch states``: what netstat would have counted."""

from __future__ import annotations

import io
import sys
from dataclasses import replace
from ipaddress import ip_address
from typing import Annotated, Any

import typer

from pcapwatch.analysis import summary_of
from pcapwatch.cli import options
from pcapwatch.cli.instants import parse_instant
from pcapwatch.cli.output import TABLE_FORMATS, checked, deliver
from pcapwatch.errors import UsageError
from pcapwatch.findings.coverage import NOTABLE, gaps, lacks_acks, one_sided
from pcapwatch.findings.wording import count, counted, no_packets
from pcapwatch.report.netstat import counts_at, render_counts, render_over_time, state_rows
from pcapwatch.report.words import Clock
from pcapwatch.settings import Settings, parse_duration, shown
from pcapwatch.summary import HostFacts, Summary

At = Annotated[
    str | None,
    typer.Option(
        "--at",
        metavar="TIME",
        help="2026-11-20T19:23:50Z, epoch seconds, +12.5s from the start, end.",
        show_default=False,
    ),
]
Every = Annotated[
    str | None, typer.Option("--every", metavar="STEP", help="A table over time, as 1s.", show_default=False)
]
Host = Annotated[
    str | None,
    typer.Option("--host", metavar="ADDR", help="Whose sockets.", show_default="the host of most TIME_WAITs"),
]


def states(
    captures: options.Captures,
    at: At = None,
    every: Every = None,
    host: Host = None,
    output: options.Output = None,
    format_: options.Format = None,
    filter_: options.Filter = None,
    link_type: options.LinkType = None,
    keep_duplicates: options.KeepDuplicates = False,
    time_wait: options.TimeWait = None,
    max_pairs: options.MaxPairs = None,
    local: options.Local = False,
    relative: options.Relative = False,
    threads: options.Threads = None,
) -> None:
    """Socket states as `netstat -n | awk '/^tcp/ {++S[$NF]} …'` would have counted them, at an instant or over time.

    A TIME_WAIT whose end was not observed makes a band, as TIME_WAIT 12-15. Formats: txt, md, csv, json, jsonl,
    parquet, arrow.
    """
    if (at is None) == (every is None):
        raise UsageError("states needs either --at TIME or --every STEP, as --at end or --every 1s")
    destinations = checked(output or [], format_, TABLE_FORMATS)
    options.check_times([name for _, name in destinations], local=local, relative=relative)
    plain = Settings(
        threads=threads,
        filter=filter_,
        link_type=link_type or (),
        keep_duplicates=keep_duplicates,
        time_wait=time_wait or (),
        max_pairs=max_pairs,
    )
    asked = _address(host) if host is not None else None
    summary, at_ns = _counted(captures, plain, at, every, asked)
    chosen = _host(summary, asked)
    clock = options.clock(summary["capture"]["first_ns"], local=local, relative=relative)
    rows = state_rows(summary, chosen)
    if not rows:
        sys.stderr.write(_none_then(summary, chosen, at_ns))
    sys.stderr.write(_partial(summary))
    deliver(destinations, lambda name, width, _: _rendered(rows, name, clock, width, one=at is not None))


def _partial(summary: Summary) -> str:
    """One line for stderr where the packets that end states were not captured; else nothing."""
    number, connections = one_sided(summary), counted(summary["totals"]["connections"], "connection")
    holes = gaps(summary)
    if lacks_acks(summary):
        said = (
            f"no pure acknowledgment of {connections} was captured: these states are what is known of them, not what "
            "netstat would have printed"
        )
    elif NOTABLE * number >= summary["totals"]["connections"] > 0:
        said = (
            f"of {count(number)} of {connections} one direction only was captured: what netstat would have printed is "
            "between least and most (SYN_RECV apart), and most counts each state that nothing excludes"
        )
    elif holes:
        between = f"{counted(len(holes), 'gap')} between files"
        said = f"nothing is known of {between}: what began there counts from its first packet on"
    else:
        return ""
    return f"pcapwatch: {said}\n"


def _counted(
    captures: list[str], plain: Settings, at: str | None, every: str | None, host: str | None
) -> tuple[Summary, int | None]:
    """The summary with the states asked for, and the instant if it is one, ns since 1970.

    Of one host only, as no more is shown: of many hosts the states would take much room. A time counted from the
    capture's start or end needs its span first.
    """
    of_one = replace(plain, states_host=host, states_busiest=host is None)
    if every is not None:
        step_ns = parse_duration(every)
        if step_ns <= 0:
            raise UsageError(f"--every {shown(every)}: a step longer than nothing, as 1s")
        _check_time(step_ns, "--every", every)
        return summary_of(options.run(captures, replace(of_one, states_every_ns=step_ns))), None
    origin, offset_ns = parse_instant(at or "")
    _check_time(offset_ns, "--at", at or "")
    if origin == "absolute":
        return summary_of(options.run(captures, replace(of_one, states_at_ns=offset_ns))), offset_ns
    if "-" in captures:
        raise UsageError(
            f"--at {shown(at or '')} reads the capture twice, and standard input comes once: "
            "name a file, or an absolute time"
        )
    span = summary_of(options.run(captures, plain))["capture"]
    edge_ns = span["first_ns"] if origin == "start" else span["last_ns"]
    if edge_ns is None:
        why = "no packet of this capture has a time" if span["packets"] else no_packets(span)
        raise UsageError(f"--at {shown(at or '')}: {why}, so there is no start and no end")
    at_ns = edge_ns + offset_ns
    _check_time(at_ns, "--at", at or "")
    return summary_of(options.run(captures, replace(of_one, states_at_ns=at_ns))), at_ns


def _check_time(ns: int, option: str, text: str) -> None:
    if ns >= 2**63:
        raise UsageError(f"{option} {shown(text)} is later than 2262, the end of times in ns since 1970")


def _address(asked: str) -> str:
    """``--host`` as the engine writes addresses."""
    try:
        address = ip_address(asked.partition("%")[0])  # packets do not say by which interface they came
    except ValueError:
        raise UsageError(f"--host {shown(asked)} is not an IP address") from None
    return str((address.ipv4_mapped if address.version == 6 else None) or address)


def _host(summary: Summary, asked: str | None) -> str:
    """The host asked for, or the one of most TIME_WAITs (then of most connections), and then it says so."""
    known = {host["address"]: _rank(host) for host in summary["hosts"] if host["address"]}
    if asked is not None:
        # However many hosts there are, the one asked for is among those told apart.
        if asked not in known:
            raise UsageError(f"--host {asked} has no connection in this capture")
        return asked
    if not known:
        why = (
            "this capture holds no TCP connection" if summary["capture"]["packets"] else no_packets(summary["capture"])
        )
        raise UsageError(f"{why}, so no host has a state")
    chosen = max(sorted(known, key=_place), key=lambda address: known[address])
    most = "TIME_WAITs" if known[chosen][0] else "connections"
    sys.stderr.write(f"pcapwatch: states of {chosen}, the host of most {most}; --host ADDR chooses another\n")
    return chosen


def _rank(host: HostFacts) -> tuple[int, int]:
    """TIME_WAITs entered, then connections."""
    return (host["time_wait"] or {"entered": 0})["entered"], host["as_client"] + host["as_server"]


def _place(address: str) -> int:
    """The engine's order of addresses: it tells the states of the least of equals."""
    known = ip_address(address)
    # As 16 bytes IPv4 is ::ffff:0:0/96.
    return int(known) + (0xFFFF << 32 if known.version == 4 else 0)


def _none_then(summary: Summary, host: str, at_ns: int | None) -> str:
    """Why no state is printed: one line for stderr, so that an empty answer is not taken for a failure."""
    last_ns = summary["capture"]["last_ns"]
    late = at_ns is not None and last_ns is not None and at_ns > last_ns
    when = "no sockets then" if at_ns is not None else "no sockets at any of these instants"
    return f"pcapwatch: {host} had {when}{': the instant is after the last packet' if late else ''}\n"


def _rendered(rows: list[dict[str, Any]], name: str, clock: Clock, width: int, *, one: bool) -> bytes:
    if name == "txt":
        text = render_counts(counts_at(rows)) if one else render_over_time(rows, clock, width)
        return text.encode()
    import pyarrow as pa

    from pcapwatch.frames import rows as read
    from pcapwatch.report.tables import table_writer

    kinds = pa.schema(
        [
            ("host", pa.string()),
            ("time", pa.timestamp("ns", "UTC")),
            ("state", pa.string()),
            ("min", pa.uint64()),
            ("max", pa.uint64()),
        ]
    )
    stream = io.BytesIO()
    table_writer(name, kinds.names, clock, width)(read(pa.Table.from_pylist(rows, kinds)), stream)
    return stream.getvalue()
