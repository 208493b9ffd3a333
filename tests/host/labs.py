"""A client and a server in namespaces of their own, their packets captured and their kernels read."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fixtures.record.lab import Lab
from fixtures.record.scenario import Scenario
from fixtures.record.tap import Capture, Tap
from pcapwatch.host.model import Snapshot
from pcapwatch.host.reader import read


def _nothing(lab: Lab) -> None:
    """No script: the test is the script."""


@contextmanager
def lab(folder: Path) -> Iterator[Lab]:
    """Two hosts, 10.77.1.1 and 10.77.1.2; skips without root."""
    if os.geteuid():
        pytest.skip("making network namespaces needs root")
    with Lab(Scenario("host", _nothing, ""), folder, f"pwhost{os.getpid()}") as made:
        yield made


def tap(made: Lab, folder: Path) -> Capture:
    """A capture on the server's side."""
    folder.mkdir(exist_ok=True)
    return Capture(Tap(), made.server, folder)


def close_some(made: Lab, listener: socket.socket, number: int, first: str) -> None:
    """Connections of which ``first`` (client or server) closes first, each ended in full."""
    for _ in range(number):
        with made.client.tcp_socket() as client:
            client.connect(listener.getsockname()[:2])
            accepted, _ = listener.accept()
            with accepted:
                ends = (client, accepted) if first == "client" else (accepted, client)
                ends[0].shutdown(socket.SHUT_WR)
                ends[1].recv(1)
                ends[1].shutdown(socket.SHUT_WR)
                ends[0].recv(1)
    time.sleep(0.05)


def snapshot(made: Lab, role: str, *, sock_diag: bool = True) -> Snapshot:
    """What the kernel of one host says now."""
    return read(made.hosts[role].namespace, sock_diag=sock_diag)
