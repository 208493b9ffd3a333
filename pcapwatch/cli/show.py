"""``pcapwatch show``: one connection as a ladder."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated, Any

import typer

from pcapwatch.analysis import ladders, summary_of
from pcapwatch.cli import options
from pcapwatch.cli.output import checked, deliver
from pcapwatch.errors import UsageError
from pcapwatch.report.escape import markdown_code
from pcapwatch.report.ladder import ladder_lines, paths_of, short_names
from pcapwatch.report.layout import LEAST_WIDTH, MOST_WIDTH
from pcapwatch.report.words import Clock
from pcapwatch.settings import Settings, shown

FORMATS = ("txt", "md", "json")

#: One list, so that a missing or misspelt number can be told from a missing capture.
CapturesAndNumber = Annotated[
    list[str],
    typer.Argument(
        metavar="CAPTURE... N",
        help="Files or folders (one set of rotated files), or -; last the connection's number, as in `connections`.",
        show_default=False,
    ),
]


def show(
    arguments: CapturesAndNumber,
    output: options.Output = None,
    format_: options.Format = None,
    filter_: options.Filter = None,
    link_type: options.LinkType = None,
    keep_duplicates: options.KeepDuplicates = False,
    max_connections: options.MaxConnections = None,
    full_urls: options.FullUrls = False,
    local: options.Local = False,
    relative: options.Relative = False,
    threads: options.Threads = None,
) -> None:
    """One connection as a ladder, both endpoints' states beside it.

    A state holds if what was seen arrived; where the packets prove less, `client proved` (or `server proved`) names the
    state that they prove. Give the options of `connections` that decide on numbers, as --filter and --max-connections.

    Formats: txt, md, json. Example: pcapwatch show capture.pcap 2
    """
    captures, number = _split(arguments)
    destinations = checked(output or [], format_, FORMATS)
    options.check_times([name for _, name in destinations], local=local, relative=relative)
    settings = Settings(
        threads=threads,
        filter=filter_,
        link_type=link_type or (),
        keep_duplicates=keep_duplicates,
        max_connections=max_connections,
        full_urls=full_urls,
        keep_connections=True,
    )
    analysis = options.run(captures, settings)
    summary = summary_of(analysis)
    known = summary["totals"]["connections"]
    if not 1 <= number <= known:
        raise UsageError(
            f"no connection {number}: this capture holds {known}, numbered from 1; `pcapwatch connections` lists them"
        )
    drawn = ladders(analysis, [number], full_urls=full_urls)
    if not drawn or not drawn[0]["rows"]:
        raise UsageError(f"the packets of connection {number} could not be read again: {_why_not(captures)}")
    clock = options.clock(summary["capture"]["first_ns"], local=local, relative=relative)
    ladder = {**drawn[0], "files": paths_of(summary)}
    deliver(destinations, lambda name, width, _: _rendered(ladder, name, clock, width).encode())


def _why_not(captures: list[str]) -> str:
    if not all(Path(path).is_file() or Path(path).is_dir() for path in captures):
        return "of a pipe only the first 32 MiB are kept; write the capture to a file and show it from there"
    return "they are not in the order of their times; put them in order first: reordercap IN OUT"


def _split(arguments: list[str]) -> tuple[list[str], int]:
    """Captures and N; ``UsageError`` where the last argument is no number or stands alone."""
    last = arguments[-1]
    how = "as in `pcapwatch show capture.pcap 2`; `pcapwatch connections` lists them"
    if not re.fullmatch(r"[0-9]{1,18}", last):
        raise UsageError(f"{shown(last)} is no connection's number: name one last, {how}")
    if len(arguments) < 2:
        raise UsageError(f"no capture before the connection's number {last}: name both, {how}")
    return arguments[:-1], int(last)


def _rendered(ladder: dict[str, Any], name: str, clock: Clock, width: int) -> str:
    if name == "json":
        return json.dumps(ladder, indent=2, sort_keys=True) + "\n"
    lines = [f"connection {ladder['connection']}"]
    if ladder["rows"]:
        start = clock.instant(ladder["rows"][0]["ts_ns"])
        lines = [f"connection {ladder['connection']}, from {start}{_in_one(ladder)}"]
    lines += ladder_lines(ladder, min(max(width, LEAST_WIDTH), MOST_WIDTH), proved=True, files=ladder["files"])
    if name == "md":
        return "```text\n" + "".join(f"{markdown_code(line)}\n" for line in lines) + "```\n"
    return "".join(f"{line}\n" for line in lines)


def _in_one(ladder: dict[str, Any]) -> str:
    """The file of all its rows, where the capture has others."""
    used = {row["file"] for row in ladder["rows"]}
    if len(ladder["files"]) < 2 or len(used) != 1:
        return ""
    return f", in {short_names(ladder['files'])[used.pop()]}"
