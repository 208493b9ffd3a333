"""What a connection carried: payload bytes, retransmissions, silence before the close, the quality of its capture."""

from .closing import Ending
from .incarnations import Incarnation
from .segments import ACK, FIN, RST, SYN, Endpoint, Segment


def seconds(ns: int) -> float:
    """ns as seconds."""
    return ns / 1e9


def data_ranges(c: Incarnation, side: Endpoint) -> list[tuple[int, int, Segment]]:
    """Payload ranges of a side; probes below what was already sent, before any data, are not data (A8)."""
    first = 1 if side in c.isn else None
    found = []
    for p in c.sent(side):
        if p.payload_len == 0 or p.has(RST):
            continue
        start = p.data_offset
        if first is not None and start < first and p.payload_len <= 1:
            continue
        found.append((start, start + p.payload_len, p))
    return found


def probe(p: Segment, packets: list[Segment]) -> bool:
    """A keepalive or zero-window probe: at most one byte, the last one that the side had already sent (A8)."""
    if p.payload_len > 1 or p.has(SYN) or p.has(FIN):
        return False
    index = next(i for i, q in enumerate(packets) if q is p)
    reached = [q.end_offset for q in packets[:index] if q.src == p.src and not q.has(RST)]
    return bool(reached) and p.seq_offset == max(reached) - 1


def distinct_bytes(c: Incarnation, side: Endpoint) -> int:
    """Payload bytes, each sequence number once."""
    total = 0
    ranges = sorted((start, stop) for start, stop, _ in data_ranges(c, side))
    reached = ranges[0][0] if ranges else 0
    for start, stop in ranges:
        total += max(0, stop - max(start, reached))
        reached = max(stop, reached)
    return total


def retransmits(c: Incarnation, side: Endpoint) -> int:
    """Segments that occupy sequence space already sent; probes are none (A8)."""
    sent: list[tuple[int, int]] = []
    count = 0
    live = [p for p in c.packets if not p.stale]
    for p in c.sent(side):
        if not p.space or p.has(RST) or probe(p, live):
            continue
        count += any(start < p.end_offset and p.seq_offset < stop for start, stop in sent)
        sent.append((p.seq_offset, p.end_offset))
    return count


def idle_before_close(c: Incarnation, ending: Ending) -> float | None:
    """Last payload byte to the first FIN, or to the reset that counts: one that missed closed nothing (A7)."""
    live = [p for p in c.packets if not p.stale and not p.duplicate]
    reset = ending.reset.packet if ending.reset is not None and ending.reset.effect != "ineffective" else None
    if reset is not None and not any(p is reset for p in live):
        live.append(reset)  # it came with the next incarnation
    for i, p in enumerate(live):
        if p.has(FIN) or p is reset:
            carried = [q for q in live[: i + 1] if q.payload_len and not q.has(RST) and not probe(q, live)]
            return seconds(p.ts_ns - carried[-1].ts_ns) if carried else None
    return None


def quality(c: Incarnation) -> set[str]:
    """Quality words that the packets prove without doubt."""
    sides = (c.packets[0].src, c.packets[0].dst)
    words = {
        "midstream": not c.isn,
        "truncated": any(p.cut for p in c.packets),
        "gap": any(has_gap(c, side) for side in sides),
        "one_sided": not all(c.sent(side) for side in sides) and any(acknowledges(p) for p in c.packets),
    }
    return {word for word, holds in words.items() if holds}


def acknowledges(p: Segment) -> bool:
    """Whether a packet shows that its sender had heard the other side."""
    return p.has(ACK) and not p.has(RST) and not p.stale


def has_gap(c: Incarnation, side: Endpoint) -> bool:
    """Whether the peer acknowledged bytes of this side that are not in the capture."""
    ranges = sorted((p.seq_offset, p.end_offset) for p in c.sent(side) if p.space and not p.has(RST))
    acknowledged = max((p.ack_offset for p in c.sent(c.peer(side)) if p.has(ACK) and not p.has(RST)), default=0)
    reached = ranges[0][0] if ranges else acknowledged
    for start, stop in ranges:
        if start > reached and acknowledged > reached:
            return True
        reached = max(reached, stop)
    return acknowledged > reached
