"""The two faces of `pcapwatch live`: a screen on a terminal, a line every interval elsewhere."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pcapwatch.analysis import Report
from pcapwatch.cli.notices import Notices
from pcapwatch.cli.output import coloured, write_stdout, write_whole
from pcapwatch.cli.stops import Signals, Stops
from pcapwatch.errors import PcapwatchError
from pcapwatch.live.lines import line
from pcapwatch.live.moment import Moment
from pcapwatch.live.session import Session

if TYPE_CHECKING:
    from pcapwatch.live.metrics import Metrics

#: Between two looks at what a signal asked for.
_SLICE_S = 0.1
#: Making a report may take at most this share of the time; on a busy capture reports become rarer instead.
_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class Watch:
    """What both faces do: files: where reports go (none: standard output at the end alone); give: write one there.

    notices: what is said on standard error.
    """

    session: Session
    stops: Stops
    signals: Signals
    interval_s: float
    files: tuple[Path, ...]
    give: Callable[[Report], None]
    metrics: Metrics | None = None
    notices: Notices = field(default_factory=Notices)

    def enough(self, moment: Moment | None) -> bool:
        """Whether a signal or a stop ends it; ``moment`` if there is a new one."""
        counters = self.session.counters
        self.notices.tell_writing(counters)
        if moment is not None:
            self.notices.tell_finding(self.stops.fired(moment.report), counters.elapsed_s)
        return self.signals.stop or self.stops.reached(counters, moment)

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
            file = self.write_now(moment.report if moment else self.session.report())
            self.notices.say(f"the report so far is in {file}")
        except PcapwatchError as error:
            self.notices.say(str(error))


def wants_screen(*, no_tui: bool) -> bool:
    """Whether standard output is a terminal that can be drawn on, and the user wants that."""
    return not no_tui and sys.stdout.isatty() and os.environ.get("TERM") not in (None, "", "dumb")


def draw_screen(watch: Watch) -> Report:
    """The dashboard until the user, a stop or the end of the source ends it; gives the concluding report."""
    from pcapwatch.live.dashboard import Options, run

    def enough(moment: Moment | None) -> bool:
        watch.answer_signal(moment)
        return watch.enough(moment)

    with watch.notices.held():
        return run(watch.session, Options(watch.interval_s, watch.write_now, enough, watch.metrics, coloured()))


def print_lines(watch: Watch) -> Report:
    """A line every interval; gives the concluding report.

    Where a report takes long, lines between two of them have the rates and losses of now, and say how old the rest is.
    """
    session, lines = watch.session, _Lines(watch)
    while session.advance(min(_SLICE_S, watch.interval_s)):
        moment = lines.next()
        watch.answer_signal(moment)
        if watch.enough(moment):
            break
    watch.notices.tell_writing(session.counters)
    return session.conclude()


class _Lines:
    """When the next line is due, and when the next report that it is of."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._shown: Moment | None = None
        self._previous = watch.session.counters
        self._due_s = self._report_due_s = time.monotonic() + watch.interval_s

    def next(self) -> Moment | None:
        """Prints a line if it is time; gives the moment if its report is new."""
        now_s = time.monotonic()
        if now_s < self._due_s:
            return None
        is_new = self._shown is None or now_s >= self._report_due_s
        self._shown = self._reported() if is_new or self._shown is None else self._recounted(self._shown)
        self._previous = self._shown.counters
        write_stdout(f"{line(self._shown)}\n".encode())
        # The next full interval: a line that was late is not made up for.
        missed = (time.monotonic() - self._due_s) // self._watch.interval_s
        self._due_s += (missed + 1) * self._watch.interval_s
        return self._shown if is_new else None

    def _reported(self) -> Moment:
        moment = self._watch.session.moment(self._previous)
        self._report_due_s = time.monotonic() + moment.cost_s / _SHARE
        if self._watch.metrics is not None:
            self._watch.metrics.update(moment)
        return moment

    def _recounted(self, before: Moment) -> Moment:
        moment = before.recounted(datetime.now(UTC), self._watch.session.counters)
        if self._watch.metrics is not None:
            self._watch.metrics.recount(moment)
        return moment


@contextmanager
def metrics_at(address: str | None) -> Iterator[Metrics | None]:
    """Answer scrapes there meanwhile. Its thread begins after privileges are dropped: each thread has its own."""
    if address is None:
        yield None
        return
    from pcapwatch.live.metrics import serve

    with serve(address) as served:
        yield served
