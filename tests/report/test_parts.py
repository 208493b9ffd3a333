"""The small parts: Community ID, sparkline, words, ladders, settings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import summaries

from pcapwatch.errors import UsageError
from pcapwatch.report.build import build
from pcapwatch.report.community_id import community_id
from pcapwatch.report.json import report_object
from pcapwatch.report.ladder import ladder_lines
from pcapwatch.report.lines import capture_lines
from pcapwatch.report.markdown import render_markdown
from pcapwatch.report.model import PortRange
from pcapwatch.report.quality import quality_of
from pcapwatch.report.sparkline import over_time, sparkline
from pcapwatch.report.text import render_text
from pcapwatch.report.words import Clock, bare_duration, iso, percent, signed_seconds
from pcapwatch.settings import parse_duration, parse_port_range, parse_port_ranges, parse_time_waits


def test_community_id_of_the_specification() -> None:
    """The baseline's own TCP example, the same from either end, and another with another seed."""
    one, other = ("128.232.110.120", 34855), ("66.35.250.204", 80)
    assert community_id(one, other) == community_id(other, one) == "1:LQU9qZlK+B5F3KDmev6m5PMibrg="
    assert community_id(one, other, seed=1) == "1:3V71V58M3Ksw/yuFALMcW0LAHvc="


@pytest.mark.parametrize(
    ("values", "drawn"),
    [
        ([0, 1, 2, 3, 4, 5, 6, 7], "▁▂▃▄▅▆▇█"),
        ([0, 0], "▁▁"),
        ([], ""),
        ([1] * 3, "███"),
        ([0, 1, 1000], "▁▂█"),
    ],
)
def test_sparkline(values: list[int], drawn: str) -> None:
    """Scaled from zero to the greatest, and what is not nothing is higher than nothing."""
    assert sparkline(values) == drawn


@pytest.mark.parametrize(
    ("samples", "parts"),
    [
        ([(0, 3)], [3, 3, 3, 3]),
        ([(25, 3)], [0, 3, 3, 3]),
        ([(24, 3), (30, 0)], [3, 3, 0, 0]),
        ([(10, 1), (11, 9), (12, 1), (74, 2)], [9, 1, 2, 2]),
        ([(10, 5), (60, 0), (100, 7)], [5, 5, 5, 7]),
        ([], [0, 0, 0, 0]),
    ],
)
def test_a_count_over_time(samples: list[tuple[int, int]], parts: list[int]) -> None:
    """Shares of equal time, however the samples lie; each shows the peak of what it covers, never an average."""
    assert over_time(samples, 0, 100, 4) == parts


def test_words_do_not_round_into_another_meaning() -> None:
    """100 % only if it is all, 0 only if it is none; nanoseconds survive; a negative time keeps its sign."""
    assert [percent(part, 10_000) for part in (0, 1, 9_999, 10_000)] == ["0", "<0.1 %", ">99.9 %", "100 %"]
    assert iso(1_795_202_625_123_456_789) == "2026-11-20T19:23:45.123456789Z"
    assert (signed_seconds(-1, 9), signed_seconds(179_000, 6)) == ("-0.000000001", "+0.000179")
    assert [bare_duration(ns) for ns in (0, 999, 179_000, 60 * 10**9, 65_200_000_000)] == [
        "0 ns",
        "999 ns",
        "179 µs",
        "60 s",
        "65.2 s",
    ]
    assert Clock("relative", 5).instant(5) == "+0.000000000 s"
    offsets = {5: "+0.0 s", 7_620_005: "+7.62 ms", 100_000_005: "+0.1 s", 3_460_000_005: "+3.4 s", 0: "-0.0 s"}
    assert {ns: Clock("utc", 5).offset(ns) for ns in offsets} == offsets


def test_a_large_snaplen_is_not_blamed() -> None:
    """Packets that arrived cut are said to be cut short, beside no snaplen that is larger than they are."""
    quality = build(summaries.many_clients()).quality
    text = "\n".join(capture_lines(quality, Clock("utc", 0)))
    assert "7 packets captured cut short" in text
    assert "snaplen" not in text
    assert "whole packets" not in text


@pytest.mark.parametrize(
    ("word", "one", "several"),
    [
        (
            "midstream",
            "connection began before the capture, or its b",
            "connections began before the capture, or their b",
        ),
        ("gap", "connection misses bytes that were ack", "connections miss bytes that were ack"),
        ("one_sided", "connection was captured in one", "connections were captured in one"),
        ("reordered", "connection has segments", "connections have segments"),
    ],
)
def test_what_connections_lack(word: str, one: str, several: str) -> None:
    """In one and in several; that a beginning is missing does not say that it was before the capture."""
    for number, said in ((1, one), (2, several)):
        facts = summaries.summary([], capture=summaries.capture(connection_quality={word: number}))
        [line] = quality_of(facts).concerns
        assert line.startswith(f"{number} {said}")


def test_missing_bytes_are_not_called_gaps() -> None:
    """A gap is one between files; that no connection lacks bytes is said in other words, and only where it is so."""
    assert "no acknowledged bytes missing" in quality_of(summaries.summary([])).remarks
    for word in ("gap", "one_sided"):
        lacking = summaries.summary([], capture=summaries.capture(connection_quality={word: 1}))
        assert "no acknowledged bytes missing" not in quality_of(lacking).remarks


@pytest.mark.parametrize(
    ("cut", "read", "protocol", "said"),
    [
        (9, 0, "empty", "no head of HTTP could be read"),
        (9, 1, "http/1.1", "heads of HTTP may be missing"),
        (9, 0, "tls", "heads of HTTP may be missing"),
        (2, 0, "other", "heads of HTTP may be missing"),
    ],
)
def test_heads_of_cut_packets(cut: int, read: int, protocol: str, said: str) -> None:
    """Where the snaplen left nothing of HTTP, that is said; not of what carries none, nor where it hardly cut."""
    facts = summaries.http(connections=read, requests=read, responses=read)
    pair = summaries.pair("10.0.0.1", "10.0.0.9", 80, 8, http=facts, protocol={protocol: 8})
    [line] = quality_of(summaries.summary([pair], capture=summaries.capture(cut_packets=cut))).concerns
    assert line.startswith(f"{cut} packets captured cut short: {said}")


@pytest.mark.parametrize(("requests", "responses", "word"), [(11, 1, "responses"), (0, 9, "requests")])
def test_heads_of_one_direction_alone(requests: int, responses: int, word: str) -> None:
    """A snaplen that leaves requests whole and cuts responses takes the reason for closes: what to do is said."""
    facts = summaries.http(connections=9, requests=requests, responses=responses)
    pair = summaries.pair("10.0.0.1", "10.0.0.9", 80, 9, http=facts)
    [line] = quality_of(summaries.summary([pair], capture=summaries.capture(cut_packets=9))).concerns
    assert line.endswith(f"most heads of {word} could not be read; capture whole packets (without -s)")


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (0, "no connection in this capture entered it"),
        (3, "cannot be told for 3 connections"),
        (4, "cannot be told for 4 connections"),
    ],
)
def test_time_wait_of_one_direction(number: int, said: str) -> None:
    """That nobody entered TIME_WAIT is claimed only of connections seen from both sides, in text and Markdown."""
    facts = summaries.summary(
        [summaries.pair("10.0.0.1", "10.0.0.9", 80, 4)],
        capture=summaries.capture(connection_quality={"one_sided": number}),
    )
    report = build(facts)
    for text in (render_text(report, 200), render_markdown(report)):
        assert said in " ".join(text.split())
        assert ("no other entered it" in " ".join(text.split())) is (number == 3)


@pytest.mark.parametrize(("one_sided", "rtt", "shown"), [(4, None, False), (0, None, True), (4, "seen", True)])
def test_a_response_not_captured_is_not_missing(one_sided: int, rtt: str | None, shown: bool) -> None:
    """Requests of a pair whose server was not captured are no trouble; those of one seen from both sides are."""
    facts = summaries.summary(
        [
            summaries.pair(
                "10.0.0.1",
                "10.0.0.9",
                80,
                4,
                http=summaries.http(connections=4, requests=4, unprocessed=4),
                handshake_rtt=summaries.distribution(0.1, 0.1, 0.1, 4) if rtt else None,
            )
        ],
        capture=summaries.capture(connection_quality={"one_sided": one_sided}),
    )
    assert bool(build(facts).troubles) is shown


@pytest.mark.parametrize("width", [80, 100, 200])
def test_ladder_fits(width: int) -> None:
    """No line is wider than asked, however long the request, and every row is there."""
    lines = list(ladder_lines(summaries.ladder(2, "GET /" + "x" * 500), width, proved=True))
    assert max(map(len, lines)) <= width
    assert sum("▶" in line or "◀" in line for line in lines) == 7


@pytest.mark.parametrize("width", [80, 92, 120])
@pytest.mark.parametrize(
    ("client", "server"),
    [
        ("10.77.0.1:41000", "10.77.0.2:8080"),
        ("192.168.100.101:60999", "192.168.100.102:65535"),
        (f"[{':'.join(['2001'] * 8)}]:60999", f"[{':'.join(['fd00'] * 8)}]:65535"),
    ],
)
def test_ladder_names_are_whole(client: str, server: str, width: int) -> None:
    """Both endpoints with all of their ports stand above the rows, within the width, however long they are."""
    lines = list(ladder_lines({**summaries.ladder(), "client": client, "server": server}, width))
    heading = " ".join(lines[:2]).split()
    assert [word for word in heading if word in (client, server)] == [client, server]
    assert max(map(len, lines[:2])) <= width


def test_ladder_is_cut_in_the_middle() -> None:
    """With fewer rows allowed, the opening and the close stay and the number left out is said."""
    lines = list(ladder_lines(summaries.ladder(), 100, rows=4))
    assert any("… 3 more packets …" in line for line in lines)
    assert any("… 1 more packet …" in line for line in ladder_lines(summaries.ladder(), 100, rows=6))
    assert "SYN" in lines[1]
    assert "TIME-WAIT" in lines[-2]


@pytest.mark.parametrize(
    ("source", "goes_on", "said"),
    [
        ("default", False, "the capture ended first; 60 to 65.2 s by the host's length (model)"),
        ("default", True, "the capture goes on; 60 to 65.2 s by the host's length (model)"),
        ("kernel", False, "the capture ended first; 60 to 65.2 s by the host's length, as its kernel's timers told it"),
        ("flag", False, "the capture ended first; 60 to 65.2 s by the length that --time-wait states"),
    ],
)
def test_ladder_says_whose_word_the_length_is(source: str, goes_on: bool, said: str) -> None:
    """A length that the kernel told or the user stated is no model, and a capture that goes on has not ended."""
    wait = dict.fromkeys(("evidence_ns", "evidence_frame", "evidence_file", "lower_ns", "upper_ns", "point_ns"))
    wait |= {"holder": "server", "start_ns": summaries.START, "basis": "censored", "end": "unknown"}
    wait |= {"model_low_ns": 60 * summaries.SECOND, "model_high_ns": 65_200_000_000}
    ladder = {**summaries.ladder(), "time_wait": [{**wait, "length_source": source, "goes_on": goes_on}]}
    told = " ".join(line.strip() for line in ladder_lines(ladder, 100))
    assert f"server's TIME-WAIT: its end was not observed; {said}" in told


def test_ladder_of_a_long_connection_says_where_packets_are_missing() -> None:
    """What was not drawn is named where it is missing, and counted with what is cut there; the close stays the last."""
    ladder = {**summaries.ladder(), "omitted": 93, "omitted_after": 2}
    for rows, missing in [(None, 93), (4, 96)]:
        lines = list(ladder_lines(ladder, 100, rows=rows))
        at = next(index for index, line in enumerate(lines) if f"… {missing} more packets …" in line)
        assert sum(" ── " in line or "──▶" in line or "◀─" in line for line in lines[1:at]) == 2
        assert "TIME-WAIT" in lines[-2]


@pytest.mark.parametrize(
    ("text", "ns"), [("60s", 60 * 10**9), ("1.5ms", 1_500_000), ("2m", 120 * 10**9), ("0.000000001s", 1), ("7ns", 7)]
)
def test_durations(text: str, ns: int) -> None:
    """A number and its unit, exactly."""
    assert parse_duration(text) == ns


@pytest.mark.parametrize("text", ["", "60", "s", "-1s", "1e3s", "60 s ago", "9" * 30 + "h", "٣s", "400d"])
def test_bad_durations(text: str) -> None:
    """Anything else is refused in words."""
    with pytest.raises(UsageError, match=r"as 60s, 250ms or 2m"):
        parse_duration(text)


def test_time_waits() -> None:
    """Host bits are dropped, the catch-all comes last, and a reversed span is refused."""
    rules = parse_time_waits(["60s", "2001:db8::1/64=30s", "10.1.2.3=1s-2s"])
    assert [(rule["address"], rule["prefix"]) for rule in rules] == [("2001:db8::", 64), ("10.1.2.3", 32), (None, 0)]
    with pytest.raises(UsageError, match="the shortest comes first"):
        parse_time_waits("65s-60s")


def test_port_ranges_by_host() -> None:
    """Most specific prefix first, host bits dropped, both families; a range without a prefix is every other host's."""
    ranges = parse_port_ranges(["10.1.2.3=40000-41999", "1024-65535", "2001:db8::1/64=1-9", "10.1.0.0/16=5-6"])
    assert [rule.hosts for rule in ranges.hosts] == ["2001:db8::/64", "10.1.2.3", "10.1.0.0/16"]
    sizes = [ranges.of(host).size for host in ("10.1.2.3", "10.1.9.9", "2001:db8::7", "192.0.2.1", None)]
    assert sizes == [2000, 2, 9, 64_512, 64_512]
    assert all(ranges.of(host).stated for host in ("10.1.2.3", "192.0.2.1"))
    assert not parse_port_ranges(()).of("10.1.2.3").stated
    with pytest.raises(UsageError, match=r"'10\.0\.0\.300' is not an address or prefix, as 10\.0\.0\.1=40000-41999"):
        parse_port_ranges("10.0.0.300=1-2")
    with pytest.raises(UsageError, match="LOW-HIGH"):
        parse_port_ranges("10.0.0.1=1")


def test_port_ranges() -> None:
    """Both ends count; Linux's default holds 28,232."""
    assert PortRange().size == 28_232
    assert parse_port_range("1024-65535") == PortRange(1024, 65535, stated=True)
    for text in ("0-1", "5-4", "1-65536", "a-b", "1024"):
        with pytest.raises(UsageError, match="LOW-HIGH"):
            parse_port_range(text)


class Counted(list[Any]):
    """A list that counts how often it is gone through."""

    times = 0

    def __iter__(self) -> Iterator[Any]:
        self.times += 1
        return super().__iter__()


def test_json_goes_through_the_pairs_as_often_for_any_number_of_hosts() -> None:
    """Each host's worst triple comes of one index of the pairs: ten thousand hosts take no ten thousand passes."""
    times = []
    for number in (2, 60):
        clients = [f"10.0.1.{n}" for n in range(number)]
        pairs = Counted(
            summaries.pair(client, server, 80, 3, ports=summaries.ports(held_peak_max=held))
            for client in clients
            for server, held in (("10.0.0.8", 2), ("10.0.0.9", 3))
        )
        made = build(summaries.summary([*pairs], [summaries.host(client) for client in (*clients, "10.0.0.9")]))
        made.summary["pairs"] = pairs
        *hosts, server_side = report_object(made)["hosts"]
        assert {(host["worst_triple"]["server"], host["worst_triple"]["held_peak"]["max"]) for host in hosts} == {
            ("10.0.0.9", 3)
        }
        assert server_side["worst_triple"] is None
        times.append(pairs.times)
    assert times[0] == times[1]


def test_peaks_counted_at_moments_far_apart_are_said_to_be() -> None:
    """A peak of a long capture is the highest of counts some time apart; of a short one exact: nothing is said."""
    facts = summaries.proxy_and_origin()
    assert not any("apart" in line for line in build(facts).assumptions)
    facts["pairs"][0]["ports"]["held_step_ns"] = 16_384_000
    assert any("at moments 16.4 ms apart: what comes and goes between" in line for line in build(facts).assumptions)
    waits = facts["hosts"][0]["time_wait"] or facts["hosts"][1]["time_wait"]
    assert waits is not None
    waits["peak_step_ns"] = 33_554_432
    assert any("at moments 33.6 ms apart" in line for line in build(facts).assumptions)
