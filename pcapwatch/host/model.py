"""A host's snapshot: plain data, and its JSON, whose shape is ``snapshot.schema.json`` beside this file.

Instants are ns since 1970 UTC by the host's clock, what is left of a timer is ms.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

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

#: Those of the sysctls that are one whole number.
NUMBERS = frozenset(SYSCTLS) - {"ip_local_port_range", "ip_local_reserved_ports"}


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
