"""Capture files into a list of raw packets: pcap (µs, ns, modified, both byte orders) and pcapng, plain or gzip.

dpkt's own readers know one pcapng section and interface and no modified pcap, so the headers are read here by hand.
Formats: <https://www.ietf.org/archive/id/draft-ietf-opsawg-pcap-05.html> and …-pcapng-03.html.
"""

import gzip
import struct
from dataclasses import dataclass
from pathlib import Path

PCAP_MAGICS = {0xA1B2C3D4: (1_000, 16), 0xA1B23C4D: (1, 16), 0xA1B2CD34: (1_000, 24)}
SHB, IDB, PB, SPB, EPB = 0x0A0D0D0A, 1, 2, 3, 6
#: Section and interface of a packet.
Lane = tuple[int, int]


class NotACaptureError(ValueError):
    """The bytes are neither pcap nor pcapng."""


@dataclass(frozen=True)
class RawPacket:
    """One packet as the file holds it; `ts_ns` since 1970 UTC, `frame` from 1 as Wireshark counts."""

    ts_ns: int
    frame: int
    link: int
    data: bytes
    original_len: int


def read_capture(path: Path) -> list[RawPacket]:
    """All packets of a file; a file cut short gives the packets before the cut. Raises `NotACaptureError`."""
    data = path.read_bytes()
    if data[:2] == b"\x1f\x8b":
        data = gzip.decompress(data)
    if data[:4] == b"\x0a\x0d\x0d\x0a":
        return read_pcapng(data)
    return read_pcap(data)


def read_pcap(data: bytes) -> list[RawPacket]:
    """The packets of a pcap file."""
    for order in "<>":
        if len(data) >= 24 and struct.unpack_from(order + "I", data)[0] in PCAP_MAGICS:
            break
    else:
        raise NotACaptureError(f"magic {data[:4].hex()}")
    unit_ns, header_len = PCAP_MAGICS[struct.unpack_from(order + "I", data)[0]]
    link = struct.unpack_from(order + "I", data, 20)[0] & 0x0FFFFFFF
    packets: list[RawPacket] = []
    at = 24
    while at + header_len <= len(data):
        seconds, fraction, captured, original = struct.unpack_from(order + "4I", data, at)
        at += header_len
        if at + captured > len(data):
            break
        ts_ns = seconds * 1_000_000_000 + fraction * unit_ns
        packets.append(RawPacket(ts_ns, len(packets) + 1, link, data[at : at + captured], original))
        at += captured
    return packets


@dataclass
class Interface:
    """A pcapng interface: its link type, the length of a tick and the offset of its clock."""

    link: int
    snaplen: int
    ticks_per_s: int = 1_000_000
    offset_s: int = 0

    def ts_ns(self, ticks: int) -> int:
        """A tick count as ns since 1970."""
        return ticks * 1_000_000_000 // self.ticks_per_s + self.offset_s * 1_000_000_000


def read_interface(body: bytes, order: str) -> Interface:
    """An interface description block's body."""
    link, _, snaplen = struct.unpack_from(order + "HHI", body)
    interface = Interface(link, snaplen)
    at = 8
    while at + 4 <= len(body):
        code, length = struct.unpack_from(order + "HH", body, at)
        value = body[at + 4 : at + 4 + length]
        if code == 0:
            break
        if code == 9 and length == 1:  # if_tsresol
            interface.ticks_per_s = 2 ** (value[0] & 0x7F) if value[0] & 0x80 else 10 ** value[0]
        if code == 14 and length == 8:  # if_tsoffset
            interface.offset_s = struct.unpack(order + "q", value)[0]
        at += 4 + (length + 3) // 4 * 4
    return interface


def read_pcapng(data: bytes) -> list[RawPacket]:
    """The packets of a pcapng file, all sections and interfaces."""
    packets: list[RawPacket] = []
    lanes: list[Lane] = []
    interfaces: list[Interface] = []
    section, alone = 0, None
    order, at = "<", 0
    while at + 12 <= len(data):
        if data[at : at + 4] == b"\x0a\x0d\x0d\x0a":
            order = "<" if data[at + 8 : at + 12] == b"\x4d\x3c\x2b\x1a" else ">"
            interfaces = []
            section += 1
        kind, length = struct.unpack_from(order + "II", data, at)
        if length < 12 or length % 4 or at + length > len(data):
            break
        body = data[at + 8 : at + length - 4]
        if kind == IDB:
            interfaces.append(read_interface(body, order))
            if len(interfaces) > 1 and alone is None:
                alone = len(packets)
        elif kind in (EPB, PB, SPB):
            packet = read_packet_block(kind, body, order, interfaces, len(packets) + 1)
            if packet is not None:
                packets.append(packet)
                lanes.append(lane_of(kind, body, order, section, lanes))
        at += length
    if alone is None:
        return packets
    return packets[:alone] + by_time(packets[alone:], lanes[alone:])


def lane_of(kind: int, body: bytes, order: str, section: int, before: list[Lane]) -> Lane:
    """The section and the interface of a packet; one without a time goes with the packet before it."""
    if kind == SPB:
        return before[-1] if before else (section, 0)
    return (section, struct.unpack_from(order + ("I" if kind == EPB else "H"), body)[0])


def by_time(packets: list[RawPacket], lanes: list[Lane]) -> list[RawPacket]:
    """Packets of several interfaces in order of time, those of each in the order in which they are."""
    times: list[int] = []
    for packet in packets:
        times.append(packet.ts_ns or (times[-1] if times else 0))
    least: dict[Lane, int] = {}
    turns: list[tuple[int, int]] = []
    for at in reversed(range(len(packets))):
        least[lanes[at]] = min(times[at], least.get(lanes[at], times[at]))
        turns.append((least[lanes[at]], at))
    return [packets[at] for _, at in sorted(turns)]


def read_packet_block(kind: int, body: bytes, order: str, interfaces: list[Interface], frame: int) -> RawPacket | None:
    """An enhanced, obsolete or simple packet block's body."""
    if kind == SPB:
        number, ticks, start = 0, 0, 4
        original = struct.unpack_from(order + "I", body)[0]
        captured = min(original, len(body) - start)
        if interfaces and interfaces[0].snaplen:
            captured = min(captured, interfaces[0].snaplen)
    else:
        if kind == EPB:
            number, high, low, captured, original = struct.unpack_from(order + "5I", body)
        else:
            number, _, high, low, captured, original = struct.unpack_from(order + "HH4I", body)
        ticks, start = (high << 32) + low, 20
    if number >= len(interfaces) or start + captured > len(body):
        return None
    interface = interfaces[number]
    ts_ns = 0 if kind == SPB else interface.ts_ns(ticks)
    return RawPacket(ts_ns, frame, interface.link, body[start : start + captured], original)
