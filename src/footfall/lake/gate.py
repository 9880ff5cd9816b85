"""Who is reading the lake now, and how everybody is kept out for a moment.

A query reads files that its snapshot names; deleting them, or putting another catalogue in place,
has to wait until nobody does, and whoever comes meanwhile waits in turn. Used in one event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator


class Gate:
    """Many may be inside, or one who has it closed."""

    def __init__(self) -> None:
        self._inside = 0
        self._closed = False
        self._waiting: list[asyncio.Future[None]] = []

    @contextlib.asynccontextmanager
    async def reading(self) -> AsyncIterator[None]:
        """Be inside; waits while it is closed."""
        while self._closed:
            await self._change()
        self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1
            self._tell()

    @contextlib.asynccontextmanager
    async def closed(self) -> AsyncIterator[None]:
        """Have it closed: nobody comes in any more, and everybody who was inside has left."""
        while self._closed:
            await self._change()
        self._closed = True
        try:
            while self._inside:
                await self._change()
            yield
        finally:
            self._closed = False
            self._tell()

    async def _change(self) -> None:
        future = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        try:
            await future
        finally:
            with contextlib.suppress(ValueError):
                self._waiting.remove(future)

    def _tell(self) -> None:
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)
