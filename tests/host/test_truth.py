"""The wire's word against the kernel's own, in namespaces with real sockets and servers."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest

import pcapwatch
from fixtures.record.servers import start_nginx
from host.labs import close_some, lab, snapshot, tap
from pcapwatch.host.model import Snapshot
from pcapwatch.report.model import HostTruth

pytestmark = pytest.mark.root


def truths(capture: Path, *snapshots: Snapshot) -> tuple[HostTruth, ...]:
    """What the report says of each snapshot."""
    return pcapwatch.analyze(capture, host_snapshot=list(snapshots)).host


def words(report: pcapwatch.Report) -> str:
    """The report's text on one line."""
    return " ".join(report.to_text().split())


def assert_agree(truth: HostTruth) -> None:
    """Nothing is on one side only, and the band holds the kernel's count."""
    assert truth.wire is not None
    assert truth.wire[0] <= truth.time_wait <= truth.wire[1], truth
    assert truth.both == truth.time_wait, truth
    assert not truth.only_kernel, truth
    assert "certain" not in truth.only_wire, truth


def test_each_second_the_band_holds_the_kernels_count(tmp_path: Path) -> None:
    """nginx closes first on ab's connections, the client on others: each kernel agrees at every sampled second."""
    with lab(tmp_path / "lab") as made:
        start_nginx(made, made.server, 'keepalive_timeout 0; location / { return 200 "hello\\n"; }')
        capture = tap(made, tmp_path / "capture")
        listener = made.server.listen(81)
        samples = []
        for number in range(6):
            made.client.call("ab", "-q", "-n", "40", "-c", "4", f"http://{made.server.address}/")
            close_some(made, listener, 5 + number, "client")
            time.sleep(0.2)
            samples += [snapshot(made, role) for role in ("client", "server")]
        listener.close()
        capture.stop()
    told = truths(tmp_path / "capture" / "capture.pcap", *samples)
    assert len(told) == 12
    assert {truth.moment for truth in told[:-2]} == {"during"}
    assert max(truth.time_wait for truth in told if truth.addresses == ("10.77.1.1",)) >= 45
    assert max(truth.time_wait for truth in told if truth.addresses == ("10.77.1.2",)) >= 240
    for truth in told:
        assert_agree(truth)


def test_timers_give_lengths(tmp_path: Path) -> None:
    """Linux's 60 s are measured by the kernel's timers: the length's source, the rows' basis, the report's words."""
    with lab(tmp_path / "lab") as made:
        capture = tap(made, tmp_path / "capture")
        listener = made.server.listen(80)
        close_some(made, listener, 5, "server")
        time.sleep(1)
        taken = snapshot(made, "server")
        time.sleep(0.2)  # packet times and the kernel's are held to be the same within 50 ms
        close_some(made, listener, 2, "server")
        listener.close()
        capture.stop()
    report = pcapwatch.analyze(tmp_path / "capture" / "capture.pcap", host_snapshot=taken)
    waits = next(host["time_wait"] for host in report.summary["hosts"] if host["address"] == made.server.address)
    assert waits is not None
    assert waits["basis"] == {"kernel": 5, "censored": 2}
    length = waits["length"]
    assert length["source"] == "kernel"
    assert length["low_ns"] == 60_000_000_000
    assert 65_190_000_000 <= length["high_ns"] <= 65_300_000_000
    rows = report.connections
    assert list(rows["time_wait_basis"]) == ["kernel"] * 5 + ["censored"] * 2
    assert rows["time_wait_s"][:5].between(59.9, 60.1).all()
    assert "5 whose timer the host's kernel told" in words(report)
    assert "measured by its kernel's timers" in words(report)


def test_a_capture_that_starts_late_misses_what_the_kernel_still_lists(tmp_path: Path) -> None:
    """TIME_WAITs from before the capture are only in the kernel's table, and it is said why."""
    with lab(tmp_path / "lab") as made:
        listener = made.server.listen(80)
        close_some(made, listener, 7, "server")
        time.sleep(0.3)
        capture = tap(made, tmp_path / "capture")
        close_some(made, listener, 4, "server")
        taken = snapshot(made, "server")
        time.sleep(0.2)  # packet times and the kernel's are held to be the same within 50 ms
        close_some(made, listener, 1, "server")
        listener.close()
        capture.stop()
    (truth,) = truths(tmp_path / "capture" / "capture.pcap", taken)
    assert (truth.time_wait, truth.both) == (11, 4)
    assert truth.only_kernel == {"before_capture": 7}
    assert truth.wire == (4, 4)


def test_without_buckets_the_wire_alone_shows_them(tmp_path: Path) -> None:
    """Beyond tcp_max_tw_buckets the kernel keeps none: only the wire shows them, and a finding says so."""
    with lab(tmp_path / "lab") as made:
        made.server.sysctl("tcp_max_tw_buckets", 10)
        listener = made.server.listen(80)
        before = snapshot(made, "server")
        capture = tap(made, tmp_path / "capture")
        close_some(made, listener, 40, "server")
        time.sleep(0.3)
        taken = snapshot(made, "server")
        time.sleep(0.2)  # packet times and the kernel's are held to be the same within 50 ms
        close_some(made, listener, 1, "server")
        listener.close()
        capture.stop()
    report = pcapwatch.analyze(tmp_path / "capture" / "capture.pcap", host_snapshot=[before, taken])
    truth = report.host[-1]
    assert (truth.time_wait, truth.both, truth.overflows) == (10, 10, 30)
    assert truth.only_wire == {"certain": 30}
    assert "for want of buckets (tcp_max_tw_buckets is 10)" in words(report)
    (finding,) = [one for one in report.findings if one.code == "PW112"]
    assert finding.numbers["overflows"] == 30
    assert finding.numbers["only_on_the_wire"] == 30


def test_a_snapshot_from_long_after_proves_settings_and_no_sockets(tmp_path: Path) -> None:
    """The range is the kernel's, the sockets are compared with nothing."""
    with lab(tmp_path / "lab") as made:
        made.client.sysctl("ip_local_port_range", "40000 40999")
        made.client.sysctl("ip_local_reserved_ports", "40100-40199")
        capture = tap(made, tmp_path / "capture")
        listener = made.server.listen(80)
        close_some(made, listener, 5, "client")
        listener.close()
        capture.stop()
        taken = snapshot(made, "client")
    hour = 3_600_000_000_000
    late = replace(taken, read_ns=(taken.read_ns[0] + hour, taken.read_ns[1] + hour))
    report = pcapwatch.analyze(tmp_path / "capture" / "capture.pcap", host_snapshot=late)
    (truth,) = report.host
    assert truth.moment == "long_after"
    assert truth.wire is None
    assert not truth.only_wire
    assert "which say nothing of this capture; its settings do" in words(report)
    assert (report.ports[0].range.low, report.ports[0].range.high, report.ports[0].range.size) == (40000, 40999, 900)
    (soon,) = truths(tmp_path / "capture" / "capture.pcap", taken)
    assert soon.moment == "after"
    assert soon.both == soon.time_wait == 5


def test_the_json_says_it_whatever_the_threads(tmp_path: Path) -> None:
    """The same bytes for one and several threads, with the tables of both hosts."""
    with lab(tmp_path / "lab") as made:
        capture = tap(made, tmp_path / "capture")
        listener = made.server.listen(80)
        close_some(made, listener, 30, "server")
        close_some(made, listener, 30, "client")
        taken = [snapshot(made, role) for role in ("client", "server")]
        listener.close()
        capture.stop()
    file = tmp_path / "capture" / "capture.pcap"
    one, four = (pcapwatch.analyze(file, host_snapshot=taken, threads=number).to_json() for number in (1, 4))
    assert one == four
    assert [host["time_wait"]["both"] for host in json.loads(one)["host"]] == [30, 30]


@pytest.mark.slow
def test_as_timers_run_out_the_band_still_holds_the_count(tmp_path: Path) -> None:
    """For 70 s, past the end of the first TIME_WAITs: every second both kernels' counts lie within the wire's band."""
    with lab(tmp_path / "lab") as made:
        start_nginx(made, made.server, 'keepalive_timeout 0; location / { return 200 "hello\\n"; }')
        capture = tap(made, tmp_path / "capture")
        listener = made.server.listen(81)
        samples = []
        for second in range(70):
            if second < 8:
                made.client.call("ab", "-q", "-n", "30", "-c", "3", f"http://{made.server.address}/")
                close_some(made, listener, 4, "client")
            # What closes within 50 ms of a sample may be on either side of it.
            time.sleep(0.7)
            samples += [snapshot(made, role) for role in ("client", "server")]
            time.sleep(0.2)
        close_some(made, listener, 1, "client")
        listener.close()
        capture.stop()
    told = truths(tmp_path / "capture" / "capture.pcap", *samples)
    assert len(told) == 140
    for truth in told:
        assert_agree(truth)
    servers = [truth.time_wait for truth in told if truth.addresses == ("10.77.1.2",)]
    assert servers[20] == max(servers) > 200, "all still wait; a port may be used twice"
    assert 0 < servers[-1] < max(servers), "some have ended"
    widths = [truth.wire[1] - truth.wire[0] for truth in told if truth.wire]
    assert widths[:100] == [0] * 100, "the band is wide only while timers may have run out"
