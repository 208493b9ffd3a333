"""The progress bar: when it is drawn, what it says, and that it leaves nothing behind."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest

from pcapwatch.cli.progress import ProgressBar, line


class Terminal(io.StringIO):
    """A stream that says it is a terminal, of 80 columns for want of a real one."""

    def isatty(self) -> bool:
        """It is one."""
        return True


def clock(*instants_s: float) -> Callable[[], float]:
    """A clock that shows these, one after the other."""
    left = iter(instants_s)
    return lambda: next(left)


@pytest.fixture(autouse=True)
def _terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")


@pytest.mark.parametrize(
    ("done", "total", "packets", "lasted_s", "drawn"),
    [
        (
            12_000_000,
            48_000_000,
            5_000_000,
            2.0,
            "█████░░░░░░░░░░░░░░░  25%  12.0 MB of 48.0 MB  2,500,000 packets/s  0:06 left",
        ),
        (0, 999_949, 0, 1.5, "░░░░░░░░░░░░░░░░░░░░   0%  0 kB of 1000 kB  0 packets/s"),
        (999_950, 999_950, 10, 5.0, "████████████████████ 100%  1.0 MB of 1.0 MB  2 packets/s  0:00 left"),
        (2_000, 1_000, 10, 5.0, "████████████████████ 100%  2 kB of 1 kB  2 packets/s  0:00 left"),
        (1_000_000, 3_724_000_000, 1, 1.0, "░░░░░░░░░░░░░░░░░░░░   0%  1.0 MB of 3.7 GB  1 packets/s  1:02:03 left"),
        (81_000_000, 0, 900_000, 3.0, "81.0 MB read  300,000 packets/s"),
    ],
)
def test_line(done: int, total: int, packets: int, lasted_s: float, drawn: str) -> None:
    """Share, bytes stored, packets per second since the start, and the time left at this pace; of a pipe no share."""
    assert line(done, total, packets, lasted_s) == drawn


def test_drawn_from_the_second_second_on_and_erased() -> None:
    """Nothing in the first second; then one line, over and over; nothing is left when the job is done."""
    terminal = Terminal()
    with ProgressBar(terminal, clock(0.0, 0.9, 1.0, 2.0)) as bar:
        bar(1_000, 4_000, 10)
        assert terminal.getvalue() == ""
        bar(2_000, 4_000, 20)
        bar(3_000, 4_000, 30)
    first, second, end = terminal.getvalue().split("\r\x1b[K")[1:]
    assert " 50%  2 kB of 4 kB  20 packets/s  0:01 left" in first
    assert " 75%  3 kB of 4 kB  15 packets/s  0:01 left" in second
    assert end == ""


def test_drawn_four_times_a_second_at_most() -> None:
    """However often it is called."""
    terminal = Terminal()
    with ProgressBar(terminal, clock(0.0, 1.0, *(1 + call / 100 for call in range(1, 51)))) as bar:
        for call in range(51):
            bar(call, 100, call)
    assert terminal.getvalue().split("\r\x1b[K")[1:-1] == [
        line(call, 100, call, 1 + call / 100)[:79] for call in (0, 25, 50)
    ]


def test_a_line_never_wraps() -> None:
    """What does not fit the terminal is cut, one column short of its width: a wrapped line could not be erased."""
    terminal = Terminal()
    with ProgressBar(terminal, clock(0.0, 1e-3 + 1)) as bar:
        bar(10**12, 10**14, 10**12)
    assert len(terminal.getvalue().split("\r\x1b[K")[1]) == 79


@pytest.mark.parametrize("name", ["", "dumb"])
def test_not_drawn(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is written where there is no terminal, nor to one that cannot erase."""
    monkeypatch.setenv("TERM", name or "xterm")
    stream = Terminal() if name else io.StringIO()
    with ProgressBar(stream, clock(0.0, 5.0)) as bar:
        bar(1, 2, 3)
    assert stream.getvalue() == ""
