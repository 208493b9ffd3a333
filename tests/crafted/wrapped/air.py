"""802.11: what may be around its frames, and what may be in them."""

import struct
import zlib

from scapy.layers.dot11 import Dot11, Dot11QoS, RadioTap
from scapy.layers.inet import IP, UDP
from scapy.packet import Packet, Raw

from crafted.wrapped.registry import behind_llc, wrapping


def air(packet: Packet, client: bool) -> Packet:
    """A QoS data frame to or from an access point."""
    station, point, host = "02:00:00:00:00:01", "02:00:00:00:00:aa", "02:00:00:00:00:02"
    if client:
        header = Dot11(type=2, subtype=8, FCfield="to_DS", addr1=point, addr2=station, addr3=host)
    else:
        header = Dot11(type=2, subtype=8, FCfield="from_DS", addr1=station, addr2=point, addr3=host)
    return header / Dot11QoS() / behind_llc(packet)


@wrapping(link=105)
def ieee80211(packet: Packet, client: bool) -> list[bytes]:
    """802.11 by itself."""
    return [bytes(air(packet, client))]


@wrapping(link=127)
def radiotap(packet: Packet, client: bool) -> list[bytes]:
    """802.11 behind radiotap, with its frame check sequence."""
    frame = bytes(air(packet, client))
    check = struct.pack("<I", zlib.crc32(frame))
    return [bytes(RadioTap(present="TSFT+Flags+Rate", Flags="FCS", Rate=2) / Raw(frame + check))]


@wrapping(link=119)
def prism(packet: Packet, client: bool) -> list[bytes]:
    """802.11 behind a Prism header of 144 bytes."""
    return [struct.pack("<II", 0x44, 144) + b"wlan0".ljust(16, b"\0") + bytes(120) + bytes(air(packet, client))]


@wrapping(link=163)
def avs(packet: Packet, client: bool) -> list[bytes]:
    """802.11 behind an AVS header of 64 bytes."""
    return [struct.pack(">II", 0x80211001, 64) + bytes(56) + bytes(air(packet, client))]


@wrapping(link=192)
def ppi_ieee80211(packet: Packet, client: bool) -> list[bytes]:
    """802.11 behind PPI with a receiver's field."""
    common = struct.pack("<HHQHHHHBBbb", 2, 20, 7, 0, 0, 2437, 0x0080, 0, 0, -40, -90)
    return [struct.pack("<BBHI", 0, 0, 8 + len(common), 105) + common + bytes(air(packet, client))]


def msdu(packet: Packet) -> bytes:
    """A packet of an aggregate: addresses, length, the packet behind logical link control."""
    inside = bytes(behind_llc(packet))
    return bytes.fromhex("020000000002020000000001") + struct.pack(">H", len(inside)) + inside


def aggregate(packets: list[Packet], client: bool) -> bytes:
    """A frame with several packets: each but the last is padded to four bytes."""
    head = bytearray(bytes(air(packets[0], client))[:26])
    head[24] = 0x80
    *others, last = map(msdu, packets)
    return bytes(head) + b"".join(one + bytes(-len(one) % 4) for one in others) + last


@wrapping(link=105)
def ieee80211_aggregate(packet: Packet, client: bool) -> list[bytes]:
    """Between two UDP packets in one frame."""
    other = IP(src=packet[IP].src, dst=packet[IP].dst) / UDP(sport=50_000, dport=9) / Raw(b"odd")
    return [aggregate([other, packet, other], client)]


@wrapping(link=105)
def ieee80211_fragments(packet: Packet, client: bool) -> list[bytes]:
    """Every frame in fragments, the second of them sent again, its acknowledgment not heard."""
    size = 30
    whole = bytes(air(packet, client))
    head, body = whole[:26], whole[26:]
    pieces = []
    for number, at in enumerate(range(0, len(body), size)):
        piece = bytearray(head)
        piece[1] |= 0x04 if at + size < len(body) else 0
        piece[22:24] = struct.pack("<H", (packet[IP].id & 0xFFF) << 4 | number)
        pieces.append(bytes(piece) + body[at : at + size])
    again = bytearray(pieces[1])
    again[1] |= 0x08
    return [*pieces[:2], bytes(again), *pieces[2:]] if len(pieces) > 2 else pieces


@wrapping(link=105)
def ieee80211_mesh(packet: Packet, client: bool) -> list[bytes]:
    """Through a mesh, its gate's and the host's addresses behind the mesh header."""
    frame = bytes(air(packet, client))
    four = bytes([frame[0], 0x03]) + frame[2:24] + bytes.fromhex("020000000003") + b"\x00\x01"
    control = struct.pack("<BBI", 2, 31, 7) + bytes.fromhex("020000000001020000000002")
    return [four + control + frame[26:]]
