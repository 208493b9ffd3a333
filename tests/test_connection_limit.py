"""The limit of connections: how many stay, who is evicted, and that threads do not change it."""

from __future__ import annotations

import json
import random
import struct
import subprocess
import sys
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

import pcapwatch
from bench.flood import PCAP, SYN

COMMAND = [sys.executable, "-m", "pcapwatch"]


def saved(path: Path, clients: Iterable[int]) -> Path:
    """A SYN a millisecond, each of the client of this number (16 bits of its address and one of 50,000 ports)."""
    parts = [PCAP]
    for ms, client in enumerate(clients):
        source = b"\x0a\1" + (client // 50_000).to_bytes(2)
        tcp = struct.pack(">HHIIBBHHH", 1024 + client % 50_000, 80, 7, 0, 5 << 4, SYN, 512, 0, 0)
        ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 40, ms % 65_535 + 1, 0x4000, 64, 6, 0, source, b"\x0a\0\0\2")
        data = bytes(12) + b"\x08\0" + ip + tcp
        parts.append(struct.pack("<IIII", 1_700_000_000 + ms // 1000, ms % 1000 * 1000, len(data), len(data)) + data)
    path.write_bytes(b"".join(parts))
    return path


@dataclass
class Attempt:
    """One row: whose, of how many packets, whether it was evicted."""

    port: int
    packets: int = 1
    evicted: bool = False


def longest_idle_first(clients: Iterable[int], most: int) -> list[Attempt]:
    """What must come of it where so many stay and the longest idle of all makes room."""
    held: OrderedDict[int, Attempt] = OrderedDict()
    rows: list[Attempt] = []
    for client in clients:
        if client in held:
            held.move_to_end(client)
            held[client].packets += 1
            continue
        if len(held) == most:
            held.popitem(last=False)[1].evicted = True
        held[client] = Attempt(1024 + client % 50_000)
        rows.append(held[client])
    return rows


@pytest.mark.parametrize("most", [1, 2, 10, 100, 2048, 10_000])
def test_a_small_limit_is_exact(tmp_path: Path, most: int) -> None:
    """Just so many stay, and the longest idle of all goes, whenever it was heard of last."""
    dice = random.Random(most)
    clients = [dice.randrange(3 * most) for _ in range(max(8 * most, 400))]
    path = saved(tmp_path / "a.pcap", clients)
    rows = pcapwatch.analyze(path, max_connections=most).connections
    evicted = ["evicted" in list(words) for words in rows.quality]
    found = zip(rows.client_port, rows.client_packets, evicted, strict=True)
    expected = longest_idle_first(clients, most)
    assert [Attempt(*row) for row in found] == expected
    assert sum(not row.evicted for row in expected) == min(most, len(set(clients)))
    assert len({pcapwatch.analyze(path, max_connections=most, threads=n).to_json() for n in (1, 2, 5)}) == 1


def test_a_great_limit_is_shared(tmp_path: Path) -> None:
    """From 131,072 on the longest idle of all threads go: none while so many were heard of later, and soon after."""
    most, number = 131_072, 200_000
    path = saved(tmp_path / "a.pcap", [client for n in range(number) for client in ([n] if n % 4 else [n, 0])])
    reports = [pcapwatch.analyze(path, max_connections=most, threads=n) for n in (1, 2, 5)]
    assert len({report.to_json() for report in reports}) == 1
    rows = reports[0].connections
    evicted = ["evicted" in list(words) for words in rows.quality]
    gone = sum(evicted)
    assert most <= number - gone <= most + 16_384
    assert rows.client_packets[0] == number // 4 + 1, "the first one was heard of all the time"
    assert evicted == [False, *[True] * gone, *[False] * (number - gone - 1)]
    assert json.loads(reports[0].to_json())["capture"]["evicted_connections"] == gone


def test_show_numbers_as_connections_does(tmp_path: Path) -> None:
    """With the same limit a connection's number leads to the same connection in both."""
    path = saved(tmp_path / "a.pcap", [n % 40 for n in range(400)])
    limit = ["--max-connections", "10"]
    listed = run("connections", *limit, "--format", "jsonl", str(path)).stdout.splitlines()
    assert len(listed) == 400
    for number in (1, 41, 400):
        row = json.loads(listed[number - 1])
        drawn = json.loads(run("show", *limit, "--format", "json", str(path), str(number)).stdout)
        assert (drawn["connection"], drawn["client"]) == (number, f"{row['client']}:{row['client_port']}")


def run(*words: str) -> subprocess.CompletedProcess[str]:
    """The command, which must succeed."""
    return subprocess.run([*COMMAND, *words], capture_output=True, text=True, check=True)
