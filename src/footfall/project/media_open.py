"""The sessions of a fold that are not final, and what of them a checkpoint does not have yet.

What happens to a session is not this module's matter: it knows who there is, who changed, and who
is gone since the last snapshot.
"""

from __future__ import annotations

from collections.abc import Iterator

from footfall.project import media_session as sessions
from footfall.project.media_checkpoint import Key
from footfall.project.media_session import Session


class OpenSessions:
    """Sessions by source and id. Whoever changes one must `touch` it."""

    def __init__(self, by_source: dict[str, dict[str, Session]] | None = None) -> None:
        """`by_source`: those of a checkpoint, which has them as they are."""
        self.by_source = by_source if by_source is not None else {}
        """Only to be read. Two look-ups, by source and by id, are cheaper than making a pair."""
        self._changed: list[Session] = []
        """Each that is `dirty`, once; some may be gone by now."""
        self._gone: list[Key] = []
        """Since the last snapshot."""
        self._gone_unsure: list[Key] = []
        """In the last snapshot, which may not have been written."""

    def __len__(self) -> int:
        return sum(map(len, self.by_source.values()))

    def __iter__(self) -> Iterator[Session]:
        """Not to be kept over an `add` or a `remove`."""
        for by_id in self.by_source.values():
            yield from by_id.values()

    def find(self, source: str, session_id: str) -> Session | None:
        by_id = self.by_source.get(source)
        return by_id.get(session_id) if by_id is not None else None

    def of_id(self, session_id: str) -> list[Session]:
        """Those of an id, at most one per source: ids are unique within one source only."""
        return [by_id[session_id] for by_id in self.by_source.values() if session_id in by_id]

    def add(self, session: Session) -> None:
        self.by_source.setdefault(session.source, {})[session.session_id] = session
        self.touch(session)

    def touch(self, session: Session) -> None:
        """Note that a session changes."""
        if not session.dirty:
            session.dirty = True
            self._changed.append(session)

    def remove(self, source: str, session_id: str) -> Session:
        by_id = self.by_source[source]
        session = by_id.pop(session_id)
        if not by_id:
            del self.by_source[source]
        self._gone.append((source, session_id))
        return session

    def unwritten(self) -> int:
        """About how many sessions the next snapshot writes or removes."""
        return len(self._changed) + len(self._gone)

    def changes(self, *, whole: bool) -> tuple[dict[Key, bytes], list[Key]]:
        """What changed since the last call: the sessions as bytes, and the keys that are no more.

        From now on it counts as written. `whole`: every session, and all that are gone since the
        last call that was not followed by a whole one.
        """
        gone = self._gone_unsure + self._gone if whole else self._gone
        self._gone_unsure, self._gone = gone, []
        left = set(gone)
        written = {}
        for session in self if whole else self._changed:
            key = (session.source, session.session_id)
            if key not in left or self.find(*key) is session:  # an id that left may be back
                written[key] = sessions.encode(session)
        for session in self._changed:
            session.dirty = False
        self._changed = []
        return written, [key for key in gone if key not in written]
