"""What went before: the little that rates, growth and the newest finding need of earlier moments. Bounded."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import islice
from typing import NamedTuple, TypeAlias

from pcapwatch.findings.wording import count, mean
from pcapwatch.live.moment import Counters, Moment
from pcapwatch.report.model import Finding, PortUse

Service: TypeAlias = tuple[str | None, int]
Triple: TypeAlias = tuple[str, str, int]
FindingKey: TypeAlias = tuple[str, str]

#: Rates are over this long, growth over the next; less than the third is too little to judge growth by.
RATE_S, GROWTH_S, LEAST_GROWTH_S = 5.0, 30.0, 4.0
SERVICES, FINDINGS = 200, 500
#: Nothing is projected further from half a minute.
DAY_S = 86_400


class Step(NamedTuple):
    """One earlier moment. ``ports``: (held at most, connections so far) of the worst triples."""

    elapsed_s: float
    packets: int
    bytes: int
    connections: int
    services: dict[Service, int]
    ports: dict[Triple, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Trail:
    """What is remembered.

    steps: of the last ``GROWTH_S`` seconds, oldest first; found_s: when each finding was first seen; changed_s: when
    there last was a new packet, beyond the number in packets; both in seconds since the capture began.
    """

    steps: tuple[Step, ...] = ()
    found_s: dict[FindingKey, float] = field(default_factory=dict)
    changed_s: float = 0.0
    packets: int = -1

    def after(self, moment: Moment) -> Trail:
        """With one more moment."""
        step = _step(moment)
        kept = [one for one in self.steps if step.elapsed_s - one.elapsed_s <= GROWTH_S]
        newly = {finding_key(one): step.elapsed_s for one in moment.report.findings}
        found = dict(islice({**newly, **self.found_s}.items(), FINDINGS))
        heard = self.heard(moment.counters)
        return Trail((*kept, step), found, heard.changed_s, heard.packets)

    def heard(self, counters: Counters) -> Trail:
        """With the counters of a later time: a packet that came is no silence, however old the figures are."""
        if counters.packets == self.packets:
            return self
        return replace(self, changed_s=counters.elapsed_s, packets=counters.packets)

    def over(self, seconds: float) -> tuple[Step, Step] | None:
        """The newest step and the oldest one not more than ``seconds`` older."""
        if len(self.steps) < 2:
            return None
        last = self.steps[-1]
        first = next((one for one in self.steps if last.elapsed_s - one.elapsed_s <= seconds), last)
        first = self.steps[-2] if first is last else first
        return (first, last) if last.elapsed_s > first.elapsed_s else None


def finding_key(finding: Finding) -> FindingKey:
    """What makes it the same finding a moment later: its code and whom it is about, not its figures."""
    about = (str(finding.numbers.get(word, "")) for word in ("service", "client"))
    return finding.code, " ".join(about)


def _step(moment: Moment) -> Step:
    services: dict[Service, int] = {}
    for pair in moment.report.summary["pairs"]:
        key = pair["server"], pair["server_port"]
        services[key] = services.get(key, 0) + pair["connections"]
    most = sorted(services.items(), key=lambda item: -item[1])[:SERVICES]
    ports = {triple(use): (use.held_at_end[1], use.distinct + use.reuses) for use in moment.report.ports}
    counters = moment.counters
    connections = moment.report.quality.connections
    return Step(counters.elapsed_s, counters.packets, counters.bytes, connections, dict(most), ports)


def triple(use: PortUse) -> Triple:
    """The unit of the limit."""
    return use.client, use.server, use.server_port


class Rates(NamedTuple):
    """Per second, over the last few; ``None`` before there are two moments."""

    packets: float
    bytes: float
    connections: float


def rates(trail: Trail) -> Rates | None:
    """The capture's pace."""
    pair = trail.over(RATE_S)
    if pair is None:
        return None
    first, last = pair
    lasted = last.elapsed_s - first.elapsed_s
    return Rates(*((getattr(last, name) - getattr(first, name)) / lasted for name in Rates._fields))


def opened_per_s(trail: Trail, service: Service) -> float | None:
    """New connections per second of a service; ``None`` where that cannot be told."""
    pair = trail.over(RATE_S)
    if pair is None:
        return None
    first, last = pair
    if service not in last.services:
        return None
    return max(last.services[service] - first.services.get(service, 0), 0) / (last.elapsed_s - first.elapsed_s)


class Exhaustion(NamedTuple):
    """When a triple's range is full.

    ``in_s`` is ``None`` where that is not to be expected, or unknown; ``words`` says which, short; ``basis`` from what.
    """

    in_s: float | None
    words: str
    basis: str


def exhaustion(trail: Trail, use: PortUse) -> Exhaustion:
    """Projected from the growth of the ports held, modelled TIME_WAITs included.

    A client that closes first holds at most pace × TIME_WAIT ports, so a pace below the range ÷ TIME_WAIT levels off
    and never fills it, however it grows now.
    """
    left = use.range.size - use.held_at_end[1]
    if left <= 0:
        return Exhaustion(0.0, "full", "every port of the range is held")
    pair = trail.over(GROWTH_S)
    key = triple(use)
    if pair is None or key not in pair[0].ports or pair[1].elapsed_s - pair[0].elapsed_s < LEAST_GROWTH_S:
        return Exhaustion(None, "unknown", "too few moments to tell growth")
    lasted = pair[1].elapsed_s - pair[0].elapsed_s
    (held_then, opened_then), (held_now, opened_now) = pair[0].ports[key], pair[1].ports[key]
    growth, pace = (held_now - held_then) / lasted, (opened_now - opened_then) / lasted
    over = f"over the last {lasted:.0f} s"
    if growth <= 0:
        return Exhaustion(None, "unknown", f"not growing {over}")
    if use.sustainable_per_s and pace <= use.sustainable_per_s:
        level = round(pace * use.range.size / use.sustainable_per_s)
        return Exhaustion(None, "no", f"{mean(pace)}/s levels off near {count(level)} ports")
    basis = f"grows {mean(growth)}/s {over}"
    return Exhaustion(left / growth, "", basis) if left / growth < DAY_S else Exhaustion(None, "> 1 day", basis)
