"""What the local engine does at a start, before anybody opens the journal.

Finds where the log ends, cuts a torn tail, fences damage, makes the state agree with the log,
and says so in the shared tip. The one hard question is whether unreadable bytes at the end are a
*torn tail* (a record that was being written and was never acknowledged: cut) or *damage* (one
that was acknowledged: kept, fenced, reported). Only one record is ever in flight, so they are
damage where a whole record follows, or where the tip or the state know of a later end.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import msgspec

from footfall.errors import DataDirectoryTooNew, JournalFailed, JournalUnavailable
from footfall.journal.contract import Damage, Position
from footfall.journal.engines.files import Files
from footfall.journal.engines.replay import replay
from footfall.journal.engines.segments import (
    SEGMENT_HEADER,
    VERSION,
    Gap,
    Segment,
    SegmentReader,
    list_segments,
    segment_header,
    segment_name,
)
from footfall.journal.engines.snapshots import list_snapshots, restore_snapshot
from footfall.journal.engines.state import (
    State,
    StateDamaged,
    newest_state,
    remove_other_states,
    remove_state,
    state_path,
)
from footfall.journal.engines.tip import REBUILD, Tip, TipFile
from footfall.journal.group import decode_record
from footfall.model import Micros

LOCK, KEEPER, TIP = "lock", "keeper.lock", "tip"


class Recovery(NamedTuple):
    """What a recovery found and did, for the log of the process that ran it."""

    end: Position
    """Where the log ends, and the next record goes or follows soon after."""
    cut_bytes: int
    """Length of the torn tail that was cut off; never acknowledged."""
    torn: Path | None
    """The file that keeps those bytes."""
    damage: tuple[Damage, ...]
    """Stretches that were acknowledged and cannot be read; fenced, everything else is kept."""
    rebuilt: str | None
    """Why the state was built anew, or None where it was sound."""


class FoundLog(NamedTuple):
    """The log after its end was settled."""

    end: int
    base: int
    last_at: Micros
    cut_bytes: int
    torn: Path | None
    gaps: list[Gap]


class _Scanned(NamedTuple):
    """What a segment's file holds: where its last record ends, when that was, and gaps."""

    end: int
    last_at: Micros
    gaps: list[Gap]
    tail_reason: str
    """Why nothing more could be read after `end`."""


@contextlib.contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold the journal's lock, waiting for it."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def recover(directory: Path, files: Files) -> Recovery:
    """Make a journal directory ready to be opened. Idempotent; an empty one is set up.

    Raises `JournalUnavailable` where files cannot be read or written, `JournalFailed` where the
    disk does not make them durable, `DataDirectoryTooNew` for a format of a later release.
    """
    try:
        if not directory.exists():
            directory.mkdir(parents=True)
            files.sync_directory(directory.parent)
        with exclusive(directory / LOCK), _tip(directory) as tip_file:
            return _recover(directory, files, tip_file)
    except (OSError, StateDamaged) as fault:
        raise JournalUnavailable(f"The journal in {directory} cannot be read: {fault}") from fault


def _tip(directory: Path) -> contextlib.closing[TipFile]:
    return contextlib.closing(TipFile(directory / TIP, create=True))


def _recover(directory: Path, files: Files, tip_file: TipFile) -> Recovery:
    before = tip_file.peek()
    remove_drafts(files, directory)
    number = newest_state(files.names(directory))
    remove_other_states(files, directory, number)
    path = state_path(directory, number)
    state, why = _open_state(path, before)
    try:
        log = settle_log(directory, files, before, _known_end(files, directory, before, state))
        first = list_segments(files, directory)[0].base
        if state is not None and state.applied < first:
            why = why or f"it ends at {state.applied}, before the log begins"
            state.close()
            state = None
        gaps = list(log.gaps)
        if state is None:
            state, missing = _rebuild(directory, files, path, first)
            gaps.extend(missing)
            fresh = log.end == SEGMENT_HEADER and not gaps
            why = None if fresh else why
        gaps.extend(replay(files, directory, state, log.end))
    finally:
        if state is not None:
            state.close()
    last_at = max(log.last_at, before.last_at if before else 0)
    tip_file.write(Tip(log.end, log.base, log.end, log.end, last_at, state=number))
    damage = tuple(
        Damage(Position(0, gap.start), Position(0, gap.end), gap.reason)
        for gap in sorted(set(gaps))
    )
    return Recovery(Position(0, log.end), log.cut_bytes, log.torn, damage, why)


def remove_drafts(files: Files, directory: Path) -> None:
    """Files that a crash left half-written under another name than their final one."""
    for name in files.names(directory):
        if name.endswith((".tmp", ".tmp-wal", ".tmp-shm", ".tmp-journal")):
            files.unlink(directory / name)


def _open_state(path: Path, tip: Tip | None) -> tuple[State | None, str | None]:
    """The state where it is sound; else why it is not."""
    if tip is not None and tip.flags & REBUILD:
        return None, "it was found damaged while the journal was running"
    try:
        state = State(path)
    except (StateDamaged, JournalUnavailable) as fault:
        return None, str(fault)
    try:
        state.verify()
    except (StateDamaged, JournalUnavailable) as fault:
        state.close()
        return None, str(fault)
    try:
        state.forget_leases()  # nobody runs; and it shows that the file can be written
    except StateDamaged as fault:
        state.close()
        return None, str(fault)
    return state, None


def _known_end(files: Files, directory: Path, tip: Tip | None, state: State | None) -> int:
    """Up to where the log is known to have been durable, by whatever still knows."""
    snapshots = list_snapshots(files, directory)
    return max(
        tip.end if tip else 0,
        state.applied if state else 0,
        snapshots[0].applied if snapshots else 0,
    )


def _rebuild(directory: Path, files: Files, path: Path, first: int) -> tuple[State, Sequence[Gap]]:
    """An older state from the newest whole snapshot, or an empty one; the log does the rest."""
    remove_state(files, path)
    for snapshot in list_snapshots(files, directory):
        try:
            restore_snapshot(files, snapshot, path)
        except (StateDamaged, JournalUnavailable):
            continue
        break
    state = State(path, create=True)
    state.forget_leases()
    start = state.applied
    if start >= first:
        return state, ()
    state.apply((), first)
    reason = "the state was built anew without what the log held here before it was trimmed"
    return state, (Gap(start, first, reason),)


def settle_log(directory: Path, files: Files, tip: Tip | None, known_end: int) -> FoundLog:
    """Find the end of the log and make everything before it durable."""
    segments = list_segments(files, directory)
    while segments and _is_unborn(files, segments[-1]) and segments[-1].base >= known_end:
        _set_aside(files, segments.pop().path)
    if not segments:
        _create_segment(directory, files, known_end)
        gaps = [Gap(0, known_end, "no segment file is left")] if known_end else []
        return FoundLog(known_end + SEGMENT_HEADER, known_end, 0, 0, None, gaps)
    last = segments[-1]
    # After a failed sync the end that was acknowledged is known exactly, and what the system
    # remembers of later bytes may never have reached the disk.
    failed_at = tip.end if tip is not None and tip.failed else None
    found = _scan(files, last, failed_at)
    gaps = found.gaps
    if found.end < known_end:
        gaps.append(Gap(found.end, known_end, found.tail_reason))
    end, base = max(found.end, known_end), last.base
    fence = bool(gaps) or failed_at is not None
    cut_bytes, torn = _cut(directory, files, last, end, fence=fence)
    if fence:
        # The damaged file is not written to any more: it can be put back from a backup.
        _create_segment(directory, files, end)
        base, end = end, end + SEGMENT_HEADER
    last_at = found.last_at or _last_at(files, segments)
    return FoundLog(end, base, last_at, cut_bytes, torn, gaps)


def _is_unborn(files: Files, segment: Segment) -> bool:
    """Whether a segment file has neither a header nor a record: its creation was cut short."""
    with _whole(files, segment) as reader:
        if reader.version() is not None:
            return False
        return all(isinstance(item, Gap) for item in reader.payloads(_body(segment)))


def _scan(files: Files, segment: Segment, stop: int | None = None) -> _Scanned:
    """Read all records of a segment's file, or those up to `stop`."""
    end, last_at, gaps, tail_reason = _body(segment), 0, [], "bytes are missing"
    with _whole(files, segment, stop) as reader:
        version = reader.version()
        if version is None:
            reason = f"{segment.path.name}: the header of the segment is damaged"
            gaps.append(Gap(segment.base, end, reason))
        elif version > VERSION:
            raise DataDirectoryTooNew(f"{segment.path} has format {version}, known is {VERSION}")
        for item in reader.payloads(end):
            if isinstance(item, Gap):
                gaps.append(item)
                continue
            end = item[1]
            with contextlib.suppress(msgspec.MsgspecError):
                last_at = decode_record(item[2]).at
    if gaps and gaps[-1].end > end:
        tail_reason = gaps.pop().reason
    return _Scanned(end, last_at, gaps, tail_reason)


def _cut(
    directory: Path, files: Files, segment: Segment, end: int, *, fence: bool
) -> tuple[int, Path | None]:
    """Cut a segment's file at `end`, keeping what is not zeros; make the rest durable."""
    fd = files.open(segment.path)
    try:
        place = end - segment.base
        size = files.size(fd)
        tail = files.pread(fd, size - place, place).rstrip(b"\0") if size > place else b""
        torn = _keep_torn(directory, files, end, tail) if tail else None
        if size > place and (tail or fence):
            files.truncate(fd, place)
        _sync(files, fd)
    finally:
        files.close(fd)
    return len(tail), torn


def _keep_torn(directory: Path, files: Files, end: int, tail: bytes) -> Path:
    path = directory / f"{end:020d}.torn"
    fd = files.open(path, create=True)
    try:
        files.truncate(fd, 0)
        files.pwrite(fd, tail, 0)
        _sync(files, fd)
    finally:
        files.close(fd)
    files.sync_directory(directory)
    return path


def _create_segment(directory: Path, files: Files, base: int) -> None:
    fd = files.open(directory / segment_name(base), create=True)
    try:
        files.truncate(fd, 0)
        files.pwrite(fd, segment_header(base), 0)
        _sync(files, fd)
    finally:
        files.close(fd)
    files.sync_directory(directory)


def _set_aside(files: Files, path: Path) -> None:
    """Remove a segment that never came to be; bytes in it that mean nothing to us are kept."""
    fd = files.open(path)
    try:
        blank = not files.pread(fd, files.size(fd), 0).strip(b"\0")
    finally:
        files.close(fd)
    if blank:
        files.unlink(path)
    else:
        files.rename(path, path.with_suffix(".torn"))
    files.sync_directory(path.parent)


def _last_at(files: Files, segments: Sequence[Segment]) -> Micros:
    """`Record.at` of the last record before the last segment, which holds none."""
    for segment, following in reversed(list(pairwise(segments))):
        if last_at := _scan(files, segment, following.base).last_at:
            return last_at
    return 0


def _whole(files: Files, segment: Segment, stop: int | None = None) -> SegmentReader:
    """A reader of a segment's whole file, or up to `stop`, from the disk itself where it can be."""
    fd = files.open(segment.path)
    try:
        files.forget_cached(fd)
        end = segment.base + files.size(fd)
    finally:
        files.close(fd)
    return SegmentReader(files, segment, end if stop is None else min(end, stop))


def _body(segment: Segment) -> int:
    return segment.base + SEGMENT_HEADER


def _sync(files: Files, fd: int) -> None:
    try:
        files.sync(fd)
    except OSError as fault:
        raise JournalFailed(f"The disk did not make the log durable: {fault}") from fault
