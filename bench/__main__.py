"""Time pcapwatch beside its neighbours on generated captures: `make bench`.

Prints the targets of speed and memory with what was measured, and writes them to bench/RESULTS.md. The captures take
7 GB of bench/data and are kept; `--long` needs 11 GB more for a while.
"""

from __future__ import annotations

import argparse
import tempfile
from contextlib import ExitStack
from pathlib import Path

from bench.figures import Figure, figures
from bench.instructions import ROOT
from bench.job import Job, rounds
from bench.jobs import captures, jobs
from bench.render import results

#: Packets and bytes of `--quick`, of the full ones.
QUICK = 0.05


def arguments() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="rounds; figures are medians over them (default: 5)")
    parser.add_argument("--slow-runs", type=int, default=3, help="of them with tcptrace and tshark (default: 3)")
    parser.add_argument("--only", metavar="ROW", help="only figures whose name contains this; writes no file")
    parser.add_argument("--long", action="store_true", help="also 100 million packets: 11 GB, deleted afterwards")
    parser.add_argument("--quick", action="store_true", help="a twentieth of the packets; writes no file")
    parser.add_argument("--no-write", action="store_true", help="do not write bench/RESULTS.md")
    return parser.parse_args()


def measure(rows: list[Figure], asked: argparse.Namespace) -> str:
    """Make, run, put into words; the long capture is not kept."""
    of = captures(QUICK if asked.quick else 1, long=asked.long)
    with tempfile.TemporaryDirectory(prefix="pcapwatch-bench-") as scratch:
        all_jobs = jobs(of, Path(scratch))
        needed = {key: all_jobs[key] for row in rows for key in row.keys}
        try:
            for group in dict.fromkeys(job.group or job.capture.key for job in all_jobs.values()):
                run_group([job for job in needed.values() if (job.group or job.capture.key) == group], asked)
            runs = f"Medians of {asked.runs} runs, of {min(asked.runs, asked.slow_runs)} for slow tools;"
            return results(rows, needed, runs)
        finally:
            if asked.long:
                of["long"].path.unlink(missing_ok=True)


def run_group(jobs: list[Job], asked: argparse.Namespace) -> None:
    """All rounds of those that take turns, with their captures in memory."""
    with ExitStack() as held:
        for capture in dict.fromkeys(job.capture for job in jobs):
            capture.make()
            held.enter_context(capture.in_memory())
        rounds(jobs, asked.runs, asked.slow_runs)


def main() -> None:
    """Measure, print, write."""
    asked = arguments()
    rows = [row for row in figures(long=asked.long) if not asked.only or asked.only in row.name]
    text = measure(rows, asked)
    print(text)
    if not (asked.no_write or asked.only or asked.quick):
        (ROOT / "bench" / "RESULTS.md").write_text(text)


if __name__ == "__main__":
    main()
