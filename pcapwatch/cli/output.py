"""Where answers go: files that appear whole or not at all, and standard output."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TypeAlias

from pcapwatch.errors import OutputError, UsageError
from pcapwatch.settings import shown

#: Makes the bytes of a format; ``width`` in columns and ``colour`` matter to text only.
Make: TypeAlias = Callable[[str, int, bool], bytes]

#: Writes a format to a stream; ``width`` as above.
Write: TypeAlias = Callable[[str, int, IO[bytes]], None]

TABLE_FORMATS = ("txt", "md", "csv", "json", "jsonl", "parquet", "arrow")
_BINARY = {"parquet", "arrow"}
_FILE_WIDTH = 100


def checked(files: Sequence[Path], forced: str | None, formats: Sequence[str]) -> list[tuple[Path | None, str]]:
    """Each destination (``None``: standard output) with its format, before any work is done.

    ``UsageError`` for a suffix or ``--format`` that this command's answer has no renderer for, or a folder that is not
    there.
    """
    wanted: list[tuple[Path | None, str]] = [
        (file, _format(file.suffix.lstrip(".").lower(), f"-o {file}", formats)) for file in files
    ]
    for file in files:
        check_place(file, "-o")
    if forced is not None or not files:
        wanted.append((None, _format(forced or "txt", f"--format {forced}", formats)))
    if wanted[-1][0] is None and wanted[-1][1] in _BINARY and sys.stdout.isatty():
        raise UsageError(f"--format {forced} is binary and would garble a terminal: use -o FILE.{forced}")
    return wanted


def check_place(file: Path, option: str) -> None:
    """``UsageError`` if there is no folder for ``file``, or it is one."""
    if not file.parent.is_dir():
        raise UsageError(f"{option} {file}: the folder {file.parent} does not exist")
    if file.is_dir():
        raise UsageError(f"{option} {file}: is a folder, not a file")


def _format(name: str, option: str, formats: Sequence[str]) -> str:
    if name == "html":
        raise UsageError(f"{option}: HTML is not there yet: choose {', '.join(formats)}")
    if name not in formats:
        raise UsageError(f"{option}: no format {shown(name)} here: choose {', '.join(formats)}")
    return name


def deliver(destinations: Sequence[tuple[Path | None, str]], make: Make) -> None:
    """Render once per destination; every file is complete before standard output is written."""
    for file, name in destinations:
        if file is not None:
            write_whole(file, make(name, _FILE_WIDTH, False))
    for file, name in destinations:
        if file is None:
            write_stdout(make(name, terminal_width(), coloured()))


def deliver_streams(destinations: Sequence[tuple[Path | None, str]], write: Write) -> None:
    """The same for an answer that is too long to be held in memory."""
    for file, name in destinations:
        if file is not None:
            with whole(file) as stream:
                write(name, _FILE_WIDTH, stream)
    for file, name in destinations:
        if file is None:
            with _standard_output() as stream:
                write(name, terminal_width(), stream)


@contextmanager
def whole(file: Path, option: str = "-o", *, private: bool = False) -> Iterator[IO[bytes]]:
    """A stream beside ``file``, renamed over it at the end: a reader sees the old one or the new, never a part.

    option: which named the file; private: a new one is readable by its owner alone.
    """
    import tempfile

    temporary: Path | None = None
    try:
        target = file.resolve()
        with tempfile.NamedTemporaryFile(dir=target.parent, prefix=f".{target.name}.", delete=False) as stream:
            temporary = Path(stream.name)
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        if target.exists() or not private:
            temporary.chmod(_mode(target))
        temporary.replace(target)
    except OSError as error:
        raise OutputError(f"{option} {file}: {error.strerror or error}; nothing was written") from None
    else:
        temporary = None
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def write_whole(file: Path, content: bytes) -> None:
    """``content`` as ``file``, or nothing."""
    with whole(file) as stream:
        stream.write(content)


def _mode(target: Path) -> int:
    """The file's own mode if it exists, else what the umask leaves."""
    try:
        return target.stat().st_mode & 0o7777
    except FileNotFoundError:
        umask = os.umask(0o077)
        os.umask(umask)
        return 0o666 & ~umask


@contextmanager
def _standard_output() -> Iterator[IO[bytes]]:
    """UTF-8 whatever the locale says. A reader that has left (`| head`) has what it wanted: no error."""
    try:
        sys.stdout.flush()
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        # What is still buffered would make the interpreter complain when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def write_stdout(content: bytes) -> None:
    """``content`` to whoever reads it."""
    with _standard_output() as stream:
        stream.write(content)


def terminal_width() -> int:
    """Columns of the terminal (or COLUMNS); 100 where there is none."""
    return shutil.get_terminal_size((100, 24)).columns


def coloured() -> bool:
    """Whether standard output is a terminal that wants colour (https://no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
