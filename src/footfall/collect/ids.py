"""Event ids of our own: UUID version 7 (RFC 9562), increasing within a process.

The random tail is drawn once per process and kept; the time and the counter before it make each
id different. So ids sort by arrival and their columns compress to a few bytes. They are names,
not secrets: whatever must not be guessed is drawn with `uuid4`.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable

from footfall.model import Micros

COUNTS = tuple(f"{count:03x}" for count in range(0x1000))


class EventIds:
    """Call it with the time of arrival to get the next id."""

    def __init__(self, random_bits: Callable[[int], int] = secrets.randbits) -> None:
        tail = f"{(0b10 << 62) | random_bits(62):016x}"
        self._tail = f"-{tail[:4]}-{tail[4:]}"
        self._millisecond = -1
        self._count = 0
        self._head = ""

    def __call__(self, now: Micros) -> str:
        millisecond = now // 1000
        if millisecond > self._millisecond:
            self._start(millisecond)
        elif self._count == 0xFFF:
            self._start(self._millisecond + 1)  # borrow from the future, as RFC 9562 6.2 allows
        else:
            self._count += 1
        return self._head + COUNTS[self._count] + self._tail

    def _start(self, millisecond: int) -> None:
        self._millisecond = millisecond
        self._count = 0
        text = f"{millisecond & 0xFFFFFFFFFFFF:012x}"
        self._head = f"{text[:8]}-{text[8:]}-7"
