"""Readings of a crafted capture, by the tool and by the oracle, as the same plain rows, and their check."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .situations import Expected
from .talk import EPOCH_NS, Talk, write_capture

INSTANTS = ("start", "end", "closer_time", "time_wait_start")
# Sequence spaces that begin anywhere, and whose bytes cross 2^31 and 2^32 in the middle of a conversation.
ISNS = {"low": (1_000, 500_000), "wrap": (2**32 - 20, 2**32 - 41), "sign": (2**31 - 20, 2**31 - 41)}


def craft(path: Path, build: Callable[[Talk], list[Expected]], isns: str = "low") -> tuple[Path, list[Expected]]:
    """Write a builder's capture; returns its path and the rows that must be read."""
    talk = Talk(client_isn=ISNS[isns][0], server_isn=ISNS[isns][1])
    expected = build(talk)
    return write_capture(path / "crafted.pcap", talk.packets), expected


def plain(value: object) -> object:
    """A table's cell as a plain Python value; any null is None, an instant is ns since 1970."""
    if isinstance(value, (list, tuple, set, frozenset, np.ndarray)):
        return frozenset(value)
    if value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, pd.Timestamp):
        return value.value if value.unit == "ns" else value.as_unit("ns").value
    return value.item() if hasattr(value, "item") else value


def tool_rows(*paths: Path, **settings: Any) -> list[dict[str, object]]:
    """The tool's connections table as plain rows."""
    import pcapwatch

    table = pcapwatch.analyze(list(paths), **settings).connections
    return [{str(k): plain(v) for k, v in row.items()} for row in table.to_dict("records")]


def tool_json(path: Path, threads: int, batch_packets: int) -> str:
    """The tool's JSON report."""
    import pcapwatch

    return str(pcapwatch.analyze(path, threads=threads, batch_packets=batch_packets).to_json())


def differences(rows: list[dict[str, object]], expected: list[Expected]) -> list[str]:
    """Every column that is not what must be read, as text."""
    if len(rows) != len(expected):
        return [f"{len(rows)} connections, expected {len(expected)}"]
    found = []
    for number, (row, wanted) in enumerate(zip(rows, expected, strict=True), 1):
        for column, value in wanted.items():
            got = row.get(column, f"<no column {column}>")
            if column in INSTANTS and isinstance(got, int):
                got = (got - EPOCH_NS) / 1e9
            same = (
                abs(got - value) < 2e-6 if isinstance(value, float) and isinstance(got, (int, float)) else got == value
            )
            if not same:
                found.append(f"connection {number} {column}: read {got!r}, expected {value!r}")
    return found
