"""What the commands that print a table of the engine have in common."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Literal

from pcapwatch.analysis import summary_of
from pcapwatch.cli import options
from pcapwatch.cli.output import TABLE_FORMATS, checked, deliver_streams
from pcapwatch.settings import Settings


def print_table(
    which: Literal["connections", "exchanges"],
    captures: list[str],
    settings: Settings,
    columns: Sequence[str],
    output: list[Path] | None,
    forced: str | None,
    *,
    local: bool,
    relative: bool,
) -> None:
    """``columns`` are what text and Markdown show; every other format carries all of them."""
    destinations = checked(output or [], forced, TABLE_FORMATS)
    options.check_times([name for _, name in destinations], local=local, relative=relative)
    threading.Thread(target=_import_ahead, daemon=True).start()
    analysis = options.run(captures, settings)
    clock = options.clock(summary_of(analysis)["capture"]["first_ns"], local=local, relative=relative)

    from pcapwatch.frames import rows
    from pcapwatch.report.tables import table_writer

    def write(name: str, width: int, stream: IO[bytes]) -> None:
        table_writer(name, columns, clock, width)(rows(getattr(analysis, which), full_urls=settings.full_urls), stream)

    deliver_streams(destinations, write)


def _import_ahead() -> None:
    """Load pyarrow while the engine, which does not hold the interpreter's lock, reads the capture.

    With it comes numpy, whose linear algebra starts threads that spin for a while: a core of work for nothing.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    with suppress(ImportError):  # what uses it says so
        import pyarrow.csv
        import pyarrow.parquet  # noqa: F401
