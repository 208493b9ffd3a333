"""How figures read in a finding: thousands separated, units after a space, no rounding that changes the meaning."""

from __future__ import annotations

from collections.abc import Sequence

from pcapwatch.summary import CaptureFacts


def count(number: int) -> str:
    """``219265`` as ``219,265``."""
    return f"{number:,}"


def mean(number: float) -> str:
    """A mean or a rate: whole when it is whole or large, else two to three digits (``14,331``, ``1.04``, ``0.25``)."""
    if number >= 100 or number == round(number):
        return f"{round(number):,}"
    return f"{number:.1f}" if number >= 10 else f"{number:.2f}"


def requests_each(number: float) -> str:
    """Mean requests per connection in words; none where only the answers were captured."""
    if not number:
        return "no request of them captured"
    return "one request per connection" if number == 1 else f"{mean(number)} requests per connection"


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """``1 connection``, ``2 connections``."""
    return f"{count(number)} {noun if number == 1 else plural or noun + 's'}"


def share(part: int, whole: int) -> str:
    """``part`` of ``whole`` in percent; ``100 %`` only if it is all of it, ``0 %`` only if it is none."""
    if not whole or not part:
        return "0 %"
    if part >= whole:
        return "100 %"
    percent = 100 * part / whole
    if percent >= 99.95:
        return "over 99.9 %"
    if percent < 0.05:
        return "under 0.1 %"
    return f"{percent:.1f} %"


def duration(ns: int) -> str:
    """Nanoseconds in the unit that reads best, three digits: ``5.00 s``, ``179 µs``, ``2.50 ms``."""
    for size, unit in ((1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "µs")):
        if abs(ns) >= size:
            value = ns / size
            return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f} {unit}"
    return f"{ns} ns"


def endpoint(address: str | None, port: int | str) -> str:
    """``10.0.0.1:80`` or ``[2001:db8::1]:80``."""
    if address is None:
        return "other services"
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def listed(items: Sequence[str], limit: int = 3) -> str:
    """``a, b and c``; beyond ``limit`` the rest is a number."""
    shown = list(items[:limit])
    if len(items) > limit:
        shown.append(f"{count(len(items) - limit)} more")
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}" if shown else ""


def no_packets(capture: CaptureFacts) -> str:
    """Why there is nothing to look at: the capture is empty, or its packets do not match the filter."""
    held_back = sum(file["packets"] for file in capture["files"])
    if held_back:
        return f"the filter matched 0 of {counted(held_back, 'packet')}"
    return "the capture holds no packets"
