"""CLOSE_WAIT dwell: the application did not close

What it detects
    One side closed and the other followed a second or more later, as the median of two or more such connections of a
    client. Connections still half-closed when the capture ends are counted beside them.

Why it matters
    The late side sits in CLOSE_WAIT with a descriptor each; the early side sits in FIN_WAIT_2. No kernel timer ends
    CLOSE_WAIT: the application has to close.

Evidence
    First FIN of one side to first FIN of the other.

When it is wrong
    A half-close can be meant: the other side may still be sending. A pool that notices a close at its next use
    (Python requests) dwells here harmlessly until then.

Remedy
    Close the socket when a read returns end of stream.
"""

from __future__ import annotations

from collections.abc import Iterator

from pcapwatch.findings import advice
from pcapwatch.findings.assumptions import SECOND_NS, Assumptions
from pcapwatch.findings.evidence import evidence_of
from pcapwatch.findings.service import Service, services
from pcapwatch.findings.wording import count, counted, duration
from pcapwatch.report.model import Finding
from pcapwatch.summary import PairFacts, Summary

CODE = "PW111"
NAME = "close-wait-dwell"

DWELL_NS = SECOND_NS
#: Half-closed connections at the end of a capture from which it is not merely the moment the capture stopped.
MANY = 10


def check(summary: Summary, assumptions: Assumptions) -> Iterator[Finding]:
    """One finding per service with connections left half-closed."""
    for service in services(summary):
        if concerned := service.narrowed(_applies):
            yield _finding(summary, concerned)


def _applies(pair: PairFacts) -> bool:
    dwell = pair["half_close"]
    return bool(dwell and dwell["count"] >= 2 and dwell["p50_ns"] >= DWELL_NS)


def _finding(summary: Summary, service: Service) -> Finding:
    dwells = [pair["half_close"] for pair in service.pairs if pair["half_close"]]
    late, still = sum(dwell["count"] for dwell in dwells), service.tally("close", "half_closed")
    longest, median = max(dwell["max_ns"] for dwell in dwells), max(dwell["p50_ns"] for dwell in dwells)
    port = service.server_port
    by_client = service.tally("active_closer", "client") >= service.tally("active_closer", "server")
    goes_on = summary["capture"]["live"]["goes_on"]
    when = "so far" if goes_on else "at the end of the capture"
    sleeper = str(service) if by_client else service.clients
    return Finding(
        code=CODE,
        name=NAME,
        severity="notice" if late + still >= MANY else "info",
        title=(
            f"{sleeper} left {counted(late, 'connection')} half-closed after the other side's FIN, median "
            f"{duration(median)}, "
            f"longest {duration(longest)}" + (f"; {count(still)} more {when}" if still else "")
        ),
        numbers={
            "service": str(service),
            "clients": service.clients,
            "connections": late + still,
            "half_closed_at_end": still,
            "dwell_median_s": round(median / SECOND_NS, 3),
            "dwell_longest_s": round(longest / SECOND_NS, 3),
        },
        evidence=evidence_of(
            summary,
            service.exemplars("half_closed"),
            "one FIN only " + ("so far" if goes_on else "when the capture ends"),
        ),
        remedy=["application on the late side: close the socket when a read returns end of stream"],
        verify=[f"on the late side: ss -Htanp state close-wait '( sport = :{port} or dport = :{port} )'"],
        do_not=[advice.NO_FIN_TIMEOUT],
        basis="observed: from the first FIN of each side",
    )
