"""A side that never closes: CLOSE_WAIT and FIN_WAIT_2 are named, hedged where they may be neither, and come first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from crafted.talk import Crafted, Talk, write_capture
from summaries import SECOND, distribution, pair, summary

from pcapwatch.analysis import analyze
from pcapwatch.findings import find
from pcapwatch.findings.verdict import verdict
from pcapwatch.summary import Summary

from . import scenarios as s
from .test_rules import one


def of(facts: Summary) -> str:
    """The verdict on a summary with its own findings."""
    return verdict(facts, find(facts))


def scattered(clients: int, **facts: Any) -> Summary:
    """One connection left half-closed of each client."""
    made = [s.leaking(1, **facts) for _ in range(clients)]
    for at, facts_of_one in enumerate(made):
        facts_of_one["pairs"][0]["client"] = f"10.0.0.{10 + at}"
    return summary([one["pairs"][0] for one in made], capture=made[0]["capture"])  # type: ignore[misc]


@pytest.mark.parametrize(
    ("facts", "late", "closer"),
    [
        (s.leaking(), "10.0.0.9:80", "10.0.0.1"),
        (s.leaking(closer="server"), "10.0.0.1", "10.0.0.9:80"),
        (
            s.leaking(active_closer={"client": 12, "server": 50}, time_wait_holder={"none": 12, "server": 50}),
            "10.0.0.9:80",
            "10.0.0.1",
        ),
        (
            s.leaking(active_closer={"server": 12, "client": 30}, resets={"client abort": 30}),
            "10.0.0.1",
            "10.0.0.9:80",
        ),
    ],
)
def test_a_leak_names_both_states(facts: Summary, late: str, closer: str) -> None:
    """Who holds CLOSE_WAIT and who FIN_WAIT_2, how many, how long at the least, no TIME_WAIT; where to look."""
    finding = one(facts, "PW111")
    assert finding.title == (
        f"{late} left 12 connections still half-closed when the capture ended, some for 52.0 s or more: CLOSE_WAIT at "
        f"{late}, FIN_WAIT_2 at {closer} while its kernel keeps that, no TIME_WAIT until the second FIN"
    )
    assert (finding.numbers["connections"], finding.numbers["half_closed_at_least_s"]) == (12, 52)
    host = late.removesuffix(":80")
    assert finding.remedy[0].startswith(f"application on {host}: close the socket")
    assert "leaked descriptor" in finding.remedy[0]
    assert finding.verify[0].startswith(f"on {host}: ss -Htanp state close-wait")
    assert len(finding.evidence) == 3


def test_a_leak_of_many_clients_is_one() -> None:
    """Clients with a connection each: the server's leak is the sum, told of servers alone, and of FINs acknowledged."""
    many = scattered(12)
    finding = one(many, "PW111")
    assert finding.title.startswith("10.0.0.9:80 left 12 connections still half-closed")
    assert "FIN_WAIT_2 at 12 clients" in finding.title
    assert finding.severity == "warning"
    for silent in (scattered(2), scattered(12, closer="server"), scattered(12, retransmits=1)):
        assert "PW111" not in {found.code for found in find(silent)}
    healthy = pair("10.0.1.1", "10.0.0.9", 80, 13, active_closer={"client": 13}, time_wait_holder={"client": 13})
    beside = summary([*many["pairs"], healthy], capture=many["capture"])  # type: ignore[list-item]
    assert one(beside, "PW111").severity == "notice"
    beside["capture"]["connection_quality"] = {"gap": 1}
    assert "PW111" not in {found.code for found in find(beside)}


def test_one_that_is_old_is_no_leak() -> None:
    """Of those half-closed at the end two must be known to be so for a second."""
    facts = s.leaking(12)
    for known in facts["pairs"][0]["exemplars"]["half_closed"][1:]:
        known["end_ns"] += 51 * SECOND + SECOND // 2
    assert find(facts) == []


def test_ports_that_run_out_come_before_a_leak() -> None:
    """A client that holds TIME_WAITs on most of its ports and is left half-closed: both are said, the ports' remedy."""
    facts = s.pressed(20_000, number=50_000)
    made = facts["pairs"][0]
    made |= {"close": {"fin": 20_000, "half_closed": 30_000}, "time_wait_holder": {"client": 20_000, "none": 30_000}}
    facts["capture"]["last_ns"] = made["last_ns"] + 30 * SECOND
    text = of(facts)
    assert "10.0.0.9:80 had not closed 30,000 of them when the capture ended" in text
    assert text.endswith("See also PW111. [PW108]")


def test_a_leak_is_hedged_where_it_may_be_none() -> None:
    """FINs that nobody acknowledges are sent again; of two sides that may have closed first none is blamed."""
    assert "CLOSE_WAIT at 10.0.0.9:80," in one(s.leaking(retransmits=11), "PW111").title
    assert "CLOSE_WAIT at 10.0.0.9:80 if its kernel" in one(s.leaking(retransmits=12), "PW111").title
    either = s.leaking(active_closer={"client": 12, "server": 10})
    assert one(either, "PW111").title.startswith("one side left 12 connections still half-closed")
    assert "close_wait_side" not in one(either, "PW111").numbers


def test_late_closes_and_none_are_both_told() -> None:
    """A side that closes late, and some not at all: the median of the first, and the others with their states."""
    facts = s.leaking(3, closed=6, half_close=distribution(8, 8, 8, 6))
    title = one(facts, "PW111").title
    assert title.startswith("10.0.0.9:80 left 6 connections half-closed after the other side's FIN, median 8.00 s")
    assert "; 3 more are still half-closed when the capture ended, some for 52.0 s or more: CLOSE_WAIT at" in title


def test_a_pool_is_not_the_remedy_of_a_leak() -> None:
    """A client that closes after one request each, and a server that never does: the server's sockets come first."""
    once = s.one_shot(12)["pairs"][0]["http"]
    text = of(s.leaking(12, http=once))
    assert "after one request each although both sides allowed keep-alive. 10.0.0.9:80 had not closed them" in text
    assert "pool" not in text
    assert text.endswith("Look there for sockets that are never closed. [PW111]")
    going = s.leaking(12)
    going["capture"]["live"]["goes_on"] = True
    assert "10.0.0.9:80 has not closed them so far" in of(going)


def unclosed(tmp_path: Path, number: int, goes_on_s: float, *, acknowledged: bool = True) -> Path:
    """Connections 10 ms apart whose clients close after one response; the server does not; then something else."""
    packets: list[Crafted] = []
    for at in range(number):
        talk = Talk(client=("10.9.0.1", 40_000 + at)).established()
        fin = talk.c(0.2, "FA")
        if acknowledged:
            talk.s(0.201, "A")
        else:
            for again_s in (0.4, 0.8, 1.6, 3.2):
                talk.c(again_s, "FA", seq=fin)
        packets += [Crafted(packet.at_s + at / 100, packet.data) for packet in talk.packets]
    last = Talk(client=("10.9.0.7", 50_000), server=("10.9.0.8", 81))
    last.handshake(0.201 + (number - 1) / 100 + goes_on_s)
    packets += last.packets
    return write_capture(tmp_path / "unclosed.pcap", sorted(packets, key=lambda packet: packet.at_s))


@pytest.mark.parametrize(
    ("number", "goes_on_s", "severity"),
    [(12, 30, "warning"), (12, 5, "notice"), (3, 30, "info"), (12, 0.5, None), (2, 30, None)],
)
def test_a_leak_is_read_from_packets(tmp_path: Path, number: int, goes_on_s: float, severity: str | None) -> None:
    """The engine's facts of a server that never closes: silent where the capture ends soon after, or of two."""
    report = analyze(unclosed(tmp_path, number, goes_on_s))
    found = [finding for finding in report.findings if finding.code == "PW111"]
    assert [finding.severity for finding in found] == ([severity] if severity else [])
    if found:
        assert found[0].title.startswith(f"10.9.0.2:80 left {number} connections still half-closed")
        assert "or more: CLOSE_WAIT at 10.9.0.2:80, FIN_WAIT_2 at 10.9.0.1" in found[0].title
        assert report.verdict.endswith("Look there for sockets that are never closed. [PW111]")


def test_a_server_that_is_gone_is_not_said_to_wait(tmp_path: Path) -> None:
    """FINs that are sent again and never acknowledged: CLOSE_WAIT only if there is a kernel that has them."""
    (found,) = [one for one in analyze(unclosed(tmp_path, 12, 30, acknowledged=False)).findings if one.code == "PW111"]
    assert "CLOSE_WAIT at 10.9.0.2:80 if its kernel acknowledged the FINs" in found.title
