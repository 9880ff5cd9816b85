"""What the console can tell of media sessions: audience, the list, how far one content is watched.

Data in, data out, no HTTP. What is open is brought up to date at most once a second, for everybody
together, however many pages ask.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from footfall.console.answers import (
    CHARACTERS,
    PERIODS,
    SECOND,
    Answers,
    Page,
    Period,
    as_row,
    equal,
    read_query,
)
from footfall.console.paging import Descending, Wanted, cursor_text, windows
from footfall.lake.query import Answer
from footfall.model import Micros

MINUTE: Micros = 60 * SECOND
FRESH_SECONDS = 1.0
"""How long what is open, and an audience, serves everybody who asks."""
MEDIA_FILTERS = ("source", "state", "media_id")
AUDIENCE_FILTERS = ("source", "media_id")
MEDIA_PERIODS = PERIODS[:2]
"""Longer ones have too many minutes."""
OPEN_FIRST = Descending(
    ("(state = 'open')::INTEGER", "epoch_us(started_at)", "hash(source, session_id)")
)
"""A session that closes while somebody turns pages comes once more among the closed ones."""
REACHED = (10, 25, 50, 75, 95)
"""Per cent: `progress_markers`."""
STEP_PERCENT = 5
MOST_STEPS = 60
"""Of a drop-off by minutes."""
DAY_S = 86_400


class Audience(msgspec.Struct, frozen=True, kw_only=True):
    """Who watched in a period, and what became of the sessions that began in it.

    Rates are from 0 to 1, to four places; None where there is nothing that they could be of.
    """

    period: str
    start: datetime
    end: datetime
    """The end of the period's last minute, which may not be over yet."""
    viewers: list[int]
    """Distinct viewers by minute from `start` on."""
    peak: int
    average_minute_audience: float
    """Viewers in an average minute: the sum of `viewers` by their number."""
    open_sessions: int
    """Now, whenever they began."""
    media_starts: int
    content_starts: int
    completes: int
    completion_rate: float | None
    """Completes by content starts."""
    drops_before_start: int
    """Closed without a content start."""
    drop_rate: float | None
    """They by media starts."""
    average_content_time_s: float | None
    """By session with a content start."""
    buffer_rate: float | None
    """Sessions whose content buffered, by media starts."""
    error_rate: float | None
    """Sessions with an error, by media starts."""


class Point(msgspec.Struct, frozen=True):
    """One place of a curve."""

    at: int
    sessions: int
    share: float
    """Of the curve's sessions, to four places."""


class DropOff(msgspec.Struct, frozen=True):
    """How many were still watching, of the closed sessions with a content start."""

    unit: str
    """What `at` of a point is: `percent` of the length, or `minute` of content time."""
    sessions: int
    points: list[Point]


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """How far one content is watched."""

    source: str
    media_id: str
    media_name: str | None
    length_s: float | None
    """The length that most sessions sent."""
    sessions: int
    open_sessions: int
    content_starts: int
    completes: int
    completion_rate: float | None
    reached: list[Point]
    """Of the sessions with a content start, those that came to `at` per cent of the length."""
    drop_off: DropOff


class Media:
    """Over the console's answers."""

    def __init__(self, answers: Answers) -> None:
        self.service = answers.service
        self._answers = answers
        self._refreshing = asyncio.Lock()
        self._refreshed = -math.inf
        self._asking = asyncio.Lock()
        self._audiences: dict[object, tuple[float, Audience]] = {}

    async def audience(
        self, period: Period, filters: Mapping[str, str], until: Micros | None = None
    ) -> Audience:
        """One at a time, and the same for everybody within a second: pages ask again and again.

        `until` ends the period earlier than now.
        """
        asked = (period.name, until, tuple(sorted(filters.items())))
        async with self._asking:
            now = self._answers.now()
            kept = {key: one for key, one in self._audiences.items() if _fresh(now, one[0])}
            if asked not in kept:
                kept[asked] = now, await self._audience(period, filters, until)
            self._audiences = kept
            return kept[asked][1]

    async def _audience(
        self, period: Period, filters: Mapping[str, str], until: Micros | None
    ) -> Audience:
        minutes = period.bin_s * period.bins // 60
        last = int(self._answers.now() * SECOND) // MINUTE
        if until is not None:
            last = max(min(last, (until - 1) // MINUTE), minutes)
        first = last - minutes + 1
        span = {"first": first, "last": last, "start": first * MINUTE, "end": (last + 1) * MINUTE}
        found = await self._query("media_concurrent", filters, rows=minutes, **span)
        viewers = [0] * minutes
        for minute, count in found.rows:
            viewers[minute - first] = count
        counted = await self._query("media_figures", filters, rows=1, **span)
        figures = dict(zip(counted.columns, counted.rows[0], strict=True))
        buffered, failed = figures.pop("buffered"), figures.pop("failed")
        return Audience(
            period=period.name,
            start=datetime.fromtimestamp(first * 60, UTC),
            end=datetime.fromtimestamp((last + 1) * 60, UTC),
            viewers=viewers,
            peak=max(viewers),
            average_minute_audience=round(sum(viewers) / minutes, 4),
            completion_rate=_rate(figures["completes"], figures["content_starts"]),
            drop_rate=_rate(figures["drops_before_start"], figures["media_starts"]),
            buffer_rate=_rate(buffered, figures["media_starts"]),
            error_rate=_rate(failed, figures["media_starts"]),
            **figures,
        )

    async def sessions(self, wanted: Wanted) -> Page:
        """Open ones first, then the newest, with what a line shows of them."""
        fixed = equal(wanted.filters)
        end = int(self._answers.now() * SECOND)
        if wanted.until is not None:
            fixed.append(f"started_at < make_timestamp({wanted.until})")
            end = wanted.until
        if wanted.cursor is not None:
            fixed.append(OPEN_FIRST.beyond(wanted.cursor))
            if not wanted.cursor[0]:
                end = wanted.cursor[1]
        page = Page([], None)
        for begin in windows(end):
            within = ["true"]
            if begin is not None:
                within = [f"(state = 'open' OR started_at >= make_timestamp({begin}))"]
            page = await self._sessions([*fixed, *within], wanted.limit)
            if page.next is not None:
                break
        return page

    async def _sessions(self, conditions: list[str], limit: int) -> Page:
        names = [f"key_{place}" for place in range(len(OPEN_FIRST.keys))]
        keys = ", ".join(
            f"{key} AS {name}" for key, name in zip(OPEN_FIRST.keys, names, strict=True)
        )
        await self._refresh()
        found = await self._answers.read(
            read_query("media_list").format(
                characters=CHARACTERS,
                keys=keys,
                where=" AND ".join(conditions),
                order=OPEN_FIRST.clause(),
                limit=limit + 1,
            ),
            limit,
        )
        width = len(found.columns) - len(names)
        rows = [as_row(found.columns[:width], row[:width]) for row in found.rows]
        more = found.truncated and found.rows
        return Page(rows, cursor_text(found.rows[-1][width:]) if more else None)

    async def content(self, source: str, media_id: str) -> Content | None:
        """One content of a source; None where no session has it."""
        filters = {"source": source, "media_id": media_id}
        found = await self._query("media_content", filters, rows=1, characters=CHARACTERS)
        row = as_row(found.columns, found.rows[0])
        if not row["sessions"]:
            return None
        starts = row["content_starts"]
        return Content(
            source=source,
            media_id=media_id,
            media_name=row["media_name"],
            length_s=row["length_s"],
            sessions=row["sessions"],
            open_sessions=row["open_sessions"],
            content_starts=starts,
            completes=row["completes"],
            completion_rate=_rate(row["completes"], starts),
            reached=[_point(mark, row[f"reached_{mark}"], starts) for mark in REACHED],
            drop_off=await self._drop_off(filters, row["length_s"], row["longest_s"]),
        )

    async def _drop_off(
        self, filters: Mapping[str, str], length_s: float | None, longest_s: float | None
    ) -> DropOff:
        """By per cent where the content has an end, else by minutes."""
        if length_s is not None and length_s < DAY_S:
            unit, size = "percent", STEP_PERCENT
            steps = 100 // size
        else:
            unit = "minute"
            minutes = math.ceil((longest_s or 0) / 60)
            size = max(math.ceil(minutes / MOST_STEPS), 1)
            steps = math.ceil(minutes / size)
        found = await self._query(
            f"media_left_{unit}", filters, rows=100, size=size, steps=steps, length_s=length_s or 0
        )
        all_of_them = found.rows[0][1] if found.rows else 0
        return DropOff(
            unit, all_of_them, [_point(at, sessions, all_of_them) for at, sessions in found.rows]
        )

    async def _query(
        self, name: str, filters: Mapping[str, str], *, rows: int, **values: Any
    ) -> Answer:
        where = " AND ".join(equal(filters)) or "true"
        await self._refresh()
        return await self._answers.read(read_query(name).format(where=where, **values), rows)

    async def _refresh(self) -> None:
        async with self._refreshing:
            if not _fresh(self._answers.now(), self._refreshed):
                await self.service.refresh("media_sessions")
                self._refreshed = self._answers.now()


def _fresh(now: float, made: float) -> bool:
    return 0 <= now - made < FRESH_SECONDS


def _rate(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def _point(at: int, sessions: int, whole: int) -> Point:
    return Point(at, sessions, _rate(sessions, whole) or 0.0)
