"""Encapsulations."""

import struct

from scapy.contrib.erspan import ERSPAN_II, ERSPAN_III
from scapy.contrib.geneve import GENEVE
from scapy.contrib.gtp import GTP_U_Header, GTPPDUSessionContainer
from scapy.contrib.mpls import MPLS
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.ipsec import AH
from scapy.layers.l2 import GRE, Dot1AD, Dot1Q, Ether
from scapy.layers.ppp import PPP, PPPoE
from scapy.layers.vxlan import VXLAN
from scapy.packet import Packet, Raw

from crafted.wrapped.registry import framed, outer, over_udp, to_v6, wrapping


@wrapping(tunnel="vlan 7.12")
def vlan_two(packet: Packet, client: bool) -> list[bytes]:
    """A service tag around a customer's."""
    return [bytes(framed(Dot1AD(vlan=7, prio=5) / Dot1Q(vlan=12) / packet))]


@wrapping(tunnel="vlan 7")
def vntag(packet: Packet, client: bool) -> list[bytes]:
    """Cisco's VN-Tag in front of a tag, its virtual ports the other way round in the other direction."""
    tag = struct.pack(">HHH", 0x0005 if client else 0x8009, 0x0009 if client else 0x0005, 0x8100)
    return [framed_as(0x8926, tag + struct.pack(">HH", 7, 0x0800) + bytes(packet))]


@wrapping(tunnel="vlan 7")
def cisco_metadata(packet: Packet, client: bool) -> list[bytes]:
    """Cisco's metadata behind a tag, the security group that of the sender."""
    group = struct.pack(">HHBBHHH", 7, 0x8909, 1, 1, 1, 42 if client else 43, 0x0800)
    return [framed_as(0x8100, group + bytes(packet))]


def framed_as(kind: int, inside: bytes) -> bytes:
    """An Ethernet frame of a type that scapy shall not guess."""
    return bytes(Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02", type=kind) / Raw(inside))


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


@wrapping(tunnel="l2tp 12.3")
def l2tp(packet: Packet, client: bool) -> list[bytes]:
    """L2TP with a length and sequence numbers; who answers has another port, tunnel and session of each direction."""
    inside = b"\xff\x03\x00\x21" + bytes(packet)
    numbers = (12, 3) if client else (77, 4)
    header = struct.pack(">HHHHHH", 0x4802, 12 + len(inside), *numbers, 9, 0)
    ports = {"sport": 50_001, "dport": 1701} if client else {"sport": 1701, "dport": 50_001}
    return [bytes(outer(client) / UDP(**ports) / Raw(header + inside))]


@wrapping(tunnel="l2tp 12.3")
def l2tp_offset(packet: Packet, client: bool) -> list[bytes]:
    """L2TP without a length, with padding, and PPP without framing."""
    numbers = (12, 3) if client else (77, 4)
    header = struct.pack(">HHHH3s", 0x0202, *numbers, 3, b"")
    inside = b"\x00\x21" + bytes(packet)
    return [bytes(outer(client) / UDP(sport=1701, dport=1701) / Raw(header + inside))]


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


@wrapping(tunnel="vxlan vni 5001")
def vxlan_gpe(packet: Packet, client: bool) -> list[bytes]:
    """VXLAN whose header says that it is around IPv4."""
    header = struct.pack(">BHBI", 0x0C, 0, 1, 5001 << 8)
    return [bytes(over_udp(client, 4790) / Raw(header + bytes(packet)))]


@wrapping(tunnel="vxlan vni 5001 / vlan 7")
def vxlan_gpe_ethernet(packet: Packet, client: bool) -> list[bytes]:
    """The same around a tagged frame."""
    header = struct.pack(">BHBI", 0x0C, 0, 3, 5001 << 8)
    return [bytes(over_udp(client, 4790) / Raw(header + bytes(framed(Dot1Q(vlan=7) / packet))))]


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
