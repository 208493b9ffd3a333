"""The engine's columns as pandas frames and Arrow tables, imported only when a table is asked for.

The frames' columns are Arrow's own memory (`pandas.ArrowDtype`), so nothing is copied on the way in, nor by polars,
DuckDB or pyarrow on the way out through ``__arrow_c_stream__``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

#: Everything from a ``?`` on: query strings carry tokens, so they are hidden unless asked for.
QUERY = r"\?.*"
HIDDEN = "?…"


def arrow_table(source: Any, *, full_urls: bool = True) -> Any:
    """A ``pyarrow.Table`` over anything with ``__arrow_c_stream__``; without ``full_urls`` query strings are hidden."""
    import pyarrow as pa

    table = pa.table(source)
    if full_urls or "target" not in table.column_names:
        return table
    import pyarrow.compute as pc

    index = table.column_names.index("target")
    column = table.column(index)
    if pa.types.is_dictionary(column.type):
        column = column.cast(pa.string())
    return table.set_column(index, "target", pc.replace_substring_regex(column, QUERY, HIDDEN))


def frame(source: Any, *, full_urls: bool = True) -> pd.DataFrame:
    """The same as a pandas DataFrame with Arrow-backed columns; nulls stay nulls."""
    import pandas as pd

    made: pd.DataFrame = arrow_table(source, full_urls=full_urls).to_pandas(types_mapper=pd.ArrowDtype)
    return made
