"""Follows the journal with the fold of media sessions: all of its reading and writing.

What the fold says is due to be closed is committed as a closing record, which the fold then meets
like any other. What is final goes into the lake, and then what is open into a checkpoint; the
journal keeps what no checkpoint has passed. A process may be killed between any two of these: the
fold then goes on from the last checkpoint, gives the same rows again, and the lake passes over
those that it has.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import duckdb
import msgspec
import structlog

from footfall.errors import FootfallError, told
from footfall.journal.contract import Change, Journal, Outcome, Position, States, Unit
from footfall.lake import media as store
from footfall.lake.lake import Lake
from footfall.model import MediaSession, Micros, media_key
from footfall.project.checkpoints import Checkpoint, Checkpoints
from footfall.project.media import Due, Finished, Fold
from footfall.project.media_account import explain
from footfall.project.media_erasing import erasures
from footfall.project.media_metrics import Rows
from footfall.project.media_session import Limits

log = structlog.get_logger(__name__)

READ_BYTES = 2 << 20
"""Of the journal at a time: reading and folding it holds up everything else meanwhile."""
CHECKPOINT_SECONDS = 5.0
SHOWN_AT_ONCE = 1000
CLOSINGS = 1000
"""Most sessions that are closed in one record."""
REMEMBERED: Micros = 7 * 86_400 * 1_000_000
"""How long the journal's state remembers that a session timed out, where nobody says otherwise."""

_session = msgspec.msgpack.Decoder(MediaSession)


class MediaRunner:
    """Runs one fold. At most one at a time may follow a journal."""

    def __init__(
        self,
        journal: Journal,
        lake: Lake,
        checkpoints: Checkpoints,
        *,
        limits: Limits | None = None,
        remembered: Callable[[str], Micros] = lambda _source: REMEMBERED,
        every_seconds: float = 1.0,
        checkpoint_seconds: float = CHECKPOINT_SECONDS,
    ) -> None:
        self._journal = journal
        self._lake = lake
        self._checkpoints = checkpoints
        self._remembered = remembered
        """By source: how long its closed sessions are told from unknown ones."""
        self._every_seconds = every_seconds
        self._checkpoint_seconds = checkpoint_seconds
        self._stepping = asyncio.Lock()
        self._showing = asyncio.Lock()
        self.strays = 0
        """Events that came to no open session: it is final, or was never begun."""
        self._finished: list[Finished] = []
        """Final and not in the lake yet."""
        self._strays: list[store.StrayRow] = []
        """Likewise."""
        self._snapshot_failed = False
        self._checkpointed = time.monotonic()
        self._fold = self._restored(limits)
        self._next: Position | None = None
        """Where to read on; None at the fold's own place."""
        self._saved: dict[int, int] = {}
        self._note_saved()

    def _restored(self, limits: Limits | None) -> Fold:
        try:
            state = self._checkpoints.fold()
            if state is not None:
                with contextlib.closing(self._checkpoints.sessions()) as rows:
                    return Fold.restore(state, (data for _, data in rows), limits)
        except (sqlite3.DatabaseError, ValueError) as fault:
            # Damaged, or of a later release. The journal has what its retention keeps.
            log.error("media.checkpoint_not_readable", error=told(fault))  # noqa: TRY400 - in words
            self._checkpoints.begin_anew()
        return Fold(limits)

    # Following.

    async def step(self) -> bool:
        """Fold, close, append and, where it is time, checkpoint. Whether more waits to be read."""
        async with self._stepping:
            more = await self._read()
            await self._close_due()
            await self._append()
            if time.monotonic() - self._checkpointed >= self._checkpoint_seconds:
                await self._checkpoint()
            return more

    async def _read(self) -> bool:
        (span,) = await self._journal.partitions()
        start = self._next or self._fold.position or span.first
        if start.sequence >= span.end.sequence:
            return False
        batch = await self._journal.read(max(start, span.first), READ_BYTES)
        for position, record in batch.records:
            taken = self._fold.take(position, record)
            self._finished.extend(taken.finished)
            self.strays += len(taken.strays)
            self._strays += [store.stray_row(position, record.at, one) for one in taken.strays]
            for erased in erasures(record):
                self._finished = [one for one in self._finished if not erased.rows(one.rows)]
                self._strays = [row for row in self._strays if not erased.stray(row)]
        self._next = batch.next
        return batch.next.sequence < span.end.sequence

    async def _close_due(self) -> None:
        due = self._fold.due()
        for first in range(0, len(due), CLOSINGS):
            units = [
                _closing_unit(one, time.time_ns() // 1000 + self._remembered(one.source))
                for one in due[first : first + CLOSINGS]
            ]
            await self._journal.transact(units)

    async def _append(self) -> None:
        finished, strays = tuple(self._finished), tuple(self._strays)
        if finished or strays:
            await self._lake.run(partial(store.append, self._lake, finished, strays))
            del self._finished[: len(finished)], self._strays[: len(strays)]

    async def _checkpoint(self) -> None:
        """After what is final has been appended: a checkpoint forgets it."""
        snapshot = self._fold.snapshot(whole=self._snapshot_failed)
        checkpoint = Checkpoint(
            snapshot.fold,
            [(_key(*key), data) for key, data in snapshot.sessions.items()],
            [_key(*key) for key in snapshot.gone],
        )
        self._snapshot_failed = True
        await asyncio.to_thread(self._checkpoints.write, checkpoint)
        self._snapshot_failed = False
        self._checkpointed = time.monotonic()
        self._note_saved()

    def _note_saved(self) -> None:
        position = self._fold.position
        if position is not None:
            self._saved[position.partition] = position.sequence

    def saved(self) -> Mapping[int, int]:
        """By partition: what is behind a checkpoint. For trimming the journal."""
        return self._saved

    async def follow(self, stop: asyncio.Event) -> None:
        """Step until `stop`, and checkpoint at the end.

        A failure is logged and tried again: everything is still in the journal.
        """
        while not stop.is_set():
            wait = self._every_seconds
            try:
                if await self.step():
                    wait = 0.0
            except (duckdb.Error, sqlite3.Error, OSError, FootfallError) as fault:
                log.exception("media.step_failed", error=told(fault))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), max(wait, 0.001))
        await self.close()

    async def checkpoint(self) -> None:
        """Append and checkpoint now, and leave nothing in the file that is in no checkpoint."""
        async with self._stepping:
            await self._append()
            await self._checkpoint()
            await asyncio.to_thread(self._checkpoints.scrub)

    async def close(self) -> None:
        """Keep what was folded."""
        async with self._stepping:
            with contextlib.suppress(duckdb.Error, sqlite3.Error, OSError, FootfallError):
                await self._append()
                await self._checkpoint()

    async def catch_up(self, seconds: float) -> None:
        """Return once everything that was durable at the call is folded, and final rows appended.

        Raises `TimeoutError` after `seconds`, and whatever a step raises.
        """
        (span,) = await self._journal.partitions()
        async with asyncio.timeout(seconds):
            while (self._next or Position(span.partition, -1)).sequence < span.end.sequence:
                if not await self.step():
                    break

    # Asking.

    @property
    def open(self) -> int:
        """Sessions that are open, or were closed less than 5 s ago: their rows are not final."""
        return len(self._fold)

    async def show(self) -> None:
        """Make `media_sessions` and its kin show what is open.

        A thousand sessions at a time, so that following goes on meanwhile.
        """
        async with self._showing:
            keys = [(session.source, session.session_id) for session in self._fold.sessions()]
            await self._lake.run(store.prepare)
            for first in range(0, len(keys), SHOWN_AT_ONCE):
                some = [self._fold.rows(*key) for key in keys[first : first + SHOWN_AT_ONCE]]
                rows = [row for row in some if row is not None]  # else it is final by now
                await self._lake.run(partial(store.add, rows))
            async with self._stepping:
                await self._append()  # so that what became final meanwhile is not missing
            await self._lake.run(store.show)

    async def session(self, session_id: str) -> Sequence[Mapping[str, Any]]:
        """A session, open or closed: its rows by table. One for each source that has such an id."""
        found: list[Mapping[str, Any]] = [
            store.by_table(rows)
            for rows in (*self._fold.session(session_id), *self._awaited(session_id))
        ]
        found = found or await self._lake.run(partial(store.closed, session_id))
        return [await self._with_events(tables) for tables in found]

    async def _with_events(self, tables: Mapping[str, Any]) -> Mapping[str, Any]:
        """And step by step what each event changed, as far as they are in the lake."""
        row = tables["media_sessions"][0]
        events = await self._lake.run(partial(store.history, row["source"], row["session_id"]))
        steps = await asyncio.to_thread(explain, events, self._fold.limits)
        return {**tables, "events": [store.step(one) for one in steps]}

    def _awaited(self, session_id: str) -> list[Rows]:
        """Final, and not in the lake yet."""
        return [one.rows for one in self._finished if one.rows.session["session_id"] == session_id]


def _closing_unit(due: Due, until: Micros) -> Unit:
    """Close a session, unless its client did in the meantime."""
    key = media_key(due.session_id)

    def decide(states: States) -> Outcome:
        value, closing = states.get(key), due.closing
        if value is not None:
            known = _session.decode(value)
            if known.closed_at is not None:
                return Outcome()
            closing = msgspec.structs.replace(closing, consent=known.consent)
        return Outcome(changes=(Change(key, msgspec.msgpack.encode(closing), until),))

    return Unit((key,), decide)


def _key(source: str, session_id: str) -> bytes:
    return f"{source}\0{session_id}".encode()
