"""``python -m bench.live``: packets a second that are captured without a drop, and what that costs; as root, on Linux.

Two network namespaces joined by a veth pair. In the one, generated short HTTP connections are sent at a rate, each
packet once; in the other they are captured. Printed: packets that reached the interface, that were captured and that
the kernel dropped, and the capturing process's CPU time. The tool ``moments`` is ``live`` with a report each second.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.captures import Capture
from bench.instructions import EXAMPLES, ROOT

_SENDER, _RECEIVER = "pcapwatch-bench-a", "pcapwatch-bench-b"
_INTERFACE = "v0"
_PACKETS_PER_CONNECTION = 10


@dataclass(frozen=True, slots=True)
class Measured:
    """One run: packets sent, at the interface, captured, dropped; seconds of sending and of CPU time."""

    sent: int
    arrived: int
    captured: int
    dropped: int
    seconds: float
    cpu_s: float
    besides: str = ""

    def __str__(self) -> str:
        """In one line."""
        rate, cpu = self.sent / self.seconds, self.cpu_s / self.seconds
        lost = (
            "every packet accounted for" if self.captured + self.dropped == self.arrived else "PACKETS UNACCOUNTED FOR"
        )
        return (
            f"{rate:>9,.0f} packets/s for {self.seconds:.1f} s: sent {self.sent:,}, arrived {self.arrived:,}, "
            f"captured {self.captured:,}, dropped {self.dropped:,} ({lost}); "
            f"CPU {self.cpu_s:.2f} s = {cpu:.0%} of a core{self.besides}"
        )


def main() -> None:
    """Runs what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench.live", description=__doc__)
    parser.add_argument("--rate", type=int, default=500_000, help="packets a second; 0: as fast as they are sent")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--ring", type=int, default=64, help="MiB of the ring; a small one drops on purpose")
    parser.add_argument("--senders", type=int, default=2, help="processes that send")
    parser.add_argument("--clients", type=int, default=1, help="each adds 3,529 connections that stay in memory")
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--tool", choices=sorted(TOOLS), action="append", help="repeatable; all by default")
    asked = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("bench.live: needs root, for network namespaces")
    subprocess.run(
        ["cargo", "build", "--release", "--locked", "-q", "-p", "pcapwatch-engine", "--examples"], cwd=ROOT, check=True
    )
    connections = round((asked.rate or 1_000_000) * asked.seconds / _PACKETS_PER_CONNECTION) + 100
    capture = Capture("live", connections, clients=asked.clients)
    capture.make()
    with _namespaces():
        for _ in range(asked.runs):
            for tool in asked.tool or sorted(TOOLS):
                print(f"{tool:6} {measure(tool, capture, asked)}", flush=True)


def measure(tool: str, capture: Capture, asked: argparse.Namespace) -> Measured:
    """One run of a tool."""
    with tempfile.TemporaryDirectory() as scratch:
        command = TOOLS[tool](Path(scratch), asked.ring << 20)
        before = _arrived()
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            if process.stdin is None or process.stdout is None:
                sys.exit("bench.live: no pipes")
            process.stdout.readline()
            sent = _send(capture, asked.rate, asked.seconds, asked.senders)
            process.stdin.close()
            said = process.stdout.read()
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            sys.exit(f"bench.live: {command[0]} ended with {process.returncode}: {said}")
        counters = json.loads(said.splitlines()[-1])
    cpu_s = used.ru_utime + used.ru_stime
    arrived = _arrived() - before
    captured, dropped = counters["packets"], counters["kernel_drops"]
    return Measured(int(sent["sent"]), arrived, captured, dropped, sent["seconds"], cpu_s, _reports(counters))


def _reports(counters: dict[str, Any]) -> str:
    if not counters.get("moments"):
        return ""
    made, longest = counters["moments"], 1000 * counters["longest_s"]
    return (
        f"; {made} reports meanwhile, the longest stop {longest:.0f} ms, {counters['tracked']:,} connections in memory"
    )


def _ring(_scratch: Path, ring_bytes: int) -> list[str]:
    return [str(EXAMPLES / "ring_rate"), _options(ring_bytes)]


def _write(scratch: Path, ring_bytes: int) -> list[str]:
    return [*_ring(scratch, ring_bytes), str(scratch / "packets")]


def _live(_scratch: Path, ring_bytes: int) -> list[str]:
    return [sys.executable, "-m", "bench.capture", _options(ring_bytes)]


def _moments(scratch: Path, ring_bytes: int) -> list[str]:
    return [*_live(scratch, ring_bytes), "moments"]


#: Name: the command for a scratch folder and the bytes of a ring. It says a line once it captures, counters at its end.
TOOLS = {"ring": _ring, "write": _write, "live": _live, "moments": _moments}


def _options(ring_bytes: int) -> str:
    return json.dumps({"interface": _INTERFACE, "netns": _RECEIVER, "ring_bytes": ring_bytes})


def _send(capture: Capture, rate: int, seconds: float, senders: int) -> dict[str, float]:
    """Packets sent, and seconds; each sender has a part of the connections and of the rate."""

    def start(part: int) -> subprocess.Popen[str]:
        arguments = [_INTERFACE, str(capture.path), str(rate / senders), str(seconds), str(part), str(senders)]
        command = ["ip", "netns", "exec", _SENDER, sys.executable, "-m", "bench.sender", *arguments]
        return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)

    told = [
        json.loads(process.communicate()[0].splitlines()[-1]) for process in [start(part) for part in range(senders)]
    ]
    return {"sent": sum(one["sent"] for one in told), "seconds": max(one["seconds"] for one in told)}


def _arrived() -> int:
    shown = subprocess.run(
        ["ip", "-n", _RECEIVER, "-s", "-j", "link", "show", _INTERFACE], check=True, capture_output=True, text=True
    )
    return int(json.loads(shown.stdout)[0]["stats64"]["rx"]["packets"])


@contextmanager
def _namespaces() -> Iterator[None]:
    try:
        for name in (_SENDER, _RECEIVER):
            _ip("netns", "add", name)
            # Nothing but what is sent shall be on the wire.
            _ip("netns", "exec", name, "sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1")
        _ip("-n", _SENDER, "link", "add", _INTERFACE, "type", "veth", "peer", "name", _INTERFACE, "netns", _RECEIVER)
        for name in (_SENDER, _RECEIVER):
            _ip("-n", name, "link", "set", _INTERFACE, "up")
        yield
    finally:
        for name in (_SENDER, _RECEIVER):
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


if __name__ == "__main__":
    main()
