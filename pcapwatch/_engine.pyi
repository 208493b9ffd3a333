"""The engine: capture bytes in, facts out. Everything but the tables crosses this seam as JSON text.

`bindings/src/lib.rs` is the other side of this file; mypy's stubtest holds the two together.
"""

from collections.abc import Callable, Sequence
from os import PathLike
from typing import Final, final

from typing_extensions import CapsuleType

__all__ = [
    "Analysis",
    "Live",
    "SourceError",
    "Table",
    "__version__",
    "analyze",
    "columns_json",
    "default_settings_json",
    "drop_privileges_json",
    "interfaces_json",
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

    def write_packets(self, path: str | PathLike[str], passed: str | None = None) -> int:
        """Write the packets that can still be read as one pcapng file; releases the GIL.

        Those of files, or of a live capture that leaves none the newest `replay_bytes`. Interfaces keep their names.

        Args:
            path: Written over if it is there.
            passed: The filter that the packets passed, as text, to be told in the file.

        Returns:
            How many packets they are.

        Raises:
            OSError: It cannot be written, or the packets cannot be read again.
        """

    def ladders_json(self, connections: Sequence[int], rows: int = 400) -> str:
        """Ladders: connections packet by packet, read from the files (or the kept start of stdin) a second time.

        Args:
            connections: Numbers as in column `connection`. Any number if connections were kept, else only those of the
                Summary's exemplars; numbers that are unknown are left out.
            rows: At most so many of each, the first and the last; of a long connection the fewer, the less is read.

        Returns:
            A JSON list in the order asked for, of `{"connection", "client", "server", "omitted", "omitted_after",
            "rows", "time_wait"}`. `client` and `server` are `address:port`; `omitted` counts its packets that are not
            among the rows, which are missing after the first `omitted_after`. A row is
            `{"ts_ns", "frame", "file", "from", "flags", "seq", "ack", "len", "summary", "client_state", "server_state",
            "client_proved", "server_proved", "notes"}`: `ts_ns` since 1970 UTC, `frame` as Wireshark counts it in the
            file with index `file`, `seq` and `ack` relative to the first seen, `len` in bytes, states after this packet
            by RFC 9293 name.

        Raises:
            SourceError: A file cannot be read again.
            OverflowError: A number is negative or does not fit in 64 bits.
        """

@final
class Live:
    """A capture that goes on in a thread of its own until it is finished, or forgotten.

    That thread alone takes packets; whatever Python does, at most `snapshot` stops it, for the time that copying takes.
    """

    @staticmethod
    def open_stream(
        paths: Sequence[str | PathLike[str]], settings_json: str, follow: bool = False, most_packets: int | None = None
    ) -> Live:
        """Begin with a pipe (`-`), or with files, one after the other in the order given.

        Args:
            paths: At least one.
            settings_json: As for `analyze`; `threads` is taken as 1, and of a pipe the newest `replay_bytes` are kept.
            follow: The last file is not over at its end: it may grow, until `finish`.
            most_packets: Take no more than these.

        Raises:
            ValueError: As for `analyze`.
        """

    @staticmethod
    def open_interface(options_json: str, settings_json: str, most_packets: int | None = None) -> Live:
        """Begin with an interface of this machine (Linux), which is open when this returns.

        Args:
            options_json: One JSON object: `ring` (`interface`, `any` for all; `snaplen`, `ring_bytes`,
                `block_timeout_ms`, `promiscuous`, `fanout`: `{"group", "mode"}` or null, `netns`: name or path or null,
                `filter` and `filter_here`: programs that run in the kernel, and here), `write` (`folder`,
                `rotate_bytes`, `keep`, `interface`, `filter`: text; or null), `drop_privileges`: give up all rights of
                this process's caller once the interface is open, `user`: who to be then where root would stay root.
            settings_json: As for `open_stream`; its filter is for reading what was written.
            most_packets: Take no more than these.

        Raises:
            SourceError: There is no such interface, or no right to capture: the message says what to do.
            ValueError: As for `analyze`, of either object.
        """

    @staticmethod
    def open_fed(options_json: str, settings_json: str, most_packets: int | None = None) -> Live:
        """Begin with an interface whose packets are taken elsewhere and given by `feed`.

        Args:
            options_json: One JSON object: `fed` (`interface`, `link_type`, `snaplen`), `write` as in `open_interface`.
            settings_json: As for `open_stream`.
            most_packets: Take no more than these.

        Raises:
            SourceError: Files are to be written, and cannot be.
            ValueError: As for `analyze`, of either object.
        """

    def feed(self, packets: Sequence[tuple[int, bytes, int]]) -> bool:
        """Give packets: capture time (ns since 1970 UTC), the bytes captured, their number on the wire.

        Waits, with the GIL released, while 64 batches wait already.

        Returns:
            `False` if no more are wanted.

        Raises:
            ValueError: Another thing than `open_fed` began this.
        """

    def run(self, seconds: float) -> bool:
        """Wait while packets are taken; releases the GIL and looks at signals ten times a second.

        Returns:
            `False` once there is no more to come, at once.

        Raises:
            SourceError: It cannot be opened, is no capture, or ended before its time; what was taken can be asked for.
            ValueError: `seconds` is negative or no number.
            KeyboardInterrupt: SIGINT came (in the main thread), or what a signal handler raised.
        """

    def counters_json(self) -> str:
        """How far it is, as one JSON object.

        `packets`, `bytes` (on the wire), `connections`, `tracked_connections` (in the tables), `evicted_connections`,
        `first_ns`, `last_ns` (packets, ns since 1970 UTC, or null), `kernel_packets`, `kernel_drops` (null where the
        source does not tell), `ring_losses`, `interface_down` (times), `written` (`{"files", "bytes", "error"}`),
        `elapsed_s` (since the start), `snapshot_pause_s` (how long the last snapshot stopped capturing).
        """

    def snapshot(self) -> Analysis:
        """What the analysis would be if nothing more came, at the time of now, without tables. The capture goes on.

        Raises:
            SourceError: The source could not be opened.
        """

    def hold_against(self, tables_json: str) -> None:
        """What hosts' kernels say, to be laid beside the wire in the next `snapshot` or `finish`.

        Args:
            tables_json: As `host_tables` of the settings: a JSON list. It takes the place of what was said before.

        Raises:
            ValueError: It is no such list.
        """

    def finish(self) -> Analysis:
        """End the capture: what `analyze` says of the packets taken.

        Raises:
            SourceError: The source could not be opened, it was finished before, or rows did not fit on the disk.
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

def interfaces_json(netns: str | None = None) -> str:
    """The interfaces of this machine, or of a network namespace (its name or path), as JSON text.

    One object each: `name`, `up`, `running` (has a carrier), `loopback`, `link_type` (its number in captures, or null),
    `addresses` (with prefix length), `hardware` (address or null). Empty on Windows.

    Raises:
        SourceError: There is no such namespace, or no right to enter it.
    """

def drop_privileges_json(user: str | None = None, sources: Sequence[str | PathLike[str]] = ...) -> str:
    """Give up every right that the caller has not: sudo's caller becomes the user, capabilities are cleared for good.

    To be called with the sockets open, before threads are started and files made. Only on Linux; elsewhere `null`.

    Args:
        user: Who to be then, by name, where root would stay root.
        sources: Files and folders that are still to be opened. Where the user may not read one, the capability to read
            any file is kept.

    Returns:
        What is left, as one JSON object: `uid`, `gid`, `changed_user`, `privileged_threads` (threads that ran before,
        and keep another capability; 0 unless there were some), `kept` (null, or `capability` and the `path` that could
        not be read without it).

    Raises:
        SourceError: The system refuses.
    """
