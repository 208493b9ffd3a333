"""Client closes after every request though both sides allowed keep-alive

What it detects
    A client opens connection after connection to the same service, sends one request on each and closes first,
    although both messages let the connection persist. Fires from two such connections of one client, when they are at
    least half of its HTTP connections and follow each other closely enough to be reused (their mean distance is below
    the server's idle timeout: inferred, else announced, else 60 s).

Why it matters
    A handshake per request, and here the client holds the TIME_WAITs: each keeps one of its ephemeral ports from
    being used towards this service (see PW108 for how near the limit is).

Evidence
    Connections with exactly one request, both messages persistent by RFC 9112 §9.3, closed first by the client.

When it is wrong
    Requests sent at the same moment need separate connections in HTTP/1.1. Separate processes (a shell loop around
    curl) cannot share one. That the client is a proxy is inferred where its requests carry no Via or X-Forwarded-For:
    it serves HTTP itself in the capture, or another service was asked the same by the same User-Agents.

Remedy
    One long-lived client object with a pool; a proxy needs keep-alive to its upstream (nginx: keepalive in upstream).
"""

from __future__ import annotations

from collections.abc import Iterator

from pcapwatch.findings import advice
from pcapwatch.findings.assumptions import SECOND_NS, Assumptions
from pcapwatch.findings.evidence import evidence_of
from pcapwatch.findings.proxy_leg import client_hints, kind_of
from pcapwatch.findings.service import Service, services
from pcapwatch.findings.severity import by_rate
from pcapwatch.findings.wording import count, mean, share
from pcapwatch.report.model import Finding
from pcapwatch.summary import PairFacts, Summary

CODE = "PW103"
NAME = "client-closes-after-every-request"

ASSUMED_IDLE_NS = 60 * SECOND_NS


def check(summary: Summary, assumptions: Assumptions) -> Iterator[Finding]:
    """One finding per service whose clients throw away reusable connections."""
    for service in services(summary):
        if concerned := service.narrowed(lambda pair, service=service: _applies(service, pair)):  # type: ignore[misc]
            yield _finding(summary, concerned)


def _applies(service: Service, pair: PairFacts) -> bool:
    closes = pair["http"]["single_request_client_close"]
    if closes < 2 or 2 * closes < pair["http"]["connections"]:
        return False
    interval_ns = (pair["last_ns"] - pair["first_ns"]) / (closes - 1)
    if interval_ns > SECOND_NS:  # a burst may hide behind a quiet time; below a second a rate is no finer
        interval_ns = min(interval_ns, SECOND_NS / service._replace(pairs=(pair,)).per_s(closes - 1))
    return interval_ns <= idle_allowance_ns(pair)


def idle_allowance_ns(pair: PairFacts) -> int:
    """How long the server would have kept an idle connection: inferred, else announced, else 60 s assumed."""
    if timeout := pair["http"]["idle_timeout"]:
        return timeout["timeout_ns"]
    announced = pair["http"]["announced_timeout_s"]
    return min(announced) * SECOND_NS if announced else ASSUMED_IDLE_NS


def _finding(summary: Summary, service: Service) -> Finding:
    closes, connections = service.http("single_request_client_close"), service.http("connections")
    per_s = service.per_s(closes)
    return Finding(
        code=CODE,
        name=NAME,
        severity=by_rate(per_s),
        title=(
            f"{service.clients}{kind_of(summary, service)} {service.verb('close')} {count(closes)} of "
            f"{count(connections)} HTTP connections to {service} ({share(closes, connections)}) after one request "
            f"although both sides allowed keep-alive, {service.pace(closes)}"
        ),
        numbers={
            "service": str(service),
            "clients": service.clients,
            "connections": closes,
            "http_connections": connections,
            "closes_per_s": round(per_s, 2),
        },
        evidence=evidence_of(
            summary,
            service.exemplars("single_request_client_close"),
            "one request, then the client closes first",
        ),
        remedy=client_hints(summary, service),
        verify=[
            advice.again(CODE, f"requests per connection rise from {mean(service.requests_each)}"),
            f"on {service.clients}: {advice.count_time_waits(service.server_port, 'dport')}",
        ],
        do_not=advice.NOT_FOR_CLIENT,
        basis=(
            "observed: messages, order of close; that the requests could have shared a connection is "
            "inferred from their spacing"
            + ("; that the client is a proxy is inferred" if kind_of(summary, service) else "")
        ),
    )
