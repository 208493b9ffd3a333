"""A live session as ``python -m bench.live`` measures it, until its input is closed.

Ring, engine and report; with ``moments`` a provisional report each second besides, as often as
`pcapwatch live` affords it.
"""

from __future__ import annotations

import json
import sys
import threading
import time

from pcapwatch.live.session import IDLE_EXPIRY, RingOptions, Session, open_interface
from pcapwatch.settings import Settings

#: As in `pcapwatch live`: the share of the time that reports may take, and seconds from one to the next at least.
_SHARE, _INTERVAL_S = 0.05, 1.0


class _Moments:
    """Reports meanwhile: how many, and the longest that one stopped capturing."""

    def __init__(self, session: Session) -> None:
        self.made, self.longest_s = 0, 0.0
        self._session, self._due_s = session, time.monotonic() + _INTERVAL_S

    def look(self) -> None:
        """Makes one if it is time."""
        if time.monotonic() < self._due_s:
            return
        moment = self._session.moment(None)
        self.made += 1
        self.longest_s = max(self.longest_s, self._session.counters.snapshot_pause_s)
        self._due_s = time.monotonic() + max(_INTERVAL_S - moment.cost_s, moment.cost_s / _SHARE)


def main() -> None:
    """Options of the interface as JSON; says ``ready``, and at the end the counters."""
    over = threading.Event()

    def wait() -> None:
        sys.stdin.read()
        over.set()

    options = RingOptions(**json.loads(sys.argv[1]))
    with open_interface(options, Settings(idle_expiry=IDLE_EXPIRY)) as session:
        print("ready", flush=True)
        threading.Thread(target=wait, daemon=True).start()
        moments = _Moments(session)
        while not over.is_set():
            session.advance(0.1)
            if "moments" in sys.argv:
                moments.look()
        tracked = session.counters.tracked_connections
        session.conclude()
        counters = session.counters
        told = {"packets": counters.packets, "kernel_drops": counters.kernel_drops, "tracked": tracked}
        print(json.dumps({**told, "moments": moments.made, "longest_s": moments.longest_s}))


if __name__ == "__main__":
    main()
