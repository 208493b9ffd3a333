"""Moments of real captures: what a live session would have known, from reports on their first packets."""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from pathlib import Path

import pcapwatch
from pcapwatch.live.dashboard.trail import Trail
from pcapwatch.live.moment import Counters, Moment

#: pcap's magic numbers with the unit of a record's fraction in ns (draft-ietf-opsawg-pcap).
_UNITS_NS = {b"\xd4\xc3\xb2\xa1": 1000, b"\x4d\x3c\xb2\xa1": 1}
_HEADER, _RECORD = 24, 16


def records(capture: bytes) -> list[tuple[int, int, int]]:
    """(capture time in ns, bytes on the wire, offset of the record's end) of each packet of a little-endian pcap."""
    unit_ns = _UNITS_NS[capture[:4]]
    found, at = [], _HEADER
    while at + _RECORD <= len(capture):
        seconds, fraction, kept, original = struct.unpack_from("<IIII", capture, at)
        at += _RECORD + kept
        found.append((seconds * 1_000_000_000 + fraction * unit_ns, original, at))
    return found


def moments(capture: Path, folder: Path, parts: int) -> list[Moment]:
    """The capture's span in ``parts`` equal parts: a moment after each."""
    data = capture.read_bytes()
    packets = records(data)
    start_ns, end_ns = packets[0][0], max(ns for ns, _, _ in packets)
    made: list[Moment] = []
    for part in range(1, parts + 1):
        until_ns = start_ns + (end_ns - start_ns) * part // parts
        seen = packets[: sum(ns <= until_ns for ns, _, _ in packets)]
        prefix = folder / f"{part}.pcap"
        prefix.write_bytes(data[: seen[-1][2]])
        made.append(_moment(prefix, seen, made[-1].counters if made else None))
    return made


def _moment(prefix: Path, seen: list[tuple[int, int, int]], previous: Counters | None) -> Moment:
    first_ns, last_ns = seen[0][0], max(ns for ns, _, _ in seen)
    counters = Counters(
        packets=len(seen),
        bytes=sum(size for _, size, _ in seen),
        kernel_packets=len(seen),
        kernel_drops=0,
        first_ns=first_ns,
        last_ns=last_ns,
        elapsed_s=(last_ns - first_ns) / 1e9,
    )
    at = datetime.fromtimestamp(last_ns / 1e9, UTC)
    return Moment(at, "veth0", counters, previous, pcapwatch.analyze(prefix), None)


def trail_of(seen: list[Moment]) -> Trail:
    """What the dashboard would remember of these."""
    trail = Trail()
    for moment in seen:
        trail = trail.after(moment)
    return trail
