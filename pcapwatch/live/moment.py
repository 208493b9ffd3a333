"""What is known at one moment of a live capture: counters and a provisional report. Plain data, drawn and exported."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import datetime

    from pcapwatch.analysis import Report
    from pcapwatch.host.watch import HostMoment


#: Counters of what is missing: never hidden.
LOSSES = ("kernel_drops", "ring_losses", "evicted_connections", "interface_down", "written")
#: From here on it is said how long ago the last packet was captured: none comes, or the program is behind.
BEHIND_S = 3.0


@dataclass(frozen=True, slots=True)
class Written:
    """What `--write` has put on the disk.

    unwritten: packets that found no room; error: why nothing is written now, one line; ``None`` while packets are.
    """

    files: int = 0
    bytes: int = 0
    unwritten: int = 0
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Counters:
    """The engine's ``counters_json``: totals since the capture began, so they never fall.

    packets, bytes: analysed (bytes as on the wire); kernel_packets, kernel_drops: the socket's own statistics, ``None``
    where the source does not tell; ring_losses: how often the whole ring was full; evicted_connections: ended early by
    the limit on memory; written: by `--write`; first_ns, last_ns: capture times of the first and the last packet, ns
    since 1970 UTC, ``None`` before any; elapsed_s: since the capture began; interface_down: how often the interface
    went down; connections: seen; tracked_connections: in memory; snapshot_pause_s: how long the last report stopped
    capturing.
    """

    packets: int = 0
    bytes: int = 0
    kernel_packets: int | None = None
    kernel_drops: int | None = None
    ring_losses: int = 0
    evicted_connections: int = 0
    written: Written = Written()
    first_ns: int | None = None
    last_ns: int | None = None
    elapsed_s: float = 0.0
    interface_down: int = 0
    connections: int = 0
    tracked_connections: int = 0
    snapshot_pause_s: float = 0.0


def parse_counters(value: dict[str, Any]) -> Counters:
    """The object of ``counters_json`` as Counters."""
    written = value.get("written") or {}
    return Counters(**{**value, "written": Written(**written)})


@dataclass(frozen=True, slots=True)
class Moment:
    """One moment: ``report`` is what `analyze` would say if the capture ended now; ``host`` is the kernel's own truth.

    at: in UTC; source: what is captured, as the user named it; previous: the counters of the moment before, ``None`` at
    the first; reported: what ``report`` is of, where that is not now: it took long, or the counters alone are new;
    cost_s: processor time that making it took; silent_s: how long no packet had come when ``report`` was made, which is
    of then and not of the last packet.
    """

    at: datetime
    source: str
    counters: Counters
    previous: Counters | None
    report: Report
    host: HostMoment | None = None
    reported: datetime | None = None
    cost_s: float = 0.0
    silent_s: float = 0.0

    @property
    def end_ns(self) -> int:
        """The moment that ``report`` is of, by the clock of the packets; 0 before any."""
        last_ns = self.report.quality.last_ns
        return 0 if last_ns is None else last_ns + int(self.silent_s * 1e9)

    @property
    def age_s(self) -> float:
        """How old the report is."""
        return max((self.at - self.reported).total_seconds(), 0.0) if self.reported else 0.0

    @property
    def behind_s(self) -> float:
        """How long ago the last packet was captured, by this machine's clock; 0 before any, or if that runs behind."""
        last_ns = self.counters.last_ns
        return 0.0 if last_ns is None else max(self.at.timestamp() - last_ns / 1e9, 0.0)

    @property
    def host_age_s(self) -> float | None:
        """How old what the kernel told is; ``None`` where it is not asked."""
        return None if self.host is None else max(self.at.timestamp() - self.host.at_ns / 1e9, 0.0)

    def recounted(self, at: datetime, counters: Counters) -> Moment:
        """A later moment with the same report."""
        return replace(self, at=at, counters=counters, previous=self.counters, reported=self.reported or self.at)

    def kept(self, at: datetime, counters: Counters) -> Moment:
        """The same moment, looked at later: only what was lost is of then."""
        lost = {name: getattr(counters, name) for name in LOSSES}
        return replace(self, at=at, counters=replace(self.counters, **lost), reported=self.reported or self.at)


def clock(seconds: float) -> str:
    """``0:07``, ``12:30``, ``1:02:03``, ``3d 01:02:03``."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days}d {hours:02}:{minutes:02}:{rest:02}"
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
