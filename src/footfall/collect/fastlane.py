"""The HTTP protocol class: tracking requests are answered here without an ASGI scope or a task.

A subclass of uvicorn's httptools protocol. Requests whose path belongs to a tracking protocol
(`Endpoint.match`) take the fast lane: a `Turn` collects the body, `Endpoint.handle` gets an
immutable `Request`, and the reply is one write. Every other path goes to `super()` and so to
Starlette. What uvicorn leaves open is kept here: a deadline from accept to the end of each
request, a bound on the request's head, refusals that the client can still read, answers to
clients that have closed their sending side, and the order of pipelined answers over both lanes.

uvicorn is pinned exactly; `tests/collect/test_fastlane_contract.py` holds the attributes of it
that are used here.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, ClassVar
from urllib.parse import unquote
from uuid import UUID

import httptools
import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from footfall.collect.contract import HeaderPairs, Reply, Request
from footfall.collect.endpoint import Endpoint, Match
from footfall.collect.proxies import Proxies
from footfall.metrics import UNSENT
from footfall.settings import Limits

log = structlog.get_logger()

PIPELINED = 128
"""Requests of one connection that may be under way at once; then its reading pauses."""
DRAIN_BYTES = 4 << 20
"""After a refusal before the end of a body: how much of the rest is read and thrown away, so that
the client gets to read the answer rather than a reset."""
DRAIN_SECONDS = 2.0
SWEEP_SECONDS = 0.25

STATUS_LINES = {
    status: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}


class _NoEvent:
    """Stands where uvicorn keeps the event that wakes an ASGI app; a turn has no app to wake."""

    def set(self) -> None:
        pass


class Turn:
    """One fast request, from its head to its answer.

    The first four attributes are what uvicorn looks at in a cycle (at shutdown and when the
    connection is lost).
    """

    __slots__ = (
        "body", "complete", "disconnected", "headers", "keep_alive", "match",
        "message_event", "method", "oversized", "path", "query", "reply", "response_complete",
        "size", "started",
    )  # fmt: skip
    _no_event: ClassVar[_NoEvent] = _NoEvent()

    def __init__(  # noqa: PLR0917 - made in one place, once per request
        self,
        match: Match,
        method: str,
        path: str,
        query: str,
        headers: Mapping[bytes, bytes],
        keep_alive: bool,
    ) -> None:
        self.response_complete = False
        self.keep_alive = keep_alive
        self.disconnected = False
        self.message_event = self._no_event
        self.match = match
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        self.body: list[bytes] = []
        self.size = 0
        self.complete = False
        self.oversized = False
        self.started = False
        self.reply: Reply | None = None


class FastLane(HttpToolsProtocol):
    """One connection. `fast_lane` makes the class that uvicorn instantiates."""

    endpoint: ClassVar[Endpoint]
    limits: ClassVar[Limits]
    proxies: ClassVar[Proxies]
    new_uuid: ClassVar[Any]
    """`Callable[[], UUID]`, wrapped as a static method."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.access_log = False  # requests are counted, not logged: they are personal data
        self._turns: deque[Turn] = deque()
        self._deadline = 0.0
        self._reading_head = False
        self._chunk_size = 0
        self._head_size = 0
        self._draining: int | None = None
        self._closing = False
        self._half_closed = False

    # The connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._deadline = self.loop.time() + self.limits.request_seconds
        if len(self.connections) > self.limits.connections:
            self._refuse_early(503, "Too many connections are open. Try again later.")

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        for turn in self._turns:
            turn.disconnected = True
        self._turns.clear()
        self.pipeline.clear()

    def eof_received(self) -> bool:  # type: ignore[override]
        """A client may close its sending side and still wait for its answers."""
        self._half_closed = True
        return bool(self._turns) and self._draining is None and self.scheme == "http"

    def pause_writing(self) -> None:
        super().pause_writing()
        self.flow.pause_reading()  # who does not read answers sends no more requests

    def resume_writing(self) -> None:
        super().resume_writing()
        self._resume_reading()

    def shutdown(self) -> None:
        """Called by uvicorn at a clean stop: close now, or after what is under way."""
        self._closing = True
        if not self._turns and not self.pipeline:
            super().shutdown()
        elif self._waits_for_app():
            self.cycle.keep_alive = False

    def check_deadline(self, now: float) -> None:
        """Called by the sweeper. A slow request is told so; an idle connection just ends."""
        if now < self._deadline or self.transport.is_closing():
            return
        if self._draining is not None:
            self.transport.abort()
        elif self._reading_head or self._receiving():
            self._refuse_early(408, "The request took too long to arrive.")
        elif not self._turns and not self.pipeline and not self._waits_for_app():
            self.transport.close()

    # The parser

    def data_received(self, data: bytes) -> None:
        if self._draining is not None:
            self._drain(len(data))
            return
        self._chunk_size = len(data)
        if self._reading_head:
            self._head_size += len(data)
        self._feed(data)
        if self._reading_head and self._head_size > self.limits.header_bytes:
            self._refuse_early(431, self._head_too_large())

    def _feed(self, data: bytes) -> None:
        while True:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                # No protocol is offered to switch to, so the request was an ordinary one, and
                # what follows it is the next.
                data = data[upgrade.args[0] :]
                if data:
                    continue
            except httptools.HttpParserError:
                self._refuse_early(400, "This is not HTTP/1.1 as a server can read it.")
            return

    def on_message_begin(self) -> None:
        """A request's first byte: from here its deadline and the size of its head count."""
        self.url = b""
        self.headers = []
        self._reading_head = True
        self._head_size = self._chunk_size
        self._deadline = self.loop.time() + self.limits.request_seconds

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self._reading_head = False
        if self._draining is not None:
            return
        if self._head_size > self.limits.header_bytes and self._exact_head_size() > (
            self.limits.header_bytes
        ):
            self._refuse_early(431, self._head_too_large())
            return
        url = self.url
        path, _, query = url.partition(b"?")
        if not path.startswith(b"/"):  # absolute form, as proxies send it
            path, query = _absolute(url)
        text = path.decode("latin-1")
        if "%" in text:
            text = unquote(text)
        match = self.endpoint.match(text)
        if match is None:
            self._slow_lane(url)
        else:
            self._fast_lane(match, text, query.decode("latin-1"))

    def on_body(self, body: bytes) -> None:
        if self._draining is not None:
            return
        turn = self.cycle
        if not isinstance(turn, Turn):
            super().on_body(body)
            return
        if turn.oversized:
            return
        turn.size += len(body)
        if turn.size > turn.match.body_limit:
            self._oversized(turn)
        else:
            turn.body.append(body)

    def on_message_complete(self) -> None:
        if self._draining is not None:
            return
        self._deadline = self.loop.time() + self.limits.idle_seconds
        turn = self.cycle
        if not isinstance(turn, Turn):
            super().on_message_complete()
            return
        turn.complete = True
        if turn.started and not turn.oversized:
            self._handle(turn)

    # The slow lane: uvicorn's own

    def _slow_lane(self, url: bytes) -> None:
        headers = self.headers
        super().on_message_begin()
        for name, value in headers:
            super().on_header(name, value)
        self.url = url
        super().on_headers_complete()

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        """Also called by uvicorn with what waited in the pipeline, whichever lane it is for."""
        if isinstance(cycle, Turn):
            self._start(cycle)
            self._next()
        else:
            super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        self._deadline = self.loop.time() + self.limits.idle_seconds
        if self._closing and not self.transport.is_closing() and not self.pipeline:
            self.transport.close()
        super().on_response_complete()
        self._unset_keepalive_if_required()  # the sweeper keeps the time
        self._finish_half_closed()

    # The fast lane

    def _fast_lane(self, match: Match, path: str, query: str) -> None:
        parser = self.parser
        pairs = self.headers
        headers = dict(pairs)
        if len(headers) != len(pairs):
            headers = _joined(pairs)
        turn = Turn(
            match,
            parser.get_method().decode("ascii"),
            path,
            query,
            headers,
            parser.should_keep_alive() and not self._closing,
        )
        behind_slow = bool(self.pipeline) or self._waits_for_app()
        self.cycle = turn  # type: ignore[assignment]
        if behind_slow:
            # Behind a request of the slow lane: its answer has to come first.
            self.flow.pause_reading()
            self.pipeline.appendleft((turn, None))  # type: ignore[arg-type]
        else:
            self._start(turn)
        length = headers.get(b"content-length")
        if length is not None and int(length) > match.body_limit:
            self._oversized(turn)
        elif headers.get(b"expect", b"").lower() == b"100-continue":
            self._write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _start(self, turn: Turn) -> None:
        turn.started = True
        self._turns.append(turn)
        if len(self._turns) >= PIPELINED:
            self.flow.pause_reading()
        if turn.complete or turn.oversized:
            self._handle(turn)

    def _oversized(self, turn: Turn) -> None:
        """Refuse before the body was read; what still comes of it is thrown away."""
        turn.oversized = True
        turn.keep_alive = False
        turn.body.clear()
        if turn.started:
            self._handle(turn)

    def _handle(self, turn: Turn) -> None:
        client = self.client
        address, scheme = self.proxies.client(
            client[0] if client else "", self.scheme or "http", turn.headers
        )
        body = turn.body
        request = Request(
            method=turn.method,
            path=turn.path,
            query=turn.query,
            headers=turn.headers,
            body=body[0] if len(body) == 1 else b"".join(body),
            params=turn.match.params,
            client_ip=address,
            scheme=scheme,
            received_at=time.time_ns() // 1000,
            new_uuid=self.new_uuid,
        )

        def respond(reply: Reply) -> None:
            turn.reply = reply
            self._flush()

        self.endpoint.handle(turn.match, request, respond, oversized=turn.oversized)

    def _flush(self) -> None:
        """Send what is answered, each once those before it on this connection are sent."""
        turns = self._turns
        while turns and turns[0].reply is not None:
            self._send(turns.popleft())
        if not turns:
            self._next()

    def _send(self, turn: Turn) -> None:
        turn.response_complete = True
        self.server_state.total_requests += 1
        if turn.disconnected or self.transport.is_closing() or turn.reply is None:
            UNSENT.inc()
            return
        last = not turn.keep_alive or (self._closing and not self._turns and not self.pipeline)
        self.transport.write(encode(turn.reply, turn.method, not last, self._date()))
        if turn.oversized:
            self._start_draining()
        elif last:
            self.transport.close()

    def _next(self) -> None:
        """Go on with what waited behind the answers just given."""
        if self.transport.is_closing():
            return
        if self.pipeline:
            waits, app = self.pipeline[-1]
            if isinstance(waits, Turn) or not self._turns:
                self.pipeline.pop()
                self._start_asgi_task(waits, app)
            return
        self._resume_reading()
        self._finish_half_closed()

    def _finish_half_closed(self) -> None:
        if self._half_closed and not self._turns and not self.pipeline:
            self.transport.close()

    # Refusals outside any protocol

    def _refuse_early(self, status: int, message: str) -> None:
        """Answer in plain text and end the connection, so that the client reads the answer."""
        if self._draining is not None or self.transport.is_closing():
            return
        if not self._turns and not self._waits_for_app():
            reply = Reply(status, f"{message}\n".encode(), PLAIN)
            self._write(encode(reply, "GET", keep_alive=False, date=self._date()))
            self._start_draining()
            return
        # Answers are owed before it: give those, then close without this one.
        self._closing = True
        self._draining = 0
        if self._waits_for_app():
            self.cycle.keep_alive = False

    def _start_draining(self) -> None:
        self._draining = DRAIN_BYTES
        self._deadline = self.loop.time() + DRAIN_SECONDS
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.flow.resume_reading()

    def _drain(self, size: int) -> None:
        if self._draining:
            self._draining -= size
            if self._draining <= 0:
                self.transport.abort()

    # Small matters

    def _receiving(self) -> bool:
        """Whether a request's body is still coming."""
        cycle: Any = self.cycle
        if cycle is None:
            return False
        if isinstance(cycle, Turn):
            return not cycle.complete
        return bool(cycle.more_body) and not cycle.response_complete

    def _waits_for_app(self) -> bool:
        """Whether the newest request is one of the slow lane that is not answered yet."""
        cycle: Any = self.cycle
        return cycle is not None and not isinstance(cycle, Turn) and not cycle.response_complete

    def _exact_head_size(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _head_too_large(self) -> str:
        return f"The request's head is over the limit of {self.limits.header_bytes} bytes."

    def _resume_reading(self) -> None:
        if not self.flow.write_paused and len(self._turns) < PIPELINED and not self.pipeline:
            self.flow.resume_reading()

    def _write(self, data: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(data)

    def _date(self) -> bytes:
        defaults = self.server_state.default_headers
        return defaults[0][1] if defaults else b""


PLAIN: HeaderPairs = (("Content-Type", "text/plain; charset=utf-8"),)


def fast_lane(
    endpoint: Endpoint, limits: Limits, proxies: Proxies, new_uuid: Callable[[], UUID]
) -> type[FastLane]:
    """The protocol class for `uvicorn.Config(http=…)`, bound to its collaborators."""
    return type(
        "BoundFastLane",
        (FastLane,),
        {
            "endpoint": endpoint,
            "limits": limits,
            "proxies": proxies,
            "new_uuid": staticmethod(new_uuid),
        },
    )


async def sweep(connections: set[Any]) -> None:
    """Hold every connection to its deadline; runs until cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(SWEEP_SECONDS)
        now = loop.time()
        for connection in list(connections):
            if isinstance(connection, FastLane):
                connection.check_deadline(now)


def encode(reply: Reply, method: str, keep_alive: bool, date: bytes) -> bytes:
    """An HTTP/1.1 answer as bytes."""
    status = reply.status
    parts = [STATUS_LINES[status], b"date: ", date, b"\r\n"]  # type: ignore[index]
    for name, value in reply.headers:
        parts.append(f"{name}: {value}\r\n".encode("latin-1", "replace"))
    if status not in {204, 304}:
        parts.append(b"content-length: %d\r\n" % len(reply.body))
    parts.append(b"\r\n" if keep_alive else b"connection: close\r\n\r\n")
    if method != "HEAD":
        parts.append(reply.body)
    return b"".join(parts)


def _joined(pairs: list[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Repeated headers as one: RFC 9110 5.3 joins by commas, RFC 9113 8.2.3 cookies by "; "."""
    headers: dict[bytes, bytes] = {}
    for name, value in pairs:
        known = headers.get(name)
        if known is None:
            headers[name] = value
        else:
            headers[name] = known + (b"; " if name == b"cookie" else b", ") + value
    return headers


def _absolute(url: bytes) -> tuple[bytes, bytes]:
    try:
        parsed = httptools.parse_url(url)
    except httptools.HttpParserInvalidURLError:
        return b"", b""
    return parsed.path or b"/", parsed.query or b""
