"""Rotated, compressed, merged, repeated: the same packets give the same answer however they are kept."""

from __future__ import annotations

import lzma
import random
import re
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from shutil import copy, which

import pandas as pd
import pytest
from places import ROOT

import pcapwatch

CAPTURE = ROOT / "fixtures" / "proxy-http10-reuse" / "capture.pcap"
#: The field's own compressors, so that what they write is read, not only what this project's libraries write.
COMPRESSORS = {"gzip": ["gzip", "-c"], "zstd": ["zstd", "-qc"], "lz4": ["lz4", "-qc"], "xz": ["xz", "-c"]}
NEEDED = pytest.mark.skipif(
    not all(which(tool) for tool in (*COMPRESSORS, "editcap", "mergecap")),
    reason="gzip, zstd, lz4, xz, editcap and mergecap are not all installed",
)
pytestmark = NEEDED


def compressed(data: bytes, kind: str) -> bytes:
    """The bytes by the tool of that name."""
    return subprocess.run(COMPRESSORS[kind], input=data, capture_output=True, check=True).stdout


def rows(report: pcapwatch.Report) -> pd.DataFrame:
    """The connections without where they are, which differs between sets."""
    table = report.connections
    return table.drop(columns=[column for column in table.columns if column.endswith(("_frame", "file"))])


@pytest.fixture(scope="module")
def whole() -> pcapwatch.Report:
    """The capture as one plain file."""
    return pcapwatch.analyze(CAPTURE)


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory, whole: pcapwatch.Report) -> list[Path]:
    """The capture in five files, as tcpdump rotates."""
    folder = tmp_path_factory.mktemp("parts")
    each = whole.quality.packets // 5 + 1
    command = ["editcap", "-F", "nsecpcap", "-c", str(each), str(CAPTURE), str(folder / "part.pcap")]
    subprocess.run(command, check=True)
    found = sorted(folder.iterdir())
    assert len(found) == 5
    return found


def test_a_rotated_set_of_mixed_compression(tmp_path: Path, parts: list[Path], whole: pcapwatch.Report) -> None:
    """Each file packed another way, and named so that the names say nothing: the answer of the one plain file."""
    for place, (part, kind) in enumerate(zip(parts, [*COMPRESSORS, None], strict=True)):
        data = part.read_bytes()
        (tmp_path / f"{9 - place}.cap").write_bytes(compressed(data, kind) if kind else data)
    report = pcapwatch.analyze(tmp_path)
    assert [file["compression"] for file in report.summary["capture"]["files"]] == [*COMPRESSORS, "none"]
    pd.testing.assert_frame_equal(rows(report), rows(whole))
    assert report.quality.concerns == whole.quality.concerns


@pytest.mark.parametrize("kind", COMPRESSORS)
def test_members_one_after_the_other(tmp_path: Path, kind: str, whole: pcapwatch.Report) -> None:
    """A file packed in two pieces, as log rotation and parallel compressors do."""
    data = CAPTURE.read_bytes()
    file = tmp_path / "members"
    file.write_bytes(compressed(data[:5000], kind) + compressed(data[5000:], kind))
    pd.testing.assert_frame_equal(rows(pcapwatch.analyze(file)), rows(whole))


@pytest.mark.parametrize("inner", COMPRESSORS)
@pytest.mark.parametrize("outer", COMPRESSORS)
def test_one_inside_another(tmp_path: Path, outer: str, inner: str, whole: pcapwatch.Report) -> None:
    """A .pcap.gz that was packed again."""
    file = tmp_path / "nested"
    file.write_bytes(compressed(compressed(CAPTURE.read_bytes(), inner), outer))
    report = pcapwatch.analyze(file)
    assert report.summary["capture"]["files"][0]["compression"] == f"{outer}+{inner}"
    assert report.quality.packets == whole.quality.packets


@pytest.mark.parametrize("kind", COMPRESSORS)
def test_a_stream_that_is_cut(tmp_path: Path, kind: str) -> None:
    """What came before the cut is read, to the block that the cut is in, and the cut is said with its offset."""
    count, length = 5000, 1500
    packets = (struct.pack("<IIII", n, 0, length, length) + random.Random(n).randbytes(length) for n in range(count))
    file = tmp_path / "cut"
    packed = compressed(CAPTURE.read_bytes()[:24] + b"".join(packets), kind)
    file.write_bytes(packed[: len(packed) * 9 // 10])
    (facts,) = pcapwatch.analyze(file).summary["capture"]["files"]
    assert re.fullmatch(rf"unreadable from offset \d+: the {kind} data are cut short", facts["problem"] or "")
    # Nine tenths of the bytes, less a block of 128 KiB: of lz4's longer ones the part that is there is read.
    assert count * 9 // 10 + 20 > facts["packets"] > count * 9 // 10 - (128 << 10) // length - 100


@pytest.mark.parametrize("kind", COMPRESSORS)
def test_a_stream_cut_before_its_first_block_ends(tmp_path: Path, kind: str) -> None:
    """Where nothing at all can be had of it, that is one line with exit 2."""
    file = tmp_path / "cut"
    file.write_bytes(compressed(CAPTURE.read_bytes(), kind)[:16])
    with pytest.raises(pcapwatch.CaptureError, match=rf"cannot be read: the {kind} data are cut short \(offset \d+\)"):
        pcapwatch.analyze(file)


def before_damage(data: bytes, kind: str) -> bytes:
    """What the field's own library gives of it, byte by byte, before it says that the data are damaged."""
    undo = lzma.LZMADecompressor() if kind == "xz" else zlib.decompressobj(31)
    given = bytearray()
    try:
        for byte in data:
            given += undo.decompress(bytes([byte]))
    except (lzma.LZMAError, zlib.error, EOFError):
        pass
    return bytes(given)


def lengths(pcap: bytes) -> Iterator[int]:
    """Of each whole packet in so much of a little-endian pcap."""
    at = 24
    while at + 16 <= len(pcap):
        (length,) = struct.unpack_from("<I", pcap, at + 8)
        at += 16 + length
        if at <= len(pcap):
            yield length


@pytest.mark.parametrize("what", ["flipped", "zeros"])
@pytest.mark.parametrize("kind", ["gzip", "xz"])
def test_a_small_stream_that_is_damaged(tmp_path: Path, kind: str, what: str) -> None:
    """What precedes the damage is read, to the few packets that the last compressed bytes before it were."""
    packed = compressed(CAPTURE.read_bytes(), kind)
    for part in range(2, 10):
        at = len(packed) * part // 10
        rest = bytes([packed[at] ^ 0x10]) + packed[at + 1 :] if what == "flipped" else bytes(len(packed) - at)
        damaged = packed[:at] + rest
        file = tmp_path / f"{part}"
        file.write_bytes(damaged)
        (facts,) = pcapwatch.analyze(file).summary["capture"]["files"]
        assert str(facts["problem"]).startswith(("unreadable from", "corrupt record"))
        most = len(list(lengths(before_damage(damaged, kind))))
        assert most >= facts["packets"] >= most - 5 > 0


def test_lz4s_legacy_format(tmp_path: Path, whole: pcapwatch.Report) -> None:
    """What `lz4 -l` writes, as kernels do: its own magic, and nothing that ends it."""
    file = tmp_path / "legacy"
    file.write_bytes(
        subprocess.run(["lz4", "-lqc"], input=CAPTURE.read_bytes(), capture_output=True, check=True).stdout
    )
    report = pcapwatch.analyze(file)
    assert report.summary["capture"]["files"][0]["compression"] == "lz4"
    pd.testing.assert_frame_equal(rows(report), rows(whole))


@pytest.mark.parametrize("kind", COMPRESSORS)
def test_from_standard_input(kind: str, whole: pcapwatch.Report) -> None:
    """A pipe is recognised by its first bytes, as a file is."""
    command = [sys.executable, "-m", "pcapwatch", "connections", "-", "--format", "csv"]
    done = subprocess.run(command, input=compressed(CAPTURE.read_bytes(), kind), capture_output=True, check=True)
    assert done.stdout.count(b"\n") == whole.quality.connections + 1


def test_merged_by_mergecap(tmp_path: Path, parts: list[Path], whole: pcapwatch.Report) -> None:
    """mergecap's pcapng of the same files, one interface for each."""
    merged = tmp_path / "merged.pcapng"
    subprocess.run(["mergecap", "-w", str(merged), *map(str, parts)], check=True)
    pd.testing.assert_frame_equal(rows(pcapwatch.analyze(merged)), rows(whole))


def test_a_file_twice(tmp_path: Path, whole: pcapwatch.Report) -> None:
    """By its name twice, by a link and by a copy: read once, each said."""
    duplicate, link = tmp_path / "copy.pcap", tmp_path / "link.pcap"
    copy(CAPTURE, duplicate)
    link.symlink_to(CAPTURE)
    report = pcapwatch.analyze([CAPTURE, CAPTURE, duplicate, link])
    assert rows(report).equals(rows(whole))
    assert sum("is the same file as" in concern for concern in report.quality.concerns) == 3


def by_turns(folder: Path, count: int = 2) -> list[Path]:
    """The capture's packets in two files (or more), the first in one, the second in the other, and so on."""
    data, packets, at = CAPTURE.read_bytes(), [], 24
    while at < len(data):
        size = 16 + struct.unpack_from("<I", data, at + 8)[0]
        packets.append(data[at : at + size])
        at += size
    files = [folder / f"{n:03}.pcap" for n in range(count)]
    for n, file in enumerate(files):
        file.write_bytes(data[:24] + b"".join(packets[n::count]))
    return files


def test_two_taps_files_given_together(tmp_path: Path, whole: pcapwatch.Report) -> None:
    """Files of the same time are merged by it: what one file held, split over two by turns, is what it was as one."""
    taps = by_turns(tmp_path)
    report = pcapwatch.analyze(taps)
    pd.testing.assert_frame_equal(rows(report), rows(whole))
    assert any("merged by time" in remark for remark in report.quality.remarks)
    texts = {pcapwatch.analyze(taps, threads=n, batch_packets=most).to_json() for n in (1, 2, 5) for most in (1, 4096)}
    assert len(texts) == 1


def test_more_files_of_the_same_time_than_are_merged(tmp_path: Path, whole: pcapwatch.Report) -> None:
    """64 are one capture; with 70 the report says how many were not merged and what to do, and doing it mends it."""
    taps = by_turns(tmp_path, 64)
    pd.testing.assert_frame_equal(rows(pcapwatch.analyze(taps)), rows(whole))
    taps = by_turns(tmp_path, 70)
    split = pcapwatch.analyze(taps)
    assert not rows(split).equals(rows(whole))
    assert split.summary["capture"]["late_files"] == 6
    [line] = [line for line in split.quality.concerns if "mergecap -I none" in line]
    assert line.startswith("6 files of the same time as others, more than are read at once (64, ")
    merged = tmp_path / "all.pcapng"
    subprocess.run(["mergecap", "-I", "none", "-w", str(merged), *map(str, taps)], check=True)
    report = pcapwatch.analyze(merged)
    pd.testing.assert_frame_equal(rows(report), rows(whole))
    assert report.summary["capture"]["late_files"] == 0


def test_one_wrong_time_at_the_start_of_a_tap(tmp_path: Path, whole: pcapwatch.Report) -> None:
    """A tap whose first packet is an hour ahead is merged with the other all the same: none is split."""
    near, far = by_turns(tmp_path)
    data = bytearray(far.read_bytes())
    struct.pack_into("<I", data, 24, struct.unpack_from("<I", data, 24)[0] + 3600)
    far.write_bytes(data)
    for paths in ([near, far], [far, near]):
        report = pcapwatch.analyze(paths)
        assert len(rows(report)) == len(rows(whole))
        assert report.summary["capture"]["clock_steps_back"] == 1


def test_a_second_look_at_files_that_overlap(tmp_path: Path) -> None:
    """The ladder of a connection whose packets are in two files, by the frames of each."""
    from pcapwatch.analysis import ladders
    from pcapwatch.reading import run_engine
    from pcapwatch.settings import Settings

    overlapping = by_turns(tmp_path)
    analyses = [run_engine(paths, Settings(keep_connections=True)) for paths in (overlapping, [CAPTURE])]
    for number in (1, 29, 60):
        [merged], [plain] = (ladders(analysis, [number]) for analysis in analyses)
        assert {row["file"] for row in merged["rows"]} == {0, 1}
        for drawn in (merged, plain):
            for row in drawn["rows"]:
                del row["file"], row["frame"]
        assert merged["rows"] == plain["rows"], number


def test_overlap_and_gap(tmp_path: Path, parts: list[Path]) -> None:
    """What is missing between two files, and what is in both, is said."""
    first, second, third, *_ = parts
    joined = tmp_path / "joined.pcap"
    subprocess.run(["mergecap", "-F", "nsecpcap", "-w", str(joined), str(first), str(second)], check=True)
    overlapping = pcapwatch.analyze([joined, second, third]).quality.remarks
    assert any(line.startswith("files overlap by ") for line in overlapping)
    late = tmp_path / "late.pcap"
    subprocess.run(["editcap", "-F", "nsecpcap", "-t", "86400", str(second), str(late)], check=True)
    assert any(line.startswith("no packet for 864") for line in pcapwatch.analyze([first, late]).quality.concerns)


def test_a_clock_set_back_between_two_files(tmp_path: Path, parts: list[Path]) -> None:
    """Files that are read against their names' order, and do not adjoin as a ring's do, may be of a clock set back."""
    ring, stepped = (tmp_path / name for name in ("ring", "stepped"))
    for folder, shift in ((ring, "0"), (stepped, "-3600")):
        folder.mkdir()
        names = ("cap_00002.pcap", "cap_00001.pcap") if folder == ring else ("cap_00001.pcap", "cap_00002.pcap")
        for part, name, by in zip(parts, names, ("0", shift), strict=False):
            subprocess.run(["editcap", "-F", "nsecpcap", "-t", by, str(part), str(folder / name)], check=True)
    told = "is not the order of their names"
    assert not any(told in line for line in pcapwatch.analyze(ring).quality.concerns)
    [gap] = [line for line in pcapwatch.analyze(stepped).quality.concerns if told in line]
    assert gap.startswith("no packet for ")
    assert gap.index("cap_00002") < gap.index("cap_00001")


@pytest.mark.parametrize("kind", ["none", *COMPRESSORS])
def test_files_put_one_behind_the_other(parts: list[Path], whole: pcapwatch.Report, tmp_path: Path, kind: str) -> None:
    """`cat part*.pcap`, plain or each compressed by itself, is the capture; nothing is read of the headers between."""
    packed = [one.read_bytes() if kind == "none" else compressed(one.read_bytes(), kind) for one in parts]
    (tmp_path / "all").write_bytes(b"".join(packed))
    report = pcapwatch.analyze(tmp_path / "all")
    assert rows(report).equals(rows(whole))
    assert report.summary["capture"]["packets"] == whole.quality.packets
    assert report.summary["capture"]["files"][0]["problem"] is None


def test_zeros_behind_a_capture_are_no_packets(whole: pcapwatch.Report, tmp_path: Path) -> None:
    """What a crash leaves behind what was written is said, and neither counted nor dated."""
    data = CAPTURE.read_bytes()
    (tmp_path / "crashed.pcap").write_bytes(data + bytes(4096))
    report = pcapwatch.analyze(tmp_path / "crashed.pcap")
    assert rows(report).equals(rows(whole))
    (facts,) = report.summary["capture"]["files"]
    assert facts["packets"] == whole.quality.packets
    assert facts["problem"] == f"corrupt record at offset {len(data)}: zeros, as a crash leaves behind what was written"


def test_what_a_hole_between_files_hides_is_said(parts: list[Path], tmp_path: Path) -> None:
    """A file of the set is missing: not only the gap, but what cannot be concluded across it."""
    for number, part in enumerate(parts):
        late = ["-t", "20"] if number > 2 else []
        if number != 2:
            subprocess.run(["editcap", "-F", "nsecpcap", *late, str(part), str(tmp_path / part.name)], check=True)
    report = pcapwatch.analyze(tmp_path)
    (line,) = [line for line in report.cannot_see if "gap between files," in line]
    assert line.startswith("what happened in 1 gap between files, 2")
    assert "sockets at once may have been more" in line
    if report.summary["totals"]["close"].get("open"):
        assert any("or a gap between files began" in one for one in report.cannot_see)
