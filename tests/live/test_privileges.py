"""Rights are given up for good once the capture is open: seen by the kernel's own account of the process."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

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
    for folder in tmp_path.parents:
        if folder.owner() == "root" and folder != Path("/") and not folder.stat().st_mode & 0o001:
            folder.chmod(folder.stat().st_mode | 0o001)
    found = after_giving_up(tmp_path, SUDO_UID=str(NOBODY), SUDO_GID=str(NOBODY))
    assert found["left"] == {"uid": NOBODY, "gid": NOBODY, "changed_user": True, "privileged_threads": 0}
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
    assert found["left"] == {"uid": 0, "gid": 0, "changed_user": False, "privileged_threads": 0}
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
print(json.dumps([os.getuid(), os.geteuid(), Path(next(Path(sys.argv[1]).iterdir())).stat().st_uid]))
"""


def as_user(folder: Path, name: str) -> subprocess.CompletedProcess[str]:
    """The capture of loopback by root that is told whom to be."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("SUDO_")}
    command = [sys.executable, "-c", AS_USER, str(folder), name]
    return subprocess.run(command, env=kept, capture_output=True, text=True, check=False)


def test_root_can_be_told_whom_to_be(tmp_path: Path) -> None:
    """`--user`: all ids are that user's, and so are the files; who is not there is said before anything is captured."""
    for folder in tmp_path.parents:
        if folder.owner() == "root" and folder != Path("/") and not folder.stat().st_mode & 0o001:
            folder.chmod(folder.stat().st_mode | 0o001)
    os.chown(tmp_path, NOBODY, NOBODY)
    done = as_user(tmp_path, "nobody")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [NOBODY, NOBODY, NOBODY]
    refused = as_user(tmp_path, "nobody-of-that-name")
    assert refused.returncode == 1
    assert refused.stderr.count("\n") == 1
    assert "there is no user" in refused.stderr
    os.chown(tmp_path, 0, 0)
    denied = as_user(tmp_path, "nobody")
    assert "permission denied; name a folder that you may write to" in denied.stderr
