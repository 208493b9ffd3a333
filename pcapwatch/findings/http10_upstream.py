"""HTTP/1.0 towards an upstream

What it detects
    At least half of a client's requests to a service are HTTP/1.0 that does not persist: with Connection: close
    (nginx before 1.29.7 in its default) or without a Connection header (nginx where only proxy_set_header Connection
    "" was set, or an old client). A benchmark that says it is ApacheBench and sends no Connection header is left out.

Why it matters
    HTTP/1.0 without keep-alive ends after each response (RFC 9112 §9.3): a TCP handshake per request, added latency,
    and a TIME_WAIT per request on the upstream, which closes first.

Evidence
    The version and the Connection header of the requests; requests per connection.

When it is wrong
    Health checks speak HTTP/1.0 on purpose; they are few. A client that is no proxy but simply old looks the same.

Remedy
    A proxy: HTTP/1.1 and a keep-alive pool towards the upstream. Without a Connection header it may as well be a plain
    client: then what that client needs comes first.
"""

from __future__ import annotations

from collections.abc import Iterator

from pcapwatch.findings import advice
from pcapwatch.findings.assumptions import Assumptions
from pcapwatch.findings.evidence import evidence_of
from pcapwatch.findings.service import Service, services
from pcapwatch.findings.severity import by_rate
from pcapwatch.findings.wording import count, mean, requests_each, share
from pcapwatch.report.model import Finding
from pcapwatch.summary import PairFacts, Summary

CODE = "PW102"
NAME = "http10-upstream"

HTTP10 = "HTTP/1.0"


def check(summary: Summary, assumptions: Assumptions) -> Iterator[Finding]:
    """One finding per service that is asked in HTTP/1.0."""
    for service in services(summary):
        if concerned := service.narrowed(applies):
            yield _finding(summary, concerned)


def applies(pair: PairFacts) -> bool:
    """Whether at least half of the requests are HTTP/1.0 that does not persist, and not a benchmark's by name."""
    service = Service("", 0, (pair,))
    requests, unmarked = service.messages("request"), service.messages("request", HTTP10, "none")
    if pair["http"]["user_agents"] and all(text.startswith("ApacheBench/") for text in pair["http"]["user_agents"]):
        unmarked = 0
    asked = service.messages("request", HTTP10, "close") + unmarked
    return asked > 0 and 2 * asked >= requests


def asks_http10_close(service: Service) -> bool:
    """Whether at least half of the requests are HTTP/1.0 with Connection: close, as nginx before 1.29.7 sends them."""
    asked = service.messages("request", HTTP10, "close")
    return asked > 0 and 2 * asked >= service.messages("request")


def header_of(service: Service) -> str:
    """What the requests in HTTP/1.0 say that ends their connections, or leave out."""
    marked, unmarked = (service.messages("request", HTTP10, word) for word in ("close", "none"))
    if marked and unmarked:
        return "with Connection: close or without keep-alive"
    return "with Connection: close" if marked else "without keep-alive"


def _finding(summary: Summary, service: Service) -> Finding:
    marked = service.messages("request", HTTP10, "close")
    asked, requests = marked + service.messages("request", HTTP10, "none"), service.messages("request")
    per_s = service.per_s(asked)
    plain = [] if asks_http10_close(service) else advice.client_hints(service.texts("user_agents"))
    header = header_of(service)
    return Finding(
        code=CODE,
        name=NAME,
        severity=by_rate(per_s),
        title=(
            f"{service.clients} {service.verb('ask')} {service} in HTTP/1.0 {header}: {count(asked)} of "
            f"{count(requests)} requests ({share(asked, requests)}), {requests_each(service.requests_each)}, "
            f"{service.pace(asked)}"
        ),
        numbers={
            "service": str(service),
            "clients": service.clients,
            "connections": service.http("connections"),
            "requests": requests,
            "http10_requests": asked,
            "http10_requests_with_close": marked,
            "requests_per_connection": round(service.requests_each, 2),
            "requests_per_s": round(per_s, 2),
        },
        evidence=evidence_of(summary, service.exemplars("http10"), "requests in HTTP/1.0"),
        remedy=[*plain, advice.NGINX_UPSTREAM, advice.OTHER_PROXY],
        verify=[
            advice.again(CODE, f"requests per connection rise from {mean(service.requests_each)}"),
            "nginx -T | grep -nE 'proxy_http_version|proxy_set_header +Connection|keepalive'",
        ],
        do_not=advice.NOT_FOR_SERVER,
        basis="observed: versions and headers as sent; that the client is a proxy is inferred from them",
    )
