"""Named situations: a conversation built packet by packet, and the contract's columns that it must be read as.

Expectations are derived by hand from the specification's sections A2, A3, A5, A7, A8, B1 and B3, one row per
connection in order of first packet. Times are seconds after the capture's start; `None` means null.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .talk import Talk

Expected = dict[str, Any]
Builder = Callable[[Talk], list[Expected]]


@dataclass(frozen=True)
class Situation:
    """A name, the rule that it shows, and the function that crafts it and says what must be read."""

    name: str
    rule: str
    build: Builder = field(compare=False)


SITUATIONS: list[Situation] = []


def situation(rule: str) -> Callable[[Builder], Builder]:
    """Register a builder under its name."""

    def register(build: Builder) -> Builder:
        SITUATIONS.append(Situation(build.__name__, rule, build))
        return build

    return register


CLIENT_CLOSED = {
    "close": "fin",
    "active_closer": "client",
    "closer_basis": "acknowledged",
    "time_wait_holder": "client",
}
SERVER_CLOSED = {
    "close": "fin",
    "active_closer": "server",
    "closer_basis": "acknowledged",
    "time_wait_holder": "server",
}
NO_WAIT = {"time_wait_holder": "none", "time_wait_lower_s": None, "time_wait_upper_s": None}
NOBODY = {"active_closer": "none", "closer_basis": "no_close"} | NO_WAIT


# ---- A2: handshake ----


@situation("A2 row 1")
def syn_unanswered(t: Talk) -> list[Expected]:
    """A SYN repeated and never answered is one connection, unanswered."""
    for at in (0, 1, 2, 3, 4, 5, 7, 11):
        t.c(at, "S", seq=t.client_isn)
    return [{"close": "unanswered", "client_packets": 8, "server_packets": 0, "handshake_rtt_s": None} | NOBODY]


@situation("A2 row 2")
def syn_ack_never_acknowledged(t: Talk) -> list[Expected]:
    """A SYN-ACK repeated and never acknowledged: half-open."""
    t.c(0, "S")
    t.s(0.001, "SA")
    for at in (1, 3, 7, 15, 31):
        t.s(at, "SA", seq=t.server_isn)
    return [{"close": "half_open", "server_packets": 6, "handshake_rtt_s": None} | NOBODY]


@situation("A2 row 3, A7 row 3")
def refused(t: Talk) -> list[Expected]:
    """RST|ACK with seq 0 and window 0 acknowledging the SYN: refused."""
    t.c(0, "S")
    t.s(0.001, "RA", seq=0, window=0)
    return [{"close": "refused", "reset_by": "server", "reset_kind": "refused"} | NOBODY]


@situation("A1, A2 row 3")
def data_after_refusal(t: Talk) -> list[Expected]:
    """Data far from a refused attempt's numbers is another connection's, whose handshake was not captured."""
    t.c(0, "S")
    t.s(0.001, "RA", seq=0, window=0)
    t.c(9, "PA", b"x" * 28, seq=t.rel("c", 900_000_000), ack=77)
    return [
        {"close": "refused", "client_bytes": 0, "reset_kind": "refused"} | NOBODY,
        {"close": "open", "client_bytes": 28, "reuse_of": 1} | NOBODY,
    ]


@situation("A2 row 4")
def simultaneous_open(t: Talk) -> list[Expected]:
    """Crossing SYNs, then SYN-ACKs with the ISNs unchanged: one connection, the first SYN's sender is the client."""
    t.c(0, "S")
    t.s(0.0001, "S")
    t.c(0.001, "SA", seq=t.client_isn)
    t.s(0.0011, "SA", seq=t.server_isn)
    t.c(0.100, "PA", b"hello")
    t.s(0.101, "A")
    t.bystander(70)
    return [{"close": "open", "role_basis": "syn", "client_bytes": 5, "server_bytes": 0} | NOBODY]


@situation("A2 row 5")
def fast_open_accepted(t: Talk) -> list[Expected]:
    """SYN with data, acknowledged whole, server data before the final ACK: legal, bytes counted."""
    t.c(0, "S", b"GET / HTTP/1.0\r\n\r\n")
    t.s(0.001, "SA")
    t.s(0.002, "PA", b"HTTP/1.0 200 OK\r\n\r\nhello")
    t.c(0.003, "A")
    return [{"close": "open", "client_bytes": 18, "server_bytes": 24, "requests": 1, "responses": 1} | NOBODY]


@situation("A2 row 5")
def fast_open_rejected(t: Talk) -> list[Expected]:
    """SYN with data of which only the SYN is acknowledged: the data comes again and counts once."""
    request = b"GET / HTTP/1.0\r\n\r\n"
    t.c(0, "S", request)
    t.s(0.001, "SA", ack=t.rel("c", 1))
    t.c(0.002, "PA", request, seq=t.rel("c", 1))
    t.s(0.003, "A")
    return [{"close": "open", "client_bytes": 18, "requests": 1, "responses": 0} | NOBODY]


@situation("A2 row 6")
def stale_half_open_peer(t: Talk) -> list[Expected]:
    """A SYN met by an old socket: challenge ACK, RST, the same SYN again, SYN-ACK: one connection, open."""
    t.c(0, "S")
    t.s(0.001, "A", seq=t.rel("s", 2_000_000_000), ack=t.rel("c", 1_500_000_000))
    t.c(0.002, "R", seq=t.rel("c", 1_500_000_000), window=0)
    t.c(0.010, "S", seq=t.client_isn)
    t.s(0.011, "SA")
    t.c(0.012, "A")
    t.c(0.100, "PA", b"hello")
    t.s(0.101, "A")
    return [{"close": "open", "client_bytes": 5, "client_packets": 5, "server_packets": 3} | NOBODY]


@situation("A2 row 2")
def one_syn_ack(t: Talk) -> list[Expected]:
    """One SYN-ACK, never repeated (as SYN cookies do it): half-open as well."""
    t.c(0, "S")
    t.s(0.001, "SA")
    t.bystander(200)
    return [{"close": "half_open", "server_packets": 1} | NOBODY]


@situation("A1")
def picked_up_by_its_request(t: Talk) -> list[Expected]:
    """No handshake in the capture: the request's sender is the client, though its port is the lower one."""
    t.client, t.server = ("10.9.0.1", 1024), ("10.9.0.2", 8080)
    t.c(0, "PA", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    t.s(0.001, "PA", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    t.c(0.002, "A")
    row = {"role_basis": "http", "client_port": 1024, "quality": frozenset({"midstream"}), "handshake_rtt_s": None}
    return [{"close": "open", "requests": 1, "responses": 1, "client_bytes": 27, "server_bytes": 40} | row | NOBODY]


@situation("A1")
def picked_up_by_its_syn_ack(t: Talk) -> list[Expected]:
    """The SYN was not captured: the SYN-ACK's receiver is the client."""
    t.nxt["c"] += 1
    t.s(0, "SA")
    t.c(0.001, "A")
    t.c(0.002, "PA", b"hello")
    t.s(0.003, "A")
    return [{"close": "open", "role_basis": "syn_ack", "client_port": 40_000, "client_bytes": 5} | NOBODY]


# ---- A3: the active closer is causal ----


@situation("A3")
def server_closes(t: Talk) -> list[Expected]:
    """The client's FIN acknowledges the server's: the server is active, in three segments."""
    t.established()
    t.s(1.0, "FA")
    t.c(1.001, "FA")
    t.s(1.002, "A")
    return [SERVER_CLOSED | {"time_wait_start": 1.002, "closer_time": 1.0, "time_wait_basis": "censored"}]


@situation("A3")
def one_fin_only(t: Talk) -> list[Expected]:
    """One FIN in the whole capture."""
    t.established()
    t.s(1.0, "FA")
    t.c(1.001, "A")
    t.bystander(70)
    return [{"close": "half_closed", "active_closer": "server", "closer_basis": "single_fin"} | NO_WAIT]


@situation("A3")
def first_fin_lost_at_the_tap(t: Talk) -> list[Expected]:
    """The server acknowledges a client FIN that the tap missed; its retransmission acks the server's FIN: undecided."""
    t.established()
    fin = t.nxt["c"]
    t.s(1.0, "A", ack=fin + 1)
    t.s(1.001, "FA", ack=fin)
    t.c(1.200, "FA", seq=fin)
    t.s(1.201, "A", ack=fin + 1)
    return [{"active_closer": "ambiguous", "closer_basis": "retransmission_only"}]


# ---- A5: half-close ----


@situation("A5")
def half_close_with_data(t: Talk) -> list[Expected]:
    """The client shuts down its side, the server sends on for two seconds, the client acknowledges, then it closes."""
    t.established()
    t.c(1.0, "FA")
    t.s(1.001, "A")
    t.s(2.0, "PA", b"more")
    t.c(2.001, "A")
    t.s(3.0, "FA")
    t.c(3.001, "A")
    return [CLIENT_CLOSED | {"time_wait_start": 3.001, "time_wait_basis": "censored", "closer_time": 1.0}]


@situation("A5")
def close_wait_dwell(t: Talk) -> list[Expected]:
    """The peer's FIN lies unanswered for half a minute: an application that did not close."""
    t.established()
    t.s(1.0, "FA")
    t.c(1.001, "A")
    t.c(31.0, "FA")
    t.s(31.001, "A")
    t.bystander(200)
    return [SERVER_CLOSED | {"time_wait_start": 31.001, "time_wait_basis": "model", "time_wait_restarts": 0}]


# ---- A7: resets ----


@situation("A7 row 1")
def abort(t: Talk) -> list[Expected]:
    """RST|ACK at snd_nxt with a window: close() with unread data or linger 0."""
    t.established()
    t.c(1.0, "RA", window=502)
    t.bystander(70)
    return [
        {"close": "reset", "active_closer": "client", "closer_basis": "abort", "closer_time": 1.0} | NO_WAIT
        | {"reset_by": "client", "reset_kind": "abort", "reset_effect": "effective", "time_wait_basis": "not_entered"}
    ]  # fmt: skip


@situation("A7 row 1")
def abort_after_the_peers_fin(t: Talk) -> list[Expected]:
    """The server closes, the client aborts with unread data: nobody holds TIME_WAIT."""
    t.established()
    t.s(1.0, "FA")
    t.c(1.001, "RA", window=502)
    t.bystander(70)
    return [
        {"close": "reset_after_fin", "active_closer": "server", "closer_basis": "single_fin"} | NO_WAIT
        | {"reset_by": "client", "reset_kind": "abort", "reset_effect": "effective"}
    ]  # fmt: skip


@situation("A7 row 2")
def no_state(t: Talk) -> list[Expected]:
    """Data answered by a bare RST though nobody closed: the server has no such connection."""
    t.established()
    t.c(5.0, "PA", b"GET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
    t.s(5.001, "R", window=0)
    return [{"close": "reset", "reset_by": "server", "reset_kind": "no_state", "reset_effect": "effective"} | NO_WAIT]


@situation("A7")
def reset_out_of_window(t: Talk) -> list[Expected]:
    """A reset far outside the window is dropped; the connection closes in peace."""
    t.established()
    t.s(0.5, "R", seq=t.nxt["s"] + 5_000_000, window=0)
    t.close("c", 1.0)
    t.bystander(200)
    return [CLIENT_CLOSED | {"reset_effect": "ineffective", "time_wait_basis": "model"}]


@situation("A7")
def reset_at_the_sack_edge(t: Talk) -> list[Expected]:
    """Linux takes a reset at the highest SACK edge."""
    t.established()
    hole = t.nxt["s"]
    t.s(0.5, "PA", b"later", seq=hole + 100)
    t.c(0.501, "A", ack=hole, options=(("NOP", None), ("NOP", None), ("SAck", (hole + 100, hole + 105))))
    t.s(0.6, "R", seq=hole + 105, window=0)
    return [{"close": "reset", "reset_by": "server", "reset_effect": "effective"} | NO_WAIT]


@situation("A7")
def reset_one_before_in_close_wait(t: Talk) -> list[Expected]:
    """After the sender's FIN, Linux also takes a reset at rcv_nxt-1."""
    t.established()
    t.s(1.0, "FA")
    t.c(1.001, "A")
    t.s(2.0, "R", seq=t.nxt["s"] - 1, window=0)
    return [{"close": "reset_after_fin", "active_closer": "server", "reset_effect": "effective"} | NO_WAIT]


@situation("A7")
def injected(t: Talk) -> list[Expected]:
    """A reset with another TTL than its supposed sender's comes from a box between."""
    t.established()
    t.s(1.0, "RA", ttl=113, window=502)
    return [{"reset_by": "middlebox", "reset_kind": "injected"} | NO_WAIT]


# ---- A8: non-events ----


@situation("A8")
def keepalive_probes(t: Talk) -> list[Expected]:
    """Probes of length 0 and 1 at snd_nxt−1 and their answers are neither data nor activity."""
    t.established()
    t.c(10.0, "A", seq=t.nxt["c"] - 1)
    t.s(10.001, "A")
    t.c(20.0, "A", b"\0", seq=t.nxt["c"] - 1)
    t.s(20.001, "A")
    t.close("c", 30.0)
    return [CLIENT_CLOSED | {"client_bytes": 27, "server_bytes": 40, "idle_before_close_s": 29.899, "requests": 1}]


@situation("A8")
def zero_window_probe(t: Talk) -> list[Expected]:
    """After the peer's window 0 a probe at snd_nxt−1 is no data."""
    t.established()
    t.c(0.2, "A", window=0)
    t.s(1.0, "A", seq=t.nxt["s"] - 1)
    t.c(1.001, "A", window=0)
    return [{"close": "open", "server_bytes": 40, "server_packets": 3} | NOBODY]


# ---- B1: a segment arriving in Linux TIME_WAIT ----


def held(t: Talk) -> float:
    """A connection that the client closed, so that it holds TIME_WAIT; returns when that began."""
    t.established()
    return t.close("c", 1.0)


@situation("B1 row 1, L1")
def data_in_time_wait(t: Talk) -> list[Expected]:
    """Old data answered by an ACK: alive, timer restarted."""
    start = held(t)
    t.s(start + 10, "PA", b"ok", seq=t.nxt["s"] - 3)
    t.c(start + 10.001, "A")
    t.bystander(start + 200)
    return [CLIENT_CLOSED | {"time_wait_lower_s": 10.001, "time_wait_upper_s": None, "time_wait_restarts": 1}]


@situation("B1 row 1, L1")
def keepalive_in_time_wait(t: Talk) -> list[Expected]:
    """A keepalive answered by an ACK: alive, timer restarted."""
    start = held(t)
    t.s(start + 30, "A", seq=t.nxt["s"] - 1)
    t.c(start + 30.001, "A")
    t.bystander(start + 200)
    return [CLIENT_CLOSED | {"time_wait_lower_s": 30.001, "time_wait_upper_s": None, "time_wait_restarts": 1}]


@situation("B1 row 1, L1")
def syn_ack_in_time_wait(t: Talk) -> list[Expected]:
    """The SYN-ACK again, answered by an ACK: alive, timer restarted, and no new connection."""
    start = held(t)
    t.s(start + 10, "SA", seq=t.server_isn, ack=t.client_isn + 1)
    t.c(start + 10.001, "A")
    t.bystander(start + 200)
    return [CLIENT_CLOSED | {"time_wait_lower_s": 10.001, "time_wait_upper_s": None, "time_wait_restarts": 1}]


@situation("A4")
def fin_repeated_unanswered(t: Talk) -> list[Expected]:
    """The peer's FIN repeated and never answered proves nothing."""
    start = held(t)
    t.s(start + 10, "FA", seq=t.nxt["s"] - 1)
    t.bystander(start + 200)
    return [CLIENT_CLOSED | {"time_wait_lower_s": None, "time_wait_upper_s": None, "time_wait_restarts": 0}]


@situation("B1 row 2")
def pure_ack_in_time_wait(t: Talk) -> list[Expected]:
    """A pure ACK at rcv_nxt draws no answer: nothing proven."""
    start = held(t)
    t.s(start + 10, "A")
    t.bystander(start + 200)
    return [CLIENT_CLOSED | {"time_wait_lower_s": None, "time_wait_upper_s": None, "time_wait_restarts": 0}]


@situation("B1 row 3, U4")
def exact_reset_in_time_wait(t: Talk) -> list[Expected]:
    """A reset at rcv_nxt kills it only without rfc1337: possibly killed; the close stays a FIN's."""
    start = held(t)
    t.s(start + 10, "R", window=0)
    t.bystander(start + 200)
    return [CLIENT_CLOSED | {"time_wait_basis": "possibly_killed", "time_wait_lower_s": None,
                             "time_wait_upper_s": None}]  # fmt: skip


@situation("B1 row 4")
def other_reset_in_time_wait(t: Talk) -> list[Expected]:
    """Any other reset changes nothing."""
    start = held(t)
    t.s(start + 10, "R", seq=t.nxt["s"] + 77, window=0)
    t.bystander(start + 200)
    return [CLIENT_CLOSED | {"time_wait_basis": "model", "time_wait_lower_s": None, "time_wait_upper_s": None}]


@situation("B1 row 6, L2")
def syn_challenged(t: Talk) -> list[Expected]:
    """A SYN that the TIME_WAIT socket answers with its old numbers: alive, timer unchanged."""
    t.established()
    start = t.close("s", 1.0)
    old = dict(t.nxt)
    t.open(t.client_isn + 2_500_000_000, t.server_isn + 7)
    t.c(start + 20, "S")
    t.s(start + 20.001, "A", seq=old["s"], ack=old["c"])
    t.bystander(start + 200)
    wait = {"time_wait_lower_s": 20.001, "time_wait_upper_s": None, "time_wait_restarts": 0}
    return [SERVER_CLOSED | wait, {"reuse_gap_s": 20.0, "reuse_of": 1}]


# ---- B3: gone by ----


@situation("B3 U1")
def reset_by_a_middlebox(t: Talk) -> list[Expected]:
    """A bare RST with another TTL than the holder's is not the holder's answer: nothing proven."""
    start = held(t)
    t.s(start + 30, "FA", seq=t.nxt["s"] - 1)
    t.c(start + 30.001, "R", window=0, ttl=250)
    t.bystander(start + 200)
    return [CLIENT_CLOSED | {"time_wait_lower_s": None, "time_wait_upper_s": None}]


@situation("B3 U3")
def client_opens_again(t: Talk) -> list[Expected]:
    """The holder itself sends a SYN with a fresh ISN: gone by then."""
    start = held(t)
    t.open(t.client_isn + 900_000_000, t.server_isn + 900_000_000)
    t.handshake(start + 61)
    t.bystander(start + 200)
    return [CLIENT_CLOSED | {"time_wait_upper_s": 61.0, "time_wait_lower_s": None, "time_wait_basis": "upper_only"},
            {"close": "open", "reuse_of": 1, "reuse_gap_s": 61.0}]  # fmt: skip


@situation("B3 L3, B2")
def client_recycles(t: Talk) -> list[Expected]:
    """The holder's own connect() recycles its TIME_WAIT: ISN = old snd_nxt + 65537, exact."""
    start = held(t)
    t.open(t.nxt["c"] + 65_537, t.server_isn + 900_000_000)
    t.handshake(start + 1.5)
    return [CLIENT_CLOSED | {"time_wait_upper_s": 1.5, "time_wait_lower_s": 1.5, "time_wait_s": 1.5,
                             "time_wait_basis": "observed_exact", "time_wait_end": "reused"},
            {"close": "open", "reuse_of": 1, "reuse_gap_s": 1.5}]  # fmt: skip


@situation("B3 U1 with L1")
def alive_then_gone(t: Talk) -> list[Expected]:
    """Answered with an ACK at +40 s, with a bare RST at +110 s: an observed interval."""
    start = held(t)
    fin = t.nxt["s"] - 1
    t.s(start + 40, "FA", seq=fin)
    t.c(start + 40.001, "A")
    t.s(start + 110, "FA", seq=fin)
    t.c(start + 110.001, "R", window=0)
    t.bystander(start + 200)
    return [CLIENT_CLOSED | {"time_wait_basis": "observed_interval", "time_wait_restarts": 1,
                             "time_wait_lower_s": 40.001, "time_wait_upper_s": 110.001}]  # fmt: skip
