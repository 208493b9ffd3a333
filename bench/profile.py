"""Where the engine's instructions go, stage by stage: `make profile` writes bench/PROFILE.md.

callgrind's own output says for each line of source how many instructions it took, inlined or not. A line of the engine
belongs to its stage; one of a library belongs to the stage of the function that it was inlined into; what libc does is
told apart.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from bench.instructions import EXAMPLES, ROOT, TRAFFIC, _made, circumstances

RESULT = ROOT / "bench" / "PROFILE.md"
PROSE = ROOT / "bench" / "profile.txt"
#: Stage by the folder of a source file, or the module of a function.
STAGES = {
    "capture": "capture: bytes into packets",
    "decode": "decode: packets into segments",
    "engine": "engine: dealing segments to shards",
    "tcp": "tcp: flow table, state machines, TIME_WAIT evidence",
    "http": "http: heads, framing, persistence",
    "ledger": "ledger: totals, hosts, pairs, timelines",
    "record": "tcp: flow table, state machines, TIME_WAIT evidence",
}
LIBC = "libc: allocation, copying"
OTHER = "other libraries"
_NAME = re.compile(r"(fn|cfn|fl|fi|fe|cfi|cfl)=\((\d+)\)(?: (.*))?")
_COST = re.compile(r"[+\-*]?\d* (\d+)")
_FILE = re.compile(r"engine/src/(\w+)")
_WIRING = re.compile(r"pcapwatch_engine::engine::workers::Office|pcapwatch_engine::engine::analyze|engine_rate::main")
_MODULE = re.compile(r"pcapwatch_engine::(\w+)")


def stage(file: str, function: str) -> str:
    """The stage that a line of this file costs when it is part of this function."""
    found = _FILE.search(file) or _MODULE.search(function)
    if not _FILE.search(file) and _WIRING.search(function):
        # What the compiler put into the wiring is that of the stages it calls.
        return STAGES["decode" if "Office" in function else "tcp"]
    if found and found[1] in STAGES:
        return STAGES[found[1]]
    if "httparse" in function:
        return STAGES["http"]
    return LIBC if "libc" in file or "malloc" in file or "sysdeps" in file or "string/" in file else OTHER


def by_stage(lines: Iterable[str]) -> Counter[str]:
    """Instructions of each stage in callgrind's output."""
    names: dict[tuple[str, str], str] = {}
    cost: Counter[str] = Counter()
    function = file = ""
    is_call = False
    for line in lines:
        if named := _NAME.match(line):
            kind, number, name = named.groups()
            space = "fn" if kind in ("fn", "cfn") else "fl"
            if name:
                names[space, number] = name
            if kind == "fn":
                function = names[space, number]
            if kind in ("fl", "fi", "fe"):
                file = names[space, number]
        elif line.startswith("calls="):
            is_call = True
        elif counted := _COST.match(line):
            if not is_call:
                cost[stage(file, function)] += int(counted[1])
            is_call = False
    return cost


def profile(capture: Path, folder: Path) -> Counter[str]:
    """Instructions of one run by stage."""
    out = folder / "callgrind.out"
    command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", str(EXAMPLES / "engine_rate")]
    done = subprocess.run([*command, str(capture)], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"profile: {' '.join(done.args)} ended with {done.returncode}: {done.stderr[-500:]}")
    return by_stage(out.read_text().splitlines())


def measure() -> dict[str, Counter[str]]:
    """Instructions of each kind of traffic by stage, without those of an empty capture."""
    measured = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        start_up = profile(_made(folder, "empty", ["--connections", "0"]), folder)
        for kind, traffic in TRAFFIC.items():
            capture = _made(folder, kind, traffic)
            cost = profile(capture, folder)
            cost.subtract(start_up)
            packets = _packets(capture)
            measured[kind] = Counter({stage: round(count / packets) for stage, count in cost.items()})
    return measured


def _packets(capture: Path) -> int:
    done = subprocess.run([str(EXAMPLES / "engine_rate"), str(capture)], capture_output=True, text=True, check=True)
    found = re.search(r'"packets":(\d+)', done.stdout)
    return int(found[1]) if found else 1


def table(measured: dict[str, Counter[str]]) -> str:
    """Markdown."""
    kinds = list(measured)
    lines = ["| instructions per packet | " + " | ".join(kinds) + " |", "|---|" + "--:|" * len(kinds)]
    stages = sorted({stage for cost in measured.values() for stage in cost}, key=lambda s: -measured[kinds[0]][s])
    lines += [f"| {name} | " + " | ".join(f"{measured[kind][name]:,}" for kind in kinds) + " |" for name in stages]
    total = " | ".join(f"{sum(measured[kind].values()):,}" for kind in kinds)
    return "\n".join([*lines, f"| **all** | {total} |"])


def main() -> None:
    """Write bench/PROFILE.md."""
    here = ", ".join(f"{name} {version}" for name, version in circumstances().items())
    text = "# Where the instructions go\n\n"
    text += f"Made by `make profile` ({here}); the text below the table is bench/profile.txt.\n\n"
    text += table(measure()) + "\n\n" + PROSE.read_text()
    RESULT.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
