"""Attempts to connect: which came to nothing, and which may have been answered in what the capture lacks."""

from __future__ import annotations

from pcapwatch.findings.coverage import is_one_sided, lacks_acks
from pcapwatch.findings.service import Service
from pcapwatch.summary import Summary

#: Words for how they come to nothing.
WORDS = ("refused", "unanswered", "half_open")
_RESETS = ("refused", "reset", "reset_after_fin")


def failed(summary: Summary, service: Service) -> int:
    """Those of a service that came to nothing for certain.

    Where one direction only was captured that is a refusal alone; where a filter passed no pure acknowledgment, whoever
    had to answer a SYN only once had the client's.
    """
    if is_one_sided(summary):
        return service.tally("close", "refused")
    completed = service.tally("unrepeated", "half_open") if lacks_acks(summary) else 0
    return service.tally("close", *WORDS) - completed


def hidden(summary: Summary, service: Service) -> int:
    """Those whose answer, or its acknowledgment, may be in what is missing."""
    return service.tally("close", *WORDS) - failed(summary, service)


def doubt(summary: Summary, service: Service) -> str:
    """What leaves the same packets as a service that does not answer, to be put behind that: most SYNs came once.

    So do clients that give up within a second. Other packets beside deny no filter: `icmp or tcp-syn` passes them, too.
    """
    silent, once = service.tally("close", "unanswered"), service.tally("unrepeated", "unanswered")
    if 2 * once <= silent:
        return ""
    totals = summary["totals"]
    if totals["close"].get("unanswered", 0) == totals["connections"]:
        return ", unless a filter kept SYNs alone (most were sent once)"
    if lacks_acks(summary) and not any(totals["close"].get(word, 0) for word in _RESETS):
        return ", unless a filter left the resets that refused them out (most were sent once)"
    return ""
