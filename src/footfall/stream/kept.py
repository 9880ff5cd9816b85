"""What was fetched once and is given to everybody: playlists that do not change."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from footfall.stream.contract import FetchError
from footfall.stream.lines import PlaylistError

T = TypeVar("T")

FRESH_SECONDS = 3600.0
"""Then it is looked at again all the same."""
FAILED_SECONDS = 30.0


class _Entry(Generic[T]):
    """One value of `Kept`, or why there is none."""

    __slots__ = ("error", "task", "until", "value")

    def __init__(self) -> None:
        self.value: T | None = None
        self.error: Exception | None = None
        self.until = 0.0
        self.task: asyncio.Task[None] | None = None


class Kept(Generic[T]):
    """Values by key: fetched once for all who ask at a time, kept for an hour, bounded in number.

    What cannot be fetched anew is given as it was; what never could be is not tried again for half
    a minute. Whoever stops waiting does not stop the others.
    """

    def __init__(self, most: int, clock: Callable[[], float]) -> None:
        self._most = most
        self._clock = clock
        self._entries: OrderedDict[tuple[str, str], _Entry[T]] = OrderedDict()

    async def get(self, key: tuple[str, str], fetch: Callable[[], Awaitable[T]]) -> T:
        """Raises what `fetch` raised, if it is a `FetchError` or `PlaylistError`."""
        entry = self._entries.get(key)
        if entry is None:
            entry = self._entries[key] = _Entry()
            while len(self._entries) > self._most:
                self._entries.popitem(last=False)
        self._entries.move_to_end(key)
        if self._clock() >= entry.until:
            if entry.task is None:
                entry.task = asyncio.create_task(self._fill(entry, fetch))
            await asyncio.shield(entry.task)
        if entry.value is not None:
            return entry.value
        assert entry.error is not None
        raise entry.error

    async def _fill(self, entry: _Entry[T], fetch: Callable[[], Awaitable[T]]) -> None:
        try:
            entry.value = await fetch()
            entry.until = self._clock() + FRESH_SECONDS
        except (FetchError, PlaylistError) as error:
            entry.error = error
            entry.until = self._clock() + FAILED_SECONDS
        finally:
            entry.task = None
