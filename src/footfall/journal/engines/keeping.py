"""What makes room in a journal's directory: trimming, expiry, and erasing for good.

Runs on a thread of its own, for one process at a time. The journal's lock is held only for
moments, so commits go on meanwhile. Files that are written to are not touched: for an erasure
`local.py` has begun a new segment by then, and the state is written anew and put in place of the
old one (`draft.py` says why), which every process sees in the tip when it next looks.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from footfall.errors import JournalFailed, JournalUnavailable
from footfall.journal.engines.cutting import below, clip_tails, cut_front, remove_segments
from footfall.journal.engines.draft import Draft
from footfall.journal.engines.files import Files
from footfall.journal.engines.recovery import KEEPER, LOCK, exclusive, remove_drafts
from footfall.journal.engines.replay import catch_up, replay
from footfall.journal.engines.segments import list_segments
from footfall.journal.engines.snapshots import list_snapshots, write_snapshot
from footfall.journal.engines.state import (
    State,
    StateDamaged,
    remove_other_states,
    remove_state,
    state_path,
)
from footfall.journal.engines.tip import FAILED, REBUILD, TipFile
from footfall.journal.group import erases

_EXPIRY_STEP = 2000

_LITTLE_BYTES = 256 << 10
"""So much log is put into a new state under the lock; more is, before it is taken."""


class Keeper:
    def __init__(self, directory: Path, files: Files, tip: TipFile) -> None:
        self._directory = directory
        self._files = files
        self._tip = tip

    def trim(self, before: int) -> None:
        """Forget whole segments before a sequence, and expired keys."""
        with self._keeping(), contextlib.closing(State(self._state_path())) as state:
            self._trim_log(state, before)
            self._drop_expired(state)

    def settle(self) -> None:
        """Take lately changed state into its file, without holding commits up for it.

        Left to itself SQLite does it after some commit, under the journal's lock, and two syncs
        of a few thousand pages take a tenth of a second.
        """
        number = self._tip.sound().state
        try:
            with contextlib.closing(State(state_path(self._directory, number))) as state:
                state.settle()
                with exclusive(self._directory / LOCK):
                    state.settle()  # the little that came meanwhile
        except StateDamaged:
            if self._tip.sound().state == number:
                raise  # else an erasure took it away: there is nothing left to settle

    def erase(self, before: int, texts: Sequence[bytes]) -> None:
        """Forget everything before a sequence, and state values that contain one of the texts.

        The segment that is written to begins at or after `before`. Whatever a kill leaves of
        this, the log from `before` on and a state that goes with it are there.
        """
        with self._keeping():
            number = self._rewrite_state(texts)
            self._remember_only(number)
            # Nothing needs the log before the snapshot any more.
            live = self._tip.sound().base
            kept = cut_front(self._files, self._directory, min(before, live))
            gone = below(list_segments(self._files, self._directory), kept)
            remove_segments(self._files, self._directory, gone)
            clip_tails(self._files, self._directory, live)
            # What recoveries cut off was never acknowledged; nobody can tell whose it was.
            for name in self._files.names(self._directory):
                if name.endswith(".torn"):
                    self._files.unlink(self._directory / name)
            self._files.sync_directory(self._directory)

    @contextlib.contextmanager
    def _keeping(self) -> Iterator[None]:
        """Be the only one who keeps, and begin without what one who was killed left behind."""
        try:
            with exclusive(self._directory / KEEPER):
                remove_drafts(self._files, self._directory)
                remove_other_states(self._files, self._directory, self._tip.sound().state)
                yield
        except StateDamaged as fault:
            with exclusive(self._directory / LOCK):
                self._tip.fail(FAILED | REBUILD)
            raise JournalFailed(f"The state is damaged: {fault}") from fault
        except OSError as fault:
            raise JournalUnavailable(f"The journal's files cannot be kept: {fault}") from fault

    def _state_path(self) -> Path:
        # Only who keeps puts another in its place.
        return state_path(self._directory, self._tip.sound().state)

    def _trim_log(self, state: State, before: int) -> None:
        tip = self._tip.sound()
        segments = list_segments(self._files, self._directory)
        if not below(segments, min(before, tip.base)):
            return
        with exclusive(self._directory / LOCK):
            tip = catch_up(self._files, self._directory, state, self._tip, self._tip.sound())
            state.apply((), tip.end)
            self._tip.write(tip._replace(applied=tip.end))
        # The copy is read in full before a byte of the log goes.
        snapshot = write_snapshot(self._files, self._directory, state)
        gone = below(segments, min(before, tip.base, snapshot.applied))
        remove_segments(self._files, self._directory, gone)

    def _drop_expired(self, state: State) -> None:
        """In steps, so that nobody waits for the lock for long.

        By the time of the log, not the clock: no later decision can see an earlier time.
        """
        now, after = self._tip.read().last_at, b""
        while True:
            dead, following = state.expired(after, now, _EXPIRY_STEP)
            if dead:
                with exclusive(self._directory / LOCK):
                    state.drop(dead, now)
            if following is None:
                return
            after = following

    def _rewrite_state(self, texts: Sequence[bytes]) -> int:
        """Put a state without these texts in place of the one in use; gives its number.

        All but the last of it is done beside the commits. A file that was synced and renamed,
        but not said to be in use, is behind the log, and no more than that.
        """
        goes, tip = erases(texts), self._tip.sound()
        old, new = state_path(self._directory, tip.state), tip.state + 1
        path = self._directory / "state.tmp"
        try:
            with contextlib.closing(Draft(path, old)) as draft:
                draft.take(texts, tip.last_at)
                while self._tip.read().end - draft.applied > _LITTLE_BYTES:
                    replay(self._files, self._directory, draft, self._tip.read().end, goes)
                self._sync(path)
                with exclusive(self._directory / LOCK):
                    tip = self._tip.sound()
                    replay(self._files, self._directory, draft, tip.end, goes)
                    draft.finish()
                    self._sync(path)
                    self._files.rename(path, state_path(self._directory, new))
                    self._files.sync_directory(self._directory)
                    self._tip.write(tip._replace(applied=tip.end, state=new))
        finally:
            remove_drafts(self._files, self._directory)
        remove_state(self._files, old)
        return new

    def _remember_only(self, number: int) -> None:
        """Keep one snapshot: that of the state with this number, as it is now."""
        with contextlib.closing(State(state_path(self._directory, number))) as state:
            snapshot = write_snapshot(self._files, self._directory, state)
        for other in list_snapshots(self._files, self._directory):
            if other.path != snapshot.path:
                self._files.unlink(other.path)
        self._files.sync_directory(self._directory)

    def _sync(self, path: Path) -> None:
        fd = self._files.open(path)
        try:
            self._files.sync(fd)
        finally:
            self._files.close(fd)
