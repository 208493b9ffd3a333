"""Link types by tcpdump's names and numbers, and ``--link-type``: one read as another."""

from __future__ import annotations

import re
from collections.abc import Iterable

from pcapwatch.errors import UsageError

#: Names as tcpdump's ``-y`` and tcpdump.org/linktypes.html have them, in upper case without ``LINKTYPE_`` or ``DLT_``.
NUMBERS = {
    "NULL": 0,
    "EN10MB": 1,
    "ETHERNET": 1,
    "PPP": 9,
    "PPP_SERIAL": 50,
    "PPP_ETHER": 51,
    "ATM_RFC1483": 100,
    "RAW": 101,
    "C_HDLC": 104,
    "IEEE802_11": 105,
    "LOOP": 108,
    "ENC": 109,
    "LINUX_SLL": 113,
    "PFLOG": 117,
    "IEEE802_11_RADIOTAP": 127,
    "IEEE802_11_RADIO": 127,
    "PPI": 192,
    "IPNET": 226,
    "IPV4": 228,
    "IPV6": 229,
    "NFLOG": 239,
    "PKTAP": 258,
    "LINUX_SLL2": 276,
} | {f"USER{n}": 147 + n for n in range(16)}

#: The link-type field of both formats has 16 bits.
_MOST = 0xFFFF


def parse_link_types(texts: str | Iterable[str]) -> dict[str, int]:
    """``--link-type`` values, such as ``USER0=EN10MB`` or ``147=1``, as the engine's map; ``UsageError`` for others."""
    chosen: dict[str, int] = {}
    for text in [texts] if isinstance(texts, str) else texts:
        stated, separator, read_as = text.partition("=")
        numbers = [_number(stated), _number(read_as)]
        if not separator or None in numbers:
            raise UsageError(f"--link-type {_shown(text)}: write FROM=TO, names or numbers, as USER0=EN10MB or 147=1")
        known = chosen.setdefault(str(numbers[0]), numbers[1] or 0)
        if known != numbers[1]:
            raise UsageError(f"--link-type {_shown(text)}: {_shown(stated)} is already read as {known}")
    return chosen


def _number(text: str) -> int | None:
    name = text.strip().upper().removeprefix("LINKTYPE_").removeprefix("DLT_")
    if re.fullmatch(r"[0-9]{1,5}", name):
        return int(name) if int(name) <= _MOST else None
    return NUMBERS.get(name)


def _shown(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:79] + "…")
