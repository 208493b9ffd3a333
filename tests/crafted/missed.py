"""Situations in which the tap missed packets: what is left must not be read as something that it does not prove."""

from .situations import NO_WAIT, SITUATIONS, Expected, situation
from .talk import Talk

__all__ = ["SITUATIONS"]

REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def opened_unseen(t: Talk) -> None:
    """A handshake whose SYN-ACK the tap missed."""
    t.c(0, "S")
    t.nxt["s"] += 1
    t.c(0.002, "A")


# ---- A2 last row, A7: a SYN-ACK that was not captured ----


@situation("A2 row 6")
def no_challenge_after_the_clients_ack(t: Talk) -> list[Expected]:
    """The client acknowledged the SYN-ACK, so the server's ACK of bytes that the tap missed challenges nothing.

    Its reset, at the number that this ACK expects, is an answer that arrives where it must: effective.
    """
    opened_unseen(t)
    t.nxt["c"] += 27
    t.s(0.101, "A")
    t.c(0.200, "R", window=0)
    t.bystander(70)
    reset = {"reset_by": "client", "reset_kind": "no_state", "reset_effect": "effective"}
    return [{"close": "reset", "active_closer": "none"} | reset | NO_WAIT]


@situation("A2 row 6, A7 row 1")
def abort_after_unseen_bytes(t: Talk) -> list[Expected]:
    """The same with an abort: RST|ACK at snd_nxt closes, and no challenge is answered with an ACK in it."""
    opened_unseen(t)
    t.nxt["c"] += 27
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
