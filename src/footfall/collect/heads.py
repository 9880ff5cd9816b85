"""Request heads that were parsed before: a client's next request mostly has the very same head.

Everything that follows from a head alone (route, headers, who sends it, whether it may) is worked
out once and kept with it, in `Head.memo`; parsing and checking a head costs more than decoding
and storing the event behind it. Only heads whose bytes, whole and unchanged, went through the HTTP
parser are found here, so what the parser refuses is never accepted here.

The number and the size of what is kept are bounded: strangers vary their heads.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from footfall.collect.endpoint import Match

MOST_HEADS = 2048
LONGEST_HEAD = 4096
"""In bytes. Longer ones are parsed every time."""
MOST_HEADERS = 64
"""Many small headers weigh many times their bytes once they are parsed."""


class Head:
    """A request line and headers, and what was worked out from them."""

    __slots__ = ("headers", "keep_alive", "length", "match", "memo", "method", "path", "query")

    def __init__(
        self,
        *,
        match: Match,
        method: str,
        path: str,
        query: str,
        headers: Mapping[bytes, bytes],
        keep_alive: bool,
    ) -> None:
        self.match = match
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        self.keep_alive = keep_alive
        self.length = int(headers.get(b"content-length", b"0"))
        """Of the body, in bytes; 0 also where the body is chunked."""
        self.memo: dict[object, Any] = {}
        """See `Request.memo`."""


class Heads:
    """Heads by their bytes; the oldest goes first."""

    def __init__(self, most: int = MOST_HEADS) -> None:
        self._most = most
        self._heads: dict[bytes, Head] = {}
        self.get = self._heads.get
        self.shortest = LONGEST_HEAD
        """No head that is kept is shorter, in bytes."""

    def keep(self, raw: bytes, head: Head, header_count: int) -> None:
        """Remember the head that the parser made of `raw`, if its next one may be taken so.

        Left out: what asks for more than an answer (`Expect`, `Upgrade`), bodies that do not say
        their length, connections that end, and bytes that the parser may have seen the end of
        the head elsewhere in than at the first empty line.
        """
        headers = head.headers
        if (
            len(raw) > LONGEST_HEAD
            or header_count > MOST_HEADERS
            or raw[:1] in {b"\r", b"\n"}  # empty lines before a request are no part of it
            or raw.count(b"\n") != header_count + 2
            or not head.keep_alive
            or head.length > head.match.body_limit
            or b"transfer-encoding" in headers
            or b"expect" in headers
            or b"upgrade" in headers
        ):
            return
        if len(self._heads) >= self._most:
            del self._heads[next(iter(self._heads))]
        self._heads[raw] = head
        self.shortest = min(self.shortest, len(raw))
