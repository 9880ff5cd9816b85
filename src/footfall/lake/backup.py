"""Carry a data directory away while it is in use, and set one up again from what was carried.

    DESTINATION/manifest.json            every file below with its size and SHA-256; written last
    DESTINATION/VERSION                  the data directory's format
    DESTINATION/secret, …                what it knows of erasures (`CARRIED`)
    DESTINATION/lake/catalog.ducklake    the catalogue, copied whole by DuckDB
    DESTINATION/lake/data/…              the Parquet files
    DESTINATION/journal/…                the journal's files

The journal comes after the lake, and its state before its log: so the lake's loader position is
in the copied log, the log holds what the state was made from, and what was acknowledged before
the backup began is in it, loaded or still to be loaded. Parquet files never change, so on the same
file system they are linked and not copied. Paths in the catalogue are relative: a backup may be
restored anywhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import shutil
import sqlite3
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import NamedTuple

import duckdb
import msgspec

from footfall.errors import BackupDamaged, DataDirectoryForeign
from footfall.lake.lake import Lake, sync_new_files

MANIFEST = "manifest.json"
FORMAT = 1
VERSION = "VERSION"
CARRIED = (VERSION, "secret", "erasures.jsonl", "backups.jsonl", "erasures/*.json")
"""Of the data directory itself. The secret has to come along: by it the ids in the state and in
the audit of erasures are hashed."""
OWNERS = frozenset({"secret", "erasures"})
"""For the owner's eyes only, wherever they are."""
PIECE_BYTES = 1 << 20
NOT_COPIED = frozenset({"lock", "tip"})
"""Files of the journal that mean something to running processes only."""


class Entry(msgspec.Struct, frozen=True):
    """A file of a backup."""

    path: str
    """Relative to the backup, with slashes."""
    bytes: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True):
    files: tuple[Entry, ...]
    format: int = FORMAT


class Progress(NamedTuple):
    """How far it is, in bytes. The last one has `done == total`."""

    done: int
    total: int
    what: str
    """The file that was finished last."""


class _Copy(NamedTuple):
    """A file to copy. `bytes`: how much of it, where it may be growing."""

    source: Path
    path: str
    bytes: int
    unchanging: bool = False


async def backup(lake: Lake, journal_directory: Path, destination: Path) -> AsyncIterator[Progress]:
    """Write a backup of the lake and the journal into `destination`, new or empty.

    Raises `DataDirectoryForeign` where it is neither, and what the file system raises; a backup
    without a manifest is not one. Loading goes on meanwhile; nothing is deleted.
    """
    await asyncio.to_thread(_make_empty, destination)
    with lake.keep_files():
        catalog = destination / "lake" / "catalog.ducklake"
        lake_files = await lake.run(lambda connection: _take_lake(lake, connection, catalog))
        journal_files = await asyncio.to_thread(_take_journal, journal_directory, destination)
        copies = [*lake_files, *journal_files]
        total, done = sum(copy.bytes for copy in copies), 0
        entries = []
        for copy in copies:
            entries.append(await asyncio.to_thread(_take, copy, destination))
            done += copy.bytes
            yield Progress(done, total + 1, copy.path)
    await asyncio.to_thread(_finish, destination, entries)
    yield Progress(total + 1, total + 1, MANIFEST)


def restore(source: Path, data_directory: Path) -> Iterator[Progress]:
    """Make `data_directory`, new or empty, from a backup; every file is verified on its way.

    Raises `BackupDamaged`, naming the file, and `DataDirectoryForeign` where something is in
    the way. It appears under its name when it is whole.
    """
    manifest = _read_manifest(source)
    if data_directory.exists() and (not data_directory.is_dir() or any(data_directory.iterdir())):
        raise DataDirectoryForeign(f"{data_directory} is not empty; nothing was restored.")
    data_directory.parent.mkdir(parents=True, exist_ok=True)
    draft = data_directory.with_name(f"{data_directory.name}.restoring-{uuid.uuid4().hex[:8]}")
    draft.mkdir(mode=0o700)
    total, done = sum(entry.bytes for entry in manifest.files), 0
    try:
        for entry in manifest.files:
            _restore_file(source, entry, draft)
            done += entry.bytes
            yield Progress(done, total + 1, entry.path)
        sync_new_files(draft, 0.0)
        draft.rename(data_directory)
        _sync_directory(data_directory.parent)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    yield Progress(total + 1, total + 1, data_directory.name)


def _make_empty(destination: Path) -> None:
    if destination.exists() and (not destination.is_dir() or any(destination.iterdir())):
        raise DataDirectoryForeign(f"{destination} is not empty; nothing was written.")
    (destination / "lake").mkdir(parents=True, exist_ok=True)
    (destination / "journal").mkdir()


def _take_lake(lake: Lake, connection: duckdb.DuckDBPyConnection, catalog: Path) -> list[_Copy]:
    """Copy the catalogue and list the Parquet files, in the lake's thread: nothing changes."""
    shutil.move(lake.copy_catalog(connection), catalog)
    return [
        _Copy(catalog, "lake/catalog.ducklake", catalog.stat().st_size),
        *(
            _Copy(file, _relative("lake/data", file, lake.data), file.stat().st_size, True)
            for file in sorted(lake.data.rglob("*"))
            if file.is_file()
        ),
    ]


def _take_journal(directory: Path, destination: Path) -> list[_Copy]:
    """Copy the state with SQLite's own means, then list the rest as long as it is by now."""
    copies = []
    for database in sorted(directory.glob("*.db")):
        target = destination / "journal" / database.name
        with (
            contextlib.closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as there,
            contextlib.closing(sqlite3.connect(target)) as here,
        ):
            there.backup(here)
            here.execute("PRAGMA journal_mode = DELETE")
        copies.append(_Copy(target, f"journal/{database.name}", target.stat().st_size))
    for file in sorted(directory.rglob("*")):
        skipped = file.name in NOT_COPIED or ".db" in file.name or file.suffix == ".tmp"
        if file.is_file() and not skipped:
            copies.append(_Copy(file, _relative("journal", file, directory), file.stat().st_size))
    for pattern in CARRIED:
        for file in sorted(directory.parent.glob(pattern)):
            path = file.relative_to(directory.parent).as_posix()
            copies.append(_Copy(file, path, file.stat().st_size))
    return copies


def _relative(folder: str, file: Path, directory: Path) -> str:
    return f"{folder}/{file.relative_to(directory).as_posix()}"


def _take(copy: _Copy, destination: Path) -> Entry:
    """Bring a file into the backup and sum it up."""
    target = destination / copy.path
    target.parent.mkdir(parents=True, exist_ok=True)
    if copy.source == target:
        return Entry(copy.path, copy.bytes, _digest(target))
    if copy.unchanging:
        with contextlib.suppress(OSError):  # another file system, or one without links
            os.link(copy.source, target)
            return Entry(copy.path, copy.bytes, _digest(target))
    digest = _copy(copy.source, target, copy.bytes)
    _protect(copy.path, target)
    return Entry(copy.path, copy.bytes, digest)


def _protect(path: str, file: Path) -> None:
    if path.partition("/")[0] in OWNERS:
        file.chmod(0o600)


def _copy(source: Path, target: Path, limit: int) -> str:
    """Copy the first `limit` bytes; their SHA-256."""
    digest = hashlib.sha256()
    with source.open("rb") as reading, target.open("wb") as writing:
        while limit and (piece := reading.read(min(limit, PIECE_BYTES))):
            writing.write(piece)
            digest.update(piece)
            limit -= len(piece)
    return digest.hexdigest()


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _finish(destination: Path, entries: list[Entry]) -> None:
    """Everything durable, then the manifest, then that it is there."""
    sync_new_files(destination, 0.0)
    draft = destination / f"{MANIFEST}.new"
    draft.write_bytes(msgspec.json.format(msgspec.json.encode(Manifest(tuple(entries)))) + b"\n")
    sync_new_files(destination, draft.stat().st_mtime)
    draft.rename(destination / MANIFEST)
    _sync_directory(destination)


def _read_manifest(source: Path) -> Manifest:
    try:
        manifest = msgspec.json.decode((source / MANIFEST).read_bytes(), type=Manifest)
    except FileNotFoundError:
        raise BackupDamaged(
            f"{source} has no {MANIFEST}: it is no backup, or no whole one."
        ) from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BackupDamaged(f"{source / MANIFEST} cannot be read: {error}") from error
    if manifest.format > FORMAT:
        raise BackupDamaged(f"{source / MANIFEST} has format {manifest.format}, known is {FORMAT}.")
    for entry in manifest.files:
        if Path(entry.path).is_absolute() or ".." in Path(entry.path).parts:
            raise BackupDamaged(f"{source / MANIFEST} names a file outside: {entry.path}")
    return manifest


def _restore_file(source: Path, entry: Entry, draft: Path) -> None:
    file, target = source / entry.path, draft / entry.path
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        found = _copy(file, target, entry.bytes + 1)
    except FileNotFoundError:
        raise BackupDamaged(f"{file} is missing.") from None
    if found != entry.sha256:
        raise BackupDamaged(f"{file} is not as it was when the backup was taken.")
    _protect(entry.path, target)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
