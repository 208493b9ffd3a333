"""Why the side that closes does so: the one cause that accounts for most of its closes, for the verdict."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from pcapwatch.findings.http10_upstream import HTTP10, applies
from pcapwatch.findings.idle_timeout import timeout_of
from pcapwatch.findings.server_time_wait import announced_closes, announcer_of
from pcapwatch.findings.service import Service
from pcapwatch.findings.wording import counted, duration, requests_each, share


class Cause(NamedTuple):
    """connections: closes it explains; why: completes "X closes first on …"; code: the finding that says more."""

    connections: int
    why: str
    code: str
    remedy: str


def cause_of(service: Service, closer: str) -> Cause | None:
    """The cause of at least half of a side's closes; ``None`` if the capture shows none."""
    causes = list(_server_causes(service) if closer == "server" else _client_causes(service))
    best = max(causes, key=lambda cause: cause.connections, default=None)
    closes = service.tally("active_closer", closer)
    return best if best and best.connections and 2 * best.connections >= closes else None


def unknown_why(service: Service, *, cut: bool = False) -> str:
    """Why the cause cannot be named; ``cut``: packets of the capture are cut short."""
    if 2 * service.tally("protocol", "tls") >= service.connections:
        return "why cannot be read: the payload is TLS"
    if not service.http("requests") and not service.http("responses"):
        if not any(word.startswith("http/1") for pair in service.pairs for word in pair["protocol"]):
            return "why cannot be read: no HTTP/1.x was recognised" + (", and packets are cut short" if cut else "")
        what = "the snaplen cut the heads of its HTTP/1.x" if cut else "no head of its HTTP/1.x is whole"
        return f"why cannot be read: {what}"
    return "the capture shows no cause that explains most of it"


def _server_causes(service: Service) -> Iterator[Cause]:
    yield _announced(service)
    limits = [facts["max_requests"] for facts in service.http_facts if facts["max_requests"]]
    reached = [limit for limit in limits if limit["requests"] > 1]
    if reached:
        most = max(limit["requests"] for limit in reached)
        limited = sum(limit["connections"] for limit in reached)
        yield Cause(limited, f"after {counted(most, 'request')} each, its limit", "PW105", "")
    yield from _idle(service)


def _announced(service: Service) -> Cause:
    """The closes that a message announced, and whose message it was."""
    closes, each = announced_closes(service), requests_each(service.requests_each)
    if any(applies(pair) for pair in service.pairs):
        return Cause(closes, _asked_in_http10(service), "PW102", "Give the proxy HTTP/1.1 and upstream keep-alive.")
    if 2 * _in_http10(service) >= service.messages("request") > 0:
        return Cause(closes, _asked_in_http10(service), "PW101", "Let the client ask for keep-alive.")
    if announcer_of(service) != "server":
        why = f"because {service.clients} asks it to with Connection: close, {each}"
        return Cause(closes, why, "PW101", "Let the client stop sending Connection: close.")
    if service.messages("response", option="close"):
        why = f"as its own responses announce with Connection: close, {each}"
    else:
        why = f"as its own responses are HTTP/1.0 without keep-alive, {each}"
    return Cause(closes, why, "PW101", "Enable keep-alive on the server.")


def _in_http10(service: Service) -> int:
    return service.messages("request", HTTP10, "close") + service.messages("request", HTTP10, "none")


def _asked_in_http10(service: Service) -> str:
    marked, requests = service.messages("request", HTTP10, "close"), service.messages("request")
    asked = _in_http10(service)
    header = "with Connection: close" if 2 * marked >= asked else "without keep-alive"
    quantity = (
        "every request" if asked == requests and not service.partial else f"{share(asked, requests)} of the requests"
    )
    return (
        f"because {service.clients} asks it to: {quantity} in HTTP/1.0 {header}, {requests_each(service.requests_each)}"
    )


def _idle(service: Service) -> Iterator[Cause]:
    clusters = [cluster for pair in service.pairs if (cluster := timeout_of(pair))]
    if clusters:
        least = min(cluster["timeout_ns"] for cluster in clusters)
        yield Cause(
            sum(cluster["count"] for cluster in clusters),
            f"after {duration(least)} idle, its keep-alive timeout",
            "PW104",
            f"Clients that come back later should drop idle connections before {duration(least)}.",
        )
    else:
        idle = service.http("reusable_closed_by_server")
        yield Cause(idle, "although the connection could have been used again", "PW104", "")


def _client_causes(service: Service) -> Iterator[Cause]:
    once = service.http("single_request_client_close")
    yield Cause(
        once,
        "after one request each although both sides allowed keep-alive" if once > 1 else "after its one request",
        "PW103",
        "Let it keep a pool of connections." if once > 1 else "",
    )
    done = service.http("reusable_closed_by_client") - once
    yield Cause(done, f"when it is done, {requests_each(service.requests_each)}", "", "")
    asked = service.closed_after(["client", "both"], "client")
    yield Cause(
        asked,
        f"as its requests announce with Connection: close, {requests_each(service.requests_each)}",
        "",
        "Let it stop sending Connection: close.",
    )
    told = service.closed_after(["server"], "client")
    yield Cause(
        told,
        f"as the server's responses announce with Connection: close, {requests_each(service.requests_each)}",
        "",
        "Enable keep-alive on the server.",
    )
