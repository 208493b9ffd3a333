"""The same traffic captured at two points: copies are removed and counted, retransmissions stay."""

from __future__ import annotations

import shutil
import struct
import subprocess
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from crafted.reading import tool_json, tool_rows
from crafted.talk import EPOCH_NS, Crafted, Talk, write_capture
from oracle import read_connections
from oracle.compare import compare
from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.utils import rdpcap, wrpcap

import pcapwatch
from pcapwatch.cli import main
from pcapwatch.errors import CaptureError

PACKETS = 10


def conversation() -> list[Crafted]:
    """A handshake, one exchange, closed by the server: of each side three segments occupy sequence space."""
    talk = Talk().established()
    talk.close("s")
    assert len(talk.packets) == PACKETS
    return talk.packets


def changed(packet: Crafted, late_s: float, **fields: int) -> Crafted:
    """The packet a little later, with other fields of its IP header and the checksum of that."""
    frame = Ether(packet.data)
    for name, value in fields.items():
        setattr(frame[IP], name, value)
    del frame[IP].chksum
    return Crafted(packet.at_s + late_s, bytes(frame))


def twice(packets: list[Crafted], late_s: float, **fields: int) -> list[Crafted]:
    """Each packet, and what the second tap has of it."""
    both = [copy for packet in packets for copy in (packet, changed(packet, late_s, **fields))]
    return sorted(both, key=lambda packet: packet.at_s)


def write_pcapng(path: Path, taps: list[list[Crafted]]) -> Path:
    """A pcapng with an interface for each tap, packets in the order of time, ns."""

    def block(kind: int, body: bytes) -> bytes:
        size = 12 + len(body)
        return struct.pack("<II", kind, size) + body + struct.pack("<I", size)

    out = block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))
    out += block(1, struct.pack("<HHI", 1, 0, 0) + struct.pack("<HHB3xHH", 9, 1, 9, 0, 0)) * len(taps)
    for packet, tap in sorted(((p, t) for t, packets in enumerate(taps) for p in packets), key=lambda x: x[0].at_s):
        ns, size = EPOCH_NS + round(packet.at_s * 10**6) * 1000, len(packet.data)
        head = struct.pack("<5I", tap, ns >> 32, ns & 0xFFFFFFFF, size, size)
        out += block(6, head + packet.data + bytes(-size % 4))
    path.write_bytes(out)
    return path


def told(path: Path, **settings: Any) -> tuple[int, int, int, bool]:
    """Duplicates, both sides' retransmissions, and whether the one connection has the quality word."""
    report = pcapwatch.analyze(path, **settings)
    capture = report.summary["capture"]
    (row,) = report.connections.to_dict("records")
    assert row["active_closer"] == "server"
    return (
        capture["duplicates"],
        int(row["client_retransmits"]),
        int(row["server_retransmits"]),
        "duplicates" in row["quality"],
    )


REMOVED = (PACKETS, 0, 0, True)
KEPT = (0, 3, 3, False)


@pytest.mark.parametrize("late_s", [0.0, 0.000_005, 0.000_900])
def test_a_mirror_port(tmp_path: Path, late_s: float) -> None:
    """The same bytes a little later: removed, or kept as retransmissions when asked."""
    path = write_capture(tmp_path / "mirror.pcap", twice(conversation(), late_s))
    assert told(path) == REMOVED
    assert told(path, keep_duplicates=True) == KEPT


#: Conversations of many clients beside each other, and how many of their packets come before a mirror begins.
CLIENTS, BEFORE = 6500, 70_000


@cache
def of_many_clients() -> list[Crafted]:
    """The same conversation again and again, each of another address, 0.1 ms after the one before it."""
    source, target = slice(26, 30), slice(30, 34)
    once = conversation()
    client = once[0].data[source]
    packets = []
    for number in range(CLIENTS):
        other = bytes([10, 77, number >> 8, number & 255])
        for packet in once:
            frame = bytearray(packet.data)
            frame[source if frame[source] == client else target] = other
            packets.append(Crafted(packet.at_s + number * 0.000_1, bytes(frame)))
    return sorted(packets, key=lambda packet: packet.at_s)


def routed(packet: Crafted, late_s: float) -> Crafted:
    """The packet a hop further on."""
    frame = bytearray(packet.data)
    frame[22] -= 1
    return Crafted(packet.at_s + late_s, bytes(frame))


@pytest.mark.parametrize(("late_s", "every"), [(0.000_2, 1), (0.015, 1), (0.1, 20), (0.1, 500)])
def test_a_mirror_that_begins_late_and_shows_little(tmp_path: Path, late_s: float, every: int) -> None:
    """All packets from one on, or few of them, on the same interface: each copy is found, from the first on."""
    packets = of_many_clients()
    copies = [routed(packet, late_s) for packet in packets[BEFORE::every]]
    path = write_capture(tmp_path / "late.pcap", sorted([*packets, *copies], key=lambda packet: packet.at_s))
    text = tool_json(path, 1, 2048)
    assert f'"duplicates": {len(copies)},' in text
    rows = pcapwatch.analyze(path).connections
    assert (len(rows), rows["client_retransmits"].sum(), rows["server_retransmits"].sum()) == (CLIENTS, 0, 0)
    assert text == tool_json(path, 2, 7) == tool_json(path, 5, 100)


@pytest.mark.parametrize("early_s", [0.000_003, 0.000_900])
def test_a_copy_older_than_what_was_read_before_it(tmp_path: Path, early_s: float) -> None:
    """Two taps' files are read in turns and their clocks differ: what is read second may be the older of the two."""
    both = [copy for packet in conversation() for copy in (packet, changed(packet, -early_s, ttl=63))]
    path = write_capture(tmp_path / "older.pcap", both)
    assert told(path) == REMOVED
    assert told(path, keep_duplicates=True) == KEPT


def test_both_sides_of_a_router(tmp_path: Path) -> None:
    """The TTL one lower and another header checksum, the IP id the same."""
    path = write_capture(tmp_path / "router.pcap", twice(conversation(), 0.000_200, ttl=63))
    assert told(path) == REMOVED
    assert told(path, keep_duplicates=True) == KEPT


@pytest.mark.parametrize("ttl", [64, 63])
def test_two_interfaces_without_ip_ids(tmp_path: Path, ttl: int) -> None:
    """Where the IP id is 0 the other interface tells."""
    first = [changed(packet, 0, id=0) for packet in conversation()]
    second = [changed(packet, 0.000_050, ttl=ttl) for packet in first]
    path = write_pcapng(tmp_path / "two.pcapng", [first, second])
    assert told(path) == REMOVED
    assert told(path, keep_duplicates=True) == KEPT


@pytest.mark.parametrize(("late_s", "fields"), [(0.000_3, {"id": 777}), (0.000_3, {"id": 0}), (0.05, {})])
def test_a_retransmission_stays_one(tmp_path: Path, late_s: float, fields: dict[str, int]) -> None:
    """The request again: with its own IP id, with none from the same interface, or with the same after 50 ms."""
    packets = conversation()
    (request,) = [packet for packet in packets if b"GET" in packet.data]
    if fields.get("id") == 0:
        packets = [changed(packet, 0, id=0) for packet in packets]
    path = write_capture(
        tmp_path / "again.pcap", sorted([*packets, changed(request, late_s, **fields)], key=lambda p: p.at_s)
    )
    assert told(path) == (0, 1, 0, False)
    assert told(path, keep_duplicates=True) == (0, 1, 0, False)


def test_a_retransmission_seen_by_both_taps(tmp_path: Path) -> None:
    """Two taps each saw a packet and its retransmission: the copies go, the retransmission stays."""
    packets = conversation()
    (request,) = [packet for packet in packets if b"GET" in packet.data]
    packets = sorted([*packets, changed(request, 0.000_4, id=777)], key=lambda p: p.at_s)
    path = write_capture(tmp_path / "both.pcap", twice(packets, 0.000_100, ttl=63))
    assert told(path) == (PACKETS + 1, 1, 0, True)


@pytest.mark.skipif(not shutil.which("mergecap"), reason="mergecap is not installed")
def test_two_taps_merged_by_mergecap(tmp_path: Path) -> None:
    """What an engineer does with two files of one incident."""
    near = write_capture(tmp_path / "near.pcap", conversation())
    far = write_capture(tmp_path / "far.pcap", [changed(p, 0.000_100, ttl=60) for p in conversation()])
    merged = tmp_path / "merged.pcapng"
    subprocess.run(["mergecap", "-w", str(merged), str(near), str(far)], check=True)
    assert told(merged) == REMOVED
    assert told(merged, keep_duplicates=True) == KEPT


FIXTURES = Path(__file__).parent.parent / "fixtures"


def second_tap(path: Path, out: Path, late_s: float, ttl_less: int) -> Path:
    """What a tap further on has of a capture."""
    frames = list(rdpcap(str(path)))
    for frame in frames:
        frame[IP].ttl -= ttl_less
        frame.time += Decimal(str(late_s))
        del frame[IP].chksum
    wrpcap(str(out), frames, nano=True)
    return out


def answers(*paths: Path) -> tuple[int, Any, list[tuple[Any, ...]]]:
    """Copies removed, the totals, and of each connection what copies could spoil."""
    report = pcapwatch.analyze([str(path) for path in paths])
    columns = [
        *("client", "client_port", "server", "active_closer", "closer_basis", "time_wait_holder", "time_wait_start"),
        *("client_packets", "server_packets", "client_bytes", "server_bytes", "client_retransmits"),
        *("server_retransmits", "syn_count", "history", "requests"),
    ]
    rows = report.connections[columns].astype(str).to_numpy().tolist()
    return report.summary["capture"]["duplicates"], report.summary["totals"]["close"], sorted(map(tuple, rows))


@pytest.mark.skipif(not shutil.which("mergecap"), reason="mergecap is not installed")
@pytest.mark.parametrize("name", ["nginx-ab", "proxy-http10-reuse", "nginx-ab-keepalive"])
@pytest.mark.parametrize(("late_s", "ttl_less"), [(0.000_300, 0), (0.015, 0), (0.080, 1), (0.490, 5)])
def test_two_taps_with_a_network_between(tmp_path: Path, name: str, late_s: float, ttl_less: int) -> None:
    """Whole connections pass between a packet and its copy; the answer is that of one tap, as one file or as two."""
    near = FIXTURES / name / "capture.pcap"
    far = second_tap(near, tmp_path / "far.pcap", late_s, ttl_less)
    merged = tmp_path / "merged.pcapng"
    subprocess.run(["mergecap", "-w", str(merged), str(near), str(far)], check=True)
    _, totals, rows = answers(near)
    expected = (len(rdpcap(str(near))), totals, rows)
    assert answers(near, far) == expected
    assert answers(far, near) == expected
    assert answers(merged) == expected


def test_a_syn_ack_by_the_timer_and_one_in_answer(tmp_path: Path) -> None:
    """Alike but for the time, 57 us apart, without IP ids: the server sent both."""
    path = FIXTURES / "half-open" / "capture.pcap"
    (row,) = pcapwatch.analyze(path).connections.to_dict("records")
    assert (row["server_retransmits"], row["server_packets"], "duplicates" in row["quality"]) == (4, 5, False)


def test_a_fin_sent_thrice_at_once(tmp_path: Path) -> None:
    """As macOS does on its loopback, where no packet has an IP id: the answer to each is there, too."""
    talk = Talk().established()
    fin = talk.s(1.0, "FA")
    talk.s(1.000_010, "FA", seq=fin)
    talk.s(1.000_015, "FA", seq=fin)
    for late in (20, 30, 40):
        talk.c(1.0 + late * 1e-6, "A")
    path = write_capture(tmp_path / "thrice.pcap", [changed(packet, 0, id=0) for packet in talk.packets])
    assert told(path) == (0, 0, 2, False)


def in_ipv6(packet: Crafted) -> Crafted:
    """The same segment in IPv6, which has no IP id."""
    frame = Ether(packet.data)
    segment = frame[TCP]
    del segment.chksum
    ends = {address: f"fd00::{address.rsplit('.', 1)[1]}" for address in (frame[IP].src, frame[IP].dst)}
    six = (
        Ether(src=frame.src, dst=frame.dst)
        / IPv6(src=ends[frame[IP].src], dst=ends[frame[IP].dst], hlim=frame[IP].ttl)
        / segment
    )
    return Crafted(packet.at_s, bytes(six))


@pytest.mark.parametrize("late_s", [0.000_3, 0.009])
def test_ipv6_of_two_taps_in_one_interface(tmp_path: Path, late_s: float) -> None:
    """Nothing tells one packet from its copy but the time: the SYN's tells what it is."""
    first = [in_ipv6(packet) for packet in conversation()]
    late = [Crafted(packet.at_s + late_s, packet.data) for packet in first]
    path = write_capture(tmp_path / "flat.pcap", sorted([*first, *late], key=lambda packet: packet.at_s))
    assert told(path) == REMOVED
    assert told(path, keep_duplicates=True) == KEPT
    assert compare("flat", tool_rows(path), read_connections(path)) == []
    midstream = write_capture(tmp_path / "midstream.pcap", sorted([*first[3:], *late[3:]], key=lambda p: p.at_s))
    assert told(midstream)[:3] == (0, 2, 2), "without the SYN they read as sent again"


def cut(packet: Crafted, late_s: float, most: int = 1448) -> list[Crafted]:
    """The packet as its sender's card puts it on the wire: pieces with IP ids of their own, FIN on the last."""
    frame = Ether(packet.data)
    payload = bytes(frame[TCP].payload)
    pieces = [payload[at : at + most] for at in range(0, len(payload), most)] or [b""]
    made = []
    for number, piece in enumerate(pieces):
        small = frame.copy()
        small[TCP].remove_payload()
        small[TCP].seq = (frame[TCP].seq + number * most) % 2**32
        small[IP].id, small[IP].ttl = frame[IP].id + number, frame[IP].ttl - 1
        if number < len(pieces) - 1:
            small[TCP].flags = "A"
        del small[IP].chksum, small[IP].len, small[TCP].chksum
        made.append(Crafted(packet.at_s + late_s + number * 1e-6, bytes(small / piece)))
    return made


def large_segments() -> list[Crafted]:
    """An answer in segments larger than any wire takes, a piece of it sent again, the last with its FIN."""
    talk = Talk()
    talk.handshake()
    talk.c(0.1, "PA", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    first = talk.s(0.2, "PA", b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\nConnection: close\r\n\r\n" + b"x" * 4000)
    talk.ip_id += 10
    talk.s(0.201, "PA", b"x" * 3000)
    talk.ip_id += 10
    talk.s(0.3, "A", Ether(talk.packets[4].data)[TCP].payload.load[1448:2896], seq=first + 1448)
    talk.s(0.4, "FPA", b"x" * 2000)
    talk.ip_id += 10
    talk.c(0.5, "A")
    talk.c(0.6, "FA")
    talk.s(0.7, "A")
    return talk.packets


@pytest.mark.parametrize("late_s", [0.000_3, 0.02])
def test_one_tap_has_the_pieces_of_the_others_segments(tmp_path: Path, late_s: float) -> None:
    """Segmentation offload: the answer is the near tap's, and the far one's where that is read first."""
    near = large_segments()
    far = [piece for packet in near for piece in cut(packet, late_s)]
    early = [Crafted(piece.at_s - 2 * late_s, piece.data) for piece in far]
    for name, beyond, kept in (("late", far, near), ("early", early, early)):
        paths = [write_capture(tmp_path / f"{name}{at}.pcap", tap) for at, tap in enumerate((near, beyond))]
        expected = (len(near) + len(far) - len(kept), *answers(paths[kept is not near])[1:])
        assert [row[11:13] for row in expected[2]] == [("0", "1")]
        assert answers(*paths) == expected
        assert answers(*reversed(paths)) == expected
        assert compare(name, tool_rows(*paths), read_connections(*paths)) == []


def large_segments_again(server_isn: int) -> list[Crafted]:
    """An answer in large segments, sent again whole, with what is new behind a part, joined, and with the FIN."""
    talk = Talk(server_isn=server_isn)
    talk.handshake()
    talk.c(0.1, "PA", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    body = b"HTTP/1.1 200 OK\r\nContent-Length: 10938\r\nConnection: close\r\n\r\n".ljust(11_000, b"x")
    for at_s, flags, begin, end in (
        *((0.2, "PA", 0, 5000), (0.21, "PA", 0, 5000), (0.42, "A", 1448, 8000), (0.43, "A", 0, 8000)),
        *((0.5, "FPA", 8000, 11_000), (0.71, "FPA", 8000, 11_000)),
    ):
        talk.ip_id += 10
        talk.s(at_s, flags, body[begin:end], seq=talk.rel("s", 1 + begin))
    talk.nxt["s"] = talk.rel("s", 11_002)
    talk.ip_id += 10
    talk.c(0.8, "A")
    talk.c(0.9, "FA")
    talk.s(1.0, "A")
    return talk.packets


@pytest.mark.parametrize("server_isn", [500_000, 2**32 - 3000])
@pytest.mark.parametrize("late_s", [0.000_3, 0.02])
def test_what_is_sent_again_is_cut_again(tmp_path: Path, late_s: float, server_isn: int) -> None:
    """It counts as often as the first point shows it; what only the other shows again counts, too."""
    near = large_segments_again(server_isn)
    far = [piece for packet in near for piece in cut(packet, late_s)]
    early = [Crafted(piece.at_s - 2 * late_s, piece.data) for piece in far]
    # Lost on the way: of the first segment the second piece, of the third the first, and all of the first with a FIN.
    lossy = [piece for at, piece in enumerate(far) if at not in {5, 12, *range(24, 27)}]
    again = Crafted(0.6, far[6].data)
    alone = write_capture(tmp_path / "alone.pcap", near), write_capture(tmp_path / "pieces.pcap", early)
    for name, beyond, expected, retransmits in (
        ("late", far, alone[0], 4),
        ("lossy", lossy, alone[0], 4),
        ("early", early, alone[1], 16),
        ("twice", sorted([*far, again], key=lambda piece: piece.at_s), alone[0], 5),
    ):
        path = write_capture(tmp_path / f"{name}.pcap", beyond)
        found, totals, (row,) = answers(expected)
        assert int(row[12]) == retransmits - (name == "twice")
        for order in ((alone[0], path), (path, alone[0])):
            copies, both, (other,) = answers(*order)
            assert both == totals
            assert (other[:8], other[9:12], other[13:]) == (row[:8], row[9:12], row[13:])
            assert int(other[12]) == retransmits
            assert copies == found + len(near) + len(beyond) - int(other[7]) - int(other[8])
        assert compare(name, tool_rows(*order), read_connections(*order)) == []


def test_the_report_says_how_many(tmp_path: Path) -> None:
    """Capture quality names the number removed."""
    path = write_capture(tmp_path / "mirror.pcap", twice(conversation(), 0.000_005))
    assert "10 duplicates removed" in pcapwatch.analyze(path).quality.remarks
    assert "no duplicates" in pcapwatch.analyze(write_capture(tmp_path / "one.pcap", conversation())).quality.remarks


@pytest.mark.parametrize(
    "arguments", [["analyze"], ["connections"], ["exchanges"], ["states", "--every", "1s"], ["show", "x.pcap"]]
)
@pytest.mark.parametrize("flag", [[], ["--keep-duplicates"]])
def test_every_reading_command_takes_the_option(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], flag: list[str]
) -> None:
    """It reaches the engine's settings, and is off without it."""
    asked = []

    def stop(_captures: object, settings: Any, *_: object) -> None:
        asked.append(settings.keep_duplicates)
        raise CaptureError("seen enough")

    monkeypatch.setattr("pcapwatch.cli.options.run_engine", stop)
    with pytest.raises(SystemExit):
        main([*arguments, "1" if arguments[0] == "show" else "x.pcap", *flag])
    assert asked == [bool(flag)]


def test_a_tcp_segment_is_what_scapy_made() -> None:
    """The changed copies are still the same segment: only IP differs."""
    packet = conversation()[3]
    assert bytes(Ether(packet.data)[TCP]) == bytes(Ether(changed(packet, 0, ttl=3).data)[TCP])
