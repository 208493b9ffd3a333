"""The engine's own Parquet files: pyarrow reads what the Arrow stream says, whatever the rows."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
from places import ROOT, SHARED
from test_rows import many

from pcapwatch import _engine
from pcapwatch.frames import rows
from pcapwatch.report.tables import write_parquet

FIXTURES = sorted(path.name for path in (ROOT / "fixtures").iterdir() if (path / "truth.json").is_file())
#: Of a row group; the engine's `GROUP_ROWS`.
GROUP_ROWS = 32_768


def analysis(*paths: Path, **settings: Any) -> Any:
    """Both tables kept."""
    chosen = json.dumps({"keep_connections": True, "keep_exchanges": True, **settings})
    return _engine.analyze([str(path) for path in paths], chosen)


def file_of(table: Any, *, full_urls: bool = True) -> io.BytesIO:
    """As the command writes it."""
    stream = io.BytesIO()
    write_parquet(rows(table, full_urls=full_urls), stream)
    stream.seek(0)
    return stream


def check(table: Any) -> None:
    """The same columns, types, order and cells as the Arrow stream's."""
    stream, read = pa.table(table), pyarrow.parquet.read_table(file_of(table))
    read.validate(full=True)
    assert read.num_rows == len(table)
    assert [(field.name, plain(field.type)) for field in read.schema] == [
        (field.name, plain(field.type)) for field in stream.schema
    ]
    for name in stream.column_names:
        assert read[name].combine_chunks().to_pylist() == stream[name].combine_chunks().to_pylist(), name


def plain(kind: Any) -> str:
    """A type by its name; the item of a list is called `element` by Parquet and `item` by Arrow."""
    return str(kind).replace("<element:", "<item:")


@pytest.mark.parametrize("fixture", FIXTURES)
def test_every_fixture(fixture: str) -> None:
    """Connections and exchanges of every recorded situation."""
    found = analysis(ROOT / "fixtures" / fixture, threads=2)
    check(found.connections)
    check(found.exchanges)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the captures by others are not here")
def test_captures_by_others() -> None:
    """Real files, with user agents, names and tunnels of all sorts."""
    files = sorted(path for path in SHARED.rglob("*.pcap*") if "hostile" not in path.parts)
    read = 0
    for path in files[:60]:
        try:
            found = analysis(path)
        except _engine.SourceError:
            continue
        check(found.connections)
        check(found.exchanges)
        read += 1
    assert read > 20


@pytest.mark.parametrize("count", [0, 1, GROUP_ROWS - 1, GROUP_ROWS, GROUP_ROWS + 1, 2 * GROUP_ROWS + 9])
def test_row_groups(count: int, tmp_path: Path) -> None:
    """Of so many rows that the last row group is empty, full, or begins; in order, each with its least and most."""
    found = analysis(many(tmp_path / "many.pcap", count), threads=3, rows_in_memory=5_000)
    check(found.connections)
    file = pyarrow.parquet.ParquetFile(file_of(found.connections))
    groups = [file.metadata.row_group(number) for number in range(file.num_row_groups)]
    assert [group.num_rows for group in groups] == [
        min(GROUP_ROWS, count - start) for start in range(0, count, GROUP_ROWS)
    ]
    numbers = [group.column(0).statistics for group in groups]
    assert [(told.min, told.max, told.null_count) for told in numbers] == [
        (start + 1, min(start + GROUP_ROWS, count), 0) for start in range(0, count, GROUP_ROWS)
    ]


def test_pandas_types(tmp_path: Path) -> None:
    """A reader without Arrow's schema finds plain types: strings, not categories, and instants in UTC, in ns."""
    file = tmp_path / "x.parquet"
    file.write_bytes(file_of(analysis(ROOT / "fixtures" / "proxy-both-legs").connections).getvalue())
    frame = pd.read_parquet(file, dtype_backend="pyarrow")
    wanted = {
        "client": "string[pyarrow]",
        "close": "string[pyarrow]",
        "start": "timestamp[ns, tz=UTC][pyarrow]",
        "time_wait_s": "double[pyarrow]",
        "requests": "int64[pyarrow]",
        "reusable": "bool[pyarrow]",
    }
    assert {name: str(frame[name].dtype) for name in wanted} == wanted


def test_meanings_are_in_the_file() -> None:
    """Whoever has the file alone finds what its columns mean."""
    found = analysis(ROOT / "fixtures" / "proxy-both-legs")
    for table in ("connections", "exchanges"):
        told = pyarrow.parquet.read_metadata(file_of(getattr(found, table))).metadata[b"pcapwatch.columns"]
        assert json.loads(told) == json.loads(_engine.columns_json())[table]


def test_secrets_are_hidden() -> None:
    """What `hide` gives stands in the place of every text of its column; what it leaves alone stays."""
    found = analysis(ROOT / "fixtures" / "proxy-both-legs")
    asked = []

    def hide(name: str, texts: list[str]) -> list[str] | None:
        asked.append(name)
        return ["hidden" for _ in texts] if name == "target" else None

    shown = pyarrow.parquet.read_table(file_of(found.exchanges))
    hidden = pyarrow.parquet.read_table(io.BytesIO(b"".join(found.exchanges.parquet(hide))))
    assert set(hidden["target"].to_pylist()) == {"hidden"}
    assert hidden.drop(["target"]).equals(shown.drop(["target"]))
    assert {"target", "host", "user_agent"} <= set(asked)


def test_secrets_of_a_query_are_hidden_as_in_other_formats(tmp_path: Path) -> None:
    """The engine's Parquet and the Arrow stream hide the same."""
    found = analysis(ROOT / "fixtures" / "proxy-both-legs")
    read = pyarrow.parquet.read_table(file_of(found.exchanges, full_urls=False))
    batches = list(rows(found.exchanges, full_urls=False).batches)
    for name in ("target", "host"):
        assert read[name].to_pylist() == pa.Table.from_batches(batches)[name].to_pylist()


def test_what_hide_raises_ends_it() -> None:
    """An error of the caller's own comes back as it is, and no part after it."""
    parts = analysis(ROOT / "fixtures" / "proxy-both-legs").exchanges.parquet(lambda *_: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        list(parts)
    assert list(parts) == []


def test_a_pass_that_is_left_early_keeps_nobody(tmp_path: Path) -> None:
    """Two passes at once, one left after its first part: the other is whole."""
    table = analysis(many(tmp_path / "many.pcap", 70_000), threads=2).connections
    left, whole = table.parquet(), table.parquet()
    assert next(left) == b"PAR1"
    del left
    assert pyarrow.parquet.read_table(io.BytesIO(b"".join(whole))).num_rows == 70_000
