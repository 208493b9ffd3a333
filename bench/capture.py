"""A live session as ``python -m bench.live`` measures it: ring, engine and report, until its input is closed."""

from __future__ import annotations

import json
import sys
import threading

from pcapwatch.live.session import RingOptions, open_interface
from pcapwatch.settings import Settings


def main() -> None:
    """Options of the interface as JSON; says ``ready``, and at the end the counters."""
    over = threading.Event()

    def wait() -> None:
        sys.stdin.read()
        over.set()

    options = RingOptions(**json.loads(sys.argv[1]))
    with open_interface(options, Settings()) as session:
        print("ready", flush=True)
        threading.Thread(target=wait, daemon=True).start()
        while not over.is_set():
            session.advance(0.1)
        session.conclude()
        counters = session.counters
        print(json.dumps({"packets": counters.packets, "kernel_drops": counters.kernel_drops}))


if __name__ == "__main__":
    main()
