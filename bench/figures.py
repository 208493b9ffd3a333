"""The table of targets: each figure, what it is made of, what is wanted, and whether it was reached."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from bench.job import Job, Measure
from bench.jobs import SIZES

Unit = Literal["times", "MB", "s"]
_MB = 1e6


@dataclass(frozen=True, slots=True)
class Figure:
    """``over`` / ``under`` of a measure's medians, or ``over`` alone, held against ``reach``.

    over, under: keys of jobs; of a job and itself the measure is over its wall time. each: divided by the capture's
    packets first; at_most: a low figure is good; kin: more jobs that make figures of the same sort, of which the
    largest over the smallest is taken, ``over`` and ``under`` left empty; digits: shown after the point.
    """

    name: str
    over: str
    under: str
    reach: float
    measure: Measure = "wall_s"
    at_most: bool = True
    unit: Unit = "times"
    each: bool = False
    kin: tuple[str, ...] = ()
    digits: int = 2

    @property
    def keys(self) -> tuple[str, ...]:
        """The jobs it needs."""
        return tuple(key for key in (self.over, self.under, *self.kin) if key)

    def value(self, jobs: Mapping[str, Job]) -> float | None:
        """What was measured; None if a command is not installed or failed."""
        values = [self._of(jobs[key]) for key in self.keys]
        known = [value for value in values if value]
        if len(known) < len(values):
            return None
        if self.over and self.over == self.under:
            return known[0] / (jobs[self.over].median("wall_s") or 1)
        if self.kin:
            return max(known) / min(known)
        return known[0] / known[1] if self.under else known[0] / (_MB if self.unit == "MB" else 1)

    def _of(self, job: Job) -> float | None:
        median = None if job.absence else job.median(self.measure)
        return median / job.capture.packets if self.each and median else median

    def met(self, value: float) -> bool:
        """Whether it reaches what is wanted."""
        return value <= self.reach if self.at_most else value >= self.reach

    def shown(self, value: float) -> str:
        """A value of it with its unit."""
        return {"times": f"{value:,.{self.digits}f}", "MB": f"{value:,.0f} MB", "s": f"{value:.3f} s"}[self.unit]

    @property
    def wanted(self) -> str:
        """The reach in words."""
        return f"{'≤' if self.at_most else '≥'} {self.reach:g}{'' if self.unit == 'times' else f' {self.unit}'}"


def figures(*, long: bool) -> list[Figure]:
    """Every row, in the order of the issue that set the targets."""
    sizes = tuple(f"{key}.engine, sizes in turns" for key in SIZES if long or key != "long")
    return [
        Figure("analyze ÷ tcpdump's FIN filter, short connections", "short.analyze", "short.tcpdump", 1.0),
        Figure("the same, 500 clients and 7 servers", "spread.analyze", "spread.tcpdump", 1.0),
        Figure("analyze ÷ tcpdump's FIN filter, bulk", "bulk.analyze", "bulk.tcpdump", 1.0),
        Figure("nfpcapd ÷ analyze", "short.nfpcapd", "short.analyze", 4, at_most=False),
        Figure("tcptrace ÷ analyze", "short.tcptrace", "short.analyze", 30, at_most=False),
        Figure("tshark conv,tcp ÷ analyze", "short.tshark", "short.analyze", 100, at_most=False),
        Figure("peak memory of analyze, short connections", "short.analyze", "", 150, "peak_bytes", unit="MB"),
        *(
            [Figure("the same, ten times the packets", "long.analyze", "", 150, "peak_bytes", unit="MB")]
            if long
            else []
        ),
        Figure("connections -o x.parquet ÷ analyze", "short.parquet", "short.analyze", 1.5),
        Figure("its peak memory ÷ on a tenth of the packets", "short.parquet", "tenth.parquet", 1.25, "peak_bytes"),
        Figure("analyze of 1,000 packets, whole process", "small.analyze", "", 0.12, unit="s"),
        Figure("the same ÷ tshark conv,tcp", "small.analyze", "small.tshark", 1.0),
        Figure("engine: one thread ÷ two", "short.engine 1", "short.engine", 1.7, "own_s", at_most=False),
        Figure("whole process: one thread ÷ two", "short.analyze 1", "short.analyze", 1.7, at_most=False),
        Figure("analyze of gzip ÷ zcat", "gzip.analyze", "gzip.zcat", 1.15),
        Figure("analyze of zstd ÷ zstdcat", "zstd.analyze", "zstd.zstdcat", 1.15),
        Figure("cost per packet: dearest ÷ cheapest size", "", "", 1.15, "own_s", each=True, kin=sizes),
        Figure("progress bar: its time ÷ the whole", "short.bar", "short.bar", 0.01, "own_s", digits=4),
    ]
