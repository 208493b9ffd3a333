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
