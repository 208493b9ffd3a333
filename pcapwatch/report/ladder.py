"""One connection as a ladder: time, frame, the client's state, the segment, the server's state."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pcapwatch.report.escape import terminal
from pcapwatch.report.words import signed_seconds

_STATE = 12
_TIME = 12
_WIDEST_ARROW = 46
#: Rows a report shows of one example; `show` shows all.
EXAMPLE_ROWS = 16


def ladder_lines(
    ladder: Mapping[str, Any], width: int, rows: int | None = None, *, proved: bool = False
) -> Iterator[str]:
    """Lines no wider than ``width`` (at least 72), safe for a terminal.

    rows: at most so many, the first and the last ones; proved: name the proved state where it differs from the assumed
    one.
    """
    shown: list[Mapping[str, Any]] = list(ladder["rows"])
    frame_width = max([5, *(len(str(row["frame"])) for row in shown)])
    arrow_width = min(_WIDEST_ARROW, width - _TIME - frame_width - 2 * _STATE - 5)
    gap = " " * (_TIME + frame_width + 3)
    client, server = terminal(str(ladder["client"])), terminal(str(ladder["server"]))
    yield f"{gap}{client.ljust(_STATE + 1 + arrow_width)} {server}"[:width].rstrip()
    start = shown[0]["ts_ns"] if shown else 0
    head, tail = _cut(len(shown), rows)
    for index, row in enumerate(shown):
        if head <= index < tail:
            if index == head:
                yield f"{gap}… {tail - head} more packets …"
            continue
        prefix = f"{signed_seconds(row['ts_ns'] - start, 6):>{_TIME}} {row['frame']:>{frame_width}}  "
        arrow = _arrow(row, arrow_width)
        yield f"{prefix}{row['client_state']:<{_STATE}} {arrow} {row['server_state']}"
        yield from _notes(row, gap + " " * (_STATE + 1), width, proved=proved)
    if ladder.get("omitted"):
        yield f"{gap}… {ladder['omitted']} packets of this connection could not be read again"


def _cut(total: int, rows: int | None) -> tuple[int, int]:
    """The range of rows left out, in the middle; the close is at the end, so most of what is kept is there."""
    if rows is None or total <= rows:
        return total, total
    head = rows // 2
    return head, total - (rows - head)


def _arrow(row: Mapping[str, Any], width: int) -> str:
    """``── GET / HTTP/1.0 ─────▶`` or its mirror, exactly ``width`` columns."""
    label = " ".join(filter(None, [str(row["flags"]), _length(row), terminal(row["summary"] or "")]))
    room = width - 6
    label = label if len(label) <= room else label[: room - 1] + "…"
    line = f" {label} ".ljust(width - 4, "─") if row["from"] == "client" else f" {label} ".rjust(width - 4, "─")
    return f"──{line}─▶" if row["from"] == "client" else f"◀─{line}──"


def _length(row: Mapping[str, Any]) -> str:
    return f"{row['len']} B" if row["len"] else ""


def _notes(row: Mapping[str, Any], gap: str, width: int, *, proved: bool) -> Iterator[str]:
    notes = [terminal(str(note)) for note in row["notes"]]
    if proved:
        differing = [side for side in ("client", "server") if row[f"{side}_proved"] != row[f"{side}_state"]]
        notes += [f"{side} proved: {row[f'{side}_proved']}" for side in differing]
    for note in notes:
        yield f"{gap}└ {note}"[:width]
