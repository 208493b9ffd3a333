"""The terminal dashboard of ``pcapwatch live``: a moment as a screen, redrawn where it changed.

Drawn by hand on `rich.cells`, which the package has anyway: rich's Live knows no keys and redraws whole screens, and
Textual would be a second loop beside the engine's. ``python -m bench.dashboard`` measures what each costs at the start,
and how few bytes a second of this one costs over ssh: only the columns that changed are sent.
"""

from pcapwatch.live.dashboard.loop import Options, run

__all__ = ["Options", "run"]
