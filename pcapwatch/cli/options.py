"""Options that several commands share, spelled and explained once."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from pcapwatch.cli.progress import ProgressBar
from pcapwatch.errors import UsageError
from pcapwatch.reading import run_engine
from pcapwatch.report.escape import terminal
from pcapwatch.settings import Settings
from pcapwatch.summary_of_files import FileFacts

if TYPE_CHECKING:
    from pcapwatch.report.words import Clock

#: A file that ends within a record and was written to this recently may still be growing.
_FRESH_S = 300

Captures: TypeAlias = Annotated[
    list[str],
    typer.Argument(
        metavar="CAPTURE...",
        help="Files or folders (one set of rotated files), or - for standard input.",
        show_default=False,
    ),
]
Output: TypeAlias = Annotated[
    list[Path] | None,
    typer.Option(
        "-o", "--output", metavar="FILE", help="Write here; the suffix says the format. Repeatable.", show_default=False
    ),
]
Format: TypeAlias = Annotated[
    str | None, typer.Option("--format", metavar="FORMAT", help="The format of standard output.", show_default="txt")
]
Filter: TypeAlias = Annotated[
    str | None,
    typer.Option("--filter", metavar="EXPR", help="A tcpdump filter; also as the words after --.", show_default=False),
]
LinkType: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--link-type",
        metavar="FROM=TO",
        help="Read one link type as another: USER0=EN10MB or 147=1. Repeatable.",
        show_default=False,
    ),
]
Names: TypeAlias = Annotated[
    bool, typer.Option("--names", help="Show the names that pcapng files give addresses; used for nothing else.")
]
KeepDuplicates: TypeAlias = Annotated[
    bool,
    typer.Option("--keep-duplicates", help="Leave packets captured twice in; they read as retransmissions."),
]
TimeWait: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--time-wait",
        metavar="[PREFIX=]LENGTH",
        help="How long hosts hold TIME_WAIT: 60s, 60s-65s or 10.0.0.0/8=60s. Repeatable.",
        show_default=False,
    ),
]
PortRange: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--port-range",
        metavar="[PREFIX=]LOW-HIGH",
        help="The clients' ephemeral ports: 1024-65535 or 10.0.0.1=40000-41999. Repeatable.",
        show_default="32768-60999",
    ),
]
FullUrls: TypeAlias = Annotated[bool, typer.Option("--full-urls", help="Show query strings, passwords and the like.")]
Local: TypeAlias = Annotated[bool, typer.Option("--local", help="Times in this machine's zone instead of UTC.")]
Relative: TypeAlias = Annotated[bool, typer.Option("--relative", help="Times since the first packet.")]
Threads: TypeAlias = Annotated[
    int | None,
    typer.Option("--threads", metavar="N", min=1, max=256, help="Worker threads.", show_default="one per CPU"),
]
MaxConnections: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--max-connections", metavar="N", min=1, help="Most connections in memory at once.", show_default="250000"
    ),
]
MaxPairs: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--max-pairs",
        metavar="N",
        min=1,
        help="Most (client, service) pairs kept apart, 23 to 190 KB each; at most 200000.",
        show_default="10000",
    ),
]


def run(captures: list[str], settings: Settings) -> Any:
    """The engine's analysis with a progress bar on a terminal."""
    with ProgressBar() as bar:
        return run_engine(captures, settings, bar)


def note_unfinished(files: Iterable[FileFacts]) -> None:
    """Says on standard error which files end within a record and were written to just now."""
    for file in files:
        try:
            age_s = time.time() - Path(file["path"]).stat().st_mtime
        except OSError:
            continue
        if (file["problem"] or "").startswith("cut short in") and 0 <= age_s < _FRESH_S:
            sys.stderr.write(
                f"pcapwatch: {terminal(file['path'])} ends within a record and was written to {age_s:.0f} s ago: it "
                "may still be growing; run again when the capture is over (`tcpdump -U` writes whole records)\n"
            )


def clock(first_ns: int | None, *, local: bool, relative: bool) -> Clock:
    """How to show instants; the two options exclude each other."""
    if local and relative:
        raise UsageError("--local and --relative exclude each other")
    from pcapwatch.report.words import Clock

    return Clock.of(first_ns, "local" if local else "relative" if relative else "utc")


def check_times(formats: list[str], *, local: bool, relative: bool) -> None:
    """``--local`` and ``--relative`` are for people: data formats always carry UTC."""
    clock(0, local=local, relative=relative)
    data = [name for name in formats if name not in {"txt", "md"}]
    if data and (local or relative):
        raise UsageError(f"{'--local' if local else '--relative'} cannot go into {data[0]}, which always carries UTC")
