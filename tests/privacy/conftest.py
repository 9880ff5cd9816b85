"""A whole data directory without a server, with people in it; helpers of the lake's tests."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

import pytest

sys.path += [str(Path(__file__).parents[1] / name) for name in ("lake", "project", "processes")]

from house import House
from starting import start  # noqa: F401 - pytest finds it here


@pytest.fixture
def house(tmp_path):
    house = House(tmp_path / "data")
    house.open()
    yield house
    with contextlib.suppress(Exception):
        house.close()
