"""What a table of rows costs, part by part."""

from __future__ import annotations

import re
import subprocess
import sys

from bench.instructions import ROOT


def test_the_parts_are_told() -> None:
    """Every part has its line, with seconds of the clock and of a core, and what follows from them is said."""
    capture = ROOT / "fixtures" / "crossing-fins" / "capture.pcap"
    done = subprocess.run(
        [sys.executable, "-m", "bench.rows", str(capture)], capture_output=True, text=True, check=True
    )
    assert len(re.findall(r"^\| [a-z].* \| -?\d\.\d\d \| -?\d\.\d\d \|$", done.stdout, re.MULTILINE)) == 4, done.stdout
    assert "one after the other" in done.stdout
