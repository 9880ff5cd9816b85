"""The pages of profiles: who was seen, and one profile with all that is kept of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from footfall.console import asked
from footfall.console.answers import CHARACTERS, NEWEST_EVENTS, equal
from footfall.console.auth import ROOT
from footfall.console.chart import chart
from footfall.console.pages import Link, Pages, form_of
from footfall.console.profiles import (
    LAST_SEEN,
    MOST_NAMES,
    MOST_SAID,
    MOST_VISITS,
    PROFILE_FILTERS,
    PROFILE_PERIODS,
    Profiles,
)
from footfall.lake.tables import EVENTS, PROFILES

LABELS = {"id": "profile, alias or user id"}
"""Of filters that are no column."""
FIELDS = (
    *("source", "user_id", "first_seen_at", "last_seen_at"),
    *("country", "device", "os", "browser"),
)
HELP = {column.name: column.help for column in PROFILES.columns}


class ProfilePages:
    """The handlers, with what they ask; `pages` draws."""

    def __init__(self, profiles: Profiles, pages: Pages) -> None:
        self._profiles = profiles
        self._pages = pages

    def routes(self) -> list[Route]:
        return [
            Route(f"{ROOT}/profiles", self.overview),
            Route(f"{ROOT}/profile", self.profile),
        ]

    async def overview(self, request: Request) -> Response:
        params = request.query_params
        wanted = asked.wanted(params, LAST_SEEN, PROFILE_FILTERS)
        period = asked.period(params, PROFILE_PERIODS)
        seen = await self._profiles.seen(period, wanted.filters.get("source"), wanted.until)
        everybody = [new + old for new, old in zip(seen.new, seen.returning, strict=True)]
        drawn = chart(everybody, seen.start, seen.bin_s)
        return await self._pages.render(
            "profiles.html",
            page="profiles",
            seen=seen,
            chart=drawn,
            new=chart(seen.new, seen.start, seen.bin_s, end=drawn.end),
            profiles=await self._profiles.newest(wanted, period),
            period=period,
            periods=PROFILE_PERIODS,
            characters=CHARACTERS,
            labels=LABELS,
            link=Link(params),
            sql=_as_sql(wanted.filters),
            now=datetime.now(UTC),
            **form_of(params, PROFILE_FILTERS),
        )

    async def profile(self, request: Request) -> Response:
        params = request.query_params
        wanted = asked.wanted(params, NEWEST_EVENTS, ("source",))
        profile_id = asked.text("profile_id", params.get("profile_id", ""))
        found = await self._profiles.profile(profile_id, wanted.filters.get("source"), wanted)
        if found is None:
            return await self._pages.message(
                404,
                "No such profile",
                "Nothing is kept of a profile with this id. It may not be loaded yet, it may have "
                "been erased, or retention has deleted it.",
            )
        link = Link(params)
        if found.alias is not None:
            heir = link(profile_id=found.profile["profile_id"], alias=found.alias)
            return RedirectResponse(f"{ROOT}/profile{heir}", 303)
        known = {row["alias"]: row for row in found.aliases}
        return await self._pages.render(
            "profile.html",
            page="profiles",
            found=found,
            profile=found.profile,
            alias=known.get(params.get("alias", "")),
            columns=EVENTS.columns,
            fields=FIELDS,
            help=HELP,
            characters=CHARACTERS,
            most_names=MOST_NAMES,
            most_said=MOST_SAID,
            most_visits=MOST_VISITS,
            link=link,
            later=bool(params.get("before")),
            sql=_as_sql({"profile_id": profile_id}),
        )


def _as_sql(filters: Mapping[str, str]) -> str:
    """The query behind the list, to go on from."""
    columns = {name: value for name, value in filters.items() if name != "id"}
    where = [*equal(columns)]
    if sought := filters.get("id"):
        (by_id,), (by_user,) = equal({"profile_id": sought}), equal({"user_id": sought})
        where.append(f"({by_id} OR {by_user})")
    conditions = "\n  AND ".join(where) or "last_seen_at >= now() - INTERVAL 1 DAY"
    return f"SELECT *\nFROM profiles\nWHERE {conditions}\nORDER BY last_seen_at DESC\nLIMIT 100"
