"""Putting the log's changes into the state: after a crash, at a start, when it is built anew."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from footfall.journal.contract import Change
from footfall.journal.engines.files import Files
from footfall.journal.engines.segments import Gap, list_segments, read_log
from footfall.journal.engines.state import State
from footfall.journal.engines.tip import Tip, TipFile
from footfall.journal.group import decode_record

_STEP_BYTES = 8 << 20


def replay(
    files: Files,
    directory: Path,
    state: State,
    end: int,
    goes: Callable[[bytes], bool] | None = None,
) -> Sequence[Gap]:
    """Apply what the log holds from the state's own position up to `end`.

    Values of which `goes` says so are left out, and what stood in their place is forgotten.
    Gives the stretches that could not be read; what they changed is lost to the state.
    """
    segments = list_segments(files, directory)
    at, gaps = state.applied, []
    while at < end:
        stretch = read_log(files, segments, at, end, _STEP_BYTES)
        changes: list[Change] = []
        for start, stop, payload in stretch.payloads:
            try:
                changed = decode_record(payload).changes
                changes.extend(_without(changed, goes) if goes is not None else changed)
            except msgspec.MsgspecError as fault:
                gaps.append(undecodable(start, stop, fault))
        gaps.extend(stretch.gaps)
        # Nothing read: only a segment's header is left before the end.
        at = stretch.next if stretch.next > at else end
        state.apply(changes, at)
    return gaps


def catch_up(files: Files, directory: Path, state: State, tip_file: TipFile, tip: Tip) -> Tip:
    """Apply what a process that was killed, or had no space, left out. Under the journal's lock."""
    if tip.applied >= tip.changes_end:
        return tip
    replay(files, directory, state, tip.end)
    tip = tip._replace(applied=tip.end)
    tip_file.write(tip)
    return tip


def _without(changes: Sequence[Change], goes: Callable[[bytes], bool]) -> list[Change]:
    return [
        Change(change.key, None, change.expires_at)
        if change.value is not None and goes(change.value)
        else change
        for change in changes
    ]


def undecodable(start: int, end: int, fault: Exception) -> Gap:
    """A record whose checksum is right but whose content is not of this version."""
    return Gap(start, end, f"the record is not of a version that is known here: {fault}")
