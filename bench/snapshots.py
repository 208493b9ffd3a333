"""``python -m bench.snapshots``: what a report costs a live capture, by the number of connections in memory.

A generated capture of short HTTP connections is taken by the live engine; then it is asked how things stand. Printed:
the time for which taking packets stood still, and the CPU time of the engine's answer, medians; beside them, how often
a report can be made if capturing is to stand still for no more than 5 % of the time.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from typing import Any

from bench.captures import Capture
from pcapwatch import _engine
from pcapwatch.live.session import IDLE_EXPIRY
from pcapwatch.settings import Settings

#: Connections in memory, and the clients that make them: the generator gives each 3,529 ports or more.
SIZES = ((10_000, 1), (100_000, 29), (250_000, 71))
_SHARE = 0.05


def main() -> None:
    """Makes, takes, asks, prints."""
    parser = argparse.ArgumentParser(prog="python -m bench.snapshots", description=__doc__)
    parser.add_argument("--runs", type=int, default=9)
    asked = parser.parse_args()
    for connections, clients in SIZES:
        capture = Capture("snapshots", connections, clients=clients)
        capture.make()
        live = _engine.Live.open_stream([capture.path], Settings(idle_expiry=IDLE_EXPIRY).to_engine())
        while live.run(1):
            pass
        stopped_s, cpu_s = zip(*(_ask(live) for _ in range(asked.runs)), strict=True)
        stopped, cpu = statistics.median(stopped_s), statistics.median(cpu_s)
        tracked = _counters(live)["tracked_connections"]
        cost = f"stood still for {1000 * stopped:.1f} ms, CPU {1000 * cpu:.1f} ms"
        print(f"{tracked:>8,} connections in memory: {cost}; every {stopped / _SHARE:.1f} s at most")


def _ask(live: Any) -> tuple[float, float]:
    begun_s = time.process_time()
    live.snapshot()
    return _counters(live)["snapshot_pause_s"], time.process_time() - begun_s


def _counters(live: Any) -> dict[str, Any]:
    counters: dict[str, Any] = json.loads(live.counters_json())
    return counters


if __name__ == "__main__":
    main()
