"""Calls of VODs: one decision for the whole title, its ads inserted into every rendition."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from footfall.model import Micros
from footfall.stream import contexts, ladder, splice
from footfall.stream.calls import UNKNOWN_TARGET_S, Calls, contradicts
from footfall.stream.contexts import Wish
from footfall.stream.contract import FetchError, Pod
from footfall.stream.decisions import Client, Whole
from footfall.stream.lines import PlaylistError
from footfall.stream.requests import Call
from footfall.stream.sessions import Session
from footfall.stream.titles import Body, Film


class VodCalls(Calls):
    """Answers them."""

    async def playlist(self, call: Call, client: Callable[[], Client]) -> Body:
        """The session's list of one rendition. Raises `FetchError` and `PlaylistError`."""
        film = await self._titles.film(call)
        session = await self._open(call, film, client, manifest_at=self._clock())
        pods = _decided(session)
        service, content = call.service, film.content
        mapped = bool(film.media.maps)
        ads = await self._inserts.lists(service, pods, film.rendition, content, mapped=mapped)
        target = content.target_s
        if pods:
            # Of the reference rendition, for all: variants share one target duration.
            reference = ladder.reference(content.renditions) or film.rendition
            first = await self._inserts.lists(service, pods, reference, content)
            longest = [max(one.durations, default=0) for one in first.values()]
            target = max([target, *((one + 500_000) // 1_000_000 for one in longest)])
        spliced = splice.vod(
            film.media,
            pods,
            ads,
            target_s=target,
            start=content.start,
            address=self._inserts.addresses(session, ads),
        )
        return Body(spliced.text.encode())

    async def tracking(self, call: Call, client: Callable[[], Client]) -> tuple[Session, bytes]:
        """The session, and what its client is told, as far as that is known."""
        session = await self._sessions.get(call.service, call.session_id)
        if session is not None and contradicts(call, session):
            return session, b""
        served = session is not None and session.context.manifest_at > 0
        if call.workflow == "1.0" and not served:
            session = await self.begin(call, client)
            return session, self._tracking.answer(
                (),
                target_s=UNKNOWN_TARGET_S,
                told_by_server=call.service.tracking == "server",
            )
        film: Film | None = None
        try:
            film = await self._titles.film(call)
            session = await self._open(call, film, client)
        except (FetchError, PlaylistError):
            session = await self.begin(call, client)
        answer = self._tracking.answer(
            _decided(session),
            target_s=film.content.target_s if film else UNKNOWN_TARGET_S,
            told_by_server=call.service.tracking == "server",
            content_us=splice.boundaries(film.reference)[-1] if film and _ended(film) else None,
        )
        return session, answer

    async def begin(self, call: Call, client: Callable[[], Client]) -> Session:
        """The session, without anything being decided."""
        wish = Wish(workflow=call.workflow, parameters=call.parameters)
        session, _ = await self._sessions.open(
            call.service,
            call.session_id,
            wish,
            life_us=contexts.SHORTEST_LIFE_US,
            began=self._began(call, client),
        )
        return session

    async def _open(
        self,
        call: Call,
        film: Film,
        client: Callable[[], Client],
        *,
        manifest_at: Micros = 0,
    ) -> Session:
        """The session with its decision, which is waited for.

        What has not ended is played as it is: ads at its end, or at shares of its length, would
        move as it grows. The session stays so.
        """
        service = call.service
        claim = self._decider.claim(contexts.WHOLE, 0, 0, None)
        claim = msgspec.structs.replace(claim, decided=not _ended(film))
        boundaries = splice.boundaries(film.reference)
        wish = Wish(
            workflow=call.workflow,
            parameters=call.parameters,
            manifest_at=manifest_at,
            pods=(claim,) if service.ad_server else (),
        )
        session, taken = await self._sessions.open(
            service,
            call.session_id,
            wish,
            life_us=contexts.life_us(service, boundaries[-1]),
            began=self._began(call, client),
        )
        if taken and service.ad_server and not claim.decided:
            asked = call.parameters or session.context.parameters
            whole = Whole(service.ad_server, asked, boundaries, film.content)
            self._decider.plan(session, claim, whole, client())
        await self._decider.wait(session, lambda pod: pod.claimed_until)
        self._decider.lose(session, client)
        return session


def _ended(film: Film) -> bool:
    return film.reference.ended


def _decided(session: Session) -> list[Pod]:
    return [pod for pod in session.context.pods if pod.decided and pod.id != contexts.WHOLE]
