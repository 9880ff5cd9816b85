"""The console on its port, inside the worker's event loop.

Its own small server rather than the collectors': it serves a few people, so it takes uvicorn's
strictest parser, which bounds a request's head, and few connections.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import uvicorn

from footfall.console.answers import Answers, LiveService
from footfall.console.site import console_site
from footfall.console.slots_api import SlotsApi
from footfall.lake.lake import Lake
from footfall.settings import Server

HEAD_BYTES = 64 << 10
CONNECTIONS = 64
"""More are answered 503."""
SHUTDOWN_SECONDS = 1
"""How long a stop waits for answers in the making."""


async def serve_console(
    listening: socket.socket,
    stop: asyncio.Event,
    *,
    lake: Lake,
    service: LiveService,
    slots: SlotsApi,
    server: Server,
    token: str,
) -> None:
    """Answer on a socket that listens already until `stop`; then it is closed."""
    site = console_site(
        Answers(lake, service, seconds=server.query_seconds),
        slots,
        token=token,
        console_host=server.console_host,
        port=listening.getsockname()[1],
    )
    config = uvicorn.Config(
        site,
        http="h11",
        h11_max_incomplete_event_size=HEAD_BYTES,
        limit_concurrency=CONNECTIONS,
        log_config=None,
        access_log=False,  # it would hold the token
        lifespan="off",
        ws="none",
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )
    http = _Server(config)

    async def end() -> None:
        await stop.wait()
        http.should_exit = True

    ending = asyncio.create_task(end())
    try:
        await http.serve(sockets=[listening])
    finally:
        ending.cancel()


class _Server(uvicorn.Server):
    """Leaves signals to the worker."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
