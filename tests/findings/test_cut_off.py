"""Attempts that the capture's end cuts off have not failed."""

from __future__ import annotations

from pathlib import Path

import pytest
from crafted.talk import Talk, write_capture

import pcapwatch


def failed(
    folder: Path, *, syn_s: float, end_s: float, others: int = 20, again_s: float = 0.0
) -> list[pcapwatch.Finding]:
    """What is found where a client's last SYN has no answer, after others that had one within a millisecond."""
    talks = []
    for number in range(others):
        talk = Talk(client=("10.9.0.1", 30_000 + number))
        talk.handshake(0.1 * number)
        talk.close("c", 0.1 * number + 0.01)
        talks.append(talk)
    last = Talk()
    last.c(syn_s, "S")
    last.bystander(end_s)
    packets = sorted((one for talk in (*talks, last) for one in talk.packets), key=lambda one: one.at_s)
    report = pcapwatch.analyze(write_capture(folder / "x.pcap", packets))
    return [finding for finding in report.findings if finding.code == "PW110"]


@pytest.mark.parametrize(("end_s", "fails"), [(5.0001, False), (5.15, False), (5.25, True), (60.0, True)])
def test_the_last_attempt_of_a_capture(tmp_path: Path, end_s: float, fails: bool) -> None:
    """Where others were answered, a SYN just before the end may have been; a fifth of a second later it was not."""
    assert bool(failed(tmp_path, syn_s=5.0, end_s=end_s)) == fails


def test_an_attempt_where_nobody_was_answered(tmp_path: Path) -> None:
    """A capture that has nothing but it says what it has: no answer."""
    assert failed(tmp_path, syn_s=5.0, end_s=5.0001, others=0)


@pytest.mark.parametrize("snaplen", [65_535, 300])
def test_a_hung_server_is_why_also_where_requests_are_cut(tmp_path: Path, snaplen: int) -> None:
    """It took the requests and sent nothing: a snaplen that cut their bodies hides no response."""
    packets = []
    for number in range(20):
        talk = Talk(client=("10.9.0.1", 30_000 + number))
        talk.handshake(0.1 * number)
        head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n"
        talk.c(0.1 * number + 0.01, "PA", head + b"x" * 1000)
        talk.s(0.1 * number + 0.011, "A")
        talk.close("c", 0.1 * number + 5.0)
        packets += [one.cut(snaplen) for one in talk.packets]
    report = pcapwatch.analyze(write_capture(tmp_path / "hung.pcap", sorted(packets, key=lambda one: one.at_s)))
    assert ":80, when no response to its request came." in report.verdict
    assert list(report.connections["unprocessed"]) == [1] * 20
