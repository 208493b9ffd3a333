"""Why the side that closes does so: its causes, and the one that accounts for most of its closes, for the verdict."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from pcapwatch.findings.http10_upstream import applies, asks_http10_close, header_of
from pcapwatch.findings.idle_timeout import closes_of, timeout_of
from pcapwatch.findings.service import Endings, Service
from pcapwatch.findings.wording import counted, duration, requests_each

#: Where so few heads of one direction are read, one in so many of the other's, a snaplen that cut packets cut those.
_MOST_CUT = 10


class Cause(NamedTuple):
    """connections: closes it explains; why: completes "X closes first on …"; code: the finding that says more."""

    connections: int
    why: str
    code: str
    remedy: str


def causes_of(service: Service, closer: str, *, proxy: bool = False) -> list[Cause]:
    """Causes of a side's closes, none counted twice, most first; ``proxy``: the clients are proxies.

    Empty if no cause explains at least half of them.
    """
    made = _server_causes(service, proxy=proxy) if closer == "server" else _client_causes(service, proxy=proxy)
    causes = sorted((cause for cause in made if cause.connections > 0), key=lambda cause: -cause.connections)
    closes = service.tally("active_closer", closer)
    return causes if causes and 2 * causes[0].connections >= closes else []


def unknown_why(service: Service, *, cut: bool = False) -> str:
    """Why the cause cannot be named; ``cut``: packets of the capture are cut short."""
    if 2 * service.tally("protocol", "tls") >= service.connections:
        return "why cannot be read: the payload is TLS"
    if not service.http("requests") and not service.http("responses"):
        if not any(word.startswith("http/1") for pair in service.pairs for word in pair["protocol"]):
            where = " in its packets, which are cut short" if cut else ""
            return f"why cannot be read: no HTTP/1.x was recognised{where}"
        what = "the snaplen cut the heads of its HTTP/1.x" if cut else "no head of its HTTP/1.x is whole"
        return f"why cannot be read: {what}"
    requests, responses = service.http("requests"), service.http("responses")
    # Most of those that are not read may be missing for another reason: a server that does not answer.
    answered = any(pair["server_bytes"] for pair in service.pairs) and 2 * service.http("unprocessed") < requests
    if cut and answered and _MOST_CUT * responses < requests:
        return "why cannot be read: the snaplen cut the heads of its responses"
    if cut and _MOST_CUT * requests < responses:
        return "why cannot be read: the snaplen cut the heads of its requests"
    return "the capture shows no cause that explains most of it"


def _server_causes(service: Service, *, proxy: bool) -> Iterator[Cause]:
    endings = service.endings("server")
    yield Cause(endings.silent, "without a response to the request it had", "", "Look at the server: it only closed.")
    yield _asked(service, endings, proxy=proxy)
    yield _told(endings)
    yield _limited(service, endings, "its limit")
    yield from _idle(service)


def _limited(service: Service, endings: Endings, whose: str) -> Cause:
    limits = [facts["max_requests"]["requests"] for facts in service.http_facts if facts["max_requests"]]
    return Cause(endings.limited, f"after {counted(max(limits, default=0), 'request')} each, {whose}", "PW105", "")


def _asked(service: Service, endings: Endings, *, proxy: bool) -> Cause:
    """The server closes because the client's request ends the connection."""
    each = requests_each(endings.asked_requests / max(endings.asked, 1))
    upstream, asking = any(applies(pair) for pair in service.pairs), _asking(service)
    if endings.asked_close > endings.asked_http10 and not upstream:
        why = f"because {asking.clients} {asking.verb('ask')} it to with Connection: close, {each}"
        return Cause(endings.asked, why, "PW101", "Let the client stop sending Connection: close.")
    header = header_of(service)
    why = f"because {asking.clients} {asking.verb('ask')} it to, in HTTP/1.0 {header}, {each}"
    if upstream:
        return Cause(endings.asked, why, "PW102", _upstream_remedy(service, proxy=proxy))
    return Cause(endings.asked, why, "PW101", "Let the client ask for keep-alive.")


def _upstream_remedy(service: Service, *, proxy: bool) -> str:
    """HTTP/1.0 with Connection: close is nginx's own; without a header it may be anybody's."""
    if proxy or asks_http10_close(service):
        return "Give the proxy HTTP/1.1 and upstream keep-alive."
    return "Let the client speak HTTP/1.1 and keep its connections; if it is a proxy, those to this service."


def _asking(service: Service) -> Service:
    """With the clients alone whose requests end connections that the server then closes."""
    return service.narrowed(lambda pair: service._replace(pairs=(pair,)).endings("server").asked > 0) or service


def _told(endings: Endings) -> Cause:
    """The server closes because its response says so."""
    each = requests_each(endings.told_requests / max(endings.told, 1))
    if endings.told_close >= endings.told_http10:
        why = f"as its own responses announce with Connection: close, {each}"
    else:
        why = f"as its own responses are HTTP/1.0 without keep-alive, {each}"
    return Cause(endings.told, why, "PW101", "Enable keep-alive on the server.")


def _idle(service: Service) -> Iterator[Cause]:
    clusters = [cluster for pair in service.pairs if (cluster := timeout_of(pair))]
    if clusters:
        least = min(cluster["timeout_ns"] for cluster in clusters)
        yield Cause(
            sum(map(closes_of, service.pairs)),
            f"after {duration(least)} idle, its keep-alive timeout",
            "PW104",
            f"Clients that come back later should drop idle connections before {duration(least)}.",
        )
    else:
        idle = service.http("reusable_closed_by_server")
        yield Cause(idle, "although the connection could have been used again", "PW104", "")


def _client_causes(service: Service, *, proxy: bool) -> Iterator[Cause]:
    once, endings = service.http("single_request_client_close"), service.endings("client")
    yield Cause(endings.silent, "when no response to its request came", "", "Look at the server: it sent none.")
    keep = (
        "Give the proxy a pool of keep-alive connections to its upstream."
        if proxy
        else "Let it keep a pool of connections."
    )
    yield Cause(
        once,
        "after one request each although both sides allowed keep-alive" if once > 1 else "after its one request",
        "PW103",
        keep if once > 1 else "",
    )
    done = service.http("reusable_closed_by_client") - once
    yield Cause(done, f"when it is done, {requests_each(service.requests_each)}", "", "")
    each = requests_each(endings.asked_requests / max(endings.asked, 1))
    if endings.asked_close >= endings.asked_http10:
        remedy = "Let it stop sending Connection: close."
        yield Cause(endings.asked, f"as its requests announce with Connection: close, {each}", "", remedy)
    else:
        remedy = "Let it ask for keep-alive."
        yield Cause(endings.asked, f"as its requests in HTTP/1.0 without keep-alive announce, {each}", "", remedy)
    each = requests_each(endings.told_requests / max(endings.told, 1))
    told = f"as the server's responses announce with Connection: close, {each}"
    yield Cause(endings.told, told, "", "Enable keep-alive on the server.")
    yield _limited(service, endings, "the server's limit")
