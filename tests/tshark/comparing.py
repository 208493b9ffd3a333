"""A connections table beside tshark's streams: every difference is a line of text, to be listed with a reason."""

from collections.abc import Iterable, Mapping
from typing import Any

from .reading import Stream

Row = Mapping[str, Any]


def compare(rows: Iterable[Row], streams: list[Stream]) -> list[str]:
    """Differences in stream count, active closer, HTTP message counts and the last Connection header of each side."""
    by_frame = {int(row["first_frame"]): row for row in rows}
    found = []
    if len(by_frame) != len(streams):
        found.append(f"streams: {len(by_frame)} connections, tshark {len(streams)}")
    for stream in streams:
        row = by_frame.get(stream.first_frame)
        if row is None:
            found.append(f"frame {stream.first_frame}: tshark stream {stream.number} begins, no connection does")
            continue
        found += [f"frame {stream.first_frame}: {text}" for text in compare_one(row, stream)]
    return found


def compare_one(row: Row, stream: Stream) -> Iterable[str]:
    """Differences of one connection."""
    client = (str(row["client"]), str(row["client_port"]))
    server = (str(row["server"]), str(row["server_port"]))
    sides = {client: "client", server: "server", None: "none"}
    active = sides.get(stream.fin_active, "?")
    if row["active_closer"] != active:
        yield f"active_closer {row['active_closer']} ({row['closer_basis']}), tshark {active}"
    for column, theirs in (("requests", stream.requests), ("responses", stream.responses)):
        if (row[column] or 0) != theirs:
            yield f"{column} {row[column] or 0}, tshark {theirs}"
    for column, side in (("request_connection", client), ("response_connection", server)):
        said = stream.options.get(side)
        if said and row[column] is not None and row[column] not in [v.strip() for v in said]:
            yield f"{column} {row[column]}, tshark {said[-1]}"
