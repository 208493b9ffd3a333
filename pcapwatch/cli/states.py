"""``pcapwatch states``: what netstat would have counted."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from pcapwatch.analysis import summary_of
from pcapwatch.cli import options
from pcapwatch.cli.instants import parse_instant
from pcapwatch.cli.output import TABLE_FORMATS, checked, deliver
from pcapwatch.errors import UsageError
from pcapwatch.report.netstat import counts_at, render_counts, render_over_time, state_rows
from pcapwatch.report.words import Clock
from pcapwatch.settings import Settings, parse_duration, shown
from pcapwatch.summary import Summary

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
    typer.Option("--host", metavar="ADDR", help="Whose sockets.", show_default="the host of most connections"),
]


def states(
    captures: options.Captures,
    at: At = None,
    every: Every = None,
    host: Host = None,
    output: options.Output = None,
    format_: options.Format = None,
    filter_: options.Filter = None,
    time_wait: options.TimeWait = None,
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
    plain = Settings(threads=threads, filter=filter_, time_wait=time_wait or ())
    summary = _counted(captures, plain, at, every)
    chosen = _host(summary, host)
    clock = options.clock(summary["capture"]["first_ns"], local=local, relative=relative)
    rows = state_rows(summary, chosen)
    deliver(destinations, lambda name, width, _: _rendered(rows, name, clock, width, one=at is not None))


def _counted(captures: list[str], plain: Settings, at: str | None, every: str | None) -> Summary:
    """The summary with the states asked for. A time counted from the capture's start or end needs its span first."""
    if every is not None:
        step_ns = parse_duration(every)
        if step_ns <= 0:
            raise UsageError(f"--every {shown(every)}: a step longer than nothing, as 1s")
        return summary_of(options.run(captures, _with(plain, every_ns=step_ns)))
    origin, offset_ns = parse_instant(at or "")
    if origin == "absolute":
        return summary_of(options.run(captures, _with(plain, at_ns=offset_ns)))
    if "-" in captures:
        raise UsageError(
            f"--at {shown(at or '')} reads the capture twice, and standard input comes once: "
            "name a file, or an absolute time"
        )
    span = summary_of(options.run(captures, plain))["capture"]
    edge_ns = span["first_ns"] if origin == "start" else span["last_ns"]
    if edge_ns is None:
        raise UsageError(f"--at {shown(at or '')}: the capture holds no packets, so it has no start and no end")
    return summary_of(options.run(captures, _with(plain, at_ns=edge_ns + offset_ns)))


def _with(plain: Settings, at_ns: int | None = None, every_ns: int | None = None) -> Settings:
    return Settings(
        threads=plain.threads,
        filter=plain.filter,
        time_wait=plain.time_wait,
        states_at_ns=at_ns,
        states_every_ns=every_ns,
    )


def _host(summary: Summary, asked: str | None) -> str:
    """The host asked for, or the one of most connections, and then it says so."""
    known = {host["address"]: host["as_client"] + host["as_server"] for host in summary["hosts"] if host["address"]}
    if asked is not None:
        from ipaddress import ip_address

        try:
            address = str(ip_address(asked))
        except ValueError:
            raise UsageError(f"--host {shown(asked)} is not an IP address") from None
        if address not in known:
            raise UsageError(f"--host {address} has no connection in this capture")
        return address
    if not known:
        raise UsageError("this capture holds no TCP connection, so no host has a state")
    chosen = max(sorted(known), key=lambda address: known[address])
    sys.stderr.write(f"pcapwatch: states of {chosen}, the host of most connections; --host ADDR chooses another\n")
    return chosen


def _rendered(rows: list[dict[str, Any]], name: str, clock: Clock, width: int, *, one: bool) -> bytes:
    if name == "txt":
        text = render_counts(counts_at(rows)) if one else render_over_time(rows, clock, width)
        return text.encode()
    import pyarrow as pa

    from pcapwatch.report.tables import renderer

    kinds = pa.schema(
        [
            ("host", pa.string()),
            ("time", pa.timestamp("ns", "UTC")),
            ("state", pa.string()),
            ("min", pa.uint64()),
            ("max", pa.uint64()),
        ]
    )
    return renderer(name, kinds.names, clock, width)(pa.Table.from_pylist(rows, kinds))
