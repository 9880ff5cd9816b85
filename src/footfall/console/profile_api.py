"""The JSON of profiles: `/console/api/profiles…` and `visitors`, described in docs/console.md."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from footfall.console import asked
from footfall.console.answers import NEWEST_EVENTS
from footfall.console.api import LIST, as_json, refusal
from footfall.console.auth import API
from footfall.console.profiles import LAST_SEEN, PROFILE_FILTERS, PROFILE_PERIODS, Profiles


class ProfileApi:
    """The handlers, with what they ask."""

    def __init__(self, profiles: Profiles) -> None:
        self._profiles = profiles

    def routes(self) -> list[Route]:
        return [
            Route(f"{API}visitors", self.seen),
            Route(f"{API}profiles", self.profiles),
            Route(f"{API}profiles/{{profile_id:path}}", self.profile),
        ]

    async def seen(self, request: Request) -> Response:
        params = request.query_params
        asked.refuse_unknown(params, {"period", "source", "until"})
        wanted = asked.wanted(params, LAST_SEEN, ("source",))
        period = asked.period(params, PROFILE_PERIODS)
        found = await self._profiles.seen(period, wanted.filters.get("source"), wanted.until)
        return as_json(found)

    async def profiles(self, request: Request) -> Response:
        params = request.query_params
        asked.refuse_unknown(params, LIST.union(PROFILE_FILTERS, {"period"}))
        wanted = asked.wanted(params, LAST_SEEN, PROFILE_FILTERS)
        period = asked.period(params, PROFILE_PERIODS) if params.get("period") else None
        return as_json(await self._profiles.newest(wanted, period))

    async def profile(self, request: Request) -> Response:
        params = request.query_params
        asked.refuse_unknown(params, {"source", "limit", "before"})
        wanted = asked.wanted(params, NEWEST_EVENTS, ("source",))
        profile_id = asked.text("profile_id", request.path_params["profile_id"])
        found = await self._profiles.profile(profile_id, wanted.filters.get("source"), wanted)
        if found is None:
            return refusal(404, "Nothing is kept of such a profile.", "Look at source and id.")
        return as_json(found)
