"""The host's kernel watched while its packets are captured: sampled again and again, the newest beside the wire."""

from __future__ import annotations

import json
import time
from types import TracebackType
from typing import NamedTuple

from pcapwatch.host.model import Snapshot
from pcapwatch.host.reader import Reader
from pcapwatch.host.truth import HostRecord, tables
from pcapwatch.report.model import PortRange, Report

#: Samples may take at most this share of the time.
SHARE = 0.05


class HostMoment(NamedTuple):
    """The newest sample, in numbers. Fields as in `HostTruth`; sockets in TIME_WAIT by the kernel and by the wire."""

    name: str
    at_ns: int
    time_waits: int
    wire: tuple[int, int] | None
    both: int
    only_kernel: dict[str, int]
    only_wire: dict[str, int]
    buckets: int | None
    overflows: int | None
    ports: PortRange | None
    states: dict[str, int]


class HostWatch:
    """Reads one host, or one namespace of it. Everything is opened at once, so that no right is needed afterwards.

    It keeps two samples, the first and the newest, however long it watches.
    """

    def __init__(self, netns: str | None = None, *, sock_diag: bool = True) -> None:
        """``UsageError`` where there is no such kernel or namespace."""
        self._reader = Reader(netns, sock_diag=sock_diag)
        self.first: Snapshot = self._reader.snapshot()
        self.latest: Snapshot = self.first
        self._due_s = 0.0

    def __enter__(self) -> HostWatch:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """No more samples; those taken stay."""
        self._reader.close()

    @property
    def addresses(self) -> list[str]:
        """The host's own, for the engine's ``watched_hosts``."""
        return list(self.latest.addresses)

    def sample(self) -> Snapshot:
        """Read the kernel now. ``OSError`` if it refuses what it allowed before."""
        self.latest = self._reader.snapshot()
        return self.latest

    def is_due(self) -> bool:
        """Whether a newer sample may be taken: on a host with many sockets they become rarer instead of dearer."""
        return time.monotonic() >= self._due_s

    def note_cost(self, seconds: float) -> None:
        """How long the last sample took, until it was put to use."""
        self._due_s = time.monotonic() + seconds / SHARE

    def records(self) -> list[HostRecord]:
        """The newest sample with the first one behind it, as ``report_of(…, hosts=…)`` takes it."""
        return [HostRecord(self.latest, None if self.latest is self.first else self.first, watched=True)]

    def tables_json(self) -> str:
        """The newest sample for the engine's ``hold_against``."""
        return json.dumps(tables(self.records()))

    def moment(self, report: Report) -> HostMoment | None:
        """The newest sample beside a report that had `records`; ``None`` if the report had none."""
        if not report.host:
            return None
        truth = report.host[-1]
        return HostMoment(
            name=truth.name,
            at_ns=truth.at_ns,
            time_waits=truth.time_wait,
            wire=truth.wire,
            both=truth.both,
            only_kernel=truth.only_kernel,
            only_wire=truth.only_wire,
            buckets=self.latest.number("tcp_max_tw_buckets"),
            overflows=truth.overflows,
            ports=truth.ports,
            states=truth.states,
        )
