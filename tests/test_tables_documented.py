"""docs/tables.md and the tables that the engine exports say the same."""

import json
import re
from pathlib import Path

import pytest

from pcapwatch import _engine

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "tables.md"


def documented(table: str) -> list[str]:
    """The names in the first column of a table's section, in order."""
    section = DOCUMENT.read_text().partition(f"\n## {table}\n")[2].partition("\n## ")[0]
    cells = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    return [name for cell in cells for name in re.findall(r"`(\w+)`", cell)]


@pytest.mark.parametrize("table", ["connections", "exchanges"])
def test_every_column_is_documented(table: str) -> None:
    """docs/tables.md names the engine's columns, all of them, in the engine's order, and no other."""
    assert documented(table) == [name for name, _ in json.loads(_engine.columns_json())[table]]


@pytest.mark.parametrize("table", ["connections", "exchanges"])
def test_every_column_has_one_meaning(table: str) -> None:
    """No name occurs twice, and none goes without a sentence (it becomes the Arrow field's description)."""
    columns = json.loads(_engine.columns_json())[table]
    assert len({name for name, _ in columns}) == len(columns)
    assert all(meaning.strip() for _, meaning in columns)
