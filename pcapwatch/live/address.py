"""Where `--metrics` listens; apart from the server, so that a wrong address is said before anything is loaded."""

from __future__ import annotations

import re

from pcapwatch.errors import UsageError
from pcapwatch.settings import shown

_ADDRESS = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>[^:\[\]/\s]*)):(?P<port>[0-9]{1,5})", re.ASCII)


def parse_address(text: str) -> tuple[str, int]:
    """``:9464`` (loopback), ``0.0.0.0:9464`` or ``[::1]:9464`` as host and port; ``UsageError`` for anything else."""
    found = _ADDRESS.fullmatch(text)
    port = int(found["port"]) if found else -1
    if not found or not 0 <= port <= 65535:
        raise UsageError(f"--metrics {shown(text)}: write [HOST]:PORT, as :9464 (loopback), 0.0.0.0:9464 or [::1]:9464")
    return found["v6"] or found["host"] or "127.0.0.1", port
