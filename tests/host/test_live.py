"""The kernel beside the wire while it happens: `pcapwatch live` in a namespace, with real sockets."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

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
    """Ten closes, four buckets: at the end, after the last timer, four lengths are measured, six known never kept."""
    with lab(tmp_path) as made:
        made.server.sysctl("tcp_max_tw_buckets", "4")
        listener = made.server.listen(80)
        options = RingOptions("eth0", netns=made.server.namespace)
        with open_interface(options, Settings(idle_expiry="300s"), watch_host=True) as session:
            assert session.advance(0.5)
            close_some(made, listener, 10, "server")
            moment, deadline_s = session.moment(None), time.monotonic() + 90
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
