"""What a user meets while a capture is not there yet, or not whole: real processes, real pipes."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from places import ROOT

import pcapwatch
from bench.flood import syn_flood

CAPTURE = ROOT / "fixtures" / "proxy-http10-reuse" / "capture.pcap"
COMMAND = [sys.executable, "-m", "pcapwatch"]


@pytest.mark.parametrize("first", [b"", CAPTURE.read_bytes()[:3000]])
def test_an_interrupt_while_the_pipe_is_idle(first: bytes) -> None:
    """Nothing comes, not even a file header, or nothing more: Ctrl-C ends it with 130 within seconds."""

    def interruptible() -> None:  # a shell starts what it puts in the background with the signal ignored
        signal.signal(signal.SIGINT, signal.default_int_handler)

    command = [*COMMAND, "analyze", "-"]
    with subprocess.Popen(command, stdin=-1, stdout=-1, stderr=-1, preexec_fn=interruptible) as process:  # noqa: PLW1509
        assert process.stdin is not None
        process.stdin.write(first)
        process.stdin.flush()
        # Once it waits in a thread of its own; before that Python itself is only beginning.
        until = time.monotonic() + 60
        while len(os.listdir(f"/proc/{process.pid}/task")) < 2 and time.monotonic() < until:  # noqa: PTH208
            time.sleep(0.05)
        time.sleep(0.5)
        assert process.poll() is None
        begun = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        assert time.monotonic() - begun < 15


def test_a_file_that_may_be_growing(tmp_path: Path) -> None:
    """One that ends within a record and was written just now is said on standard error; an old one is not."""
    cut = tmp_path / "cut.pcap"
    cut.write_bytes(CAPTURE.read_bytes()[:3000])
    done = subprocess.run([*COMMAND, "analyze", str(cut)], capture_output=True, text=True, check=True)
    assert "may still be growing" in done.stderr
    assert done.stderr.count("\n") == 1
    os.utime(cut, (1_700_000_000, 1_700_000_000))
    done = subprocess.run([*COMMAND, "analyze", str(cut)], capture_output=True, text=True, check=True)
    assert done.stderr == ""


def test_a_connection_beyond_what_is_kept_of_a_pipe() -> None:
    """`show -` of a packet that cannot be read again is one line and exit 2, not an empty ladder."""
    count = 500_000  # 37 MB
    with subprocess.Popen([*COMMAND, "show", "-", str(count)], stdin=-1, stdout=-1, stderr=-1) as process:
        assert process.stdin is not None
        for chunk in syn_flood(count):
            process.stdin.write(chunk)
        out, err = process.communicate()
    assert (process.returncode, out) == (2, b"")
    assert b"first 32 MiB are kept" in err
    assert err.count(b"\n") == 1


def test_a_full_disk_is_said_at_once(tmp_path: Path) -> None:
    """Rows that cannot be written end the reading of an endless capture there, in one line, and nothing is written."""
    out = tmp_path / "rows.csv"
    command = [*COMMAND, "connections", "-", "--max-connections", "1000", "-o", str(out)]

    def small_files() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    written = 0
    with subprocess.Popen(command, stdin=-1, stdout=-1, stderr=-1, preexec_fn=small_files) as process:  # noqa: PLW1509
        assert process.stdin is not None
        try:
            for chunk in syn_flood(3_000_000):
                process.stdin.write(chunk)
                written += len(chunk)
        except BrokenPipeError:
            pass
        _, err = process.communicate()
    assert process.returncode == 2
    assert b"temporary file for the table's rows" in err
    assert err.count(b"\n") == 1
    assert written < 200_000_000, "long before the capture ended"
    assert not out.exists()


def test_secrets_are_kept_and_not_printed(tmp_path: Path) -> None:
    """What editcap puts into a pcapng is there for other tools, and in no report."""
    log = b"CLIENT_RANDOM " + b"ab" * 32 + b" " + b"cd" * 48 + b"\n"
    keys, file = tmp_path / "keys.log", tmp_path / "with.pcapng"
    keys.write_bytes(log)
    subprocess.run(["editcap", "--inject-secrets", f"tls,{keys}", str(CAPTURE), str(file)], check=True)
    report = pcapwatch.analyze(file)
    assert report.secrets == [("tls_key_log", log)]
    assert "abababab" not in report.to_json() + report.to_text() + report.to_markdown()
    assert "1 unused decryption secret" in report.to_text(300)
