"""Server-side TIME_WAIT from announced close

What it detects
    The server closes first because a message said that the connection would not persist: Connection: close from
    either side, or HTTP/1.0 without keep-alive (RFC 9112 §9.3, §9.6). Fires when that is so for at least half of a
    service's HTTP connections.

Why it matters
    The side that closes first holds the TIME_WAIT, so the server's table fills. By itself that is normal: the sockets
    hold the server's port, no ephemeral port, and some 256 bytes each on Linux. The cost is a handshake per
    connection, hence the severity follows the rate: info, notice from 10 and warning from 100 such closes per second.

Evidence
    The close is the server's when the client's FIN acknowledges the server's FIN, whatever the order in the capture.
    The announcement is read from the messages' version and Connection header.

When it is wrong
    One-shot clients (a health check, a cron job) have nothing to keep open. Behind a proxy this is the proxy's leg:
    its own clients may well be kept alive.

Remedy
    Let the side that announces close stop doing so. Sysctls of TIME_WAIT change nothing here.
"""

from __future__ import annotations

from collections.abc import Iterator

from pcapwatch.findings import advice
from pcapwatch.findings.assumptions import Assumptions, time_wait_of
from pcapwatch.findings.evidence import evidence_of
from pcapwatch.findings.http10_upstream import asks_http10_close
from pcapwatch.findings.service import Service, services
from pcapwatch.findings.severity import by_rate
from pcapwatch.findings.wording import count, mean, requests_each, share
from pcapwatch.report.model import Finding
from pcapwatch.summary import PairFacts, Summary

CODE = "PW101"
NAME = "server-time-wait-from-announced-close"

ANNOUNCERS = ("client", "server", "both")
_WHO = {
    "client": "the client asks for it",
    "server": "the server says so",
    "both": "the client asks for it and the server's responses repeat it",
}


def check(summary: Summary, assumptions: Assumptions) -> Iterator[Finding]:
    """One finding per service whose server closes as announced."""
    for service in services(summary):
        if concerned := service.narrowed(_mostly_announced):
            yield _finding(summary, concerned)


def _mostly_announced(pair: PairFacts) -> bool:
    closes = announced_closes(_alone(pair))
    return closes > 0 and 2 * closes >= pair["http"]["connections"]


def announced_closes(service: Service) -> int:
    """HTTP connections that the server closed as announced, less those that reached a maximum of two or more.

    HTTP/1.0 without keep-alive announces by its version, so there a close without the header counts as well.
    """
    at_limit = [facts["max_requests"] for facts in service.http_facts]
    limited = sum(limit["connections"] for limit in at_limit if limit and limit["requests"] > 1)
    by_version = [facts for facts in map(_alone, service.pairs) if _by_version(facts)]
    unsaid = sum(facts.closed_after(["none"], "server") for facts in by_version)
    return max(service.closed_after(ANNOUNCERS, "server") + unsaid - limited, 0)


def announcer_of(service: Service) -> str:
    """Whose message ends most connections: the client's where its requests do not persist, whatever is answered."""
    if service.ends_at_once("request"):
        return "both" if service.ends_at_once("response") else "client"
    if service.ends_at_once("response"):
        return "server"
    return max(ANNOUNCERS, key=lambda side: service.closed_after([side], "server"))


def _alone(pair: PairFacts) -> Service:
    return Service("", 0, (pair,))


def _by_version(service: Service) -> bool:
    """Whether at least half of one side's messages are HTTP/1.0 without a Connection header."""
    sides = ("request", "response")
    return any(2 * service.messages(side, "HTTP/1.0", "none") >= service.messages(side) > 0 for side in sides)


def _finding(summary: Summary, service: Service) -> Finding:
    closes, connections = announced_closes(service), service.http("connections")
    per_s = service.per_s(closes)
    by = {side: service.closed_after([side], "server") for side in ANNOUNCERS}
    announcer = announcer_of(service)
    waits = time_wait_of(summary, service.server)
    return Finding(
        code=CODE,
        name=NAME,
        severity=by_rate(per_s),
        title=(
            f"{service} closes first on {count(closes)} of {count(connections)} HTTP connections "
            f"({share(closes, connections)}) from {service.clients}, because {_WHO[announcer]}: "
            f"{requests_each(service.requests_each)}, {mean(per_s)} such closes per second"
        ),
        numbers={
            "service": str(service),
            "clients": service.clients,
            "connections": closes,
            "http_connections": connections,
            **{f"announced_by_{side}": number for side, number in by.items()},
            "requests_per_connection": round(service.requests_each, 2),
            "closes_per_s": round(per_s, 2),
            **({"time_wait_peak_min": waits["peak"][0], "time_wait_peak_max": waits["peak"][1]} if waits else {}),
        },
        evidence=evidence_of(
            summary, service.exemplars("announced_close", "closed_by_server"), "the server closes first"
        ),
        remedy=_remedy(service, announcer),
        verify=[
            advice.again(CODE, f"requests per connection rise from {mean(service.requests_each)}"),
            f"on {service.server}: {advice.count_time_waits(service.server_port, 'sport')}",
        ],
        do_not=advice.NOT_FOR_SERVER,
        basis=(
            "observed: closers by acknowledgment, announcements by header; numbers of TIME_WAITs are bounds "
            "from a model"
        ),
    )


def _remedy(service: Service, announcer: str) -> list[str]:
    if announcer == "server":
        return advice.server_hints(service.texts("server_software"))
    if asks_http10_close(service):
        return [advice.NGINX_UPSTREAM, advice.OTHER_PROXY]
    return advice.client_hints(service.texts("user_agents"))
