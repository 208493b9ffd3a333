"""What many files say of themselves is bounded for all of them together, and what is beyond is counted all the same."""

from __future__ import annotations

import gzip
import json
import os
import struct
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from test_formats_documented import block
from test_hostile_files import option

import pcapwatch
from bench.flood import WATCHED
from pcapwatch.findings.coverage import dropped, uncounted

SECTION = block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))
SINCE_US = 1_600_000_000_000_000
TEXT = 256


def interface(name: bytes = b"", link_type: int = 1, texts: Sequence[int] = (), length: int = TEXT) -> bytes:
    """A description, with a name and texts of that length under these codes."""
    options = [option(2, name)] if name else []
    options += [option(code, b"\0"[: code == 11] + b"x" * length) for code in texts]
    return block(1, struct.pack("<HHI", link_type, 0, 96 if link_type == 228 else 0) + b"".join(options))


def packet(file: int, number: int = 0, options: bytes = b"") -> bytes:
    """An empty packet of an interface, in the second of its file."""
    ticks = (1_700_000_000 + file) * 1_000_000
    return block(6, struct.pack("<5I", number, ticks >> 32, ticks & 0xFFFFFFFF, 0, 0) + options)


def statistics(number: int, drops: int, *, since: bool = True) -> bytes:
    """Packets that the system dropped on an interface, as dumpcap counts them on from file to file."""
    begun = option(2, struct.pack("<II", SINCE_US >> 32, SINCE_US & 0xFFFFFFFF)) if since else b""
    return block(5, struct.pack("<III", number, 0, 0) + begun + option(7, struct.pack("<Q", drops)))


def names(file: int) -> bytes:
    """1,000 names."""
    address = struct.pack(">I", 0x0A000000 + file)
    return block(4, option(1, address + (b"n" * (TEXT - 1) + b"\0") * 200) * 5 + bytes(4))


HOSTILE: dict[str, Callable[[int], bytes]] = {
    "interfaces": lambda _: interface(texts=(2, 3, 11, 12, 15)) * 1000,
    "wide-interfaces": lambda _: interface(texts=(2, 3, 11, 12, 15), length=0) * 1000,
    "names": lambda file: interface() + names(file),
    "comments": lambda file: interface() + packet(file, options=option(1, b"\xff" * TEXT) + bytes(4)) * 100,
    "secrets": lambda _: (
        interface() + block(10, struct.pack("<II", 0x544C534B, (1 << 20) - 256) + bytes((1 << 20) - 256))
    ),
    "sections": lambda _: (
        block(0x0A0D0D0A, SECTION[8:24] + b"".join(option(code, b"\xff" * TEXT) for code in (2, 3, 4)) + bytes(4))
        + interface()
        + b"".join(block(0x8000 + kind, b"") for kind in range(50))
    ),
}


def write(folder: Path, kind: str, files: int) -> Path:
    """So many compressed files that each say as much of one kind as one file may."""
    folder.mkdir()
    for file in range(files):
        data = SECTION + HOSTILE[kind](file) + packet(file)
        (folder / f"{file:05}.gz").write_bytes(gzip.compress(data, 6, mtime=0))
    return folder


def peak_of(*command_line: str) -> tuple[bytes, int]:
    """What a command says, and MiB at the peak; it ends well in 2 GB of addresses."""
    command = ["bash", "-c", 'ulimit -v 2000000; exec "$@"', "-", sys.executable, "-c", WATCHED, *command_line]
    done = subprocess.run(command, capture_output=True, check=False, env={**os.environ, "NO_COLOR": "1"})
    text, _, peak = done.stderr.decode().rpartition("\nPEAK ")
    assert done.returncode == 0, text
    return done.stdout, int(peak) >> 10


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is read from Linux's /proc")
@pytest.mark.parametrize("kind", HOSTILE)
def test_many_files_that_say_much_hold_little(tmp_path: Path, kind: str) -> None:
    """300 files: 100 MiB at most for the report, and 150 MiB for its JSON, which has what is kept."""
    folder = str(write(tmp_path / "all", kind, 300))
    said, peak = peak_of("analyze", folder)
    assert b"300 files" in said
    assert peak <= 100
    said, peak = peak_of("analyze", folder, "--names", "--format", "json")
    assert len(json.loads(said)["capture"]["files"]) == 300
    assert peak <= 150


def test_interfaces_beyond_the_room_of_all_files(tmp_path: Path) -> None:
    """10,000 are listed and the first of each file; link types, snaplen and drops are those of all."""
    folder = tmp_path / "all"
    folder.mkdir()
    for file in range(12):
        described = [interface(b"if%d" % number, 228 if number == 999 else 1) for number in range(1000)]
        # Each file's counts go on from the one before.
        counted = [statistics(number, 10 * file + 1) for number in range(1000)]
        data = b"".join([SECTION, *described, packet(file, 999), *counted])
        (folder / f"{file:02}.pcapng").write_bytes(data)
    report = pcapwatch.analyze(folder)
    capture = report.summary["capture"]
    listed = [len(file["interfaces"]) for file in capture["files"]]
    assert listed == [1000] * 10 + [11, 1]
    assert [file["pcapng"]["interfaces"] for file in capture["files"] if file["pcapng"]] == [1000] * 12
    assert "1,988 interfaces beyond those listed" in report.quality.remarks
    assert dropped(capture) == 1000 * 111
    assert "111,000 packets dropped by the system while capturing" in report.quality.concerns
    assert uncounted(capture) == 0
    assert report.quality.link_types == (1, 228)
    assert [tuple(pair) for pair in capture["unlisted"]["link_types"]] == [(1, None), (228, None)]
    assert (capture["unlisted"]["snaplen"], report.quality.snaplen) == (96, 96)


def test_counts_of_one_files_interfaces_beyond_those_listed(tmp_path: Path) -> None:
    """Of 1,500 interfaces 1,000 are listed; what the others dropped counts, and where one has no count it is said."""
    path = tmp_path / "one.pcapng"
    described = interface(b"eth") * 1499 + interface(b"last", 101)
    counted = b"".join(statistics(number, 2, since=False) for number in range(1499))
    path.write_bytes(SECTION + described + packet(0, 1499) + counted)
    report = pcapwatch.analyze(path)
    capture = report.summary["capture"]
    assert (dropped(capture), uncounted(capture)) == (2998, 1)
    assert report.quality.link_types == (1, 101)
    path.write_bytes(SECTION + described + packet(0, 1499) + counted + statistics(1499, 3, since=False))
    capture = pcapwatch.analyze(path).summary["capture"]
    assert (dropped(capture), uncounted(capture)) == (3001, 0)


def test_secrets_names_and_comments_of_all_files(tmp_path: Path) -> None:
    """The first 16 MiB of secrets are given in Python; names and comments are counted."""
    secrets = pcapwatch.analyze(write(tmp_path / "secrets", "secrets", 20))
    assert [kind for kind, _ in secrets.secrets] == ["tls_key_log"] * 16
    assert "20 unused decryption secrets in the file" in secrets.quality.remarks
    named = pcapwatch.analyze(write(tmp_path / "names", "names", 12), names=True)
    told = [file["pcapng"] for file in named.summary["capture"]["files"] if file["pcapng"]]
    kept = sum(len(file["name_records"]) for file in told)
    assert (sum(file["names"] for file in told), 7_000 < kept <= 10_000) == (12_000, True)
    remarks = pcapwatch.analyze(write(tmp_path / "comments", "comments", 30)).quality.remarks
    assert "3,000 comments in the file (the JSON report has 2,730 of them)" in remarks
