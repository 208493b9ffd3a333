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
from pcapwatch.findings.assumptions import Assumptions
from pcapwatch.findings.lost_requests import LostRequests
from pcapwatch.findings.wording import counted
from pcapwatch.report.model import Finding
from pcapwatch.summary import Summary

CODE = "PW106"
NAME = "keep-alive-race"

_LOST = LostRequests(
    code=CODE,
    name=NAME,
    counter="keepalive_races",
    example="keepalive_race",
    sentence=lambda lost, service: (
        f"{counted(lost, 'request')} from {service.clients} to {service} crossed the server's close and got no response"
    ),
    proof="a request that does not acknowledge the server's FIN, answered by RST",
    remedy=lambda after: [advice.less_idle_client(after), advice.MORE_IDLE_SERVER, advice.RETRY],
    gone="no request is answered by RST",
)


def check(summary: Summary, assumptions: Assumptions) -> Iterator[Finding]:
    """One finding per service that lost a request to a race."""
    return _LOST.findings(summary)
