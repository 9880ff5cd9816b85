"""Follows the journal into the lake: each acknowledged event is there once, within two seconds.

The position is kept in the lake and changes in the transaction that brings the rows, so that a
loader that dies anywhere goes on where the rows end. What one transaction does is `loading`'s
matter; this module decides what goes into it, and when.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import duckdb
import structlog

from footfall.errors import JournalDamaged, JournalUnavailable, told
from footfall.journal.clock import system_clock
from footfall.journal.contract import Batch, Journal, Position, Record
from footfall.lake import loading
from footfall.lake.lake import Lake
from footfall.lake.loading import Loaded, Staged, Work
from footfall.model import Micros

log = structlog.get_logger(__name__)

SECOND: Micros = 1_000_000
BATCH_BYTES = 16 << 20
"""Journal bytes in one transaction, about. Parsing them takes some six times as much memory; a
transaction takes 20 ms however little it brings, which half as many bytes would pay twice."""
BATCHES = 8
"""Batches in one step, so that a loader that is far behind can be stopped soon."""
BATCH_SPAN: Micros = 86_400 * SECOND
"""Longest stretch of time in one transaction, so that within it an equal client-given id is a
repeat, and few days' files are written at once."""
QUIET_SAVE: Micros = 60 * SECOND
"""Records without rows (ticks, state) move the stored position this often at most."""


class Lag(NamedTuple):
    """How far the lake is behind the journal."""

    behind: int
    """In sequence numbers: bytes with the local engine, messages in a cluster."""
    seconds: float
    """Since the last loaded record; 0 when nothing is behind."""


class Counters(NamedTuple):
    """Since the process started."""

    events: int = 0
    rejects: int = 0
    repeats: int = 0
    bad_lines: int = 0
    batches: int = 0
    """Transactions that brought rows."""
    damage: int = 0
    """Stretches of the journal that could not be read."""
    last_commit_at: Micros | None = None


class Loader:
    """Loads one journal into one lake. At most one loader may follow a partition at a time."""

    def __init__(
        self,
        journal: Journal,
        lake: Lake,
        *,
        batch_bytes: int = BATCH_BYTES,
        every_seconds: float = 1.0,
        now: Callable[[], Micros] = system_clock,
    ) -> None:
        self.counters = Counters()
        self._journal = journal
        self._lake = lake
        self._batch_bytes = batch_bytes
        self._every_seconds = every_seconds
        self._now = now
        self._stepping = asyncio.Lock()
        self._more = False  # the last step left something behind that need not be waited for
        # By partition: where to read on, what of that the lake holds, and the newest mark. They
        # are the lake's; forgotten after every failure and read from it again.
        self._next: dict[int, int] | None = None
        self._saved: dict[int, int] = {}
        self._marked: dict[int, Micros] = {}
        self._saved_at: dict[int, Micros] = {}
        self._loaded_at: dict[int, Micros] = {}

    async def step(self) -> Loaded:
        """Load what there is, at most `BATCHES` batches of each partition; what they brought.

        Raises what the journal and DuckDB raise; what is not in `Loaded` then is not half done.
        """
        async with self._stepping:
            try:
                total = Loaded()
                self._more = False
                for span in await self._journal.partitions():
                    start = await self._start(span.first, span.end)
                    total = total.plus(await self._load_batches(start))
            except BaseException:
                self._next = None
                raise
            return total

    async def _load_batches(self, start: Position) -> Loaded:
        """Batch after batch: the next is parsed while the one before it is written."""
        total = Loaded()
        writing: asyncio.Task[Loaded] | None = None
        try:
            for number in range(BATCHES):
                work, more = await self._read(start)
                if work.next == start.sequence:
                    break
                staged = await self._lake.stage(partial(loading.stage, work, number % 2))
                if writing is not None:
                    total = total.plus(await writing)
                writing = asyncio.create_task(self._store(staged))
                start = Position(work.partition, work.next)
                if not more:
                    break
            else:
                self._more = True
        finally:
            if writing is not None:
                total = total.plus(await writing)
        return total

    async def _start(self, first: Position, end: Position) -> Position:
        """Where to read a partition on."""
        if self._next is None:
            await self._lake.run(self._read_positions)
        assert self._next is not None
        sequence = self._next.setdefault(first.partition, first.sequence)
        if sequence > end.sequence:
            raise JournalDamaged(
                f"The lake holds partition {first.partition} up to {sequence}, but the journal "
                f"ends at {end.sequence}: it is not the journal that this lake was loaded from, "
                "or an older copy of it."
            )
        return Position(first.partition, sequence)

    def _read_positions(self, connection: duckdb.DuckDBPyConnection) -> None:
        rows = connection.execute("SELECT partition, next FROM loader").fetchall()
        marks = connection.execute(
            "SELECT partition, epoch_us(max(reached_at)) FROM marks GROUP BY partition"
        ).fetchall()
        self._next = dict(rows)
        self._saved = dict(rows)
        self._marked = dict(marks)

    async def _read(self, start: Position) -> tuple[Work, bool]:
        """What to load next, and whether more can be expected to wait behind it."""
        batch = await self._journal.read(start, self._batch_bytes)
        self._report(batch)
        records = _within_span(batch.records)
        rest = batch.records[len(records) :]
        end = rest[0][0] if rest else batch.next
        size = sum(len(record.events) + len(record.rejects) for _, record in records)
        more = bool(rest) or size >= self._batch_bytes // 2
        return Work(start.partition, records, end.sequence), more

    async def _store(self, staged: Staged) -> Loaded:
        """Write a batch, where it brings rows or the position has not been kept for long."""
        work, loaded = staged.work, Loaded()
        brings = bool(staged.tables)
        if brings or self._due(work.partition):
            marked = self._marked.get(work.partition, 0)
            loaded = await self._lake.run(partial(loading.store, self._lake, staged, marked))
            self._saved[work.partition] = work.next
            self._saved_at[work.partition] = self._now()
        self._note(work, loaded, brings=brings)
        return loaded

    def _due(self, partition: int) -> bool:
        return self._now() - self._saved_at.setdefault(partition, self._now()) >= QUIET_SAVE

    def _note(self, work: Work, loaded: Loaded, *, brings: bool) -> None:
        assert self._next is not None
        self._next[work.partition] = work.next
        if work.records:
            at = work.records[-1][1].at
            self._loaded_at[work.partition] = at
            if self._saved.get(work.partition) == work.next:
                self._marked[work.partition] = loading.next_mark(
                    self._marked.get(work.partition, 0), at
                )
        if brings:
            was = self.counters
            self.counters = was._replace(
                events=was.events + loaded.events,
                rejects=was.rejects + loaded.rejects,
                repeats=was.repeats + loaded.repeats,
                bad_lines=was.bad_lines + loaded.bad_lines,
                batches=was.batches + 1,
                last_commit_at=self._now(),
            )

    def _report(self, batch: Batch) -> None:
        for damage in batch.damage:
            log.error(
                "lake.journal_damage_passed_over",
                partition=damage.start.partition,
                start=damage.start.sequence,
                end=damage.end.sequence,
                reason=damage.reason,
            )
        self.counters = self.counters._replace(damage=self.counters.damage + len(batch.damage))

    async def follow(self, stop: asyncio.Event) -> None:
        """Load until `stop`: about one batch a second, one after the other when behind.

        A failure is logged and tried again, the waits between growing up to half a minute; it
        never ends the following, because everything is still in the journal.
        """
        failures = 0
        while not stop.is_set():
            began = time.monotonic()
            try:
                await self.step()
                wait = 0.0 if self._more else self._every_seconds
                failures = 0
            except duckdb.FatalException as error:
                log.exception("lake.reopened", error=told(error))
                await asyncio.to_thread(self._lake.reopen)
                wait = self._every_seconds
            except (duckdb.Error, OSError, JournalUnavailable, JournalDamaged) as error:
                failures += 1
                wait = min(30.0, self._every_seconds * 2**failures)
                log.exception("lake.load_failed", error=told(error), again_in_s=wait)
            left = wait - (time.monotonic() - began)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), max(left, 0.001))

    async def catch_up(self, seconds: float) -> None:
        """Return once everything that was durable at the call is loaded.

        Raises `TimeoutError` after `seconds`, and whatever `step` raises.
        """
        ends = {span.partition: span.end.sequence for span in await self._journal.partitions()}
        async with asyncio.timeout(seconds):
            while not self._has_passed(ends):
                await self.step()

    def _has_passed(self, ends: dict[int, int]) -> bool:
        known = self._next or {}
        return all(known.get(partition, -1) >= end for partition, end in ends.items())

    async def lag(self) -> Lag:
        """How far behind the lake is now."""
        behind, oldest = 0, None
        known = self._next or {}
        for span in await self._journal.partitions():
            start = max(known.get(span.partition, span.first.sequence), span.first.sequence)
            if span.end.sequence > start:
                behind += span.end.sequence - start
                at = self._loaded_at.get(span.partition)
                oldest = at if oldest is None or at is None else min(at, oldest)
        seconds = 0.0 if oldest is None else max(0.0, (self._now() - oldest) / SECOND)
        return Lag(behind, seconds)

    def saved(self) -> dict[int, int]:
        """By partition: what the lake has durably passed. For trimming the journal."""
        return dict(self._saved)


def _within_span(
    records: Sequence[tuple[Position, Record]],
) -> Sequence[tuple[Position, Record]]:
    """The records from the first on that lie within `BATCH_SPAN` of it."""
    if not records or records[-1][1].at - records[0][1].at <= BATCH_SPAN:
        return records
    last = records[0][1].at + BATCH_SPAN
    return [item for item in records if item[1].at <= last]
