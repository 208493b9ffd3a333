"""Segments into connections: one list of packets per incarnation of a 4-tuple (A1, A2), with offsets free of wrap."""

from collections import defaultdict
from dataclasses import dataclass, field

from .networks import networks
from .segments import ACK, FIN, RST, SYN, Endpoint, Segment


def signed(difference: int) -> int:
    """A difference of sequence numbers, modulo 2^32, as a number in [-2^31, 2^31)."""
    return (difference + 2**31) % 2**32 - 2**31


@dataclass
class Incarnation:
    """One connection: its packets in capture order and the initial sequence numbers that were seen."""

    packets: list[Segment] = field(default_factory=list)
    isn: dict[Endpoint, int] = field(default_factory=dict)
    previous: "Incarnation | None" = None
    number: int = 0

    def sent(self, side: Endpoint) -> list[Segment]:
        """The side's packets that belong to this connection's sequence space."""
        return [p for p in self.packets if p.src == side and not p.stale and not p.duplicate]

    def peer(self, side: Endpoint) -> Endpoint:
        """The other side."""
        first = self.packets[0]
        return first.dst if side == first.src else first.src


def split(segments: list[Segment]) -> list[Incarnation]:
    """All connections in order of their first packet, `previous` set where a 4-tuple was used before."""
    flows: dict[tuple[frozenset[Endpoint], tuple[int, ...]], list[Segment]] = defaultdict(list)
    for segment in segments:
        flows[frozenset((segment.src, segment.dst)), segment.vlans].append(segment)
    result: list[Incarnation] = []
    for flow in flows.values():
        for network in networks(flow):
            result.extend(split_flow(network))
    order = {id(s): i for i, s in enumerate(segments)}
    result.sort(key=lambda c: order[id(c.packets[0])])
    for number, connection in enumerate(result, 1):
        connection.number = number
        mark_duplicates(connection)
        choose_isn(connection)
        mark_stale(connection)
        set_offsets(connection)
    return result


def split_flow(flow: list[Segment]) -> list[Incarnation]:
    """The incarnations of one 4-tuple."""
    result: list[Incarnation] = []
    for segment in flow:
        current = result[-1] if result else None
        if current is not None and current.previous is not None and continues(current.previous, current, segment):
            current.previous.packets.append(segment)
            continue
        if current is None or opens_new(current, segment):
            result.append(Incarnation(previous=current))
        current = result[-1]
        current.packets.append(segment)
        if segment.pure_syn or segment.syn_ack:
            current.isn.setdefault(segment.src, segment.seq)
    return result


def opens_new(current: Incarnation, segment: Segment) -> bool:
    """Whether a segment cannot belong to the current incarnation: a SYN with an ISN that is not its own."""
    if not segment.has(SYN) or segment.has(RST):
        return follows_refusal(current, segment) or follows_close(current, segment)
    isn, peer_isn = current.isn.get(segment.src), current.isn.get(segment.dst)
    if isn == segment.seq:
        return False
    if segment.syn_ack and peer_isn is not None:
        return not answers(segment, peer_isn, current)
    if isn is not None:
        return True
    if segment.pure_syn and any(p.pure_syn and p.src == segment.dst for p in current.packets):
        return not still_opening(current, segment.src)
    return not reordered_start(current, segment)


def continues(old: Incarnation, new: Incarnation, segment: Segment) -> bool:
    """Whether a segment goes on with the connection before a SYN that was not answered: the SYN was another's.

    It has the old numbers, and is none that a challenge of the SYN would be (RFC 5961 section 4): of the SYN's own
    address anything is, of the other one what has bytes or a FIN, and an ACK once the first has gone on.
    """
    opener = new.packets[0]
    answered = any(p.has(SYN) and p.src != opener.src for p in new.packets)
    if not opener.pure_syn or answered or segment.has(SYN | RST) or is_complete(old):
        return False
    syn_end = max(signed(p.seq + p.space - opener.seq) for p in new.packets if p.has(SYN))
    if segment.src == opener.src and signed(segment.seq - opener.seq) == syn_end:
        return False
    if segment.src != opener.src and segment.has(ACK) and answers(segment, opener.seq, new):
        return False  # it acknowledges the SYN, so the SYN-ACK was not captured
    if any(p.src == opener.src and not p.has(SYN | RST) for p in new.packets):
        return False  # its opener went on with the new one: the SYN-ACK was not captured
    before = [p for p in old.packets if p.src == segment.src and not p.has(RST)]
    near = any(abs(signed(segment.seq - p.seq - p.space)) <= 2**20 for p in before[-1:])
    return near and (segment.src == opener.src or segment.space > 0 or old.packets[-1].ts_ns > opener.ts_ns)


def is_complete(old: Incarnation) -> bool:
    """Whether a reset ended it, or both FINs are acknowledged."""
    if any(p.has(RST) for p in old.packets):
        return True
    ends = {p.src: (p.seq + p.space) % 2**32 for p in old.packets if p.has(FIN)}
    acked = {p.dst for p in old.packets if p.has(ACK) and p.dst in ends and signed(p.ack - ends[p.dst]) >= 0}
    return len(acked) == 2


def follows_refusal(current: Incarnation, segment: Segment) -> bool:
    """Whether data is far from the numbers of a refused attempt: another's, whose handshake was not captured."""
    resets = [p for p in current.packets if p.has(RST)]
    syns = [p for p in current.packets if p.pure_syn]
    if not segment.payload_len or not resets or not syns or len(resets) + len(syns) < len(current.packets):
        return False
    if segment.src == syns[0].src:
        return is_far(segment.seq, syns[-1].seq)
    return is_far(segment.seq, resets[-1].seq) and is_far(segment.ack, syns[-1].seq)


def follows_close(current: Incarnation, segment: Segment) -> bool:
    """Whether a segment is of no connection that closed so: the next one's opening was not captured.

    Data after a complete close that is far from what both sides sent; or what its sender cannot send after its own FIN,
    or acknowledge of the other side after that one's.
    """
    if segment.has(ACK) and not segment.has(RST) and is_after_fins(current, segment):
        return True
    if not segment.payload_len or not segment.has(ACK) or not is_complete(current):
        return False
    ends = [(p.src, p.seq + p.space) for p in current.packets if p.space and not p.has(RST)]
    numbers = {segment.src: segment.seq, segment.dst: segment.ack}
    return {src for src, _ in ends} == numbers.keys() and all(is_far(numbers[src], end) for src, end in ends)


def is_after_fins(current: Incarnation, segment: Segment) -> bool:
    """Whether one of the numbers is greater than a FIN's end, and both are greater than all that was sent.

    By more than one: a FIN may be missing. The other number counts as a box between may have put a FIN in.
    """
    ends: dict[Endpoint, int] = {}
    for p in current.packets:
        if p.has(FIN):
            ends.setdefault(p.src, (p.seq + p.space) % 2**32)
    numbers = [(segment.src, segment.seq), (segment.dst, segment.ack)]
    after = [side in ends and signed(number - ends[side]) > 0 for side, number in numbers]
    sent = [(p.src, p.seq + p.space) for p in current.packets if not p.has(RST)]
    return any(after) and all(signed(number - to) > 1 for side, number in numbers for src, to in sent if src == side)


def is_far(one: int, other: int) -> bool:
    """Further apart than any window that a connection here has."""
    return abs(signed(one - other)) > 2**24


def answers(segment: Segment, peer_isn: int, current: Incarnation) -> bool:
    """Whether a SYN-ACK acknowledges the other side's SYN (with part or all of what it carries: Fast Open)."""
    syn_space = max((p.space for p in current.packets if p.has(SYN) and p.src == segment.dst), default=1)
    return 1 <= signed(segment.ack - peer_isn) <= syn_space


def still_opening(current: Incarnation, side: Endpoint) -> bool:
    """Whether `side`, whose peer sent a SYN, could still send its own: crossing SYNs, or a split handshake."""
    return not any(p.has(RST) or (p.src == side and p.space) for p in current.packets) and not any(
        p.src != side and not p.has(SYN) for p in current.packets
    )


def reordered_start(current: Incarnation, segment: Segment) -> bool:
    """Whether what was already captured continues right after this SYN: the tap saw them out of order."""
    own = [signed(p.seq - segment.seq) for p in current.packets if p.src == segment.src and not p.has(RST)]
    acks = [signed(p.ack - segment.seq) for p in current.packets if p.src == segment.dst and p.has(ACK)]
    first = 1 + segment.payload_len
    return min(own, default=0) in (1, first) or min(acks, default=0) in (1, first)


@dataclass
class Owed:
    """What a place of a side has shown again at this time, and another has yet to show again."""

    ts_ns: int
    by: tuple[Endpoint, tuple[str, int]]
    at: tuple[Endpoint, tuple[str, int]]
    numbers: set[int]

    def is_recent(self, p: Segment) -> bool:
        """Whether this packet may be of it."""
        return abs(p.ts_ns - self.ts_ns) <= 1_000_000_000


def pay(due: list[Owed], numbers: set[int]) -> bool:
    """Take each number from what is owed for longest, if all are."""
    if not numbers <= set().union(*(owed.numbers for owed in due)):
        return False
    for owed in due:
        paid = owed.numbers & numbers
        owed.numbers -= paid
        numbers = numbers - paid
    return True


def mark_duplicates(connection: Incarnation) -> None:
    """Mark packets that are second captures: the same headers, near enough in time for where each was seen.

    And what one tap shows for the first time and another has shown, in other pieces (segmentation offload): a tap shows
    each byte once, unless it is sent again. What it shows again is a copy if another, that packets come to before, has
    shown it again as well. Asked of taps only that were found to see one packet twice, of which one shows longer
    segments.
    """
    seen: dict[tuple[object, ...], Segment] = {}
    shown: dict[tuple[Endpoint, tuple[str, int]], set[int]] = {}
    twins: set[tuple[Endpoint, tuple[str, int]]] = set()
    longest: dict[tuple[Endpoint, tuple[str, int]], int] = {}
    follows: set[tuple[Endpoint, tuple[str, int]]] = set()
    owed: list[Owed] = []
    base: dict[Endpoint, int] = {}
    lag_ns = 0
    for p in connection.packets:
        key = (p.src, p.seq, p.ack, p.flags, p.window, p.payload_len, p.ip_id, tuple(p.options))
        here = (p.src, place(p))
        start = signed(p.seq - base.setdefault(p.src, p.seq))
        numbers = set(range(start, start + p.space))
        longest[here] = max(longest.get(here, 0), p.payload_len)
        others = [twin for twin in twins & shown.keys() if twin[0] == p.src and twin != here]
        elsewhere = [shown[twin] for twin in others if longest[twin] != longest[here]]
        if key in seen and is_second_capture(seen[key], p, lag_ns):
            p.duplicate = True
            if place(p) == place(seen[key]):
                lag_ns = max(lag_ns, 1, abs(p.ts_ns - seen[key].ts_ns))
            else:
                files = {p.file, seen[key].file}
                twins |= {here, (p.src, place(seen[key]))}
                follows.add(here)
                owed = [o for o in owed if o.at != here or o.ts_ns != seen[key].ts_ns or not o.numbers <= numbers]
                twins |= {(q.src, place(q)) for q in connection.packets if q.src == p.dst and files > {q.file}}
        elif here in twins and p.space and not p.has(SYN | RST):
            known = shown.get(here, set())
            furthest = max(known, default=-1)
            passed = {number for number in numbers if number <= furthest}
            due = [o for o in owed if o.at == here and longest[o.by] != longest[here] and o.is_recent(p)]
            if not (passed and here in follows and pay(due, passed)) and numbers & known:
                owed += [Owed(p.ts_ns, here, twin, set(passed)) for twin in others if twin in follows]
            elif p.payload_len:
                p.duplicate = numbers <= known or any(numbers <= of for of in elsewhere)
                follows |= {here} if p.duplicate else set()
        if not p.duplicate:
            seen[key] = p
        shown.setdefault(here, set()).update(numbers)


def place(p: Segment) -> tuple[str, int]:
    """Where a side's packet was captured."""
    return p.file, p.ttl


def is_second_capture(first: Segment, second: Segment, lag_ns: int) -> bool:
    """Whether two packets with the same headers are one.

    A sender gives each an IP id of its own, sends no SYN twice at once, and waits before it sends payload again: a
    round trip, or 200 ms on Linux where nothing asks for it. Once nothing but the time told a packet from its copy,
    others of its connection that are as little apart are copies, too.
    """
    elsewhere, routed = first.file != second.file, first.ttl != second.ttl
    if first.ip_id or first.has(SYN):
        alike_us = 20_000 if first.ip_id or first.pure_syn else 0
        most_us = 500_000 if elsewhere or routed else alike_us
    elif elsewhere or routed:
        most_us = 100_000 if elsewhere else 1_000
    else:
        most_us = 20 if first.payload_len else 0
    apart_ns = abs(second.ts_ns - first.ts_ns)
    return (most_us > 0 and apart_ns <= most_us * 1_000) or apart_ns < min(2 * lag_ns, 20_000_000)


def mark_stale(connection: Incarnation) -> None:
    """Mark A2's last row: the challenge ACK of an older socket before the SYN-ACK, and the RST that it provokes.

    A side in SYN-SENT acknowledges nothing: once the opener does, its SYN was answered, whatever the tap missed. The
    reset that it sends to a challenge carries no ACK (RFC 9293 §3.10.7.3).
    """
    opener = next((p for p in connection.packets if p.pure_syn), None)
    if opener is None or connection.packets[0] is not opener:
        return
    own = [p for p in connection.packets if p.src == opener.src and not p.has(RST)]
    longest = max(signed(p.seq + p.space - opener.seq) for p in own)
    challenged: set[int] = set()
    for p in connection.packets:
        if p.src != opener.src:
            if p.has(SYN):
                return
            if p.has(ACK) and not p.has(RST) and not 1 <= signed(p.ack - opener.seq) <= max(longest, 1):
                p.stale = True
                challenged.add(p.ack)
        elif p.has(RST):
            p.stale = not p.has(ACK) and p.seq in challenged
        elif p.has(ACK):
            return


def choose_isn(connection: Incarnation) -> None:
    """Where a side answered with several ISNs, keep the one that the peer's first ACK accepts; the others are stale."""
    for side in list(connection.isn):
        offered = [p for p in connection.packets if p.src == side and p.has(SYN) and not p.has(RST)]
        accepting = next((p for p in connection.packets if p.dst == side and p.has(ACK) and not p.has(SYN | RST)), None)
        accepted = [p.seq for p in offered if accepting is not None and signed(accepting.ack - p.seq) == 1]
        if accepted:
            connection.isn[side] = accepted[0]
        for p in offered:
            p.stale = p.seq != connection.isn[side]


def set_offsets(connection: Incarnation) -> None:
    """Give every packet its offsets from the ISNs (from the first sequence number seen where there is no ISN)."""
    live = [p for p in connection.packets if not p.stale]
    base: dict[Endpoint, int] = dict(connection.isn)
    for p in live:
        if not p.has(RST):
            base.setdefault(p.src, (p.seq - 1) % 2**32)
            if p.has(ACK):
                base.setdefault(p.dst, (p.ack - 1) % 2**32)
    for side in {connection.packets[0].src, connection.packets[0].dst}:
        set_offsets_of(side, live, base.get(side, 0))


def set_offsets_of(side: Endpoint, packets: list[Segment], origin: int) -> None:
    """Offsets in one side's sequence space; each is taken nearest to the one before, so that a wrap is no jump."""
    near = 0
    for p in packets:
        if p.src == side:
            p.seq_offset = near + signed(p.seq - origin - near)
            near = near if p.has(RST) else p.seq_offset
        elif p.has(ACK):
            p.ack_offset = near + signed(p.ack - origin - near)
