"""A connection's HTTP columns, from its two reassembled streams."""

import re
from typing import Any

from .http import Conversation, Stream, read_conversation
from .incarnations import Incarnation
from .segments import FIN, Endpoint
from .traffic import data_ranges


def build_stream(c: Incarnation, side: Endpoint) -> Stream:
    """A side's bytes from its first one on; the first copy of a byte wins."""
    stream = Stream()
    ranges = data_ranges(c, side)
    if not ranges:
        return stream
    origin = 1 if side in c.isn else min(r[0] for r in ranges)
    end = max(r[1] for r in ranges) - origin
    if end > 1 << 28:
        return stream
    stream.data, stream.known = bytearray(end), bytearray(end)
    for start, _, p in ranges:
        for i, byte in enumerate(p.payload, start - origin):
            if i >= 0 and not stream.known[i]:
                stream.data[i], stream.known[i] = byte, 1
    stream.closed = any(p.has(FIN) for p in c.sent(side))
    return stream


def begins_as_http(streams: tuple[Stream, Stream]) -> bool:
    """Whether the client's first bytes could begin a request, or the server's a response, that a cut hides."""
    client, server = (bytes(s.data[:200]) if s.whole(0, 1) else b"" for s in streams)
    request = re.match(rb"(\r\n)*[!#$%&'*+.^_`|~0-9A-Za-z-]+ +\S+( +HTTP/1\.[01]\r?\n)", client)
    return request is not None or re.match(rb"HTTP/1\.[01] \d{3}", server) is not None


def http_columns(c: Incarnation, client: Endpoint, server: Endpoint) -> dict[str, Any]:
    """requests, responses, versions, Connection options, announcements; null when it is not HTTP/1.x."""
    streams = (build_stream(c, client), build_stream(c, server))
    talk = read_conversation(*streams)
    names = ("requests", "responses", "request_connection", "response_connection", "request_persistent",
             "response_persistent", "keep_alive_timeout_s", "keep_alive_max")  # fmt: skip
    if not begins_as_http(streams):
        return dict.fromkeys(names) | {"close_announced_by": "none", "http_version": None}
    request = talk.requests[-1] if talk.requests else None
    response = talk.finals[-1] if talk.finals else None
    said = [
        n for n, messages in (("client", talk.requests), ("server", talk.finals))
        if any(m.option == "close" for m in messages)
    ]  # fmt: skip
    version = request or response
    return {
        "requests": len(talk.requests), "responses": len(talk.finals),
        "request_connection": request.option if request else None,
        "response_connection": response.option if response else None,
        "request_persistent": request.persistent if request else None,
        "response_persistent": response.persistent if response else None,
        "keep_alive_timeout_s": keep_alive(talk, b"timeout", -1), "keep_alive_max": keep_alive(talk, b"max", 0),
        "close_announced_by": "both" if len(said) == 2 else said[0] if said else "none",
        "http_version": f"1.{version.minor}" if version else None,
    }  # fmt: skip


def keep_alive(talk: Conversation, name: bytes, which: int) -> int | None:
    """A parameter of the first (0) or last (-1) Keep-Alive header that carries it."""
    found = []
    for response in talk.finals:
        for token in response.tokens(b"keep-alive"):
            key, _, value = token.partition(b"=")
            if key.strip() == name and value.strip().isdigit():
                found.append(int(value))
    return found[which] if found else None
