"""What went before: the little that rates, growth and the newest finding need of earlier moments. Bounded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import islice, pairwise
from typing import NamedTuple, TypeAlias

from pcapwatch.findings.wording import count, mean
from pcapwatch.live.moment import Counters, Moment
from pcapwatch.report.model import Finding, PortUse

Service: TypeAlias = tuple[str | None, int]
Triple: TypeAlias = tuple[str, str, int]
FindingKey: TypeAlias = tuple[str, str]

#: Rates are over this long, growth over the next; less than the third is judged by only where it is steady, and less
#: than the fourth, or fewer moments, never.
RATE_S, GROWTH_S, LEAST_GROWTH_S, SHORTEST_GROWTH_S, LEAST_MOMENTS = 5.0, 30.0, 4.0, 1.5, 3
#: Growth is steady where no part of it is so many times faster or slower than the whole.
_STEADY = 2.0
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

    def of(self, key: Triple) -> list[Step]:
        """The steps that know a triple, which may be new; none if the newest does not."""
        steps = [step for step in self.steps if key in step.ports]
        return steps if steps and steps[-1] is self.steps[-1] else []


def _is_steady(steps: Sequence[Step], key: Triple) -> bool:
    """Whether few moments are enough: the ports held grow alike between each two of them."""
    lasted = steps[-1].elapsed_s - steps[0].elapsed_s
    if len(steps) < LEAST_MOMENTS or lasted < SHORTEST_GROWTH_S:
        return False
    whole = (steps[-1].ports[key][0] - steps[0].ports[key][0]) / lasted
    parts = [(b.ports[key][0] - a.ports[key][0]) / (b.elapsed_s - a.elapsed_s) for a, b in pairwise(steps)]
    return whole > 0 and whole / _STEADY <= min(parts) and max(parts) <= whole * _STEADY


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


class _Growth(NamedTuple):
    """Of one triple: ports held and opened per second, and over how long."""

    held_per_s: float
    opened_per_s: float
    lasted_s: float


def _growth(steps: Sequence[Step], key: Triple) -> _Growth:
    """From the first step to the last; nothing where there is no time between them."""
    lasted = steps[-1].elapsed_s - steps[0].elapsed_s if steps else 0.0
    if lasted <= 0:
        return _Growth(0.0, 0.0, 0.0)
    (held_then, opened_then), (held_now, opened_now) = steps[0].ports[key], steps[-1].ports[key]
    return _Growth((held_now - held_then) / lasted, (opened_now - opened_then) / lasted, lasted)


def _going_on(steps: Sequence[Step], key: Triple) -> _Growth:
    """That of all steps; where the last seconds have less than half of it, theirs: a burst that is over is no pace."""
    whole = _growth(steps, key)
    late = [step for step in steps if steps[-1].elapsed_s - step.elapsed_s <= RATE_S]
    recent = _growth(late if len(late) > 1 else steps[-2:], key)
    is_slower = recent.lasted_s > 0 and whole.held_per_s > 0 and recent.held_per_s * _STEADY < whole.held_per_s
    return recent if is_slower else whole


class Exhaustion(NamedTuple):
    """When a triple's range is full.

    ``in_s`` is ``None`` where that is not to be expected, or unknown; ``words`` says which, short; ``basis`` from what.
    """

    in_s: float | None
    words: str
    basis: str


def exhaustion(trail: Trail, use: PortUse) -> Exhaustion:
    """Projected from the growth of the ports held, modelled TIME_WAITs included, as far as it goes on.

    A client that closes first holds at most pace × TIME_WAIT ports, so a pace below the range ÷ TIME_WAIT levels off
    and never fills it, however it grows now.
    """
    left = use.range.size - use.held_at_end[1]
    if left <= 0:
        return Exhaustion(0.0, "full", "every port of the range is held")
    key = triple(use)
    steps = trail.of(key)
    growth = _growth(steps, key)
    is_short = growth.lasted_s < LEAST_GROWTH_S
    if growth.lasted_s <= 0 or (is_short and not _is_steady(steps, key)):
        return Exhaustion(None, "unknown", "too few moments to tell growth")
    held_per_s, pace, lasted = _going_on(steps, key)
    over = f"over {lasted:.0f} s only, steadily" if is_short else f"over the last {lasted:.0f} s"
    if held_per_s <= 0:
        return Exhaustion(None, "unknown", f"not growing {over}")
    if use.sustainable_per_s and pace <= use.sustainable_per_s:
        level = round(pace * use.range.size / use.sustainable_per_s)
        return Exhaustion(None, "no", f"{mean(pace)}/s levels off near {count(level)} ports")
    basis, in_s = f"grows {mean(held_per_s)}/s {over}", left / held_per_s
    return Exhaustion(in_s, "", basis) if in_s < DAY_S else Exhaustion(None, "> 1 day", basis)
