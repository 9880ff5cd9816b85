"""Taking records out of the log's front for good: whole segments, and the start of one.

Only closed segments are touched, which nobody writes to. Everything before what is taken out has
to be in a snapshot of the state by then: that is `keeping.py`'s part.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from footfall.journal.engines.files import Files
from footfall.journal.engines.segments import (
    SEGMENT_HEADER,
    Segment,
    SegmentReader,
    list_segments,
    segment_header,
    segment_name,
)

_STEP = 4 << 20


def below(segments: Sequence[Segment], before: int) -> list[Segment]:
    """The segments that end at or before a sequence; never the last."""
    return [segment for segment, following in pairwise(segments) if following.base <= before]


def remove_segments(files: Files, directory: Path, gone: Sequence[Segment]) -> None:
    """Delete segments, the oldest first, so that there is never a hole in the log.

    They are emptied too: a process may have one open from when it last wrote.
    """
    for segment in gone:
        fd = files.open(segment.path)
        try:
            files.unlink(segment.path)
            files.sync_directory(directory)
            files.truncate(fd, 0)
        finally:
            files.close(fd)


def cut_front(files: Files, directory: Path, before: int) -> int:
    """Write the segment that holds a position in its midst anew, from the position on.

    Gives the sequence at which the first record that is kept begins; `before`, if a record does.
    The old segment is still there then, before a new one that begins within its last record:
    at no time is a record missing, and reading passes from one to the other.
    """
    for segment, following in pairwise(list_segments(files, directory)):
        if segment.base + SEGMENT_HEADER < before < following.base:
            return _rest_of(files, directory, segment, following.base, before)
    return before


def clip_tails(files: Files, directory: Path, live: int) -> None:
    """Give up what stands behind the end of closed segments, those before the base `live`.

    Space taken ahead; or a record that a killed process was writing, and nobody knows of.
    """
    for segment, following in pairwise(list_segments(files, directory)):
        if segment.base >= live:
            return
        fd = files.open(segment.path)
        try:
            if files.size(fd) > following.base - segment.base:
                files.truncate(fd, following.base - segment.base)
                files.sync(fd)
        finally:
            files.close(fd)


def _rest_of(files: Files, directory: Path, segment: Segment, stop: int, before: int) -> int:
    with SegmentReader(files, segment, stop) as reader:
        items = reader.payloads(segment.base + SEGMENT_HEADER)
        # What cannot be read is kept too where it begins there: it may be put back.
        start = next((item[0] for item in items if item[0] >= before), stop)
        if start < stop:
            _write(files, directory, reader, start)
    return start


def _write(files: Files, directory: Path, reader: SegmentReader, start: int) -> None:
    """A segment of the records from `start` on: the bytes as they are, a new header before them.

    A record's checksum covers its sequence, which stays, and nothing of the segment.
    """
    base = start - SEGMENT_HEADER
    draft = directory / f"segment-{os.getpid()}.tmp"
    fd = files.open(draft, create=True)
    try:
        files.truncate(fd, 0)
        files.pwrite(fd, segment_header(base), 0)
        while data := reader.pread(start, _STEP):
            files.pwrite(fd, data, start - base)
            start += len(data)
        files.sync(fd)
    finally:
        files.close(fd)
    files.rename(draft, directory / segment_name(base))
    files.sync_directory(directory)
