"""The two faces of `pcapwatch live`: a screen on a terminal, a line every interval elsewhere."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pcapwatch.analysis import Report
from pcapwatch.cli.output import coloured, write_stdout, write_whole
from pcapwatch.cli.stops import Signals, Stops
from pcapwatch.errors import PcapwatchError
from pcapwatch.live.lines import line
from pcapwatch.live.moment import Moment
from pcapwatch.live.session import Session
from pcapwatch.report.escape import terminal

if TYPE_CHECKING:
    from pcapwatch.live.metrics import Metrics

#: Between two looks at what a signal asked for.
_SLICE_S = 0.1
#: Making a report may take at most this share of the time; on a busy capture the lines become rarer instead.
_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class Watch:
    """What both faces do: files: where reports go (none: standard output at the end alone); give: write one there."""

    session: Session
    stops: Stops
    signals: Signals
    interval_s: float
    files: tuple[Path, ...]
    give: Callable[[Report], None]
    metrics: Metrics | None = None

    def enough(self, moment: Moment | None) -> bool:
        """Whether a signal or a stop ends it; ``moment`` if there is a new one."""
        return self.signals.stop or self.stops.reached(self.session.counters, moment)

    def write_now(self, report: Report) -> str:
        """The report so far to where reports go, else to a file of its own in this folder; says where."""
        if self.files:
            self.give(report)
            return ", ".join(map(str, self.files))
        file = Path(f"pcapwatch-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.md")
        write_whole(file, report.to_markdown().encode())
        return str(file)

    def answer_signal(self, moment: Moment | None) -> None:
        """A report on SIGUSR1; a full disk does not end the capture."""
        if not self.signals.take_report():
            return
        try:
            self.write_now(moment.report if moment else self.session.report())
        except PcapwatchError as error:
            sys.stderr.write(f"pcapwatch: {terminal(str(error))}\n")


def wants_screen(*, no_tui: bool) -> bool:
    """Whether standard output is a terminal that can be drawn on, and the user wants that."""
    return not no_tui and sys.stdout.isatty() and os.environ.get("TERM") not in (None, "", "dumb")


def draw_screen(watch: Watch) -> Report:
    """The dashboard until the user, a stop or the end of the source ends it; gives the concluding report."""
    from pcapwatch.live.dashboard import Options, run

    def enough(moment: Moment | None) -> bool:
        watch.answer_signal(moment)
        return watch.enough(moment)

    return run(watch.session, Options(watch.interval_s, watch.write_now, enough, watch.metrics, coloured()))


def print_lines(watch: Watch) -> Report:
    """A line every interval; gives the concluding report."""
    session, interval_s = watch.session, watch.interval_s
    previous, due_s = session.counters, time.monotonic() + interval_s
    while session.advance(min(_SLICE_S, interval_s)):
        moment = None
        if time.monotonic() >= due_s:
            began_s = time.monotonic()
            moment = session.moment(previous)
            if watch.metrics is not None:
                watch.metrics.update(moment)
            write_stdout(f"{line(moment)}\n".encode())
            previous, now_s = moment.counters, time.monotonic()
            due_s = now_s + max(interval_s - (now_s - began_s), (now_s - began_s) / _SHARE)
        watch.answer_signal(moment)
        if watch.enough(moment):
            break
    return session.conclude()


@contextmanager
def metrics_at(address: str | None) -> Iterator[Metrics | None]:
    """Answer scrapes there meanwhile. Its thread begins after privileges are dropped: each thread has its own."""
    if address is None:
        yield None
        return
    from pcapwatch.live.metrics import serve

    with serve(address) as served:
        yield served
