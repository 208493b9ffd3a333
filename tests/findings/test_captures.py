"""The rules on real captures through the engine: which findings each recorded fixture gives."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import pcapwatch
from pcapwatch.findings import Assumptions, find
from pcapwatch.findings.verdict import verdict
from pcapwatch.report.model import PortRange
from pcapwatch.summary import Summary, parse_summary

engine = pytest.importorskip("pcapwatch._engine", reason="the engine is not built")

FIXTURES = Path(__file__).parents[2] / "fixtures"
SHARED = Path(__file__).parents[3] / "shared" / "captures"

#: Codes and a part of the verdict, by fixture; what the script that recorded it set up.
EXPECTED: dict[str, tuple[set[str], str]] = {
    "abort-by-client": ({"PW109"}, "aborts by the client"),
    "abort-by-server": ({"PW109"}, "aborts by the server"),
    "close-with-unread-data": ({"PW109"}, "aborts by the server"),
    "client-closes-first": (set(), "10.77.1.1 closes first on its only connection"),
    "server-closes-first": ({"PW101"}, "10.77.1.2:80 closes first on its only connection"),
    "crossing-fins": (set(), "the FINs cross"),
    "refused": ({"PW110"}, "were refused"),
    "dropped-syn": ({"PW110"}, "never completed its handshake"),
    "half-open": ({"PW110"}, "never completed its handshake"),
    "no-close": (set(), "still open"),
    "keep-alive-race": ({"PW106"}, "crossed the close and were lost: 1"),
    "stale-reuse": ({"PW107"}, "after the close was acknowledged"),
    "late-data": (set(), "10.77.1.1 closes first"),
    "nginx-ab": ({"PW101"}, "asks it to, in HTTP/1.0 without keep-alive"),
    "nginx-ab-keepalive": (set(), "when it is done, 25 requests per connection"),
    "nginx-keepalive-off": ({"PW101"}, "its own responses announce"),
    "nginx-idle-timeout": ({"PW104"}, "after 3.00 s idle"),
    "nginx-max-requests": ({"PW105"}, "after 5 requests each, its limit"),
    "node-default": (set(), "after 6.01 s idle"),
    "proxy-http10-back": ({"PW101", "PW102"}, "asks it to, in HTTP/1.0 with Connection: close"),
    "proxy-keepalive-back": (set(), "6 requests per connection"),
    "haproxy-server-close": ({"PW101"}, "asks it to with Connection: close"),
    "python-http10": ({"PW101"}, "HTTP/1.0 without keep-alive"),
    "python-requests": ({"PW103"}, "both sides allowed keep-alive"),
    "python-urllib": ({"PW101"}, "asks it to with Connection: close"),
    "ports-exhausted": (
        {"PW103", "PW108"},
        "40 of the 40 ports from 41000 to 41039 towards this service at once; that ",
    ),
    "ports-nearly-exhausted": ({"PW103", "PW108"}, "195 of the 200 ports from 40000 to 40199 (3 used outside)"),
    "nginx-mixed-clients": (
        {"PW101", "PW105"},
        ": 40 because 10.77.1.1 asks it to, in HTTP/1.0 without keep-alive",
    ),
    "proxy-no-pool": ({"PW103"}, "Give the proxy a pool of keep-alive connections"),
    "proxy-no-pool-back": ({"PW103"}, "Give the proxy a pool of keep-alive connections"),
    "nginx-raw-target": (set(), "when it is done, 2 requests per connection"),
    "tw-reuse": ({"PW103", "PW108"}, "takes them again early"),
    "tls": (set(), "the payload is TLS"),
}


def read(folder: Path) -> Summary:
    """The engine's summary of a fixture's captures."""
    files = [str(folder / name) for name in json.loads((folder / "truth.json").read_text())["files"]]
    return parse_summary(engine.analyze(files, "{}", None).summary_json())


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_fixture(name: str) -> None:
    """A recorded capture gives the findings that its making calls for, and no other."""
    codes, part = EXPECTED[name]
    facts = read(FIXTURES / name)
    findings = find(facts)
    assert {finding.code for finding in findings} == codes
    assert part in verdict(facts, findings)


@pytest.mark.parametrize(("name", "severity"), [("ports-exhausted", "critical"), ("tw-reuse", "notice")])
def test_ports_of_a_stated_range(name: str, severity: str) -> None:
    """With its real range of forty ports stated, a client that used them all is found; recycling is told apart."""
    truth = json.loads((FIXTURES / name / "truth.json").read_text())
    low, high = map(int, truth["hosts"]["client"]["sysctls"]["net.ipv4.ip_local_port_range"].split())
    findings = find(read(FIXTURES / name), Assumptions(ports=PortRange(low, high, stated=True)))
    (pressure,) = [finding for finding in findings if finding.code == "PW108"]
    assert (pressure.severity, pressure.numbers["ports"]) == (severity, 40)


def test_mixed_clients_add_up() -> None:
    """ab's 40 closes and the server's at twenty requests are all of the verdict's; others at the limit were wrk's."""
    facts = read(FIXTURES / "nginx-mixed-clients")
    closes, limit = ({f.code: f for f in find(facts)}[code] for code in ("PW101", "PW105"))
    (made,) = facts["pairs"]
    by_server = made["active_closer"]["server"]
    assert (closes.numbers["asked_in_http10"], closes.numbers["connections"]) == (40, 40)
    assert 40 + int(limit.numbers["closed_by_server"]) == by_server
    assert f"closes first on {by_server} of {made['connections']} connections" in verdict(facts, find(facts))
    rows = pcapwatch.analyze(FIXTURES / "nginx-mixed-clients" / "capture.pcap").connections
    assert limit.numbers["connections"] == (rows["requests"] == 20).sum()


def test_an_upstream_leg_is_no_end_user() -> None:
    """ab's User-Agent goes through the proxy; the advice is the proxy's, sure by its headers, likely by both legs."""
    for name, kind in (("proxy-no-pool-back", "(a proxy) "), ("proxy-no-pool", "(a proxy, it seems) ")):
        (finding,) = find(read(FIXTURES / name))
        assert kind in finding.title
        assert "keepalive 32" in finding.remedy[0]
        assert not any(line.startswith("ab:") for line in finding.remedy if kind == "(a proxy) ")


def test_a_wait_that_lost_its_request_is_no_reuse() -> None:
    """In the stale reuse the one wait ended in a reset: it shows what the client tried, not what the server bears."""
    (made,) = read(FIXTURES / "stale-reuse")["pairs"]
    assert made["http"]["longest_reuse_gap_ns"] is None
    assert made["http"]["reuse_wait"] is not None


def test_every_finding_on_a_fixture_has_evidence() -> None:
    """On real captures no finding is without a frame to look at (but CLOSE_WAIT dwell, which has no exemplar)."""
    for folder in sorted(path.parent for path in FIXTURES.glob("*/truth.json")):
        for finding in find(read(folder)):
            assert finding.evidence or finding.code == "PW111", (folder.name, finding.code)


@pytest.mark.parametrize(
    ("name", "codes"),
    [
        ("sumstat.pcap", {"PW103"}),
        ("methods.pcap", {"PW101", "PW103"}),
        ("rst-inject-rae.pcap", {"PW109"}),
        ("pipelined-requests.pcap", set()),
        ("nanosecs_big_endian.pcap", {"PW101"}),
    ],
)
def test_capture_of_others(name: str, codes: set[str]) -> None:
    """Captures made by others, read in place."""
    if not (SHARED / name).exists():
        pytest.skip("the shared captures are not here")
    facts = parse_summary(engine.analyze([str(SHARED / name)], "{}", None).summary_json())
    assert {finding.code for finding in find(facts)} == codes
