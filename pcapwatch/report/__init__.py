"""The renderers of a report, one per file, over one model."""

from __future__ import annotations

from pathlib import Path

__all__ = ["schema_path"]


def schema_path() -> Path:
    """The JSON Schema (draft 2020-12) of the JSON report."""
    return Path(__file__).with_name("schema.json")
