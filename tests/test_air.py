"""802.11 frames that hold several packets, or parts of one: said is what is said of the packets by themselves."""

from __future__ import annotations

import shutil
import struct
import subprocess
from collections.abc import Callable, Iterator
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import pytest
from crafted.reading import tool_json
from crafted.talk import Crafted, Talk, write_capture
from crafted.wrapped.air import aggregate, ieee80211, ieee80211_fragments
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether
from scapy.packet import Packet

import pcapwatch
from pcapwatch.analysis import ladders
from pcapwatch.reading import run_engine
from pcapwatch.settings import Settings

IEEE80211 = 105


def talks(count: int = 6) -> list[Crafted]:
    """Conversations at one time, so that packets of several follow each other."""
    packets: list[Crafted] = []
    for at in range(count):
        talk = Talk(client=("10.9.0.1", 40_000 + at)).established()
        talk.close("s" if at % 2 else "c")
        packets += [Crafted(one.at_s + at * 1e-6, one.data) for one in talk.packets]
    return sorted(packets, key=lambda one: one.at_s)


def ip_of(one: Crafted) -> tuple[Packet, bool]:
    """A packet and whether the client sent it."""
    packet = Ether(one.data).payload
    return packet, packet[TCP].dport == 80


def batched(run: Iterator[Crafted], most: int) -> Iterator[list[Crafted]]:
    """Up to so many at a time."""
    while together := list(islice(run, most)):
        yield together


def frames(most: int) -> Iterator[Crafted]:
    """Up to so many packets of one direction in each frame, at the time of the first of them."""
    for client, run in groupby(talks(), key=lambda one: ip_of(one)[1]):
        for together in batched(run, most):
            yield Crafted(together[0].at_s, aggregate([ip_of(one)[0] for one in together], client))


def plain(most: int) -> Iterator[Crafted]:
    """The same packets at the same times, each in a frame of its own."""
    for client, run in groupby(talks(), key=lambda one: ip_of(one)[1]):
        for together in batched(run, most):
            for one in together:
                yield Crafted(together[0].at_s, ieee80211(ip_of(one)[0], client)[0])


def rows(report: Any) -> list[Any]:
    """Connections and exchanges without the numbers of frames."""
    tables = (report.connections, report.exchanges)
    return [
        table[[name for name in table.columns if "frame" not in name]].astype(str).values.tolist() for table in tables
    ]


@pytest.mark.parametrize("most", [1, 2, 5])
def test_packets_of_one_frame_are_those_by_themselves(tmp_path: Path, most: int) -> None:
    """Every connection, also several that open in one frame, is the same; packets are the file's, segments all."""
    aggregated, alone = list(frames(most)), list(plain(most))
    several = pcapwatch.analyze(write_capture(tmp_path / "air.pcap", aggregated, IEEE80211))
    single = pcapwatch.analyze(write_capture(tmp_path / "air.pcap", alone, IEEE80211))
    assert rows(several) == rows(single)
    assert len(several.connections) == 6
    capture = several.summary["capture"]
    assert (capture["packets"], capture["segments"]) == (len(aggregated), len(alone))
    assert capture["aggregated"] == len(alone) - len(aggregated)
    assert (capture["aggregated"] > 0) == (most > 1)
    assert any("A-MSDU" in remark for remark in several.quality.remarks) == (most > 1)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("batch", [1, 7, 2048])
def test_threads_and_batches_change_nothing(tmp_path: Path, threads: int, batch: int) -> None:
    """The report, with its ladders, is the same however the frames are read."""
    path = write_capture(tmp_path / "several.pcap", list(frames(5)), IEEE80211)
    assert tool_json(path, threads, batch) == tool_json(path, 2, 64)


def test_ladders_are_those_of_the_packets_by_themselves(tmp_path: Path) -> None:
    """`show` draws each connection's own packets, also of several that open in one frame, alone and together."""
    paths = [write_capture(tmp_path / f"{make.__name__}.pcap", list(make(5)), IEEE80211) for make in (frames, plain)]
    opening = next(frames(5)).data
    assert opening.count(b"\x80\x02\xfa\xf0") == 5, "SYNs share a frame"
    several, single = (run_engine([path], Settings(keep_connections=True)) for path in paths)
    drawn = [packets_of(ladder) for ladder in ladders(single, range(1, 7))]
    assert len({tuple(packets) for packets in drawn}) == 6
    assert [packets_of(ladder) for ladder in ladders(several, range(1, 7))] == drawn
    for number, alone in enumerate(drawn, 1):
        assert [packets_of(ladder) for ladder in ladders(several, [number])] == [alone]


def packets_of(ladder: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Of each row all but the frame's number."""
    said = ("from", "flags", "seq", "ack", "len", "summary", "client_state", "server_state", "ts_ns")
    ends = (ladder["client"], ladder["server"])
    return [(*ends, *(row[key] for key in said), *row["notes"]) for row in ladder["rows"]]


@pytest.mark.skipif(not shutil.which("tshark"), reason="tshark is not installed")
@pytest.mark.parametrize("make", [lambda: list(frames(5)), lambda: list(fragmented())], ids=["aggregates", "fragments"])
def test_tshark_finds_the_same_segments(tmp_path: Path, make: Callable[[], list[Crafted]]) -> None:
    """Sequence numbers of all segments, and streams, as tshark takes frames apart or puts them together."""
    path = write_capture(tmp_path / "air.pcap", make(), IEEE80211)
    command = ["tshark", "-n", "-r", str(path), "-Y", "tcp", "-T", "fields", "-e", "tcp.srcport", "-e", "tcp.seq_raw"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    found: list[tuple[int, ...]] = []
    for line in done.stdout.splitlines():
        found += zip(*(map(int, cell.split(",")) for cell in line.split("\t")), strict=True)
    sent = [(ip_of(one)[0][TCP].sport, ip_of(one)[0][TCP].seq) for one in talks()]
    assert sorted(found) == sorted(sent)
    assert pcapwatch.analyze(path).summary["capture"]["segments"] == len(sent)


#: What a link type has before an 802.11 frame, one for each: none, Linux cooked's two, macOS's.
BEFORE_A_FRAME = {
    IEEE80211: b"",
    113: struct.pack(">HHH8sH", 0, 801, 6, b"", 0x0004),
    276: struct.pack(">HHIHBB8s", 0x0004, 0, 3, 801, 0, 6, b""),
    258: struct.pack("<III", 156, 1, IEEE80211).ljust(156, b"\0"),
}


@pytest.mark.parametrize("link", BEFORE_A_FRAME)
def test_what_was_not_acknowledged_in_the_air_is_no_retransmission(tmp_path: Path, link: int) -> None:
    """Frames sent again, by their flag and number, are left out, also of packets without an IP id; others are TCP's."""
    frames = []
    for number, one in enumerate(talks()):
        packet, client = ip_of(one)
        packet[IP].id = 0
        del packet[IP].chksum
        frame = bytearray(ieee80211(packet, client)[0])
        frame[22:24] = (number << 4).to_bytes(2, "little")
        frames.append(Crafted(one.at_s, bytes(frame)))
    again = [Crafted(one.at_s + 2e-4, one.data[:1] + bytes([one.data[1] | 8]) + one.data[2:]) for one in frames]
    before = BEFORE_A_FRAME[link]
    frames, again = ([Crafted(one.at_s, before + one.data) for one in some] for some in (frames, again))
    both = sorted(frames + again, key=lambda one: one.at_s)
    alone = pcapwatch.analyze(write_capture(tmp_path / "air.pcap", frames, link))
    report = pcapwatch.analyze(write_capture(tmp_path / "air.pcap", both, link))
    assert rows(report) == rows(alone)
    assert report.summary["capture"]["not_analysed"] == {"ieee80211_retry": len(frames)}
    missed = pcapwatch.analyze(write_capture(tmp_path / "air.pcap", again, link))
    assert missed.summary["capture"]["segments"] == len(frames), "of which the first ones were not captured"
    kept = pcapwatch.analyze(tmp_path / "air.pcap", keep_duplicates=True)
    assert kept.summary["capture"]["segments"] == len(frames)


def fragmented() -> Iterator[Crafted]:
    """Every packet in fragments."""
    for number, one in enumerate(talks()):
        packet, client = ip_of(one)
        # From which the frame's number is taken.
        packet[IP].id = number
        del packet[IP].chksum
        yield from (Crafted(one.at_s + at * 1e-6, data) for at, data in enumerate(ieee80211_fragments(packet, client)))


def test_a_lost_fragment_is_a_lost_packet(tmp_path: Path) -> None:
    """Without its second fragment a packet is missing; nothing of the next one is put in its place."""
    kept = [one for one in fragmented() if one.data[22] & 0x0F != 1]
    capture = pcapwatch.analyze(write_capture(tmp_path / "lost.pcap", kept, IEEE80211)).summary["capture"]
    assert capture["segments"] == 0
    assert capture["fragments"]["incomplete"] == len(talks())
    assert capture["not_analysed"] == {"fragment": len(kept)}


def test_fragments_across_two_files(tmp_path: Path) -> None:
    """A rotated set parts files anywhere: what is in fragments there is put together all the same."""
    frames = list(fragmented())
    for at in range(1, 12):
        write_capture(tmp_path / "cap_00001.pcap", frames[:at], IEEE80211)
        write_capture(tmp_path / "cap_00002.pcap", frames[at:], IEEE80211)
        capture = pcapwatch.analyze(tmp_path).summary["capture"]
        assert (capture["segments"], capture["fragments"]["incomplete"]) == (len(talks()), 0)


def test_a_retry_whose_number_came_round_is_a_packet(tmp_path: Path) -> None:
    """Of frames with one number only the same one again is left out, whatever was sent between them."""
    frames = []
    for number, one in enumerate(talks()):
        frame = bytearray(ieee80211(*ip_of(one))[0])
        frame[22:24] = b"\x10\x00"
        frame[1] |= 0x08 if number else 0
        frames.append(Crafted(one.at_s, bytes(frame)))
    report = pcapwatch.analyze(write_capture(tmp_path / "air.pcap", frames, IEEE80211))
    assert report.summary["capture"]["segments"] == len(talks())
