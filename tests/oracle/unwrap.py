"""What is inside MPLS labels, GTP-U, L2TP and PPTP's GRE, and which identifier of its direction the innermost has."""

import struct

#: The kind of the identifier, its number, and whose number it is.
Way = tuple[str, int, bytes]
ENTROPY_FOLLOWS = 7
GTP_PORT, L2TP_PORT, PPP = 2152, 1701, 0x880B


def unwrap_labels(data: bytes) -> tuple[bytes, Way | None]:
    """Behind a stack of labels (RFC 3032), and the lowest of them that is no router's and no entropy (RFC 6790)."""
    stack: list[int] = []
    is_last = False
    while not is_last:
        entry, data = struct.unpack_from(">I", data)[0], data[4:]
        stack.append(entry >> 12)
        is_last = bool(entry & 0x100)
    marks = [None, *stack[:-1]]
    telling = [label for mark, label in zip(marks, stack, strict=True) if label > 15 and mark != ENTROPY_FOLLOWS]
    return data, ("mpls", telling[-1], b"") if telling else None


def unwrap(data: bytes, way: Way | None) -> tuple[bytes, Way | None]:
    """Inside GTP-U, L2TP and PPTP, as far as they go, from an IP header on; what holds none is as it was."""
    while data and data[0] >> 4 == 4:
        header, protocol, target = (data[0] & 15) * 4, data[9], data[16:20]
        body = data[header : struct.unpack_from(">H", data, 2)[0]]
        if protocol == 17 and struct.unpack_from(">H", body, 2)[0] == GTP_PORT:
            found = unwrap_gtp(body[8:])
        elif protocol == 17 and L2TP_PORT in struct.unpack_from(">HH", body):
            found = unwrap_l2tp(body[8:])
        elif protocol == 47 and body[1] & 7 == 1 and struct.unpack_from(">H", body, 2)[0] == PPP:
            found = unwrap_pptp(body)
        else:
            break
        if found is None:
            break
        kind, number, data = found
        way = (kind, number, target)
    return data, way


def unwrap_gtp(body: bytes) -> tuple[str, int, bytes] | None:
    """A user's packet in GTP-U (TS 29.281 §5.1); its endpoint."""
    flags, message, _, endpoint = struct.unpack_from(">BBHI", body)
    if flags & 0xF0 != 0x30 or message != 0xFF:
        return None
    rest = body[8:]
    if flags & 7:
        following, rest = rest[3] if flags & 4 else 0, rest[4:]
        while following:
            length = rest[0] * 4
            following, rest = rest[length - 1], rest[length:]
    return "gtp", endpoint, rest


def unwrap_l2tp(body: bytes) -> tuple[str, int, bytes] | None:
    """An IPv4 packet in PPP in a data message of L2TP (RFC 2661 §3.1), no optional fields; its tunnel and session."""
    flags, ends = struct.unpack_from(">HI", body)
    if flags != 2 or body[6:10] != b"\xff\x03\x00\x21":
        return None
    return "l2tp", ends, body[10:]


def unwrap_pptp(body: bytes) -> tuple[str, int, bytes] | None:
    """An IPv4 packet in PPP in PPTP's GRE (RFC 2637 §4.1); its call."""
    flags, _, length, call = struct.unpack_from(">HHHH", body)
    rest = body[8 + 4 * bool(flags & 0x1000) + 4 * bool(flags & 0x80) :]
    if not length or rest[:4] != b"\xff\x03\x00\x21":
        return None
    return "pptp", call, rest[4:length]
