"""What a handshake that could be spared costs: the one scale that several rules share."""

from __future__ import annotations

from pcapwatch.report.model import Severity

NOTICE_PER_S = 10
WARNING_PER_S = 100


def by_rate(per_s: float) -> Severity:
    """Info; notice from 10 and warning from 100 per second."""
    if per_s >= WARNING_PER_S:
        return "warning"
    return "notice" if per_s >= NOTICE_PER_S else "info"
