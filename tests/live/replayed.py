"""A session over a capture file, at the pace of its packets: reports of its first packets, as a live one would give them.

    python -m live.replayed CAPTURE [SPEED]     # the dashboard, in this terminal
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pcapwatch
from live.moments import records
from pcapwatch.analysis import Report, ladders
from pcapwatch.live.dashboard import Options, run
from pcapwatch.live.moment import Counters


class Replayed:
    """What `pcapwatch.live.dashboard.run.Session` asks for."""

    source = "replayed"
    host = None

    def __init__(self, capture: Path, folder: Path, speed: float = 1.0) -> None:
        self._data, self._folder, self._speed = capture.read_bytes(), folder, speed
        self._packets = records(self._data)
        self._began_s = time.monotonic()
        self.latest: Report | None = None

    def _seen(self) -> int:
        now_ns = self._packets[0][0] + int((time.monotonic() - self._began_s) * self._speed * 1e9)
        return max(sum(ns <= now_ns for ns, _, _ in self._packets), 1)

    @property
    def counters(self) -> Counters:
        """Of the packets whose time has come."""
        seen = self._packets[: self._seen()]
        lasted_s = (time.monotonic() - self._began_s) * self._speed
        size = sum(one[1] for one in seen)
        return Counters(len(seen), size, len(seen), first_ns=seen[0][0], last_ns=time.time_ns(), elapsed_s=lasted_s)

    def advance(self, seconds: float) -> bool:
        """Wait."""
        time.sleep(seconds)
        return self._seen() < len(self._packets)

    def report(self) -> Report:
        """Of the packets whose time has come."""
        path = self._folder / "seen.pcap"
        path.write_bytes(self._data[: self._packets[self._seen() - 1][2]])
        self.latest = pcapwatch.analyze(path)
        return self.latest

    conclude = report

    def draw(self, connection: int) -> dict[str, Any] | None:
        """The ladder of a connection."""
        assert self.latest
        return next(iter(ladders(self.latest.engine, [connection])), None)


def main() -> None:
    """Draw the capture as it happened."""
    with tempfile.TemporaryDirectory() as folder:
        session = Replayed(Path(sys.argv[1]), Path(folder), float(sys.argv[2]) if len(sys.argv) > 2 else 1.0)
        report = run(session, Options(draw=session.draw, interval_s=0.5))
    sys.stdout.write(f"ended with {report!r}\n")


if __name__ == "__main__":
    main()
