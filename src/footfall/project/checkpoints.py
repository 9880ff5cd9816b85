"""Where a fold's open sessions are kept between two starts: one SQLite file.

A checkpoint writes what changed since the one before it, what is gone, and the fold's own place in
the journal, all or nothing. It is a convenience and no record: losing the file costs a fold of the
journal from its beginning.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Generator, Iterable
from pathlib import Path
from typing import NamedTuple

import structlog

log = structlog.get_logger(__name__)

TABLES = """
CREATE TABLE IF NOT EXISTS fold (name TEXT PRIMARY KEY, state BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS session (key BLOB PRIMARY KEY, state BLOB NOT NULL) WITHOUT ROWID;
"""


class Checkpoint(NamedTuple):
    """What has changed since the checkpoint before it."""

    fold: bytes
    """The fold's place, clock and whatever else does not belong to one session."""
    changed: Iterable[tuple[bytes, bytes]]
    """Key and state of each session that changed."""
    gone: Iterable[bytes] = ()
    """Keys of sessions that are finished and written elsewhere."""


class Checkpoints:
    """One fold's checkpoints. Used by one thread at a time."""

    def __init__(self, path: Path, fold: str, version: int) -> None:
        """`version` is the fold's: a file of another version counts as empty."""
        self._path = path
        self._name = f"{fold}/{version}"
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._open()
        except sqlite3.OperationalError:
            raise  # no space, say: nothing is wrong with the file
        except sqlite3.DatabaseError as fault:
            log.error("checkpoints.begun_anew", error=str(fault))  # noqa: TRY400 - in words
            self.begin_anew()

    def _open(self) -> None:
        self._database = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = NORMAL")
        self._database.executescript(TABLES)

    def close(self) -> None:
        self._database.close()

    def begin_anew(self) -> None:
        """Without a checkpoint: what a damaged file leaves to do."""
        self.close()
        for name in (self._path, *(Path(f"{self._path}{end}") for end in ("-wal", "-shm"))):
            name.unlink(missing_ok=True)
        self._open()

    def fold(self) -> bytes | None:
        """The fold's own state; None where there is none of this version."""
        row = self._database.execute(
            "SELECT state FROM fold WHERE name = ?", (self._name,)
        ).fetchone()
        return None if row is None else bytes(row[0])

    def sessions(self) -> Generator[tuple[bytes, bytes], None, None]:
        """Key and state of every session, of the newest checkpoint."""
        if self.fold() is not None:
            yield from self._database.execute("SELECT key, state FROM session")

    def write(self, checkpoint: Checkpoint) -> None:
        """Make a checkpoint, all or nothing. Raises `sqlite3.Error`."""
        database = self._database
        database.execute("BEGIN IMMEDIATE")
        try:
            if self.fold() is None:
                self._clear()
            database.executemany("INSERT OR REPLACE INTO session VALUES (?, ?)", checkpoint.changed)
            database.executemany(
                "DELETE FROM session WHERE key = ?", ((key,) for key in checkpoint.gone)
            )
            database.execute(
                "INSERT OR REPLACE INTO fold VALUES (?, ?)", (self._name, checkpoint.fold)
            )
            database.execute("COMMIT")
        except BaseException:
            database.execute("ROLLBACK")
            raise

    def scrub(self) -> None:
        """Leave no byte of what was removed or replaced, in the file or beside it.

        Takes a moment for each 100 MB. Raises `sqlite3.Error`.
        """
        self._database.execute("VACUUM")
        busy, _, _ = self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise sqlite3.OperationalError(f"{self._path} is in use by somebody else")

    def _clear(self) -> None:
        self._database.execute("DELETE FROM session")
        self._database.execute("DELETE FROM fold")
