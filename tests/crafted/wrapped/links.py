"""Link types, but those of the air."""

import struct

from scapy.layers.ppp import HDLC, PPP, PPPoE
from scapy.packet import Packet

from crafted.wrapped.registry import behind_llc, framed, to_v6, wrapping


@wrapping(link=0)
def null(packet: Packet, client: bool) -> list[bytes]:
    """BSD loopback, in the order of a little-endian host."""
    return [struct.pack("<I", 2) + bytes(packet)]


@wrapping(link=108)
def loop(packet: Packet, client: bool) -> list[bytes]:
    """OpenBSD's loopback, in network order, with its family of IPv6."""
    return [struct.pack(">I", 24) + bytes(to_v6(packet))]


@wrapping(link=12, unread="Wireshark takes link type 12 for ATM; systems' DLT_RAW is 12")
def raw_12(packet: Packet, client: bool) -> list[bytes]:
    """IP by itself, under the number of most systems' DLT_RAW."""
    return [bytes(packet)]


@wrapping(link=14)
def raw_14(packet: Packet, client: bool) -> list[bytes]:
    """IP by itself, under OpenBSD's number."""
    return [bytes(to_v6(packet))]


@wrapping(link=101)
def raw(packet: Packet, client: bool) -> list[bytes]:
    """IP by itself, both versions' number."""
    return [bytes(packet)]


@wrapping(link=9)
def ppp(packet: Packet, client: bool) -> list[bytes]:
    """PPP in HDLC-like framing."""
    return [bytes(HDLC() / PPP(proto=0x0021) / packet)]


@wrapping(link=50)
def ppp_serial(packet: Packet, client: bool) -> list[bytes]:
    """A serial line with PPP."""
    return [bytes(HDLC() / PPP(proto=0x0021) / packet)]


@wrapping(link=50)
def ppp_serial_cisco(packet: Packet, client: bool) -> list[bytes]:
    """A serial line with Cisco's framing under the same link type."""
    return [b"\x0f\x00\x08\x00" + bytes(packet)]


@wrapping(link=51, tunnel="pppoe 17")
def ppp_ether(packet: Packet, client: bool) -> list[bytes]:
    """A PPPoE session without its Ethernet header."""
    return [bytes(PPPoE(sessionid=17) / PPP(proto=0x0021) / packet)]


@wrapping(link=104)
def c_hdlc(packet: Packet, client: bool) -> list[bytes]:
    """Cisco's framing."""
    return [b"\x0f\x00\x08\x00" + bytes(packet)]


@wrapping(link=166, unread="Wireshark does not know link type 166")
def ppp_pppd(packet: Packet, client: bool) -> list[bytes]:
    """PPP with its direction in place of the address byte."""
    return [bytes([client, 0x03, 0x00, 0x21]) + bytes(packet)]


@wrapping(link=204)
def ppp_with_direction(packet: Packet, client: bool) -> list[bytes]:
    """PPP behind its direction."""
    return [bytes([client, 0xFF, 0x03, 0x00, 0x21]) + bytes(packet)]


@wrapping(link=192)
def ppi_ethernet(packet: Packet, client: bool) -> list[bytes]:
    """Ethernet behind PPI."""
    return [struct.pack("<BBHI", 0, 0, 8, 1) + bytes(framed(packet))]


@wrapping(link=226)
def ipnet(packet: Packet, client: bool) -> list[bytes]:
    """Solaris's IP observability."""
    return [struct.pack(">BBHIIIII", 1, 2, 3, len(packet), 2, 0, 0, 0) + bytes(packet)]


@wrapping(link=117)
def pflog(packet: Packet, client: bool) -> list[bytes]:
    """The packet filter's log as FreeBSD has it: 69 bytes, padded to 72."""
    rule = struct.pack(">BBBB16s16sII16sB", 69, 2, 0, 0, b"em0", b"", 7, 0xFFFFFFFF, b"", 1 + client)
    return [rule.ljust(72, b"\0") + bytes(packet)]


@wrapping(link=117)
def pflog_v6(packet: Packet, client: bool) -> list[bytes]:
    """The same as OpenBSD has it, whose header is longer."""
    rule = struct.pack(">BBBB16s16sII16sB", 100, 24, 0, 0, b"em0", b"", 7, 0xFFFFFFFF, b"", 1 + client)
    return [rule.ljust(100, b"\0") + bytes(to_v6(packet))]


@wrapping(link=109)
def enc(packet: Packet, client: bool) -> list[bytes]:
    """Behind BSD's IPsec, with an association of each direction: encrypted and authenticated."""
    return [struct.pack("<I", 2) + struct.pack(">I", 0x1001 + client) + struct.pack("<I", 0x0C00) + bytes(packet)]


@wrapping(link=13)
def enc_13(packet: Packet, client: bool) -> list[bytes]:
    """The same under OpenBSD's number, IPv6."""
    return [
        struct.pack("<I", 24) + struct.pack(">I", 0x1001 + client) + struct.pack("<I", 0x0C00) + bytes(to_v6(packet))
    ]


@wrapping(link=239)
def nflog(packet: Packet, client: bool) -> list[bytes]:
    """Netfilter's log: a prefix, then the packet."""
    data = bytes(packet)
    return [
        struct.pack("<BBH", 2, 0, 0x0500)
        + struct.pack("<HH4s", 8, 10, b"in:\0")
        + struct.pack("<HH", 4 + len(data), 9)
        + data
    ]


@wrapping(link=258)
def pktap(packet: Packet, client: bool) -> list[bytes]:
    """macOS's packet tap around Ethernet."""
    header = struct.pack("<III24sII", 156, 1, 1, b"en0", 1, 2).ljust(156, b"\0")
    return [header + bytes(framed(packet))]


@wrapping(link=228)
def ipv4(packet: Packet, client: bool) -> list[bytes]:
    """Bare IPv4."""
    return [bytes(packet)]


@wrapping(link=229)
def ipv6(packet: Packet, client: bool) -> list[bytes]:
    """Bare IPv6."""
    return [bytes(to_v6(packet))]


def cooked(protocol: int) -> bytes:
    """A Linux cooked header of version 1."""
    return struct.pack(">HHH8sH", 0, 1, 6, b"\x02\0\0\0\0\1", protocol)


@wrapping(link=113)
def cooked_llc(packet: Packet, client: bool) -> list[bytes]:
    """Linux cooked around LLC and SNAP."""
    return [cooked(4) + bytes(behind_llc(packet))]


@wrapping(link=276, tunnel="vlan 7")
def cooked2_tagged(packet: Packet, client: bool) -> list[bytes]:
    """Linux cooked version 2, the tag behind it."""
    header = struct.pack(">HHIHBB8s", 0x8100, 0, 2, 1, 0, 6, b"\x02\0\0\0\0\1")
    return [header + struct.pack(">HH", 7, 0x0800) + bytes(packet)]


@wrapping()
def llc_snap(packet: Packet, client: bool) -> list[bytes]:
    """An 802.3 frame: a length, LLC, SNAP."""
    inside = bytes(behind_llc(packet))
    return [b"\x02\0\0\0\0\2\x02\0\0\0\0\1" + struct.pack(">H", len(inside)) + inside]


@wrapping(link=100)
def atm_rfc1483(packet: Packet, client: bool) -> list[bytes]:
    """Logical link control by itself, as over ATM."""
    return [bytes(behind_llc(packet))]
