"""What a capture holds only in part: closers and TIME_WAIT are claimed as far as proved, the rest is unknown."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from crafted.reading import tool_rows
from crafted.talk import Crafted, Talk, write_capture
from places import ROOT
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether
from scapy.utils import rdpcap, wrpcap

import pcapwatch
from pcapwatch.analysis import ladders
from pcapwatch.report.ladder import ladder_lines


def conversation(first: str) -> list[Crafted]:
    """A handshake, one exchange, closed by `first`; another host's packet five minutes later ends the capture."""
    talk = Talk().established()
    talk.close(first)
    talk.bystander(300.0)
    return talk.packets


def of_side(packets: list[Crafted], side: str) -> list[Crafted]:
    """What only this side sent, and what is no TCP."""
    port = 40_000 if side == "c" else 80
    return [p for p in packets if TCP not in Ether(p.data) or Ether(p.data)[TCP].sport == port]


def row(path: Path, packets: list[Crafted]) -> dict[str, object]:
    """The one connection."""
    (found,) = tool_rows(write_capture(path / "part.pcap", packets))
    return found


WORD = {"c": "client", "s": "server"}
BOTH = pytest.mark.parametrize("first", ["c", "s"])


@BOTH
@pytest.mark.parametrize("side", ["c", "s"])
def test_one_direction_only(tmp_path: Path, first: str, side: str) -> None:
    """One side's FIN alone does not say whether the unseen one came first: closer and TIME_WAIT may be either's."""
    found = row(tmp_path, of_side(conversation(first), side))
    assert "one_sided" in str(found["quality"])
    assert (found["active_closer"], found["closer_basis"]) == ("ambiguous", "single_fin")
    assert (found["time_wait_holder"], found["time_wait_basis"]) == ("unknown", None)


@BOTH
@pytest.mark.parametrize("kept", range(10))
@pytest.mark.parametrize("side", ["c", "s"])
def test_one_direction_and_one_packet_of_the_other(tmp_path: Path, first: str, side: str, kept: int) -> None:
    """One stray packet of the other side makes nobody the closer who was not, and takes nobody's TIME_WAIT away."""
    packets = conversation(first)
    chosen = of_side(packets, side)
    stray = packets[kept]
    found = row(tmp_path, [p for p in packets if p is stray or any(p is other for other in chosen)])
    assert found["active_closer"] in (WORD[first], "ambiguous")
    assert found["time_wait_holder"] in (WORD[first], "unknown")


def test_what_was_lost_before_a_sides_first_packet_is_a_gap(tmp_path: Path) -> None:
    """The SYN-ACK tells where the client begins, and its own first packet lies beyond that: its request is missing."""
    packets = conversation("c")
    found = row(tmp_path, [p for n, p in enumerate(packets) if n not in (0, 2, 3)])
    assert "gap" in str(found["quality"])
    assert "gap" not in str(row(tmp_path, packets[1:])["quality"])


def test_one_direction_that_ends_in_an_abort(tmp_path: Path) -> None:
    """Its peer may have closed before, unseen: nobody is the closer for certain."""
    talk = Talk().established()
    talk.c(1.0, "FA")
    talk.s(1.1, "A")
    talk.s(2.0, "RA")
    found = row(tmp_path, of_side(talk.packets, "s"))
    assert (found["active_closer"], found["closer_basis"]) == ("ambiguous", "abort")
    assert found["time_wait_holder"] == "unknown"
    assert row(tmp_path, talk.packets)["active_closer"] == "client"


def test_an_abort_acknowledges_a_fin_that_was_lost(tmp_path: Path) -> None:
    """What the reset itself acknowledges is missing from the capture: its receiver may have closed first."""
    talk = Talk().established()
    talk.c(1.0, "FA")
    talk.s(1.1, "RA")
    found = row(tmp_path, [p for n, p in enumerate(talk.packets) if n != 6])
    assert (found["active_closer"], found["closer_basis"]) == ("ambiguous", "abort")
    assert "gap" in str(found["quality"])


def test_a_start_between_the_fins_that_ends_without_a_socket(tmp_path: Path) -> None:
    """A bare reset says that there is no such socket any more, and not that there was no TIME_WAIT."""
    talk = Talk().established()
    talk.c(1.0, "FA")
    talk.s(1.1, "A")
    talk.s(1.2, "FA")
    talk.c(1.2, "A")
    for seconds in (1.4, 1.8, 2.6, 90.0):
        talk.s(seconds, "FA", seq=talk.nxt["s"] - 1)
    talk.c(90.1, "R")
    found = row(tmp_path, talk.packets[7:])
    assert (found["active_closer"], found["time_wait_holder"]) == ("ambiguous", "unknown")


def test_a_start_at_a_reset_that_missed(tmp_path: Path) -> None:
    """Its own side goes on after it: it ended nothing, whatever was captured before."""
    talk = Talk().established()
    talk.c(0.5, "R", seq=talk.nxt["c"] + 100)
    talk.s(0.501, "A")
    talk.c(0.6, "PA", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    talk.s(0.601, "PA", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    talk.close("c")
    found = row(tmp_path, talk.packets[6:])
    assert (found["close"], found["active_closer"], found["time_wait_holder"]) == ("fin", "client", "client")


@pytest.mark.parametrize("side", ["c", "s"])
def test_one_direction_without_a_fin(tmp_path: Path, side: str) -> None:
    """Where the captured side sent no FIN, neither side can be in TIME_WAIT: it takes both FINs."""
    found = row(tmp_path, of_side(Talk().established().packets, side))
    assert (found["active_closer"], found["time_wait_holder"]) == ("none", "none")


@pytest.mark.parametrize("side", ["c", "s"])
def test_open_connections_in_one_direction(tmp_path: Path, side: str) -> None:
    """Whoever acknowledges or answers is open, whatever is missing of the other: nothing was unreached."""
    packets: list[Crafted] = []
    for at in range(20):
        talk = Talk(client=("10.9.0.1", 41_000 + at)).established()
        talk.c(1.0 + at, "PA", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        talk.s(1.1 + at, "PA", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        packets += [p for p in talk.packets if (Ether(p.data)[TCP].sport == 80) == (side == "s")]
    report = pcapwatch.analyze(write_capture(tmp_path / "part.pcap", packets))
    rows = report.connections
    assert set(rows["close"]) == {"open"}
    proved = {"c": ("ESTABLISHED", "SYN-RECEIVED"), "s": ("ESTABLISHED", "ESTABLISHED")}[side]
    assert set(zip(rows["client_state_proved"], rows["server_state_proved"], strict=True)) == {proved}
    assert set(zip(rows["client_state"], rows["server_state"], strict=True)) == {("ESTABLISHED", "ESTABLISHED")}
    assert not [finding for finding in report.findings if finding.code == "PW110"]
    assert "not reached" not in report.verdict


@pytest.mark.parametrize("side", ["c", "s"])
def test_refused_attempts_in_one_direction(tmp_path: Path, side: str) -> None:
    """A reset tells of a refusal; SYNs alone of nothing, which is said where others lack that direction, too."""
    packets = of_side(conversation("c"), side)
    for at in range(6):
        talk = Talk(client=("10.9.0.1", 41_000 + at))
        talk.c(10.0 + at, "S")
        talk.s(10.001 + at, "RA", seq=0, window=0)
        packets += [p for p in talk.packets if (Ether(p.data)[TCP].sport == 80) == (side == "s")]
    report = pcapwatch.analyze(write_capture(tmp_path / "part.pcap", packets))
    rows = report.connections[report.connections["close"] != "half_closed"]
    assert set(rows["close"]) == {"unanswered" if side == "c" else "refused"}
    said = [
        line for line in report.quality.concerns if line.startswith("1 connection was captured in one direction only")
    ]
    assert [line.partition("only")[2] for line in said] == [
        "; 6 attempts without an answer in it may have had one" if side == "c" else ""
    ]
    assert [finding.code for finding in report.findings if finding.code == "PW110"] == ["PW110"] * (side == "s")


@BOTH
@pytest.mark.parametrize("cut", range(1, 10))
def test_a_start_in_the_middle(tmp_path: Path, first: str, cut: int) -> None:
    """Without its first packets a connection is `midstream`; while both FINs are there the closer is the same."""
    found = row(tmp_path, conversation(first)[cut:])
    if cut > 1:  # the SYN-ACK tells the opening, too
        assert "midstream" in str(found["quality"])
    if cut <= 6:
        assert found["active_closer"] == WORD[first]
        assert found["time_wait_holder"] == WORD[first]
    elif cut <= 8:
        # Only the second FIN is left, which may as well have been the first: both sides may wait.
        assert (found["active_closer"], found["closer_basis"]) == ("ambiguous", "single_fin")
        assert (found["time_wait_holder"], found["time_wait_basis"]) == ("unknown", None)
    else:
        # The last acknowledgment alone: that of a close, or of a connection that goes on.
        assert (found["active_closer"], found["time_wait_holder"]) == ("none", "unknown")


@BOTH
def test_a_start_in_the_middle_of_one_that_goes_on(tmp_path: Path, first: str) -> None:
    """A side that still sends data had not closed before: then the other's FIN is the first, however late the start."""
    talk = Talk().established()
    talk.send(first, 1.0, "FA")
    (talk.s if first == "c" else talk.c)(1.1, "PA", b"still here")
    found = row(tmp_path, talk.packets[6:])
    assert "midstream" in str(found["quality"])
    assert (found["active_closer"], found["closer_basis"]) == (WORD[first], "single_fin")
    assert found["time_wait_holder"] == "none"


@BOTH
@pytest.mark.parametrize("lost", [0, 1])
def test_a_lost_fin(tmp_path: Path, first: str, lost: int) -> None:
    """One FIN is missing but acknowledged: by the other FIN, and either came first; after it, and it came second."""
    packets = conversation(first)
    fins = [n for n, p in enumerate(packets) if TCP in Ether(p.data) and "F" in str(Ether(p.data)[TCP].flags)]
    found = row(tmp_path, [p for n, p in enumerate(packets) if n != fins[lost]])
    assert (found["active_closer"], found["closer_basis"]) == (WORD[first] if lost else "ambiguous", "single_fin")
    assert (found["time_wait_holder"], found["time_wait_basis"]) == ("unknown", None)


@pytest.mark.parametrize("without", ["10.77.1.1", "10.77.1.2"])
@pytest.mark.parametrize("start", range(12))
def test_fins_that_cross_with_one_direction_cut(tmp_path: Path, without: str, start: int) -> None:
    """Recorded: both closed. Where one's FIN is missing and an acknowledgment shows that, nobody is the only closer."""
    packets = rdpcap(str(ROOT / "fixtures/crossing-fins/capture.pcap"))
    path = tmp_path / "cut.pcap"
    wrpcap(str(path), [p for n, p in enumerate(packets) if n < start or p[IP].src != without])
    (found,) = tool_rows(path)
    assert found["active_closer"] in ("both", "ambiguous", "none")


def test_a_late_fin_whose_reset_was_not_captured(tmp_path: Path) -> None:
    """Recorded: FIN-WAIT-2 was over when the second FIN came (after 8 s of 5). Without the reset nobody knows."""
    packets = rdpcap(str(ROOT / "fixtures/fin-wait-2-timeout/capture.pcap"))
    path = tmp_path / "cut.pcap"
    wrpcap(str(path), packets[:-1])
    report = pcapwatch.analyze(path)
    assert list(report.connections["time_wait_holder"]) == ["client", "unknown"]
    assert report.totals["time_wait_holder"] == {"client": 1, "unknown": 1}
    command = [sys.executable, "-m", "pcapwatch", "states", str(path), "--at", "end", "--host", "10.77.1.1"]
    done = subprocess.run([*command, "--format", "json"], capture_output=True, text=True, timeout=60, check=True)
    (counted,) = json.loads(done.stdout)
    assert (counted["state"], counted["min"], counted["max"]) == ("TIME_WAIT", 1, 2)
    drawn = [" ".join(ladder_lines(ladder, 400)) for ladder in ladders(report.engine, [1, 2])]
    assert ["client enters TIME-WAIT" in text for text in drawn] == [True, False]
    assert "client may enter TIME-WAIT" in drawn[1]


@pytest.mark.parametrize("has_ack", [True, False])
def test_a_wait_whose_ack_was_not_captured_ends_as_others(tmp_path: Path, has_ack: bool) -> None:
    """The next connection on its ports takes its numbers up: it ended exactly then, whatever began it."""
    talk = Talk().established()
    talk.close("s", 1.0)
    if not has_ack:
        talk.packets.pop()
    talk.open(talk.nxt["c"] + 1_000_000, talk.nxt["s"] + 65_537)
    talk.handshake(6.0)
    talk.bystander(200)
    first, second = tool_rows(write_capture(tmp_path / "reused.pcap", talk.packets))
    assert [first[f"time_wait_{name}"] for name in ("holder", "basis", "end")] == ["server", "observed_exact", "reused"]
    assert second["reuse_of"] == first["connection"]


@pytest.mark.parametrize(("receives", "least"), [(False, [0, 0, 0, 0]), (True, [1, 1, 1, 1])])
def test_fin_wait_2_is_certain_for_a_second(tmp_path: Path, receives: bool, least: list[int]) -> None:
    """An orphan leaves it without a packet (`tcp_fin_timeout`), found out at a late FIN; who receives is there."""
    talk = Talk().established()
    talk.c(1.0, "FA")
    talk.s(1.001, "A")
    for at in range(10, 90, 10):
        if receives:
            talk.s(at - 0.5, "PA", b"x" * 100)
            talk.c(at - 0.499, "A")
    talk.s(90.0, "FA")
    talk.c(90.001, "A" if receives else "R")
    talk.bystander(200)
    path = write_capture(tmp_path / "late.pcap", talk.packets)
    command = [sys.executable, "-m", "pcapwatch", "states", str(path), "--every", "20s", "--host", "10.9.0.1"]
    done = subprocess.run([*command, "--format", "json"], capture_output=True, text=True, timeout=60, check=True)
    waiting = [count for count in json.loads(done.stdout) if count["state"] == "FIN_WAIT2"]
    assert [(count["min"], count["max"]) for count in waiting] == [(low, 1) for low in least]


@BOTH
@pytest.mark.parametrize("end", range(1, 10))
def test_an_end_before_the_end(tmp_path: Path, first: str, end: int) -> None:
    """Without a FIN nobody closed; with one FIN nobody is in TIME_WAIT for certain."""
    found = row(tmp_path, conversation(first)[:end])
    if end <= 6:
        assert (found["active_closer"], found["time_wait_holder"]) == ("none", "none")
    else:
        assert found["active_closer"] == WORD[first]


@BOTH
@pytest.mark.parametrize("snaplen", [54, 68, 96])
def test_short_snaplens(tmp_path: Path, first: str, snaplen: int) -> None:
    """The TCP header is whole from 54 bytes on: the closer and the TIME_WAIT are those of the whole capture."""
    talk = Talk()
    talk.handshake()
    talk.c(0.1, "PA", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    talk.s(0.2, "PA", b"HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\n" + b"x" * 400)
    talk.close(first)
    talk.bystander(300.0)
    whole = row(tmp_path, talk.packets)
    cut = row(tmp_path, [packet.cut(snaplen) for packet in talk.packets])
    for column in ("close", "active_closer", "time_wait_holder", "client_packets", "client_bytes", "server_bytes"):
        assert cut[column] == whole[column], column
    assert cut["active_closer"] == WORD[first]
    assert "truncated" in str(cut["quality"])


@pytest.mark.parametrize("snaplen", [48, 49, 50, 53])
@BOTH
def test_headers_cut_behind_their_flags(tmp_path: Path, first: str, snaplen: int) -> None:
    """IPv4 in Ethernet: ports, numbers and flags are captured, so who closed is told; a window cut off is no zero."""
    found = row(tmp_path, [packet.cut(snaplen) for packet in conversation(first)])
    assert (found["active_closer"], found["close"]) == (WORD[first], "fin")
    assert "w" not in str(found["history"]).lower()
    less = [packet.cut(47) for packet in conversation(first)]
    assert tool_rows(write_capture(tmp_path / "less.pcap", less)) == []
