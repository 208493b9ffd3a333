"""Server idle timeout shorter than the client's reuse gap

What it detects
    A server closes idle connections after a constant time, and the same client comes back later with a new
    connection: it would have used the old one again. Also a server that announces Keep-Alive: timeout longer than
    what it really waits.

Why it matters
    Each return costs a handshake, and a request sent while the server's FIN is on its way is lost (PW106). The server
    holds these TIME_WAITs; they cost no port.

Evidence
    The server closed with nothing outstanding and no close announced; the times from last response byte to FIN
    cluster (three or more, spread at most 50 ms or 1 %). More connections than were ever open at once: at least the
    difference came after an earlier one had ended. Waits after which connections were used again show what the
    clients need.

When it is wrong
    Exact only in a capture taken at the server; elsewhere the time is off by up to a round trip. Separate processes
    behind one address return without wanting the old connection.

Remedy
    The client drops idle connections sooner than the server, or the server waits longer than every client.
"""

from __future__ import annotations

from collections.abc import Iterator

from pcapwatch.findings import advice
from pcapwatch.findings.assumptions import SECOND_NS, Assumptions
from pcapwatch.findings.evidence import evidence_of
from pcapwatch.findings.service import Service, services
from pcapwatch.findings.wording import count, counted, duration
from pcapwatch.report.model import Finding, Severity
from pcapwatch.summary import IdleTimeout, PairFacts, Summary

CODE = "PW104"
NAME = "server-idle-timeout-shorter-than-reuse-gap"

#: Returns from which the handshakes are worth a notice.
MANY_RETURNS = 10
#: An announcement is called longer than the deed only beyond this, so that whole seconds and round trips do not matter.
ANNOUNCED_SLACK_NS = SECOND_NS // 2


def check(summary: Summary, assumptions: Assumptions) -> Iterator[Finding]:
    """One finding per service that closes idle connections its clients come back for."""
    for service in services(summary):
        if concerned := service.narrowed(_applies):
            yield _finding(summary, concerned)


def returns(pair: PairFacts) -> int:
    """At least so many connections were opened after an earlier one of the pair had ended."""
    return max(pair["connections"] - pair["ports"]["held_peak_max"], 0)


def announced_beyond(pair: PairFacts) -> int | None:
    """The least announced timeout in seconds, if the server closes clearly before it."""
    timeout, announced = pair["http"]["idle_timeout"], pair["http"]["announced_timeout_s"]
    if not timeout or not announced:
        return None
    return min(announced) if min(announced) * SECOND_NS > timeout["timeout_ns"] + ANNOUNCED_SLACK_NS else None


def _applies(pair: PairFacts) -> bool:
    if not pair["http"]["idle_timeout"]:
        return False
    return returns(pair) > 0 or announced_beyond(pair) is not None


def _timeout(service: Service) -> IdleTimeout:
    """The cluster with the most closes among the pairs."""
    clusters = [facts["idle_timeout"] for facts in service.http_facts if facts["idle_timeout"]]
    return max(clusters, key=lambda cluster: (cluster["count"], -cluster["timeout_ns"]))


def _severity(service: Service) -> Severity:
    lost = service.http("keepalive_races") + service.http("stale_reuses")
    if lost or any(announced_beyond(pair) for pair in service.pairs):
        return "warning"
    return "notice" if sum(map(returns, service.pairs)) >= MANY_RETURNS else "info"


def _finding(summary: Summary, service: Service) -> Finding:
    timeout, back = _timeout(service), sum(map(returns, service.pairs))
    early = min((seconds for pair in service.pairs if (seconds := announced_beyond(pair))), default=None)
    waits = [facts["longest_reuse_gap_ns"] for facts in service.http_facts if facts["longest_reuse_gap_ns"]]
    closes = sum(facts["idle_timeout"]["count"] for facts in service.http_facts if facts["idle_timeout"])
    title = (
        f"{service} closes idle connections after {duration(timeout['timeout_ns'])} ({count(timeout['count'])} of "
        f"{counted(timeout['of'], 'idle close')} within {duration(timeout['spread_ns'])})"
    )
    title += f", though it announces {early} s" if early else ""
    title += f"; {service.clients} came back at least {counted(back, 'time')} with a new connection" if back else ""
    numbers: dict[str, int | float | str] = {
        "service": str(service),
        "clients": service.clients,
        "connections": closes,
        "idle_timeout_s": round(timeout["timeout_ns"] / SECOND_NS, 6),
        "idle_timeout_spread_s": round(timeout["spread_ns"] / SECOND_NS, 6),
        "returns_at_least": back,
    }
    if early:
        numbers["announced_timeout_s"] = early
    if waits:
        numbers["longest_wait_before_reuse_s"] = round(max(waits) / SECOND_NS, 6)
    return Finding(
        code=CODE,
        name=NAME,
        severity=_severity(service),
        title=title,
        numbers=numbers,
        evidence=evidence_of(
            summary,
            service.exemplars("idle_close"),
            "idle with nothing outstanding, then the server's FIN",
        ),
        remedy=[
            f"{advice.LESS_IDLE_CLIENT} (here: below {duration(timeout['timeout_ns'])})",
            advice.MORE_IDLE_SERVER,
            *(
                ["server: announce no more than it waits (nginx: the second value of keepalive_timeout)"]
                if early
                else []
            ),
        ],
        verify=[advice.again(CODE, "idle connections end by the client's FIN")],
        do_not=[advice.NO_FIN_TIMEOUT],
        basis="inferred: the timeout from a cluster of closes; returns are a proven least",
    )
