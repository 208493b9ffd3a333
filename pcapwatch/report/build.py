"""Facts and findings into one Report, in the order in which an incident is read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pcapwatch.findings import Assumptions, find
from pcapwatch.findings.assumptions import KnownHost, time_wait_of
from pcapwatch.findings.limits import cannot_show
from pcapwatch.findings.port_pressure import Pressure, pressure_of
from pcapwatch.findings.service import services_made_once
from pcapwatch.findings.verdict import verdict
from pcapwatch.report.examples import Draw, examples
from pcapwatch.report.groups import closers, grouped, persistence, trouble
from pcapwatch.report.model import HostTruth, PortRanges, PortUse, Report, Waiting
from pcapwatch.report.quality import assumptions, quality_of
from pcapwatch.summary import HostFacts, PairFacts, Summary

if TYPE_CHECKING:
    from pcapwatch.host.truth import HostRecord

HOSTS_SHOWN = 8
TRIPLES_SHOWN = 5


def build(
    summary: Summary, ports: PortRanges | None = None, draw: Draw | None = None, hosts: Sequence[HostRecord] = ()
) -> Report:
    """From facts to the report.

    ``ports``: the clients' ephemeral ranges; ``draw`` draws the examples' ladders, without it they have none;
    ``hosts``: what kernels said, in the order in which the engine had their tables.
    """
    ranges, truths = ports or PortRanges(), _truths(summary, hosts)
    assumed = Assumptions(ports=ranges.ports, hosts=ranges.hosts, kernels=_known_hosts(hosts), truths=truths)
    with services_made_once(summary):
        findings = find(summary, assumed)
        answer = verdict(summary, findings, assumed)
    groups = grouped(summary)
    waiting = tuple(
        sorted(map(_waiting, _waiters(summary)), key=lambda host: (-host.peak[1], -host.entered, host.host or ""))
    )
    return Report(
        verdict=answer,
        quality=quality_of(summary),
        totals=dict(summary["totals"]),
        closers=tuple(map(closers, groups)),
        waiting=waiting[:HOSTS_SHOWN],
        ports=_port_uses(summary, assumed),
        persistence=tuple(row for row in map(persistence, groups) if row.connections),
        troubles=tuple(row for row in (trouble(group, summary) for group in groups) if _troubled(row)),
        examples=examples(summary, findings, draw),
        findings=tuple(findings),
        cannot_see=tuple(cannot_show(summary, truths)),
        assumptions=tuple(assumptions(summary, ranges, waiting)),
        summary=summary,
        port_range=ranges.ports,
        port_rules=ranges.hosts,
        host=truths,
    )


def _truths(summary: Summary, hosts: Sequence[HostRecord]) -> tuple[HostTruth, ...]:
    if not hosts:
        return ()
    from pcapwatch.host.truth import truths  # few reports have any

    return truths(summary, hosts)


def _known_hosts(hosts: Sequence[HostRecord]) -> dict[str, KnownHost]:
    if not hosts:
        return {}
    from pcapwatch.host.truth import by_address, known

    return {address: known(host) for address, host in by_address(hosts).items()}


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
        killed=facts["end"].get("killed", 0),
        gone=evidence["gone"],
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
    ports, pressure = pair["ports"], pressure_of(summary, pair, assumed)
    limit = pressure.ports
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
        outside=ports["outside"],
        block=pressure.block,
        sustainable_per_s=_sustainable(summary, pressure),
    )


def _sustainable(summary: Summary, pressure: Pressure) -> int | None:
    """N / T, with how long the client's own TIME_WAITs keep a port; ``None`` where it holds none here (semantics C)."""
    pair = pressure.pair
    if not any(pair["time_wait_holder"].get(word) for word in ("client", "both")):
        return None
    facts = time_wait_of(summary, pair["client"])
    if facts is None or facts["length"]["low_ns"] <= 0:
        return None
    return int(pressure.limit_per_s)
