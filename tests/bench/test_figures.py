"""The table of targets, over runs made up here, and what one real run notes."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.captures import Capture
from bench.figures import Figure, figures
from bench.job import Job, environment, rounds
from bench.jobs import captures, jobs
from bench.render import commands, targets

CAPTURE = Capture("short", 100)


def job(key: str, *wall_s: float, command: str = "true") -> Job:
    """A job that ran this long, with a peak of 1 MB for each second."""
    peaks = [1e6 * one for one in wall_s]
    return Job(key, CAPTURE, [command], "1.2", wall_s=list(wall_s), cpu_s=list(wall_s), peak_bytes=peaks)


def table(figure: Figure, *ran: Job) -> str:
    """The one row of the table of targets."""
    return targets([figure], {one.key: one for one in ran})[2]


@pytest.mark.parametrize(
    ("reach", "at_most", "row"),
    [
        (1.5, True, "| x | ≤ 1.5 | 1.50 | met |"),
        (1.4, True, "| x | ≤ 1.4 | 1.50 | **not met** |"),
        (1.5, False, "| x | ≥ 1.5 | 1.50 | met |"),
        (1.6, False, "| x | ≥ 1.6 | 1.50 | **not met** |"),
    ],
)
def test_a_ratio_is_of_medians(reach: float, at_most: bool, row: str) -> None:
    """The median of one over the median of the other, whatever the outliers, held against the reach both ways."""
    figure = Figure("x", "a.over", "a.under", reach, at_most=at_most)
    assert table(figure, job("a.over", 3.0, 0.1, 99.0), job("a.under", 2.0, 2.0, 50.0)) == row


def test_an_absolute_figure_has_its_unit() -> None:
    """Peak memory is shown in MB and held against MB."""
    figure = Figure("x", "a.over", "", 150, "peak_bytes", unit="MB")
    assert table(figure, job("a.over", 151.0)) == "| x | ≤ 150 MB | 151 MB | **not met** |"


def test_cost_per_packet_is_dearest_over_cheapest() -> None:
    """Each is divided by the packets of its own capture: 100 and 10 connections of 10 packets each."""
    large = Job("l.engine", CAPTURE, ["true"], "", own_s=[1.0])
    small = Job("s.engine", Capture("s", 10), ["true"], "", own_s=[0.12])
    figure = Figure("x", "", "", 1.15, "own_s", each=True, kin=("l.engine", "s.engine"))
    assert table(figure, large, small) == "| x | ≤ 1.15 | 1.20 | **not met** |"


def test_of_a_job_and_itself_the_share_of_its_wall_time() -> None:
    """What the progress bar took, over the whole: medians of 0.02 s and of 2 s."""
    bar = Job("a.bar", CAPTURE, ["true"], "", wall_s=[1.0, 2.0, 9.0], own_s=[0.02, 0.5, 0.01])
    figure = Figure("x", "a.bar", "a.bar", 0.01, "own_s", digits=4)
    assert table(figure, bar) == "| x | ≤ 0.01 | 0.0100 | met |"


def test_sizes_take_turns(tmp_path: Path) -> None:
    """A minute in which the machine is slow must not be one file's: those jobs are of one group, the others of none."""
    made = jobs(captures(1, long=True), tmp_path)
    grouped = {key: job.group for key, job in made.items() if job.group}
    assert set(grouped.values()) == {"sizes"}
    assert {made[key].capture.key for key in grouped} == {"tenth", "short", "long"}


def test_what_is_absent_is_said() -> None:
    """A command that is not there, or failed in one of its runs, gives no figure, but its name and why."""
    figure = Figure("x", "a.over", "a.under", 4)
    missing = job("a.over", command="no-such-command")
    assert table(figure, missing, job("a.under", 1.0)) == "| x | ≤ 4 | | no-such-command not installed |"
    failed = job("a.over", 1.0, command="false")
    failed.run()
    assert table(figure, failed, job("a.under", 1.0)) == "| x | ≤ 4 | | false ended with 1 |"
    assert "| short | over | not installed |" in commands([missing])[2]


def test_a_run_notes_time_and_peak() -> None:
    """Wall seconds and the peak are the command's alone: next to none for `sleep`, however large this process is."""
    ballast = bytearray(b"x") * 64_000_000
    ran = Job("a.sleep", CAPTURE, ["sleep", "0.1"], "")
    slow = Job("a.slow", CAPTURE, ["true"], "", slow=True)
    rounds([ran, slow], 3, 1)
    assert (len(ran.wall_s), len(slow.wall_s), ran.failure) == (3, 1, "")
    assert all(0.1 <= wall_s < 5 for wall_s in ran.wall_s)
    assert all(0 < peak < 20_000_000 < len(ballast) for peak in ran.peak_bytes)


def test_a_terminal_is_one() -> None:
    """A job that asks for a terminal has one on stderr; others have none."""
    on_terminal = Job("a.tty", CAPTURE, ["test", "-t", "2"], "", terminal=True)
    off = Job("a.file", CAPTURE, ["test", "-t", "2"], "")
    rounds([on_terminal, off], 1, 1)
    assert (on_terminal.failure, off.failure) == ("", "ended with 1")


def test_commands_start_as_installed_ones_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python may keep its compiled files, as where pip has installed it."""
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    assert "PYTHONDONTWRITEBYTECODE" not in environment()


@pytest.mark.parametrize("long", [False, True])
def test_every_figure_has_its_jobs(long: bool, tmp_path: Path) -> None:
    """Every row names jobs that there are, and the sizes are those the targets speak of."""
    of = captures(1, long=long)
    known = jobs(of, tmp_path)
    assert all(key in known for row in figures(long=long) for key in row.keys)
    assert of["short"].packets == 10_000_000
    assert of["bulk"].connections * of["bulk"].requests * of["bulk"].response_bytes >= 4e9
    assert of["small"].packets == 1_000
