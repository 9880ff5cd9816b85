"""VAST error addresses: whoever could not play an ad, or got none, is owed to say so. The server
says it for what it found out itself; what comes of a call changes nothing and is only counted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from footfall.metrics import STREAM_ERROR_CALLS, Tally
from footfall.model import Micros
from footfall.settings import Service
from footfall.stream import macros
from footfall.stream.contract import Failure
from footfall.stream.fetch import Fetcher
from footfall.stream.macros import Playing, Values

MOST_CALLS = 50
"""Addresses that one decision calls."""
MOST_WAITING = 5_000
"""Calls under way in a process; further ones are left out, and counted."""


class ErrorCalls:
    """The error calls of one process."""

    def __init__(
        self, fetcher: Fetcher, clock: Callable[[], Micros], tally: Tally, seconds: float
    ) -> None:
        """`seconds`: longest that one may take."""
        self._fetcher = fetcher
        self._clock = clock
        self._tally = tally
        self._seconds = seconds
        self._calls: set[asyncio.Task[None]] = set()

    def tell(self, service: Service, failures: Iterable[Failure], values: Values) -> None:
        """Call the addresses of what went wrong; nobody waits for it."""
        wanted = list(dict.fromkeys((url, one.code) for one in failures for url in one.urls))
        for url, code in wanted[:MOST_CALLS]:
            if len(self._calls) >= MOST_WAITING:
                self._tally.cell(STREAM_ERROR_CALLS, "left_out").number += 1
                continue
            playing = Playing(position=values.position)
            address = macros.beacon(url, values, playing, self._clock(), code=code)
            call = asyncio.create_task(self._call(service, address, values))
            self._calls.add(call)
            call.add_done_callback(self._calls.discard)

    async def _call(self, service: Service, address: str, values: Values) -> None:
        came = await self._fetcher.beacon(
            address, service=service, timeout=self._seconds, headers=macros.headers(values)
        )
        self._tally.cell(STREAM_ERROR_CALLS, came.outcome).number += 1

    async def close(self) -> None:
        """Give up what is under way."""
        calls = list(self._calls)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
