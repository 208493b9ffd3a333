"""Instructions of the engine per packet, held against a committed baseline: `make instructions`.

Wall time on a shared machine says little within 10 %; what valgrind counts repeats within 0.1 %, for it runs the
program itself, one thread, on a capture of the seeded generator. The count of a capture without packets is taken off,
so that what is left is the work per packet. It depends on rustc and a little on the processor (which memcpy glibc
chooses), so the baseline names both.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release" / "examples"
BASELINE = ROOT / "bench" / "instructions.json"
#: A kind of traffic that takes this much more of the engine than the baseline says fails.
TOLERANCE = 0.10
#: About 500,000 packets of short connections, 100,000 of bulk: short connections, and long ones with large responses.
TRAFFIC = {
    "short": ["--connections", "50000"],
    "bulk": ["--connections", "100", "--requests", "10", "--response-bytes", "100000"],
}
_COUNTED = re.compile(r"Collected : (\d+)")


def first_number(command: list[str]) -> str:
    """The version in what a tool says of itself."""
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.search(r"\d+(?:\.\d+)+", said)
    return found[0] if found else said.strip()


def count(capture: Path) -> tuple[int, int]:
    """Instructions of a whole run of the engine on one thread, and the packets it read."""
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", str(EXAMPLES / "engine_rate")]
    done = subprocess.run([*command, str(capture)], capture_output=True, text=True, check=False)
    counted = _COUNTED.search(done.stderr)
    if done.returncode or not counted:
        sys.exit(f"instructions: {' '.join(done.args)} ended with {done.returncode}: {done.stderr[-500:]}")
    return int(counted[1]), json.loads(done.stdout)["packets"]


def measure() -> dict[str, float]:
    """Instructions per packet of each kind of traffic, without what an empty capture takes."""
    with tempfile.TemporaryDirectory() as folder:
        start_up, _ = count(_made(Path(folder), "empty", ["--connections", "0"]))
        per_packet = {}
        for name, traffic in TRAFFIC.items():
            instructions, packets = count(_made(Path(folder), name, traffic))
            per_packet[name] = round((instructions - start_up) / packets, 1)
    return per_packet


def _made(folder: Path, name: str, traffic: list[str]) -> Path:
    capture = folder / f"{name}.pcap"
    command = [str(EXAMPLES / "generate"), *traffic, "--out", str(capture)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return capture


def compare(now: dict[str, float], baseline: dict[str, float]) -> list[str]:
    """A line for each kind of traffic that takes over 10 % more than the baseline, or that only one of them has."""
    wrong = [f"{name}: measured or in the baseline, but not both" for name in sorted(now.keys() ^ baseline.keys())]
    for name in sorted(now.keys() & baseline.keys()):
        if now[name] > round(baseline[name] * (1 + TOLERANCE), 1):
            growth = now[name] / baseline[name] - 1
            wrong.append(f"{name}: {now[name]:,.1f} instructions per packet, {growth:+.1%} on {baseline[name]:,.1f}")
    return wrong


def circumstances() -> dict[str, str]:
    """What the numbers depend on besides the engine's source."""
    cargo = (ROOT / "Cargo.toml").read_text()
    version = re.search(r'^version = "(.*)"', cargo, re.MULTILINE)
    return {
        "engine": version[1] if version else "",
        "rustc": first_number(["rustc", "--version"]),
        "valgrind": first_number(["valgrind", "--version"]),
    }


def other_compiler(then: str, now: str) -> str:
    """A warning if major.minor of rustc differ, else nothing: code generation alone may move the count."""
    if then.split(".")[:2] == now.split(".")[:2]:
        return ""
    return f"the baseline was counted with rustc {then}, this is {now}: a change may be the compiler's"


def report(now: dict[str, float], baseline: dict[str, Any], here: dict[str, str]) -> int:
    """Print both and what follows; the exit status."""
    for name, value in now.items():
        then = baseline["per_packet"].get(name)
        beside = f", baseline {then:,.1f} ({value / then - 1:+.1%})" if then else ""
        print(f"{name}: {value:,.1f} instructions per packet{beside}")
    if note := other_compiler(baseline["rustc"], here["rustc"]):
        print(f"note: {note}")
    if any(now.get(name, then) < (1 - TOLERANCE) * then for name, then in baseline["per_packet"].items()):
        print("note: over 10 % fewer than the baseline: `make instructions-baseline` keeps what was gained")
    wrong = compare(now, baseline["per_packet"])
    for complaint in wrong:
        print(f"instructions: {complaint}", file=sys.stderr)
    if wrong:
        print(
            f"instructions: the hot path grew by more than {TOLERANCE:.0%}. Find out why; if it must be so, run"
            " `make instructions-baseline` and commit bench/instructions.json with the reason.",
            file=sys.stderr,
        )
    return 1 if wrong else 0


def main() -> None:
    """Compare with the baseline, or with ``--write`` make it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="make what is counted now the baseline")
    writes = parser.parse_args().write
    here, now = circumstances(), measure()
    if writes:
        BASELINE.write_text(json.dumps({**here, "per_packet": now}, indent=2) + "\n")
        print(f"{BASELINE.relative_to(ROOT)}: {now}")
        return
    sys.exit(report(now, json.loads(BASELINE.read_text()), here))


if __name__ == "__main__":
    main()
