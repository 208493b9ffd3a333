"""Bulk data that is cut or joined beside its tunnel, as `-i any` shows it on a host that ends the tunnel."""

from __future__ import annotations

from pathlib import Path

import pytest
from crafted.talk import Crafted
from crafted.wrapped import WRAPPINGS
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether
from scapy.packet import Packet
from test_copies_in_tunnels import BOTH, told

PIECE, PIECES = 100, 10
SAME = ("server_bytes", "server_retransmits", "client_packets", "close", "active_closer", "time_wait_holder", "tunnel")


def packet(at: int, data: bytes, flags: str = "A", *, client: bool = False) -> Packet:
    """One of a download whose handshake was not captured; of the client nothing but acknowledgments."""
    ends = ("10.9.0.1", "10.9.0.2") if client else ("10.9.0.2", "10.9.0.1")
    ports = (40_000, 80) if client else (80, 40_000)
    seq, ack = (7000, 5000 + at) if client else (5000 + at, 7000)
    number = 1 + (at // PIECE) % 60_000 if client else 1 + at % 60_000
    ip = IP(src=ends[0], dst=ends[1], id=number, flags="DF")
    return ip / TCP(sport=ports[0], dport=ports[1], seq=seq, ack=ack, flags=flags, window=500) / data


def download(
    name: str, bursts: int, queue_s: float, *, sends: bool, cut_beside: bool = False
) -> tuple[list[Crafted], list[Crafted]]:
    """On every interface, and in the tunnel alone; a sending host's queue holds the tunnel's from burst 3 on.

    cut_beside: the last interface before the tunnel shows the pieces, too (a VXLAN device without checksum offload).
    """
    wrapping = next(w for w in WRAPPINGS if w.name == name)
    everywhere: list[tuple[float, bytes, bool]] = []

    def show(at_s: float, one: Packet, pieces: list[Packet], *, client: bool, bare_first: bool, held_s: float) -> None:
        inside = [(data, True) for piece in pieces for data in wrapping.wrap(IP(bytes(piece)), client)]
        beside = [one, one, *pieces] if cut_beside else [one]
        bare = [(bytes(Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / each), False) for each in beside]
        both = [*bare, *inside] if bare_first else [*inside, *bare]
        everywhere.extend(
            (at_s + number * 1e-6 + (held_s if tunnel else 0), data, tunnel)
            for number, (data, tunnel) in enumerate(both)
        )

    for burst in range(bursts):
        start, at_s, held_s = burst * PIECE * PIECES, 0.002 * burst, queue_s if burst >= 3 else 0
        whole = packet(start, b"u" * PIECE * PIECES)
        pieces = [packet(start + number * PIECE, b"u" * PIECE) for number in range(PIECES)]
        show(at_s, whole, pieces, client=False, bare_first=sends, held_s=held_s)
        ack = packet(start + PIECE * PIECES, b"", client=True)
        show(at_s + 0.001 + held_s, ack, [ack], client=True, bare_first=not sends, held_s=0)
    end, at_s = bursts * PIECE * PIECES, 1.0
    for number, (flags, client) in enumerate([("FA", False), ("A", True), ("FA", True), ("A", False)]):
        last = packet(end, b"", flags, client=client)
        last[TCP].seq += flags == "A" and not client
        last[TCP].ack += 1 if client or number == 3 else 0
        show(at_s + 0.001 * number, last, [last], client=client, bare_first=client != sends, held_s=0)
    everywhere.sort(key=lambda one: one[0])
    packets = [Crafted(at_s, data) for at_s, data, _ in everywhere]
    return packets, [one for one, (_, _, tunnel) in zip(packets, everywhere, strict=True) if tunnel]


@BOTH
@pytest.mark.parametrize("name", ["vxlan", "gre", "ipip"])
@pytest.mark.parametrize("sends", [True, False])
@pytest.mark.parametrize("bursts", [4, 40])
def test_a_capture_begun_within_a_transfer(tmp_path: Path, bursts: int, sends: bool, name: str, link: int) -> None:
    """Nothing of the bulk direction is alike on both sides: the other direction tells that it is in the tunnel."""
    everywhere, inside = download(name, bursts, 0, sends=sends)
    (row,) = told(tmp_path, everywhere, link).connections.to_dict("records")
    (alone,) = told(tmp_path, inside, link).connections.to_dict("records")
    assert {key: row[key] for key in SAME} == {key: alone[key] for key in SAME}
    assert (row["server_bytes"], row["server_retransmits"]) == (bursts * PIECE * PIECES, 0)
    assert row["server_packets"] == alone["server_packets"]


@BOTH
@pytest.mark.parametrize(("name", "tunnel"), [("vxlan", "vxlan vni 5001"), ("ipip", "ipip"), ("vlan_two", "vlan 7.12")])
@pytest.mark.parametrize("queue_s", [0.03, 0.2])
def test_a_queue_before_the_tunnel_that_cuts(tmp_path: Path, queue_s: float, name: str, tunnel: str, link: int) -> None:
    """Pieces that come later than copies are looked for are pieces all the same: no byte was sent again."""
    everywhere, _ = download(name, 40, queue_s, sends=True)
    (row,) = told(tmp_path, everywhere, link).connections.to_dict("records")
    assert (row["server_bytes"], row["server_retransmits"]) == (40 * PIECE * PIECES, 0)
    assert (row["active_closer"], row["tunnel"]) == ("server", tunnel)


@BOTH
@pytest.mark.parametrize("name", ["vxlan", "gre"])
@pytest.mark.parametrize("bursts", [4, 40])
def test_whole_on_one_device_and_cut_on_the_next(tmp_path: Path, bursts: int, name: str, link: int) -> None:
    """A pod's packets are whole on its veth and the bridge, cut on the tunnel's device and in the tunnel: sent once."""
    everywhere, inside = download(name, bursts, 0, sends=True, cut_beside=True)
    (row,) = told(tmp_path, everywhere, link).connections.to_dict("records")
    (alone,) = told(tmp_path, inside, link).connections.to_dict("records")
    assert {key: row[key] for key in SAME} == {key: alone[key] for key in SAME}
    assert (row["server_bytes"], row["server_retransmits"]) == (bursts * PIECE * PIECES, 0)
