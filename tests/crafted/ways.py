"""Connections in tunnels whose identifiers differ by direction, several of one 4-tuple among them; what must be read.

Expectations are derived by hand: a connection's directions have different labels, endpoints, calls or sessions, or one
of them none, and it is one row; two networks with the same addresses and ports are two, whatever their order.
"""

import random
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from .situations import CLIENT_CLOSED, SERVER_CLOSED
from .talk import Crafted, Talk

Row = dict[str, Any]
#: An IP packet, and whether the client sent it, into a frame.
Wrap = Callable[[bytes, bool], bytes]
ETHERNET = b"\x02\0\0\0\0\2\x02\0\0\0\0\1"
#: Numbers that are far from those of a `Talk` by itself.
FAR = (2_000_000_000, 3_000_000_000)


@dataclass(frozen=True)
class Case:
    """Packets in their order, and the rows that must be read."""

    name: str
    packets: list[Crafted] = field(compare=False)
    rows: list[Row] = field(compare=False)


def bare(packet: bytes, client: bool) -> bytes:
    """Nothing around it."""
    return ETHERNET + b"\x08\0" + packet


def labels(to_server: Iterable[int], to_client: Iterable[int]) -> Wrap:
    """A stack of labels for each direction, outermost first; an empty one is none."""
    stacks = {True: list(to_server), False: list(to_client)}

    def wrap(packet: bytes, client: bool) -> bytes:
        stack = stacks[client]
        if not stack:
            return bare(packet, client)
        entries = [struct.pack(">I", label << 12 | 64) for label in stack]
        entries[-1] = struct.pack(">I", stack[-1] << 12 | 1 << 8 | 64)
        return ETHERNET + b"\x88\x47" + b"".join(entries) + packet

    return wrap


def outer(client: bool, cell: str) -> IP:
    """The outer header between a cell and the core."""
    near, far = (cell, "192.0.2.2") if client else ("192.0.2.2", cell)
    return IP(src=near, dst=far)


def gtp(up: int, down: int, cell: str = "192.0.2.1") -> Wrap:
    """GTP-U: an endpoint for what goes to the core, and one of the cell."""

    def wrap(packet: bytes, client: bool) -> bytes:
        header = struct.pack(">BBHI", 0x30, 0xFF, len(packet), up if client else down)
        return bare(bytes(outer(client, cell) / UDP(sport=2152, dport=2152) / Raw(header + packet)), client)

    return wrap


def pptp(up: int, down: int) -> Wrap:
    """PPTP's GRE: a call for each direction."""

    def wrap(packet: bytes, client: bool) -> bytes:
        inside = b"\xff\x03\x00\x21" + packet
        header = struct.pack(">HHHHI", 0x3001, 0x880B, len(inside), up if client else down, 9)
        ip = outer(client, "192.0.2.1")
        ip.proto = 47
        return bare(bytes(ip / Raw(header + inside)), client)

    return wrap


def l2tp(up: tuple[int, int], down: tuple[int, int]) -> Wrap:
    """L2TP: a tunnel and a session of each direction."""

    def wrap(packet: bytes, client: bool) -> bytes:
        header = struct.pack(">HHH", 2, *(up if client else down)) + b"\xff\x03\x00\x21"
        return bare(bytes(outer(client, "192.0.2.1") / UDP(sport=1701, dport=1701) / Raw(header + packet)), client)

    return wrap


def inside(wrap: Wrap, packets: list[Crafted], later_s: float = 0.0) -> list[Crafted]:
    """Packets of a talk with this around them, so much later."""
    out = []
    for one in packets:
        frame = Ether(one.data)
        out.append(Crafted(one.at_s + later_s, wrap(bytes(frame.payload), frame[TCP].sport == 40_000)))
    return out


def talk(first: str, far: bool = False) -> list[Crafted]:
    """A handshake, one exchange, closed by this side; with other numbers if `far`."""
    one = Talk(client_isn=FAR[0], server_isn=FAR[1]) if far else Talk()
    one.established().close(first)
    return one.packets


def mixed(*parts: list[Crafted]) -> list[Crafted]:
    """All of them in order of time."""
    return sorted((one for part in parts for one in part), key=lambda one: one.at_s)


def two(one: Wrap, other: Wrap, start: int = 0, sides: tuple[bool, ...] = (True, False)) -> list[Crafted]:
    """Two networks at one time, 300 µs apart: the first closed by its client, the second by its server."""

    def part(wrap: Wrap, first: str, far: bool, later_s: float) -> list[Crafted]:
        packets = [p for p in talk(first, far) if (Ether(p.data)[TCP].sport == 40_000) in sides]
        return inside(wrap, packets[start:], later_s)

    return mixed(part(one, "c", False, 0.0), part(other, "s", True, 0.0013))


WHOLE = {"client_packets": 6, "server_packets": 4, "requests": 1, "client_retransmits": 0, "server_retransmits": 0}


def rows(*tunnels: str | None, **more: Any) -> list[Row]:
    """The rows of `two`, or of its first alone."""
    closed = (CLIENT_CLOSED, SERVER_CLOSED)
    return [row | WHOLE | {"tunnel": tunnel} | more for row, tunnel in zip(closed, tunnels, strict=False)]


def handover() -> list[Crafted]:
    """The endpoints change between request and response, and once more before the close."""
    packets = talk("c")
    cells = [gtp(0x10, 0x20), gtp(0x10, 0x77, "192.0.2.9"), gtp(0x55, 0x66, "192.0.2.8")]
    return [inside(cells[(at > 3) + (at > 5)], [one])[0] for at, one in enumerate(packets)]


def again(then: Wrap) -> list[Crafted]:
    """The 4-tuple in a tunnel and, 5 s after its close, used again."""
    return inside(gtp(0x10, 0x20), talk("c")) + inside(then, talk("s", far=True), 6.0)


def two_points(one: Wrap, other: Wrap, hops: int) -> list[Crafted]:
    """Each packet at two points with other identifiers, 300 µs apart."""
    copies = []
    for packet in talk("c"):
        frame = Ether(packet.data)
        frame[IP].ttl -= hops
        del frame[IP].chksum
        copies.append(Crafted(packet.at_s + 3e-4, bytes(frame)))
    return mixed(inside(one, talk("c")), inside(other, copies))


def syn_again() -> list[Crafted]:
    """The SYN is sent again on another path, and the answer comes on a third."""
    packets = talk("c")
    syn = Ether(packets[0].data)
    syn[IP].id = 999
    del syn[IP].chksum
    first = [Crafted(packets[0].at_s - 1.0, bytes(syn))]
    return inside(labels([900], [17]), first) + inside(labels([100], [17]), packets)


def late_label() -> list[Crafted]:
    """Bare packets of one network, then another's with a label: the first of the capture."""
    return mixed(inside(bare, talk("c")), inside(labels([100], [17]), talk("s", far=True), 0.05))


GTP, MPLS = "gtp 0x10", "mpls 100.16"
ONE_WAY = {"client_packets": 6, "server_packets": 0, "quality": frozenset({"one_sided"})}
CASES = [
    Case("gtp_two_tunnels", two(gtp(0x10, 0x20), gtp(0x11, 0x21)), rows(GTP, "gtp 0x11")),
    Case("gtp_an_endpoint_for_each_direction", inside(gtp(0x10, 0x20), talk("c")), rows(GTP)),
    Case("gtp_one_endpoint_for_both", inside(gtp(0x10, 0x10), talk("c")), rows(GTP)),
    Case("gtp_two_cells_with_one_endpoint", two(gtp(0x10, 1), gtp(0x11, 1, "192.0.2.9")), rows(GTP, "gtp 0x11")),
    Case("gtp_handover", handover(), rows(GTP)),
    Case("gtp_from_the_middle", two(gtp(0x10, 0x20), gtp(0x11, 0x21), 3), rows(GTP, "gtp 0x11", client_packets=4,
         server_packets=3)),
    Case("gtp_one_direction", two(gtp(0x10, 0x20), gtp(0x11, 0x21), sides=(True,)), [
        {"tunnel": GTP, "requests": 1} | ONE_WAY, {"tunnel": "gtp 0x11", "requests": 1} | ONE_WAY]),
    Case("gtp_used_again_in_the_same_tunnel", again(gtp(0x10, 0x20)), [
        *rows(GTP, GTP)[:1], rows(GTP, GTP)[1] | {"reuse_of": 1}]),
    Case("gtp_used_again_in_another", again(gtp(0x11, 0x21)), [
        *rows(GTP, "gtp 0x11")[:1], rows(GTP, "gtp 0x11")[1] | {"reuse_of": None}]),
    Case("gtp_before_and_behind_a_router", two_points(gtp(0x10, 0x20), gtp(0x30, 0x40), 1), rows(GTP)),
    Case("gtp_twice_on_one_link", two_points(gtp(0x10, 0x20), gtp(0x30, 0x40), 0), rows(GTP)),
    Case("mpls_two_networks", two(labels([100, 16], [200, 17]), labels([100, 18], [200, 19])),
         rows(MPLS, "mpls 100.18")),
    Case("mpls_two_networks_popped_to_the_client", two(labels([100, 16], []), labels([100, 18], [])),
         rows(MPLS, "mpls 100.18")),
    Case("mpls_two_networks_one_label_back", two(labels([100, 16], [30]), labels([100, 18], [30])),
         rows(MPLS, "mpls 100.18")),
    Case("mpls_popped_to_the_client", inside(labels([100, 16], []), talk("c")), rows(MPLS)),
    Case("mpls_popped_to_the_server", inside(labels([], [200, 17]), talk("c")), rows(None)),
    Case("mpls_other_transport_labels", mixed(*(
        inside(labels([100 + at, 16, 7, 5000 + at], [200, 17]), [one]) for at, one in enumerate(talk("c")))),
        rows("mpls 100.16.7.…")),
    Case("mpls_two_points", two_points(labels([100], [200]), labels([300], []), 1), rows("mpls 100")),
    Case("mpls_a_syn_on_two_paths", syn_again(), [rows("mpls 900")[0] | {"client_packets": 7,
         "client_retransmits": 1}]),
    Case("mpls_and_bare", late_label(), rows(None, "mpls 100")),
    Case("pptp_two_calls", two(pptp(1, 2), pptp(3, 4)), rows("pptp call 1", "pptp call 3")),
    Case("pptp_a_call_for_each_direction", inside(pptp(1, 2), talk("c")), rows("pptp call 1")),
    Case("l2tp_two_sessions", two(l2tp((5, 1), (9, 2)), l2tp((5, 3), (9, 4))), rows("l2tp 5.1", "l2tp 5.3")),
    Case("l2tp_two_tunnels", two(l2tp((5, 1), (9, 1)), l2tp((6, 1), (8, 1))), rows("l2tp 5.1", "l2tp 6.1")),
    Case("l2tp_numbers_of_each_direction", inside(l2tp((5, 1), (9, 2)), talk("c")), rows("l2tp 5.1")),
]  # fmt: skip


def mixture(seed: int) -> list[Crafted]:
    """Up to four networks at one time with connections of one 4-tuple, as chance has it.

    Their numbers are far from each other's. Some go another way from a packet on, some use the 4-tuple again after a
    minute. Without a way towards the server no two begin at once.
    """
    chance = random.Random(seed)
    kind, count = chance.choice(["gtp", "pptp", "mpls", "to_client", "to_server", "shared"]), chance.randint(1, 4)

    def wrap(number: int, changed: int) -> Wrap:
        up, down = 100 + 10 * number + changed, 200 + 10 * number + changed
        stacks = {"mpls": ([99, up], [98, down]), "to_client": ([up], []), "to_server": ([], [down])}
        if kind in ("gtp", "pptp"):
            return gtp(up, down, f"192.0.2.{10 + number}") if kind == "gtp" else pptp(up, down)
        return labels(*stacks.get(kind, ([up], [30])))

    parts = []
    for number in range(count):
        one = Talk()
        start = number * 0.3 if kind == "to_server" else chance.random() * 0.05
        uses = 1 if kind in ("to_server", "shared") and count > 1 else chance.randint(1, 2)
        for use in range(uses):
            one.open(*((number * 2 + side + use * 9) * 211_000_000 + chance.randrange(10**6) for side in (0, 1)))
            one.handshake(start, chance.uniform(1e-4, 5e-3))
            for exchange in range(chance.randint(1, 3)):
                one.c(start + 0.1 * exchange + 0.10, "PA", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                one.s(start + 0.1 * exchange + 0.12, "PA", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                one.c(start + 0.1 * exchange + 0.13, "A")
            start = one.close(chance.choice("cs"), start + 1 + chance.random() * 0.1) + chance.uniform(62, 70)
        change = chance.randint(4, 24) if uses == 1 else len(one.packets)
        for changed, packets in enumerate((one.packets[:change], one.packets[change:])):
            parts.append(inside(wrap(number, changed), packets))
    return mixed(*parts)
