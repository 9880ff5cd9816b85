"""Pieces of media playlists, cut out so that they can stand anywhere, and what a pod consists of.

A run is what plays without a cut: some segments of one list. At its head stands everything that
its segments depend on and that the run before it may have changed. Pure; `vod` and `live` put
runs together.
"""

from __future__ import annotations

import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import accumulate
from operator import itemgetter
from typing import NamedTuple

import msgspec

from footfall.model import Micros
from footfall.stream.contract import SLATE, Mark, MediaList, Pod
from footfall.stream.keys import CLEAR

DISCONTINUITY = "#EXT-X-DISCONTINUITY\n"
SLACK_US = 250_000
"""Segments of two renditions never end in the very same moment."""
KEPT_FILLERS = 64

Address = Callable[[Pod, int, int], str | None]
"""Of a segment of an ad: (pod, place in `pod.ads`, segment) to the address that is listed in the
place of its own; None leaves that."""


class Spliced(msgspec.Struct, frozen=True, gc=False):
    """One media playlist of one session."""

    text: str
    sequence: int
    """EXT-X-MEDIA-SEQUENCE."""
    discontinuity_sequence: int
    first_us: Micros
    """Start of the first segment that is listed; VOD: 0."""
    edge_us: Micros
    """Up to where the stream is told of: an ad's later segments wait for this to go on. VOD: the
    stitched stream's duration."""
    needed: tuple[Mark, ...] = ()
    """Live: what the list relies on and was not among the marks: to be stored, and the list made
    again from what is stored then, before it is served."""


class Run(NamedTuple):
    """What is to be listed of one ad, or of one round of a slate."""

    position: int
    """In `Pod.ads`."""
    slate: bool
    start_us: Micros
    least_us: int
    """It is begun only if there is this much time: else nothing of it is listed."""
    media: MediaList
    ends: Sequence[int]
    """By segment, from the start of the run."""
    size: int
    """Segments from the first, at most."""

    def tags(self, stop: int) -> int:
        """Discontinuity tags on its first `stop` segments."""
        return int(stop > 0) + own_tags(self.media, 0, stop - 1)

    def listed(self, upto_us: Micros, slack_us: int) -> int:
        """How many segments are over by a moment."""
        if self.start_us + self.least_us > upto_us + slack_us:
            return 0
        return min(self.size, bisect_right(self.ends, upto_us + slack_us - self.start_us))


def own_tags(media: MediaList, index: int, last: int) -> int:
    """A list's own discontinuities after segment `index` and up to `last`."""
    tags = media.discontinuities
    return max(0, bisect_right(tags, last) - bisect_right(tags, index)) if tags else 0


def filler(
    duration_us: int, target_s: int, address: str, lines: str = "", url: str = ""
) -> MediaList:
    """A list of nothing but one address: whole target durations, and what remains.

    `lines` stand before each EXTINF.
    """
    whole, rest = divmod(max(1, duration_us), max(1, target_s) * 1_000_000)
    durations = [max(1, target_s) * 1_000_000] * whole + ([rest] if rest else [])
    chunks = [f"{lines}#EXTINF:{length / 1_000_000:.6f},\n{address}\n" for length in durations]
    return MediaList(
        url=url or address,
        target_s=max(1, target_s),
        version=3,
        sequence=0,
        discontinuity_sequence=0,
        head="",
        ended=True,
        starts=list(accumulate(durations, initial=0)),
        chunks=chunks,
        plain=chunks,
        dated=False,
        durations=durations,
    )


@lru_cache(KEPT_FILLERS)
def blank(duration_us: int, target_s: int, address: str) -> MediaList:
    """What stands in a subtitle rendition for an ad: `address` is that of an empty WebVTT."""
    return filler(duration_us, target_s, address)


@lru_cache(KEPT_FILLERS)
def gap(duration_us: int, target_s: int, address: str) -> MediaList:
    """What stands for an ad that has no list here: its times were announced and stay."""
    return filler(duration_us, target_s, address, "#EXT-X-GAP\n")


def runs(
    pod: Pod,
    ads: Mapping[str, MediaList],
    target_s: int,
    *,
    end_us: Micros | None = None,
    upto_us: Micros | None = None,
) -> list[Run]:
    """What a pod consists of in a rendition.

    `end_us`: where content comes back before its ads are over. What does not fit before it is left
    out by rules in which no rendition differs: whether an ad or a round of a slate is begun at
    all depends on announced times alone, so that discontinuities are the same in all. A slate that
    is not cut off ends at the segment's end that is about nearest to its own. `upto_us`: rounds of
    a slate that begin later are left out, since nobody can see them yet.
    """
    found: list[Run] = []
    for position, placed in enumerate(pod.ads):
        media = ads.get(placed.creative) or gap(placed.duration_us, target_s, placed.creative)
        ends = _ends(media)
        slate = placed.ad_id == SLATE
        stop = placed.start_us + placed.duration_us
        if end_us is not None:
            stop = min(stop, end_us)
        if not slate:
            least = min(placed.duration_us, target_s * 1_000_000)
            run = Run(position, slate, placed.start_us, least, media, ends, len(ends))
            if not placed.announced:  # what fills a channel's slot may be longer than that
                run = _within(run, stop, least * 9 // 20)
            if end_us is not None and (run := _within(run, end_us, SLACK_US)).size == 0:
                break
            found.append(run)
            continue
        least = min(ends[-1], target_s * 1_000_000)
        slack = SLACK_US if stop == end_us else least * 9 // 20
        for start in range(placed.start_us, stop, max(1, ends[-1])):
            if upto_us is not None and start > upto_us:
                break
            run = Run(position, slate, start, least, media, ends, len(ends))
            run = _within(run, stop, slack)
            if run.size == 0:
                break
            found.append(run)
    return found


def _ends(media: MediaList) -> Sequence[int]:
    """Where each segment ends, from the start of the first: the starts say so if they begin with 0
    and are no dates.
    """
    if media.dated or media.starts[0]:
        return list(accumulate(media.durations))
    return media.starts[1:]


def _within(run: Run, end_us: Micros, slack_us: int) -> Run:
    """A run, cut short. What is begun has at least one segment, in every rendition."""
    if run.start_us + run.least_us > end_us + slack_us:
        return run._replace(size=0)
    return run._replace(size=max(1, run.listed(end_us, slack_us)))


# The text of a run


@lru_cache(4096)  # breaks begin for many sessions at the same moments
def date(at_us: Micros) -> str:
    seconds, rest = divmod((at_us + 500) // 1000, 1000)
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"#EXT-X-PROGRAM-DATE-TIME:{moment}.{rest:03}Z\n"


def in_force(column: Sequence[tuple[int, str]], index: int) -> str:
    """What a column of `MediaList.keys` or `.maps` has for a segment."""
    if not column:
        return ""
    at = bisect_right(column, index, key=itemgetter(0)) - 1
    return column[at][1] if at >= 0 else ""


def encrypts(keys: str) -> bool:
    return bool(keys) and not keys.startswith(CLEAR)


def opening(media: MediaList, index: int, before: str) -> str:
    """Keys and map for a segment, where `before` are the key lines in force so far."""
    keys = in_force(media.keys, index)
    if not keys and encrypts(before):
        keys = f"{CLEAR}\n"
    return keys + in_force(media.maps, index)


class Dates(NamedTuple):
    """What a piece says of time, beside its durations."""

    of: Callable[[int], Micros] | None = None
    """Start of a segment; None: no dates are written."""
    kept: bool = False
    """The list's own dates are right as they are."""
    ranges: Sequence[tuple[int, str]] = ()
    """Date ranges that are written in the place of the list's own, unless these are kept."""


def piece(media: MediaList, index: int, stop: int, dates: Dates) -> list[str]:
    """Segments `index` to `stop`, each a text, without a head for the first one.

    That is `plain`: everything that stands before a run is its head's matter.
    """
    if _as_they_are(media, index, stop, dates):
        return [media.plain[index], *media.chunks[index + 1 : stop]]
    texts = list(media.plain[index:stop])
    for at in _special(media, index, stop, dates.ranges):
        texts[at - index] = _spelled(media, at, dates) + texts[at - index]
    return texts


def _as_they_are(media: MediaList, index: int, stop: int, dates: Dates) -> bool:
    if dates.kept:
        return True
    if media.dated or media.dateranges or dates.ranges:
        return False
    return dates.of is None or own_tags(media, index, stop - 1) == 0


def _special(
    media: MediaList, index: int, stop: int, ranges: Sequence[tuple[int, str]]
) -> Iterator[int]:
    """Segments after `index` that have more before them than `plain` tells."""
    columns = (
        media.discontinuities,
        [at for at, _ in media.keys],
        [at for at, _ in media.maps],
        [at for at, _ in ranges],
    )
    found: set[int] = set()
    for column in columns:
        found.update(column[bisect_right(column, index) : bisect_left(column, stop)])
    return iter(sorted(found))


def _spelled(media: MediaList, at: int, dates: Dates) -> str:
    """What stands before a segment, its dates by `dates`."""
    text = ""
    if own_tags(media, at - 1, at):
        text = DISCONTINUITY + (date(dates.of(at)) if dates.of else "")
    lines = media.chunks[at].splitlines(keepends=True)
    text += "".join(one for one in lines if one.startswith(("#EXT-X-KEY", "#EXT-X-MAP")))
    return text + "".join(line for place, line in dates.ranges if place == at)


class Writer:
    """Joins runs, and keeps what of one has to be known for the head of the next."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.pending: list[str] = []
        """Lines that go to the head of the next run."""
        self._keys = ""

    def run(self, media: MediaList, index: int, stop: int, dates: Dates, *, tag: bool) -> list[str]:
        """Write segments; gives them without the run's head, for whoever rewrites addresses.

        `tag`: with a discontinuity before.
        """
        head = DISCONTINUITY if tag else ""
        head += opening(media, index, self._keys)
        if dates.of:
            head += date(dates.of(index))
        self.parts.append(head + "".join(self.pending))
        self.pending.clear()
        self._keys = in_force(media.keys, stop - 1)
        return piece(media, index, stop, dates)

    def add(self, texts: Sequence[str]) -> None:
        self.parts.extend(texts)

    def whole(self, media: MediaList, stop: int) -> None:
        """A list from its first segment on, with everything that it says itself."""
        self.parts.extend(media.chunks[:stop])
        self._keys = in_force(media.keys, stop - 1)


def readdressed(
    texts: Sequence[str], pod: Pod, run: Run, first: int, address: Address | None
) -> Sequence[str]:
    """Segments of an ad with the addresses that a session gets. Slates have none of their own."""
    if address is None or run.slate:
        return texts
    found = []
    for segment, text in enumerate(texts, first):
        other = address(pod, run.position, segment)
        lines = text[: text.rfind("\n", 0, -1) + 1]
        found.append(text if other is None else f"{lines}{other}\n")
    return found


def version(content: MediaList, ads: Sequence[MediaList]) -> int:
    """Enough for what is used. It says so of all that may come, so that it stays."""
    return max(map(_version, (content, *ads)), default=1)


def _version(media: MediaList) -> int:
    lowest = 3
    if media.plain and "#EXT-X-BYTERANGE" in media.plain[0]:
        lowest = 4
    if media.maps:
        lowest = 6
    return max(lowest, media.version)
