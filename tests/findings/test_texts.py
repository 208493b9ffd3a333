"""What is said: no claim of the false ones in circulation, every figure from the facts, every place findable."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from pathlib import Path

import pytest
from summaries import capture, exemplar, host, pair, summary

from pcapwatch.findings import RULES, advice, find
from pcapwatch.findings.actions import actions, checks, do_not
from pcapwatch.findings.catalogue import HEADINGS, explain, render_catalogue
from pcapwatch.findings.evidence import display_filter
from pcapwatch.findings.limits import cannot_show
from pcapwatch.findings.ranking import ranked
from pcapwatch.findings.verdict import verdict
from pcapwatch.findings.wording import count, duration, endpoint, listed, mean, requests_each, share
from pcapwatch.report.model import Finding
from pcapwatch.summary import Exemplar, Summary

from . import scenarios as s

DOCUMENT = Path(__file__).parents[2] / "docs" / "findings.md"

#: The false claims of semantics E, as they are usually put.
FALSE_CLAIMS = [
    r"default (for|of)? ?(HTTP )?(Connection )?is close",
    r"TIME_?WAIT (is|lasts|takes) (always )?(4 min|240|2 ?MSL)",
    r"(lower|reduce|shorten|decrease|set)\w* (net\.ipv4\.)?tcp_fin_timeout",
    r"tcp_fin_timeout (shortens|reduces|controls|sets)( the)? TIME",
    r"65,?53[56] ports",
    r"each TIME_?WAIT (eats|takes|uses) (one|a port)",
    r"(enable|set|turn on) (net\.ipv4\.)?tcp_tw_recycle",
    r"tcp_tw_recycle ?= ?1",
    r"SO_REUSEADDR (ends|removes|skips)",
    r"TIME_?WAIT (begins|starts) (on|when) receiv",
    r"the client always",
    r"first FIN (seen )?(is|=) the active",
    r"(lower|reduce|decrease) tcp_max_tw_buckets to",
    r"CLOSE_?WAIT is a kernel",
    r"many TIME_?WAITs? (is|are) a (fault|problem)",
    r"server.{0,40}(runs|running) out of (ephemeral )?ports",
]


def said() -> list[str]:
    """Everything the findings can say over every situation, and the catalogue."""
    texts = [render_catalogue()]
    for facts in s.ALL.values():
        findings = find(facts)
        texts += [verdict(facts, findings), *cannot_show(facts), *do_not(findings)]
        for finding in findings:
            texts += [finding.title, finding.basis, *finding.remedy, *finding.verify]
            texts += [evidence.text for evidence in finding.evidence]
    return texts


@pytest.mark.parametrize("claim", FALSE_CLAIMS)
def test_no_false_claim_is_repeated(claim: str) -> None:
    """None of the claims in circulation that are wrong is made anywhere."""
    assert [text for text in said() if re.search(claim, text, re.IGNORECASE)] == []


@pytest.mark.parametrize(
    "wrong",
    [
        "reduce tcp_fin_timeout to 15",
        "enable tcp_tw_recycle",
        "one of 65,535 ports",
        "the server runs out of ephemeral ports",
    ],
)
def test_the_search_for_false_claims_finds_them(wrong: str) -> None:
    """The patterns do match a false claim when one is made."""
    assert any(re.search(claim, wrong, re.IGNORECASE) for claim in FALSE_CLAIMS)


def test_forbidden_knobs_are_only_warned_of() -> None:
    """No remedy names tcp_fin_timeout, tcp_tw_recycle, tcp_max_tw_buckets or SO_LINGER as something to set."""
    knobs = re.compile(r"tcp_fin_timeout|tcp_tw_recycle|tcp_max_tw_buckets|set SO_LINGER")
    for facts in s.ALL.values():
        for action in actions(find(facts)):
            assert "do not set" in action.text or not knobs.search(action.text)


def test_tw_reuse_is_advised_to_clients_alone() -> None:
    """For a server's TIME_WAITs tcp_tw_reuse is warned of; only port pressure suggests it, for the client."""
    for facts in s.ALL.values():
        advised = {finding.code for finding in find(facts) if advice.TW_REUSE in finding.remedy}
        assert advised <= {"PW108"}
    assert advice.NO_TW_REUSE in do_not(find(s.ALL["server_announces"]))


@pytest.mark.parametrize("name", s.ALL)
def test_figures_of_a_title_are_among_the_numbers(name: str) -> None:
    """Every whole number with thousands in a title is one of the finding's own figures or one of the facts."""
    for finding in find(s.ALL[name]):
        facts = {count(round(value)) for value in finding.numbers.values() if not isinstance(value, str)}
        assert set(re.findall(r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?![\d,])", finding.title)) <= facts


@pytest.mark.parametrize("name", s.ALL)
def test_every_finding_can_be_acted_on_and_checked(name: str) -> None:
    """A basis and a verifying command always, a remedy from a notice on, evidence that can be found."""
    for finding in find(s.ALL[name]):
        assert re.match(r"(observed|bounded|inferred|modelled)[:;, ]", finding.basis)
        assert finding.verify
        assert finding.remedy or finding.severity == "info"
        for evidence in finding.evidence:
            assert evidence.file
            assert evidence.frame
            assert evidence.display_filter


def test_evidence_names_the_place() -> None:
    """File, frame, time, connection and a filter of the exemplar's incarnation."""
    evidence = find(s.ALL["server_announces"])[0].evidence[0]
    assert (evidence.file, evidence.frame, evidence.connection) == ("back.pcap", 31, 4)
    assert evidence.display_filter == (
        "tcp.port==40010 && tcp.port==80 && ip.addr==10.0.0.1 && ip.addr==10.0.0.9"
        " && frame.number>=31 && frame.number<=42"
    )
    assert evidence.text.endswith("closed by frame 40")


def made(**facts: int) -> Exemplar:
    """An IPv6 exemplar on one host."""
    return {**exemplar(1, ("::1", 5000), ("::1", 80), 7, 9), **facts}  # type: ignore[typeddict-item]


def test_filter_of_ipv6_and_of_two_files() -> None:
    """IPv6 has its own field; a connection that runs into the next file has no upper frame in this one."""
    assert display_filter(made()).startswith("tcp.port==5000 && tcp.port==80 && ipv6.addr==::1 && frame.number>=7")
    assert display_filter(made(last_file=1)).endswith("frame.number>=7")


def test_one_client_closes_and_several_close() -> None:
    """The verb of a title agrees with how many clients it speaks of."""
    titles = {code: title for number in (1, 3) for code, title in _titles(s.one_shot(clients=number), number)}
    assert titles["PW103", 1].startswith("10.0.0.1 closes 40 of 40")
    assert titles["PW103", 3].startswith("3 clients close 120 of 120")
    one = s.http10()["pairs"][0]
    several = summary([one, {**one, "client": "10.0.0.77"}])  # type: ignore[list-item]
    titles = {
        code: title for number, facts in ((1, s.http10()), (2, several)) for code, title in _titles(facts, number)
    }
    assert f"{one['client']} asks " in titles["PW102", 1]
    assert titles["PW102", 2].startswith("2 clients ask ")


def _titles(facts: Summary, number: int) -> list[tuple[tuple[str, int], str]]:
    return [((finding.code, number), finding.title) for finding in find(facts)]


def test_order_is_severity_then_cost() -> None:
    """Critical before warning before notice before info; then more connections first; then code."""
    given = [
        ("PW103", "info", 9),
        ("PW101", "notice", 5),
        ("PW102", "notice", 50),
        ("PW108", "critical", 1),
        ("PW106", "notice", 5),
    ]
    findings = [Finding(code, "", severity, "", {"connections": number}) for code, severity, number in given]  # type: ignore[arg-type]
    assert [finding.code for finding in ranked(findings)] == ["PW108", "PW102", "PW101", "PW106", "PW103"]


def test_many_of_a_kind_are_counted_not_dropped() -> None:
    """Beyond five of a code the rest is a number in the fifth."""
    facts = summary([pair("10.0.0.1", f"10.1.0.{i}", 80, i, close={"refused": i}) for i in range(1, 9)])
    findings = find(facts)
    assert len(findings) == 5
    assert "3 more" in findings[-1].title
    assert findings[-1].numbers["more_connections"] == 6


def test_actions_are_said_once() -> None:
    """The same remedy of two findings is one action with both codes."""
    same = [Finding(code, "", "info", "", remedy=["do it"], verify=[f"see {code}"]) for code in ("PW101", "PW102")]
    (action,) = actions(same)
    assert (action.text, action.verify, action.codes) == ("do it", ("see PW101", "see PW102"), ("PW101", "PW102"))


def test_commands_are_said_once() -> None:
    """A command that several actions ask for is one line with the codes of all, in the order of the actions."""
    found = [
        Finding("PW108", "", "info", "", remedy=["a", "b", "c"], verify=["see", "count"]),
        Finding("PW103", "", "info", "", remedy=["a"], verify=["again"]),
    ]
    assert checks(actions(found)) == [("see", ("PW108", "PW103")), ("count", ("PW108", "PW103"))]


@pytest.mark.parametrize(
    ("part", "facts"),
    [
        ("no end of one was observed", s.ALL["one_shot"]),
        ("how 12 connections ended: half-closed, one FIN only", s.ALL["leaking"]),
        ("HTTP inside TLS on 20 connections", s.ALL["tls"]),
        ("EADDRNOTAVAIL", s.ALL["one_shot"]),
        (
            "the other leg",
            summary(
                [pair("10.0.0.1", "10.0.0.9")], [{**host("10.0.0.1"), "as_client": 1, "as_server": 0}, host("10.0.0.9")]
            ),
        ),
        ("only one was captured", summary([pair("a", "b")], capture=capture(connection_quality={"one_sided": 1}))),
        ("keeps no count of drops", s.ALL["empty"]),
        ("captured cut short", summary([pair("a", "b")], capture=capture(cut_packets=3))),
        ("exact to a round trip only", s.ALL["one_shot"]),
        ("tcp_max_tw_buckets", s.ALL["proxy_and_origin"]),
    ],
)
def test_cannot_show(part: str, facts: object) -> None:
    """Each blind spot is named where it applies."""
    assert any(part in line for line in cannot_show(facts))  # type: ignore[arg-type]


def test_cannot_show_is_silent_where_it_can() -> None:
    """A capture taken on a known host with a count of no drops leaves neither in doubt."""
    facts = capture(capture_host="10.0.0.9")
    facts["files"][0]["interfaces"][0]["dropped"] = 0
    lines = cannot_show(summary([pair("10.0.0.1", "10.0.0.9")], capture=facts))
    assert not any("dropped" in line or "round trip" in line for line in lines)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.CODE)
def test_every_rule_explains_itself(rule: object) -> None:
    """A rule's docstring has the five headings in their order, none empty."""
    explanation = explain(rule.CODE.lower())  # type: ignore[attr-defined]
    assert tuple(explanation.sections) == HEADINGS
    assert all(explanation.sections.values())
    assert explanation.title


def test_explain_names_the_known_codes() -> None:
    """An unknown code is answered with the known ones."""
    with pytest.raises(KeyError, match=r"PW999.*PW101"):
        explain("PW999")


def test_document_is_current() -> None:
    """docs/findings.md is what the rules say today."""
    command = [sys.executable, "-m", "pcapwatch.findings.catalogue"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=DOCUMENT.parents[1])
    assert DOCUMENT.read_text() == done.stdout == render_catalogue()


def test_wording() -> None:
    """Figures read as they must: no rounding to all or none, units, brackets around IPv6."""
    assert [share(*pair_) for pair_ in ((0, 9), (9, 9), (99_999, 100_000), (1, 100_000), (1, 3), (0, 0))] == [
        "0 %", "100 %", "over 99.9 %", "under 0.1 %", "33.3 %", "0 %",
    ]  # fmt: skip
    assert [duration(ns) for ns in (179_000, 5_000_000_000, 65_200_000_000, 2_500_000, 7)] == [
        "179 µs", "5.00 s", "65.2 s", "2.50 ms", "7 ns",
    ]  # fmt: skip
    assert [mean(value) for value in (1.0, 1.04, 14.33, 14_331.4, 0.25)] == ["1", "1.04", "14.3", "14,331", "0.25"]
    assert (endpoint("::1", 80), endpoint("10.0.0.1", 80), endpoint(None, 0)) == (
        "[::1]:80",
        "10.0.0.1:80",
        "other services",
    )
    assert (listed(["a"]), listed(["a", "b"]), listed(list("abcde"))) == ("a", "a and b", "a, b, c and 2 more")


def test_findings_are_plain_data() -> None:
    """A finding survives dataclasses.asdict, so every renderer can take it."""
    for facts in s.ALL.values():
        for finding in find(facts):
            assert dataclasses.asdict(finding)["code"] == finding.code


def test_no_request_captured_is_not_called_none_per_connection() -> None:
    """Where only the answers were captured nobody sent `0 requests per connection`."""
    assert requests_each(0) == "no request of them captured"
    assert requests_each(1) == "one request per connection"
