"""Lines of `--no-tui`: each interval, whatever a report costs, and with the age of what is not of now."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from live.moments import moments
from places import ROOT

from pcapwatch.cli import watching
from pcapwatch.cli.stops import Signals, Stops
from pcapwatch.cli.watching import Watch, print_lines
from pcapwatch.host.watch import SHARE, HostMoment, HostWatch
from pcapwatch.live.lines import line
from pcapwatch.live.moment import Counters, Moment


@pytest.fixture(scope="module")
def moment(tmp_path_factory: pytest.TempPathFactory) -> Moment:
    """Of a real capture."""
    return moments(ROOT / "fixtures" / "tw-reuse" / "capture.pcap", tmp_path_factory.mktemp("moment"), 1)[0]


class Costly:
    """A session whose reports take long, for so many seconds."""

    def __init__(self, moment: Moment, cost_s: float, seconds: float) -> None:
        self.made, self._moment, self._cost_s = 0, moment, cost_s
        self._began_s, self._until_s = time.monotonic(), time.monotonic() + seconds

    def advance(self, seconds: float) -> bool:
        """Nothing but time."""
        time.sleep(seconds)
        return time.monotonic() < self._until_s

    @property
    def counters(self) -> Counters:
        """A hundred packets a second."""
        elapsed_s = time.monotonic() - self._began_s
        return replace(self._moment.counters, elapsed_s=elapsed_s, packets=round(100 * elapsed_s))

    def moment(self, previous: Counters | None) -> Moment:
        """Costly."""
        time.sleep(self._cost_s)
        self.made += 1
        return replace(
            self._moment, at=datetime.now(UTC), counters=self.counters, previous=previous, cost_s=self._cost_s
        )

    def conclude(self) -> Any:
        """The end."""
        return self._moment.report


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What goes to standard output."""
    lines: list[str] = []
    monkeypatch.setattr(watching, "write_stdout", lambda data: lines.append(data.decode()))
    return lines


def run(session: Any) -> None:
    """Lines, five a second."""
    print_lines(Watch(session, Stops(), Signals(), 0.2, (), lambda _: None))


def test_a_line_each_interval_though_reports_are_rare(moment: Moment, printed: list[str]) -> None:
    """Reports keep to their share; the lines between two say how old the figures are, and their rates are of now."""
    session = Costly(moment, cost_s=0.1, seconds=3.5)
    run(session)
    assert session.made == 2, "a report that takes 0.1 s is made every 2 s"
    assert len(printed) >= 14
    ages = [re.search(r"figures (\d\.\d) s old", text) for text in printed]
    assert [age is None for age in ages].count(True) == session.made
    assert max(float(age[1]) for age in ages if age) >= 1.5
    rates = [int(found[1]) for text in printed if (found := re.search(r"(\d+) packets/s", text))]
    assert len(rates) == len(printed)
    assert all(60 <= rate <= 140 for rate in rates), rates


def test_cheap_reports_are_made_each_interval(moment: Moment, printed: list[str]) -> None:
    """Nothing is old, and nothing says so."""
    session = Costly(moment, cost_s=0.001, seconds=1.5)
    run(session)
    assert session.made == len(printed) >= 6
    assert not any("figures" in text for text in printed)


def test_what_the_kernel_told_has_its_age(moment: Moment) -> None:
    """In seconds before the line's own time."""
    told = HostMoment("db1", round((moment.at.timestamp() - 12.3) * 1e9), 310, None, 310, {}, {}, None, 0, None, {})
    assert "kernel 310 (12.3 s ago)" in line(replace(moment, host=told))
    assert "kernel" not in line(moment)


def test_the_kernel_is_asked_as_its_cost_allows() -> None:
    """After a sample that took long there is none for twenty times as long."""
    try:
        host = HostWatch()
    except Exception as error:  # noqa: BLE001 - whatever keeps it from being read here
        pytest.skip(f"no kernel to read: {error}")
    with host:
        assert host.is_due()
        host.note_cost(0.02)
        assert not host.is_due()
        time.sleep(0.02 / SHARE)
        assert host.is_due()
