"""Situations of captures that a filter of flags made: what it left out denies nothing."""

from .missed import REQUEST, SITUATIONS, unseen
from .situations import NOBODY, Expected, situation
from .talk import Talk

__all__ = ["SITUATIONS"]


# ---- A7: a capture of SYN, FIN and RST alone ----


def opened_marks_alone(t: Talk) -> None:
    """A handshake and an exchange of which a filter passed the SYN and the SYN-ACK."""
    t.c(0, "S")
    t.s(0.001, "SA")
    unseen(t, "c", len(REQUEST))
    unseen(t, "s", 400)


@situation("A7 row 1")
def abort_of_marks_alone(t: Talk) -> list[Expected]:
    """The client aborts beyond all that was captured of it: whether it hit is not known, and no pure ACK denies it.

    In the bytes of the server that it acknowledges, and that are missing, a FIN may have been.
    """
    opened_marks_alone(t)
    t.c(1.0, "RA")
    t.bystander(70)
    reset = {"reset_by": "client", "reset_kind": "abort", "reset_effect": "unknown"}
    return [{"close": "reset", "active_closer": "ambiguous", "closer_basis": "abort"} | reset]


@situation("A7 row 2")
def answer_of_marks_alone(t: Talk) -> list[Expected]:
    """The server closes and the client, whose process is gone, answers its FIN with a bare reset: the number is due."""
    opened_marks_alone(t)
    t.s(1.0, "FA")
    t.c(1.001, "R", window=0)
    t.bystander(70)
    return [{"close": "reset_after_fin", "reset_by": "client", "reset_effect": "effective"}]


@situation("A7 row 4")
def late_abort_of_marks_alone(t: Talk) -> list[Expected]:
    """The client closes, the server goes on and then aborts beyond what was captured of it: not known, not denied."""
    opened_marks_alone(t)
    t.c(1.0, "FA")
    unseen(t, "s", 5_000)
    t.s(2.0, "RA")
    t.bystander(70)
    return [{"close": "reset_after_fin", "reset_by": "server", "reset_effect": "unknown"}]


@situation("A7")
def forged_reset_of_marks_alone(t: Talk) -> list[Expected]:
    """A reset beyond the captured bytes, and then both close in peace beyond it: nobody accepted it."""
    opened_marks_alone(t)
    t.c(0.5, "R", window=0)
    unseen(t, "c", 100)
    t.c(1.0, "FA")
    t.s(1.001, "FA")
    t.bystander(200)
    return [{"close": "fin", "active_closer": "client", "reset_effect": "ineffective"}]


@situation("A7")
def reset_behind_marks_alone(t: Talk) -> list[Expected]:
    """A reset with a number before the client's SYN is an older connection's: no data that are missing explain it."""
    opened_marks_alone(t)
    t.c(0.5, "R", seq=t.isn["c"] - 5_000, window=0)
    t.bystander(200)
    return [{"close": "half_open", "reset_effect": "ineffective"} | NOBODY]


@situation("A7 row 1")
def abort_without_the_syn(t: Talk) -> list[Expected]:
    """The same where the SYN was not captured: of the client nothing was, so that its number denies nothing."""
    opened_marks_alone(t)
    del t.packets[0]
    t.c(1.0, "RA")
    t.bystander(70)
    return [{"close": "reset", "reset_by": "client", "reset_kind": "abort", "reset_effect": "unknown"}]


@situation("A7 row 1, A2 row 3")
def abort_without_the_syn_ack(t: Talk) -> list[Expected]:
    """The server aborts and acknowledges more than the SYN: it had answered, and refuses nothing."""
    opened_marks_alone(t)
    del t.packets[1]
    t.s(1.0, "RA")
    t.bystander(70)
    return [{"close": "reset", "reset_by": "server", "reset_kind": "abort", "reset_effect": "unknown"}]


@situation("A7 row 4")
def abort_after_a_fin_alone(t: Talk) -> list[Expected]:
    """Of the opening nothing: a FIN, and the other side's abort beyond what it acknowledged."""
    opened_marks_alone(t)
    t.packets.clear()
    t.c(1.0, "FA")
    unseen(t, "s", 5_000)
    t.s(2.0, "RA")
    t.bystander(70)
    return [{"close": "reset_after_fin", "reset_by": "server", "reset_effect": "unknown"}]


@situation("A2 last row")
def the_next_connections_abort(t: Talk) -> list[Expected]:
    """Of one direction SYN and FIN, then SYN and RST|ACK from the same port: the abort is the second connection's.

    Only a bare reset answers a challenge (RFC 9293 §3.10.7.3).
    """
    t.c(0, "S")
    unseen(t, "c", 27)
    unseen(t, "s", 400)
    t.c(1.0, "FA")
    t.open(t.nxt["c"] + 65_537, t.nxt["s"] + 1_000_000)
    t.c(3.0, "S")
    unseen(t, "c", 100)
    unseen(t, "s", 400)
    t.c(4.0, "RA")
    t.bystander(70)
    return [
        {"close": "half_closed", "reset_kind": None},
        {"close": "reset", "reset_by": "client", "reset_kind": "abort", "reset_effect": "unknown"},
    ]


# ---- A7: what a bare reset answers, and whose a reset is ----


@situation("A7 row 2, A7 row 4")
def late_data_that_was_not_captured(t: Talk) -> list[Expected]:
    """The server closes and answers a packet that is missing, within its socket's life: only late data meet that."""
    t.established()
    t.s(1.0, "FA")
    unseen(t, "c", 50)
    t.s(1.050, "R", window=0)
    t.bystander(70)
    return [{"close": "reset_after_fin", "reset_by": "server", "reset_kind": "late_data"}]


@situation("A7")
def reset_behind_its_own_fin(t: Talk) -> list[Expected]:
    """Nobody sends more after his own FIN: a reset beyond it is another connection's."""
    t.established()
    t.c(1.0, "FA")
    t.s(1.001, "A")
    t.c(3.0, "RA", seq=t.nxt["c"] + 500)
    t.bystander(200)
    return [{"close": "half_closed", "active_closer": "client", "reset_effect": "ineffective"}]
