"""Whether a live list goes on from the one before, and when its segments are where none says so.

Pure. An origin that restarts counts anew; one of several caches may give a list that is older than
what another gave a moment ago, which is no reason to go back. Lists without program date times are
laid on the clock by an `Anchor`, which all processes share: who keeps it is not known here.
"""

from __future__ import annotations

import msgspec

from footfall.model import Micros
from footfall.stream.contract import MediaList

SAME_US = 1_000_000
"""Dates of one segment in two lists may differ by so much: some origins write them by hand."""
LEAP_TARGETS = 10
"""A list may be so many target durations further on than the time that passed explains."""


class Anchor(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """When one segment of a live stream begins, by its media sequence number."""

    sequence: int
    at_us: Micros


def is_older(before: MediaList, after: MediaList) -> bool:
    """Whether `after` is an earlier state of the very stream that `before` shows."""
    ends_earlier = _end(after) < _end(before)
    return bool(_shared(before, after)) and ends_earlier and not _differs(before, after)


def jump(before: MediaList, after: MediaList, elapsed_us: int) -> str:
    """Why `after` does not go on from `before`, `elapsed_us` later; empty where it does."""
    if not before.chunks or not after.chunks:
        return ""
    shared = _shared(before, after)
    if shared:
        other = _differs(before, after)
        return f"segment {shared[0]} is another one than before" if other else ""
    if after.sequence < before.sequence:
        return f"its media sequence went back from {before.sequence} to {after.sequence}"
    if before.dated and after.dated and after.starts[0] < before.starts[0]:
        return "its program date times went back"
    missed_us = (after.sequence - _end(before)) * _mean(after)
    if missed_us > 2 * elapsed_us + LEAP_TARGETS * after.target_s * 1_000_000:
        return f"its media sequence leapt from {before.sequence} to {after.sequence}"
    return ""


def anchored(media: MediaList, anchor: Anchor) -> MediaList:
    """The list with its starts and cues on the clock; one with program date times as it is."""
    if media.dated:
        return media
    shift = anchor.at_us - _start(media, anchor.sequence)
    return msgspec.structs.replace(
        media,
        starts=[start + shift for start in media.starts],
        cues=[msgspec.structs.replace(cue, at_us=cue.at_us + shift) for cue in media.cues],
    )


def next_anchor(media: MediaList, anchor: Anchor | None, now_us: Micros) -> Anchor:
    """The anchor to keep, which is the given one as long as that is good.

    It moves along before its segment leaves the list, so that nothing has to be guessed; a gap in
    what this server saw is bridged by the mean duration. Without one, after a jump, or where the
    list ends before it, a new one begins: the list then ends now, but not before the old one.
    """
    half = media.sequence + len(media) // 2
    if anchor is None or anchor.sequence > _end(media):
        end_us = now_us if anchor is None else max(now_us, anchor.at_us)
        return Anchor(half, end_us - (media.starts[-1] - _start(media, half)))
    if anchor.sequence >= min(half, media.sequence + 1):
        return anchor
    return Anchor(half, anchor.at_us + _start(media, half) - _start(media, anchor.sequence))


def _end(media: MediaList) -> int:
    """The sequence number after the last."""
    return media.sequence + len(media)


def _shared(before: MediaList, after: MediaList) -> range:
    """The sequence numbers that both have."""
    return range(max(before.sequence, after.sequence), min(_end(before), _end(after)))


def _differs(before: MediaList, after: MediaList) -> bool:
    """Whether a number that both have stands for two segments; the first and last are looked at."""
    shared = _shared(before, after)
    return any(not _is_same(before, after, number) for number in {shared[0], shared[-1]})


def _is_same(before: MediaList, after: MediaList, number: int) -> bool:
    old, new = number - before.sequence, number - after.sequence
    if before.dated and after.dated:
        return abs(before.starts[old] - after.starts[new]) <= SAME_US
    return _name(before.plain[old]) == _name(after.plain[new])


def _name(chunk: str) -> str:
    """The file's name of a segment: folders and queries often hold what changes each time."""
    return chunk.rstrip("\n").rpartition("\n")[2].partition("?")[0].rpartition("/")[2]


def _mean(media: MediaList) -> int:
    if not len(media):
        return media.target_s * 1_000_000
    return (media.starts[-1] - media.starts[0]) // len(media)


def _start(media: MediaList, number: int) -> Micros:
    """Where the segment of a number starts by the list's own time; guessed outside the list."""
    index = number - media.sequence
    within = min(max(index, 0), len(media))
    return media.starts[within] + (index - within) * _mean(media)
