"""Server-side tracking: what segments of ads owe the ad server, reported once, in order, and told.

A request is answered when what it owes is durable in the journal; only then is anything sent. So a
beacon is sent at most once, whichever process is asked and whenever one dies: what a dead process
had not sent is never sent, and the lake shows it as uncertain.

While the journal takes nothing the player is sent on all the same. What it asked for waits here, at
most `MOST_WAITING` requests and `WAIT_US`; what waited longer is recorded as lost and not sent,
because a late impression counts for another minute. What finds no room, or waits when the process
ends, was never journalled: only the log has the number of it.

`owed` says what is owed, `fetch` sends.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol
from urllib.parse import urlsplit
from weakref import WeakValueDictionary

import msgspec
import structlog

from footfall.errors import JournalUnavailable
from footfall.journal.contract import Outcome, Unit
from footfall.model import Event, Micros
from footfall.settings import Service
from footfall.stream import events, macros, owed, told
from footfall.stream.ad_tokens import AdSegment
from footfall.stream.contract import Context
from footfall.stream.events import Place, Said, Sender
from footfall.stream.fetch import BeaconOutcome
from footfall.stream.owed import Owed

log = structlog.get_logger()

REPEATS_AFTER_S = (1.0, 4.0)
"""A beacon of which no byte was sent is tried again so many seconds later."""
MOST_QUEUED = 20_000
"""Beacons that are to be sent; more are recorded as failed."""
MOST_AT_ONCE = 64
"""Beacons that are being sent to one host."""
MOST_WAITING = 10_000
"""Requests that wait for the journal; the oldest go first."""
WAIT_US: Micros = 300_000_000
"""How long a beacon may wait for the journal."""
WAIT_STEP_S = 1.0
"""How often the journal is tried while requests wait."""


class Viewer(msgspec.Struct, frozen=True, gc=False):
    """Who asked for a segment."""

    sender: Sender
    values: macros.Values


Commit = Callable[[Unit | Outcome], Awaitable[Outcome]]
"""Makes a unit durable. Raises `JournalUnavailable`."""
Known = Callable[[Service, str, str], Awaitable[Context | None]]
"""The context of a session (service, session id) that has a decided pod of an id."""


class Caller(Protocol):
    """What sends: `fetch.Fetcher`."""

    async def beacon(
        self,
        url: str,
        *,
        service: Service,
        timeout: float,  # noqa: ASYNC109 - as `Fetcher.beacon`
        headers: dict[str, str],
    ) -> BeaconOutcome: ...


class _Request(msgspec.Struct, frozen=True, gc=False):
    """A player's request for a segment."""

    service: Service
    segment: AdSegment
    viewer: Viewer
    at: Micros
    """When it came."""


class _Asked(msgspec.Struct, frozen=True, gc=False):
    """What it asked for, with all that the beacons need."""

    request: _Request
    began_at: Micros
    """Of the session's context."""
    place: Place
    owes: Sequence[Owed]


class Beacons:
    """The beacons of one process."""

    def __init__(
        self,
        *,
        known: Known,
        commit: Commit,
        record: events.Recorder,
        caller: Caller,
        now: Callable[[], Micros],
        seconds: float,
    ) -> None:
        """`now`: the server's clock. `seconds`: longest that one beacon may take."""
        self._known = known
        self._commit = commit
        self._record = record
        self._caller = caller
        self._now = now
        self._seconds = seconds
        self._queues: dict[str, deque[tuple[_Asked, Owed]]] = {}
        self._queued = 0
        self._turns: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        self._senders: set[asyncio.Task[None]] = set()
        self._waiting: deque[_Request] = deque()
        self._retrying: asyncio.Task[None] | None = None
        self._dropped = 0

    async def asked(self, service: Service, segment: AdSegment, viewer: Viewer) -> None:
        """A player asked for a segment: returns once what it owes is durable, or waits.

        A HEAD is no such request. Raises nothing: the player is sent on in any case.
        """
        request = _Request(service, segment, viewer, self._now())
        if self._waiting:  # what came before is reported before
            self._wait(request)
            return
        if not await self._settled(request):
            self._wait(request)

    async def _settled(self, request: _Request) -> bool:
        """False: the journal takes nothing now."""
        try:
            await self._settle(request)
        except JournalUnavailable:
            return False
        except Exception:
            log.exception("a request for an ad could not be recorded")
        return True

    async def _settle(self, request: _Request) -> None:
        """Make durable what a request owes, and send it; what waited too long is lost instead.

        Raises `JournalUnavailable`.
        """
        asked = await self._read(request)
        if asked is None:
            return
        late = self._now() - request.at > WAIT_US

        def said(first_time: bool, new: Sequence[Owed]) -> list[Event]:
            found: list[Said] = []
            if first_time:
                which = request.segment
                found.append(
                    events.ad_segment(request.at, asked.place, segment=which.segment, of=which.of)
                )
            found += [_due(asked, one) for one in new]
            if late:
                lost = _lost("The journal took nothing for too long.")
                found += [self._came(asked, one, lost) for one in new]
            return self._record(request.viewer.sender, found, request.at)

        unit = owed.unit(
            owed.fired_key(request.service.id, request.segment.session_id, request.segment.pod),
            asked.began_at,
            request.segment,
            asked.owes,
            now=self._now(),
            events=said,
        )
        new = (await self._commit(unit)).reply
        assert isinstance(new, tuple)
        if not late:
            await self._queue(asked, new)

    async def _read(self, request: _Request) -> _Asked | None:
        """None: the pod is gone, or what is asked for is no ad of it."""
        segment = request.segment
        context = await self._known(request.service, segment.session_id, segment.pod)
        for pod in context.pods if context else ():
            place = owed.place(pod, segment.ad) if pod.id == segment.pod else None
            if context is not None and place is not None:
                owes = owed.owed(pod, told.read(pod), segment)
                return _Asked(request, context.began_at, place, owes)
        return None

    # While the journal takes nothing

    def _wait(self, request: _Request) -> None:
        if len(self._waiting) >= MOST_WAITING:
            self._waiting.popleft()
            self._dropped += 1
        self._waiting.append(request)
        if self._retrying is None or self._retrying.done():
            log.warning("beacons wait for the journal")
            self._retrying = asyncio.create_task(self._retry())

    async def _retry(self) -> None:
        while self._waiting:
            await asyncio.sleep(WAIT_STEP_S)
            await self._settle_waiting()
        dropped, self._dropped = self._dropped, 0
        log.info("beacons no longer wait for the journal", never_recorded=dropped)

    async def _settle_waiting(self) -> None:
        while self._waiting:
            request = self._waiting[0]
            if not await self._settled(request):
                return
            # It may have made room for another one meanwhile.
            if self._waiting and self._waiting[0] is request:
                self._waiting.popleft()

    # Sending

    async def _queue(self, asked: _Asked, new: Sequence[Owed]) -> None:
        """Of one ad each host hears in order; a host that is slow does not keep others waiting."""
        if self._queued + len(new) > MOST_QUEUED:
            full = BeaconOutcome("failed", reason="Too many beacons wait to be sent.")
            await self._tell(asked, [self._came(asked, one, full) for one in new])
            return
        self._queued += len(new)
        segment = asked.request.segment
        ad = f"{asked.request.service.id}/{segment.session_id}/{segment.pod}/{segment.ad}"
        for one in new:
            key = f"{ad}/{_host(one.url)}"
            queue = self._queues.get(key)
            if queue is not None:
                queue.append((asked, one))
                continue
            self._queues[key] = deque([(asked, one)])
            task = asyncio.create_task(self._send_all(key, _host(one.url)))
            self._senders.add(task)
            task.add_done_callback(self._senders.discard)

    async def _send_all(self, key: str, host: str) -> None:
        queue = self._queues[key]
        turn = self._turns.get(host) or asyncio.Semaphore(MOST_AT_ONCE)
        self._turns[host] = turn
        while queue:
            async with turn:
                asked, one = queue.popleft()
                self._queued -= 1
                came = await self._send(asked, one)
            await self._tell(asked, [came])
        del self._queues[key]

    async def _send(self, asked: _Asked, one: Owed) -> Said:
        """Call an address; again where no byte of it left."""
        for pause in (*REPEATS_AFTER_S, None):
            outcome = await self._call(asked, one)
            if pause is None or outcome.outcome != "failed" or outcome.kind == "refused":
                return self._came(asked, one, outcome)
            await asyncio.sleep(pause)
        raise AssertionError

    async def _call(self, asked: _Asked, one: Owed) -> BeaconOutcome:
        values = asked.request.viewer.values
        playing = macros.Playing(ad_us=one.offset_ms * 1000)
        try:
            return await self._caller.beacon(
                macros.beacon(one.url, values, playing, self._now()),
                service=asked.request.service,
                timeout=self._seconds,
                headers=macros.headers(values),
            )
        except Exception as error:  # others of the queue must go on
            log.exception("sending a beacon failed")
            return BeaconOutcome("uncertain", reason=f"{type(error).__name__} here")

    def _came(self, asked: _Asked, one: Owed, outcome: BeaconOutcome) -> Said:
        """What came of a beacon, as an event says it."""
        return events.beacon(
            self._now(),
            asked.place,
            number=one.number,
            beacon=one.type,
            host=_host(one.url),
            outcome="lost" if outcome.kind == _LOST else outcome.outcome,
            status=outcome.status,
            latency_ms=outcome.latency_ms or None,
            reason=outcome.reason,
        )

    async def _tell(self, asked: _Asked, came: Sequence[Said]) -> None:
        """Record outcomes. Where that fails they stay unknown, and count as uncertain."""
        made = self._record(asked.request.viewer.sender, came, self._now())
        try:
            await self._commit(Outcome(tuple(made)))
        except JournalUnavailable as error:
            log.warning("outcomes of beacons were not recorded", beacons=len(made), why=str(error))

    async def close(self, seconds: float) -> None:
        """Send what is queued, at most so long, and record what was not sent as lost.

        What is being sent by then stays without an outcome: nobody knows.
        """
        if self._retrying is not None:
            self._retrying.cancel()
            await asyncio.gather(self._retrying, return_exceptions=True)
        if self._waiting or self._dropped:
            never = len(self._waiting) + self._dropped
            log.warning("requests for ads were never recorded", requests=never)
        if self._senders:
            await asyncio.wait(self._senders, timeout=seconds)
        senders = list(self._senders)
        for task in senders:
            task.cancel()
        await asyncio.gather(*senders, return_exceptions=True)
        ended = _lost("The server ended.")
        for queue in self._queues.values():
            for asked, one in queue:
                await self._tell(asked, [self._came(asked, one, ended)])
        self._queues.clear()


_LOST = "lost"


def _due(asked: _Asked, one: Owed) -> Said:
    return events.beacon_due(
        asked.request.at, asked.place, number=one.number, beacon=one.type, host=_host(one.url)
    )


def _lost(reason: str) -> BeaconOutcome:
    return BeaconOutcome("failed", kind=_LOST, reason=reason)


def _host(url: str) -> str:
    """Where a beacon goes; nothing else of an address is kept, it may name people."""
    try:
        return (urlsplit(url).hostname or "")[: events.TEXT_CHARACTERS]
    except ValueError:
        return ""
