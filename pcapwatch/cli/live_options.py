"""The options of `pcapwatch live` alone, and what their words mean."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

import typer

from pcapwatch.errors import UsageError
from pcapwatch.live.session import WriteOptions
from pcapwatch.settings import SECOND_NS, parse_duration, shown

Sources = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="SOURCE...",
        help="An interface (any: all of them), - for a pipe, or with --follow a file or a folder that grows.",
        show_default=False,
    ),
]
NoTui = Annotated[bool, typer.Option("--no-tui", help="A line every interval instead of the screen.")]
Interval = Annotated[str, typer.Option("--interval", metavar="LENGTH", help="From one line or screen to the next.")]
Duration = Annotated[
    str | None, typer.Option("--duration", metavar="LENGTH", help="Stop after so long.", show_default=False)
]
Count = Annotated[
    int | None, typer.Option("--count", metavar="N", min=1, help="Stop after so many packets.", show_default=False)
]
UntilFinding = Annotated[
    str | None,
    typer.Option("--until-finding", metavar="CODE", help="Stop when this finding fires.", show_default=False),
]
ReportFile = Annotated[
    list[Path] | None,
    typer.Option(
        "--report",
        "-o",
        metavar="FILE",
        help="Write the report here at the end and on SIGUSR1; the suffix says the format. Repeatable.",
        show_default=False,
    ),
]
MetricsAddress = Annotated[
    str | None,
    typer.Option(
        "--metrics", metavar="[HOST]:PORT", help="Answer Prometheus there; loopback unless told.", show_default=False
    ),
]
Follow = Annotated[
    bool,
    typer.Option("--follow", help="The file may still grow: go on at its end. In a folder: go on with each new file."),
]


Snaplen = Annotated[
    int, typer.Option("--snaplen", "-s", metavar="BYTES", min=64, max=262_144, help="Most bytes of each packet.")
]
Ring = Annotated[str, typer.Option("--ring", metavar="SIZE", help="Room where packets wait in the kernel.")]
NoPromiscuous = Annotated[bool, typer.Option("--no-promiscuous", "-p", help="Only packets of this host.")]
Fanout = Annotated[
    str | None,
    typer.Option(
        "--fanout",
        metavar="GROUP[:MODE]",
        help="Share the packets with other processes of the group; by hash, so that connections stay whole.",
        show_default=False,
    ),
]
Write = Annotated[
    Path | None,
    typer.Option("--write", metavar="DIR", help="Keep the packets there, as pcapng files.", show_default=False),
]
Rotate = Annotated[
    str | None,
    typer.Option("--rotate", metavar="SIZE", help="With --write: begin a new file after so much.", show_default=False),
]
Keep = Annotated[
    int | None,
    typer.Option(
        "--keep",
        metavar="N",
        min=1,
        help="With --write: keep the newest N files in DIR, those of earlier runs among them.",
        show_default=False,
    ),
]
Packets = Annotated[
    Path | None,
    typer.Option(
        "--packets",
        metavar="FILE.pcapng",
        help="At the end, write the packets that are still in memory there: the newest 32 MiB.",
        show_default=False,
    ),
]
ListInterfaces = Annotated[bool, typer.Option("--list", help="List the interfaces and exit.")]
NoHost = Annotated[bool, typer.Option("--no-host", help="Do not ask this host's kernel for its sockets and settings.")]
User = Annotated[
    str | None,
    typer.Option("--user", metavar="NAME", help="As root: be this user once the source is open.", show_default=False),
]
Netns = Annotated[
    str | None, typer.Option("--netns", metavar="NAME", help="Capture in this network namespace.", show_default=False)
]

#: The engine's words for how packets are dealt in a group.
_MODES = ("hash", "round_robin", "cpu", "rollover", "queue_mapping")
_LEAST_RING, _LARGEST_RING = 128 << 10, 2047 << 20
_SIZE = re.compile(r"(\d{1,9})\s*([kKMG]i?B?|B)", re.ASCII)
_UNIT = {"k": 1 << 10, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def parse_size(option: str, text: str) -> int:
    """``64MB`` in bytes, in powers of 1024; ``UsageError`` for what is no size."""
    found = _SIZE.fullmatch(text.strip())
    if not found or not int(found[1]):
        raise UsageError(f"{option} {shown(text)}: write a number and its unit, as 64MB")
    return int(found[1]) * _UNIT.get((found[2] or "")[:1], 1)


def ring_bytes(text: str) -> int:
    """``--ring`` in bytes; ``UsageError`` for what no ring is: two blocks at least, at most an int of the kernel's."""
    size = parse_size("--ring", text)
    if not _LEAST_RING <= size <= _LARGEST_RING:
        raise UsageError(f"--ring {shown(text)}: from {_LEAST_RING >> 10}KB to {_LARGEST_RING >> 20}MB, as 64MB")
    return size


def interval_s(text: str) -> float:
    """``--interval`` in seconds."""
    seconds = parse_duration(text) / SECOND_NS
    if seconds <= 0:
        raise UsageError(f"--interval {shown(text)}: give more than none, as 1s")
    return seconds


def streams(sources: list[str] | None, files: WriteOptions | None, *, follow: bool) -> list[str]:
    """The sources, if they are files or a pipe; none for an interface. ``UsageError`` for what cannot be watched."""
    if not sources:
        raise UsageError("nothing to watch: name an interface (--list shows them), or - for a pipe")
    folders = [source for source in sources if Path(source).is_dir()]
    if folders and follow and len(sources) > 1:
        raise UsageError(f"--follow {folders[0]}: a folder is followed alone, and here are {len(sources)} sources")
    # A folder may be named like an interface, and then the interface is meant.
    if not follow and (folders := [folder for folder in folders if Path(folder).name != folder or folder == "."]):
        raise UsageError(
            f"{folders[0]} is a folder: --follow goes on with each new file in it, analyze reads it as it is"
        )
    if follow or sources == ["-"] or all(Path(source).is_file() or Path(source).is_fifo() for source in sources):
        if files is not None:
            raise UsageError("--write keeps what comes from an interface; a pipe is kept by tee")
        return sources
    if len(sources) > 1:
        raise UsageError(f"{len(sources)} sources: name one interface (any: all of them), or files that exist")
    return []


def write_options(folder: Path | None, rotate: str | None, keep: int | None) -> WriteOptions | None:
    """``--write``, ``--rotate`` and ``--keep``; ``UsageError`` where the first is missing."""
    if folder is None:
        if rotate is not None or keep is not None:
            raise UsageError(f"--{'rotate' if rotate is not None else 'keep'} is for --write DIR: name the folder")
        return None
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--write {folder} is no folder: name one, or one that is not there yet")
    if keep is not None and rotate is None:
        raise UsageError("--keep counts the files of --rotate SIZE: say when a new one begins, as --rotate 100MB")
    return WriteOptions(str(folder), parse_size("--rotate", rotate) if rotate else 0, keep or 0)


def parse_fanout(text: str | None) -> dict[str, Any] | None:
    """``7`` or ``7:cpu`` as the engine takes it."""
    if text is None:
        return None
    group, _, mode = text.partition(":")
    mode = mode.replace("-", "_") or "hash"
    if not group.isdecimal() or int(group) > 0xFFFF or mode not in _MODES:
        raise UsageError(f"--fanout {shown(text)}: write GROUP or GROUP:MODE; modes are {', '.join(_MODES)}")
    return {"group": int(group), "mode": mode}
