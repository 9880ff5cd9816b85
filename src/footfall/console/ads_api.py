"""The JSON of ads: `/console/api/ads`, described in docs/console.md."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from footfall.console import asked
from footfall.console.ads import AD_FILTERS, AD_PERIODS, Ads
from footfall.console.answers import NEWEST_EVENTS
from footfall.console.api import as_json
from footfall.console.auth import API


class AdsApi:
    """The handler, with what it asks."""

    def __init__(self, ads: Ads) -> None:
        self._ads = ads

    def routes(self) -> list[Route]:
        return [Route(f"{API}ads", self.account)]

    async def account(self, request: Request) -> Response:
        params = request.query_params
        asked.refuse_unknown(params, {"period", "until", *AD_FILTERS})
        wanted = asked.wanted(params, NEWEST_EVENTS, AD_FILTERS)
        period = asked.period(params, AD_PERIODS)
        return as_json(await self._ads.account(period, wanted.filters, wanted.until))
