"""Pin every Python dependency, with hashes and without the name of an index, from pyproject.toml.

Two files: `requirements.lock` is what `make demo` installs (run time and the build backend), `requirements-dev.lock`
adds what tests and linters need. uv resolves for every Python from 3.11 on at once, in an environment of its own.
"""

import re
import subprocess
import sys
import tempfile
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HEADER = "# Made by `make lock` from pyproject.toml. Not to be edited by hand.\n"


def requirements(extra: str | None) -> str:
    """What pyproject.toml asks for: run time and build backend, and with `extra` that extra and those it names."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras: dict[str, list[str]] = project["project"]["optional-dependencies"]
    wanted: list[str] = [*project["build-system"]["requires"], *project["project"]["dependencies"]]
    names = [extra] if extra else []
    while names:
        for line in extras[names.pop()]:
            inner = re.fullmatch(r"pcapwatch\[(\w+)\]", line)
            if inner:
                names.append(inner[1])
            else:
                wanted.append(line)
    return "\n".join(wanted) + "\n"


def compile_lock(uv: Path, extra: str | None, name: str, constraint: str | None) -> None:
    """Resolve `requirements(extra)` into the lock file `name`, agreeing with the lock file `constraint`."""
    options = ["--universal", "--python-version", "3.11", "--generate-hashes", "--no-emit-index-url"]
    if constraint:
        options += ["--constraint", constraint]
    command = [str(uv), "pip", "compile", *options, "--no-header", "--no-annotate", "-q", "-"]
    done = subprocess.run(command, cwd=ROOT, input=requirements(extra), capture_output=True, text=True, check=False)  # noqa: S603 - uv, just installed
    if done.returncode:
        sys.exit(done.stderr)
    (ROOT / name).write_text(HEADER + done.stdout)


def main() -> None:
    """Write both lock files."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        binaries = Path(folder) / "bin"
        subprocess.run([binaries / "python", "-m", "pip", "install", "-q", "uv"], check=True)  # noqa: S603 - our own Python
        compile_lock(binaries / "uv", "dev", "requirements-dev.lock", None)
        compile_lock(binaries / "uv", None, "requirements.lock", "requirements-dev.lock")


if __name__ == "__main__":
    main()
