"""hypothesis strategies: whole conversations on a few 4-tuples, then a capture of them disturbed as taps disturb."""

from dataclasses import replace

from hypothesis import strategies as st

from .talk import Crafted, Talk

TCP_FLAGS = 14 + 20 + 13  # the offset of the flags in a crafted frame
SYN_RST = 0x06
VERSIONS = (b"1.0", b"1.1")
OPTIONS = (b"", b"Connection: close\r\n", b"Connection: keep-alive\r\n", b"connection: Keep-Alive, X\r\n")
OPENINGS = ("handshake", "handshake", "handshake", "midstream", "refused", "unanswered", "half_open")
CLOSES = ("four_c", "four_s", "three_c", "three_s", "crossed", "one_c", "one_s", "abort_c", "abort_s", "late", "none")
AFTERMATHS = ("none", "none", "again_acked", "again_reset", "pure_ack", "exact_reset")
REUSES = ("none", "none", "fresh", "recycled", "challenged")


def request(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """A method and the bytes of a request."""
    method = draw(st.sampled_from((b"GET", b"HEAD", b"POST")))
    body = draw(st.binary(max_size=40)) if method == b"POST" else b""
    length = b"Content-Length: %d\r\n" % len(body) if method == b"POST" else b""
    option, version = draw(st.sampled_from(OPTIONS)), draw(st.sampled_from(VERSIONS))
    return method, b"%b /x HTTP/%b\r\nHost: h\r\n%b%b\r\n" % (method, version, option, length) + body


def response(draw: st.DrawFn, method: bytes) -> bytes:
    """The bytes of a response, self-delimited."""
    body = b"" if method == b"HEAD" else draw(st.binary(max_size=60))
    option, version = draw(st.sampled_from(OPTIONS)), draw(st.sampled_from(VERSIONS))
    early = draw(st.sampled_from((b"", b"", b"HTTP/1.1 100 Continue\r\n\r\n")))
    if method != b"HEAD" and version == b"1.1" and draw(st.booleans()):
        coded = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
        head = b"HTTP/1.1 200 OK\r\n%bTransfer-Encoding: chunked\r\n\r\n" % option
        return early + head + coded + b"0\r\n\r\n"
    return early + b"HTTP/%b 200 OK\r\n%bContent-Length: %d\r\n\r\n" % (version, option, len(body)) + body


def send_data(draw: st.DrawFn, talk: Talk, side: str, at: float, data: bytes) -> float:
    """Send bytes in up to three segments, acknowledged by the peer; returns the time after."""
    cuts = sorted(draw(st.lists(st.integers(1, max(1, len(data) - 1)), max_size=2, unique=True)))
    for start, stop in zip([0, *cuts], [*cuts, len(data)], strict=True):
        if start < stop:
            talk.send(side, at, "PA", data[start:stop])
            at += 0.001
    talk.send("s" if side == "c" else "c", at, "A")
    return at + 0.001


def incarnation(draw: st.DrawFn, talk: Talk, at: float, *, first: bool = True) -> float:
    """One connection from opening to close; returns the time after it. Only the first can be picked up midstream."""
    opening = draw(st.sampled_from(OPENINGS if first else [o for o in OPENINGS if o != "midstream"]))
    if opening == "refused":
        talk.c(at, "S")
        talk.s(at + 0.001, "RA", seq=0, window=0)
        return at + 0.01
    if opening == "unanswered":
        isn = talk.c(at, "S")
        talk.c(at + 1, "S", seq=isn)
        return at + 1.01
    if opening == "half_open":
        talk.c(at, "S")
        isn = talk.s(at + 0.001, "SA")
        talk.s(at + 1, "SA", seq=isn)
        return at + 1.01
    if opening == "handshake":
        talk.handshake(at)
    at += 0.01
    for _ in range(draw(st.integers(0, 2))):
        method, data = request(draw)
        at = send_data(draw, talk, "c", at, data)
        at = send_data(draw, talk, "s", at, response(draw, method))
        at += draw(st.sampled_from((0.0, 0.5, 5.0)))
    return close(draw, talk, at)


def close(draw: st.DrawFn, talk: Talk, at: float) -> float:
    """A close of any kind, and what may come after it."""
    kind = draw(st.sampled_from(CLOSES))
    if kind == "none":
        return at
    how, _, first = kind.partition("_")
    first = first or "c"
    second = "s" if first == "c" else "c"
    if how == "four":
        talk.close(first, at)
    elif how == "three":
        talk.send(first, at, "FA")
        talk.send(second, at + 0.001, "FA")
        talk.send(first, at + 0.002, "A")
    elif how == "crossed":
        ends = dict(talk.nxt)
        talk.c(at, "FA", ack=ends["s"])
        talk.s(at + 0.0005, "FA", ack=ends["c"])
        talk.c(at + 0.001, "A")
        talk.s(at + 0.0015, "A")
    elif how == "one":
        talk.send(first, at, "FA")
        talk.send(second, at + 0.001, "A")
    elif how == "abort":
        talk.send(first, at, "RA", window=502)
    elif how == "late":
        talk.c(at, "FA")
        talk.s(at + 0.001, "A")
        talk.s(at + 0.1, "PA", b"late")
        talk.c(at + 0.101, "R", window=0)
    if how in ("four", "three"):
        return aftermath(draw, talk, first, second, at + 0.01)
    return at + 0.2


def aftermath(draw: st.DrawFn, talk: Talk, holder: str, other: str, at: float) -> float:
    """What a TIME_WAIT meets before the 4-tuple is used again."""
    kind = draw(st.sampled_from(AFTERMATHS))
    at += draw(st.sampled_from((0.3, 20.0, 45.0)))
    if kind == "again_acked":
        talk.send(other, at, "FA", seq=talk.nxt[other] - 1)
        talk.send(holder, at + 0.001, "A")
    elif kind == "again_reset":
        talk.send(other, at + 50, "FA", seq=talk.nxt[other] - 1)
        talk.send(holder, at + 50.001, "R", window=0)
        return at + 50.01
    elif kind == "pure_ack":
        talk.send(other, at, "A")
    elif kind == "exact_reset":
        talk.send(other, at, "R", window=0)
    return at + 0.01


@st.composite
def conversations(draw: st.DrawFn, port: int = 40_000) -> list[Crafted]:
    """All packets of one 4-tuple: one incarnation, perhaps a second."""
    near = st.sampled_from((0, 2**31 - 30, 2**32 - 30, 2**32 - 1))
    isns = [(draw(near) + draw(st.integers(1, 2**20))) % 2**32 for _ in range(2)]
    talk = Talk(client=("10.9.0.1", port), client_isn=isns[0], server_isn=isns[1])
    at = incarnation(draw, talk, draw(st.sampled_from((0.0, 0.0005, 3.0))))
    reuse = draw(st.sampled_from(REUSES))
    if reuse != "none":
        at += draw(st.sampled_from((0.5, 30.0, 61.0)))
        old = dict(talk.nxt)
        fresh = 700_000_000 + draw(st.integers(0, 2**20))
        talk.open(old["c"] + fresh, old["s"] + (65_537 if reuse == "recycled" else fresh))
        if reuse == "challenged":
            isn = talk.c(at, "S")
            talk.s(at + 0.0001, "A", seq=old["s"], ack=old["c"])
            talk.c(at + 0.0002, "R", seq=old["c"], window=0)
            talk.c(at + 0.008, "S", seq=isn)
            talk.s(at + 0.0081, "SA")
            talk.c(at + 0.0082, "A")
        else:
            incarnation(draw, talk, at, first=False)
    return talk.packets


@st.composite
def captures(draw: st.DrawFn, *, disturbed: bool) -> list[Crafted]:
    """Up to four conversations merged in time, perhaps disturbed: loss, duplication, reordering, a short snaplen."""
    count = draw(st.integers(1, 4))
    merged = [p for i in range(count) for p in draw(conversations(port=40_000 + 2 * i))]
    merged.sort(key=lambda p: p.at_s)
    if disturbed:
        merged = disturb(draw, merged)
    bystander = Talk()
    bystander.bystander(max((p.at_s for p in merged), default=0) + draw(st.sampled_from((0.1, 10.0, 400.0))))
    return merged + bystander.packets


def disturb(draw: st.DrawFn, packets: list[Crafted]) -> list[Crafted]:
    """What a tap does to packets; times stay ascending, as a tap stamps what it sees."""
    times = [p.at_s for p in packets]
    for _ in range(draw(st.integers(0, 2))):  # two neighbours swapped
        i = draw(st.integers(0, max(0, len(packets) - 2)))
        if not any(p.data[TCP_FLAGS] & SYN_RST for p in packets[i : i + 2]):  # where a connection begins stays decided
            packets[i : i + 2] = packets[i : i + 2][::-1]
    packets = [replace(p, at_s=at) for p, at in zip(packets, times, strict=True)]
    for _ in range(draw(st.integers(0, 2)) if packets else 0):  # one captured twice
        i = draw(st.integers(0, max(0, len(packets) - 1)))
        packets.insert(i + 1, replace(packets[i], at_s=packets[i].at_s + 0.000_002))
    for _ in range(draw(st.integers(0, 2))):  # one lost
        if len(packets) > 1:
            packets.pop(draw(st.integers(0, len(packets) - 1)))
    snaplen = draw(st.sampled_from((0, 0, 0, 80, 100)))
    return [p.cut(snaplen) for p in packets] if snaplen else packets
