"""From paths to the engine's facts, without what makes a report of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from pcapwatch.errors import CaptureError, UsageError
from pcapwatch.settings import Settings

Progress: TypeAlias = Callable[[int, int, int], None]
Path: TypeAlias = "str | os.PathLike[str]"


def run_engine(paths: Sequence[Path], settings: Settings, progress: Progress | None = None) -> Any:
    """The engine's Analysis of one set of files; ``CaptureError`` (one line) for what is no capture."""
    if not paths:
        raise UsageError("no capture named: give a file, a folder or - for stdin")
    chosen = settings.to_engine()

    from pcapwatch import _engine

    try:
        return _engine.analyze([os.fspath(path) for path in paths], chosen, progress)
    except _engine.SourceError as error:
        raise CaptureError(str(error)) from None
