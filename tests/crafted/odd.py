"""Situations that a hostile reviewer thought of, each with its truth derived by hand from the rule that it names."""

from .missed import unseen
from .situations import CLIENT_CLOSED, NO_WAIT, NOBODY, SERVER_CLOSED, Expected, situation
from .talk import Talk
from .unclosed import SITUATIONS

__all__ = ["SITUATIONS"]

#: The first transmission of the other FIN is missing: it may have crossed. The client waits in any case.
DECIDED = {"active_closer": "client", "closer_basis": "acknowledged", "time_wait_holder": "client"}
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@situation("A5")
def half_close_with_a_long_answer(t: Talk) -> list[Expected]:
    """After the client's FIN the server sends 40 kB, acknowledged by packets that carry the client's last number."""
    t.established()
    t.c(1.0, "FA")
    t.s(1.001, "A")
    for n in range(40):
        t.s(2.0 + n / 1000, "PA", b"x" * 1000)
        t.c(2.0005 + n / 1000, "A")
    t.s(3.0, "FA")
    t.c(3.001, "A")
    t.bystander(200)
    return [CLIENT_CLOSED | {"server_bytes": 40_040, "time_wait_start": 3.001, "client_retransmits": 0}]


@situation("A3, A4")
def crossed_with_loss(t: Talk) -> list[Expected]:
    """FINs cross and one is lost behind the tap: repeated after 200 ms, it changes nothing about who closed: both."""
    t.established()
    c, s = t.nxt["c"], t.nxt["s"]
    t.c(1.0, "FA", ack=s)
    t.s(1.0005, "FA", ack=c)
    t.c(1.001, "A", seq=c + 1, ack=s + 1)  # the client had the server's; its own was lost
    t.c(1.201, "FA", seq=c, ack=s + 1)
    t.s(1.2015, "A", seq=s + 1, ack=c + 1)
    t.bystander(70)
    crossed = {"close": "simultaneous", "active_closer": "both", "closer_basis": "crossed", "time_wait_holder": "both"}
    return [crossed | {"client_retransmits": 1}]


@situation("B1 rows 3 and 4, A7")
def reset_with_ack_in_time_wait(t: Talk) -> list[Expected]:
    """RST|ACK at rcv_nxt from the passive side: as any reset there, it may have killed the wait; the close stays."""
    t.established()
    start = t.close("c", 1.0)
    t.s(start + 5, "RA", window=0)
    t.bystander(200)
    return [CLIENT_CLOSED | {"time_wait_basis": "possibly_killed", "time_wait_upper_s": None}]


@situation("B1 row 5, B3 U2")
def reuse_with_a_lower_syn(t: Talk) -> list[Expected]:
    """A SYN below the old rcv_nxt is challenged at +10 s, and accepted at +64 s: alive, then gone."""
    t.established()
    start = t.close("s", 1.0)
    old = dict(t.nxt)
    t.open(t.client_isn - 900_000_000, t.server_isn + 777_000_000)
    isn = t.c(start + 10, "S")
    t.s(start + 10.001, "A", seq=old["s"], ack=old["c"])
    t.c(start + 64, "S", seq=isn)
    t.s(start + 64.001, "SA")
    t.c(start + 64.002, "A")
    t.bystander(start + 200)
    wait = {"time_wait_basis": "observed_interval", "time_wait_lower_s": 10.001, "time_wait_upper_s": 64.001}
    return [SERVER_CLOSED | wait, {"close": "open", "reuse_of": 1, "client_retransmits": 1}]


@situation("A8, B1 row 1")
def keepalive_probes_after_a_fin(t: Talk) -> list[Expected]:
    """The side that waits in CLOSE-WAIT is probed by none; the other's probes after its FIN are at fin_end - 1."""
    t.established()
    t.c(1.0, "FA")
    t.s(1.001, "A")
    t.c(10.0, "A", seq=t.nxt["c"] - 1)
    t.s(10.001, "A")
    t.bystander(200)
    return [{"close": "half_closed", "active_closer": "client", "client_retransmits": 0, "client_bytes": 27} | NO_WAIT]


@situation("A8")
def window_probe_with_a_byte(t: Talk) -> list[Expected]:
    """A zero-window probe of one new byte that is not taken, then sent with the rest: each byte counts once."""
    t.established()
    t.c(0.2, "A", window=0)
    t.s(0.5, "PA", b"m")
    t.c(0.501, "A", ack=t.nxt["s"] - 1, window=0)
    t.c(0.9, "A", ack=t.nxt["s"] - 1, window=8000)
    t.s(1.0, "PA", b"more", seq=t.nxt["s"] - 1)
    t.nxt["s"] = (t.nxt["s"] + 3) % 2**32
    t.c(1.001, "A")
    t.close("s", 2.0)
    t.bystander(200)
    return [SERVER_CLOSED | {"server_bytes": 44}]


@situation("A2 row 5, A3")
def fast_open_closed_at_once(t: Talk) -> list[Expected]:
    """SYN with data and FIN, the answer's FIN acknowledges it: the client is active though its SYN carried the FIN."""
    t.c(0, "SF", b"GET / HTTP/1.0\r\n\r\n")
    t.s(0.001, "SA")
    t.s(0.002, "PA", b"HTTP/1.0 200 OK\r\n\r\nhello")
    t.s(0.003, "FA")
    t.c(0.004, "A")
    t.bystander(200)
    return [CLIENT_CLOSED | {"client_bytes": 18, "server_bytes": 24, "time_wait_start": 0.004}]


@situation("A1, A3")
def midstream_with_fins_only(t: Talk) -> list[Expected]:
    """A capture that begins at the first FIN: both FINs and the last ACK are enough for closer and TIME_WAIT."""
    unseen(t, "c", 100)
    unseen(t, "s", 100)
    t.close("s", 1.0)
    t.bystander(200)
    return [SERVER_CLOSED | {"quality": frozenset({"midstream"}), "client_bytes": 0, "server_bytes": 0}]


@situation("A2 row 2, A4")
def syn_ack_again_after_the_handshake(t: Talk) -> list[Expected]:
    """The handshake's ACK was lost: the SYN-ACK comes again after data, is acknowledged, and nothing begins anew."""
    t.handshake()
    t.c(0.100, "PA", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    t.s(1.001, "SA", seq=t.server_isn, ack=t.client_isn + 1)
    t.c(1.002, "A")
    t.s(1.101, "PA", ANSWER)
    t.c(1.102, "A")
    t.close("c", 2.0)
    t.bystander(200)
    return [CLIENT_CLOSED | {"server_retransmits": 1, "server_bytes": 40, "handshake_rtt_s": 0.002}]


@situation("A1, B3 L3")
def reuse_within_a_millisecond(t: Talk) -> list[Expected]:
    """The server's TIME_WAIT is taken over 0.4 ms after it began: two connections, an exact length."""
    t.established()
    start = t.close("s", 1.0, 0.0001)
    t.open(t.nxt["c"] + 1_000_000, t.nxt["s"] + 65_537)
    t.c(start + 0.0003, "S")
    t.s(start + 0.0004, "SA")
    t.c(start + 0.0005, "A")
    t.bystander(start + 200)
    exact = {"time_wait_basis": "observed_exact", "time_wait_s": 0.0004, "time_wait_end": "reused"}
    return [SERVER_CLOSED | exact, {"close": "open", "reuse_of": 1, "reuse_gap_s": 0.0003}]


@situation("A1")
def seen_before_and_behind_a_nat(t: Talk) -> list[Expected]:
    """One conversation before and behind a NAT: two 4-tuples, two connections, each with its own closer."""
    outer = Talk(client=("192.0.2.1", 61_000), server=t.server, client_isn=t.client_isn, server_isn=t.server_isn)
    for side in (t, outer):
        side.established()
        side.close("s")
    both = [one for pair in zip(t.packets, outer.packets, strict=True) for one in pair]
    t.packets[:] = both
    t.bystander(200)
    return [SERVER_CLOSED, SERVER_CLOSED | {"client": "192.0.2.1", "client_port": 61_000, "reuse_of": None}]


@situation("A7")
def two_aborts(t: Talk) -> list[Expected]:
    """Both sides abort at once, each at its own number: the first that arrives ends it, and names the closer."""
    t.established()
    t.c(1.0, "RA", window=502)
    t.s(1.0002, "RA", window=502)
    t.bystander(70)
    return [{"close": "reset", "active_closer": "client", "closer_basis": "abort", "closer_time": 1.0} | NO_WAIT]


@situation("A7 row 2, D4")
def answers_to_late_data(t: Talk) -> list[Expected]:
    """Three segments after the server's orphan is gone draw three bare resets: one close, of the server's FIN."""
    t.established()
    t.s(1.0, "FA")
    t.c(1.001, "A")
    end = t.nxt["s"]
    for n in range(3):
        t.c(2.0 + n / 1000, "PA", b"more")
        t.s(2.0001 + n / 1000, "R", seq=end, window=0)
    t.bystander(70)
    row = {"close": "reset_after_fin", "active_closer": "server", "closer_basis": "single_fin"}
    return [row | {"reset_by": "server", "reset_kind": "late_data", "reset_effect": "effective"} | NO_WAIT]


@situation("A3, A4")
def fin_with_data(t: Talk) -> list[Expected]:
    """The answer's last segment carries the FIN, the client's FIN acknowledges both."""
    t.handshake()
    t.c(0.100, "PA", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    t.s(0.101, "FPA", ANSWER)
    t.c(0.102, "FA")
    t.s(0.103, "A")
    t.bystander(200)
    return [SERVER_CLOSED | {"server_bytes": 40, "closer_time": 0.101, "idle_before_close_s": 0.0}]


@situation("A4")
def only_the_last_ack_is_missing(t: Talk) -> list[Expected]:
    """The client's last ACK was not captured and the server did not repeat its FIN: the client must be waiting."""
    t.established()
    t.c(1.0, "FA")
    t.s(1.001, "A")
    t.s(1.002, "FA")
    t.bystander(200)
    return [{"close": "fin", "active_closer": "client", "closer_basis": "acknowledged"}]


@situation("A4")
def last_ack_never_came(t: Talk) -> list[Expected]:
    """The server repeats its FIN to the end of its patience: it may have had no answer, or none was captured."""
    t.established()
    t.c(1.0, "FA")
    t.s(1.001, "A")
    fin = t.s(1.002, "FA")
    for at in (1.2, 1.6, 2.5, 4.1, 7.5, 14.0):
        t.s(at, "FA", seq=fin)
    t.bystander(200)
    return [{"close": "fin", "active_closer": "client", "closer_basis": "acknowledged", "server_retransmits": 6}
            | {"time_wait_holder": "unknown", "time_wait_basis": None}]  # fmt: skip


@situation("A7, RFC 5961 section 3.2")
def reset_in_window_is_challenged(t: Talk) -> list[Expected]:
    """A reset within the window draws a challenge ACK; its sender, if it is real, resets at that number: effective."""
    t.established()
    t.s(1.0, "R", seq=t.nxt["s"] + 10, window=0)
    t.c(1.001, "A")
    t.s(1.002, "R", window=0)
    t.bystander(70)
    return [{"close": "reset", "reset_by": "server", "reset_effect": "effective"} | NO_WAIT]


@situation("RFC 5961 section 4, B1 row 6")
def syn_in_an_open_connection(t: Talk) -> list[Expected]:
    """A SYN with another number in an open connection is challenged; the connection goes on and is closed in peace."""
    t.established()
    old = dict(t.nxt)
    t.c(1.0, "S", seq=old["c"] + 500_000_000)
    t.s(1.001, "A", seq=old["s"], ack=old["c"])
    t.nxt = dict(old)
    t.c(2.0, "PA", b"GET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
    t.s(2.001, "PA", ANSWER)
    t.c(2.002, "A")
    t.close("c", 3.0)
    t.bystander(200)
    return [CLIENT_CLOSED | {"requests": 2, "responses": 2}, {"close": "unanswered", "reuse_of": 1} | NOBODY]


@situation("A2 row 1, A1")
def syn_with_another_number_each_time(t: Talk) -> list[Expected]:
    """A client that gives each attempt a new number: three connections, none answered."""
    for n in range(3):
        t.open(t.client_isn + n * 1_000_000, t.server_isn)
        t.c(n, "S")
    t.bystander(200)
    lost = {"close": "unanswered", "client_packets": 1} | NOBODY
    return [lost | {"reuse_of": None}, lost | {"reuse_of": 1}, lost | {"reuse_of": 2}]


@situation("A2 row 3")
def refused_then_accepted(t: Talk) -> list[Expected]:
    """A refused attempt, then the same port again with another number and a listener: two connections."""
    t.c(0, "S")
    t.s(0.001, "RA", seq=0, window=0)
    t.open(t.client_isn + 70_000_000, t.server_isn)
    t.handshake(5.0)
    t.close("c", 6.0)
    t.bystander(200)
    return [{"close": "refused"} | NOBODY, CLIENT_CLOSED | {"reuse_of": 1, "reuse_gap_s": 4.999}]


@situation("A3")
def client_fin_before_the_handshakes_ack(t: Talk) -> list[Expected]:
    """The tap shows the client's FIN before its ACK: order of capture is not order of events."""
    t.c(0, "S")
    t.s(0.001, "SA")
    fin = t.nxt["c"]
    t.c(0.0021, "FA", seq=fin)
    t.c(0.0022, "A", seq=fin)
    t.nxt["c"] = (fin + 1) % 2**32
    t.s(0.003, "FA")
    t.c(0.004, "A")
    t.bystander(200)
    return [CLIENT_CLOSED | {"time_wait_start": 0.004}]


@situation("B1 row 1")
def old_data_in_the_servers_time_wait(t: Talk) -> list[Expected]:
    """A late copy of the request reaches the server's TIME_WAIT at +5 s and is answered: alive, restarted."""
    t.established()
    request = t.rel("c", 1)
    start = t.close("s", 1.0)
    t.c(start + 5, "PA", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", seq=request, ack=t.rel("s", 1))
    t.s(start + 5.0005, "A")
    t.bystander(start + 200)
    return [SERVER_CLOSED | {"time_wait_lower_s": 5.0005, "time_wait_restarts": 1, "requests": 1}]


@situation("B3 U1, A7")
def client_abort_after_both_fins(t: Talk) -> list[Expected]:
    """A FIN at +70 s is answered by a bare reset of the side that waited: gone; at +71 s once more, no other close."""
    t.established()
    start = t.close("c", 1.0)
    for age in (70, 71):
        t.s(start + age, "FA", seq=t.nxt["s"] - 1)
        t.c(start + age + 0.001, "R", window=0)
    t.bystander(start + 200)
    return [CLIENT_CLOSED | {"time_wait_upper_s": 70.001, "reset_by": None, "time_wait_basis": "upper_only"}]


@situation("A6")
def fin_wait_2_timed_out(t: Talk) -> list[Expected]:
    """The peer's FIN comes after FIN-WAIT-2 ended: a bare reset, and no TIME_WAIT was entered."""
    t.established()
    t.c(1.0, "FA")
    t.s(1.001, "A")
    t.s(62.5, "FA")
    t.c(62.501, "R", window=0)
    t.bystander(200)
    row = {"close": "reset_after_fin", "active_closer": "client", "closer_basis": "acknowledged"}
    return [row | {"reset_by": "client", "reset_kind": "no_state"} | NO_WAIT]


@situation("A2 row 4, A3")
def simultaneous_open_and_close(t: Talk) -> list[Expected]:
    """SYNs cross, and later FINs cross: one connection, closed by both."""
    t.c(0, "S")
    t.s(0.0001, "S")
    t.c(0.001, "SA", seq=t.client_isn)
    t.s(0.0011, "SA", seq=t.server_isn)
    c, s = t.nxt["c"], t.nxt["s"]
    t.c(1.0, "FA", ack=s)
    t.s(1.0002, "FA", ack=c)
    t.c(1.001, "A")
    t.s(1.0012, "A")
    t.bystander(70)
    return [{"close": "simultaneous", "active_closer": "both", "time_wait_holder": "both", "role_basis": "syn"}]


@situation("A7")
def injected_reset_ignored(t: Talk) -> list[Expected]:
    """A box resets both sides at the right numbers, and they go on: it never arrived, and the FINs tell the close."""
    t.established()
    t.s(0.5, "R", window=0, ttl=113)
    t.c(0.6, "PA", b"GET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
    t.s(0.601, "PA", ANSWER)
    t.c(0.602, "A")
    t.close("s", 1.0)
    t.bystander(200)
    return [SERVER_CLOSED | {"reset_by": "middlebox", "reset_effect": "ineffective", "responses": 2}]


@situation("A1, A3")
def midstream_second_fin_with_data_before(t: Talk) -> list[Expected]:
    """Begun between the FINs: the server still answers, then closes. It had not closed, so the client may have."""
    unseen(t, "c", 28)
    unseen(t, "s", 1)
    t.s(0.5, "PA", ANSWER)
    t.c(0.501, "A")
    t.s(0.6, "FA")
    t.c(0.601, "A")
    t.bystander(70)
    row = {"close": "half_closed", "active_closer": "ambiguous", "closer_basis": "single_fin"}
    return [row | {"time_wait_holder": "unknown", "time_wait_basis": None}]


@situation("A5, A7 row 1")
def abort_of_a_half_closed_peer(t: Talk) -> list[Expected]:
    """The client has closed its side, the server sends and then aborts: a FIN first, ended by the server's reset."""
    t.established()
    t.c(1.0, "FA")
    t.s(1.001, "A")
    t.s(1.5, "PA", b"part")
    t.c(1.501, "A")
    t.s(2.0, "RA", window=502)
    t.bystander(70)
    row = {"close": "reset_after_fin", "active_closer": "client", "closer_basis": "single_fin"}
    return [row | {"reset_by": "server", "reset_kind": "abort", "reset_effect": "effective"} | NO_WAIT]


@situation("A4, B1 row 2")
def the_other_sides_last_ack_twice(t: Talk) -> list[Expected]:
    """The closer's last ACK is captured twice, 30 ms apart: no question was asked, so nothing is proven by it."""
    t.established()
    start = t.close("c", 1.0)
    t.c(start + 0.030, "A")
    t.bystander(start + 200)
    return [CLIENT_CLOSED | {"time_wait_lower_s": None, "time_wait_restarts": 0, "time_wait_basis": "model"}]


@situation("A6, A4")
def the_answer_to_a_late_fin_is_missing(t: Talk) -> list[Expected]:
    """A FIN 61 s after the other's was acknowledged: an orphan's FIN-WAIT-2 is over by then: no wait is certain."""
    t.established()
    t.c(1.0, "FA")
    t.s(1.001, "A")
    t.s(62.5, "FA")
    t.bystander(200)
    row = {"close": "fin", "active_closer": "client", "closer_basis": "acknowledged"}
    return [row | {"time_wait_holder": "unknown", "time_wait_basis": None}]


@situation("A6, A4")
def the_answer_to_a_fin_seconds_later_is_missing(t: Talk) -> list[Expected]:
    """The same 5 s later: that host's tcp_fin_timeout may be lower, and nothing says that the socket was there."""
    t.established()
    t.c(1.0, "FA")
    t.s(1.001, "A")
    t.s(6.0, "FA")
    t.bystander(200)
    row = {"close": "fin", "active_closer": "client", "closer_basis": "acknowledged"}
    return [row | {"time_wait_holder": "unknown", "time_wait_basis": None}]


@situation("A4")
def crossing_fins_of_which_one_is_acknowledged(t: Talk) -> list[Expected]:
    """What acknowledged the server's was missed: both wait, or the server still sends its FIN again."""
    t.established()
    fins = dict(t.nxt)
    t.c(1.0, "FA")
    t.s(1.01, "FA", ack=fins["c"])
    t.s(1.05, "A")
    t.bystander(200)
    row = {"close": "simultaneous", "active_closer": "both", "closer_basis": "crossed"}
    return [row | {"time_wait_holder": "unknown", "time_wait_basis": None}]


@situation("A4, B3 L1")
def only_the_repeated_fin_was_captured(t: Talk) -> list[Expected]:
    """The FIN was missed, its acknowledgment was not: the wait began with that; the FIN at +40 s is answered.

    Who sent it had acknowledged the first FIN before, with a number that is its own FIN's: it had not closed then.
    """
    t.established()
    t.c(1.0, "FA")
    t.s(1.001, "A")
    unseen(t, "s", 1)
    t.c(1.003, "A")
    t.s(41.003, "FA", seq=t.nxt["s"] - 1)
    t.c(41.004, "A")
    t.bystander(200)
    wait = {"time_wait_start": 1.003, "time_wait_lower_s": 40.001, "time_wait_upper_s": None, "time_wait_restarts": 1}
    return [DECIDED | wait]


@situation("A4, B3 U1")
def only_the_refused_fin_was_captured(t: Talk) -> list[Expected]:
    """The same at +70 s, answered by a bare reset: gone by then, and 69 s contradict no length."""
    t.established()
    t.c(1.0, "FA")
    t.s(1.001, "A")
    unseen(t, "s", 1)
    t.c(1.003, "A")
    t.s(71.003, "FA", seq=t.nxt["s"] - 1)
    t.c(71.004, "R", window=0)
    t.bystander(200)
    wait = {"time_wait_start": 1.003, "time_wait_upper_s": 70.001, "time_wait_lower_s": None}
    return [DECIDED | wait | {"time_wait_basis": "upper_only"}]


@situation("A3, A4")
def the_fin_sent_again_may_have_crossed(t: Talk) -> list[Expected]:
    """The client's FIN was lost on its way to the tap: by its acknowledgment of the server's it had been sent before.

    If they crossed, both wait; if the server closed first, it alone.
    """
    t.established()
    t.s(1.0, "FA")
    unseen(t, "c", 1)
    t.c(1.001, "A")
    t.c(1.2, "FA", seq=t.nxt["c"] - 1)
    t.s(1.201, "A")
    t.bystander(200)
    undecided = {"active_closer": "ambiguous", "closer_basis": "retransmission_only", "time_wait_holder": "unknown"}
    return [undecided | {"time_wait_start": 1.201}]


@situation("A7")
def reset_beyond_what_one_direction_shows(t: Talk) -> list[Expected]:
    """Only the client was captured, and not all of it: whether its reset hit rcv_nxt is not known."""
    t.c(0, "S")
    unseen(t, "s", 1)
    t.c(0.002, "A")
    unseen(t, "c", 27)
    t.c(0.200, "R", window=0)
    t.bystander(70)
    return [{"close": "reset", "reset_by": "client", "reset_effect": "unknown", "quality": frozenset({"one_sided"})}]
