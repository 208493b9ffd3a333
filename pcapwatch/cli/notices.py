"""What `pcapwatch live` says on standard error: each once, and nothing on a screen that is being drawn."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pcapwatch.findings.wording import counted
from pcapwatch.report.escape import terminal

if TYPE_CHECKING:
    from pcapwatch.live.moment import Counters
    from pcapwatch.report.model import Finding


class Notices:
    """Lines for standard error; while `held` they wait."""

    def __init__(self) -> None:
        """Nothing said."""
        self._waiting: list[str] | None = None
        self._full = self._again = self._found = False

    def say(self, text: str) -> None:
        """One line."""
        if self._waiting is not None:
            self._waiting.append(text)
        else:
            sys.stderr.write(f"pcapwatch: {terminal(text)}\n")
            sys.stderr.flush()

    @contextmanager
    def held(self) -> Iterator[None]:
        """A screen is drawn meanwhile, which shows what matters itself."""
        self._waiting = []
        try:
            yield
        finally:
            waiting, self._waiting = self._waiting, None
            for text in waiting:
                self.say(text)

    def tell_writing(self, counters: Counters) -> None:
        """That packets cannot be written, and that they are again, the first time."""
        written = counters.written
        missing = f"{counted(written.unwritten, 'packet')} are missing"
        if written.error and not self._full:
            self._full = True
            self.say(f"{written.error}{f'; {missing}' if written.unwritten else ''}; the capture goes on")
        elif self._full and not written.error and not self._again:
            self._again = True
            self.say(f"packets are written again; {missing}")

    def tell_reports(self, files: tuple[Path, ...]) -> None:
        """Where the report is now."""
        if files:
            self.say(f"the report is in {', '.join(map(str, files))}")

    def tell_unfired(self, code: str | None) -> None:
        """That what `--until-finding` waited for never came."""
        if code is not None and not self._found:
            self.say(f"{code} did not fire")

    def tell_finding(self, finding: Finding | None, elapsed_s: float) -> None:
        """What `--until-finding` waited for, the first time that it is there."""
        if finding is None or self._found:
            return
        self._found = True
        now = datetime.now(UTC)
        self.say(
            f"{finding.code} {finding.severity} fired {elapsed_s:.1f} s after the start, "
            f"at {now:%Y-%m-%d %H:%M:%S} UTC: {finding.title}"
        )
