"""TIME_WAIT of one endpoint: when it began and what later packets prove of it (A4, B1, B3)."""

from dataclasses import dataclass

from .closing import acknowledged_by, acks, first_fin, judged, only_retransmitted, read_reset
from .incarnations import Incarnation
from .segments import ACK, RST, SYN, Endpoint, Segment

BETWEEN = 1 << 22
REUSE_STEP = 65537  # Linux tcp_timewait_state_process: the reusing socket's ISN is the old snd_nxt + 65535 + 2
# Proven alive just before the reset, and a SYN accepted just after it: the reset ended it, not a timer that nobody saw.
# A challenged SYN is sent again at once or by its retransmission timer, 1 s and doubled where it was sent before.
KILL_PROOF_NS = 3_500_000_000


@dataclass
class TimeWait:
    """What is proven; packets are the evidence."""

    start: Segment
    restarts: int = 0
    restarted: Segment | None = None
    maybe_restarted: Segment | None = None  # the peer's last segment that restarts the timer if it arrived (B1)
    alive: Segment | None = None
    gone: Segment | None = None
    ended: Segment | None = None
    cause: str = "unknown"
    possibly_killed: Segment | None = None
    unseen: bool = False  # what came next has no SYN in the capture: it ended before, nobody knows when
    ttls: frozenset[int] = frozenset()  # of the endpoint itself; a reset with another is a middlebox's


def entered(connection: Incarnation, side: Endpoint) -> Segment | None:
    """The packet with which `side` enters TIME_WAIT, or None (A4)."""
    peer = connection.peer(side)
    own_fin, peer_fin = first_fin(connection, side), first_fin(connection, peer)
    if own_fin is None or peer_fin is None:
        return None
    order = {id(p): i for i, p in enumerate(connection.packets)}
    own_ack = acknowledged_by(connection, side, peer_fin.end_offset)
    peer_ack = acknowledged_by(connection, peer, own_fin.end_offset)
    if own_ack is None or peer_ack is None:
        return None
    before_own_fin = own_ack.seq_offset < own_fin.end_offset and order[id(own_ack)] <= order[id(own_fin)]
    # Unless that own one was sent again, and the peer's, which was not, answers the first.
    again = only_retransmitted(connection, own_fin) and not only_retransmitted(connection, peer_fin)
    answered = acks(peer_fin, own_fin.end_offset)
    if before_own_fin and not (again and answered):
        return None  # it acknowledged the peer's FIN before (or with) its own: the passive closer
    if again and not answered:
        return None  # its first FIN may have acknowledged the peer's
    start = max(own_ack, peer_ack, key=lambda p: order[id(p)])
    for p in connection.packets[: order[id(start)]]:
        if p.has(RST) and not p.stale and judged(connection, read_reset(connection, p, side)).effect == "effective":
            return None
    return start


def read_time_wait(connection: Incarnation, side: Endpoint, later: list[Segment]) -> TimeWait | None:
    """The TIME_WAIT of `side`; `later` are the packets of the 4-tuple's following incarnations."""
    start = entered(connection, side)
    if start is None:
        return None
    own_fin = first_fin(connection, side)
    peer_fin = first_fin(connection, connection.peer(side))
    assert own_fin is not None
    assert peer_fin is not None
    snd_nxt = (own_fin.seq + own_fin.space) % 2**32
    rcv_nxt = (peer_fin.seq + peer_fin.space) % 2**32
    at = next(i for i, p in enumerate(connection.packets) if p is start)
    wait = TimeWait(start, ttls=frozenset(p.ttl for p in connection.sent(side) if not p.has(RST)))
    question: Segment | None = None
    after = [
        q for q in later if q.ts_ns >= start.ts_ns
    ]  # a SYN that was not the client's may have come before the close
    unopened = next((q for q in after[:1] if not q.has(SYN) or (q.syn_ack and q.src != side)), None)
    asked = next((q for q in after[:1] if q.pure_syn and q.src != side), None)
    for p in [q for q in connection.packets[at + 1 :] if not q.duplicate] + after:
        if p is unopened:
            wait.gone, wait.unseen = p, True
            break
        if asked is not None and (first_byte := answered(asked, p)) is not None:
            if (first_byte - 1 - snd_nxt - REUSE_STEP) % 2**32 == 0:
                wait.ended, wait.cause = p, "reused"
            else:
                wait.gone, wait.unseen = p, True
            break
        if p.src != side:
            question = p if hear(wait, p, rcv_nxt) else question
            continue
        if decisive(wait, p, question, snd_nxt, rcv_nxt):
            break
        if p.has(ACK) and not p.space and p.seq == snd_nxt and p.ack == rcv_nxt and question is not None:
            wait.alive = p
            if not question.pure_syn:
                wait.restarts += 1
                wait.restarted = wait.maybe_restarted = p
            question = None
    return wait


def answered(asked: Segment, p: Segment) -> int | None:
    """The number of the answerer's first byte, told by a segment that goes on after a SYN-ACK that was not captured."""
    if not p.has(ACK) or p.has(SYN) or p.has(RST):
        return None
    if p.src == asked.src:
        return p.ack if 0 < (p.seq - asked.seq) % 2**32 < 2**31 else None
    return p.seq if p.ack == (asked.seq + asked.space) % 2**32 else None


def hear(wait: TimeWait, p: Segment, rcv_nxt: int) -> bool:
    """Record what a packet of the peer may have done; whether a waiting socket owes it an answer (B1)."""
    if p.has(RST):
        if p.seq == rcv_nxt:
            wait.possibly_killed = p
        return False
    asks = bool(p.space) or (p.seq - rcv_nxt) % 2**32 >= 2**31
    if not p.pure_syn and (asks or p.seq == rcv_nxt):
        wait.maybe_restarted = p
    return asks


def decisive(wait: TimeWait, p: Segment, question: Segment | None, snd_nxt: int, rcv_nxt: int) -> bool:
    """Record a packet of the endpoint that ends or disproves its TIME_WAIT; whether it was one."""
    if p.pure_syn or p.syn_ack:
        if p.seq == (snd_nxt + REUSE_STEP) % 2**32:
            wait.ended, wait.cause = p, "reused"
        else:
            wait.gone = p
            # Near beyond the number that it would have got, where the clock of ISNs (64 ns) is much farther: one
            # that took it over was not captured.
            since = max(q.ts_ns for q in (wait.start, wait.restarted) if q is not None)
            beyond = (p.seq - snd_nxt - REUSE_STEP) % 2**32
            wait.unseen = 0 < beyond <= BETWEEN and p.ts_ns - since >= BETWEEN * 64 * 4
            killer = wait.possibly_killed
            near = killer is not None and wait.alive is not None and killer.ts_ns - wait.alive.ts_ns <= KILL_PROOF_NS
            if killer is not None and near and p.ts_ns - killer.ts_ns <= KILL_PROOF_NS:
                wait.ended, wait.cause = killer, "killed"
        return True
    if p.has(RST) and question is not None and p.ttl in wait.ttls:
        # U1; and a SYN refused: without a listener Linux' TIME_WAIT answers a SYN with an ACK, never with a reset
        refused = question.pure_syn and p.has(ACK) and p.ack == (question.seq + question.space) % 2**32
        if refused or (not p.has(ACK) and p.seq == question.ack):
            wait.gone = p
            return True
    return bool(p.space) or (p.has(ACK) and not p.has(RST) and p.ack != rcv_nxt)
