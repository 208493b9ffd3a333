"""TCP sockets by netlink (sock_diag(7)), on Python's own socket.

pyroute2 reads the same, but its import is slow and it makes objects of every attribute, too much for tens of thousands
of sockets every second; and it leaves errors of this protocol unread. The messages are two
fixed structures (linux/inet_diag.h), so they are read here.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections import Counter
from collections.abc import Iterator
from types import TracebackType
from typing import NamedTuple

from pcapwatch.host.model import Wait

#: Numbers of include/net/tcp_states.h; a request that waits for its last ACK (12) is a SYN-RECEIVED to everybody.
STATES = {
    1: "ESTABLISHED", 2: "SYN-SENT", 3: "SYN-RECEIVED", 4: "FIN-WAIT-1", 5: "FIN-WAIT-2", 6: "TIME-WAIT",
    7: "CLOSED", 8: "CLOSE-WAIT", 9: "LAST-ACK", 10: "LISTEN", 11: "CLOSING", 12: "SYN-RECEIVED",
}  # fmt: skip
TIME_WAIT = 6

_SOCK_DIAG, _SOCK_DIAG_BY_FAMILY = 4, 20
_REQUEST_DUMP, _ERROR, _DONE = 0x301, 2, 3
_HEADER = struct.Struct("=IHHII")
#: struct inet_diag_req_v2 without its socket id (48 bytes of zeros).
_ASKED = struct.Struct("=BBBBI")
#: struct inet_diag_msg: family, state, timer, retransmissions, ports, addresses, interface, cookie, expires.
_TOLD = struct.Struct("=BBBB2s2s16s16sI8sI")
_BUFFER = 1 << 20


class Table(NamedTuple):
    """What one reading found: sockets by state, and those in TIME_WAIT."""

    states: dict[str, int]
    waits: tuple[Wait, ...]


class SockDiag:
    """An open netlink socket; it stays in the namespace in which it was made, and needs no right to list sockets."""

    def __init__(self) -> None:
        """``OSError`` where the kernel has no such thing."""
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _SOCK_DIAG)
        self._socket.settimeout(5)
        self._sequence = 0

    def __enter__(self) -> SockDiag:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._socket.close()

    def read(self) -> Table:
        """Every TCP socket of both families; ``OSError`` if the kernel refuses."""
        states: Counter[str] = Counter()
        waits: list[Wait] = []
        for family in (socket.AF_INET, socket.AF_INET6):
            try:
                self._family(family, states, waits)
            except OSError as error:
                if family == socket.AF_INET or error.errno not in (errno.ENOENT, errno.EAFNOSUPPORT, errno.EINVAL):
                    raise
        return Table(dict(sorted(states.items())), tuple(waits))

    def _family(self, family: int, states: Counter[str], waits: list[Wait]) -> None:
        for message in self._dump(family):
            _, state, _, _, own_port, peer_port, own, peer, _, _, left_ms = _TOLD.unpack_from(message)
            states[STATES.get(state, f"state {state}")] += 1
            if state == TIME_WAIT:
                ports = (int.from_bytes(own_port), int.from_bytes(peer_port))
                waits.append(Wait(_address(family, own), ports[0], _address(family, peer), ports[1], left_ms))

    def _dump(self, family: int) -> Iterator[memoryview]:
        """Messages of one dump, without their headers."""
        self._sequence += 1
        body = _ASKED.pack(family, socket.IPPROTO_TCP, 0, 0, 0xFFFF_FFFF) + bytes(48)
        header = _HEADER.pack(_HEADER.size + len(body), _SOCK_DIAG_BY_FAMILY, _REQUEST_DUMP, self._sequence, 0)
        self._socket.send(header + body)
        while True:
            data = memoryview(self._socket.recv(_BUFFER))
            while len(data) >= _HEADER.size:
                length, kind, _, sequence, _ = _HEADER.unpack_from(data)
                if not _HEADER.size <= length <= len(data):
                    raise OSError(errno.EBADMSG, "netlink: a message longer than its datagram")
                message, data = data[_HEADER.size : length], data[(length + 3) & ~3 :]
                if sequence != self._sequence:
                    continue  # the rest of a dump that was given up
                if kind == _DONE:
                    return
                if kind == _ERROR:
                    number = -struct.unpack_from("=i", message)[0]
                    raise OSError(number, f"netlink sock_diag: {errno.errorcode.get(number, number)}")
                yield message


def _address(family: int, packed: bytes) -> str:
    """As text, v4-mapped as IPv4."""
    if family == socket.AF_INET:
        return socket.inet_ntop(socket.AF_INET, packed[:4])
    if packed.startswith(b"\0" * 10 + b"\xff\xff"):
        return socket.inet_ntop(socket.AF_INET, packed[12:])
    return socket.inet_ntop(socket.AF_INET6, packed)
