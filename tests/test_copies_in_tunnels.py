"""The same traffic in its tunnel and beside it, as `-i any` shows it on a host that ends the tunnel: counted once."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest
from crafted.talk import Crafted, Talk, write_capture
from crafted.wrapped import ETHERNET, WRAPPINGS, Wrapping
from places import ROOT
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether
from test_duplicates import in_ipv6

import pcapwatch

COOKED = 113
#: Not those that change the packet inside (IPv6, another IP header), cut it, or leave one direction as it was.
OTHER = {"ah", "six_in_four", "six_in_six", "teredo", "mpls_one_way", "ipip_one_way"}
TUNNELS = [w for w in WRAPPINGS if w.link == ETHERNET and w.tunnel and "fragment" not in w.name and w.name not in OTHER]
BOTH = pytest.mark.parametrize("link", [ETHERNET, COOKED])


def conversation() -> Talk:
    """A handshake, one exchange, closed by the server."""
    talk = Talk().established()
    talk.close("s")
    return talk


def cooked(frame: bytes) -> bytes:
    """An Ethernet frame with the header of `-i any` in place of its own."""
    return struct.pack(">HHH8s", 0, 1, 6, bytes(8)) + frame[12:]


def both(wrapping: Wrapping, packets: list[Crafted], is_bare: Any = lambda _: True) -> list[Crafted]:
    """Each packet of the client beside its tunnel and then in it, each of the server the other way round."""
    out = []
    for at, one in enumerate(packets):
        client = Ether(one.data)[TCP].sport == 40_000
        frames = wrapping.wrap(Ether(one.data).payload, client)
        assert len(frames) == 1
        bare = [one.data] if is_bare(at) else []
        pair = [*bare, *frames] if client else [*frames, *bare]
        out += [Crafted(one.at_s + place * 3e-6, data) for place, data in enumerate(pair)]
    return out


def told(path: Path, packets: list[Crafted], link: int, **settings: Any) -> pcapwatch.Report:
    """The report of these packets."""
    if link == COOKED:
        packets = [Crafted(one.at_s, cooked(one.data)) for one in packets]
    return pcapwatch.analyze(write_capture(path / "both.pcap", packets, link), **settings)


@BOTH
@pytest.mark.parametrize("wrapping", TUNNELS, ids=lambda w: w.name)
def test_one_connection_with_the_tunnels_name(tmp_path: Path, wrapping: Wrapping, link: int) -> None:
    """Whichever was captured first; and all of it with the option: two connections or ten retransmissions."""
    packets = both(wrapping, conversation().packets)
    report = told(tmp_path, packets, link)
    (row,) = report.connections.to_dict("records")
    assert (row["tunnel"], row["client_packets"], row["server_packets"]) == (wrapping.tunnel, 6, 4)
    assert (row["client_retransmits"], row["server_retransmits"]) == (0, 0)
    assert "duplicates" in row["quality"]
    capture = report.summary["capture"]
    assert (capture["duplicates"], capture["beside_tunnels"], capture["segments"]) == (10, 10, 20)
    assert any("10 duplicates removed" in remark for remark in report.quality.remarks)
    kept = told(tmp_path, packets, link, keep_duplicates=True)
    assert kept.summary["capture"]["duplicates"] == 0
    assert len(kept.connections) == 2 or kept.connections["server_retransmits"].sum() > 0


@BOTH
@pytest.mark.parametrize("lost", [{0}, {1}, {2}, {0, 2}, {1, 2}, {3, 4}, {9}])
def test_packets_that_the_tunnels_tap_lost(tmp_path: Path, lost: set[int], link: int) -> None:
    """Also the first of a direction: one connection with all of its packets, not another that nobody answered."""
    wrapping = next(w for w in WRAPPINGS if w.name == "vxlan")
    talk = [Crafted(at * 1e-3, one.data) for at, one in enumerate(conversation().packets)]
    packets = []
    for at, one in enumerate(talk):
        pair = both(wrapping, [one])
        packets += [kept for kept in pair if at not in lost or kept.data == one.data]
    (row,) = told(tmp_path, packets, link).connections.to_dict("records")
    assert (row["tunnel"], row["client_packets"], row["server_packets"]) == (wrapping.tunnel, 6, 4)
    assert (row["role_basis"], row["close"], row["active_closer"]) == ("syn", "fin", "server")
    assert row["client_retransmits"] == row["server_retransmits"] == 0


@BOTH
@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("name", ["vxlan", "gre_key_sequence", "vlan_two"])
def test_a_snaplen_that_leaves_one_copy_its_options(tmp_path: Path, name: str, version: int, link: int) -> None:
    """What a snaplen cut of the copy with more around it alone tells no packets apart, wherever it cuts."""
    wrapping = next(w for w in WRAPPINGS if w.name == name)
    talk = Talk(timestamps=True).established()
    talk.close("s")
    packets = both(wrapping, talk.packets if version == 4 else [in_ipv6(one) for one in talk.packets])
    if link == COOKED:
        packets = [Crafted(one.at_s, cooked(one.data)) for one in packets]
    around = len(packets[1].data) - len(packets[0].data)
    least = 48 if version == 4 else 68
    for snaplen in range(least + 2 + around, least + 26 + around, 2):
        path = write_capture(tmp_path / f"{snaplen}.pcap", [one.cut(snaplen) for one in packets], link)
        (row,) = pcapwatch.analyze(path).connections.to_dict("records")
        assert (row["tunnel"], row["client_packets"], row["server_packets"]) == (wrapping.tunnel, 6, 4)
        assert (row["active_closer"], row["client_retransmits"], row["server_retransmits"]) == ("server", 0, 0)


def test_a_packet_that_the_tunnels_tap_lost_of_a_later_connection(tmp_path: Path) -> None:
    """A 4-tuple used again with numbers far from the first ones, and a refusal: what is bare alone is the tunnel's."""
    wrapping = next(w for w in WRAPPINGS if w.name == "vxlan")
    talk = Talk(client_isn=3_000_000_000, server_isn=3_500_000_000).established()
    talk.close("s")
    second = Talk(client_isn=1_000, server_isn=500_000).established()
    second.close("s")
    refused = Talk(client=("10.9.0.1", 40_001))
    refused.c(200.0, "S")
    refused.s(200.001, "RA", seq=0, window=0)
    packets, pieces = [], [*talk.packets, *(Crafted(one.at_s + 100, one.data) for one in second.packets)]
    lost = {len(talk.packets) + 6, len(pieces) + 1}
    for at, one in enumerate([*pieces, *refused.packets]):
        frame = Ether(one.data)
        frame[IP].id = 1000 + at
        del frame[IP].chksum
        bare = bytes(frame)
        [inside] = wrapping.wrap(Ether(bare).payload, frame[TCP].dport == 80)
        packets += [Crafted(one.at_s, bare)] + [Crafted(one.at_s + 3e-6, inside)] * (at not in lost)
    report = told(tmp_path, packets, ETHERNET)
    assert list(report.connections["close"]) == ["fin", "fin", "refused"]
    assert set(report.connections["tunnel"]) == {wrapping.tunnel}
    assert list(report.connections["server_packets"]) == [4, 4, 1]


def test_a_kernels_tunnel_on_every_interface() -> None:
    """The lab's capture on the host that ends a VXLAN: every packet is there twice, and two connections are two."""
    report = pcapwatch.analyze(ROOT / "fixtures" / "vxlan-any" / "capture.pcap")
    capture = report.summary["capture"]
    assert list(report.connections["tunnel"]) == ["vxlan vni 5001"] * 2
    assert report.connections[["client_retransmits", "server_retransmits"]].sum().sum() == 0
    assert (
        capture["beside_tunnels"]
        == capture["segments"] // 2
        == report.connections["client_packets"].sum() + (report.connections["server_packets"].sum())
    )


@BOTH
def test_two_networks_with_equal_addresses_stay_two(tmp_path: Path, link: int) -> None:
    """Two tenants whose packets have the same 4-tuple, each captured in its network and beside it."""
    wrapping = next(w for w in WRAPPINGS if w.name == "vxlan")
    talk = conversation().packets

    def another(one: Crafted) -> Crafted:
        frame = Ether(one.data)
        frame[IP].id += 7000
        del frame[IP].chksum
        return Crafted(one.at_s + 20e-6, bytes(frame))

    first = both(wrapping, talk)
    second = [
        Crafted(p.at_s, p.data.replace(b"\x00\x13\x89\x00", b"\x00\x13\x8a\x00"))
        for p in both(wrapping, [another(one) for one in talk])
    ]
    report = told(tmp_path, sorted(first + second, key=lambda p: p.at_s), link)
    assert sorted(report.connections["tunnel"]) == ["vxlan vni 5001", "vxlan vni 5002"]
    assert list(report.connections["client_packets"]) == [6, 6]
    assert report.summary["capture"]["beside_tunnels"] == 20
    assert report.summary["capture"]["in_two_tunnels"] == 0


@pytest.mark.parametrize("version", [4, 6])
def test_a_packet_in_two_vlans_is_said(tmp_path: Path, version: int) -> None:
    """As a trunk shows what is routed; without an IP id the sequence numbers tell as much."""
    talk = conversation().packets if version == 4 else [in_ipv6(one) for one in conversation().packets]
    packets = []
    for one in talk:
        for number, later_s in ((10, 0.0), (20, 5e-6)):
            tag = b"\x81\x00\x00" + bytes([number])
            packets.append(Crafted(one.at_s + later_s, one.data[:12] + tag + one.data[12:]))
    report = told(tmp_path, packets, ETHERNET)
    assert len(report.connections) == 2
    assert report.summary["capture"]["in_two_tunnels"] == 10


def test_a_packet_routed_from_one_vlan_to_another_is_said(tmp_path: Path) -> None:
    """A trunk shows it in both: nothing is removed, and the report says that the connections are counted twice."""
    wrapping = next(w for w in WRAPPINGS if w.tunnel == "vxlan vni 5001")
    packets = []
    for one in both(wrapping, conversation().packets, is_bare=lambda _: False):
        other = one.data.replace(b"\x00\x13\x89\x00", b"\x00\x13\x8a\x00")
        packets += [one, Crafted(one.at_s + 5e-6, other)]
    report = told(tmp_path, packets, ETHERNET)
    assert len(report.connections) == 2
    assert report.summary["capture"]["in_two_tunnels"] == 10
    assert any("counted in each" in concern for concern in report.quality.concerns)


def in_pieces(wrapping: Wrapping, one: Crafted) -> list[bytes]:
    """The response in its tunnel as the network card cuts it: four pieces of ten bytes."""
    frame, pieces = Ether(one.data), []
    payload = bytes(frame[TCP].payload)
    for start in range(0, len(payload), 10):
        piece = Ether(one.data)
        piece[TCP].remove_payload()
        piece = piece / payload[start : start + 10]
        piece[TCP].seq = frame[TCP].seq + start
        piece[IP].id = frame[IP].id + start
        for layer, name in ((piece[IP], "len"), (piece[IP], "chksum"), (piece[TCP], "chksum")):
            delattr(layer, name)
        pieces += wrapping.wrap(Ether(bytes(piece)).payload, False)
    assert len(pieces) == 4
    return pieces


def response_of(talk: Talk) -> int:
    """Which packet it is."""
    return next(at for at, one in enumerate(talk.packets) if b"200 OK" in one.data)


@BOTH
@pytest.mark.parametrize("is_bare_first", [True, False])
@pytest.mark.parametrize("lost", [(), (0,), (1,), (3,), (1, 2), (0, 2, 3)])
def test_bytes_in_other_pieces_are_the_tunnels(
    tmp_path: Path, lost: tuple[int, ...], is_bare_first: bool, link: int
) -> None:
    """Beside the tunnel a response as one packet, in the tunnel its pieces, not all of which were captured.

    Its bytes count once, none is missing, and none was sent again.
    """
    wrapping = next(w for w in WRAPPINGS if w.name == "vxlan")
    talk = conversation()
    at = response_of(talk)
    one = talk.packets[at]
    pieces = [piece for number, piece in enumerate(in_pieces(wrapping, one)) if number not in lost]
    frames = [one.data, *pieces] if is_bare_first else [*pieces, one.data]
    cut = [Crafted(one.at_s + n * 1e-6, data) for n, data in enumerate(frames)]
    packets = [*both(wrapping, talk.packets[:at]), *cut, *both(wrapping, talk.packets[at + 1 :])]
    report = told(tmp_path, packets, link)
    (row,) = report.connections.to_dict("records")
    assert (row["server_bytes"], row["server_retransmits"], row["responses"]) == (40, 0, 1)
    # Of what the tunnel lost some of, the one beside it is there, and with it the pieces captured before it.
    assert row["server_packets"] == 3 + (4 if not lost else 1 if is_bare_first else len(pieces) + 1)
    assert row["tunnel"] == "vxlan vni 5001"


@BOTH
def test_a_piece_that_the_network_lost_counts_once(tmp_path: Path, link: int) -> None:
    """Before its hole and behind it the host joined the pieces; 30 ms later the missing one comes.

    All is as the tunnel alone has it.
    """
    wrapping = next(w for w in WRAPPINGS if w.name == "vxlan")
    talk = conversation()
    at = response_of(talk)
    one = talk.packets[at]
    pieces = in_pieces(wrapping, one)
    first = Ether(one.data)
    payload = bytes(first[TCP].payload)

    def bare(start: int, end: int) -> bytes:
        joined = Ether(one.data)
        joined[TCP].remove_payload()
        joined = joined / payload[start:end]
        joined[TCP].seq += start
        joined[IP].id += start
        for layer, name in ((joined[IP], "len"), (joined[IP], "chksum"), (joined[TCP], "chksum")):
            delattr(layer, name)
        return bytes(joined)

    frames = [pieces[0], pieces[1], bare(0, 20), pieces[3], bare(30, 40)]
    came = [Crafted(one.at_s + n * 1e-6, data) for n, data in enumerate(frames)]
    came += [Crafted(one.at_s + 0.03 + n * 1e-6, data) for n, data in enumerate([pieces[2], bare(20, 30)])]
    later = [Crafted(packet.at_s + 1, packet.data) for packet in talk.packets[at + 1 :]]
    packets = [*both(wrapping, talk.packets[:at]), *came, *both(wrapping, later)]
    (row,) = told(tmp_path, packets, link).connections.to_dict("records")
    inside = [one for one in packets if one.data[14 + 9] == 17]
    (alone,) = told(tmp_path, inside, link).connections.to_dict("records")
    same = ("server_packets", "client_packets", "server_bytes", "server_retransmits", "responses", "active_closer")
    assert {name: row[name] for name in same} == {name: alone[name] for name in same}
    assert (row["server_packets"], row["server_retransmits"]) == (7, 0)


@BOTH
@pytest.mark.parametrize("has_id", [True, False])
def test_what_is_sent_again_beside_the_tunnel_alone_counts(tmp_path: Path, has_id: bool, link: int) -> None:
    """The request was shown by both; sent again twice, later than a copy may be, it is in no tunnel: it was sent."""
    wrapping = next(w for w in WRAPPINGS if w.name == "vxlan")
    talk = conversation().packets
    request = next(at for at, one in enumerate(talk) if b"GET" in one.data)
    again = []
    for number, late in enumerate((0.25, 0.7)):
        frame = Ether(talk[request].data)
        frame[IP].id = 990 + number if has_id else 0
        del frame[IP].chksum
        again.append(Crafted(talk[request].at_s + late, bytes(frame)))
    later = [Crafted(one.at_s + 1, one.data) for one in talk[request + 1 :]]
    packets = [*both(wrapping, talk[: request + 1]), *again, *both(wrapping, later)]
    (row,) = told(tmp_path, packets, link).connections.to_dict("records")
    assert (row["client_retransmits"], row["client_packets"], row["tunnel"]) == (2, 8, "vxlan vni 5001")


@BOTH
def test_what_the_tunnel_did_not_show_is_not_lost(tmp_path: Path, link: int) -> None:
    """The capture dropped the request in the tunnel: the one beside it takes its place in the same connection."""
    wrapping = next(w for w in WRAPPINGS if w.name == "vxlan")
    talk = conversation().packets
    request = next(at for at, one in enumerate(talk) if b"GET" in one.data)
    packets = both(wrapping, talk)
    (lost,) = wrapping.wrap(Ether(talk[request].data).payload, True)
    packets = [one for one in packets if one.data != lost]
    report = told(tmp_path, packets, link)
    (row,) = report.connections.to_dict("records")
    assert (row["requests"], row["client_bytes"], row["tunnel"]) == (1, 27, "vxlan vni 5001")


@BOTH
def test_a_retransmission_beside_and_inside_stays_one(tmp_path: Path, link: int) -> None:
    """Sent again within a millisecond with its own IP id: once in the tunnel's connection."""
    wrapping = next(w for w in WRAPPINGS if w.name == "vxlan")
    talk = conversation().packets
    request = next(at for at, one in enumerate(talk) if b"GET" in one.data)
    again = Ether(talk[request].data)
    again[IP].id = 999
    del again[IP].chksum
    packets = [*talk[: request + 1], Crafted(talk[request].at_s + 4e-4, bytes(again)), *talk[request + 1 :]]
    (row,) = told(tmp_path, both(wrapping, packets), link).connections.to_dict("records")
    assert (row["client_retransmits"], row["client_packets"]) == (1, 7)


def test_neither_threads_nor_batches_change_it(tmp_path: Path) -> None:
    """What is held back does not depend on where batches end."""
    wrapping = next(w for w in WRAPPINGS if w.name == "vxlan")
    packets = both(wrapping, conversation().packets)
    texts = {
        told(tmp_path, packets, COOKED, threads=threads, batch_packets=batch).to_json()
        for threads in (1, 2, 5)
        for batch in (1, 2, 3, 7, 4096)
    }
    assert len(texts) == 1


def test_a_tunnel_that_comes_late(tmp_path: Path) -> None:
    """After thousands of packets without one, its first packet is beside it just before: one connection, no phantom."""
    wrapping = next(w for w in WRAPPINGS if w.name == "vxlan")
    early = Talk(server=("10.9.0.3", 81))
    early.handshake()
    for n in range(4_200):
        early.c(0.01 + n * 1e-4, "PA", b"x")
    late = [Crafted(one.at_s + 1.0, one.data) for one in both(wrapping, conversation().packets)]
    texts = set()
    for threads, batch in ((1, 1), (1, 7), (2, 300), (1, 4096), (2, 2048), (1, 4203), (1, 4204)):
        report = told(tmp_path, [*early.packets, *late], ETHERNET, threads=threads, batch_packets=batch)
        texts.add(report.to_json())
    assert len(texts) == 1
    _, row = report.connections.to_dict("records")
    assert (row["tunnel"], row["client_packets"], row["server_packets"]) == (wrapping.tunnel, 6, 4)
    assert report.summary["capture"]["beside_tunnels"] == 10


def test_the_ladder_is_that_of_the_tunnel(tmp_path: Path) -> None:
    """`show` draws each packet once, from the frames that were kept."""
    from pcapwatch.analysis import ladders
    from pcapwatch.reading import run_engine
    from pcapwatch.settings import Settings

    wrapping = next(w for w in WRAPPINGS if w.name == "vxlan")
    file = write_capture(tmp_path / "both.pcap", both(wrapping, conversation().packets))
    [ladder] = ladders(run_engine([file], Settings(keep_connections=True)), [1])
    assert len(ladder["rows"]) == 10
    assert [row["frame"] for row in ladder["rows"]][:2] == [2, 3]


@BOTH
def test_another_networks_connection_of_the_same_4_tuple_stays_apart(tmp_path: Path, link: int) -> None:
    """One 4-tuple bare, closed by its client, while another network has it in a tunnel and beside it: two closers."""
    bare = Talk(client_isn=3_000_000_000, server_isn=2_000_000_000).established()
    within = Talk()
    within.open(1_000, 500_000)
    within.established()
    inner = [Crafted(one.at_s + 5.5, one.data) for one in within.packets]
    closing = len(bare.packets)
    bare.close("c", at_s=6.5)
    vxlan = next(w for w in TUNNELS if w.name == "vxlan")
    packets = [*bare.packets[:closing], *both(vxlan, inner), *bare.packets[closing:]]
    rows = told(tmp_path, packets, link).connections.sort_values("tunnel", na_position="first").to_dict("records")
    assert rows[-1]["tunnel"] == vxlan.tunnel
    assert (rows[-1]["close"], rows[-1]["active_closer"]) == ("open", "none")
    assert (rows[-1]["client_packets"], rows[-1]["server_packets"]) == (4, 2)
    assert [row["active_closer"] for row in rows[:-1] if row["close"] == "fin"] == ["client"]


@BOTH
def test_resets_without_an_ip_id_are_counted_once_each(tmp_path: Path, link: int) -> None:
    """Two late segments draw two resets alike in all, 5 ms apart, IP id 0: both captured twice, two count."""
    wrapping = next(w for w in WRAPPINGS if w.name == "vxlan")
    talk = Talk().established()
    talk.s(1.0, "FA")
    talk.c(1.001, "A")
    for n in range(2):
        talk.c(2.0 + n * 0.005, "PA", b"more")
        talk.s(2.001 + n * 0.005, "R", window=0)

    def without_id(one: Crafted) -> Crafted:
        frame = Ether(one.data)
        if "R" in str(frame[TCP].flags):
            frame[IP].id = 0
            del frame[IP].chksum
        return Crafted(one.at_s, bytes(frame))

    packets = both(wrapping, [without_id(one) for one in talk.packets])
    (row,) = told(tmp_path, packets, link).connections.to_dict("records")
    assert (row["client_packets"], row["server_packets"]) == (7, 5)
    assert (row["close"], row["reset_kind"]) == ("reset_after_fin", "late_data")


@BOTH
@pytest.mark.parametrize("held_s", [0.03, 0.2])
def test_a_queue_before_the_tunnel_invents_nothing(tmp_path: Path, held_s: float, link: int) -> None:
    """The sender's queue holds the request in the tunnel for longer than a copy is looked for: it counts once."""
    wrapping = next(w for w in WRAPPINGS if w.name == "vxlan")
    talk = conversation().packets
    request = next(at for at, one in enumerate(talk) if b"GET" in one.data)
    (inside,) = wrapping.wrap(Ether(talk[request].data).payload, True)
    later = [Crafted(one.at_s + 1, one.data) for one in talk[request + 1 :]]
    held = [talk[request], Crafted(talk[request].at_s + held_s, inside)]
    packets = [*both(wrapping, talk[:request]), *held, *both(wrapping, later)]
    (row,) = told(tmp_path, packets, link).connections.to_dict("records")
    assert (row["client_retransmits"], row["client_packets"], row["requests"]) == (0, 6, 1)


@BOTH
def test_a_syn_sent_again_beside_the_tunnel_is_the_same_attempt(tmp_path: Path, link: int) -> None:
    """The tunnel has the first SYN: the second, which its tap lost, is no connection of its own."""
    wrapping = next(w for w in WRAPPINGS if w.name == "vxlan")
    talk = conversation().packets
    again = Ether(talk[0].data)
    again[IP].id = 77
    del again[IP].chksum
    later = [Crafted(one.at_s + 2, one.data) for one in talk[1:]]
    packets = [*both(wrapping, talk[:1]), Crafted(talk[0].at_s + 1, bytes(again)), *both(wrapping, later)]
    (row,) = told(tmp_path, packets, link).connections.to_dict("records")
    assert (row["syn_count"], row["close"], row["tunnel"]) == (2, "fin", "vxlan vni 5001")


@BOTH
def test_a_4_tuple_used_again_with_a_number_near_the_last(tmp_path: Path, link: int) -> None:
    """The next connection's numbers lie within what the one before sent, and the tunnel's tap lost its request."""
    wrapping = next(w for w in WRAPPINGS if w.name == "vxlan")
    first, second = conversation().packets, []
    for one in first:
        frame = Ether(one.data)
        client = frame[TCP].sport == 40_000
        if client:
            frame[TCP].seq += 8
        elif frame[TCP].flags.A:
            frame[TCP].ack += 8
        frame[IP].id += 100
        del frame[IP].chksum
        del frame[TCP].chksum
        second.append(Crafted(one.at_s + 70, bytes(frame)))
    request = next(at for at, one in enumerate(second) if b"GET" in one.data)
    packets = [*both(wrapping, first), *both(wrapping, second)]
    (lost,) = wrapping.wrap(Ether(second[request].data).payload, True)
    report = told(tmp_path, [one for one in packets if one.data != lost], link)
    assert [row["client_bytes"] for row in report.connections.to_dict("records")] == [27, 27]
