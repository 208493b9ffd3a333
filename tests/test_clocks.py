"""Clocks that were not set, overflowed, stepped back or stood still for days: no negative duration, and said so."""

from __future__ import annotations

import json
import random
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from crafted.talk import Talk, write_capture
from places import ROOT

import pcapwatch

CAPTURE = ROOT / "fixtures" / "nginx-keepalive-off" / "capture.pcap"
LAST = 0xFFFFFFFF
DAY = 86_400
UNSET = "packets from before 1980: the capturing clock was not set"
WRONG = "packets from after 2100: the capturing clock was wrong"

#: The seconds of a packet, from its place in the file (0 to 1) and its own.
Shift = Callable[[float, int], int]


def shuffled(place: float, seconds: int) -> int:
    """Any second of the century, the same for the same packet."""
    return random.Random(place).randrange(LAST)


SHIFTS: dict[str, tuple[Shift, set[str]]] = {
    "1970": (lambda place, seconds: 0, {UNSET}),
    "2106": (lambda place, seconds: LAST, {WRONG}),
    "from 1970 to 2106": (lambda place, seconds: 0 if place < 0.5 else LAST, {UNSET, WRONG}),
    "back to 1970": (lambda place, seconds: seconds if place < 0.5 else 0, {UNSET}),
    "back by an hour": (lambda place, seconds: seconds if place < 0.5 else seconds - 3600, set()),
    "ten days later": (lambda place, seconds: seconds if place < 0.5 else seconds + 10 * DAY, set()),
    "a second back every other packet": (lambda place, seconds: seconds - int(place * 1e6) % 2, set()),
    "any order": (shuffled, {UNSET, WRONG}),
}


def shift(path: Path, to: Path, of: Shift) -> None:
    """A little-endian pcap with the seconds of its packets changed."""
    data = bytearray(path.read_bytes())
    at = 24
    while at < len(data):
        seconds, _, length, _ = struct.unpack_from("<IIII", data, at)
        struct.pack_into("<I", data, at, of(at / len(data), seconds))
        at += 16 + length
    to.write_bytes(data)


def durations(value: Any, name: str = "") -> Iterator[tuple[str, float]]:
    """Every number under a name that says it is a length of time in seconds."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield from durations(part, key)
    elif isinstance(value, list):
        for part in value:
            yield from durations(part, name)
    elif name.endswith("_s") and not name.endswith("_per_s") and value is not None:
        yield name, value


@pytest.mark.parametrize("name", SHIFTS)
def test_no_negative_duration(tmp_path: Path, name: str) -> None:
    """In the JSON report and in the tables, whatever the times; and it takes no longer for spanning a century."""
    of, expected = SHIFTS[name]
    path = tmp_path / "shifted.pcap"
    shift(CAPTURE, path, of)
    began = time.monotonic()
    report = pcapwatch.analyze(path)
    assert time.monotonic() - began < 5
    assert report.quality.packets == pcapwatch.analyze(CAPTURE).quality.packets
    found = list(durations(json.loads(report.to_json())))
    assert [entry for entry in found if entry[1] < 0 and entry[0] != "offset_s"] == []
    for table in (report.connections, report.exchanges):
        for column in [column for column in table.columns if column.endswith("_s")]:
            assert not (table[column].dropna() < 0).any(), column
    assert {line for line in report.quality.concerns if line in {UNSET, WRONG}} == expected


def test_a_packet_at_the_very_start_of_1970_has_that_time(tmp_path: Path) -> None:
    """A clock that is reset while it captures: its zero is no packet without a time."""
    talk = Talk().established()
    talk.close("s")
    path = write_capture(tmp_path / "reset.pcap", talk.packets)
    data = bytearray(path.read_bytes())
    last = len(data) - 16 - len(talk.packets[-1].data)
    data[last : last + 8] = bytes(8)
    path.write_bytes(data)
    report = pcapwatch.analyze(path)
    assert report.summary["capture"]["first_ns"] == 0
    assert UNSET in report.quality.concerns


def test_days_without_a_packet_are_said(tmp_path: Path) -> None:
    """A gap within a file."""
    path = tmp_path / "shifted.pcap"
    shift(CAPTURE, path, SHIFTS["ten days later"][0])
    (line,) = [line for line in pcapwatch.analyze(path).quality.concerns if line.startswith("no packet for ")]
    assert line.startswith("no packet for 8640")


@pytest.mark.parametrize("name", ["back to 1970", "back by an hour", "any order"])
def test_steps_back_are_counted(tmp_path: Path, name: str) -> None:
    """Each packet older than the one before it."""
    path = tmp_path / "shifted.pcap"
    shift(CAPTURE, path, SHIFTS[name][0])
    assert any(line.endswith("older than the one before") for line in pcapwatch.analyze(path).quality.concerns)


@pytest.mark.parametrize(("first", "closer"), [("c", "client"), ("s", "server")])
def test_a_half_close_across_a_step_back_is_unknown(tmp_path: Path, first: str, closer: str) -> None:
    """The second FIN has an earlier time than the first: how long the connection was half closed is not known."""
    talk = Talk().established()
    talk.close(first)
    stepped = [replace(packet, at_s=packet.at_s - (0.5 if at >= len(talk.packets) - 2 else 0)) for at, packet in
               enumerate(talk.packets)]  # fmt: skip
    path = write_capture(tmp_path / "step.pcap", stepped)
    (row,) = pcapwatch.analyze(path).connections.to_dict("records")
    assert row["active_closer"] == closer
    assert row["half_close_s"] is None
