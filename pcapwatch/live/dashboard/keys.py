"""Bytes of a terminal as keys: characters, and names as ``up``, ``enter``, ``escape``."""

from __future__ import annotations

import codecs

_CONTROLS = {
    "\r": "enter",
    "\n": "enter",
    "\t": "tab",
    "\x7f": "backspace",
    "\x08": "backspace",
    "\x03": "ctrl-c",
    "\x04": "ctrl-c",
    "\x0c": "redraw",
}
#: After ESC [ or ESC O (xterm, VT220).
_SEQUENCES = {
    "A": "up",
    "B": "down",
    "C": "right",
    "D": "left",
    "H": "home",
    "F": "end",
    "1~": "home",
    "4~": "end",
    "5~": "page up",
    "6~": "page down",
}
#: Longest sequence that is waited for; what is longer is no key.
_LONGEST = 16


class Keys:
    """Splits what was read into keys; a sequence may arrive in parts."""

    def __init__(self) -> None:
        self._text = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, data: bytes) -> list[str]:
        """Keys of these bytes. Without any (nothing came for a while) an ESC that waits is the key itself."""
        self._text += self._decoder.decode(data)
        keys = []
        while self._text:
            key, length = self._next(waited=not data)
            if not length:
                break
            self._text = self._text[length:]
            if key:
                keys.append(key)
        return keys

    def _next(self, *, waited: bool) -> tuple[str, int]:
        """The first key, empty for one that has no meaning, and its length, 0 where more must come."""
        text = self._text
        if text[0] != "\x1b":
            return _CONTROLS.get(text[0], text[0] if text[0].isprintable() else ""), 1
        if len(text) == 1:
            return ("escape", 1) if waited else ("", 0)
        if text[1] not in "[O":
            return "escape", 1
        for at in range(2, min(len(text), _LONGEST)):
            if "@" <= text[at] <= "~":
                return _SEQUENCES.get(text[2 : at + 1], ""), at + 1
        return ("", 0) if len(text) < _LONGEST and not waited else ("", len(text))
