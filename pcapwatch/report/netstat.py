"""Socket states under netstat's names (net-tools, ``statistics.c``: ``tcp_state[]``)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from pcapwatch.report.words import Clock, band
from pcapwatch.summary import Summary

#: RFC 9293's names as netstat writes them; CLOSED has no socket and LISTEN is not shown without -l.
NETSTAT = {
    "ESTABLISHED": "ESTABLISHED",
    "SYN-SENT": "SYN_SENT",
    "SYN-RECEIVED": "SYN_RECV",
    "FIN-WAIT-1": "FIN_WAIT1",
    "FIN-WAIT-2": "FIN_WAIT2",
    "TIME-WAIT": "TIME_WAIT",
    "CLOSE-WAIT": "CLOSE_WAIT",
    "LAST-ACK": "LAST_ACK",
    "CLOSING": "CLOSING",
}


def state_rows(summary: Summary, host: str) -> list[dict[str, Any]]:
    """One host's counts by time and state: ``host``, ``time`` (ns), ``state`` (netstat's), ``min``, ``max``."""
    rows = [
        {
            "host": host,
            "time": count["at_ns"],
            "state": NETSTAT[count["state"]],
            "min": count["min"],
            "max": count["max"],
        }
        for count in summary["states"]
        if count["host"] == host and count["state"] in NETSTAT and count["max"]
    ]
    return sorted(rows, key=lambda row: (row["time"], row["state"]))


def counts_at(rows: Iterable[dict[str, Any]]) -> dict[str, tuple[int, int]]:
    """State and (least, most) of one instant."""
    return {row["state"]: (row["min"], row["max"]) for row in rows}


def render_counts(counts: dict[str, tuple[int, int]]) -> str:
    """``TIME_WAIT 12``, a line each, sorted by name; ``TIME_WAIT 12-15`` where least and most differ."""
    return "".join(f"{state} {_plain(counts[state])}\n" for state in sorted(counts))


def render_over_time(rows: Sequence[dict[str, Any]], clock: Clock, width: int) -> str:
    """A table, one line an instant and a column a state; where ``width`` is too small, one line a state."""
    times = sorted({row["time"] for row in rows})
    states = sorted({row["state"] for row in rows})
    cells = {(row["time"], row["state"]): band((row["min"], row["max"])) for row in rows}
    columns = {state: max([len(state), *(len(cells.get((at, state), "0")) for at in times)]) for state in states}
    lead = max([4, *(len(clock.instant(at)) for at in times)])
    if lead + sum(size + 2 for size in columns.values()) > width:
        return "".join(
            f"{clock.instant(row['time'])}  {row['state']} {band((row['min'], row['max']))}\n" for row in rows
        )
    lines = ["  ".join(["time".ljust(lead), *(state.rjust(columns[state]) for state in states)])]
    lines += [
        "  ".join([clock.instant(at).ljust(lead), *(cells.get((at, s), "0").rjust(columns[s]) for s in states)])
        for at in times
    ]
    return "".join(f"{line}\n" for line in lines)


def _plain(counts: tuple[int, int]) -> str:
    low, high = counts
    return str(low) if low == high else f"{low}-{high}"
