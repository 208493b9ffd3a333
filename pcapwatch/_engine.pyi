"""The engine: capture bytes in, facts out. Everything but the tables crosses this seam as JSON text.

`bindings/src/lib.rs` is the other side of this file; mypy's stubtest holds the two together.
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
"""The version of the Rust crate, which is the version of the package."""

class SourceError(Exception):
    """A file or stream that is no capture, or that cannot be read.

    `str(error)` is one line: which file, at which byte offset if there is one, and what to do.
    """

@final
class Table:
    """Rows that speak the Arrow PyCapsule interface; pyarrow, pandas, polars and DuckDB read them without a copy.

    Columns are those of `columns_json()`, in that order, each with its meaning as metadata `description`. Types:
    text `utf8` (bytes from the wire that are no UTF-8 are replaced), whole numbers `int64`, `*_s` seconds as `float64`
    (`keep_alive_timeout_s` as `int64`), instants `timestamp[ns, UTC]`, yes/no `bool`, sets of words `list<utf8>`. Every
    column may be null: unknown.
    """

    def __len__(self) -> int:
        """Rows."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> CapsuleType:
        """The rows as a stream of record batches of at most 16,384 rows, made one ahead of the reader.

        Every call is a new pass over the rows.

        Args:
            requested_schema: Taken, as the interface demands, and ignored, as it allows.

        Returns:
            A capsule named `arrow_array_stream`; its schema is described at the class.
        """

@final
class Analysis:
    """What one `analyze` found; it never changes, and may be read from several threads."""

    @property
    def connections(self) -> Table:
        """One row per TCP connection, in order of first packet; no rows unless `keep_connections` was set."""

    @property
    def exchanges(self) -> Table:
        """One row per HTTP/1.x exchange, by connection and index; no rows unless `keep_exchanges` was set."""

    def summary_json(self) -> str:
        """The Summary: one JSON object, as `engine/src/ledger/summary.rs` declares it.

        Fields named `*_ns` are nanoseconds: instants since 1970 UTC, or lengths of time. `pcapwatch.summary` reads it.

        Raises:
            ValueError: It cannot be written as JSON.
        """

    def secrets(self) -> list[tuple[str, bytes]]:
        """The decryption secrets that pcapng files carry, as they are: (type, bytes) in the order of the files.

        The types are the words of the Summary (`tls_key_log` …). At most 1 MiB of a file is kept; blocks beyond it are
        in the Summary's counts alone.
        """

    def ladders_json(self, connections: Sequence[int]) -> str:
        """Ladders: connections packet by packet, read from the files (or the kept start of stdin) a second time.

        Args:
            connections: Numbers as in column `connection`. Any number if connections were kept, else only those of the
                Summary's exemplars; numbers that are unknown are left out.

        Returns:
            A JSON list in the order asked for, of `{"connection", "client", "server", "omitted", "rows", "time_wait"}`.
            `client` and `server` are `address:port`; `omitted` counts the rows left out after the first 400. A row is
            `{"ts_ns", "frame", "file", "from", "flags", "seq", "ack", "len", "summary", "client_state", "server_state",
            "client_proved", "server_proved", "notes"}`: `ts_ns` since 1970 UTC, `frame` as Wireshark counts it in the
            file with index `file`, `seq` and `ack` relative to the first seen, `len` in bytes, states after this packet
            by RFC 9293 name.

        Raises:
            SourceError: A file cannot be read again.
            OverflowError: A number is negative or does not fit in 64 bits.
        """

def analyze(
    paths: Sequence[str | PathLike[str]],
    settings_json: str,
    progress: Callable[[int, int, int], object] | None = None,
) -> Analysis:
    """Read `paths` as one capture: files, folders, or `-` for stdin; ordered by first packet. Releases the GIL.

    Args:
        paths: At least one. A rotated set is given as its files or its folder.
        settings_json: A JSON object with what differs from `default_settings_json()`; `{}` for nothing.
        progress: Called at the beginning and then at most ten times a second with the bytes read so far, the bytes in
            all (both as stored; 0 where that is unknown, as for stdin) and the packets read so far. What it returns is
            ignored; what it raises ends the analysis and is raised here.

    Raises:
        SourceError: A path is missing, unreadable, or holds no capture.
        ValueError: `settings_json` is no JSON object, names an unknown setting, or gives one a value of a wrong type.
        KeyboardInterrupt: SIGINT came while reading (in the main thread).
    """

def columns_json() -> str:
    """The columns of both tables: `{"connections": [[name, meaning], …], "exchanges": [[name, meaning], …]}`."""

def default_settings_json() -> str:
    """Every setting with its default: the JSON object that `engine/src/settings.rs` declares; `*_ns` in nanoseconds."""

def transitions_json() -> str:
    """The state table: a JSON list of `{"state", "event", "next"}`, states by RFC 9293 name, in the table's order."""
