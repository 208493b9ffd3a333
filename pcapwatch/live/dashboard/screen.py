"""Lines to a terminal with as few bytes as it takes: of each line only what has changed since it was last drawn."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeAlias

from rich.cells import cell_len

#: One column: its character and the style it has.
Cell: TypeAlias = tuple[str, str]

_PART = re.compile(r"\x1b\[[0-9;]*m|[^\x1b]")
_CLEAR_REST = "\x1b[K"
_PLAIN = "\x1b[0m"


class Screen:
    """What a terminal shows. `frame` gives the bytes that turn it into other lines."""

    def __init__(self) -> None:
        self._shown: list[str] = []

    def forget(self) -> None:
        """The terminal shows something else: another size, or another program's text."""
        self._shown = []

    def frame(self, lines: Sequence[str]) -> bytes:
        """Bytes (ECMA-48) that show ``lines``; none where they are shown already."""
        whole = len(lines) != len(self._shown)
        parts = ["\x1b[H\x1b[2J"] if whole else []
        before = [""] * len(lines) if whole else self._shown
        parts += [
            _changes(row, old, new) for row, (old, new) in enumerate(zip(before, lines, strict=True)) if old != new
        ]
        self._shown = list(lines)
        return "".join(parts).encode("utf-8", "replace")


def _changes(row: int, old: str, new: str) -> str:
    """The span of columns that differ; the whole line where a character does not take one column."""
    cells, known = _cells(new), _cells(old)
    if cells is None or known is None:
        return f"\x1b[{row + 1}H{new}{_PLAIN}{_CLEAR_REST}"
    first = next(
        (at for at, (a, b) in enumerate(zip(known, cells, strict=False)) if a != b), min(len(known), len(cells))
    )
    rest = _CLEAR_REST if len(cells) < len(known) else ""
    last = len(cells)
    if len(cells) == len(known):
        last = next(at for at in range(len(cells), first, -1) if known[at - 1] != cells[at - 1])
    return f"\x1b[{row + 1};{first + 1}H{_styled(cells[first:last])}{rest}"


def _cells(text: str) -> list[Cell] | None:
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text)
    if cell_len(plain) != len(plain) or not all(cell_len(character) == 1 for character in set(plain)):
        return None
    cells, style = [], ""
    for part in _PART.findall(text):
        if part.startswith("\x1b"):
            style = "" if part == _PLAIN else part
        else:
            cells.append((part, style))
    return cells


def _styled(cells: Sequence[Cell]) -> str:
    parts, current = [], ""
    for character, style in cells:
        if style != current:
            parts.append((_PLAIN if current else "") + style)
            current = style
        parts.append(character)
    return "".join(parts) + (_PLAIN if current else "")
