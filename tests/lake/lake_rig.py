"""What the lake's tests share: a lake in a temporary directory, events, a journal to fill."""

from __future__ import annotations

import asyncio
import itertools

from footfall.journal.contract import Outcome, Unit
from footfall.journal.engines.memory import MemoryJournal
from footfall.lake.lake import Lake
from footfall.model import Event, Reject

DAY = 86_400_000_000
NOON = 1_767_268_800_000_000  # 2026-01-01T12:00:00Z
_ids = itertools.count()


def make_event(**changes) -> Event:
    """An event with every required field; `changes` over it."""
    number = next(_ids)
    fields = {
        "event_id": f"019b76da-a800-7000-8000-{number:012x}",
        "source": "site",
        "protocol": "vaix",
        "type": "clicks:event",
        "occurred_at": NOON + number,
        "received_at": NOON + number,
    }
    return Event(**(fields | changes))


def make_reject(**changes) -> Reject:
    fields = {
        "received_at": NOON,
        "source": "site",
        "protocol": "vaix",
        "reason": "content_not_valid",
        "detail": "data.page is missing.",
        "status": 422,
    }
    return Reject(**(fields | changes))


class Clock:
    """A clock that stands still until it is put forward."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> int:
        return self.now


class Rig:
    """A journal, a lake and short ways to use both from a test that is not async."""

    def __init__(self, lake: Lake) -> None:
        self.clock = Clock()
        self.journal = MemoryJournal(self.clock)
        self.lake = lake

    def write(self, *events: Event, rejects=()) -> None:
        """Commit one record with these."""
        outcome = Outcome(events=events, rejects=rejects)
        asyncio.run(self.journal.transact([Unit((), lambda states: outcome)]))

    def sql(self, text: str) -> list[tuple]:
        """Rows of any SQL, unguarded."""
        cursor = self.lake.cursor()
        try:
            return cursor.execute(text).fetchall()
        finally:
            cursor.close()
