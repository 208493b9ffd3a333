"""Words into lines of a width, where wide characters count for what a terminal gives them.

As rich's `Text.wrap` does it (a test holds the two together), without its console: loading that takes 20 ms, a sixth of
a small capture's whole report.
"""

from __future__ import annotations

import re

from rich.cells import cell_len, chop_cells

_WORD = re.compile(r"\s*\S+\s*")


def wrapped(text: str, width: int) -> list[str]:
    """Lines of at most ``width`` columns, at least one; a word that no line holds is folded."""
    lines, line, used = [], "", 0
    for word in _WORD.findall(text):
        needed = cell_len(word.rstrip())
        if needed > width:
            *full, word = chop_cells(word, width)  # noqa: PLW2901 - its last piece begins the next line
            lines += [line, *full] if line else full
            line, used = "", 0
        elif needed > width - used:
            lines.append(line)
            line, used = "", 0
        line, used = line + word, used + cell_len(word)
    return [done.rstrip() for done in [*lines, line]]
