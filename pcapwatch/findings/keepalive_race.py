"""Keep-alive race

What it detects
    A request crossed the server's FIN in flight: the client had not seen the close when it sent, the server's host
    answered with a reset, and no response came.

Why it matters
    The request is lost. A proxy turns it into a 502 that no log of the application explains.

Evidence
    The request's acknowledgment number is below the end of the server's FIN, and a bare reset answers it (semantics
    D4).

When it is wrong
    Seen from a tap far from the client the acknowledgment number still decides; a capture that lost the client's ACK
    of the FIN could make a stale reuse (PW107) look like a race.

Remedy
    The client or proxy must give up idle connections before the server does; retrying idempotent requests covers the
    rest.
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

CODE = "PW106"
NAME = "keep-alive-race"


def check(summary: Summary, assumptions: Assumptions) -> Iterator[Finding]:
    """One finding per service that lost a request to a race."""
    for service in services(summary):
        if concerned := service.narrowed(lambda pair: pair["http"]["keepalive_races"] > 0):
            yield _finding(summary, concerned)


def _finding(summary: Summary, service: Service) -> Finding:
    races, connections = service.http("keepalive_races"), service.http("connections")
    timeout_ns = least_timeout_ns(service)
    after = duration(timeout_ns) if timeout_ns else None
    known = f"; the server closes idle connections after {after}" if after else ""
    return Finding(
        code=CODE,
        name=NAME,
        severity="warning",
        title=(
            f"{counted(races, 'request')} from {service.clients} to {service} crossed the server's close and "
            "got no response "
            f"({share(races, connections)} of {count(connections)} HTTP connections){known}"
        ),
        numbers={
            "service": str(service),
            "clients": service.clients,
            "connections": races,
            "http_connections": connections,
            **({"idle_timeout_s": round(timeout_ns / SECOND_NS, 6)} if timeout_ns else {}),
        },
        evidence=evidence_of(
            summary,
            service.exemplars("keepalive_race"),
            "a request that does not acknowledge the server's FIN, answered by RST",
        ),
        remedy=[advice.less_idle_client(after), advice.MORE_IDLE_SERVER, advice.RETRY],
        verify=[advice.again(CODE, "no request is answered by RST")],
        do_not=[advice.NO_FIN_TIMEOUT],
        basis="observed: by acknowledgment numbers",
    )
