"""State values that were read since the state last changed: most are asked for again soon.

Every change of the state, by whatever process, moves the tip's `changes_end`; what was read before
holds as long as that stands where it stood. Only under the journal's lock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from footfall.journal.contract import Change
from footfall.model import Micros

MOST = 100_000
"""Keys that are remembered, about, those among them that have no value: some 400 bytes each."""

Stored = tuple[bytes, Micros]
"""A value and its expiry."""
_UNKNOWN: Stored = (b"", 0)
"""In the place of what is not known."""


class Known:
    """A cache before the state's file."""

    def __init__(self, read: Callable[[Sequence[str]], Mapping[str, Stored]]) -> None:
        """`read` gives what is stored for keys, expired or not."""
        self._read = read
        self._newer: dict[str, Stored | None] = {}
        self._older: dict[str, Stored | None] = {}
        """What was asked for last is in `_newer`. Full, it takes the place of `_older`: so what is
        asked for often stays, and what is forgotten costs nothing."""
        self._changes_end = -1

    def load(self, keys: Iterable[str], now: Micros, changes_end: int) -> dict[str, bytes]:
        """The live values of keys, where the tip says that changes end at `changes_end`."""
        if changes_end != self._changes_end:
            self._newer, self._older = {}, {}
            self._changes_end = changes_end
        elif len(self._newer) >= MOST // 2:
            self._newer, self._older = {}, self._newer
        live: dict[str, bytes] = {}
        missing = self._look(keys, now, live)
        if missing:
            stored = self._read(missing)
            for key in missing:
                one = self._newer[key] = stored.get(key)
                if one is not None and one[1] > now:
                    live[key] = one[0]
        return live

    def _look(self, keys: Iterable[str], now: Micros, live: dict[str, bytes]) -> list[str]:
        """Put what is known into `live`; the other keys. Once through: most are far away in memory,
        and come near with the first look.
        """
        newer, older = self._newer, self._older
        missing = []
        for key in keys:
            one = newer.get(key, _UNKNOWN)
            if one is _UNKNOWN:
                one = older.get(key, _UNKNOWN)
                if one is _UNKNOWN:
                    missing.append(key)
                    continue
                newer[key] = one
            if one is not None and one[1] > now:
                live[key] = one[0]
        return missing

    def change(self, changes: Sequence[Change], before: int, changes_end: int) -> None:
        """Our own changes were stored: what was known `before` them holds with them."""
        if before != self._changes_end:
            return
        for change in changes:
            self._newer[change.key] = (
                None if change.value is None else (change.value, change.expires_at)
            )
        self._changes_end = changes_end
