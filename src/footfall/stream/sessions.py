"""The sessions that a process keeps in memory, and the commits that change them.

The journal's state is what counts; any process may serve the next request of a session. What is
kept here is good for as long as nothing is missing in it: what was decided never changes, so only
who misses something reads the state again, who was not called for a while, since others may
have been, and everybody after an erasure. Nothing waits for what only keeps a session alive.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec
import structlog

from footfall.errors import JournalUnavailable
from footfall.journal.contract import Outcome, States, Unit
from footfall.metrics import EVENTS, Tally
from footfall.model import Event, Micros
from footfall.settings import Service
from footfall.stream import contexts
from footfall.stream.contexts import Life, Opened, Settled, Wish
from footfall.stream.contract import Context, Pod
from footfall.stream.events import PROTOCOL

log = structlog.get_logger()

RENEWALS = 4
"""How often a session that is called is renewed within its life."""
GOOD_US = 10_000_000
"""After so long without a call the state is read again: breaks may have come and gone."""
ERASED_US = 1_000_000
"""How often a process that is called looks whether somebody was erased."""


class Journal(Protocol):
    """The state, read and changed."""

    async def commit(self, unit: Unit | Outcome) -> Outcome:
        """What deciding gave, once it is durable. Raises `JournalUnavailable`."""
        ...

    async def get(self, keys: Sequence[str]) -> States: ...


class Session:
    """One session as this process knows it."""

    __slots__ = (
        "asked_at", "context", "id", "key", "renewing", "served_us", "service", "signature",
        "stored",
    )  # fmt: skip

    def __init__(self, service: Service, session_id: str, context: Context) -> None:
        self.service = service
        self.id = session_id
        self.key = contexts.session_key(service.id, session_id)
        self.context = context
        self.stored = True
        """False: the journal took nothing as it began. This process then decides nothing for it:
        some of its playlists have been served without ads."""
        self.served_us: Micros = 0
        """Live: up to where this process has listed the stream to it; 0: nothing so far."""
        self.asked_at: Micros = 0
        """When it was last called here, by the server's clock."""
        self.renewing = False
        self.signature: tuple[Any, ...] | None = None
        """Of the places of its pods: sessions of the same one are served the same text."""

    def adopt(self, context: Context | None) -> None:
        """Take what the state holds, if it is newer than what is known."""
        if context is not None and context.renewed_at > self.context.renewed_at:
            if context.pods != self.context.pods or context.shifts != self.context.shifts:
                self.signature = None
            self.context = context

    def pod(self, name: str) -> Pod | None:
        return next((pod for pod in self.context.pods if pod.id == name), None)

    def sign(self) -> tuple[Any, ...]:
        """See `signature`."""
        if self.signature is None:
            pods = tuple((one.at_us, one.until_us, one.ads) for one in self.context.pods)
            # The hash of nested tuples is worked out at each look-up: a short text is cheaper.
            self.signature = (msgspec.msgpack.encode((pods, self.context.shifts)),)
        return self.signature


class Sessions:
    """All of them."""

    def __init__(
        self, journal: Journal, clock: Callable[[], Micros], tally: Tally, most: int
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._tally = tally
        self._most = most
        self._known: OrderedDict[str, Session] = OrderedDict()
        self._jobs: set[asyncio.Task[None]] = set()
        self._erased: bytes | None = None
        """What the state says of the last erasure, as of `_looked_at`."""
        self._looked_at: Micros = 0

    async def get(self, service: Service, session_id: str) -> Session | None:
        """The session, if there is one now; none where the journal cannot be read."""
        key = contexts.session_key(service.id, session_id)
        now = self._clock()
        if now - self._looked_at >= ERASED_US:
            await self._look_for_erasures(now)
        known = self._known.get(key)
        if known is not None and contexts.ends_at(known.context) > now:
            known.service = service
            self._known.move_to_end(key)
            asked_at, known.asked_at = known.asked_at, now
            if now - asked_at > GOOD_US and known.stored:
                await self.reread(known)
            return self._known.get(key)
        self._known.pop(key, None)
        context = contexts.read((await self.read([key])).get(key))
        return None if context is None else self._keep(service, session_id, context)

    async def open(
        self,
        service: Service,
        session_id: str,
        wish: Wish,
        *,
        life_us: int,
        began: Callable[[Context], Sequence[Event]],
    ) -> tuple[Session, frozenset[str]]:
        """The session, begun where there is none, brought up to the wish, and kept alive.

        With it, ids of the pods of the wish that are the caller's to decide: none where the
        journal takes nothing.
        """
        session = await self.get(service, session_id)
        if session is not None:
            if not session.stored:
                session.context = _without_claims(wish).applied(session.context)
                return session, frozenset()
            if wish.contradicts(session.context):
                return session, frozenset()
            if wish.fulfilled(session.context):
                self._renew_in_time(session, life_us)
                return session, frozenset()
        now = self._clock()
        key = contexts.session_key(service.id, session_id)
        try:
            unit = contexts.opened(Life(key, now, life_us), wish, began)
            outcome = await self.commit(service, unit)
        except JournalUnavailable:
            if session is None:
                context = Context(now, renewed_at=now, life_us=contexts.SHORTEST_LIFE_US)
                session = self._keep(service, session_id, _without_claims(wish).applied(context))
                session.stored = False
            return session, frozenset()
        opened = outcome.reply
        assert isinstance(opened, Opened)
        return self._keep(service, session_id, opened.context), opened.taken

    async def settle(
        self,
        session: Session,
        claim: Pod,
        pods: Sequence[Pod],
        events: Sequence[Event],
        *,
        expired: bool = False,
    ) -> bool:
        """Put what was decided in the place of a claim. False: somebody was faster, or it is late.

        Raises `JournalUnavailable`.
        """
        life = Life(session.key, self._clock(), session.context.life_us)
        unit = contexts.settled(life, claim, pods, events, expired=expired)
        settled = (await self.commit(session.service, unit)).reply
        assert isinstance(settled, Settled)
        session.adopt(settled.context)
        return settled.done

    async def with_pod(self, service: Service, session_id: str, pod: str) -> Context | None:
        """The context of a session, with a pod that another process may have decided."""
        session = await self.get(service, session_id)
        if session is None:
            return None
        known = session.pod(pod)
        if known is None or not known.decided:
            await self.reread(session)
        return session.context

    async def reread(self, session: Session) -> None:
        """Take what other processes have changed, where the journal can be read."""
        try:
            found = contexts.read((await self._journal.get([session.key])).get(session.key))
        except JournalUnavailable:
            return
        if found is None:
            self._forget(session)
        else:
            session.adopt(found)

    async def commit(self, service: Service, unit: Unit) -> Outcome:
        """Commit something of a service, and count its events. Raises `JournalUnavailable`."""
        outcome = await self._journal.commit(unit)
        if outcome.events:
            self._tally.cell(EVENTS, PROTOCOL, service.source).number += len(outcome.events)
        return outcome

    async def read(self, keys: Sequence[str]) -> States:
        """Values of the state, for showing; none where the journal cannot be read."""
        try:
            return await self._journal.get(keys)
        except JournalUnavailable:
            return {}

    async def _look_for_erasures(self, now: Micros) -> None:
        """Where there was one, every session is read again as it is called next."""
        self._looked_at = now
        try:
            erased = (await self._journal.get([contexts.ERASED])).get(contexts.ERASED)
        except JournalUnavailable:
            return
        if erased != self._erased:
            self._erased = erased
            for session in self._known.values():
                session.asked_at = 0

    def _forget(self, session: Session) -> None:
        """It was erased, or its time had run out: the next call begins it anew."""
        if self._known.get(session.key) is session:
            del self._known[session.key]

    def _keep(self, service: Service, session_id: str, context: Context) -> Session:
        key = contexts.session_key(service.id, session_id)
        known = self._known.get(key)
        if known is None or known.context.began_at != context.began_at:
            known = self._known[key] = Session(service, session_id, context)
            while len(self._known) > self._most:
                self._known.popitem(last=False)
        else:
            known.adopt(context)
        known.asked_at = self._clock()
        self._known.move_to_end(key)
        return known

    def fold(self, session: Session, folded: Callable[[Context], Context]) -> None:
        """Take pods out that are gone for good; nobody waits for it."""
        self._renew_soon(session, session.context.life_us, folded)

    def _renew_in_time(self, session: Session, life_us: int) -> None:
        """See that a session that is called lives on; nobody waits for it."""
        context = session.context
        since = self._clock() - context.renewed_at
        if since >= context.life_us // RENEWALS or life_us > context.life_us:
            self._renew_soon(session, life_us, None)

    def _renew_soon(
        self, session: Session, life_us: int, folded: Callable[[Context], Context] | None
    ) -> None:
        if not session.renewing:
            session.renewing = True
            job = asyncio.create_task(self._renew(session, life_us, folded))
            self._jobs.add(job)
            job.add_done_callback(self._jobs.discard)

    async def _renew(
        self, session: Session, life_us: int, folded: Callable[[Context], Context] | None
    ) -> None:
        try:
            life = Life(session.key, self._clock(), life_us)
            context = (await self.commit(session.service, contexts.renewed(life, folded))).reply
        except JournalUnavailable:
            return  # the next call tries again
        finally:
            session.renewing = False
        if isinstance(context, Context):
            session.adopt(context)
        else:
            self._forget(session)


def _without_claims(wish: Wish) -> Wish:
    """When the journal takes nothing, nothing is decided: the original plays."""
    return msgspec.structs.replace(wish, pods=(), first=())
