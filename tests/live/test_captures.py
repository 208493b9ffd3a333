"""`pcapwatch live` on an interface, with real nginx and ab in network namespaces; as root."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from fixtures.record.lab import Lab
from fixtures.record.scenario import Scenario
from fixtures.record.servers import start_nginx
from pcapwatch.live.session import RingOptions, WriteOptions, open_interface
from pcapwatch.settings import Settings

PCAPWATCH = (sys.executable, "-m", "pcapwatch")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="network namespaces need root"),
    pytest.mark.skipif(not (shutil.which("nginx") and shutil.which("ab")), reason="needs nginx and ab"),
]


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """A client and a server, 10.77.1.1 and 10.77.1.2, with nginx on the latter."""
    with Lab(Scenario("live", lambda _: None, ""), tmp_path / "lab", f"pwlive{os.getpid()}") as made:
        for host in (made.client, made.server):
            host.sysctl("tcp_max_tw_buckets", 262_144)
        start_nginx(made, made.server, 'location / { return 200 "hello"; }')
        yield made


def ab(lab: Lab, requests: int, *options: str) -> None:
    """Requests from the client, four at a time."""
    command = ["ip", "netns", "exec", lab.client.namespace, "ab", "-q", "-c", "4", "-n", str(requests), *options]
    subprocess.run([*command, f"http://{lab.server.address}/"], check=True, capture_output=True)


def without_drops(report: dict[str, Any]) -> dict[str, Any]:
    """A report without what only the capturing process knows: statistics of the interface."""
    for file in report["capture"]["files"]:
        for interface in file.get("interfaces", []):
            for name in ("received", "dropped", "dropped_by_system", "dropped_by_interface", "accepted", "delivered"):
                interface.pop(name, None)
    return report


def test_live_says_what_analyze_says_of_the_packets_it_wrote(lab: Lab, tmp_path: Path) -> None:
    """The same JSON, with the same frames in the same files as evidence, over several files of a rotated set."""
    out, written, read = tmp_path / "live.json", tmp_path / "written", tmp_path / "analyze.json"
    command = [
        *PCAPWATCH,
        "live",
        "eth0",
        "--netns",
        lab.server.namespace,
        "--no-tui",
        "--no-host",
        "--report",
        str(out),
    ]
    with subprocess.Popen(
        [*command, "--write", str(written), "--rotate", "300kB"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as live:
        assert live.stdout is not None
        live.stdout.readline()
        ab(lab, 400)
        ab(lab, 400, "-k")
        time.sleep(0.3)
        live.terminate()
        _, error = live.communicate(timeout=30)
    assert (live.returncode, error.decode()) == (0, f"pcapwatch: the report is in {out}\n")
    assert len(list(written.iterdir())) > 2
    subprocess.run([*PCAPWATCH, "analyze", str(written), "-o", str(read)], check=True)
    expected, found = (without_drops(json.loads(file.read_text())) for file in (read, out))
    assert found == expected
    # A connection more: each run of ab looks at the server first.
    assert found["totals"]["connections"] >= 404


def test_the_wires_band_holds_the_kernels_count_at_every_second(lab: Lab) -> None:
    """On both hosts, while connections are made and afterwards; and closers are what was done."""
    stop = threading.Event()

    def load() -> None:
        while not stop.is_set():
            ab(lab, 300)

    settings, seen = Settings(idle_expiry="300s"), []
    loaded = threading.Thread(target=load)
    with ExitStack() as stack:
        rings = [RingOptions("eth0", netns=host.namespace) for host in (lab.server, lab.client)]
        sessions = [stack.enter_context(open_interface(ring, settings, watch_host=True)) for ring in rings]
        loaded.start()
        try:
            for second in range(12):
                for session in sessions:
                    assert session.advance(0.5)
                    moment = session.moment(None)
                    assert moment.host is not None
                    seen.append((moment.host.time_waits, moment.host.wire, moment.counters.kernel_drops))
                if second == 6:
                    stop.set()
        finally:
            stop.set()
            loaded.join()
        closers = [session.conclude().totals for session in sessions]
    assert max(count for count, _, _ in seen) > 300
    assert not any(drops for _, _, drops in seen)
    # A packet that is on its way to the capture while the kernel is read is worth one socket for each of ab's four.
    for count, wire, _ in seen:
        least, most = wire or (0, 0)
        assert least - 4 <= count <= most + 4, seen
    for totals in closers:
        assert totals["active_closer"]["server"] >= 0.98 * totals["connections"], totals


def test_an_interface_that_goes_away_leaves_its_report(lab: Lab, tmp_path: Path) -> None:
    """What came before is reported, then what happened is said: exit 2."""
    out = tmp_path / "out.json"
    command = [*PCAPWATCH, "live", "eth0", "--netns", lab.server.namespace, "--no-tui", "--report", str(out)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as live:
        assert live.stdout is not None
        live.stdout.readline()
        ab(lab, 50)
        time.sleep(1)
        subprocess.run(["ip", "-n", lab.server.namespace, "link", "del", "eth0"], check=True)
        try:
            _, error = live.communicate(timeout=30)
        finally:
            live.kill()
    assert live.returncode == 2
    assert "eth0: the interface is gone" in error.decode()
    assert error.decode().splitlines()[0] == f"pcapwatch: the report is in {out}"
    assert error.decode().count("\n") == 2
    assert json.loads(out.read_text())["totals"]["connections"] >= 50


def test_ladders_are_drawn_from_memory_and_from_the_files(lab: Lab, tmp_path: Path) -> None:
    """A connection's packets are shown as they were; once they are gone, nothing is drawn in their place."""
    ring = RingOptions("eth0", netns=lab.server.namespace)
    sessions = {
        "memory": open_interface(ring, Settings()),
        "files": open_interface(ring, Settings(), write=WriteOptions(str(tmp_path / "kept"), 100_000, 2)),
        "gone": open_interface(ring, Settings(replay_bytes=0)),
    }
    ab(lab, 10)
    for session in sessions.values():
        session.advance(0.5)
        session.report()
    drawn = {name: session.ladder(3) for name, session in sessions.items()}
    assert drawn["gone"] is None
    memory, files = drawn["memory"], drawn["files"]
    assert memory is not None
    assert files is not None
    flags = [row["flags"] for row in memory["rows"]]
    assert flags == [row["flags"] for row in files["rows"]]
    assert flags[0] == "SYN"
    ab(lab, 2000)
    sessions["files"].advance(0.5)
    sessions["files"].report()
    assert sessions["files"].ladder(3) is None, "its file was removed"
    newest = sessions["files"].counters.connections - 5
    assert sessions["files"].ladder(newest) is None, "only examples are drawn while rows are not kept"


def watched(lab: Lab, *options: str | Path) -> subprocess.Popen[bytes]:
    """`live` on the server's interface, which has said its first line."""
    command = [*PCAPWATCH, "live", "eth0", "--netns", lab.server.namespace, "--no-tui", "--interval", "200ms"]
    process = subprocess.Popen([*command, *map(str, options)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    return process


def ended(process: subprocess.Popen[bytes]) -> list[str]:
    """After a SIGTERM and with exit 0: its lines on standard error."""
    time.sleep(0.5)
    process.terminate()
    _, error = process.communicate(timeout=30)
    assert process.returncode == 0, error
    return error.decode().splitlines()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 600 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k,mode=777", "none", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_is_said_once_and_in_the_report(lab: Lab, tmp_path: Path, small_disk: Path) -> None:
    """The capture goes on; no file is empty; what is named as evidence is there; who reads the report learns of it."""
    out = tmp_path / "out.json"
    process = watched(lab, "--write", small_disk / "packets", "--rotate", "100kB", "--report", out)
    ab(lab, 3000)
    errors = ended(process)
    full = [text for text in errors if "packets cannot be written: No space left on device" in text]
    assert len(full) == 1, errors
    assert full[0].endswith("the capture goes on")
    told = json.loads(out.read_text())
    assert told["totals"]["connections"] >= 3000
    assert told["capture"]["live"]["unwritten_packets"] > 1000
    assert any("No space left on device" in text and "are in no file" in text for text in told["capture"]["concerns"])
    files = list((small_disk / "packets").iterdir())
    assert files
    assert all(file.stat().st_size for file in files)
    evidence_is_there(told)


def evidence_is_there(told: dict[str, Any]) -> None:
    """Every file that the report names can be opened and has the frame."""
    named = [one for finding in told["findings"] for one in finding["evidence"]] + [
        {"file": one["file"], "frame": one["first_frame"]} for one in told["examples"]
    ]
    assert named
    for one in named:
        command = ["tcpdump", "-nr", one["file"], "-c", str(one["frame"])]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert len(done.stdout.splitlines()) == one["frame"], one


def test_what_is_removed_is_evidence_for_nothing(lab: Lab, tmp_path: Path) -> None:
    """`--keep` bounds the folder, files of an earlier run among them; the report names files that are there alone."""
    out, folder = tmp_path / "out.json", tmp_path / "packets"
    options = ("--write", folder, "--rotate", "100kB", "--report", out)
    process = watched(lab, *options)
    ab(lab, 500)
    ended(process)
    earlier = {file.name for file in folder.iterdir()}
    assert len(earlier) > 3
    process = watched(lab, *options, "--keep", "3")
    ab(lab, 1500)
    ended(process)
    left = sorted(file.name for file in folder.iterdir())
    assert len(left) == 3
    assert left[0] > max(earlier), "names go on, so that they sort in the order of writing"
    told = json.loads(out.read_text())
    assert [Path(file["path"]).name for file in told["capture"]["files"]] == left
    lost = told["capture"]["live"]
    assert lost["removed_earlier_files"] == len(earlier)
    assert (
        lost["removed_packets"] + sum(file["packets"] for file in told["capture"]["files"])
        == told["capture"]["packets"]
    )
    assert any("(--keep)" in text and f"{lost['removed_files']} files" in text for text in told["capture"]["concerns"])
    evidence_is_there(told)


@pytest.mark.parametrize("interface", ["eth0", "any"])
def test_drops_and_the_host_have_one_truth(lab: Lab, tmp_path: Path, interface: str) -> None:
    """With `--write`: nothing dropped is said as such, wherever it is said, while files are written and at the end."""
    out, folder = tmp_path / "out.json", tmp_path / "packets"
    command = [*PCAPWATCH, "live", interface, "--netns", lab.server.namespace, "--no-tui", "--report", str(out)]
    with subprocess.Popen(
        [*command, "--write", str(folder), "--rotate", "100kB"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        ab(lab, 500)
        process.send_signal(signal.SIGUSR1)
        for _ in range(100):
            if out.exists():
                break
            time.sleep(0.1)
        meanwhile = json.loads(out.read_text())
        ended(process)
    read = tmp_path / "read.json"
    subprocess.run([*PCAPWATCH, "analyze", str(folder), "-o", str(read)], check=True)
    for told in (meanwhile, json.loads(out.read_text()), json.loads(read.read_text())):
        assert "no drops recorded" in told["capture"]["remarks"]
        assert not any("drop" in text for text in told["cannot_see"])
        on_host = any("on which host" in text for text in told["cannot_see"])
        assert on_host is (not told["host"]), "where the kernel is read while packets come they are taken"
    for told in (json.loads(out.read_text()), json.loads(read.read_text())):
        counted = told["capture"]["files"][-1]["interfaces"][0]
        assert (counted["accepted"], counted["delivered"]) == (told["capture"]["packets"],) * 2
        assert counted["dropped"] == 0
    assert meanwhile["capture"]["live"]["goes_on"], "SIGUSR1: of a moment"


def test_an_interface_that_was_down_is_in_the_report(lab: Lab, tmp_path: Path) -> None:
    """It comes up again and the capture goes on; who reads the report learns that something is missing."""
    out = tmp_path / "out.json"
    process = watched(lab, "--report", out)
    ab(lab, 20)
    for state in ("down", "up"):
        subprocess.run(["ip", "-n", lab.server.namespace, "link", "set", "eth0", state], check=True)
        time.sleep(0.5)
    ab(lab, 20)
    ended(process)
    told = json.loads(out.read_text())
    assert told["totals"]["connections"] >= 40
    assert told["capture"]["live"]["interface_downs"] == 1
    assert (
        "the interface went down 1 time while capturing: what passed meanwhile is missing"
        in told["capture"]["concerns"]
    )


def test_a_folder_that_tcpdump_rotates_is_followed(lab: Lab, tmp_path: Path) -> None:
    """A file a second: what is there is read, each that begins is gone on with; the report is that of the folder."""
    folder, out, read = tmp_path / "rotated", tmp_path / "out.json", tmp_path / "read.json"
    folder.mkdir()
    (folder / "notes.txt").write_text("no capture, and no reason to leave the file that grows\n" * 9)
    inside = ["ip", "netns", "exec", lab.server.namespace]
    writer = ["tcpdump", "-i", "eth0", "-U", "-Z", "root", "-G", "1", "-w", str(folder / "at-%s.pcap")]
    with subprocess.Popen([*inside, *writer], stderr=subprocess.PIPE) as rotating:
        assert rotating.stderr is not None
        rotating.stderr.readline()
        try:
            time.sleep(0.5)
            ab(lab, 100)
            command = [*PCAPWATCH, "live", "--follow", str(folder), "--no-tui", "--report", str(out)]
            live = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            assert live.stdout is not None
            live.stdout.readline()
            for _ in range(5):
                ab(lab, 100)
                time.sleep(0.7)
        finally:
            rotating.terminate()
            rotating.wait(10)
    time.sleep(1.5)
    assert len(list(folder.glob("*.pcap"))) > 3
    ended(live)
    subprocess.run([*PCAPWATCH, "analyze", str(folder), "-o", str(read)], check=True)
    told, expected = json.loads(out.read_text()), json.loads(read.read_text())
    assert told["totals"]["connections"] >= 600
    paths = [[file["path"] for file in one["capture"]["files"] if file["packets"]] for one in (told, expected)]
    assert paths[0] == paths[1]
    for part in ("totals", "services", "hosts"):
        assert told[part] == expected[part], part
    assert [one["code"] for one in told["findings"]] == [one["code"] for one in expected["findings"]]
    evidence_is_there(told)


#: tcpdump's ways of writing over what it wrote: the same name each second; three names in turn.
OVERWRITING = {"-G": ("-G", "1", "-w", "same.pcap"), "-C -W": ("-C", "1", "-W", "3", "-w", "ring.pcap")}


@pytest.mark.parametrize(("way", "followed"), [("-G", "folder"), ("-G", "file"), ("-C -W", "folder")])
def test_a_file_that_tcpdump_begins_anew_is_read_anew(lab: Lab, tmp_path: Path, way: str, followed: str) -> None:
    """Nothing of the new content is taken for the old one's; what was lost is said; what was read is most of it."""
    out, folder = tmp_path / "out.json", tmp_path / "rotated"
    folder.mkdir()
    inside = ["ip", "netns", "exec", lab.server.namespace]
    *options, name = OVERWRITING[way]
    writer = [*inside, "tcpdump", "-i", "eth0", "-U", "-Z", "root", *options, str(folder / name)]
    with subprocess.Popen(writer, stderr=subprocess.PIPE) as rotating:
        assert rotating.stderr is not None
        rotating.stderr.readline()
        try:
            ab(lab, 50)
            time.sleep(0.3)
            source = folder if followed == "folder" else folder / name
            command = [*PCAPWATCH, "live", "--follow", str(source), "--no-tui", "--report", str(out)]
            live = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            assert live.stdout is not None
            live.stdout.readline()
            for _ in range(10):
                ab(lab, 400)
                time.sleep(0.4)
        finally:
            rotating.terminate()
            rotating.wait(10)
    time.sleep(1)
    ended(live)
    told = json.loads(out.read_text())
    capture, lost = told["capture"], told["capture"]["live"]
    problems = [file["problem"] for file in capture["files"] if file["problem"]]
    assert all("began the file anew" in one for one in problems), problems
    assert len(problems) == lost["overwritten_files"]
    assert lost["overwritten_files"] >= 3 or way == "-C -W"
    assert len(capture["files"]) >= 4
    assert not capture["malformed"]
    assert lost["unread_files"] == 0
    assert any("begun anew" in one for one in capture["concerns"]) is bool(problems)
    # Of each second at most what tcpdump held when it began the next one.
    assert told["totals"]["connections"] >= 3000
