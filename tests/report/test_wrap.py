"""Wrapping, held to rich's own."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from pcapwatch.report.wrap import wrapped

CONSOLE = Console(file=io.StringIO(), width=120, no_color=True, highlight=False)
#: Narrow, wide, combining and joined characters, and spaces.
TEXTS = st.text(st.sampled_from("ab- ·→日本éé\u0301👩\u200d👧한 "), max_size=120)


@given(TEXTS, st.integers(4, 60))
def test_as_rich_wraps(text: str, width: int) -> None:
    """The lines are rich's, whatever words and widths."""
    by_rich = [line.plain.rstrip() for line in Text(text).wrap(CONSOLE, width)] or [""]
    assert wrapped(text, width) == by_rich


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("", 10, [""]),
        ("one two three", 7, ["one two", "three"]),
        ("exactly ten", 7, ["exactly", "ten"]),
        ("a/very/long/path", 6, ["a/very", "/long/", "path"]),
        ("日本語 日本", 6, ["日本語", "日本"]),
    ],
)
def test_by_hand(text: str, width: int, lines: list[str]) -> None:
    """Words move whole to the next line, a word longer than a line is cut, a wide character takes two columns."""
    assert wrapped(text, width) == lines
    assert all(cell_len(line) <= width for line in lines)
