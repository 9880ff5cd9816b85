"""HTTP/1.1 as bytes: answers written, heads read, and a parser that starts at a body.

What `fastlane` needs and what needs no connection. Not for what a request means.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, NamedTuple

import httptools

from footfall.collect.contract import HeaderPairs, Reply

Defaults = list[tuple[bytes, bytes]]
"""Headers of all answers, another list each second: the date, or nothing."""

STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}
WITHOUT_BODY = {204, 304}
PLAIN: HeaderPairs = (("Content-Type", "text/plain; charset=utf-8"),)

FAULT = Reply(500, b"An unexpected fault; the server's log says more.\n", PLAIN)


def encode(reply: Reply, method: str, keep_alive: bool, date: bytes) -> bytes:
    """An answer, whole."""
    return encode_head(reply, date) + encode_rest(reply, method, keep_alive)


class _Sent(NamedTuple):
    """An answer as bytes."""

    reply: Reply
    defaults: Defaults
    whole: bytes
    head: bytes


_SENT = object()
"""In `Request.memo`: an answer to this head that was `_Sent` in the same second."""


def encode_known(reply: Reply, method: str, memo: dict[Any, Any], defaults: Defaults) -> bytes:
    """An answer after which the connection goes on. `memo`: its request's.

    The same answer to the same head is the same bytes until the date changes, and of most others
    their heads are.
    """
    sent: _Sent | None = memo.get(_SENT)
    if sent is not None and sent.defaults is defaults:
        before = sent.reply
        if before is reply:
            return sent.whole
        if before.headers is reply.headers and before.status == reply.status:
            return sent.head + encode_rest(reply, method, True)
    first = encode_head(reply, date_in(defaults))
    whole = first + encode_rest(reply, method, True)
    memo[_SENT] = _Sent(reply, defaults, whole, first)
    return whole


def date_in(defaults: Defaults) -> bytes:
    return defaults[0][1] if defaults else b""


def encode_head(reply: Reply, date: bytes) -> bytes:
    """An answer's status and headers, but for those of this one answer."""
    line = STATUS_LINES.get(reply.status) or b"HTTP/1.1 %d \r\n" % reply.status
    return b"%bdate: %b\r\n%b" % (line, date, _lines(reply.headers))


def encode_rest(reply: Reply, method: str, keep_alive: bool) -> bytes:
    """What follows the head."""
    own = _lines(reply.own) if reply.own else b""
    end = b"\r\n" if keep_alive else b"connection: close\r\n\r\n"
    if reply.status in WITHOUT_BODY:
        return own + end
    body = b"" if method == "HEAD" else reply.body
    return b"%bcontent-length: %d\r\n%b%b" % (own, len(reply.body), end, body)


def _lines(headers: HeaderPairs) -> bytes:
    text = "".join([f"{name}: {value}\r\n" for name, value in headers])
    return text.encode("latin-1", "replace")


def plain(status: int, message: str, date: bytes) -> bytes:
    """An answer outside any protocol, after which the connection ends."""
    headers = (*PLAIN, ("Retry-After", "1")) if status == 503 else PLAIN
    return encode(Reply(status, f"{message}\n".encode(), headers), "GET", False, date)


def joined(pairs: list[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Repeated headers as one: RFC 9110 5.3 joins by commas, RFC 9113 8.2.3 cookies by "; "."""
    headers: dict[bytes, bytes] = {}
    for name, value in pairs:
        known = headers.get(name)
        if known is None:
            headers[name] = value
        else:
            headers[name] = known + (b"; " if name == b"cookie" else b", ") + value
    return headers


def absolute(url: bytes) -> tuple[bytes, bytes]:
    """Path and query of a target in absolute form (RFC 9112 3.2.2); no path where it has none."""
    try:
        parsed = httptools.parse_url(url)
    except httptools.HttpParserInvalidURLError:
        return b"", b""
    return parsed.path or b"/", parsed.query or b""


def head_size(url: bytes, pairs: list[tuple[bytes, bytes]]) -> int:
    return len(url) + sum(len(name) + len(value) + 4 for name, value in pairs)


def body_header(pairs: list[tuple[bytes, bytes]]) -> bytes:
    """The header that says that, and how, a body follows; empty where none does."""
    for name, value in pairs:
        if name == b"transfer-encoding" or (name == b"content-length" and int(value) > 0):
            return name + b": " + value
    return b""


def new_parser(callbacks: Any) -> Any:
    parser = httptools.HttpRequestParser(callbacks)
    parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
    return parser


def parser_at_body(connection: Any, header: bytes) -> Any:
    """A parser that goes on where another stopped: at a body that `header` describes.

    httptools takes a request to end at its head where the client offers to upgrade; clients that
    offer HTTP/2 this way (Java's does by default) send a body nevertheless.
    """
    parser = new_parser(_Midway(connection))
    parser.feed_data(b"POST / HTTP/1.1\r\n" + header + b"\r\n\r\n")
    return parser


class _Midway:
    """A connection's callbacks but for the first head, which the connection knows already."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._heads = 0
        self.on_body = connection.on_body
        self.on_message_complete = connection.on_message_complete

    def on_message_begin(self) -> None:
        self._heads += 1
        if self._heads > 1:
            self._connection.on_message_begin()

    def on_url(self, url: bytes) -> None:
        if self._heads > 1:
            self._connection.on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._heads > 1:
            self._connection.on_header(name, value)

    def on_headers_complete(self) -> None:
        if self._heads > 1:
            self._connection.on_headers_complete()
