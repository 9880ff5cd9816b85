"""Servers as `tests/processes` starts them, for tests of streams as they are served."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "processes"))

from starting import start  # noqa: F401 - pytest finds it here
