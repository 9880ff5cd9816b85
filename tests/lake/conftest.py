"""The fixtures of the lake's tests; what they are made of is in `lake_rig`."""

from __future__ import annotations

import pytest
from lake_rig import Rig

from footfall.lake.lake import Lake


@pytest.fixture
def lake(tmp_path):
    with Lake(tmp_path / "lake", memory_mb=256, threads=1) as opened:
        yield opened


@pytest.fixture
def rig(lake):
    return Rig(lake)
