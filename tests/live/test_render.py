"""The dashboard's screen as a function of a moment, a view and a size, on reports of real captures."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import get_args

import pytest
from live.moments import moments, trail_of
from places import ROOT
from rich.cells import cell_len
from test_hostile_text import OUTSIDE_HTTP, TEXTS, UNSEEN, craft

import pcapwatch
from pcapwatch.live.dashboard.render import bits, render
from pcapwatch.live.dashboard.sections import parts_of
from pcapwatch.live.dashboard.view import PAGES, SORTS, Page, View
from pcapwatch.live.moment import Counters, Moment, Written, clock

EXPECTED = ROOT / "tests" / "expected" / "live"
#: A client that closes first and recycles its ports; a proxy whose origin closes first, ports reused; a minute of
#: TIME_WAITs that end one after another.
CAPTURES = ("tw-reuse", "proxy-http10-reuse", "reuse-at-ages")
SGR = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Moment]]:
    """Eight moments of each capture."""
    return {
        name: moments(ROOT / "fixtures" / name / "capture.pcap", tmp_path_factory.mktemp(name), 8) for name in CAPTURES
    }


def at_end(seen: list[Moment]) -> tuple[Moment, View]:
    """The last moment, named alike wherever it is made, and the view after all of them."""
    last = seen[-1]
    capture = {**last.report.summary["capture"], "files": []}
    quality = last.report.quality._replace(files=("veth0",))
    report = replace(last.report, quality=quality, summary={**last.report.summary, "capture": capture})  # type: ignore[typeddict-item]
    return replace(last, report=report), View(trail=trail_of(seen), colour=False)


SCREENS: list[tuple[str, Page, int, int]] = [
    *(("proxy-http10-reuse", page, 80, 24) for page in (*PAGES.values(), "help")),
    *((name, "overview", *size) for name in CAPTURES for size in ((120, 40), (50, 14), (30, 8))),
    *(("reuse-at-ages", page, 80, 24) for page in ("overview", "waiting")),
    ("tw-reuse", "overview", 80, 24),
]


@pytest.mark.parametrize(("name", "page", "width", "height"), SCREENS)
def test_as_expected(seen: dict[str, list[Moment]], name: str, page: Page, width: int, height: int) -> None:
    """Every page, and the overview at large and small sizes, is the screen that was read and agreed to."""
    moment, view = at_end(seen[name])
    screen = "".join(f"{line}\n" for line in render(moment, replace(view, page=page), width, height))
    file = EXPECTED / f"{name}.{page}.{width}x{height}.txt"
    if os.environ.get("PCAPWATCH_REGENERATE"):
        file.write_text(screen)
    assert screen == file.read_text()


def test_the_documented_screen() -> None:
    """The screen in docs/live.md is one of these."""
    screen = (EXPECTED / "reuse-at-ages.overview.80x24.txt").read_text()
    page = ROOT / "docs" / "live.md"
    before, _, rest = page.read_text().partition("<!-- screen -->\n```text\n")
    shown, _, after = rest.partition("```\n<!-- end of screen -->")
    if os.environ.get("PCAPWATCH_REGENERATE"):
        page.write_text(f"{before}<!-- screen -->\n```text\n{screen}```\n<!-- end of screen -->{after}")
        shown = screen
    assert shown == screen


def sizes() -> Iterator[tuple[int, int]]:
    """Every width with a few heights and the other way round."""
    yield from ((width, height) for width in range(1, 181) for height in (1, 3, 4, 9, 24))
    yield from ((width, height) for width in (1, 19, 20, 79, 80, 133) for height in range(1, 71))


@pytest.mark.parametrize("page", [*PAGES.values(), "help", "ladder"])
def test_fits_every_size(seen: dict[str, list[Moment]], page: Page) -> None:
    """Exactly as many lines as the terminal has and none wider, with colour and without, whatever the size."""
    moment, view = at_end(seen["tw-reuse"])
    for width, height in sizes():
        for colour in (False, True):
            lines = render(moment, replace(view, page=page, colour=colour), width, height)
            assert len(lines) == height
            assert max(cell_len(SGR.sub("", line)) for line in lines) <= width


def test_colour_only_repeats(seen: dict[str, list[Moment]]) -> None:
    """With colour the words are the same; without it there is no control byte at all (NO_COLOR)."""
    moment, view = at_end(seen["tw-reuse"])
    for page in get_args(Page):
        plain = render(moment, replace(view, page=page), 80, 24)
        coloured = render(moment, replace(view, page=page, colour=True), 80, 24)
        assert [SGR.sub("", line).rstrip() for line in coloured] == [line.rstrip() for line in plain]
        assert not any("\x1b" in line for line in plain)


@pytest.mark.parametrize("text", TEXTS)
def test_hostile_text(tmp_path: Path, text: str) -> None:
    """What the wire, a file's name or an interface's name says is never obeyed by the terminal."""
    report = pcapwatch.analyze(craft(tmp_path, TEXTS[text]), names=True)
    source = (OUTSIDE_HTTP + TEXTS[text][:40]).decode("utf-8", "replace")
    written = Written(1, 1, error=source)
    moment = Moment(datetime(2026, 11, 20, tzinfo=UTC), source, Counters(packets=1, written=written), None, report)
    for page in get_args(Page):
        for typed in ("", source[:60]):
            view = View(page=page, filter=typed, message=typed, title=typed, trail=trail_of([moment]))
            for line in render(moment, view, 200, 60):
                plain = SGR.sub("", line)
                assert not UNSEEN.search(plain)
                assert "\x1b" not in plain


def test_small_screens_keep_the_dearest(seen: dict[str, list[Moment]]) -> None:
    """With every line less, sections go from the end of their order and never half: closers stay longest."""
    moment, view = at_end(seen["tw-reuse"])
    headings = ("Who closes", "TIME_WAIT", "Findings", "Ports", "HTTP")
    for height in range(5, 40):
        lines = render(moment, view, 80, height)
        shown = [any(line.startswith(heading) for line in lines) for heading in headings]
        assert shown == sorted(shown, reverse=True), height
        assert shown[0]
        assert all(shown) == (height >= 13)


def test_losses_are_never_hidden(seen: dict[str, list[Moment]]) -> None:
    """Every kind of loss is named on every page, marked without colour too; without any that is said."""
    moment, view = at_end(seen["tw-reuse"])
    lost = replace(
        moment.counters,
        kernel_drops=1234,
        ring_losses=1,
        evicted_connections=5,
        interface_down=2,
        written=Written(3, 2_500_000, 7, "/data: No space left on device"),
    )
    silent = replace(moment, counters=replace(moment.counters, kernel_drops=None))
    for page in get_args(Page):
        assert render(silent, view, 80, 24)[1] == "drops unknown: this source tells none"
        assert render(moment, replace(view, page=page), 200, 24)[1] == "nothing dropped, nothing evicted"
        told = render(replace(moment, counters=lost), replace(view, page=page), 200, 24)[1]
        assert told == (
            "! 1,234 packets dropped by the kernel; the ring was full 1 time; 5 connections evicted; interface down 2 "
            "times; 7 packets not written: /data: No space left on device; writing 3 files, 2.5 MB"
        )
        narrow = render(replace(moment, counters=lost), replace(view, page=page), 80, 24)
        assert " ".join(row.strip() for row in narrow[1:3]) == (
            "! 1,234 drops; ring full 1 time; 5 evicted; down 2 times; 7 not written: No space left on device"
        )
        tiny = "".join(render(replace(moment, counters=lost), replace(view, page=page), 30, 24)[1:5])
        assert all(word in tiny for word in ("1,234 drops", "full", "evicted", "7 not")), tiny
    again = replace(lost, written=Written(3, 2_500_000, unwritten=7))
    told = render(replace(moment, counters=again), view, 200, 24)[1]
    assert told.endswith("; 7 packets not written; writing 3 files, 2.5 MB"), "what is missing stays missing"


def services(moment: Moment, view: View) -> list[str]:
    """The services on the screen, in its order."""
    lines = render(moment, view, 120, 40)
    table = lines[next(at for at, line in enumerate(lines) if line.startswith("Who closes")) + 1 :]
    return [line.lstrip("▸ ").split()[0] for line in table[: table.index("")]]


def test_order_and_filter(tmp_path: Path) -> None:
    """Services in the chosen order, or its reverse; a filter leaves the services, hosts and triples that it matches."""
    moment, view = at_end(moments(ROOT / "fixtures" / "proxy-both-legs" / "capture.pcap", tmp_path, 2))
    both = ["10.77.2.2:80", "10.77.1.2:80"]  # three connections, and one
    assert services(moment, view) == both
    assert services(moment, replace(view, reverse=True)) == both[::-1]
    for sort in SORTS:
        assert f"{sort}▾" in "\n".join(render(moment, replace(view, sort=sort), 120, 40))
        assert sorted(services(moment, replace(view, sort=sort))) == sorted(both)
    one = replace(view, filter="77.1.2:80")
    assert services(moment, one) == both[1:]
    tables = "\n".join(render(moment, one, 120, 40)).partition("Who closes")[2].partition("Findings")[0]
    assert "10.77.1.2" in tables
    assert "10.77.2." not in tables
    nothing = "\n".join(render(moment, replace(view, filter="192.0.2.99"), 120, 40))
    assert "no service matches 192.0.2.99" in nothing
    assert "no socket matching 192.0.2.99 entered it" in nothing


def test_silence_is_said(seen: dict[str, list[Moment]]) -> None:
    """Where no packet came for a while the screen says how long, whatever the packets' own clock says."""
    moment, view = at_end(seen["tw-reuse"])
    assert "silent" not in render(moment, view, 100, 24)[0]
    began_s = moment.counters.elapsed_s
    for second in range(0, 76, 5):
        later = replace(moment, counters=replace(moment.counters, elapsed_s=began_s + second))
        view = replace(view, trail=view.trail.after(later))
    assert "silent 1:15" in render(later, view, 100, 24)[0]
    grown = replace(later, counters=replace(later.counters, packets=later.counters.packets + 1))
    assert "silent" not in render(grown, replace(view, trail=view.trail.after(grown)), 100, 24)[0]


def test_the_chart_goes_on_while_no_packet_comes(seen: dict[str, list[Moment]]) -> None:
    """TIME_WAITs that end after the last packet leave the picture, whose end is now."""
    moment, view = at_end(seen["tw-reuse"])
    (host, *_) = moment.report.waiting
    last_ns = moment.report.quality.last_ns
    assert last_ns is not None
    ended = host._replace(at_end=(0, 0), occupancy=(*host.occupancy, (last_ns + 60 * 10**9, 0, 0)))
    later = replace(moment, report=replace(moment.report, waiting=(ended,)), silent_s=120.0)
    for one, over, now in ((moment, "over 0:01", "40 now"), (later, "over 2:01", "0 now")):
        assert f"10.77.1.1 in TIME_WAIT {over}: {now}, at most 40" in "\n".join(render(one, view, 100, 40))
    before, after = parts_of(host, moment, 40), parts_of(ended, later, 40)
    assert before[-1] == (40, 40)
    assert (after[0], after[len(after) // 3], after[-1]) == ((40, 40), (40, 40), (0, 0))


def test_a_stale_moment_says_how_old_it_is(seen: dict[str, list[Moment]]) -> None:
    """Figures behind the counters, packets behind the clock, a paused screen: each with its age; losses are of now."""
    moment, view = at_end(seen["tw-reuse"])
    assert "old" not in render(moment, view, 120, 24)[0]
    counters = replace(moment.counters, elapsed_s=moment.counters.elapsed_s + 72, packets=9000, kernel_drops=5)
    at = moment.at + timedelta(seconds=72)
    later, heard = moment.recounted(at, counters), replace(view, trail=view.trail.heard(counters))
    title, lost, *_ = render(later, heard, 120, 24)
    assert "9,000 packets  figures 1:12 old  packets 1:12 old  " in title, "the capture's clock stands still, too"
    assert lost.startswith("! 5 packets dropped by the kernel")
    fresh = replace(counters, last_ns=int(at.timestamp() * 1e9))
    title, *_ = render(moment.recounted(at, fresh), heard, 120, 24)
    assert "figures 1:12 old" in title
    assert "packets 1:12 old" not in title
    title, lost, *_ = render(moment.kept(at, counters), replace(heard, paused=True), 120, 24)
    assert title.startswith("PAUSED 1:12 ago  veth0  ")
    assert "800 packets" in title
    assert lost.startswith("! 5 packets dropped by the kernel")


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (59.9, "0:59"), (3600, "1:00:00"), (263_000, "3d 01:03:20")]
)
def test_clock(seconds: float, text: str) -> None:
    """Minutes, hours and days as they are read aloud."""
    assert clock(seconds) == text


@pytest.mark.parametrize(
    ("per_s", "text"), [(0, "0 bit/s"), (1500, "1.50 kbit/s"), (98_100_000, "98.1 Mbit/s"), (2.5e10, "25 Gbit/s")]
)
def test_bits(per_s: float, text: str) -> None:
    """Decimal, as interfaces count."""
    assert bits(per_s) == text
