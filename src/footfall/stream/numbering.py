"""Discontinuities of live origins that do not number them, counted for all processes alike.

Without EXT-X-DISCONTINUITY-SEQUENCE each list says that none came before it, and its numbers fall
as its tags leave. So the last tag that anybody saw is kept in the journal's state, by its moment on
the stream's clock, with how many came before it: whoever sees a list can number it from that. A
moment, not a segment, since renditions are cut at the same moments. Lists that are numbered are
left as they are.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from footfall.errors import JournalUnavailable
from footfall.model import Micros
from footfall.settings import Service
from footfall.stream import contexts
from footfall.stream.contexts import Clock
from footfall.stream.contract import MediaList
from footfall.stream.sessions import Sessions

NEAR_US = 500_000
"""A tag of two renditions stands at the same moment, but for so much."""
FAR_US = 600_000_000
"""No rendition, and no cache of an origin, is so far behind another."""
OLD_US = contexts.KEPT_US // 2
"""The state forgets what is not written again for twice as long."""
_LAST = ""
"""The state is a `Clock` with one entry: the last tag's moment, and how many came before it."""


def counted(media: MediaList, known: Clock) -> int:
    """How many discontinuities there were before a list that is on the stream's clock."""
    if media.discontinuity_sequence or _LAST not in known:
        return media.discontinuity_sequence
    at, before = known[_LAST]
    if at < media.starts[0] - NEAR_US or _is_far(media, at):
        return before + 1
    return max(0, before - sum(media.starts[i] < at - NEAR_US for i in media.discontinuities))


def advanced(media: MediaList, known: Clock) -> Clock:
    """What is known, with the list's last tag."""
    if media.discontinuity_sequence:
        return known
    at, _ = known.get(_LAST, (0, 0))
    far = _is_far(media, at)
    last = media.starts[media.discontinuities[-1]] if media.discontinuities else None
    if last is not None and (last > at + NEAR_US or far):
        return {_LAST: (last, counted(media, known) + len(media.discontinuities) - 1)}
    if known and (at < media.starts[0] - OLD_US or far):
        return {_LAST: (media.starts[0] - 2 * NEAR_US, counted(media, known) - 1)}
    return known


def _is_far(media: MediaList, at: Micros) -> bool:
    """Whether a moment is not of the list's clock: it went back, and numbers must not."""
    return at > media.starts[-1] + FAR_US


class Numbering:
    """Of all live streams of a process."""

    def __init__(self, sessions: Sessions, now: Callable[[], Micros]) -> None:
        self._sessions = sessions
        self._now = now

    async def of(self, service: Service, stream: str, media: MediaList) -> MediaList:
        """The list with the number that it has, or should have had."""
        if media.discontinuity_sequence or service.kind == "channel" or not len(media):
            return media
        name = tags_key(service.id, stream)
        known = contexts.read_clock((await self._sessions.read([name])).get(name))
        after = advanced(media, known)
        if after != known:
            unit = contexts.shared_clock(name, self._now(), lambda found: advanced(media, found))
            try:
                known = (await self._sessions.commit(service, unit)).reply  # type: ignore[assignment]
            except JournalUnavailable:
                known = after  # another process comes to the same
        return msgspec.structs.replace(media, discontinuity_sequence=counted(media, known))


def tags_key(service: str, stream: str) -> str:
    return f"stream/{service}/tags/{stream}"
