"""Bodies of answers as they come in: inflated, and never larger than they may be.

A body is judged by what it was sent as and by what that inflates to, chunk by chunk: of one that is
too large no more than its limit is ever in memory, whatever a few bytes of gzip would come to.
"""

from __future__ import annotations

import zlib
from typing import Any

from footfall.stream.contract import FetchError

_GZIP = frozenset({"gzip", "x-gzip"})


class IncomingBody:
    """One body. Each method raises `FetchError` where it cannot be had: too_large, unreachable."""

    def __init__(self, origin: str, encoding: str, limit_bytes: int) -> None:
        """`origin`: who sends it, as people are told. `encoding`: its header, or empty."""
        self._origin = origin
        self._limit = limit_bytes
        self._taken = 0
        self._parts: list[bytes] = []
        self._size = 0
        encoding = encoding.strip().lower()
        if encoding not in {"", "identity", *_GZIP}:
            raise self._broken(f"answered in the encoding {encoding[:40]}, unasked")
        self._inflater = _inflater() if encoding in _GZIP else None

    def expect(self, length: str) -> None:
        """Refuse at once what says itself that it is too large. `length`: its header, or empty."""
        if length.isdigit() and len(length) < 20 and int(length) > self._limit:
            raise self._too_large()

    def add(self, chunk: bytes) -> None:
        """The next bytes, as they were sent."""
        self._taken += len(chunk)
        if self._taken > self._limit:
            raise self._too_large()
        if self._inflater is None:
            self._keep(chunk)
            return
        while chunk:
            if self._inflater.eof:
                self._inflater = _inflater()  # members of gzip may follow one another
            try:
                # One byte more than there is room for tells that there is more.
                part = self._inflater.decompress(chunk, self._limit - self._size + 1)
            except zlib.error as error:
                raise self._broken(f"sent broken gzip: {error}") from None
            self._keep(part)
            chunk = self._inflater.unconsumed_tail or self._inflater.unused_data

    def whole(self) -> bytes:
        """All of it, inflated, once nothing more comes."""
        if self._taken and self._inflater is not None and not self._inflater.eof:
            raise self._broken("sent gzip without its end")
        return b"".join(self._parts)

    def _keep(self, part: bytes) -> None:
        self._size += len(part)
        if self._size > self._limit:
            raise self._too_large()
        self._parts.append(part)

    def _too_large(self) -> FetchError:
        return FetchError("too_large", f"{self._origin} sent more than {self._limit} bytes")

    def _broken(self, what: str) -> FetchError:
        return FetchError("unreachable", f"{self._origin} {what}")


def _inflater() -> Any:
    return zlib.decompressobj(zlib.MAX_WBITS | 16)
