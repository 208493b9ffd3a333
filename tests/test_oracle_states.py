"""Both sides' states at the end of every capture, assumed and proved, against a derivation without a state machine."""

from pathlib import Path

import pytest
from crafted.reading import tool_rows
from oracle.capture import read_capture
from oracle.incarnations import split
from oracle.known import UNDECODED
from oracle.rows import roles
from oracle.segments import read_segments
from oracle.states import only_fins, opened_for_certain, read_states
from places import CAPTURES, capture_name


@pytest.mark.parametrize("paths", CAPTURES, ids=capture_name)
def test_states_after_fins(paths: tuple[Path, ...]) -> None:
    """Where nothing but FINs closed, assumed and proved state of both sides follow from who sent and heard what."""
    if not paths:
        pytest.skip("the shared captures are not on this machine")
    if (name := capture_name(paths)) in UNDECODED:
        pytest.skip(f"the oracle does not decode what is {UNDECODED[name]}")
    files = sorted(((read_capture(p), p) for p in paths), key=lambda f: f[0][0].ts_ns if f[0] else 0)
    rows = {(Path(str(r["file"])).name, r["first_frame"]): r for r in tool_rows(*paths)}
    wrong = []
    for c in split([s for packets, path in files for s in read_segments(packets, path.name)]):
        if not only_fins(c):
            continue
        client, server, _ = roles(c)
        row = rows[c.packets[0].file, c.packets[0].frame]
        for side, end in (("client", client), ("server", server)):
            expected = read_states(c, end)
            if side == "server" and not opened_for_certain(c, server):
                expected = (expected[0], str(row["server_state_proved"] or expected[0]))
            found = (row[f"{side}_state"], row[f"{side}_state_proved"] or row[f"{side}_state"])
            if found != expected:
                wrong.append(f"{row['first_frame']} {side}: {found}, must be {expected}")
    assert wrong == []
