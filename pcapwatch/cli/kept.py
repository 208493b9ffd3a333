"""The packets that `pcapwatch live` still has in memory at its end: into a file, or how to have them next time."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pcapwatch.cli.output import check_place, whole
from pcapwatch.errors import UsageError
from pcapwatch.findings.wording import count, counted
from pcapwatch.report.escape import terminal

if TYPE_CHECKING:
    from pcapwatch.analysis import Report
    from pcapwatch.live.session import Session

_OPTION = "--packets"


def check_packets(file: Path | None) -> None:
    """``UsageError`` for a file that cannot be written, or is named as another format."""
    if file is None:
        return
    if file.suffix.lower() != ".pcapng":
        raise UsageError(f"{_OPTION} {file}: packets are written as pcapng: name it FILE.pcapng")
    check_place(file, _OPTION)


def tell_packets(session: Session, file: Path | None, concluded: Report, *, are_lost: bool) -> None:
    """Write what a concluded session still has of its packets, and say so in a line on standard error.

    concluded: its report; are_lost: without a file, say how they would have been kept. ``OutputError`` if they cannot
    be written.
    """
    if file is not None:
        _say(_written(session, file, concluded.quality.packets))
    elif are_lost:
        _say(f"the packets around it are not kept: {_OPTION} FILE.pcapng keeps the newest, --write DIR all")


def _written(session: Session, file: Path, seen: int) -> str:
    with whole(file, _OPTION, private=True) as stream:
        written = session.write_packets(stream.name)
    which = counted(written, "packet") if written == seen else f"the newest {count(written)} of {count(seen)} packets"
    return f"{file}: {which}"


def _say(text: str) -> None:
    sys.stderr.write(f"pcapwatch: {terminal(text)}\n")
