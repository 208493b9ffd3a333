"""HTTP/1.x on complete byte streams, parsed from start to end with plain code (D1, D2)."""

import re
from dataclasses import dataclass, field

REQUEST_LINE = re.compile(rb"^([!#$%&'*+.^_`|~0-9A-Za-z-]+) +(\S+) +HTTP/1\.([01])\r?$")
STATUS_LINE = re.compile(rb"^HTTP/1\.([01]) (\d{3})( .*)?\r?$", re.DOTALL)
HEAD_END = re.compile(rb"\n\r?\n")


@dataclass
class Stream:
    """One direction's bytes: `data[i]` was captured where `known[i]`. `packets[i]` tells which packet brought it."""

    data: bytearray = field(default_factory=bytearray)
    known: bytearray = field(default_factory=bytearray)
    closed: bool = False

    def whole(self, start: int, stop: int) -> bool:
        """Whether every byte of the range was captured."""
        return stop <= len(self.data) and all(self.known[start:stop])


@dataclass
class Message:
    """A request or response whose head was read; `start`, `end` are positions in its stream."""

    first: bytes
    fields: list[tuple[bytes, bytes]]
    start: int
    end: int = 0
    minor: int = 0
    method: bytes = b""
    status: int = 0
    framing: str = "none"
    complete: bool = False
    fatal: bool = False

    def values(self, name: bytes) -> list[bytes]:
        """All values of a header."""
        return [value for key, value in self.fields if key == name]

    def tokens(self, name: bytes) -> list[bytes]:
        """A comma list's members over all its lines, lower case."""
        return [t.strip().lower() for v in self.values(name) for t in v.split(b",") if t.strip()]

    @property
    def option(self) -> str:
        """The effective option of the Connection header."""
        tokens = self.tokens(b"connection")
        for word in ("close", "keep-alive", "upgrade"):
            if word.encode() in tokens:
                return word
        return "none"

    @property
    def persistent(self) -> bool:
        """RFC 9112 §9.3, first match."""
        tokens = self.tokens(b"connection")
        if b"close" in tokens:
            return False
        return self.minor >= 1 or b"keep-alive" in tokens


def read_head(stream: Stream, at: int, line: re.Pattern[bytes]) -> Message | None:
    """The message head at a position, or None when it is incomplete or no head."""
    while stream.data[at : at + 2] == b"\r\n" and stream.whole(at, at + 2):
        at += 2
    found = HEAD_END.search(stream.data, at)
    if found is None or not stream.whole(at, found.end()):
        return None
    lines = bytes(stream.data[at : found.end()]).rstrip(b"\r\n").split(b"\n")
    match = line.match(lines[0].rstrip(b"\r"))
    if match is None:
        return None
    fields = []
    for text in lines[1:]:
        name, colon, value = text.partition(b":")
        if colon:
            fields.append((name.strip().lower(), value.strip()))
    message = Message(lines[0], fields, at, found.end())
    if line is REQUEST_LINE:
        message.method, message.minor = match[1], int(match[3])
    else:
        message.minor, message.status = int(match[1]), int(match[2])
    return message


def content_length(message: Message) -> int | None:
    """The length, None when absent; raises ValueError when the values differ or are no number."""
    values = {v.strip() for text in message.values(b"content-length") for v in text.split(b",")}
    if not values:
        return None
    if len(values) > 1 or not (value := values.pop()).isdigit():
        raise ValueError("content-length")
    return int(value)


def frame_body(stream: Stream, message: Message, request_method: bytes | None) -> None:
    """Find the body's framing and end (RFC 9112 §6.3, in its order). `request_method` is None for a request."""
    response = request_method is not None
    if response and (request_method == b"HEAD" or message.status < 200 or message.status in (204, 304)):
        message.complete = True
        message.fatal = message.status == 101
        return
    if response and request_method == b"CONNECT" and 200 <= message.status < 300:
        message.framing, message.complete, message.fatal = "tunnel", True, True
        return
    codings = message.tokens(b"transfer-encoding")
    if codings:
        if codings[-1] == b"chunked":
            message.framing = "chunked"
            read_chunks(stream, message)
            return
        message.framing = "until_close"
        message.fatal = not response
    else:
        try:
            length = content_length(message)
        except ValueError:
            message.fatal = True
            return
        if length is None and not response:
            message.complete = True
            return
        if length is not None:
            message.framing = "length"
            message.complete = message.end + length <= len(stream.data)
            message.end += length
            return
        message.framing = "until_close"
    message.end = len(stream.data)
    message.complete = stream.closed and not message.fatal
    message.fatal = True


def read_chunks(stream: Stream, message: Message) -> None:
    """Walk a chunked body and its trailers."""
    at = message.end
    while True:
        end = stream.data.find(b"\n", at)
        if end < 0 or not stream.whole(at, end + 1):
            message.fatal = True
            return
        size_text = bytes(stream.data[at:end]).split(b";")[0].strip()
        if not re.fullmatch(rb"[0-9A-Fa-f]{1,16}", size_text):
            message.fatal = True
            return
        size = int(size_text, 16)
        at = end + 1
        if size == 0:
            break
        at += size
        if stream.data[at : at + 2] == b"\r\n":
            at += 2
        elif stream.data[at : at + 1] == b"\n":
            at += 1
    while True:  # trailers, up to an empty line
        end = stream.data.find(b"\n", at)
        if end < 0 or not stream.whole(at, end + 1):
            message.fatal = True
            return
        empty = not bytes(stream.data[at:end]).strip()
        at = end + 1
        if empty:
            message.end, message.complete = at, True
            return


@dataclass
class Conversation:
    """All messages of a connection; `finals` are the responses that answer (not 1xx, except 101)."""

    requests: list[Message] = field(default_factory=list)
    responses: list[Message] = field(default_factory=list)

    @property
    def finals(self) -> list[Message]:
        """Final responses."""
        return [r for r in self.responses if r.status >= 200 or r.status == 101]


def read_conversation(client: Stream, server: Stream) -> Conversation:
    """Requests and responses in order, each response paired with the method at the head of the queue."""
    talk = Conversation(read_requests(client, 0))
    methods = [r.method for r in talk.requests]
    at = 0
    while True:
        response = read_head(server, at, STATUS_LINE)
        if response is None:
            break
        answered = len(talk.finals)
        method = methods[answered] if answered < len(methods) else b""
        frame_body(server, response, method)
        talk.responses.append(response)
        at = response.end
        if response.status == 101 or response.framing == "tunnel":
            del talk.requests[answered + 1 :]
            break
        if response.fatal or not response.complete:
            break
        if method == b"CONNECT" and response.status >= 300 and answered == len(methods) - 1:
            more = read_requests(client, talk.requests[-1].end)
            talk.requests += more
            methods += [r.method for r in more]
    return talk


def read_requests(client: Stream, at: int) -> list[Message]:
    """Requests from a position on, up to a CONNECT, whose bytes that follow may be a tunnel's."""
    requests: list[Message] = []
    while True:
        request = read_head(client, at, REQUEST_LINE)
        if request is None:
            return requests
        frame_body(client, request, None)
        requests.append(request)
        at = request.end
        if request.fatal or not request.complete or request.method == b"CONNECT":
            return requests
