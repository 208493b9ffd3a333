"""The tool beside tshark on every capture: TCP streams, the FIN that closed, HTTP messages, Connection headers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from crafted.reading import tool_rows
from oracle import read_connections
from oracle.known import UNDECODED
from places import CAPTURES, capture_name
from tshark.comparing import compare
from tshark.differences import read_differences
from tshark.reading import TSHARK, read_streams, tshark_version

LISTED = read_differences()
pytestmark = [
    pytest.mark.skipif(TSHARK is None, reason="tshark is not installed"),
    pytest.mark.skipif(
        tshark_version() not in {"", LISTED.version},
        reason=f"the table of differences was written against tshark {LISTED.version}, here is {tshark_version()}",
    ),
]


@pytest.mark.parametrize("read", [tool_rows, read_connections], ids=["tool", "oracle"])
@pytest.mark.parametrize("paths", CAPTURES, ids=capture_name)
def test_beside_tshark(paths: tuple[Path, ...], read: Callable[..., list[dict[str, Any]]]) -> None:
    """Every difference is listed with its reason, and every listed one still occurs, for tool and oracle."""
    if not paths:
        pytest.skip("the shared captures are not on this machine")
    if len(paths) > 1:
        pytest.skip("tshark follows no connection across the files of a rotated set")
    if read is read_connections and capture_name(paths) in UNDECODED:
        pytest.skip(f"the oracle does not decode what is {UNDECODED[capture_name(paths)]}")
    found = set(compare(read(*paths), read_streams(paths[0])))
    listed = LISTED.lines.get(capture_name(paths), set())
    assert sorted(found - listed) == [], "differences that are not listed"
    assert sorted(listed - found) == [], "listed differences that no longer occur"


def test_listed_captures_exist() -> None:
    """A capture that is no longer compared must leave the table."""
    names = {capture_name(paths) for paths in CAPTURES}
    if "shared-captures-absent" in names:
        pytest.skip("the shared captures are not on this machine")
    assert set(LISTED.lines) - names == set()
