"""Differences between the tool and the oracle that are understood, each with its reason. Few, and never a tool's fault."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Known:
    """One column of one connection (by its first frame) of one capture."""

    capture: str
    first_frame: int
    column: str
    reason: str


KNOWN: tuple[Known, ...] = ()
