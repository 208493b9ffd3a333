"""A progress bar on standard error, when that is a terminal and the job lasts over a second.

One line, drawn by hand: the engine's reading thread waits while it is drawn, and rich's would take 60 ms to load and a
thread of its own to refresh. What it costs is measured by ``make bench`` (the row "progress bar").
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import TextIO

_PATIENCE_S = 1.0
#: Between two drawings: an eye follows four a second, and each wakes whoever reads the terminal.
_EVERY_S = 0.25
_BAR = 20
#: Back to the first column, and all after it gone (ECMA-48: CR, EL).
_CLEAR = "\r\x1b[K"


class ProgressBar:
    """Call it with (bytes done, bytes in all, packets done); in all is 0 where that is not known, as for a pipe."""

    def __init__(self, stream: TextIO | None = None, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream or sys.stderr
        self._clock_s = clock_s
        self._began_s = clock_s()
        self._next_s = self._began_s + _PATIENCE_S
        self._wanted = self._stream.isatty() and os.environ.get("TERM") != "dumb"
        self._drawn = False

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._drawn:
            self._write(_CLEAR)

    def __call__(self, done: int, total: int, packets: int) -> None:
        """Draw, from the second second on, four times a second at most."""
        now_s = self._clock_s()
        if self._wanted and now_s >= self._next_s:
            self._next_s = now_s + _EVERY_S
            self._write(_CLEAR + line(done, total, packets, now_s - self._began_s)[: self._columns() - 1])
            self._drawn = True

    def _columns(self) -> int:
        try:
            return os.get_terminal_size(self._stream.fileno()).columns or 80
        except OSError:
            return 80

    def _write(self, text: str) -> None:
        with suppress(OSError):  # a terminal that went away is no reason to stop reading
            self._stream.write(text)
            self._stream.flush()


def line(done: int, total: int, packets: int, lasted_s: float) -> str:
    """What is drawn: share, bytes, packets per second, time left; the last three fit 80 columns."""
    rate = f"{packets / lasted_s:,.0f} packets/s"
    if not total:
        return f"{_bytes(done)} read  {rate}"
    share = min(done / total, 1)
    bar = "█" * int(share * _BAR) + "░" * (_BAR - int(share * _BAR))
    parts = [f"{bar} {share:4.0%}", f"{_bytes(done)} of {_bytes(total)}", rate]
    if done:
        parts.append(f"{_clock(lasted_s * max(total - done, 0) / done)} left")
    return "  ".join(parts)


def _bytes(number: int) -> str:
    """Decimal, as disks and `ls --si` count: 999 kB, 1.0 MB, 4.6 GB."""
    value, unit = number / 1e3, "kB"
    for larger in ("MB", "GB", "TB"):
        if value < 999.95:
            break
        value, unit = value / 1e3, larger
    return f"{value:.0f} kB" if unit == "kB" else f"{value:.1f} {unit}"


def _clock(seconds: float) -> str:
    """0:07, 12:30, 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
