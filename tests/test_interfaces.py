"""Packets of two interfaces that were written in lumps read as if they had been written in order."""

from __future__ import annotations

import struct
from pathlib import Path

import dpkt
import pandas as pd
import pytest
from oracle.capture import RawPacket, read_capture
from places import ROOT
from test_formats_documented import block

import pcapwatch
from pcapwatch.analysis import ladders
from pcapwatch.reading import run_engine
from pcapwatch.settings import Settings

NAMES = [
    "server-closes-first", "client-closes-first", "crossing-fins", "half-close", "abort-by-client", "abort-by-server",
    "fin-with-data", "late-data", "pipelined", "simultaneous-open", "reuse-at-ages", "nginx-max-requests",
    "nginx-keepalive-off",
]  # fmt: skip
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


def by_direction(name: str) -> list[tuple[int, RawPacket]]:
    """A fixture's packets in order of time, each with the interface of its direction."""
    packets = sorted(read_capture(ROOT / "fixtures" / name / "capture.pcap"), key=lambda packet: packet.ts_ns)

    def source(packet: RawPacket) -> bytes:
        return bytes(dpkt.ethernet.Ethernet(packet.data).data)[12:16]

    first = source(packets[0])
    return [(int(source(packet) != first), packet) for packet in packets]


def in_lumps(packets: list[tuple[int, RawPacket]], later: int) -> list[tuple[int, RawPacket]]:
    """The same as a capturer writes them: what one interface had in a while, then what the other had."""
    begin = packets[0][1].ts_ns

    def lump(item: tuple[int, RawPacket]) -> tuple[int, bool]:
        return (item[1].ts_ns - begin) // LUMP_NS, item[0] == later

    return sorted(packets, key=lump)


def rows(report: pcapwatch.Report) -> pd.DataFrame:
    """The connections without their frames, which are those of the file."""
    table = report.connections
    return table.drop(columns=[column for column in table.columns if column.endswith(("_frame", "file"))])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("later", [0, 1])
def test_lumps_read_like_the_file_in_order(tmp_path: Path, name: str, later: int) -> None:
    """Every column, whichever interface is written first; the same text for any number of threads, in any batches."""
    packets = by_direction(name)
    ordered = pcapwatch.analyze(written(tmp_path / "ordered.pcapng", packets))
    assert ordered.summary["capture"]["ordered_packets"] == 0
    lumps = in_lumps(packets, later)
    assert lumps != packets, "the fixture shows nothing"
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


def test_a_second_look_has_the_same_rows(tmp_path: Path) -> None:
    """Packet by packet: frames apart, the ladder of the file in order."""
    packets = by_direction("reuse-at-ages")
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
    packets = by_direction("reuse-at-ages")
    halves = sorted(packets, key=lambda item: item[0])
    assert packets[-1][1].ts_ns - packets[0][1].ts_ns > 4_000_000_000
    report = pcapwatch.analyze(written(tmp_path / "halves", halves))
    assert report.summary["capture"]["clock_steps_back"] > 0
    assert any("older than the one before" in line and "reordercap" in line for line in report.quality.concerns)
