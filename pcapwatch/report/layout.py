"""A page of text of a given width: labelled paragraphs and tables that never exceed it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from pcapwatch.report.escape import terminal
from pcapwatch.report.wrap import wrapped

#: Below this a page is not narrowed further; a narrower terminal wraps it.
LEAST_WIDTH = 80
#: Above this lines get hard to read.
MOST_WIDTH = 120
LABEL = 15

#: What may be said of a piece of text, and the terminal's words for it (ECMA-48, SGR).
_SGR = {"bold": "1", "bold red": "1;31", "yellow": "33", "cyan": "36", "dim": "2"}


class _Piece(NamedTuple):
    """Part of a line: its text, and a key of ``_SGR`` or nothing."""

    text: str
    style: str


class Page:
    """Collects styled lines. Every text given to it is escaped here, so that callers cannot forget."""

    def __init__(self, width: int) -> None:
        """``width`` in columns, held between ``LEAST_WIDTH`` and ``MOST_WIDTH``."""
        self.width = min(max(width, LEAST_WIDTH), MOST_WIDTH)
        self._lines: list[tuple[_Piece, ...]] = []

    def blank(self) -> None:
        """An empty line, never two."""
        if self._lines and any(piece.text for piece in self._lines[-1]):
            self._lines.append(())

    def prose(self, text: str, style: str = "", indent: int = 0, first: str = "") -> None:
        """Wrapped text; ``first`` stands before the first line, the others are indented as far."""
        left = max(indent, len(first))
        label = "bold" if first.strip() and indent >= LABEL else ""
        for number, line in enumerate(wrapped(terminal(text), self.width - left)):
            lead = first.ljust(left) if number == 0 else " " * left
            self._lines.append((_Piece(lead, label), _Piece(line, style)))

    def labelled(self, label: str, paragraphs: Iterable[str], style: str = "") -> None:
        """Paragraphs in a column of their own, the label left of the first; leading spaces indent a paragraph."""
        for paragraph in paragraphs:
            lead = len(paragraph) - len(paragraph.lstrip(" "))
            self.prose(paragraph.lstrip(" "), style, LABEL + lead, label)
            label = ""

    def raw(self, line: str, style: str = "") -> None:
        """A line made to measure by its caller, who escaped it."""
        self._lines.append((_Piece(line.rstrip(), style),))

    def table(
        self, header: Sequence[str], rows: Sequence[Sequence[str]], left: frozenset[int] = frozenset({0})
    ) -> None:
        """A table whose first column takes what room there is; columns in ``left`` are left-aligned.

        Where the first column has too little room, it gets a line of its own above its row's figures.
        """
        cells = [[terminal(cell) for cell in row] for row in rows]
        widths = [max(len(header[i]), *(len(row[i]) for row in cells)) for i in range(len(header))]
        others = sum(width + 2 for width in widths[1:])
        room = self.width - others
        stacked = widths[0] + 2 > room
        first = max(len(header[0]), min(widths[0] + 2, room))
        self._row(header, widths, first, left, "bold")
        for row in cells:
            if stacked and len(row[0]) + 2 > first:
                self.prose(row[0], indent=2)
                self._row(["", *row[1:]], widths, first, left, "")
            else:
                self._row([f"  {row[0]}", *row[1:]], widths, first, left, "")

    def _row(self, cells: Sequence[str], widths: Sequence[int], first: int, left: frozenset[int], style: str) -> None:
        padded = [cells[0].ljust(first)]
        for index, cell in enumerate(cells[1:], 1):
            padded.append(cell.ljust(widths[index]) if index in left else cell.rjust(widths[index]))
        self.raw("  ".join(padded)[: self.width], style)

    def plain(self) -> str:
        """The page without any styling, a line break at its end."""
        return "".join(f"{''.join(piece.text for piece in line).rstrip()}\n" for line in self._lines)

    def coloured(self) -> str:
        """The page with ANSI colours."""
        return "".join(f"{''.join(map(_painted, line))}\n" for line in self._lines)


def _painted(piece: _Piece) -> str:
    return f"\x1b[{_SGR[piece.style]}m{piece.text}\x1b[0m" if piece.style and piece.text else piece.text
