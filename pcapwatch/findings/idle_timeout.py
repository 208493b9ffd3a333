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
    cluster (three or more, spread at most 50 ms or 1 %). More connections that ended so than were ever open at once:
    at least the difference came after an earlier one had ended so. Waits after which connections were used again show
    what the clients need. Requests that were lost after a wait longer than the timeout do not refute it but prove it:
    there every close by the server came after one and the same idle time of a second or more.

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

#: A cluster: so many closes at least, no further apart than the greater of the two (as the engine's).
FEWEST, SPREAD_NS, SPREAD_PART = 3, 50_000_000, 0.01
_CLASS = 0.04
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
    """At least so many connections that ended idle were opened after an earlier one had: no more are open at once."""
    closes = timeout["count"] if (timeout := timeout_of(pair)) else 0
    return max(closes - pair["ports"]["held_peak_max"], 0)


def timeout_of(pair: PairFacts) -> IdleTimeout | None:
    """The server's idle timeout, also where waits beyond it hid it from the engine because their requests were lost."""
    http = pair["http"]
    return http["idle_timeout"] or _timeout_of_lost(pair)


def _timeout_of_lost(pair: PairFacts) -> IdleTimeout | None:
    http = pair["http"]
    idle, wait = http["idle_before_close"], http["reuse_wait"]
    closers = {who for who, number in pair["active_closer"].items() if number and who != "none"}
    if not (lost(pair) and idle and wait and idle["count"] >= FEWEST and closers == {"server"}):
        return None
    spread = idle["max_ns"] - idle["min_ns"]
    if idle["min_ns"] < SECOND_NS or spread > max(SPREAD_NS, SPREAD_PART * idle["min_ns"]):
        return None
    if wait["max_ns"] < idle["min_ns"]:
        return None
    return {
        "timeout_ns": (idle["min_ns"] + idle["max_ns"]) // 2,
        "spread_ns": spread,
        "count": idle["count"],
        "of": idle["count"],
    }


def closes_of(pair: PairFacts) -> int:
    """The server's closes after its idle timeout: also those that a request met, which is lost."""
    timeout = timeout_of(pair)
    if not timeout:
        return 0
    idle = pair["http"]["idle_before_close"]
    # Most connections were idle for so long: those of the lost requests, too. (Quantiles are of classes 3 % wide.)
    is_usual = idle is not None and abs(idle["p50_ns"] - timeout["timeout_ns"]) <= _CLASS * timeout["timeout_ns"]
    met = lost(pair) if pair["http"]["idle_timeout"] and is_usual else 0
    return min(timeout["count"] + met, pair["active_closer"].get("server", 0))


def least_timeout_ns(service: Service) -> int | None:
    """The shortest idle timeout that the pairs of a service show, ns."""
    return min((found["timeout_ns"] for pair in service.pairs if (found := timeout_of(pair))), default=None)


def lost(pair: PairFacts) -> int:
    """Requests sent on a connection that the server was closing or had closed."""
    return pair["http"]["keepalive_races"] + pair["http"]["stale_reuses"]


def announced_beyond(pair: PairFacts) -> int | None:
    """The least announced timeout in seconds, if the server closes clearly before it."""
    timeout, announced = timeout_of(pair), pair["http"]["announced_timeout_s"]
    if not timeout or not announced:
        return None
    return min(announced) if min(announced) * SECOND_NS > timeout["timeout_ns"] + ANNOUNCED_SLACK_NS else None


def _applies(pair: PairFacts) -> bool:
    if not timeout_of(pair):
        return False
    return returns(pair) > 0 or lost(pair) > 0 or announced_beyond(pair) is not None


def _timeout(service: Service) -> IdleTimeout:
    """The cluster with the most closes among the pairs."""
    clusters = [cluster for pair in service.pairs if (cluster := timeout_of(pair))]
    return max(clusters, key=lambda cluster: (cluster["count"], -cluster["timeout_ns"]))


def _spread(timeout: IdleTimeout) -> str:
    return f"within {duration(timeout['spread_ns'])}" if timeout["spread_ns"] else "alike"


def _severity(service: Service) -> Severity:
    if any(map(lost, service.pairs)) or any(announced_beyond(pair) for pair in service.pairs):
        return "warning"
    return "notice" if sum(map(returns, service.pairs)) >= MANY_RETURNS else "info"


def _finding(summary: Summary, service: Service) -> Finding:
    timeout, back = _timeout(service), sum(map(returns, service.pairs))
    early = min((seconds for pair in service.pairs if (seconds := announced_beyond(pair))), default=None)
    waits = [facts["longest_reuse_gap_ns"] for facts in service.http_facts if facts["longest_reuse_gap_ns"]]
    closes = sum(cluster["count"] for pair in service.pairs if (cluster := timeout_of(pair)))
    missed = sum(map(lost, service.pairs))
    title = (
        f"{service} closes idle connections after {duration(timeout['timeout_ns'])} ({count(timeout['count'])} of "
        f"{counted(timeout['of'], 'idle close')} {_spread(timeout)})"
    )
    title += f", though it announces {early} s" if early else ""
    title += f"; {service.clients} came back at least {counted(back, 'time')} with a new connection" if back else ""
    title += f"; {counted(missed, 'request')} met a close and got lost" if missed else ""
    numbers: dict[str, int | float | str] = {
        "service": str(service),
        "clients": service.clients,
        "connections": closes,
        "idle_timeout_s": round(timeout["timeout_ns"] / SECOND_NS, 6),
        "idle_timeout_spread_s": round(timeout["spread_ns"] / SECOND_NS, 6),
        "returns_at_least": back,
        "lost_requests": missed,
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
            service.exemplars("idle_close", "stale_reuse", "keepalive_race"),
            "idle with nothing outstanding, then the server's FIN",
        ),
        remedy=[
            advice.less_idle_client(duration(timeout["timeout_ns"])),
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
