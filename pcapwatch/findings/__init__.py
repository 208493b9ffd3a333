"""Findings: one rule per file, one flat list of them; from facts to what they mean and what to do."""

from __future__ import annotations

from dataclasses import replace

from pcapwatch.findings import (
    aborts,
    bucket_overflow,
    client_closes_each,
    close_wait,
    http10_upstream,
    idle_timeout,
    keepalive_race,
    max_requests,
    port_pressure,
    server_time_wait,
    stale_reuse,
    unanswered,
)
from pcapwatch.findings.assumptions import Assumptions
from pcapwatch.findings.coverage import overflowed
from pcapwatch.findings.ranking import ranked
from pcapwatch.findings.rule import Rule
from pcapwatch.findings.service import services_made_once
from pcapwatch.report.model import Finding
from pcapwatch.summary import Summary

__all__ = ["RULES", "Assumptions", "Rule", "find"]

#: Every rule, by code. A new one is a new file and a line here.
RULES: tuple[Rule, ...] = (
    server_time_wait,
    http10_upstream,
    client_closes_each,
    idle_timeout,
    max_requests,
    keepalive_race,
    stale_reuse,
    port_pressure,
    aborts,
    unanswered,
    close_wait,
    bucket_overflow,
)


def find(summary: Summary, assumptions: Assumptions | None = None) -> list[Finding]:
    """What every rule finds, most severe first, then by the connections concerned.

    Where pairs were too many to tell apart, every title says that its figures are of the others.
    """
    assumed = assumptions or Assumptions()
    with services_made_once(summary):
        found = ranked(finding for rule in RULES for finding in rule.check(summary, assumed))
    if not overflowed(summary):
        return found
    return [replace(finding, title=f"{finding.title}; figures are of the connections told apart") for finding in found]
