"""Resets by the client on connections without a byte: what TCP health checks look like, and no aborts of requests."""

from __future__ import annotations

from pathlib import Path

import pytest
from crafted.talk import Crafted, Talk, write_capture
from summaries import pair, summary

from pcapwatch.analysis import analyze
from pcapwatch.findings import find
from pcapwatch.findings.verdict import verdict

from . import scenarios as s
from .test_rules import one


def test_health_checks_are_told_from_aborts() -> None:
    """Resets that carried nothing are named, counted, and not advised to read responses."""
    finding = one(s.checked(), "PW109")
    assert finding.title.endswith("101 client abort; they carried no byte, as TCP health checks do")
    assert [line.split(" if ")[0] for line in finding.remedy] == ["nothing to mend"]
    assert finding.do_not == []
    beside = one(s.checked(aborted=40), "PW109")
    assert beside.title.endswith("141 client abort; 101 of them carried no byte, as TCP health checks do")
    assert [line.split()[0] for line in beside.remedy] == ["nothing", "client:"]
    assert beside.numbers["without_a_byte"] == 101


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
    assert "20 of them carried no byte" in found.title
    assert found.severity == "notice"


@pytest.mark.parametrize("snaplen", [54, 96, 512])
def test_checks_beside_requests_of_the_same_host(tmp_path: Path, snaplen: int) -> None:
    """A proxy's own requests, closed by FINs, and a snaplen that cuts their responses hide no check."""
    packets: list[Crafted] = []
    for at in range(20):
        check, asked = (Talk(client=("10.9.0.1", 40_000 + at + port)) for port in (0, 1000))
        check.handshake(at / 2)
        check.c(at / 2 + 0.01, "RA")
        asked.handshake(at / 2)
        asked.c(at / 2 + 0.1, "PA", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        asked.s(at / 2 + 0.11, "PA", b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n" + bytes(900))
        asked.close("c", at / 2 + 0.2)
        packets += [*check.packets, *asked.packets]
    packets = [packet.cut(snaplen) for packet in sorted(packets, key=lambda packet: packet.at_s)]
    found = one(analyze(write_capture(tmp_path / "x.pcap", packets)).summary, "PW109")
    assert (found.severity, found.numbers["without_a_byte"]) == ("info", 20)


def test_what_may_have_carried_bytes_is_no_check(tmp_path: Path) -> None:
    """Met in the middle, with bytes missing, or with a byte: nothing is said of those."""
    talks = [Talk(client=("10.9.0.1", 40_000 + port)) for port in range(3)]
    for talk in talks:
        talk.handshake(1.0)
    del talks[0].packets[:2]
    talks[1].c(1.1, "PA", b"x")
    talks[2].nxt["c"] += 10
    talks[2].s(1.1, "A")
    for talk in talks:
        talk.c(1.2, "RA")
    packets = sorted((one for talk in talks for one in talk.packets), key=lambda packet: packet.at_s)
    found = one(analyze(write_capture(tmp_path / "x.pcap", packets)).summary, "PW109")
    assert found.numbers["connections"] == 3
    assert "without_a_byte" not in found.numbers
