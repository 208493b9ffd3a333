"""Connections refused or never answered

What it detects
    SYNs that were refused (RST to the SYN), never answered, or whose SYN-ACK the client never acknowledged.

Why it matters
    No connection, and a client that waits: Linux repeats a SYN for about two minutes before connect() fails. No
    TIME_WAIT comes of it on either side.

Evidence
    The SYN, its repetitions and the answer, if any.

When it is wrong
    A capture of one direction only shows every SYN as unanswered: where most connections are one-sided this rule
    keeps silent. A filter, loss and a full backlog look alike; one SYN-ACK that is never repeated also fits SYN
    cookies.

Remedy
    Refused: start the listener or mend the port. Unanswered: look for a filter and at the server's listen queue.
"""

from __future__ import annotations

from collections.abc import Iterator

from pcapwatch.findings.assumptions import Assumptions
from pcapwatch.findings.coverage import is_one_sided
from pcapwatch.findings.evidence import evidence_of
from pcapwatch.findings.service import Service, services
from pcapwatch.findings.wording import count, share
from pcapwatch.report.model import Finding, Severity
from pcapwatch.summary import PairFacts, Summary

CODE = "PW110"
NAME = "refused-or-unanswered"

WORDS = ("refused", "unanswered", "half_open")
_SAID = {"refused": "refused", "unanswered": "never answered", "half_open": "answered but not completed by the client"}
_CURE = {
    "refused": "refused: start the listener, or mend the address or port the client is given",
    "unanswered": "unanswered: look for a packet filter on the way, and at the server's listen queue",
    "half_open": (
        "not completed: look at what the client's side sends after the SYN-ACK (asymmetric route, filter, scan)"
    ),
}


def check(summary: Summary, assumptions: Assumptions) -> Iterator[Finding]:
    """One finding per service that was not reached, unless the capture shows one direction only."""
    if is_one_sided(summary):
        return
    for service in services(summary):
        if concerned := service.narrowed(_applies):
            yield _finding(summary, concerned)


def _applies(pair: PairFacts) -> bool:
    return any(pair["close"].get(word, 0) for word in WORDS)


def _severity(failed: int, connections: int) -> Severity:
    return "warning" if failed >= 10 or 10 * failed >= connections else "notice"


def _finding(summary: Summary, service: Service) -> Finding:
    failed, connections = service.tally("close", *WORDS), service.connections
    parts = {word: number for word in WORDS if (number := service.tally("close", word))}
    described = ", ".join(f"{count(number)} {_SAID[word]}" for word, number in parts.items())
    return Finding(
        code=CODE,
        name=NAME,
        severity=_severity(failed, connections),
        title=(
            f"{count(failed)} of {count(connections)} connection attempts from {service.clients} to {service} failed "
            f"({share(failed, connections)}): {described}"
        ),
        numbers={
            "service": str(service),
            "clients": service.clients,
            "connections": failed,
            "attempts": connections,
            **parts,
        },
        evidence=[
            evidence
            for word in parts
            for evidence in evidence_of(summary, service.exemplars(word)[:2], f"a SYN that was {_SAID[word]}")
        ],
        remedy=[_CURE[word] for word in parts],
        verify=[
            f"on {service.server}: ss -Htln '( sport = :{service.server_port} )'",
            f"on {service.server}: nstat -az TcpExtListenOverflows TcpExtListenDrops",
        ],
        basis="observed: SYNs and their answers; the cause of silence cannot be told from a capture",
    )
