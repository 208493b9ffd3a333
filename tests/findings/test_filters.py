"""What a capture filter of flags or lengths left out is no outage, no leak, and is said."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from crafted.talk import Crafted, Talk, write_capture
from scapy.layers.inet import TCP
from scapy.layers.l2 import Ether
from summaries import pair, summary

import pcapwatch
from pcapwatch.findings import find

FIN, SYN, RST = 1, 2, 4


def captured(folder: Path, *, flags: int = 0, least_payload: int = 0, answered: bool = True) -> pcapwatch.Report:
    """Twenty exchanges that the client closes, of which a filter passed some flags, or packets of so many bytes."""
    packets: list[Crafted] = []
    for number in range(20):
        talk = Talk(client=("10.9.0.1", 30_000 + number))
        if answered:
            talk.established()
            talk.c(1.0, "FPA", b"bye")
            talk.s(1.001, "A")
            talk.s(1.002, "FA")
            talk.c(1.003, "A")
        else:
            talk.c(0.0, "S")
            talk.c(1.0, "S", seq=talk.client_isn)
        packets += talk.packets
    passed = [one for one in packets if passes(one, flags, least_payload)]
    ordered = sorted(passed, key=lambda one: one.at_s)
    return pcapwatch.analyze(write_capture(folder / "x.pcap", ordered))


def passes(packet: Crafted, flags: int, least_payload: int) -> bool:
    """As libpcap would say."""
    tcp = Ether(packet.data)[TCP]
    return bool(int(tcp.flags) & flags) or (not flags and len(bytes(tcp.payload)) >= least_payload)


@pytest.mark.parametrize(("flags", "said"), [(SYN, "cannot be told"), (SYN | FIN | RST, "10.9.0.1 closes first")])
def test_a_filter_of_flags_is_no_outage(tmp_path: Path, flags: int, said: str) -> None:
    """Nobody failed to answer: no SYN or SYN-ACK was sent again. What is missing is said."""
    report = captured(tmp_path, flags=flags)
    assert "PW110" not in [finding.code for finding in report.findings]
    assert said in report.verdict
    assert "reached" not in report.verdict
    assert any("a capture filter left out" in line for line in report.cannot_see)


def test_states_of_a_part_say_so(tmp_path: Path) -> None:
    """What ends states is missing: one line on standard error, and none where all was captured."""
    for flags, said in ((SYN, True), (0, False)):
        captured(tmp_path, flags=flags)
        command = [sys.executable, "-m", "pcapwatch", "states", str(tmp_path / "x.pcap"), "--at", "end"]
        done = subprocess.run([*command, "--host", "10.9.0.1"], capture_output=True, text=True, check=True)
        assert ("not what netstat would have printed" in done.stderr) == said


def test_who_asks_again_was_not_answered(tmp_path: Path) -> None:
    """In a capture of SYNs alone, too."""
    report = captured(tmp_path, flags=SYN, answered=False)
    assert report.verdict.startswith("10.9.0.2:80 was not reached")
    assert "PW110" in [finding.code for finding in report.findings]


def outage(folder: Path, *, again: int = 0, beside: bool = False) -> pcapwatch.Report:
    """Ten attempts of clients that give up within a second, of which some sent their SYN again; UDP beside or not."""
    packets: list[Crafted] = []
    for number in range(10):
        talk = Talk(client=("10.9.0.1", 30_000 + number))
        talk.c(0.1 * number, "S")
        if number < again:
            talk.c(0.1 * number + 1.0, "S", seq=talk.client_isn)
        if beside:
            talk.bystander(0.1 * number + 0.5)
        packets += talk.packets
    return pcapwatch.analyze(write_capture(folder / "out.pcap", sorted(packets, key=lambda one: one.at_s)))


@pytest.mark.parametrize(
    ("again", "beside", "doubt"), [(0, False, True), (4, False, True), (5, False, False), (0, True, True)]
)
def test_an_outage_is_one(tmp_path: Path, again: int, beside: bool, doubt: bool) -> None:
    """Nothing but SYNs, most of them sent once, is what a filter of first SYNs leaves, too: that doubt is said.

    Where half were sent again there is none. Other packets beside deny no filter: `icmp or tcp-syn` passes both.
    """
    report = outage(tmp_path, again=again, beside=beside)
    (finding,) = [one for one in report.findings if one.code == "PW110"]
    assert finding.numbers["unanswered"] == 10
    assert report.verdict.startswith("10.9.0.2:80 was not reached: all 10 connections")
    assert ("unless a filter kept SYNs alone" in report.verdict) == doubt
    assert ("unless a filter kept SYNs alone" in finding.title) == doubt
    assert not any("capture filter left out" in line for line in report.cannot_see)


def test_many_clients_are_looked_at_once() -> None:
    """What the whole capture lacks is not asked again for each of 20,000 pairs: that took minutes."""
    pairs = [
        pair(f"10.1.{n // 250}.{n % 250}", "10.0.0.2", 80 + n % 3, 1, **{key: {end: 1}})
        for n, (key, end) in enumerate([("close", "unanswered"), ("close", "reset"), ("close", "half_closed")] * 6_667)
    ]
    began = time.process_time()
    none = {"without_acks": {"unanswered": 6_667, "reset": 6_667, "half_closed": 6_667}}
    assert find(summary(pairs, totals=none))
    assert time.process_time() - began < 20


def test_a_refusal_takes_no_acknowledgment(tmp_path: Path) -> None:
    """Where there is none to capture nothing was left out, and `states` is what it says."""
    packets: list[Crafted] = []
    for number in range(10):
        talk = Talk(client=("10.9.0.1", 30_000 + number))
        talk.c(0.1 * number, "S")
        talk.s(0.1 * number + 0.001, "RA", seq=0)
        packets += talk.packets
    report = pcapwatch.analyze(write_capture(tmp_path / "refused.pcap", packets))
    assert report.verdict.startswith("10.9.0.2:80 was not reached: all 10 connections from 10.9.0.1 were refused;")
    assert not any("capture filter left out" in line for line in report.cannot_see)


def test_a_filter_of_lengths_is_no_leak(tmp_path: Path) -> None:
    """FINs with data passed and those without did not: nobody sits in CLOSE_WAIT for that."""
    report = captured(tmp_path, least_payload=1)
    assert report.totals["close"] == {"half_closed": 20}
    assert "PW111" not in [finding.code for finding in report.findings]
    whole = captured(tmp_path)
    assert whole.totals["close"] == {"fin": 20}
    assert not any("a capture filter left out" in line for line in whole.cannot_see)
