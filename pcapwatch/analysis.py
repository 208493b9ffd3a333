"""From paths to a Report."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from pcapwatch import redact
from pcapwatch.errors import CaptureError, UsageError
from pcapwatch.frames import frame
from pcapwatch.reading import Path, Progress, run_engine
from pcapwatch.report.build import build
from pcapwatch.report.escape import terminal
from pcapwatch.report.model import Report as _Report
from pcapwatch.settings import Settings
from pcapwatch.summary import Summary, parse_summary

if TYPE_CHECKING:
    import pandas as pd

    from pcapwatch.host.truth import HostRecord

#: Rows of a ladder that is asked for.
MOST_ROWS = 400
#: Rows of each of a report's examples: reports show fewer, the JSON all of them.
EXAMPLE_ROWS = 64


@dataclass(frozen=True, repr=False)
class Report(_Report):
    """What `analyze` gives: the answer, the tables behind it, and every rendering. In a notebook it shows itself."""

    engine: Any = field(default=None, repr=False, compare=False)
    full_urls: bool = False

    def __repr__(self) -> str:
        """One line for a prompt: what was read and the codes found; `to_text` has the report."""
        files = self.quality.files
        named = files[0] if len(files) == 1 else f"{len(files)} files"
        codes = ", ".join(finding.code for finding in self.findings) or "no findings"
        return terminal(f"<pcapwatch.Report of {named}: {self.quality.connections} connections; {codes}>")

    @cached_property
    def connections(self) -> pd.DataFrame:
        """One row per TCP connection; columns as in docs/tables.md."""
        return frame(self.engine.connections)

    @cached_property
    def exchanges(self) -> pd.DataFrame:
        """One row per HTTP request and response; columns as in docs/tables.md."""
        return frame(self.engine.exchanges, full_urls=self.full_urls)

    @cached_property
    def secrets(self) -> list[tuple[str, bytes]]:
        """The decryption secrets that pcapng files carry, as (type, bytes): for other tools, never in a report."""
        found: list[tuple[str, bytes]] = self.engine.secrets()
        return found

    def to_text(self, width: int = 100) -> str:
        """For a terminal of ``width`` columns, without colour."""
        from pcapwatch.report.text import render_text

        return render_text(self, width)

    def to_markdown(self) -> str:
        """For a ticket: at most 32,767 characters."""
        from pcapwatch.report.markdown import render_markdown

        return render_markdown(self)

    def to_json(self) -> str:
        """The JSON report; its schema is ``pcapwatch/report/schema.json``."""
        from pcapwatch.report.json import render_json

        return render_json(self)

    def _repr_markdown_(self) -> str:
        return self.to_markdown()

    def _repr_html_(self) -> str:
        from pcapwatch.report.notebook import render_notebook

        return render_notebook(self)


def summary_of(analysis: Any) -> Summary:
    """The engine's totals."""
    return parse_summary(analysis.summary_json())


def ladders(
    analysis: Any, connections: Iterable[int], *, rows: int = MOST_ROWS, full_urls: bool = False
) -> list[dict[str, Any]]:
    """The ladders of some connections, of so many ``rows`` at most; what may be secret in targets hidden by default."""
    from pcapwatch import _engine

    try:
        drawn: list[dict[str, Any]] = json.loads(analysis.ladders_json(list(connections), rows))
    except _engine.SourceError as error:
        raise CaptureError(str(error)) from None
    if not full_urls:
        for row in (row for ladder in drawn for row in ladder["rows"] if row["summary"]):
            row["summary"] = redact.start_line(row["summary"])
    return drawn


def report_of(
    analysis: Any, settings: Settings, hosts: Sequence[HostRecord] | None = None, *, draw: bool = True
) -> Report:
    """The report of one analysis, its examples drawn packet by packet unless ``draw`` is false.

    hosts: what kernels said, in the order of the tables that the engine had; by default those of the settings.
    """
    ladder = partial(ladders, analysis, rows=EXAMPLE_ROWS, full_urls=settings.full_urls) if draw else None
    known = settings.hosts() if hosts is None else hosts
    built = build(summary_of(analysis), settings.ports(), ladder, known)
    facts = {item.name: getattr(built, item.name) for item in fields(_Report)}
    return Report(**facts, engine=analysis, full_urls=settings.full_urls)


def analyze(paths: Path | Sequence[Path], *, progress: Progress | None = None, **settings: Any) -> Report:
    """Read captures (one set: rotated files in any order, a folder, ``-`` for stdin) and report.

    settings: the fields of `Settings`. ``progress(bytes_done, bytes_total, packets_done)`` is called up to ten times a
    second. Raises ``CaptureError`` for what is no capture and ``UsageError`` for a setting that means nothing.
    """
    several = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    unknown = set(settings) - {item.name for item in fields(Settings)}
    if unknown:
        known = ", ".join(item.name for item in fields(Settings))
        raise UsageError(f"no such setting: {', '.join(sorted(unknown))}; there are {known}")
    chosen = Settings(**{"keep_connections": True, "keep_exchanges": True, **settings}).with_hosts_read()
    return report_of(run_engine(several, chosen, progress), chosen)
