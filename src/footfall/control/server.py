"""The control socket's server: a `Service` as HTTP, inside the worker process.

    POST /query   {"sql", "format"}      the result, streamed
    GET  /tail    ?follow=1&from=now     JSON lines
    GET  /session ?id=…                  JSON
    GET  /profile ?id=…                  JSON
    GET  /status                         JSON
    POST /import  {"source", "lines"}    JSON
    POST /backup  {"destination"}        JSON lines of progress
    POST /forget  {"people", "source", "resume", "audit"}  likewise
    POST /export  {"people", "source"}   JSON lines of pieces and progress

An error before the first byte is a status with ``{"code", "message", "remedy"}``. One that comes
later ends JSON lines with ``{"error": {…}}``, and breaks a query's connection off, so that half a
result is never taken for a whole one.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from footfall.control.address import socket_address
from footfall.control.contract import CONTENT_TYPES, Service
from footfall.errors import FootfallError

JSON_LINES = "application/x-ndjson"
_SHUTDOWN_SECONDS = 1
"""How long a stop waits for somebody who follows; then the connection is closed."""


class _Query(msgspec.Struct, forbid_unknown_fields=True):
    sql: str
    format: Literal["json", "csv", "parquet"] = "json"


class _Import(msgspec.Struct, forbid_unknown_fields=True):
    source: str
    lines: list[str]


class _Backup(msgspec.Struct, forbid_unknown_fields=True):
    destination: Annotated[str, msgspec.Meta(pattern="^/")]


class _Forget(msgspec.Struct, forbid_unknown_fields=True):
    people: list[dict[str, str]]
    source: str | None = None
    resume: bool = False
    audit: str | None = None


class _Export(msgspec.Struct, forbid_unknown_fields=True):
    people: list[dict[str, str]]
    source: str | None = None


def control_app(service: Service) -> Starlette:
    """The application that answers for a service."""

    async def query(request: Request) -> Response:
        asked = msgspec.json.decode(await request.body(), type=_Query)
        pieces = await _begun(service.query(asked.sql, asked.format))
        return StreamingResponse(pieces, media_type=CONTENT_TYPES[asked.format])

    async def tail(request: Request) -> Response:
        follow = request.query_params.get("follow", "0") == "1"
        lines = service.tail(follow=follow, start=request.query_params.get("from", "now"))
        # Not `_begun`: the first line may be a long time coming, the headers should not be.
        return StreamingResponse(_closed_with_error(lines), media_type=JSON_LINES)

    async def session(request: Request) -> Response:
        return _json(await service.session(request.query_params.get("id", "")))

    async def profile(request: Request) -> Response:
        return _json(await service.profile(request.query_params.get("id", "")))

    async def status(_request: Request) -> Response:
        return _json(await service.status())

    async def import_profiles(request: Request) -> Response:
        asked = msgspec.json.decode(await request.body(), type=_Import)
        lines = [line.encode() for line in asked.lines]
        return _json(await service.import_profiles(asked.source, lines))

    async def backup(request: Request) -> Response:
        asked = msgspec.json.decode(await request.body(), type=_Backup)
        lines = await _begun(_lines(service.backup(asked.destination)))
        return StreamingResponse(_closed_with_error(lines), media_type=JSON_LINES)

    async def forget(request: Request) -> Response:
        asked = msgspec.json.decode(await request.body(), type=_Forget)
        steps = service.forget(asked.people, asked.source, resume=asked.resume, audit=asked.audit)
        lines = await _begun(_lines(steps))
        return StreamingResponse(_closed_with_error(lines), media_type=JSON_LINES)

    async def export(request: Request) -> Response:
        asked = msgspec.json.decode(await request.body(), type=_Export)
        lines = await _begun(_lines(service.export(asked.people, asked.source)))
        return StreamingResponse(_closed_with_error(lines), media_type=JSON_LINES)

    return Starlette(
        routes=[
            Route("/query", query, methods=["POST"]),
            Route("/tail", tail),
            Route("/session", session),
            Route("/profile", profile),
            Route("/status", status),
            Route("/import", import_profiles, methods=["POST"]),
            Route("/backup", backup, methods=["POST"]),
            Route("/forget", forget, methods=["POST"]),
            Route("/export", export, methods=["POST"]),
        ],
        exception_handlers={FootfallError: _refused, msgspec.MsgspecError: _not_understood},
    )


def control_socket(path: Path) -> socket.socket:
    """A bound socket at a path, for its owner only; one left by a killed server is replaced.

    Only whoever holds the data directory's lock may call it.
    """
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with socket_address(path) as address:
        listener.bind(address)
    # Nobody can connect before it listens, so the mode is right before it matters.
    path.chmod(0o600)
    return listener


@contextlib.asynccontextmanager
async def serving(service: Service, path: Path) -> AsyncIterator[None]:
    """Answer on the socket at `path` while the block lasts, in the running event loop."""
    listener = control_socket(path)
    config = uvicorn.Config(
        control_app(service),
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="none",
        timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        await server.until_started(task)
        yield
    finally:
        server.should_exit = True
        await task
        listener.close()
        path.unlink(missing_ok=True)  # noqa: ASYNC240 - one system call


class _Server(uvicorn.Server):
    """Tells when it listens, and leaves signals to the worker."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._listens = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._listens.set()

    async def until_started(self, serving: asyncio.Task[None]) -> None:
        """Return once it listens, or once serving has failed."""
        listening = asyncio.create_task(self._listens.wait())
        await asyncio.wait({serving, listening}, return_when=asyncio.FIRST_COMPLETED)
        listening.cancel()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _begun(stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """A stream whose first item is there already, so that an early error is still a status."""
    first = await anext(stream, b"")

    async def whole() -> AsyncIterator[bytes]:
        yield first
        async for item in stream:
            yield item

    return whole()


async def _lines(items: AsyncIterator[object]) -> AsyncIterator[bytes]:
    async for item in items:
        yield msgspec.json.encode(item) + b"\n"


async def _closed_with_error(lines: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    try:
        async for line in lines:
            yield line
    except FootfallError as error:
        yield msgspec.json.encode({"error": _told(error)}) + b"\n"


def _told(error: FootfallError) -> dict[str, str]:
    return {"code": error.code, "message": str(error), "remedy": error.remedy}


def _json(value: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, media_type="application/json")


async def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, FootfallError)
    return _json(_told(error), 400)


async def _not_understood(_request: Request, error: Exception) -> Response:
    return _json(
        {
            "code": FootfallError.code,
            "message": f"The command asks for what this server does not know: {error}",
            "remedy": "Use the command of the release that the server runs.",
        },
        400,
    )
