"""Raw packets into TCP segments with dpkt: Ethernet, VLAN, Linux cooked, raw IP, null and loop; IPv4, IPv6.

Of tunnels those whose identifiers have a direction: MPLS, GTP-U, L2TP, PPTP (`unwrap.py`).
"""

import ipaddress
import struct
from dataclasses import dataclass, field

import dpkt

from .capture import RawPacket
from .unwrap import Way, unwrap, unwrap_labels

FIN, SYN, RST, ACK = 1, 2, 4, 16
VLANS = (0x8100, 0x88A8, 0x9100)
Endpoint = tuple[str, int]


@dataclass
class Segment:
    """One TCP segment. `seq_offset`/`ack_offset` are filled in later: bytes from the ISNs, free of wrap."""

    ts_ns: int
    frame: int
    file: str
    src: Endpoint
    dst: Endpoint
    vlans: tuple[int, ...]
    ttl: int
    ip_id: int | None
    seq: int
    ack: int
    flags: int
    window: int
    payload: bytes
    payload_len: int
    options: list[tuple[int, bytes]] = field(default_factory=list)
    seq_offset: int = 0
    ack_offset: int = 0
    way: Way | None = None
    stale: bool = False
    duplicate: bool = False

    def has(self, flag: int) -> bool:
        """Whether the flag is set."""
        return bool(self.flags & flag)

    @property
    def space(self) -> int:
        """Sequence numbers that it occupies."""
        return self.payload_len + self.has(SYN) + self.has(FIN)

    @property
    def data_offset(self) -> int:
        """Offset of the first payload byte (a SYN takes one number before it)."""
        return self.seq_offset + self.has(SYN)

    @property
    def end_offset(self) -> int:
        """Offset after its last byte, SYN and FIN included."""
        return self.seq_offset + self.space

    @property
    def cut(self) -> bool:
        """Whether the snaplen cut it."""
        return len(self.payload) < self.payload_len

    @property
    def pure_syn(self) -> bool:
        """SYN that asks, not answers."""
        return self.has(SYN) and not self.has(ACK) and not self.has(RST)

    @property
    def syn_ack(self) -> bool:
        """SYN that answers."""
        return self.has(SYN) and self.has(ACK) and not self.has(RST)

    @property
    def pure_ack(self) -> bool:
        """An acknowledgment and nothing else."""
        return self.has(ACK) and not (self.payload_len or self.has(SYN) or self.has(FIN) or self.has(RST))


def read_segments(packets: list[RawPacket], file: str) -> list[Segment]:
    """The TCP segments among the packets, in capture order; everything else is left out."""
    segments = []
    for packet in packets:
        try:
            segment = read_segment(packet, file)
        except (dpkt.dpkt.Error, struct.error, IndexError, ValueError):
            continue
        if segment is not None:
            segments.append(segment)
    return segments


def read_segment(packet: RawPacket, file: str) -> Segment | None:
    """One packet's TCP segment, if its header was captured up to the flags; what is cut of the rest is zero."""
    found = strip_link(packet)
    if found is None:
        return None
    ip_bytes, vlans, way = found
    ip_bytes, way = unwrap(ip_bytes, way)
    version = ip_bytes[0] >> 4
    network = read_ipv4(ip_bytes) if version == 4 else read_ipv6(ip_bytes) if version == 6 else None
    if network is None:
        return None
    src, dst, ttl, ip_id, transport, wire_len = network
    header_len = (transport[12] >> 4) * 4
    if header_len < 20 or len(transport) < 14 or wire_len < header_len:
        return None
    tcp = dpkt.tcp.TCP(transport.ljust(20, b"\0"))
    try:
        options = dpkt.tcp.parse_opts(tcp.opts)
    except (dpkt.dpkt.Error, IndexError):
        options = []
    return Segment(
        packet.ts_ns, packet.frame, file, (src, tcp.sport), (dst, tcp.dport), vlans, ttl, ip_id,
        tcp.seq, tcp.ack, tcp.flags, tcp.win, transport[header_len:wire_len], wire_len - header_len,
        [(kind, value) for kind, value in options if value is not None], way=way,
    )  # fmt: skip


def strip_link(packet: RawPacket) -> tuple[bytes, tuple[int, ...], Way | None] | None:
    """The bytes from the IP header on, the VLAN ids around it, and what its labels say."""
    data = packet.data
    if packet.link == 1:
        ether_type, data = struct.unpack_from(">H", data, 12)[0], data[14:]
    elif packet.link == 113:  # Linux cooked v1
        ether_type, data = struct.unpack_from(">H", data, 14)[0], data[16:]
    elif packet.link == 276:  # Linux cooked v2
        ether_type, data = struct.unpack_from(">H", data)[0], data[20:]
    elif packet.link in (12, 14, 101, 228, 229):
        return data, (), None
    elif packet.link in (0, 108):  # null, loop: address family in the writer's byte order
        families = {struct.unpack_from("<I", data)[0], struct.unpack_from(">I", data)[0]}
        return (data[4:], (), None) if families & {2, 10, 23, 24, 28, 30} else None
    else:
        return None
    vlans: list[int] = []
    while ether_type in VLANS:
        tag, ether_type = struct.unpack_from(">HH", data)
        vlans.append(tag & 0x0FFF)
        data = data[4:]
    if ether_type in (0x8847, 0x8848):
        return (*unwrap_labels(data)[:1], tuple(vlans), unwrap_labels(data)[1])
    return (data, tuple(vlans), None) if ether_type in (0x0800, 0x86DD) else None


Network = tuple[str, str, int, int | None, bytes, int]


def read_ipv4(data: bytes) -> Network | None:
    """Source, destination, TTL, id, transport bytes captured, transport length on the wire."""
    ip = dpkt.ip.IP(data[:20])
    header_len = ip.hl * 4
    if ip.p != 6 or header_len < 20 or len(data) < header_len:
        return None
    if struct.unpack_from(">H", data, 6)[0] & 0x3FFF:  # a fragment: more fragments, or an offset
        return None
    total = ip.len or len(data)  # 0: segmentation offload, "to the end of the frame"
    if total < header_len:
        return None
    transport = data[header_len:total]
    src, dst = (str(ipaddress.IPv4Address(a)) for a in (ip.src, ip.dst))
    return src, dst, ip.ttl, ip.id, transport, total - header_len


def read_ipv6(data: bytes) -> Network | None:
    """The same for IPv6, after its extension headers (RFC 8200 §4)."""
    if len(data) < 40:
        return None
    _, length, kind, hops, src_bytes, dst_bytes = struct.unpack_from(">IHBB16s16s", data)
    total = 40 + length if length else len(data)
    at = 40
    while kind in (0, 43, 44, 51, 60):
        following, size = data[at], data[at + 1]
        if kind == 44 and struct.unpack_from(">H", data, at + 2)[0] & 0xFFF9:
            return None
        at += 8 if kind == 44 else (size + 2) * 4 if kind == 51 else (size + 1) * 8
        kind = following
    if kind != 6 or total < at:
        return None
    src, dst = (ipaddress.IPv6Address(a) for a in (src_bytes, dst_bytes))
    if src.ipv4_mapped or dst.ipv4_mapped:  # of no packet on the wire
        return None
    return str(src), str(dst), hops, None, data[at:total], total - at
