"""Which connection `l` draws: the newest whose packets are kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
from live.moments import moments
from live.test_pause import Played, Screens
from places import ROOT

from pcapwatch.live.dashboard.loop import Options, run
from pcapwatch.live.dashboard.terminal import Terminal
from pcapwatch.live.moment import Moment

OPENED_AT, MOVED_AT = 3, 5


class Kept(Played):
    """A session that keeps the packets of some connections."""

    def __init__(self, seen: list[Moment], kept: range) -> None:
        super().__init__(seen)
        self._kept, self.asked = kept, list[int]()

    def ladder(self, connection: int) -> dict[str, Any] | None:
        """One without rows, where its packets are kept."""
        self.asked.append(connection)
        if connection not in self._kept:
            return None
        return {"client": "a", "server": "b", "rows": []}


class Opened(Screens):
    """``l`` is pressed, and the arrow to another."""

    def keys(self) -> list[str]:
        """What was pressed."""
        return {OPENED_AT: ["l"], MOVED_AT: ["right"]}.get(self._session.at, [])


@pytest.mark.parametrize(
    ("kept", "tries"), [(range(1_000), 1), (range(3), 2), (range(0), 2)], ids=["all", "oldest", "none"]
)
def test_the_newest_that_is_kept_comes_first(tmp_path: Path, kept: range, tries: int) -> None:
    """An interface keeps the newest packets, a pipe the oldest; that none are kept is said, of the newest."""
    session = Kept(moments(ROOT / "fixtures" / "tw-reuse" / "capture.pcap", tmp_path, 8), kept)
    screens = Opened(session)
    run(session, Options(interval_s=0.0, colour=False), cast(Terminal, screens))
    first, after = session.asked[:tries], session.asked[tries:]
    assert len(after) == 1, "the arrow asks for one"
    assert first == sorted(first, reverse=True)
    shown = first[-1] if kept else first[0]
    assert f"connection {shown} of" in "\n".join(screens.drawn[OPENED_AT])
    assert ("no longer kept" in "\n".join(screens.drawn[OPENED_AT])) == (shown not in kept)
