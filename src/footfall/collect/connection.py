"""One connection's life: how long it may take, answers in order, and an end that can be read.

A subclass of uvicorn's httptools protocol, and the half of `fastlane` that is not about reading
requests: a deadline from accept to the end of each request, the order of pipelined answers over
both lanes, refusals that the client can still read, answers to clients that have closed their
sending side, and backpressure.

uvicorn is pinned exactly; `tests/collect/test_fastlane_contract.py` holds the attributes of it
that are used here.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, ClassVar

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from footfall.collect import framing
from footfall.collect.contract import Reply
from footfall.collect.heads import Head
from footfall.metrics import REFUSED_EARLY, UNSENT
from footfall.settings import Limits

PIPELINED = 128
"""Requests of one connection that may be under way at once; then its reading pauses."""
DRAIN_BYTES = 4 << 20
"""After a refusal before the end of a body: how much of the rest is read and thrown away, so that
the client gets to read the answer rather than a reset."""
DRAIN_SECONDS = 2.0
LAST_CALL_SECONDS = 0.05
"""At a clean stop: how long an idle connection stays open for what was sent before the stop."""


class _NoEvent:
    """Stands where uvicorn keeps the event that wakes an ASGI app; a turn has no app to wake."""

    def set(self) -> None:
        pass


class Turn(msgspec.Struct, eq=False):
    """One fast request, from its head to its answer. A struct, since one is made per request.

    `response_complete`, `keep_alive`, `disconnected` and `message_event` are what uvicorn looks
    at in a cycle (at shutdown and when the connection is lost).
    """

    lane: Connection
    head: Head
    keep_alive: bool
    """As far as the client is concerned."""
    body: bytes | bytearray = b""
    """Bytes while there is one piece: a million pieces must not weigh more than their sum."""
    complete: bool = False
    """Whether all of it that is wanted has come."""
    started: bool = False
    size: int = 0
    oversized: bool = False
    reply: Reply | None = None
    response_complete: bool = False
    disconnected: bool = False
    message_event: ClassVar[_NoEvent] = _NoEvent()

    def respond(self, reply: Reply) -> None:
        """Take the answer; it is sent once those before it on the connection are."""
        self.reply = reply
        self.lane.advance()


class Connection(HttpToolsProtocol):
    """What both lanes of one connection share. `fastlane.FastLane` reads; see there."""

    limits: ClassVar[Limits]

    __slots__ = (
        "_advancing",
        "_chunk",
        "_closing",
        "_deadline",
        "_deaf",
        "_drain_bytes",
        "_farewell",
        "_framing",
        "_half_closed",
        "_in_message",
        "_parting",
        "_peer",
        "_raw_head",
        "_reading_head",
        "_skipped_body",
        "_turns",
        # uvicorn's, which would otherwise be looked up in a dictionary of fifty names. What every
        # request looks at stands together, as few lines of the processor's cache as can be.
        "cycle",
        "flow",
        "loop",
        "pipeline",
        "server_state",
        "transport",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.access_log = False  # requests are counted, not logged: they are personal data
        self._turns: deque[Turn] = deque()
        """Started and not answered, in order of arrival."""
        self._advancing = False
        self._deadline = 0.0
        self._reading_head = False
        self._in_message = False
        """Whether the parser is in the middle of a request, answered or not: what comes then may
        look like a head and be a body."""
        self._raw_head: bytes | None = None
        """The bytes of the head that the parser is about to read, where they came in one piece."""
        self._chunk = 0
        """Bytes of the newest piece of input."""
        self._framing = 0
        """Bytes read since the head began or, after it, since the last piece of body: head, chunk
        extensions and trailers, which the parser keeps to itself until they are whole."""
        self._skipped_body = b""
        """The header that describes a body which the parser passes over."""
        self._deaf = False
        """Whether what still comes is thrown away."""
        self._drain_bytes = DRAIN_BYTES
        self._farewell: bytes | None = None
        """What is sent when every answer that is owed has been, and then the connection ends."""
        self._parting = False
        self._closing = False
        self._half_closed = False
        self._peer = ("", "http")
        """Address and scheme of the other end, be it a client's or a proxy's."""

    # The connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if self.client and self.client[0].startswith("::ffff:") and "." in self.client[0]:
            self.client = (self.client[0][7:], self.client[1])  # IPv4 on a socket for both
        self._peer = (self.client[0] if self.client else "", self.scheme or "http")
        self._deadline = self.loop.time() + self.limits.request_seconds
        if len(self.connections) > self.limits.connections:
            self._refuse_early(503, "Too many connections are open. Try again later.")

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._deaf = True
        for turn in self._turns:  # their answers come to nothing and are counted as such
            turn.disconnected = True
        self.pipeline.clear()

    def eof_received(self) -> bool:  # type: ignore[override]
        """A client may close its sending side and still wait for its answers."""
        self._half_closed = self._deaf = True
        self._forget_unfinished()
        return self._owes() and self.scheme == "http"

    def pause_writing(self) -> None:
        super().pause_writing()
        self._set_reading()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._set_reading()

    def shutdown(self) -> None:
        """Called by uvicorn at a clean stop: end after what is under way or was sent before it."""
        self._closing = True
        if self._waits_for_app():
            self.cycle.keep_alive = False
        elif not self._owes():
            self.loop.call_later(LAST_CALL_SECONDS, self._end_if_idle)

    def _end_if_idle(self) -> None:
        if not (self._owes() or self._reading_head or self._receiving() or self._parting):
            self.transport.close()

    def check_deadline(self, now: float) -> None:
        """Called by the sweeper. A slow request is told so; an idle connection just ends."""
        if now < self._deadline:
            return
        if self._parting or self.transport.is_closing():
            self.transport.abort()
        elif self.flow.read_paused and not self.flow.write_paused:
            pass  # it is waiting for us
        elif self._reading_head or self._receiving():
            self._refuse_early(408, "The request took too long to arrive.")
        elif not self._owes():
            self._deadline = now + DRAIN_SECONDS  # for what is not read yet of the answers
            self.transport.close()

    # Answers, in order

    def _handle(self, turn: Turn) -> None:
        """Have a turn answered whose body is there: `fastlane.FastLane` knows by whom."""
        raise NotImplementedError

    def _start(self, turn: Turn) -> None:
        turn.started = True
        self._turns.append(turn)
        if len(self._turns) >= PIPELINED:
            self._set_reading()
        if turn.complete:
            self._handle(turn)

    def advance(self) -> None:
        """Send what is answered and start what waited for it, in order of arrival."""
        turns = self._turns
        if (
            len(turns) == 1
            and turns[0].reply is not None
            and not (self.pipeline or self._advancing)
        ):
            self._send(turns.popleft())  # by far the most common case, without the loop
        else:
            self._advance_all()
        if self.flow.read_paused or self._deaf:
            self._go_on()

    def _advance_all(self) -> None:
        """As `advance`, where several requests are under way.

        An answer may be given at once by what is started here: a loop and not a recursion, since
        thousands of requests may have come in one piece.
        """
        if self._advancing:
            return
        self._advancing = True
        turns, pipeline = self._turns, self.pipeline
        try:
            while True:
                if turns and turns[0].reply is not None:
                    self._send(turns.popleft())
                elif pipeline and not self.transport.is_closing() and not self._parting:
                    waits, app = pipeline[-1]
                    if isinstance(waits, Turn):
                        pipeline.pop()
                        self._start(waits)
                    elif not turns:
                        pipeline.pop()
                        super()._start_asgi_task(waits, app)
                        break
                    else:
                        break
                else:
                    break
        finally:
            self._advancing = False

    def _send(self, turn: Turn) -> None:
        turn.response_complete = True
        reply = turn.reply
        if turn.disconnected or self._parting or self.transport.is_closing() or reply is None:
            UNSENT.inc()
            return
        if turn.keep_alive and not self._closing:
            head, defaults = turn.head, self.server_state.default_headers
            self.transport.write(framing.encode_known(reply, head.method, head.memo, defaults))
            return
        stopping = self._closing and self._farewell is None and not self._owes()
        last = stopping or not turn.keep_alive
        method = turn.head.method
        self.transport.write(framing.encode(reply, method, not last, self._date()))
        if turn.oversized or (stopping and turn.keep_alive):
            self._part()  # it may be sending: let it read this first
        elif last:
            self.transport.close()

    def _go_on(self) -> None:
        """After an answer: read on, or part where that was decided and nothing is owed."""
        if self._owes() or self._parting or self.transport.is_closing():
            self._set_reading()
        elif self._farewell is not None:
            self._write(self._farewell)
            self._part()
        elif self._half_closed:
            self.transport.close()
        else:
            self._set_reading()

    # Refusals outside any protocol

    def _refuse_early(self, status: int, message: str) -> None:
        """End the connection with an answer in plain text, after the answers that are owed."""
        if self._deaf or self.transport.is_closing():
            return
        REFUSED_EARLY.labels(str(status)).inc()
        self._deaf = True
        self._reading_head = False
        if self._receiving() and not isinstance(self.cycle, Turn) and self.cycle.response_started:
            self.transport.abort()  # half an answer cannot be followed by another
            return
        self._forget_unfinished()
        self._farewell = framing.plain(status, message, self._date())
        self._go_on()

    def _forget_unfinished(self) -> None:
        """Leave the newest request unanswered if it has not come whole: it is not going to."""
        cycle: Any = self.cycle
        if not self._receiving():
            return
        if self.pipeline and self.pipeline[0][0] is cycle:
            self.pipeline.popleft()
        elif isinstance(cycle, Turn):
            self._turns.pop()
        cycle.disconnected = cycle.response_complete = True
        if isinstance(cycle, Turn):
            cycle.complete = True
        else:
            cycle.message_event.set()

    def _part(self) -> None:
        """End the connection, but not before the client had its chance to read the last answer.

        Closing while it sends would have its system throw that answer away.
        """
        self._parting = self._deaf = True
        self._deadline = self.loop.time() + DRAIN_SECONDS
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._set_reading()

    def _throw_away(self, size: int) -> None:
        self._drain_bytes -= size
        if self._drain_bytes <= 0:
            self._set_reading()

    # Small matters

    def body_arriving(self) -> int:
        """Bytes that are held of a body which has not come whole."""
        turn: Any = self.cycle
        return turn.size if isinstance(turn, Turn) and not turn.complete else 0

    def give_way(self) -> None:
        """Called by the sweeper where more bodies are arriving than there is room for."""
        self._refuse_early(503, "Too much is arriving at once. Try again later.")

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

    def _owes(self) -> bool:
        """Whether any request that was taken is not answered yet."""
        return bool(self._turns) or bool(self.pipeline) or self._waits_for_app()

    def _set_reading(self) -> None:
        """Read on, unless the client has enough under way or does not read its answers."""
        if self.transport.is_closing():
            return
        if (
            self.flow.write_paused
            or len(self._turns) >= PIPELINED
            or self.pipeline
            or self._drain_bytes <= 0
        ):
            self.flow.pause_reading()
        else:
            self.flow.resume_reading()

    def _head_too_large(self) -> str:
        return f"The request's head is over the limit of {self.limits.header_bytes} bytes."

    def _write(self, data: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(data)

    def _date(self) -> bytes:
        return framing.date_in(self.server_state.default_headers)
