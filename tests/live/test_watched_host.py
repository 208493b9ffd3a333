"""The dashboard on a real interface of a host whose kernel is read too, and its metrics, while connections are made."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from live.test_terminal import back_in_the_shell
from live.tmux import Tmux

from fixtures.record.lab import Lab
from fixtures.record.scenario import Scenario

PCAPWATCH = Path(sys.executable).with_name("pcapwatch")
CLIENT_FIRST, SERVER_FIRST = 30, 20

pytestmark = [
    pytest.mark.slow,
    pytest.mark.root,
    pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="network namespaces need root"),
]


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """A client and a server, 10.77.1.1 and 10.77.1.2."""
    with Lab(Scenario("dash", lambda _: None, ""), tmp_path / "lab", f"pwdash{os.getpid()}") as made:
        yield made


def close_some(lab: Lab) -> None:
    """Connections to one port that the client closes first, and to another that the server closes first."""
    for port, number, client_first in ((8001, CLIENT_FIRST, True), (8002, SERVER_FIRST, False)):
        with lab.server.tcp_socket() as listener:
            listener.bind((lab.server.address, port))
            listener.listen(64)
            for _ in range(number):
                with lab.client.tcp_socket() as client:
                    client.connect((lab.server.address, port))
                    accepted, _ = listener.accept()
                    first, second = (client, accepted) if client_first else (accepted, client)
                    first.close()
                    second.recv(1)
                    second.close()


def waiting(lab: Lab) -> int:
    """Sockets of the client in TIME_WAIT, as `ss` counts them."""
    command = ["ip", "netns", "exec", lab.client.namespace, "ss", "-Htn", "state", "time-wait"]
    return len(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines())


def fetch(lab: Lab, url: str) -> str:
    """What a server inside the client's namespace answers."""
    script = f"import urllib.request; print(urllib.request.urlopen({url!r}).read().decode())"
    command = ["ip", "netns", "exec", lab.client.namespace, sys.executable, "-c", script]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_what_was_done_is_what_is_seen(lab: Lab, tmp_path: Path) -> None:
    """Closers are those that were made, TIME_WAITs those that the kernel has, on the screen and in the metrics."""
    if shutil.which("ss") is None:
        pytest.skip("no ss: apt-get install iproute2")
    inside = f"ip netns exec {lab.client.namespace}"
    with Tmux(tmp_path) as terminal:
        terminal.run(f"{inside} {PCAPWATCH} live eth0 --metrics :9464")
        terminal.until(lambda screen: "q quit" in screen[-1])
        made = threading.Thread(target=close_some, args=(lab,))
        made.start()
        made.join(60)
        screen = terminal.until(
            lambda screen: (
                re.search(rf":8001 +{CLIENT_FIRST} ", "\n".join(screen))
                and re.search(rf":8002 +{SERVER_FIRST} ", "\n".join(screen))
                and "drops" not in screen[1]
                and re.search(rf"kernel of .*: {CLIENT_FIRST} in TIME_WAIT", "\n".join(screen))
            )
        )
        text = "\n".join(screen)
        assert waiting(lab) == CLIENT_FIRST
        assert screen[1] == "nothing dropped, nothing evicted"
        assert re.search(rf":8001 +{CLIENT_FIRST} +\S+ +100 % +0 ", text)
        assert re.search(rf":8002 +{SERVER_FIRST} +\S+ +0 +100 % ", text)
        assert re.search(rf"10\.77\.1\.1 +{CLIENT_FIRST} ", text)
        assert re.search(rf"10\.77\.1\.2 +{SERVER_FIRST} ", text)
        scraped = fetch(lab, "http://127.0.0.1:9464/metrics")
        service = lab.server.address
        assert f'pcapwatch_connections_total{{closer="client",service="{service}:8001"}} {CLIENT_FIRST}.0' in scraped
        assert f'pcapwatch_connections_total{{closer="server",service="{service}:8002"}} {SERVER_FIRST}.0' in scraped
        assert re.search(rf"pcapwatch_kernel_time_wait_sockets{{.*}} {CLIENT_FIRST}\.0", scraped)
        assert "pcapwatch_dropped_packets_total 0.0" in scraped
        terminal.type("q")
        terminal.shows("Assumed")
        back_in_the_shell(terminal)
