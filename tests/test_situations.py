"""Hand-made situations of A2, A3, A5, A7, A8, B1, B3: the tool reads each as the specification says.

So does the oracle, so that neither is checked only against the other.
"""

from pathlib import Path

import pytest
from crafted import vectors
from crafted.odd import SITUATIONS
from crafted.reading import ISNS, craft, differences, tool_rows
from crafted.situations import Builder, Situation
from oracle import read_connections

ALL = pytest.mark.parametrize("situation", SITUATIONS, ids=lambda s: s.name)
VECTORS = [v for n, v in sorted(vars(vectors).items()) if n.startswith("vector_")]
ORACLE_LEAVES_OUT = {"time_wait_model_low_s", "time_wait_model_high_s"}


@ALL
@pytest.mark.parametrize("isns", ISNS)
def test_tool_reads_situation(tmp_path: Path, situation: Situation, isns: str) -> None:
    """Every column that the situation fixes must be read as written there."""
    path, expected = craft(tmp_path, situation.build, isns)
    assert differences(tool_rows(path), expected) == [], situation.rule


@ALL
@pytest.mark.parametrize("isns", ISNS)
def test_oracle_reads_situation(tmp_path: Path, situation: Situation, isns: str) -> None:
    """The oracle must read the hand-made situations right, or it is no judge."""
    path, expected = craft(tmp_path, situation.build, isns)
    assert differences(read_connections(path), expected) == [], situation.rule


@pytest.mark.parametrize("vector", VECTORS, ids=lambda v: v.__name__)
@pytest.mark.parametrize("isns", ISNS)
def test_oracle_reads_vector(tmp_path: Path, vector: Builder, isns: str) -> None:
    """The oracle must read the specification's own vectors right."""
    path, expected = craft(tmp_path, vector, isns)
    wanted = [{k: v for k, v in row.items() if k not in ORACLE_LEAVES_OUT} for row in expected]
    assert differences(read_connections(path), wanted) == []
