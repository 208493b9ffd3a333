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


#: What scales are rounded up to, times a power of ten: a scale that holds for a while is steadier to look at, and costs
#: few bytes over ssh.
_ROUND = (1, 1.5, 2, 3, 4, 6, 8, 10)
#: The engine tells counts for so long a time at the least.
_LEAST_STEP_NS = 100_000_000


def rounded_up(number: int) -> int:
    """The next round number: 1, 2, 3, 4, 6, 8, 10, 15, 20, 30 …; 0 for nothing."""
    power = 10 ** max(len(str(number)) - 1, 0)
    steps = (int(factor * power) for factor in _ROUND if factor * power == int(factor * power))
    return next(step for step in steps if step >= number) if number > 0 else 0


def resampled(samples: Sequence[Sample], start_ns: int, end_ns: int, columns: int) -> list[tuple[int, int]]:
    """(least, most) of each equal part of the span, at most ``columns``; a count lasts until the next sample.

    Parts are of a round length, so that the past stays where it was drawn as the capture goes on; two thirds of the
    columns are used at the least, but of a short span.
    """
    span = max(end_ns - start_ns, 1)
    step = rounded_up(max(-(-span // max(columns, 1)), _LEAST_STEP_NS))
    parts: list[tuple[int, int]] = []
    held, at, used = (0, 0), 0, min(span // step + 1, columns)
    for column in range(used):
        until = start_ns + step * (column + 1)
        highest = held
        while at < len(samples) and (samples[at][0] < until or column == used - 1):
            held = samples[at][1], samples[at][2]
            highest = max(highest, held, key=lambda pair: (pair[1], pair[0]))
            at += 1
        parts.append(highest)
    return parts


def spark(parts: Sequence[tuple[int, int]]) -> str:
    """One row: the most of each part, from nothing to the scale's top; what is above nothing always shows."""
    top = scale(parts)
    return "".join(_EIGHTHS[_level(most, top, 8)] for _, most in parts)


def scale(parts: Sequence[tuple[int, int]]) -> int:
    """What the top of a chart of these stands for."""
    return rounded_up(max((most for _, most in parts), default=0))


def area(parts: Sequence[tuple[int, int]], rows: int) -> list[Line]:
    """``rows`` rows, the highest first: solid up to the proven least, shaded from there to the modelled most."""
    top = scale(parts)
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
