"""The order in which findings are read, and how many of one kind are read out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import groupby

from pcapwatch.findings.wording import count, counted
from pcapwatch.report.model import SEVERITIES, Finding

#: Findings of one code shown one by one; the last says how many more there are.
SHOWN_PER_CODE = 5


def cost(finding: Finding) -> int:
    """Connections concerned."""
    number = finding.numbers.get("connections", 0)
    return number if isinstance(number, int) else 0


def ranked(findings: Iterable[Finding]) -> list[Finding]:
    """Most severe first, then most connections, then code and service; beyond five of a code the rest is a number."""
    by_code = sorted(findings, key=lambda finding: (finding.code, *_weight(finding)))
    shown = [kept for _, group in groupby(by_code, key=lambda finding: finding.code) for kept in _gathered(list(group))]
    return sorted(shown, key=lambda finding: (*_weight(finding), finding.code))


def _weight(finding: Finding) -> tuple[int, int, str]:
    return -SEVERITIES.index(finding.severity), -cost(finding), str(finding.numbers.get("service", ""))


def _gathered(findings: list[Finding]) -> list[Finding]:
    shown, rest = findings[:SHOWN_PER_CODE], findings[SHOWN_PER_CODE:]
    if not rest:
        return shown
    connections = sum(map(cost, rest))
    last = shown[-1]
    more = f"; likewise {count(len(rest))} more (service, client) groups with {counted(connections, 'connection')}"
    numbers = {**last.numbers, "more_groups": len(rest), "more_connections": connections}
    return [*shown[:-1], replace(last, title=last.title + more, numbers=numbers)]
