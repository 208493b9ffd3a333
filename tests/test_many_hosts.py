"""More hosts than are told apart: those that matter are told, whole, and any of them when it is asked for."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from crafted.talk import Crafted, Talk, write_capture

import pcapwatch

#: Told apart; so many times as many are kept to choose them among.
MOST, TIMES = 20, 4
#: Within those; and how many are beyond.
CLIENTS, FLOOD = MOST * TIMES - 2, 3 * MOST * TIMES
BACKEND = "10.9.255.9"


def client(number: int) -> str:
    """The address of a client."""
    return f"10.8.{number // 200}.{number % 200 + 1}"


def capture(path: Path, server: str, *, land: bool = False) -> Path:
    """Each of many clients is served once by a proxy that closes; more that send a SYN only; and it has a backend.

    land: one SYN has the server's own address as its source.
    """
    packets: list[Crafted] = []
    pairs = [((client(number), 40_000), (server, 80)) for number in range(CLIENTS)]
    for number, (of, to) in enumerate([*pairs, ((server, 50_000), (BACKEND, 8080))]):
        talk = Talk(client=of, server=to)
        talk.handshake(number * 0.01)
        talk.close("c" if to[0] == BACKEND else "s", number * 0.01 + 0.005)
        packets += talk.packets
    for number in range(FLOOD):
        talk = Talk(client=(f"10.7.{number // 200}.{number % 200 + 1}", 40_000), server=(server, 80))
        talk.c(3 + number * 0.001, "S")
        packets += talk.packets
    if land:
        talk = Talk(client=(server, 50_001), server=(server, 80))
        talk.c(4.0, "S")
        packets += talk.packets
    return write_capture(path, packets)


def states(path: Path, *options: str) -> tuple[int, list[dict[str, object]], str]:
    """Exit status, rows, and what is said of a run of ``states``."""
    command = [sys.executable, "-m", "pcapwatch", "states", str(path), "--at", "end", "--format", "json", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, json.loads(done.stdout or "[]"), done.stderr


@pytest.mark.parametrize("server", [f"10.9.0.{last}" for last in (2, 3, 5, 8, 13, 21, 34, 55)])
def test_the_server_of_many_clients_is_told(tmp_path: Path, server: str) -> None:
    """Whatever its address's hash, with all it did as a server and as a client; the others are together."""
    path = capture(tmp_path / "many.pcap", server)
    for threads in (1, 2):
        summary = pcapwatch.analyze(path, max_pairs=MOST, threads=threads).summary
        hosts = {host["address"]: host for host in summary["hosts"]}
        assert len(hosts) == MOST + 1
        assert (hosts[server]["as_client"], hosts[server]["as_server"]) == (1, CLIENTS + FLOOD)
        waits = hosts[server]["time_wait"]
        assert waits is not None
        assert waits["entered"] == CLIENTS + 1
        assert sum(host["as_client"] for host in summary["hosts"]) == CLIENTS + FLOOD + 1
        assert hosts[None]["time_wait"] is None


@pytest.mark.parametrize("server", [f"10.9.0.{last}" for last in (2, 3, 5, 8, 13, 21)])
def test_a_forged_syn_hides_nobody(tmp_path: Path, server: str) -> None:
    """As a client of nothing but SYNs the server is one of too many; its TIME_WAITs are told all the same."""
    summary = pcapwatch.analyze(capture(tmp_path / "land.pcap", server, land=True), max_pairs=MOST).summary
    (host,) = [host for host in summary["hosts"] if host["address"] == server]
    assert host["time_wait"] is not None
    assert host["time_wait"]["entered"] == CLIENTS + 1
    assert host["as_client"] in (1, 2)


@pytest.mark.parametrize("server", [f"10.9.0.{last}" for last in (2, 3, 5, 8, 13, 21)])
def test_states_beside_a_flood_are_the_servers(tmp_path: Path, server: str) -> None:
    """What forged addresses were in pushes out nobody who has more to show."""
    status, _, said = states(capture(tmp_path / "many.pcap", server), "--max-pairs", str(MOST))
    assert (status, f"states of {server}, the host of most TIME_WAITs" in said) == (0, True)


def test_states_of_any_host(tmp_path: Path) -> None:
    """The one that is shown by itself is the server, and each client is found; who is not there is not."""
    path = capture(tmp_path / "many.pcap", "10.9.0.2")
    few = ("--max-pairs", str(MOST))
    status, rows, said = states(path, *few)
    assert (status, {row["state"]: row["max"] for row in rows}["TIME_WAIT"]) == (0, CLIENTS + 1)
    assert "states of 10.9.0.2, the host of most TIME_WAITs" in said
    for number in range(0, CLIENTS, 20):
        status, rows, said = states(path, *few, "--host", client(number))
        assert (status, rows, said) == (0, [], f"pcapwatch: {client(number)} had no sockets then\n")
    assert states(path, *few, "--host", "192.0.2.1")[0] == 2
