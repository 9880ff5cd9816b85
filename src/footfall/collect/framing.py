"""HTTP/1.1 as bytes: answers written, heads read, and a parser that starts at a body.

What `fastlane` needs and what needs no connection. Not for what a request means.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import httptools

from footfall.collect.contract import HeaderPairs, Reply

STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}
WITHOUT_BODY = {204, 304}
PLAIN: HeaderPairs = (("Content-Type", "text/plain; charset=utf-8"),)

FAULT = Reply(500, b"An unexpected fault; the server's log says more.\n", PLAIN)


def encode(reply: Reply, method: str, keep_alive: bool, date: bytes) -> bytes:
    """An answer, whole."""
    status = reply.status
    line = STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status
    parts = [line, b"date: ", date, b"\r\n"]
    for name, value in reply.headers:
        parts.append(f"{name}: {value}\r\n".encode("latin-1", "replace"))
    with_body = status not in WITHOUT_BODY
    if with_body:
        parts.append(b"content-length: %d\r\n" % len(reply.body))
    parts.append(b"\r\n" if keep_alive else b"connection: close\r\n\r\n")
    if with_body and method != "HEAD":
        parts.append(reply.body)
    return b"".join(parts)


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
