"""Facts and findings into one Report, in the order in which an incident is read."""

from __future__ import annotations

from typing import Any

from pcapwatch.findings import Assumptions, find
from pcapwatch.findings.assumptions import port_range_of
from pcapwatch.findings.limits import cannot_show
from pcapwatch.findings.verdict import verdict
from pcapwatch.report.examples import Draw, examples
from pcapwatch.report.groups import closers, grouped, persistence, trouble
from pcapwatch.report.model import PortRange, PortUse, Report, Waiting
from pcapwatch.report.quality import assumptions, quality_of
from pcapwatch.summary import HostFacts, PairFacts, Summary

HOSTS_SHOWN = 8
TRIPLES_SHOWN = 5


def build(summary: Summary, ports: PortRange | None = None, draw: Draw | None = None) -> Report:
    """``ports``: the clients' ephemeral range; ``draw`` draws the examples' ladders, without it they have none."""
    assumed = Assumptions(ports=ports or PortRange())
    findings = find(summary, assumed)
    groups = grouped(summary)
    waiting = tuple(
        sorted(map(_waiting, _waiters(summary)), key=lambda host: (-host.peak[1], -host.entered, host.host or ""))
    )
    return Report(
        verdict=verdict(summary, findings, assumed),
        quality=quality_of(summary),
        totals=dict(summary["totals"]),
        closers=tuple(map(closers, groups)),
        waiting=waiting[:HOSTS_SHOWN],
        ports=_port_uses(summary, assumed),
        persistence=tuple(row for row in map(persistence, groups) if row.connections),
        troubles=tuple(row for row in (trouble(group, summary) for group in groups) if _troubled(row)),
        examples=examples(summary, findings, draw),
        findings=tuple(findings),
        cannot_see=tuple(cannot_show(summary)),
        assumptions=tuple(assumptions(summary, assumed.ports, waiting)),
        summary=summary,
        port_range=assumed.ports,
    )


def _troubled(row: Any) -> bool:
    return bool(row.keepalive_races or row.stale_reuses or row.unprocessed or row.smuggling or row.resets)


def _waiters(summary: Summary) -> list[HostFacts]:
    return [host for host in summary["hosts"] if host["time_wait"] and host["time_wait"]["entered"]]


def _waiting(host: HostFacts) -> Waiting:
    facts = host["time_wait"]
    assert facts is not None  # noqa: S101 - `_waiters` chose those that have them
    length, evidence = facts["length"], facts["evidence"]
    return Waiting(
        host=host["address"],
        entered=facts["entered"],
        at_end=(facts["at_end"][0], facts["at_end"][1]),
        peak=(facts["peak"][0], facts["peak"][1]),
        peak_ns=facts["peak_ns"],
        occupancy=tuple((sample["ns"], sample["min"], sample["max"]) for sample in facts["occupancy"]),
        basis={word: number for word, number in facts["basis"].items() if number},
        exact_ns=dict(facts["exact"]) if facts["exact"] else None,  # type: ignore[arg-type]
        length_ns=(length["low_ns"], length["high_ns"]),
        length_source=length["source"],
        stack=length["stack"] or host["stack"],
        proven_ns=(evidence["alive_max_ns"], evidence["gone_min_ns"]),
    )


def _port_uses(summary: Summary, assumed: Assumptions) -> tuple[PortUse, ...]:
    """The triples nearest their range, at most five; those that never held two ports at once are no news."""
    uses = [
        _port_use(summary, pair, assumed)
        for pair in summary["pairs"]
        if pair["client"] and pair["ports"]["held_peak_max"] > 1
    ]
    nearest = sorted(uses, key=lambda use: (-use.held_peak[1] / use.range.size, -use.distinct, use.client, use.server))
    return tuple(nearest[:TRIPLES_SHOWN])


def _port_use(summary: Summary, pair: PairFacts, assumed: Assumptions) -> PortUse:
    ports, limit = pair["ports"], port_range_of(pair, assumed)
    return PortUse(
        client=pair["client"] or "",
        server=pair["server"] or "",
        server_port=pair["server_port"],
        distinct=ports["distinct"],
        both_parities=0 < ports["even"] < ports["distinct"],
        held_peak=(ports["held_peak_min"], ports["held_peak_max"]),
        held_peak_ns=ports["held_peak_ns"],
        held_at_end=(ports["held_at_end_min"], ports["held_at_end_max"]),
        opened_peak_per_s=ports["opened_peak_per_s"],
        reuses=ports["reuses"],
        client_recycled=ports["client_recycled"],
        reuse_gap_ns=dict(ports["reuse_gap"]) if ports["reuse_gap"] else None,  # type: ignore[arg-type]
        range=limit,
        outside_range=bool(ports["distinct"]) and not limit.low <= ports["low"] <= ports["high"] <= limit.high,
        sustainable_per_s=_sustainable(summary, pair, limit),
    )


def _sustainable(summary: Summary, pair: PairFacts, limit: PortRange) -> int | None:
    """N / T, with the length of the client's own TIME_WAITs; ``None`` where it holds none here (semantics C)."""
    if not any(pair["time_wait_holder"].get(word) for word in ("client", "both")):
        return None
    facts = next((host["time_wait"] for host in summary["hosts"] if host["address"] == pair["client"]), None)
    return limit.size * 1_000_000_000 // facts["length"]["low_ns"] if facts and facts["length"]["low_ns"] > 0 else None
