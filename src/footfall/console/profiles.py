# ruff: noqa: S608 - what is put into a query is ours, a number, or goes through `literal`
"""What the console can tell of profiles: who was seen, the list, one profile with its history.

Data in, data out, no HTTP. The view `profiles` works everything out for everybody, which takes
seconds where there are many; here that is done only for the few that a page shows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from footfall.console.answers import (
    CHARACTERS,
    JSON_CHARACTERS,
    NEWEST_EVENTS,
    SECOND,
    Answers,
    Page,
    Period,
    Row,
    as_row,
    read_query,
)
from footfall.console.paging import NotUnderstood, Order, Wanted, cursor_text
from footfall.lake.lake import literal
from footfall.lake.query import Answer
from footfall.lake.tables import EVENTS
from footfall.model import Micros

FRESH_SECONDS = 5.0
"""How long the figures of a period serve everybody who asks for them."""
PROFILE_PERIODS = (
    Period("day", "last 24 hours", 3600, 24),
    Period("week", "last 7 days", 86_400, 7),
    Period("month", "last 30 days", 86_400, 30),
)
"""Of at most 62 bins."""
PROFILE_FILTERS = ("source", "id")
LAST_SEEN = Order("last_seen_at", ("hash(source, profile_id)",), descending=True)
"""Who is seen again while somebody turns pages comes once more at the front."""
MOST_NAMED = 50
"""Consents and aliases of one line of the list."""
MOST_SAID = 20
"""Of the history of one trait or consent, the latest."""
MOST_NAMES = 1_000
"""Rows of a profile's traits, of its consents and of its aliases."""
STATES = (
    "CASE WHEN NOT granted THEN 'refused' WHEN until <= make_timestamp({now}) THEN 'expired' "
    'ELSE \'granted\' END AS "state", "until"'
)
"""Columns of a consent."""
MOST_VISITS = 50
PLACE = ("source", "protocol", "session_id")
"""What a session is found by."""
OF_A_VISIT = ("started_at", "ended_at", "duration_s", "events", "status", "visit")
"""Columns of `sessions`. A visit that is in no session's row has its start only."""
MOST_SOURCES = 1_000


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """Who was seen in a period, by the clients' times."""

    period: str
    start: datetime
    end: datetime
    """The end of the period's last bin, which may not be over yet."""
    bin_s: int
    new: list[int]
    """Profiles seen for the first time, by bin from `start` on."""
    returning: list[int]
    """Profiles that had been seen in an earlier bin, or before the period."""
    profiles: int
    new_profiles: int
    visits: int
    """Sessions of profiles with anything in the period."""
    with_consent: int
    """Of `profiles`, those with at least one consent that is granted as of now."""
    consent_rate: float | None
    """They by `profiles`, from 0 to 1, to four places; None where there is none."""


class Said(msgspec.Struct, frozen=True):
    """A trait or a consent: what was said of it, the latest first."""

    name: str
    times: int
    """How often; `history` has the latest."""
    history: list[Row]


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """One profile, whoever it was before."""

    alias: str | None
    """The id that was asked for, where this profile has taken it over."""
    profile: Row
    """As a line of the list."""
    sources: list[str]
    """Whose profile it is: more than one in an identity group."""
    aliases: list[Row]
    traits: list[Said]
    consents: list[Said]
    visits: list[Row]
    """The newest; `visits` of the profile says how many there are."""
    events: Page


class _Whose(NamedTuple):
    """A profile with what its rows are found by."""

    source: str
    """Its identity group, or its source."""
    profile_id: str
    sources: tuple[str, ...]
    """Whose profiles are the group's."""

    @property
    def select(self) -> str:
        """The SELECT of its id and of those that it took over."""
        own, group = literal(self.profile_id), literal(self.source)
        return (
            f"SELECT {own} UNION ALL "
            f"SELECT alias FROM heir WHERE identity = {group} AND profile_id = {own}"
        )

    @property
    def ids(self) -> str:
        """An SQL condition on an id: that it is one of them."""
        return f"IN ({self.select})"

    @property
    def within(self) -> str:
        """An SQL condition on a row's source."""
        return f"source IN ({', '.join(map(literal, self.sources))})"


class Profiles:
    """Over the console's answers."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self._asking = asyncio.Lock()
        self._seen: dict[tuple[object, ...], tuple[float, Seen]] = {}

    async def seen(self, period: Period, source: str | None, until: Micros | None) -> Seen:
        """One at a time, and the same for everybody for a while. `until` ends it before now."""
        asked = (period.name, source, until)
        async with self._asking:
            now = self._answers.now()
            kept = {
                key: one for key, one in self._seen.items() if 0 <= now - one[0] < FRESH_SECONDS
            }
            if asked not in kept:
                kept[asked] = now, await self._figures(period, source, until)
            self._seen = kept
            return kept[asked][1]

    async def _figures(self, period: Period, source: str | None, until: Micros | None) -> Seen:
        start, end = self._span(period, until)
        identity = "IS NOT NULL"
        if source is not None:
            identity = f"= {literal(await self._identity(source))}"
        found = await self._query(
            "profiles_figures",
            ids="IS NOT NULL",
            rows=period.bins + 1,
            identity=identity,
            start=start,
            end=end if until is None else min(end, until),
            bin=period.bin_s * SECOND,
            bins=period.bins,
            now=self._now(),
        )
        new, returning = [0] * period.bins, [0] * period.bins
        figures = (0, 0, 0, 0)
        for place, profiles, first, *more in found.rows:
            if place is None:
                figures = (profiles, first, *more)
            else:
                new[place], returning[place] = first, profiles - first
        return Seen(
            period=period.name,
            start=datetime.fromtimestamp(start // SECOND, UTC),
            end=datetime.fromtimestamp(end // SECOND, UTC),
            bin_s=period.bin_s,
            new=new,
            returning=returning,
            profiles=figures[0],
            new_profiles=figures[1],
            visits=figures[2],
            with_consent=figures[3],
            consent_rate=round(figures[3] / figures[0], 4) if figures[0] else None,
        )

    async def newest(self, wanted: Wanted, period: Period | None) -> Page:
        """Who was seen last comes first, with what a line shows of them.

        Of those only that were seen in the period, without one at any time before `until`; with
        the filter `id` both are passed over, for who looks for somebody wants to find them.
        """
        conditions, within = ["true"], "true"
        source, sought = wanted.filters.get("source"), wanted.filters.get("id")
        if source is not None:
            conditions.append(f"source = {literal(await self._identity(source))}")
        if sought is not None:
            conditions.append(
                f"(profile_id = {literal(sought)} OR (source, profile_id) IN (FROM named))"
            )
        else:
            bounds = ["true"]
            if period is not None:
                start, end = self._span(period, wanted.until)
                bounds += [f"occurred_at >= make_timestamp({start})"]
                bounds += [f"occurred_at < make_timestamp({end})"]
            if wanted.until is not None:
                bounds += [f"occurred_at < make_timestamp({wanted.until})"]
            within = " AND ".join(bounds)
            conditions.append("is_within")
        if wanted.cursor is not None:
            conditions.append(LAST_SEEN.beyond(wanted.cursor))
        return await self._lines(
            "IS NOT NULL", conditions, wanted.limit, within=within, sought=sought or ""
        )

    async def profile(self, profile_id: str, source: str | None, wanted: Wanted) -> Profile | None:
        """One profile with a part of its events; None where nothing is kept of it.

        Raises `NotUnderstood` where several have this id and no source is given.
        """
        whose = await self._find(profile_id, source)
        if whose is None:
            return None
        own = [f"source = {literal(whose.source)}", f"profile_id = {literal(whose.profile_id)}"]
        lines = await self._lines(whose.ids, own, 1)
        if not lines.rows:
            return None
        of_it: dict[str, Any] = {"ids": whose.ids, "where": whose.within, "characters": CHARACTERS}
        aliases = await self._query(
            "profiles_aliases", rows=MOST_NAMES, id=literal(whose.profile_id), **of_it
        )
        values = f'left("value"::VARCHAR, {JSON_CHARACTERS + 1}) AS "value"'
        states = STATES.format(now=self._now())
        return Profile(
            alias=profile_id if profile_id != whose.profile_id else None,
            profile={**lines.rows[0], "profile_id": whose.profile_id},
            sources=sorted(whose.sources),
            aliases=_rows(aliases),
            traits=await self._said("profile_traits", values, of_it),
            consents=await self._said("profile_consents", states, of_it),
            visits=await self._visits(whose),
            events=await self._events(whose, wanted),
        )

    async def _find(self, profile_id: str, source: str | None) -> _Whose | None:
        found = await self._query(
            "profiles_find",
            ids=f"= {literal(profile_id)}",
            rows=MOST_SOURCES,
            id=literal(profile_id),
        )
        identities = await self._identities()
        there = dict(found.rows)
        if source is not None:
            identity = identities.get(source, source)
            there = {identity: there[identity]} if identity in there else {}
        if len(there) > 1:
            names = ", ".join(sorted(there))
            raise NotUnderstood(f"Several sources have this profile; say `source`: {names}.")
        for name, heir in there.items():
            sources = [one for one, identity in identities.items() if identity == name]
            # A source that counts no visits is its own group.
            return _Whose(name, heir, tuple(sources) or (name,))
        return None

    async def _lines(
        self,
        ids: str,
        conditions: Sequence[str],
        limit: int,
        *,
        within: str = "true",
        sought: str = "",
    ) -> Page:
        names = [f"key_{place}" for place in range(len(LAST_SEEN.keys))]
        keys = ", ".join(
            f"{key} AS {name}" for key, name in zip(LAST_SEEN.keys, names, strict=True)
        )
        found = await self._query(
            "profiles_list",
            ids=ids,
            rows=limit,
            where=" AND ".join(f"({one})" for one in conditions),
            within=within,
            id=literal(sought),
            order=LAST_SEEN.clause(),
            limit=limit + 1,
            now=self._now(),
            most=MOST_NAMED,
            characters=CHARACTERS,
            keys=keys,
        )
        rows = _rows(found, len(names))
        more = found.truncated and found.rows
        return Page(rows, cursor_text(found.rows[-1][-len(names) :]) if more else None)

    async def _said(self, table: str, columns: str, of_it: Mapping[str, Any]) -> list[Said]:
        found = await self._query(
            "profiles_history",
            rows=MOST_NAMES,
            table=table,
            columns=columns,
            most=MOST_SAID,
            **of_it,
        )
        by_name: dict[tuple[str, int], list[Row]] = {}
        for row in _rows(found):
            if row.pop("nth") == 1:
                latest = by_name[row["name"], len(by_name)] = []
            latest.append(row)
        return [
            Said(name, rows[0]["times"], [_without(row, "name", "times") for row in rows])
            for (name, _), rows in by_name.items()
        ]

    async def _visits(self, whose: _Whose) -> list[Row]:
        """Sessions as `sessions` has them; one whose events are gone, or not kept, by its start."""
        begun = await self._query(
            "profiles_visits", ids=whose.ids, rows=MOST_VISITS, where=whose.within
        )
        # One with an id beyond all measure would make the query too long, and one with a NUL cannot
        # stand in a query; their sessions' pages cannot be asked for either.
        places = [r[:3] for r in begun.rows if len(r[2]) <= CHARACTERS and "\0" not in r[2]]
        wanted = [
            f"{column} IN ({', '.join(sorted({literal(place[at]) for place in places}))})"
            for at, column in enumerate(PLACE)
        ]
        found = await self._answers.read(
            f"SELECT {', '.join((*PLACE, *OF_A_VISIT))} FROM sessions "
            f"WHERE {' AND '.join(wanted) if places else 'false'}",
            MOST_VISITS**2,
        )
        kept = {row[:3]: as_row(OF_A_VISIT, row[3:]) for row in found.rows}
        nothing: Row = dict.fromkeys(OF_A_VISIT) | {"events": 0}
        return [
            as_row(PLACE, row[:3]) | kept.get(row[:3], nothing | as_row(("started_at",), row[3:4]))
            for row in begun.rows
        ]

    async def _events(self, whose: _Whose, wanted: Wanted) -> Page:
        ids = f"WITH RECURSIVE {read_query('profiles_heirs')} {whose.select}"
        conditions = [f"profile_id IN ({ids})", whose.within]
        if wanted.cursor is not None:
            conditions.append(NEWEST_EVENTS.beyond(wanted.cursor))
        return await self._answers.page(EVENTS, NEWEST_EVENTS, conditions, wanted.limit)

    async def _identity(self, source: str) -> str:
        """The identity group of a source, or the source, or the group that it names."""
        return (await self._identities()).get(source, source)

    async def _identities(self) -> dict[str, str]:
        found = await self._answers.sql("SELECT source, identity FROM identities", MOST_SOURCES)
        return dict(found.rows)

    def _span(self, period: Period, until: Micros | None) -> tuple[Micros, Micros]:
        """The whole bins of a period that ends now, or with the bin that `until` is in."""
        size = period.bin_s * SECOND
        last = (self._now() if until is None else min(until - 1, self._now())) // size
        end = (max(last, period.bins - 1) + 1) * size
        return end - size * period.bins, end

    def _now(self) -> Micros:
        return int(self._answers.now() * SECOND)

    async def _query(self, name: str, *, ids: str, rows: int, **values: Any) -> Answer:
        heirs = read_query("profiles_heirs")
        said = read_query("profiles_rows").format(ids=ids)
        sql = read_query(name).format(heirs=heirs, said=said, ids=ids, **values)
        return await self._answers.sql(sql, rows)


def _rows(found: Answer, besides: int = 0) -> list[Row]:
    """Rows as they are shown, without the last columns."""
    width = len(found.columns) - besides
    return [as_row(found.columns[:width], row[:width]) for row in found.rows]


def _without(row: Row, *names: str) -> Row:
    return {name: value for name, value in row.items() if name not in names}
