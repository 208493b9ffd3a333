"""The engine's columns as pandas frames and Arrow tables, imported only when a table is asked for.

The frames' columns are Arrow's own memory (`pandas.ArrowDtype`), so nothing is copied on the way in, nor by polars,
DuckDB or pyarrow on the way out through ``__arrow_c_stream__``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pcapwatch import redact
from pcapwatch.errors import CaptureError

if TYPE_CHECKING:
    import pandas as pd

#: Columns that may carry secrets, which are hidden unless asked for.
_SECRETIVE = {"target": redact.TARGET, "host": redact.HOST}


@dataclass(frozen=True)
class Rows:
    """A table read once from its beginning to its end, batch by batch; ``total`` rows in all."""

    schema: Any
    batches: Iterator[Any]
    total: int


def rows(source: Any, *, full_urls: bool = True) -> Rows:
    """A pass over anything with ``__arrow_c_stream__`` and a length; secrets in URLs hidden unless ``full_urls``.

    ``CaptureError`` (one line) from ``batches`` where the engine cannot read its own rows again.
    """
    import pyarrow as pa

    reader = pa.RecordBatchReader.from_stream(source)
    secretive = [] if full_urls else [name for name in reader.schema.names if name in _SECRETIVE]
    schema = pa.schema(
        [field.with_type(pa.string()) if field.name in secretive else field for field in reader.schema],
        reader.schema.metadata,
    )
    return Rows(schema, _batches(reader, schema, secretive), len(source))


def _batches(reader: Any, schema: Any, secretive: Sequence[str]) -> Iterator[Any]:
    import pyarrow as pa

    while True:
        try:
            batch = reader.read_next_batch()
        except StopIteration:
            return
        except (pa.ArrowException, OSError) as error:
            raise CaptureError(str(error)) from None
        for name in secretive:
            index = schema.get_field_index(name)
            batch = batch.set_column(index, schema.field(index), _hidden(batch.column(index), name))
        yield batch


def arrow_table(source: Any, *, full_urls: bool = True) -> Any:
    """The same as one ``pyarrow.Table`` in memory."""
    import pyarrow as pa

    made = rows(source, full_urls=full_urls)
    return pa.Table.from_batches(made.batches, made.schema)


def _hidden(column: Any, name: str) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    column = column.cast(pa.string())
    for pattern, replacement in _SECRETIVE[name]:
        column = pc.replace_substring_regex(column, f"(?s){pattern}", replacement)
    return column


def frame(source: Any, *, full_urls: bool = True) -> pd.DataFrame:
    """The same as a pandas DataFrame with Arrow-backed columns; nulls stay nulls."""
    import pandas as pd

    made: pd.DataFrame = arrow_table(source, full_urls=full_urls).to_pandas(types_mapper=pd.ArrowDtype)
    return made
