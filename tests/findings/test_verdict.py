"""The verdict: who, how many, why, whether it matters, what to do, and where to read on; or that it cannot be told."""

from __future__ import annotations

import re
from typing import Any

import pytest
from summaries import capture, http, pair, summary

from pcapwatch.findings import RULES, find
from pcapwatch.findings.limits import cannot_show
from pcapwatch.findings.verdict import verdict
from pcapwatch.summary import Summary

from . import scenarios as s


def of(facts: Summary) -> str:
    """The verdict on a summary with its own findings."""
    return verdict(facts, find(facts))


SAYS: list[tuple[str, list[str], str]] = [
    (
        "proxy_and_origin",
        ["10.2.0.20:80 closes first on 218,400 of 219,265", "HTTP/1.0 with Connection: close"],
        "PW102",
    ),
    (
        "server_announces",
        ["10.0.0.9:80 closes first on all 200", "its own responses", "harmless", "keep-alive on the"],
        "PW101",
    ),
    ("client_announces", ["because 10.0.0.1 asks it to with Connection: close", "Let the client stop"], "PW101"),
    ("http10_bare", ["HTTP/1.0 without keep-alive", "Let the client speak HTTP/1.1", "if it is a proxy"], "PW102"),
    ("ab", ["HTTP/1.0 without keep-alive", "Let the client ask for keep-alive"], "PW101"),
    ("one_shot", ["10.0.0.1 closes first on all 40", "both sides allowed keep-alive", "40 of 28,232"], "PW103"),
    ("one_shot_single", ["its only connection", "after its one request", "far from the limit"], ""),
    ("one_shot_clients", ["3 clients close first on all 120", "The clients hold the TIME_WAITs"], "PW103"),
    ("pooled", ["10.0.0.1 closes first on all 8", "when it is done, 1,000 requests per connection"], ""),
    ("idle", ["after 5.00 s idle", "drop idle connections before 5.00 s"], "PW104"),
    ("limited", ["after 100 requests each, its limit"], "PW105"),
    ("race", ["crossed the close and were lost: 2 (PW106)"], "PW104"),
    ("stale", ["after the close was acknowledged and lost: 3 (PW107)"], "PW104"),
    ("pressed", ["20,000 of 28,232 ephemeral ports", "at 500 closes per second they last 56.5 s"], "PW108"),
    ("pressed_full", ["27,500 of 28,232", "the end of the range"], "PW108"),
    ("pressed_recycling", ["takes them again early"], "PW108"),
    ("reset_injected", ["10.0.0.9:80"], "PW109"),
    ("checked", ["10.0.0.9:3000 closes first on 150 of 251"], ""),
    ("checked_only", ["all 101 connections ended by a reset", "they carried no byte, as TCP health checks"], "PW109"),
    ("leaking", ["10.0.0.9:80 had not closed them when", "no TIME_WAIT until it does", "never closed."], "PW111"),
    ("leaking_client", ["10.0.0.1 had not closed them", "CLOSE_WAIT there"], "PW111"),
    ("leaking_some", ["10.0.0.9:80 had not closed 12 of them", "until it does (PW111)"], ""),
    ("refused", ["was not reached: all 12 connections from 10.0.0.1 were refused", "no TIME_WAIT"], "PW110"),
    ("unanswered", ["never completed their handshakes", "filter"], "PW110"),
    ("tls", ["10.0.0.9:443 closes first on all 20", "why cannot be read: the payload is TLS", "harmless"], ""),
    ("still_open", ["all 12 connections were still open", "no close to judge"], ""),
    ("mixed", ["No single pattern", "20 still open", "34 closed first by the server"], "PW109"),
    ("empty", ["holds no packets"], ""),
    ("filtered_out", ["The filter matched 0 of 1,234 packets, so"], ""),
    ("no_tcp", ["No TCP connection", "1,000 packets"], ""),
]


@pytest.mark.parametrize(("name", "parts", "code"), SAYS)
def test_says(name: str, parts: list[str], code: str) -> None:
    """Each situation is told by its own words and ends with the finding that says more, if there is one."""
    text = of(s.ALL[name])
    for part in parts:
        assert part in text
    assert re.findall(r" \[(PW\d+)\]$", text) == ([code] if code else [])


def test_a_capture_that_goes_on_has_not_ended() -> None:
    """What is still open is so now, and may be judged yet."""
    going = s.ALL["still_open"]
    going = {**going, "capture": {**going["capture"], "live": {**going["capture"]["live"], "goes_on": True}}}
    text = of(going)
    assert "all 12 connections are still open: there is no close to judge so far" in text
    assert "ended" not in text


def test_what_a_limit_ended_was_not_open_at_the_end() -> None:
    """Connections that the limit on memory ended early are not told as the capture's."""
    full = s.ALL["still_open"]
    full = {**full, "capture": {**full["capture"], "evicted_connections": 3}}
    assert "when the capture ended, or when the limit on memory (--max-connections) ended 3 early: it shows" in of(full)
    assert "still open when the capture stopped, or evicted" in " ".join(cannot_show(full))


@pytest.mark.parametrize("name", s.ALL)
def test_is_one_line_that_can_stand_alone(name: str) -> None:
    """One line of whole sentences, at most a short paragraph, naming no code that was not found."""
    text = of(s.ALL[name])
    assert "\n" not in text
    assert "  " not in text
    assert len(text) < 700
    assert re.search(r"(\.|\[PW\d+\])$", text)
    assert set(re.findall(r"PW\d+", text)) <= {finding.code for finding in find(s.ALL[name])}


def test_a_warning_elsewhere_is_the_subject() -> None:
    """A service in trouble is spoken of before a larger one that is well."""
    quiet, race = s.pooled(500, 50_000)["pairs"][0], s.lost(races=2)["pairs"][0]
    quiet["server"] = "10.0.0.8"
    assert "10.0.0.9:80" in of(summary([quiet, race]))  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("attempts", "subject"), [(1, "10.0.0.9:80 closes first on all 200"), (3, "10.0.0.9:81 was not")]
)
def test_a_failed_attempt_is_not_the_subject_beside_many_closes(attempts: int, subject: str) -> None:
    """One refused SYN, a warning as it is all that its service got, hides no server that closes on everybody."""
    refused, tls = s.failed(refused=attempts)["pairs"][0], s.ALL["tls"]["pairs"][0]
    tls |= {"connections": 200, "close": {"fin": 200}, "active_closer": {"server": 200}, "protocol": {"empty": 200}}
    refused["server"] = tls["server"] = "10.0.0.9"
    tls["server_port"] = 80
    assert subject in of(summary([refused, tls]))  # type: ignore[list-item]


def test_a_host_s_waits_are_not_one_service_s() -> None:
    """The most at once is the host's: where another port or its own connections leave TIME_WAITs, that is said."""
    alone = s.server_announces(200)
    assert "Its TIME_WAIT sockets (at most 200 at once)" in of(alone)
    one = alone["pairs"][0]
    server = str(one["server"])
    hosts: Any = alone["hosts"]
    for other in (
        pair("10.0.0.7", server, 8081, 100),
        pair(server, "10.0.0.8", 9000, 100, active_closer={"client": 100}, time_wait_holder={"client": 100}),
    ):
        text = of(summary([one, other], hosts))  # type: ignore[list-item]
        assert f"Its TIME_WAIT sockets ({server} holds at most 200 at once, its other ports' included) are" in text
    elsewhere = pair("10.0.0.7", server, 8081, 100, active_closer={"client": 100}, time_wait_holder={"client": 100})
    assert "Its TIME_WAIT sockets (at most 200 at once)" in of(summary([one, elsewhere], hosts))  # type: ignore[list-item]


def test_server_side_waits_are_never_called_port_exhaustion() -> None:
    """Where the server holds every TIME_WAIT the verdict says that no ephemeral port is held."""
    for name in ("proxy_and_origin", "server_announces", "idle", "tls"):
        assert "not ephemeral ports" in of(s.ALL[name])


def test_says_when_it_rests_on_little() -> None:
    """One-sided and mid-stream captures are named as such."""
    facts = summary(
        [pair("10.0.0.1", "10.0.0.9", 80, 4)], capture=capture(connection_quality={"one_sided": 3, "midstream": 3})
    )
    assert "3 of 4 connections (75.0 %) one direction only" in of(facts)
    assert "The beginning of most connections is not in the capture" in of(facts)


@pytest.mark.parametrize(("number", "said"), [(0, False), (9, False), (10, True), (100, True)])
def test_one_direction_is_never_silenced(number: int, said: bool) -> None:
    """From a tenth on the verdict says it, whatever else is there; SYNs that nobody answered are not counted as it."""
    silent = pair("10.0.0.2", "10.0.0.8", 81, 5, close={"unanswered": 5}, active_closer={"none": 5})
    quality = {"one_sided": number}
    text = of(summary([pair("10.0.0.1", "10.0.0.9", 80, 100), silent], capture=capture(connection_quality=quality)))
    assert ("one direction only" in text) is said


def test_only_clients_that_did_it_are_named() -> None:
    """Of two clients of a service the one that asked for the close, that closes, or whose attempts failed."""
    asks, keeps = s.server_announces(50, by="client")["pairs"][0], s.still_open()["pairs"][0]
    keeps |= {"client": "10.0.0.2", "server": asks["server"], "server_port": asks["server_port"]}
    both = of(summary([asks, keeps]))  # type: ignore[list-item]
    assert f"because {asks['client']} asks it to with Connection: close" in both
    closes = s.one_shot(50)["pairs"][0]
    both = of(summary([closes, {**keeps, "connections": 5, "close": {"open": 5}}]))  # type: ignore[list-item]
    assert both.startswith(f"{closes['client']} closes first on 50 of 55 connections")
    assert f"{closes['client']} holds the TIME_WAITs" in both
    fails = s.failed(unanswered=20)["pairs"][0]
    both = of(summary([fails, {**keeps, "server_port": 81, "connections": 5, "close": {"open": 5}}]))  # type: ignore[list-item]
    assert f"from {fails['client']} never completed" in both


def test_names_no_service_when_none_was_kept() -> None:
    """With every pair in the overflow entry the verdict says so."""
    assert "max_pairs" in of(summary([pair(None, None, 0, 5)]))


def test_says_why_no_packet_could_be_read() -> None:
    """A file that broke before its first packet is not called empty."""
    broken = capture(packets=0, first_ns=None, last_ns=None)
    broken["files"][0]["problem"] = "offset 24: record of 4,294,967,295 bytes"
    text = of(summary([], capture=broken))
    assert text.startswith("No packet could be read")
    assert text.endswith("back.pcap: offset 24: record of 4,294,967,295 bytes.")


@pytest.mark.parametrize(
    ("protocol", "cut", "said"),
    [
        ("http/1.1", 9, "the snaplen cut the heads"),
        ("http/1.1", 0, "no head of its HTTP/1.x is whole"),
        ("unknown", 9, "no HTTP/1.x was recognised in its packets, which are cut short"),
        ("unknown", 0, "no HTTP/1.x was recognised."),
    ],
)
def test_heads_that_were_cut(protocol: str, cut: int, said: str) -> None:
    """HTTP without a readable head is not called unrecognised, and the snaplen is blamed only where it cut."""
    made = pair("10.0.0.1", "10.0.0.9", 80, 4, protocol={protocol: 4})
    assert said in of(summary([made], capture=capture(cut_packets=cut)))


@pytest.mark.parametrize(
    ("closer", "said"),
    [
        ("client", "10.0.0.1 closes first on all 60 connections to 10.0.0.9:80, when no response to its request came."),
        ("server", "10.0.0.9:80 closes first on all 60 connections, without a response to the request it had."),
    ],
)
@pytest.mark.parametrize("request_", ["persists", "close", "http/1.0"])
def test_no_response_is_why(closer: str, said: str, request_: str) -> None:
    """Whoever closes a connection whose request had no response does so for that, whatever the request announced."""
    ends = [{"request": request_, "response": "silent", "active_closer": closer, "count": 60, "requests": 60}]
    facts = http(connections=60, requests=60, responses=0, unprocessed=60, endings=ends)
    text = of(summary([pair("10.0.0.1", "10.0.0.9", 80, 60, active_closer={closer: 60}, http=facts)]))
    assert text.startswith(said)
    assert "Look at the server" in text


@pytest.mark.parametrize(
    ("responses", "unprocessed", "said"),
    [
        (0, 0, "the snaplen cut the heads of its responses"),
        (0, 24, "the snaplen cut the heads of its responses"),
        (0, 36, "the capture shows no cause"),
        (60, 0, "the capture shows no cause"),
    ],
)
def test_a_snaplen_cuts_no_response_that_was_not_sent(responses: int, unprocessed: int, said: str) -> None:
    """Of 60 requests in cut packets: the snaplen is blamed where most had a response, and hardly one was read."""
    facts = http(connections=60, requests=60, responses=responses, unprocessed=unprocessed)
    made = pair("10.0.0.1", "10.0.0.9", 80, 60, http=facts)
    assert said in of(summary([made], capture=capture(cut_packets=24)))
    silent = pair("10.0.0.1", "10.0.0.9", 80, 60, http=facts, server_bytes=0)
    assert "the capture shows no cause" in of(summary([silent], capture=capture(cut_packets=24)))


#: Claims that nobody can make of a part.
SWEEPING = re.compile(r"\b(all|only|every|the one with the most|far from the limit|was not reached)\b")


@pytest.mark.parametrize("name", [name for name in s.ALL if s.ALL[name]["pairs"]])
def test_a_part_is_never_called_the_whole(name: str) -> None:
    """With connections beyond max_pairs the verdict begins with the share told apart and claims nothing of all."""
    facts = s.ALL[name]
    told = sum(made["connections"] for made in facts["pairs"])
    beyond = pair(None, None, 0, 8 * told, close={}, active_closer={})
    parts = {"capture": {**facts["capture"], "overflow_connections": 8 * told}}
    text = of(summary([*facts["pairs"], beyond], facts["hosts"], **parts))  # type: ignore[list-item, arg-type]
    assert text.startswith(f"{9 * told:,} connections, of which {told:,} (11.1 %) are told apart")
    assert not SWEEPING.search(text.partition("about those.")[2])


def test_an_overflow_is_said_beside_every_figure() -> None:
    """The limits name the connections beyond max_pairs, and a finding says of which its shares are."""
    whole = s.ALL["one_shot_clients"]
    facts = summary([*whole["pairs"], pair(None, None, 0, 80)], capture=capture(overflow_connections=80))  # type: ignore[list-item]
    assert any("whose 80 connections beyond max_pairs are" in line for line in cannot_show(facts))
    assert all("told apart" in finding.title for finding in find(facts))
    assert find(facts)
    assert not any("told apart" in finding.title for finding in find(whole))


def test_an_abort_is_a_reset_before_it_is_a_close() -> None:
    """Connections that were all aborted are told as resets, though an abort has an active closer."""
    text = of(s.reset(5, clean=0))
    assert "ended by a reset before any FIN" in text
    assert text.endswith("[PW109]")


def test_codes_are_unique_and_in_order() -> None:
    """The flat list is the catalogue's order."""
    codes = [rule.CODE for rule in RULES]
    assert codes == sorted(set(codes))
