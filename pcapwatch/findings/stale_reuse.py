"""Stale reuse

What it detects
    A client sent a request on a connection whose close it had already acknowledged; a reset answered it.

Why it matters
    The request is lost, and not by bad luck: the client's host knew that the server had closed. The client's pool
    does not look at a connection before using it again.

Evidence
    The client's acknowledgment of the server's FIN precedes the request (semantics D4).

When it is wrong
    The client's kernel acknowledges before its application can react: a request written within the same instant is a
    race in all but name. Compare the times in the ladder.

Remedy
    A client or pool that checks a connection for a close before using it again, and gives it up sooner than the
    server.
"""

from __future__ import annotations

from collections.abc import Iterator

from pcapwatch.findings import advice
from pcapwatch.findings.assumptions import SECOND_NS, Assumptions
from pcapwatch.findings.evidence import evidence_of
from pcapwatch.findings.idle_timeout import least_timeout_ns
from pcapwatch.findings.service import Service, services
from pcapwatch.findings.wording import count, counted, duration, share
from pcapwatch.report.model import Finding
from pcapwatch.summary import Summary

CODE = "PW107"
NAME = "stale-reuse"


def check(summary: Summary, assumptions: Assumptions) -> Iterator[Finding]:
    """One finding per service that was sent a request on a connection already closed."""
    for service in services(summary):
        if concerned := service.narrowed(lambda pair: pair["http"]["stale_reuses"] > 0):
            yield _finding(summary, concerned)


def _finding(summary: Summary, service: Service) -> Finding:
    stale, connections = service.http("stale_reuses"), service.http("connections")
    timeout_ns = least_timeout_ns(service)
    after = duration(timeout_ns) if timeout_ns else None
    known = f"; the server closes idle connections after {after}" if after else ""
    return Finding(
        code=CODE,
        name=NAME,
        severity="warning",
        title=(
            f"{service.clients} sent {counted(stale, 'request')} to {service} on connections whose close its "
            "host had acknowledged "
            f"({share(stale, connections)} of {count(connections)} HTTP connections){known}"
        ),
        numbers={
            "service": str(service),
            "clients": service.clients,
            "connections": stale,
            "http_connections": connections,
            **({"idle_timeout_s": round(timeout_ns / SECOND_NS, 6)} if timeout_ns else {}),
        },
        evidence=evidence_of(
            summary, service.exemplars("stale_reuse"), "the server's FIN is acknowledged, then a request, then RST"
        ),
        remedy=[
            (
                "client: a pool that drops a connection as soon as it turns readable at end of stream, and checks "
                "before each use"
            ),
            advice.less_idle_client(after),
            advice.RETRY,
        ],
        verify=[advice.again(CODE, "no request follows an acknowledged FIN")],
        do_not=[advice.NO_FIN_TIMEOUT],
        basis="observed: by acknowledgment numbers",
    )
