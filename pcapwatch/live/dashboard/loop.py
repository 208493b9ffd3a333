"""The loop: capture a little, look at the keys, and draw; a moment is made once an interval."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

from pcapwatch.errors import PcapwatchError
from pcapwatch.findings.wording import count
from pcapwatch.live.dashboard.render import render
from pcapwatch.live.dashboard.services import chosen_service, examples_of
from pcapwatch.live.dashboard.terminal import Terminal
from pcapwatch.live.dashboard.view import View, Wish, press
from pcapwatch.live.moment import Counters, Moment

if TYPE_CHECKING:
    from pcapwatch.analysis import Report
    from pcapwatch.summary import Exemplar

#: Between two looks at the keys.
SLICE_S = 0.1
#: Making a report may take at most this share of the time: on a busy capture moments become rarer instead.
_REPORT_SHARE = 0.1


class Session(Protocol):
    """What is drawn: `pcapwatch.live.session.Session`."""

    def advance(self, seconds: float) -> bool:
        """Capture for so long; ``False`` when the source is over."""

    def moment(self, previous: Counters | None) -> Moment:
        """The present: counters, and what `analyze` would say if the capture ended now."""

    @property
    def counters(self) -> Counters:
        """As they are now."""

    def ladder(self, connection: int) -> dict[str, Any] | None:
        """A connection of the latest moment packet by packet; ``None`` if its packets are gone."""

    def conclude(self) -> Report:
        """Stop, and the report of everything."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the command wants of the dashboard.

    interval_s: between two moments; write: writes a report now and says where (its `PcapwatchError` is shown); until:
    asked ten times a second, and told a moment when it is new, whether that was enough; metrics: told every moment;
    colour: whether the terminal wants it.
    """

    interval_s: float = 1.0
    write: Callable[[Any], str] | None = None
    until: Callable[[Moment | None], bool] | None = None
    metrics: Any = None
    colour: bool = True


def run(session: Session, options: Options | None = None, terminal: Terminal | None = None) -> Report:
    """Draw until the user has seen enough or the source is over; gives the concluding report.

    Ctrl-C and SIGTERM end it as ``q`` does. The terminal is given back whatever happens.
    """
    chosen = options or Options()
    with suppress(KeyboardInterrupt), terminal or Terminal() as taken:
        _Dashboard(session, chosen, taken).run()
    return session.conclude()


class _Dashboard:
    def __init__(self, session: Session, options: Options, terminal: Terminal) -> None:
        self._session, self._options, self._terminal = session, options, terminal
        self._view = View(colour=options.colour)
        self._trail = self._view.trail
        self._latest = self._shown = session.moment(None)
        self._due_s = self._count_due_s = 0.0
        self._drawn: tuple[Moment, View, os.terminal_size] | None = None

    def run(self) -> None:
        """Until the user, a stop or the end of the source ends it; a terminal that hung up does not."""
        self._draw()
        while self._session.advance(SLICE_S):
            new = self._look() if time.monotonic() >= self._due_s else None
            self._recount()
            if self._options.until is not None and self._options.until(new):
                return
            if not self._pressed(self._terminal.keys()):
                return
            self._draw()

    def _look(self) -> Moment:
        """A new moment. It never takes more than its share of the time, however long it takes."""
        began_s = time.monotonic()
        self._latest = self._session.moment(self._latest.counters)
        self._trail = self._trail.after(self._latest)
        self._follow()
        if self._options.metrics is not None:
            self._options.metrics.update(self._latest)
        ended_s = time.monotonic()
        lasted_s = ended_s - began_s
        self._due_s = ended_s + max(self._options.interval_s - lasted_s, self._latest.cost_s / _REPORT_SHARE)
        if not self._view.paused:
            self._count_due_s = ended_s + self._options.interval_s
        return self._latest

    def _recount(self) -> None:
        """What is shown and exported counts on each interval, and says how old a moment is, however rare they are."""
        now_s = time.monotonic()
        if now_s < self._count_due_s:
            return
        self._count_due_s = now_s + self._options.interval_s
        at, counters = datetime.now(UTC), self._session.counters
        self._latest = self._latest.recounted(at, counters)
        self._trail = self._trail.heard(counters)
        self._follow()
        if self._view.paused:
            self._shown = self._shown.kept(at, counters)
        if self._options.metrics is not None:
            self._options.metrics.recount(self._latest)

    def _pressed(self, keys: list[str]) -> bool:
        for key in keys:
            if key == "redraw":
                self._terminal.redraw()
                continue
            self._view, wish = press(self._view, key)
            if wish == "quit":
                return False
            if wish is not None:
                self._grant(wish)
            self._follow()
        return True

    def _follow(self) -> None:
        """What is shown is the latest, with what went before it; while paused both stay."""
        if self._view.paused:
            return
        self._shown = self._latest
        if self._view.trail is not self._trail:
            self._view = replace(self._view, trail=self._trail)

    def _grant(self, wish: Wish) -> None:
        if wish == "write":
            self._view = replace(self._view, message=self._written())
        else:
            self._view = self._opened()

    def _written(self) -> str:
        if self._options.write is None:
            return "no place to write a report: start with --report FILE"
        try:
            return f"written: {self._options.write(self._latest.report)}"
        except PcapwatchError as error:
            return str(error)

    def _opened(self) -> View:
        """The view with the ladder that is wished for."""
        view = self._view
        is_open = view.page == "ladder"
        view = replace(view, back=view.page if view.page != "ladder" else view.back, page="ladder", offset=0)
        service = chosen_service(self._shown, view)
        examples = examples_of(service) if service else []
        if service is None or not examples:
            return replace(view, title="", ladder=None)
        index, ladder = self._kept(examples, view.example % len(examples), by_age=not is_open)
        kind, exemplar = examples[index]
        title = f"connection {count(exemplar['connection'])} of {service.name}: {kind.replace('_', ' ')}"
        return replace(view, example=index, title=f"{title}, {index + 1} of {len(examples)}", ladder=ladder)

    def _kept(
        self, examples: list[tuple[str, Exemplar]], index: int, *, by_age: bool
    ) -> tuple[int, dict[str, Any] | None]:
        """An example and its ladder. by_age: the newest; its packets gone, the oldest, which is what a pipe keeps."""
        tried = [index]
        if by_age:
            ages = sorted(range(len(examples)), key=lambda one: examples[one][1]["connection"])
            tried = [ages[-1], ages[0]] if len(ages) > 1 else ages
        for one in tried:
            if (ladder := self._ladder(examples[one][1])) is not None:
                return one, ladder
        return tried[0], None

    def _ladder(self, exemplar: Exemplar) -> dict[str, Any] | None:
        try:
            return self._session.ladder(exemplar["connection"])
        except PcapwatchError:
            return None

    def _draw(self) -> None:
        """Nothing is rendered again that is on the screen already: at ten looks a second that would cost."""
        size = self._terminal.size
        known = self._drawn
        if (
            known
            and known[0] is self._shown
            and known[1] is self._view
            and known[2] == size
            and not self._terminal.stale
        ):
            return
        self._terminal.show(render(self._shown, self._view, size.columns, size.lines))
        self._drawn = self._shown, self._view, size
