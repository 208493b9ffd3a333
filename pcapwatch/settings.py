"""Settings as a user writes them, and as the engine and the report take them."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pcapwatch.errors import UsageError
from pcapwatch.report.model import PortRange, PortRanges, PortRule

if TYPE_CHECKING:
    from pcapwatch.host.model import SnapshotsGiven
    from pcapwatch.host.truth import HostRecord

SECOND_NS = 1_000_000_000

_UNIT_NS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "ms": 1_000_000,
    "s": SECOND_NS,
    "m": 60 * SECOND_NS,
    "h": 3600 * SECOND_NS,
}
_DURATION = re.compile(r"(\d+)(?:\.(\d{1,9}))?(ns|us|µs|ms|s|m|h)", re.ASCII)
_LONGEST_NS = 365 * 24 * 3600 * SECOND_NS
#: The report is made of objects, some 13 KB for each pair, 23 KB as JSON; timelines of long ones take up to 190 KB.
MOST_PAIRS = 200_000
#: Least and most of the settings that are numbers: none of a thing is no analysis, and more than the most is no number.
_MOST = 2**48
_RANGES = dict.fromkeys(
    (
        "threads", "batch_packets", "max_connections", "max_pairs", "max_reassembly_bytes", "max_kept_bytes",
        "max_head_bytes", "max_fragmented_datagrams", "max_fragment_bytes", "rows_in_memory",
    ),
    (1, _MOST),
) | {"max_tunnel_depth": (0, 16), "replay_bytes": (0, _MOST)}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Settings:
    """Choices of one analysis. Fields that are ``None`` keep the engine's default.

    link_type: link types to read as others, as ``USER0=EN10MB``; names: keep the names of addresses in pcapng files;
    threads: workers (``None``: one per CPU this process may use), batch_packets: packets handed to them at once; the
    answer depends on neither; filter: a BPF expression as tcpdump takes it; time_wait: ``60s``, ``60s-65s`` or
    ``10.0.0.0/8=60s``, the most specific prefix wins; port_range: the clients' ephemeral ports, ``LOW-HIGH`` or
    ``10.0.0.1=LOW-HIGH``; host_snapshot: files of ``pcapwatch host -o``, or `pcapwatch.host.model.Snapshot`;
    watched_hosts: addresses of hosts whose tables come while capturing; full_urls: hide no secrets in URLs;
    keep_duplicates: leave packets captured twice in, as retransmissions; max_connections, max_pairs: limits on memory,
    what they cost is counted in the report; max_head_bytes: longest HTTP head; replay_bytes: of a pipe, kept to draw
    ladders from; max_reassembly_bytes: out-of-order bytes of a direction; max_kept_bytes: those of all connections,
    with their unfinished heads and the requests that wait; max_tunnel_depth: encapsulations around a packet;
    max_fragmented_datagrams, max_fragment_bytes, fragment_timeout: what is kept of IP datagrams in fragments,
    and for how long; rows_in_memory: rows of each table that a worker keeps in memory, the others wait in an unnamed
    file in ``TMPDIR`` and the answer is the same; idle_expiry: a connection silent this long is finished; states_at_ns,
    states_every_ns: the instants ``states`` asks for, ns since 1970 UTC and a grid's step; states_host: of this host
    only, which is then told apart in any case; states_busiest: of the one with most TIME_WAITs, then connections.
    """

    threads: int | None = None
    batch_packets: int | None = None
    filter: str | None = None
    link_type: str | tuple[str, ...] | list[str] = ()
    names: bool = False
    time_wait: str | tuple[str, ...] | list[str] = ()
    port_range: str | tuple[str, ...] | list[str] = ()
    host_snapshot: SnapshotsGiven = ()
    watched_hosts: tuple[str, ...] = ()
    full_urls: bool = False
    max_connections: int | None = None
    max_pairs: int | None = None
    max_reassembly_bytes: int | None = None
    max_kept_bytes: int | None = None
    max_head_bytes: int | None = None
    max_tunnel_depth: int | None = None
    max_fragmented_datagrams: int | None = None
    max_fragment_bytes: int | None = None
    fragment_timeout: str | None = None
    idle_expiry: str | None = None
    keep_duplicates: bool = False
    keep_connections: bool = False
    keep_exchanges: bool = False
    rows_in_memory: int | None = None
    replay_bytes: int | None = None
    states_at_ns: int | None = None
    states_every_ns: int | None = None
    states_host: str | None = None
    states_busiest: bool = False

    def to_engine(self) -> str:
        """The engine's settings as JSON; ``UsageError`` for a value that means nothing."""
        self._check_numbers()
        chosen: dict[str, Any] = {
            "threads": self.threads or available_cpus(),
            "batch_packets": self.batch_packets,
            "keep_duplicates": self.keep_duplicates or None,
            "keep_connections": self.keep_connections,
            "keep_exchanges": self.keep_exchanges,
            "rows_in_memory": self.rows_in_memory,
            "replay_bytes": self.replay_bytes,
            "max_connections": self.max_connections,
            "max_pairs": self.max_pairs,
            "max_reassembly_bytes": self.max_reassembly_bytes,
            "max_kept_bytes": self.max_kept_bytes,
            "max_head_bytes": self.max_head_bytes,
            "max_tunnel_depth": self.max_tunnel_depth,
            "max_fragmented_datagrams": self.max_fragmented_datagrams,
            "max_fragment_bytes": self.max_fragment_bytes,
            "fragment_timeout_ns": parse_duration(self.fragment_timeout) if self.fragment_timeout else None,
            "idle_expiry_ns": parse_duration(self.idle_expiry) if self.idle_expiry else None,
            "time_wait": parse_time_waits(self.time_wait) or None,
            "port_ranges": _port_rules(self.ports()) or None,
            "host_tables": self._tables(),
            "watched_hosts": list(self.watched_hosts) or None,
            "filter": _compiled(self.filter) if self.filter else None,
            "link_types": _read_as(self.link_type) if self.link_type else None,
            "names": self.names or None,
            "states": self._states(),
        }
        return json.dumps({name: value for name, value in chosen.items() if value is not None})

    def _check_numbers(self) -> None:
        for name, (least, most) in _RANGES.items():
            value: object = getattr(self, name)
            if value is not None and not (isinstance(value, int) and least <= value <= most):
                raise UsageError(f"{name} {shown(str(value))}: write a whole number from {least} to {most}")
        if (self.max_pairs or 0) > MOST_PAIRS:
            raise UsageError(
                f"--max-pairs {self.max_pairs}: at most {MOST_PAIRS}, as each takes 23 KB and more; see --filter"
            )

    def ports(self) -> PortRanges:
        """The ephemeral ranges to hold the clients' ports against: stated by the user, else by a host's own kernel."""
        stated = parse_port_ranges(self.port_range)
        if not (hosts := self.hosts()):
            return stated
        from pcapwatch.host.truth import with_kernels

        return with_kernels(stated, hosts)

    def hosts(self) -> list[HostRecord]:
        """What hosts' kernels said, in order of time; ``UsageError`` for a file that is no snapshot."""
        if not self.host_snapshot:
            return []
        from pcapwatch.host.snapshot_file import read_all
        from pcapwatch.host.truth import records

        return records(read_all(self.host_snapshot))

    def with_hosts_read(self) -> Settings:
        """The same with the snapshots' files read, so that each is read once; ``UsageError`` as `hosts`."""
        if not self.host_snapshot:
            return self
        return replace(self, host_snapshot=tuple(host.snapshot for host in self.hosts()))

    def _tables(self) -> list[dict[str, object]] | None:
        if not (hosts := self.hosts()):
            return None
        from pcapwatch.host.truth import tables

        return tables(hosts)

    def _states(self) -> dict[str, int | str | bool | None] | None:
        if self.states_at_ns is None and self.states_every_ns is None:
            return None
        return {
            "at_ns": self.states_at_ns,
            "every_ns": self.states_every_ns,
            "host": self.states_host,
            "busiest": self.states_busiest,
        }


def _read_as(texts: str | Iterable[str]) -> dict[str, int]:
    from pcapwatch.link_types import parse_link_types  # few captures need it

    return parse_link_types(texts)


def _compiled(expression: str) -> dict[str, list[list[int]]]:
    from pcapwatch.bpf import compile_filter  # brings ctypes, which only a filter needs

    return compile_filter(expression)


def available_cpus() -> int:
    """CPUs that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def parse_duration(text: str) -> int:
    """``60s``, ``1.5ms``, ``2m`` in ns, exactly; ``UsageError`` without a unit, or beyond a year."""
    found = _DURATION.fullmatch(text.strip())
    if not found or len(found[1]) > 18:
        raise UsageError(f"{shown(text)} is not a duration: write a number and its unit, as 60s, 250ms or 2m")
    unit_ns = _UNIT_NS[found[3]]
    fraction = (found[2] or "").ljust(9, "0")
    value = int(found[1]) * unit_ns + int(fraction) * unit_ns // 1_000_000_000
    if value > _LONGEST_NS:
        raise UsageError(f"{shown(text)} is longer than a year: write a number and its unit, as 60s, 250ms or 2m")
    return value


def parse_time_waits(texts: str | Iterable[str]) -> list[dict[str, Any]]:
    """``--time-wait`` values as the engine's rules, most specific prefix first, the catch-all last."""
    rules = [_time_wait_rule(text) for text in ([texts] if isinstance(texts, str) else texts)]
    return sorted(rules, key=lambda rule: (rule["address"] is None, -rule["prefix"], rule["address"] or ""))


def _time_wait_rule(text: str) -> dict[str, Any]:
    where, separator, length = text.rpartition("=")
    low, _, high = length.partition("-")
    low_ns = parse_duration(low)
    high_ns = parse_duration(high) if high else low_ns
    if high_ns < low_ns:
        raise UsageError(f"--time-wait {shown(text)}: the shortest comes first, as 60s-65s")
    if not separator:
        return {"address": None, "prefix": 0, "low_ns": low_ns, "high_ns": high_ns}
    network = _network(f"--time-wait {shown(text)}", where, "10.0.0.0/8=60s")
    address = str(network.network_address)
    return {"address": address, "prefix": network.prefixlen, "low_ns": low_ns, "high_ns": high_ns}


def parse_port_ranges(texts: str | Iterable[str]) -> PortRanges:
    """``--port-range`` values: ``LOW-HIGH`` for every host, ``ADDRESS=LOW-HIGH`` or ``PREFIX=LOW-HIGH`` for some."""
    every, hosts = PortRange(), dict[Any, PortRange]()
    for text in [texts] if isinstance(texts, str) else texts:
        where, separator, ports = text.rpartition("=")
        if separator:
            network = _network(f"--port-range {shown(text)}", where, "10.0.0.1=40000-41999")
            hosts[network] = parse_port_range(ports)
        else:
            every = parse_port_range(text)
    first = sorted(hosts, key=lambda network: (-network.prefixlen, str(network)))
    return PortRanges(every, tuple(PortRule(_written(network), hosts[network]) for network in first))


def _written(network: Any) -> str:
    """A prefix, a single host without its length."""
    return str(network.network_address) if network.prefixlen == network.max_prefixlen else str(network)


def _port_rules(ranges: PortRanges) -> list[dict[str, Any]]:
    """The stated ranges as the engine's rules."""
    rules = [(*rule.hosts.partition("/")[::2], rule.ports) for rule in ranges.hosts]
    made: list[dict[str, Any]] = [
        {"address": address, "prefix": int(bits or 128), "low": ports.low, "high": ports.high}
        for address, bits, ports in rules
    ]
    every = {"address": None, "prefix": 0, "low": ranges.ports.low, "high": ranges.ports.high}
    return [*made, every] if ranges.ports.stated else made


def _network(option: str, where: str, example: str) -> Any:
    from ipaddress import ip_network

    try:
        return ip_network(where, strict=False)
    except ValueError:
        raise UsageError(f"{option}: {shown(where)} is not an address or prefix, as {example}") from None


def parse_port_range(text: str) -> PortRange:
    """``32768-60999`` as a range with both ends included."""
    found = re.fullmatch(r"(\d{1,5})\s*[-–]\s*(\d{1,5})", text.strip(), re.ASCII)
    low, high = (int(found[1]), int(found[2])) if found else (0, 0)
    if not 1 <= low <= high <= 65535:
        raise UsageError(
            f"--port-range {shown(text)}: write LOW-HIGH, as 32768-60999 (sysctl net.ipv4.ip_local_port_range)"
        )
    return PortRange(low, high, stated=True)


def shown(text: str) -> str:
    """A user's own words in a message: quoted, on one line, control characters visible, at most 80 characters."""
    return repr(text if len(text) <= 80 else text[:79] + "…")
