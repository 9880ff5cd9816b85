"""A state that is being written anew beside the one in use, without what is to be forgotten.

Deleting rows leaves their bytes behind: in free pages of older files, in the room within pages
that SQLite has rearranged, in the write-ahead log. A file that never held them has them nowhere.
Nobody else has a draft open, so it is written without a journal of its own and synced at its end.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from footfall.journal.engines.state import Faults, State
from footfall.model import Micros

_TAKE = """
INSERT INTO main.state SELECT key, value, expires_at, crc FROM live.state
WHERE expires_at > ? AND NOT EXISTS (SELECT 1 FROM temp.erased WHERE instr(value, text))
"""


class Draft(State):
    """The new file, with the state in use attached to it as `live`, for reading."""

    def __init__(self, path: Path, live: Path) -> None:
        """`path` does not exist. Raises what `State` raises."""
        super().__init__(path, create=True)
        try:
            with Faults():
                self._db.execute("PRAGMA journal_mode = MEMORY")
                self._db.execute("PRAGMA synchronous = OFF")
                self._db.execute("PRAGMA temp_store = MEMORY")
                self._db.execute("CREATE TEMP TABLE erased (text BLOB NOT NULL)")
                self._db.execute("ATTACH ? AS live", (f"{live.absolute().as_uri()}?mode=ro",))
        except BaseException:
            self.close()
            raise

    def take(self, without: Sequence[bytes], now: Micros) -> None:
        """What lives in the state in use, as of one moment, but for values with these texts.

        In one statement, which keeps Python's lock free: a million rows take seconds.
        """
        with Faults():
            self._db.executemany("INSERT INTO temp.erased VALUES (?)", [(t,) for t in without])
        with self._transaction():
            self._db.execute(_TAKE, (now,))
            self._db.execute("INSERT INTO main.position SELECT id, applied, crc FROM live.position")

    def finish(self) -> None:
        """Take the leases too, and be as those who will use it expect. Under the journal's lock."""
        with self._transaction():
            self._db.execute("INSERT INTO main.lease SELECT name, holder, until FROM live.lease")
        with Faults():
            self._db.execute("DETACH live")
            self._db.execute("PRAGMA journal_mode = WAL")
        self.close()
