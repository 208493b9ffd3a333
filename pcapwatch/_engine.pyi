"""The engine: capture bytes into facts.

Everything structured crosses as JSON text, the tables as Arrow streams. Durations in JSON are whole nanoseconds
(``_ns``), instants ns since 1970 UTC.
"""

from collections.abc import Callable, Sequence
from os import PathLike
from typing import Final, final

from typing_extensions import CapsuleType

__all__ = [
    "Analysis",
    "SourceError",
    "Table",
    "__version__",
    "analyze",
    "columns_json",
    "default_settings_json",
    "transitions_json",
]

__version__: Final[str]

class SourceError(Exception):
    """A file or stream that is no capture, or cannot be read: one line with which file, which offset, what to do."""

@final
class Table:
    """Rows with the columns of `columns_json`, read without a copy by pyarrow, pandas, polars and DuckDB.

    Rows are in order of the connections' first packets, exchanges of one connection in their own order. Every
    ``__arrow_c_stream__`` is a new pass over the rows.
    """

    def __len__(self) -> int:
        """Rows; 0 if the settings did not keep them."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> CapsuleType:
        """An ``arrow_array_stream`` of batches of at most 65,536 rows; ``requested_schema`` is not honoured.

        Instants are ``timestamp[ns, UTC]``, durations float64 seconds, counts and numbers int64, words and other text
        utf8 as it was on the wire (bytes that are no UTF-8 are replaced), ``quality`` a list of utf8. The meaning of
        each column is the ``description`` in its field's metadata.
        """

@final
class Analysis:
    """What one analysis found. It remembers its captures, so that ladders can be drawn from the packets again."""

    @property
    def connections(self) -> Table:
        """One row per TCP connection, if ``keep_connections`` was set."""

    @property
    def exchanges(self) -> Table:
        """One row per HTTP request and its final response, if ``keep_exchanges`` was set."""

    def summary_json(self) -> str:
        """The Summary: capture quality, totals, pairs, hosts, states; its shape is `pcapwatch.summary`."""

    def ladders_json(self, connections: Sequence[int]) -> str:
        """A list of ladders, in the order asked for, of connections that were kept or are exemplars.

        Unknown numbers are left out. Reads the captures again: `SourceError` if they cannot be.
        """

def analyze(
    paths: Sequence[str | PathLike[str]],
    settings_json: str,
    progress: Callable[[int, int], object] | None = None,
) -> Analysis:
    """Reads ``paths`` (files, folders, ``-`` for stdin) as one rotated set, without holding the GIL.

    ``settings_json`` is an object with whatever differs from `default_settings_json`. ``progress`` is called between
    batches with the bytes read and the bytes in all (0 when unknown); what it raises ends the analysis and is raised
    here, as is ``KeyboardInterrupt``. `SourceError` when a path is no capture; ``ValueError`` for settings that do
    not exist or do not fit.
    """

def default_settings_json() -> str:
    """Every setting with its default, an object."""

def transitions_json() -> str:
    """The TCP state table: a list of ``{"state", "event", "next"}``."""

def columns_json() -> str:
    """The tables' columns in order: ``{"connections": [[name, meaning], …], "exchanges": [[name, meaning], …]}``."""
