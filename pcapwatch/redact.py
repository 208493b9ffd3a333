"""What of a request target or a Host is not shown unless asked for: whatever may carry a secret.

Userinfo (RFC 3986 §3.2.1), query (§3.4), fragment (§3.5) and path parameters (§3.3), the last three also where their
delimiter is percent-encoded, however often. The patterns are read alike by Python's `re` and by RE2 (pyarrow).
"""

from __future__ import annotations

import re
from typing import TypeAlias

Rules: TypeAlias = tuple[tuple[str, str], ...]

#: What stands for the hidden part.
MARK = "…"

_AUTHORITY = (
    # A "?" or "#" before an "@" may belong to a password that was not encoded: nothing of that is safe to show.
    (r"(^|//)[^/\s]*[?#][^/\s]*(?:@|%40).*", rf"\1{MARK}"),
    (r"(^|//)[^/?#\s]*(?:@|%40)", rf"\1{MARK}@"),
)
#: After a colon comes a port; anything else is a password with a "/" in it.
_NO_PORT = (r"(^|//)[^/?#\s\[]*:\d*[^/?#\s\d].*", rf"\1{MARK}")
_TAIL = (r"([?#;]|%(?:25)*(?:3[fFbB]|23)).*", rf"\1{MARK}")

#: A URL within a path, its slashes merged or encoded: whatever has a colon and an "@" in one segment.
_INNER = (r"[^/?#\s]*(?::|%(?:25)*3[aA])[^/?#\s]*(?:@|%(?:25)*40)", f"{MARK}@")

#: In a Host a password with a "/" in it; no Host has another "@".
_SLASHED = (r"^[^/\s]*:[^/\s][^\s]*(?:@|%40)", f"{MARK}@")

#: (pattern, replacement) in this order; replacements in the syntax that `re` and RE2 share.
TARGET: Rules = (*_AUTHORITY, _INNER, _NO_PORT, _TAIL)
HOST: Rules = (*_AUTHORITY, _INNER, _SLASHED, _TAIL)

_COMPILED = [(re.compile(pattern, re.DOTALL), replacement) for pattern, replacement in TARGET]
#: The method and the version around a start line's target. A target has no spaces by RFC 9112 §3, a sender's may.
_START_LINE = re.compile(r"^(\S+ )(.*?)((?: HTTP/\d\.\d)?(?:, Connection: .{0,40})?)$", re.DOTALL)


def target(text: str) -> str:
    """A request target without what may be secret: ``/login?…``, ``http://…@example.org/``."""
    for pattern, replacement in _COMPILED:
        text = pattern.sub(replacement, text)
    return text


def start_line(text: str) -> str:
    """A start line as a ladder has it; of a request's, the target's secrets are hidden as by `target`."""
    found = None if text.startswith("HTTP/") else _START_LINE.match(text)
    return f"{found[1]}{target(found[2])}{found[3]}" if found else text
