"""Putting the log's changes into the state: after a crash, at a start, when it is built anew."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from footfall.journal.contract import Change
from footfall.journal.engines.files import Files
from footfall.journal.engines.segments import Gap, list_segments, read_log
from footfall.journal.engines.state import State
from footfall.journal.group import decode_record

_STEP_BYTES = 8 << 20


def replay(files: Files, directory: Path, state: State, end: int) -> Sequence[Gap]:
    """Apply what the log holds from the state's own position up to `end`.

    Gives the stretches that could not be read; what they changed is lost to the state.
    """
    segments = list_segments(files, directory)
    at, gaps = state.applied, []
    while at < end:
        stretch = read_log(files, segments, at, end, _STEP_BYTES)
        changes: list[Change] = []
        for start, stop, payload in stretch.payloads:
            try:
                changes.extend(decode_record(payload).changes)
            except msgspec.MsgspecError as fault:
                gaps.append(undecodable(start, stop, fault))
        gaps.extend(stretch.gaps)
        # Nothing read: only a segment's header is left before the end.
        at = stretch.next if stretch.next > at else end
        state.apply(changes, at)
    return gaps


def undecodable(start: int, end: int, fault: Exception) -> Gap:
    """A record whose checksum is right but whose content is not of this version."""
    return Gap(start, end, f"the record is not of a version that is known here: {fault}")
