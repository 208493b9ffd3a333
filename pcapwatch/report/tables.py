"""Tables of rows, one renderer per format: CSV, JSON, JSONL, Parquet, Arrow, Markdown and text.

A table is written batch by batch as it comes, so its length costs no memory; in text the first rows say how wide its
columns are. pyarrow does the columns' work; pandas is never needed. Instants are RFC 3339 with nanoseconds in the text
formats and Arrow timestamps in Parquet and Arrow.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice
from typing import IO, Any, TypeAlias

from pcapwatch.errors import UsageError
from pcapwatch.frames import Rows
from pcapwatch.report import escape
from pcapwatch.report.layout import LEAST_WIDTH
from pcapwatch.report.markdown import table as markdown_table
from pcapwatch.report.words import Clock, iso

#: Rows a Markdown table shows; more are counted in its last line.
ROWS_SHOWN = 200
#: Rows from which a text table's widths are taken; wider cells behind them push the rest of their line.
ROWS_MEASURED = 4096
#: Rows that are Python's objects at once.
SLICE = 4096
#: Rows of one Parquet row group: what a reader skips or reads at once.
ROW_GROUP = 65_536

#: Writes the rows to a binary stream, which stays open.
Writer: TypeAlias = Callable[[Rows, IO[bytes]], None]


def write_csv(rows: Rows, stream: IO[bytes]) -> None:
    """UTF-8, RFC 4180 quoting, a header; no field is a formula or holds a control character; nulls are empty."""
    import pyarrow.csv

    options = pyarrow.csv.WriteOptions(quoting_style="needed")
    with pyarrow.csv.CSVWriter(stream, _plain(rows.schema.empty_table()).schema, write_options=options) as writer:
        for batch in rows.batches:
            writer.write_batch(_without_formulas(_plain(batch)))


def _without_formulas(batch: Any) -> Any:
    import pyarrow as pa

    for index, field in enumerate(batch.schema):
        if pa.types.is_string(field.type) or pa.types.is_large_string(field.type):
            batch = batch.set_column(index, field, _harmless(batch.column(index)))
    return batch


def _harmless(strings: Any) -> Any:
    """One chunk of strings by `escape.csv`; Python sees only what is not ASCII or may be a formula."""
    import pyarrow as pa
    import pyarrow.compute as pc

    suspect = pc.fill_null(pc.match_substring_regex(strings, r"[^\x20-\x7e]|(^|;)[ \"]*[=+\-@]"), False)
    safe = [None if text is None else escape.csv(text) for text in strings.filter(suspect).to_pylist()]
    return pc.replace_with_mask(strings, suspect, pa.array(safe, strings.type)) if safe else strings


def write_jsonl(rows: Rows, stream: IO[bytes]) -> None:
    """One object a line, keys in the columns' order."""
    for batch in rows.batches:
        stream.write("".join(f"{json.dumps(row)}\n" for row in _objects(batch)).encode())


def write_json(rows: Rows, stream: IO[bytes]) -> None:
    """One array of objects."""
    stream.write(b"[\n")
    separator = ""
    for batch in rows.batches:
        for row in _objects(batch):
            stream.write(f"{separator}{json.dumps(row)}".encode())
            separator = ",\n"
    stream.write(b"\n]\n")


def write_parquet(rows: Rows, stream: IO[bytes]) -> None:
    """Parquet 2.6, zstd; nanosecond timestamps. Text by dictionary, counts and instants by difference: they ascend."""
    import pyarrow as pa
    import pyarrow.parquet

    types = pa.types
    texts = [field.name for field in rows.schema if types.is_string(field.type)]
    # A reader skips row groups by least and most, which tell something only where values ascend with the rows.
    ordered = [name for name in ("connection", "start", "index", "request_start") if name in rows.schema.names]
    ascending = [field.name for field in rows.schema if types.is_int64(field.type) or types.is_timestamp(field.type)]
    with pyarrow.parquet.ParquetWriter(
        stream,
        rows.schema,
        compression="zstd",
        compression_level=1,
        version="2.6",
        use_dictionary=texts,
        write_statistics=ordered,
        column_encoding=dict.fromkeys(ascending, "DELTA_BINARY_PACKED"),
    ) as writer:
        for group in _groups(rows):
            writer.write_table(group, ROW_GROUP)


def _groups(rows: Rows) -> Iterator[Any]:
    """Tables of at least `ROW_GROUP` rows, the last one smaller."""
    import pyarrow as pa

    gathered: list[Any] = []
    for batch in rows.batches:
        gathered.append(batch)
        if sum(part.num_rows for part in gathered) >= ROW_GROUP:
            yield pa.Table.from_batches(gathered, rows.schema)
            gathered = []
    if gathered:
        yield pa.Table.from_batches(gathered, rows.schema)


def write_arrow(rows: Rows, stream: IO[bytes]) -> None:
    """The Arrow IPC file format (Feather version 2), uncompressed, so that it can be mapped."""
    import pyarrow as pa

    with pa.ipc.new_file(stream, rows.schema) as writer:
        for batch in rows.batches:
            writer.write_batch(batch)


def write_markdown(rows: Rows, stream: IO[bytes], columns: Sequence[str], clock: Clock) -> None:
    """The named columns as a pipe table."""
    header, shown = _shown(rows, columns, clock)
    cells = list(islice(shown, ROWS_SHOWN))
    text = markdown_table(header, cells, 10_000)
    hidden = rows.total - len(cells)
    stream.write((text + (f"\n*{hidden:,} more rows: `-o FILE.csv` has them all.*\n" if hidden else "")).encode())


def write_text(rows: Rows, stream: IO[bytes], columns: Sequence[str], clock: Clock, width: int) -> None:
    """The named columns, as many from the left as ``width`` has room for; what is left out is said at the end."""
    header, shown = _shown(rows, columns, clock)
    every = ([escape.terminal(cell) for cell in row] for row in shown)
    measured = list(islice(every, ROWS_MEASURED))
    widths = [max(map(len, column)) for column in zip(header, *measured, strict=True)]
    most = max(width, LEAST_WIDTH)
    fitting = _fitting(widths, most)
    right = [all(_figure(row[i]) for row in measured) for i in range(fitting)]
    for row in chain([header], measured, every):
        padded = [
            cell.rjust(w) if r else cell.ljust(w) for cell, w, r in zip(row[:fitting], widths, right, strict=False)
        ]
        line = "  ".join(padded).rstrip()
        # Of columns that fit nothing is cut, however wide a cell behind the measured rows is.
        stream.write(f"{line if fitting > 1 else line[:most]}\n".encode())
    if missing := [name for name in rows.schema.names if name not in header[:fitting]]:
        stream.write(f"({len(missing)} more columns: -o FILE.csv has them all)\n".encode())


def _fitting(widths: Sequence[int], width: int) -> int:
    used = -2
    for number, column in enumerate(widths):
        used += column + 2
        if used > width:
            return max(number, 1)
    return len(widths)


def _figure(text: str) -> bool:
    return text.replace(",", "").replace(".", "").lstrip("-").isdigit() or text in {"", "-"}


def _shown(rows: Rows, columns: Sequence[str], clock: Clock) -> tuple[list[str], Iterator[list[str]]]:
    """The columns that there are, and the rows' cells, a few thousand at a time in Python's hands."""
    present = [name for name in columns if name in rows.schema.names]

    def cells() -> Iterator[list[str]]:
        for batch in rows.batches:
            part = batch.select(present)
            for start in range(0, part.num_rows, SLICE):
                columns = part.slice(start, SLICE).columns
                values = [[_cell(value, clock) for value in _values(column)] for column in columns]
                yield from map(list, zip(*values, strict=True))

    return present, cells()


def _cell(value: Any, clock: Clock) -> str:
    if isinstance(value, _Instant):
        return clock.instant(value.ns)
    if isinstance(value, list):
        return " ".join(map(str, value))
    if isinstance(value, float):
        return f"{value:.6f}".rstrip("0").rstrip(".")
    return "-" if value is None else str(value)


class _Instant:
    """A timestamp, ns since 1970 UTC: Python's datetime has no nanoseconds."""

    __slots__ = ("ns",)

    def __init__(self, ns: int) -> None:
        self.ns = ns


def _values(column: Any) -> list[Any]:
    import pyarrow as pa

    if not pa.types.is_timestamp(column.type):
        return list(column.to_pylist())
    instants = column.cast(pa.timestamp("ns", column.type.tz)).cast(pa.int64()).to_pylist()
    return [None if ns is None else _Instant(ns) for ns in instants]


def _objects(batch: Any) -> Iterator[dict[str, Any]]:
    """Plain objects, a few thousand at a time so that a batch is never wholly in Python's hands."""
    for start in range(0, batch.num_rows, SLICE):
        columns = [
            [iso(v.ns) if isinstance(v, _Instant) else round(v, 9) if isinstance(v, float) else v for v in values]
            for values in map(_values, batch.slice(start, SLICE).columns)
        ]
        for row in zip(*columns, strict=True):
            yield dict(zip(batch.schema.names, row, strict=True))


def _plain(table: Any) -> Any:
    """A table or batch with nothing but strings, numbers and booleans: lists joined by spaces, instants as RFC 3339."""
    import pyarrow as pa
    import pyarrow.compute as pc

    for index, name in enumerate(table.schema.names):
        column = table.column(index)
        if pa.types.is_timestamp(column.type):
            column = pc.strftime(column.cast(pa.timestamp("ns", "UTC")), format="%Y-%m-%dT%H:%M:%SZ")
        elif pa.types.is_dictionary(column.type):
            column = column.cast(pa.string())
        elif pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
            column = pc.binary_join(column, " ")
        else:
            continue
        table = table.set_column(index, name, column)
    return table


def table_writer(suffix: str, columns: Sequence[str], clock: Clock, width: int) -> Writer:
    """The writer of a format; ``UsageError`` for one that tables do not have."""
    known: dict[str, Writer] = {
        "txt": lambda rows, stream: write_text(rows, stream, columns, clock, width),
        "md": lambda rows, stream: write_markdown(rows, stream, columns, clock),
        "csv": write_csv,
        "json": write_json,
        "jsonl": write_jsonl,
        "parquet": write_parquet,
        "arrow": write_arrow,
    }
    if suffix not in known:
        raise UsageError(f"a table has no format {suffix}: choose {', '.join(known)}")
    return known[suffix]
