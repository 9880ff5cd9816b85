"""The journal in memory: the oracle for the other engines, and what tests of others run on.

Does what the contract says in the plainest way. Several clients in one process share it by
sharing the object. Nothing survives the process.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence

from footfall.journal.clock import system_clock
from footfall.journal.contract import (
    Batch,
    Health,
    Outcome,
    Position,
    Record,
    Span,
    States,
    Unit,
)
from footfall.journal.group import decide, encode_record, erases
from footfall.model import Micros


class MemoryJournal:
    """A `footfall.journal.contract.Journal`. Sequences count records from 0."""

    def __init__(self, clock: Callable[[], Micros] = system_clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._records: list[Record] = []
        self._first = 0
        self._last_at = 0
        self._state: dict[str, tuple[bytes, Micros]] = {}
        self._leases: dict[str, tuple[str, Micros]] = {}

    async def transact(self, units: Sequence[Unit | Outcome]) -> Sequence[Outcome | Exception]:
        with self._lock:
            now = self._now()
            decided = decide(units, lambda keys: self._live(keys, now), now)
            if decided.writes or not units:
                self._append(Record(now, decided.events, decided.rejects, decided.changes))
            return decided.results

    async def get(self, keys: Sequence[str]) -> States:
        with self._lock:
            return self._live(keys, self._now())

    async def read(self, start: Position, limit_bytes: int = 8 << 20) -> Batch:
        with self._lock:
            sequence = max(start.sequence, self._first)
            end = self._first + len(self._records)
            records: list[tuple[Position, Record]] = []
            taken = 0
            while sequence < end and (not records or taken < limit_bytes):
                record = self._records[sequence - self._first]
                records.append((Position(0, sequence), record))
                taken += len(encode_record(record))
                sequence += 1
            return Batch(records, Position(0, sequence) if records else start)

    async def partitions(self) -> Sequence[Span]:
        with self._lock:
            end = self._first + len(self._records)
            return (Span(0, Position(0, self._first), Position(0, end)),)

    async def trim(self, before: Position, *, erased: Sequence[bytes] | None = None) -> None:
        goes = erases(erased or ())
        with self._lock:
            gone = min(max(before.sequence - self._first, 0), len(self._records))
            del self._records[:gone]
            self._first += gone
            self._state = {
                key: (value, expires_at)
                for key, (value, expires_at) in self._state.items()
                if expires_at > self._last_at and not goes(value)
            }

    async def lease(self, name: str, holder: str, seconds: float) -> bool:
        with self._lock:
            now = self._now()
            held_by, until = self._leases.get(name, (holder, 0))
            if held_by != holder and until > now:
                return False
            if seconds <= 0:
                self._leases.pop(name, None)
                return False
            self._leases[name] = (holder, now + round(seconds * 1_000_000))
            return True

    async def health(self) -> Health:
        return Health(ok=True)

    def _now(self) -> Micros:
        return max(self._clock(), self._last_at)

    def _live(self, keys: Iterable[str], now: Micros) -> dict[str, bytes]:
        live: dict[str, bytes] = {}
        for key in keys:
            value, expires_at = self._state.get(key, (b"", 0))
            if expires_at > now:
                live[key] = value
        return live

    def _append(self, record: Record) -> None:
        self._records.append(record)
        self._last_at = record.at
        for change in record.changes:
            if change.value is None:
                self._state.pop(change.key, None)
            else:
                self._state[change.key] = (change.value, change.expires_at)
