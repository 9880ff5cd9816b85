"""The fold of media sessions: journal records in, finished rows and due closings out. No I/O.

A `Fold` follows one partition of the journal and is a function of its records: whoever replays
them, from the beginning or from a checkpoint, gets the same. Its clock is the journal's: the sum
of the gaps between records, each counted as at most 15 s, so that the time in which no server ran
closes no session.

Sessions close by closing records only. A session that is due is told to the runner, which writes
the closing to the journal; it comes back as a record like sessionEnd's. What precedes that record
is in the session, and so is what comes in the 5 s after it; then its rows are final.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import msgspec

from footfall.journal.contract import Position, Record
from footfall.model import Event, MediaSession, Micros, media_key
from footfall.project import media_machine as machine
from footfall.project import media_order as order
from footfall.project import media_session as sessions
from footfall.project.media_checkpoint import (
    VERSION,
    Key,
    Own,
    Snapshot,
    decode_own,
    decode_sessions,
)
from footfall.project.media_erasing import Erased, erasures
from footfall.project.media_metrics import Rows
from footfall.project.media_open import OpenSessions
from footfall.project.media_params import (
    CLIENT,
    START,
    VISITOR,
    params_of,
    read_metadata,
    read_params,
)
from footfall.project.media_session import SECOND, Closing, Limits, Session, Told
from footfall.project.media_terms import BREAK, KIND_AND_RANK, KINDS
from footfall.project.media_withheld import ALIAS, alias, name_of, rows

__all__ = [
    "VERSION",
    "Due",
    "Finished",
    "Fold",
    "Key",
    "MediaEvent",
    "Snapshot",
    "Stray",
    "Taken",
]

PROTOCOL = "adobe"
_MARK = b'"protocol":"adobe"'
_PREFIX = media_key("")
_START = KIND_AND_RANK["sessionStart"]


class MediaEvent(msgspec.Struct, gc=False):
    """What the fold reads of an `Event`; of the same names, so that either will do."""

    protocol: str
    source: str
    type: str
    occurred_at: Micros
    session_id: str | None = None
    profile_id: str | None = None
    user_id: str | None = None
    country: str | None = None
    device: str | None = None
    os: str | None = None
    browser: str | None = None
    playhead_s: float | None = None
    properties: dict[str, Any] | None = None
    withheld: bool = False


class Finished(NamedTuple):
    """A session that is final. It comes out once; after a restore, again, with the same position.

    Several sessions can be closed by one record; they come out of the same `take`.
    """

    position: Position
    """Of the closing record."""
    rows: Rows


class Stray(NamedTuple):
    """An event that came to no open session: its session's rows are final, or it never began."""

    source: str
    session_id: str
    """An alias where the event is withheld."""
    told: Told


class Taken(NamedTuple):
    """What one record brought to an end."""

    finished: list[Finished]
    """In the order of their closings."""
    strays: list[Stray]


class Due(NamedTuple):
    """A session that has to be closed now: write `closing` under `media_key(session_id)`."""

    source: str
    session_id: str
    closing: MediaSession


_lines = msgspec.json.Decoder(MediaEvent)
_closing = msgspec.msgpack.Decoder(MediaSession)


class Fold:
    """The open media sessions of one partition."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.clock = 0
        """The journal's, in microseconds from where the fold began."""
        self.position: Position | None = None
        """The last record that was taken; it and those before it are passed over."""
        self._last_at: Micros | None = None
        self._open = OpenSessions()
        self._closing: deque[tuple[int, Position, Key]] = deque()
        """Closings in their order, with the clock at each."""
        self._aliases = 0
        """Given to withheld sessions by the record that is being taken."""

    def __len__(self) -> int:
        """Sessions that are not final."""
        return len(self._open)

    def __bool__(self) -> bool:
        """True without any session too: an empty fold is a fold."""
        return True

    # The journal's side.

    def take(self, position: Position, record: Record) -> Taken:
        """Take the next record; one at or before `position` changes nothing.

        Raises `msgspec.DecodeError` where a record's lines are no events; it then counts as taken.
        """
        if self.position is not None and position <= self.position:
            return Taken([], [])
        self.position = position
        self._aliases = 0
        if self._last_at is not None:
            gap = max(0, record.at - self._last_at)
            self.clock += min(gap, round(self.limits.record_gap_s * SECOND))
        self._last_at = record.at
        taken = Taken(self._finish(), [])
        if _MARK in record.events:
            self.take_events(record.at, _lines.decode_lines(record.events), taken.strays)
        for change in record.changes:
            if change.value is not None and change.key.startswith(_PREFIX):
                self._change(position, change.key.removeprefix(_PREFIX), change.value)
        for erased in erasures(record):
            self._erase(erased)
        return taken

    def take_events(
        self, at: Micros, events: Iterable[Event | MediaEvent], strays: list[Stray]
    ) -> None:
        """The events of a record that was committed `at`; other protocols' are passed over."""
        everybody, clock, limits = self._open.by_source, self.clock, self.limits
        for event in events:
            if event.protocol != PROTOCOL or event.session_id is None:
                continue
            kind_and_rank = KIND_AND_RANK.get(event.type)
            by_id = everybody.get(event.source)
            session = by_id.get(event.session_id) if by_id is not None else None
            if session is None:
                if kind_and_rank is _START:
                    self._begin(at, event)
                else:
                    told = Told(event.occurred_at, event.type, "no_session", late=True)
                    name = self._alias() if event.withheld else event.session_id
                    strays.append(Stray(event.source, name, told))
                continue
            if event.withheld is not session.withheld:
                session.withheld = event.withheld
                session.alias = session.alias or self._alias()
            if not session.dirty:
                self._open.touch(session)
            if kind_and_rank is None:
                machine.unknown(session, event.occurred_at, event.type, limits)
                continue
            playhead = event.playhead_s
            if playhead is None:
                playhead = session.playhead
            elif playhead < 0:
                playhead = 0.0
            order.hear(
                session,
                clock,
                event.occurred_at,
                kind_and_rank,
                playhead,
                event.properties,
                limits,
            )

    def _begin(self, at: Micros, event: Event | MediaEvent) -> None:
        """A sessionStart goes straight through."""
        params = params_of(event.properties)
        visitor = read_params(VISITOR, params)
        visitor[0] = visitor[0] or event.profile_id
        customers = params.get("visitor.customerIDs")
        ts, playhead = event.occurred_at, max(0.0, event.playhead_s or 0.0)
        assert event.session_id is not None
        session = Session(
            source=event.source,
            session_id=event.session_id,
            opened_at=at,
            opened_clock=self.clock,
            heard_clock=self.clock,
            started_at=ts,
            latest_at=ts,
            ts=ts,
            playhead=playhead,
            moved_at=ts,
            start=read_params(START, params),
            visitor=visitor,
            client=[getattr(event, name) for name in CLIENT],
            counts=[0] * len(KINDS),
            metadata=read_metadata(event.properties or {}),
            customer_ids=customers if isinstance(customers, dict) else None,
            withheld=event.withheld,
            alias=self._alias() if event.withheld else "",
        )
        kind, rank = _START
        item = (ts, rank, 0, kind, playhead, event.properties, self.clock)
        machine.apply(session, item, self.limits)
        self._open.add(session)

    def _alias(self) -> str:
        self._aliases += 1
        return alias(self.position, self._aliases)

    def _change(self, position: Position, session_id: str, value: bytes) -> None:
        """A media session's change: its closing, or what its events told already."""
        change = _closing.decode(value)
        session = self._open.find(change.source, session_id)
        if session is None:
            return
        self._open.touch(session)
        session.opened_at = change.opened_at
        if change.closed_at is None or session.closing is not None:
            return
        session.ending = True
        session.closing = Closing(change.closed_at, change.why or "ended", self.clock)
        self._closing.append((self.clock, position, (change.source, session_id)))

    def _finish(self) -> list[Finished]:
        """The sessions whose closing is 5 s ago."""
        finished = []
        until = self.clock - self.limits.reorder_s * SECOND
        while self._closing and self._closing[0][0] <= until:
            _, position, key = self._closing.popleft()
            finished.append(Finished(position, self._final(self._open.remove(*key))))
        return finished

    def _final(self, session: Session) -> Rows:
        order.drain(session, self.limits)
        machine.apply(session, machine.close_item(session), self.limits)
        return rows(session, self.limits)

    def _erase(self, erased: Erased) -> None:
        """Forget the sessions of somebody whose data is to go, as if they had never begun."""
        gone = {
            (session.source, session.session_id)
            for session in self._open
            if erased.session(session)
        }
        for key in gone:
            self._open.remove(*key)
        self._closing = deque(item for item in self._closing if item[2] not in gone)

    def due(self) -> list[Due]:
        """The sessions that time closes now. Told again until their closing has been taken."""
        limits, clock = self.limits, self.clock
        idle, longest = clock - limits.idle_s * SECOND, clock - limits.longest_s * SECOND
        stuck = limits.stuck_s * SECOND
        found = []
        for session in self._open:
            if session.heard_clock <= idle:
                why = "idle"
            elif session.opened_clock <= longest:
                why = "aged"
            elif session.ts - session.moved_at >= stuck and session.state < BREAK:
                why = "stuck"
            else:
                continue
            if session.closing is None:
                closing = MediaSession(session.source, session.opened_at, session.latest_at, why)
                found.append(Due(session.source, session.session_id, closing))
        return found

    # The reader's side.

    def sessions(self) -> Iterator[Session]:
        """Every session that is not final. Not to be kept over a `take`, nor changed."""
        return iter(self._open)

    def rows(self, source: str, session_id: str) -> Rows | None:
        """One session as of now, with what is held back; None where it is not open."""
        session = self._open.find(source, session_id)
        return self._now(session) if session else None

    def open_rows(self) -> Iterator[Rows]:
        """All of them; made one by one, since all at once are large."""
        for session in self._open:
            yield self._now(session)

    def session(self, session_id: str) -> list[Rows]:
        """A session of whatever source: ids are unique within one source only.

        A withheld one is found under its alias, not under its id.
        """
        is_alias = session_id.startswith(ALIAS)
        found = list(self._open) if is_alias else self._open.of_id(session_id)
        return [self._now(one) for one in found if name_of(one) == session_id]

    def _now(self, session: Session) -> Rows:
        if session.closing is None:
            return rows(session, self.limits)
        return self._final(sessions.decode(sessions.encode(session)))

    # Checkpoints.

    def dirty(self) -> int:
        """How many sessions the next snapshot writes or removes."""
        return self._open.unwritten()

    def snapshot(self, *, whole: bool = False) -> Snapshot:
        """What changed since the last snapshot, which from now on counts as written.

        After one that could not be written, take a `whole` one: it has every session, and all
        that are gone since the last snapshot that was not followed by a whole one.
        """
        written, gone = self._open.changes(whole=whole)
        own = Own(
            VERSION,
            self.position and (self.position.partition, self.position.sequence),
            self.clock,
            self._last_at,
            [(clock, (p.partition, p.sequence), key) for clock, p, key in self._closing],
        )
        return Snapshot(msgspec.msgpack.encode(own), written, gone)

    @classmethod
    def restore(cls, fold: bytes, written: Iterable[bytes], limits: Limits | None = None) -> Fold:
        """The fold as it was at the snapshot. Raises `msgspec.DecodeError` on other bytes, and
        `ValueError` on a later version's.
        """
        own = decode_own(fold)
        found = cls(limits)
        found.position = Position(*own.position) if own.position else None
        found.clock, found._last_at = own.clock, own.last_at
        found._closing.extend((clock, Position(*p), key) for clock, p, key in own.closing)
        found._open = OpenSessions(decode_sessions(written))
        return found
