"""Rates are those of the busy time: a quiet hour behind a burst makes it no smaller, in a summary and in a capture."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from places import ROOT
from summaries import SECOND, START, pair, summary

from pcapwatch.analysis import analyze
from pcapwatch.findings import find
from pcapwatch.findings.service import services
from pcapwatch.findings.verdict import verdict
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
    (service,) = services(facts)
    assert service.per_s(100) == pytest.approx(10)
    assert service.per_s(1000) == pytest.approx(100)
    assert service.narrowed(lambda _: True) == service, "a part of its clients keeps the service's time"


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
