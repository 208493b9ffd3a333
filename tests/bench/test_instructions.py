"""The comparison of instruction counts, by numbers made up here."""

from __future__ import annotations

import json

import pytest

from bench.instructions import BASELINE, TRAFFIC, compare, other_compiler, report

HERE = {"engine": "0.1.0", "rustc": "1.90.0", "valgrind": "3.19.0"}


@pytest.mark.parametrize(
    ("now", "complaints"),
    [
        ({"short": 1000.0, "bulk": 500.0}, 0),
        ({"short": 1100.0, "bulk": 500.0}, 0),  # exactly 10 % is not more than 10 %
        ({"short": 1100.2, "bulk": 500.0}, 1),
        ({"short": 10.0, "bulk": 551.0}, 1),  # a gain on one kind does not pay for a loss on the other
        ({"short": 1200.0, "bulk": 600.0}, 2),
        ({"short": 1000.0}, 1),
        ({"short": 1000.0, "bulk": 500.0, "new": 1.0}, 1),
    ],
)
def test_growth_over_a_tenth_is_said(now: dict[str, float], complaints: int) -> None:
    """Each kind of traffic by itself may take up to 10 % more than the baseline; one without a partner is said."""
    assert len(compare(now, {"short": 1000.0, "bulk": 500.0})) == complaints


def test_growth_fails_and_says_how_to_accept_it(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit status 1, the figure and its growth, and the command that changes the baseline on purpose."""
    baseline = {**HERE, "per_packet": {"short": 1000.0}}
    assert report({"short": 1300.0}, baseline, HERE) == 1
    said = capsys.readouterr().err
    assert "1,300.0 instructions per packet, +30.0% on 1,000.0" in said
    assert "make instructions-baseline" in said


def test_no_growth_passes_in_silence(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit status 0 and nothing on stderr."""
    assert report({"short": 900.0}, {**HERE, "per_packet": {"short": 1000.0}}, HERE) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("now", "said"), [(899.0, True), (901.0, False)])
def test_a_gain_is_worth_keeping(now: float, said: bool, capsys: pytest.CaptureFixture[str]) -> None:
    """Over a tenth fewer than the baseline passes, with a word that the baseline could be lowered."""
    assert report({"short": now}, {**HERE, "per_packet": {"short": 1000.0}}, HERE) == 0
    assert ("make instructions-baseline" in capsys.readouterr().out) == said


@pytest.mark.parametrize(("now", "said"), [("1.90.3", False), ("1.91.0", True), ("2.90.0", True), ("1.9.0", True)])
def test_another_compiler_is_said(now: str, said: bool) -> None:
    """A different major or minor version of rustc is told beside the figures, a patch release is not."""
    assert bool(other_compiler("1.90.0", now)) == said


def test_the_committed_baseline_is_whole() -> None:
    """It names what it was counted with, and has every kind of traffic."""
    baseline = json.loads(BASELINE.read_text())
    assert baseline.keys() == {*HERE, "per_packet"}
    assert baseline["per_packet"].keys() == TRAFFIC.keys()
