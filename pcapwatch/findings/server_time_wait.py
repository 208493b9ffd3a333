"""Server-side TIME_WAIT from announced close

What it detects
    The server closes first because a message said that the connection would not persist: Connection: close from
    either side, or HTTP/1.0 without keep-alive (RFC 9112 §9.3, §9.6). Fires when that is so for at least half of a
    service's HTTP connections.

Why it matters
    The side that closes first holds the TIME_WAIT, so the server's table fills. By itself that is normal: the sockets
    hold the server's port, no ephemeral port, and some 256 bytes each on Linux. The cost is a handshake per
    connection, hence the severity follows the rate of its busiest time, of up to ten seconds: info, notice from 10 and
    warning from 100 such closes per second. A quiet time before or after changes nothing in that.

Evidence
    The close is the server's when the client's FIN acknowledges the server's FIN, whatever the order in the capture.
    Of each connection the last request and the last response decide, by their version and Connection header: where the
    request ends it, it is the client's doing whatever is answered. Closes at a maximum of requests are PW105's.

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
from pcapwatch.findings.proxy_leg import client_hints, kind_of
from pcapwatch.findings.service import Endings, Service, services
from pcapwatch.findings.severity import by_rate
from pcapwatch.findings.wording import count, listed, mean, requests_each, share
from pcapwatch.report.model import Finding
from pcapwatch.summary import PairFacts, Summary

CODE = "PW101"
NAME = "server-time-wait-from-announced-close"


def check(summary: Summary, assumptions: Assumptions) -> Iterator[Finding]:
    """One finding per service whose server closes as announced."""
    for service in services(summary):
        if concerned := service.narrowed(_mostly_announced):
            yield _finding(summary, concerned)


def _mostly_announced(pair: PairFacts) -> bool:
    closes = announced_closes(_alone(pair))
    return closes > 0 and 2 * closes >= pair["http"]["connections"]


def announced_closes(service: Service) -> int:
    """HTTP connections that the server closed as announced, less those that reached a maximum of two or more."""
    endings = service.endings("server")
    return endings.asked + endings.told


def reasons(endings: Endings) -> list[tuple[int, str]]:
    """How many of the closes which message ended, most first."""
    told = (
        (endings.asked_close, "the client asks for it with Connection: close"),
        (endings.asked_http10, "the client asks in HTTP/1.0 without keep-alive"),
        (endings.told_close, "the server's responses say Connection: close"),
        (endings.told_http10, "the server answers in HTTP/1.0 without keep-alive"),
    )
    return sorted(((number, why) for number, why in told if number), key=lambda reason: -reason[0])


def _alone(pair: PairFacts) -> Service:
    return Service("", 0, (pair,))


def _because(endings: Endings) -> str:
    found = reasons(endings)
    if len(found) == 1:
        return found[0][1]
    return listed([f"{why} ({count(number)})" for number, why in found], 4)


def _finding(summary: Summary, service: Service) -> Finding:
    closes = announced_closes(service)
    # Of one that was under way when the capture began the response alone may be there.
    connections = max(service.http("connections"), closes)
    per_s = service.per_s(closes)
    endings = service.endings("server")
    waits = time_wait_of(summary, service.server)
    return Finding(
        code=CODE,
        name=NAME,
        severity=by_rate(per_s),
        title=(
            f"{service} closes first on {count(closes)} of {count(connections)} HTTP connections "
            f"({share(closes, connections)}) from {service.clients}, because {_because(endings)}: "
            f"{requests_each(endings.requests_each)}, {service.pace(closes, ' such closes')}"
        ),
        numbers={
            "service": str(service),
            "clients": service.clients,
            "connections": closes,
            "http_connections": connections,
            "asked_with_close": endings.asked_close,
            "asked_in_http10": endings.asked_http10,
            "told_with_close": endings.told_close,
            "told_in_http10": endings.told_http10,
            "requests_per_connection": round(endings.requests_each, 2),
            "closes_per_s": round(per_s, 2),
            # Of the host, as they are counted: its other services' and its own connections' too.
            **({f"host_time_wait_peak_{at}": waits["peak"][n] for n, at in enumerate(("min", "max"))} if waits else {}),
        },
        evidence=evidence_of(
            summary, service.exemplars("announced_close", "closed_by_server"), "the server closes first"
        ),
        remedy=_remedy(summary, service, endings),
        verify=[
            advice.again(CODE, f"requests per connection rise from {mean(endings.requests_each)}"),
            f"on {service.server}: {advice.count_time_waits(service.server_port, 'sport')}",
        ],
        do_not=advice.NOT_FOR_SERVER,
        basis=(
            "observed: closers by acknowledgment, announcements by header; numbers of TIME_WAITs are bounds "
            "from a model"
        ),
    )


def _may_be_proxy(summary: Summary, service: Service) -> bool:
    """Whether requests of HTTP/1.1 say close, which few clients do by themselves, and nothing shows who they are."""
    asked = service.messages("request", "HTTP/1.1", "close")
    return 2 * asked >= service.messages("request") > 0 and not kind_of(summary, service)


def _remedy(summary: Summary, service: Service, endings: Endings) -> list[str]:
    """For whoever ends connections, first who ends more; a tenth of them is worth a line."""
    client = [advice.NGINX_UPSTREAM, advice.OTHER_PROXY] if asks_http10_close(service) else []
    client = client or [
        *client_hints(summary, service),
        *([advice.IF_PROXY] if _may_be_proxy(summary, service) else []),
    ]
    sides = [(endings.asked, client), (endings.told, advice.server_hints(service.texts("server_software")))]
    sides.sort(key=lambda side: -side[0])
    return [line for number, lines in sides if 10 * number >= endings.asked + endings.told for line in lines]
