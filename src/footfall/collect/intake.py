"""decode → enrich → transact → reply: what happens to a request between its decoding and its reply.

Requests that arrive together are committed together: while one group is being made durable the
next one gathers. A reply is handed on only when its group is durable. What waits is bounded in
number, bytes and age; past a bound the answer is 503, never a success and never silence.

Not HTTP: `endpoint` turns what comes back into an answer.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import deque
from collections.abc import Callable, Sequence

import msgspec
import structlog

from footfall.collect import consent, correlate
from footfall.collect.contract import (
    Draft,
    DropReason,
    Intent,
    Protocol,
    Refusal,
    Reply,
    Request,
)
from footfall.collect.enrich import Enricher, Visit
from footfall.collect.verdicts import (
    BOT,
    OVERLOADED,
    UNAVAILABLE,
    WAITED_TOO_LONG,
    fault,
    worded,
)
from footfall.errors import JournalFailed, JournalUnavailable
from footfall.journal.contract import Journal, More, Outcome, States, Unit, encode_events
from footfall.metrics import COMMIT_SECONDS, DROPPED, EVENTS, GROUP_REQUESTS, QUEUED, Cell, Tally
from footfall.model import Event, Micros, Reject
from footfall.settings import Limits, Source

log = structlog.get_logger()

Answer = Callable[[Reply | Refusal], None]
"""Called exactly once for each request that was taken in."""

_SENDER = object()
"""In `Request.memo`: for which source and address, what enrichment gave, the tracking sessions that
are carried, the counter, and what the head says of consent."""
SWEEP_SECONDS = 0.25
"""How often waiting requests are looked at for their age."""


class Waiting(msgspec.Struct, eq=False):
    """One unit between its arrival and its answer.

    Hundreds wait at once, and what is looked at again only after so many others is no longer near
    the processor: so of a request as little as possible is kept, events as bytes.
    """

    unit: Unit | Outcome
    answer: Answer | None
    """None once the answer was given (or where nobody waits for one)."""
    size: int
    cell: Cell | None
    """Counts the events that are acknowledged."""
    arrived: float
    """On the monotonic clock."""
    promise: asyncio.Future[Outcome] | None = None
    """In the place of `answer`, where the outcome itself is waited for."""


class Intake:
    """The queue before the journal, and the one task that empties it."""

    def __init__(
        self,
        journal: Journal,
        enricher: Enricher,
        limits: Limits,
        new_event_id: Callable[[Micros], str],
        tally: Tally,
    ) -> None:
        self._journal = journal
        self._enrich = enricher
        self._limits = limits
        self._new_event_id = new_event_id
        self._queue: deque[Waiting] = deque()
        self._in_flight: list[Waiting] = []
        self._bytes = 0
        self._arrived = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._tally = tally
        self._said = ""
        self.failed: str | None = None
        """Set for good when the journal refuses to go on; the process should then end."""
        self.has_failed = asyncio.Event()

    def take(self, protocol: Protocol, request: Request, intent: Intent, answer: Answer) -> None:
        """Queue what an accepted request wants; `answer` follows once it is durable."""
        try:
            prepared = self._prepare(protocol, request, intent)
            if isinstance(prepared, Refusal):
                answer(prepared)
                return
            unit, cell = prepared
        except Exception as raised:  # noqa: BLE001 - becomes a 500 that is logged
            answer(fault("preparing a request failed", raised, protocol=protocol.name))
            return
        self._put(Waiting(unit, answer, len(request.body), cell, time.monotonic()))

    def _prepare(
        self, protocol: Protocol, request: Request, intent: Intent
    ) -> tuple[Unit | Outcome, Cell] | Refusal:
        source = intent.source
        known = request.memo.get(_SENDER)
        if known is None or known[0] is not source or known[1] != request.client_ip:
            known = request.memo[_SENDER] = (
                source,
                request.client_ip,
                self._enrich(request, source),
                correlate.carried(request) if protocol.takes_tracking_session else (),
                self._tally.cell(EVENTS, protocol.name, source.id),
                request.once(consent.look, source),
            )
        _, _, visit, carried, cell, head = known
        if visit.device == "bot" and protocol.takes_bots and not protocol.takes_bots(source):
            return BOT
        drafts = intent.drafts
        events: tuple[Event, ...] = ()
        dropped = visit.dropped if drafts else None
        if dropped is None:
            name = protocol.name
            if len(drafts) == 1:
                events = (self._event(name, request, source, drafts[0], visit, head),)
            else:
                events = tuple([self._event(name, request, source, d, visit, head) for d in drafts])
            if not carried:
                decide = intent.decide
                if decide is None:
                    return Outcome(encode_events(events), (), (), intent.reply), cell
                return Unit(intent.keys, lambda states: decide(intent, states, events)), cell
        else:
            self._tally.cell(DROPPED, protocol.name, dropped).number += len(drafts)
        return _unit(request, intent, events, carried, dropped), cell

    def keep(self, reject: Reject) -> None:
        """Keep a refused request beside the events, if there is room; nobody waits for it."""
        if self.failed is None and len(self._queue) < self._limits.queue_requests // 2:
            outcome = Outcome(rejects=(reject,))
            self._put(Waiting(outcome, None, len(reject.body or ""), None, time.monotonic()))

    async def commit(self, unit: Unit | Outcome, size: int = 0) -> Outcome:
        """Commit something else with the requests that arrive together; its outcome, once durable.

        For what is no request of a protocol, and has an answer of its own. `size` in bytes counts
        against what may wait. Raises `JournalUnavailable` where it is not known to be durable, and
        what deciding raised.
        """
        promise: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._put(Waiting(unit, None, size, None, time.monotonic(), promise))
        return await promise

    def _event(  # noqa: PLR0917 - once per event: keywords cost as much as the work
        self,
        protocol: str,
        request: Request,
        source: Source,
        draft: Draft,
        visit: Visit,
        head: consent.Head,
    ) -> Event:
        """One event from what the protocol knows and, where it says nothing, from the visit."""
        now = request.received_at
        withheld = head.withheld
        if head.fields:
            withheld = consent.withheld(source, consent.in_event(head, draft))
        # By position, in the model's order: naming 25 fields costs five times as much.
        return Event(
            draft.event_id or self._new_event_id(now),
            source.id,
            protocol,
            draft.type,
            now if draft.occurred_at is None else draft.occurred_at,
            now,
            draft.session_id,
            draft.profile_id,
            draft.user_id,
            draft.page,
            draft.location,
            draft.channel or visit.channel,
            draft.brand or visit.brand,
            visit.country,
            visit.device,
            visit.os,
            visit.browser,
            visit.ip,
            draft.playhead_s,
            draft.properties,
            draft.context,
            draft.event_id is not None,
            draft.stored,
            withheld,
            draft.facts,
        )

    def _put(self, waiting: Waiting) -> None:
        limits = self._limits
        if (
            len(self._queue) >= limits.queue_requests
            or self._bytes + waiting.size > limits.queue_bytes
            or self.failed is not None
        ):
            self._tell(waiting, OVERLOADED if self.failed is None else UNAVAILABLE)
            return
        self._bytes += waiting.size
        self._queue.append(waiting)
        if len(self._queue) == 1:
            self._idle.clear()
            self._arrived.set()

    async def run(self) -> None:
        """Commit group after group until cancelled.

        Between two groups the loop takes one turn: what the answers of the first bring joins the
        second. Fewer, larger groups cost less than what the disk does meanwhile would save.
        """
        sweeper = asyncio.create_task(self._sweep())
        try:
            while True:
                while not self._queue:
                    self._idle.set()
                    self._arrived.clear()
                    await self._arrived.wait()
                await self._commit()
                await asyncio.sleep(0)
        finally:
            sweeper.cancel()

    async def drained(self) -> None:
        """Returns when nothing waits any more."""
        await self._idle.wait()

    async def _commit(self) -> None:
        group = self._in_flight = list(itertools.islice(self._queue, self._limits.group_requests))
        for _ in group:
            self._queue.popleft()
        started = time.perf_counter()
        results: Sequence[Outcome | Exception]
        try:
            results = await self._journal.transact([waiting.unit for waiting in group])
        except JournalUnavailable as fault:
            self._say_unavailable(fault)
            if isinstance(fault, JournalFailed):
                self.failed = str(fault)
                self.has_failed.set()
            results = [fault] * len(group)
        except Exception as fault:
            log.exception("commit failed")
            results = [fault] * len(group)
        else:
            self._said = ""
        COMMIT_SECONDS.observe(time.perf_counter() - started)
        GROUP_REQUESTS.observe(len(group))
        self._in_flight = []
        for waiting, result in zip(group, results, strict=True):
            self._settle(waiting, result)
        QUEUED.set(len(self._queue))
        if self.failed is not None:
            self._fail_rest(self.failed)

    def _say_unavailable(self, fault: JournalUnavailable) -> None:
        """Log a fault once, not for every group: a full disk must not be filled with its log."""
        if str(fault) != self._said:
            self._said = str(fault)
            log.error("commits fail", error=self._said, code=fault.code)

    def _settle(self, waiting: Waiting, result: Outcome | Exception) -> None:
        self._bytes -= waiting.size
        if waiting.promise is not None:
            _keep_promise(waiting.promise, result)
            return
        if waiting.answer is None:
            return
        if not isinstance(result, Outcome):
            self._tell(waiting, worded(result))
            return
        if waiting.cell is not None:
            events = result.events
            waiting.cell.number += events.count(b"\n") if type(events) is bytes else len(events)
        reply = result.reply
        self._tell(waiting, reply if isinstance(reply, Reply) else worded(result))

    def _tell(self, waiting: Waiting, settled: Reply | Refusal) -> None:
        """Answer, once. One connection's fault must not keep the others from their answers."""
        if waiting.promise is not None:
            why = settled.detail if isinstance(settled, Refusal) else "it was not stored"
            _keep_promise(waiting.promise, JournalUnavailable(why))
        answer, waiting.answer = waiting.answer, None
        if answer is not None:
            try:
                answer(settled)
            except Exception:
                log.exception("reply failed")

    def _fail_rest(self, why: str) -> None:
        while self._queue:
            self._settle(self._queue.popleft(), JournalUnavailable(why))

    async def _sweep(self) -> None:
        """Answer what has waited for too long, whether or not its group is being written.

        A disk that stalls must not hold clients for ever. What is being written may still
        become durable after its 503: not acknowledged means perhaps.
        """
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            oldest = time.monotonic() - self._limits.queue_seconds
            for waiting in self._in_flight:
                if waiting.arrived > oldest:
                    break
                self._tell(waiting, WAITED_TOO_LONG)
            while self._queue and self._queue[0].arrived <= oldest:
                waiting = self._queue.popleft()
                self._tell(waiting, WAITED_TOO_LONG)
                self._bytes -= waiting.size
            QUEUED.set(len(self._queue))


def _unit(
    request: Request,
    intent: Intent,
    events: tuple[Event, ...],
    carried: tuple[str, ...],
    dropped: DropReason | None,
) -> Unit:
    """What the journal decides for one request: the protocol's part and the correlation."""
    reply = intent.reply
    if dropped is not None and reply is not None:
        reply = _saying_so(reply, dropped)
    decide = intent.decide
    tracking_keys = tuple(correlate.key(intent.source.id, session) for session in carried)

    def decide_all(states: States) -> Outcome | More:
        own = correlate.correlate(events, states, carried, intent.source.id, request.received_at)
        if decide is None:
            return Outcome(events=own, reply=reply)
        outcome = decide(intent, states, own)
        if isinstance(outcome, More):
            return outcome
        if dropped is not None and isinstance(outcome.reply, Reply):
            return msgspec.structs.replace(outcome, reply=_saying_so(outcome.reply, dropped))
        return outcome

    return Unit((*intent.keys, *tracking_keys), decide_all)


def _keep_promise(promise: asyncio.Future[Outcome], result: Outcome | Exception) -> None:
    if promise.done():
        return
    if isinstance(result, Outcome):
        promise.set_result(result)
    else:
        promise.set_exception(result)


def _saying_so(reply: Reply, dropped: DropReason) -> Reply:
    """Nothing is ever left out without telling the sender."""
    return Reply(reply.status, reply.body, (*reply.headers, ("X-Footfall-Dropped", dropped)))
