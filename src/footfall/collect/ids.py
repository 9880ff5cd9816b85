"""Ids of our own, as text.

Events' are UUIDs of version 7 (RFC 9562), increasing within a process: the random tail is drawn
once and kept; the time and the counter before it make each id different. So ids sort by arrival
and their columns compress to a few bytes. They are names, not secrets: whatever must not be
guessed is a UUID of version 4, from `RandomIds`.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable

from footfall.model import Micros

DRAWN = 4096
"""Random bytes that are drawn at a time."""
VARIANTS = {digit: "89ab"[int(digit, 16) % 4] for digit in "0123456789abcdef"}
"""What the digit that holds the variant becomes."""
COUNTS = tuple(f"{count:03x}" for count in range(0x1000))


class RandomIds:
    """Call it to get a random UUID (version 4) as text; a third of the time of `uuid.uuid4`.

    Not for a process that forks later: both would draw the same.
    """

    def __init__(self, random_bytes: Callable[[int], bytes] = os.urandom) -> None:
        self._random_bytes = random_bytes
        self._drawn = b""
        self._place = 0

    def __call__(self) -> str:
        place = self._place
        if place >= len(self._drawn):
            self._drawn, place = self._random_bytes(DRAWN), 0
        self._place = place + 16
        text = self._drawn[place : place + 16].hex()
        variant = VARIANTS[text[16]]
        return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{variant}{text[17:20]}-{text[20:]}"


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
