"""A builder of conversations: each call is one packet at the tap, at an exact time, written in order of the calls."""

import struct
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TypedDict, Unpack

from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Ether

EPOCH_NS = 1_700_000_000_000_000_000
FLAG_BITS = {"F": 1, "S": 2, "R": 4, "P": 8, "A": 16}
Option = tuple[str, object]


class How(TypedDict, total=False):
    """What a packet has unlike the one that would come by itself."""

    seq: int
    ack: int
    window: int
    ttl: int
    options: tuple[Option, ...]


@dataclass(frozen=True)
class Crafted:
    """One packet: when the tap saw it (seconds after the epoch of the capture) and its bytes."""

    at_s: float
    data: bytes
    original_len: int = 0

    def cut(self, snaplen: int) -> "Crafted":
        """The packet as a capture with this snaplen holds it."""
        return replace(self, data=self.data[:snaplen], original_len=len(self.data))


@dataclass
class Talk:
    """One 4-tuple's conversation. `c` and `s` send a packet; sequence numbers advance by themselves unless given."""

    client: tuple[str, int] = ("10.9.0.1", 40000)
    server: tuple[str, int] = ("10.9.0.2", 80)
    client_isn: int = 1_000
    server_isn: int = 500_000
    packets: list[Crafted] = field(default_factory=list)
    timestamps: bool = False
    ip_id: int = 0

    def __post_init__(self) -> None:
        """Both sides start at their ISN."""
        self.open(self.client_isn, self.server_isn)

    def open(self, client_isn: int, server_isn: int) -> None:
        """Start a new incarnation with these ISNs (modulo 2^32)."""
        self.nxt = {"c": client_isn % 2**32, "s": server_isn % 2**32}
        self.isn = dict(self.nxt)

    def rel(self, side: str, offset: int) -> int:
        """The sequence number `offset` after the side's ISN."""
        return (self.isn[side] + offset) % 2**32

    def c(self, at_s: float, flags: str, data: bytes = b"", **how: Unpack[How]) -> int:
        """The client sends; returns the packet's sequence number."""
        return self.send("c", at_s, flags, data, **how)

    def s(self, at_s: float, flags: str, data: bytes = b"", **how: Unpack[How]) -> int:
        """The server sends; returns the packet's sequence number."""
        return self.send("s", at_s, flags, data, **how)

    def send(
        self,
        side: str,
        at_s: float,
        flags: str,
        data: bytes = b"",
        *,
        seq: int | None = None,
        ack: int | None = None,
        window: int = 64_240,
        ttl: int = 64,
        options: tuple[Option, ...] = (),
    ) -> int:
        """One packet. `seq` defaults to what the side sends next, `ack` to everything the peer has sent."""
        peer = "s" if side == "c" else "c"
        fresh = seq is None
        seq = self.nxt[side] if seq is None else seq % 2**32
        ack = (self.nxt[peer] if ack is None else ack % 2**32) if "A" in flags else 0
        if "S" in flags and not options:
            options = (("MSS", 1460), ("SAckOK", b""), ("NOP", None), ("WScale", 7))
        if self.timestamps and "R" not in flags:
            options = (*options, ("NOP", None), ("NOP", None), ("Timestamp", (int(at_s * 1000) + 1, 1)))
        src, dst = (self.client, self.server) if side == "c" else (self.server, self.client)
        self.ip_id = self.ip_id % 65_535 + 1
        self.packets.append(Crafted(at_s, build(src, dst, seq, ack, flags, window, ttl, self.ip_id, options, data)))
        if fresh and "R" not in flags:
            self.nxt[side] = (seq + len(data) + ("S" in flags) + ("F" in flags)) % 2**32
        return seq

    def handshake(self, at_s: float = 0.0, step_s: float = 0.001) -> None:
        """SYN, SYN-ACK, ACK."""
        self.c(at_s, "S")
        self.s(at_s + step_s, "SA")
        self.c(at_s + 2 * step_s, "A")

    def established(self) -> "Talk":
        """A handshake at 0 and one HTTP exchange at 0.1 s; returns itself."""
        self.handshake()
        self.c(0.100, "PA", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        self.s(0.101, "PA", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        self.c(0.102, "A")
        return self

    def close(self, first: str = "c", at_s: float = 1.0, step_s: float = 0.001) -> float:
        """Four segments, `first` closing actively; returns when its TIME_WAIT begins."""
        second = "s" if first == "c" else "c"
        self.send(first, at_s, "FA")
        self.send(second, at_s + step_s, "A")
        self.send(second, at_s + 2 * step_s, "FA")
        self.send(first, at_s + 3 * step_s, "A")
        return at_s + 3 * step_s

    def bystander(self, at_s: float) -> None:
        """A packet that has nothing to do with it: the capture goes on."""
        packet = Ether() / IP(src="10.9.9.9", dst="10.9.9.8") / UDP(sport=9, dport=9) / b"x"
        self.packets.append(Crafted(at_s, bytes(packet)))


@lru_cache(maxsize=4096)
def build(
    src: tuple[str, int],
    dst: tuple[str, int],
    seq: int,
    ack: int,
    flags: str,
    window: int,
    ttl: int,
    ip_id: int,
    options: tuple[Option, ...],
    data: bytes,
) -> bytes:
    """An Ethernet frame with one TCP segment."""
    ethernet = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
    network = IP(src=src[0], dst=dst[0], ttl=ttl, id=ip_id)
    tcp = TCP(sport=src[1], dport=dst[1], seq=seq, ack=ack, flags=flags, window=window, options=list(options))
    return bytes(ethernet / network / tcp / data)


def write_capture(path: Path, packets: list[Crafted], link: int = 1) -> Path:
    """A nanosecond pcap of the packets, in their order, of this link type; returns the path."""
    out = [struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262_144, link)]
    for packet in packets:
        ns = EPOCH_NS + round(packet.at_s * 1_000_000) * 1_000
        size = len(packet.data)
        out.append(struct.pack("<4I", ns // 10**9, ns % 10**9, size, packet.original_len or size) + packet.data)
    path.write_bytes(b"".join(out))
    return path
