"""A live capture from Python: advance it, ask how it stands, conclude it. It knows no terminal."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from pcapwatch.analysis import ladders, report_of
from pcapwatch.errors import CaptureError, UsageError
from pcapwatch.live.moment import Counters, Moment, parse_counters
from pcapwatch.settings import Settings

if TYPE_CHECKING:
    from pcapwatch.analysis import Report
    from pcapwatch.host.truth import HostRecord
    from pcapwatch.host.watch import HostWatch

#: A closed connection is remembered for so long after its last packet: the longest TIME_WAIT of any stack is 240 s, so
#: that every reuse that can end one is seen, and a busy host's tables stay small.
IDLE_EXPIRY = "300s"

#: The ring hands packets over in blocks, some ten milliseconds late: what the kernel had acted upon when it was read
#: has reached the engine after so long.
BEHIND_S = 0.1


#: A report that took longer to make says how old it is.
OLD_S = 1.0


class Session:
    """One capture while it happens; a context manager that ends it.

    source: what is captured, as the user named it; settings: as of `analyze`. A closed connection is forgotten after
    ``idle_expiry``, 300 s unless it is set: a 4-tuple that comes again later is a new connection that reuses none.
    """

    def __init__(self, engine: Any, source: str, settings: Settings, host: HostWatch | None = None) -> None:
        """``engine``: an ``_engine.Live``; ``host``: a ``HostWatch`` of the machine that captures, if it is watched."""
        self.source, self.settings, self.host = source, settings, host
        self.failure: CaptureError | None = None
        #: What right this process had to keep for reading, and why.
        self.kept_right: str | None = None
        self._engine = engine
        self._latest: Any = None
        self._concluded: Report | None = None
        #: When the engine was asked for the latest report, of the monotonic clock; how long it had been silent then.
        self._asked_s = self._silent_s = 0.0
        #: Packets that had come, and since when that is known.
        self._heard = (0, time.monotonic())

    def __enter__(self) -> Self:
        """Itself; the capture has begun already."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends what was not concluded."""
        if self.host is not None:
            self.host.close()
        self._engine = None

    def advance(self, seconds: float) -> bool:
        """Let it go on for so long; ``False``, at once, when the source is over.

        ``CaptureError`` if it failed before anything came; later that is `failure`, and what came is to be concluded.
        """
        try:
            return bool(self._asked(self._engine.run, seconds))
        except CaptureError as error:
            if not self.counters.packets:
                raise
            self.failure = error
            return False

    @property
    def counters(self) -> Counters:
        """As they are now."""
        counters = parse_counters(json.loads(self._engine.counters_json()))
        if counters.packets != self._heard[0]:
            self._heard = counters.packets, time.monotonic()
        return counters

    def report(self) -> Report:
        """What `analyze` would say if the capture ended now; it goes on meanwhile."""
        hosts = self._hold()
        packets, self._asked_s = self.counters.packets, time.monotonic()
        self._latest = self._asked(self._engine.snapshot)
        self._silent_s = self._asked_s - self._heard[1] if packets else 0.0
        return report_of(self._latest, self.settings, hosts, draw=False)

    def _hold(self, *, at_once: bool = False) -> list[HostRecord]:
        """The kernel's tables for the engine, as new as their cost allows; what is to be said of the host beside them.

        at_once: as of now, whatever that costs. What is held against an older table goes on being held against it.
        """
        if self.host is None:
            return []
        if at_once or self.host.is_due():
            began_s = time.thread_time()
            with suppress(OSError):  # a namespace that is gone has no newer tables
                self.host.sample()
            # Wait for packets that are on their way; that costs nothing.
            self.advance(BEHIND_S)
            self._engine.hold_against(self.host.tables_json())
            self.host.note_cost(time.thread_time() - began_s)
        return list(self.host.records())

    def moment(self, previous: Counters | None) -> Moment:
        """The present: counters and the report so far."""
        # Of the processor, not of the clock: on a busy machine waiting for it is no load, and figures would become old.
        began_s = time.thread_time()
        report = self.report()
        took_s, asked = time.monotonic() - self._asked_s, datetime.now(UTC)
        host = self.host.moment(report) if self.host is not None else None
        cost_s = time.thread_time() - began_s
        reported = asked - timedelta(seconds=took_s) if took_s >= OLD_S else None
        now = datetime.now(UTC)
        return Moment(now, self.source, self.counters, previous, report, host, reported, cost_s, self._silent_s)

    def ladder(self, connection: int) -> dict[str, Any] | None:
        """A connection of the latest `report` packet by packet; ``None`` if its packets are gone."""
        if self._latest is None:
            return None
        drawn = ladders(self._latest, [connection], full_urls=self.settings.full_urls)
        return drawn[0] if drawn and drawn[0]["rows"] else None

    def conclude(self) -> Report:
        """Stop, and the report of everything; the same again when it is asked for again."""
        if self._concluded is None:
            hosts = self._hold(at_once=True)
            self._latest = self._asked(self._engine.finish)
            try:
                self._concluded = report_of(self._latest, self.settings, hosts)
            except CaptureError as error:
                # The packets are gone by now; what they told is not.
                self._concluded = report_of(self._latest, self.settings, hosts, draw=False)
                self.failure = self.failure or error
        return self._concluded

    def write_packets(self, path: str | os.PathLike[str]) -> int:
        """The packets of the latest `report` that are still to be had, as a pcapng file; says how many. ``OSError``."""
        return int(self._latest.write_packets(path, self.settings.filter)) if self._latest is not None else 0

    @staticmethod
    def _asked(question: Any, *arguments: Any) -> Any:
        from pcapwatch import _engine

        try:
            return question(*arguments)
        except _engine.SourceError as error:
            raise CaptureError(str(error)) from None


def open_stream(
    paths: Sequence[str | os.PathLike[str]],
    settings: Settings,
    *,
    follow: bool = False,
    most_packets: int | None = None,
    drop_privileges: bool = False,
    user: str | None = None,
) -> Session:
    """Files, or ``-`` for a pipe, as they come, at most ``most_packets``; with ``follow`` the last file may grow.

    drop_privileges, user: as of `open_interface`; what reading the files takes is kept (`Session.kept_right`).
    """
    from pcapwatch import _engine
    from pcapwatch.live.rights import give_up

    named = [os.fspath(path) for path in paths]
    kept = give_up(user, named) if drop_privileges else None
    engine = _engine.Live.open_stream(named, settings.to_engine(), follow, most_packets)
    session = Session(engine, ", ".join(named), settings)
    session.kept_right = kept
    return session


@dataclass(frozen=True, slots=True)
class RingOptions:
    """How an interface is captured.

    interface: its name, ``any`` for all; snaplen: most bytes kept of a packet; ring_bytes: where packets wait for the
    engine; promiscuous: packets for other hosts too; fanout: ``{"group": N, "mode": "hash"}`` shares the packets with
    other processes; netns: network namespace by name or path.
    """

    interface: str
    snaplen: int = 262_144
    ring_bytes: int = 64 << 20
    promiscuous: bool = True
    fanout: dict[str, Any] | None = None
    netns: str | None = None


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """Where packets are kept: files of ``rotate_bytes`` each (0: one file), the newest ``keep`` of them (0: all)."""

    folder: str
    rotate_bytes: int = 0
    keep: int = 0


def open_interface(
    options: RingOptions,
    settings: Settings,
    *,
    write: WriteOptions | None = None,
    most_packets: int | None = None,
    watch_host: bool = False,
    drop_privileges: bool = False,
    user: str | None = None,
) -> Session:
    """An interface of this machine; ``CaptureError`` says what is missing. Where there is no ring, by scapy's socket.

    watch_host: lay what the kernel of the host (or namespace) tells beside the wire; drop_privileges: give up every
    right of this process once all is open: for a program of its own, not for a library in another's; user: who to be
    then, by name, where root would stay root.
    """
    from pcapwatch import _engine
    from pcapwatch.live.fed import is_elsewhere, open_fed
    from pcapwatch.live.interfaces import filter_options

    if is_elsewhere():
        rights = (user,) if drop_privileges else None
        return open_fed(options, settings, asdict(write) if write else None, most_packets, rights)
    ring = {**asdict(options), **filter_options(settings.filter, options.interface, options.netns)}
    files = {**asdict(write), "interface": options.interface, "filter": settings.filter} if write else None
    wanted = {"ring": ring, "write": files, "drop_privileges": drop_privileges, "user": user}
    try:
        json.dumps(wanted, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        message = "names of interfaces, users and files to write must be UTF-8 here: give it another name"
        raise UsageError(message) from None
    host = _watched(options.netns) if watch_host else None
    if host is not None:  # its port range from the beginning; its tables are replaced with every answer
        settings = replace(settings, host_snapshot=host.first, watched_hosts=tuple(host.addresses))
    try:
        engine = _engine.Live.open_interface(json.dumps(wanted), settings.to_engine(), most_packets)
    except _engine.SourceError as error:
        raise CaptureError(str(error)) from None
    return Session(engine, options.interface, settings, host)


def _watched(netns: str | None) -> HostWatch:
    from pcapwatch.host.watch import HostWatch

    return HostWatch(netns)
