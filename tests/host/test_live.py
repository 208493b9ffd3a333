"""The kernel beside the wire while it happens: `pcapwatch live` in a namespace, with real sockets."""

from __future__ import annotations

import json
import os
import socket
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from fixtures.record.lab import Lab
from fixtures.record.scenario import Scenario
from host.labs import close_some, lab
from pcapwatch.live.session import RingOptions, open_interface
from pcapwatch.settings import Settings

pytestmark = pytest.mark.root


def test_every_second_the_live_band_holds_the_kernels_count(tmp_path: Path) -> None:
    """Each moment's band contains what the kernel lists; sockets from before the capture are told as such."""
    with lab(tmp_path) as made:
        made.server.sysctl("ip_local_port_range", "50000 50999")
        listener = made.server.listen(80)
        close_some(made, listener, 3, "server")
        options = RingOptions("eth0", netns=made.server.namespace)
        with open_interface(options, Settings(idle_expiry="300s"), watch_host=True) as session:
            moments = []
            for _ in range(6):
                close_some(made, listener, 20, "server")
                assert session.advance(0.5)
                moments.append(session.moment(None))
            report = session.conclude()
        listener.close()
    for number, moment in enumerate(moments, 1):
        assert moment.host is not None
        assert moment.host.time_waits == 3 + 20 * number
        assert moment.host.wire == (20 * number, 20 * number), moment.host
        assert moment.host.only_kernel == {"before_capture": 3}
        assert moment.host.both == 20 * number
        assert moment.host.ports is not None
        assert (moment.host.ports.low, moment.host.ports.size) == (50000, 1000)
    (truth,) = report.host
    assert (truth.moment, truth.both, truth.only_kernel) == ("during", 120, {"before_capture": 3})
    kernel = next(host for host in json.loads(report.to_json())["host"])
    assert kernel["time_wait"]["wire"] == {"min": 120, "max": 120}
    lengths = {host["address"]: host["time_wait"] for host in report.summary["hosts"]}
    waits = lengths[made.server.address]
    assert waits is not None
    assert waits["length"]["source"] == "kernel"
    assert waits["basis"] == {"kernel": 120}


@pytest.mark.slow
def test_what_a_listing_proved_stays_when_the_sockets_are_gone(tmp_path: Path) -> None:
    """Ten closes, four buckets: four are proven to wait; in the end four lengths are measured, six known never kept."""
    with lab(tmp_path) as made:
        made.server.sysctl("tcp_max_tw_buckets", "4")
        listener = made.server.listen(80)
        options = RingOptions("eth0", netns=made.server.namespace)
        with open_interface(options, Settings(idle_expiry="300s"), watch_host=True) as session:
            assert session.advance(0.5)
            close_some(made, listener, 10, "server")
            moment, deadline_s = session.moment(None), time.monotonic() + 25
            while [one.at_end for one in moment.report.waiting] != [(4, 10)]:
                assert time.monotonic() < deadline_s, moment.report.waiting
                assert session.advance(0.2)
                moment = session.moment(None)
            deadline_s = time.monotonic() + 90
            while moment.host is None or moment.host.time_waits or moment.report.quality.connections < 10:
                assert session.advance(1)
                assert time.monotonic() < deadline_s
                moment = session.moment(None)
            report = session.conclude()
        listener.close()
    (truth,) = report.host
    assert (truth.time_wait, truth.overflows, truth.never_listed) == (0, 6, 6)
    waits = next(host["time_wait"] for host in report.summary["hosts"] if host["address"] == made.server.address)
    assert waits is not None
    assert waits["length"]["source"] == "kernel"
    assert waits["basis"]["kernel"] == 4
    (finding,) = [one for one in report.findings if one.code == "PW112"]
    assert finding.title.endswith("the wire shows 6 more")
    assert not any("how long TIME_WAIT" in text for text in report.cannot_see)
    assert "began after" not in report.to_text()


def test_a_reused_tuple_is_still_told_apart(tmp_path: Path) -> None:
    """Few ports, each reused many times a second: what the kernel lists is what the wire shows, no less."""
    with lab(tmp_path) as made:
        made.client.sysctl("ip_local_port_range", "40000 40019")
        listener = made.server.listen(80)
        options = RingOptions("eth0", netns=made.server.namespace)
        with open_interface(options, Settings(idle_expiry="300s"), watch_host=True) as session:
            for _ in range(4):
                close_some(made, listener, 60, "server")
                time.sleep(0.2)
                host = session.moment(None).host
                assert host is not None
                assert host.wire is not None
                assert host.wire[0] <= host.time_waits <= host.wire[1], host
                assert host.both == host.time_waits, host
        listener.close()


#: States of a socket by the kernel's numbers.
_CLOSE, _CLOSING = 7, 11
#: A TIME_WAIT is listed for so long.
_LISTED_S = 55
_ONE_WAY_S = 0.2


def _nothing(_: Lab) -> None:
    """No script: the test is the script."""


def close_both(client: socket.socket, server: socket.socket) -> tuple[bool, set[int]]:
    """Close both sides at once; whether the FINs certainly crossed, and the states that both were in afterwards.

    A FIN is under way for `_ONE_WAY_S` at the least: a second one that is sent earlier crosses it.
    """
    began_s = time.monotonic()
    client.shutdown(socket.SHUT_RDWR)
    server.shutdown(socket.SHUT_RDWR)
    has_crossed = time.monotonic() - began_s < _ONE_WAY_S
    seen: list[set[int]] = [set(), set()]
    deadline_s = time.monotonic() + 30
    while not all(_CLOSE in states for states in seen):
        assert time.monotonic() < deadline_s, seen
        for states, one in zip(seen, (client, server), strict=True):
            states.add(one.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0])
        time.sleep(0.005)
    return has_crossed, seen[0] & seen[1]


@pytest.mark.slow
def test_a_close_of_both_sides_at_once_is_one_on_both_hosts(tmp_path: Path) -> None:
    """FINs that cross: both kernels pass CLOSING and hold a TIME_WAIT, both bands hold their counts, both say who."""
    scenario = Scenario("crossing", _nothing, "", one_way_s=_ONE_WAY_S)
    with ExitStack() as stack:
        made = stack.enter_context(Lab(scenario, tmp_path, f"pwcross{os.getpid()}"))
        listener = stack.enter_context(made.server.listen(80))
        hosts = (made.client, made.server)
        rings = [RingOptions("eth0", netns=host.namespace) for host in hosts]
        settings = Settings(idle_expiry="300s")
        sessions = [stack.enter_context(open_interface(ring, settings, watch_host=True)) for ring in rings]
        crossed, closes, states, began_s = 0, 0, set[int](), time.monotonic()
        deadline_s = time.monotonic() + 45
        while crossed < 3 or _CLOSING not in states:
            assert time.monotonic() < deadline_s, (crossed, states)
            with made.client.tcp_socket() as client:
                client.connect(listener.getsockname()[:2])
                accepted, _ = listener.accept()
                with accepted:
                    has_crossed, common = close_both(client, accepted)
            crossed, closes, states = crossed + has_crossed, closes + 1, states | common
        for session, host in zip(sessions, hosts, strict=True):
            moment, deadline_s = session.moment(None), time.monotonic() + 30
            while moment.report.totals["close"].get("open", 0) or moment.report.totals["connections"] < closes:
                assert time.monotonic() < deadline_s, moment.report.totals
                assert session.advance(0.2)
                moment = session.moment(None)
            assert moment.host is not None
            assert moment.host.wire is not None
            assert moment.host.wire[0] <= moment.host.time_waits <= moment.host.wire[1], moment.host
            assert moment.host.both == moment.host.time_waits
            if time.monotonic() - began_s < _LISTED_S:
                assert moment.host.time_waits >= crossed
            (band,) = [one.at_end for one in moment.report.waiting if one.host == host.address]
            assert band[0] <= moment.host.time_waits <= band[1]
            report = session.conclude()
            assert report.totals["close"]["simultaneous"] == report.totals["active_closer"]["both"] >= crossed
            assert "the FINs cross: both sides close at once and both hold a TIME_WAIT" in report.verdict
            (ladder,) = [one.ladder for one in report.examples if one.kind == "simultaneous"][:1]
            assert ladder is not None
            for end in ("client_state", "server_state"):
                assert {"CLOSING", "TIME-WAIT"} <= {row[end] for row in ladder["rows"]}
            assert {wait["holder"] for wait in ladder["time_wait"]} == {"client", "server"}
