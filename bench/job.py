"""A command that is measured, and rounds of such commands taking turns."""

from __future__ import annotations

import json
import os
import pty
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from bench.captures import Capture

LAUNCHER = Path(__file__).with_name("launch.py")
Measure = Literal["wall_s", "cpu_s", "peak_bytes", "own_s"]


@dataclass
class Job:
    """A command on a capture, and what its runs took.

    key: ``capture.tool``; slow: so slow that fewer runs must do; clocked: prints seconds by its own clock, for own_s
    (`engine_rate`); terminal: its stderr is one; group: takes turns with others of its group instead of those on its
    capture; failure: how a run went wrong.
    """

    key: str
    capture: Capture
    command: list[str]
    version: str
    slow: bool = False
    clocked: bool = False
    terminal: bool = False
    group: str = ""
    failure: str = ""
    wall_s: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)
    peak_bytes: list[float] = field(default_factory=list)
    own_s: list[float] = field(default_factory=list)

    @property
    def absence(self) -> str:
        """Why it gives no figures: not installed, or how it failed; empty if it does."""
        return self.failure if shutil.which(self.command[0]) else "not installed"

    def median(self, measure: Measure) -> float | None:
        """Of all runs; None without one."""
        values: list[float] = getattr(self, measure)
        return statistics.median(values) if values else None

    def run(self) -> None:
        """Once; one that fails (some need more memory than there is) says so in the tables and is not run again."""
        with tempfile.TemporaryDirectory() as folder, Screen(wanted=self.terminal) as screen:
            result, said = Path(folder) / "result", Path(folder) / "said"
            command = [sys.executable, "-I", "-S", str(LAUNCHER), str(result), *self.command]
            with said.open("wb") as out:
                subprocess.run(
                    command,
                    check=True,
                    stdin=subprocess.DEVNULL,
                    stdout=out if self.clocked else subprocess.DEVNULL,
                    stderr=screen.end if self.terminal else out,
                    env=environment(),
                )
            wall_s, cpu_s, peak_bytes, status = json.loads(result.read_text())
            text = said.read_text(errors="replace")
        if status:
            self.failure = f"ended with {status}"
            print(f"bench: {' '.join(self.command)} {self.failure}: {text[-300:]}", file=sys.stderr)
            return
        self.wall_s.append(wall_s)
        self.cpu_s.append(cpu_s)
        self.peak_bytes.append(peak_bytes)
        if self.clocked:
            self.own_s.append(json.loads(text)["seconds"])


class Screen:
    """A terminal that somebody reads: what a program writes to ``end`` is taken and forgotten."""

    def __init__(self, *, wanted: bool) -> None:
        self._near, self.end = pty.openpty() if wanted else (-1, -1)
        self._reader = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Screen:
        if self.end >= 0:
            self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.end >= 0:
            os.close(self.end)
            self._reader.join()
            os.close(self._near)

    def _read(self) -> None:
        try:
            while os.read(self._near, 4096):
                pass
        except OSError:  # Linux's end of file of a terminal whose other end is closed
            return


def environment() -> dict[str, str]:
    """This process's, without what would have Python compile its sources at each start, on a terminal that can draw."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "TERM": "xterm"}


def rounds(jobs: Sequence[Job], runs: int, slow_runs: int) -> None:
    """Every job ``runs`` times, slow ones ``slow_runs`` times, taking turns, each round beginning one further on."""
    for number in range(runs):
        start = number % max(len(jobs), 1)
        for job in [*jobs[start:], *jobs[:start]]:
            if not job.absence and (not job.slow or number < slow_runs):
                print(f"bench: round {number + 1} of {runs}: {job.key}", file=sys.stderr)
                job.run()
