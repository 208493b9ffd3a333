"""The loop: capture a little, look at the keys, and draw; a moment is made once an interval."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

from pcapwatch.errors import PcapwatchError
from pcapwatch.live.dashboard.render import render
from pcapwatch.live.dashboard.services import chosen_service, examples_of
from pcapwatch.live.dashboard.terminal import Terminal
from pcapwatch.live.dashboard.view import View, Wish, press
from pcapwatch.live.moment import Counters, Moment

if TYPE_CHECKING:
    from pcapwatch.analysis import Report

#: Between two looks at the keys.
SLICE_S = 0.1
#: Making a report may take at most this share of the time: on a busy capture moments become rarer instead.
_REPORT_SHARE = 0.1


class Session(Protocol):
    """What is drawn: `pcapwatch.live.session.Session`."""

    @property
    def source(self) -> str:
        """What is captured, as the user named it."""

    @property
    def counters(self) -> Counters:
        """As they are now."""

    @property
    def host(self) -> Any:
        """The kernel's tables, or ``None``."""

    def advance(self, seconds: float) -> bool:
        """Capture for so long; ``False`` when the source is over."""

    def report(self) -> Report:
        """What `analyze` would say if the capture ended now."""

    def conclude(self) -> Report:
        """Stop, and the report of everything."""


@dataclass(frozen=True, slots=True)
class Options:
    """interval_s: between two moments; write: writes a report now and says where (its `PcapwatchError` is shown);
    draw: the ladder of a connection, ``None`` if its packets are gone; metrics: told every moment; until: whether a
    moment is the last one; colour: whether the terminal wants it.
    """

    interval_s: float = 1.0
    write: Callable[[Report], str] | None = None
    draw: Callable[[int], dict[str, Any] | None] | None = None
    metrics: Any = None
    until: Callable[[Moment], bool] | None = None
    colour: bool = True


def run(session: Session, options: Options | None = None, terminal: Terminal | None = None) -> Report:
    """Draw until the user has seen enough or the source is over; gives the concluding report.

    Ctrl-C and SIGTERM end it as ``q`` does. The terminal is given back whatever happens.
    """
    chosen = options or Options()
    with suppress(KeyboardInterrupt), terminal or Terminal() as taken:
        _Dashboard(session, chosen, taken).run()
    return session.conclude()


def moment_of(session: Session, previous: Counters | None) -> Moment:
    """The session's present."""
    host = session.host.sample() if session.host is not None else None
    report = session.report()
    return Moment(datetime.now(UTC), session.source, session.counters, previous, report, host)


class _Dashboard:
    def __init__(self, session: Session, options: Options, terminal: Terminal) -> None:
        self._session, self._options, self._terminal = session, options, terminal
        self._view = View(colour=options.colour)
        self._latest = moment_of(session, None)
        self._shown = self._latest
        self._due_s = 0.0

    def run(self) -> None:
        going = True
        self._draw()
        while True:
            going = going and self._session.advance(SLICE_S)
            if going and time.monotonic() >= self._due_s and not self._look():
                return
            # A source that is over stays on the screen until the user has seen it.
            keys = self._terminal.keys(0.0 if going else SLICE_S)
            if (self._terminal.gone and not going) or not self._pressed(keys):
                return
            self._draw()

    def _look(self) -> bool:
        """A new moment; ``False`` where it is the last one."""
        began_s = time.monotonic()
        self._latest = moment_of(self._session, self._latest.counters)
        self._view = replace(self._view, trail=self._view.trail.after(self._latest))
        if not self._view.paused:
            self._shown = self._latest
        if self._options.metrics is not None:
            self._options.metrics.update(self._latest)
        lasted_s = time.monotonic() - began_s
        self._due_s = time.monotonic() + max(self._options.interval_s, lasted_s / _REPORT_SHARE)
        return self._options.until is None or not self._options.until(self._latest)

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
            if not self._view.paused:
                self._shown = self._latest
        return True

    def _grant(self, wish: Wish) -> None:
        if wish == "write":
            self._view = replace(self._view, message=self._written())
        else:
            back = self._view.page if self._view.page != "ladder" else self._view.back
            self._view = replace(self._view, page="ladder", back=back, ladder=self._ladder(), offset=0)

    def _written(self) -> str:
        if self._options.write is None:
            return "no place to write a report: start with --report FILE"
        try:
            return f"written: {self._options.write(self._latest.report)}"
        except PcapwatchError as error:
            return str(error)

    def _ladder(self) -> dict[str, Any] | None:
        service = chosen_service(self._shown, self._view)
        examples = examples_of(service) if service else []
        if not examples or self._options.draw is None:
            return None
        try:
            return self._options.draw(examples[self._view.example % len(examples)][1]["connection"])
        except PcapwatchError:
            return None

    def _draw(self) -> None:
        size = self._terminal.size
        self._terminal.show(render(self._shown, self._view, size.columns, size.lines))
