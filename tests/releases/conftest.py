"""Servers as in `tests/processes`."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "processes"))

from starting import start  # noqa: F401 - pytest finds it here


def pytest_ignore_collect(collection_path):
    """Processes are looked at through /proc."""
    return True if sys.platform != "linux" and collection_path.name.startswith("test_") else None
