"""The recorder's own parts that need neither root nor a network."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from fixtures.record import __main__ as program
from fixtures.record.kernel import Run, delta_json, parse_table, time_waits
from fixtures.record.lab import Lab
from fixtures.record.raw import _sum
from fixtures.record.relay import tagged
from fixtures.record.scenario import SCENARIOS

TABLE = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 02014D0A:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
   1: 02014D0A:0050 01014D0A:9C41 06 00000000:00000000 03:0000176F 00000000     0        0 0 3 0
   2: 0000000000000000FFFF000002014D0A:0050 0000000000000000FFFF000001014D0A:9C42 01 00000000:00000000 00:00000000 0 0 0
"""
KEY = ("10.77.1.2", 80, "10.77.1.1", 40001)


def test_every_scenario_has_its_folder_and_every_folder_its_scenario() -> None:
    """What is recorded is what can be recorded."""
    folders = {path.parent.name for path in program.FIXTURES.glob("*/truth.json")}
    assert folders == set(SCENARIOS)


def test_each_fixture_tells_its_origin_and_stays_small() -> None:
    """Every fixture has a README and at most 300 kB; all together stay below 4 MB."""
    sizes = {}
    for name in SCENARIOS:
        files = list((program.FIXTURES / name).iterdir())
        assert any(file.name == "README.md" for file in files), name
        sizes[name] = sum(file.stat().st_size for file in files)
    assert max(sizes.values()) <= 300_000
    assert sum(sizes.values()) <= 4_000_000


@pytest.mark.skipif(sys.byteorder != "little", reason="the sample was taken on a little-endian machine")
def test_a_kernel_table_is_read() -> None:
    """Listeners are left out, states are named as in RFC 9293, v4-mapped addresses are IPv4."""
    assert parse_table(TABLE) == {KEY: "TIME-WAIT", ("10.77.1.2", 80, "10.77.1.1", 40002): "ESTABLISHED"}


def test_runs_become_differences_and_time_waits_intervals() -> None:
    """A run lists what changed since the one before; a TIME_WAIT has its first, last and first absent sample."""
    runs = [Run((1, 2), (3, 4), 2, {KEY: "TIME-WAIT"}), Run((5, 6), (7, 8), 2, {})]
    assert [run["changed"] for run in delta_json(runs)] == [
        {"10.77.1.2:80 10.77.1.1:40001": "TIME-WAIT"},
        {"10.77.1.2:80 10.77.1.1:40001": None},
    ]
    assert time_waits(runs) == {KEY: [{"seen": [1, 2], "last": [3, 4], "gone": [5, 6]}]}


def test_a_tag_goes_behind_the_addresses() -> None:
    """An 802.1Q header is four bytes after the two addresses."""
    assert tagged(b"D" * 6 + b"S" * 6 + b"\x08\x00rest", 77) == b"D" * 6 + b"S" * 6 + b"\x81\x00\x00\x4d\x08\x00rest"


def test_the_checksum_of_a_segment_with_its_checksum_is_zero() -> None:
    """RFC 1071: data followed by its own checksum sums to zero."""
    data = b"\x45\x00\x00\x3c\x1c\x46"
    assert _sum(data + _sum(data).to_bytes(2, "big")) == 0


def test_an_unknown_fixture_is_refused_in_one_line() -> None:
    """The line names what is unknown and how to see what is known."""
    line = program.missing(["no-such"])
    assert line == "no such fixture: no-such (--list shows them)"


def test_without_root_recording_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Network namespaces need root, and the refusal says so before anything is touched."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert program.missing(["refused"]) == "recording needs root: it makes network namespaces"


def test_a_missing_tool_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With nothing on the PATH, every tool the scenario needs is listed."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert program.missing(["pcapng"]) == "not installed: dumpcap, ethtool, ip, ss, tcpdump"


@pytest.mark.root
def test_a_fixture_is_recorded_and_nothing_is_left_behind(tmp_path: Path) -> None:
    """Capture, truth and README appear; the namespaces are gone afterwards."""
    if reason := program.missing(["refused"]):
        pytest.skip(reason)
    prefix = f"pwfxt{os.getpid()}"
    with Lab(SCENARIOS["refused"], tmp_path / "refused", prefix) as lab:
        lab.record()
    assert {file.name for file in (tmp_path / "refused").iterdir()} == {"capture.pcap", "truth.json", "README.md"}
    assert not list(Path("/run/netns").glob(f"{prefix}*"))
    assert not lab.scratch.exists()
