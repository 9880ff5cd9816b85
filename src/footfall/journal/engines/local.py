"""The embedded journal: segment files and a SQLite state in one directory, no server.

Several processes of one machine share it. Whoever holds the directory runs `recover` once;
then each process opens a `LocalJournal`. This file is the conduct between the parts: the lock,
the order of a commit, and what a fault leads to. The parts are `segments` and `appender` (the
log), `state` and `snapshots`, `tip` (what all processes know together), `recovery` and `replay`,
`committer` (the thread that waits) and `keeping` (trimming and erasing).

A commit: lock, decide, append, sync, tip, state, unlock. A process may be killed between any
two of them: before the tip, its record is overwritten by the next writer; after it, the next
one who needs the state applies the record from the log.

What can wait (for the lock, for the disk) happens on a thread; deciding and appending happen on
the event loop. A thread that decides would fight with the loop for Python's one lock, and that
costs more than the work itself. While a group syncs, the loop takes in the next one.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import structlog

from footfall.errors import JournalFailed, JournalUnavailable
from footfall.journal.clock import system_clock
from footfall.journal.contract import (
    Batch,
    Damage,
    Health,
    Outcome,
    Position,
    Record,
    Span,
    States,
    Unit,
)
from footfall.journal.engines.appender import Appended, Appender
from footfall.journal.engines.committer import Committer
from footfall.journal.engines.files import Files
from footfall.journal.engines.keeping import Keeper
from footfall.journal.engines.known import Known
from footfall.journal.engines.recovery import LOCK, TIP, Recovery, exclusive, recover
from footfall.journal.engines.replay import catch_up, undecodable
from footfall.journal.engines.segments import SEGMENT_HEADER, Stretch, list_segments, read_log
from footfall.journal.engines.state import State, StateDamaged, state_path
from footfall.journal.engines.tip import FAILED, FAILED_REASON, REBUILD, ROLL, Tip, TipFile
from footfall.journal.group import decide, decode_record, encode_record, erases, keys_of
from footfall.model import Micros

T = TypeVar("T")
log = structlog.get_logger(__name__)

SEGMENT_BYTES = 64 << 20
ALLOCATE_BYTES = 4 << 20
SETTLED_CHANGES = 32_768
"""State changes of a process after which they are taken into the state's file."""
NEARLY_FULL_BYTES = 16 << 20
STALLED_SECONDS = 1.0
"""A commit that has been waiting for the disk or the lock for longer makes `health` say so."""


class LocalJournal:
    """A `footfall.journal.contract.Journal`. Sequences are byte offsets; there is one partition."""

    def __init__(
        self,
        directory: Path,
        *,
        clock: Callable[[], Micros] = system_clock,
        files: Files | None = None,
        segment_bytes: int = SEGMENT_BYTES,
        allocate_bytes: int = ALLOCATE_BYTES,
    ) -> None:
        """Every process of one directory has to give the same `segment_bytes`."""
        self._directory = directory
        self._clock = clock
        self._files = files or Files()
        self._appender = Appender(directory, self._files, segment_bytes, allocate_bytes)
        self._waiting: tuple[str, float] | None = None
        self._newest: asyncio.Future[None] | None = None
        """Done when this process' newest use of the lock is."""
        self._unsettled = 0
        self._settling: Future[None] | None = None
        self._open = False

    @staticmethod
    def recover(directory: Path, *, files: Files | None = None) -> Recovery:
        """Make a directory ready to be opened: by whoever holds it, before anybody opens it.

        Raises `JournalUnavailable`, `JournalFailed` or `DataDirectoryTooNew`.
        """
        return recover(directory, files or Files())

    def open(self) -> None:
        """Raises `JournalFailed` where the directory has not been recovered."""
        try:
            self._tip = TipFile(self._directory / TIP)
            self._lock_fd = os.open(self._directory / LOCK, os.O_RDWR | os.O_CLOEXEC)
            self._state_number, self._state = self._current_state()
            self._shown_number, self._shown = self._current_state()
            self._known = Known(self._state.stored)
        except (OSError, StateDamaged) as fault:
            raise JournalFailed(f"{self._directory} has not been recovered: {fault}") from fault
        self._committer = Committer()
        self._keeping = Keeper(self._directory, self._files, self._tip)
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="journal-read")
        self._keeper = ThreadPoolExecutor(1, thread_name_prefix="journal-keep")
        self._open = True

    def close(self) -> None:
        """Finish the commit that has begun, then let go of everything.

        Those that wait behind it get `JournalUnavailable`: nothing of them was written.
        """
        if not self._open:
            return
        self._open = False
        self._committer.close()
        # Else what the keeper has begun would wait for it.
        fcntl.flock(self._lock_fd, fcntl.LOCK_UN)
        self._reader.shutdown()
        self._keeper.shutdown()
        self._appender.close()
        self._state.close()
        self._shown.close()
        self._tip.close()
        os.close(self._lock_fd)

    # The seven methods.

    async def transact(self, units: Sequence[Unit | Outcome]) -> Sequence[Outcome | Exception]:
        return await self._transact(units)

    async def get(self, keys: Sequence[str]) -> States:
        return await self._in(self._reader, self._get, keys)

    async def read(self, start: Position, limit_bytes: int = 8 << 20) -> Batch:
        self._require_open()
        if start.sequence >= self._tip.read().end:
            return Batch((), start)
        return await self._in(self._reader, self._read, start, limit_bytes)

    async def partitions(self) -> Sequence[Span]:
        return await self._in(self._reader, self._partitions)

    async def trim(self, before: Position, *, erased: Sequence[bytes] | None = None) -> None:
        if erased is None:
            await self._in(self._keeper, self._keeping.trim, before.sequence)
            return
        erases(erased)  # before anything is done: whether they can be
        await self._roll()
        await self._in(self._keeper, self._keeping.erase, before.sequence, erased)

    async def lease(self, name: str, holder: str, seconds: float) -> bool:
        self._require_open()
        async with self._locked() as tip:
            now = max(self._clock(), tip.last_at)
            until = now + round(max(seconds, 0) * 1_000_000)
            return self._state.lease(name, holder, now, until)

    async def health(self) -> Health:
        if not self._open:
            return Health(ok=False, reason="the journal is closed")
        tip = self._tip.peek()
        if tip is None or tip.failed:
            return Health(ok=False, reason=FAILED_REASON)
        waiting = self._waiting
        if waiting is not None and time.monotonic() - waiting[1] > STALLED_SECONDS:
            seconds = time.monotonic() - waiting[1]
            return Health(ok=False, reason=f"stalled: {waiting[0]} for {seconds:.1f} s")
        free = self._files.free_bytes(self._directory)
        if free < NEARLY_FULL_BYTES:
            return Health(ok=False, reason=f"the disk is nearly full: {free >> 20} MiB are left")
        return Health(ok=True)

    # Threads.

    async def _in(self, pool: ThreadPoolExecutor, work: Callable[..., T], *arguments: Any) -> T:
        self._require_open()
        return await asyncio.get_running_loop().run_in_executor(pool, work, *arguments)

    def _require_open(self) -> None:
        if not self._open:
            raise JournalUnavailable("The journal is closed")

    # Committing, on the event loop.

    async def _transact(self, units: Sequence[Unit | Outcome]) -> Sequence[Outcome | Exception]:
        async with self._locked() as found:
            tip = found
            now = max(self._clock(), tip.last_at)
            if tip.applied < tip.changes_end and keys_of(units):
                tip = await self._committer.run(self._catch_up, tip)
                self._require_open()
            changes_end = tip.changes_end
            decided = decide(units, lambda keys: self._known.load(keys, now, changes_end), now)
            if decided.writes or not units:
                record = Record(now, decided.events, decided.rejects, decided.changes)
                appended = await self._append(tip, record)
                if record.changes:
                    self._known.change(record.changes, tip.changes_end, appended.end)
                    self._settle_state(len(record.changes))
            return decided.results

    def _settle_state(self, changes: int) -> None:
        """Now and then, beside the commits. What one process leaves out, the next one does."""
        self._unsettled += changes
        if self._unsettled >= SETTLED_CHANGES and (self._settling is None or self._settling.done()):
            self._unsettled = 0
            self._settling = self._keeper.submit(self._keeping.settle)
            self._settling.add_done_callback(_said)

    async def _roll(self) -> None:
        """Begin a new segment now, with a tick."""
        async with self._locked() as found:
            tip = found._replace(flags=found.flags | ROLL)
            self._tip.write(tip)
            await self._append(tip, Record(max(self._clock(), tip.last_at)))

    async def _append(self, tip: Tip, record: Record) -> Appended:
        self._require_open()
        payload = encode_record(record)
        appended = self._appender.append(tip.base, tip.end, payload, roll=tip.rolls)
        await self._committer.run(self._settle, (tip, record, appended))
        return appended

    @contextlib.asynccontextmanager
    async def _locked(self) -> AsyncIterator[Tip]:
        """Hold the journal's lock: in turn within this process, then against the others.

        What nobody can mend inside it stops every process.
        """
        before, mine = self._newest, asyncio.get_running_loop().create_future()
        self._newest = mine
        try:
            if before is not None and not before.done():
                await asyncio.wait([before])
            self._require_open()
            if not self._try_lock():
                await self._committer.run(self._wait_for_lock, None)
            try:
                tip = self._tip.sound()
                if tip.state != self._state_number:
                    await self._committer.run(self._change_state, tip)
                    self._require_open()
                yield tip
            except JournalFailed:
                self._tip.fail(FAILED)
                raise
            except StateDamaged as fault:
                self._tip.fail(FAILED | REBUILD)
                raise JournalFailed(f"The state is damaged: {fault}") from fault
            finally:
                if self._open:  # else closing has let go of the lock
                    fcntl.flock(self._lock_fd, fcntl.LOCK_UN)
        finally:
            mine.set_result(None)

    def _try_lock(self) -> bool:
        try:
            fcntl.flock(self._lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    # Committing, on the committer's thread and under the lock.

    def _wait_for_lock(self, _: None) -> None:
        self._waiting = ("another process has held the journal's lock", time.monotonic())
        try:
            fcntl.flock(self._lock_fd, fcntl.LOCK_EX)
        finally:
            self._waiting = None

    def _settle(self, argument: tuple[Tip, Record, Appended]) -> None:
        """Make an appended record durable, then known, then applied."""
        tip, record, appended = argument
        self._waiting = ("a sync of the log has been running", time.monotonic())
        try:
            self._appender.sync(tip.base, tip.end)
        finally:
            self._waiting = None
        changed = bool(record.changes)
        known = tip._replace(
            end=appended.end,
            base=appended.base,
            last_at=record.at,
            flags=tip.flags & ~ROLL,
            changes_end=appended.end if changed else tip.changes_end,
        )
        self._tip.write(known)
        # From here on it is committed, whatever happens to the state: the log has the changes.
        if tip.applied < tip.changes_end or not (changed or appended.base != tip.base):
            return
        try:
            self._state.apply(record.changes, appended.end)
        except JournalUnavailable:
            return
        except StateDamaged:
            self._tip.write(known._replace(flags=FAILED | REBUILD))
            return
        self._tip.write(known._replace(applied=appended.end))

    def _catch_up(self, tip: Tip) -> Tip:
        return catch_up(self._files, self._directory, self._state, self._tip, tip)

    def _change_state(self, tip: Tip) -> None:
        """An erasure has put another state in the place of ours."""
        state = State(state_path(self._directory, tip.state))
        self._state.close()
        self._state, self._state_number = state, tip.state
        self._known = Known(state.stored)

    def _current_state(self) -> tuple[int, State]:
        """The state that is in use and its number, where nobody may hold the lock."""
        while True:
            number = self._tip.read().state
            try:
                return number, State(state_path(self._directory, number))
            except (StateDamaged, JournalUnavailable):
                if self._tip.read().state == number:
                    raise

    # Reading, on the reader's thread.

    def _get(self, keys: Sequence[str]) -> States:
        while True:
            tip = self._tip.read()
            try:
                if tip.state != self._shown_number:
                    self._shown.close()
                    self._shown_number, self._shown = self._current_state()
                found = self._shown.load(keys, max(self._clock(), tip.last_at))
            except (StateDamaged, JournalUnavailable) as fault:
                if self._tip.read().state != tip.state:
                    continue  # it was taken away while we read
                if isinstance(fault, JournalUnavailable):
                    raise
                with exclusive(self._directory / LOCK):
                    self._tip.fail(FAILED | REBUILD)
                raise JournalFailed(f"The state is damaged: {fault}") from fault
            if self._tip.read().state == tip.state:
                return found

    def _read(self, start: Position, limit_bytes: int) -> Batch:
        stretch = self._stretch(start.sequence, limit_bytes)
        records: list[tuple[Position, Record]] = []
        gaps = stretch.gaps
        for at, end, payload in stretch.payloads:
            try:
                records.append((Position(0, at), decode_record(payload)))
            except msgspec.MsgspecError as fault:
                gaps.append(undecodable(at, end, fault))
        damage = [
            Damage(Position(0, gap.start), Position(0, gap.end), gap.reason) for gap in sorted(gaps)
        ]
        return Batch(records, Position(0, stretch.next), damage)

    def _stretch(self, start: int, limit_bytes: int) -> Stretch:
        while True:
            end = self._tip.read().end
            segments = list_segments(self._files, self._directory)
            try:
                stretch = read_log(self._files, segments, start, end, limit_bytes)
            except FileNotFoundError:
                # Trimmed between listing and opening; the list is shorter now.
                continue
            # What was trimmed while it was read ended early: that is no damage.
            if not stretch.gaps or list_segments(self._files, self._directory) == segments:
                return stretch

    def _partitions(self) -> Sequence[Span]:
        end = self._tip.read().end
        first = list_segments(self._files, self._directory)[0].base + SEGMENT_HEADER
        return (Span(0, Position(0, first), Position(0, end)),)


def _said(settling: Future[None]) -> None:
    """What is not done now is done the next time; what is damaged, the next commit meets."""
    fault = settling.exception()
    if fault is not None:
        log.warning("journal.state_not_settled", error=str(fault))
