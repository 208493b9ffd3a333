"""Ports that come back while the other end still waits: the exact lengths that only a recycled ISN shows."""

import json
from pathlib import Path

import pcapwatch

FIXTURE = Path(__file__).parent.parent / "fixtures" / "proxy-http10-reuse"


def test_every_request_is_its_own_connection() -> None:
    """Sixty requests of a proxy without keep-alive are sixty rows, on no more 4-tuples than it has ports."""
    rows = pcapwatch.analyze(str(FIXTURE / "capture.pcap")).connections
    assert len(rows) == 60
    assert rows["client_port"].nunique() <= 24
    assert set(rows["protocol"]) == {"http/1.0"}


def test_a_port_taken_again_ends_the_wait_exactly() -> None:
    """Whoever waited when its 4-tuple was opened again shows, by the recycled ISN, how long it had waited."""
    rows = pcapwatch.analyze(str(FIXTURE / "capture.pcap")).connections
    reused = rows[rows["connection"].isin(rows["reuse_of"].dropna())]
    assert len(reused) == 60 - rows["client_port"].nunique()
    assert set(reused["time_wait_basis"]) == {"observed_exact"}
    assert set(reused["time_wait_end"]) == {"reused"}
    assert (reused["time_wait_s"] > 0).all()


def test_those_not_reused_are_what_the_kernels_still_hold() -> None:
    """At the last sample the kernels' TIME_WAITs of both hosts are the waits that nothing ended."""
    rows = pcapwatch.analyze(str(FIXTURE / "capture.pcap")).connections
    waiting = (rows["time_wait_basis"] == "censored").sum() + (rows["time_wait_holder"] == "both").sum()
    kernel = json.loads((FIXTURE / "truth.json").read_text())["kernel"]
    held = sum(kernel[host][-1]["counts"].get("TIME-WAIT", 0) for host in ("proxy", "server"))
    front = 1  # curl's own connection to the proxy, which the tap on the upstream leg does not see, waits at the client
    assert held - waiting in (0, front)
