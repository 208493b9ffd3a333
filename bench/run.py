"""Time pcapwatch beside its neighbours on a generated capture: `make bench`.

Every tool reads the same file, warm in the page cache, the tools taking turns within a round so that a busy moment of
the machine hurts all of them alike; the figures are medians over the rounds. Wall time is from fork to exit; CPU time
and peak memory are the child's (wait4). Prints the table and writes it to bench/RESULTS.md.
"""

import argparse
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "bench" / "data"
EXAMPLES = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release" / "examples"
PACKETS_PER_CONNECTION = 10
ENGINE_TARGET_PACKETS_PER_S = 3_000_000
SMALL_PACKETS = 1_000
SMALL_TARGET_S = 0.25
#: Bytes kept of what a tool printed.
OUTPUT_TAIL = 65_536
#: How busy the machine was with other things: above 0.5 or so the walls are too long, and only their ratios tell.
LOAD_BEFORE = os.getloadavg()[0]


@dataclass
class Tool:
    """A command to time. `command` None: not installed."""

    name: str
    command: list[str] | None
    version: str
    wall_s: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)
    peak_bytes: list[int] = field(default_factory=list)
    output: str = ""

    def run(self) -> None:
        """Run once and note wall seconds and peak memory; a failing command ends the benchmark."""
        if self.command is None:
            return
        with tempfile.TemporaryFile() as out:
            begun = time.perf_counter()
            child = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
            _, status, usage = os.wait4(child.pid, 0)
            self.wall_s.append(time.perf_counter() - begun)
            child.returncode = os.waitstatus_to_exitcode(status)
            # The end is enough: all of it would swell this process, and a child's peak counts its parent's.
            out.seek(max(0, out.seek(0, os.SEEK_END) - OUTPUT_TAIL))
            self.output = out.read().decode(errors="replace")
        if child.returncode:
            sys.exit(f"bench: {' '.join(self.command)} ended with {child.returncode}: {self.output[-300:]}")
        self.cpu_s.append(usage.ru_utime + usage.ru_stime)
        self.peak_bytes.append(usage.ru_maxrss * 1024)


def version(command: list[str]) -> str:
    """The first thing that looks like a version in what a tool says of itself; empty if it is not installed."""
    if shutil.which(command[0]) is None:
        return ""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(r"\d+\.\d+(\.\d+)*", done.stdout + done.stderr)
    return found[0] if found else ""


def warm(capture: Path) -> None:
    """Bring the file into the page cache, a piece at a time: a child's peak counts what this process once held."""
    with capture.open("rb") as file:
        while file.read(1 << 20):
            pass


def floor() -> Tool:
    """A command that needs no memory; no peak below its own can be told, for a child starts as a copy of us."""
    nothing = Tool("true", ["true"], "")
    nothing.run()
    return nothing


def generate(name: str, connections: int) -> Path:
    """A capture of `connections` short HTTP connections in bench/data, made once."""
    path = DATA / f"{name}-{connections}.pcap"
    if not path.exists():
        DATA.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".part")
        command = [str(EXAMPLES / "generate"), "--connections", str(connections), "--out", str(partial)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        partial.rename(path)
    return path


def pcapwatch() -> str:
    """The command of the environment that runs this script."""
    return str(Path(sys.executable).with_name("pcapwatch"))


def tools(capture: Path, scratch: Path) -> list[Tool]:
    """Everything that is timed on `capture`; what is not installed stays in the list without a command."""
    file = str(capture)
    wanted: list[tuple[str, list[str], list[str]]] = [
        ("engine, 1 thread", [str(EXAMPLES / "engine_rate"), file], [pcapwatch(), "--version"]),
        ("pcapwatch analyze", [pcapwatch(), "analyze", file], [pcapwatch(), "--version"]),
        ("tcpdump, FIN filter", ["tcpdump", "-nr", file, "tcp[13]&1!=0", "-w", os.devnull], ["tcpdump", "--version"]),
        ("tcptrace", ["tcptrace", "-n", file], ["tcptrace", "-v"]),
        ("nfpcapd", ["nfpcapd", "-r", file, "-w", str(scratch)], ["nfdump", "-V"]),
        ("tshark conv,tcp", ["tshark", "-n", "-q", "-z", "conv,tcp", "-r", file], ["tshark", "--version"]),
    ]
    return [Tool(name, command if shutil.which(command[0]) else None, version(v)) for name, command, v in wanted]


def mib(tool: Tool) -> str:
    """Median peak memory."""
    return f"{statistics.median(tool.peak_bytes) / 2**20:,.0f} MiB"


def table(timed: list[Tool], packets: int) -> list[str]:
    """The Markdown table, each tool's wall time as a multiple of `pcapwatch analyze`'s."""
    own = statistics.median(next(t for t in timed if t.name == "pcapwatch analyze").wall_s)
    columns = ["tool", "wall (median)", "CPU", "packets/s", "wall ÷ pcapwatch's", "peak memory", "version"]
    rows = [f"| {' | '.join(columns)} |", "|---|--:|--:|--:|--:|--:|---|"]
    for tool in timed:
        if tool.command is None:
            rows.append(f"| {tool.name} | not installed | | | | | |")
            continue
        wall = statistics.median(tool.wall_s)
        cpu = statistics.median(tool.cpu_s)
        figures = f"{wall:.2f} s | {cpu:.2f} s | {packets / wall:,.0f} | {wall / own:.2f} | {mib(tool)}"
        rows.append(f"| {tool.name} | {figures} | {tool.version} |")
    return rows


def verdict(what: str, *, met: bool) -> str:
    """One line that says whether a target was met."""
    return f"- {what}: {'met' if met else 'MISSED'}"


def targets(engine_rates: list[int], small: Tool) -> list[str]:
    """The two promises of the design beside what was measured."""
    rate = statistics.median(engine_rates)
    small_s = statistics.median(small.wall_s)
    return [
        verdict(
            f"engine on one thread, its own clock: {rate:,.0f} packets/s, {ENGINE_TARGET_PACKETS_PER_S:,} wanted",
            met=rate >= ENGINE_TARGET_PACKETS_PER_S,
        ),
        verdict(
            f"`pcapwatch analyze` of {SMALL_PACKETS:,} packets: {small_s:.3f} s, under {SMALL_TARGET_S} s wanted",
            met=small_s < SMALL_TARGET_S,
        ),
    ]


def machine() -> str:
    """Processor, cores, kernel, Python and how busy it is, in one line."""
    info = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    model = next((line.split(":", 1)[1].strip() for line in info.splitlines() if line.startswith("model name")), "")
    parts = [model or platform.machine(), f"{os.cpu_count()} cores", f"{platform.system()} {platform.release()}"]
    parts += [f"Python {platform.python_version()}", f"load average before {LOAD_BEFORE:.1f}"]
    return ", ".join(parts)


def rounds(timed: list[Tool], engine_rates: list[int], runs: int) -> None:
    """Run every tool `runs` times, taking turns, each round beginning one further down the list."""
    for number in range(runs):
        start = number % len(timed)
        for tool in timed[start:] + timed[:start]:
            tool.run()
            if tool.name.startswith("engine"):
                engine_rates.append(int(json.loads(tool.output)["packets_per_s"]))


def results(timed: list[Tool], engine_rates: list[int], small: Tool, capture: Path, runs: int, connections: int) -> str:
    """The whole text of RESULTS.md."""
    packets = connections * PACKETS_PER_CONNECTION
    size = capture.stat().st_size / 1e6
    head = [
        "# Speed",
        "",
        "Made by `make bench`; not edited by hand.",
        "",
        f"{packets:,} packets in {connections:,} short HTTP connections, {size:,.0f} MB (engine/examples/generate.rs).",
        f"Median of {runs} interleaved runs, the file in the page cache.",
        f"{machine()}; {time.strftime('%Y-%m-%d', time.gmtime())}.",
        "",
    ]
    least = f"Peaks under {mib(floor())} cannot be told apart (the launcher's own)."
    note = "The tools answer different questions: README.md, “How it compares”."
    return "\n".join([*head, *table(timed, packets), "", *targets(engine_rates, small), "", least, note, ""])


def arguments() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, default=200_000, help="10 packets each (default: 200000)")
    parser.add_argument("--runs", type=int, default=5, help="rounds; figures are medians over them (default: 5)")
    parser.add_argument("--only", help="time only the tools whose name contains this, and pcapwatch")
    parser.add_argument("--no-write", action="store_true", help="do not write bench/RESULTS.md")
    return parser.parse_args()


def main() -> None:
    """Generate, time, print, write."""
    asked = arguments()
    capture = generate("short", asked.connections)
    small = Tool("small", [pcapwatch(), "analyze", str(generate("short", SMALL_PACKETS // PACKETS_PER_CONNECTION))], "")
    warm(capture)
    engine_rates: list[int] = []
    with tempfile.TemporaryDirectory() as scratch:
        timed = tools(capture, Path(scratch))
        if asked.only:
            timed = [t for t in timed if asked.only in t.name or t.name in {"engine, 1 thread", "pcapwatch analyze"}]
        rounds(timed, engine_rates, asked.runs)
    for _ in range(max(asked.runs, 3)):
        small.run()
    text = results(timed, engine_rates, small, capture, asked.runs, asked.connections)
    print(text)
    if not asked.no_write:
        (ROOT / "bench" / "RESULTS.md").write_text(text)


if __name__ == "__main__":
    main()
