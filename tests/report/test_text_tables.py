"""A text table is written as rows come: however many, and however wide those behind the first are."""

from __future__ import annotations

import io

import pytest

from pcapwatch.frames import Rows
from pcapwatch.report.tables import ROWS_MEASURED, write_text
from pcapwatch.report.words import Clock

WIDE = "2001:db8:aaaa:bbbb:cccc:dddd:ffff:1001"


@pytest.mark.parametrize("rows", [0, 1, ROWS_MEASURED - 1, ROWS_MEASURED, 3 * ROWS_MEASURED + 1])
def test_every_row_is_there_and_whole(rows: int) -> None:
    """As many lines as rows, below the header; what is wider than the first ones is not cut, nor are its neighbours."""
    import pyarrow as pa

    texts = ["10.0.0.1"] * rows
    if rows:
        texts[-1] = WIDE
    table = pa.table({"client": texts, "port": range(rows), "close": ["fin"] * rows})
    stream = io.BytesIO()
    batches = iter(table.to_batches(max_chunksize=1000))
    write_text(Rows(table.schema, batches, rows), stream, ["client", "port", "close"], Clock(), 80)
    header, *lines = stream.getvalue().decode().splitlines()
    assert header.split() == ["client", "port", "close"]
    assert len(lines) == rows
    if rows:
        assert lines[-1].split() == [WIDE, str(rows - 1), "fin"]
