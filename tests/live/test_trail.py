"""Rates, growth and the time to exhaustion: what is projected, and where it is said that nothing can be."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from live.moments import moments, trail_of
from places import ROOT

from pcapwatch.live.dashboard.chart import area, resampled, rounded_up, spark
from pcapwatch.live.dashboard.trail import GROWTH_S, Step, Trail, exhaustion, rates, triple
from pcapwatch.live.moment import Moment
from pcapwatch.report.model import PortRange, PortUse


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> list[Moment]:
    """Moments of a client that holds 40 ports."""
    return moments(ROOT / "fixtures" / "tw-reuse" / "capture.pcap", tmp_path_factory.mktemp("seen"), 8)


def growing(use: PortUse, seconds: int, held_per_s: float, opened_per_s: float) -> Trail:
    """A trail of so many seconds in which one triple grew steadily up to what it holds now."""
    steps = [
        Step(
            float(at),
            at,
            at,
            at,
            {},
            {triple(use): (round(use.held_at_end[1] - held_per_s * (seconds - at)), round(opened_per_s * at))},
        )
        for at in range(seconds + 1)
    ]
    return Trail(tuple(steps))


def unsteady(use: PortUse) -> Trail:
    """Three seconds, of which only the last one grew."""
    grown = growing(use, 3, 600, 600)
    held, opened = grown.steps[0].ports[triple(use)]
    early = [step._replace(ports={triple(use): (held, opened)}) for step in grown.steps[:3]]
    return replace(grown, steps=(*early, grown.steps[3]))


def continued(trail: Trail, use: PortUse, seconds: int, per_s: float) -> Trail:
    """The same trail so much later; meanwhile so many ports a second were opened, and held."""
    last = trail.steps[-1]
    (held, opened), key = last.ports[triple(use)], triple(use)
    later = [
        last._replace(
            elapsed_s=last.elapsed_s + at, ports={key: (round(held + per_s * at), round(opened + per_s * at))}
        )
        for at in range(1, seconds + 1)
    ]
    steps = (*trail.steps, *later)
    return Trail(tuple(step for step in steps if later[-1].elapsed_s - step.elapsed_s <= GROWTH_S))


@pytest.fixture
def use(seen: list[Moment]) -> PortUse:
    """The client's use of its ports, 10,000 of 28,232 held, of which it can open 470 a second for ever."""
    return seen[-1].report.ports[0]._replace(held_at_end=(9_000, 10_000), sustainable_per_s=470)


def test_time_to_exhaustion(use: PortUse) -> None:
    """What is left divided by the growth, where the pace is more than the range can bear."""
    found = exhaustion(growing(use, 20, 600, 600), use)
    assert found.in_s == pytest.approx((28_232 - 10_000) / 600)
    assert found.basis == "grows 600/s over the last 20 s"


def test_steady_growth_is_projected_from_few_moments(use: PortUse) -> None:
    """A range that is full within half a minute is told before it is, and from how little."""
    found = exhaustion(growing(use, 2, 600, 600), use)
    assert found.in_s == pytest.approx((28_232 - 10_000) / 600)
    assert found.basis == "grows 600/s over 2 s only, steadily"


def test_a_triple_that_is_newer_than_the_capture_is_projected_too(use: PortUse) -> None:
    """Nothing was held of it when the last half a minute began: its growth is judged from where it is first known."""
    grown = growing(use, 20, 600, 600)
    steps = tuple(step._replace(ports={}) if step.elapsed_s < 14 else step for step in grown.steps)
    found = exhaustion(replace(grown, steps=steps), use)
    assert found.in_s == pytest.approx((28_232 - 10_000) / 600)
    assert found.basis == "grows 600/s over the last 6 s"


def test_a_pace_that_levels_off_never_fills_the_range(use: PortUse) -> None:
    """Below range ÷ TIME_WAIT new connections a second, ports held end at pace × TIME_WAIT, whatever they grow now."""
    found = exhaustion(growing(use, 20, 100, 100), use)
    assert (found.in_s, found.words) == (None, "no")
    assert found.basis == f"100/s levels off near {round(100 * 28_232 / 470):,} ports"


@pytest.mark.parametrize("range_per_s", [470, 30, None])
def test_a_burst_that_is_over_is_no_pace(use: PortUse, range_per_s: int | None) -> None:
    """4 s of 500 connections a second, then no packet: silence is a rate too, though half a minute holds the burst."""
    use = use._replace(sustainable_per_s=range_per_s)
    burst = growing(use, 4, 500, 500)
    for silent_s in range(6, 26):
        found = exhaustion(continued(burst, use, silent_s, 0), use)
        assert (found.in_s, found.words, found.basis) == (None, "unknown", "not growing over the last 5 s"), silent_s


def test_a_pace_that_fell_is_the_one_that_goes_on(use: PortUse) -> None:
    """What is left of a burst is projected as it goes on now; a pace that only varies is that of half a minute."""
    use = use._replace(sustainable_per_s=None)
    fallen = exhaustion(continued(growing(use, 4, 500, 500), use, 10, 20), use)
    assert fallen.in_s == pytest.approx((28_232 - 10_000) / 20)
    assert fallen.basis == "grows 20/s over the last 5 s"
    varied = exhaustion(continued(growing(use, 20, 600, 600), use, 5, 400), use)
    assert varied.basis == "grows 560/s over the last 25 s"


def test_nothing_is_projected_for_days(use: PortUse) -> None:
    """Half a minute's growth says nothing of next week: what would take longer than a day is only that."""
    found = exhaustion(
        growing(use._replace(sustainable_per_s=None), 20, 0.2, 0.2), use._replace(sustainable_per_s=None)
    )
    assert (found.in_s, found.words, found.basis) == (None, "> 1 day", "grows 0.20/s over the last 20 s")


def test_unknown_stays_unknown(use: PortUse) -> None:
    """Nothing is projected from too few moments, from a triple just met, or from no growth."""
    for trail, why in (
        (Trail(), "too few moments to tell growth"),
        (growing(use, 1, 600, 600), "too few moments to tell growth"),
        (unsteady(use), "too few moments to tell growth"),
        (growing(use._replace(server="192.0.2.1"), 20, 600, 600), "too few moments to tell growth"),
        (growing(use, 20, 0, 600), "not growing over the last 20 s"),
        (growing(use, 20, -50, 600), "not growing over the last 20 s"),
    ):
        found = exhaustion(trail, use)
        assert (found.in_s, found.words, found.basis) == (None, "unknown", why)


def test_full(use: PortUse) -> None:
    """All ports held is no projection."""
    found = exhaustion(Trail(), use._replace(range=PortRange(32768, 42767)))
    assert (found.in_s, found.words) == (0.0, "full")


def test_ports_held_now(seen: list[Moment]) -> None:
    """The engine tells the ports held at the last packet: within the peak, and what the client holds."""
    for moment in seen:
        for one in moment.report.ports:
            assert one.held_at_end[0] <= one.held_at_end[1] <= one.held_peak[1]
    last = seen[-1].report
    client = next(host for host in last.waiting if host.host == last.ports[0].client)
    assert last.ports[0].held_at_end == client.at_end, "nothing is open at the end, so what is held is what waits"


def test_ports_free_again(tmp_path: Path) -> None:
    """Where the server closed first the client holds no port once all are closed, though it held some at the peak."""
    (last,) = moments(ROOT / "fixtures" / "nginx-ab" / "capture.pcap", tmp_path, 1)
    (pair,) = last.report.summary["pairs"]
    assert pair["active_closer"] == {"server": pair["connections"]}
    assert pair["ports"]["held_peak_max"] >= 1
    assert (pair["ports"]["held_at_end_min"], pair["ports"]["held_at_end_max"]) == (0, 0)


def test_rates_and_bounds(seen: list[Moment]) -> None:
    """Rates are over the last seconds; the trail keeps half a minute, and every finding's first sight, once."""
    trail = trail_of(seen)
    pace = rates(trail)
    assert pace
    lasted = seen[-1].counters.elapsed_s - seen[0].counters.elapsed_s
    assert pace.packets == pytest.approx((seen[-1].counters.packets - seen[0].counters.packets) / lasted)
    assert rates(trail_of(seen[:1])) is None
    before = dict(trail.found_s)
    for second in range(200):
        counters = replace(seen[-1].counters, elapsed_s=seen[-1].counters.elapsed_s + second)
        trail = trail.after(replace(seen[-1], counters=counters))
    assert len(trail.steps) == GROWTH_S + 1
    assert trail.found_s == before


def test_no_rate_across_a_standstill(seen: list[Moment]) -> None:
    """Two moments at one instant give no rate rather than a division by nothing."""
    assert rates(trail_of([seen[-1], seen[-1]])) is None


SECOND = 1_000_000_000


def test_resampled() -> None:
    """A count lasts until the next sample, the highest of a part shows; the past keeps its place as time goes on."""
    samples = [(1 * SECOND, 1, 2), (2 * SECOND, 5, 9), (3 * SECOND, 0, 1)]
    parts = resampled(samples, 0, 9 * SECOND, 10)
    assert parts == [(0, 0), (1, 2), (5, 9), (5, 9), *[(0, 1)] * 6]
    longer = resampled(samples, 0, 10 * SECOND - 1, 10)
    assert longer == parts
    assert resampled(samples, 0, 500 * SECOND, 1) == [(5, 9)]
    assert resampled([], 0, 0, 10) == [(0, 0)]


def test_blocks() -> None:
    """What is held always shows; least is solid, most is shaded; the scale is a round number."""
    assert spark([(0, 0), (1, 1), (800, 800)]) == " ▁█"
    rows = ["".join(piece.text for piece in row) for row in area([(0, 0), (400, 800), (800, 800)], 2)]
    assert rows == [" ░█", " ██"]
    assert [rounded_up(number) for number in (0, 1, 5, 9, 11, 16, 2688, 28_232)] == [0, 1, 6, 10, 15, 20, 3000, 30_000]
