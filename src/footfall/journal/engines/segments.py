"""The segment files of the local engine: their format, and reading them.

`docs/journal-format.md` describes the format for readers in other languages. A record's
sequence is its logical byte offset (its segment's base plus its place in the file), so no index
is needed; it is part of the checksum, so bytes of another place or another time never pass for
a record. Writing is `appender.py`, finding the true end after a crash `recovery.py`.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Self

from google_crc32c import extend, value

from footfall.journal.engines.files import Files

MAGIC = b"footfall"
VERSION = 1

# None of these bytes occurs in UTF-8, so no text that a client sends can look like a record.
MARKER = b"\xfe\xf5\xfd\xf6"

MAX_PAYLOAD = 1 << 30

_SEGMENT = struct.Struct("<8sIQ")
_RECORD = struct.Struct("<4sII")
_CHECKED = struct.Struct("<QI")
_U32 = struct.Struct("<I")

SEGMENT_HEADER = _SEGMENT.size + _U32.size
RECORD_HEADER = _RECORD.size

_SCAN = 1 << 20


class Segment(NamedTuple):
    """A segment file; `base` is the sequence of its first byte."""

    base: int
    path: Path


class Gap(NamedTuple):
    """A stretch of the log, from `start` up to `end`, that cannot be read."""

    start: int
    end: int
    reason: str


class Stretch(NamedTuple):
    """What was read: payloads with the sequences where they start and end, and gaps."""

    payloads: list[tuple[int, int, bytes]]
    next: int
    gaps: list[Gap]


def segment_name(base: int) -> str:
    return f"{base:020d}.log"


def segment_header(base: int) -> bytes:
    head = _SEGMENT.pack(MAGIC, VERSION, base)
    return head + _U32.pack(value(head))


def header_version(header: bytes, base: int) -> int | None:
    """The format version that a segment header names; None where it is no header of `base`."""
    if len(header) != SEGMENT_HEADER:
        return None
    magic, version, named = _SEGMENT.unpack_from(header)
    (crc,) = _U32.unpack_from(header, _SEGMENT.size)
    if magic != MAGIC or named != base or crc != value(header[: _SEGMENT.size]):
        return None
    return int(version)


def frame(sequence: int, payload: bytes) -> bytes:
    """A payload as the bytes of a record that stands at `sequence`."""
    crc = extend(value(_CHECKED.pack(sequence, len(payload))), payload)
    return _RECORD.pack(MARKER, len(payload), crc) + payload


def list_segments(files: Files, directory: Path) -> list[Segment]:
    """The segment files of a directory, oldest first."""
    bases = sorted(
        int(name[:-4])
        for name in files.names(directory)
        if len(name) == 24 and name.endswith(".log") and name[:-4].isdigit()
    )
    return [Segment(base, directory / segment_name(base)) for base in bases]


class SegmentReader:
    """Reads one segment file up to `stop`, the sequence where it ends or reading has to."""

    def __init__(self, files: Files, segment: Segment, stop: int) -> None:
        self.segment = segment
        self.stop = stop
        self._files = files
        self._fd = files.open(segment.path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._files.close(self._fd)

    def version(self) -> int | None:
        header = self._files.pread(self._fd, SEGMENT_HEADER, 0)
        return header_version(header, self.segment.base)

    def pread(self, start: int, count: int) -> bytes:
        """Bytes from sequence `start`, never beyond `stop`."""
        count = min(count, self.stop - start)
        return self._files.pread(self._fd, count, start - self.segment.base) if count > 0 else b""

    def payloads(self, start: int, chunk: int = _SCAN) -> Iterator[tuple[int, int, bytes] | Gap]:
        """Records from `start` to `stop` in order, and the gaps between them.

        Where the rest up to `stop` holds no record, one last gap covers it.
        """
        at, data, place = start, b"", 0
        while at < self.stop:
            size = _framed_size(data, place)
            if size is None or place + size > len(data):
                data, place = self._load(at, chunk), 0
                size = _framed_size(data, place)
            payload = None
            if size is not None and place + size <= len(data):
                payload = _payload(data, place, size, at)
            if payload is None:
                found = self._resume(at + 1)
                yield Gap(at, found, self._why(at, data[place : place + RECORD_HEADER]))
                at, data, place = found, b"", 0
                continue
            assert size is not None
            yield at, at + size, payload
            at, place = at + size, place + size

    def _load(self, at: int, chunk: int) -> bytes:
        """Bytes from `at`: a chunk, or as much as the record there needs."""
        data = self.pread(at, max(chunk, _SCAN))
        size = _framed_size(data, 0)
        if size is not None and len(data) < min(size, self.stop - at):
            data = self.pread(at, size)
        return data

    def _resume(self, start: int) -> int:
        """The sequence of the next whole record at or after `start`, or `stop`."""
        while start < self.stop:
            data = self.pread(start, _SCAN)
            if not data:
                break
            place = data.find(MARKER)
            while place >= 0:
                if self._is_record(start + place):
                    return start + place
                place = data.find(MARKER, place + 1)
            # A marker may lie across two chunks.
            start += max(len(data) - len(MARKER) + 1, 1)
        return self.stop

    def _is_record(self, at: int) -> bool:
        size = _framed_size(self.pread(at, RECORD_HEADER), 0)
        if size is None or at + size > self.stop:
            return False
        data = self.pread(at, size)
        return len(data) == size and _payload(data, 0, size, at) is not None

    def _why(self, at: int, header: bytes) -> str:
        name = self.segment.path.name
        place = at - self.segment.base
        if len(header) < RECORD_HEADER:
            return f"{name}: bytes are missing from offset {place}"
        if header[: len(MARKER)] != MARKER:
            return f"{name}: no record begins at offset {place}"
        return f"{name}: the record at offset {place} fails its checksum"


def read_log(
    files: Files, segments: Sequence[Segment], start: int, end: int, limit_bytes: int
) -> Stretch:
    """Payloads from sequence `start` up to `end`, about `limit_bytes` of them, at least one.

    `segments` are those of the log, oldest first; `end` is where what is durable ends. Raises
    `FileNotFoundError` where a segment was trimmed in between: list them again.
    """
    stretch = Stretch([], start, [])
    bases = [segment.base for segment in segments if segment.base < end]
    if not bases:
        return stretch
    at, taken = max(start, bases[0]), 0
    while at < end and (taken < limit_bytes or not stretch.payloads):
        index = bisect_right(bases, at) - 1
        stop = bases[index + 1] if index + 1 < len(bases) else end
        # One record may end behind the next segment's header: a segment that was cut in its midst
        # stands where the old one still has the record before (`cutting.py`).
        with SegmentReader(files, segments[index], min(stop + SEGMENT_HEADER, end)) as reader:
            at = _skip_header(reader, at, stretch.gaps)
            for item in reader.payloads(at, min(limit_bytes, 8 << 20)):
                at = item[1]
                if isinstance(item, Gap):
                    at = min(item.end, stop)
                    if item.start < stop:
                        stretch.gaps.append(item._replace(end=at))
                    continue
                stretch.payloads.append(item)
                taken += item[1] - item[0]
                if taken >= limit_bytes:
                    break
    progressed = bool(stretch.payloads or stretch.gaps)
    return stretch._replace(next=at if progressed else start)


def _skip_header(reader: SegmentReader, at: int, gaps: list[Gap]) -> int:
    """Step over a segment's header where `at` stands in it, noting one that is damaged."""
    base, body = reader.segment.base, reader.segment.base + SEGMENT_HEADER
    if at >= body:
        return at
    if reader.version() != VERSION:
        reason = f"{reader.segment.path.name}: the header of the segment is damaged"
        gaps.append(Gap(base, min(body, reader.stop), reason))
    return min(body, reader.stop)


def _framed_size(data: bytes, place: int) -> int | None:
    """How long the record at `place` says it is; None where none begins there."""
    if len(data) - place < RECORD_HEADER:
        return None
    marker, length, _ = _RECORD.unpack_from(data, place)
    if marker != MARKER or length > MAX_PAYLOAD:
        return None
    return RECORD_HEADER + int(length)


def _payload(data: bytes, place: int, size: int, sequence: int) -> bytes | None:
    """The payload of the record at `place`, or None where its checksum says otherwise."""
    _, length, crc = _RECORD.unpack_from(data, place)
    payload = data[place + RECORD_HEADER : place + size]
    if extend(value(_CHECKED.pack(sequence, length)), payload) != crc:
        return None
    return payload
