"""One conversation in every kind of header: each link type and each encapsulation, crafted with scapy or by hand.

A wrapping takes the bytes of an IP packet and who sent it, and gives the frames that carry it. Identifiers that a real
tunnel has for each direction (labels, endpoints) differ by direction here, too.
"""

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field

from scapy.contrib.erspan import ERSPAN_II, ERSPAN_III
from scapy.contrib.geneve import GENEVE
from scapy.contrib.gtp import GTP_U_Header, GTPPDUSessionContainer
from scapy.contrib.mpls import MPLS
from scapy.layers.dot11 import Dot11, Dot11QoS, RadioTap
from scapy.layers.inet import IP, TCP, UDP, fragment
from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment, fragment6
from scapy.layers.ipsec import AH
from scapy.layers.l2 import GRE, LLC, SNAP, Dot1AD, Dot1Q, Ether
from scapy.layers.ppp import HDLC, PPP, PPPoE
from scapy.layers.vxlan import VXLAN
from scapy.packet import Packet, Raw

Wrap = Callable[[Packet, bool], list[bytes]]
ETHERNET = 1


@dataclass(frozen=True)
class Wrapping:
    """A kind of header: the capture's link type, the text that the `tunnel` column must show, the function."""

    name: str
    link: int
    tunnel: str | None
    wrap: Wrap = field(compare=False)
    #: What tshark has to be told to read this.
    tshark: tuple[str, ...] = ()
    #: Why tshark does not read it all the same.
    unread: str = ""


WRAPPINGS: list[Wrapping] = []


def wrapping(
    link: int = ETHERNET, tunnel: str | None = None, tshark: tuple[str, ...] = (), unread: str = ""
) -> Callable[[Wrap], Wrap]:
    """Register a function under its name."""

    def register(wrap: Wrap) -> Wrap:
        WRAPPINGS.append(Wrapping(wrap.__name__, link, tunnel, wrap, tshark, unread))
        return wrap

    return register


def to_v6(packet: Packet) -> Packet:
    """The same segment in IPv6."""
    ends = {"10.9.0.1": "2001:0:0:9::1", "10.9.0.2": "2001:0:0:9::2"}
    segment = packet[TCP].copy()
    del segment.chksum
    return IPv6(src=ends[packet[IP].src], dst=ends[packet[IP].dst]) / segment


def framed(inside: Packet) -> Packet:
    """An Ethernet frame around a packet; scapy fills in the type."""
    return Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / inside


def outer(client: bool) -> Packet:
    """The outer IP header of a tunnel between two routers."""
    near, far = ("192.0.2.1", "192.0.2.2") if client else ("192.0.2.2", "192.0.2.1")
    return framed(IP(src=near, dst=far))


def over_udp(client: bool, port: int) -> Packet:
    """The outer headers of a tunnel over UDP, its source port that of no other."""
    return outer(client) / UDP(sport=50_001 if client else 50_002, dport=port)


# ---- link types ----


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


def air(packet: Packet, client: bool) -> Packet:
    """A QoS data frame to or from an access point."""
    station, point, host = "02:00:00:00:00:01", "02:00:00:00:00:aa", "02:00:00:00:00:02"
    if client:
        header = Dot11(type=2, subtype=8, FCfield="to_DS", addr1=point, addr2=station, addr3=host)
    else:
        header = Dot11(type=2, subtype=8, FCfield="from_DS", addr1=station, addr2=point, addr3=host)
    return header / Dot11QoS() / LLC(dsap=0xAA, ssap=0xAA, ctrl=3) / SNAP(OUI=0, code=0x0800) / packet


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


@wrapping(link=192)
def ppi_ethernet(packet: Packet, client: bool) -> list[bytes]:
    """Ethernet behind PPI."""
    return [struct.pack("<BBHI", 0, 0, 8, 1) + bytes(framed(packet))]


@wrapping(link=226)
def ipnet(packet: Packet, client: bool) -> list[bytes]:
    """Solaris's IP observability."""
    return [struct.pack(">BBHIIIII", 1, 2, 3, len(packet), 2, 0, 0, 0) + bytes(packet)]


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
    return [cooked(4) + bytes(LLC(dsap=0xAA, ssap=0xAA, ctrl=3) / SNAP(OUI=0, code=0x0800) / packet)]


@wrapping(link=276, tunnel="vlan 7")
def cooked2_tagged(packet: Packet, client: bool) -> list[bytes]:
    """Linux cooked version 2, the tag behind it."""
    header = struct.pack(">HHIHBB8s", 0x8100, 0, 2, 1, 0, 6, b"\x02\0\0\0\0\1")
    return [header + struct.pack(">HH", 7, 0x0800) + bytes(packet)]


@wrapping()
def llc_snap(packet: Packet, client: bool) -> list[bytes]:
    """An 802.3 frame: a length, LLC, SNAP."""
    inside = bytes(LLC(dsap=0xAA, ssap=0xAA, ctrl=3) / SNAP(OUI=0, code=0x0800) / packet)
    return [b"\x02\0\0\0\0\2\x02\0\0\0\0\1" + struct.pack(">H", len(inside)) + inside]


# ---- encapsulations ----


@wrapping(tunnel="vlan 7.12")
def vlan_two(packet: Packet, client: bool) -> list[bytes]:
    """A service tag around a customer's."""
    return [bytes(framed(Dot1AD(vlan=7, prio=5) / Dot1Q(vlan=12) / packet))]


@wrapping(tunnel="mpls 100.16")
def mpls(packet: Packet, client: bool) -> list[bytes]:
    """Two labels, others in the other direction."""
    first, second = (100, 16) if client else (200, 17)
    return [bytes(framed(MPLS(label=first, s=0, ttl=64) / MPLS(label=second, s=1, ttl=64) / packet))]


@wrapping(tunnel="mpls 100")
def mpls_one_way(packet: Packet, client: bool) -> list[bytes]:
    """A label towards the server; towards the client it was popped one hop before."""
    return [bytes(framed(MPLS(label=100, s=1, ttl=64) / packet if client else packet))]


def pseudowire(kind: str) -> tuple[str, ...]:
    """What tells tshark of it."""
    return ("-d", f"mpls.label==100,{kind}", "-d", f"mpls.label==200,{kind}")


@wrapping(tunnel="mpls 100 / vlan 7", tshark=pseudowire("pwethcw"))
def mpls_pseudowire(packet: Packet, client: bool) -> list[bytes]:
    """A tagged Ethernet frame behind a control word."""
    inside = Raw(struct.pack(">I", 0) + bytes(framed(Dot1Q(vlan=7) / packet)))
    return [bytes(framed(MPLS(label=100 if client else 200, s=1, ttl=64) / inside))]


@wrapping(tunnel="mpls 100", tshark=pseudowire("pwethnocw"))
def mpls_pseudowire_bare(packet: Packet, client: bool) -> list[bytes]:
    """An Ethernet frame without a control word."""
    inside = Raw(bytes(Ether(src="02:00:00:00:00:01", dst="12:00:00:00:00:02") / packet))
    return [bytes(framed(MPLS(label=100 if client else 200, s=1, ttl=64) / inside))]


@wrapping(tunnel="vlan 7 / pppoe 17")
def pppoe(packet: Packet, client: bool) -> list[bytes]:
    """A PPPoE session in a VLAN."""
    return [bytes(framed(Dot1Q(vlan=7) / PPPoE(sessionid=17) / PPP(proto=0x0021) / packet))]


@wrapping(tunnel="gre")
def gre(packet: Packet, client: bool) -> list[bytes]:
    """GRE with a checksum."""
    return [bytes(outer(client) / GRE(chksum_present=1) / packet)]


@wrapping(tunnel="gre 0x2a")
def gre_key_sequence(packet: Packet, client: bool) -> list[bytes]:
    """GRE with key and sequence number."""
    return [bytes(outer(client) / GRE(key_present=1, key=42, seqnum_present=1, sequence_number=9) / packet)]


@wrapping(tunnel="gre 0x2a / vlan 7")
def gre_ethernet(packet: Packet, client: bool) -> list[bytes]:
    """A tagged frame in GRE."""
    return [bytes(outer(client) / GRE(proto=0x6558, key_present=1, key=42) / framed(Dot1Q(vlan=7) / packet))]


@wrapping(tunnel="pptp call 1")
def pptp(packet: Packet, client: bool) -> list[bytes]:
    """PPTP's GRE, a call id for each direction."""
    inside = b"\xff\x03\x00\x21" + bytes(packet)
    header = struct.pack(">HHHHI", 0x3001, 0x880B, len(inside), 1 if client else 2, 9)
    return [with_protocol(client, 47, header + inside)]


def with_protocol(client: bool, number: int, inside: bytes) -> bytes:
    """Outer headers with an IP protocol that scapy shall not guess."""
    packet = outer(client)
    packet[IP].proto = number
    return bytes(packet / Raw(inside))


@wrapping(tunnel="erspan")
def erspan_1(packet: Packet, client: bool) -> list[bytes]:
    """ERSPAN type I: a frame in GRE with no header of its own."""
    return [with_protocol(client, 47, b"\x00\x00\x88\xbe" + bytes(framed(packet)))]


@wrapping(tunnel="erspan 100")
def erspan_2(packet: Packet, client: bool) -> list[bytes]:
    """ERSPAN type II."""
    gre = GRE(proto=0x88BE, seqnum_present=1, sequence_number=9)
    return [bytes(outer(client) / gre / ERSPAN_II(session_id=100) / framed(packet))]


@wrapping(tunnel="erspan 100")
def erspan_3(packet: Packet, client: bool) -> list[bytes]:
    """ERSPAN type III with a platform's subheader."""
    gre = GRE(proto=0x22EB, seqnum_present=1, sequence_number=9)
    subheader = b"\x04" + bytes(7)
    header = bytes(ERSPAN_III(session_id=100, ft=0, o=1))[:12]
    return [bytes(outer(client) / gre / Raw(header + subheader + bytes(framed(packet))))]


@wrapping(tunnel="vxlan vni 5001")
def vxlan(packet: Packet, client: bool) -> list[bytes]:
    """VXLAN."""
    return [bytes(over_udp(client, 4789) / VXLAN(vni=5001, flags=8) / framed(packet))]


@wrapping(tunnel="vxlan vni 5001 / vlan 7", tshark=("-d", "udp.port==8472,vxlan"))
def vxlan_linux(packet: Packet, client: bool) -> list[bytes]:
    """VXLAN at Linux's old port, a tag inside."""
    return [
        bytes(over_udp(client, 8472) / Raw(bytes(VXLAN(vni=5001, flags=8)) + bytes(framed(Dot1Q(vlan=7) / packet))))
    ]


@wrapping(tunnel="geneve vni 77")
def geneve(packet: Packet, client: bool) -> list[bytes]:
    """GENEVE around a frame, one option."""
    header = struct.pack(">BBHI", 2, 0, 0x6558, 77 << 8) + b"\x01\x08\x80\x01\xde\xad\xbe\xef"
    return [bytes(over_udp(client, 6081) / Raw(header + bytes(framed(packet))))]


@wrapping(tunnel="geneve vni 77")
def geneve_ip(packet: Packet, client: bool) -> list[bytes]:
    """GENEVE around IP."""
    return [bytes(over_udp(client, 6081) / GENEVE(proto=0x0800, vni=77) / packet)]


@wrapping(tunnel="gtp 0x1a2b")
def gtp(packet: Packet, client: bool) -> list[bytes]:
    """GTP-U with a PDU session container, an endpoint for each direction."""
    header = GTP_U_Header(teid=0x1A2B if client else 0x3C4D, E=1, gtp_type=0xFF)
    return [bytes(over_udp(client, 2152) / header / GTPPDUSessionContainer(type=int(client), QFI=9) / packet)]


@wrapping(tunnel="ipip")
def ipip(packet: Packet, client: bool) -> list[bytes]:
    """IPv4 in IPv4."""
    return [bytes(outer(client) / packet)]


@wrapping(tunnel="ipip")
def ipip_one_way(packet: Packet, client: bool) -> list[bytes]:
    """A load balancer's tunnel towards the server, which answers directly."""
    return [bytes(outer(client) / packet if client else framed(packet))]


@wrapping(tunnel="6in4")
def six_in_four(packet: Packet, client: bool) -> list[bytes]:
    """IPv6 in IPv4."""
    return [bytes(outer(client) / to_v6(packet))]


@wrapping(tunnel="4in6")
def four_in_six(packet: Packet, client: bool) -> list[bytes]:
    """IPv4 in IPv6."""
    return [bytes(framed(IPv6(src="fd01::1", dst="fd01::2") / packet))]


@wrapping(tunnel="6in6")
def six_in_six(packet: Packet, client: bool) -> list[bytes]:
    """IPv6 in IPv6."""
    return [bytes(framed(IPv6(src="fd01::1", dst="fd01::2") / to_v6(packet)))]


@wrapping(tunnel="teredo")
def teredo(packet: Packet, client: bool) -> list[bytes]:
    """Teredo to and from a relay, an origin indication in front."""
    ports = {"sport": 50_001, "dport": 3544} if client else {"sport": 3544, "dport": 50_001}
    return [bytes(outer(client) / UDP(**ports) / Raw(b"\0\0\x12\x34\xc0\0\2\1" + bytes(to_v6(packet))))]


@wrapping(tunnel="ah")
def ah(packet: Packet, client: bool) -> list[bytes]:
    """IPsec's authentication header in transport mode."""
    header = AH(nh=6, payloadlen=4, spi=1 if client else 2, seq=9, icv=bytes(12))
    inside = Raw(bytes(header) + bytes(packet[TCP]))
    return [bytes(framed(IP(src=packet[IP].src, dst=packet[IP].dst, proto=51) / inside))]


@wrapping(tunnel="vlan 3 / gre / vxlan vni 5001 / vlan 7.12")
def nested(packet: Packet, client: bool) -> list[bytes]:
    """VXLAN in GRE in a VLAN, two tags inside."""
    inner = framed(Dot1Q(vlan=7) / Dot1Q(vlan=12) / packet)
    ends = ("198.51.100.1", "198.51.100.2") if client else ("198.51.100.2", "198.51.100.1")
    overlay = IP(src=ends[0], dst=ends[1]) / UDP(sport=50_001, dport=4789) / VXLAN(vni=5001, flags=8) / inner
    return [bytes(framed(Dot1Q(vlan=3) / outer(client)[IP] / GRE() / overlay))]


# ---- fragments ----


@wrapping()
def fragments_v4(packet: Packet, client: bool) -> list[bytes]:
    """Every packet with a payload in fragments of 24 bytes, the last first."""
    packet[IP].flags = 0
    return [bytes(framed(piece)) for piece in reversed(fragment(packet, fragsize=24))]


@wrapping()
def fragments_v6(packet: Packet, client: bool) -> list[bytes]:
    """The same in IPv6, in order."""
    whole = to_v6(packet)
    whole = IPv6(src=whole.src, dst=whole.dst) / IPv6ExtHdrFragment(id=packet[IP].id) / whole[TCP]
    return [bytes(framed(piece)) for piece in fragment6(whole, 80)]


@wrapping(tunnel="gre 0x2a")
def fragments_around_gre(packet: Packet, client: bool) -> list[bytes]:
    """A tunnel's own packets in fragments."""
    whole = outer(client)[IP] / GRE(key_present=1, key=42) / packet
    whole[IP].id = packet[IP].id
    return [bytes(framed(piece)) for piece in fragment(IP(bytes(whole)), fragsize=32)]


@wrapping(tunnel="ipip")
def fragments_inside_ipip(packet: Packet, client: bool) -> list[bytes]:
    """Fragments, each in a tunnel's packet."""
    return [bytes(outer(client) / piece) for piece in fragment(packet, fragsize=24)]
