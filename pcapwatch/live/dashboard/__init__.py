"""The terminal dashboard of ``pcapwatch live``: a moment as a screen, redrawn where it changed.

Drawn by hand on `rich.cells`, which the package has: measured by ``python -m bench.startup``, it loads in a fraction of what
rich's Live (no keys) and Textual take, and sends only the columns that changed, which matters over ssh.
"""

from pcapwatch.live.dashboard.run import Options, moment_of, run

__all__ = ["Options", "moment_of", "run"]
