"""A band of counts over time, in one row of blocks or as an area."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from pcapwatch.live.dashboard.canvas import Line, Piece

#: An instant in ns, and the least and most held from then on.
Sample: TypeAlias = tuple[int, int, int]

_EIGHTHS = " ▁▂▃▄▅▆▇█"
#: What lies between the proven least and the modelled most.
_BETWEEN = "░"


def resampled(samples: Sequence[Sample], start_ns: int, end_ns: int, columns: int) -> list[tuple[int, int]]:
    """(least, most) of each of ``columns`` equal parts of the span; a count lasts until the next sample."""
    span = max(end_ns - start_ns, 1)
    parts: list[tuple[int, int]] = []
    held, at = (0, 0), 0
    for column in range(columns):
        until = start_ns + span * (column + 1) // columns
        highest = held
        while at < len(samples) and (samples[at][0] <= until or column == columns - 1):
            held = samples[at][1], samples[at][2]
            highest = max(highest, held, key=lambda pair: (pair[1], pair[0]))
            at += 1
        parts.append(highest)
    return parts


def spark(parts: Sequence[tuple[int, int]]) -> str:
    """One row: the most of each part, from nothing to the greatest; what is above nothing always shows."""
    top = max((most for _, most in parts), default=0)
    return "".join(_EIGHTHS[_level(most, top, 8)] for _, most in parts)


def area(parts: Sequence[tuple[int, int]], rows: int) -> list[Line]:
    """``rows`` rows, the highest first: solid up to the proven least, shaded from there to the modelled most."""
    top = max((most for _, most in parts), default=0)
    heights = [(_level(least, top, rows * 8), _level(most, top, rows * 8)) for least, most in parts]
    return [_area_row(heights, row) for row in range(rows - 1, -1, -1)]


def _area_row(heights: Sequence[tuple[int, int]], row: int) -> Line:
    floor = row * 8
    cells = []
    for least, most in heights:
        solid = min(max(least - floor, 0), 8)
        shaded = _BETWEEN if most - floor > 0 and most > least else " "
        cells.append(_EIGHTHS[solid] if solid else shaded)
    return (Piece("".join(cells), "cyan"),)


def _level(value: int, top: int, levels: int) -> int:
    return max(value * levels // top, 1) if value > 0 else 0
