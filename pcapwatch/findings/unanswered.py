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
    keeps silent; in a capture that a filter of flags left without pure acknowledgments, of attempts whose SYN-ACK was
    not sent again (of SYNs alone it says the doubt); and of the last attempts of a client whose others were
    answered, made too soon before the capture's end (200 ms, or three times the longest handshake, 1 s at most: then a
    SYN is sent again).
    A filter, loss and a full backlog look alike; one SYN-ACK that is never repeated also fits SYN cookies.

Remedy
    Refused: start the listener or mend the port. Unanswered: look for a filter and at the server's listen queue.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from pcapwatch.findings.assumptions import Assumptions
from pcapwatch.findings.attempts import WORDS, doubt
from pcapwatch.findings.coverage import is_one_sided, lacks_acks
from pcapwatch.findings.evidence import evidence_of
from pcapwatch.findings.service import Service, services
from pcapwatch.findings.wording import count, share
from pcapwatch.report.model import Finding, Severity
from pcapwatch.summary import PairFacts, Summary

CODE = "PW110"
NAME = "refused-or-unanswered"

#: Words for what an answer might still have come to.
_PENDING = ("unanswered", "half_open")
#: An attempt this long before the end of the capture may have been answered after it, or within so many handshakes.
_ANSWER_NS, _HANDSHAKES = 200_000_000, 3
#: The first retransmission timer (RFC 6298): who was not answered until then shows it.
_TIMER_NS = 1_000_000_000
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
    filtered = lacks_acks(summary)
    all_of = [
        service.narrowed(lambda pair: any(_failed(summary, pair, filtered=filtered).values()))
        for service in services(summary)
    ]
    doubts = [(service, doubt(summary, service)) for service in all_of if service]
    is_one_sure = not all(said for _, said in doubts)
    for service, said in doubts:
        found = _finding(summary, service, said, filtered=filtered)
        # Beside others that were asked again and again, what was asked once was answered, or given up at once.
        yield replace(found, severity="notice") if said and is_one_sure else found


def _failed(summary: Summary, pair: PairFacts, *, filtered: bool) -> dict[str, int]:
    """Attempts by how they failed, but for those whose answer the capture's end cut off, or a filter left out."""
    found = {word: pair["close"].get(word, 0) for word in WORDS}
    if filtered:
        found["half_open"] -= pair["unrepeated"].get("half_open", 0)
    longest, end_ns = pair["handshake_rtt"], summary["capture"]["last_ns"]
    if end_ns is None or (longest is None and not filtered):
        return found
    answer_ns = min(max(_ANSWER_NS, _HANDSHAKES * longest["max_ns"]), _TIMER_NS) if longest else _TIMER_NS
    since_ns = end_ns - answer_ns
    for word in _PENDING:
        examples = pair["exemplars"].get(word, [])
        # Where there are more than examples of them, they are no accident of the end.
        if found[word] <= len(examples):
            found[word] = max(found[word] - sum(one["start_ns"] > since_ns for one in examples), 0)
    return found


def _severity(failed: int, connections: int) -> Severity:
    return "warning" if failed >= 10 or 10 * failed >= connections else "notice"


def _finding(summary: Summary, service: Service, doubt: str, *, filtered: bool) -> Finding:
    each = [_failed(summary, pair, filtered=filtered) for pair in service.pairs]
    parts = {word: number for word in WORDS if (number := sum(one[word] for one in each))}
    failed, connections = sum(parts.values()), service.connections
    described = ", ".join(f"{count(number)} {_SAID[word]}" for word, number in parts.items())
    return Finding(
        code=CODE,
        name=NAME,
        severity=_severity(failed, connections),
        title=(
            f"{count(failed)} of {count(connections)} connection attempts from {service.clients} to {service} failed "
            f"({share(failed, connections)}): {described}{doubt}"
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
