"""The one thread on which a journal waits: for the lock, for the disk.

It knows nothing of what it runs. Deciding and appending stay on the event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, TypeVar

from footfall.errors import JournalUnavailable

T = TypeVar("T")

_Job = tuple[Callable[[Any], Any], Any, asyncio.AbstractEventLoop, "asyncio.Future[Any]"]


class Committer:
    """Runs what it is given one after the other, in the order of the calls."""

    def __init__(self) -> None:
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="journal", daemon=True)
        self._open = True
        self._thread.start()

    def close(self) -> None:
        """Finish what was given, and take nothing more."""
        self._open = False
        self._jobs.put(None)
        self._thread.join()

    async def run(self, work: Callable[[Any], T], argument: Any) -> T:
        """Run on the thread, and wait for its end.

        Whoever is cancelled meanwhile still waits: the thread works on what the lock protects.
        """
        if not self._open:
            raise JournalUnavailable("The journal is closed")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._jobs.put((work, argument, loop, future))
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            await asyncio.wait([future])
            raise

    def _serve(self) -> None:
        while (job := self._jobs.get()) is not None:
            work, argument, loop, future = job
            result, fault = None, None
            try:
                result = work(argument)
            except BaseException as raised:  # noqa: BLE001 - it belongs to whoever waits
                fault = raised
            # A loop that was closed in between waits for nothing any more.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(_give, future, result, fault)


def _give(future: asyncio.Future[Any], result: Any, fault: BaseException | None) -> None:
    if future.done():
        return  # whoever waited was cancelled
    if fault is not None:
        future.set_exception(fault)
    else:
        future.set_result(result)
