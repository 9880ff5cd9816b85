"""Assets one after another, for ever, as a live playlist: pure.

The loop has no beginning that anybody waited for: it is as if it had run since 1970. So every
process tells the same numbers of the same moment, without asking anybody. Where an asset begins,
every rendition begins at the same moment, that of the reference rendition.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from footfall.model import Micros
from footfall.stream.contract import MediaList

SECOND = 1_000_000
WINDOW_US = 60 * SECOND
"""How far back a channel's playlist goes."""
TAGS_SINCE_US = 1_767_225_600 * SECOND
"""Discontinuities are counted from 2026 on: at each refresh hls.js goes through all numbers below
that of the list, and fifty million of them take half a second."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CLEAR = "#EXT-X-KEY:METHOD=NONE\n"


class Loop(msgspec.Struct, gc=False):
    """One rendition of a channel: one turn through its assets, ready to be cut.

    By segment, as a `MediaList` is; made by `loop`, and then only read.
    """

    url: str
    target_s: int
    version: int
    head: str
    lasts_us: int = 0
    """One turn."""
    starts: list[int] = []
    """From the turn's begin."""
    ends: list[int] = []
    durations: list[int] = []
    plain: list[str] = []
    texts: list[str] = []
    """`plain` with keys and maps where they change, and at each asset's begin."""
    tagged: list[int] = []
    """Indices of the segments that a DISCONTINUITY stands before, rising: the first of each asset,
    and those that assets have themselves."""
    keys: list[tuple[int, str]] = []
    maps: list[tuple[int, str]] = []

    def put(self, asset: MediaList, lasts_us: int, *, encrypted: bool) -> None:
        """Add an asset's segments. `encrypted`: some asset has keys, so that every one says."""
        keys, maps, tags = dict(asset.keys), dict(asset.maps), {0, *asset.discontinuities}
        if encrypted:
            keys.setdefault(0, _CLEAR)
        origin, first = asset.starts[0], len(self.plain)
        for index, plain in enumerate(asset.plain):
            start = asset.starts[index] - origin
            if start >= lasts_us:
                break
            place = first + index
            text = plain
            if index in maps:
                self.maps.append((place, maps[index]))
                text = maps[index] + text
            if index in keys:
                self.keys.append((place, keys[index]))
                text = keys[index] + text
            if index in tags:
                self.tagged.append(place)
            self.plain.append(plain)
            self.texts.append(text)
            self.starts.append(self.lasts_us + start)
            self.ends.append(self.lasts_us + start + asset.durations[index])
            self.durations.append(asset.durations[index])
        self.lasts_us += lasts_us

    def count(self, at_us: Micros, moments: Sequence[int], *, included: bool) -> int:
        """How many of `starts` or `ends` there were since 1970 before a moment, or up to it."""
        turns, within = divmod(at_us, self.lasts_us)
        place = (bisect_right if included else bisect_left)(moments, within)
        return turns * len(self.plain) + place


def loop(url: str, assets: Sequence[MediaList], lengths: Sequence[int]) -> Loop:
    """One turn through the assets' lists of one rendition.

    `lengths`: how long each asset is in the reference rendition, in microseconds. Segments that
    begin past their asset's end there are left out: sound that lasts a moment longer, say. Raises
    `ValueError` where nothing would play.
    """
    found = Loop(
        url,
        max((one.target_s for one in assets), default=0),
        max((one.version for one in assets), default=3),
        "".join(dict.fromkeys(line for one in assets for line in one.head.splitlines(True))),
    )
    encrypted = any(one.keys for one in assets)
    for asset, lasts in zip(assets, lengths, strict=True):
        if len(asset):
            found.put(asset, lasts, encrypted=encrypted)
    if not found.plain or found.lasts_us <= 0:
        raise ValueError("a channel's assets have no segments")
    return found


def window(turn: Loop, now: Micros, window_us: int = WINDOW_US) -> MediaList:
    """The channel's list at a moment: what is over by then, as far as the window goes back."""
    last = turn.count(now, turn.ends, included=True) - 1
    first = min(turn.count(now - window_us, turn.starts, included=False), last)
    size, tagged = len(turn.plain), set(turn.tagged)
    places = [divmod(number, size) for number in range(first, last + 1)]
    starts = [turns * turn.lasts_us + turn.starts[place] for turns, place in places]
    durations = [turn.durations[place] for _, place in places]
    chunks = [turn.texts[place] for _, place in places]
    marks = [index for index, (_, place) in enumerate(places) if place in tagged]
    keys, maps = _held(turn.keys, places), _held(turn.maps, places)
    # A list says itself what is in force at its first segment, wherever in an asset that is.
    chunks[0] = "".join(held[0][1] for held in (keys, maps) if held) + turn.plain[places[0][1]]
    for index in {0, *marks}:
        chunks[index] = f"#EXT-X-PROGRAM-DATE-TIME:{_date(starts[index])}\n{chunks[index]}"
    for index in marks:
        chunks[index] = f"#EXT-X-DISCONTINUITY\n{chunks[index]}"
    turns, place = places[0]
    turns = max(0, turns - TAGS_SINCE_US // turn.lasts_us)
    return MediaList(
        url=turn.url,
        target_s=turn.target_s,
        version=turn.version,
        sequence=first,
        discontinuity_sequence=turns * len(turn.tagged) + bisect_left(turn.tagged, place),
        head=turn.head,
        ended=False,
        starts=[*starts, starts[-1] + durations[-1]],
        chunks=chunks,
        plain=[turn.plain[place] for _, place in places],
        dated=True,
        durations=durations,
        discontinuities=marks,
        keys=keys,
        maps=maps,
    )


def _held(
    changes: Sequence[tuple[int, str]], places: Sequence[tuple[int, int]]
) -> list[tuple[int, str]]:
    """What holds from which of a window's segments on; at the first also what came before it."""
    by_place = dict(changes)
    found = [(i, by_place[place]) for i, (_, place) in enumerate(places) if place in by_place]
    if changes and (not found or found[0][0] > 0):
        before = bisect_right([place for place, _ in changes], places[0][1]) - 1
        found.insert(0, (0, changes[before][1]))
    return found


def _date(at_us: Micros) -> str:
    moment = _EPOCH + timedelta(microseconds=at_us)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
