"""Rates are those of the busy time: a quiet hour behind a burst makes it no smaller, in a summary and in a capture."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from places import ROOT
from summaries import SECOND, START, pair, summary

from pcapwatch.analysis import analyze
from pcapwatch.findings import find, service
from pcapwatch.findings.service import services
from pcapwatch.findings.verdict import verdict
from pcapwatch.report.build import build
from pcapwatch.summary import ServiceFacts, Summary

from . import scenarios as s

FIXTURES = ROOT / "fixtures"


def busy(facts: Summary, opened: int, seconds: float, after_s: int = 3) -> Summary:
    """The same with the busiest time of its one service told."""
    (made,) = facts["pairs"]
    facts["services"] = [
        ServiceFacts(
            server=str(made["server"]),
            server_port=made["server_port"],
            connections=made["connections"],
            busy_from_ns=START + after_s * SECOND,
            busy_ns=round(seconds * SECOND),
            busy_opened=opened,
        )
    ]
    return facts


BURSTS: dict[str, tuple[Callable[..., Summary], dict[str, int]]] = {
    "PW101": (s.server_announces, {"number": 1500}),
    "PW103": (s.one_shot, {"number": 1500}),
    "PW105": (s.limited, {"requests": 5, "connections": 1500}),
}


@pytest.mark.parametrize("code", BURSTS)
def test_a_quiet_tail_leaves_the_finding_as_it_was(code: str) -> None:
    """The code, its severity, its rate and the verdict's subject; and when it was so busy is said."""
    make, what = BURSTS[code]
    burst, hour = busy(make(**what, span_s=10), 1500, 10), busy(make(**what, span_s=3600), 1500, 10)
    before, after = ({one.code: one for one in find(facts)}[code] for facts in (burst, hour))
    assert (before.severity, before.numbers["closes_per_s"]) == (after.severity, after.numbers["closes_per_s"])
    assert after.severity == "warning"
    assert "150 per second" in before.title.replace(" such closes", "")
    assert "per second in its busiest 10 s, 3 s into the capture" in after.title
    assert "busiest" not in before.title, "where the whole is as busy, nothing more is said"
    assert verdict(burst, find(burst)).split(".")[0] == verdict(hour, find(hour)).split(".")[0]


def test_of_a_busy_time_the_kind_has_its_share() -> None:
    """A kind that is one in ten of a service's connections is one in ten of those in its busiest time."""
    facts = busy(summary([pair("10.0.0.1", "10.0.0.9", 80, 1000, last_ns=START + 3600 * SECOND)]), 500, 5)
    (one,) = services(facts)
    assert one.per_s(100) == pytest.approx(10)
    assert one.per_s(1000) == pytest.approx(100)
    assert one.narrowed(lambda _: True) == one, "a part of its clients keeps the service's time"


@pytest.mark.parametrize("hours", [1, 24, 500_000])
def test_the_pace_of_port_pressure_is_the_busiest_times(hours: int) -> None:
    """20,000 closes at 1,000 a second fill the range as soon whatever long silence is about them."""
    burst, silence = (
        busy(s.pressed(20_000, number=20_000, opened_peak_per_s=1000, span_s=span_s), 10_000, 10)
        for span_s in (20, hours * 3600)
    )
    before, after = ({one.code: one for one in find(facts)}["PW108"] for facts in (burst, silence))
    assert (before.severity, before.numbers) == (after.severity, after.numbers)
    assert (after.severity, after.numbers["closes_per_s"]) == ("warning", 1000)
    assert "closing 1,000 connections per second in its busiest 10 s, 3 s into the capture;" in after.title
    assert after.title.endswith("full after 28.2 s")
    assert "busiest" not in before.title
    assert "at 1,000 closes per second, as in its busiest time, they last 28.2 s" in verdict(silence, find(silence))


def test_a_block_is_full_at_the_busiest_pace_too() -> None:
    """Where the ports make a block, its end at that pace is said as well."""
    block = s.block(33_000, 52_999, 20_000)
    facts = busy(s.pressed(20_000, number=20_000, block=block, span_s=86_400, opened_peak_per_s=1000), 10_000, 10)
    (finding,) = [one for one in find(facts) if one.code == "PW108"]
    assert finding.severity == "warning"
    assert "closing 1,000 connections per second in its busiest 10 s" in finding.title
    assert "full after 20 s; state it" in finding.title
    assert finding.numbers["seconds_to_full"] == pytest.approx(20.0), "of the block, as the title says"


def test_a_burst_too_short_to_project_is_none_beside_a_wrong_time() -> None:
    """2,000 closes in four seconds have no pace alone, and none of 0.00 with one packet at 1970 or 2106."""
    block = s.block(32_768, 34_767)
    for span_s in (4, 2**31):
        facts = busy(s.pressed(2000, number=2000, block=block, span_s=span_s, opened_peak_per_s=500), 2000, 4)
        (finding,) = [one for one in find(facts) if one.code == "PW108"]
        assert "closing" not in finding.title
        assert "closes_per_s" not in finding.numbers
    again = busy(s.pressed(20_000, number=20_000, span_s=600, opened_peak_per_s=500), 2000, 4)
    (finding,) = [one for one in find(again) if one.code == "PW108"]
    assert finding.numbers["closes_per_s"] == pytest.approx(33.33), "bursts that come again are a pace"


def test_a_client_is_not_charged_with_the_burst_of_others() -> None:
    """Its share of the busiest time is no more than its own busiest second."""
    facts = busy(s.pressed(1000, number=3600, span_s=3600, opened_peak_per_s=2), 3600, 10)
    assert "PW108" not in {finding.code for finding in find(facts)}


def test_services_are_made_once_for_a_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """All rules and the verdict share them, no other summary is given them, and nothing is kept."""
    made: list[int] = []
    make = service._services

    def counting(facts: Summary) -> Iterator[service.Service]:
        made.append(1)
        return make(facts)

    monkeypatch.setattr(service, "_services", counting)
    facts = s.ALL["pressed"]
    build(facts)
    assert len(made) == 1
    with service.services_made_once(facts):
        assert list(services(summary([]))) == []
    assert service._MADE.get() is None


def shifted(capture: bytes, seconds: int) -> bytes:
    """The records of a little-endian pcap with their times moved on, without its header."""
    made, at = bytearray(capture[24:]), 0
    while at < len(made):
        since, kept = struct.unpack_from("<I", made, at)[0], struct.unpack_from("<I", made, at + 8)[0]
        struct.pack_into("<I", made, at, since + seconds)
        at += 16 + kept
    return bytes(made)


def test_in_a_capture(tmp_path: Path) -> None:
    """A real burst, and the same again after two hours in which nothing came: the rate is that of the burst."""
    once = (FIXTURES / "nginx-max-requests" / "capture.pcap").read_bytes()
    twice = tmp_path / "twice.pcap"
    twice.write_bytes(once + shifted(once, 7200))
    whole = tmp_path / "once.pcap"
    whole.write_bytes(once)
    first, second = (next(one for one in analyze(file).findings if one.code == "PW105") for file in (whole, twice))
    assert second.numbers["connections"] == 2 * int(first.numbers["connections"])
    assert second.numbers["closes_per_s"] == first.numbers["closes_per_s"]
    assert second.severity == first.severity
    facts = analyze(twice).summary
    assert facts["services"][0]["connections"] == facts["totals"]["connections"]
