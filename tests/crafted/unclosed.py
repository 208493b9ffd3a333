"""Situations without a FIN in which something shows that FINs may be missing, and neighbours in which nothing does."""

import struct

from .filtered import SITUATIONS
from .missed import UNSEEN_WAIT, unseen
from .situations import NO_WAIT, NOBODY, Expected, situation
from .talk import Talk

__all__ = ["SITUATIONS"]

#: Nothing that was captured closes it: it is open, whatever is missing.
STILL_OPEN = {"active_closer": "none", "closer_basis": "no_close", "closer_frame": None}
#: The same of one that is over: what was not captured may have closed it.
UNSEEN_CLOSE = {"active_closer": "ambiguous", "closer_basis": "no_close", "closer_frame": None}


def only_from(t: Talk, side: str) -> None:
    """The tap has this side's direction only; what another host sent stays."""
    port = struct.pack(">H", t.client[1] if side == "c" else t.server[1])
    t.packets = [p for p in t.packets if p.data[23] != 6 or p.data[34:36] == port]


@situation("A3, A4")
def one_direction_without_its_fin(t: Talk) -> list[Expected]:
    """The server closes first; of its direction alone the FIN is missing, and its last ACK counts it: it may wait."""
    t.established()
    unseen(t, "s", 1)
    t.c(1.001, "FA")
    t.s(1.002, "A")
    only_from(t, "s")
    t.bystander(300)
    return [{"close": "open", "quality": frozenset({"one_sided"})} | STILL_OPEN | UNSEEN_WAIT]


@situation("A4")
def one_direction_with_all_its_numbers(t: Talk) -> list[Expected]:
    """The same where its last ACK counts no more than what was captured: it sent no FIN, so nobody waits."""
    t.established()
    t.c(1.001, "FA")
    t.s(1.002, "A")
    only_from(t, "s")
    t.bystander(300)
    return [{"close": "open", "quality": frozenset({"one_sided"})} | NOBODY]


@situation("A4, A7")
def one_direction_after_its_fin(t: Talk) -> list[Expected]:
    """The client's last ACK, and 70 s later a bare reset: what it answers is not there; it may have waited between."""
    t.established()
    start = t.close("c", 1.0)
    t.c(start + 70, "R", window=0)
    only_from(t, "c")
    t.packets = t.packets[-2:]
    t.bystander(300)
    reset = {"close": "reset", "reset_by": "client", "reset_kind": "no_state", "reset_effect": "effective"}
    return [reset | UNSEEN_CLOSE | UNSEEN_WAIT]


@situation("A7")
def an_acknowledgment_answered_at_once(t: Talk) -> list[Expected]:
    """Both directions: whoever is answered that there is no socket still had one, so there were not two FINs."""
    t.established()
    t.c(30.0, "A")
    t.s(30.001, "R", window=0)
    t.packets = t.packets[-2:]
    t.bystander(300)
    reset = {"close": "reset", "reset_by": "server", "reset_kind": "no_state", "reset_effect": "effective"}
    return [reset | NOBODY]


@situation("A4, A7 row 2")
def one_direction_with_its_number_in_a_reset(t: Talk) -> list[Expected]:
    """Its FIN and its last ACK are missing: the bare reset repeats the number that the other side acknowledged."""
    t.established()
    unseen(t, "c", 1)
    t.c(70.0, "R", window=0)
    only_from(t, "c")
    t.bystander(300)
    return [{"close": "reset", "reset_kind": "no_state"} | UNSEEN_CLOSE | UNSEEN_WAIT]


@situation("A7 row 2")
def one_direction_with_no_more_in_a_reset(t: Talk) -> list[Expected]:
    """The same at the number that was captured: there was no FIN."""
    t.established()
    t.c(70.0, "R", window=0)
    only_from(t, "c")
    t.bystander(300)
    return [{"close": "reset", "reset_kind": "no_state"} | NOBODY]


def half_closed_before(t: Talk) -> None:
    """The client has closed, the server sends on; the capture begins then."""
    t.established()
    t.c(1.0, "FA")
    t.s(1.001, "A")
    t.packets.clear()
    t.s(2.0, "PA", b"more")
    t.c(2.001, "A")


@situation("A4, A5")
def half_close_without_the_last_fin(t: Talk) -> list[Expected]:
    """A half-close begun unseen; the other FIN is missing, too, and its acknowledgment counts it: the client waits."""
    half_closed_before(t)
    unseen(t, "s", 1)
    t.c(3.001, "A")
    t.bystander(300)
    return [{"close": "open", "quality": frozenset({"midstream", "gap"})} | STILL_OPEN | UNSEEN_WAIT]


@situation("A5")
def half_close_still_open(t: Talk) -> list[Expected]:
    """The same with nothing missing: the server is open, so nobody waits."""
    half_closed_before(t)
    t.s(3.0, "PA", b"more")
    t.c(3.001, "A")
    t.bystander(300)
    return [{"close": "open", "quality": frozenset({"midstream"})} | NOBODY]


@situation("A3")
def one_number_unseen_of_an_open_connection(t: Talk) -> list[Expected]:
    """The client's FIN is missing and acknowledged, or one byte is; the server has not closed: nobody waits."""
    t.established()
    unseen(t, "c", 1)
    t.s(1.001, "A")
    t.bystander(300)
    return [{"close": "open"} | STILL_OPEN | NO_WAIT | {"time_wait_basis": "not_entered"}]


@situation("A3, A4")
def both_fins_unseen(t: Talk) -> list[Expected]:
    """Both directions: the tap misses both FINs, and the last two ACKs count them."""
    t.established()
    unseen(t, "c", 1)
    t.s(1.001, "A")
    unseen(t, "s", 1)
    t.c(1.003, "A")
    t.bystander(300)
    return [{"close": "open"} | STILL_OPEN | UNSEEN_WAIT]


def probed(t: Talk, at_s: float) -> None:
    """An idle client's keep-alive, which takes the number before its own (RFC 9293 §3.8.4)."""
    t.c(at_s, "A", seq=t.nxt["c"] - 1)


def met_idle(t: Talk, at_s: float) -> None:
    """The capture begins with an idle client's keep-alive, which is answered."""
    t.established()
    t.packets.clear()
    probed(t, at_s)
    t.s(at_s + 0.001, "A")


@situation("A3")
def an_idle_connection_with_keep_alives(t: Talk) -> list[Expected]:
    """Met in the middle, only keep-alives and their answers: the number between them is nobody's FIN."""
    met_idle(t, 60.0)
    for minute in range(2, 5):
        probed(t, 60.0 * minute)
        t.s(60.0 * minute + 0.001, "A")
    t.bystander(300)
    none = {"close": "open", "active_closer": "none", "closer_basis": "no_close", "quality": frozenset({"midstream"})}
    return [none | UNSEEN_WAIT]


@situation("A3")
def a_keep_alive_and_then_a_request(t: Talk) -> list[Expected]:
    """Its own bytes begin one number behind the keep-alive's: none is missing, and none came out of order."""
    met_idle(t, 1.0)
    t.c(2.0, "PA", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    t.s(2.001, "PA", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    t.c(2.002, "A")
    t.close("s", at_s=3.0)
    row = {"requests": 1, "responses": 1, "client_bytes": 27, "quality": frozenset({"midstream"})}
    return [{"close": "fin", "active_closer": "server", "time_wait_holder": "server"} | row]


@situation("A3")
def a_keep_alive_and_then_data(t: Talk) -> list[Expected]:
    """The same with what the server sends after it, which is acknowledged: nobody has closed."""
    met_idle(t, 1.0)
    t.s(2.0, "PA", b"more")
    t.c(2.001, "A")
    t.bystander(300)
    return [{"close": "open"} | NOBODY]


@situation("A7")
def a_keep_alive_that_nobody_knows(t: Talk) -> list[Expected]:
    """The first is answered, the next one by a host that has no such socket any more: dead, not closed."""
    met_idle(t, 60.0)
    probed(t, 120.0)
    t.s(120.001, "R", seq=t.nxt["s"], window=0)
    t.bystander(300)
    return [{"close": "reset", "reset_by": "server", "reset_kind": "no_state"} | NOBODY]


@situation("A3")
def a_silent_sides_fin_that_nobody_captured(t: Talk) -> list[Expected]:
    """A download met in the middle, at whose end the server counts one number more of a client that sent nothing.

    It is no keep-alive's, as the server had counted up to the one before; late bytes find no socket. Who closed first
    was not captured.
    """
    t.established()
    t.packets.clear()
    for second in range(1, 4):
        t.s(float(second), "PA", b"x" * 100)
        t.c(second + 0.001, "A")
    unseen(t, "c", 1)
    t.s(5.001, "A")
    t.s(105.0, "PA", b"late")
    t.c(105.001, "R", window=0)
    t.bystander(300)
    return [{"close": "reset", "reset_by": "client", "active_closer": "ambiguous", "closer_basis": "no_close"}]


@situation("A3")
def an_idle_servers_fin_that_nobody_captured(t: Talk) -> list[Expected]:
    """Met in the middle by the server's keep-alive; its FIN is lost, and the client, which counts it, meets nobody."""
    t.established()
    t.packets.clear()
    t.s(60.0, "A", seq=t.nxt["s"] - 1)
    t.c(60.001, "A")
    unseen(t, "s", 1)
    t.c(90.0, "PA", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    t.s(90.001, "R", window=0)
    t.bystander(300)
    return [{"close": "reset", "reset_by": "server", "active_closer": "ambiguous", "closer_basis": "no_close"}]


@situation("A3")
def a_keep_alive_and_then_a_fin(t: Talk) -> list[Expected]:
    """The server sends what acknowledges more than the keep-alive, and the client closes there: no byte is missing."""
    t.established()
    t.packets.clear()
    probed(t, 1.0)
    t.s(1.1, "PA", b"x" * 50)
    t.c(1.101, "A")
    t.close("c", at_s=3.0)
    return [{"close": "fin", "active_closer": "client", "quality": frozenset({"midstream"})}]
