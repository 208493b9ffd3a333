"""A dashboard that is paused: nothing of the moment moves, though the capture goes on."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Self, cast

import pytest
from live.moments import moments
from places import ROOT

from pcapwatch.live.dashboard.loop import Options, run
from pcapwatch.live.dashboard.terminal import Terminal
from pcapwatch.live.moment import Counters, Moment

PAUSED_AT, RESUMED_AT = 4, 8


class Played:
    """A session whose moments are those of a capture, one after another."""

    def __init__(self, seen: list[Moment]) -> None:
        self._seen, self.at = seen, 0

    def advance(self, seconds: float) -> bool:
        """To the next moment."""
        del seconds
        self.at += 1
        return self.at < len(self._seen)

    @property
    def counters(self) -> Counters:
        """Those of the moment."""
        return self._seen[self.at].counters

    def moment(self, previous: Counters | None) -> Moment:
        """The moment."""
        del previous
        return self._seen[self.at]

    def conclude(self) -> Any:
        """The report."""
        return self._seen[-1].report


class Screens:
    """A terminal that keeps what is drawn; ``p`` is pressed at two moments."""

    size, stale = os.terminal_size((100, 40)), False

    def __init__(self, session: Played) -> None:
        self._session, self.drawn = session, dict[int, list[str]]()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def keys(self) -> list[str]:
        """What was pressed."""
        return ["p"] if self._session.at in (PAUSED_AT, RESUMED_AT) else []

    def show(self, lines: list[str]) -> None:
        """The screen of the moment."""
        self.drawn[self._session.at] = lines


@pytest.mark.parametrize("capture", ["tw-reuse", "proxy-http10-reuse"])
def test_rates_and_projections_stay_with_the_moment(tmp_path: Path, capture: str) -> None:
    """New connections a second and the time to exhaustion are of the moment that was kept, and go on afterwards."""
    session = Played(moments(ROOT / "fixtures" / capture / "capture.pcap", tmp_path, 12))
    screens = Screens(session)
    run(session, Options(interval_s=0.0, colour=False), cast(Terminal, screens))  # type: ignore[arg-type]
    kept = [lines[2:] for at, lines in sorted(screens.drawn.items()) if PAUSED_AT <= at < RESUMED_AT]
    assert all(lines == kept[0] for lines in kept)
    assert screens.drawn[max(screens.drawn)][2:] != kept[0]
