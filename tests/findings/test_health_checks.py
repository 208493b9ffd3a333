"""Resets by the client on connections without a byte: what TCP health checks look like, and no aborts of requests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from crafted.talk import Crafted, Talk, write_capture
from summaries import pair, summary

from pcapwatch.analysis import analyze
from pcapwatch.findings import find
from pcapwatch.findings.verdict import verdict

from . import scenarios as s
from .test_rules import one


def test_health_checks_are_told_from_aborts() -> None:
    """Resets that carried nothing are named, counted at the least, and not advised to read responses."""
    finding = one(s.checked(), "PW109")
    assert finding.title.endswith("101 client abort; they carried no byte, as TCP health checks do")
    assert [line.split(" if ")[0] for line in finding.remedy] == ["nothing to mend"]
    assert finding.do_not == []
    beside = one(s.checked(aborted=40), "PW109")
    assert beside.title.endswith("141 client abort; at least 101 of them carried no byte, as TCP health checks do")
    assert [line.split()[0] for line in beside.remedy] == ["nothing", "client:"]
    assert beside.numbers["without_a_byte"] == 101


def test_what_may_have_carried_bytes_is_no_health_check() -> None:
    """Aborts beside FINs of which any may be the empty one, and resets after a FIN, prove nothing."""
    facts = s.checked(asked=150)
    facts["pairs"][0]["http"]["closed_after"] = [{"announced_by": "none", "active_closer": "client", "count": 150}]
    assert "no byte" not in one(facts, "PW109").title
    assert one(facts, "PW109").severity == "notice"
    after = s.reset(5, after=30, resets={"server abort": 5, "client abort": 30})
    one_sided = s.checked(asked=0)
    one_sided["pairs"][0]["active_closer"] = {"ambiguous": 101}
    for facts in (after, one_sided):
        facts["pairs"][0]["protocol"] = {"empty": 105}
        assert "without_a_byte" not in one(facts, "PW109").numbers


@pytest.mark.parametrize(
    ("pair_facts", "capture_facts", "proven"),
    [
        ({"role_basis": {"syn": 61, "syn_ack": 40}}, {}, 61),
        ({}, {"connection_quality": {"gap": 100}}, 1),
        ({}, {"cut_packets": 3}, 0),
        ({"client_bytes": 0, "server_bytes": 0}, {"cut_packets": 3}, 101),
    ],
)
def test_bytes_that_the_capture_lacks_may_have_been_carried(
    pair_facts: dict[str, Any], capture_facts: dict[str, Any], proven: int
) -> None:
    """Connections begun before the capture, with bytes missing, or cut by the snaplen are not said to be empty."""
    facts: Any = s.checked(asked=0)
    facts["pairs"][0] |= pair_facts
    facts["capture"] |= capture_facts
    assert one(facts, "PW109").numbers.get("without_a_byte", 0) == proven


def test_a_health_check_is_no_cause_of_closes() -> None:
    """Checks beside one close by a FIN are told as what they are, not as the client's closes."""
    facts = s.checked(asked=0)
    other = pair("10.0.0.7", "10.0.0.9", 3000, 1, active_closer={"client": 1}, protocol={"empty": 1})
    both = summary([facts["pairs"][0], other])  # type: ignore[list-item]
    text = verdict(both, find(both))
    assert "101 of 102 connections (99.0 %) ended by a reset before any FIN" in text
    assert "nothing to mend there" in text


def test_checks_are_read_from_packets(tmp_path: Path) -> None:
    """HAProxy's: SYN, SYN-ACK, RST,ACK; beside one request that its client aborts."""
    packets: list[Crafted] = []
    for at in range(20):
        talk = Talk(client=("10.9.0.1", 40_000 + at))
        talk.c(at / 2, "S")
        talk.s(at / 2 + 0.0001, "SA")
        talk.c(at / 2 + 0.0002, "RA")
        packets += talk.packets
    only = analyze(write_capture(tmp_path / "checks.pcap", packets))
    (found,) = only.findings
    assert (found.code, found.severity, found.numbers["without_a_byte"]) == ("PW109", "info", 20)
    assert "they carried no byte, as TCP health checks do: nothing to mend there. [PW109]" in only.verdict
    talk = Talk(client=("10.9.0.1", 50_000)).established()
    talk.c(0.2, "RA")
    packets = sorted([*packets, *talk.packets], key=lambda packet: packet.at_s)
    (found,) = analyze(write_capture(tmp_path / "both.pcap", packets)).findings
    assert "at least 20 of them carried no byte" in found.title
    assert found.severity == "notice"
