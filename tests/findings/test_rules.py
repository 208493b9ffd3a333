"""Each rule: what makes it fire, how severe, and the near miss that leaves it silent."""

from __future__ import annotations

import pytest
from summaries import SECOND, START, distribution, http, pair, ports, summary

from pcapwatch.findings import Assumptions, advice, find
from pcapwatch.findings.verdict import verdict
from pcapwatch.report.model import Finding, PortRange, PortRule
from pcapwatch.summary import Summary

from . import scenarios as s


def one(facts: Summary, code: str, assumptions: Assumptions | None = None) -> Finding:
    """The only finding of a code."""
    (finding,) = [found for found in find(facts, assumptions) if found.code == code]
    return finding


BLOCK = s.block(40_000, 40_499)

FIRES = [
    ("PW101", s.server_announces(200, 15), "notice"),
    ("PW101", s.server_announces(100, 15), "info"),
    ("PW101", s.server_announces(150, 15), "notice"),
    ("PW101", s.server_announces(1500, 15), "warning"),
    ("PW101", s.server_announces(1499, 15), "notice"),
    ("PW101", s.server_announces(100, 15, announced=50), "info"),
    ("PW101", s.http10("none", agent="ApacheBench/2.3"), "info"),
    ("PW102", s.http10(), "info"),
    ("PW102", s.http10("none"), "info"),
    ("PW102", s.http10(asked=50, others=50), "info"),
    ("PW102", s.http10(asked=1500), "warning"),
    ("PW102", s.http10("close", agent="ApacheBench/2.3"), "info"),
    ("PW103", s.one_shot(2), "info"),
    ("PW103", s.one_shot(40, once=20), "info"),
    ("PW103", s.one_shot(1500), "warning"),
    ("PW103", s.one_shot(2, span_s=60), "info"),
    ("PW104", s.idle(held=29), "info"),
    ("PW104", s.idle(held=20), "notice"),
    ("PW104", s.idle(held=30, announced_timeout_s=[7]), "warning"),
    ("PW104", s.idle(keepalive_races=1), "warning"),
    ("PW104", s.outlived(), "warning"),
    ("PW105", s.limited(100), "info"),
    ("PW105", s.limited(2, 2), "info"),
    ("PW105", s.limited(5, 3000), "warning"),
    ("PW105", s.limited(100, 3000), "info"),
    ("PW106", s.lost(races=1), "warning"),
    ("PW107", s.lost(stale=1), "warning"),
    ("PW108", s.pressed(14_116, number=14_200), "notice"),
    ("PW108", s.pressed(22_600, number=30_000), "warning"),
    ("PW108", s.pressed(1_000, number=48_000), "warning"),
    ("PW108", s.pressed(500, number=900, block=BLOCK), "warning"),
    ("PW108", s.pressed(500, number=900, block=BLOCK, stack="windows"), "notice"),
    ("PW108", s.pressed(500, number=900, block=BLOCK, stack="windows", reuses=400), "warning"),
    ("PW108", s.pressed(300, distinct=500, number=900, block=BLOCK), "notice"),
    ("PW108", s.pressed(500, number=900, block=BLOCK, reuses=400, client_recycled=400), "notice"),
    ("PW108", s.ALL["pressed_holes"], "warning"),
    ("PW108", s.pressed(26_900, held_peak_min=26_900), "critical"),
    ("PW108", s.pressed(26_900, reuse_gap=distribution(60, 60.5, 62, 99)), "critical"),
    ("PW108", s.pressed(26_900, reuse_gap=distribution(1, 1.02, 1.1, 99)), "critical"),
    ("PW108", s.pressed(26_900, reuses=10, client_recycled=1), "notice"),
    ("PW109", s.reset(1, clean=999), "notice"),
    ("PW109", s.reset(10, clean=990), "warning"),
    ("PW109", s.reset(1, clean=999, resets={"middlebox injected": 1}), "warning"),
    ("PW109", s.checked(1000, asked=10), "info"),
    ("PW109", s.checked(1000, asked=30, aborted=9), "notice"),
    ("PW109", s.checked(100, asked=30, aborted=10), "warning"),
    ("PW110", s.failed(refused=1), "warning"),
    ("PW110", s.failed(unanswered=1, good=99), "notice"),
    ("PW110", s.failed(half_open=10, good=990), "warning"),
    ("PW110", s.failed(unanswered=5, good=5, one_sided=2), "warning"),
    ("PW111", s.dwelling(2, 1.0), "info"),
    ("PW111", s.dwelling(10), "notice"),
    ("PW111", s.leaking(3, 1.0), "info"),
    ("PW111", s.leaking(9), "info"),
    ("PW111", s.leaking(10, 9.9), "notice"),
    ("PW111", s.leaking(10, 10.0), "warning"),
    ("PW111", s.leaking(12, closed=12), "warning"),
    ("PW111", s.leaking(12, closed=13), "notice"),
    ("PW111", s.leaking(12, closer="server"), "notice"),
    ("PW111", s.leaking(12, closed=12, connection_quality={"gap": 1}), "warning"),
    ("PW111", s.leaking(12, exemplars={}, last_ns=START + 40 * SECOND), "warning"),
]

SILENT = [
    ("PW101", s.server_announces(100, announced=49), "the server closes unannounced more often than not"),
    ("PW101", s.pooled(), "the client closes"),
    ("PW101", s.limited(100), "the close is announced because the limit is reached"),
    ("PW101", s.tls(), "no announcement can be read"),
    ("PW102", s.http10(asked=49, others=51), "most requests are HTTP/1.1"),
    ("PW102", s.http10("none", agent="ApacheBench/2.3"), "a benchmark by name"),
    ("PW102", s.pooled(), "HTTP/1.0 that asks for keep-alive"),
    ("PW103", s.one_shot(1), "a single connection has nothing to follow it"),
    ("PW103", s.one_shot(1, clients=40), "forty clients with one connection each could not have shared"),
    ("PW103", s.one_shot(40, once=19), "most connections carry more"),
    ("PW103", s.one_shot(2, span_s=61), "the server would have closed in between (60 s assumed)"),
    ("PW103", s.one_shot(2, span_s=6, announced_timeout_s=[5]), "the server would have closed in between (announced)"),
    ("PW104", s.idle(held=30), "the client never came back"),
    ("PW104", s.idle(2_388, held=9, cluster=5), "nine were open at once, so the five may have been"),
    ("PW104", s.idle(cluster=0), "the closes do not cluster"),
    ("PW104", s.idle(held=30, timeout_s=6.007, announced_timeout_s=[5]), "it waits longer than announced"),
    ("PW104", s.idle(held=30, timeout_s=4.5, announced_timeout_s=[5]), "whole seconds and round trips do not count"),
    ("PW105", s.limited(1), "one request is keep-alive switched off"),
    ("PW105", s.limited(100, 1), "one connection is no limit"),
    ("PW106", s.lost(stale=1), "the client had acknowledged the close"),
    ("PW107", s.lost(races=1), "the client had not seen the close"),
    ("PW108", s.pressed(14_115, number=14_200), "less than half of the range, at a pace that lasts"),
    (
        "PW108",
        s.pressed(14_116, waiting=0, reuse_gap=distribution(0.0003, 0.6, 1, 99)),
        "the server holds the TIME_WAITs",
    ),
    ("PW104", s.outlived(2), "two closes are no cluster"),
    ("PW104", s.outlived(spread_s=0.06), "the closes are too far apart"),
    ("PW104", s.outlived(median_s=0.9), "closes too soon to be a timeout"),
    ("PW104", s.outlived(wait_s=4.0), "no wait reached the timeout"),
    ("PW104", s.outlived(stale=0), "the waits succeeded, which refutes it"),
    ("PW108", s.pressed(500, number=900), "the ports make no block"),
    ("PW108", s.pressed(31, number=90, block=s.block(40_000, 40_030)), "a block too small to mean anything"),
    ("PW108", s.pressed(249, distinct=500, number=900, block=BLOCK), "never half of the block at once"),
    ("PW108", s.pressed(530, number=900, block=BLOCK), "too many ports outside the block"),
    ("PW108", s.pressed(500, number=900, waiting=200, block=BLOCK), "open connections fill the block"),
    ("PW108", s.pressed(14_000, number=14_200, block=s.block(33_000, 60_999, 26_000)), "as good as the range assumed"),
    ("PW108", s.pressed(20_000, waiting=9_999), "most ports held are open connections"),
    ("PW108", s.pressed(1_000, number=9_000, span_s=4), "too short to project"),
    ("PW108", s.pressed(14_115, number=14_200, reuses=1, client_recycled=1), "recycling lifts the limit"),
    ("PW109", s.reset(0, after=30, resets={"client late_data": 30}), "resets after a FIN end nothing early"),
    ("PW110", s.failed(good=20), "every attempt succeeded"),
    ("PW110", s.failed(unanswered=5, good=5, one_sided=5), "one direction only was captured"),
    (
        "PW110",
        s.failed(unanswered=5, good=11, one_sided=6),
        "of most others, too: no SYN without an answer is one of the six",
    ),
    ("PW111", s.dwelling(20, 0.999), "less than a second"),
    ("PW111", s.dwelling(1), "one is no habit"),
    ("PW111", s.leaking(12, 0.999), "the capture ended before a second was over"),
    ("PW111", s.leaking(2), "two that were not closed are no habit"),
    ("PW111", s.leaking(12, exemplars={}), "how long it was so is not known"),
    ("PW111", s.leaking(12, active_closer={"ambiguous": 12}), "one direction only was captured"),
    ("PW111", s.leaking(12, time_wait_holder={"unknown": 12}), "numbers tell of a FIN that was not captured"),
    ("PW111", s.leaking(12, evicted_connections=1), "a limit on memory may have ended them before"),
    ("PW111", s.leaking(12, closed=13, connection_quality={"gap": 1}), "the capture lost packets, so FINs, too"),
]


@pytest.mark.parametrize(("code", "facts", "severity"), FIRES)
def test_fires(code: str, facts: Summary, severity: str) -> None:
    """The situation is found, once, with the severity its cost deserves."""
    assert one(facts, code).severity == severity


@pytest.mark.parametrize(("code", "facts", "why"), SILENT)
def test_stays_silent(code: str, facts: Summary, why: str) -> None:
    """A near miss is not reported."""
    assert code not in {finding.code for finding in find(facts)}, why


def test_every_rule_is_tested_both_ways() -> None:
    """No rule without a situation that fires and one that does not."""
    from pcapwatch.findings import RULES

    codes = {rule.CODE for rule in RULES} - {"PW112"}  # what it reads is no Summary: tests/host/test_model.py
    assert codes == {code for code, *_ in FIRES} == {code for code, *_ in SILENT}


def test_one_pattern_per_service_not_per_client() -> None:
    """Three clients that do the same to one service are one finding with the sum."""
    finding = one(s.one_shot(40, clients=3), "PW103")
    assert (finding.numbers["clients"], finding.numbers["connections"]) == ("3 clients", 120)


def test_only_the_clients_concerned() -> None:
    """A client that behaves is not counted among those that do not."""
    bad, good = s.one_shot(40)["pairs"][0], s.pooled()["pairs"][0]
    good["client"] = "10.0.0.2"
    finding = one(summary([bad, good]), "PW103")  # type: ignore[list-item]
    assert (finding.numbers["clients"], finding.numbers["http_connections"]) == ("10.0.0.1", 40)


def test_a_return_needs_an_idle_close() -> None:
    """Of 2,388 connections 15 ended idle, 9 at once at the most: 6 came back, however many others there were."""
    assert one(s.idle(2_388, held=9, cluster=15), "PW104").numbers["returns_at_least"] == 6
    assert one(s.idle(30, held=20), "PW104").numbers["returns_at_least"] == 10


def test_lost_reuses_name_the_timeout() -> None:
    """Where waits outlast the server's timeout every reuse is lost: cause, verdict and remedies give the number."""
    facts = s.outlived()
    idle, stale = one(facts, "PW104"), one(facts, "PW107")
    assert (idle.numbers["idle_timeout_s"], idle.numbers["lost_requests"]) == (5, 12)
    assert "after 5.00 s idle, its keep-alive timeout" in verdict(facts, find(facts))
    for finding in (idle, stale, one(s.lost(races=1), "PW106")):
        assert any("below 5.00 s" in line for line in finding.remedy)


def test_port_pressure_figures() -> None:
    """N, T, N/T and the time to exhaustion: 28,232 ports, 60 s, 470.53 per second, full after N / pace."""
    numbers = one(s.pressed(20_000, span_s=100, number=60_000), "PW108").numbers
    assert (numbers["ports"], numbers["time_wait_s"], numbers["limit_per_s"]) == (28_232, 60, 470.53)
    assert (numbers["closes_per_s"], numbers["seconds_to_full"]) == (600, 47.1)


def test_port_pressure_asks_for_a_smaller_range() -> None:
    """A filled block is named with the option that states it; stated as the range it is full, and a larger is not."""
    facts = s.pressed(500, number=900, held_peak_min=500, block=BLOCK)
    assert one(facts, "PW108").title.endswith("state it to be sure: --port-range 10.0.0.1=40000-40499")
    assert "far from the limit" not in verdict(facts, find(facts))
    stated = Assumptions(ports=PortRange(40_000, 40_499, stated=True))
    assert one(facts, "PW108", stated).severity == "critical"
    larger = Assumptions(ports=PortRange(32_768, 60_999, stated=True))
    assert "PW108" not in {finding.code for finding in find(facts, larger)}


def test_a_block_with_holes_and_strays_is_told_as_it_is() -> None:
    """1,995 of 2,000 ports and three elsewhere: the count, the strays, and the 33.3 a second that the range lasts."""
    finding = one(s.ALL["pressed_holes"], "PW108")
    assert "1,995 of the 2,000 ports from 40000 to 41999 (3 used outside)" in finding.title
    assert (finding.numbers["block_held"], finding.numbers["block_limit_per_s"]) == (1995, 33.33)
    text = verdict(s.ALL["pressed_holes"], find(s.ALL["pressed_holes"]))
    assert "that must be its whole range" in text
    assert "and it is full" in text


def test_a_range_is_stated_per_client() -> None:
    """The most specific prefix decides; a client that no prefix holds keeps the assumed range."""
    rules = (PortRule("10.0.0.1/32", PortRange(40_000, 40_499, stated=True)), PortRule("10.0.0.0/8", PortRange(1, 9)))
    facts = s.pressed(500, number=900, held_peak_min=500, block=BLOCK)
    assert one(facts, "PW108", Assumptions(hosts=rules)).numbers["ports"] == 500
    others = Assumptions(hosts=(PortRule("192.0.2.0/24", PortRange(1, 9, stated=True)),))
    assert one(facts, "PW108", others).numbers["ports"] == 28_232
    outside = s.pressed(500, distinct=510, outside=10, number=900, held_peak_min=500)
    numbers = one(outside, "PW108", Assumptions(hosts=rules)).numbers
    assert (numbers["ports"], numbers["held_peak_max"]) == (500, 500)


def test_mixed_clients_are_told_apart_by_what_ended_each_connection() -> None:
    """Of 114 closes by the server 100 are HTTP/1.0's and 14 its limit's, which 3 client FINs reached as well."""
    facts = s.mixed_clients()
    closes, limit = one(facts, "PW101"), one(facts, "PW105")
    assert "because the client asks in HTTP/1.0 without keep-alive: one request per connection" in closes.title
    assert (closes.numbers["connections"], closes.numbers["asked_in_http10"]) == (100, 100)
    assert closes.remedy[0].startswith("ab: -k")
    assert not any(line.startswith("nginx") for line in closes.remedy)
    assert "17 of 117" in limit.title
    assert "the server's FIN first on 14, the client's on 3" in limit.title
    text = verdict(facts, find(facts))
    assert "10.0.0.9:80 closes first on 114 of 117 connections (97.4 %): 100 because 10.0.0.1 asks it to" in text
    assert "; 14 after 1,000 requests each, its limit." in text


def test_a_header_that_few_clients_send_may_be_a_proxys() -> None:
    """Connection: close in HTTP/1.1 requests is said to be a proxy's own, should the client be one."""
    assert advice.IF_PROXY in one(s.server_announces(by="client"), "PW101").remedy
    assert advice.IF_PROXY not in one(s.server_announces(), "PW101").remedy
    assert advice.IF_PROXY not in one(s.http10("none", agent="ApacheBench/2.3"), "PW101").remedy


PROXIES = [
    (s.pool_less(), "a proxy", False),
    (s.pool_less(front_agents=()), "a proxy", False),
    (s.pool_less(forwarded=40, server="192.0.2.99"), "a proxy", False),
    (s.pool_less(server="192.0.2.99"), "a proxy, it seems", True),
]


@pytest.mark.parametrize(("facts", "kind", "hedged"), PROXIES)
def test_a_proxy_is_told_to_keep_its_upstream_connections(facts: Summary, kind: str, hedged: bool) -> None:
    """By headers, by what it serves, or by what another address was asked meanwhile: not its clients' User-Agent."""
    finding = one(facts, "PW103")
    assert f"10.0.0.1 ({kind}) closes 40 of 40" in finding.title
    assert "keepalive 32" in finding.remedy[0]
    assert "HAProxy" in finding.remedy[1]
    assert any("share one connection pool" in line for line in finding.remedy) == hedged
    assert "Give the proxy a pool of keep-alive connections" in verdict(facts, find(facts))


NO_PROXIES = [
    s.pool_less(forwarded=19, server="192.0.2.99", client="10.0.0.1"),
    s.pool_less(front_agents=("Go-http-client/1.1",)),
    s.pool_less(server="192.0.2.99", http=http(requests=30, connections=2, user_agents=["Mozilla/5.0"])),
    s.pool_less(server="192.0.2.99", last_ns=START - 1),
    s.one_shot(40),
]


@pytest.mark.parametrize("facts", NO_PROXIES)
def test_what_is_no_proxy_is_not_called_one(facts: Summary) -> None:
    """Its own User-Agent, other numbers of requests, another time, or nothing at all to go by."""
    finding = next(found for found in find(facts) if found.code == "PW103")
    assert "proxy" not in finding.title
    assert not any("keepalive 32" in line for line in finding.remedy)


def test_port_pressure_takes_the_stated_range() -> None:
    """A stated range decides, and the basis says that it was stated."""
    stated = Assumptions(ports=PortRange(40_000, 40_999, stated=True))
    finding = one(s.pressed(600, number=700), "PW108", stated)
    assert finding.numbers["ports"] == 1000
    assert finding.basis.endswith("stated")


@pytest.mark.parametrize(
    ("low", "high", "size"),
    [(32768, 60999, 28_232), (49152, 65535, 16_384), (49151, 65535, 55_536), (1024, 65535, 64_512), (500, 600, 65_535)],
)
def test_port_range_follows_the_ports_seen(low: int, high: int, size: int) -> None:
    """An assumed range that the capture contradicts gives way to the smallest known one that fits."""
    facts = s.pressed(60_000, number=70_000, low=low, high=high)
    assert one(facts, "PW108").numbers["ports"] == size


def test_server_side_time_wait_is_never_port_pressure() -> None:
    """However many the server holds and however short the reuse, no port finding comes of it."""
    use = ports(distinct=28_232, even=14_116, low=32768, high=60999, held_peak_min=28_000, held_peak_max=28_232)
    use["reuse_gap"] = distribution(60, 60.5, 62, 100_000)
    assert find(summary([pair("10.0.0.1", "10.0.0.9", 80, 1_000_000, ports=use)])) == []


def test_the_overflow_entry_is_no_service() -> None:
    """The entry that totals what did not fit is never named as a service."""
    assert find(summary([pair(None, None, 0, 500, close={"refused": 500})])) == []


def test_remedy_follows_the_announcer() -> None:
    """Who announces close is the one to change: a server by its software, nginx by version, a client by name."""
    assert one(s.server_announces(), "PW101").remedy[0].startswith("nginx: keepalive_timeout")
    assert "before 1.29.7" in one(s.http10(), "PW101").remedy[0]
    assert one(s.http10("none", agent="ApacheBench/2.3"), "PW101").remedy[0].startswith("ab: -k")


def test_http10_without_a_header_is_advised_as_any_clients() -> None:
    """Connection: close in HTTP/1.0 is nginx's own; without it a plain client is told first what it needs."""
    assert one(s.http10(), "PW102").remedy[0].startswith("nginx before 1.29.7 as the proxy")
    bare = one(s.http10("none", agent="curl/8.5.0"), "PW102").remedy
    assert bare[0].startswith("curl: ")
    assert advice.CLIENT_KEEPS in bare
    assert advice.NGINX_UPSTREAM in bare


def test_wire_text_does_not_enter_titles() -> None:
    """A hostile header value is no part of a title; renderers only escape what is raw where they expect it."""
    facts = s.http10(agent="\x1b[31m|@all|")
    assert not any("\x1b" in finding.title for finding in find(facts))
