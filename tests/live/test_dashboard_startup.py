"""What `pcapwatch live` loads: a screen must not wait for what it does not draw with."""

from __future__ import annotations

import json
import subprocess
import sys

HEAVY = {"asyncio", "numpy", "pandas", "prometheus_client", "pyarrow", "scapy", "textual"}


def loaded(*modules: str) -> set[str]:
    """All modules that a new process has after importing these."""
    script = f"import json, sys, {', '.join(modules)}; print(json.dumps(list(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


def test_the_screen_loads_nothing_heavy() -> None:
    """Of rich the widths of characters alone; no metrics, no table library."""
    names = loaded("pcapwatch.cli.live", "pcapwatch.live.dashboard")
    assert not names & HEAVY
    assert {name for name in names if name.startswith("rich.") and "._" not in name} == {"rich.cells"}


def test_lines_load_no_screen() -> None:
    """`--no-tui` loads neither the dashboard nor the metrics."""
    names = loaded("pcapwatch.cli.live")
    assert not {name for name in names if name.startswith(("pcapwatch.live.dashboard", "pcapwatch.live.metrics"))}
    assert "termios" not in names
