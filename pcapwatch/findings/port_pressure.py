"""Ephemeral port pressure per (source, destination, destination port)

What it detects
    A client that closes first and so holds, towards one service, TIME_WAITs on a large part of its ephemeral ports:
    half of the range or more at once (notice), four fifths or a pace that must fill it (warning), all of it
    (critical). Read from N, the range; T, the client's TIME_WAIT; the ports held at once; the pace of such closes
    in the service's busiest ten seconds against N/T, the most that lasts.

Why it matters
    When no port is left connect() fails with EADDRNOTAVAIL ("Cannot assign requested address"). Nothing of that is on
    the wire. The limit is per (source address, destination address, destination port); other destinations are not
    affected.

Evidence
    Ports open or in the client's own TIME_WAIT at once (a proven least and a modelled most); distinct source ports
    and whether both parities are used (Linux connect() takes the parity of the range's low end first); reuse gaps
    with the median pinned at T (60 to 62 s) or, with tcp_tw_reuse, at 1.0 s; new sequence numbers that show the
    client recycled its own TIME_WAIT. Where no range is stated, ports used almost without gaps and hardly any outside
    them are held to be the range: a Linux client takes ports of one parity first and fills no such block of a larger
    one (warning), others may hand out ports in order (notice).

When it is wrong
    Short reuse gaps by themselves mean nothing: where the server closes first the client's ports are free at once,
    and this rule keeps silent. The range is assumed unless stated, and ports other destinations hold do not count.
    Behind a NAT several hosts share one address. A host that hands out ports in order fills a block of a large range:
    state the range of each client with --port-range, or read its kernel (pcapwatch host, --host-snapshot).

Remedy
    Keep connections open; else let the server close, widen the range, add addresses, or tcp_tw_reuse on the client.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from pcapwatch.findings import advice
from pcapwatch.findings.assumptions import (
    SECOND_NS,
    Assumptions,
    KnownHost,
    length_of,
    port_range_of,
    time_wait_of,
)
from pcapwatch.findings.evidence import evidence_of
from pcapwatch.findings.proxy_leg import client_hints
from pcapwatch.findings.service import UNEVEN, Service, services
from pcapwatch.findings.wording import count, duration, mean, share
from pcapwatch.report.model import Finding, PortRange, Severity
from pcapwatch.summary import PairFacts, ServiceFacts, Summary

CODE = "PW108"
NAME = "ephemeral-port-pressure"

#: Parts of the range held at once.
NOTICE_PART, WARNING_PART, FULL_PART = 0.5, 0.8, 0.95
#: Fewer adjacent ports may be a coincidence.
LEAST_BLOCK = 32
#: Of the ports used, so many are in the block: the others were chosen by bind(), or are an older range's.
BLOCK_PART = 0.95
#: A pace is projected only from a span this long.
PACE_SPAN_NS = 5 * SECOND_NS
#: Where the busiest time is shorter, a mean of the whole is a pace only if it is such a part of that time's, of which
#: ten seconds are the window: bursts that come again are a pace, one burst within a long silence is none.
WINDOW_S, COMES_AGAIN = 10, 0.1
#: Linux's timer slack above T, and the width of the summary's quantile buckets.
SLACK_NS, BUCKET = 2_100_000_000, 0.03


class Pressure(NamedTuple):
    """One triple held against its limit.

    N ports, T ns; ``pace``: closes by the client per second, of the service's busiest time or of the whole if that is
    more; 0 where too little was seen to project one.
    """

    pair: PairFacts
    ports: PortRange
    time_wait_ns: int
    length_source: str
    client_held: int
    pace: float
    #: The client looks like Linux.
    linux: bool = True
    #: What its kernel said.
    host: KnownHost | None = None
    #: Whether the pace is only that of the busiest time.
    uneven: bool = False

    @property
    def held(self) -> tuple[int, int]:
        """Most ports held at once: proven least, modelled most."""
        return self.pair["ports"]["held_peak_min"], self.pair["ports"]["held_peak_max"]

    @property
    def limit_per_s(self) -> float:
        """N/T: the most new connections per second that last when the client closes each.

        Where its kernel takes a TIME_WAIT again sooner (tcp_tw_reuse), N over that time.
        """
        return self.ports.size * SECOND_NS / max(self.held_ns, 1)

    @property
    def held_ns(self) -> int:
        """How long a closed connection keeps its port."""
        reuse_ns = self.host.reuse_ns if self.host else None
        return self.time_wait_ns if reuse_ns is None else min(reuse_ns, self.time_wait_ns)

    @property
    def recycles(self) -> bool:
        """Whether the client takes its own TIME_WAITs again (tcp_tw_reuse, bind), in a tenth of its reuses or more."""
        ports = self.pair["ports"]
        return ports["client_recycled"] > 0 and 10 * ports["client_recycled"] >= ports["reuses"]

    @property
    def pinned_ns(self) -> int | None:
        """T or 1 s, if the median reuse gap sits on it."""
        gap = self.pair["ports"]["reuse_gap"]
        for length, slack in ((self.time_wait_ns, SLACK_NS), (SECOND_NS, SECOND_NS // 10)):
            if gap and length * (1 - BUCKET) <= gap["p50_ns"] <= (length + slack) * (1 + BUCKET):
                return length
        return None

    @property
    def exhausted(self) -> bool:
        """Proven full, or every port used and each again as soon as its TIME_WAIT allowed."""
        full, ports = FULL_PART * self.ports.size, self.pair["ports"]
        used = ports["distinct"] - ports["outside"]
        return self.held[0] >= full or (used >= full and self.pinned_ns is not None)

    @property
    def block(self) -> PortRange | None:
        """Almost every port of it was used, half of it at once, and few outside: perhaps a range below the assumed."""
        ports, found = self.pair["ports"], self.pair["ports"]["block"]
        if found is None or self.ports.stated or not self.holds_its_ports:
            return None
        block = PortRange(found["low"], found["high"])
        whole = found["used"] >= max(LEAST_BLOCK, BLOCK_PART * ports["distinct"])
        smaller = block.size < FULL_PART * self.ports.size
        return block if whole and smaller and self.held[1] >= NOTICE_PART * block.size else None

    @property
    def block_held(self) -> int:
        """Ports of the block held at once, at most; the peak also counts ports outside it."""
        found = self.pair["ports"]["block"]
        return min(self.held[1], found["used"]) if found else 0

    @property
    def fills_block(self) -> bool:
        """Whether the block must be the range: nearly all of it held at once, and no habit of the client's explains."""
        used_again = self.pair["ports"]["reuses"] > 0
        return bool(self.block and self.block_held >= WARNING_PART * self.block.size and (used_again or self.linux))

    @property
    def holds_its_ports(self) -> bool:
        """Whether most ports held are the client's own TIME_WAITs."""
        return self.client_held > 0 and 2 * self.client_held >= self.held[1]

    @property
    def seconds_to_full(self) -> float | None:
        """From an empty table at this pace, of the block where the ports suggest one; ``None`` if the pace can last."""
        if block := self.block:
            return None if self.recycles or self.pace <= self.block_per_s else block.size / self.pace
        return self.ports.size / self.pace if self.pace > self.limit_per_s and not self.recycles else None

    @property
    def block_per_s(self) -> float:
        """The most that lasts in the block; 0 without one."""
        return self.block.size * SECOND_NS / self.time_wait_ns if self.block else 0.0


def _mean_pace(pair: PairFacts, held: int) -> float:
    span = pair["last_ns"] - pair["first_ns"]
    return held * SECOND_NS / span if span >= PACE_SPAN_NS else 0.0


def _pace(pair: PairFacts, held: int, busy: ServiceFacts | None) -> float:
    """Closes per second: a quiet time before or after a burst, or one packet with a wrong time, changes nothing.

    Of the connections in the service's busiest time the client is taken to have its share, but no more a second than
    it opened in its own busiest one.
    """
    whole = _mean_pace(pair, held)
    if busy is None or not busy["busy_opened"]:
        return whole
    then = busy["busy_opened"] * held / max(busy["connections"], 1)
    if busy["busy_ns"] < PACE_SPAN_NS:
        return whole if whole * WINDOW_S >= COMES_AGAIN * then else 0.0
    return max(whole, min(then * SECOND_NS / busy["busy_ns"], pair["ports"]["opened_peak_per_s"]))


def pressure_of(
    summary: Summary, pair: PairFacts, assumptions: Assumptions, busy: ServiceFacts | None = None
) -> Pressure:
    """The facts of one triple beside its limit; ``busy``: its service's busiest time, by which its pace is judged."""
    length, source = length_of(summary, pair["client"], assumptions)
    held = pair["time_wait_holder"].get("client", 0) + pair["time_wait_holder"].get("both", 0)
    pace = _pace(pair, held, busy)
    uneven = pace > UNEVEN * _mean_pace(pair, held)
    facts = time_wait_of(summary, pair["client"])
    linux = bool(facts and facts["length"]["stack"] == "linux")
    host = assumptions.kernels.get(pair["client"] or "")
    return Pressure(pair, port_range_of(pair, assumptions), length, source, held, pace, linux, host, uneven)


def severity_of(pressure: Pressure) -> Severity | None:
    """How near the limit; ``None`` while it is far, or while the ports held are not the client's TIME_WAITs."""
    if not pressure.holds_its_ports:
        return None
    part = pressure.held[1] / pressure.ports.size
    pace = pressure.pace / pressure.limit_per_s
    if pressure.exhausted and not pressure.recycles:
        return "critical"
    if pressure.recycles:
        return "notice" if part >= NOTICE_PART or pressure.block else None
    if part >= WARNING_PART or pace >= 1 or pressure.fills_block:
        return "warning"
    return "notice" if part >= NOTICE_PART or pace >= NOTICE_PART or pressure.block else None


def check(summary: Summary, assumptions: Assumptions) -> Iterator[Finding]:
    """One finding per triple under pressure."""
    for service in services(summary):
        for pair in service.pairs:
            pressure = pressure_of(summary, pair, assumptions, service.busy)
            if severity := severity_of(pressure):
                yield _finding(summary, service._replace(pairs=(pair,)), pressure, severity)


def _closing(service: Service, pressure: Pressure) -> str:
    """The pace in a title, and when that was if it was not always so."""
    if not pressure.pace:
        return ""
    when = service.busiest if pressure.uneven else ""
    return f", closing {mean(pressure.pace)} connections per second{when}"


def _title(service: Service, pressure: Pressure) -> str:
    if pressure.block:
        return _block_title(service, pressure, pressure.block)
    low, high = pressure.held
    held = count(high) if low == high else f"up to {count(high)} ({count(low)} proven)"
    title = (
        f"{service.clients} held {held} of {count(pressure.ports.size)} ephemeral ports towards {service} at once "
        f"({share(high, pressure.ports.size)}){_closing(service, pressure)}"
    )
    title += (
        f"; {mean(pressure.limit_per_s)} per second is the most that lasts with a TIME_WAIT of "
        f"{duration(pressure.time_wait_ns)}"
    )
    if pressure.held_ns < pressure.time_wait_ns:
        title += f", of which connect() there waits {duration(pressure.held_ns)} (tcp_tw_reuse)"
    if seconds := pressure.seconds_to_full:
        title += f": full after {mean(seconds)} s"
    return title + ("; the client recycles its own TIME_WAITs" if pressure.recycles else "")


def _block_title(service: Service, pressure: Pressure, block: PortRange) -> str:
    """The range is not on the wire, but the ports tell of it."""
    title = f"{service.clients} held {block_words(pressure)} towards {service} at once{_closing(service, pressure)}"
    lasts = pressure.block_per_s
    verb = "must be" if pressure.fills_block else "may be"
    title += (
        f": that {verb} its whole range, in which {mean(lasts)} per second is the most that lasts with a TIME_WAIT of "
        f"{duration(pressure.time_wait_ns)}"
    )
    if seconds := pressure.seconds_to_full:
        title += f": full after {mean(seconds)} s"
    title += "; the client recycles its own TIME_WAITs" if pressure.recycles else ""
    return f"{title}; state it to be sure: --port-range {service.clients}={block.low}-{block.high}"


def block_words(pressure: Pressure) -> str:
    """``195 of the 200 ports from 40000 to 40199 (3 used outside)``."""
    block, ports = pressure.block, pressure.pair["ports"]
    if block is None or ports["block"] is None:
        return ""
    strays = ports["distinct"] - ports["block"]["used"]
    outside = f" ({count(strays)} used outside)" if strays else ""
    return f"{count(pressure.block_held)} of the {count(block.size)} ports from {block.low} to {block.high}{outside}"


def _numbers(service: Service, pressure: Pressure) -> dict[str, int | float | str]:
    ports = pressure.pair["ports"]
    numbers: dict[str, int | float | str] = {
        "service": str(service),
        "clients": service.clients,
        "connections": pressure.client_held,
        "range_low": pressure.ports.low,
        "range_high": pressure.ports.high,
        "ports": pressure.ports.size,
        "time_wait_s": round(pressure.time_wait_ns / SECOND_NS, 3),
        "held_peak_min": pressure.held[0],
        "held_peak_max": pressure.held[1],
        "limit_per_s": round(pressure.limit_per_s, 2),
        "opened_peak_per_s": ports["opened_peak_per_s"],
        "distinct_ports": ports["distinct"],
        "even_ports": ports["even"],
        "client_recycled": ports["client_recycled"],
    }
    if block := pressure.block:
        numbers |= {"block_low": block.low, "block_high": block.high, "block_ports": block.size}
        numbers["block_held"] = pressure.block_held
        numbers["block_limit_per_s"] = round(pressure.block_per_s, 2)
    if pressure.pace:
        numbers["closes_per_s"] = round(pressure.pace, 2)
    if seconds := pressure.seconds_to_full:
        numbers["seconds_to_full"] = round(seconds, 1)
    if ports["reuse_gap"]:
        numbers["reuse_gap_median_s"] = round(ports["reuse_gap"]["p50_ns"] / SECOND_NS, 3)
    return numbers


def _finding(summary: Summary, service: Service, pressure: Pressure, severity: Severity) -> Finding:
    stated = "stated" if pressure.ports.stated else "assumed"
    if pressure.ports.kernel:
        stated = f"read from the kernel of {pressure.ports.kernel}"
    return Finding(
        code=CODE,
        name=NAME,
        severity=severity,
        title=_title(service, pressure),
        numbers=_numbers(service, pressure),
        evidence=evidence_of(summary, service.exemplars("closed_by_client"), "the client closes first"),
        remedy=[
            *client_hints(summary, service),
            advice.SERVER_CLOSES,
            *advice.wider_range(pressure.host),
            advice.MORE_ADDRESSES,
            *([] if pressure.recycles else advice.tw_reuse(pressure.host)),
        ],
        verify=[
            f"on {service.clients}: {advice.count_time_waits(service.server_port, 'dport')}",
            f"on {service.clients}: sysctl net.ipv4.ip_local_port_range net.ipv4.tcp_tw_reuse net.ipv4.tcp_timestamps",
        ],
        do_not=advice.NOT_FOR_CLIENT,
        basis=(
            f"bounded: the least is proven; the most is modelled with a TIME_WAIT of {duration(pressure.time_wait_ns)} "
            f"({pressure.length_source}); range {pressure.ports.low}-{pressure.ports.high} {stated}"
            + (", though the ports used suggest a smaller one" if pressure.block else "")
        ),
    )
