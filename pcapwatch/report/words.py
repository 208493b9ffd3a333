"""How instants, names and shares are written in every renderer; figures are `pcapwatch.findings.wording`'s."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Literal, NamedTuple

from pcapwatch.findings.wording import count, endpoint

SECOND_NS = 1_000_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Clock(NamedTuple):
    """How instants are shown: ``utc``, ``local`` or ``relative`` to ``zero_ns``, the first packet; ``unknown``: not."""

    style: Literal["utc", "local", "relative", "unknown"] = "utc"
    zero_ns: int = 0

    @classmethod
    def of(cls, first_ns: int | None, style: Literal["utc", "local", "relative"] = "utc") -> Clock:
        """The clock of a capture whose first packet has that time; without one, its packets have no times."""
        return cls("unknown") if first_ns is None else cls(style, first_ns)

    def instant(self, ns: int) -> str:
        """``2026-11-20 19:23:45.123456789 UTC``, or its offset instead of UTC, or ``+3.400000000 s``."""
        if self.style == "unknown":
            return "time unknown"
        if self.style == "relative":
            return f"{signed_seconds(ns - self.zero_ns, 9)} s"
        whole, fraction = divmod(ns, SECOND_NS)
        moment = _EPOCH + timedelta(seconds=whole)
        zone = "UTC"
        if self.style == "local":
            moment = moment.astimezone()
            zone = moment.strftime("%z")
        return f"{moment:%Y-%m-%d %H:%M:%S}.{fraction:09d} {zone}"

    def offset(self, ns: int) -> str:
        """``+3.4 s`` since the first packet; ``+7.62 ms`` where tenths of a second would all read ``+0.0 s``."""
        if self.style == "unknown":
            return "an unknown time"
        since_ns = ns - self.zero_ns
        if 0 < since_ns < SECOND_NS // 10:
            return f"+{bare_duration(since_ns)}"
        return f"{signed_seconds(since_ns, 1)} s"


def iso(ns: int) -> str:
    """RFC 3339 with nanoseconds, ``2026-11-20T19:23:45.123456789Z``."""
    whole, fraction = divmod(ns, SECOND_NS)
    return f"{_EPOCH + timedelta(seconds=whole):%Y-%m-%dT%H:%M:%S}.{fraction:09d}Z"


def signed_seconds(ns: int, digits: int) -> str:
    """``+0.000179``, exactly (no floating point), cut after ``digits`` decimals."""
    whole, fraction = divmod(abs(ns), SECOND_NS)
    return f"{'-' if ns < 0 else '+'}{whole}.{fraction:09d}"[: -(9 - digits) or None]


def percent(part: int, whole: int) -> str:
    """``99.6 %``, short enough for a column; ``<0.1 %`` and ``>99.9 %`` where rounding would lie."""
    if not part or not whole:
        return "0"
    if part >= whole:
        return "100 %"
    value = 100 * part / whole
    return "<0.1 %" if value < 0.1 else ">99.9 %" if value >= 99.95 else f"{value:.1f} %"


def band(pair: tuple[int, int]) -> str:
    """``13,430``, or ``12-15`` where least and most differ."""
    low, high = pair
    return count(low) if low == high else f"{count(low)}-{count(high)}"


def who(client: str | None, clients: int) -> str:
    """A client, or how many."""
    return client or (f"{count(clients)} clients" if clients > 1 else "other clients")


def leg(client: str | None, clients: int, server: str | None, port: int) -> tuple[str, str]:
    """The two ends of a row, ``10.2.0.1`` and ``10.2.0.20:80``."""
    return who(client, clients), endpoint(server, port)


def bare_duration(ns: int) -> str:
    """Seconds with the digits that matter: ``60 s``, ``65.2 s``, ``0.64 s``; ``179 µs`` below a millisecond."""
    for size, unit in ((SECOND_NS, "s"), (1_000_000, "ms"), (1_000, "µs")):
        if abs(ns) >= size or (unit == "s" and abs(ns) >= 100_000_000):
            value = ns / size
            digits = 3 if abs(value) < 1 else 2 if abs(value) < 10 else 1 if abs(value) < 100 else 0
            return f"{value:.{digits}f}".rstrip("0").rstrip(".") + f" {unit}" if digits else f"{value:.0f} {unit}"
    return f"{ns} ns"
