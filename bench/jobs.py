"""What is run on which capture: pcapwatch, its engine alone, and the neighbours."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from bench.captures import Capture
from bench.instructions import EXAMPLES
from bench.job import Job

BAR = Path(__file__).with_name("bar.py")
#: Captures that differ in their length alone.
SIZES = ("tenth", "short", "long")


def pcapwatch() -> str:
    """The command of the environment that runs this script."""
    return str(Path(sys.executable).with_name("pcapwatch"))


def version(*command: str) -> str:
    """The first thing that looks like a version in what a tool says of itself; empty if it is not installed."""
    if shutil.which(command[0]) is None:
        return ""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(r"\d+\.\d+(\.\d+)*", done.stdout + done.stderr)
    return found[0] if found else ""


def captures(scale: float, *, long: bool) -> dict[str, Capture]:
    """By key. ``scale`` 1 is what the targets speak of; ``long`` adds one of ten times the packets."""
    short = round(1_000_000 * scale)
    wanted = [
        Capture("small", 100),
        Capture("tenth", short // 10),
        Capture("short", short),
        Capture("spread", short, clients=500, servers=7),
        Capture("bulk", round(2_000 * scale), requests=20, response_bytes=100_000),
        Capture("gzip", short, packer="gzip"),
        Capture("zstd", short, packer="zstd"),
    ]
    if long:
        wanted.append(Capture("long", short * 10))
    return {capture.key: capture for capture in wanted}


def jobs(of: dict[str, Capture], scratch: Path) -> dict[str, Job]:
    """Every command by its key, ``capture.tool``."""
    made = [*_own(of, scratch), *_neighbours(of, scratch)]
    return {job.key: job for job in made}


def _own(of: dict[str, Capture], scratch: Path) -> list[Job]:
    own = version(pcapwatch(), "--version")

    rate = str(EXAMPLES / "engine_rate")

    def job(key: str, *command: str, terminal: bool = False, group: str = "") -> Job:
        capture = of[key.split(".", maxsplit=1)[0]]
        words = [*command, str(capture.path)]
        return Job(key, capture, words, own, clocked=terminal or command[0] == rate, terminal=terminal, group=group)

    analyze = (pcapwatch(), "analyze")
    parquet = (pcapwatch(), "connections", "-o", str(scratch / "x.parquet"))
    made = [job(f"{key}.analyze", *analyze) for key in of]
    two = (rate, "--threads", "2")
    made += [job(f"{key}.engine, sizes in turns", *two, group="sizes") for key in SIZES if key in of]
    made += [job(f"{key}.parquet", *parquet) for key in ("tenth", "short")]
    return [
        *made,
        job("short.engine", *two),
        job("short.engine 1", rate, "--threads", "1"),
        job("short.analyze 1", *analyze, "--threads", "1"),
        job("short.bar", sys.executable, str(BAR), terminal=True),
    ]


def _neighbours(of: dict[str, Capture], scratch: Path) -> list[Job]:
    tcpdump, tshark = version("tcpdump", "--version"), version("tshark", "--version")
    short, bulk, small, spread = (of[key] for key in ("short", "bulk", "small", "spread"))

    def fin(capture: Capture) -> list[str]:
        return ["tcpdump", "-nr", str(capture.path), "tcp[13]&1!=0", "-w", os.devnull]

    def conversations(capture: Capture) -> list[str]:
        return ["tshark", "-n", "-q", "-z", "conv,tcp", "-r", str(capture.path)]

    flows = scratch / "flows"
    flows.mkdir()
    return [
        Job("short.tcpdump", short, fin(short), tcpdump),
        Job("spread.tcpdump", spread, fin(spread), tcpdump),
        Job("bulk.tcpdump", bulk, fin(bulk), tcpdump),
        Job("short.nfpcapd", short, ["nfpcapd", "-r", str(short.path), "-w", str(flows)], version("nfdump", "-V")),
        Job("short.tcptrace", short, ["tcptrace", "-n", str(short.path)], version("tcptrace", "-v"), slow=True),
        Job("short.tshark", short, conversations(short), tshark, slow=True),
        Job("small.tshark", small, conversations(small), tshark),
        Job("gzip.zcat", of["gzip"], ["zcat", str(of["gzip"].path)], version("gzip", "--version")),
        Job("zstd.zstdcat", of["zstd"], ["zstdcat", str(of["zstd"].path)], version("zstd", "--version")),
    ]
