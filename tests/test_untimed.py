"""Packets without a time (pcapng's simple packets): never 1970, and no length where there is none."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
from oracle.capture import RawPacket, read_capture
from places import ROOT
from test_formats_documented import block

import pcapwatch

CAPTURE = ROOT / "fixtures" / "nginx-keepalive-off" / "capture.pcap"
#: Columns that hold an instant or a length that was measured or modelled.
INSTANTS = ("start", "end", "closer_time", "time_wait_start", "handshake_rtt_s", "idle_before_close_s", "half_close_s")


def written(path: Path, packets: list[RawPacket], untimed: range) -> Path:
    """A pcapng with the packets of those places as simple ones."""
    section = block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))
    blocks = [section, block(1, struct.pack("<HHIHHB", 1, 0, 0, 9, 1, 9) + bytes(7))]
    for place, packet in enumerate(packets):
        if place in untimed:
            blocks.append(block(3, struct.pack("<I", len(packet.data)) + packet.data))
        else:
            fields = (0, packet.ts_ns >> 32, packet.ts_ns & 0xFFFFFFFF, len(packet.data), packet.original_len)
            blocks.append(block(6, struct.pack("<5I", *fields) + packet.data))
    path.write_bytes(b"".join(blocks))
    return path


@pytest.fixture(scope="module")
def packets() -> list[RawPacket]:
    """All of a recorded capture."""
    return read_capture(CAPTURE)


def test_those_before_the_first_time_stand_there(tmp_path: Path, packets: list[RawPacket]) -> None:
    """The span is that of times, the same of the capture and of its file; one line says how many have none."""
    report = pcapwatch.analyze(written(tmp_path / "some.pcapng", packets, range(5)))
    capture = report.summary["capture"]
    file = capture["files"][0]
    assert capture["first_ns"] == file["first_ns"] == packets[5].ts_ns
    assert capture["last_ns"] == file["last_ns"] == packets[-1].ts_ns
    assert report.connections.start.min().value == packets[5].ts_ns
    assert [line for line in report.quality.concerns if "time" in line or "clock" in line] == [
        (
            "5 packets without a time (pcapng's simple packets): each stands at that of the packet before it, so that "
            "lengths around it are not measured"
        )
    ]


def test_a_capture_without_times_claims_none(tmp_path: Path, packets: list[RawPacket]) -> None:
    """Who closed is told by the order of packets, and nothing is of 1970."""
    report = pcapwatch.analyze(written(tmp_path / "none.pcapng", packets, range(len(packets))))
    whole = pcapwatch.analyze(CAPTURE)
    rows = report.connections
    assert list(rows.active_closer) == list(whole.connections.active_closer)
    assert rows[list(INSTANTS)].isna().all().all()
    assert set(rows.time_wait_basis) <= {"censored", "not_entered"}
    capture = json.loads(report.to_json())["capture"]
    assert [capture[name] for name in ("first", "first_ns", "last_ns", "span_s")] == [None] * 4
    for text in (report.to_text(), report.to_markdown()):
        assert "no packet has a time" in text
        assert not any(word in text for word in ("1970", "clock was not set", "+0.0 s", "+0.000000", "0 ns"))
