"""The pages of media sessions: audience and list, one session, one content."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from footfall.console import asked
from footfall.console.answers import CHARACTERS, equal
from footfall.console.auth import ROOT
from footfall.console.chart import Chart, chart, curve
from footfall.console.media import (
    AUDIENCE_FILTERS,
    MEDIA_FILTERS,
    MEDIA_PERIODS,
    OPEN_FIRST,
    Audience,
    Media,
)
from footfall.console.media_api import ROWS
from footfall.console.media_words import GROUPS, ITEMS, account
from footfall.console.pages import Link, Pages, form_of
from footfall.lake.tables import MEDIA

MOST_BARS = 120
"""A period of more minutes is drawn by the most viewers of several."""
MOST_ITEMS = 200
"""Ads, chapters and states of one session that its page shows."""
HELP = {column.name: column.help for table in MEDIA for column in table.columns}


class MediaPages:
    """The handlers, with what they ask; `pages` draws."""

    def __init__(self, media: Media, pages: Pages) -> None:
        self._media = media
        self._pages = pages

    def routes(self) -> list[Route]:
        return [
            Route(f"{ROOT}/media", self.overview),
            Route(f"{ROOT}/media/session", self.session),
            Route(f"{ROOT}/media/content", self.content),
        ]

    async def overview(self, request: Request) -> Response:
        params = request.query_params
        wanted = asked.wanted(params, OPEN_FIRST, MEDIA_FILTERS, rows=ROWS)
        period = asked.period(params, MEDIA_PERIODS)
        filters = {k: v for k, v in wanted.filters.items() if k in AUDIENCE_FILTERS}
        audience = await self._media.audience(period, filters, wanted.until)
        drawn, bin_s = _drawn(audience)
        return await self._pages.render(
            "media.html",
            page="media",
            audience=audience,
            chart=drawn,
            bin_s=bin_s,
            characters=CHARACTERS,
            period=period,
            periods=MEDIA_PERIODS,
            media=await self._media.sessions(wanted),
            link=Link(params),
            sql=_as_sql(wanted.filters),
            now=datetime.now(UTC),
            **form_of(params, MEDIA_FILTERS),
        )

    async def session(self, request: Request) -> Response:
        source, session_id = (
            asked.text(name, request.query_params.get(name, ""))
            for name in ("source", "session_id")
        )
        for tables in await self._media.service.session(session_id):
            (session,) = tables["media_sessions"]
            if session["source"] == source:
                return await self._pages.render(
                    "media_session.html",
                    page="media",
                    session=session,
                    account=account(session["account"]),
                    groups=GROUPS,
                    items=[(*ITEMS[name], tables[name]) for name in ITEMS],
                    most_items=MOST_ITEMS,
                    help=HELP,
                )
        return await self._pages.message(
            404,
            "No such media session",
            "No media session of this source has this id. Retention may have deleted it.",
        )

    async def content(self, request: Request) -> Response:
        source, media_id = (
            asked.text(name, request.query_params.get(name, "")) for name in AUDIENCE_FILTERS
        )
        found = await self._media.content(source, media_id)
        if found is None:
            return await self._pages.message(
                404, "No such content", "No media session of this source has this content."
            )
        return await self._pages.render(
            "media_content.html",
            page="media",
            content=found,
            curve=curve([point.share for point in found.drop_off.points]),
        )


def _drawn(audience: Audience) -> tuple[Chart, int]:
    """The viewers by minute, or the most of several minutes where there are too many.

    With it, how many seconds a bar is.
    """
    every = -(-len(audience.viewers) // MOST_BARS)
    bars = [
        max(audience.viewers[first : first + every])
        for first in range(0, len(audience.viewers), every)
    ]
    return chart(bars, audience.start, every * 60), every * 60


def _as_sql(filters: Mapping[str, str]) -> str:
    """The query behind the list, to go on from."""
    where = "".join(f"\n  AND {condition}" for condition in equal(filters))
    return (
        f"SELECT *\nFROM media_sessions\nWHERE started_at >= now() - INTERVAL 1 DAY{where}\n"
        "ORDER BY state = 'open' DESC, started_at DESC\nLIMIT 100"
    )
