"""Situations in which the tap missed packets: what is left must not be read as something that it does not prove."""

from .situations import CLIENT_CLOSED, NO_WAIT, NOBODY, SERVER_CLOSED, SITUATIONS, Expected, situation
from .talk import Talk

__all__ = ["SITUATIONS"]

#: Where the FIN that a TIME_WAIT takes beside the one captured may be missing.
UNSEEN_WAIT = {"time_wait_holder": "unknown", "time_wait_basis": None}
REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def unseen(t: Talk, side: str, numbers: int) -> None:
    """A side sends so many sequence numbers past the tap."""
    t.nxt[side] = (t.nxt[side] + numbers) % 2**32


def opened_unseen(t: Talk) -> None:
    """A handshake whose SYN-ACK the tap missed."""
    t.c(0, "S")
    unseen(t, "s", 1)
    t.c(0.002, "A")


# ---- A2 last row, A7: a SYN-ACK that was not captured ----


@situation("A2 row 6")
def no_challenge_after_the_clients_ack(t: Talk) -> list[Expected]:
    """The client acknowledged the SYN-ACK, so the server's ACK of bytes that the tap missed challenges nothing.

    Its reset, at the number that this ACK expects, is an answer that arrives where it must: effective.
    """
    opened_unseen(t)
    unseen(t, "c", 27)
    t.s(0.101, "A")
    t.c(0.200, "R", window=0)
    t.bystander(70)
    reset = {"reset_by": "client", "reset_kind": "no_state", "reset_effect": "effective"}
    return [{"close": "reset", "active_closer": "none"} | reset | NO_WAIT]


@situation("A2 row 6, A7 row 1")
def abort_after_unseen_bytes(t: Talk) -> list[Expected]:
    """The same with an abort: RST|ACK at snd_nxt closes, and no challenge is answered with an ACK in it."""
    opened_unseen(t)
    unseen(t, "c", 27)
    t.s(0.101, "A")
    t.c(0.200, "RA", window=502)
    t.bystander(70)
    closer = {"active_closer": "client", "closer_basis": "abort", "closer_time": 0.2}
    return [{"close": "reset", "reset_kind": "abort", "reset_effect": "effective"} | closer | NO_WAIT]


@situation("A2 row 3, A7 row 1")
def abort_is_no_refusal(t: Talk) -> list[Expected]:
    """RST|ACK acknowledging just the SYN, of a server whose SYN-ACK the client has acknowledged: an abort."""
    opened_unseen(t)
    t.s(0.003, "RA", window=502)
    t.bystander(70)
    closer = {"active_closer": "server", "closer_basis": "abort", "closer_time": 0.003}
    return [{"close": "reset", "reset_by": "server", "reset_kind": "abort", "reset_effect": "effective"} | closer]


@situation("A7 row 2")
def answer_to_an_open_client(t: Talk) -> list[Expected]:
    """A bare reset at the client's rcv_nxt is no stray in SYN-SENT, where only RST|ACK would count: it is effective."""
    opened_unseen(t)
    t.c(0.100, "PA", REQUEST)
    t.s(0.101, "R", window=0)
    t.bystander(70)
    return [{"close": "reset", "reset_by": "server", "reset_kind": "no_state", "reset_effect": "effective"} | NO_WAIT]


@situation("A1, A2")
def answer_without_its_syn_ack(t: Talk) -> list[Expected]:
    """An open connection's ports are used again, and the tap misses the SYN-ACK and the ACK of it.

    The server speaks first, near its old numbers, and acknowledges the new SYN: it is the new connection's, and closes.
    """
    t.established()
    t.open(t.client_isn + 900_000_000, t.nxt["s"] + 5_000)
    t.c(30.0, "S")
    unseen(t, "s", 1)
    t.s(30.002, "PA", b"220 ready\r\n")
    t.c(30.003, "A")
    t.s(30.100, "FA")
    t.c(30.101, "FA")
    t.s(30.102, "A")
    t.bystander(31)
    return [{"close": "open", "server_bytes": 40} | NOBODY, {"server_bytes": 11, "reuse_of": 1} | SERVER_CLOSED]


# ---- A3: a FIN whose first transmission was not captured ----


def crossed_and_sent_again(t: Talk, after_s: float) -> None:
    """Both close at once; the tap misses the client's FIN and sees it `after_s` behind its acknowledgment once more.

    Sent again it acknowledges the server's FIN, which it did not at first.
    """
    t.established()
    fin = t.nxt["c"]
    t.s(1.0, "FA", ack=fin)
    t.s(1.001, "A", ack=fin + 1)
    t.ip_id += 1  # the client's packet that the tap missed
    t.c(1.001 + after_s, "FA")
    t.s(1.002 + after_s, "A")
    t.bystander(70)


@situation("A3, last sentence")
def fin_sent_again_soon(t: Talk) -> list[Expected]:
    """A tail loss probe sends a FIN again after some ms: what it acknowledges then says nothing of who came first."""
    crossed_and_sent_again(t, 0.020)
    return [{"active_closer": "ambiguous", "closer_basis": "retransmission_only"}]


@situation("A3")
def fin_shown_late(t: Talk) -> list[Expected]:
    """The same packets within a millisecond: no timer is so short, the tap showed them in the wrong order.

    The client's FIN acknowledges the server's: the server is the active closer.
    """
    crossed_and_sent_again(t, 0.0005)
    return [SERVER_CLOSED | {"closer_time": 1.0}]


@situation("A3")
def fin_shown_late_by_its_ip_id(t: Talk) -> list[Expected]:
    """20 ms late, but its IP id follows that of the client's packet before it: no packet of the client is missing."""
    t.established()
    fin = t.nxt["c"]
    t.s(1.0, "FA", ack=fin)
    t.s(1.001, "A", ack=fin + 1)
    t.ip_id -= 2
    t.c(1.021, "FA")
    t.s(1.022, "A")
    t.bystander(70)
    return [SERVER_CLOSED | {"closer_time": 1.0}]


@situation("A3")
def fin_sent_again_after_the_other(t: Talk) -> list[Expected]:
    """The client's FIN was missed; the server's acknowledges it; then the client's is seen, acknowledging the server's.

    Two first FINs cannot acknowledge each other. The one captured after its acknowledgment was sent again: the client's
    first FIN was what the server answered.
    """
    t.established()
    unseen(t, "c", 1)
    t.s(1.0, "FA")
    t.c(1.020, "FA", seq=t.nxt["c"] - 1)
    t.s(1.021, "A")
    t.bystander(70)
    return [CLIENT_CLOSED]


@situation("A3")
def fin_repeated_soon(t: Talk) -> list[Expected]:
    """Captured twice within 20 ms, the second acknowledging the server's FIN: the first counts, so they crossed."""
    t.established()
    fins = dict(t.nxt)
    t.c(1.0, "FA")
    t.s(1.001, "FA", ack=fins["c"])
    t.c(1.020, "FA", seq=fins["c"])
    t.s(1.021, "A")
    t.bystander(70)
    crossed = {"close": "simultaneous", "active_closer": "both", "closer_basis": "crossed"}
    return [crossed | {"time_wait_holder": "both", "client_retransmits": 1}]


@situation("A3")
def fin_sent_again_behind_its_sender(t: Talk) -> list[Expected]:
    """The client goes on after its FIN, which the tap missed and sees later: sent again, it decides nothing."""
    t.established()
    fin = t.nxt["c"]
    t.s(1.0, "FA", ack=fin)
    t.c(1.0005, "A", seq=fin + 1)
    t.c(1.020, "FA", seq=fin)
    t.s(1.021, "A", ack=fin + 1)
    t.bystander(70)
    return [{"active_closer": "ambiguous", "closer_basis": "retransmission_only"}]


@situation("A1, A2")
def next_opening_missed(t: Talk) -> list[Expected]:
    """After a complete close the 4-tuple goes on with data far from all numbers so far: the next one, opened unseen."""
    t.established()
    start = t.close("c", 1.0)
    t.open(t.client_isn + 700_000_000, t.server_isn + 800_000_000)
    unseen(t, "c", 1)
    unseen(t, "s", 1)
    t.c(start + 61, "A")
    t.c(start + 61.001, "PA", b"more")
    t.s(start + 61.002, "A")
    t.close("c", start + 61.1)
    t.bystander(start + 200)
    return [CLIENT_CLOSED, CLIENT_CLOSED | {"reuse_of": 1, "client_bytes": 4}]


@situation("A1, A2, B3 L3")
def next_opening_missed_near_the_last(t: Talk) -> list[Expected]:
    """The same out of a TIME_WAIT: new numbers follow closely (SND.NXT + 65537; the ISN clock), behind both FINs."""
    t.established()
    start = t.close("s", 1.0)
    t.open(t.nxt["c"] + 55_000, t.nxt["s"] + 65_536)
    unseen(t, "c", 1)
    unseen(t, "s", 1)
    t.c(start + 1, "PA", b"more")
    t.s(start + 1.001, "A")
    t.close("s", start + 1.1)
    t.bystander(start + 200)
    gone = {"time_wait_basis": "upper_only", "time_wait_end": "unknown", "time_wait_upper_s": 1.0}
    return [SERVER_CLOSED | gone, SERVER_CLOSED | {"reuse_of": 1, "client_bytes": 4}]


@situation("A1, A2, B3 L3")
def next_opening_and_a_fin_missed(t: Talk) -> list[Expected]:
    """The client's FIN is missing, too: what acknowledges more than the server's FIN is another connection's."""
    t.established()
    t.s(1.0, "FA")
    unseen(t, "c", 1)
    t.s(1.002, "A")
    t.open(t.nxt["c"] + 55_000, t.nxt["s"] + 65_536)
    unseen(t, "c", 1)
    unseen(t, "s", 1)
    t.c(2.0, "A")
    t.c(2.001, "PA", b"more")
    t.s(2.002, "A")
    t.close("s", 2.1)
    t.bystander(200)
    return [{"closer_basis": "single_fin", "client_bytes": 27}, SERVER_CLOSED | {"reuse_of": 1, "client_bytes": 4}]


# ---- A3: one FIN captured, the other sent ----


@situation("A3")
def crossed_and_one_missed(t: Talk) -> list[Expected]:
    """FINs cross, and the tap misses the server's: its later ACK counts one number more than was captured of it.

    That may have been its FIN, sent before it had the client's: both may be active closers, and both hold a TIME_WAIT.
    """
    t.established()
    client_end = t.nxt["c"]
    t.c(1.0, "FA")
    unseen(t, "s", 1)
    t.c(1.001, "A")
    t.s(1.0015, "A", ack=client_end + 1)
    t.bystander(70)
    return [{"active_closer": "ambiguous", "closer_basis": "single_fin"} | UNSEEN_WAIT]


@situation("A3")
def crossed_and_no_acknowledgment(t: Talk) -> list[Expected]:
    """FINs cross, and the capture has no acknowledgment of either: both wait, from when nothing tells."""
    t.established()
    client_end = t.nxt["c"]
    t.c(1.0, "FA")
    t.s(1.0005, "FA", ack=client_end)
    t.bystander(70)
    return [{"active_closer": "both", "closer_basis": "crossed"} | UNSEEN_WAIT]


@situation("A4, A6")
def late_answer_to_a_fin_sent_again(t: Talk) -> list[Expected]:
    """The last ACK is missed, the FIN comes again until its sender gives up, and the last one meets no socket any more.

    What answered was not asked first: the first FIN may have begun a TIME_WAIT, which was over by then.
    """
    t.established()
    t.c(1.0, "FA")
    fin = t.nxt["s"]
    t.s(1.001, "FA")
    for at in (1.2, 1.6, 2.4, 90.0):
        t.s(at, "FA", seq=fin)
    t.c(90.001, "R", window=0)
    t.bystander(200)
    return [{"active_closer": "client", "closer_basis": "acknowledged", "reset_kind": "no_state"} | UNSEEN_WAIT]


@situation("A3")
def second_fin_shown_by_its_sender(t: Talk) -> list[Expected]:
    """The same where the client's ACK is missing, too: only the server's own number shows that it went on."""
    t.established()
    t.c(1.0, "FA")
    unseen(t, "s", 1)
    t.s(1.0015, "A")
    t.bystander(70)
    return [{"active_closer": "ambiguous", "closer_basis": "single_fin"} | UNSEEN_WAIT]


@situation("A3")
def second_fin_missed_with_its_acknowledgment(t: Talk) -> list[Expected]:
    """Three segments, and the tap misses the middle one: that FIN may have crossed the client's as well."""
    t.established()
    t.c(1.0, "FA")
    unseen(t, "s", 1)
    t.c(1.001, "A")
    t.bystander(70)
    return [{"active_closer": "ambiguous", "closer_basis": "single_fin"} | UNSEEN_WAIT]


@situation("A3")
def second_fin_missed_after_its_acknowledgment(t: Talk) -> list[Expected]:
    """The server took the client's FIN when it had sent no more than is captured: what is missing came after it."""
    t.established()
    t.c(1.0, "FA")
    t.s(1.001, "A")
    unseen(t, "s", 1)
    t.c(1.5, "A")
    t.bystander(70)
    return [{"active_closer": "client", "closer_basis": "single_fin"} | UNSEEN_WAIT]


@situation("A3")
def second_fin_missed_before_bytes_sent_again(t: Talk) -> list[Expected]:
    """The server's bytes are lost on the way and sent again: their old numbers do not say that its FIN was to come."""
    t.established()
    lost = t.nxt["s"]
    t.s(0.5, "PA", b"an answer")
    unseen(t, "s", 1)
    t.c(1.0, "FA", ack=lost)
    t.s(1.001, "PA", b"an answer", seq=lost)
    t.c(1.002, "A")
    t.bystander(70)
    return [{"active_closer": "ambiguous", "closer_basis": "single_fin"} | UNSEEN_WAIT]


@situation("A3")
def nothing_missed_behind_a_hole(t: Talk) -> list[Expected]:
    """A hole in the middle of the server's bytes hides no FIN: it sent on after it. Nobody is in TIME_WAIT."""
    t.established()
    unseen(t, "s", 100)
    t.s(0.5, "PA", b"more")
    t.c(0.501, "A")
    t.c(1.0, "FA")
    t.s(1.001, "A")
    t.bystander(70)
    return [{"close": "half_closed", "active_closer": "client"} | NO_WAIT]


@situation("A3, A7")
def a_stray_reset_hides_no_fin(t: Talk) -> list[Expected]:
    """A reset that was not accepted ends no TIME_WAIT: where the second FIN is missing it stays unknown."""
    t.established()
    t.c(1.0, "FA")
    unseen(t, "s", 1)
    t.c(1.001, "A")
    t.s(1.5, "R", seq=t.nxt["s"] + 5_000_000, window=0)
    t.bystander(70)
    return [{"active_closer": "ambiguous", "closer_basis": "single_fin", "reset_effect": "ineffective"} | UNSEEN_WAIT]


@situation("A3, A7")
def one_direction_with_a_reset(t: Talk) -> list[Expected]:
    """Only the client's packets: its FIN, its ACK of another FIN, and much later a bare reset. It may have waited."""
    unseen(t, "c", 1)
    unseen(t, "s", 1)
    t.c(0, "PA", REQUEST)
    t.c(1.0, "FA")
    unseen(t, "s", 41)
    t.c(1.001, "A")
    t.c(70.0, "R", window=0)
    return [{"active_closer": "ambiguous", "closer_basis": "single_fin", "reset_by": "client"} | UNSEEN_WAIT]


# ---- A2 row 3, A7 row 3: a refusal whose SYN was not captured ----


@situation("A2 row 3, A7 row 3")
def lone_refusal(t: Talk) -> list[Expected]:
    """Only the server's direction: RST|ACK from 0 answers a segment without ACK, a SYN. Refused, and nobody closed."""
    unseen(t, "c", 1)
    t.s(0.001, "RA", seq=0, window=0)
    t.bystander(70)
    reset = {"reset_by": "server", "reset_kind": "refused", "reset_effect": "unknown"}
    return [{"close": "refused", "client_port": 40_000, "server_packets": 1} | reset | NOBODY]


@situation("A2 row 3, A7 row 3")
def lone_refusals(t: Talk) -> list[Expected]:
    """Three times, as Windows tries again after a refusal, between two ports that do not tell the service."""
    t.client, t.server = ("10.9.0.1", 50_001), ("10.9.0.2", 50_002)
    unseen(t, "c", 1)
    for at in (0.001, 0.502, 1.003):
        t.s(at, "RA", seq=0, window=0)
    t.bystander(70)
    roles = {"client_port": 50_001, "role_basis": "first_packet", "server_packets": 3}
    return [{"close": "refused", "reset_by": "server", "reset_kind": "refused"} | roles | NOBODY]


@situation("A7 row 1")
def lone_abort(t: Talk) -> list[Expected]:
    """RST|ACK from another number is of a connection that was open: its sender ended it, unless its peer had closed."""
    unseen(t, "c", 1)
    unseen(t, "s", 1)
    t.s(0.001, "RA", window=502)
    t.bystander(70)
    return [{"close": "reset", "active_closer": "ambiguous", "closer_basis": "abort", "reset_kind": "abort"}]


@situation("A5, B3 L3")
def the_connection_between_was_missed(t: Talk) -> list[Expected]:
    """A whole connection that took the TIME_WAIT over is missing: the next one's ISN is two steps on, not the clock's.

    So the first was over sooner than that SYN, and nothing is said of the length that TIME_WAIT has there.
    """
    t.established()
    t.close("s", 1.0)
    t.open(t.nxt["c"] + 9_000_000, t.nxt["s"] + 2 * 65_537 + 102)
    t.handshake(6.0)
    t.bystander(200)
    gone = {"time_wait_basis": "upper_only", "time_wait_end": "unknown"}
    return [SERVER_CLOSED | gone, {"close": "open", "reuse_of": 1}]
