"""``python -m bench.soak --minutes 30``: a live capture for long, at a high rate of connections; as root, on Linux.

Two network namespaces joined by a veth pair: ``ab`` in the one, nginx in the other, a connection for each request. The
capture runs in this process as `pcapwatch live` runs it, its host watched. Printed once a minute: memory, what was
taken, how long a report stopped the capture, TIME_WAIT by the kernel and by the wire. At the end: what drifted.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pcapwatch.live.moment import Moment
from pcapwatch.live.session import IDLE_EXPIRY, RingOptions, Session, open_interface
from pcapwatch.settings import Settings

CLIENT, SERVER, INTERFACE = "pcapwatch-soak-a", "pcapwatch-soak-b", "soak0"
_CONFIG = """
daemon off; master_process off; worker_processes 1; pid {at}/pid; error_log {at}/error crit;
events {{ worker_connections 1024; }}
http {{
  access_log off; client_body_temp_path {at}/a; proxy_temp_path {at}/b; fastcgi_temp_path {at}/c;
  uwsgi_temp_path {at}/d; scgi_temp_path {at}/e;
  server {{ listen 80 backlog=1024; location / {{ return 200 "hello"; }} }}
}}
"""


@dataclass
class Seen:
    """memory: MiB by the minute; outside: samples in which the wire's band did not hold the kernel's count."""

    memory: list[float] = field(default_factory=list)
    pauses_s: list[float] = field(default_factory=list)
    samples: int = 0
    outside: list[str] = field(default_factory=list)

    def note(self, moment: Moment) -> None:
        """One sample."""
        self.pauses_s.append(moment.counters.snapshot_pause_s)
        host = moment.host
        if host is None or host.wire is None:
            return
        self.samples += 1
        least, most = host.wire
        if not least <= host.time_waits <= most:
            self.outside.append(f"{moment.at:%H:%M:%S}: kernel {host.time_waits:,}, wire {least:,} to {most:,}")


def main() -> None:
    """Soaks, and prints."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--rate", type=int, default=2000, help="connections a second, about")
    parser.add_argument("--every", type=float, default=2, help="seconds from one report to the next")
    asked = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("python -m bench.soak: it makes network namespaces: run it as root")
    with _namespaces(), tempfile.TemporaryDirectory(prefix="pcapwatch-soak-") as scratch, _served(Path(scratch)):
        settings = Settings(idle_expiry=IDLE_EXPIRY)
        with open_interface(RingOptions(INTERFACE, netns=SERVER), settings, watch_host=True) as session:
            seen = soak(session, asked)
            conclude(session, seen)


def soak(session: Session, asked: argparse.Namespace) -> Seen:
    """The load, and a line a minute."""
    seen, begun_s, previous = Seen(), time.monotonic(), session.counters
    due_s, minute_s = begun_s, begun_s
    load: subprocess.Popen[bytes] | None = None
    while time.monotonic() - begun_s < 60 * asked.minutes:
        if (load is None or load.poll() is not None) and time.monotonic() >= due_s:
            load, due_s = _load(asked.rate), time.monotonic() + 1
        session.advance(0.2)
        if session.counters.elapsed_s - previous.elapsed_s < asked.every:
            continue
        moment = session.moment(previous)
        previous = moment.counters
        seen.note(moment)
        if time.monotonic() >= minute_s:
            minute_s += 60
            print(_line(moment, seen), flush=True)
    if load is not None:
        load.wait()
    session.advance(1)
    return seen


def _load(connections: int) -> subprocess.Popen[bytes]:
    command = ["ip", "netns", "exec", CLIENT, "nice", "ab", "-q", "-r", "-c", "8", "-n", str(connections)]
    return subprocess.Popen([*command, "http://10.98.0.2/"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _line(moment: Moment, seen: Seen) -> str:
    counters = moment.counters
    seen.memory.append(_memory_mib())
    waits = f"TIME_WAIT kernel {moment.host.time_waits:,} wire {moment.host.wire}" if moment.host else ""
    return (
        f"{counters.elapsed_s / 60:5.1f} min  {seen.memory[-1]:6.1f} MiB  {counters.packets:>12,} packets  "
        f"{counters.connections:>10,} connections, {counters.tracked_connections:>8,} in memory  "
        f"drops {counters.kernel_drops}  stopped {1000 * counters.snapshot_pause_s:5.1f} ms  {waits}"
    )


def conclude(session: Session, seen: Seen) -> None:
    """The capture's end, and what drifted."""
    report = session.conclude()
    counters, arrived = session.counters, _arrived()
    print(f"packets: taken {counters.packets:,} + dropped {counters.kernel_drops:,} of {arrived:,} at the interface")
    print(f"connections: {report.totals['connections']:,}; evicted {counters.evicted_connections:,}")
    first = seen.memory[min(6, len(seen.memory) - 1)]  # when the tables are full: after the idle expiry of 5 minutes
    print(f"memory: {first:.1f} MiB once the tables were full, {seen.memory[-1]:.1f} MiB at the end")
    pauses = sorted(seen.pauses_s)
    middle, most = 1000 * pauses[len(pauses) // 2], 1000 * pauses[-1]
    print(f"a report stopped the capture for {middle:.1f} ms (median), {most:.1f} ms at most")
    print(f"band: the kernel's count lay outside it in {len(seen.outside)} of {seen.samples} samples")
    print("\n".join(seen.outside[:10]))


def _memory_mib() -> float:
    resident = int(Path("/proc/self/statm").read_text().split()[1])
    return resident * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


def _arrived() -> int:
    done = _ip("-n", SERVER, "-j", "-s", "link", "show", INTERFACE)
    counted = json.loads(done)[0]["stats64"]
    return int(counted["rx"]["packets"] + counted["tx"]["packets"])


@contextmanager
def _served(at: Path) -> Iterator[None]:
    config = at / "nginx.conf"
    config.write_text(_CONFIG.format(at=at))
    with subprocess.Popen(
        ["ip", "netns", "exec", SERVER, "nginx", "-c", str(config), "-e", str(at / "early")]
    ) as nginx:
        time.sleep(0.5)
        try:
            yield
        finally:
            nginx.terminate()


@contextmanager
def _namespaces() -> Iterator[None]:
    try:
        for name in (CLIENT, SERVER):
            _ip("netns", "add", name)
            _ip("-n", name, "link", "set", "lo", "up")
        _ip("link", "add", INTERFACE, "netns", SERVER, "type", "veth", "peer", "name", "soak1", "netns", CLIENT)
        for name, interface, address in ((CLIENT, "soak1", "10.98.0.1/24"), (SERVER, INTERFACE, "10.98.0.2/24")):
            _ip("-n", name, "addr", "add", address, "dev", interface)
            _ip("-n", name, "link", "set", interface, "up")
        yield
    finally:
        for name in (CLIENT, SERVER):
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


def _ip(*words: str) -> str:
    return subprocess.run(["ip", *words], check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    main()
