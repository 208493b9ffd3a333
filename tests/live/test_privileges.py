"""Rights are given up for good once the capture is open: seen by the kernel's own account of the process."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from live.reports import wait_for_report
from places import ROOT

from pcapwatch.analysis import analyze

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux") or os.geteuid() != 0, reason="needs root on Linux, which has rights to give up"
)

NOBODY = 65534
#: Runs in a process of its own: opens what needs the right, gives up, and tries what must not work any more.
SCRIPT = """
import json, os, socket, sys
from pathlib import Path
from pcapwatch import _engine
opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
left = json.loads(_engine.drop_privileges_json())
tried = {}
def attempt(name, what):
    try:
        what()
        tried[name] = "done"
    except OSError as error:
        tried[name] = type(error).__name__
attempt("packet socket", lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0))
attempt("back to root", lambda: os.setuid(0) if os.getuid() else os.setuid(1))
attempt("file", lambda: Path(sys.argv[1], "packets").write_text("x"))
attempt("old socket", lambda: opened.getsockname())
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
print(json.dumps({"left": left, "tried": tried, "status": {key: value.split() for key, value in status.items()}}))
"""


def make_reachable(folder: Path) -> None:
    """Whoever is not root may go there, as far as the folders above are root's."""
    for above in folder.parents:
        if above.owner() == "root" and above != Path("/") and not above.stat().st_mode & 0o001:
            above.chmod(above.stat().st_mode | 0o001)


def after_giving_up(folder: Path, **environment: str) -> dict[str, dict[str, object]]:
    """What the script found."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SUDO_")}
    command = [sys.executable, "-c", SCRIPT, str(folder)]
    done = subprocess.run(command, env=kept | environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, dict[str, object]] = json.loads(done.stdout)
    return found


def no_capabilities(status: dict[str, object]) -> bool:
    """None in any of the five sets."""
    return all(status[name] == ["0" * 16] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"))


def test_under_sudo_the_caller_is_left(tmp_path: Path) -> None:
    """All ids and new files are the caller's, no capability is left, nothing brings one back; the socket stays."""
    os.chown(tmp_path, NOBODY, NOBODY)
    make_reachable(tmp_path)
    found = after_giving_up(tmp_path, SUDO_UID=str(NOBODY), SUDO_GID=str(NOBODY))
    left = {"uid": NOBODY, "gid": NOBODY, "changed_user": True, "privileged_threads": 0, "kept": None}
    assert found["left"] == left
    status = found["status"]
    assert status["Uid"] == status["Gid"] == [str(NOBODY)] * 4
    assert "0" not in status["Groups"]  # type: ignore[operator]
    assert no_capabilities(status)
    assert status["NoNewPrivs"] == ["1"]
    assert found["tried"] == {
        "packet socket": "PermissionError",
        "back to root": "PermissionError",
        "file": "done",
        "old socket": "done",
    }
    assert (tmp_path / "packets").stat().st_uid == NOBODY


def test_root_itself_keeps_its_name_and_no_right(tmp_path: Path) -> None:
    """Without sudo the user stays, and is root in name alone."""
    found = after_giving_up(tmp_path)
    assert found["left"] == {"uid": 0, "gid": 0, "changed_user": False, "privileged_threads": 0, "kept": None}
    assert no_capabilities(found["status"])
    assert found["tried"]["packet socket"] == found["tried"]["back to root"] == "PermissionError"


#: As a user of the name that it is given; says what it is then, or why not.
AS_USER = """
import json, os, sys
from pathlib import Path
from pcapwatch.errors import PcapwatchError
from pcapwatch.live.session import RingOptions, WriteOptions, open_interface
from pcapwatch.settings import Settings
try:
    session = open_interface(
        RingOptions("lo"), Settings(), write=WriteOptions(sys.argv[1]), drop_privileges=True, user=sys.argv[2]
    )
except PcapwatchError as error:
    sys.exit(str(error))
with session:
    session.advance(0.1)
    session.conclude()
assert not int(dict(line.split(":", 1) for line in open("/proc/self/status"))["CapPrm"], 16)
print(json.dumps([os.getuid(), os.geteuid(), Path(next(Path(sys.argv[1]).iterdir())).stat().st_uid]))
"""


def as_user(folder: Path, name: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The capture of loopback by root that is told whom to be."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("SUDO_")} | environment
    command = [sys.executable, "-c", AS_USER, str(folder), name]
    return subprocess.run(command, env=kept, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("way", ["ring", "scapy"])
def test_root_can_be_told_whom_to_be(tmp_path: Path, way: str) -> None:
    """`--user`: all ids are that user's, and so are the files; who is not there is said before anything is captured."""
    make_reachable(tmp_path)
    os.chown(tmp_path, NOBODY, NOBODY)
    done = as_user(tmp_path, "nobody", PCAPWATCH_CAPTURE=way)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [NOBODY, NOBODY, NOBODY]
    refused = as_user(tmp_path, "nobody-of-that-name", PCAPWATCH_CAPTURE=way)
    assert refused.returncode == 1
    assert refused.stderr.count("\n") == 1
    assert "there is no user" in refused.stderr
    os.chown(tmp_path, 0, 0)
    denied = as_user(tmp_path, "nobody", PCAPWATCH_CAPTURE=way)
    assert "permission denied; name a folder that you may write to" in denied.stderr


CAPTURE = ROOT / "fixtures" / "proxy-both-legs" / "capture.pcap"
#: The right to read any file, by its bit.
READING = 1 << 2


@contextmanager
def live(*arguments: str | Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """The command by root, its packets on standard input, ended whatever happens."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("SUDO_")} | environment
    command = [sys.executable, "-m", "pcapwatch", "live", "--no-tui", "--interval", "100ms", *map(str, arguments)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, env=kept, **pipes) as process:  # type: ignore[call-overload]
        try:
            yield process
        finally:
            process.kill()


def rights_of(process: subprocess.Popen[bytes]) -> set[tuple[str, ...]]:
    """User, capabilities and ways to get new ones of each of its threads, once it prints lines."""
    assert process.stdout is not None
    assert process.stdout.readline()
    found = set()
    for task in Path(f"/proc/{process.pid}/task").iterdir():
        try:
            text = (task / "status").read_text()
        except OSError:
            continue  # a thread that is over
        status = dict(line.split(":", 1) for line in text.splitlines())
        sets = [str(int(status[name], 16)) for name in ("CapPrm", "CapEff", "CapInh", "CapBnd", "CapAmb")]
        found.add((*set(status["Uid"].split()), *sets, status["NoNewPrivs"].strip()))
    return found


NOTHING = ("0", "0", "0", "0", "0", "1")


@pytest.mark.parametrize(
    ("options", "environment", "uid"),
    [
        ((), {}, 0),
        ((), {"SUDO_UID": str(NOBODY), "SUDO_GID": str(NOBODY)}, NOBODY),
        (("--user", "nobody"), {}, NOBODY),
    ],
)
def test_a_pipe_is_read_without_any_right(
    tmp_path: Path, options: tuple[str, ...], environment: dict[str, str], uid: int
) -> None:
    """Every thread: no capability, none to be had again, the user who called; and the report is still written."""
    make_reachable(tmp_path)
    os.chown(tmp_path, uid, uid)
    out = tmp_path / "out.json"
    with live("-", "--report", out, *options, **environment) as process:
        assert process.stdin is not None
        process.stdin.write(CAPTURE.read_bytes())
        process.stdin.flush()
        assert rights_of(process) == {(str(uid), *NOTHING)}
        _, error = process.communicate(timeout=60)
    assert (process.returncode, error.decode()) == (0, f"pcapwatch: the report is in {out}\n")
    assert (out.stat().st_uid, bool(json.loads(out.read_text())["capture"]["packets"])) == (uid, True)


@pytest.mark.parametrize(("mode", "kept"), [(0o644, 0), (0o600, READING)])
def test_only_reading_is_kept_where_it_is_needed(tmp_path: Path, mode: int, kept: int) -> None:
    """A file that the caller may not read is followed with that right alone, and it is said; any other with none."""
    make_reachable(tmp_path)
    tmp_path.chmod(0o755)
    mine, whole = tmp_path / "mine", CAPTURE.read_bytes()
    mine.mkdir()
    os.chown(mine, NOBODY, NOBODY)
    grows, out = tmp_path / "grows.pcap", mine / "out.json"
    grows.write_bytes(whole)
    expected = analyze(grows).quality.packets
    grows.write_bytes(whole[:2345])
    grows.chmod(mode)
    with live("--follow", grows, "--report", out, SUDO_UID=str(NOBODY), SUDO_GID=str(NOBODY)) as process:
        assert rights_of(process) == {(str(NOBODY), str(kept), str(kept), "0", "0", "0", "1")}
        with grows.open("ab") as file:
            file.write(whole[2345:])
        wait_for_report(process, out, lambda capture: capture["packets"] == expected)
        process.terminate()
        _, error = process.communicate(timeout=60)
    said = f"pcapwatch: the right to read any file is kept (CAP_DAC_READ_SEARCH): user {NOBODY} may not read {grows}"
    assert (said in error.decode().splitlines()) is bool(kept), error
    told = json.loads(out.read_text())
    assert told["capture"]["files"][0]["packets"] == told["capture"]["packets"]
    assert told["examples"][0]["ladder"]["rows"], "read once more"


def test_a_file_of_a_followed_folder_that_may_not_be_read_is_told(tmp_path: Path) -> None:
    """The folder was readable when rights were given up; what comes later and is not, is counted once."""
    make_reachable(tmp_path)
    tmp_path.chmod(0o755)
    folder, mine = tmp_path / "folder", tmp_path / "mine"
    for made in (folder, mine):
        made.mkdir()
    os.chown(mine, NOBODY, NOBODY)
    (folder / "a.pcap").write_bytes(CAPTURE.read_bytes())
    out = mine / "out.json"
    with live("--follow", folder, "--user", "nobody", "--report", out) as process:
        assert rights_of(process) == {(str(NOBODY), *NOTHING)}
        hidden = folder / "b.pcap"
        hidden.touch(0o600)
        hidden.write_bytes(CAPTURE.read_bytes())
        wait_for_report(process, out, lambda capture: capture["live"]["unread_files"] == 1)
        process.terminate()
        process.communicate(timeout=60)
    told = json.loads(out.read_text())
    assert told["capture"]["live"]["unread_files"] == 1
    assert any("1 followed file not read" in text for text in told["capture"]["concerns"])


def test_without_capabilities_the_user_is_given_up() -> None:
    """As on macOS and the BSDs: root becomes who called it, all ids, and cannot be root again."""
    script = """
import os
from pcapwatch.live.rights import become
become(None)
print(os.getresuid(), os.getresgid(), os.getgroups())
try:
    os.setuid(0)
except PermissionError:
    print("no way back")
"""
    environment = {**os.environ, "SUDO_UID": str(NOBODY), "SUDO_GID": str(NOBODY)}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [f"{(NOBODY,) * 3} {(NOBODY,) * 3} [{NOBODY}]", "no way back"]


#: Names whatever is imported once rights are given up.
AUDITED = """
import sys
from pathlib import Path
from pcapwatch.cli import main
from pcapwatch.live import session
late = []
begin = session.Session.__init__
def begun(self, *given, **more):
    begin(self, *given, **more)
    sys.addaudithook(lambda event, about: late.append(about[0]) if event == "import" else None)
session.Session.__init__ = begun
try:
    main(sys.argv[2:])
finally:
    Path(sys.argv[1]).write_text(chr(10).join(late))
"""


def test_nothing_is_imported_once_rights_are_given_up(tmp_path: Path) -> None:
    """Python itself may lie where only root may read, as under `sudo -i`."""
    late, reports = tmp_path / "late", [tmp_path / f"out.{suffix}" for suffix in ("txt", "md", "json")]
    options = ["--no-tui", "--metrics", "127.0.0.1:0", "--packets", str(tmp_path / "p.pcapng")]
    options += [word for report in reports for word in ("--report", str(report))]
    command = [sys.executable, "-c", AUDITED, str(late), "live", "-", *options]
    done = subprocess.run(command, input=CAPTURE.read_bytes(), capture_output=True, check=False)
    assert (done.returncode, late.read_text()) == (0, ""), done.stderr
    assert all(report.exists() for report in reports)
