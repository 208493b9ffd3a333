"""Every difference between the tool and tshark on the captures, with its reason; read from `differences.toml`."""

import tomllib
from pathlib import Path
from typing import NamedTuple

TABLE = Path(__file__).parent / "differences.toml"


class Differences(NamedTuple):
    """The tshark that the table was written against ("4.0"), and the listed lines by capture."""

    version: str
    lines: dict[str, set[str]]


def read_differences() -> Differences:
    """The table; a reason that is missing or empty raises KeyError or ValueError."""
    table = tomllib.loads(TABLE.read_text(encoding="utf-8"))
    lines: dict[str, set[str]] = {}
    for entry in table["difference"]:
        if not entry["reason"].strip():
            raise ValueError(f"no reason for {entry['capture']}")
        lines.setdefault(entry["capture"], set()).update(entry["lines"])
    return Differences(table["tshark"], lines)
