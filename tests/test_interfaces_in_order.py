"""Packets of two interfaces that were written in lumps read as if they had been written in order."""

from __future__ import annotations

import struct
from pathlib import Path

import pandas as pd
import pytest
from oracle.capture import RawPacket, read_capture
from places import ROOT
from test_formats_documented import block

import pcapwatch
from pcapwatch.analysis import ladders
from pcapwatch.reading import run_engine
from pcapwatch.settings import Settings

FIXTURES = ROOT / "fixtures"
#: Packets of the largest fixture that is taken: others have the same in larger numbers.
MOST = 1000
#: No lump of these is longer.
LUMP_NS = 250_000_000


def written(path: Path, packets: list[tuple[int, RawPacket]]) -> Path:
    """A pcapng of two interfaces with nanoseconds, and these packets of them."""
    section = block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))
    interface = block(1, struct.pack("<HHIHHBxxxHH", packets[0][1].link, 0, 0, 9, 1, 9, 0, 0))
    out = [section, interface, interface]
    for number, packet in packets:
        high, low = packet.ts_ns >> 32, packet.ts_ns & 0xFFFFFFFF
        head = struct.pack("<5I", number, high, low, len(packet.data), packet.original_len)
        out.append(block(6, head + packet.data))
    path.write_bytes(b"".join(out))
    return path


def source(packet: RawPacket) -> bytes:
    """The address that an Ethernet frame's IPv4 packet is from; none of others."""
    return packet.data[26:30] if packet.link == 1 and packet.data[12:14] == b"\x08\0" else b""


def by_direction(path: Path) -> list[tuple[int, RawPacket]]:
    """A fixture's packets in order of time, each with its direction's interface; none if they are not of two hosts."""
    packets = sorted(read_capture(path), key=lambda packet: packet.ts_ns)
    sources = {source(packet) for packet in packets}
    if len(sources) != 2 or b"" in sources or len(packets) > MOST:
        return []
    return [(int(source(packet) != source(packets[0])), packet) for packet in packets]


def in_lumps(packets: list[tuple[int, RawPacket]], later: int) -> list[tuple[int, RawPacket]]:
    """The same as a capturer writes them: what one interface had in a while, then what the other had."""
    begin = packets[0][1].ts_ns

    def lump(item: tuple[int, RawPacket]) -> tuple[int, bool]:
        return (item[1].ts_ns - begin) // LUMP_NS, item[0] == later

    return sorted(packets, key=lump)


#: What two tap ports would show, of each fixture of two hosts that has lumps at all.
CONVERSATIONS = {
    path.parent.name: packets
    for path in sorted(FIXTURES.glob("*/capture.pcap"))
    if (packets := by_direction(path)) and in_lumps(packets, 0) != packets != in_lumps(packets, 1)
}


def test_there_are_such_fixtures() -> None:
    """The tests below are not of nothing."""
    assert len(CONVERSATIONS) > 20


def rows(report: pcapwatch.Report) -> pd.DataFrame:
    """The connections without their frames, which are those of the file."""
    table = report.connections
    return table.drop(columns=[column for column in table.columns if column.endswith(("_frame", "file"))])


@pytest.mark.parametrize("name", CONVERSATIONS)
@pytest.mark.parametrize("later", [0, 1])
def test_lumps_read_like_the_file_in_order(tmp_path: Path, name: str, later: int) -> None:
    """Every column, whichever interface is written first; the same text for any number of threads, in any batches."""
    packets = CONVERSATIONS[name]
    ordered = pcapwatch.analyze(written(tmp_path / "ordered.pcapng", packets))
    assert ordered.summary["capture"]["ordered_packets"] == 0
    lumps = in_lumps(packets, later)
    path = written(tmp_path / "lumps.pcapng", lumps)
    report = pcapwatch.analyze(path)
    pd.testing.assert_frame_equal(rows(report), rows(ordered))
    assert [packet.data for packet in read_capture(path)] == [packet.data for _, packet in packets], "the oracle"
    capture = report.summary["capture"]
    frames = [{id(packet): frame for frame, (_, packet) in enumerate(lumps)}[id(packet)] for _, packet in packets]
    behind = sum(frame < max(frames[: at + 1]) for at, frame in enumerate(frames))
    assert (capture["ordered_packets"], capture["clock_steps_back"]) == (behind, 0)
    assert any("put in order of time across interfaces" in remark for remark in report.quality.remarks)
    texts = {pcapwatch.analyze(path, threads=n, batch_packets=most).to_json() for n in (1, 2, 5) for most in (1, 4096)}
    assert len(texts) == 1


@pytest.mark.parametrize("name", ["nginx-ab", "nginx-wrk-close"])
@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 8])
def test_any_place_in_the_file(tmp_path: Path, name: str, length: int) -> None:
    """Lumps of a few packets: what concludes a connection may stand just before its first packet in the file."""
    packets = CONVERSATIONS[name]
    ordered = pcapwatch.analyze(written(tmp_path / "ordered.pcapng", packets))
    sides = [[item for item in packets if item[0] == side] for side in (1, 0)]
    most = max(map(len, sides))
    lumps = [item for at in range(0, most, length) for side in sides for item in side[at : at + length]]
    report = pcapwatch.analyze(written(tmp_path / "lumps.pcapng", lumps))
    assert report.summary["capture"]["clock_steps_back"] == 0
    pd.testing.assert_frame_equal(rows(report), rows(ordered))


def test_a_second_look_has_the_same_rows(tmp_path: Path) -> None:
    """Packet by packet: frames apart, the ladder of the file in order."""
    packets = CONVERSATIONS["reuse-at-ages"]
    paths = [written(tmp_path / "a", packets), written(tmp_path / "b", in_lumps(packets, 0))]
    plain, lumps = (run_engine([path], Settings(keep_connections=True)) for path in paths)
    for number in range(1, len(pcapwatch.analyze(paths[0]).connections) + 1):
        drawn = [ladders(analysis, [number])[0]["rows"] for analysis in (plain, lumps)]
        assert len(drawn[0]) > 0
        for one in drawn:
            for row in one:
                del row["frame"]
        assert drawn[0] == drawn[1], number


def test_lumps_longer_than_the_window_are_said_with_the_cure(tmp_path: Path) -> None:
    """What cannot be put in order is counted as late, and `reordercap` named."""
    packets = CONVERSATIONS["reuse-at-ages"]
    halves = sorted(packets, key=lambda item: item[0])
    assert packets[-1][1].ts_ns - packets[0][1].ts_ns > 4_000_000_000
    report = pcapwatch.analyze(written(tmp_path / "halves", halves))
    assert report.summary["capture"]["clock_steps_back"] > 0
    assert any("older than the one before" in line and "reordercap" in line for line in report.quality.concerns)
