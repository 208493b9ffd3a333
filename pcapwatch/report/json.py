"""The JSON report, ``schema_version`` 1; its shape is ``schema.json`` beside this file.

Instants are integers (``_ns``, since 1970 UTC), durations are seconds (``_s``) rounded to 9 digits, shares are left to
the reader. Keys are sorted and lists keep their order, so that equal facts give equal bytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pcapwatch.report.groups import by_service, closers, persistence, trouble
from pcapwatch.report.model import Evidence, Example, Finding, HostTruth, PortRanges, Report
from pcapwatch.report.words import iso
from pcapwatch.summary import HostFacts, PairFacts, ServiceFacts

SCHEMA_VERSION = 1


def render_json(report: Report) -> str:
    """One object, indented, non-ASCII and control characters as JSON escapes."""
    return json.dumps(report_object(report), indent=2, sort_keys=True, allow_nan=False) + "\n"


def report_object(report: Report) -> dict[str, Any]:
    """The report as plain data."""
    return {
        "schema_version": SCHEMA_VERSION,
        "verdict": report.verdict,
        "capture": _capture(report),
        "totals": report.totals,
        "services": _services(report),
        "host": [_kernel(truth) for truth in report.host],
        "hosts": _hosts(report),
        "http": _http(report),
        "examples": [_example(example) for example in report.examples],
        "findings": [_finding(finding) for finding in report.findings],
        "cannot_see": list(report.cannot_see),
        "assumptions": list(report.assumptions),
        "port_range": {
            "low": report.port_range.low,
            "high": report.port_range.high,
            "stated": report.port_range.stated,
        },
        "port_ranges": [
            {"hosts": rule.hosts, "low": rule.ports.low, "high": rule.ports.high} for rule in report.port_rules
        ],
    }


def seconds(ns: int | None) -> float | None:
    """Nanoseconds as seconds; the nearest double, which prints with at most 9 decimals."""
    return None if ns is None else round(ns / 1_000_000_000, 9)


def in_seconds(facts: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """A distribution with its ``_ns`` durations as ``_s``."""
    if facts is None:
        return None
    return {
        (name.removesuffix("_ns") + "_s" if name.endswith("_ns") else name): (
            seconds(value) if name.endswith("_ns") else value
        )
        for name, value in facts.items()
    }


def _capture(report: Report) -> dict[str, Any]:
    facts = report.summary["capture"]
    first, last = facts["first_ns"], facts["last_ns"]
    span = None if first is None or last is None else seconds(last - first)
    quality = {"concerns": list(report.quality.concerns), "remarks": list(report.quality.remarks)}
    return {**facts, "first": iso(first) if first is not None else None, "span_s": span, **quality}


def _services(report: Report) -> list[dict[str, Any]]:
    services = []
    busy: dict[tuple[str | None, int], ServiceFacts] = {
        (facts["server"], facts["server_port"]): facts for facts in report.summary["services"]
    }
    for group in by_service(report.summary):
        closing, http, troubles = closers(group), persistence(group), trouble(group, report.summary)
        services.append(
            {
                "server": group.server,
                "server_port": group.server_port,
                "clients": group.clients,
                "connections": group.connections,
                "closers": {
                    "client": closing.client_first,
                    "server": closing.server_first,
                    "both": closing.crossed,
                    "ambiguous": closing.undecided,
                    "none": closing.not_closed,
                },
                "close": _added(group.pairs, "close"),
                "time_wait_holder": _added(group.pairs, "time_wait_holder"),
                "resets": troubles.resets,
                "persistence": {
                    "connections": http.connections,
                    "requests": http.requests,
                    "requests_per_connection": http.requests_per_connection,
                    "closed_after": list(http.closed_after),
                    "idle_before_close": in_seconds(http.idle_before_close_ns),
                    "longest_reuse_gap_s": seconds(http.longest_reuse_gap_ns),
                    "keepalive_races": group.total("http", "keepalive_races"),
                    "stale_reuses": group.total("http", "stale_reuses"),
                    "unprocessed": troubles.unprocessed,
                    "server_software": list(http.server_software),
                    "user_agents": list(http.user_agents),
                },
                "inferred": {
                    "idle_timeout_s": seconds(http.idle_timeout_ns),
                    "announced_timeout_s": list(http.announced_timeout_s),
                    "max_requests": http.max_requests,
                },
                "busiest": _busiest(busy.get((group.server, group.server_port))),
            }
        )
    return services


def _busiest(facts: ServiceFacts | None) -> dict[str, Any] | None:
    """When most connections to a service were opened; ``None`` if none was seen to begin, or the row is of several."""
    if facts is None or not facts["busy_opened"]:
        return None
    times = {"from": iso(facts["busy_from_ns"]), "length_s": seconds(facts["busy_ns"])}
    return {**times, "opened": facts["busy_opened"]}


def _added(pairs: tuple[PairFacts, ...], word: str) -> dict[str, int]:
    total: dict[str, int] = {}
    for pair in pairs:
        counts: dict[str, int] = pair[word]  # type: ignore[literal-required]
        for key, number in counts.items():
            total[key] = total.get(key, 0) + number
    return total


def _hosts(report: Report) -> list[dict[str, Any]]:
    """Every host; the pairs are gone through once, not once for each host."""
    own: dict[str | None, list[PairFacts]] = {}
    for pair in report.summary["pairs"]:
        if pair["ports"]["distinct"]:
            own.setdefault(pair["client"], []).append(pair)
    return [_host(host, own.get(host["address"], []), report) for host in report.summary["hosts"]]


def _host(host: HostFacts, own: list[PairFacts], report: Report) -> dict[str, Any]:
    facts = host["time_wait"]
    waits = None
    if facts:
        length = facts["length"]
        waits = {
            "entered": facts["entered"],
            "basis": facts["basis"],
            "end": facts["end"],
            "restarts": facts["restarts"],
            "exact": in_seconds(facts["exact"]),
            "length": {
                "low_s": seconds(length["low_ns"]),
                "high_s": seconds(length["high_ns"]),
                "source": length["source"],
            },
            "at_end": {"min": facts["at_end"][0], "max": facts["at_end"][1]},
            "peak": {"min": facts["peak"][0], "max": facts["peak"][1], "time_ns": facts["peak_ns"]},
            "peak_step_s": seconds(facts["peak_step_ns"]),
            "occupancy": [{"time_ns": s["ns"], "min": s["min"], "max": s["max"]} for s in facts["occupancy"]],
        }
    named = {name: host[name] for name in ("address", "as_client", "as_server", "stack")}
    return {**named, "time_wait": waits, "worst_triple": _worst_triple(host["address"], own, report)}


def _kernel(truth: HostTruth) -> dict[str, Any]:
    wire = None if truth.wire is None else {"min": truth.wire[0], "max": truth.wire[1]}
    ports = truth.ports
    return {
        "name": truth.name,
        "netns": truth.netns,
        "kernel": truth.kernel,
        "reader": truth.reader,
        "time_ns": truth.at_ns,
        "moment": truth.moment,
        "addresses": list(truth.addresses),
        "states": truth.states,
        "sysctls": truth.sysctls,
        "counters": truth.counters,
        "overflows": truth.overflows,
        "ports": ports and {"low": ports.low, "high": ports.high, "reserved": ports.reserved, "usable": ports.size},
        "time_wait": {
            "kernel": truth.time_wait,
            "wire": wire,
            "both": truth.both,
            "only_kernel": truth.only_kernel,
            "only_wire": truth.only_wire,
            "never_listed": truth.never_listed,
            "left_out": truth.left_out,
        },
        "examples": [{"kind": kind, "own": own, "peer": peer} for kind, own, peer in truth.examples],
    }


def _worst_triple(address: str | None, own: list[PairFacts], report: Report) -> dict[str, Any] | None:
    """The (source, destination, destination port) of this host that is nearest its port range, of its own pairs."""
    if address is None or not own:
        return None
    pair = max(own, key=lambda pair: (pair["ports"]["held_peak_max"], pair["ports"]["distinct"], pair["server"] or ""))
    ports = pair["ports"]
    use = next(
        (
            u
            for u in report.ports
            if (u.client, u.server, u.server_port) == (address, pair["server"], pair["server_port"])
        ),
        None,
    )
    limit = use.range if use else PortRanges(report.port_range, report.port_rules).of(address)
    return {
        "server": pair["server"],
        "server_port": pair["server_port"],
        "distinct_ports": ports["distinct"],
        "held_peak": {"min": ports["held_peak_min"], "max": ports["held_peak_max"], "time_ns": ports["held_peak_ns"]},
        "held_step_s": seconds(ports["held_step_ns"]),
        "opened_peak_per_s": ports["opened_peak_per_s"],
        "reuses": ports["reuses"],
        "client_recycled": ports["client_recycled"],
        "reuse_gap": in_seconds(ports["reuse_gap"]),
        "ports_assumed": limit.size,
    }


def _http(report: Report) -> list[dict[str, Any]]:
    """The Connection header table of the whole capture, most frequent first."""
    total: dict[tuple[str, str, str], list[int]] = {}
    for pair in report.summary["pairs"]:
        for message in pair["http"]["messages"]:
            entry = total.setdefault((message["side"], message["version"], message["option"]), [0, 0])
            entry[0] += message["count"]
            entry[1] += message["persistent"]
    ordered = sorted(total.items(), key=lambda item: (item[0][0], -item[1][0], item[0]))
    return [
        {"side": side, "version": version, "connection": option, "messages": number, "persistent": persistent}
        for (side, version, option), (number, persistent) in ordered
    ]


def _example(example: Example) -> dict[str, Any]:
    return {
        "connection": example.connection,
        "kind": example.kind,
        "client": {"address": example.client[0], "port": example.client[1]},
        "server": {"address": example.server[0], "port": example.server[1]},
        "file": example.file,
        "last_file": example.last_file,
        "first_frame": example.first_frame,
        "last_frame": example.last_frame,
        "start_ns": example.start_ns,
        "end_ns": example.end_ns,
        "display_filter": example.display_filter,
        "community_id": example.community_id,
        "ladder": example.ladder,
    }


def _finding(finding: Finding) -> dict[str, Any]:
    numbers = {key: round(value, 9) if isinstance(value, float) else value for key, value in finding.numbers.items()}
    return {
        "code": finding.code,
        "name": finding.name,
        "severity": finding.severity,
        "title": finding.title,
        "numbers": numbers,
        "evidence": [_evidence(evidence) for evidence in finding.evidence],
        "remedy": list(finding.remedy),
        "verify": list(finding.verify),
        "do_not": list(finding.do_not),
        "basis": finding.basis,
    }


def _evidence(evidence: Evidence) -> dict[str, Any]:
    return {
        "text": evidence.text,
        "file": evidence.file,
        "frame": evidence.frame,
        "time_ns": evidence.time_ns,
        "time": None if evidence.time_ns is None else iso(evidence.time_ns),
        "connection": evidence.connection,
        "display_filter": evidence.display_filter,
    }
