"""The two ports of a tap, one direction each, whose clocks differ: told by their handshakes, with what mends it."""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from crafted.reading import tool_json
from crafted.talk import Crafted, write_capture
from test_duplicates import changed, write_pcapng
from test_two_clocks import MS, clocks, conversations, is_of_server, said, two_taps

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
    assert (clock["packets"], clock["handshakes"]) == (0, NUMBER)
    (line,) = said(report)
    assert f"(bounded, by {NUMBER} handshakes of which each has one direction)" in line
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


@pytest.mark.parametrize("again", ["SYN", "SYN-ACK"])
def test_one_handshake_that_was_late_does_not_spoil_the_others(tmp_path: Path, again: str) -> None:
    """Its SYN, or its SYN-ACK, was lost before the tap and came a second later: one of sixteen says something else."""
    client, server = ports(0.08, 16)
    if again == "SYN":
        client = [client[0], *(changed(packet, 1.0) if at < 5 else packet for at, packet in enumerate(client))]
    else:
        server = [changed(server[0], 1.0), *server[1:]]
    paths = [write_capture(tmp_path / f"{at}.pcap", tap) for at, tap in enumerate((client, server))]
    (clock,) = clocks(pcapwatch.analyze(paths))
    before_ns, behind_ns = bounds()
    assert (clock["at_least_ns"], clock["at_most_ns"]) == (80 * MS - behind_ns, 80 * MS + before_ns)
    assert not clock["changes"]


def test_a_clock_of_ticks_is_no_clock_that_differs(tmp_path: Path) -> None:
    """Times cut to 10 ms are now before, now after those of the other port."""
    client, server = ports(0.0, 40)
    at = [0.0033 * number for number in range(40)]
    client, server = (
        [changed(packet, at[number * 40 // len(tap)]) for number, packet in enumerate(tap)] for tap in (client, server)
    )
    ticks = [Crafted(packet.at_s // 0.01 * 0.01, packet.data) for packet in server]
    paths = [write_capture(tmp_path / f"{at}.pcap", tap) for at, tap in enumerate((client, ticks))]
    assert clocks(pcapwatch.analyze(paths)) == []


@pytest.mark.parametrize("ahead_s", [0.0, 0.08])
def test_two_hosts_any_in_one_file_are_two_points(tmp_path: Path, ahead_s: float) -> None:
    """`mergecap -I none` of captures of `-i any`, whose interfaces have the same number on both hosts."""

    def cooked(packet: Crafted) -> Crafted:
        return Crafted(packet.at_s, struct.pack("!HHIHBB8s", 0x0800, 0, 2, 1, 0, 6, b"\2" * 8) + packet.data[14:])

    near, far = ([cooked(packet) for packet in tap] for tap in two_taps(conversations(NUMBER), ahead_s))
    path = write_pcapng(tmp_path / "merged.pcapng", [near, far])
    path.write_bytes(path.read_bytes().replace(struct.pack("<HHI", 1, 0, 0), struct.pack("<HHI", 276, 0, 0)))
    report = pcapwatch.analyze(path)
    assert report.summary["capture"]["duplicates"] == 10 * NUMBER
    assert set(report.connections["client_retransmits"]) == set(report.connections["server_retransmits"]) == {0}
    spots = [(clock["interface"], clock["than_interface"]) for clock in clocks(report)]
    assert spots == ([(1, 0)] if ahead_s else [])


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
