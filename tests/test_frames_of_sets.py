"""Where a capture is of several files, a frame's number is told with its file: text, Markdown, JSON, tables."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from crafted import vectors
from crafted.talk import Crafted, Talk, write_capture

import pcapwatch
from pcapwatch.findings.evidence import evidence_of


def reused() -> list[Crafted]:
    """A connection that the server closed, and a next one 30 s later whose SYN-ACK ends the TIME_WAIT exactly."""
    talk = Talk()
    vectors.vector_06_exact(talk)
    return talk.packets


def rotated(folder: Path, cut: int) -> list[Path]:
    """That in two files, the second from packet `cut` on."""
    packets = reused()
    return [write_capture(folder / f"{name}.pcap", part) for name, part in
            (("before", packets[:cut]), ("after", packets[cut:]))]  # fmt: skip


def shown(*arguments: object) -> str:
    """What `pcapwatch show` prints."""
    command = [sys.executable, "-m", "pcapwatch", "show", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout


def test_evidence_in_the_next_file_names_it(tmp_path: Path) -> None:
    """The SYN-ACK that proves the reuse is frame 2 of the second file; the connection itself is whole in the first."""
    first, second = rotated(tmp_path, 10)
    text = shown(first, second, 1)
    assert ", in before.pcap\n" in text
    assert "ended by reuse in frame 2 of after.pcap at +31.003000" in " ".join(text.split())
    assert "FILE:FRAME" not in text
    drawn = json.loads(shown(first, second, 1, "--format", "json"))
    assert drawn["files"] == [str(first), str(second)]
    assert drawn["files"][drawn["time_wait"][0]["evidence_file"]] == str(second)
    report = pcapwatch.analyze([first, second])
    for page in (report.to_text(), report.to_markdown()):
        assert "frame 2 of after.pcap at" in " ".join(page.split())


def test_rows_of_two_files_are_numbered_by_file(tmp_path: Path) -> None:
    """A connection that the rotation cut: each row says whose frame it is, and where its last one is."""
    files = rotated(tmp_path, 7)
    text = shown(*files, 1)
    assert "frames are FILE:FRAME, of 1 = before.pcap, 2 = after.pcap" in text
    assert " 1:7  " in text and " 2:1  " in text  # noqa: PT018
    report = pcapwatch.analyze(files)
    assert f"in {files[0]}, from frame 1 to frame 3 of {files[1]}" in " ".join(report.to_text(200).split())
    row = report.connections.iloc[0]
    assert (row["file"], row["last_file"], row["closer_file"]) == (str(files[0]), str(files[1]), str(files[0]))
    assert (row["first_frame"], row["last_frame"], row["closer_frame"]) == (1, 3, 7)


def test_the_closing_frame_in_another_file_names_it(tmp_path: Path) -> None:
    """An example whose FIN is in the second file says so in the findings' evidence."""
    files = rotated(tmp_path, 6)
    summary = pcapwatch.analyze(files).summary
    [exemplar] = summary["pairs"][0]["exemplars"]["closed_by_server"]
    [evidence] = evidence_of(summary, [exemplar], "it closes")
    assert evidence.text.endswith(f": it closes, closed by frame 1 of {files[1]}")
    assert (evidence.file, evidence.frame) == (str(files[0]), 1)


def test_names_that_end_alike_are_told_whole(tmp_path: Path) -> None:
    """Two folders with files of one name: the paths tell them apart."""
    packets = reused()
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    parts = {"a": packets[:7], "b": packets[7:]}
    files = [write_capture(tmp_path / name / "x.pcap", part) for name, part in parts.items()]
    text = "".join(shown(*files, 1).split())
    assert f"1={files[0]},2={files[1]}" in text


def test_one_file_names_none(tmp_path: Path) -> None:
    """With one file nothing is said of it but its name at the example's head."""
    path = write_capture(tmp_path / "one.pcap", reused())
    text = shown(path, 1)
    assert "one.pcap" not in text and "FILE:FRAME" not in text  # noqa: PT018
    assert "ended by reuse in frame 12 at +31.003000" in " ".join(text.split())
