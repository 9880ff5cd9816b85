"""The clock of a live origin that dates nothing: when its segments began, by the server's. Pure.

The first list that anybody sees is taken to end now. From then on segments are known by their
media sequence numbers, whichever process sees them; of two renditions, segments of one number
began together. Sessions' lists are dated by it: the JSON's times mean nothing to a player without.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from footfall.model import Micros
from footfall.stream.contexts import Clock
from footfall.stream.contract import Cue, MediaList

OWN_TIMES_UNTIL: Micros = 1_000_000_000_000_000
"""Times below are of a list that begins with 0, those above are dates (2001 and later)."""

NEAR_TARGETS = 5
"""An origin that would be more target durations off the server's clock has begun anew."""


def anchored(media: MediaList, known: Clock, key: str, now: Micros) -> MediaList:
    """A list of a rendition by the stream's clock, as far as that is known."""
    base = _base(media, known, key, now)
    return msgspec.structs.replace(
        media,
        starts=[base + start for start in media.starts],
        cues=[_moved(cue, base) for cue in media.cues],
    )


def advanced(media: MediaList, known: Clock, key: str, now: Micros) -> Clock:
    """The clock with a segment of this list, where the one that is known of it leaves soon."""
    found = known.get(key)
    if found is not None and len(media) // 2 <= found[0] - media.sequence < len(media):
        return known
    base = _base(media, known, key, now)
    last = max(0, len(media) - 1)
    return {**known, key: (media.sequence + last, base + media.starts[last])}


def _base(media: MediaList, known: Clock, key: str, now: Micros) -> Micros:
    """What is to be added to the list's own times, which begin with 0."""
    own = [known[key]] if key in known else []
    anchors = [(sequence - media.sequence, at) for sequence, at in (*own, *known.values())]
    for index, at in anchors:
        if 0 <= index < len(media):
            return at - media.starts[index]
    for index, at in anchors[:1]:
        # None of the list is known, but what is just before or behind it: at the list's own pace.
        base = at - index * media.starts[-1] // max(1, len(media))
        if abs(base + media.starts[-1] - now) < NEAR_TARGETS * media.target_s * 1_000_000:
            return base
    return now - media.starts[-1]


def _moved(cue: Cue, base: Micros) -> Cue:
    if cue.at_us >= OWN_TIMES_UNTIL:
        return cue
    return msgspec.structs.replace(cue, at_us=cue.at_us + base)


def least_us(target_s: int) -> Micros:
    """How much of a live stream a list holds at least: three target durations."""
    return 3 * target_s * 1_000_000


def joining(starts: Sequence[Micros], target_s: int) -> Micros:
    """Where a player joins: the last boundary that leaves enough before the edge."""
    point = starts[-1] - least_us(target_s)
    return next((start for start in reversed(starts[:-1]) if start <= point), starts[0])
