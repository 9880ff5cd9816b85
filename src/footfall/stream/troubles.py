"""Troubles of origins as events, so that they can be asked for like everything else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from footfall.errors import JournalUnavailable
from footfall.journal.contract import Outcome
from footfall.model import Micros
from footfall.stream import events
from footfall.stream.events import Recorder, Sender
from footfall.stream.origin import Trouble

log = structlog.get_logger()


class Troubles:
    """Those of one process; `Origins` tells of each kind at most once a minute."""

    def __init__(
        self,
        commit: Callable[[Outcome], Awaitable[Outcome]],
        record: Recorder,
        source_of: Callable[[str], str | None],
        now: Callable[[], Micros],
    ) -> None:
        """`source_of`: the source of a service's id; None where it is gone by now."""
        self._commit = commit
        self._record = record
        self._source_of = source_of
        self._now = now
        self._tasks: set[asyncio.Task[None]] = set()

    def tell(self, trouble: Trouble) -> None:
        """Record it; nobody waits for that."""
        source = self._source_of(trouble.service)
        if source is None:
            return
        sender = Sender(source=source, service=trouble.service, session_id=None)
        now = self._now()
        said = events.origin_error(now, kind=trouble.kind, url=trouble.url, reason=trouble.reason)
        task = asyncio.create_task(self._store(Outcome(self._record(sender, [said], now))))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Wait for what is being stored."""
        await asyncio.gather(*self._tasks)

    async def _store(self, outcome: Outcome) -> None:
        try:
            await self._commit(outcome)
        except JournalUnavailable as fault:
            log.warning("trouble of an origin was not stored", error=str(fault))
