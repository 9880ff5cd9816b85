"""Appending to the segment files: the only code that writes records.

Called under the journal's lock with what the shared tip says; it decides nothing about who may
write, and makes nothing known that it has written. `append` hands a record to the system, which
does not wait for the disk; `sync` does, and may be called on another thread. `segments.py` has
the format.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from footfall.errors import JournalFailed, JournalUnavailable
from footfall.journal.engines.files import Files
from footfall.journal.engines.segments import (
    MAX_PAYLOAD,
    SEGMENT_HEADER,
    frame,
    list_segments,
    segment_header,
    segment_name,
)

_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})


class Appended(NamedTuple):
    """Where a record stands: its segment's base, its first byte and the byte after its last."""

    base: int
    start: int
    end: int


class Appender:
    """Writes one record at a time, and then makes it durable."""

    def __init__(
        self, directory: Path, files: Files, segment_bytes: int, allocate_bytes: int
    ) -> None:
        self._directory = directory
        self._files = files
        self._segment_bytes = segment_bytes
        self._allocate_bytes = allocate_bytes
        self._fd: int | None = None
        self._base = -1
        self._allocated = 0

    def append(self, base: int, end: int, payload: bytes, *, roll: bool = False) -> Appended:
        """Write a record at `end` of the segment `base`, or into a new one after a full one.

        With `roll` into a new one anyway; the shared tip has to say so already.

        Raises `JournalUnavailable` when nothing of it can become visible, `JournalFailed` when
        it is unknown what was written. It is not durable before `sync`.
        """
        if len(payload) > MAX_PAYLOAD:
            raise JournalUnavailable(f"A group of {len(payload)} bytes is more than a record holds")
        # By what all know, not by what is to be written: whoever comes after a crash in the
        # midst of this decides the same way, so the old segment never grows any more.
        rolls = roll or end - base >= self._segment_bytes
        try:
            self._open(end if rolls else base, create=rolls)
            start = end + SEGMENT_HEADER if rolls else end
            data = frame(start, payload)
            if rolls:
                # In one piece: where the first record is whole, the header before it is.
                data = segment_header(end) + data
            self._allocate(end - self._base + len(data))
        except OSError as fault:
            raise JournalUnavailable(f"No space could be taken for the log: {fault}") from fault
        self._write(data, end)
        return Appended(self._base, start, end + len(data))

    def sync(self, base: int, end: int) -> None:
        """Make durable what was appended where `base` and `end` were the tip's.

        Raises `JournalFailed` when it is unknown whether it is.
        """
        assert self._fd is not None
        rolled = self._base != base
        try:
            self._files.sync(self._fd)
            if rolled:
                self._files.sync_directory(self._directory)
        except OSError as fault:
            raise JournalFailed(f"The disk did not make the log durable: {fault}") from fault
        if rolled:
            self._tidy(base, end)

    def close(self) -> None:
        if self._fd is not None:
            self._files.close(self._fd)
            self._fd = None
            self._base = -1

    def _open(self, base: int, *, create: bool) -> None:
        if self._base == base and not create:
            return
        self.close()
        self._fd = self._files.open(self._directory / segment_name(base), create=create)
        self._base = base
        if create:
            # A file of that name is what a crash left of the same step.
            self._files.truncate(self._fd, 0)
            self._allocated = 0
        else:
            self._allocated = self._files.size(self._fd)

    def _allocate(self, needed: int) -> None:
        """Take space in steps up to the segment's size, and beyond it for a large record."""
        if needed <= self._allocated:
            return
        assert self._fd is not None
        step = min(self._allocated + self._allocate_bytes, self._segment_bytes)
        target = max(needed, step)
        self._files.allocate(self._fd, self._allocated, target - self._allocated)
        self._allocated = target

    def _write(self, data: bytes, sequence: int) -> None:
        assert self._fd is not None
        try:
            self._files.pwrite(self._fd, data, sequence - self._base)
        except OSError as fault:
            if fault.errno in _NO_SPACE:
                raise JournalUnavailable(f"The log cannot grow: {fault}") from fault
            raise JournalFailed(f"Writing to the log failed: {fault}") from fault

    def _tidy(self, base: int, end: int) -> None:
        """Give back space that a full segment did not need, and memory of the one before it.

        Followers are past that one, or far behind. Left to itself the system would keep the whole
        log in memory, and take new memory for each write, which costs more than the write. Either
        may also stay.
        """
        with contextlib.suppress(OSError):
            with self._opened(base) as fd:
                self._files.truncate(fd, end - base)
            segments = list_segments(self._files, self._directory)
            for before in [one.base for one in segments if one.base < base][-1:]:
                with self._opened(before) as fd:
                    self._files.forget_cached(fd)

    @contextlib.contextmanager
    def _opened(self, base: int) -> Iterator[int]:
        fd = self._files.open(self._directory / segment_name(base))
        try:
            yield fd
        finally:
            self._files.close(fd)
