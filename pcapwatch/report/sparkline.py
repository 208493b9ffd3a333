"""A row of block characters for a count over time."""

from __future__ import annotations

from collections.abc import Sequence

_BLOCKS = "▁▂▃▄▅▆▇█"


def over_time(samples: Sequence[tuple[int, int]], start_ns: int, end_ns: int, parts: int) -> list[int]:
    """The greatest count of each of ``parts`` equal shares of a span, its end in the last of them.

    ``samples``: (ns, count), ascending; a count lasts until the next sample, and is 0 before the first.
    """
    span = max(end_ns - start_ns, 1)
    greatest, held, at = [], 0, 0
    for part in range(parts):
        most, until = held, start_ns + span * (part + 1) // parts
        while at < len(samples) and (samples[at][0] < until or part == parts - 1):
            held = samples[at][1]
            most = max(most, held)
            at += 1
        greatest.append(most)
    return greatest


def sparkline(values: Sequence[int]) -> str:
    """A character for each value, scaled from 0 to the greatest; what is above nothing shows."""
    top = max(values, default=0)
    return "".join(
        _BLOCKS[max((value * 7 + top // 2) // top, min(value, 1))] if top else _BLOCKS[0] for value in values
    )
