"""`pcapwatch live` on pipes and growing files, as a user runs it."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from crafted.talk import Talk, write_capture
from live.reports import wait_for_report
from places import ROOT

from bench.flood import syn_flood
from pcapwatch.analysis import analyze

PCAPWATCH = (sys.executable, "-m", "pcapwatch")
CAPTURE = ROOT / "fixtures" / "proxy-both-legs" / "capture.pcap"
#: Somewhere within a record.
MIDDLE = 2345


@contextmanager
def live(*arguments: str | Path, stdin: int | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """The command with lines of its own, ended whatever happens."""
    command = [*PCAPWATCH, "live", "--no-tui", "--interval", "100ms", *map(str, arguments)]
    with subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for(what: Callable[[], bool], seconds: float = 20) -> None:
    """Until it holds; fails after so long."""
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.05)


def settled(file: Path) -> dict[str, Any]:
    """A JSON report without what names the place of the capture."""
    told: dict[str, Any] = json.loads(file.read_text())
    return told


def test_a_pipe_gives_the_report_of_its_file(tmp_path: Path) -> None:
    """Packets that come in two halves, cut within a record, give the JSON that `analyze -` gives of them."""
    whole, out, expected = CAPTURE.read_bytes(), tmp_path / "live.json", tmp_path / "analyze.json"
    with live("-", "--report", out, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(whole[:MIDDLE])
        process.stdin.flush()
        first = process.stdout.readline().decode()
        assert "packets/s" in first
        assert "\x1b" not in first
        assert not out.exists(), "a report is written at the end, and when it is asked for"
        process.stdin.write(whole[MIDDLE:])
        process.stdin.close()
        assert process.wait(20) == 0
    subprocess.run([*PCAPWATCH, "analyze", "-", "-o", expected], input=whole, check=True)
    assert settled(out) == settled(expected)


def test_a_compressed_pipe_is_read_as_it_comes(tmp_path: Path) -> None:
    """What a compressor has handed over is counted while it waits for more packets."""
    packets, out, packer = 3000, tmp_path / "live.json", zlib.compressobj(wbits=31)
    packed = b"".join(packer.compress(piece) for piece in syn_flood(packets)) + packer.flush(zlib.Z_SYNC_FLUSH)
    with live("-", "--report", out, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        process.stdin.write(packed)
        process.stdin.flush()
        assert process.stdout is not None
        process.stdout.readline()
        wait_for_report(process, out, lambda capture: capture["packets"] == packets)
        process.stdin.write(packer.flush())
        process.stdin.close()
        assert process.wait(20) == 0


def test_a_silent_pipe_can_be_left(tmp_path: Path) -> None:
    """Ctrl-C ends a capture that has not begun: a report of nothing, and no traceback."""
    with live("-", stdin=subprocess.PIPE) as process:
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
        assert process.stdout is not None
        assert process.stderr is not None
        assert b"no packets" in process.stdout.read()
        assert process.stderr.read() == b""


@pytest.mark.parametrize("follow", [(), ("--follow",)], ids=["plain", "followed"])
def test_a_named_pipe_can_be_left(tmp_path: Path, follow: tuple[str, ...]) -> None:
    """Before anybody writes into it, and while who does is silent: Ctrl-C is answered without another byte."""
    fifo = tmp_path / "packets"
    os.mkfifo(fifo)
    with live(*follow, fifo) as process:
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        output, error = process.communicate(timeout=20)
        assert (process.returncode, error) == (0, b"")
        assert b"no packets" in output
    with live(*follow, fifo) as process, fifo.open("wb") as writer:
        writer.write(CAPTURE.read_bytes())
        writer.flush()
        assert process.stdout is not None
        wait_for(lambda: b"TIME_WAIT" in process.stdout.readline())  # type: ignore[union-attr]
        process.send_signal(signal.SIGINT)
        output, error = process.communicate(timeout=20)
        assert (process.returncode, error) == (0, b"")
        assert b"Who closes first" in output


def test_what_is_no_capture_is_said_in_one_line() -> None:
    """Exit 2, and the line that `analyze` says."""
    with live("-", stdin=subprocess.PIPE) as process:
        _, error = process.communicate(b"GET / HTTP/1.1\r\n\r\n" * 99, timeout=20)
    assert process.returncode == 2
    assert error.decode().splitlines() == [error.decode().strip()]
    assert "not a packet capture" in error.decode()


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_a_growing_file_is_followed_until_a_signal(tmp_path: Path, stop: signal.Signals) -> None:
    """What is appended is taken; SIGUSR1 writes the report so far; SIGINT and SIGTERM end with the whole."""
    whole, grows, out = CAPTURE.read_bytes(), tmp_path / "grows.pcap", tmp_path / "out.json"
    grows.write_bytes(whole[:MIDDLE])
    with live("--follow", grows, "--report", out) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGUSR1)
        wait_for(out.exists)
        packets = settled(out)["capture"]["packets"]
        assert 0 < packets < analyze(CAPTURE).quality.packets
        with grows.open("ab") as file:
            file.write(whole[MIDDLE:])
        wait_for(lambda: b" 0 packets/s" not in process.stdout.readline())  # type: ignore[union-attr]
        time.sleep(0.5)
        process.send_signal(stop)
        assert process.wait(20) == 0
    expected = tmp_path / "expected.json"
    subprocess.run([*PCAPWATCH, "analyze", grows, "-o", expected], check=True)
    assert settled(out) == settled(expected)


def test_a_followed_folder_that_is_removed_is_told(tmp_path: Path) -> None:
    """What it had is in the report, and why there is no more; a file that comes where it was is read."""
    folder, out = tmp_path / "rotated", tmp_path / "out.json"
    folder.mkdir()
    first, second = (
        ROOT / "fixtures" / name / "capture.pcap" for name in ("client-closes-first", "server-closes-first")
    )
    shutil.copy(first, folder / "1.pcap")
    command = [*PCAPWATCH, "live", "--follow", str(folder), "--no-tui", "--interval", "200ms", "--report", str(out)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as live:
        assert live.stdout is not None
        live.stdout.readline()
        told = wait_for_report(live, out, lambda capture: capture["packets"] > 0)
        shutil.rmtree(folder)
        gone = wait_for_report(live, out, lambda capture: capture["live"]["follow_error"] is not None)
        assert gone["capture"]["packets"] == told["capture"]["packets"]
        [line] = [line for line in gone["capture"]["concerns"] if line.startswith(str(folder))]
        assert "is looked for, and missing until it is found" in line
        folder.mkdir()
        shutil.copy(second, folder / "2.pcap")
        again = wait_for_report(live, out, lambda capture: len(capture["files"]) == 2)
        assert again["capture"]["live"]["follow_error"] is None
        live.send_signal(signal.SIGINT)


def ring(folder: Path, numbers: Iterable[int]) -> None:
    """Files as `dumpcap -b` names them, of half a second and an attempt without an answer each."""
    folder.mkdir()
    for number in numbers:
        talk = Talk(client=("10.9.0.1", 20_000 + number))
        talk.c(0.5 * number, "S")
        talk.bystander(0.5 * number + 0.4)
        name = folder / f"d_{number:05}_{20261123000000 + number}.pcap"
        os.utime(write_capture(name, talk.packets), (number, number))


def test_a_long_ring_is_followed_without_gaps(tmp_path: Path) -> None:
    """Files beyond 1,000 that are no longer listed take nothing from what is told of others: the one gap there is."""
    folder, out, most = tmp_path / "ring", tmp_path / "out.json", 1040
    ring(folder, (number for number in range(1, most + 1) if number != most - 20))
    with live("--follow", folder, "--count", str(2 * (most - 1)), "--report", out) as process:
        process.communicate(timeout=60)
    told = settled(out)
    capture = told["capture"]
    assert capture["live"]["unlisted_files"] > 0
    [gap] = capture["gaps"]
    names = [Path(capture["files"][gap[key]]["path"]).name for key in ("after_file", "file")]
    assert [name[2:7] for name in names] == ["01019", "01021"]
    assert (gap["why"], gap["missing_files"]) == ("numbers", 1)
    assert told["totals"]["close"].get("open", 0) < 20, "those of the seconds before the gap, and before the end"


@pytest.mark.parametrize("late", [signal.SIGUSR1, signal.SIGTERM])
def test_a_signal_while_it_ends_costs_nothing(tmp_path: Path, late: signal.Signals) -> None:
    """SIGUSR1, or SIGTERM, again and again from the end of capturing to that of the process: the report is there."""
    out = tmp_path / "out.json"
    with live("--follow", CAPTURE, "--report", out) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        while process.poll() is None:
            process.send_signal(late)
            time.sleep(0.002)
        assert process.stderr is not None
        error = process.stderr.read().decode()
    # After the report is said to be there a SIGTERM ends what is left of the process.
    assert process.returncode in (0, -signal.SIGTERM) if late == signal.SIGTERM else process.returncode == 0, error
    assert error.endswith(f"pcapwatch: the report is in {out}\n")
    assert "Traceback" not in error
    assert settled(out)["capture"]["packets"]


def test_a_count_is_exact(tmp_path: Path) -> None:
    """Not one packet more is taken, though more is there."""
    out = tmp_path / "out.json"
    with live("-", "--count", "17", "--report", out, stdin=subprocess.PIPE) as process:
        process.communicate(CAPTURE.read_bytes(), timeout=20)
    assert (process.returncode, settled(out)["capture"]["packets"]) == (0, 17)


def test_where_the_report_is_and_why_it_ended_are_said(tmp_path: Path) -> None:
    """With `--report` standard output has lines alone: standard error says which finding fired, when, and where to."""
    out = tmp_path / "out.json"
    with live("-", "--until-finding", "PW102", "--report", out, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write(CAPTURE.read_bytes())
        process.stdin.flush()
        assert process.wait(20) == 0
        fired, written, *rest = process.stderr.read().decode().splitlines()
    found = next(one for one in settled(out)["findings"] if one["code"] == "PW102")
    assert re.fullmatch(
        rf"pcapwatch: PW102 {found['severity']} fired \d+\.\d s after the start, "
        rf"at \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d UTC: " + re.escape(found["title"]),
        fired,
    ), fired
    assert written == f"pcapwatch: the report is in {out}"
    assert len(rest) == 1, "how the packets would have been kept"


def test_a_finding_that_never_fires_is_said(tmp_path: Path) -> None:
    """The source is over first: the report is there, the exit status 0, and one line says that it did not fire."""
    out = tmp_path / "out.json"
    with live("-", "--until-finding", "pw110", "--report", out, stdin=subprocess.PIPE) as process:
        _, said = process.communicate(CAPTURE.read_bytes(), timeout=20)
    assert process.returncode == 0
    assert "pcapwatch: PW110 did not fire" in said.decode().splitlines()


def test_a_finding_ends_it(tmp_path: Path) -> None:
    """The pipe stays open; the finding of what came through it is enough."""
    with live("-", "--until-finding", "pw102", stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(CAPTURE.read_bytes())
        process.stdin.flush()
        assert process.wait(20) == 0
        assert b"[PW102]" in process.stdout.read()


def test_a_syn_is_given_time_to_be_answered() -> None:
    """It is called unanswered when two SYNs could have been answered, and not at the first look at it."""
    with live("-", "--until-finding", "PW110", stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        process.stdin.write(b"".join(syn_flood(1)))
        process.stdin.flush()
        begun = time.monotonic()
        assert process.wait(20) == 0
    assert time.monotonic() - begun >= 3


def test_a_duration_ends_it() -> None:
    """Though nothing came."""
    begun = time.monotonic()
    with live("-", "--duration", "1s", stdin=subprocess.PIPE) as process:
        assert process.wait(20) == 0
    assert time.monotonic() - begun >= 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "name an interface"),
        (("-", "--until-finding", "PW999"), "no such finding"),
        (("-", "--interval", "0s"), "--interval '0s'"),
        (("-", "--fail-on", "panic"), "--fail-on 'panic'"),
        (("eth0", "--ring", "much"), "--ring 'much'"),
        (("eth0", "--ring", "64"), "--ring '64'"),
        (("eth0", "--fanout", "7:luck"), "modes are hash"),
        (("eth0", "--keep", "3"), "--write DIR"),
        (("eth0", "--write", "x", "--keep", "3"), "--rotate SIZE"),
        (("eth0", "--write", str(CAPTURE)), "is no folder: name one"),
        (("eth0", "lo"), "2 sources"),
        (("-", "--packets", "x.pcap"), "name it FILE.pcapng"),
        (("-", "--packets", "nowhere/x.pcapng"), "the folder nowhere does not exist"),
        (("-", "--write", "x"), "--write keeps what comes from an interface"),
        ((str(ROOT), "--no-host"), "is a folder: --follow goes on with each new file in it"),
        (("--follow", str(ROOT), str(CAPTURE)), "a folder is followed alone"),
    ],
)
def test_wrong_words_are_said_before_anything_is_captured(words: tuple[str, ...], said: str) -> None:
    """Exit 2 and one line that says what to write."""
    with live(*words, stdin=subprocess.DEVNULL) as process:
        _, error = process.communicate(timeout=20)
    assert process.returncode == 2
    assert said in error.decode()
    assert error.decode().count("\n") == 1
