"""The ten least test vectors of the specification's section F, crafted; each returns what must be read."""

from .situations import CLIENT_CLOSED, NO_WAIT, SERVER_CLOSED, Expected
from .talk import Talk


def vector_01(t: Talk) -> list[Expected]:
    """C-FIN, S-ACK, S-FIN(ack C), C-ACK; the capture goes on for 70 s."""
    t.established()
    start = t.close("c", 1.0)
    t.bystander(start + 70)
    model = {"time_wait_basis": "model", "time_wait_model_low_s": 60.0, "time_wait_model_high_s": 65.2}
    unknown = {"time_wait_lower_s": None, "time_wait_upper_s": None, "time_wait_restarts": 0}
    return [CLIENT_CLOSED | model | unknown | {"time_wait_start": start, "closer_time": 1.0}]


def vector_02(t: Talk) -> list[Expected]:
    """FINs cross, neither acks the other."""
    t.established()
    client_end, server_end = t.nxt["c"], t.nxt["s"]
    t.c(1.0, "FA", ack=server_end)
    t.s(1.0005, "FA", ack=client_end)
    t.c(1.001, "A")
    t.s(1.0015, "A")
    return [{"close": "simultaneous", "active_closer": "both", "closer_basis": "crossed", "time_wait_holder": "both"}]


def vector_03(t: Talk) -> list[Expected]:
    """S-FIN captured before C-FIN but acking it."""
    t.established()
    client_end = t.nxt["c"]
    server_end = t.nxt["s"]
    t.s(1.001, "FA", ack=client_end + 1)
    t.c(1.0012, "FA", ack=server_end)
    t.c(1.002, "A")
    return [CLIENT_CLOSED | {"closer_time": 1.0012, "time_wait_start": 1.002}]


def vector_04(t: Talk) -> list[Expected]:
    """As 1, S-FIN again at +20 s, C re-ACKs."""
    t.established()
    start = t.close("c", 1.0)
    t.s(start + 20, "FA", seq=t.nxt["s"] - 1)
    t.c(start + 20.0002, "A")
    t.bystander(start + 200)
    model = {"time_wait_model_low_s": 80.0002, "time_wait_model_high_s": 85.2002}
    return [CLIENT_CLOSED | model | {"time_wait_restarts": 1, "time_wait_lower_s": 20.0002, "time_wait_upper_s": None}]


def vector_05(t: Talk) -> list[Expected]:
    """As 1, S-FIN again at +70 s, bare RST."""
    t.established()
    start = t.close("c", 1.0)
    t.s(start + 70, "FA", seq=t.nxt["s"] - 1)
    t.c(start + 70, "R", window=0)
    t.bystander(start + 200)
    return [CLIENT_CLOSED | {"time_wait_upper_s": 70.0, "time_wait_lower_s": None, "time_wait_basis": "upper_only"}]


def server_reuse(t: Talk, age_s: float, server_isn: int) -> None:
    """Server active; a SYN at `age_s` is answered with this ISN."""
    t.established()
    start = t.close("s", 1.0)
    t.open(t.nxt["c"] + 1_000_000, server_isn)
    t.c(start + age_s, "S")
    t.s(start + age_s, "SA")
    t.c(start + age_s + 0.001, "A")
    t.bystander(start + 200)


def vector_06_exact(t: Talk) -> list[Expected]:
    """Server active; SYN at +30 s, SYN-ACK ISN = snd_nxt + 65537."""
    probe = Talk(client_isn=t.client_isn, server_isn=t.server_isn)
    probe.established()
    probe.close("s", 1.0)
    server_reuse(t, 30, probe.nxt["s"] + 65_537)
    exact = {"time_wait_basis": "observed_exact", "time_wait_s": 30.0, "time_wait_end": "reused"}
    bounds = {"time_wait_lower_s": 30.0, "time_wait_upper_s": 30.0}
    return [SERVER_CLOSED | exact | bounds, {"close": "open", "reuse_of": 1, "reuse_gap_s": 30.0}]


def vector_06_fresh(t: Talk) -> list[Expected]:
    """Server active; SYN at +61 s, SYN-ACK with a fresh ISN."""
    server_reuse(t, 61, t.server_isn + 777_000_000)
    upper = {"time_wait_upper_s": 61.0, "time_wait_lower_s": None, "time_wait_basis": "upper_only"}
    return [SERVER_CLOSED | upper, {"close": "open", "reuse_of": 1, "reuse_gap_s": 61.0}]


def vector_07(t: Talk) -> list[Expected]:
    """SYN, challenge ACK, RST, the same SYN, SYN-ACK."""
    t.established()
    start = t.close("s", 1.0)
    old = dict(t.nxt)
    t.open(t.client_isn + 2_500_000_000, t.server_isn + 777_000_000)
    isn = t.c(start + 20, "S")
    t.s(start + 20.0001, "A", seq=old["s"], ack=old["c"])
    t.c(start + 20.0002, "R", seq=old["c"], window=0)
    t.c(start + 20.008, "S", seq=isn)
    t.s(start + 20.0081, "SA")
    t.c(start + 20.0082, "A")
    t.bystander(start + 200)
    killed = {"time_wait_end": "killed", "time_wait_upper_s": 20.0002}
    return [SERVER_CLOSED | killed, {"close": "open", "reuse_of": 1, "client_packets": 4, "server_packets": 2}]


def vector_08(t: Talk) -> list[Expected]:
    """C-FIN, S-data, C bare RST."""
    t.established()
    t.c(1.0, "FA")
    t.s(1.001, "A")
    at = t.nxt["c"]
    t.s(2.0, "PA", b"late")
    t.c(2.001, "R", seq=at, window=0)
    t.bystander(70)
    reset = {"close": "reset_after_fin", "reset_by": "client", "reset_kind": "late_data"}
    return [reset | NO_WAIT | {"active_closer": "client", "time_wait_basis": "not_entered"}]


def vector_09(t: Talk) -> list[Expected]:
    """RST inside the window but not exact, flow continues."""
    t.established()
    t.s(0.5, "R", seq=t.nxt["s"] + 100, window=0)
    t.c(0.501, "A")
    t.c(0.6, "PA", b"GET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
    t.s(0.601, "PA", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    t.c(0.602, "A")
    return [{"close": "open", "active_closer": "none", "reset_effect": "ineffective", "requests": 2, "responses": 2}]


def vector_10(t: Talk) -> list[Expected]:
    """Capture ends 10 s after the close."""
    t.established()
    start = t.close("c", 1.0)
    t.bystander(start + 10)
    return [CLIENT_CLOSED | {"time_wait_basis": "censored", "time_wait_lower_s": None, "time_wait_upper_s": None}]
