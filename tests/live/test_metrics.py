"""Metrics: their names; counters that never fall, labels that stay few; a real Prometheus that reads them."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import summaries
from live.moments import moments
from places import ROOT

from pcapwatch.errors import UsageError
from pcapwatch.host.watch import HostMoment
from pcapwatch.live.address import parse_address
from pcapwatch.live.families import HOSTS, OTHER, SERVICES, TRIPLES, Families, Family
from pcapwatch.live.metrics import Metrics, serve
from pcapwatch.live.moment import Counters, Moment
from pcapwatch.report.build import build
from pcapwatch.report.model import PortRange, PortRule

Series: TypeAlias = dict[str, dict[tuple[str, ...], float]]
CAPTURES = ("proxy-http10-reuse", "tw-reuse", "nginx-ab", "keep-alive-race")


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Moment]]:
    """Moments of real captures, each cut where its packets happened to be."""
    return {
        name: moments(ROOT / "fixtures" / name / "capture.pcap", tmp_path_factory.mktemp(name), 9) for name in CAPTURES
    }


def series(families: list[Family], *, counters: bool | None = None) -> Series:
    """Samples by name; counters alone, or gauges alone, if asked for."""
    return {one.name: one.samples for one in families if counters in (None, one.counter)}


def get(url: str) -> str:
    """What a server answers."""
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - our own, on loopback
        return str(answer.read().decode())


@pytest.mark.parametrize("name", CAPTURES)
def test_counters_never_fall(seen: dict[str, list[Moment]], name: str) -> None:
    """Moment after moment, though what is half seen counts otherwise later; even if moments went backwards."""
    families = Families()
    before: Series = {}
    for moment in [*seen[name], *seen[name][::-1]]:
        now = series(list(families.of(moment)), counters=True)
        for metric, samples in before.items():
            for labels, number in samples.items():
                assert now[metric][labels] >= number, (metric, labels)
        before = now


@pytest.mark.parametrize("name", CAPTURES)
def test_counts_are_the_reports(seen: dict[str, list[Moment]], name: str) -> None:
    """At the end: connections by closer, entered TIME_WAITs and the band are those of `analyze`."""
    last = seen[name][-1]
    found = series(list(Families().of(last)))
    pairs = last.report.summary["pairs"]
    for closer in ("client", "server", "both", "ambiguous"):
        told = sum(number for labels, number in found["pcapwatch_connections"].items() if labels[1] == closer)
        assert told == sum(pair["active_closer"].get(closer, 0) for pair in pairs)
    assert sum(found["pcapwatch_connections_opened"].values()) == last.report.totals["connections"]
    for host in last.report.waiting:
        assert found["pcapwatch_time_wait_sockets_min"][(str(host.host),)] == host.at_end[0]
        assert found["pcapwatch_time_wait_sockets_max"][(str(host.host),)] == host.at_end[1]
        assert found["pcapwatch_time_wait_entered"][(str(host.host),)] == host.entered
    responses = sum(pair["http"]["responses"] for pair in pairs)
    assert sum(found["pcapwatch_exchanges"].values()) == responses
    assert set(found["pcapwatch_findings"]) == {(one.code, one.severity) for one in last.report.findings}


def many(services: int, first: int = 0) -> Moment:
    """A moment with so many services, hosts and triples, each with ten connections more than the one before."""
    summary: Any = summaries.proxy_and_origin()
    numbers = range(first, first + services)
    summary["pairs"] = [
        summaries.pair("10.0.0.1", f"10.1.{n // 250}.{n % 250}", 80, 10 * (n + 1), ports=held(n)) for n in numbers
    ]
    summary["hosts"] = [summaries.host(f"10.1.{n // 250}.{n % 250}", 10 * (n + 1)) for n in numbers]
    return replace_report(summary)


def held(number: int) -> dict[str, Any]:
    """Port facts of a pair that holds so many."""
    return summaries.ports(distinct=number + 2, held_peak_max=number + 2, held_at_end_max=number + 2)


def replace_report(summary: Any) -> Moment:
    """A moment of a hand-made summary."""
    return Moment(datetime.now(UTC), "eth0", Counters(), None, build(summary))  # type: ignore[arg-type]


def test_the_range_is_the_hosts_own() -> None:
    """Ports are held against the range that the client's kernel stated, not against Linux's default."""
    moment = many(3)
    rule = PortRule("10.0.0.1", PortRange(40_000, 40_999, stated=True, kernel="client1"))
    report = replace(moment.report, port_rules=(rule,))
    found = series(list(Families().of(replace(moment, report=report))))
    assert set(found["pcapwatch_ports_range"].values()) == {1000}
    assert found["pcapwatch_worst_ports_held_ratio"] == {(): 4 / 1000}


def test_labels_are_bounded() -> None:
    """Thousands of services, hosts and triples get the first few series and `other`; nothing is lost from the sums."""
    families = Families()
    for first in (0, 500, 4000):
        moment = many(600, first)
        found = series(list(families.of(moment)))
    assert len(found["pcapwatch_connections_opened"]) == SERVICES + 1
    assert len(found["pcapwatch_time_wait_entered"]) == HOSTS + 1
    assert len(found["pcapwatch_ports_held_max"]) <= TRIPLES
    whole = series(list(Families().of(many(600))))
    assert sum(whole["pcapwatch_connections_opened"].values()) == sum(10 * (n + 1) for n in range(600))
    assert whole["pcapwatch_worst_ports_held_ratio"][()] == pytest.approx(601 / 28232)


def test_who_has_a_series_keeps_it() -> None:
    """A service that grows beyond those with series stays in `other`: leaving it would make `other` fall."""
    families = Families()
    first = series(list(families.of(many(30))))["pcapwatch_connections_opened"]
    grown = many(30)
    least = grown.report.summary["pairs"][0]
    least["connections"] = 100_000
    later = series(list(families.of(grown)))["pcapwatch_connections_opened"]
    assert later.keys() == first.keys()
    assert later[OTHER,] == first[OTHER,] + 100_000 - 10


def test_a_finding_that_is_gone_is_nothing(seen: dict[str, list[Moment]]) -> None:
    """Its gauge goes to 0 instead of vanishing, so that an alert on it ends."""
    families = Families()
    last = seen["tw-reuse"][-1]
    some = series(list(families.of(last)))["pcapwatch_findings"]
    assert some
    assert set(some.values()) >= {1}
    without = replace(last, report=replace(last.report, findings=()))
    assert series(list(families.of(without)))["pcapwatch_findings"] == dict.fromkeys(some, 0)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        (":9464", ("127.0.0.1", 9464)),
        ("0.0.0.0:9464", ("0.0.0.0", 9464)),  # noqa: S104 - what the user asks for
        ("[::1]:1", ("::1", 1)),
        ("localhost:80", ("localhost", 80)),
    ],
)
def test_addresses(text: str, address: tuple[str, int]) -> None:
    """Loopback unless a host is named."""
    assert parse_address(text) == address


@pytest.mark.parametrize("text", ["9464", ":", ":x", ":99999", "::1:9464", "a b:1", "[::1]", "http://x:1", ":-1", ":٣"])
def test_wrong_addresses(text: str) -> None:
    """One line that says how to write one."""
    with pytest.raises(UsageError, match=r"as :9464 \(loopback\)"):
        parse_address(text)


def test_an_address_in_use() -> None:
    """One line; nothing goes on in the background."""
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(UsageError, match="Address already in use"):
        serve(f":{taken.getsockname()[1]}")


def test_loopback_and_end() -> None:
    """Without a host it listens on loopback alone, over IPv6 too if asked; after the end nobody answers."""
    with serve(":0") as served:
        assert served.url.startswith("http://127.0.0.1:")
        assert "process_resident_memory_bytes" in get(served.url)
    with pytest.raises(urllib.error.URLError):
        get(served.url)
    if socket.has_ipv6:
        with serve("[::1]:0") as six:
            assert "python" not in get(six.url)


@pytest.mark.parametrize("path", ["/", "/metric", "/metrics/", "/favicon.ico", "/metrics/../x"])
def test_only_metrics_are_there(path: str) -> None:
    """Any other path is 404: a scrape of a wrong one must not look well."""
    with serve(":0") as served:
        base = served.url.removesuffix("/metrics")
        with pytest.raises(urllib.error.HTTPError, match="404"):
            get(base + path)
        assert "process_resident_memory_bytes" in get(f"{served.url}?asked=1")


def test_one_label_means_one_thing(seen: dict[str, list[Moment]]) -> None:
    """`host` is an address wherever it stands; the name of the host whose kernel is asked is `hostname`."""
    watched = HostMoment("db1", 1, 5, (5, 5), 5, {}, {}, 4096, 2, None, {})
    labels = {one.name: one.labels for one in Families().of(replace(seen["tw-reuse"][-1], host=watched))}
    named = {name for name, words in labels.items() if "hostname" in words}
    assert named == {f"pcapwatch_kernel_time_wait_{word}" for word in ("sockets", "limit", "overflows")}
    assert {name for name, words in labels.items() if "host" in words} == {
        f"pcapwatch_time_wait_{word}" for word in ("sockets_min", "sockets_max", "entered")
    }


def test_counters_go_on_between_reports(seen: dict[str, list[Moment]]) -> None:
    """While a report is old its packets are counted, its other figures stay, and its age can be seen."""
    moment = replace(seen["tw-reuse"][-1], host=HostMoment("db1", 7 * 10**9, 5, None, 5, {}, {}, None, 0, None, {}))
    later = moment.recounted(moment.at + timedelta(seconds=30), replace(moment.counters, packets=99_999))
    with serve(":0") as served:
        served.update(moment)
        before = get(served.url)
        served.recount(later)
        after = get(served.url)
    for text in (before, after):
        made = re.search(r"^pcapwatch_report_timestamp_seconds (\S+)$", text, re.MULTILINE)
        assert made
        assert float(made[1]) == moment.at.timestamp()
    assert "pcapwatch_kernel_sample_timestamp_seconds 7.0" in after
    assert "pcapwatch_packets_total 99999.0" in after
    figures = [line for line in before.splitlines() if line.startswith(("pcapwatch_conn", "pcapwatch_time_wait"))]
    assert figures
    assert set(figures) <= set(after.splitlines())
    assert later.recounted(later.at, later.counters).age_s == 30, "the age is the report's, however often it is shown"


def needs(tool: str) -> str:
    """The tool's path; skips the test where it is missing."""
    path = shutil.which(tool)
    if path is None:
        pytest.skip(f"no {tool}: apt-get install prometheus")
    return path


@pytest.mark.parametrize("name", CAPTURES)
def test_promtool_accepts_them(seen: dict[str, list[Moment]], name: str) -> None:
    """Names, units, help and types follow Prometheus' conventions, as its own linter sees them."""
    promtool = needs("promtool")
    with serve(":0") as served:
        served.update(seen[name][-1])
        exposed = get(served.url)
    done = subprocess.run([promtool, "check", "metrics"], input=exposed, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_example_alerts() -> None:
    """docs/alerts.yml is accepted by promtool, and asks only for metrics that are exported."""
    promtool, rules = needs("promtool"), ROOT / "docs" / "alerts.yml"
    done = subprocess.run([promtool, "check", "rules", str(rules)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    watched = HostMoment("db1", 1, 5, (5, 5), 5, {}, {}, 4096, 0, None, {})
    moment = replace(full(many(3)), host=watched)
    exported = {f"{one.name}{'_total' if one.counter else ''}" for one in Families().of(moment)}
    assert set(re.findall(r"pcapwatch_\w+", rules.read_text())) <= exported


def test_the_alerts_fire(tmp_path: Path) -> None:
    """By promtool's own test: ports that run out, keep-alive switched off and drops alert; a quiet service does not."""
    promtool = needs("promtool")
    triple = '{client="10.0.0.1",server="10.0.0.2",port="80"}'
    inputs = {
        f"pcapwatch_ports_held_max{triple}": "26000x30",
        f"pcapwatch_ports_range{triple}": "28232x30",
        'pcapwatch_exchanges_total{service="a:80",version="1.1",persistent="no"}': "0+3000x30",
        'pcapwatch_exchanges_total{service="a:80",version="1.1",persistent="yes"}': "0+1x30",
        'pcapwatch_exchanges_total{service="b:80",version="1.1",persistent="no"}': "0+1x30",
        "pcapwatch_dropped_packets_total": "0x25 7x5",
        "pcapwatch_report_timestamp_seconds": "0+60x30",
        "pcapwatch_kernel_sample_timestamp_seconds": "0x30",
    }
    fires = {"EphemeralPortsRunOut": 1, "KeepAliveSwitchedOff": 1, "PcapwatchDrops": 1, "KeepAliveRaces": 0}
    fires["PcapwatchFiguresAreOld"] = 1  # of the kernel's alone: the report's time goes on
    asked = [
        {"expr": f'count(ALERTS{{alertname="{name}",alertstate="firing"}})', "eval_time": "28m",
         "exp_samples": [{"labels": "{}", "value": number}] if number else []}
        for name, number in fires.items()
    ]  # fmt: skip
    rows = [{"series": name, "values": values} for name, values in inputs.items()]
    test = {"rule_files": [str(ROOT / "docs" / "alerts.yml")], "evaluation_interval": "1m",
            "tests": [{"interval": "1m", "input_series": rows, "promql_expr_test": asked}]}  # fmt: skip
    file = tmp_path / "test.yml"
    file.write_text(json.dumps(test))
    done = subprocess.run([promtool, "test", "rules", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def full(moment: Moment) -> Moment:
    """A moment whose source tells drops."""
    return replace(moment, counters=Counters(kernel_drops=0, last_ns=1))


def test_the_documentation_names_them() -> None:
    """docs/live.md has a line for every metric, with its labels."""
    text = (ROOT / "docs" / "live.md").read_text()
    for one in Families().of(full(many(3))):
        labels = f"{{{','.join(one.labels)}}}" if one.labels else ""
        assert f"`{one.name}{'_total' if one.counter else ''}{labels}`" in text


def test_silent_and_endless_requests_keep_nobody_out(metrics: Metrics) -> None:
    """Three hundred drip a request, one sends an endless line: a scrape is answered, and their files are closed."""
    target = urllib.parse.urlsplit(metrics.url)
    address = (target.hostname or "", target.port or 0)
    files = Path("/proc/self/fd")
    before = len(list(files.iterdir())) if files.is_dir() else 0
    dripping = [socket.create_connection(address) for _ in range(300)]
    try:
        for one in dripping:
            with suppress(OSError):  # hung up on by now
                one.sendall(b"GET /metrics HTTP/1.1\r\nX-")
        with socket.create_connection(address) as endless, suppress(OSError):
            for _ in range(64):
                endless.sendall(b"G" * 65_536)
        assert "process_cpu_seconds_total" in get(metrics.url)
        if before:
            assert len(list(files.iterdir())) - before - len(dripping) < 50
    finally:
        for one in dripping:
            one.close()


@pytest.fixture
def metrics() -> Iterator[Metrics]:
    """Served on loopback."""
    with serve(":0") as served:
        yield served


@pytest.fixture
def prometheus(metrics: Metrics, tmp_path: Path) -> Iterator[str]:
    """Debian's Prometheus on loopback, scraping every second; gives its address. Ended by its process alone."""
    server = needs("prometheus")
    target = urllib.parse.urlsplit(metrics.url).netloc
    config = tmp_path / "prometheus.yml"
    scrape = {"job_name": "pcapwatch", "static_configs": [{"targets": [target]}]}
    config.write_text(
        json.dumps(
            {
                "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
                "rule_files": [str(ROOT / "docs" / "alerts.yml")],
                "scrape_configs": [scrape],
            }
        )
    )  # JSON is YAML
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    options = [f"--config.file={config}", f"--storage.tsdb.path={tmp_path / 'data'}", f"--web.listen-address={address}"]
    with (tmp_path / "log").open("wb") as log, subprocess.Popen([server, *options], stdout=log, stderr=log) as running:
        try:
            yield f"http://{address}"
        finally:
            running.terminate()
            running.wait(30)


def ask(server: str, query: str) -> dict[str, float]:
    """A PromQL query's vector, by service, host, code or nothing."""
    answer = json.loads(get(f"{server}/api/v1/query?{urllib.parse.urlencode({'query': query})}"))
    rows = answer["data"]["result"]
    return {" ".join(str(word) for word in sorted(row["metric"].values())): float(row["value"][1]) for row in rows}


def eventually(server: str, query: str, wanted: dict[str, float], patience_s: float = 60) -> None:
    """Asks until the answer is the wanted one."""
    deadline, found = time.monotonic() + patience_s, None
    while time.monotonic() < deadline:
        try:
            found = ask(server, query)
        except OSError:
            found = None  # it is still starting
        if found == wanted:
            return
        time.sleep(0.25)
    assert found == wanted, query


@pytest.mark.slow
def test_a_real_prometheus(prometheus: str, metrics: Metrics, seen: dict[str, list[Moment]]) -> None:
    """It scrapes each moment, answers PromQL with the report's own numbers, and evaluates the example alerts."""
    for moment in seen["proxy-http10-reuse"]:
        metrics.update(moment)
        packets = float(moment.counters.packets)
        if moment is seen["proxy-http10-reuse"][0] or moment is seen["proxy-http10-reuse"][-1]:
            eventually(prometheus, "sum(pcapwatch_packets_total)", {"": packets})
    last = seen["proxy-http10-reuse"][-1]
    (pair,) = last.report.summary["pairs"]
    closers = {"client": pair["active_closer"]["client"], "server": pair["active_closer"]["server"]}
    eventually(
        prometheus, "sum by (closer) (pcapwatch_connections_total) > 0", {k: float(v) for k, v in closers.items()}
    )
    bands = {str(host.host): float(host.at_end[1]) for host in last.report.waiting}
    eventually(prometheus, "sum by (host) (pcapwatch_time_wait_sockets_max)", bands)
    eventually(prometheus, "count(pcapwatch_time_wait_sockets_min > pcapwatch_time_wait_sockets_max)", {})
    use = last.report.ports[0]
    eventually(prometheus, "sum(pcapwatch_ports_held_max)", {"": float(use.held_at_end[1])})
    eventually(prometheus, "sum by (code) (pcapwatch_findings) > 0", {one.code: 1.0 for one in last.report.findings})
    eventually(prometheus, 'sum by (persistent) (pcapwatch_exchanges_total{version="1.1"}) > 0', {"no": 60.0})
    assert set(ask(prometheus, 'up{job="pcapwatch"}').values()) == {1.0}
    assert not ask(prometheus, "resets(pcapwatch_connections_total[1m]) > 0")
    rules = json.loads(get(f"{prometheus}/api/v1/rules"))["data"]["groups"][0]["rules"]
    assert {rule["health"] for rule in rules} <= {"ok", "unknown"}
    assert len(rules) >= 8
