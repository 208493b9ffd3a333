"""The engine's columns as pandas frames and Arrow tables, imported only when a table is asked for.

The frames' columns are Arrow's own memory (`pandas.ArrowDtype`), so nothing is copied on the way in, nor by polars,
DuckDB or pyarrow on the way out through ``__arrow_c_stream__``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pcapwatch import redact
from pcapwatch.errors import CaptureError

if TYPE_CHECKING:
    import pandas as pd

#: Columns that may carry secrets, which are hidden unless asked for.
_SECRETIVE = {"target": redact.TARGET, "host": redact.HOST}
#: The same for single texts.
_HIDDEN = {"target": redact.target, "host": redact.host}


class Rows:
    """A table read once from its beginning to its end, ``total`` rows, secrets in URLs hidden unless ``full_urls``.

    source: anything with ``__arrow_c_stream__`` and a length. pyarrow is loaded when ``schema`` or ``batches`` is asked
    for, and not for ``parquet``.
    """

    def __init__(self, source: Any, *, full_urls: bool = True) -> None:
        self._source = source
        self._full_urls = full_urls
        self.total = len(source)

    @cached_property
    def _reader(self) -> Any:
        import pyarrow as pa

        return pa.RecordBatchReader.from_stream(self._source)

    @cached_property
    def _secretive(self) -> list[str]:
        return [] if self._full_urls else [name for name in self._reader.schema.names if name in _SECRETIVE]

    @cached_property
    def schema(self) -> Any:
        """Its ``pyarrow.Schema``."""
        import pyarrow as pa

        return pa.schema(
            [field.with_type(pa.string()) if field.name in self._secretive else field for field in self._reader.schema],
            self._reader.schema.metadata,
        )

    @cached_property
    def batches(self) -> Iterator[Any]:
        """The rows as record batches; ``CaptureError`` (one line) where the engine cannot read them again."""
        return _batches(self._reader, self.schema, self._secretive)

    def parquet(self) -> Iterator[bytes] | None:
        """The parts of a Parquet file, if the source makes one itself, as the engine's tables do; errors as above."""
        make = getattr(self._source, "parquet", None)
        return _parts(make(None if self._full_urls else _hide)) if make else None


def rows(source: Any, *, full_urls: bool = True) -> Rows:
    """A pass over a table, see `Rows`."""
    return Rows(source, full_urls=full_urls)


def _parts(made: Iterator[bytes]) -> Iterator[bytes]:
    from pcapwatch import _engine

    try:
        yield from made
    except _engine.SourceError as error:
        raise CaptureError(str(error)) from None


def _hide(name: str, texts: list[str]) -> list[str] | None:
    """The texts of a column without what may be secret; ``None`` where nothing may be."""
    hidden = _HIDDEN.get(name)
    return [hidden(text) for text in texts] if hidden else None


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
