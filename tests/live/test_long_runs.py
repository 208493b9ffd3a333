"""Days of packets through a pipe, their times moved on: history is thinned, not cut off, and counters do not wrap."""

from __future__ import annotations

import os
import threading
from itertools import pairwise

from live.moments import records
from places import ROOT

from pcapwatch.live.families import Families
from pcapwatch.live.moment import Moment
from pcapwatch.live.session import IDLE_EXPIRY, open_stream
from pcapwatch.settings import Settings

CAPTURE = ROOT / "fixtures" / "nginx-keepalive-off" / "capture.pcap"
HOUR_S = 3600
#: More points of time than any history has room for, were each kept.
MOST_POINTS = 8192


def later(capture: bytes, seconds: int, wire_length: int | None = None) -> bytes:
    """The records of a little-endian pcap so much later, each of so many bytes on the wire."""
    moved = bytearray(capture[24:])
    for (_, _, end), (_, _, begin) in zip(records(capture), [(0, 0, 24), *records(capture)], strict=False):
        at = begin - 24
        since = int.from_bytes(moved[at : at + 4], "little") + seconds
        moved[at : at + 4] = since.to_bytes(4, "little")
        if wire_length is not None and end:
            moved[at + 12 : at + 16] = wire_length.to_bytes(4, "little")
    return bytes(moved)


def watched(parts: list[bytes]) -> list[Moment]:
    """A moment after each part that came through a pipe."""
    reader, writer = os.pipe()
    kept = os.dup(0)
    os.dup2(reader, 0)
    os.close(reader)

    def feed(part: bytes) -> None:
        with open(writer, "wb", closefd=False) as pipe:
            pipe.write(part)

    found: list[Moment] = []
    try:
        with open_stream(["-"], Settings(idle_expiry=IDLE_EXPIRY)) as session:
            for part in parts:
                feeding = threading.Thread(target=feed, args=(part,))
                feeding.start()
                feeding.join(60)
                before = -1
                while before < session.counters.packets or not before:
                    before = session.counters.packets
                    session.advance(0.3)
                found.append(session.moment(found[-1].counters if found else None))
            os.close(writer)
    finally:
        os.dup2(kept, 0)
        os.close(kept)
    return found


def test_the_oldest_history_is_thinned_and_not_lost() -> None:
    """A burst each hour for ten days: every day is in the band, the first one too, and its points stay bounded."""
    whole = CAPTURE.read_bytes()
    days = [b"".join(later(whole, HOUR_S * (24 * day + hour)) for hour in range(24)) for day in range(10)]
    moments = watched([whole[:24] + days[0], *days[1:]])
    points = []
    for day, moment in enumerate(moments, 1):
        busiest = max(moment.report.waiting, key=lambda host: host.entered)
        first_ns = moment.report.quality.first_ns or 0
        day_ns = 24 * HOUR_S * 1_000_000_000
        held = {(at_ns - first_ns) // day_ns for at_ns, _, most in busiest.occupancy if most}
        assert held >= set(range(day)), (day, held)
        assert busiest.peak[1] >= moments[0].report.waiting[0].peak[0]
        points.append(len(busiest.occupancy))
    assert max(points) <= MOST_POINTS
    entered = [moment.report.waiting[0].entered for moment in moments]
    assert all(after > before for before, after in pairwise(entered))
    assert entered[-1] == 10 * entered[0]


def test_counters_do_not_wrap() -> None:
    """Packets that say they were 4 GiB on the wire: bytes pass 2³² at the second one, and every total with them."""
    whole = CAPTURE.read_bytes()
    most = 0xFFFF_FFFF
    (moment,) = watched([whole[:24] + later(whole, 0, most)])
    packets = len(records(whole))
    assert moment.counters.bytes == most * packets > 2**36
    (samples,) = (one.samples for one in Families().of(moment) if one.name == "pcapwatch_wire_bytes")
    assert samples == {(): most * packets}
