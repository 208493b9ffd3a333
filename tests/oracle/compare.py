"""The tool's `connections` table beside the oracle's rows, field by field; a difference names all a judge needs."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Row = Mapping[str, Any]

COLUMNS = (
    "connection", "last_frame", "client", "client_port", "server", "server_port", "role_basis", "start", "end",
    "handshake_rtt_s", "client_packets", "server_packets", "client_bytes", "server_bytes", "client_retransmits",
    "server_retransmits", "close", "active_closer",
    "closer_basis", "closer_frame", "reset_by", "reset_kind", "reset_effect", "time_wait_holder", "time_wait_start",
    "time_wait_restarts", "time_wait_lower_s", "time_wait_upper_s", "time_wait_basis", "time_wait_end", "reuse_of",
    "reuse_gap_s", "requests", "responses", "http_version", "request_connection", "response_connection",
    "request_persistent", "response_persistent", "keep_alive_timeout_s", "keep_alive_max", "close_announced_by",
    "idle_before_close_s", "race", "quality",
)  # fmt: skip
# What loss and reordering at the tap leave decided; the rest can honestly be read in two ways then.
DISTURBED_COLUMNS = (
    "client", "client_port", "server", "server_port", "start", "end", "client_packets", "server_packets",
    "client_bytes", "server_bytes", "reuse_gap_s",
)  # fmt: skip
QUALITY = {"midstream", "truncated", "gap", "one_sided"}  # the words that need no threshold and so are the oracle's too


@dataclass(frozen=True)
class Difference:
    """One field of one connection that the two readings disagree on."""

    capture: str
    first_frame: int
    last_frame: int
    peers: str
    column: str
    tool: Any
    oracle: Any

    def __str__(self) -> str:
        """One line for a human."""
        where = f"{self.capture} frames {self.first_frame}-{self.last_frame} {self.peers}"
        return f"{where}: {self.column}: tool {self.tool!r}, oracle {self.oracle!r}"


def compare(
    capture: str, tool: Iterable[Row], oracle: Iterable[Row], columns: Iterable[str] = COLUMNS
) -> list[Difference]:
    """All differences; rows are matched by the frame and file that open them."""
    theirs, mine = by_opening(tool), by_opening(oracle)
    found = []
    for key in sorted(mine.keys() | theirs.keys()):
        a, b = theirs.get(key), mine.get(key)
        if a is not None and b is not None:
            pairs = [(c, value(a, c), value(b, c)) for c in columns if not same(value(a, c), value(b, c))]
        else:
            pairs = [("connection", "no row" if a is None else "a row", "no row" if b is None else "a row")]
        found += [describe(capture, a or b or {}, *pair) for pair in pairs]
    return found


def value(row: Row, column: str) -> object:
    """A cell; of the quality only the words that both readings define alike."""
    return sorted(words(row.get(column)) & QUALITY) if column == "quality" else row.get(column)


def by_opening(rows: Iterable[Row]) -> dict[tuple[str, int], Row]:
    """Rows by the name of the file and the frame that open them."""
    return {(Path(str(row["file"])).name, int(row["first_frame"])): row for row in rows}


def describe(capture: str, row: Row, column: str, tool: object, oracle: object) -> Difference:
    """One difference of a connection."""
    peers = f"{row['client']}:{row['client_port']} {row['server']}:{row['server_port']}"
    return Difference(capture, row["first_frame"], row["last_frame"], peers, column, tool, oracle)


def words(value: object) -> set[str]:
    """The quality words as a set, whatever holds them."""
    if isinstance(value, str):
        return set(value.replace(",", " ").split())
    return set(value) if isinstance(value, Iterable) else set()


def same(left: object, right: object) -> bool:
    """Equal, or seconds that differ by less than the nanosecond that a float of this size can hold."""
    if isinstance(left, (int, float)) and isinstance(right, (int, float)):
        return abs(left - right) < (1e-6 if isinstance(left, float) or isinstance(right, float) else 1)
    return bool(left == right)
