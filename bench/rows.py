"""What a table of rows costs beside its analysis, part by part: `python -m bench.rows CAPTURE`.

Each part is done alone in this process, on what the part before it made: the analysis, the analysis with its rows
kept for a table, those rows as batches of cells, and these batches written as Parquet. Seconds of a core are what the
kernel counts for all threads of the process.

From them follows what `connections -o x.parquet` takes at the least. A row is known when its capture has ended and not
before: how long its TIME_WAIT was modelled to last is what all of its host's connections prove. And pyarrow writes a
file in one thread. So the two walls add up, even if everything between them came for nothing.
"""

from __future__ import annotations

import io
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

RUNS = 3
CORES = 2


def spent(work: Callable[[], Any]) -> tuple[float, float, Any]:
    """Seconds of the clock and of a core, and what the work made."""
    before, begun = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    made = work()
    after, ended = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    return ended - begun, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, made


def parts(capture: Path) -> dict[str, tuple[float, float]]:
    """Seconds of the clock and of a core for each part, once."""
    import pyarrow.parquet  # noqa: F401

    import pcapwatch
    from pcapwatch.frames import Rows, rows
    from pcapwatch.report.tables import write_parquet

    def analyzed(*, keep: bool) -> Any:
        return pcapwatch.analyze(capture, keep_connections=keep, keep_exchanges=False, threads=CORES).engine

    *alone, _ = spent(lambda: analyzed(keep=False))
    *kept, engine = spent(lambda: analyzed(keep=True))
    table = rows(engine.connections)
    *read, batches = spent(lambda: list(table.batches))
    held = Rows(table.schema, iter(batches), table.total)
    *written, _ = spent(lambda: write_parquet(held, io.BytesIO()))
    return {
        "analysis": (alone[0], alone[1]),
        "its rows kept, in order of their keys": (kept[0] - alone[0], kept[1] - alone[1]),
        "rows read again, and their cells": (read[0], read[1]),
        "cells written as Parquet by pyarrow": (written[0], written[1]),
    }


def main(words: list[str]) -> int:
    """Print the table."""
    if len(words) != 1:
        print("usage: python -m bench.rows CAPTURE", file=sys.stderr)
        return 2
    runs = [parts(Path(words[0])) for _ in range(RUNS)]
    median = {name: [statistics.median(run[name][of] for run in runs) for of in (0, 1)] for name in runs[0]}
    print(f"| medians of {RUNS} | s | s of a core |\n|---|--:|--:|")
    for name, (wall, cpu) in median.items():
        print(f"| {name} | {wall:.2f} | {cpu:.2f} |")
    (analysis, _), *_, (library, library_cpu) = median.values()
    every = sum(cpu for _, cpu in median.values())
    print(f"\nOn {CORES} cores that never wait it would take {every / CORES / analysis:.2f} times the analysis,")
    print(f"and {(every - library_cpu) / CORES / analysis:.2f} times if writing cost nothing.")
    print(f"If rows and cells came for nothing: {(analysis + library) / analysis:.2f} times, one after the other.")
    return 0


if __name__ == "__main__":
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    sys.exit(main(sys.argv[1:]))
