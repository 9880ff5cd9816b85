"""The JSON of media sessions: `/console/api/media…`, described in docs/console.md."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from footfall.console import asked
from footfall.console.api import LIST, as_json, refusal
from footfall.console.auth import API
from footfall.console.media import (
    AUDIENCE_FILTERS,
    MEDIA_FILTERS,
    MEDIA_PERIODS,
    OPEN_FIRST,
    Media,
)

ROWS = 100
"""Of a list, where no `limit` is given."""


class MediaApi:
    """The handlers, with what they ask."""

    def __init__(self, media: Media) -> None:
        self._media = media

    def routes(self) -> list[Route]:
        return [
            Route(f"{API}media", self.sessions),
            Route(f"{API}media/concurrent", self.concurrent),
            Route(f"{API}media/content", self.content),
            Route(f"{API}media/{{session_id}}", self.session),
        ]

    async def sessions(self, request: Request) -> Response:
        asked.refuse_unknown(request.query_params, LIST.union(MEDIA_FILTERS))
        wanted = asked.wanted(request.query_params, OPEN_FIRST, MEDIA_FILTERS, rows=ROWS)
        return as_json(await self._media.sessions(wanted))

    async def concurrent(self, request: Request) -> Response:
        params = request.query_params
        asked.refuse_unknown(params, {"period", "until", *AUDIENCE_FILTERS})
        wanted = asked.wanted(params, OPEN_FIRST, AUDIENCE_FILTERS)
        period = asked.period(params, MEDIA_PERIODS)
        return as_json(await self._media.audience(period, wanted.filters, wanted.until))

    async def content(self, request: Request) -> Response:
        asked.refuse_unknown(request.query_params, set(AUDIENCE_FILTERS))
        source, media_id = (
            asked.text(name, request.query_params.get(name, "")) for name in AUDIENCE_FILTERS
        )
        found = await self._media.content(source, media_id)
        if found is None:
            return refusal(
                404, "No media session has this content.", "Look at source and media_id."
            )
        return as_json(found)

    async def session(self, request: Request) -> Response:
        """The session as `footfall session --json` has it."""
        asked.refuse_unknown(request.query_params, set())
        session_id = asked.text("session_id", request.path_params["session_id"])
        found = await self._media.service.session(session_id)
        if not found:
            return refusal(404, "There is no such media session.", "Look at the id.")
        return as_json(found)
