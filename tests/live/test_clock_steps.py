"""A clock that steps while packets are captured: it is said, nothing falls that must not, and the end is `analyze`'s.

The system's own clock cannot be stepped for a test: Linux's time namespaces have a monotonic clock of their own and no
time of day, and `date -s` would set the machine's. So the step is in the packets' times, as the kernel would have
stamped them, and they come through a pipe.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from live.moments import records
from places import ROOT

from pcapwatch.live.families import Families
from pcapwatch.live.moment import Moment
from pcapwatch.live.session import IDLE_EXPIRY, open_stream
from pcapwatch.settings import Settings

CAPTURE = ROOT / "fixtures" / "nginx-keepalive-off" / "capture.pcap"
STEPS = {"an hour back": -3600, "two seconds back": -2, "an hour on": 3600, "ten days on": 864_000}


def stepped(capture: bytes, seconds: int) -> tuple[bytes, bytes]:
    """A little-endian pcap in two halves, between two connections, the times of the second one moved."""
    packets = records(capture)
    gaps = [(b[0] - a[0], a[2]) for a, b in pairwise(packets)]
    at = max(gaps[len(gaps) // 4 : 3 * len(gaps) // 4])[1]
    second, place = bytearray(capture[at:]), 0
    while place < len(second):
        since = int.from_bytes(second[place : place + 4], "little")
        second[place : place + 4] = (since + seconds).to_bytes(4, "little")
        place += 16 + int.from_bytes(second[place + 8 : place + 12], "little")
    return capture[:at], bytes(second)


@pytest.mark.parametrize("step", STEPS)
def test_a_step_while_capturing(step: str) -> None:
    """Before it, after it and at the end: closers are the packets', counters never fall, no length is negative."""
    first, second = stepped(CAPTURE.read_bytes(), STEPS[step])
    reader, writer = os.pipe()
    kept = os.dup(0)
    os.dup2(reader, 0)
    os.close(reader)
    try:
        moments = list(_watched(writer, first, second))
        report = moments.pop()
    finally:
        os.dup2(kept, 0)
        os.close(kept)
    families = Families()
    before: dict[tuple[str, ...], float] = {}
    for moment in moments:
        now = {(one.name, *key): n for one in families.of(moment) if one.counter for key, n in one.samples.items()}
        assert all(now[key] >= number for key, number in before.items())
        before = now
        for row in moment.report.waiting:
            assert 0 <= row.at_end[0] <= row.at_end[1] <= row.entered
    told, plain = json.loads(report.to_json()), analyzed(CAPTURE.read_bytes())
    assert told == analyzed(first + second)
    assert told["totals"]["active_closer"] == plain["totals"]["active_closer"]
    assert told["totals"]["connections"] == plain["totals"]["connections"]
    said = [text for text in told["capture"]["concerns"] if "older than the one before" in text]
    assert bool(said) is (STEPS[step] < 0)


def _watched(writer: int, first: bytes, second: bytes) -> Any:
    """Moments while a pipe is fed, and at last the report."""
    with open_stream(["-"], Settings(idle_expiry=IDLE_EXPIRY)) as session:
        previous = None
        for half in (first, second):
            os.write(writer, half)
            packets = 0 if previous is None else previous.packets
            until = time.monotonic() + 20
            while session.counters.packets <= packets and time.monotonic() < until:
                session.advance(0.1)
            session.advance(0.3)
            moment = session.moment(previous)
            yield moment
            previous = moment.counters
        os.close(writer)
        while session.advance(0.1):
            pass
        yield session.conclude()


def analyzed(capture: bytes) -> dict[str, Any]:
    """What `analyze` says of a pipe with the same, in a process of its own."""
    script = "import sys, pcapwatch; print(pcapwatch.analyze('-', idle_expiry=sys.argv[1]).to_json())"
    done = subprocess.run([sys.executable, "-c", script, IDLE_EXPIRY], input=capture, capture_output=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_line_of_a_moment_before_the_one_before() -> None:
    """The machine's clock stepped back between two moments: ages are no less than nothing."""
    with open_stream([str(CAPTURE)], Settings()) as session:
        while session.advance(0.1):
            pass
        moment: Moment = session.moment(None)
    earlier = moment.recounted(moment.at - timedelta(hours=1), moment.counters)
    assert earlier.age_s == 0
