"""A capture's connections as a list of dicts with the contract's column names, each fact found on the whole list."""

import heapq
import re
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

from .capture import read_capture
from .closing import (
    Ending,
    acknowledged_by,
    acks,
    first_fin,
    lacks_its_end,
    lone_refusal,
    read_ending,
    two_fins_may_be_unseen,
)  # fmt: skip
from .incarnations import Incarnation, split
from .persistence import http_columns
from .race import read_race
from .segments import ACK, FIN, RST, Endpoint, Segment, read_segments
from .time_wait import TimeWait, read_time_wait
from .traffic import distinct_bytes, idle_before_close, quality, retransmits, seconds

Row = dict[str, Any]
SECOND = 1_000_000_000
# A first line as far as it tells what it is: its end may be in another segment.
BEGUN_REQUEST = re.compile(rb"(\r\n)*[!#$%&'*+.^_`|~0-9A-Za-z-]+ +\S+ +HTTP/1\.")
BEGUN_RESPONSE = re.compile(rb"HTTP/1\.[0-9] [0-9]{3}")
MODEL_NS = (60 * SECOND, 65_200_000_000)  # Linux


def read_connections(*paths: Path) -> list[Row]:
    """One dict per connection of a set of files, in order of first packet. Raises `NotACaptureError`."""
    files = [(path, read_capture(path)) for path in paths]
    files.sort(key=lambda file: file[1][0].ts_ns if file[1] else 0)
    taps = [read_segments(packets, str(path)) for path, packets in files]
    if any(one[-1].ts_ns > next_one[0].ts_ns for one, next_one in pairwise(taps) if one and next_one):
        segments = list(heapq.merge(*taps, key=lambda segment: segment.ts_ns))
    else:
        segments = list(chain.from_iterable(taps))
    connections = split(segments)
    capture_end = max((p.ts_ns for _, packets in files for p in packets), default=0)
    return [read_row(c, following(c, connections), capture_end) for c in connections]


#: Where messages may be missing.
UNSEEN = {"gap", "truncated", "one_sided"}


def following(connection: Incarnation, connections: list[Incarnation]) -> list[Segment]:
    """The packets of the incarnations that came after on the same 4-tuple."""
    later: list[Segment] = []
    last = connection
    for candidate in connections:
        if candidate.previous is last:
            later += candidate.packets
            last = candidate
    return later


def read_row(c: Incarnation, later: list[Segment], capture_end: int) -> Row:
    """All columns of one connection."""
    client, server, role_basis = roles(c)
    seen = once(c)
    first, last = seen[0], seen[-1]
    row: Row = {
        "connection": c.number, "file": first.file, "first_frame": first.frame, "last_frame": last.frame,
        "client": client[0], "client_port": client[1], "server": server[0], "server_port": server[1],
        "role_basis": role_basis, "start": first.ts_ns, "end": max(p.ts_ns for p in seen),
        "handshake_rtt_s": handshake_rtt(c),
        "reuse_of": c.previous.number if c.previous else None,
        "reuse_gap_s": seconds(first.ts_ns - once(c.previous)[-1].ts_ns) if c.previous else None,
        "quality": quality(c),
    }  # fmt: skip
    for name, side in (("client", client), ("server", server)):
        row[f"{name}_packets"] = sum(p.src == side for p in seen)
        row[f"{name}_bytes"] = distinct_bytes(c, side)
        row[f"{name}_retransmits"] = retransmits(c, side)
    ending = read_ending(c, client, server, later)
    row |= closing_columns(ending)
    row |= time_wait_columns(c, client, server, later, capture_end)
    is_half = row["closer_basis"] == "retransmission_only" or "one_sided" in row["quality"]
    if row["time_wait_holder"] in ("client", "server") and is_half:
        row["time_wait_holder"] = "unknown"  # the FINs may have crossed: then the other side waits, too
    if row["time_wait_holder"] == "none" and may_wait_unseen(c, ending):
        row |= {"time_wait_holder": "unknown", "time_wait_basis": None}
    row |= http_columns(c, client, server)
    is_empty = not any(p.payload for p in c.packets)
    is_unseen = row["quality"] & UNSEEN or (is_empty and "midstream" in row["quality"])
    if (row["requests"] is not None or is_empty) and row["close_announced_by"] == "none" and is_unseen:
        row["close_announced_by"] = None
    row["race"] = read_race(c, client, server, row["requests"] or 0, row["responses"] or 0)
    row["idle_before_close_s"] = idle_before_close(c, ending)
    return row


def once(c: Incarnation) -> list[Segment]:
    """A connection's packets, without those that the tap saw twice."""
    return [p for p in c.packets if not p.duplicate]


def roles(c: Incarnation) -> tuple[Endpoint, Endpoint, str]:
    """Client, server and how that is known."""
    live = [p for p in c.packets if not p.stale]
    for p in live:
        if p.pure_syn:
            return p.src, p.dst, "syn"
    for p in live:
        if p.syn_ack:
            return p.dst, p.src, "syn_ack"
    told = [p for p in live if p.payload_len][:1]  # by the second payload the streams are read in these roles
    return (roles_by_payload(told[0]) if told else None) or roles_by_first(c.packets[0])


def roles_by_payload(p: Segment) -> tuple[Endpoint, Endpoint, str] | None:
    """The roles by what a payload begins with."""
    if BEGUN_REQUEST.match(p.payload):
        return p.src, p.dst, "http"
    if BEGUN_RESPONSE.match(p.payload):
        return p.dst, p.src, "http"
    if p.payload[:2] == b"\x16\x03" and p.payload[5:6] in (b"\x01", b"\x02"):
        return (p.src, p.dst, "tls") if p.payload[5] == 1 else (p.dst, p.src, "tls")
    return None


def roles_by_first(first: Segment) -> tuple[Endpoint, Endpoint, str]:
    """The roles where nothing tells but the first packet and its ports."""
    if lone_refusal(first, [], []):  # the one that was asked answers
        return first.dst, first.src, "first_packet"
    if first.src[1] != first.dst[1]:
        high, low = sorted((first.src, first.dst), key=lambda e: -e[1])
        return high, low, "port"
    return first.src, first.dst, "first_packet"


def handshake_rtt(c: Incarnation) -> float | None:
    """SYN to the ACK that completes the handshake; what acknowledges more, or closes, came after it."""
    packets = once(c)
    syn_acks = [i for i, p in enumerate(packets) if p.syn_ack and not p.stale]
    if not syn_acks:
        return None
    opener = packets[syn_acks[0]].dst  # the client, but for a split handshake
    for i, p in enumerate(packets):
        if i > syn_acks[0] and p.src == opener and p.has(ACK) and not p.has(RST) and p.ack_offset >= 1 and not p.stale:
            syns = [q for q in packets[:i] if q.src == opener and q.pure_syn]  # the last one: RTT, not waiting
            is_answer = p.ack_offset == 1 and not p.has(FIN)
            return seconds(p.ts_ns - syns[-1].ts_ns) if syns and is_answer else None
    return None


def closing_columns(e: Ending) -> Row:
    """close, active_closer, closer_*, reset_*."""
    return {
        "close": e.close, "active_closer": e.active, "closer_basis": e.basis,
        "closer_frame": e.closer.frame if e.closer else None,
        "closer_time": e.closer.ts_ns if e.closer else None,
        "reset_by": e.reset.by if e.reset else None, "reset_kind": e.reset.kind if e.reset else None,
        "reset_effect": e.reset.effect if e.reset else None,
    }  # fmt: skip


def time_wait_columns(
    c: Incarnation, client: Endpoint, server: Endpoint, later: list[Segment], capture_end: int
) -> Row:
    """time_wait_*; where both sides hold one, the columns tell of the client's."""
    waits = {n: read_time_wait(c, s, later) for n, s in (("client", client), ("server", server))}
    holders = [n for n, w in waits.items() if w is not None]
    row: Row = {"time_wait_holder": "both" if len(holders) == 2 else holders[0] if holders else "none"}
    wait = waits[holders[0]] if holders else None
    if wait is None:
        empty = ("start", "lower_s", "upper_s", "s", "end")
        return row | {f"time_wait_{n}": None for n in empty} | {
            "time_wait_restarts": 0, "time_wait_basis": "not_entered"}  # fmt: skip
    start = wait.start.ts_ns
    ages = {n: seconds(p.ts_ns - start) if p else None
            for n, p in (("alive", wait.alive), ("gone", wait.gone), ("ended", wait.ended))}  # fmt: skip
    exact = ages["ended"]
    return row | {
        "time_wait_start": start, "time_wait_restarts": wait.restarts,
        "time_wait_lower_s": ages["alive"] if exact is None else exact,
        "time_wait_upper_s": ages["gone"] if exact is None else exact,
        "time_wait_s": exact,
        "time_wait_basis": basis(wait, capture_end), "time_wait_end": end_cause(wait),
    }  # fmt: skip


def may_wait_unseen(c: Incarnation, ending: Ending) -> bool:
    """Whether the FIN that a TIME_WAIT takes beside the one captured may be missing from the capture.

    Not after a reset that was accepted, unless one direction was not captured: the wait may have been before it. So may
    it where the reset is of a host that has no such socket and a FIN is missing: it says nothing of what the socket did
    before it went. Nor does it where it answers a FIN that was sent before: that one may have found the socket.
    """
    sides = (c.packets[0].src, c.packets[0].dst)
    reset = ending.reset
    accepted = reset is not None and reset.effect == "effective" and "one_sided" not in quality(c)
    if accepted and reset is not None and reset.kind != "no_state":
        return False
    if two_fins_may_be_unseen(c, sides):
        return True  # from the middle on, and maybe after both had closed; or where both did the capture has a hole
    fins = {side: first_fin(c, side) for side in sides}
    both = (sides, sides[::-1])
    hidden = any(fins[a] is None and fins[b] is not None and lacks_its_end(c, a) for a, b in both)
    if accepted and reset is not None:
        by, at = reset.packet.src, reset.packet.ts_ns
        peer = sides[by == sides[0]]
        in_vain = fins[by] is not None and sum(p.has(FIN) for p in c.sent(peer) if p.ts_ns <= at) > 1
    else:
        in_vain = any(asks_in_vain(c, *pair) for pair in both)
    one_of_two = ending.active == "ambiguous" and ending.basis != "no_close"
    return one_of_two or hidden or in_vain


def asks_in_vain(c: Incarnation, first: Endpoint, second: Endpoint) -> bool:
    """Whether the second to close had no answer to its FIN though it repeated it, or FIN-WAIT-2 may have been over.

    Then the one who would wait may have been gone (A4: unproven; A6: tcp_fin_timeout, a second at the least). Nor is
    it told who waits of two whose FINs crossed, where one of them or both were not acknowledged: that may be missing.
    """
    mine, theirs = first_fin(c, first), first_fin(c, second)
    if mine is None or theirs is None or acknowledged_by(c, first, theirs.end_offset) is not None:
        return False
    crossed = not acks(theirs, mine.end_offset) and not acks(mine, theirs.end_offset)
    if acknowledged_by(c, second, mine.end_offset) is None:
        return crossed
    late = theirs.ts_ns - mine.ts_ns > SECOND
    return late or crossed or sum(p.has(FIN) for p in c.sent(second)) > 1


def basis(wait: TimeWait, capture_end: int) -> str:
    """semantics B4's word."""
    if wait.ended is not None:
        return "observed_exact"
    if contradicts_model(wait):
        return "model_rejected"
    if wait.gone is not None:
        return "observed_interval" if wait.alive else "upper_only"
    if wait.possibly_killed is not None:
        return "possibly_killed"
    last = wait.maybe_restarted or wait.start
    if capture_end < last.ts_ns + MODEL_NS[1]:
        return "censored"
    return "lower_only" if wait.alive else "model"


def contradicts_model(wait: TimeWait) -> bool:
    """Gone before the model's least though no reset explains it, or alive after the model's most (B4)."""
    since, at_least = wait.maybe_restarted or wait.start, wait.restarted or wait.start
    explained = wait.possibly_killed is not None or wait.unseen
    early = wait.gone is not None and not explained and wait.gone.ts_ns < at_least.ts_ns + MODEL_NS[0]
    return early or (wait.alive is not None and wait.alive.ts_ns > since.ts_ns + MODEL_NS[1])


def end_cause(wait: TimeWait) -> str:
    """expired, reused, killed or unknown."""
    if wait.ended is not None:
        return wait.cause
    explained = wait.possibly_killed is not None or wait.unseen
    expired = wait.gone is not None and not explained and not contradicts_model(wait)
    return "expired" if expired else "unknown"
