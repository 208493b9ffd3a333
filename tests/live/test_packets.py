"""What `pcapwatch live --packets` leaves of a capture that was only watched, read by `analyze` and by Wireshark."""

from __future__ import annotations

import json
import os
import shutil
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from live.test_streams import PCAPWATCH, live
from places import ROOT

from bench.flood import syn_flood

CAPTURE = ROOT / "fixtures" / "proxy-both-legs" / "capture.pcap"

root = pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="needs root, to capture")
capinfos = pytest.mark.skipif(shutil.which("capinfos") is None, reason="needs capinfos to read with")


def counted(file: Path) -> int:
    """Packets in a file, as Wireshark reads it; it must read it whole."""
    told = subprocess.run(["capinfos", "-Tmrc", file], capture_output=True, text=True, check=True)
    assert told.stderr == ""
    return int(told.stdout.split(",")[-1])


def rows(file: Path) -> str:
    """Every connection of a file, as `pcapwatch connections` lists them; the file's own name apart."""
    done = subprocess.run([*PCAPWATCH, "connections", file, "--format", "csv"], capture_output=True, check=True)
    return done.stdout.decode().replace(str(file), "")


@capinfos
def test_a_finding_leaves_the_packets_around_it(tmp_path: Path) -> None:
    """All that came by a pipe, when less came than is kept: the same rows as of the capture itself, and a line."""
    kept = tmp_path / "kept.pcapng"
    with live("-", "--until-finding", "PW102", "--packets", kept, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write(CAPTURE.read_bytes())
        process.stdin.flush()
        assert process.wait(20) == 0
        said = process.stderr.read().decode()
    packets = counted(CAPTURE)
    assert said.splitlines()[1:] == [f"pcapwatch: {kept}: {packets} packets"]
    assert counted(kept) == packets
    assert rows(kept) == rows(CAPTURE)
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600, "packets hold secrets"
    assert list(tmp_path.iterdir()) == [kept]


@capinfos
def test_of_a_long_capture_the_newest_are_kept(tmp_path: Path) -> None:
    """37 MB come by the pipe: the line says of how many packets those in the file are the newest."""
    count, kept = 500_000, tmp_path / "kept.pcapng"
    with live("-", "--packets", kept, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        for chunk in syn_flood(count):
            process.stdin.write(chunk)
        _, error = process.communicate(timeout=60)
    written = counted(kept)
    assert process.returncode == 0
    assert error.decode() == f"pcapwatch: {kept}: the newest {written:,} of {count:,} packets\n"
    assert 0 < written < count
    told = subprocess.run(["capinfos", "-Tmre", kept], capture_output=True, text=True, check=True).stdout
    assert "22:13:24" in told, "the last second of the flood"


def test_a_finding_without_a_file_says_how_to_keep_them() -> None:
    """The last line, on standard error, names both options; without a finding there is none."""
    for options, lines in (("--until-finding", "PW102"), 2), (("--count", "9"), 0):
        with live("-", *options, stdin=subprocess.PIPE) as process:
            _, error = process.communicate(CAPTURE.read_bytes(), timeout=20)
        assert process.returncode == 0
        assert error.count(b"\n") == lines
        assert (b"--packets FILE.pcapng" in error and b"--write DIR" in error) == bool(lines)


def test_a_file_that_cannot_be_written_stays_as_it_was(tmp_path: Path) -> None:
    """The report is given; then one line, exit 2; neither a part of the file nor a temporary one is left."""
    place, out = tmp_path / "gone", tmp_path / "out.json"
    place.mkdir()
    with live("-", "--packets", place / "kept.pcapng", "--report", out, stdin=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        place.rmdir()
        _, error = process.communicate(CAPTURE.read_bytes(), timeout=20)
    assert process.returncode == 2
    assert error.splitlines()[0] == f"pcapwatch: the report is in {out}".encode()
    assert error.count(b"\n") == 2
    assert b"--packets" in error
    assert b"nothing was written" in error
    assert json.loads(out.read_text())["capture"]["packets"] > 0


@root
@capinfos
def test_an_interface_is_named_in_the_file(tmp_path: Path) -> None:
    """A connection over loopback, watched without --write: it is in the file, with the interface's name and filter."""
    kept = tmp_path / "kept.pcapng"
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        command = ("lo", "--no-host", "--packets", kept, "--filter", f"tcp port {port}")
        with live(*command) as process:
            assert process.stdout is not None
            process.stdout.readline()
            with socket.create_connection(server.getsockname()) as client:
                accepted, _ = server.accept()
                accepted.close()
                assert client.recv(1) == b""
            time.sleep(0.5)
            process.terminate()
            _, error = process.communicate(timeout=20)
    assert (process.returncode, error.count(b"\n")) == (0, 1)
    assert f"{kept}: {counted(kept)} packets" in error.decode()
    told = subprocess.run([*PCAPWATCH, "analyze", kept, "--format", "json"], capture_output=True, check=True)
    report = json.loads(told.stdout)
    (interface,) = report["capture"]["files"][0]["interfaces"]
    assert (interface["name"], interface["filter"]) == ("lo", f"tcp port {port}")
    assert report["totals"]["connections"] == 1
    assert report["totals"]["active_closer"] == {"server": 1}
