"""The address of a socket file, also where its path is longer than addresses may be.

The kernel takes about a hundred bytes. Where a path has more, its folder is opened and the
socket named through the open descriptor, which Linux allows.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LONGEST = 100


@contextmanager
def socket_address(path: Path) -> Iterator[str]:
    """A text that names the socket `path` to `bind` and `connect` while the block lasts."""
    if len(os.fsencode(path)) <= _LONGEST:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
