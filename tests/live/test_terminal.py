"""The dashboard in a real terminal: `pcapwatch live` in tmux, screen, keys and end."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from live.moments import moments, trail_of
from live.tmux import PROMPT, Tmux
from places import ROOT

from pcapwatch.live.dashboard.render import render
from pcapwatch.live.dashboard.view import View

PCAPWATCH = Path(sys.executable).with_name("pcapwatch")
CAPTURE = ROOT / "fixtures" / "tw-reuse" / "capture.pcap"
#: The capture through a pipe that then stays open, as an interface on which nothing happens any more.
FED = f"< <(cat {CAPTURE}; exec sleep 120)"
HELD = f"{PCAPWATCH} live - {FED} "
FOOTER = "q quit  ? help"
pytestmark = pytest.mark.slow


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Tmux]:
    """A window of 80×24."""
    with Tmux(tmp_path) as made:
        yield made


def started(terminal: Tmux, options: str = "", before: str = "") -> list[str]:
    """The dashboard once it shows the whole capture."""
    terminal.run(f"{before}{HELD}{options}")
    return terminal.until(lambda screen: FOOTER in screen[-1] and "800 packets" in screen[0])


def back_in_the_shell(terminal: Tmux) -> str:
    """Waits for the prompt on a terminal as a shell has it; gives all that the window shows."""
    terminal.until(tail)
    for _ in range(100):
        if terminal.modes() == "0 1 1":
            break
        time.sleep(0.05)
    assert terminal.modes() == "0 1 1"
    terminal.run("clear; stty -a | tr ' ' '\\n' | grep -xE -- '-?(icanon|echo|isig);?' | xargs echo MODES")
    return "\n".join(terminal.shows("MODES isig icanon echo"))


def tail(screen: list[str]) -> bool:
    """Whether the last line that is not empty is a prompt."""
    return next((line for line in reversed(screen) if line.strip()), "").startswith(PROMPT)


def test_the_screen_is_what_is_rendered(terminal: Tmux, tmp_path: Path) -> None:
    """Line for line what `render` gives for `analyze` on the same packets; only time and rates are the run's own."""
    started(terminal)
    shown = terminal.shows("silent")
    (tmp_path / "cut").mkdir()
    (last,) = moments(CAPTURE, tmp_path / "cut", 1)
    later = replace(last, counters=replace(last.counters, elapsed_s=30.0))
    expected = render(later, View(colour=False, trail=trail_of([last, later])), 80, 24)
    assert re.fullmatch(r"standard input  \d:\d\d  800 packets  silent 0:\d\d", shown[0])
    assert shown[1] == "drops unknown: this source tells none"
    assert without_times(shown[2:]) == without_times(expected[2:])


def without_times(lines: list[str]) -> list[str]:
    """Lines without the time at which a finding was seen, that over which there was no growth, and charts until now."""
    return [re.sub(r"\+\d+:\d\d|too few moments.*|not growing.*|over \d+:\d\d|[▁-█░]+", "…", line) for line in lines]


def test_every_key(terminal: Tmux, tmp_path: Path) -> None:
    """Each key shows what the help says; and the end gives the report, on the user's own screen."""
    started(terminal)
    for key, heading in (("1", "Clients of"), ("2", "in TIME_WAIT"), ("3", "used 40 of"), ("4", "requests: HTTP/1.1"),
                         ("5", "Findings, newest"), ("6", "Cannot see"), ("0", "Who closes first")):  # fmt: skip
        terminal.type(key)
        terminal.shows(heading)
    terminal.press("Tab")
    terminal.shows("Clients of")
    terminal.press("Escape")
    terminal.until(lambda screen: "Clients of" not in "\n".join(screen))
    terminal.type("s")
    terminal.shows("new/s▾")
    terminal.type("r")
    terminal.shows("new/s▴")
    terminal.type("/192.0.2")
    terminal.shows("no service matches 192.0.2")
    terminal.press("Enter")
    terminal.shows("filter 192.0.2")
    terminal.press("Escape")
    terminal.until(lambda screen: "filter" not in screen[-1] or "/ filter" in screen[-1])
    terminal.type("?")
    terminal.shows("keep this moment on the screen")
    terminal.press("Escape")
    terminal.type("l")
    terminal.shows("FIN-WAIT-1")
    newest = terminal.shows("3 of 3")[2]
    terminal.press("Right")
    assert terminal.shows("1 of 3")[2] != newest
    terminal.press("Down")
    terminal.until(lambda screen: "connection" not in screen[2])
    terminal.press("Escape")
    terminal.shows("Who closes first")
    terminal.type("w")
    said = terminal.shows("written: pcapwatch-")[-1]
    assert "10.77.1.1 closes first" in (tmp_path / said.split()[1]).read_text()
    terminal.type("q")
    terminal.shows("Do not")
    back_in_the_shell(terminal)


def test_pause(terminal: Tmux, tmp_path: Path) -> None:
    """A paused screen stays while the capture goes on; then it shows what came meanwhile."""
    data = CAPTURE.read_bytes()
    (tmp_path / "first").write_bytes(data[: len(data) // 2])
    (tmp_path / "second").write_bytes(data[len(data) // 2 :])
    terminal.run(f"{PCAPWATCH} live - < <(cat first; until test -e go; do sleep 0.1; done; cat second; exec sleep 120)")
    before = terminal.until(lambda screen: FOOTER in screen[-1] and re.search(r"[34]\d\d packets", screen[0]))
    terminal.type("p")
    terminal.shows("PAUSED")
    (tmp_path / "go").touch()
    time.sleep(2.5)
    assert re.search(r"\d+ packets", terminal.screen()[0])[0] == re.search(r"\d+ packets", before[0])[0]  # type: ignore[index]
    terminal.type("p")
    terminal.shows("800 packets")
    assert "PAUSED" not in terminal.screen()[0]


@pytest.mark.parametrize("ending", ["q", "Ctrl-C", "SIGTERM", "source", "duration"])
def test_the_terminal_is_given_back(terminal: Tmux, tmp_path: Path, ending: str) -> None:
    """Whatever ends it: the user's screen, cursor, line mode and echo are back, and the report is there."""
    started(terminal, "--duration 4s" if ending == "duration" else "")
    if ending == "q":
        terminal.type("q")
    elif ending == "Ctrl-C":
        terminal.press("C-c")
    elif ending == "SIGTERM":
        os.kill(child_of(tmp_path, "live"), signal.SIGTERM)
    elif ending == "source":
        os.kill(child_of(tmp_path, "120"), signal.SIGTERM)
    terminal.shows("Do not")
    back_in_the_shell(terminal)


def test_a_terminal_that_goes_away_leaves_the_report(terminal: Tmux, tmp_path: Path) -> None:
    """Where the window is closed or ssh ends the capture concludes, and the report is in its file, whole."""
    started(terminal, "--report out.json")
    process = child_of(tmp_path, "live")
    terminal.hang_up()
    deadline = time.monotonic() + 40
    while Path(f"/proc/{process}").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert json.loads((tmp_path / "out.json").read_text())["totals"]["connections"] == 80


def test_a_report_on_a_signal(terminal: Tmux, tmp_path: Path) -> None:
    """SIGUSR1 writes the report so far, and the screen goes on."""
    started(terminal, "--report out.json")
    os.kill(child_of(tmp_path, "live"), signal.SIGUSR1)
    deadline = time.monotonic() + 40
    while not (tmp_path / "out.json").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert json.loads((tmp_path / "out.json").read_text())["totals"]["connections"] == 80
    terminal.type("1")
    terminal.shows("Clients of")


#: The command with a bug that shows at its fourth screen.
CRASHING = """
import itertools
from pcapwatch.cli import main
from pcapwatch.live.dashboard import loop
drawn, draw = itertools.count(), loop.render
def render(*given):
    if next(drawn) == 3:
        raise RuntimeError("a bug")
    return draw(*given)
loop.render = render
main(["live", "-"])
"""


def test_the_terminal_is_given_back_after_a_crash(terminal: Tmux, tmp_path: Path) -> None:
    """An error of our own leaves a usable terminal too, with the error on it."""
    (tmp_path / "crash.py").write_text(CRASHING)
    terminal.run(f"{sys.executable} crash.py {FED}")
    terminal.shows("RuntimeError: a bug")
    back_in_the_shell(terminal)


def child_of(folder: Path, word: str) -> int:
    """The process in this folder whose command line has the word: the shell and what it started have no other."""
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes().decode().split("\0") if entry.name.isdigit() else []
            if word in words and (entry / "cwd").readlink() == folder:
                return int(entry.name)
        except OSError:
            continue
    raise AssertionError(f"no process with {word}")


def test_suspend_and_resume(terminal: Tmux) -> None:
    """Ctrl-Z gives the terminal back, `fg` takes it again and draws everything."""
    started(terminal)
    # Counters may be newer than the figures below them.
    before = terminal.until(lambda screen: any(re.search(r"10\.77\.1\.2:80 +80 ", text) for text in screen))
    terminal.press("C-z")
    terminal.shows("Stopped")
    assert terminal.modes() == "0 1 1"
    terminal.run("clear; fg")
    again = terminal.until(lambda screen: FOOTER in screen[-1])
    assert without_times(again[4:10]) == without_times(before[4:10])
    assert terminal.modes() == "1 0 0"
    terminal.type("q")
    terminal.shows("Do not")
    back_in_the_shell(terminal)


@pytest.mark.parametrize(("width", "height"), [(120, 40), (50, 14), (30, 8), (12, 3), (100, 24)])
def test_resize(terminal: Tmux, width: int, height: int) -> None:
    """After a change of size the whole screen is drawn anew for it, and nothing of the old one is left."""
    started(terminal)
    terminal.resize(width, height)
    at, wanted = (-1, FOOTER) if height > 4 else (0, "standard in")
    shown = terminal.until(lambda screen: len(screen) <= height and wanted in screen[at])
    assert max(map(len, shown)) <= width
    terminal.resize(80, 24)
    terminal.until(lambda screen: "l ladder  w report" in screen[-1])


def test_few_bytes(terminal: Tmux, tmp_path: Path) -> None:
    """Where nothing happens but time, a second costs a few bytes: the clock's digits, and charts that go on."""
    started(terminal)
    terminal.shows("silent")
    sent = tmp_path / "sent"
    terminal.record(sent)
    time.sleep(6)
    assert 0 < sent.stat().st_size < 6 * 500


def test_no_colour(tmp_path: Path) -> None:
    """NO_COLOR: not one styled column; without it there are some."""
    for environment, wanted in ({"NO_COLOR": "1"}, False), ({}, True):
        folder = tmp_path / str(wanted)
        folder.mkdir()
        with Tmux(folder, environment=environment) as terminal:
            started(terminal)
            assert ("\x1b[" in "\n".join(terminal.screen(styled=True))) is wanted


def test_a_report_that_cannot_be_written(terminal: Tmux, tmp_path: Path) -> None:
    """It is said in the last line, and the capture goes on."""
    (tmp_path / "out").mkdir()
    started(terminal, "--report out/report.md")
    (tmp_path / "out").rmdir()
    terminal.type("w")
    terminal.shows("No such file")
    terminal.type("1")
    terminal.shows("Clients of")
    (tmp_path / "out").mkdir()
    terminal.type("w")
    terminal.shows("written: out/report.md")
    assert (tmp_path / "out" / "report.md").read_text().startswith("**10.77.1.1 closes first")


def test_dumb_terminals_get_lines(tmp_path: Path) -> None:
    """TERM=dumb, or --no-tui: a line every interval."""
    for environment, option in ({"TERM": "dumb"}, ""), ({}, "--no-tui"):
        folder = tmp_path / (option or "dumb")
        folder.mkdir()
        with Tmux(folder, environment=environment) as terminal:
            terminal.run(f"{HELD} {option}")
            terminal.shows("packets/s")
            assert terminal.modes() == "0 1 1"
