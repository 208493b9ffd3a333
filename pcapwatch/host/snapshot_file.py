"""A snapshot's file, read in bounded room: whatever it says, it costs no more than its bytes and what is kept of it.

``json.loads`` would make objects of all that a file holds, twenty times its size, before anyone sees that it is none of
ours. So the file is taken apart at its first level: sockets row by row, any other value alone, none longer than
`MOST_VALUE`.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from ipaddress import ip_address
from pathlib import Path
from typing import Any, TypeVar

from pcapwatch.errors import UsageError
from pcapwatch.findings.wording import count
from pcapwatch.host.model import FORMAT, NUMBERS, VERSION, Snapshot, SnapshotsGiven, Wait

#: Bytes of a file: half a million sockets take some 32 MB.
MOST_BYTES = 64 << 20
#: Sockets in TIME_WAIT: twice Linux's greatest default of tcp_max_tw_buckets.
MOST_WAITS = 1 << 19
#: Bytes of any other value.
MOST_VALUE = 1 << 20

_SPACE = rb"[ \t\r\n]*"
_NAME = re.compile(_SPACE + rb'"([a-z_]{1,64})"' + _SPACE + rb":" + _SPACE)
_BEGIN, _END = re.compile(_SPACE + rb"\{"), re.compile(_SPACE + rb"\}" + _SPACE)
_COMMA = re.compile(_SPACE + rb",")
_LIST, _LIST_END = re.compile(rb"\["), re.compile(_SPACE + rb"\]")
_ADDRESS, _NUMBER = rb'"([0-9A-Fa-f:.]{2,45})"', rb"(0|[1-9][0-9]{0,8})"
_ROW = re.compile(
    (_SPACE + rb"," + _SPACE).join([_SPACE + rb"\[" + _SPACE + _ADDRESS, _NUMBER, _ADDRESS, _NUMBER, _NUMBER])
    + _SPACE
    + rb"\]"
)
_NUMBER_ITSELF = re.compile(r"-?[0-9]{1,18}", re.ASCII)

_T = TypeVar("_T")


def read_file(path: str) -> Snapshot:
    """A file that ``pcapwatch host -o`` wrote; ``UsageError`` in one line if it is anything else."""
    try:
        with Path(path).open("rb") as file:  # no size is asked for: a pipe has none
            data = file.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise UsageError(f"{path}: more than {MOST_BYTES >> 20} MiB, the most that a host snapshot may have")
        return from_json(data)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}: --host-snapshot takes a file of pcapwatch host -o") from None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        why = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise UsageError(f"{path}: not a host snapshot ({why}): make one with pcapwatch host -o FILE") from None


def read_all(given: SnapshotsGiven) -> list[Snapshot]:
    """Snapshots, those that are named by their files read; ``UsageError`` as `read_file`."""
    several = [given] if isinstance(given, Snapshot | str | os.PathLike) else given
    return [one if isinstance(one, Snapshot) else read_file(os.fspath(one)) for one in several]


def from_json(data: bytes) -> Snapshot:
    """The snapshot that ``to_json`` wrote; ``ValueError``, ``KeyError`` or ``TypeError`` for anything else."""
    given = _parts(data)
    if given.get("format") != FORMAT:
        raise ValueError(f"no {FORMAT!r}")
    if given["version"] != VERSION:
        raise ValueError(f"version {given['version']!r}, and this program reads {VERSION}")
    before_ns, after_ns = (_instant(value) for value in given["read_ns"])
    snapshot = Snapshot(
        name=_text(given["name"]),
        kernel=_text(given["kernel"]),
        netns=None if given["netns"] is None else _text(given["netns"]),
        reader=_text(given["reader"]),
        read_ns=(before_ns, max(before_ns, after_ns)),
        addresses=tuple(str(ip_address(_text(address))) for address in given["addresses"]),
        sysctls=_mapping(given["sysctls"], lambda value: None if value is None else _text(value)),
        counters=_mapping(given["counters"], _count),
        states=_mapping(given["states"], _count),
        waits=given["time_waits"],
    )
    _check_settings(snapshot)
    return snapshot


def _check_settings(snapshot: Snapshot) -> None:
    """No kernel prints nonsense: a setting that means nothing is refused, where it would seem to be unknown."""
    for name, text in snapshot.sysctls.items():
        if text is not None and not _makes_sense(snapshot, name, text):
            raise ValueError(f"{name} {text[:40]!r} is none that a kernel has")


def _makes_sense(snapshot: Snapshot, name: str, text: str) -> bool:
    if name == "ip_local_port_range":
        return snapshot.ports() is not None
    if name == "ip_local_reserved_ports":
        return _are_ports(text)
    return name not in NUMBERS or _NUMBER_ITSELF.fullmatch(text.strip()) is not None


def _are_ports(text: str) -> bool:
    """Whether these are ports and ranges of ports, or nothing."""
    for part in text.split(",") if text.strip() else []:
        low, dash, high = part.strip().partition("-")
        ends = [low, high] if dash else [low]
        if not all(end.isascii() and end.isdecimal() and len(end) <= 5 and int(end) <= 65535 for end in ends):
            return False
        if dash and int(low) > int(high):
            return False
    return True


def _parts(data: bytes) -> dict[str, Any]:
    """The values of the first level by name; the sockets as a tuple of `Wait`. No name twice."""
    found: dict[str, Any] = {}
    at = _after(_BEGIN, data, 0, "an object")
    while True:
        match = _NAME.match(data, at)
        if match is None or (name := match[1].decode()) in found:
            raise ValueError(f"offset {at}: no name of a snapshot's part, or one again")
        found[name], at = _waits(data, match.end()) if name == "time_waits" else _value(data, match.end())
        if (end := _END.match(data, at)) is not None:
            break
        at = _after(_COMMA, data, at, "a comma")
    if end.end() != len(data):
        raise ValueError(f"offset {end.end()}: more than one snapshot")
    return found


def _after(what: re.Pattern[bytes], data: bytes, at: int, named: str) -> int:
    match = what.match(data, at)
    if match is None:
        raise ValueError(f"offset {at}: {named} is missing")
    return match.end()


def _value(data: bytes, at: int) -> tuple[Any, int]:
    """A value that is not long, and where it ends."""
    piece = data[at : at + MOST_VALUE]
    text = piece.decode(errors="surrogateescape")
    try:
        value, length = json.JSONDecoder().raw_decode(text)
    except ValueError:
        if len(piece) == MOST_VALUE:
            raise ValueError(f"offset {at}: a value of more than {MOST_VALUE >> 20} MiB") from None
        raise
    taken = text[:length].encode(errors="surrogateescape")
    taken.decode()  # what is no UTF-8 is refused
    return value, at + len(taken)


def _waits(data: bytes, at: int) -> tuple[tuple[Wait, ...], int]:
    rows = _Rows(data, _after(_LIST, data, at, "a list of sockets"))
    return tuple(rows), rows.at


class _Rows:
    """The sockets, one after the other; ``at`` is behind the last one's list then."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data, self.at = data, at

    def __iter__(self) -> Iterator[Wait]:
        data, number = self._data, 0
        if (end := _LIST_END.match(data, self.at)) is None:
            while True:
                if (row := _ROW.match(data, self.at)) is None:
                    raise ValueError(f"offset {self.at}: no socket in TIME_WAIT")
                if (number := number + 1) > MOST_WAITS:
                    raise ValueError(f"more than {count(MOST_WAITS)} sockets in TIME_WAIT")
                yield _wait(row)
                self.at = row.end()
                if (end := _LIST_END.match(data, self.at)) is not None:
                    break
                self.at = _after(_COMMA, data, self.at, "a comma")
        self.at = end.end()


def _wait(row: re.Match[bytes]) -> Wait:
    own_port, peer_port, left_ms = int(row[2]), int(row[4]), int(row[5])
    if own_port > 65535 or peer_port > 65535 or left_ms > 86_400_000:
        raise ValueError("a port or a timer out of range")
    return Wait(_address(row[1]), own_port, _address(row[3]), peer_port, left_ms)


@lru_cache(maxsize=65_536)
def _address(text: bytes) -> str:
    """Few hosts have many sockets: each address is kept once."""
    return str(ip_address(text.decode()))


def _mapping(given: Any, read: Callable[[Any], _T]) -> dict[str, _T]:
    if not isinstance(given, dict):
        raise TypeError("a list where names belong")
    return {_text(name): read(value) for name, value in given.items()}


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > 65_536:
        raise TypeError("something else where a text belongs")
    return value


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 1 << 63:
        raise TypeError("something else where a count belongs")
    return value


#: Ten centuries: sums with any timer stay within 64 bits.
_instant = _count
