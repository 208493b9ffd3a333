"""The text of bench/RESULTS.md."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from bench.captures import GENERATOR, Capture
from bench.figures import Figure
from bench.instructions import ROOT, first_number
from bench.job import Job

#: How busy the machine was with other things: above 0.5 or so the walls are too long, and only their ratios tell.
LOAD_BEFORE = os.getloadavg()[0]


def results(rows: Iterable[Figure], jobs: Mapping[str, Job], settings: str) -> str:
    """All of it. settings: in which way it was run."""
    ran = [job for job in jobs.values() if job.wall_s or job.absence]
    parts = [
        ["# Speed", "", "Made by `make bench`; not edited by hand.", "", f"{settings} {machine()}.", ""],
        targets(rows, jobs),
        ["", "## What was run", "", *WAY, ""],
        commands(ran),
        ["", "## On what", "", *TRAFFIC, ""],
        described({job.capture.key: job.capture for job in ran}.values()),
    ]
    return "\n".join(line for part in parts for line in part) + "\n"


#: How the figures came about.
WAY = [
    "In brackets the least and the most. Each file was in the page cache (locked there, where that is allowed), the",
    "commands on one file took turns (of the cost per packet: those on files of different length), standard output",
    "went to /dev/null. Wall and CPU time are from fork to exit; peak memory is what the kernel counts for the",
    "command (`ru_maxrss`, mapped file pages included), and below 10 MB cannot be told. *own* is the engine's own",
    "clock, without the start of the process; of the progress bar, which the engine waits for, the time spent in it.",
    "The tools answer different questions: README.md, “How it compares”.",
]
TRAFFIC = [
    f"Made by `{GENERATOR.relative_to(ROOT)}`, seeded, modelled on a measured capture of a proxy before an origin.",
    "What may matter for cost and many real captures have differently: one client and one server address",
    "(except `spread`), 14,116 ports in turn, the same answer every time, no loss, no reordering, timestamps on every",
    "segment.",
]


def targets(rows: Iterable[Figure], jobs: Mapping[str, Job]) -> list[str]:
    """The table of figures: wanted, measured, met."""
    lines = ["| figure | wanted | measured | |", "|---|--:|--:|---|"]
    for row in rows:
        value = row.value(jobs)
        if value is None:
            why = sorted({f"{jobs[key].command[0]} {jobs[key].absence}" for key in row.keys if jobs[key].absence})
            lines.append(f"| {row.name} | {row.wanted} | | {', '.join(why)} |")
        else:
            met = "met" if row.met(value) else "**not met**"
            lines.append(f"| {row.name} | {row.wanted} | {row.shown(value)} | {met} |")
    return lines


def commands(ran: Iterable[Job]) -> list[str]:
    """Each command's own figures."""
    columns = ["capture", "command", "wall", "CPU", "own", "packets/s", "ns/packet", "peak memory", "runs", "version"]
    lines = [f"| {' | '.join(columns)} |", "|---|---|--:|--:|--:|--:|--:|--:|--:|---|"]
    for job in sorted(ran, key=lambda job: (job.capture.key, job.key)):
        name = job.key.split(".", 1)[1]
        if not job.wall_s:
            lines.append(f"| {job.capture.key} | {name} | {job.absence} | | | | | | | {job.version} |")
            continue
        wall, packets = statistics.median(job.wall_s), job.capture.packets
        cells = [job.capture.key, name, spread(job.wall_s), f"{statistics.median(job.cpu_s):.2f} s"]
        cells += [f"{statistics.median(job.own_s):.3f} s" if job.own_s else "", f"{packets / wall:,.0f}"]
        cells += [f"{wall / packets * 1e9:,.0f}", f"{statistics.median(job.peak_bytes) / 1e6:,.0f} MB"]
        lines.append(f"| {' | '.join([*cells, str(len(job.wall_s)), job.version])} |")
    return lines


def spread(values_s: list[float]) -> str:
    """``0.65 s (0.63–0.70)``."""
    return f"{statistics.median(values_s):.3f} s ({min(values_s):.3f}–{max(values_s):.3f})"


def described(captures: Iterable[Capture]) -> list[str]:
    """A line for each capture."""
    return [
        f"- {one.key}: {one.packets:,} packets in {one.connections:,} connections of {one.requests} request"
        f"{'s' if one.requests > 1 else ''}, {one.response_bytes:,} bytes each, {one.clients} × {one.servers} addresses"
        f", {one.path.stat().st_size / 1e6:,.1f} MB"
        f"{f' by {one.packer}' if one.packer else ''}"
        for one in captures
    ]


def machine() -> str:
    """Processor, cores, kernel, versions and how busy it is, in one line."""
    info = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    model = next((line.split(":", 1)[1].strip() for line in info.splitlines() if line.startswith("model name")), "")
    parts = [model or platform.machine(), f"{os.cpu_count()} cores", f"{platform.system()} {platform.release()}"]
    parts += [f"Python {platform.python_version()}", f"rustc {first_number(['rustc', '--version'])}"]
    return ", ".join([*parts, f"load average before {LOAD_BEFORE:.1f}", time.strftime("%Y-%m-%d", time.gmtime())])
