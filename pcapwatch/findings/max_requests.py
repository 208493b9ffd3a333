"""Maximum requests per connection reached

What it detects
    Two or more connections to a service end at exactly N responses with Connection: close on the Nth, whoever's FIN
    comes first then, and none carries more: the server's limit (nginx keepalive_requests: 1000, 100 before 1.19.10;
    Apache MaxKeepAliveRequests: 100). N of one is not a limit but keep-alive switched off, which PW101 reports.

Why it matters
    One handshake in N requests. Nothing to mend for N of 100 or more; a small N at a high rate wears like no
    keep-alive at all. The rate is that of the busiest time, of up to ten seconds: a quiet time behind it is no excuse.

Evidence
    Responses per connection and the Connection header of the last one.

When it is wrong
    A client that stops at a round number and is answered with close for another reason, e.g. a server that is
    shutting down.

Remedy
    A higher limit where N is small; none otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator

from pcapwatch.findings import advice
from pcapwatch.findings.assumptions import Assumptions
from pcapwatch.findings.evidence import evidence_of
from pcapwatch.findings.service import Service, services
from pcapwatch.findings.severity import by_rate
from pcapwatch.findings.wording import count, counted
from pcapwatch.report.model import Finding
from pcapwatch.summary import PairFacts, Summary

CODE = "PW105"
NAME = "max-requests-reached"

#: From this limit on, the handshake is spread over so many requests that it costs nothing worth changing.
PLENTY = 100


def check(summary: Summary, assumptions: Assumptions) -> Iterator[Finding]:
    """One finding per service and limit."""
    for service in services(summary):
        for limit in sorted({_limit(pair) for pair in service.pairs} - {0}):
            if concerned := service.narrowed(lambda pair, limit=limit: _limit(pair) == limit):  # type: ignore[misc]
                yield _finding(summary, concerned, limit)


def _limit(pair: PairFacts) -> int:
    found = pair["http"]["max_requests"]
    return found["requests"] if found and found["requests"] > 1 and found["connections"] >= 2 else 0


def _by_server(service: Service) -> int:
    return sum(facts["max_requests"]["closed_by_server"] for facts in service.http_facts if facts["max_requests"])


def _closers(service: Service, reached: int) -> str:
    """The response says close; whose FIN comes first is then a race."""
    first = _by_server(service)
    if first in (0, reached):
        return f"the {'server' if first else 'client'}'s FIN first"
    return f"the server's FIN first on {count(first)}, the client's on {count(reached - first)}"


def _finding(summary: Summary, service: Service, limit: int) -> Finding:
    reached = sum(facts["max_requests"]["connections"] for facts in service.http_facts if facts["max_requests"])
    per_s = service.per_s(reached)
    return Finding(
        code=CODE,
        name=NAME,
        severity="info" if limit >= PLENTY else by_rate(per_s),
        title=(
            f"{service} ends connections after {counted(limit, 'request')}: {count(reached)} of "
            f"{count(service.http('connections'))} from {service.clients} ended there ({_closers(service, reached)}), "
            f"{service.pace(reached)}"
        ),
        numbers={
            "service": str(service),
            "clients": service.clients,
            "connections": reached,
            "http_connections": service.http("connections"),
            "max_requests": limit,
            "closed_by_server": _by_server(service),
            "closes_per_s": round(per_s, 2),
        },
        evidence=evidence_of(summary, service.exemplars("max_requests"), "Connection: close on its last response"),
        remedy=(
            []
            if limit >= PLENTY
            else [f"server: a higher limit than {count(limit)} (nginx keepalive_requests, Apache MaxKeepAliveRequests)"]
        ),
        verify=[advice.again(CODE, f"connections carry more than {counted(limit, 'request')}")],
        basis="inferred: from where connections end and what the last response says",
    )
