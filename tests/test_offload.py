"""Two taps of which one has large segments and the other their pieces.

A host leaves segmentation to its card, and the wire beyond has what the card made. A router stands for the card: it
cuts the server's segments of up to 64 KB before it sends them on.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import pcapwatch
from fixtures.record.net import Host, assign, join, make_host, run

TOOLS = ("tcpdump", "ethtool", "nft", "mergecap", "editcap", "tshark")
SIZE = 300_000
TRANSFERS = 5

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="network namespaces need root"),
    pytest.mark.skipif(any(not shutil.which(tool) for tool in TOOLS), reason=f"needs {', '.join(TOOLS)}"),
]

SERVE = f"""
import socket
with socket.create_server(("", 80)) as listening:
    while True:
        accepted, _ = listening.accept()
        with accepted:
            accepted.recv(100)
            accepted.sendall(b"HTTP/1.0 200 OK\\r\\nContent-Length: {SIZE}\\r\\n\\r\\n" + bytes({SIZE}))
"""


class Path3(NamedTuple):
    """client eth0 = left (router) right = server eth0."""

    client: Host
    router: Host
    server: Host


@pytest.fixture
def hosts() -> Iterator[Path3]:
    """Two networks and the router between them, which cuts what goes to the client."""
    with ExitStack() as stack:
        made = []
        for role in Path3._fields:
            host = make_host(role, f"pwoff{os.getpid()}-{role}")
            stack.callback(run, "ip", "netns", "del", host.namespace)
            stack.callback(host.stop)
            made.append(host)
        path = Path3(*made)
        join(path.client.namespace, "eth0", path.router.namespace, "left")
        join(path.router.namespace, "right", path.server.namespace, "eth0")
        for host, interface, address in (
            (path.client, "eth0", "10.77.1.1/24"),
            (path.router, "left", "10.77.1.2/24"),
            (path.router, "right", "10.77.2.1/24"),
            (path.server, "eth0", "10.77.2.2/24"),
        ):
            assign(host, interface, [address])
        path.client.call("ip", "route", "add", "default", "via", "10.77.1.2")
        path.server.call("ip", "route", "add", "default", "via", "10.77.2.1")
        path.router.sysctl("ip_forward", 1)
        path.router.call("ethtool", "-K", "left", "tx", "off", "tso", "off", "gso", "off")
        path.server.start(sys.executable, "-c", SERVE)
        yield path


def transfer(hosts: Path3, folder: Path) -> tuple[Path, Path]:
    """What the server's tap and that beyond the router have of a few transfers, each closed by the server."""
    near, far = folder / "near.pcap", folder / "far.pcap"
    taps = []
    for host, interface, out in ((hosts.server, "eth0", near), (hosts.router, "left", far)):
        log = out.with_suffix(".log")
        command = ["tcpdump", "-U", "--immediate-mode", "-s", "200", "-i", interface, "-w", str(out), "tcp"]
        taps.append(host.start(*command, log=log))
        deadline = time.monotonic() + 10
        while "listening on" not in log.read_text() and time.monotonic() < deadline:
            time.sleep(0.05)
    for _ in range(TRANSFERS):
        hosts.client.call("curl", "-s", "-o", "/dev/null", f"http://{hosts.server.address}/")
    time.sleep(1)
    for tap in taps:
        tap.terminate()
        tap.wait(10)
    return near, far


def longest(path: Path) -> int:
    """The longest segment's payload."""
    shown = subprocess.run(["tshark", "-r", path, "-T", "fields", "-e", "tcp.len"], capture_output=True, check=True)
    return max(int(length) for length in shown.stdout.split())


def rows(*paths: Path, **settings: Any) -> list[tuple[Any, ...]]:
    """Of each connection what copies could spoil."""
    columns = ["client_port", "active_closer", "closer_basis", "time_wait_holder", "client_bytes"]
    columns += ["server_bytes", "client_retransmits", "server_retransmits", "history", "requests", "server_packets"]
    report = pcapwatch.analyze([str(path) for path in paths], **settings)
    return sorted(map(tuple, report.connections[columns].astype(str).to_numpy().tolist()))


def compare(near: Path, far: Path, *, is_sent_again: bool) -> None:
    """Assert that the answer of both taps is that of the near one, however they are read."""
    assert longest(near) > 10_000
    assert longest(far) == 1448
    merged, flat = near.with_name("merged.pcapng"), near.with_name("flat.pcap")
    for kind, out in (("pcapng", merged), ("pcap", flat)):
        subprocess.run(["mergecap", "-F", kind, "-w", str(out), str(near), str(far)], check=True)
    expected = rows(near)
    assert len(expected) == TRANSFERS
    if is_sent_again:  # without it, a machine that stands still makes a server send again, too
        assert any(row[7] != "0" for row in expected)
    assert rows(near, far) == expected
    assert rows(far, near) == expected
    assert rows(merged) == expected
    assert rows(flat) == expected, "one interface: the TTL tells"
    assert rows(merged, keep_duplicates=True) != expected


@pytest.mark.parametrize("loss", [False, True])
def test_the_answer_is_that_of_the_tap_on_the_host(hosts: Path3, tmp_path: Path, loss: bool) -> None:
    """Not a byte more, and what was sent again once is said once, wherever the other tap's packets come from."""
    if loss:
        rule = "add rule inet lab forward ip saddr 10.77.2.2 tcp flags != syn numgen inc mod 7 == 3 counter drop\n"
        hosts.router.nft("table inet lab { chain forward { type filter hook forward priority 0; }\n}\n" + rule)
    compare(*transfer(hosts, tmp_path), is_sent_again=loss)


def test_what_is_lost_beyond_both_taps(hosts: Path3, tmp_path: Path) -> None:
    """Both show it again, the one in segments of several pieces."""
    hosts.client.drop_input("ip saddr 10.77.2.2 tcp flags != syn numgen inc mod 6 == 3")
    compare(*transfer(hosts, tmp_path), is_sent_again=True)


def test_taps_of_one_clock_and_of_two(hosts: Path3, tmp_path: Path) -> None:
    """Whatever delays packets, no delay is negative: one machine's clock never looks like two, and two look so."""
    near, far = transfer(hosts, tmp_path)
    assert pcapwatch.analyze([near, far]).summary["capture"]["clocks"] == []
    early = tmp_path / "early.pcap"
    subprocess.run(["editcap", "-F", "pcap", "-t", "-0.25", str(far), str(early)], check=True)
    report = pcapwatch.analyze([near, early])
    (clock,) = report.summary["capture"]["clocks"]
    assert report.summary["capture"]["files"][clock["file"]]["path"] == str(near)
    assert clock["at_least_ns"] <= 250_000_000 <= clock["at_most_ns"]
    assert not clock["changes"]
