"""The tool and the oracle, field by field, on every recorded fixture and every shared real capture."""

from pathlib import Path

import pytest
from crafted.reading import tool_rows
from oracle import read_connections
from oracle.compare import compare
from oracle.known import KNOWN, UNDECODED
from places import CAPTURES, capture_name

pcapwatch = pytest.importorskip("pcapwatch")


@pytest.mark.parametrize("paths", CAPTURES, ids=capture_name)
def test_tool_equals_oracle(paths: tuple[Path, ...]) -> None:
    """Every column of every connection agrees, but for the listed differences, none of which is listed in vain."""
    if not paths:
        pytest.skip("the shared captures are not on this machine")
    name = capture_name(paths)
    if name in UNDECODED:
        pytest.skip(f"the oracle does not decode what is {UNDECODED[name]}")
    found = compare(name, tool_rows(*paths), read_connections(*paths))
    listed = {(k.first_frame, k.column) for k in KNOWN if k.capture == name}
    unexplained = [str(d) for d in found if (d.first_frame, d.column) not in listed]
    assert unexplained == []
    assert listed - {(d.first_frame, d.column) for d in found} == set(), "listed differences that no longer occur"


def test_what_the_oracle_leaves_out_is_there_and_left_out() -> None:
    """A capture listed as undecoded exists, and the oracle finds less in it, or only what is beside a tunnel."""
    captures = {capture_name(paths): paths for paths in CAPTURES}
    if "shared-captures-absent" in captures:
        pytest.skip("the shared captures are not on this machine")
    for name in UNDECODED:
        theirs, ours = read_connections(*captures[name]), tool_rows(*captures[name])
        frames = [{row["first_frame"] for row in found} for found in (theirs, ours)]
        assert len(theirs) < len(ours) or frames[0].isdisjoint(frames[1]), name
