"""Abortive closes

What it detects
    Connections ended by a reset before any FIN, by whom and how: an abort (close with unread data, SO_LINGER 0,
    failed keepalive), an answer to a segment no socket accepts, or a reset that a box between put in. Resets after a
    FIN are counted apart and do not fire.

Why it matters
    Data in flight, if there is any, is lost, and the peer's application sees "connection reset". There is no TIME_WAIT
    after a reset, so this also explains a table that is emptier than the closes suggest. Info where no byte was sent:
    nothing can be lost there.

Evidence
    The reset's flags, sequence number and window (semantics A7); only resets that the receiver accepts, or whose
    effect is unknown, count. An injected one has a TTL unlike the endpoint's. Of those by the client it is told how
    many carried no byte, of connections that were captured whole.

When it is wrong
    HAProxy resets upstream connections that are idle or whose response said close, and some clients close finished
    connections so on purpose: look at what was outstanding. A reset after a FIN loses data only if it answers data.
    A handshake and a reset by the client without a byte is what TCP health checks of HAProxy and of cloud load
    balancers look like, at the pace of their interval: nothing is wrong with those. A port scan looks the same.

Remedy
    Find the application that closes with unread data or sets SO_LINGER 0; for an injected reset the box between. For
    health checks none; an HTTP check would also test what is behind the listener.
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
    "client": (
        "client: read the response to its end before close(), and do not set SO_LINGER with 0; a proxy may reset on "
        "purpose once it has all of it (HAProxy does, to hold no TIME_WAIT)"
    ),
    "server": (
        "server: read the request to its end before close(), and do not set SO_LINGER with 0; look for "
        "crashes and time limits"
    ),
    "middlebox": (
        "box between: its idle limit or policy ends these connections; keepalives or a shorter idle "
        "time avoid the first"
    ),
}


def check(summary: Summary, assumptions: Assumptions) -> Iterator[Finding]:
    """One finding per service with connections that a reset ended before any FIN."""
    for service in services(summary):
        if concerned := service.narrowed(lambda pair: pair["close"].get("reset", 0) > 0):
            yield _finding(summary, concerned, before_a_fin(summary, concerned.pairs))


def resets_by(service: Service) -> dict[str, int]:
    """Accepted resets by "sender kind", most first; refusals, which end no connection, left out."""
    kinds = {key for pair in service.pairs for key in pair["resets"] if not key.endswith(" refused")}
    tallied = {key: service.tally("resets", key) for key in kinds}
    return dict(sorted(tallied.items(), key=lambda entry: (-entry[1], entry[0])))


def without_a_byte(service: Service) -> int:
    """Connections that the client reset before any FIN and that were captured whole and carried nothing."""
    return sum(pair["empty_resets"] for pair in service.pairs)


def _severity(service: Service, ended: int, empty: int) -> Severity:
    senders = {key.split()[0] for key in resets_by(service)}
    if senders == {"client"} and empty == ended:
        return "info"
    many = ended - empty >= 10 and 100 * (ended - empty) >= service.connections
    return "warning" if "middlebox" in senders or many else "notice"


def _cures(service: Service, ended: int, empty: int) -> Iterator[str]:
    """What to do about each who resets."""
    for sender in dict.fromkeys(key.split()[0] for key in resets_by(service)):
        if sender == "client" and empty:
            yield _health_checks(service, "these" if empty == ended else f"{count(empty)} of these")
        if sender == "client" and empty == ended:
            continue
        if sender in _CURE:
            yield _CURE[sender]


def _how_many(empty: int, ended: int) -> str:
    return ("they" if ended > 1 else "it") if empty == ended else f"{count(empty)} of them"


def _health_checks(service: Service, which: str) -> str:
    return (
        f"nothing to mend if {service.clients} {service.verb('check')} by TCP whether {service} is there (HAProxy, "
        f"load balancers): {which} carried no byte; an HTTP check would also test what is behind the listener"
    )


def _verify(*, checks: bool) -> list[str]:
    if checks:
        return [
            "pcapwatch connections CAPTURE: rows with close reset, none of them with a byte, at the check's interval"
        ]
    return [
        advice.again(CODE, "resets before a FIN disappear"),
        "on the host that resets: nstat -az TcpExtTCPAbortOnData TcpExtTCPAbortOnClose TcpExtTCPAbortOnTimeout",
    ]


def _finding(summary: Summary, service: Service, before: str) -> Finding:
    ended, after = service.tally("close", "reset"), service.tally("close", "reset_after_fin")
    empty = without_a_byte(service)
    by = resets_by(service)
    described = ", ".join(f"{count(number)} {key.replace('_', ' ')}" for key, number in by.items())
    return Finding(
        code=CODE,
        name=NAME,
        severity=_severity(service, ended, empty),
        title=(
            f"{count(ended)} of {count(service.connections)} connections from {service.clients} to {service} "
            "ended by a reset "
            f"{before} ({share(ended, service.connections)})"
            + (f"; {count(after)} more met one after a FIN" if after else "")
            + (f"; resets by sender and kind: {described}" if described else "")
            + (f"; {_how_many(empty, ended)} carried no byte, as TCP health checks do" if empty else "")
        ),
        numbers={
            "service": str(service),
            "clients": service.clients,
            "connections": ended,
            "all_connections": service.connections,
            "resets_after_fin": after,
            **({"without_a_byte": empty} if empty else {}),
            **{f"resets_{key.replace(' ', '_')}": number for key, number in by.items()},
        },
        evidence=evidence_of(summary, service.exemplars("abort", "reset_client", "reset_server"), "it meets a reset"),
        remedy=list(_cures(service, ended, empty)),
        verify=_verify(checks=empty == ended),
        do_not=[] if empty == ended else [advice.NO_LINGER],
        basis="observed: by form, sequence number and order of the resets",
    )
