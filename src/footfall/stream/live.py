"""A live list and a session's pods become the session's list. Pure: no reading, no clock.

Ads take the place of content; the timeline never shifts. An ad's segment is listed as soon as the
stream's edge has passed its end, and leaves when the origin's window has passed its start, so the
list is as long as the origin's. Every process makes the same list of the same facts, and lists of
older and newer windows agree in each segment's number, address and discontinuity.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from functools import partial

from footfall.model import Micros
from footfall.stream import playlist
from footfall.stream.contract import Break, MediaList, Pod, Shift
from footfall.stream.cuts import Marks, nearest
from footfall.stream.laid import Laid, Laying, advanced, lay
from footfall.stream.runs import (
    Address,
    Dates,
    Run,
    Spliced,
    Writer,
    own_tags,
    readdressed,
    version,
)

REVEAL_US = 50_000
"""An ad's segment may end by so much after the edge: durations are rounded."""
DATE = "#EXT-X-PROGRAM-DATE-TIME:"


def live(
    content: MediaList,
    pods: Sequence[Pod],
    breaks: Sequence[Break],
    ads: Mapping[str, MediaList],
    marks: Marks,
    *,
    shift: Shift,
    key: str,
    target_s: int | None = None,
    from_us: Micros | None = None,
    known_us: Micros | None = None,
    address: Address | None = None,
) -> Spliced:
    """The list of one rendition.

    `content`: its starts by the stream's clock, even where the origin has no dates. `ads`: lists
    of this rendition by `Placed.creative`; the same ones at every call, since numbers count their
    segments. `marks`: of this rendition (`key`) and of the others. `shift`: of this rendition.
    `target_s`: the one of all of the session's renditions; else the content's. `from_us`: nothing
    before it is listed (pre-roll). `known_us`: the edge of the list that the breaks come from,
    where this one has no markers of its own: what it has beyond that waits, since nobody knows
    yet whether a break begins or ends there.
    """
    laying = lay(
        content,
        pods,
        breaks,
        ads,
        marks,
        shift=shift,
        key=key,
        target_s=target_s,
        known_us=known_us,
    )
    listing = _Listing(content, shift, laying, address)
    listing.between(from_us, known_us)
    for one in laying.pods:
        if not listing.pod(one):
            break
    else:
        listing.content(len(content))
    return listing.spliced(version(content, list(ads.values())))


class _Listing:
    """Writes a list from its first segment to its last, and knows the number of the next one."""

    def __init__(
        self, content: MediaList, shift: Shift, laying: Laying, address: Address | None
    ) -> None:
        self._content = content
        self._shift = shift
        self._laying = laying
        self._edge_us = laying.edge_us
        self._address = address
        self._index = 0
        """Of the next content segment."""
        self._stop = len(content)
        """Content from this index on is not listed."""
        self._returned: int | None = None
        """The content segment that a pod came back at: it has a discontinuity tag in any case."""
        self._window_us = content.starts[0]
        self._first: tuple[int, int, Micros] | None = None
        """Number, discontinuities before, and start of the first segment that is listed."""
        self._next = self._numbers(0)
        """Likewise, of what would be listed next."""
        self._writer = Writer()
        self._ranges = 0
        """Of the content's date ranges, the next one that is not written yet."""
        self._dates = Dates(self._start_of, kept=content.dated, ranges=content.dateranges)

    def between(self, from_us: Micros | None, known_us: Micros | None) -> None:
        """List nothing that begins before the one or after the other."""
        media = self._content
        if known_us is not None:
            self._stop = nearest(media.starts, media.durations, known_us)
        if from_us is None or from_us <= media.starts[0]:
            return
        self._window_us = from_us
        self._index = self._stop
        if from_us <= self._edge_us:
            self._index = max(0, self._laying.cuts.at(from_us).sequence - media.sequence)
        self._next = self._numbers(self._index)

    def _numbers(self, index: int) -> tuple[int, int, Micros]:
        """A content segment's number, the discontinuities before its own tag, and its start."""
        media = self._content
        return (
            media.sequence + index + self._shift.sequence,
            media.discontinuity_sequence
            + bisect_left(media.discontinuities, index)
            + self._shift.discontinuities,
            media.starts[index],
        )

    def _start_of(self, index: int) -> Micros:
        return self._content.starts[index]

    def content(self, upto: int) -> None:
        """List content up to an index."""
        stop = min(upto, self._stop)
        index = self._index
        if index >= stop:
            return
        media, writer = self._content, self._writer
        back = index == self._returned
        own = own_tags(media, index - 1, index) > 0
        number, tags, start = self._numbers(index)
        self._begin(number, tags - (back and not own), start)
        if index == 0 and not back and media.dated and DATE in media.chunks[0]:
            writer.whole(media, stop)
        else:
            self._move_ranges(index + 1)
            writer.add(writer.run(media, index, stop, self._dates, tag=back or own))
        self._skip_ranges(stop)
        self._index = stop

    def pod(self, one: Laid) -> bool:
        """List a pod and the content before it. False: nothing after it can be listed yet."""
        media = self._content
        cut = one.cut.sequence - media.sequence
        self.content(cut)
        if cut > self._stop:
            return False
        back = None if one.back is None else one.back.sequence - media.sequence
        # Of a pod that is over everything is listed, whatever its segments' ends.
        whole = back is not None and (back < self._stop or one.at_once)
        if back is None or back >= self._index:
            self._ads(one, whole=whole)
        if back is None or not (whole or self._is_over(one)):
            return False
        self._shift = advanced(self._shift, one)
        self._index = max(self._index, back)
        self._returned = None if one.at_once else back
        return True

    def _is_over(self, one: Laid) -> bool:
        """Whether all of a pod is listed, though no content after it."""
        return all(run.listed(self._edge_us, REVEAL_US) >= run.size for run in one.runs)

    def _ads(self, one: Laid, *, whole: bool) -> None:
        number = one.cut.sequence + self._shift.sequence
        tags = one.cut.discontinuities + self._shift.discontinuities
        for run in one.runs:
            stop = run.size if whole else run.listed(self._edge_us, REVEAL_US)
            first = self._left(run, stop)
            self._next = (number + first, tags + run.tags(first), self._edge_us)
            if first < stop:
                self._run(one.pod, run, first, stop)
            if stop < run.size:
                return
            number += run.size
            tags += run.tags(run.size)

    def _left(self, run: Run, stop: int) -> int:
        """How many of a run's segments have left: none, where something before it is listed."""
        if self._first is not None or not stop or run.start_us >= self._window_us:
            return 0
        # The first segment begins with the run, each other one where the one before it ends.
        return min(stop, 1 + bisect_left(run.ends, self._window_us - run.start_us))

    def _run(self, pod: Pod, run: Run, first: int, stop: int) -> None:
        self._begin(*self._next[:2], _start_in(run, first))
        tag = first == 0 or own_tags(run.media, first - 1, first) > 0
        self._move_ranges(self._index)
        dates = Dates(partial(_start_in, run))
        texts = self._writer.run(run.media, first, stop, dates, tag=tag)
        self._writer.add(readdressed(texts, pod, run, first, self._address))

    def _begin(self, number: int, tags: int, start_us: Micros) -> None:
        if self._first is None:
            self._first = (number, tags, start_us)

    def _move_ranges(self, index: int) -> None:
        """Write the date ranges before an index at the next head: their segments are not listed."""
        ranges = self._content.dateranges
        while self._ranges < len(ranges) and ranges[self._ranges][0] < index:
            self._writer.pending.append(ranges[self._ranges][1])
            self._ranges += 1

    def _skip_ranges(self, index: int) -> None:
        """Those before an index stand in the content's own lines."""
        self._ranges = bisect_left(self._content.dateranges, (index, ""))

    def spliced(self, needed_version: int) -> Spliced:
        media = self._content
        number, tags, first_us = self._first or self._next
        everything = self._stop == len(media)
        self._move_ranges(len(media) + 1 if everything else self._stop)
        head = playlist.render_head(
            media,
            target_s=self._laying.target_s,
            sequence=number,
            discontinuity_sequence=tags,
            version=needed_version,
            vod=False,
        )
        end = "#EXT-X-ENDLIST\n" if media.ended and everything else ""
        text = "".join([head, *self._writer.parts, *self._writer.pending, end])
        return Spliced(text, number, tags, first_us, self._edge_us, tuple(self._laying.cuts.needed))


def _start_in(run: Run, index: int) -> Micros:
    return run.start_us + (run.ends[index - 1] if index else 0)
