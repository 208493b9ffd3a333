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
from pcapwatch.findings.assumptions import Assumptions
from pcapwatch.findings.lost_requests import LostRequests
from pcapwatch.findings.wording import counted
from pcapwatch.report.model import Finding
from pcapwatch.summary import Summary

CODE = "PW107"
NAME = "stale-reuse"

_POOL = (
    "client: a pool that drops a connection as soon as it turns readable at end of stream, and checks before each use"
)

_LOST = LostRequests(
    code=CODE,
    name=NAME,
    counter="stale_reuses",
    example="stale_reuse",
    sentence=lambda lost, service: (
        f"{service.clients} sent {counted(lost, 'request')} to {service} on connections whose close its host had "
        "acknowledged"
    ),
    proof="the server's FIN is acknowledged, then a request, then RST",
    remedy=lambda after: [_POOL, advice.less_idle_client(after), advice.RETRY],
    gone="no request follows an acknowledged FIN",
)


def check(summary: Summary, assumptions: Assumptions) -> Iterator[Finding]:
    """One finding per service that was sent a request on a connection already closed."""
    return _LOST.findings(summary)
