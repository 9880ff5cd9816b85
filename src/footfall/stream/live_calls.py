"""Calls of live streams: which breaks a session has ads in, and from where on.

A break is decided when its marker is seen: as it comes, or as the session joins. What a player was
shown is never replaced: who joins within a break gets ads from where it joins, and ads that were
decided late begin behind everything that was listed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import msgspec

from footfall.model import Micros
from footfall.settings import Service
from footfall.stream import breaks, clock, contexts, folding, laid, origin, splice
from footfall.stream.calls import UNKNOWN_TARGET_S, Calls, contradicts
from footfall.stream.contexts import Wish
from footfall.stream.contract import Break, Context, FetchError, MediaList, Pod, Shift
from footfall.stream.deciding import GRACE_US
from footfall.stream.decisions import PREROLL, Client, Filling, Late, mode_of
from footfall.stream.lines import PlaylistError
from footfall.stream.requests import Call
from footfall.stream.runs import SLACK_US
from footfall.stream.sessions import Session
from footfall.stream.titles import Body, View
from footfall.stream.tracking import Window

AHEAD_US = 60_000_000
"""How long before it begins a break is decided that was marked in advance."""


class LiveCalls(Calls):
    """Answers them."""

    async def playlist(self, call: Call, client: Callable[[], Client]) -> Body:
        """The session's list of one rendition. Raises `FetchError` and `PlaylistError`."""
        view = await self._titles.live(call)
        session = await self._open(call, view, client, manifest=True)
        if any(not pod.decided for pod in session.context.pods):
            await self._wait(session, view)
            self._decider.lose(session, client)
            view = await self._titles.live(call)
        if _is_short(session.context, view):
            await asyncio.sleep(origin.LIVE_SECONDS)
            view = await self._titles.live(call)
        body = await self._body(session, view)
        session.served_us = max(session.served_us, view.reference.starts[-1])
        return body

    async def tracking(self, call: Call, client: Callable[[], Client]) -> tuple[Session, bytes]:
        """The session, and what its client is told, as far as that is known."""
        session = await self._sessions.get(call.service, call.session_id)
        if session is not None and contradicts(call, session):
            return session, b""
        served = session is not None and session.context.manifest_at > 0
        if call.workflow == "1.0" and not served:
            return await self._begin(call, client), self._told(call.service)
        try:
            view: View | None = await self._titles.live(call)
        except (FetchError, PlaylistError):
            view = self._titles.stream(call).latest
        if view is None:
            session = await self._begin(call, client)
            return session, self._told(call.service)
        session = await self._open(call, view, client)
        if not served:
            await self._wait(session, view)
        self._decider.lose(session, client)
        return session, self._told(call.service, session.context, view)

    # The session

    async def _begin(self, call: Call, client: Callable[[], Client]) -> Session:
        """The session, without anything being decided."""
        session, _ = await self._sessions.open(
            call.service,
            call.session_id,
            Wish(workflow=call.workflow, parameters=call.parameters),
            life_us=contexts.SHORTEST_LIFE_US,
            began=self._began(call, client),
        )
        return session

    async def _open(
        self, call: Call, view: View, client: Callable[[], Client], *, manifest: bool = False
    ) -> Session:
        """The session, with claims for the breaks that it is to have ads in.

        `manifest`: a playlist is served, not told of.
        """
        service, starts = call.service, view.reference.starts
        known = await self._sessions.get(service, call.session_id)
        context = known.context if known is not None else Context(0)
        joined = context.joined_us or clock.joining(starts, view.reference.target_s)
        wanted = dict(self._wanted(service, view, known, joined))
        preroll = service.preroll_ad_server and not context.joined_us
        first = (self._decider.claim(PREROLL, joined, joined, None),) if preroll else ()
        keeps = manifest and (wanted or first or context.pods)
        session, taken = await self._sessions.open(
            service,
            call.session_id,
            Wish(
                workflow=call.workflow,
                parameters=call.parameters,
                # Not before the claims: those that come with it are decided as it joins.
                manifest_at=self._clock() if manifest else 0,
                joined_us=joined,
                rendition=view.key if keeps else "",
                pods=tuple(wanted),
                first=first,
            ),
            life_us=contexts.life_us(service, starts[-1] - starts[0]),
            began=self._began(call, client),
        )
        if taken:
            mine = [pod for pod in (*first, *wanted) if pod.id in taken]
            asked = call.parameters or session.context.parameters
            fillings = [self._filling(session, view, pod, wanted.get(pod), asked) for pod in mine]
            self._decider.fill(session, list(zip(mine, fillings, strict=True)), client())
        return session

    async def _wait(self, session: Session, view: View) -> None:
        target_s = view.reference.target_s
        await self._decider.wait(
            session, lambda pod: self._decider.deadline(session, pod, target_s) + GRACE_US
        )

    # Which breaks

    def _wanted(
        self, service: Service, view: View, session: Session | None, joined: Micros
    ) -> Iterator[tuple[Pod, Break]]:
        """Claims for the breaks that are not decided yet, each from where its ads may begin."""
        if not service.ad_server or not view.breaks:
            return
        known = {pod.id for pod in session.context.pods} if session is not None else set()
        window, edge = view.reference.starts[0], view.reference.starts[-1]
        since = _since(service, joined, window)
        for one in view.breaks:
            name = f"slot:{one.id}"
            if name in known or breaks.is_cancelled(one):
                continue
            end = breaks.planned_end(one)
            over = end is not None and (end <= window or end <= since)
            if over or one.start_us > edge + AHEAD_US:
                continue
            at = max(one.start_us, since)
            if session is not None and _was_shown(session, view, at):
                at = max(at, view.stream.unseen_from())
            planned = None if end is None else end - one.start_us
            yield self._decider.claim(name, one.start_us, at, planned), one

    def _filling(
        self,
        session: Session,
        view: View,
        pod: Pod,
        one: Break | None,
        parameters: tuple[tuple[str, str], ...],
    ) -> Filling:
        """What there is to be filled: a break, or a pre-roll."""
        service = session.service
        template = service.ad_server if one is not None else service.preroll_ad_server
        assert template is not None
        deadline = self._decider.deadline(session, pod, view.reference.target_s)
        return Filling(
            template=template,
            mode=mode_of(pod, service),
            parameters=parameters,
            start_us=pod.start_us,
            at_us=pod.at_us,
            late=Late(deadline, view.stream.unseen_from),
            end_of=lambda other: laid.end_of(other, laid.by_pod(view.stream.breaks))[0],
            content=view.content,
            planned_us=pod.planned_us,
            limit_us=None if one is not None else service.preroll_max_seconds * 1_000_000,
            signal_id=one.id.partition(":")[2] if one is not None else "",
            upid=one.upid if one is not None else "",
        )

    # The list

    async def _body(self, session: Session, view: View) -> Body:
        """Made once for all sessions whose pods are the same."""
        service, context = session.service, session.context
        own = service.tracking == "server"
        key = (session.id if own else "", context.joined_us if _has_preroll(context) else 0)
        signature = (*key, *session.sign())
        body = view.texts.get(signature)
        if body is None:
            body = await self._spliced(session, view)
            view.keep(signature, body)
        if body.folded is not None:
            self._sessions.fold(session, body.folded)
        return body

    async def _spliced(self, session: Session, view: View) -> Body:
        service, context = session.service, session.context
        pods = (*context.pods, *view.slots)
        shift = context.shifts.get(view.key) or splice.unseen(context.shifts)
        shown = [pod for pod in pods if pod.decided and pod.ads]
        mapped = bool(view.media.maps)
        ads = await self._inserts.lists(
            service, shown, view.rendition, view.content, view.ads, mapped=mapped
        )
        target = service.target_duration_seconds or view.reference.target_s
        make = partial(
            splice.live,
            view.media,
            pods,
            view.breaks,
            ads,
            shift=shift,
            key=view.key,
            target_s=target,
            from_us=context.joined_us if _has_preroll(context) else None,
            known_us=view.known_us,
            address=self._inserts.addresses(session, ads),
        )
        spliced = make(marks=view.stream.marks)
        if spliced.needed:
            await self._titles.mark(view, spliced.needed)
            spliced = make(marks=view.stream.marks)
        view.stream.edge_us = max(view.stream.edge_us, spliced.edge_us)
        return Body(spliced.text.encode(), _folding(service, view, pods, shift, ads))

    def _told(
        self, service: Service, context: Context | None = None, view: View | None = None
    ) -> bytes:
        told_by_server = service.tracking == "server"
        if context is None or view is None:
            return self._tracking.answer(
                (), target_s=UNKNOWN_TARGET_S, told_by_server=told_by_server
            )
        window = Window(
            view.reference.starts[0],
            view.stream.edge_us,
            view.reference.target_s * 1_000_000 + 500_000,  # durations are rounded to it
            context.joined_us if _has_preroll(context) else 0,
        )
        return self._tracking.answer(
            context.pods,
            target_s=service.target_duration_seconds or view.reference.target_s,
            told_by_server=told_by_server,
            window=window,
            breaks=view.breaks,
        )


def _folding(
    service: Service,
    view: View,
    pods: Sequence[Pod],
    shift: Shift,
    ads: Mapping[str, MediaList],
) -> Callable[[Context], Context] | None:
    """What counts pods in that are gone for good, where there are any that are not yet."""
    window = view.media.starts[0]
    if not any(
        # Few pods begin before the window: only these are worth a closer look.
        pod.start_us < window
        and folding.gone(pod, view.breaks, view.media)
        and (not pod.ads or pod.at_us >= shift.upto_us)
        for pod in pods
    ):
        return None

    def folded(stored: Context) -> Context:
        # A channel's slots change numbers as pods do, and are nobody's own.
        both = msgspec.structs.replace(stored, pods=contexts.ordered((*stored.pods, *view.slots)))
        found = splice.fold(
            both,
            view.media,
            view.breaks,
            ads,
            view.stream.marks,
            key=view.key,
            target_s=service.target_duration_seconds or view.reference.target_s,
        )
        if found is both:
            return stored
        slots = {pod.id for pod in view.slots}
        own = tuple(pod for pod in found.pods if pod.id not in slots)
        return msgspec.structs.replace(found, pods=own)

    return folded


def _since(service: Service, joined: Micros, window: Micros) -> Micros:
    """From where on content may be replaced."""
    past = service.past_breaks_seconds
    if not past or service.preroll_ad_server:
        return joined
    return window if past < 0 else min(joined, max(window, joined - past * 1_000_000))


def _was_shown(session: Session, view: View, at: Micros) -> bool:
    """Whether a moment's content was listed to the session before anything was decided there."""
    if session.served_us:
        return session.served_us > at
    # By another process, if at all: a player that polls has then seen all but the newest.
    behind = view.reference.starts[-1] - at
    return bool(session.context.manifest_at) and behind > 2 * view.reference.target_s * 1_000_000


def _is_short(context: Context, view: View) -> bool:
    """Whether a list that begins with a pre-roll would hold less than players need: what the
    origin lists of this rendition is older than what the session joined by.
    """
    starts, least = view.media.starts, clock.least_us(view.reference.target_s)
    due = context.joined_us + least - SLACK_US
    return starts[-1] < due and starts[-1] - starts[0] >= least and _has_preroll(context)


def _has_preroll(context: Context) -> bool:
    return any(pod.id == PREROLL and pod.ads for pod in context.pods)
