"""What the commands that print a table of the engine have in common."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pcapwatch.analysis import summary_of
from pcapwatch.cli import options
from pcapwatch.cli.output import TABLE_FORMATS, checked, deliver
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
    analysis = options.run(captures, settings)
    clock = options.clock(summary_of(analysis)["capture"]["first_ns"], local=local, relative=relative)

    from pcapwatch.frames import arrow_table
    from pcapwatch.report.tables import renderer

    table = arrow_table(getattr(analysis, which), full_urls=settings.full_urls)
    deliver(destinations, lambda name, width, _: renderer(name, columns, clock, width)(table))
