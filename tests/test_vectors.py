"""Section F of the specification: the ten least test vectors, each also across 2^31 and 2^32."""

from pathlib import Path

import pytest
from crafted import vectors
from crafted.reading import ISNS, craft, differences, tool_rows

pytestmark = pytest.mark.parametrize("isns", ISNS)


def test_vector_01_client_closes(tmp_path: Path, isns: str) -> None:
    """The client is the active closer; its TIME_WAIT starts at the last packet; Linux model [60, 65.2]."""
    path, expected = craft(tmp_path, vectors.vector_01, isns)
    assert differences(tool_rows(path), expected) == []


def test_vector_02_simultaneous_close(tmp_path: Path, isns: str) -> None:
    """Crossing FINs: both closed, both hold TIME_WAIT."""
    path, expected = craft(tmp_path, vectors.vector_02, isns)
    assert differences(tool_rows(path), expected) == []


def test_vector_03_tap_reordering(tmp_path: Path, isns: str) -> None:
    """Cause, not order of capture, names the closer."""
    path, expected = craft(tmp_path, vectors.vector_03, isns)
    assert differences(tool_rows(path), expected) == []


def test_vector_04_restart(tmp_path: Path, isns: str) -> None:
    """A FIN repeated at +20 s and acknowledged again: one restart, lower bound 20 s, the model's end moves on."""
    path, expected = craft(tmp_path, vectors.vector_04, isns)
    assert differences(tool_rows(path), expected) == []


def test_vector_05_gone(tmp_path: Path, isns: str) -> None:
    """A FIN at +70 s answered by a bare RST: gone by 70 s."""
    path, expected = craft(tmp_path, vectors.vector_05, isns)
    assert differences(tool_rows(path), expected) == []


def test_vector_06_reuse_is_exact(tmp_path: Path, isns: str) -> None:
    """ISN = old snd_nxt + 65537 at +30 s: observed exactly, reused."""
    path, expected = craft(tmp_path, vectors.vector_06_exact, isns)
    assert differences(tool_rows(path), expected) == []


def test_vector_06_fresh_isn_is_an_upper_bound(tmp_path: Path, isns: str) -> None:
    """A fresh ISN at +61 s: gone by 61 s."""
    path, expected = craft(tmp_path, vectors.vector_06_fresh, isns)
    assert differences(tool_rows(path), expected) == []


def test_vector_07_killed(tmp_path: Path, isns: str) -> None:
    """Challenge ACK, RST, the same SYN, SYN-ACK: killed at the RST, one new incarnation."""
    path, expected = craft(tmp_path, vectors.vector_07, isns)
    assert differences(tool_rows(path), expected) == []


def test_vector_08_reset_on_late_data(tmp_path: Path, isns: str) -> None:
    """Data for a closed orphan answered by a bare RST: late data, TIME_WAIT not entered."""
    path, expected = craft(tmp_path, vectors.vector_08, isns)
    assert differences(tool_rows(path), expected) == []


def test_vector_09_ineffective_reset(tmp_path: Path, isns: str) -> None:
    """A reset in the window but not exact changes nothing."""
    path, expected = craft(tmp_path, vectors.vector_09, isns)
    assert differences(tool_rows(path), expected) == []


def test_vector_10_censored(tmp_path: Path, isns: str) -> None:
    """The capture ends first: censored, and silence proves no lower bound."""
    path, expected = craft(tmp_path, vectors.vector_10, isns)
    assert differences(tool_rows(path), expected) == []
