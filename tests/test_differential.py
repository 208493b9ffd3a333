"""Packets as capinfos counts them, TCP streams as tshark does, on every capture there is, the hostile ones included."""

import csv
import subprocess
from functools import cache
from pathlib import Path
from shutil import which
from typing import Any

import pytest
from places import ROOT, SHARED
from tshark.reading import TSHARK, read_streams

from pcapwatch import analyze

CAPINFOS = which("capinfos")
SUFFIXES = {".pcap", ".pcapng", ".cap", ".gz", ".zst", ".lz4", ".xz"}
FIXTURES = sorted(path for path in (ROOT / "fixtures").rglob("*") if path.suffix in SUFFIXES)
OTHERS = sorted(path for path in SHARED.rglob("*") if path.suffix in SUFFIXES) if SHARED.is_dir() else []
HOSTILE = [path for path in OTHERS if "hostile" in path.parts]

#: What capinfos does not count, and why. (It prints `n/a` or nothing, and complains.)
NOT_COUNTED = {
    "brcm-tag.pcap": "link type 281, which this Wireshark does not know",
    "dsa-high-vid.pcap": "link type 284, which it does not know",
    "edsa.pcap": "link type 285, which it does not know",
    "hoobr_juniper3.pcap": "link type 805306500: the flag bits above the type are taken for part of it",
    "kday6.pcap": "link type 182, which it does not know",
    "ppp-pppd.pcap": "link type 166, which it does not know",
    "vtp_asan-3.pcap": "link type 182, which it does not know",
}
#: TCP streams of tshark that are no connections here (hostile; the other captures have tests/tshark/differences.toml).
STREAMS = {
    "bgp-bgp_capabilities_print-oobr-1.pcap": "a first fragment without the others: tshark reads its TCP header alone",
    "bgp_pmsi_tunnel-oobr.pcap": "a first fragment without the others",
    "rpki-rtr-oobr.pcap": "a first fragment without the others",
}


def name(path: Path) -> str:
    """How a capture is named here: its folder and file."""
    return f"{path.parent.name}/{path.name}"


@cache
def counted() -> dict[Path, int]:
    """Packets by file, as capinfos counts them in one run; files that it does not read are absent."""
    command = [str(CAPINFOS), "-T", "-r", "-B", "-Q", "-c", *map(str, [*FIXTURES, *OTHERS])]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    rows = csv.reader(done.stdout.splitlines(), delimiter="\t")
    return {Path(row[0]): int(row[-1]) for row in rows if row and row[-1].isdigit()}


@cache
def summary(path: Path) -> Any:
    """The engine's facts of one file."""
    return analyze(path).summary


@pytest.mark.skipif(CAPINFOS is None, reason="capinfos is not installed")
@pytest.mark.parametrize("path", [*FIXTURES, *OTHERS], ids=name)
def test_packets_as_capinfos(path: Path) -> None:
    """The same number, also of a file that is cut short or damaged; or capinfos cannot read the file, for a reason."""
    packets = summary(path)["capture"]["files"][0]["packets"]
    if path.name in NOT_COUNTED:
        assert path not in counted(), f"capinfos counts {counted().get(path)} now: take it off the list"
        assert packets > 0
    else:
        assert packets == counted()[path]


@pytest.mark.slow
@pytest.mark.skipif(TSHARK is None, reason="tshark is not installed")
@pytest.mark.parametrize("path", HOSTILE, ids=name)
def test_streams_as_tshark(path: Path) -> None:
    """As many connections as tshark has TCP streams, or the reason is listed."""
    ours, theirs = summary(path)["totals"]["connections"], len(read_streams(path))
    assert (ours != theirs) == (path.name in STREAMS), f"{ours} connections, tshark {theirs} streams"


@pytest.mark.skipif(not OTHERS, reason="the shared captures are not on this machine")
def test_listed_captures_exist() -> None:
    """A capture that is gone leaves the lists."""
    assert {*NOT_COUNTED, *STREAMS} - {path.name for path in [*FIXTURES, *HOSTILE]} == set()
