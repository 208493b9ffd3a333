"""Frames: what they send shows exactly the lines, and is little where little changed."""

from __future__ import annotations

import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from live.moments import moments
from places import ROOT

from pcapwatch.live.dashboard.render import render
from pcapwatch.live.dashboard.screen import Screen
from pcapwatch.live.dashboard.trail import Trail
from pcapwatch.live.dashboard.view import View

WIDTH, HEIGHT = 20, 4
TOKEN = re.compile(r"\x1b\[([0-9;]*)([HJKm])|([^\x1b])")


class Shown:
    """A terminal of narrow characters: positions, erasing and styles (ECMA-48), enough to read frames back."""

    def __init__(self, height: int) -> None:
        self.rows: list[list[tuple[str, str]]] = [[] for _ in range(height)]
        self.at, self.style = (0, 0), ""

    def feed(self, data: bytes) -> None:
        """Obey a frame."""
        for number, command, character in TOKEN.findall(data.decode()):
            row, column = self.at
            if character:
                cells = self.rows[row]
                cells += [(" ", "")] * (column + 1 - len(cells))
                cells[column] = (character, self.style)
                self.at = row, column + 1
            elif command == "H":
                parts = [int(part or 1) for part in (number or "1").split(";")]
                self.at = parts[0] - 1, (parts[1] if len(parts) > 1 else 1) - 1
            elif command == "J":
                self.rows = [[] for _ in self.rows]
            elif command == "K":
                del self.rows[row][column:]
            elif command == "m":
                self.style = "" if number == "0" else number

    def text(self) -> list[str]:
        """The rows without their styles."""
        return ["".join(character for character, _ in row).rstrip() for row in self.rows]


LINE = st.text(st.sampled_from("ab ─█1"), max_size=WIDTH)
STYLED = st.builds(
    lambda a, b, code: f"{a}\x1b[{code}m{b}\x1b[0m" if b else a, LINE, LINE, st.sampled_from(["1", "2", "1;31"])
)
FRAME = st.lists(LINE | STYLED, min_size=HEIGHT, max_size=HEIGHT)


@given(st.lists(FRAME, min_size=1, max_size=6))
def test_a_frame_shows_the_lines(frames: list[list[str]]) -> None:
    """After any frames the terminal shows the last lines, styles included, as if drawn on an empty screen."""
    screen, shown = Screen(), Shown(HEIGHT)
    for frame in frames:
        shown.feed(screen.frame(frame))
        fresh = Shown(HEIGHT)
        fresh.feed(Screen().frame(frame))
        assert shown.text() == fresh.text()
        assert [[cell for cell in row if cell != (" ", "")] for row in shown.rows] == [
            [cell for cell in row if cell != (" ", "")] for row in fresh.rows
        ]
        plain = [re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip() for line in frame]
        assert shown.text() == plain


def test_wide_characters_redraw_their_line() -> None:
    """A line with a character of two columns or none is sent whole, so that no column is reckoned wrong."""
    screen = Screen()
    screen.frame(["日本 a", "plain"])
    assert screen.frame(["日本 b", "plain"]) == "\x1b[1H日本 b\x1b[0m\x1b[K".encode()
    assert screen.frame(["日本 b", "plaid"]) == b"\x1b[2;5Hd"


def test_nothing_changed_nothing_sent() -> None:
    """The same lines again cost no byte; another size, or `forget`, draws everything."""
    screen = Screen()
    assert screen.frame(["one", "two"]).startswith(b"\x1b[H\x1b[2J")
    assert screen.frame(["one", "two"]) == b""
    screen.forget()
    assert screen.frame(["one", "two"]).startswith(b"\x1b[H\x1b[2J")


def test_few_bytes_over_ssh(tmp_path: Path) -> None:
    """A second of a busy capture at 80×24 costs less than half of the screen's own bytes, on the mean."""
    seen = moments(ROOT / "fixtures" / "tw-reuse" / "capture.pcap", tmp_path, 12)
    screen, trail, sent = Screen(), Trail(), []
    for moment in seen:
        trail = trail.after(moment)
        sent.append(len(screen.frame(render(moment, View(trail=trail), 80, 24))))
    first, *later = sent
    assert 0 < sum(later) / len(later) < first / 2
