"""The console's pages: HTML made on the server; they work without a script.

Loads Jinja at the first page, since most servers run for weeks without anybody looking.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode

import msgspec
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from footfall import __version__
from footfall.console import asked, words
from footfall.console.answers import (
    EVENT_FILTERS,
    IN_ORDER,
    NEWEST_EVENTS,
    NEWEST_REJECTS,
    PERIODS,
    REJECT_FILTERS,
    Answers,
    Row,
    equal,
    read_query,
)
from footfall.console.api import body, status_of, streamed
from footfall.console.auth import ROOT
from footfall.console.chart import chart
from footfall.console.media_words import metric
from footfall.console.paging import NotUnderstood
from footfall.control.contract import CONTENT_TYPES
from footfall.errors import FootfallError
from footfall.lake.tables import EVENTS, TABLES
from footfall.stream.words import words as stream_words

if TYPE_CHECKING:
    import jinja2

TEMPLATES = Path(__file__).parent / "templates"
SQL_ROWS = 500
"""Most rows of a query that the page shows; a download has all of them."""
TICK_BYTES = 64
"""No more than this in the journal is a tick, and no event that waits to be loaded."""
NAVIGATION = (
    ("overview", "Overview", ROOT),
    ("events", "Events", f"{ROOT}/events"),
    ("profiles", "Profiles", f"{ROOT}/profiles"),
    ("media", "Media", f"{ROOT}/media"),
    ("ads", "Ads", f"{ROOT}/ads"),
    ("rejects", "Rejects", f"{ROOT}/rejects"),
    ("sql", "SQL", f"{ROOT}/sql"),
)
EXAMPLES = (
    ("Events by day and type, last 7 days", "example_events"),
    ("Longest sessions of today", "example_sessions"),
    ("Why requests were refused today", "example_rejects"),
)
"""What the SQL page begins with: titles, and files of `queries/`."""


class Pages:
    """The handlers, with what they ask and what they draw with."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self._examples = [(title, read_query(name).strip()) for title, name in EXAMPLES]

    def routes(self) -> list[Route]:
        return [
            Route(ROOT, self.overview),
            Route(f"{ROOT}/events", self.events),
            Route(f"{ROOT}/session", self.session),
            Route(f"{ROOT}/rejects", self.rejects),
            Route(f"{ROOT}/sql", self.sql),
            Route(f"{ROOT}/sql", self.run_sql, methods=["POST"]),
        ]

    async def overview(self, request: Request) -> Response:
        overview = await self._answers.overview(asked.period(request.query_params))
        return await self.render(
            "overview.html",
            page="overview",
            overview=overview,
            chart=chart(overview.bins, overview.start, overview.bin_s),
            periods=PERIODS,
            tick_bytes=TICK_BYTES,
            now=datetime.now(UTC),
        )

    async def events(self, request: Request) -> Response:
        wanted = asked.wanted(request.query_params, NEWEST_EVENTS, EVENT_FILTERS)
        page = await self._answers.events(wanted)
        return await self.render(
            "events.html",
            page="events",
            events=page,
            columns=EVENTS.columns,
            link=Link(request.query_params),
            sql=_as_sql("events", wanted.filters),
            **form_of(request.query_params, EVENT_FILTERS),
        )

    async def rejects(self, request: Request) -> Response:
        wanted = asked.wanted(request.query_params, NEWEST_REJECTS, REJECT_FILTERS)
        page = await self._answers.rejects(wanted)
        return await self.render(
            "rejects.html",
            page="rejects",
            rejects=page,
            link=Link(request.query_params),
            sql=_as_sql("rejects", wanted.filters),
            **form_of(request.query_params, REJECT_FILTERS),
        )

    async def session(self, request: Request) -> Response:
        wanted = asked.wanted(request.query_params, IN_ORDER, (), place="after")
        names = ("source", "protocol", "session_id")
        source, protocol, session_id = (
            asked.text(name, request.query_params.get(name, "")) for name in names
        )
        found = await self._answers.session(source, protocol, session_id, wanted)
        if found is None:
            return await self.message(
                404,
                "No such session",
                "No event has this session. It may not be loaded yet, or retention has deleted it.",
            )
        return await self.render(
            "session.html",
            page="session",
            found=found,
            columns=EVENTS.columns,
            link=Link(request.query_params),
            goes_on=wanted.cursor is not None,
        )

    async def sql(self, request: Request) -> Response:
        """The form, with a query in it where the URL has one; it is not run before it is sent."""
        return await self._sql_page(request.query_params.get("sql") or self._examples[0][1])

    async def run_sql(self, request: Request) -> Response:
        """A table on the page, or the whole result as a file."""
        given = dict(parse_qsl((await body(request)).decode("utf-8", "replace")))
        sql, fmt = given.get("sql", ""), given.get("format", "table")
        try:
            if fmt not in CONTENT_TYPES:
                return await self._sql_page(sql, result=await self._answers.sql(sql, SQL_ROWS))
            response = await streamed(self._answers, sql, fmt)
        except FootfallError as fault:
            return await self._sql_page(sql, fault=fault, status=status_of(fault))
        name = f"footfall-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.{fmt}"
        response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
        return response

    async def _sql_page(self, sql: str, status: int = 200, **shown: Any) -> Response:
        return await self.render(
            "sql.html", status, page="sql", sql=sql, tables=TABLES, examples=self._examples, **shown
        )

    async def message(
        self, status: int, title: str, text: str, *, remedy: str = "", shut: bool = False
    ) -> Response:
        """A page that says why there is no other; `shut`: nor any other yet."""
        return await self.render(
            "message.html", status, page="", title=title, text=text, remedy=remedy, shut=shut
        )

    async def told(self, fault: Exception) -> Response:
        """A fault that was not met by the page itself."""
        if isinstance(fault, NotUnderstood):
            return await self.message(400, "Not understood", str(fault))
        remedy = getattr(fault, "remedy", "")
        return await self.message(status_of(fault), "Not answered", str(fault), remedy=remedy)

    async def render(self, name: str, status: int = 200, **context: Any) -> Response:
        text = await asyncio.to_thread(self._render, name, context)
        return HTMLResponse(text, status)

    def _render(self, name: str, context: Mapping[str, Any]) -> str:
        return self._environment.get_template(name).render(context)

    @cached_property
    def _environment(self) -> jinja2.Environment:
        import jinja2  # noqa: PLC0415 - see the module's docstring

        environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(TEMPLATES),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        environment.filters.update(
            words.FILTERS,
            carried_session=_carried_session,
            metric=metric,
            stream_words=stream_words,
        )
        environment.globals.update(root=ROOT, navigation=NAVIGATION, version=__version__, url=_url)
        return environment


class _Carried(msgspec.Struct):
    jay_session_id: str | None = None


def _carried_session(row: Row) -> str | None:
    """The Jay session that an event of another session, or of none, was sent in."""
    try:
        carried = msgspec.json.decode(row["properties"] or b"{}", type=_Carried).jay_session_id
    except msgspec.DecodeError:
        return None
    return None if (row["protocol"], row["session_id"]) == ("jay", carried) else carried


def _url(path: str, **params: str | None) -> str:
    """A URL of ours; parameters without a value are left out."""
    query = urlencode({name: value for name, value in params.items() if value})
    return f"{ROOT}{path}?{query}" if query else f"{ROOT}{path}"


class Link:
    """`link(before="…")` in a template: the query of this page with some parameters changed."""

    def __init__(self, params: Mapping[str, str]) -> None:
        self._params = dict(params)

    def __call__(self, **changes: str | None) -> str:
        merged = {**self._params, **changes}
        return "?" + urlencode({name: value for name, value in merged.items() if value})


def form_of(params: Mapping[str, str], filters: tuple[str, ...]) -> dict[str, Any]:
    """What a list's form shows: its filters, and whether any is set."""
    values = {name: params.get(name, "") for name in (*filters, "until")}
    return {
        "filters": filters,
        "values": values,
        "filtered": any(values.values()),
        "later": bool(params.get("before")),
    }


def _as_sql(table: str, filters: Mapping[str, str]) -> str:
    """The query behind a list, to go on from."""
    where = "".join(f"\n  AND {condition}" for condition in equal(filters))
    return (
        f"SELECT *\nFROM {table}\nWHERE received_at >= now() - INTERVAL 1 DAY{where}\n"
        "ORDER BY received_at DESC\nLIMIT 100"
    )
