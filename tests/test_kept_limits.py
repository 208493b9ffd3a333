"""What is kept for connections is bounded: each limit reached, counted, shown, the same for any number of threads."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import pcapwatch
from bench.flood import PCAP

SYN, SYN_ACK, ACK, PSH_ACK = 0x02, 0x12, 0x10, 0x18
REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
CLIENT, SERVER = b"\x0a\0\0\1", b"\x0a\0\0\2"


class Packets:
    """A pcap file of connections to one server, a millisecond from packet to packet."""

    def __init__(self, path: Path) -> None:
        """Nothing yet; ``saved`` writes the file."""
        self.path, self.parts, self.ms = path, [PCAP], 0

    def put(self, port: int, flags: int, seq: int, payload: bytes = b"", *, server: bool = False, ack: int = 1) -> None:
        """One packet of the client at ``port``, or to it; both sides' numbers begin at 0."""
        ends = (80, port) if server else (port, 80)
        hosts = (SERVER, CLIENT) if server else (CLIENT, SERVER)
        tcp = struct.pack(">HHIIBBHHH", *ends, seq, 0 if flags == SYN else ack, 5 << 4, flags, 512, 0, 0)
        length = 40 + len(payload)
        ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, length, self.ms % 65535 + 1, 0x4000, 64, 6, 0, *hosts)
        data = bytes(12) + b"\x08\0" + ip + tcp + payload
        self.ms += 1
        time = (1_700_000_000 + self.ms // 1000, self.ms % 1000 * 1000)
        self.parts.append(struct.pack("<IIII", *time, len(data), len(data)) + data)

    def opened(self, port: int) -> None:
        """A handshake."""
        self.put(port, SYN, 0)
        self.put(port, SYN_ACK, 0, server=True)
        self.put(port, ACK, 1)

    def saved(self) -> Path:
        """The file."""
        self.path.write_bytes(b"".join(self.parts))
        return self.path


def holes(packets: Packets) -> None:
    """300 connections with 20 KB beyond a hole each."""
    for port in range(1024, 1324):
        packets.opened(port)
        packets.put(port, PSH_ACK, 1, REQUEST)
        for piece in range(20):
            packets.put(port, PSH_ACK, 100 + 1000 * piece, b"z" * 1000)


def heads(packets: Packets) -> None:
    """300 connections with 20 KB of a head each that does not end."""
    for port in range(1024, 1324):
        packets.opened(port)
        packets.put(port, PSH_ACK, 1, REQUEST[:-2] + b"X: " + b"q" * 20_000)


def requests(packets: Packets) -> None:
    """300 connections with 60 requests each that nobody answers."""
    for port in range(1024, 1324):
        packets.opened(port)
        packets.put(port, PSH_ACK, 1, REQUEST * 60)


def hellos(packets: Packets) -> None:
    """300 connections with 10 KB of a TLS ClientHello each that is not whole."""
    for port in range(1024, 1324):
        packets.opened(port)
        packets.put(port, PSH_ACK, 1, b"\x16\x03\x01\x30\x00\x01\x00\x2f\xfc\x03\x03" + b"q" * 10_000)


def report(path: Path, **settings: Any) -> dict[str, Any]:
    """The JSON report."""
    answer: dict[str, Any] = json.loads(pcapwatch.analyze(path, **settings).to_json())
    return answer


@pytest.mark.parametrize("made", [holes, heads, requests, hellos])
def test_the_limit_of_all_is_reached_the_same_way_by_any_number_of_threads(made: Any, tmp_path: Path) -> None:
    """One table keeps such a limit, however many workers are asked for; the engine's tests tell of shared ones."""
    packets = Packets(tmp_path / "a.pcap")
    made(packets)
    path = packets.saved()
    texts = [pcapwatch.analyze(path, max_kept_bytes=64 * 30_000, threads=n).to_json() for n in (1, 2, 4)]
    capture = json.loads(texts[0])["capture"]
    assert texts[0] == texts[1] == texts[2]
    assert capture["kept_overflows"] > 1_000_000
    assert any("kept for idle connections given up by the limit on memory" in line for line in capture["concerns"])
    assert report(path)["capture"]["kept_overflows"] == 0


def test_the_longest_idle_give_up_first(tmp_path: Path) -> None:
    """Connections that are heard of again and again keep what waits, and so do the newest; those between do not."""
    packets = Packets(tmp_path / "a.pcap")
    ports = range(1024, 1624)
    for nth, port in enumerate(ports):
        packets.opened(port)
        packets.put(port, PSH_ACK, 100, b"z" * 1000)
        if nth % 8 == 7:
            for heard in ports[:10]:
                packets.put(heard, ACK, 1)
    rows = pcapwatch.analyze(packets.saved(), max_kept_bytes=448 * 1128).connections
    words = zip(rows.client_port, rows.quality, strict=True)
    given_up = {port for port, quality in words if "gap" in list(quality)}
    assert not given_up & {*ports[:10], *ports[-10:]}
    assert len(given_up) > 100
    assert len(ports) - len(given_up) == 448


def test_of_a_small_table_the_longest_idle_of_all_give_up(tmp_path: Path) -> None:
    """Just so much is kept, by the latest heard of."""
    packets = Packets(tmp_path / "a.pcap")
    ports = range(1024, 1624)
    for port in ports:
        packets.opened(port)
        packets.put(port, PSH_ACK, 100, b"z" * 1000)
    rows = pcapwatch.analyze(packets.saved(), max_kept_bytes=50 * 1128, max_connections=1000).connections
    words = zip(rows.client_port, rows.quality, strict=True)
    assert [port for port, quality in words if "gap" not in list(quality)] == list(ports[-50:])


def test_what_is_given_up_reads_on_as_after_a_gap(tmp_path: Path) -> None:
    """The hole is a gap, the head that had begun is lost, and the next request is read."""
    packets = Packets(tmp_path / "a.pcap")
    packets.opened(1024)
    packets.put(1024, PSH_ACK, 1, REQUEST[:-2])
    packets.put(1024, PSH_ACK, 100, b"z" * 5000)
    packets.put(1024, PSH_ACK, 5100, REQUEST)
    answer = pcapwatch.analyze(packets.saved(), max_kept_bytes=3000)
    assert any(line.endswith("or given up by a limit") for line in answer.quality.concerns)
    assert any("the capture lacks, or a limit gave up" in line for line in answer.cannot_see)
    assert [list(words) for words in answer.connections.quality] == [["gap", "reordered"]]
    assert list(answer.connections.requests) == [1]


def test_requests_given_up_are_told_as_requests_without_a_response(tmp_path: Path) -> None:
    """That is what they are in any case: but for the counter the report is the same."""
    packets = Packets(tmp_path / "a.pcap")
    requests(packets)
    path = packets.saved()
    limited, whole = report(path, max_kept_bytes=64 * 30_000), report(path)
    for answer in (limited, whole):
        for name in ("kept_overflows", "concerns"):
            del answer["capture"][name]
    assert limited == whole


def test_a_head_that_is_too_long_is_counted(tmp_path: Path) -> None:
    """It is said how many were not read."""
    packets = Packets(tmp_path / "a.pcap")
    packets.opened(1024)
    packets.put(1024, PSH_ACK, 1, REQUEST[:-2] + b"X: " + b"q" * 2000 + b"\r\n\r\n")
    answer = report(packets.saved(), max_head_bytes=1000)
    assert answer["capture"]["long_heads"] == 1
    assert "1 HTTP head not read: longer than max_head_bytes" in answer["capture"]["concerns"]
    assert report(packets.path)["capture"]["long_heads"] == 0


def runs(packets: Packets) -> Iterator[int]:
    """3,000 separate bytes, 10 beyond the stream's end and every other one; the lengths of the holes."""
    for piece in range(3000):
        packets.put(1024, PSH_ACK, 1 + len(REQUEST) + 10 + 2 * piece, b"y")
        yield 1 if piece else 10


def lumps(packets: Packets) -> Iterator[int]:
    """40 KB beyond a hole of 1,000 bytes."""
    for piece in range(40):
        packets.put(1024, PSH_ACK, 1 + len(REQUEST) + 1000 + 1000 * piece, b"y" * 1000)
    yield 1000


@pytest.mark.parametrize(("made", "most"), [(runs, 1 << 20), (lumps, 10_000)])
def test_a_hole_given_up_is_a_gap_and_its_bytes_are_counted(made: Any, most: int, tmp_path: Path) -> None:
    """Not what lay beyond it, which is read. The peer acknowledged none of it."""
    packets = Packets(tmp_path / "a.pcap")
    packets.opened(1024)
    packets.put(1024, PSH_ACK, 1, REQUEST)
    lengths = list(made(packets))
    capture = report(packets.saved(), max_reassembly_bytes=most)["capture"]
    given_up = sum(lengths[: len(lengths) - 2048] if len(lengths) > 2048 else lengths)
    assert capture["reassembly_overflows"] == given_up
    assert capture["connection_quality"] == {"gap": 1, "reordered": 1}
    text = f"{given_up:,} missing bytes no longer waited for, by the limit on out-of-order bytes"
    assert text in capture["concerns"]
    assert "no acknowledged bytes missing" not in capture["remarks"]
