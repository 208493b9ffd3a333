"""What the findings of requests that a reset answered share (semantics D4): whom they concern, numbers, evidence."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from pcapwatch.findings import advice
from pcapwatch.findings.assumptions import SECOND_NS
from pcapwatch.findings.evidence import evidence_of
from pcapwatch.findings.idle_timeout import least_timeout_ns
from pcapwatch.findings.service import Service, services
from pcapwatch.findings.wording import count, duration, share
from pcapwatch.report.model import Finding
from pcapwatch.summary import Summary


@dataclass(frozen=True, kw_only=True)
class LostRequests:
    """One way to lose a request on a connection that the server has closed."""

    code: str
    name: str
    #: The counter in a pair's ``http``, and the kind of example.
    counter: Literal["keepalive_races", "stale_reuses"]
    example: str
    #: What happened, of so many requests to a service.
    sentence: Callable[[int, Service], str]
    #: What the ladder shows.
    proof: str
    #: What to change, where the server closes idle connections after this long (None: not known).
    remedy: Callable[[str | None], list[str]]
    #: What another capture must show.
    gone: str

    def findings(self, summary: Summary) -> Iterator[Finding]:
        """One per service that lost a request so."""
        for service in services(summary):
            if concerned := service.narrowed(lambda pair: pair["http"][self.counter] > 0):
                yield self._finding(summary, concerned)

    def _finding(self, summary: Summary, service: Service) -> Finding:
        lost, connections = service.http(self.counter), service.http("connections")
        timeout_ns = least_timeout_ns(service)
        after = duration(timeout_ns) if timeout_ns else None
        known = f"; the server closes idle connections after {after}" if after else ""
        of_all = f"({share(lost, connections)} of {count(connections)} HTTP connections)"
        return Finding(
            code=self.code,
            name=self.name,
            severity="warning",
            title=f"{self.sentence(lost, service)} {of_all}{known}",
            numbers={
                "service": str(service),
                "clients": service.clients,
                "connections": lost,
                "http_connections": connections,
                **({"idle_timeout_s": round(timeout_ns / SECOND_NS, 6)} if timeout_ns else {}),
            },
            evidence=evidence_of(summary, service.exemplars(self.example), self.proof),
            remedy=self.remedy(after),
            verify=[advice.again(self.code, self.gone)],
            do_not=[advice.NO_FIN_TIMEOUT],
            basis="observed: by acknowledgment numbers",
        )
