"""What tests of several folders share."""

from __future__ import annotations

import sys
from pathlib import Path

# `import summaries`: the builders of hand-made summaries beside this file.
sys.path.insert(0, str(Path(__file__).parent))
