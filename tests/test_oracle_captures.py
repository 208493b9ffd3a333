"""The tool and the oracle, field by field, on every recorded fixture and every shared real capture."""

from pathlib import Path

import pytest

from crafted.reading import tool_rows
from oracle import read_connections
from oracle.compare import compare
from oracle.known import KNOWN
from places import CAPTURES, capture_id

pcapwatch = pytest.importorskip("pcapwatch")


@pytest.mark.parametrize("path", CAPTURES, ids=capture_id)
def test_tool_equals_oracle(path: Path | None) -> None:
    """Every column of every connection agrees, but for the differences listed with their reasons; none of those is
    listed in vain."""
    if path is None:
        pytest.skip("the shared captures are not on this machine")
    found = compare(path, tool_rows(path), read_connections(path))
    listed = {(k.first_frame, k.column) for k in KNOWN if k.capture == path.name}
    unexplained = [str(d) for d in found if (d.first_frame, d.column) not in listed]
    assert unexplained == []
    assert listed - {(d.first_frame, d.column) for d in found} == set(), "listed differences that no longer occur"
