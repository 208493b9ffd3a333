"""What the hosts' kernels said beside what the wire shows: from snapshots and a Summary to the report's rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from ipaddress import ip_address
from typing import NamedTuple

from pcapwatch.findings.assumptions import KnownHost
from pcapwatch.host.model import Snapshot
from pcapwatch.report.model import HostTruth, Moment, PortRange, PortRanges, PortRule
from pcapwatch.summary import KernelFacts, Summary

#: No TIME_WAIT that is reckoned with lasts longer (`LONGEST_NS` of ``engine/src/ledger/lengths.rs``: an hour).
_LONGEST_NS = 3_600_000_000_000


class HostRecord(NamedTuple):
    """A snapshot, and an earlier one of the same host if there is any: counters are compared with it.

    watched: it was taken while the capture goes on, whether packets come or not.
    """

    snapshot: Snapshot
    since: Snapshot | None = None
    watched: bool = False

    def risen(self, counter: str) -> int | None:
        """By how much a counter rose since the earlier snapshot; ``None`` if that is unknown."""
        before = self.since.counters.get(counter) if self.since else None
        now = self.snapshot.counters.get(counter)
        return None if before is None or now is None else max(now - before, 0)


def records(snapshots: Iterable[Snapshot]) -> list[HostRecord]:
    """In order of time, each with the first one of the same host before it."""
    first: dict[tuple[str, str | None], Snapshot] = {}
    made = []
    for snapshot in sorted(snapshots, key=lambda one: one.read_ns):
        same = (snapshot.name, snapshot.netns)
        made.append(HostRecord(snapshot, first.get(same)))
        first.setdefault(same, snapshot)
    return made


def tables(hosts: Sequence[HostRecord]) -> list[dict[str, object]]:
    """The tables for the engine's ``host_tables``, in the same order."""
    alone = _is_one_host(hosts)
    return [{**host.snapshot.table(), "addresses": own_addresses(host.snapshot, alone=alone)} for host in hosts]


def _is_one_host(hosts: Sequence[HostRecord]) -> bool:
    return len({(host.snapshot.name, host.snapshot.netns) for host in hosts}) <= 1


def own_addresses(snapshot: Snapshot, *, alone: bool) -> list[str]:
    """Addresses that are this host's and no other's: every host has 127.0.0.1, so of several none is told by it."""
    return [address for address in snapshot.addresses if alone or not ip_address(address).is_loopback]


def by_address(hosts: Sequence[HostRecord]) -> dict[str, HostRecord]:
    """Each address with the latest record of its host."""
    alone = _is_one_host(hosts)
    return {address: host for host in hosts for address in own_addresses(host.snapshot, alone=alone)}


def port_range(host: HostRecord) -> PortRange | None:
    """The range that its kernel told; ``None`` if it did not."""
    span, usable = host.snapshot.ports(), host.snapshot.usable_ports()
    if span is None or usable is None:
        return None
    return PortRange(*span, stated=True, reserved=span[1] - span[0] + 1 - usable, kernel=host.snapshot.name)


def known(host: HostRecord) -> KnownHost:
    """What the findings need of it."""
    snapshot = host.snapshot
    delay_ms = snapshot.number("tcp_tw_reuse_delay")
    reuses = snapshot.number("tcp_tw_reuse") == 1 and snapshot.number("tcp_timestamps") in (1, 2)
    # Kernels without the setting wait one second (net/ipv4/tcp_ipv4.c: tcp_twsk_unique).
    reuse_ns = (1000 if delay_ms is None else delay_ms) * 1_000_000 if reuses else None
    return KnownHost(snapshot.name, port_range(host), snapshot.sysctls, reuse_ns)


def with_kernels(stated: PortRanges, hosts: Sequence[HostRecord]) -> PortRanges:
    """The ranges with those that kernels told, for their addresses; what the user said of a host goes before."""
    single = {rule.hosts: rule for rule in stated.hosts if "/" not in rule.hosts}
    for address, host in by_address(hosts).items():
        if ports := port_range(host):
            single.setdefault(address, PortRule(address, ports))
    prefixes = [rule for rule in stated.hosts if "/" in rule.hosts]
    return PortRanges(stated.ports, (*sorted(single.values(), key=lambda rule: rule.hosts), *prefixes))


def truths(summary: Summary, hosts: Sequence[HostRecord]) -> tuple[HostTruth, ...]:
    """One row for each record, in the order in which the engine had their tables."""
    if not hosts:
        return ()
    known = {host["address"] for host in summary["hosts"] if host["address"]}
    alone = _is_one_host(hosts)
    rows = []
    for host, facts in zip(hosts, summary["kernel"], strict=True):
        seen = tuple(address for address in own_addresses(host.snapshot, alone=alone) if address in known)
        rows.append(_truth(summary, host, facts, seen))
    return tuple(rows)


def _truth(summary: Summary, host: HostRecord, facts: KernelFacts, seen: tuple[str, ...]) -> HostTruth:
    snapshot = host.snapshot
    moment = moment_of(summary, host)
    together = moment in ("during", "after")
    return HostTruth(
        name=snapshot.name,
        netns=snapshot.netns,
        kernel=snapshot.kernel,
        reader=snapshot.reader,
        at_ns=snapshot.read_ns[0],
        moment=moment,
        addresses=seen,
        states=dict(snapshot.states),
        sysctls=dict(snapshot.sysctls),
        counters=dict(snapshot.counters),
        overflows=host.risen("TCPTimeWaitOverflow"),
        overflows_since_ns=host.since.read_ns[0] if host.since else None,
        ports=port_range(host),
        time_wait=facts["kernel"],
        wire=(facts["wire"][0], facts["wire"][1]) if together else None,
        both=facts["both"],
        only_kernel=dict(facts["only_kernel"]),
        only_wire=dict(facts["only_wire"]) if together else {},
        never_listed=facts["never_listed"] if together else 0,
        left_out=facts["left_out"],
        examples=tuple((one["kind"], one["own"], one["peer"]) for one in facts["examples"]),
        watched=host.watched,
    )


def moment_of(summary: Summary, host: HostRecord) -> Moment:
    """When the snapshot was taken: sockets are compared only ``during`` the capture or soon ``after``."""
    first_ns, last_ns = summary["capture"]["first_ns"], summary["capture"]["last_ns"]
    snapshot = host.snapshot
    before_ns, after_ns = snapshot.read_ns
    if first_ns is None or last_ns is None:
        return "before" if host.watched else "long_after"
    if after_ns < first_ns:
        return "before"
    if before_ns <= last_ns or host.watched:
        return "during"
    lengths: Mapping[str | None, int] = {
        host["address"]: host["time_wait"]["length"]["high_ns"] for host in summary["hosts"] if host["time_wait"]
    }
    longest = max((lengths.get(address, 0) for address in snapshot.addresses), default=0)
    return "after" if before_ns <= last_ns + min(longest, _LONGEST_NS) else "long_after"
