"""The page of ads: how breaks were filled, by service and day, and what went wrong."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from footfall.console import asked
from footfall.console.ads import AD_FILTERS, AD_PERIODS, OUTCOMES, Ads
from footfall.console.answers import NEWEST_EVENTS, equal
from footfall.console.auth import ROOT
from footfall.console.pages import Link, Pages, form_of


class AdsPages:
    """The handler, with what it asks; `pages` draws."""

    def __init__(self, ads: Ads, pages: Pages) -> None:
        self._ads = ads
        self._pages = pages

    def routes(self) -> list[Route]:
        return [Route(f"{ROOT}/ads", self.account)]

    async def account(self, request: Request) -> Response:
        params = request.query_params
        wanted = asked.wanted(params, NEWEST_EVENTS, AD_FILTERS)
        period = asked.period(params, AD_PERIODS)
        return await self._pages.render(
            "ads.html",
            page="ads",
            account=await self._ads.account(period, wanted.filters, wanted.until),
            outcomes=OUTCOMES,
            period=period,
            periods=AD_PERIODS,
            link=Link(params),
            sql=_as_sql(wanted.filters),
            now=datetime.now(UTC),
            **form_of(params, AD_FILTERS),
        )


def _as_sql(filters: Mapping[str, str]) -> str:
    """A query to go on from: the breaks behind the figures."""
    where = "".join(f"\n  AND {condition}" for condition in equal(filters))
    return (
        f"SELECT *\nFROM ad_breaks\nWHERE decided_at >= now() - INTERVAL 7 DAYS{where}\n"
        "ORDER BY decided_at DESC\nLIMIT 100"
    )
