"""Differences between tool and oracle that are understood, each with its reason. Few, and never a fault of the tool."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Known:
    """One column of one connection (by its first frame) of one capture."""

    capture: str
    first_frame: int
    column: str
    reason: str


KNOWN: tuple[Known, ...] = ()
