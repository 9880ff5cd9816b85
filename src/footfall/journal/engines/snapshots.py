"""Snapshots of the state: what the log before them is no longer needed for.

A snapshot is a whole copy of the state file. Its name says up to where the log is in it and
what its bytes add up to: `state-<applied>-<CRC32C>.snapshot`. The two newest are kept.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from pathlib import Path
from typing import NamedTuple

from google_crc32c import extend

from footfall.journal.engines.files import Files
from footfall.journal.engines.state import State, StateDamaged

KEPT = 2

_NAME = re.compile(r"state-(\d{20})-([0-9a-f]{8})\.snapshot")
_CHUNK = 1 << 20


class Snapshot(NamedTuple):
    applied: int
    crc: int
    path: Path


def list_snapshots(files: Files, directory: Path) -> list[Snapshot]:
    """The snapshots in a directory, newest first."""
    found = [
        Snapshot(int(match[1]), int(match[2], 16), directory / match[0])
        for match in map(_NAME.fullmatch, files.names(directory))
        if match
    ]
    return sorted(found, reverse=True)


def write_snapshot(files: Files, directory: Path, state: State) -> Snapshot:
    """Copy the state as it is now, prove the copy, make it durable, and drop the oldest ones.

    Raises `StateDamaged` where the copy does not hold what it should; nothing is dropped then.
    """
    draft = directory / f"snapshot-{os.getpid()}.tmp"
    files.unlink(draft)
    try:
        state.copy_to(draft)
        applied = _prove(draft)
        fd = files.open(draft)
        try:
            crc = _crc(files, fd)
            files.sync(fd)
        finally:
            files.close(fd)
        snapshot = Snapshot(applied, crc, directory / f"state-{applied:020d}-{crc:08x}.snapshot")
        files.rename(draft, snapshot.path)
    finally:
        files.unlink(draft)
    files.sync_directory(directory)
    for old in list_snapshots(files, directory)[KEPT:]:
        files.unlink(old.path)
    return snapshot


def restore_snapshot(files: Files, snapshot: Snapshot, path: Path) -> None:
    """Make a snapshot the state file. Raises `StateDamaged` where it is not whole."""
    fd = files.open(snapshot.path)
    try:
        if _crc(files, fd) != snapshot.crc:
            raise StateDamaged(f"{snapshot.path.name} fails its checksum")
    finally:
        files.close(fd)
    draft = path.with_suffix(".tmp")
    shutil.copyfile(snapshot.path, draft)
    _prove(draft)
    fd = files.open(draft)
    try:
        files.sync(fd)
    finally:
        files.close(fd)
    files.rename(draft, path)
    files.sync_directory(path.parent)


def _prove(path: Path) -> int:
    """Read all of a state file; gives its position."""
    with contextlib.closing(State(path)) as state:
        state.verify()
        return state.applied


def _crc(files: Files, fd: int) -> int:
    crc, offset = 0, 0
    while data := files.pread(fd, _CHUNK, offset):
        crc = extend(crc, data)
        offset += len(data)
    return crc
