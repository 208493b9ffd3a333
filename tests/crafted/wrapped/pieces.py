"""IP datagrams in fragments."""

from scapy.layers.inet import IP, TCP, fragment
from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment, fragment6
from scapy.layers.l2 import GRE
from scapy.packet import Packet

from crafted.wrapped.registry import framed, outer, to_v6, wrapping


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
