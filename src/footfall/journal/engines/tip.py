"""What all processes on one journal know together: a small file mapped into each of them.

Written under the journal's lock, read by anyone at any time. Two slots with a counter and a
checksum are written in turn, so whoever reads while somebody writes, or after somebody was
killed while writing, finds the other slot whole. It is never synced: what it says of the log
became durable before it was said, so after a loss of power it is at worst behind.
"""

from __future__ import annotations

import mmap
import os
import struct
import time
from pathlib import Path
from typing import NamedTuple

from google_crc32c import value

from footfall.errors import JournalFailed
from footfall.model import Micros

_SLOT = struct.Struct("<QQQQQQI")
_NUMBERS = 5
"""Those of `Tip` that have a place of their own; flags and the state's number share the last."""
_CRC = struct.Struct("<I")
_SLOT_BYTES = _SLOT.size + _CRC.size
_SIZE = 4096
_PLACES = (0, 2048)

FAILED = 1
"""A sync failed, or the log could not be written: nothing is taken until recovery has run."""
REBUILD = 2
"""The state is damaged; recovery builds it anew."""
ROLL = 4
"""The next record begins a new segment. Said before its file is created: whoever is killed after
that leaves a file that the next one, whatever process it is, creates again."""

_FLAG_BITS = 8

FAILED_REASON = (
    "a sync failed or the state is damaged; nothing is taken until a restart has verified it"
)


class Tip(NamedTuple):
    """One moment of a journal."""

    end: int
    """Where the durable log ends."""
    base: int
    """The segment that is written to."""
    changes_end: int
    """The end of the last record that holds state changes."""
    applied: int
    """Up to where the changes are known to be in the state."""
    last_at: Micros
    """`Record.at` of the last record."""
    flags: int = 0
    state: int = 0
    """The number of the state's file: an erasure puts a new one in its place. Below 2²⁴."""

    @property
    def failed(self) -> bool:
        return bool(self.flags & FAILED)

    @property
    def rolls(self) -> bool:
        return bool(self.flags & ROLL)


class TipFile:
    """The mapped file. One writer at a time, under the journal's lock; any number of readers."""

    def __init__(self, path: Path, *, create: bool = False) -> None:
        """Raises `FileNotFoundError` where there is none and none is to be created."""
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create else 0), 0o600)
        try:
            missing = _SIZE - os.fstat(fd).st_size
            if missing > 0:
                # Written, not just sized: a full disk must show here and not at a mapped write.
                os.pwrite(fd, bytes(missing), _SIZE - missing)
            self._map = mmap.mmap(fd, _SIZE)
        finally:
            os.close(fd)
        self._seen: tuple[bytes, int, Tip] = (b"", 0, Tip(0, 0, 0, 0, 0))
        """The bytes of both slots as they were last found whole, and what they say."""

    def close(self) -> None:
        self._map.close()

    def read(self) -> Tip:
        """The newest whole slot. Raises `JournalFailed` where there is none."""
        for attempt in range(100):
            counter, tip = self._newest()
            if counter:
                return tip
            if attempt:
                time.sleep(0.001)
        raise JournalFailed("The journal has not been recovered: its tip file holds nothing")

    def sound(self) -> Tip:
        """The newest whole slot, where a commit may follow it. Raises `JournalFailed`."""
        tip = self.read()
        if tip.failed:
            raise JournalFailed(FAILED_REASON)
        return tip

    def peek(self) -> Tip | None:
        """What a recovery finds: the newest whole slot, or None."""
        counter, tip = self._newest()
        return tip if counter else None

    def write(self, tip: Tip) -> None:
        """Make a new moment known. Under the journal's lock."""
        counter = self._newest()[0] + 1
        packed = _SLOT.pack(counter, *tip[:_NUMBERS], tip.flags | tip.state << _FLAG_BITS)
        place = _PLACES[counter % 2]
        self._map[place : place + _SLOT_BYTES] = packed + _CRC.pack(value(packed))

    def fail(self, flags: int) -> None:
        """Let no process take anything more. Under the journal's lock."""
        tip = self.peek()
        if tip is not None and tip.flags | flags != tip.flags:
            self.write(tip._replace(flags=tip.flags | flags))

    def _newest(self) -> tuple[int, Tip]:
        slots = [self._map[place : place + _SLOT_BYTES] for place in _PLACES]
        both = slots[0] + slots[1]
        seen, counter, tip = self._seen
        if both != seen:
            counter, tip = _newest_of(slots)
            self._seen = (both, counter, tip)
        return counter, tip


def _newest_of(slots: list[bytes]) -> tuple[int, Tip]:
    newest, numbers, last = 0, (0,) * _NUMBERS, 0
    for slot in slots:
        packed = slot[: _SLOT.size]
        (crc,) = _CRC.unpack_from(slot, _SLOT.size)
        counter, *rest, other = _SLOT.unpack(packed)
        if counter > newest and value(packed) == crc:
            newest, numbers, last = counter, tuple(rest), other
    flags, state = last & (1 << _FLAG_BITS) - 1, last >> _FLAG_BITS
    return newest, Tip._make((*numbers, flags, state))
