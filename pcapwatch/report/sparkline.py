"""A row of block characters for a series of counts."""

from __future__ import annotations

from collections.abc import Sequence

_BLOCKS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[int], width: int) -> str:
    """At most ``width`` characters, each the greatest of its share of values, scaled from 0 to the greatest."""
    if not values or width < 1:
        return ""
    top = max(values)
    columns = min(width, len(values))
    peaks = [max(values[i * len(values) // columns : (i + 1) * len(values) // columns]) for i in range(columns)]
    return "".join(_BLOCKS[(peak * 7 + top // 2) // top] if top else _BLOCKS[0] for peak in peaks)
