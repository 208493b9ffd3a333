"""What ends `pcapwatch live`: a length of time, a finding, a signal."""

from __future__ import annotations

import signal
import threading
from dataclasses import dataclass
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Self

from pcapwatch.errors import UsageError
from pcapwatch.findings import RULES
from pcapwatch.live.moment import Counters, Moment
from pcapwatch.settings import SECOND_NS, parse_duration, shown

if TYPE_CHECKING:
    from pcapwatch.analysis import Report
    from pcapwatch.report.model import Finding


@dataclass(frozen=True, slots=True)
class Stops:
    """The user's ends; the first that is reached counts."""

    duration_s: float | None = None
    finding: str | None = None

    @classmethod
    def of(cls, duration: str | None, finding: str | None) -> Self:
        """From the options' words; ``UsageError`` for a finding that there is not."""
        code = None
        if finding is not None:
            code, known = finding.upper(), [rule.CODE for rule in RULES]
            if code not in known:
                raise UsageError(f"--until-finding {shown(finding)}: no such finding; choose {', '.join(known)}")
        return cls(parse_duration(duration) / SECOND_NS if duration else None, code)

    def reached(self, counters: Counters, moment: Moment | None) -> bool:
        """By the present counters, and a moment if there is a new one."""
        if self.duration_s is not None and counters.elapsed_s >= self.duration_s:
            return True
        return moment is not None and self.fired(moment.report) is not None

    def fired(self, report: Report) -> Finding | None:
        """The finding that is waited for, if it is in the report; the worst of several."""
        return next((finding for finding in report.findings if finding.code == self.finding), None)


class Signals:
    """SIGINT, SIGTERM and SIGHUP stop, SIGUSR1 asks for a report; while this is entered. A second SIGINT ends at once.

    SIGHUP, a terminal that went away, still leaves the report in its file; where it is ignored (nohup) it stays so.
    """

    def __init__(self) -> None:
        """Nothing asked for."""
        self.stop = False
        self._report = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        """From here on."""
        if threading.current_thread() is threading.main_thread():
            wanted = {"SIGINT": self._end, "SIGTERM": self._end, "SIGHUP": self._end, "SIGUSR1": self._ask}
            for name, handler in wanted.items():
                number = getattr(signal, name, None)
                if number and not (name == "SIGHUP" and signal.getsignal(number) is signal.SIG_IGN):
                    self._before[number] = signal.signal(number, handler)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """As it was; but who asks for a report as the last one is being written shall not end that by it."""
        for number, handler in self._before.items():
            late = number == getattr(signal, "SIGUSR1", None) and handler == signal.SIG_DFL
            signal.signal(number, signal.SIG_IGN if late else handler)

    def take_report(self) -> bool:
        """Whether a report was asked for since the last time."""
        asked, self._report = self._report, False
        return asked

    def _end(self, number: int, frame: FrameType | None) -> None:
        if self.stop and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.stop = True

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self._report = True
