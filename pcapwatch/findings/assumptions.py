"""What the rules take for granted because a capture cannot show it; every use is said in the finding's basis."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from pcapwatch.report.model import LINUX_PORTS, HostTruth, PortRange, PortRanges, PortRule
from pcapwatch.summary import HostFacts, HostTimeWait, PairFacts, Summary

SECOND_NS = 1_000_000_000

#: Ephemeral ranges in the order they are tried when a client's ports fall outside the assumed one (semantics C).
KNOWN_RANGES: tuple[tuple[int, int], ...] = (LINUX_PORTS, (49152, 65535), (10000, 65535), (1024, 65535))


#: Of the ports used, those that tell of the range.
MOST_PORTS = 0.95


class KnownHost(NamedTuple):
    """What a host's own kernel said; whatever it did not say is ``None``.

    ports: the range that ``connect()`` chooses from; sysctls: as the kernel prints them, by name without
    ``net.ipv4.``; reuse_ns: ``connect()`` takes a TIME_WAIT again after this long (``tcp_tw_reuse`` = 1 with
    timestamps, to other hosts as well).
    """

    name: str
    ports: PortRange | None
    sysctls: Mapping[str, str | None]
    reuse_ns: int | None


class Assumptions(NamedTuple):
    """ports: the clients' ephemeral range; time_wait_ns: TIME_WAIT of a host the summary has none for (Linux: 60 s).

    hosts: the ranges that were stated for some of the clients, by the user or by their kernels; kernels: by address
    what its kernel said, which then is no assumption; truths: its sockets beside the wire's.
    """

    ports: PortRange = PortRange()
    time_wait_ns: int = 60 * SECOND_NS
    hosts: tuple[PortRule, ...] = ()
    kernels: Mapping[str, KnownHost] = MappingProxyType({})
    truths: tuple[HostTruth, ...] = ()


def port_range_of(pair: PairFacts, assumptions: Assumptions) -> PortRange:
    """The range to hold a pair against: the stated one, else the first known range that contains every port seen."""
    ports, known = pair["ports"], PortRanges(assumptions.ports, assumptions.hosts).of(pair["client"])
    if known.stated or not ports["distinct"]:
        return known
    least, most = ports["low"], ports["high"]
    if (block := ports["block"]) and block["used"] >= MOST_PORTS * ports["distinct"]:
        least, most = block["low"], block["high"]  # a few others were chosen by bind()
    for low, high in (assumptions.ports.low, assumptions.ports.high), *KNOWN_RANGES:
        if low <= least and most <= high:
            return PortRange(low, high)
    return PortRange(1, 65535)


def time_wait_of(summary: Summary, address: str | None) -> HostTimeWait | None:
    """The TIME_WAIT facts of one host, ``None`` if it never entered it."""
    return _by_address(summary["hosts"]).get(address)


#: The last hosts asked for and their index: rules ask for the host of each of up to ten thousand pairs.
_indexed: tuple[list[HostFacts], int, dict[str | None, HostTimeWait | None]] = ([], 0, {})


def _by_address(hosts: list[HostFacts]) -> dict[str | None, HostTimeWait | None]:
    global _indexed  # noqa: PLW0603 - one summary is asked about at a time, and the index is only a shorter way to it
    known, length, index = _indexed
    if known is not hosts or length != len(hosts):
        index = {host["address"]: host["time_wait"] for host in reversed(hosts)}
        _indexed = (hosts, len(hosts), index)
    return index


def length_of(summary: Summary, address: str | None, assumptions: Assumptions) -> tuple[int, str]:
    """Least time a host stays in TIME_WAIT, ns, and where that comes from: flag, evidence, default or assumed."""
    facts = time_wait_of(summary, address)
    if facts is None or facts["length"]["low_ns"] <= 0:
        return assumptions.time_wait_ns, "assumed"
    return facts["length"]["low_ns"], facts["length"]["source"]
