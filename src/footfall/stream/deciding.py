"""One ad decision per break and session, over all processes.

Who claimed a pod (`contexts.opened`) decides it here, in a job of its own that no client's patience
ends: the ad server is asked, its ads' playlists are looked up, and what fits is committed with the
events that tell of it. Everybody else waits for that. A claim that runs out is lost for good: the
original plays, and the ad server is never asked twice.

Which pods a stream wants is the matter of `live` and `vod`; where ads go, that of `placing`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any

import msgspec
import structlog

from footfall.errors import JournalUnavailable
from footfall.metrics import STREAM_DECISIONS, Tally
from footfall.model import Micros
from footfall.settings import Service, Streams
from footfall.stream import events, macros, offsets, placing, telling, told
from footfall.stream.adserver import AdServer
from footfall.stream.contract import Ad, AdBreak, Failure, FetchError, Offer, Pod
from footfall.stream.creatives import Creative, Creatives
from footfall.stream.decisions import Client, Filling, Whole, mode_of
from footfall.stream.error_calls import ErrorCalls
from footfall.stream.events import Mode, Recorder, Said
from footfall.stream.ladder import Content, reference
from footfall.stream.lines import PlaylistError
from footfall.stream.macros import Values
from footfall.stream.placing import Candidate, Offered, Placement, Room, Slate
from footfall.stream.sessions import Session, Sessions

log = structlog.get_logger()

COMMIT_US = 1_000_000
"""How much longer than a decision its claim runs, for the commit."""
LOOK_SECONDS = 0.05
"""How often the state is looked at for what another process decides."""
GRACE_US = 100_000
"""How much longer than a decision may take for it to be in time others wait for it."""
LEAST_US = 1_000_000
"""Of a break of which less is left nobody is asked for ads."""
TIMED_OUT = 402
"""VAST's code for a media file that could not be had in time."""


class Decider:
    """The decisions of one process."""

    def __init__(
        self,
        *,
        sessions: Sessions,
        ads: AdServer,
        creatives: Creatives,
        errors: ErrorCalls,
        recorder: Recorder,
        streams: Streams,
        clock: Callable[[], Micros],
        tally: Tally,
    ) -> None:
        self._sessions = sessions
        self._ads = ads
        self._creatives = creatives
        self._errors = errors
        self._record = recorder
        self._streams = streams
        self._clock = clock
        self._tally = tally
        self._jobs: dict[tuple[str, str], asyncio.Task[None]] = {}
        """By the session's key and the pod's id."""

    def claim(self, name: str, start_us: Micros, at_us: Micros, planned_us: int | None) -> Pod:
        """A pod that asks to be decided."""
        until = self._clock() + round(self._streams.decision_seconds * 1_000_000) + COMMIT_US
        return Pod(name, start_us, claimed_until=until, planned_us=planned_us, at_us=at_us)

    def _claimed_at(self, pod: Pod) -> Micros:
        return pod.claimed_until - round(self._streams.decision_seconds * 1_000_000) - COMMIT_US

    def deadline(self, session: Session, pod: Pod, target_s: int) -> Micros:
        """Until when a live decision is not late, and playlists wait for it. Server's clock.

        What is decided as the session joins has the whole time, since nothing was served before;
        what comes later has `wait_seconds`, and never more than half a target duration.
        """
        at, context = self._claimed_at(pod), session.context
        if not context.manifest_at or at <= context.manifest_at:
            return pod.claimed_until - COMMIT_US
        return at + min(round(self._streams.wait_seconds * 1_000_000), target_s * 500_000)

    def fill(self, session: Session, claims: Sequence[tuple[Pod, Filling]], client: Client) -> None:
        """Decide live breaks, one after another: where one ends the next may begin."""

        async def job() -> None:
            for pod, filling in claims:
                await self._live(session, pod, filling, client)

        self._start(session, [pod for pod, _ in claims], job())

    def plan(self, session: Session, claim: Pod, whole: Whole, client: Client) -> None:
        """Decide a VOD, all its breaks together."""
        self._start(session, [claim], self._vod(session, claim, whole, client))

    async def wait(self, session: Session, until: Callable[[Pod], Micros]) -> None:
        """Wait for the session's claims, for each of them until a moment of the server's clock.

        What another process decides is looked for even when it is too late to wait for it: else
        this one would go on without its ads.
        """
        if any((session.key, pod.id) not in self._jobs for pod in _open(session)):
            await self._sessions.reread(session)
        while True:
            now = self._clock()
            open_ = [(pod, min(until(pod), pod.claimed_until)) for pod in _open(session)]
            open_ = [(pod, end) for pod, end in open_ if end > now]
            if not open_:
                return
            left = (max(end for _, end in open_) - now) / 1_000_000
            jobs = [self._jobs.get((session.key, pod.id)) for pod, _ in open_]
            ours = [job for job in jobs if job is not None]
            if len(ours) == len(jobs):
                await asyncio.wait(ours, timeout=left)
            else:
                await asyncio.sleep(min(LOOK_SECONDS, left))
            if _open(session):
                await self._sessions.reread(session)

    def lose(self, session: Session, client: Callable[[], Client]) -> None:
        """Record the claims that ran out, each once; nobody waits for that."""
        for pod in _open(session):
            if pod.claimed_until <= self._clock() and (session.key, pod.id) not in self._jobs:
                mode = mode_of(pod, session.service)
                self._start(session, [pod], self._lost(session, pod, mode, client()))

    async def close(self) -> None:
        """Give up what is under way."""
        tasks = list(self._jobs.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # Jobs

    def _start(self, session: Session, pods: Iterable[Pod], job: Coroutine[Any, Any, None]) -> None:
        async def safely() -> None:
            try:
                await job
            except JournalUnavailable as fault:
                log.warning("an ad decision was not stored", session=session.id, error=str(fault))
            except Exception:
                log.exception("an ad decision failed", session=session.id)

        task = asyncio.create_task(safely())
        names = [(session.key, pod.id) for pod in pods]
        for name in names:
            self._jobs[name] = task

        def done(_task: asyncio.Task[None]) -> None:
            job.close()  # if it was given up before it began
            for name in names:
                if self._jobs.get(name) is task:
                    del self._jobs[name]

        task.add_done_callback(done)

    async def _live(self, session: Session, claim: Pod, filling: Filling, client: Client) -> None:
        service = session.service
        end = claim.claimed_until - COMMIT_US
        start = _begin(session, filling)
        room = _room(service, claim, filling, start)
        if room.left_us is not None and room.left_us < LEAST_US:
            await self._settle(
                session, claim, [_done(claim)], [_over(self._clock(), claim, filling)], client
            )
            return
        values = _values(
            session,
            client,
            filling.parameters,
            duration_us=room.left_us,
            signal_id=filling.signal_id,
            upid=filling.upid,
            position=macros.PREROLL if filling.mode == "preroll" else macros.MIDROLL,
        )
        found: AdBreak = await self._within(
            end, self._ads.ask_break(filling.template, service=service, values=values), _SLOW
        )
        offer = found.offer
        offered, failures = await self._resolved(service, offer, filling.content, end)
        slate = await self._within(end, self._slate(service, filling.content), None)
        if self._clock() > filling.late.deadline:
            room = _room(service, claim, filling, max(start, filling.late.from_us()))
        placement = placing.live(room, offered, slate, found.beacons)
        failures = (*failures, *placement.failures)
        told = msgspec.structs.replace(offer, failures=(*offer.failures, *failures))
        now = self._clock()
        said = events.decided(
            now,
            placement.pod,
            placement.details,
            told,
            mode=filling.mode,
            tracking=service.tracking,
            from_us=start,
        )
        pod = _told(placement, service)
        if await self._settle(session, claim, [pod], said, client):
            self._errors.tell(service, told.failures, values)

    async def _vod(self, session: Session, claim: Pod, whole: Whole, client: Client) -> None:
        service = session.service
        end = claim.claimed_until - COMMIT_US
        values = _values(session, client, whole.parameters)
        found = await self._within(
            end,
            self._ads.ask(whole.template, service=service, values=values),
            (_SLOW,),
        )
        places, nowhere = offsets.place(found, whole.boundaries[-1])
        resolved = await asyncio.gather(
            *(self._resolved(service, one.offer, whole.content, end) for _, one in places)
        )
        breaks = [(at, one, ads) for (at, one), (ads, _) in zip(places, resolved, strict=True)]
        placements = placing.vod(breaks, whole.boundaries)
        now = self._clock()
        said: list[Said] = [events.ad_error(now, claim.id, failure) for failure in nowhere]
        all_failures = list(nowhere)
        for (_, one), (_, failures), placement in zip(places, resolved, placements, strict=True):
            failed = (*one.offer.failures, *failures, *placement.failures)
            all_failures += failed
            said += events.decided(
                now,
                placement.pod,
                placement.details,
                msgspec.structs.replace(one.offer, failures=failed),
                mode="vod",
                tracking=service.tracking,
            )
        content_us = whole.boundaries[-1]
        pods = [_told(one, service, content_us) for one in placements if one.pod.ads]
        if await self._settle(session, claim, [_done(claim), *pods], said, client):
            self._errors.tell(service, all_failures, values)

    async def _lost(self, session: Session, pod: Pod, mode: Mode, client: Client) -> None:
        reason = "it was not decided in time, or could not be stored: see the server's log"
        said = events.lost(self._clock(), pod, mode=mode, reason=reason)
        recorded = self._record(client.sender, [said], self._clock())
        await self._sessions.settle(session, pod, [_done(pod)], recorded, expired=True)
        self._tally.cell(STREAM_DECISIONS, "lost").number += 1

    async def _settle(
        self,
        session: Session,
        claim: Pod,
        pods: Sequence[Pod],
        said: Sequence[Said],
        client: Client,
    ) -> bool:
        """Commit a decision with its events. False: it came too late for that."""
        recorded = self._record(client.sender, said, self._clock())
        done = await self._sessions.settle(session, claim, pods, recorded)
        if done:
            filled = any(pod.ads for pod in pods)
            self._tally.cell(STREAM_DECISIONS, "filled" if filled else "empty").number += 1
        return done

    # What a decision consists of

    async def _resolved(
        self, service: Service, offer: Offer, content: Content, end: Micros
    ) -> tuple[Offered, tuple[Failure, ...]]:
        """The ads that can be played, and why the others cannot; all looked up at once."""
        ads = (*offer.ads, *offer.spare)
        found = await asyncio.gather(*(self._candidate(service, ad, content, end) for ad in ads))
        wanted, spare = found[: len(offer.ads)], found[len(offer.ads) :]
        offered = Offered(
            tuple(one if isinstance(one, Candidate) else None for one in wanted),
            tuple(one for one in spare if isinstance(one, Candidate)),
        )
        return offered, tuple(one for one in wanted if isinstance(one, Failure))

    async def _candidate(
        self, service: Service, ad: Ad, content: Content, end: Micros
    ) -> Candidate | Failure:
        slow = Failure(TIMED_OUT, "its playlists took too long", ad.ad_id, ad.errors)
        found: Creative | Failure = await self._within(
            end, self._creatives.resolve(service, ad, content), slow
        )
        if isinstance(found, Failure):
            return found
        if found.duration_us <= 0:
            return Failure(405, "its playlist has no duration", ad.ad_id, ad.errors)
        return Candidate(ad, found.address, found.duration_us)

    async def _slate(self, service: Service, content: Content) -> Slate | None:
        found = await self._creatives.slate(service, content)
        first = reference(content.renditions)
        if not isinstance(found, Creative) or first is None:
            if isinstance(found, Failure):
                log.warning("the slate cannot be used", service=service.id, reason=found.reason)
            return None
        try:
            media = await self._creatives.lists(service, found.address, first)
        except (FetchError, PlaylistError):
            return None
        return None if media is None else Slate(found.address, media.durations[0])

    async def _within(self, end: Micros, job: Coroutine[Any, Any, Any], otherwise: Any) -> Any:
        """What a coroutine gives, if that is before a moment of the server's clock."""
        try:
            return await asyncio.wait_for(job, max(0.0, (end - self._clock()) / 1_000_000))
        except TimeoutError:
            return otherwise


_TOO_SLOW = Failure(301, "the decision took longer than server.streams.decision_seconds")
_SLOW = AdBreak("start", offer=Offer(failures=(_TOO_SLOW,)))


def _begin(session: Session, filling: Filling) -> Micros:
    """Where ads may begin: not within another pod's."""
    start = max(filling.start_us, filling.at_us)
    for pod in session.context.pods:
        if pod.decided and pod.ads and pod.at_us <= start:
            start = max(start, filling.end_of(pod))
    return start


def _room(service: Service, claim: Pod, filling: Filling, at_us: Micros) -> Room:
    return Room(
        claim.id,
        filling.start_us,
        at_us,
        filling.planned_us,
        filling.limit_us,
        round(service.ad_excess_seconds * 1_000_000),
    )


def _values(
    session: Session, client: Client, parameters: tuple[tuple[str, str], ...], **more: Any
) -> Values:
    return Values(
        session=session.id,
        service=session.service.id,
        parameters=parameters,
        headers=client.headers,
        address=client.address,
        **more,
    )


def _open(session: Session) -> list[Pod]:
    return [pod for pod in session.context.pods if not pod.decided]


def _over(now: Micros, claim: Pod, filling: Filling) -> Said:
    reason = "it was known too late: nothing was left of it that had not been listed"
    return events.lost(now, claim, mode=filling.mode, reason=reason)


def _told(one: Placement, service: Service, content_us: Micros | None = None) -> Pod:
    """A pod with what is told of it; `content_us`: of a VOD, how long its content is."""
    details = one.details
    if not (details.ads or details.beacons):
        return one.pod
    by_server = service.tracking == "server"
    said = telling.pod(one.pod, details, by_server=by_server, content_us=content_us)
    return msgspec.structs.replace(one.pod, told=told.pack(said))


def _done(claim: Pod) -> Pod:
    """A claim that came to nothing, or to other pods."""
    return msgspec.structs.replace(claim, decided=True, until_us=claim.at_us)
