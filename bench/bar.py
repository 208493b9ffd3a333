"""``pcapwatch analyze CAPTURE`` with a clock around its progress bar; prints the seconds spent in it, as JSON.

    python bench/bar.py CAPTURE

The engine waits in every call of the bar, so these seconds are what the bar costs. The whole with it and without it
differs by less than two runs of the same.
"""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import redirect_stdout
from pathlib import Path
from typing import ClassVar

import pcapwatch.cli.options
from pcapwatch.cli import main
from pcapwatch.cli.progress import ProgressBar


class Timed(ProgressBar):
    """Adds up what its calls take."""

    spent_s: ClassVar[float] = 0.0

    def __call__(self, done: int, total: int, packets: int) -> None:
        """Draw, by the clock."""
        begun_s = time.perf_counter()
        super().__call__(done, total, packets)
        Timed.spent_s += time.perf_counter() - begun_s


if __name__ == "__main__":
    vars(pcapwatch.cli.options)["ProgressBar"] = Timed
    try:
        with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
            main(["analyze", *sys.argv[1:]])
    finally:
        print(json.dumps({"seconds": Timed.spent_s}))
