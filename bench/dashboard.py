"""What the dashboard costs: its start beside rich's Live and Textual, a frame, and the bytes of a second over ssh.

    python -m bench.dashboard CAPTURE.pcap

rich comes with the package; Textual is measured where it is installed. Frames are of the capture's own moments, a
second apart, drawn at 80×24 and 200×60.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

RUNS = 7
#: What `pcapwatch live` loads whatever it draws with.
_LIVE = "import pcapwatch.cli.watching"
IMPORTS = {
    "pcapwatch live --no-tui": _LIVE,
    "with this dashboard": f"{_LIVE}, pcapwatch.live.dashboard",
    "with rich's Live and tables": f"{_LIVE}, rich.live, rich.table, rich.layout",
    "with Textual and its widgets": f"{_LIVE}, textual.app, textual.widgets",
}


def wall_ms(code: str) -> float:
    """A process that runs this and ends, ms."""
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return (time.perf_counter() - begun) * 1000


def print_starts() -> None:
    """Medians of runs that take turns, so that a busy machine is unfair to none."""
    found = {name: code for name, code in IMPORTS.items() if "Textual" not in name or find_spec("textual")}
    times: dict[str, list[float]] = {name: [] for name in found}
    for _ in range(RUNS):
        for name, code in found.items():
            times[name].append(wall_ms(code))
    for name, taken in times.items():
        print(f"{name:<30} {statistics.median(taken):>6.0f} ms")
    if len(found) < len(IMPORTS):
        print("textual is not installed here: not measured")


def print_frames(capture: Path) -> None:
    """Bytes and time of a frame at two sizes."""
    from live.moments import moments

    from pcapwatch.live.dashboard.render import render
    from pcapwatch.live.dashboard.screen import Screen
    from pcapwatch.live.dashboard.trail import Trail
    from pcapwatch.live.dashboard.view import View

    with tempfile.TemporaryDirectory() as folder:
        (whole,) = moments(capture, Path(folder), 1)
        seen = moments(capture, Path(folder), max(round(whole.counters.elapsed_s), 2))
    for width, height in ((80, 24), (200, 60)):
        screen, trail, sent, spent_ms = Screen(), Trail(), [], []
        for moment in seen:
            trail = trail.after(moment)
            begun = time.perf_counter()
            sent.append(len(screen.frame(render(moment, View(trail=trail), width, height))))
            spent_ms.append((time.perf_counter() - begun) * 1000)
        first, *later = sent
        print(
            f"{width}×{height}: first frame {first:,} bytes; then {statistics.mean(later):,.0f} a second on the mean, "
            f"{max(later):,} at most; {statistics.median(spent_ms):.1f} ms a frame"
        )


def main() -> None:
    """Print both."""
    if len(sys.argv) != 2:
        sys.exit("usage: python -m bench.dashboard CAPTURE.pcap (a plain pcap)")
    print_starts()
    print_frames(Path(sys.argv[1]))


if __name__ == "__main__":
    main()
