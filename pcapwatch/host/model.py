"""A host's snapshot: plain data, and its JSON, whose shape is ``snapshot.schema.json`` beside this file.

Instants are ns since 1970 UTC by the host's clock, what is left of a timer is ms.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias, TypeVar

from pcapwatch.errors import UsageError

FORMAT, VERSION = "pcapwatch host snapshot", 1

#: Sysctls of ``net.ipv4`` that matter to TIME_WAIT and ports; one that the kernel does not have is ``None``.
SYSCTLS = (
    "ip_local_port_range",
    "ip_local_reserved_ports",
    "tcp_tw_reuse",
    "tcp_tw_reuse_delay",
    "tcp_max_tw_buckets",
    "tcp_timestamps",
    "tcp_rfc1337",
    "tcp_fin_timeout",
)
#: Counters of ``/proc/net/netstat`` (TcpExt), since the namespace began.
COUNTERS = ("TCPTimeWaitOverflow", "TW", "TWRecycled", "TWKilled", "PAWSTimewait", "PAWSActive", "PAWSEstab")

#: A snapshot of a million TIME_WAITs has some 60 MB.
MOST_BYTES = 256 << 20

_T = TypeVar("_T")


class Wait(NamedTuple):
    """A socket in TIME_WAIT: its own end, the peer's, and what is left of its timer."""

    own: str
    own_port: int
    peer: str
    peer_port: int
    left_ms: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One host (or network namespace) at one moment.

    read_ns: its clock before and after the sockets were listed; reader: ``sock_diag`` or ``proc``; states: sockets by
    RFC 9293 name; sysctls, counters: ``None`` or absent where this kernel has no such thing.
    """

    name: str
    kernel: str
    read_ns: tuple[int, int]
    reader: str
    netns: str | None = None
    addresses: tuple[str, ...] = ()
    sysctls: dict[str, str | None] = field(default_factory=dict)
    counters: dict[str, int] = field(default_factory=dict)
    states: dict[str, int] = field(default_factory=dict)
    waits: tuple[Wait, ...] = ()

    def number(self, sysctl: str) -> int | None:
        """A sysctl that is one whole number; ``None`` if it is unknown."""
        text = self.sysctls.get(sysctl)
        return int(text) if text is not None and text.strip().lstrip("-").isdecimal() else None

    def ports(self) -> tuple[int, int] | None:
        """``ip_local_port_range``, both ends included; ``None`` if it is unknown."""
        words = (self.sysctls.get("ip_local_port_range") or "").split()
        if len(words) != 2 or not all(word.isdecimal() for word in words):
            return None
        low, high = int(words[0]), int(words[1])
        return (low, high) if 1 <= low <= high <= 65535 else None

    def reserved(self) -> list[tuple[int, int]]:
        """``ip_local_reserved_ports`` as ranges, both ends included."""
        ranges = []
        for part in (self.sysctls.get("ip_local_reserved_ports") or "").strip().split(","):
            low, _, high = part.partition("-")
            if low.isdecimal() and (high or low).isdecimal():
                ranges.append((int(low), int(high or low)))
        return ranges

    def usable_ports(self) -> int | None:
        """Ports that ``connect()`` may choose: the range less the reserved ones; ``None`` if it is unknown."""
        if (span := self.ports()) is None:
            return None
        held = {port for low, high in self.reserved() for port in range(max(low, span[0]), min(high, span[1]) + 1)}
        return span[1] - span[0] + 1 - len(held)

    def table(self) -> dict[str, Any]:
        """Its sockets in TIME_WAIT as the engine takes them: a ``HostTable`` of ``engine/src/settings.rs``."""
        middle_ns = (self.read_ns[0] + self.read_ns[1]) // 2
        waits = [(w.own, w.own_port, w.peer, w.peer_port, middle_ns + w.left_ms * 1_000_000) for w in self.waits]
        return {"addresses": list(self.addresses), "read_ns": list(self.read_ns), "waits": waits}


SnapshotGiven: TypeAlias = "Snapshot | str | os.PathLike[str]"
#: How a user gives snapshots: one or several, each read already or a file.
SnapshotsGiven: TypeAlias = "SnapshotGiven | Sequence[SnapshotGiven]"


def to_json(snapshot: Snapshot) -> str:
    """The file that ``pcapwatch host -o`` writes; a socket a line, all else indented."""
    head = {
        "format": FORMAT,
        "version": VERSION,
        "name": snapshot.name,
        "kernel": snapshot.kernel,
        "netns": snapshot.netns,
        "reader": snapshot.reader,
        "read_ns": list(snapshot.read_ns),
        "addresses": list(snapshot.addresses),
        "sysctls": snapshot.sysctls,
        "counters": snapshot.counters,
        "states": snapshot.states,
    }
    sockets = ",\n".join("  " + json.dumps(list(wait)) for wait in snapshot.waits)
    return f'{json.dumps(head, indent=1)[:-2]},\n "time_waits": [\n{sockets}\n ]\n}}\n'


def read_file(path: str) -> Snapshot:
    """A file that ``pcapwatch host -o`` wrote; ``UsageError`` in one line if it is anything else."""
    try:
        if Path(path).stat().st_size > MOST_BYTES:
            raise UsageError(f"{path}: more than {MOST_BYTES >> 20} MiB: not a host snapshot")
        return from_json(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}: --host-snapshot takes a file of pcapwatch host -o") from None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        why = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise UsageError(f"{path}: not a host snapshot ({why}): make one with pcapwatch host -o FILE") from None


def read_all(given: SnapshotsGiven) -> list[Snapshot]:
    """Snapshots, those that are named by their files read; ``UsageError`` as `read_file`."""
    several = [given] if isinstance(given, Snapshot | str | os.PathLike) else given
    return [one if isinstance(one, Snapshot) else read_file(os.fspath(one)) for one in several]


def from_json(text: str) -> Snapshot:
    """The snapshot that ``to_json`` wrote; ``ValueError``, ``KeyError`` or ``TypeError`` for anything else."""
    given = json.loads(text)
    if not isinstance(given, dict) or given.get("format") != FORMAT:
        raise ValueError(f"no {FORMAT!r}")
    if given["version"] != VERSION:
        raise ValueError(f"version {given['version']!r}, and this program reads {VERSION}")
    before_ns, after_ns = (_instant(value) for value in given["read_ns"])
    return Snapshot(
        name=_text(given["name"]),
        kernel=_text(given["kernel"]),
        netns=None if given["netns"] is None else _text(given["netns"]),
        reader=_text(given["reader"]),
        read_ns=(before_ns, max(before_ns, after_ns)),
        addresses=tuple(str(ip_address(_text(address))) for address in given["addresses"]),
        sysctls=_mapping(given["sysctls"], lambda value: None if value is None else _text(value)),
        counters=_mapping(given["counters"], _count),
        states=_mapping(given["states"], _count),
        waits=tuple(_wait(row) for row in given["time_waits"]),
    )


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


def _wait(row: Any) -> Wait:
    own, own_port, peer, peer_port, left_ms = row
    ports = (_count(own_port), _count(peer_port))
    if max(ports) > 65535 or _count(left_ms) > 86_400_000:
        raise ValueError("a port or a timer out of range")
    return Wait(str(ip_address(_text(own))), ports[0], str(ip_address(_text(peer))), ports[1], left_ms)
