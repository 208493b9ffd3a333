"""The two ports of a tap, one direction each, whose clocks differ: told by their handshakes, with what mends it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from crafted.reading import tool_json
from crafted.talk import Crafted, write_capture
from test_duplicates import changed, write_pcapng
from test_two_clocks import MS, clocks, conversations, is_of_server, said

import pcapwatch

#: Connections, of ten packets each.
NUMBER = 6


def ports(ahead_s: float, number: int = NUMBER) -> tuple[list[Crafted], list[Crafted]]:
    """The client's packets, and the server's by a clock that is ahead."""
    packets = conversations(number)
    client = [packet for packet in packets if not is_of_server(packet)]
    return client, [changed(packet, ahead_s) for packet in packets if is_of_server(packet)]


def bounds() -> tuple[int, int]:
    """From a SYN-ACK back to its SYN and on to its ACK, ns: the narrowest of all connections, which are alike."""
    syn, syn_ack, then = conversations(1)[:3]
    return round((syn_ack.at_s - syn.at_s) * 10**9), round((then.at_s - syn_ack.at_s) * 10**9)


def write(folder: Path, ahead_s: float, number: int = NUMBER) -> list[Path]:
    """A file for each port."""
    taps = ports(ahead_s, number)
    return [write_capture(folder / f"{name}.pcap", tap) for name, tap in zip(("ask", "answer"), taps, strict=True)]


@pytest.mark.parametrize("ahead_s", [-3.0, -0.3, -0.02, 0.02, 0.3, 3.0])
@pytest.mark.parametrize("one_file", [False, True])
def test_a_difference_is_bounded_by_handshakes(tmp_path: Path, ahead_s: float, one_file: bool) -> None:
    """A SYN-ACK is after its SYN and before its ACK; any number of threads says the same."""
    paths = [write_pcapng(tmp_path / "tap.pcapng", list(ports(ahead_s)))] if one_file else write(tmp_path, ahead_s)
    report = pcapwatch.analyze(paths)
    (clock,) = clocks(report)
    files = [file["path"] for file in report.summary["capture"]["files"]]
    spot = (clock["interface"], 0 if one_file else [str(path) for path in paths].index(files[clock["file"]]))
    assert spot == ((int(ahead_s > 0), 0) if one_file else (0, int(ahead_s > 0)))
    before_ns, behind_ns = bounds()
    ahead_ns = round(ahead_s * 10**9)
    least, most = sorted((abs(ahead_ns + before_ns), abs(ahead_ns - behind_ns)))
    assert (clock["at_least_ns"], clock["at_most_ns"], clock["changes"]) == (least, most, False)
    # What comes before the second point is met is not looked at.
    assert clock["packets"] == 0
    assert NUMBER - 2 <= clock["handshakes"] <= NUMBER
    (line,) = said(report)
    assert f"(bounded, by {clock['handshakes']} handshakes of which each has one direction)" in line
    if one_file:
        assert tool_json(paths[0], 2, 7) == tool_json(paths[0], 1, 2048)


@pytest.mark.parametrize("ahead_s", [0.0, 0.000_9, -0.000_9])
def test_clocks_that_agree_are_not_told(tmp_path: Path, ahead_s: float) -> None:
    """Nor what is less than a millisecond: cards tell of packets by as many at a time."""
    assert clocks(pcapwatch.analyze(write(tmp_path, ahead_s))) == []


def test_three_handshakes_are_too_few(tmp_path: Path) -> None:
    """One wrong time is no clock."""
    assert clocks(pcapwatch.analyze(write(tmp_path, 0.3, 3))) == []


@pytest.mark.skipif(not shutil.which("tshark") or not shutil.which("editcap"), reason="Wireshark is not installed")
@pytest.mark.parametrize("ahead_s", [-0.3, 0.3, 3.0])
@pytest.mark.parametrize("one_file", [False, True])
def test_the_commands_that_are_said_mend_it(tmp_path: Path, ahead_s: float, one_file: bool) -> None:
    """As an engineer would type them: whole connections again, and nothing is said any more."""
    paths = [write_pcapng(tmp_path / "tap.pcapng", list(ports(ahead_s)))] if one_file else write(tmp_path, ahead_s)
    columns = ["active_closer", "time_wait_holder", "client_retransmits", "server_retransmits", "history"]
    whole = pcapwatch.analyze(write_capture(tmp_path / "whole.pcap", conversations(NUMBER))).connections[columns]
    torn = pcapwatch.analyze(paths)
    assert not torn.connections[columns].equals(whole)
    (line,) = said(torn)
    commands = re.findall(r"(?:tshark|editcap) [^;]*", line)
    assert len(commands) == (3 if one_file else 1)
    for command in commands:
        subprocess.run(command.split(), cwd=tmp_path, check=True, capture_output=True)
    shifted = commands[-1].split()[-2]
    alone = [
        path for path in (tmp_path.glob("interface*.pcapng") if one_file else paths) if path.name != Path(shifted).name
    ]
    report = pcapwatch.analyze([*alone, tmp_path / "shifted.pcapng"])
    assert (clocks(report), said(report)) == ([], [])
    assert list(report.connections["active_closer"]) == ["server"] * NUMBER
    assert report.connections[columns].equals(whole)


def test_a_router_between_its_interfaces_has_one_clock(tmp_path: Path) -> None:
    """What comes in is captured before what goes out, by 0.3 ms: in both directions, and no clock."""
    packets = conversations(NUMBER)
    out = [changed(packet, 0.000_3, ttl=63) for packet in packets]
    paths = [write_capture(tmp_path / f"{name}.pcap", tap) for name, tap in (("in", packets), ("out", out))]
    assert clocks(pcapwatch.analyze(paths)) == []


def test_the_least_that_is_told(tmp_path: Path) -> None:
    """A millisecond for certain."""
    before_ns, _ = bounds()
    for more_ns, told in ((MS, [MS]), (MS - 1000, [])):
        report = pcapwatch.analyze(write(tmp_path, -(before_ns + more_ns) / 10**9))
        assert [clock["at_least_ns"] for clock in clocks(report)] == told
