"""The console's JSON: `/console/api/…`, described in docs/console.md.

A refusal is ``{"message", "remedy"}``, with the ``code`` of docs/errors.md where there is one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from footfall.console import asked
from footfall.console.answers import (
    EVENT_FILTERS,
    IN_ORDER,
    NEWEST_EVENTS,
    NEWEST_REJECTS,
    REJECT_FILTERS,
    Answers,
)
from footfall.console.auth import API
from footfall.console.paging import NotUnderstood
from footfall.control.contract import CONTENT_TYPES
from footfall.errors import FootfallError, QueryRefused, QueryTimeout

BODY_BYTES = 1 << 20
"""Largest body of a POST; the longest query that is taken fits in."""
LIST = frozenset({"limit", "until", "before"})


class _Query(msgspec.Struct, forbid_unknown_fields=True):
    sql: str
    format: Literal["json", "csv", "parquet"] = "json"


class Api:
    """The handlers, with what they ask."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers

    def routes(self) -> list[Route]:
        return [
            Route(f"{API}overview", self.overview),
            Route(f"{API}events", self.events),
            Route(f"{API}rejects", self.rejects),
            Route(f"{API}sessions/{{source}}/{{protocol}}/{{session_id:path}}", self.session),
            Route(f"{API}query", self.query, methods=["POST"]),
        ]

    async def overview(self, request: Request) -> Response:
        asked.refuse_unknown(request.query_params, {"period"})
        return as_json(await self._answers.overview(asked.period(request.query_params)))

    async def events(self, request: Request) -> Response:
        asked.refuse_unknown(request.query_params, LIST.union(EVENT_FILTERS))
        wanted = asked.wanted(request.query_params, NEWEST_EVENTS, EVENT_FILTERS)
        page = await self._answers.events(wanted)
        return as_json(page)

    async def rejects(self, request: Request) -> Response:
        asked.refuse_unknown(request.query_params, LIST.union(REJECT_FILTERS))
        wanted = asked.wanted(request.query_params, NEWEST_REJECTS, REJECT_FILTERS)
        page = await self._answers.rejects(wanted)
        return as_json(page)

    async def session(self, request: Request) -> Response:
        asked.refuse_unknown(request.query_params, {"limit", "after"})
        wanted = asked.wanted(request.query_params, IN_ORDER, (), place="after")
        names = ("source", "protocol", "session_id")
        source, protocol, session_id = (
            asked.text(name, request.path_params[name]) for name in names
        )
        found = await self._answers.session(source, protocol, session_id, wanted)
        if found is None:
            return refusal(404, "No event has this session.", "Look at source, protocol and id.")
        return as_json(found)

    async def query(self, request: Request) -> Response:
        try:
            given = msgspec.json.decode(await body(request), type=_Query)
        except (msgspec.MsgspecError, UnicodeDecodeError) as fault:
            raise NotUnderstood(
                f'The body must be JSON, {{"sql": "…", "format": "json"}}: {fault}'
            ) from None
        return await streamed(self._answers, given.sql, given.format)


async def body(request: Request) -> bytes:
    """The whole body. Raises `NotUnderstood` for one that is too large."""
    pieces, size = [], 0
    async for piece in request.stream():
        size += len(piece)
        if size > BODY_BYTES:
            raise NotUnderstood(f"The body is larger than {BODY_BYTES} bytes.")
        pieces.append(piece)
    return b"".join(pieces)


async def streamed(answers: Answers, sql: str, fmt: str) -> StreamingResponse:
    """A result on its way out. What is wrong is raised before anything is sent."""
    result = answers.service.query(sql, fmt)
    first = await anext(result, b"")

    async def whole() -> AsyncIterator[bytes]:
        yield first
        async for piece in result:
            yield piece

    return StreamingResponse(whole(), media_type=CONTENT_TYPES[fmt])


def as_json(value: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, media_type="application/json")


def refusal(status: int, message: str, remedy: str, code: str | None = None) -> Response:
    said = {"message": message, "remedy": remedy}
    return as_json({"code": code, **said} if code else said, status)


def status_of(fault: Exception) -> int:
    """What a fault is in HTTP."""
    if isinstance(fault, NotUnderstood | QueryRefused):
        return 400
    # Not 408: browsers answer that by asking once more.
    return 504 if isinstance(fault, QueryTimeout) else 503


def told(fault: Exception) -> Response:
    if isinstance(fault, FootfallError):
        return refusal(status_of(fault), str(fault), fault.remedy, fault.code)
    return refusal(status_of(fault), str(fault), "docs/console.md lists what can be asked.")
