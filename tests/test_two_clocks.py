"""Captures of two points whose clocks differ: measured where packets prove it, and said with what to do."""

from __future__ import annotations

import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from crafted.reading import tool_json
from crafted.talk import Crafted, Talk, write_capture
from scapy.layers.inet import TCP
from scapy.layers.l2 import Ether
from test_duplicates import changed, in_ipv6, write_pcapng

import pcapwatch
from pcapwatch.analysis import Report

MS = 1_000_000
#: From one point to the other, s.
WAY_S = 0.000_4


@cache
def conversations(number: int = 3) -> list[Crafted]:
    """Connections one after the other, ten packets each."""
    packets: list[Crafted] = []
    for at in range(number):
        talk = Talk(client=("10.9.0.1", 40_000 + at), client_isn=1_000 * (at + 1), server_isn=500_000 + at)
        talk.ip_id = 100 * at
        talk.established().close("s")
        packets += [Crafted(packet.at_s + 2 * at, packet.data) for packet in talk.packets]
    return packets


def is_of_server(packet: Crafted) -> bool:
    """Whether the server sent it."""
    return bool(Ether(packet.data)[TCP].sport == 80)


def two_taps(packets: list[Crafted], ahead_s: float, way_s: float = WAY_S) -> tuple[list[Crafted], list[Crafted]]:
    """What a point at the client has, and one at the server, whose clock is ahead."""
    near = [changed(p, way_s, ttl=63) if is_of_server(p) else p for p in packets]
    far = [changed(p, ahead_s) if is_of_server(p) else changed(p, ahead_s + way_s, ttl=63) for p in packets]
    return near, far


def write(folder: Path, ahead_s: float, packets: list[Crafted] | None = None) -> list[Path]:
    """The two files."""
    taps = two_taps(conversations() if packets is None else packets, ahead_s)
    return [write_capture(folder / f"{name}.pcap", tap) for name, tap in zip(("near", "far"), taps, strict=True)]


def clocks(report: Report) -> list[dict[str, Any]]:
    """What the JSON says of them."""
    return [dict(clock) for clock in report.summary["capture"]["clocks"]]


def said(report: Report) -> list[str]:
    """The lines of capture quality about clocks."""
    return [line for line in report.quality.concerns if line.startswith("the clock of ")]


@pytest.mark.parametrize("ahead_s", [-0.25, -0.08, -0.002, 0.002, 0.08, 0.25, 3.0])
def test_a_difference_is_bounded_and_said(tmp_path: Path, ahead_s: float) -> None:
    """By a round trip's two ways, whichever clock is ahead, and however the files are given."""
    paths = write(tmp_path, ahead_s)
    way_ns, ahead_ns = round(WAY_S * 10**9), round(abs(ahead_s) * 10**9)
    for order in (paths, paths[::-1]):
        report = pcapwatch.analyze(order)
        (clock,) = clocks(report)
        files = [file["path"] for file in report.summary["capture"]["files"]]
        leading = paths[1] if ahead_s > 0 else paths[0]
        assert files[clock["file"]] == str(leading)
        assert files[clock["than_file"]] != str(leading)
        assert (clock["at_least_ns"], clock["at_most_ns"]) == (ahead_ns - way_ns, ahead_ns + way_ns)
        assert (clock["changes"], clock["interface"], clock["than_interface"]) == (False, 0, 0)
        assert clock["packets"] >= 20
        (line,) = said(report)
        assert f"editcap -t {-ahead_ns / 10**9:.6f} {leading} shifted.pcapng" in line


@pytest.mark.skipif(not shutil.which("editcap"), reason="editcap is not installed")
@pytest.mark.parametrize("ahead_s", [-0.08, 0.3, 3.0])
def test_the_shift_that_is_said_mends_it(tmp_path: Path, ahead_s: float) -> None:
    """As an engineer would type it: nothing is said any more, and the answer is that of one point."""
    packets = conversations()
    paths = write(tmp_path, ahead_s, packets)
    (line,) = said(pcapwatch.analyze(paths))
    command = re.search(r"editcap .*", line)
    assert command
    tool, option, shift, path, out = command[0].split()
    subprocess.run([tool, option, shift, path, str(tmp_path / out)], check=True)
    rest = [one for one in paths if str(one) != path]
    report, alone = pcapwatch.analyze([*rest, tmp_path / out]), pcapwatch.analyze(rest)
    assert (clocks(report), report.summary["capture"]["duplicates"]) == ([], len(packets))
    columns = ["active_closer", "time_wait_holder", "client_retransmits", "server_retransmits", "history"]
    assert report.connections[columns].equals(alone.connections[columns])


@pytest.mark.parametrize("way_s", [0.001_5, 0.004, 0.03])
def test_clocks_that_agree_where_openings_alone_are_certain(tmp_path: Path, way_s: float) -> None:
    """Without an IP id: SYNs are one way later at one point, SYN-ACKs at the other, however few the connections."""
    for number in (2, 30):
        taps = two_taps(conversations(number), 0.0, way_s)
        files = [write_capture(tmp_path / f"{n}.pcap", [in_ipv6(p) for p in tap]) for n, tap in enumerate(taps)]
        assert clocks(pcapwatch.analyze(files)) == []


@pytest.mark.parametrize("ahead_s", [0.0, 0.000_4, -0.000_4])
def test_less_than_the_way_shows_nothing(tmp_path: Path, ahead_s: float) -> None:
    """A delay may be any, but not negative."""
    report = pcapwatch.analyze(write(tmp_path, ahead_s))
    assert (clocks(report), said(report), report.summary["capture"]["duplicates"]) == ([], [], 30)


def test_a_queue_is_no_clock(tmp_path: Path) -> None:
    """The far point has packets of the client up to 90 ms late; they were as long on their way."""
    near, far = two_taps(conversations(), 0.0)
    late = [p if is_of_server(p) else changed(p, 0.01 * (at % 10)) for at, p in enumerate(far)]
    paths = [write_capture(tmp_path / f"{at}.pcap", tap) for at, tap in enumerate((near, late))]
    assert clocks(pcapwatch.analyze(paths)) == []


def test_one_direction_proves_nothing(tmp_path: Path) -> None:
    """The way may be as long as that."""
    packets = [packet for packet in conversations() if not is_of_server(packet)]
    assert clocks(pcapwatch.analyze(write(tmp_path, 0.08, packets))) == []


def test_few_packets_prove_nothing(tmp_path: Path) -> None:
    """Counted in turns."""
    assert clocks(pcapwatch.analyze(write(tmp_path, 0.08, conversations(1)[:4]))) == []
    assert len(clocks(pcapwatch.analyze(write(tmp_path, 0.08, conversations(1)[:5])))) == 1


def test_clocks_that_drift(tmp_path: Path) -> None:
    """Ahead by 20 ms, later by 60: both are said, and no shift."""
    parts = [two_taps(conversations(at)[-10:], 0.02 * at) for at in (1, 3)]
    paths = [write_capture(tmp_path / f"{at}.pcap", [p for part in parts for p in part[at]]) for at in (0, 1)]
    report = pcapwatch.analyze(paths)
    (clock,) = clocks(report)
    assert (clock["at_least_ns"], clock["at_most_ns"], clock["changes"]) == (20.4 * MS, 59.6 * MS, True)
    (line,) = said(report)
    assert "by 20.4 ms to 59.6 ms and changes" in line
    assert line.endswith("no one shift mends it: analyze each alone")


def test_two_interfaces_of_one_file(tmp_path: Path) -> None:
    """As mergecap makes of two hosts' files: shifting the whole would not help."""
    path = write_pcapng(tmp_path / "merged.pcapng", list(two_taps(conversations(), 0.08)))
    report = pcapwatch.analyze(path)
    (clock,) = clocks(report)
    assert (clock["file"], clock["than_file"], clock["interface"], clock["than_interface"]) == (0, 0, 1, 0)
    (line,) = said(report)
    assert line.startswith(f"the clock of interface 1 of {path} is ahead of that of interface 0 by 79.6 ms to 80.4 ms")
    part = f"tshark -r {path} -Y frame.interface_id=="
    commands = [f"{part}1 -w interface1.pcapng", f"{part}0 -w interface0.pcapng"]
    commands.append("editcap -t -0.080000 interface1.pcapng shifted.pcapng")
    assert line.endswith(f"shift its packets, and analyze both: {'; '.join(commands)}")


def test_ipv6_tells_by_its_openings(tmp_path: Path) -> None:
    """Nothing else there is one packet for certain."""
    packets = conversations(6)
    taps = two_taps(packets, 0.08)
    paths = [write_capture(tmp_path / f"{at}.pcap", [in_ipv6(p) for p in tap]) for at, tap in enumerate(taps)]
    (clock,) = clocks(pcapwatch.analyze(paths))
    assert (clock["at_least_ns"], clock["at_most_ns"], clock["packets"]) == (79.6 * MS, 80.4 * MS, 12)


def test_a_replay_is_told_from_its_original_only_by_time(tmp_path: Path) -> None:
    """The same packets in a file of their own, a minute later: what differs is their times."""
    packets = conversations()
    first, again = packets, [changed(packet, 60.0) for packet in packets]
    paths = [write_capture(tmp_path / f"{at}.pcap", tap) for at, tap in enumerate((first, again))]
    (clock,) = clocks(pcapwatch.analyze(paths))
    assert (clock["file"], clock["at_least_ns"], clock["at_most_ns"]) == (1, 60_000 * MS, 60_000 * MS)


@pytest.mark.parametrize("last_ack", [True, False])
@pytest.mark.parametrize("ahead_s", [-0.05, -0.015, 0.0, 0.015, 0.05])
def test_a_fin_lost_between_the_points(tmp_path: Path, ahead_s: float, last_ack: bool) -> None:
    """Who closed and who waits is what each point alone says, however their clocks differ."""
    talk = Talk().established()
    fin = talk.c(0.5, "FA")
    talk.c(0.7, "FA", seq=fin)
    talk.s(0.75, "FA")
    talk.c(0.8, "A")
    lost = {5} if last_ack else {5, len(talk.packets) - 1}
    near, far = two_taps(talk.packets, ahead_s, 0.01)
    far = [packet for at, packet in enumerate(far) if at not in lost]
    paths = [write_capture(tmp_path / f"{at}.pcap", tap) for at, tap in enumerate((near, far))]
    for some in ([paths[0]], [paths[1]], paths, paths[::-1]):
        (row,) = pcapwatch.analyze(some).connections.to_dict("records")
        assert (row["active_closer"], row["time_wait_holder"]) == ("client", "client")


@pytest.mark.parametrize(("threads", "batch_packets"), [(1, 1), (2, 7), (4, 2048)])
def test_any_number_of_threads(tmp_path: Path, threads: int, batch_packets: int) -> None:
    """The same bytes of JSON."""
    path = write_pcapng(tmp_path / "merged.pcapng", list(two_taps(conversations(), 0.08)))
    assert '"at_least_ns": 79600000' in tool_json(path, 1, 2048)
    assert tool_json(path, threads, batch_packets) == tool_json(path, 1, 2048)


def test_kept_duplicates_are_not_measured(tmp_path: Path) -> None:
    """With --keep-duplicates nothing is compared."""
    assert clocks(pcapwatch.analyze(write(tmp_path, 0.08), keep_duplicates=True)) == []
