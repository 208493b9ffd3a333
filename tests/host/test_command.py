"""``pcapwatch host``, and ``analyze --host-snapshot``, as they are typed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest
from handmade import Engine

from host.test_model import facts, snapshot
from pcapwatch.host.model import to_json
from pcapwatch.host.snapshot_file import read_file
from pcapwatch.summary import KernelFacts

Run = Callable[..., tuple[int, str, str]]
linux = pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="this is no Linux")


@linux
def test_the_page_is_printed_and_the_file_written(run: Run, tmp_path: Path) -> None:
    """With -o both: the page is for whoever stands before it, the file for later."""
    file = tmp_path / "db1.json"
    status, out, err = run("host", "-o", str(file))
    assert (status, err) == (0, "")
    assert out.splitlines()[0].startswith(f"{read_file(str(file)).name}, Linux ")
    assert "ip_local_port_range" in out


@linux
@pytest.mark.parametrize("way", [[], ["--proc"]])
def test_json_on_standard_output(run: Run, way: list[str]) -> None:
    """The data alone; --proc says that it was read there."""
    status, out, _ = run("host", "--format", "json", *way)
    assert status == 0
    assert json.loads(out)["reader"] == ("proc" if way else "sock_diag")


def test_a_host_that_is_no_linux_is_told_so(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither netlink nor /proc: one line, exit 2."""
    monkeypatch.setattr("pcapwatch.host.reader._NET", "/no/such/folder")
    status, out, err = run("host", "--proc")
    assert (status, out) == (2, "")
    assert err == "pcapwatch: pcapwatch host reads Linux: there is neither netlink sock_diag nor /proc/net/tcp here\n"


def test_a_snapshot_is_laid_beside_the_capture(run: Run, engine: Engine, tmp_path: Path) -> None:
    """Its table goes to the engine, what the engine says of it into the report, its port range with it."""
    file = tmp_path / "db1.json"
    file.write_text(to_json(snapshot()))
    engine.summary["kernel"] = [cast(KernelFacts, facts(wire=[1, 3], both=1, only_kernel={"unproven": 1}))]
    status, out, _ = run("analyze", "a.pcap", "--host-snapshot", str(file))
    assert status == 0
    settings = engine.settings[-1]
    assert [table["addresses"] for table in settings["host_tables"]] == [["10.2.0.20", "127.0.0.1"]]
    assert {"address": "10.2.0.20", "prefix": 128, "low": 40000, "high": 40999} in settings["port_ranges"]
    text = " ".join(out.split())
    assert "its kernel lists 2 TIME_WAITs, the wire 1-3; 1 are in both" in text
    assert "only in the kernel's table: 1 of connections whose close the capture does not prove" in text


def test_a_wrong_snapshot_is_said_before_the_capture_is_read(run: Run, engine: Engine, tmp_path: Path) -> None:
    """One line, exit 2, and the engine was not asked."""
    file = tmp_path / "x.json"
    file.write_text("{}")
    for given in (file, tmp_path / "absent.json"):
        status, out, err = run("analyze", "a.pcap", "--host-snapshot", str(given))
        assert (status, out, err.count("\n")) == (2, "", 1)
        assert str(given) in err
    assert not engine.settings
