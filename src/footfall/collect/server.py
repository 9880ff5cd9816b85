"""A collector's HTTP server: uvicorn with the fast lane, from its start to its clean end.

What is left of uvicorn's own process handling is switched off: signals, logs and the listening
socket are the supervisor's and `footfall.app`'s matter.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Generator
from typing import Any

import uvicorn

from footfall.collect.fastlane import FastLane
from footfall.settings import Server


class CollectorServer(uvicorn.Server):
    """uvicorn without signal handlers; `should_exit = True` begins the clean end."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield

    @property
    def open_connections(self) -> set[Any]:
        """Live: what `sweeping.sweep` looks after."""
        return self.server_state.connections


def collector_server(app: Any, lane: type[FastLane], server: Server) -> CollectorServer:
    """A server for `await server.serve(sockets=[…])`."""
    config = uvicorn.Config(
        app,
        http=lane,
        ws="none",
        lifespan="off",
        loop="uvloop",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        ssl_certfile=server.tls_certificate,
        ssl_keyfile=server.tls_key,
        backlog=2048,
        timeout_keep_alive=int(server.limits.idle_seconds) or 1,
        timeout_graceful_shutdown=int(server.limits.shutdown_seconds),
    )
    return CollectorServer(config)


def adopt(fd: int) -> socket.socket:
    """The listening socket that the supervisor handed over."""
    listening = socket.socket(fileno=fd)
    listening.setblocking(False)
    return listening
