"""Who closed each TCP connection in a capture, how long TIME_WAIT lasted, what Connection: close had to do with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pcapwatch.errors import CaptureError, OutputError, PcapwatchError, UsageError
from pcapwatch.report.model import Evidence, Finding
from pcapwatch.settings import Settings

if TYPE_CHECKING:
    from pcapwatch.analysis import Report, analyze

__all__ = [
    "CaptureError",
    "Evidence",
    "Finding",
    "OutputError",
    "PcapwatchError",
    "Report",
    "Settings",
    "UsageError",
    "analyze",
]


def __getattr__(name: str) -> Any:
    """`analyze` and `Report` bring the engine and the rules with them, so they come when first used."""
    if name in {"analyze", "Report"}:
        from pcapwatch import analysis

        return getattr(analysis, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
