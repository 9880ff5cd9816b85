"""The map of streams, in the package's docstring, names every module that there is and no other."""

from __future__ import annotations

import re
from pathlib import Path

from footfall import stream

MODULES = {
    path.stem
    for path in Path(stream.__file__).parent.glob("*.py")
    if path.stem != "__init__" and not path.stem.startswith("checking_")
}


def test_the_map_is_complete():
    named = set(re.findall(r"`([a-z][a-z0-9_]*)`", stream.__doc__))
    assert MODULES <= named, "not in the map"
    assert named <= MODULES, "in the map, and gone"
