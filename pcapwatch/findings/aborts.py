"""Abortive closes

What it detects
    Connections ended by a reset before any FIN, by whom and how: an abort (close with unread data, SO_LINGER 0,
    failed keepalive), an answer to a segment no socket accepts, or a reset that a box between put in. Resets after a
    FIN are counted apart and do not fire.

Why it matters
    Data in flight, if there is any, is lost, and the peer's application sees "connection reset". There is no TIME_WAIT
    after a reset, so this also explains a table that is emptier than the closes suggest. A notice where requests
    have their responses.

Evidence
    The reset's flags, sequence number and window (semantics A7); only resets that the receiver accepts, or whose
    effect is unknown, count. An injected one has a TTL unlike the endpoint's.

When it is wrong
    HAProxy resets upstream connections that are idle or whose response said close, and some clients close finished
    connections so on purpose: look at what was outstanding. A reset after a FIN loses data only if it answers data.

Remedy
    Find the application that closes with unread data or sets SO_LINGER 0; for an injected reset the box between.
"""

from __future__ import annotations

from collections.abc import Iterator

from pcapwatch.findings import advice
from pcapwatch.findings.assumptions import Assumptions
from pcapwatch.findings.coverage import before_a_fin
from pcapwatch.findings.evidence import evidence_of
from pcapwatch.findings.service import Service, services
from pcapwatch.findings.wording import count, share
from pcapwatch.report.model import Finding, Severity
from pcapwatch.summary import Summary

CODE = "PW109"
NAME = "abortive-closes"

_CURE = {
    "client": "client: read the response to its end before close(), and do not set SO_LINGER with 0",
    "server": (
        "server: read the request to its end before close(), and do not set SO_LINGER with 0; look for "
        "crashes and time limits"
    ),
    "middlebox": (
        "box between: its idle limit or policy ends these connections; keepalives or a shorter idle "
        "time avoid the first"
    ),
}
#: One request in so many may lack its response, at an edge of the capture, where a client seems to have all it asked.
_EDGE = 100


def check(summary: Summary, assumptions: Assumptions) -> Iterator[Finding]:
    """One finding per service with connections that a reset ended before any FIN."""
    for service in services(summary):
        if concerned := service.narrowed(lambda pair: pair["close"].get("reset", 0) > 0):
            yield _finding(summary, concerned)


def resets_by(service: Service) -> dict[str, int]:
    """Accepted resets by "sender kind", most first; refusals, which end no connection, left out."""
    kinds = {key for pair in service.pairs for key in pair["resets"] if not key.endswith(" refused")}
    tallied = {key: service.tally("resets", key) for key in kinds}
    return dict(sorted(tallied.items(), key=lambda entry: (-entry[1], entry[0])))


def _is_answered(service: Service) -> bool:
    """Whether requests have their responses, so that a client that resets loses nothing that it asked for."""
    return service.http("requests") > 0 and _EDGE * _unanswered(service) <= service.http("requests")


def _unanswered(service: Service) -> int:
    return max(service.http("requests") - service.http("responses"), service.http("unprocessed"))


def _on_purpose(service: Service) -> str:
    """What to tell a client that has all it asked for."""
    lacking = _unanswered(service)
    have = f"all but {count(lacking)} requests have" if lacking else "all requests have"
    return (
        f"client: {have} their responses here, so it may reset on purpose (HAProxy does, to hold no TIME_WAIT); if its "
        "users miss the end of responses, read them to their end before close()"
    )


def _severity(service: Service, ended: int) -> Severity:
    senders = {key.split()[0] for key in resets_by(service)}
    many = ended >= 10 and 100 * ended >= service.connections
    harmless = senders == {"client"} and _is_answered(service)
    return "warning" if "middlebox" in senders or (many and not harmless) else "notice"


def _cures(service: Service) -> Iterator[str]:
    """What to do about each who resets."""
    for sender in dict.fromkeys(key.split()[0] for key in resets_by(service)):
        if sender == "client" and _is_answered(service):
            yield _on_purpose(service)
        elif sender in _CURE:
            yield _CURE[sender]


def _finding(summary: Summary, service: Service) -> Finding:
    ended, after = service.tally("close", "reset"), service.tally("close", "reset_after_fin")
    by = resets_by(service)
    described = ", ".join(f"{count(number)} {key.replace('_', ' ')}" for key, number in by.items())
    return Finding(
        code=CODE,
        name=NAME,
        severity=_severity(service, ended),
        title=(
            f"{count(ended)} of {count(service.connections)} connections from {service.clients} to {service} "
            "ended by a reset "
            f"{before_a_fin(summary)} ({share(ended, service.connections)})"
            + (f"; {count(after)} more met one after a FIN" if after else "")
            + (f"; resets by sender and kind: {described}" if described else "")
        ),
        numbers={
            "service": str(service),
            "clients": service.clients,
            "connections": ended,
            "all_connections": service.connections,
            "resets_after_fin": after,
            **{f"resets_{key.replace(' ', '_')}": number for key, number in by.items()},
        },
        evidence=evidence_of(summary, service.exemplars("abort", "reset_client", "reset_server"), "it meets a reset"),
        remedy=list(_cures(service)),
        verify=[
            advice.again(CODE, "resets before a FIN disappear"),
            "on the host that resets: nstat -az TcpExtTCPAbortOnData TcpExtTCPAbortOnClose TcpExtTCPAbortOnTimeout",
        ],
        do_not=[advice.NO_LINGER],
        basis="observed: by form, sequence number and order of the resets",
    )
