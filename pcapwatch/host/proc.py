"""What ``/proc`` says, as text: socket tables, counters, addresses. Pure functions of what was read."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterable
from ipaddress import IPv6Address, ip_address

from pcapwatch.host.model import COUNTERS, Wait
from pcapwatch.host.sock_diag import STATES, TIME_WAIT, Table

#: ``tm->when`` counts USER_HZ, which is 100 to user space on every Linux (include/asm-generic/param.h).
_TICK_MS = 10


def socket_table(texts: Iterable[str]) -> Table:
    """``/proc/net/tcp`` and ``tcp6`` (net/ipv4/tcp_ipv4.c: ``get_timewait4_sock``)."""
    states: Counter[str] = Counter()
    waits: list[Wait] = []
    for line in (line for text in texts for line in text.splitlines()):
        fields = line.split()
        if len(fields) < 6 or not fields[0].endswith(":"):
            continue
        state = int(fields[3], 16)
        states[STATES.get(state, f"state {state}")] += 1
        if state == TIME_WAIT:
            left_ms = int(fields[5].partition(":")[2], 16) * _TICK_MS
            waits.append(Wait(*_endpoint(fields[1]), *_endpoint(fields[2]), left_ms))
    return Table(dict(sorted(states.items())), tuple(waits))


def _endpoint(text: str) -> tuple[str, int]:
    """The kernel prints each word of an address, which is in network order, as a number of its own order."""
    raw, port = text.split(":")
    packed = b"".join(struct.pack("=I", int(raw[i : i + 8], 16)) for i in range(0, len(raw), 8))
    address = ip_address(packed)
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(mapped or address), int(port, 16)


def counters(text: str) -> dict[str, int]:
    """``/proc/net/netstat``: pairs of lines, names and values; of TcpExt those in `COUNTERS` that the kernel has."""
    lines = [line.split() for line in text.splitlines() if line.startswith("TcpExt:")]
    if len(lines) != 2:
        return {}
    found = dict(zip(lines[0][1:], lines[1][1:], strict=False))
    return {name: int(found[name]) for name in COUNTERS if name in found}


def local_addresses(fib_trie: str, if_inet6: str) -> tuple[str, ...]:
    """Addresses of the host itself: IPv4 from ``fib_trie``, IPv6 from ``if_inet6``; in their own order."""
    found: set[str] = set()
    leaf = ""
    for line in fib_trie.splitlines():
        words = line.split()
        if words[:1] == ["|--"]:
            leaf = words[1]
        elif words[:3] == ["/32", "host", "LOCAL"]:
            found.add(leaf)
    for words in map(str.split, if_inet6.splitlines()):
        found.add(str(IPv6Address(int(words[0], 16))))
    return tuple(sorted(found, key=lambda text: (":" in text, int(ip_address(text)))))
