"""Captures without an end: what they hold of memory stops growing. Made as a stream, never stored."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is read from Linux's /proc"),
]

PCAP = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1)
SYN = 2
PSH_ACK = 0x18

# VmHWM and not getrusage: the latter's peak is inherited from the process that forked this one.
WATCHED = r"""
import os, re, sys
from pathlib import Path
from pcapwatch.cli import main
try:
    main(["analyze", "-", "--format", "json", *sys.argv[1:]])
finally:
    sys.stdout.flush()
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    os.write(2, b"\nPEAK " + peak[1].encode())
"""


def frame(flags: int, payload: bytes = b"", options: bytes = b"") -> bytes:
    """An Ethernet frame from 10.0.0.1:1024 to 10.0.0.2:80, sequence number 1, checksums left zero."""
    tcp = struct.pack(">HHIIBBHHH", 1024, 80, 1, 1, (20 + len(options)) // 4 << 4, flags, 512, 0, 0) + options
    length = 20 + len(tcp) + len(payload)
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, length, 1, 0x4000, 64, 6, 0, b"\x0a\0\0\1", b"\x0a\0\0\2")
    return bytes(12) + b"\x08\0" + ip + tcp + payload


def record(seconds: int, data: bytes) -> bytes:
    """A pcap record."""
    return struct.pack("<IIII", seconds, 0, len(data), len(data)) + data


def records(template: bytes, count: int) -> np.ndarray:
    """So many copies of a record, a row each, that are then made different column by column."""
    return np.tile(np.frombuffer(template, dtype=np.uint8), (count, 1))


def syn_flood(packets: int, seed: int = 1) -> Iterator[bytes]:
    """SYNs of 58 bytes from random sources, 100,000 a second."""
    random = np.random.default_rng(seed)
    template = record(0, frame(SYN, options=b"\2\4\5\xb4"))
    yield PCAP
    for done in range(0, packets, 100_000):
        rows = records(template, min(100_000, packets - done))
        rows[:, 0:4] = np.frombuffer(struct.pack("<I", 1_700_000_000 + done // 100_000), dtype=np.uint8)
        rows[:, 16 + 26 : 16 + 30] = random.integers(0, 256, (len(rows), 4), dtype=np.uint8)
        rows[:, 16 + 34 : 16 + 36] = random.integers(0, 256, (len(rows), 2), dtype=np.uint8)
        rows[:, 16 + 38 : 16 + 42] = random.integers(0, 256, (len(rows), 4), dtype=np.uint8)
        yield rows.tobytes()


def stream_of(begin: bytes, again: bytes, packets: int) -> Iterator[bytes]:
    """A connection whose one side says ``begin`` and then ``again`` in so many packets."""
    yield PCAP + record(1_700_000_000, frame(PSH_ACK, begin))
    template = record(1_700_000_001, frame(PSH_ACK, again))
    place = 16 + 38
    for done in range(0, packets, 50_000):
        rows = records(template, min(50_000, packets - done))
        numbers = 1 + len(begin) + len(again) * (np.arange(len(rows), dtype=np.uint64) + done)
        rows[:, place : place + 4] = (numbers % 2**32).astype(">u4").view(np.uint8).reshape(-1, 4)
        yield rows.tobytes()


def endless_header(packets: int) -> Iterator[bytes]:
    """One header whose value never ends."""
    return stream_of(b"GET / HTTP/1.1\r\nHost: a\r\nX: ", b"x" * 1000, packets)


def endless_headers(packets: int) -> Iterator[bytes]:
    """One header after another, each short."""
    return stream_of(b"GET / HTTP/1.1\r\nHost: a\r\n", b"X-Y: 12345678\r\n" * 60, packets)


def endless_chunks(packets: int) -> Iterator[bytes]:
    """A chunked body in chunks of one byte."""
    return stream_of(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n" * 160, packets)


def endless_pipeline(packets: int) -> Iterator[bytes]:
    """Requests that nobody answers."""
    return stream_of(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 35, packets)


def analyze(chunks: Iterable[bytes], *options: str) -> tuple[dict[str, object], int]:
    """The report's ``capture`` of a capture on stdin, and KiB at the peak."""
    command = [sys.executable, "-c", WATCHED, *options]
    env = {**os.environ, "NO_COLOR": "1"}
    with subprocess.Popen(command, stdin=-1, stdout=-1, stderr=-1, env=env) as process:
        assert process.stdin is not None
        for chunk in chunks:
            process.stdin.write(chunk)
        out, err = process.communicate()
    text, _, peak = err.decode().rpartition("\nPEAK ")
    assert process.returncode == 0, text
    return json.loads(out)["capture"], int(peak)


def test_a_flood_of_syns_stops_growing() -> None:
    """Beyond the limit of connections three times the SYNs hold no more: within a tenth, below 600 MiB."""
    capture, less = analyze(syn_flood(500_000))
    assert capture["packets"] == 500_000
    capture, more = analyze(syn_flood(1_500_000))
    assert capture["packets"] == 1_500_000
    assert capture["evicted_connections"] > 1_200_000  # type: ignore[operator]
    assert more < less * 1.1
    assert more < 600 << 10


@pytest.mark.parametrize("made", [endless_header, endless_headers, endless_chunks, endless_pipeline])
def test_a_message_without_end_stops_growing(made: Callable[[int], Iterator[bytes]]) -> None:
    """200 MB of one message hold no more than 60 MB of it, within a tenth, and below 200 MiB."""
    _, less = analyze(made(60_000))
    capture, more = analyze(made(200_000))
    assert capture["packets"] == 200_001
    assert more < less * 1.1
    assert more < 200 << 10
