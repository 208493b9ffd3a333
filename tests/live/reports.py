"""Reports of a capture that goes on."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def wait_for_report(
    process: subprocess.Popen[bytes], out: Path, what: Callable[[dict[str, Any]], bool]
) -> dict[str, Any]:
    """Ask for reports until one's capture is so, which is returned; fails after a minute."""
    until = time.monotonic() + 60
    while True:
        if out.exists() and what((told := json.loads(out.read_text()))["capture"]):
            return dict(told)
        assert time.monotonic() < until, "waited in vain"
        process.send_signal(signal.SIGUSR1)
        time.sleep(0.3)
