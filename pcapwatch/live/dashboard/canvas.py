"""Lines of styled text that never exceed a width: what every part of the dashboard is drawn with.

Whatever is given to `piece` is escaped here, so that no part can forget it: interface names and what comes from the
wire are hostile.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeAlias

from rich.cells import cell_len, set_cell_size

from pcapwatch.report.escape import terminal

#: Styles, and the terminal's words for them (ECMA-48, SGR). Each only repeats what a word or a sign says.
_SGR = {"bold": "1", "dim": "2", "red": "1;31", "yellow": "33", "cyan": "36", "bar": "7"}

#: Columns between two cells of a table.
_GAP = 2


class Piece(NamedTuple):
    """Part of a line: its text, already escaped, and a key of ``_SGR`` or nothing."""

    text: str
    style: str = ""


Line: TypeAlias = tuple[Piece, ...]


def piece(text: str, style: str = "") -> Piece:
    """Text made safe for a terminal."""
    return Piece(terminal(text), style)


def line(text: str, style: str = "") -> Line:
    """A line of one piece."""
    return (piece(text, style),)


def fitted(text: str, width: int) -> str:
    """``text`` in exactly ``width`` columns, its end replaced by ``…`` where it is longer."""
    if cell_len(text) <= width:
        return set_cell_size(text, width)
    return f"{set_cell_size(text, width - 1)}…" if width > 0 else ""


def fitted_end(text: str, width: int) -> str:
    """The same for an endpoint, whose end (the port) says more than its beginning."""
    if cell_len(text) <= width:
        return set_cell_size(text, width)
    kept = text
    while kept and cell_len(kept) > width - 1:
        kept = kept[1:]
    return set_cell_size(f"…{kept}", width) if width > 0 else ""


def painted(pieces: Line, width: int, *, colour: bool) -> str:
    """The line for a terminal of ``width`` columns, cut there; without ``colour`` it holds no control bytes."""
    done, room = [], width
    for text, style in pieces:
        taken = text if cell_len(text) <= room else fitted(text, room)
        room -= cell_len(taken)
        done.append(f"\x1b[{_SGR[style]}m{taken}\x1b[0m" if colour and style and taken else taken)
        if room <= 0:
            break
    return "".join(done) if colour else "".join(done).rstrip()


class Column(NamedTuple):
    """A column of figures: its heading, its cells, and how dear it is: the dearest (least number) stays longest."""

    heading: str
    cells: Sequence[str]
    rank: int = 1
    left: bool = False
    styles: Sequence[str] = ()

    @property
    def width(self) -> int:
        """In columns of the terminal."""
        return max(map(cell_len, (self.heading, *self.cells)))


def table(
    title: str, names: Sequence[str], columns: Iterable[Column], width: int, least: int = 21, chosen: int | None = None
) -> list[Line]:
    """Heading and rows; ``chosen`` is the row that is pointed at.

    ``names`` take what room the columns leave; columns go, least dear first, before names get less than ``least``
    columns (or than they need).
    """
    safe = [terminal(name) for name in names]
    wanted = min(max(map(cell_len, (title, *safe)), default=0) + 2, max(least, cell_len(title)))
    shown = _affordable([column for column in columns if column.cells], width - wanted)
    taken = sum(column.width + _GAP for column in shown)
    first = min(max(map(cell_len, (title, *(f"  {name}" for name in safe)))), max(width - taken, 0))
    lines = [(Piece(fitted(title, first), "bold"), *(_cell(column, column.heading, "dim") for column in shown))]
    for index, name in enumerate(safe):
        mark = "▸ " if index == chosen else "  "
        cells = (_cell(column, column.cells[index], _style(column, index)) for column in shown)
        lines.append((Piece(mark + fitted_end(name, first - 2), "bold" if index == chosen else ""), *cells))
    return lines


def _affordable(columns: list[Column], room: int) -> list[Column]:
    while columns and sum(column.width + _GAP for column in columns) > room:
        dearest = max(column.rank for column in columns)
        last = max(index for index, column in enumerate(columns) if column.rank == dearest)
        columns = columns[:last] + columns[last + 1 :]
    return columns


def _style(column: Column, index: int) -> str:
    return column.styles[index] if column.styles else ""


def _cell(column: Column, text: str, style: str) -> Piece:
    safe = terminal(text)
    blank = " " * (column.width - cell_len(safe))
    return Piece(" " * _GAP + (safe + blank if column.left else blank + safe), style)
