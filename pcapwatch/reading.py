"""From paths to the engine's facts. What makes a report of them is loaded only while the engine reads."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module
from threading import Thread
from typing import Any, TypeAlias

from pcapwatch.errors import CaptureError, UsageError
from pcapwatch.settings import Settings

Progress: TypeAlias = Callable[[int, int, int], None]
Path: TypeAlias = "str | os.PathLike[str]"


def run_engine(
    paths: Sequence[Path], settings: Settings, progress: Progress | None = None, meanwhile: Sequence[str] = ()
) -> Any:
    """The engine's Analysis of one set of files; ``CaptureError`` (one line) for what is no capture.

    meanwhile: modules that will be wanted then, loaded while the engine reads, which takes no interpreter.
    """
    if not paths:
        raise UsageError("no capture named: give a file, a folder or - for stdin")
    chosen = settings.to_engine()

    from pcapwatch import _engine

    if meanwhile:
        Thread(target=_load, args=(meanwhile,)).start()
    try:
        return _engine.analyze([os.fspath(path) for path in paths], chosen, progress)
    except _engine.SourceError as error:
        raise CaptureError(str(error)) from None


def _load(modules: Sequence[str]) -> None:
    with suppress(Exception):  # whoever wants it imports it again, and hears why it fails
        for name in modules:
            import_module(name)
