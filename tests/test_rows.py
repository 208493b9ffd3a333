"""Tables of any length: the same bytes whether rows waited in memory or on the disk, and no memory for their number."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from places import ROOT

from pcapwatch import _engine
from pcapwatch.frames import rows
from pcapwatch.report.tables import table_writer
from pcapwatch.report.words import Clock

CAPTURES = [
    [str(ROOT / "fixtures" / name)]
    for name in ("proxy-both-legs", "reuse-at-ages", "abort-by-server", "rotated", "vlan")
]
FORMATS = ("txt", "md", "csv", "json", "jsonl", "parquet", "arrow")
CONNECTIONS_ONLY = ("connection", "client", "server")


def written(captures: list[str], table: str, suffix: str, folder: Path, **settings: int) -> bytes:
    """A table of an analysis as a file of a format."""
    analysis = _engine.analyze(captures, json.dumps({"keep_connections": True, "keep_exchanges": True, **settings}))
    path = folder / f"{table}.{suffix}"
    with path.open("wb") as stream:
        table_writer(suffix, CONNECTIONS_ONLY, Clock("utc", 0), 100)(rows(getattr(analysis, table)), stream)
    return path.read_bytes()


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("table", ["connections", "exchanges"])
@pytest.mark.parametrize("captures", CAPTURES, ids=lambda paths: Path(paths[0]).name)
def test_waiting_on_the_disk_changes_no_byte(captures: list[str], table: str, suffix: str, tmp_path: Path) -> None:
    """Every format is the same bytes for any number of threads, with runs of two rows and with none."""
    expected = written(captures, table, suffix, tmp_path, threads=1)
    for threads in (1, 2, 5):
        assert written(captures, table, suffix, tmp_path, threads=threads, rows_in_memory=2) == expected


def test_a_table_is_read_as_often_as_wanted_and_left_early() -> None:
    """Two passes at once see the same rows, and one that ends early keeps nobody waiting."""
    analysis = _engine.analyze(CAPTURES[0], '{"keep_connections": true, "rows_in_memory": 1}')
    first, second, left = (rows(analysis.connections) for _ in range(3))
    next(left.batches)
    del left
    assert all(one.equals(other) for one, other in zip(first.batches, second.batches, strict=True))
    assert first.total == len(analysis.connections) > 1


def test_ladders_of_connections_that_wait_on_the_disk() -> None:
    """Any connection of a capture can be drawn, wherever its row is."""
    kept, spilt = (
        _engine.analyze(CAPTURES[1], json.dumps({"keep_connections": True, "rows_in_memory": most}))
        for most in (1000, 1)
    )
    numbers = range(len(kept.connections) + 2)
    assert spilt.ladders_json(numbers) == kept.ladders_json(numbers) != "[]"


def test_show_draws_any_connection(tmp_path: Path) -> None:
    """Not only those that a report gives as examples."""
    capture = many(tmp_path / "many.pcap", 50)
    for number in (1, 33, 50):
        command = [str(Path(sys.executable).with_name("pcapwatch")), "show", str(capture), str(number)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout.split(",")[0]) == (0, f"connection {number}"), done.stderr


def many(path: Path, count: int) -> Path:
    """A capture of so many refused connections, 1 ms apart, from 20,000 ports in turn, which bounds what is open."""
    ip = bytes([0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0])
    client, server = bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2])
    packet = struct.Struct(">12xH12s4s4sHHIIHHHH")
    head = struct.Struct("<IIII")
    with path.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for number in range(count):
            at = (1_767_225_600 + number // 1000, number % 1000 * 1000)
            port = 20_000 + number % 20_000
            syn = packet.pack(0x0800, ip, client, server, port, 80, number, 0, 0x5002, 64240, 0, 0)
            rst = packet.pack(0x0800, ip, server, client, 80, port, 0, number + 1, 0x5014, 0, 0, 0)
            file.write(head.pack(*at, len(syn), len(syn)) + syn + head.pack(*at, len(rst), len(rst)) + rst)
    return path


#: Writes a table and says on standard output how much memory the process had at most, in KiB.
PEAK = """
import resource, sys
from pcapwatch.cli import main
try:
    main(sys.argv[1:])
finally:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def connections(*arguments: str, tmpdir: Path | None = None) -> subprocess.CompletedProcess[str]:
    """`pcapwatch connections` in a process of its own."""
    environment = {**os.environ, **({"TMPDIR": str(tmpdir)} if tmpdir else {})}
    command = [sys.executable, "-c", PEAK, "connections", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_memory_does_not_grow_with_the_connections(suffix: str, tmp_path: Path) -> None:
    """Four times as many connections, the same memory but for a tenth: 500 bytes each would be twice as much."""
    peaks = []
    for count in (200_000, 800_000):
        done = connections(str(many(tmp_path / "many.pcap", count)), "-o", str(tmp_path / f"many.{suffix}"))
        assert done.returncode == 0, done.stderr
        peaks.append(int(done.stdout))
    assert peaks[1] < 1.1 * peaks[0] + 20_000, peaks


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder with room for 64 KiB."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no tmpfs can be mounted here, which takes root: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_is_one_line_and_no_file(tiny_disk: Path, tmp_path: Path) -> None:
    """Exit 2, one line that names the folder and says what to do; no output file, nor a part of one."""
    capture, output = many(tmp_path / "many.pcap", 40_000), tmp_path / "out" / "many.parquet"
    output.parent.mkdir()
    done = connections(str(capture), "-o", str(output), tmpdir=tiny_disk)
    assert done.returncode == 2
    assert done.stderr.startswith(f"pcapwatch: {tiny_disk}: ")
    assert "No space left" in done.stderr
    assert done.stderr.endswith("set TMPDIR to a folder with room\n")
    assert done.stderr.count("\n") == 1
    assert not list(output.parent.iterdir())
