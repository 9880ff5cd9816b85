"""The HTTP protocol class: tracking requests are answered here without an ASGI scope or a task.

A subclass of uvicorn's httptools protocol. Requests whose path belongs to a tracking protocol
(`Endpoint.match`) take the fast lane: a `Turn` collects the body, `Endpoint.handle` gets an
immutable `Request`, and the reply is one write. Every other path goes to `super()` and so to
Starlette. This file reads; deadlines, the order of answers and the end of a connection are
`connection`'s matter, bytes are `framing`'s, heads that were parsed before are `heads`'.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any, ClassVar
from urllib.parse import unquote

import httptools
import structlog

from footfall.collect import framing
from footfall.collect.connection import PIPELINED, Connection, Turn
from footfall.collect.contract import Request
from footfall.collect.endpoint import Endpoint, Match
from footfall.collect.heads import Head, Heads
from footfall.collect.proxies import Proxies
from footfall.settings import Limits

log = structlog.get_logger()

END = b"\r\n\r\n"
TRAILERS: deque[tuple[bytes, bytes]] = deque(maxlen=0)
"""Where headers that come after a body go to: nowhere."""


class FastLane(Connection):
    """One connection. `fast_lane` makes the class that uvicorn instantiates."""

    endpoint: ClassVar[Endpoint]
    proxies: ClassVar[Proxies]
    new_uuid: ClassVar[Any]
    """`Request.new_uuid`, wrapped as a static method."""
    heads: ClassVar[Heads]

    # The parser

    def data_received(self, data: bytes) -> None:
        size = len(data)
        if self._deaf:
            self._throw_away(size)
            return
        if not (self._in_message or self._closing or self.pipeline) and (
            isinstance(self.cycle, Turn) or not self._waits_for_app()
        ):
            taken = self._take_known(data)
            if taken == size:
                return
            data = data[taken:]
            size -= taken
        self._chunk = size
        self._framing += size
        self._feed(data)
        if self._framing > self.limits.header_bytes and (self._reading_head or self._receiving()):
            self._refuse_early(431, self._head_too_large())

    def _take_known(self, data: bytes) -> int:
        """Take whole requests whose very heads were parsed before; how many bytes that were.

        The rest is for the parser. Once there is no more to listen to, everything is taken.
        """
        start, size = 0, len(data)
        turns, heads = self._turns, self.heads
        while len(turns) < PIPELINED:
            # Where a known head may end at the earliest: to search the whole of it costs more than
            # all else that is done here. What is found this way is known, or looked for again.
            body = data.find(END, start + heads.shortest - 4) + 4
            head = heads.get(data[start:body])
            if head is None:
                body = data.find(END, start) + 4
                raw = data[start:body]
                head = heads.get(raw)
                if head is None:
                    self._raw_head = raw
                    break
            end = body + head.length
            if end > size:
                break
            turn = Turn(self, head, True, data[body:end], True, True)
            self.cycle = turn  # type: ignore[assignment]
            turns.append(turn)
            self._handle(turn)
            start = end
            if start == size or self._deaf:
                start = size
                break
        if start:
            self._deadline = self.loop.time() + self.limits.idle_seconds
            if len(turns) >= PIPELINED:
                self._set_reading()
        return start

    def _feed(self, data: bytes) -> None:
        while True:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                # No protocol is offered to switch to, so the request was an ordinary one, and
                # what follows is its body or the next.
                data = data[upgrade.args[0] :]
                if self._skipped_body:
                    self.parser = framing.parser_at_body(self, self._skipped_body)
                    self._skipped_body = b""
                if data:
                    continue
            except httptools.HttpParserCallbackError:
                log.exception("reading a request failed")
                self._refuse_early(500, "An unexpected fault; the server's log says more.")
            except httptools.HttpParserError:
                self._refuse_early(400, "This is not HTTP/1.1 as a server can read it.")
            return

    def on_message_begin(self) -> None:
        """A request's first byte: from here its deadline and the size of its head count."""
        if self._deaf:
            return
        self.url = b""
        self.headers = []
        self._reading_head = self._in_message = True
        self._framing = 0
        self._deadline = self.loop.time() + self.limits.request_seconds

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self._reading_head = False
        raw, self._raw_head = self._raw_head, None
        if self._deaf:
            return
        headers = self.headers
        if (self._framing or self._chunk > self.limits.header_bytes) and (
            framing.head_size(self.url, headers) > self.limits.header_bytes
        ):
            self._refuse_early(431, self._head_too_large())
            return
        if self.parser.should_upgrade():
            self._skipped_body = framing.body_header(headers)
        path, _, query = self.url.partition(b"?")
        if not path.startswith(b"/"):  # absolute form, as proxies send it
            path, query = framing.absolute(self.url)
        text = path.decode("latin-1")
        if "%" in text:
            text = unquote(text)
        match = self.endpoint.match(text)
        if match is None:
            self._slow_lane(path, query)
        else:
            self._fast_lane(match, text, query.decode("latin-1"), raw)
        self.headers = TRAILERS  # type: ignore[assignment]

    def on_body(self, body: bytes) -> None:
        self._framing = 0
        if self._deaf:
            return
        turn = self.cycle
        if not isinstance(turn, Turn):
            super().on_body(body)
            return
        turn.size += len(body)
        if turn.size > turn.head.match.body_limit:
            self._oversized(turn)
        elif not turn.body:
            turn.body = body
        elif isinstance(turn.body, bytearray):
            turn.body += body
        else:
            turn.body = bytearray(turn.body) + body

    def on_message_complete(self) -> None:
        if self._deaf or self._skipped_body:
            return
        self._in_message = False
        self._deadline = self.loop.time() + self.limits.idle_seconds
        turn = self.cycle
        if not isinstance(turn, Turn):
            super().on_message_complete()
            return
        turn.complete = True
        if not turn.keep_alive:
            self._deaf = True
        if turn.started:
            self._handle(turn)

    # The slow lane: uvicorn's own

    def _slow_lane(self, path: bytes, query: bytes) -> None:
        headers = self.headers
        super().on_message_begin()
        for name, value in headers:
            super().on_header(name, value)
        self.url = path + b"?" + query if query else path
        try:
            super().on_headers_complete()
        except httptools.HttpParserInvalidURLError:
            self._refuse_early(400, "The request's target is not a path that a server can read.")
            return
        if self._closing:
            self.cycle.keep_alive = False

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        """Also called by uvicorn with what waited in the pipeline, whichever lane it is for."""
        if isinstance(cycle, Turn):
            self.pipeline.append((cycle, app))  # type: ignore[arg-type]
            self.advance()
        else:
            super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        self._deadline = self.loop.time() + self.limits.idle_seconds
        super().on_response_complete()
        self._unset_keepalive_if_required()  # the sweeper keeps the time
        self._go_on()

    # The fast lane

    def _fast_lane(self, match: Match, path: str, query: str, raw: bytes | None) -> None:
        parser = self.parser
        pairs = self.headers
        headers = dict(pairs)
        if len(headers) != len(pairs):
            headers = framing.joined(pairs)
        keep_alive = parser.should_keep_alive()
        version = parser.get_http_version()
        if keep_alive and b"connection" in headers and version == "1.0":
            keep_alive = False  # answers do not say what such a client wants to hear
        head = Head(
            match=match,
            method=parser.get_method().decode("ascii"),
            path=path,
            query=query,
            headers=headers,
            keep_alive=keep_alive,
        )
        if raw is not None and not self._framing:
            self.heads.keep(raw, head, len(pairs))
        turn = Turn(self, head, head.keep_alive)
        behind_slow = bool(self.pipeline) or self._waits_for_app()
        self.cycle = turn  # type: ignore[assignment]
        if behind_slow:
            # Behind a request of the slow lane: its answer has to come first.
            self.pipeline.appendleft((turn, None))  # type: ignore[arg-type]
            self._set_reading()
        else:
            self._start(turn)
        if head.length > match.body_limit:
            self._oversized(turn)
        elif b"expect" in headers and version != "1.0":
            self._expect(turn)

    def _expect(self, turn: Turn) -> None:
        """Tell a client that waits for it to send its body, unless answers are owed before."""
        if (
            turn.head.headers[b"expect"].lower() == b"100-continue"
            and self._turns
            and self._turns[0] is turn
        ):
            self._write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _oversized(self, turn: Turn) -> None:
        """Refuse before the body was read; what still comes of it is thrown away."""
        turn.oversized = turn.complete = True
        turn.keep_alive = False
        turn.body = b""
        self._deaf = True
        if turn.started:
            self._handle(turn)

    def _handle(self, turn: Turn) -> None:
        head = turn.head
        address, scheme = self._peer
        if self.proxies.any:
            address, scheme = self.proxies.client(address, scheme, head.headers)
        body = turn.body
        # By position, in the contract's order: naming the fields costs five times as much.
        request = Request(
            head.method,
            head.path,
            head.query,
            head.headers,
            body if isinstance(body, bytes) else bytes(body),
            head.match.params,
            address,
            scheme,
            time.time_ns() // 1000,
            self.new_uuid,
            head.memo,
        )
        turn.body = b""
        try:
            self.endpoint.handle(head.match, request, turn.respond, oversized=turn.oversized)
        except Exception:
            # Ours, not the client's; unanswered it would hold up all that comes behind it.
            log.exception("handling a request failed")
            turn.respond(framing.FAULT)


def fast_lane(
    endpoint: Endpoint, limits: Limits, proxies: Proxies, new_uuid: Callable[[], str]
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
            "heads": Heads(),
        },
    )
