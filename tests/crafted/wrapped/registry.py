"""What a wrapping is, and the headers that several of them have."""

from collections.abc import Callable
from dataclasses import dataclass, field

from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import LLC, SNAP, Ether
from scapy.packet import Packet

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


def behind_llc(packet: Packet) -> Packet:
    """An IPv4 packet behind logical link control and SNAP."""
    return LLC(dsap=0xAA, ssap=0xAA, ctrl=3) / SNAP(OUI=0, code=0x0800) / packet
