"""What the console can tell of ads: how breaks were filled, what was seen, what went wrong.

Data in, data out, no HTTP. Days are whole days of UTC, and a break is of the day on which it was
decided.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

import msgspec

from footfall.console.answers import SECOND, Answers, Period, equal, read_query
from footfall.lake.query import Answer
from footfall.model import Micros

DAY: Micros = 86_400 * SECOND
FRESH_SECONDS = 5.0
"""How long an account serves everybody who asks for the same one."""
MOST_ROWS = 1_000
"""Services and days of an account."""
AD_FILTERS = ("source", "service")
AD_PERIODS = (
    Period("week", "last 7 days", 86_400, 7),
    Period("day", "today", 86_400, 1),
    Period("month", "last 30 days", 86_400, 30),
)
OUTCOMES = ("filled", "partial", "empty", "failed", "lost")
VAST_ERRORS: Mapping[int, str] = {
    100: "The answer is no XML.",
    101: "The answer is no VAST.",
    102: "A version of VAST that is not read.",
    200: "An ad of a kind that was not asked for.",
    201: "An ad that is not linear.",
    202: "Too long for what was left of the break.",
    203: "A size that was not asked for.",
    300: "A wrapper could not be followed.",
    301: "The ad server gave no answer in time, or none that could be used.",
    302: "Too many wrappers around one ad.",
    303: "No ad behind the wrappers, or none at all.",
    304: "An ad that came too late to be shown.",
    400: "The creative could not be used.",
    401: "The creative is not there.",
    402: "The creative did not come in time.",
    403: "Neither HLS nor a video file.",
    405: "The creative cannot be played.",
    406: "No mezzanine file to prepare the creative from.",
    407: "The creative is being prepared.",
    500: "A non-linear ad could not be used.",
    600: "A companion could not be used.",
    900: "No code of VAST: a creative that is being prepared, a break that is nowhere.",
    901: "An ad that is a program (VPAID).",
}
"""What stands behind a code, for whoever wonders."""


class AdFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What came of some breaks. Rates are from 0 to 1, to four places; None: of nothing."""

    breaks: int
    outcomes: Mapping[str, int]
    planned_ms: int
    """Of breaks of a known length."""
    filled_ms: int
    """Of the same breaks."""
    fill_rate: float | None
    """`filled_ms` by `planned_ms`."""
    offered: int
    ads: int
    """Placed."""
    impressions: int | None
    """Reported by the server; None where clients report."""
    completes: int | None
    completion_rate: float | None
    """Completes by impressions, of ads that have addresses for both."""
    uncertain: int | None
    """Reports of which nobody knows whether they arrived."""
    errors: int
    latency_ms: float | None
    """Of the ad server with its wrappers, the median break."""
    latency_p95_ms: float | None
    """95 of 100 breaks took at most so long."""


class ServiceDay(msgspec.Struct, frozen=True, kw_only=True):
    """One service on one day."""

    day: date
    source: str
    service: str
    figures: AdFigures


class ErrorCount(msgspec.Struct, frozen=True, kw_only=True):
    code: int
    """VAST's."""
    help: str
    errors: int
    breaks: int
    """In how many breaks."""
    services: list[str]
    newest_at: datetime


class AdAccount(msgspec.Struct, frozen=True, kw_only=True):
    """What came of the breaks that were decided in a period."""

    period: str
    start: datetime
    end: datetime
    """The end of its last day, which may not be over yet."""
    total: AdFigures
    by_day: list[ServiceDay]
    """The latest day first; services by name."""
    by_error: list[ErrorCount]
    """The most frequent first."""


class Ads:
    """Over the console's answers."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self._asking = asyncio.Lock()
        self._accounts: dict[object, tuple[float, AdAccount]] = {}

    async def account(
        self, period: Period, filters: Mapping[str, str], until: Micros | None = None
    ) -> AdAccount:
        """One at a time, and the same for everybody for some seconds.

        `until` ends the period with the day that holds the moment before it.
        """
        asked = (period.name, until, tuple(sorted(filters.items())))
        async with self._asking:
            now = self._answers.now()
            kept = {
                key: one for key, one in self._accounts.items() if 0 <= now - one[0] < FRESH_SECONDS
            }
            if asked not in kept:
                kept[asked] = now, await self._account(period, filters, until)
            self._accounts = kept
            return kept[asked][1]

    async def _account(
        self, period: Period, filters: Mapping[str, str], until: Micros | None
    ) -> AdAccount:
        last = int(self._answers.now() * SECOND) // DAY
        if until is not None:
            last = max(min(last, (until - 1) // DAY), period.bins)
        start, end = (last + 1 - period.bins) * DAY, (last + 1) * DAY
        span = {"start": start, "end": end}
        found = await self._query("ads_days", filters, span)
        rows = [dict(zip(found.columns, row, strict=True)) for row in found.rows]
        errors = await self._query("ads_errors", filters, span)
        return AdAccount(
            period=period.name,
            start=datetime.fromtimestamp(start / SECOND, UTC),
            end=datetime.fromtimestamp(end / SECOND, UTC),
            total=_figures(rows[0]),
            by_day=[
                ServiceDay(
                    day=row["day"],
                    source=row["source"],
                    service=row["service"],
                    figures=_figures(row),
                )
                for row in rows[1:]
            ],
            by_error=[
                ErrorCount(
                    code=code,
                    help=VAST_ERRORS.get(code, ""),
                    errors=count,
                    breaks=breaks,
                    services=services,
                    newest_at=newest.replace(tzinfo=UTC),
                )
                for code, count, breaks, services, newest in errors.rows
            ],
        )

    async def _query(
        self, name: str, filters: Mapping[str, str], span: Mapping[str, Micros]
    ) -> Answer:
        where = " AND ".join(equal(filters)) or "true"
        sql = read_query(name).format(where=where, most=MOST_ROWS, **span)
        return await self._answers.sql(sql, MOST_ROWS + 1)


def _figures(row: Mapping[str, Any]) -> AdFigures:
    return AdFigures(
        breaks=row["breaks"],
        outcomes={name: row[name] for name in OUTCOMES},
        planned_ms=row["planned_ms"],
        filled_ms=row["filled_ms"],
        fill_rate=_rate(row["filled_ms"], row["planned_ms"]),
        offered=row["offered"],
        ads=row["ads"],
        impressions=row["impressions"],
        completes=row["completes"],
        completion_rate=_rate(row["completed"], row["completable"]),
        uncertain=row["uncertain"],
        errors=row["errors"],
        latency_ms=row["latency_ms"],
        latency_p95_ms=row["latency_p95_ms"],
    )


def _rate(part: int | None, whole: int | None) -> float | None:
    return round((part or 0) / whole, 4) if whole else None
