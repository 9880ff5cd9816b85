# ruff: noqa: S608 - column names are ours, values are numbers or go through `literal`
"""What the console can tell: overview, events, one session, rejects. Data in, data out, no HTTP.

Everything is asked of the lake through the same guard and limits as anybody's SQL. What clients
sent is bounded here on its way out (`CHARACTERS`, `JSON_CHARACTERS`), so that a page of the largest
events there can be is still a page; the whole of an event can be asked for in SQL.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib import resources
from typing import Any, NamedTuple, Protocol

import msgspec

from footfall.console.paging import Order, Wanted, cursor_text, windows
from footfall.control.contract import Service
from footfall.lake.lake import Lake, literal
from footfall.lake.query import Answer, ask
from footfall.lake.tables import EVENTS, PROFILE_TRAITS, PROFILES, REJECTS, Table
from footfall.model import Micros

SECOND: Micros = 1_000_000
CHARACTERS = 1_000
"""Longest text of a row."""
JSON_CHARACTERS = 16_384
"""Longest `properties` or `context` of a row; a longer one is left out."""
MOST = 12
"""How many types, sources and protocols the overview lists; reasons are few and all listed."""
OVERVIEW_SECONDS = 1.0
"""How long an overview serves everybody who asks for the same one."""


class Period(NamedTuple):
    """A stretch of time up to now, and how it is drawn."""

    name: str
    label: str
    bin_s: int
    bins: int


PERIODS = (
    Period("hour", "last hour", 60, 60),
    Period("day", "last 24 hours", 1800, 48),
    Period("week", "last 7 days", 10_800, 56),
)

_SAME_EVENT = "hash(source, protocol, event_id)"
NEWEST_EVENTS = Order("received_at", ("partition", "position", _SAME_EVENT), descending=True)
NEWEST_REJECTS = Order(
    "received_at", ("hash(source, protocol, reason, detail, status, body)",), descending=True
)
IN_ORDER = Order(
    "occurred_at",
    ("epoch_us(received_at)", "partition", "position", _SAME_EVENT),
    descending=False,
)
"""The order in which the events of a session happened, as the client says."""

EVENT_FILTERS = ("source", "protocol", "type", "session_id", "user_id", "profile_id")
REJECT_FILTERS = ("source", "protocol", "reason")

Row = dict[str, Any]
"""By column name, as docs/tables.md has them; times with their zone, JSON as `msgspec.Raw`."""


class Page(msgspec.Struct, frozen=True):
    """Some rows of a list."""

    rows: list[Row]
    next: str | None
    """Where the page after this one begins; None: this is the last."""


class Count(msgspec.Struct, frozen=True):
    name: str
    events: int
    protocol: str | None = None


class RejectCount(msgspec.Struct, frozen=True):
    protocol: str
    reason: str
    rejects: int
    newest_at: datetime
    detail: str
    """Of the newest."""


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """What came in a period, and how things stand."""

    period: str
    start: datetime
    end: datetime
    bin_s: int
    bins: list[int]
    """Events by bin from `start` on. The last one is not over yet."""
    events: int
    rejects: int
    """Those that were kept; see `server.limits.rejects_per_minute`."""
    by_source: list[Count]
    by_protocol: list[Count]
    by_type: list[Count]
    by_reason: list[RejectCount]
    status: Mapping[str, Any]
    """As `footfall status` has it."""


class Session(msgspec.Struct, frozen=True):
    """One session with a page of its events, in the order in which they happened."""

    session: Row
    events: Page


class LiveService(Service, Protocol):
    """The service of the very process, which can be told to be up to date."""

    async def refresh(self, sql: str) -> None:
        """Make what a query asks for as fresh as a query of the service would see it."""
        ...


class Answers:
    """Over a lake and a service that somebody else opened and will close."""

    def __init__(
        self,
        lake: Lake,
        service: LiveService,
        *,
        seconds: float,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.service = service
        self._lake = lake
        self._seconds = seconds
        self.now = now
        """Seconds since 1970."""
        self._asking = asyncio.Lock()
        self._overviews: dict[str, tuple[float, Overview]] = {}

    async def sql(self, sql: str, rows: int) -> Answer:
        """The first rows of anybody's SELECT. Raises `QueryRefused`, `QueryTimeout`."""
        await self.service.refresh(sql)
        return await self.read(sql, rows)

    async def read(self, sql: str, rows: int) -> Answer:
        """As `sql`, of what is loaded and shown by now."""
        return await ask(self._lake, sql, seconds=self._seconds, rows=rows)

    async def overview(self, period: Period) -> Overview:
        """One at a time, and the same for everybody within a second: pages ask again and again."""
        async with self._asking:
            made, overview = self._overviews.get(period.name, (0.0, None))
            if overview is None or not 0 <= self.now() - made < OVERVIEW_SECONDS:
                overview = await self._overview(period)
                self._overviews[period.name] = (self.now(), overview)
            return overview

    async def _overview(self, period: Period) -> Overview:
        size = period.bin_s
        first = (int(self.now()) // size - period.bins + 1) * size
        end = first + size * period.bins
        span = {"start": first * SECOND, "end": end * SECOND, "bin": size * SECOND, "most": MOST}
        found = await self._query("overview_bins", span)
        bins = [0] * period.bins
        for row in found.rows:
            bins[row[0]] = row[1]
        counts = (await self._query("overview_counts", span)).rows
        reasons = await self._query("overview_rejects", span)
        by_reason = [RejectCount(**as_row(reasons.columns, row)) for row in reasons.rows]

        def by(kind: str) -> list[Count]:
            return [Count(name, n, protocol) for k, name, protocol, n in counts if k == kind]

        return Overview(
            period=period.name,
            start=datetime.fromtimestamp(first, UTC),
            end=datetime.fromtimestamp(end, UTC),
            bin_s=size,
            bins=bins,
            events=sum(bins),
            rejects=sum(reason.rejects for reason in by_reason),
            by_source=by("source"),
            by_protocol=by("protocol"),
            by_type=by("type"),
            by_reason=by_reason,
            status=await self.service.status(),
        )

    async def _query(self, name: str, values: Mapping[str, int]) -> Answer:
        return await self.sql(read_query(name).format(**values), 1000)

    async def events(self, wanted: Wanted) -> Page:
        """The newest events first."""
        return await self._newest(EVENTS, NEWEST_EVENTS, wanted)

    async def rejects(self, wanted: Wanted) -> Page:
        """The newest rejects first."""
        return await self._newest(REJECTS, NEWEST_REJECTS, wanted)

    async def _newest(self, table: Table, order: Order, wanted: Wanted) -> Page:
        fixed, end = equal(wanted.filters), int(self.now() * SECOND)
        if wanted.until is not None:
            fixed.append(f"{order.time} < make_timestamp({wanted.until})")
            end = wanted.until
        if wanted.cursor is not None:
            fixed.append(order.beyond(wanted.cursor))
            end = wanted.cursor[0]
        page = Page([], None)
        for begin in windows(end):
            within = [f"{order.time} >= make_timestamp({begin})"] if begin is not None else []
            page = await self.page(table, order, [*fixed, *within], wanted.limit)
            if page.next is not None:
                break
        return page

    async def session(
        self, source: str, protocol: str, session_id: str, wanted: Wanted
    ) -> Session | None:
        """One session and a part of its events; None where no event has it."""
        named = equal({"source": source, "protocol": protocol, "session_id": session_id})
        found = await self.sql(f"SELECT * FROM sessions WHERE {' AND '.join(named)}", 1)
        if not found.rows:
            return None
        conditions = [*equal({"source": source}), _belongs(protocol, session_id)]
        if wanted.cursor is not None:
            conditions.append(IN_ORDER.beyond(wanted.cursor))
        events = await self.page(EVENTS, IN_ORDER, conditions, wanted.limit)
        return Session(as_row(found.columns, found.rows[0]), events)

    async def page(self, table: Table, order: Order, conditions: Sequence[str], limit: int) -> Page:
        """Some rows of a table that fulfil all conditions, each an SQL expression."""
        where = f"WHERE {' AND '.join(f'({part})' for part in conditions)}" if conditions else ""
        wanted = ", ".join((*(_bounded(table)), *order.keys))
        found = await self.sql(
            f"SELECT {wanted} FROM {table.name} {where} "
            f"ORDER BY {order.clause()} LIMIT {limit + 1}",
            limit,
        )
        width = len(table.columns)
        names = [column.name for column in table.columns]
        rows = [as_row(names, row[:width]) for row in found.rows]
        more = found.truncated and found.rows
        return Page(rows, cursor_text(found.rows[-1][width:]) if more else None)


def equal(filters: Mapping[str, str]) -> list[str]:
    """Conditions for columns that must have a value. The columns' names are ours."""
    return [f'"{column}" = {literal(value)}' for column, value in filters.items()]


def _belongs(protocol: str, session_id: str) -> str:
    """The condition for the events of a session, as the view `sessions` counts them."""
    own = " AND ".join(equal({"protocol": protocol, "session_id": session_id}))
    if protocol != "jay":
        return own
    carried = (
        "contains(properties::VARCHAR, '\"jay_session_id\"') "
        f"AND (properties ->> '$.jay_session_id') = {literal(session_id)}"
    )
    return f"({own}) OR ({carried})"


def _bounded(table: Table) -> list[str]:
    """The columns of a table, texts cut one character after what is shown of them."""
    most = {"VARCHAR": CHARACTERS, "JSON": JSON_CHARACTERS}
    return [
        f'left("{column.name}"::VARCHAR, {most[column.type] + 1}) AS "{column.name}"'
        if column.type in most
        else f'"{column.name}"'
        for column in table.columns
    ]


JSON_COLUMNS = frozenset(
    column.name
    for table in (EVENTS, PROFILES, PROFILE_TRAITS)
    for column in table.columns
    if column.type == "JSON"
)


def as_row(names: Sequence[str], values: Sequence[Any]) -> Row:
    """A row of a result as it is shown: times with their zone, what is too long cut or left out."""
    row = {name: _value(name, value) for name, value in zip(names, values, strict=True)}
    left_out = [name for name in row if name in JSON_COLUMNS and row[name] is ...]
    if not left_out:
        return row
    return {**row, **dict.fromkeys(left_out), "left_out": left_out}


def _value(name: str, value: Any) -> Any:
    """A value as it is shown; ... where it is too long to be."""
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC)
    if isinstance(value, str) and name in JSON_COLUMNS:
        return msgspec.Raw(value.encode()) if len(value) <= JSON_CHARACTERS else ...
    if isinstance(value, str) and len(value) > CHARACTERS:
        return value[:CHARACTERS] + "…"
    return value


def read_query(name: str) -> str:
    """A file of `queries/`."""
    return resources.files(__package__).joinpath("queries", f"{name}.sql").read_text("utf-8")
