"""Media sessions at the edge: whose they are, what they are called, and whether they are open.

An id says which source it belongs to, so that decoding needs no state: it begins with a mark of
the source's name, the rest is random. What is open or closed stands in the journal's state as
`footfall.model.MediaSession`. Measuring sessions is the business of what follows the journal.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple
from uuid import UUID

import msgspec

from footfall.collect import consent
from footfall.collect.contract import Intent, Reason, Refusal, Reply
from footfall.collect.protocols.adobe.content import END
from footfall.collect.protocols.adobe.settings import Adobe
from footfall.collect.sources import Sources
from footfall.journal.contract import Change, Outcome, States
from footfall.model import Event, MediaSession, Micros, media_key
from footfall.settings import Source

MARK_CHARACTERS = 8
ID_CHARACTERS = 64
ID = re.compile(r"[0-9a-f]{64}")

MOST_SUITES = 32
"""Of one comma-separated list that are looked up."""

DAY = 86_400_000_000
"""In microseconds."""
OPEN_DAYS = 30
"""After which even a session that nobody closed is forgotten; time limits close it long before."""
REPEATED = frozenset({END, "sessionComplete"})
"""Sent again by clients that did not get the answer: taken whatever their time."""

ACCEPTED = Reply(204)
NOT_FOUND = "This media session is not known here; begin another with POST /api/v1/sessions."
CLOSED = "This media session has closed; begin another with POST /api/v1/sessions."


# Whose session


class Routing:
    """The sources by what requests say of them."""

    __slots__ = ("_any", "_by_mark", "_by_suite", "preflight_headers")

    def __init__(self, sources: Sources) -> None:
        self._by_suite: dict[str, Source] = {}
        self._by_mark: dict[str, Source] = {}
        for source in sources.taking("adobe"):
            self._by_mark.setdefault(mark(source.id), source)
            for suite in source.of(Adobe).report_suites:
                self._by_suite.setdefault(suite, source)
        self._any = self._by_suite.pop("*", None)
        self.preflight_headers = consent.headers(sources.taking("adobe"))
        """What pages of other origins may send besides."""

    def of_suites(self, suites: str) -> Source | None:
        """The source of a comma-separated list: the first suite that one names decides."""
        for suite in suites.split(",", MOST_SUITES)[:MOST_SUITES]:
            source = self._by_suite.get(suite.strip())
            if source is not None:
                return source
        return self._any

    def of_session(self, session_id: str) -> Source | None:
        """The source whose mark an id bears; None where it is no id of ours."""
        if ID.fullmatch(session_id) is None:
            return None
        return self._by_mark.get(session_id[:MARK_CHARACTERS])


@functools.lru_cache(maxsize=4)
def routing(sources: Sources) -> Routing:
    """Of one snapshot of the sources; made anew after a reload."""
    return Routing(sources)


def mark(source_id: str) -> str:
    """What the ids of a source's sessions begin with."""
    return hashlib.sha256(source_id.encode()).hexdigest()[:MARK_CHARACTERS]


def new_id(source: Source, new_uuid: Callable[[], str]) -> str:
    """64 lower-case hexadecimal characters: the source's mark, then 224 bits of 244 random ones."""
    drawn = hashlib.sha256(UUID(new_uuid()).bytes + UUID(new_uuid()).bytes).hexdigest()
    return mark(source.id) + drawn[: ID_CHARACTERS - MARK_CHARACTERS]


# Decisions, under the journal's lock


class Begun(NamedTuple):
    """`Intent.payload` of a session that begins."""

    session_id: str
    session: MediaSession
    at: Micros
    """The server's time."""
    reply: Reply
    said: Sequence[bool | None]
    """Of consent, by event."""


class Sent(NamedTuple):
    """`Intent.payload` of an event."""

    key: str
    type: str
    occurred_at: Micros
    at: Micros
    """The server's time."""
    said: bool | None
    """Of consent."""


def decide_begin(intent: Intent, _states: States, events: Sequence[Event]) -> Outcome:
    """A new session is stored as open, a downloaded one as closed."""
    begun: Begun = intent.payload
    key, session, source = media_key(begun.session_id), begun.session, intent.source
    if any(said is not None for said in begun.said):
        known: list[bool | None] = []
        for said in begun.said:
            known.append(known[-1] if said is None and known else said)
        session = msgspec.structs.replace(session, consent=known[-1])
        events = [
            consent.marked(event, consent.withheld(source, said))
            for event, said in zip(events, known, strict=False)  # no events of a dropped crawler
        ]
    return Outcome(events, (), (_change(key, session, begun.at, source),), begun.reply)


def decide_event(intent: Intent, states: States, events: Sequence[Event]) -> Outcome:
    """An event of a session: stored, unless the session is unknown or closed before the event."""
    sent: Sent = intent.payload
    value = states.get(sent.key)
    session = None if value is None else _sessions.decode(value)
    if session is None or session.source != intent.source.id:
        return Outcome(reply=not_found(intent.source))
    known = session
    if session.closed_at is None:
        if sent.type == END:
            known = msgspec.structs.replace(session, closed_at=sent.occurred_at, why="ended")
    elif sent.occurred_at > session.closed_at and sent.type not in REPEATED:
        refusal = Refusal(reason=Reason.SESSION_CLOSED, detail=CLOSED, source=intent.source)
        return Outcome(reply=refusal)
    if sent.said is None and session.consent is not None:
        withheld = consent.withheld(intent.source, None, session.consent)
        events = [consent.marked(event, withheld) for event in events]
    elif sent.said is not session.consent:
        known = msgspec.structs.replace(known, consent=sent.said)
    if known is session:
        return Outcome(events, (), (), ACCEPTED)
    return Outcome(events, (), (_change(sent.key, known, sent.at, intent.source),), ACCEPTED)


_sessions = msgspec.msgpack.Decoder(MediaSession)


def not_found(source: Source | None) -> Refusal:
    return Refusal(reason=Reason.SESSION_NOT_FOUND, detail=NOT_FOUND, source=source)


def _change(key: str, session: MediaSession, at: Micros, source: Source) -> Change:
    days = OPEN_DAYS if session.closed_at is None else source.of(Adobe).remember_closed_days
    return Change(key, msgspec.msgpack.encode(session), at + round(days * DAY))
