"""The engine's columns as pandas frames and Arrow tables, imported only when a table is asked for.

The frames' columns are Arrow's own memory (`pandas.ArrowDtype`), so nothing is copied on the way in, nor by polars,
DuckDB or pyarrow on the way out through ``__arrow_c_stream__``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pcapwatch import redact

if TYPE_CHECKING:
    import pandas as pd

#: Columns that may carry secrets, which are hidden unless asked for.
_SECRETIVE = {"target": redact.TARGET, "host": redact.HOST}


def arrow_table(source: Any, *, full_urls: bool = True) -> Any:
    """A ``pyarrow.Table`` over anything with ``__arrow_c_stream__``; secrets in URLs hidden unless ``full_urls``."""
    import pyarrow as pa

    table = pa.table(source)
    if full_urls:
        return table
    for name in _SECRETIVE.keys() & set(table.column_names):
        index = table.column_names.index(name)
        table = table.set_column(index, name, _hidden(table.column(index), _SECRETIVE[name]))
    return table


def _hidden(column: Any, rules: redact.Rules) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(column.type):
        column = column.cast(pa.string())
    for pattern, replacement in rules:
        column = pc.replace_substring_regex(column, f"(?s){pattern}", replacement)
    return column


def frame(source: Any, *, full_urls: bool = True) -> pd.DataFrame:
    """The same as a pandas DataFrame with Arrow-backed columns; nulls stay nulls."""
    import pandas as pd

    made: pd.DataFrame = arrow_table(source, full_urls=full_urls).to_pandas(types_mapper=pd.ArrowDtype)
    return made
