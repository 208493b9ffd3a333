"""Tables of rows, one renderer per format: CSV, JSON, JSONL, Parquet, Arrow, Markdown and text.

pyarrow does the columns' work; pandas is never needed. Instants are RFC 3339 with nanoseconds in the text formats and
Arrow timestamps in Parquet and Arrow.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

from pcapwatch.errors import UsageError
from pcapwatch.report import escape
from pcapwatch.report.layout import LEAST_WIDTH
from pcapwatch.report.markdown import table as markdown_table
from pcapwatch.report.words import Clock, iso

#: Rows a text or Markdown table shows; more are counted in its last line.
ROWS_SHOWN = {"txt": 1_000_000, "md": 200}

Renderer: TypeAlias = Callable[[Any], bytes]


def render_csv(table: Any) -> bytes:
    """UTF-8, RFC 4180 quoting, a header; no field is a formula or holds a control character; nulls are empty."""
    import pyarrow as pa
    import pyarrow.csv

    plain = _plain(table)
    for index, name in enumerate(plain.column_names):
        column = plain.column(index)
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            plain = plain.set_column(index, name, pa.chunked_array(map(_harmless, column.chunks), column.type))
    stream = pa.BufferOutputStream()
    pyarrow.csv.write_csv(plain, stream, pyarrow.csv.WriteOptions(quoting_style="needed"))
    return bytes(stream.getvalue())


def _harmless(strings: Any) -> Any:
    """One chunk of strings by `escape.csv`; Python sees only what is not ASCII or may be a formula."""
    import pyarrow as pa
    import pyarrow.compute as pc

    suspect = pc.fill_null(pc.match_substring_regex(strings, r"[^\x20-\x7e]|^ *[=+\-@]"), False)
    safe = [None if text is None else escape.csv(text) for text in strings.filter(suspect).to_pylist()]
    return pc.replace_with_mask(strings, suspect, pa.array(safe, strings.type)) if safe else strings


def render_jsonl(table: Any) -> bytes:
    """One object a line, keys in the columns' order."""
    return "".join(f"{json.dumps(row)}\n" for row in _rows(table)).encode()


def render_json_table(table: Any) -> bytes:
    """One array of objects."""
    return ("[\n" + ",\n".join(json.dumps(row) for row in _rows(table)) + "\n]\n").encode()


def render_parquet(table: Any) -> bytes:
    """Parquet 2.6, zstd; nanosecond timestamps."""
    import pyarrow.parquet

    stream = io.BytesIO()
    pyarrow.parquet.write_table(table, stream, compression="zstd", version="2.6")
    return stream.getvalue()


def render_arrow(table: Any) -> bytes:
    """The Arrow IPC file format (Feather version 2), uncompressed, so that it can be mapped."""
    import pyarrow as pa

    stream = pa.BufferOutputStream()
    with pa.ipc.new_file(stream, table.schema) as writer:
        writer.write_table(table)
    return bytes(stream.getvalue())


def render_markdown_table(table: Any, columns: Sequence[str], clock: Clock) -> bytes:
    """The named columns as a pipe table."""
    header, rows = _shown(table, columns, clock, ROWS_SHOWN["md"])
    text = markdown_table(header, rows, 10_000)
    hidden = table.num_rows - len(rows)
    return (text + (f"\n*{hidden:,} more rows: `-o FILE.csv` has them all.*\n" if hidden else "")).encode()


def render_text_table(table: Any, columns: Sequence[str], clock: Clock, width: int) -> bytes:
    """The named columns, as many from the left as ``width`` has room for; what is left out is said at the end."""
    header, rows = _shown(table, columns, clock, ROWS_SHOWN["txt"])
    cells = [[escape.terminal(cell) for cell in row] for row in rows]
    widths = [max(len(name), *(len(row[i]) for row in cells)) if cells else len(name) for i, name in enumerate(header)]
    fitting = _fitting(widths, max(width, LEAST_WIDTH))
    right = [all(_figure(row[i]) for row in rows) for i in range(fitting)]
    lines = []
    for row in [header, *cells]:
        padded = [
            cell.rjust(w) if r else cell.ljust(w) for cell, w, r in zip(row[:fitting], widths, right, strict=False)
        ]
        lines.append("  ".join(padded).rstrip()[: max(width, LEAST_WIDTH)])
    if missing := [name for name in table.column_names if name not in header[:fitting]]:
        lines.append(f"({len(missing)} more columns: -o FILE.csv has them all)")
    return "".join(f"{line}\n" for line in lines).encode()


def _fitting(widths: Sequence[int], width: int) -> int:
    used = -2
    for number, column in enumerate(widths):
        used += column + 2
        if used > width:
            return max(number, 1)
    return len(widths)


def _figure(text: str) -> bool:
    return text.replace(",", "").replace(".", "").lstrip("-").isdigit() or text in {"", "-"}


def _shown(table: Any, columns: Sequence[str], clock: Clock, limit: int) -> tuple[list[str], list[list[str]]]:
    present = [name for name in columns if name in table.column_names]
    rows = table.select(present).slice(0, limit)
    values = [[_cell(value, clock) for value in _values(rows.column(name))] for name in present]
    return present, [list(row) for row in zip(*values, strict=True)]


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


def _rows(table: Any) -> Iterator[dict[str, Any]]:
    """Plain objects, batch by batch so that a large table is never wholly in Python's hands."""
    for batch in table.to_batches(max_chunksize=10_000):
        columns = [[iso(v.ns) if isinstance(v, _Instant) else v for v in _values(column)] for column in batch.columns]
        for values in zip(*columns, strict=True):
            yield dict(
                zip(table.column_names, (round(v, 9) if isinstance(v, float) else v for v in values), strict=True)
            )


def _plain(table: Any) -> Any:
    """The table with nothing but strings, numbers and booleans: lists joined by spaces, instants as RFC 3339."""
    import pyarrow as pa
    import pyarrow.compute as pc

    for index, name in enumerate(table.column_names):
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


def renderer(suffix: str, columns: Sequence[str], clock: Clock, width: int) -> Renderer:
    """The renderer for a format; ``UsageError`` for one that tables do not have."""
    known: dict[str, Renderer] = {
        "txt": lambda table: render_text_table(table, columns, clock, width),
        "md": lambda table: render_markdown_table(table, columns, clock),
        "csv": render_csv,
        "json": render_json_table,
        "jsonl": render_jsonl,
        "parquet": render_parquet,
        "arrow": render_arrow,
    }
    if suffix not in known:
        raise UsageError(f"a table has no format {suffix}: choose {', '.join(known)}")
    return known[suffix]
