"""Summaries built by hand in the engine's shape, for tests of what comes after the engine."""

from __future__ import annotations

import copy
import json
from typing import Any, cast

from pcapwatch.summary import Summary

SECOND = 1_000_000_000
START = 1_795_202_625 * SECOND  # 2026-11-20 19:23:45 UTC


def text_of(summary: Summary) -> str:
    """A Summary as the engine writes it: each exemplar of a pair once, and places in that list for each kind."""
    told: Any = copy.deepcopy(summary)
    for one in told["pairs"]:
        kinds = one["exemplars"]
        connections = list({known["ordinal"]: known for listed in kinds.values() for known in listed}.values())
        places = {kind: [connections.index(known) for known in listed] for kind, listed in kinds.items()}
        one["exemplars"] = {"connections": connections, "kinds": places}
    return json.dumps(told)


def distribution(low_s: float, median_s: float, high_s: float, number: int) -> dict[str, int]:
    """A distribution with its quantiles between the three."""
    low, median, high = (round(value * SECOND) for value in (low_s, median_s, high_s))
    return {"count": number, "min_ns": low, "max_ns": high, "p50_ns": median, "p90_ns": high, "p99_ns": high}


def http(**facts: Any) -> dict[str, Any]:
    """A pair's HTTP facts, all zero unless given."""
    zero: dict[str, Any] = dict.fromkeys(
        ("connections", "requests", "responses", "single_request_client_close", "reusable_closed_by_client"), 0
    )
    zero |= dict.fromkeys(
        ("reusable_closed_by_server", "keepalive_races", "stale_reuses", "unprocessed", "smuggling", "forwarded"), 0
    )
    zero |= dict.fromkeys(("idle_before_close", "idle_timeout", "max_requests", "longest_reuse_gap_ns", "reuse_wait"))
    zero |= {
        "requests_per_connection": {},
        "messages": [],
        "closed_after": [],
        "announced_timeout_s": [],
        "endings": [],
    }
    return zero | {"server_software": [], "user_agents": []} | facts


def ports(**facts: Any) -> dict[str, Any]:
    """A pair's port facts: one port, held once."""
    usual = {"distinct": 1, "even": 1, "low": 40000, "high": 40000, "held_peak_min": 1, "held_peak_max": 1}
    usual |= {"held_at_end_min": 0, "held_at_end_max": 0}
    usual |= {
        "held_peak_ns": START,
        "held_step_ns": 1000,
        "opened_peak_per_s": 1,
        "opened_peak_ns": START,
        "reuses": 0,
        "client_recycled": 0,
    }
    return {**usual, "reuse_gap": None, "outside": 0, "block": None, **facts}


def pair(
    client: str | None, server: str | None, server_port: int = 80, connections: int = 1, **facts: Any
) -> dict[str, Any]:
    """One client's connections to one service, closed by the server unless told."""
    usual: dict[str, Any] = {"client": client, "server": server, "server_port": server_port, "connections": connections}
    usual |= {
        "close": {"fin": connections},
        "active_closer": {"server": connections},
        "time_wait_holder": {"server": connections},
    }
    usual |= {
        "resets": {},
        "empty_resets": 0,
        "unrepeated": {},
        "role_basis": {"syn": connections},
        "protocol": {"http/1.1": connections},
    }
    usual |= {
        "first_ns": START,
        "last_ns": START + 15 * SECOND,
        "client_bytes": 100,
        "server_bytes": 1000,
        "retransmits": 0,
    }
    return (
        usual | {"handshake_rtt": None, "ports": ports(), "http": http(), "half_close": None, "exemplars": {}} | facts
    )


def exemplar(
    connection: int, client: tuple[str, int], server: tuple[str, int], first: int, last: int
) -> dict[str, Any]:
    """A connection worth showing, of file 0."""
    facts = {
        "ordinal": first,
        "connection": connection,
        "client": list(client),
        "server": list(server),
        "tunnel": 0,
        "file": 0,
    }
    facts |= {"first_frame": first, "last_file": 0, "last_frame": last, "closer_frame": last - 2, "closer_file": 0}
    return facts | {"start_ns": START + first * 1000, "end_ns": START + first * 1000 + 179_000}


def host(address: str | None, entered: int = 0, **time_wait: Any) -> dict[str, Any]:
    """One address; with ``entered`` it holds TIME_WAITs by Linux's default."""
    facts: dict[str, Any] = {"address": address, "as_client": 0, "as_server": 1, "stack": "linux", "time_wait": None}
    if entered:
        samples = [{"ns": START + i * SECOND, "min": entered * i // 15, "max": entered * i // 15} for i in range(16)]
        waits: dict[str, Any] = {
            "entered": entered,
            "basis": {"model": entered},
            "end": {"unknown": entered},
            "restarts": 0,
        }
        waits |= {
            "exact": None,
            "at_end": [entered, entered],
            "peak": [entered, entered],
            "peak_ns": START + 15 * SECOND,
            "peak_step_ns": 1000,
        }
        waits |= {
            "length": {"low_ns": 60 * SECOND, "high_ns": round(65.2 * SECOND), "source": "default", "stack": "linux"}
        }
        waits |= {"evidence": {"alive_max_ns": None, "gone_min_ns": None, "alive": 0, "gone": 0, "turnbull": []}}
        facts["time_wait"] = waits | {"occupancy": samples} | time_wait
    return facts


def capture(path: str = "back.pcap", packets: int = 1000, **facts: Any) -> dict[str, Any]:
    """A whole Ethernet pcap of 15 s."""
    end = START + 15 * SECOND
    interface: dict[str, Any] = {"name": None, "link_type": 1, "snaplen": 262144, "received": None, "dropped": None}
    unknown = ("read_as", "dropped_by_interface", "dropped_by_system", "accepted", "delivered", "counted_since_ns")
    interface |= dict.fromkeys((*unknown, "description", "hardware", "os", "filter"))
    interface |= dict.fromkeys(("lost_between", "inbound", "outbound", "resolution", "offset_s"), 0)
    file = {
        "path": path,
        "format": "pcap",
        "compression": "none",
        "packets": packets,
        "first_ns": START,
        "last_ns": end,
        "long_silences": 0,
        "longest_silence_ns": 0,
    }
    usual: dict[str, Any] = {
        "files": [{**file, "problem": None, "interfaces": [interface], "pcapng": None}],
        "repeated_files": [],
        "clocks": [],
        "gaps": [],
        "packets": packets,
        "segments": packets,
    }
    usual |= {"captured_bytes": 100 * packets, "original_bytes": 100 * packets, "first_ns": START, "last_ns": end}
    usual |= {"not_analysed": {}, "malformed": {}, "anomalies": {}, "connection_quality": {}, "capture_host": None}
    usual["fragments"] = dict.fromkeys(("datagrams", "joined", "overlapping", "incomplete", "evicted"), 0)
    usual["live"] = {
        "goes_on": False,
        **dict.fromkeys(("interface_downs", "ring_losses", "unwritten_packets"), 0),
        "write_error": None,
    }
    usual["live"] |= dict.fromkeys(("removed_files", "removed_packets", "removed_earlier_files"), 0)
    usual["live"] |= {"overwritten_files": 0, "unread_files": 0, "follow_error": None}
    usual["live"] |= dict.fromkeys(("unlisted_files", "unlisted_packets", "unlisted_dropped"), 0)
    usual["unlisted"] = {"link_types": [], "snaplen": 0, "dropped": 0, "uncounted_files": 0}
    usual["unlisted"] |= {"dropped_by_interface": False, "dropped_by_system": False}
    counts = ("cut_packets", "clock_steps_back", "duplicates", "evicted_connections", "overflow_connections")
    more = ("late_files", "reassembly_overflows", "kept_overflows", "long_heads", "unnamed_tunnel_packets")
    both = ("beside_tunnels", "in_two_tunnels", "one_sided_in_tunnels", "ordered_packets", "aggregated")
    return usual | dict.fromkeys((*counts, *more, *both), 0) | facts


def summary(pairs: list[dict[str, Any]], hosts: list[dict[str, Any]] | None = None, **parts: Any) -> Summary:
    """Pairs and hosts under a capture, with totals that agree with the pairs."""
    totals: dict[str, Any] = {"connections": sum(p["connections"] for p in pairs)}
    for word in ("close", "active_closer", "time_wait_holder", "protocol", "unrepeated"):
        totals[word] = {
            key: sum(p[word].get(key, 0) for p in pairs) for key in sorted({k for p in pairs for k in p[word]})
        }
    totals |= {"closer_basis": {"acknowledged": totals["connections"]}}
    totals |= {"time_wait_basis": {}, "race": {}, "without_acks": {}}
    made = {
        "capture": capture(),
        "totals": totals,
        "pairs": pairs,
        "services": [],
        "hosts": hosts or [],
        "states": [],
        "kernel": [],
    } | parts
    made["totals"] = totals | made["totals"]
    return cast(Summary, made)


def proxy_and_origin(agent: str = "ab/2.3", software: str = "nginx/1.24.0", path: str = "back.pcap") -> Summary:
    """A proxy that asks its origin to close every one of 219,265 connections: the report's worked example."""
    total, client, server = 219_265, "10.2.0.1", "10.2.0.20"
    ends = {
        "close": {"fin": 219_000, "simultaneous": 265},
        "active_closer": {"client": 600, "server": 218_400, "both": 265},
    }
    said = [
        {"side": "request", "version": "HTTP/1.0", "option": "close", "count": total, "persistent": 0},
        {"side": "response", "version": "HTTP/1.1", "option": "close", "count": total, "persistent": 0},
    ]
    done = [
        {"announced_by": "both", "active_closer": "server", "count": 218_400},
        {"announced_by": "both", "active_closer": "client", "count": 865},
    ]
    facts = http(
        connections=total, requests=total, responses=total, requests_per_connection={"1": total}, messages=said
    )
    facts["endings"] = [
        {"request": "close", "response": "close", "active_closer": who, "count": n, "requests": n}
        for who, n in (("server", 218_400), ("client", 865))
    ]
    facts |= {"closed_after": done, "idle_before_close": distribution(0.000005, 0.000009, 0.01, total)}
    facts |= {"server_software": [software], "user_agents": [agent]}
    shown = {
        "http10": [exemplar(2, (client, 53448), (server, 80), 21, 30)],
        "announced_close": [exemplar(2, (client, 53448), (server, 80), 21, 30)],
        "simultaneous": [exemplar(9, (client, 53460), (server, 80), 91, 99)],
    }
    use = ports(distinct=14_116, even=14_000, low=32768, high=60998, held_peak_min=900, held_peak_max=1_012)
    use |= {"opened_peak_per_s": 14_331, "reuses": 205_149, "reuse_gap": distribution(0.13, 0.64, 9.92, 205_149)}
    link = pair(client, server, 80, total, **ends, ports=use, http=facts, exemplars=shown, protocol={"http/1.0": total})
    waits = host(server, 218_665, at_end=[13_430, 13_430], peak=[13_801, 13_801], peak_ns=START + 34 * SECOND // 10)
    waits["as_server"] = total
    waits["time_wait"] |= {
        "exact": distribution(0.13, 0.64, 9.92, 205_149),
        "basis": {"observed_exact": 205_149, "censored": 13_516},
    }
    return summary([link], [waits, host(client, 921)], capture=capture(path, 2_192_893))


def many_clients(number: int = 40) -> Summary:
    """One service with many clients, mixed ends, IPv6 among them, and a second service that refuses."""
    pairs = [
        pair(
            f"2001:db8::{i:x}" if i % 2 else f"192.0.2.{i}",
            "2001:db8:ffff::80" if i % 2 else "198.51.100.80",
            8080,
            100 - i,
            close={"fin": 80 - i, "reset": 10, "open": 10},
            active_closer={"client": 80 - i, "none": 10, "ambiguous": 10},
            resets={"client abort": 10},
        )
        for i in range(number)
    ]
    refused = pair(
        "192.0.2.7", "198.51.100.9", 9, 3, close={"refused": 3}, active_closer={"none": 3}, protocol={"empty": 3}
    )
    quality: dict[str, Any] = {
        "not_analysed": {"udp": 12, "arp": 3},
        "connection_quality": {"gap": 1, "midstream": 2},
        "cut_packets": 7,
    }
    return summary([*pairs, refused], [], capture=capture(packets=5000, **quality))


def empty() -> Summary:
    """A capture without packets."""
    return summary([], [], capture=capture(packets=0, first_ns=None, last_ns=None))


def ladder(connection: int = 2, request: str = "GET / HTTP/1.0, Connection: close") -> dict[str, Any]:
    """A server-side close in the engine's ladder shape."""
    rows = [
        ("client", "SYN", 0, None, "SYN-SENT", "LISTEN", []),
        ("server", "SYN ACK", 0, None, "SYN-SENT", "SYN-RECEIVED", []),
        ("client", "ACK", 0, None, "ESTABLISHED", "ESTABLISHED", []),
        ("client", "PSH ACK", 80, request, "ESTABLISHED", "ESTABLISHED", []),
        (
            "server",
            "FIN PSH ACK",
            850,
            "HTTP/1.1 200, Connection: close",
            "CLOSE-WAIT",
            "FIN-WAIT-1",
            ["active closer"],
        ),
        ("client", "FIN ACK", 0, None, "LAST-ACK", "TIME-WAIT", []),
        ("server", "ACK", 0, None, "CLOSED", "TIME-WAIT", ["TIME-WAIT begins"]),
    ]
    made = [
        {
            "ts_ns": START + 21_000 + i * 25_000,
            "frame": 21 + i,
            "file": 0,
            "from": sender,
            "flags": flags,
            "seq": i,
            "ack": i,
        }
        | {"len": length, "summary": text, "client_state": client, "server_state": server, "notes": notes}
        | {"client_proved": client, "server_proved": "ESTABLISHED" if server == "TIME-WAIT" and i == 5 else server}
        for i, (sender, flags, length, text, client, server, notes) in enumerate(rows)
    ]
    return {"connection": connection, "client": "10.2.0.1:53448", "server": "10.2.0.20:80", "omitted": 0, "rows": made}
