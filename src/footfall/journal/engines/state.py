"""The state of the local engine: a SQLite file, a function of the log up to `applied`.

Every row carries a checksum, because a flipped bit inside SQLite's pages can make a row wrong
without SQLite noticing. What is damaged is not mended here but built anew from a snapshot and
the log (`recovery.py`). Everything that writes is called under the journal's lock, so SQLite's
own busy handler, which is slow and unfair, never has to arbitrate.
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
import struct
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from types import TracebackType

from google_crc32c import value as crc32c

from footfall.errors import JournalUnavailable
from footfall.journal.contract import Change
from footfall.journal.engines.files import Files
from footfall.model import Micros

SCHEMA = 1
_SUFFIXES = ("", "-wal", "-shm")
_NAME = re.compile(r"state(?:-([1-9]\d*))?\.db(-wal|-shm)?")
_APPLICATION = 0x46464A53

_CREATE = f"""
CREATE TABLE IF NOT EXISTS state (
    key BLOB PRIMARY KEY, value BLOB NOT NULL, expires_at INTEGER NOT NULL, crc INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS position (
    id INTEGER PRIMARY KEY CHECK (id = 1), applied INTEGER NOT NULL, crc INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS lease (
    name TEXT PRIMARY KEY, holder TEXT NOT NULL, until INTEGER NOT NULL
) WITHOUT ROWID;
PRAGMA application_id = {_APPLICATION};
PRAGMA user_version = {SCHEMA};
"""

_PUT = (
    "INSERT INTO state VALUES (?, ?, ?, ?) ON CONFLICT (key) DO UPDATE"
    " SET value = excluded.value, expires_at = excluded.expires_at, crc = excluded.crc"
)
_PUT_POSITION = (
    "INSERT INTO position VALUES (1, ?, ?) ON CONFLICT (id) DO UPDATE"
    " SET applied = excluded.applied, crc = excluded.crc"
)
# A fixed few widths, so that the statements stay prepared; filling one up with nothing costs more
# than asking twice.
_WIDTHS = (512, 256, 128, 64, 32, 16, 8, 4, 2, 1)
_GET = {
    width: f"SELECT key, value, expires_at, crc FROM state WHERE key IN ({','.join('?' * width)})"  # noqa: S608 - placeholders
    for width in _WIDTHS
}

_I64 = struct.Struct("<q")
_LATEST = (1 << 63) - 1

# The file is sound, but cannot be used now; everything else that SQLite reports is damage. So is
# that it cannot be written: a flipped bit in the file's header says so.
_PASSING = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_INTERRUPT,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
    }
)


class StateDamaged(Exception):  # noqa: N818 - a finding; the engine decides what it means
    """The file is not what was written to it. It has to be built anew."""


def state_path(directory: Path, number: int) -> Path:
    """The state's file: `state.db` at first, and another after each erasure."""
    return directory / (f"state-{number}.db" if number else "state.db")


def newest_state(names: Iterable[str]) -> int:
    """The number of the newest state among a directory's names; 0 where there is none."""
    found = (match for match in map(_NAME.fullmatch, names) if match and not match[2])
    return max((int(match[1] or 0) for match in found), default=0)


def remove_state(files: Files, path: Path) -> None:
    """Delete a state's file and those beside it; who still has it open must not need it.

    They are emptied: their content goes now, and not when the last one closes them. Not what
    SQLite maps, which holds nothing of it.
    """
    for suffix in _SUFFIXES:
        beside = path.with_name(path.name + suffix)
        if suffix != "-shm":
            files.empty(beside)
        files.unlink(beside)


def remove_other_states(files: Files, directory: Path, number: int) -> None:
    """Delete every state but one: those before an erasure, or of one that was cut short."""
    names = files.names(directory)
    found = {int(m[1] or 0) for m in map(_NAME.fullmatch, names) if m}
    for other in found - {number}:
        remove_state(files, state_path(directory, other))


class State:
    """One connection to the state file. Not for two threads at once."""

    def __init__(self, path: Path, *, create: bool = False) -> None:
        """Raises `StateDamaged` where the file is none of ours, or of another schema."""
        if not create and not path.exists():
            raise StateDamaged("there is no state file")
        # Not created by chance where another process takes the file away just now.
        where = f"{path.absolute().as_uri()}?mode={'rwc' if create else 'rw'}"
        with Faults():
            self._db = sqlite3.connect(
                where, uri=True, isolation_level=None, check_same_thread=False, timeout=10
            )
        try:
            self._prepare(create=create)
        except BaseException:
            self._db.close()
            raise

    def close(self) -> None:
        self._db.close()

    @property
    def applied(self) -> int:
        """Up to which sequence the changes of the log are in here."""
        with Faults():
            row = self._db.execute("SELECT applied, crc FROM position WHERE id = 1").fetchone()
        if row is None:
            return 0
        applied, crc = row
        if not isinstance(applied, int) or crc != crc32c(_I64.pack(applied)):
            raise StateDamaged("the position fails its checksum")
        return applied

    def load(self, keys: Iterable[str], now: Micros) -> dict[str, bytes]:
        """The live values of some keys."""
        stored = self.stored(keys)
        return {key: value for key, (value, expires_at) in stored.items() if expires_at > now}

    def stored(self, keys: Iterable[str]) -> dict[str, tuple[bytes, Micros]]:
        """What is kept for some keys, with its expiry, which may be over."""
        wanted = {digest(key): key for key in keys}
        digests = list(wanted)
        found: dict[str, tuple[bytes, Micros]] = {}
        with Faults():
            while digests:
                width = next(w for w in _WIDTHS if w <= len(digests))
                some, digests = digests[:width], digests[width:]
                for key, value, expires_at, crc in self._db.execute(_GET[width], some):
                    _check_row(key, value, expires_at, crc)
                    found[wanted[key]] = (value, expires_at)
        return found

    def apply(self, changes: Iterable[Change], applied: int) -> None:
        """Put changes of the log in, in order, and the position after them, as one."""
        last = {change.key: change for change in changes}
        # In the file's order, which takes a third less time than any other.
        puts = sorted(_row(change) for change in last.values() if change.value is not None)
        gone = [(digest(change.key),) for change in last.values() if change.value is None]
        with self._transaction():
            if puts:
                self._db.executemany(_PUT, puts)
            if gone:
                self._db.executemany("DELETE FROM state WHERE key = ?", gone)
            self._db.execute(_PUT_POSITION, (applied, crc32c(_I64.pack(applied))))

    def lease(self, name: str, holder: str, now: Micros, until: Micros) -> bool:
        """Take or renew a lease; give it up where `until` is not after `now`."""
        with self._transaction():
            row = self._db.execute(
                "SELECT holder, until FROM lease WHERE name = ?", (name,)
            ).fetchone()
            if row is not None and row[0] != holder and row[1] > now:
                return False
            if until <= now:
                self._db.execute("DELETE FROM lease WHERE name = ?", (name,))
                return False
            self._db.execute("INSERT OR REPLACE INTO lease VALUES (?, ?, ?)", (name, holder, until))
            return True

    def forget_leases(self) -> None:
        with self._transaction():
            self._db.execute("DELETE FROM lease")

    def expired(self, after: bytes, now: Micros, rows: int) -> tuple[list[bytes], bytes | None]:
        """The expired keys among the next `rows`, and where to go on; None at the end."""
        with Faults():
            seen = self._db.execute(
                "SELECT key, expires_at FROM state WHERE key > ? ORDER BY key LIMIT ?",
                (after, rows),
            ).fetchall()
        dead = [key for key, expires_at in seen if expires_at <= now]
        return dead, seen[-1][0] if len(seen) == rows else None

    def drop(self, keys: Sequence[bytes], now: Micros) -> None:
        """Forget keys, by their digests, that are still expired."""
        with self._transaction():
            self._db.executemany(
                "DELETE FROM state WHERE key = ? AND expires_at <= ?", [(key, now) for key in keys]
            )

    def settle(self) -> None:
        """Take what was put in lately from SQLite's own log into the file, and sync both.

        Others may read and write meanwhile; what they write is left for the next time. Called
        once more while nobody writes, it leaves nothing, and the log begins anew.
        """
        with Faults():
            self._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def copy_to(self, path: Path) -> None:
        """Write the whole file anew to a path that does not exist; writers are not held up."""
        with Faults():
            self._db.execute("VACUUM INTO ?", (str(path),))

    def verify(self) -> None:
        """Read everything. Raises `StateDamaged`; takes a second or two per million keys."""
        with Faults():
            found = self._db.execute("PRAGMA quick_check(1)").fetchone()
            if found is None or found[0] != "ok":
                raise StateDamaged(f"SQLite finds: {found and found[0]}")
            if _schema(self._db) != _expected_schema():
                raise StateDamaged("its tables are not as they were created")
            for row in self._db.execute("SELECT key, value, expires_at, crc FROM state"):
                _check_row(*row)
            _ = self.applied

    def _prepare(self, *, create: bool) -> None:
        with Faults():
            if create:
                # A change dirties a page; small ones are less to write.
                self._db.execute("PRAGMA page_size = 2048")
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
            # Whoever has an old file open when it is emptied must meet its end as an error.
            self._db.execute("PRAGMA mmap_size = 0")
            # The keeper takes the log of the file in before it is so long; see `settle`.
            self._db.execute("PRAGMA wal_autocheckpoint = 65536")
            if create:
                self._db.executescript(_CREATE)
            (application,) = self._db.execute("PRAGMA application_id").fetchone()
            (schema,) = self._db.execute("PRAGMA user_version").fetchone()
        if (application, schema) != (_APPLICATION, SCHEMA):
            raise StateDamaged(f"its schema is {application:x}/{schema}, not ours")

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        with Faults():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            finally:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")


class Faults:
    """Translates what SQLite raises: for now or for good."""

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, _: type[BaseException] | None, fault: BaseException | None, __: TracebackType | None
    ) -> None:
        if isinstance(fault, sqlite3.Error):
            code = getattr(fault, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
            if code in _PASSING:
                raise JournalUnavailable(f"The state cannot be used now: {fault}") from fault
            raise StateDamaged(str(fault)) from fault
        if isinstance(fault, UnicodeDecodeError):
            # The message quotes what it found, and what it found is not text any more.
            raise StateDamaged("SQLite finds what is no text") from fault


def _schema(db: sqlite3.Connection) -> list[tuple[object, ...]]:
    # As bytes: what was damaged need not be text.
    return db.execute(
        "SELECT CAST(type AS BLOB), CAST(name AS BLOB), CAST(tbl_name AS BLOB), CAST(sql AS BLOB)"
        " FROM sqlite_schema ORDER BY rowid"
    ).fetchall()


def _expected_schema() -> list[tuple[object, ...]]:
    with contextlib.closing(sqlite3.connect(":memory:")) as db:
        db.executescript(_CREATE)
        return _schema(db)


def digest(key: str) -> bytes:
    """What stands for a key in the file: keys may hold what a client sent, of any length."""
    return blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _row(change: Change) -> tuple[bytes, bytes, int, int]:
    assert change.value is not None
    key, expires_at = digest(change.key), min(change.expires_at, _LATEST)
    return key, change.value, expires_at, _row_crc(key, change.value, expires_at)


def _row_crc(key: bytes, value: bytes, expires_at: int) -> int:
    return int(crc32c(key + _I64.pack(expires_at) + value))


def _check_row(key: object, value: object, expires_at: object, crc: object) -> None:
    if (
        not isinstance(key, bytes)
        or not isinstance(value, bytes)
        or not isinstance(expires_at, int)
        or crc != _row_crc(key, value, expires_at)
    ):
        raise StateDamaged("a row fails its checksum")
