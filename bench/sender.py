"""Binds a packet socket to an interface and becomes the sender, ``engine/examples/replay.rs``, the socket its input."""

from __future__ import annotations

import os
import socket
import sys

from bench.instructions import EXAMPLES

_SOL_PACKET, _PACKET_QDISC_BYPASS = 263, 20
_SEND_BUFFER = 16 << 20
_SO_SNDBUFFORCE = 32


def main() -> None:
    """``INTERFACE CAPTURE RATE SECONDS``."""
    interface, *arguments = sys.argv[1:]
    # Protocol 0: it sends and receives nothing.
    sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    sender.bind((interface, 0))
    sender.setsockopt(_SOL_PACKET, _PACKET_QDISC_BYPASS, 1)
    sender.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, _SEND_BUFFER)
    os.dup2(sender.fileno(), 0)
    os.execv(EXAMPLES / "replay", ["replay", *arguments])  # noqa: S606  (it becomes this program)


if __name__ == "__main__":
    main()
