"""Who closed and how: FINs read causally (A3), resets classified (A7), the shape of the end (contract `close`)."""

from dataclasses import dataclass, replace
from itertools import combinations, takewhile

from .incarnations import Incarnation, signed
from .segments import ACK, FIN, RST, SYN, Endpoint, Segment


@dataclass
class Reset:
    """One RST: its class, its effect, the sender of the segment that it answers."""

    packet: Segment
    by: str
    kind: str
    effect: str
    provoked_by: Endpoint | None


@dataclass
class Ending:
    """How a connection ended; `closer` is the packet that closed."""

    close: str
    active: str
    basis: str
    closer: Segment | None
    reset: Reset | None


def first_fin(connection: Incarnation, side: Endpoint) -> Segment | None:
    """The first FIN of a side in capture order."""
    return next((p for p in connection.sent(side) if p.has(FIN) and not p.has(RST)), None)


def acknowledged_by(connection: Incarnation, side: Endpoint, offset: int) -> Segment | None:
    """The first packet of `side` that acknowledges the other side's sequence space up to `offset`."""
    return next((p for p in connection.sent(side) if acks(p, offset)), None)


def acks(p: Segment, offset: int) -> bool:
    """Whether a packet acknowledges everything before `offset`."""
    return p.has(ACK) and not p.has(RST) and p.ack_offset >= offset


def only_retransmitted(connection: Incarnation, fin: Segment) -> bool:
    """Whether a FIN was sent before the first one that the tap saw.

    Then the peer's earlier ACK covers it, unless the tap merely showed the two in the wrong order, or its sender
    had already moved past it.
    """
    before: Segment | None = None  # of the same side
    acked: Segment | None = None
    for p in connection.packets:
        if p is fin:
            break
        if p.stale or p.duplicate:
            continue
        if p.src == fin.src:
            before = p
            if p.seq_offset >= fin.end_offset and not p.has(RST):
                return True
        elif acked is None and acks(p, fin.end_offset):
            acked = p
    return acked is not None and not reordered(before, acked, fin)


def closed_after(connection: Incarnation, own: Segment, theirs: Segment) -> bool:
    """Whether a side acknowledged the other's FIN in a packet before its own, no further than to that one's number.

    Not of a side that sent something twice: what is sent again has old numbers at any time.
    """
    before = list(takewhile(lambda p: p is not own, connection.packets))
    sent = [p for p in before if p.src == own.src and not p.stale and not p.duplicate]
    reached = 0
    for p in sent:
        if acks(p, theirs.end_offset):
            return p.seq_offset + p.space < own.end_offset
        if p.space and p.seq_offset + p.space <= reached:
            return False
        reached = max(reached, p.seq_offset + p.space)
    return False


def reordered(before: Segment | None, acked: Segment, fin: Segment) -> bool:
    """Whether a tap's wrong order explains a FIN captured after its acknowledgment.

    Who has closed acknowledges a FIN at once; the shortest timer that repeats it (Linux' tail loss probe) takes two
    round trips and 2 ms. Up to 0.1 s the IP id may show that no packet of its sender is missing before it: Linux counts
    each connection's packets up by one.
    """
    late_ns = fin.ts_ns - acked.ts_ns
    counted = before is not None and bool(before.ip_id) and fin.ip_id is not None
    follows = counted and before is not None and fin.ip_id == ((before.ip_id or 0) + 1) % 2**16
    return late_ns <= 1_000_000 or (follows and late_ns <= 100_000_000)


def may_have_closed_unseen(connection: Incarnation, silent: Endpoint, closing: Endpoint) -> bool:
    """Whether the side without a FIN may have sent one that the capture lacks, before it had the other's.

    So where it is one direction only, where the other's FIN acknowledges more than is there of it, where something is
    missing after all that is there and may have crossed that FIN, and where the capture began in the middle, unless
    that side still sends data: nobody does after its FIN.
    """
    sent = connection.sent(silent)
    if not sent or not connection.sent(closing):
        return True
    reached = max((p.end_offset for p in sent if p.space), default=max(p.end_offset for p in sent))
    fin = first_fin(connection, closing)
    if fin is not None and fin.has(ACK) and fin.ack_offset > reached:
        return True
    if fin is not None and lacks_its_end(connection, silent) and not had_before(connection, silent, fin, reached):
        return True
    begun = any(p.has(SYN) for p in connection.packets)
    return not begun and not any(p.payload_len for p in sent)


def had_before(connection: Incarnation, silent: Endpoint, fin: Segment, reached: int) -> bool:
    """Whether a side had the other's FIN when it had sent no more than is there of it.

    A pure ACK carries the next number that its sender will use, and new bytes are the last it has sent. Bytes sent
    again are neither: where a side sent any again, which of its packets are new is not asked.
    """
    taking = acknowledged_by(connection, silent, fin.end_offset)
    spaced = [(p.seq_offset, p.end_offset) for p in connection.sent(silent) if p.space and not p.has(RST)]
    again = any(a[0] < b[1] and b[0] < a[1] for a, b in combinations(spaced, 2))
    return taking is not None and taking.end_offset <= reached and not again


def lacks_its_end(c: Incarnation, side: Endpoint) -> bool:
    """Whether a side sent something behind all that was captured of it."""
    return numbers_unseen(c, side) > 0


def numbers_unseen(c: Incarnation, side: Endpoint) -> int:
    """How many sequence numbers a side used behind all that was captured of it, by its own numbers and the peer's acks.

    Without any bytes it is as many as it used since its SYN, which the peer's SYN-ACK tells. A reset that answers
    repeats what the other side acknowledged (RFC 9293 §3.5.2): a number that its sender had used.
    """
    own = [p for p in c.sent(side) if not p.has(RST)]
    captured = [p.end_offset for p in own if p.space]
    begun = [p.ack_offset for p in c.sent(c.peer(side)) if p.syn_ack]
    stood = behind_probe(c, side)
    first = min(begun + [p.seq_offset for p in own], default=None) if stood is None else stood
    reached = max(captured, default=first)
    if reached is None:
        return 0
    theirs = [p.ack_offset for p in c.sent(c.peer(side)) if p.has(ACK) and not p.has(RST)]
    return max([p.seq_offset for p in own] + theirs + answers_without_socket(c, side)) - reached


def behind_probe(c: Incarnation, side: Endpoint) -> int | None:
    """Where a side stands that is met in the middle one number before what its peer had acknowledged when first heard.

    A keep-alive and a probe of a closed window lie before its own numbers.
    """
    peer = c.peer(side)
    if any(p.has(SYN) for p in c.sent(side)) or any(p.syn_ack for p in c.sent(peer)):
        return None
    heard = [p for p in c.packets if p.src == peer and p.has(ACK) and not p.has(RST) and not p.stale]
    own = [p for p in c.packets if p.src == side and not p.has(RST) and not p.stale]
    if not heard or not own:
        return None
    when = c.packets.index
    earlier = [p for p in own if when(p) < when(heard[0])]
    if any(p.space for p in earlier or own[:1]):
        return None
    stood = max((p.seq_offset for p in earlier), default=own[0].seq_offset) + 1
    known = heard[0].ack_offset if earlier else max(p.ack_offset for p in heard if when(p) < when(own[0]))
    return known if known == stood else None


def answers_without_socket(c: Incarnation, side: Endpoint) -> list[int]:
    """The numbers of the bare resets of a side that were not plainly in vain."""
    bare = [p for p in c.sent(side) if p.has(RST) and not p.has(ACK)]
    read = [judged(c, read_reset(c, p, side)) for p in bare]
    return [r.packet.seq_offset for r in read if r.kind == "no_state" and r.effect != "ineffective"]


def two_fins_may_be_unseen(c: Incarnation, sides: tuple[Endpoint, Endpoint]) -> bool:
    """Whether both sides may have closed though the capture holds no FIN of either.

    Of a side there is room for a FIN where nothing of it was captured, where its numbers end behind what was captured,
    and before the first packet of a capture without an opening, unless that side sends bytes: none come after a FIN.
    If it is before that for both, an answer that both directions show is to someone who still had a socket.
    """
    if any(p.has(FIN) for p in c.packets if not p.stale) or all(p.has(RST) for p in c.packets):
        return False
    begun = any(p.has(SYN) for p in c.packets)
    behind = [numbers_unseen(c, side) > 0 for side in sides]
    before = [not c.sent(s) or (not begun and not any(p.payload_len for p in c.sent(s))) for s in sides]
    room = all(a or b for a, b in zip(behind, before, strict=True))
    answered = all(c.sent(side) for side in sides) and any(p.has(RST) for p in c.packets)
    return room and (any(behind) or not answered)


def close_may_be_unseen(c: Incarnation, sides: tuple[Endpoint, Endpoint]) -> bool:
    """Whether somebody may have closed though no FIN was captured, and something shows that one may be missing.

    One number behind all bytes of a side is a FIN, or a single byte; more of them may end in a FIN on both sides. That
    a host has no socket any more shows it, too, where the other direction is missing. Not that a capture holds nothing
    but acknowledgments: in it nobody closes.
    """
    unseen = [numbers_unseen(c, side) for side in sides]
    shown = any(unseen) or (any(p.has(RST) for p in c.packets) and not all(c.sent(side) for side in sides))
    return 1 in unseen or (shown and two_fins_may_be_unseen(c, sides))


def closer_by_fin(connection: Incarnation, client: Endpoint, server: Endpoint) -> tuple[str, str, Segment | None]:
    """active closer, basis and frame, from the FINs alone."""
    fins = {"client": first_fin(connection, client), "server": first_fin(connection, server)}
    c, s = fins["client"], fins["server"]
    if c is None and s is None:
        return "none", "no_close", None
    if c is None or s is None:
        if may_have_closed_unseen(connection, *((client, server) if c is None else (server, client))):
            return "ambiguous", "single_fin", None
        return ("server", "single_fin", s) if c is None else ("client", "single_fin", c)
    late_c, late_s = only_retransmitted(connection, c), only_retransmitted(connection, s)
    client_first = acks(s, c.end_offset) and not late_s
    server_first = acks(c, s.end_offset) and not late_c
    if late_s and acks(s, c.end_offset) and closed_after(connection, s, c):
        client_first = True
    if late_c and acks(c, s.end_offset) and closed_after(connection, c, s):
        server_first = True
    if client_first and not server_first:
        return "client", "acknowledged", c
    if server_first and not client_first:
        return "server", "acknowledged", s
    if not client_first and not server_first and not late_c and not late_s:
        return "both", "crossed", c if c.ts_ns <= s.ts_ns else s
    return "ambiguous", "retransmission_only", c if c.ts_ns <= s.ts_ns else s


def read_reset(connection: Incarnation, reset: Segment, client: Endpoint) -> Reset:
    """Class and effect of one RST."""
    index = next(i for i, p in enumerate(connection.packets) if p is reset)
    before = [p for p in connection.packets[:index] if not p.stale]
    own = [p for p in before if p.src == reset.src and not p.has(RST)]
    theirs = [p for p in before if p.src == reset.dst and not p.has(RST)]
    provoking = next((p for p in reversed(theirs) if p.has(ACK) and p.ack == reset.seq), None)
    name = "client" if reset.src == client else "server"
    ttls = {p.ttl for p in connection.packets if p.src == reset.src and not p.has(RST)}
    answered_syn = next((p for p in theirs if p.pure_syn and reset.ack == (p.seq + p.space) % 2**32), None)
    if ttls and reset.ttl not in ttls:
        return Reset(reset, "middlebox", "injected", effect_of(reset, own, theirs), None)
    opened = any(p.has(SYN) for p in own) or any(p.has(ACK) for p in theirs)
    if reset.has(ACK) and answered_syn is not None and not opened:
        return Reset(reset, name, "refused", "effective", reset.dst)
    if lone_refusal(reset, own, theirs):
        return Reset(reset, name, "refused", "unknown", reset.dst)
    if reset.has(ACK):
        return Reset(reset, name, "abort", effect_of(reset, own, theirs), None)
    taken = max((p.ack_offset for p in own if p.has(ACK)), default=0)
    data = [p for p in theirs if p.payload_len and p.ack == reset.seq and p.end_offset > taken]
    late = bool(data) and any(p.has(FIN) for p in own)
    # What it answers is missing: the socket that closed is there for a second at the least, and answers only data so.
    closed = next((p for p in own if p.has(FIN)), None)
    just_closed = closed is not None and 0 <= reset.ts_ns - closed.ts_ns <= 1_000_000_000
    late = late or (just_closed and provoking is None and not any(p.has(FIN) for p in theirs))
    # Who aborts says ACK and has a window; without either a reset is an answer, though what it answers may be missing.
    kind = "late_data" if late else "no_state" if provoking or not reset.window else "abort"
    return Reset(reset, name, kind, effect_of(reset, own, theirs), reset.dst if provoking else None)


def judged(connection: Incarnation, reset: Reset) -> Reset:
    """The reset as what came after it shows it: where the connection goes on it was not accepted (A7).

    Its own side sends bytes or a FIN beyond all before, or the other acknowledges such.
    """
    at = next(i for i, p in enumerate(connection.packets) if p is reset.packet)
    own = [p for p in connection.packets[:at] if p.src == reset.packet.src and not p.has(RST) and not p.stale]
    reached = max((p.end_offset for p in own), default=reset.packet.seq_offset)
    later = [p for p in connection.packets[at + 1 :] if not p.has(RST) and not p.stale and not p.duplicate]
    sent = [p for p in later if p.src == reset.packet.src and p.space and p.seq_offset >= reached]
    if sent or any(p.src == reset.packet.dst and p.has(ACK) and p.ack_offset > reached for p in later):
        return replace(reset, effect="ineffective")
    return reset


def lone_refusal(reset: Segment, own: list[Segment], theirs: list[Segment]) -> bool:
    """Whether a reset refuses a SYN that was not captured: RST|ACK from 0, and nothing else of either side is there.

    Only who has no connection answers from 0, and only where the segment had no ACK (RFC 9293 §3.10.7.1).
    """
    return reset.has(RST) and reset.has(ACK) and reset.seq == 0 and not own and not theirs


def stale_reset(reset: Segment, client: Endpoint) -> Reset:
    """A reset for an older socket of the 4-tuple: it answers that socket's segment and does nothing to this one."""
    return Reset(reset, "client" if reset.src == client else "server", "no_state", "ineffective", reset.dst)


def effect_of(reset: Segment, own: list[Segment], theirs: list[Segment]) -> str:
    """Whether the receiver took it: its sequence number is what the receiver expects next (RFC 5961 §3.2, A7)."""
    acked = [p.ack_offset for p in theirs if p.has(ACK)]
    if not own and not acked:  # in SYN-SENT only the acknowledgment decides (RFC 9293 §3.10.7.3)
        return "unknown" if not theirs or acks_unseen(reset, theirs) else "ineffective"
    arrived = contiguous_end(own)
    expected = {max(acked, default=arrived), arrived} | {highest_sack_edge(theirs, reset)}
    if any(p.has(FIN) for p in own):
        expected |= {e - 1 for e in expected if e is not None}
    if reset.seq_offset in expected:
        return "effective"
    sent = max((p.end_offset for p in own), default=0)
    if any(p.has(FIN) and p.end_offset < reset.seq_offset for p in own):
        return "ineffective"  # nobody sends more after his own FIN
    # A capture of SYN, FIN and RST alone: the data before the reset are missing, so it may be where they ended.
    if own and acked and reset.seq_offset > sent and not any(p.pure_ack for p in own + theirs):
        return "unknown"
    return "unknown" if not acked or not own or sent > arrived else "ineffective"


def acks_unseen(reset: Segment, theirs: list[Segment]) -> bool:
    """Whether a reset acknowledges more than the SYN that it seems to answer: that had an answer, which is missing.

    Sequence number 0 is that of who has no connection and knows no number.
    """
    reached = max((p.end_offset for p in theirs), default=reset.ack_offset)
    return reset.has(ACK) and reset.seq != 0 and reset.ack_offset > reached


def highest_sack_edge(packets: list[Segment], reset: Segment) -> int | None:
    """The highest right edge of the latest SACK blocks (RFC 2018), as an offset near the reset's."""
    edges = []
    for p in packets:
        for kind, value in p.options:
            if kind == 5:
                edges = [int.from_bytes(value[i + 4 : i + 8], "big") for i in range(0, len(value) - 7, 8)]
    return max((reset.seq_offset + signed(edge - reset.seq) for edge in edges), default=None)


def contiguous_end(packets: list[Segment]) -> int:
    """The end of the unbroken run of sequence space from the first packet on."""
    runs = sorted((p.seq_offset, p.end_offset) for p in packets)
    end = runs[0][0] if runs else 0
    for start, stop in runs:
        if start <= end:
            end = max(end, stop)
    return end


def resets_of_next(connection: Incarnation, later: list[Segment], client: Endpoint) -> list[Reset]:
    """Resets in the next incarnation that answer a challenge of this one's socket with its numbers (A2, last row)."""
    found = []
    for p in later:
        if p.stale and p.has(RST):
            own = [q for q in connection.sent(p.src) if not q.has(RST)]
            reached = max(own, key=lambda q: q.end_offset, default=None)
            if reached is not None and p.seq == (reached.seq + reached.space) % 2**32:
                found.append(Reset(p, "client" if p.src == client else "server", "no_state", "effective", p.dst))
    return found


def handshake_only(
    connection: Incarnation, client: Endpoint, server: Endpoint, *, killed: bool, in_vain: bool
) -> str | None:
    """`refused`, `unanswered` or `half_open` where the handshake never completed; `killed` by a later reset.

    Resets that were all `in_vain` leave it half open.
    """
    own = connection.sent(client)
    theirs = connection.sent(server)
    if killed or any(not p.has(SYN) and not p.has(RST) for p in own + theirs):
        return None
    resets = [p for p in own + theirs if p.has(RST)]
    if any(p.syn_ack for p in theirs):
        return None if (resets and not in_vain) or any(p.syn_ack for p in own) else "half_open"
    if any(p.src == server and not acks_unseen(p, own) for p in resets) and any(p.pure_syn for p in own):
        return "refused"
    if resets and lone_refusal(resets[0], own=[], theirs=[p for p in own + theirs if not p.has(RST)]):
        return "refused"
    return None if resets or any(p.pure_syn for p in theirs) else "unanswered"


def read_ending(
    connection: Incarnation, client: Endpoint, server: Endpoint, later: list[Segment] | None = None
) -> Ending:
    """How it ended and who closed; `later` are the packets of the 4-tuple's following incarnations."""
    done = finished(connection, client, server)
    resets = [
        stale_reset(p, client) if p.stale else judged(connection, read_reset(connection, p, client))
        for p in connection.packets
        if p.has(RST) and (done is None or p.ts_ns < done.ts_ns)
    ]
    over = done is not None or any(r.effect == "effective" for r in resets)
    killing = [] if over else resets_of_next(connection, later or [], client)
    resets += killing
    reset = next((r for r in resets if r.effect == "effective"), resets[0] if resets else None)
    in_vain = all(r.effect == "ineffective" for r in resets)
    shape = handshake_only(connection, client, server, killed=bool(killing), in_vain=in_vain)
    if shape is not None:
        return Ending(shape, "none", "no_close", None, reset)
    active, basis, closer = closer_by_fin(connection, client, server)
    decisive = next((r for r in resets if r.effect != "ineffective"), None)
    if decisive is not None:
        fins = [f for f in (first_fin(connection, s) for s in (client, server)) if f is not None]
        if any(f.ts_ns <= decisive.packet.ts_ns for f in fins):
            return Ending("reset_after_fin", active, basis, closer, reset)
        if decisive.kind == "abort":
            if peers_fin_may_be_unseen(connection, decisive.packet):
                return Ending("reset", "ambiguous", "abort", None, reset)
            return Ending("reset", decisive.by, "abort", decisive.packet, reset)
        unseen = decisive.kind == "no_state" and close_may_be_unseen(connection, (client, server))
        return Ending("reset", "ambiguous" if unseen else "none", basis, None, reset)
    close = {"no_close": "open", "single_fin": "half_closed", "crossed": "simultaneous"}.get(basis, "fin")
    return Ending(close, active, basis, closer, reset)


def peers_fin_may_be_unseen(connection: Incarnation, abort: Segment) -> bool:
    """Nothing of who received the reset was captured, or less than its sender has acknowledged."""
    own, theirs = connection.sent(abort.src), connection.sent(abort.dst)
    acked = max((p.ack_offset for p in own if p.has(ACK) and (p is abort or not p.has(RST))), default=None)
    begun = [p.ack_offset for p in own if p.syn_ack] or [p.seq_offset for p in theirs[:1]]
    shown = max([*begun, *(p.end_offset for p in theirs if p.space)], default=None)
    return not theirs or (acked is not None and shown is not None and shown < acked)


def finished(connection: Incarnation, client: Endpoint, server: Endpoint) -> Segment | None:
    """The packet after which both FINs are acknowledged."""
    ends = []
    for side, peer in ((client, server), (server, client)):
        fin = first_fin(connection, side)
        ack = acknowledged_by(connection, peer, fin.end_offset) if fin else None
        if ack is None:
            return None
        ends.append(ack)
    return max(ends, key=lambda p: p.ts_ns)
