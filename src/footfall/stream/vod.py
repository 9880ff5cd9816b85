"""A finished list and a session's pods become the session's list. Pure.

Ads are inserted: each pod at the boundary of this rendition that is nearest to its place, so that
every segment of the content is in the list once, in its order.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import accumulate, pairwise
from typing import NamedTuple

import msgspec

from footfall.model import Micros
from footfall.stream import playlist
from footfall.stream.contract import MediaList, Pod
from footfall.stream.cuts import nearest
from footfall.stream.runs import (
    Address,
    Dates,
    Run,
    Spliced,
    Writer,
    own_tags,
    readdressed,
    runs,
    version,
)

_START = re.compile(r"(#EXT-X-START:(?:[^\n]*,)?\s*TIME-OFFSET=)(-?)([0-9]+(?:\.[0-9]*)?)")
_RANGE_DATE = re.compile(r'((?:START|END)-DATE=")([^"]+)"')


def boundaries(content: MediaList) -> Sequence[Micros]:
    """Where segments of a VOD begin, and its end: content time, from 0. Dates do not matter."""
    if content.dated or content.starts[0]:
        return list(accumulate(content.durations, initial=0))
    return content.starts


def vod(
    content: MediaList,
    pods: Sequence[Pod],
    ads: Mapping[str, MediaList],
    *,
    target_s: int | None = None,
    start: str = "",
    address: Address | None = None,
) -> Spliced:
    """The list of one rendition.

    `ads`: lists of this rendition by `Placed.creative`. In the place of one that is missing there
    are gaps of the announced duration: what comes after it stays where it was said to be.
    `target_s`: at least this is the target duration. `start`: the line of an EXT-X-START that is
    the list's where it has none itself.
    """
    target = max(content.target_s, target_s or 0)
    starts = boundaries(content)
    placed = _placed(content, starts, pods, ads, target)
    lengths = [content.durations, *(run.media.durations for _, _, run in placed)]
    longest = max((max(one, default=0) for one in lengths), default=0)
    target = max(target, (longest + 500_000) // 1_000_000)
    inserted = sum(run.ends[run.size - 1] for _, _, run in placed)
    if not placed:
        writer, needed = Writer(), content.version
        writer.whole(content, len(content))
    else:
        needed = version(content, [run.media for _, _, run in placed])
        writer = _Stitching(content, starts, placed, address).written()
    opening = content.head if "#EXT-X-START:" in content.head else start + content.head
    head = playlist.render_head(
        msgspec.structs.replace(content, head=_begun(opening, starts, placed)),
        target_s=target,
        sequence=content.sequence,
        discontinuity_sequence=content.discontinuity_sequence,
        version=needed,
        vod=content.ended,
    )
    end = "#EXT-X-ENDLIST\n" if content.ended else ""
    text = "".join([head, *writer.parts, *writer.pending, end])
    tags = content.discontinuity_sequence
    return Spliced(text, content.sequence, tags, 0, starts[-1] + inserted)


class _Piece(NamedTuple):
    """One run of an ad, and the content segment that it stands before."""

    cut: int
    pod: Pod
    run: Run


def _placed(
    content: MediaList,
    starts: Sequence[Micros],
    pods: Sequence[Pod],
    ads: Mapping[str, MediaList],
    target_s: int,
) -> list[_Piece]:
    found = []
    for pod in sorted(pods, key=lambda one: one.at_us):
        if pod.decided and pod.ads:
            index = nearest(starts, content.durations, pod.at_us)
            found += [_Piece(index, pod, run) for run in runs(pod, ads, target_s)]
    return found


class _Stitching:
    """Content and ads in turns, on one timeline."""

    def __init__(
        self,
        content: MediaList,
        starts: Sequence[Micros],
        placed: Sequence[_Piece],
        address: Address | None,
    ) -> None:
        self._content = content
        self._starts = starts
        self._placed = placed
        self._address = address
        self._cuts = [one.cut for one in placed]
        # Announced durations, not those of this rendition: dates are the same in all.
        lengths = (_announced(placed, at) for at in range(len(placed)))
        self._inserted = list(accumulate(lengths, initial=0))
        self._writer = Writer()
        self._begun = False

    def written(self) -> Writer:
        content = self._content
        index = 0
        ranges = [(at, self._moved(line)) for at, line in content.dateranges]
        dates = Dates(self._date_of if content.dated else None, ranges=ranges)
        for one in self._placed:
            self._list(index, one.cut, dates)
            index = one.cut
            self._ad(one)
        self._list(index, len(content), dates)
        self._writer.pending += [line for at, line in ranges if at >= len(content)]
        return self._writer

    def _list(self, index: int, stop: int, dates: Dates) -> None:
        if index >= stop:
            return
        content, writer = self._content, self._writer
        tag = self._begun or own_tags(content, index - 1, index) > 0
        writer.pending += [line for at, line in dates.ranges if at == index]
        writer.add(writer.run(content, index, stop, dates, tag=tag))
        self._begun = True

    def _ad(self, one: _Piece) -> None:
        run = one.run
        base = self._content.starts[0]

        def date_of(index: int) -> Micros:
            return base + run.start_us + (run.ends[index - 1] if index else 0)

        dates = Dates(date_of if self._content.dated else None)
        texts = self._writer.run(run.media, 0, run.size, dates, tag=self._begun)
        self._writer.add(readdressed(texts, one.pod, run, 0, self._address))
        self._begun = True

    def _date_of(self, index: int) -> Micros:
        """Of a content segment, as the stitched stream has it."""
        before = self._inserted[bisect_right(self._cuts, index)]
        return self._content.starts[0] + self._starts[index] + before

    def _moved(self, line: str) -> str:
        """A date range that goes with its content."""
        return _RANGE_DATE.sub(self._redated, line)

    def _redated(self, found: re.Match[str]) -> str:
        try:
            said = datetime.fromisoformat(found[2])
        except ValueError:
            return found[0]
        if said.tzinfo is None:
            return found[0]
        at = round(said.timestamp() * 1_000_000)
        index = min(max(bisect_right(self._content.starts, at) - 1, 0), len(self._content) - 1)
        moved = self._date_of(index) - self._content.starts[index]
        return f'{found[1]}{(said + timedelta(microseconds=moved)).isoformat()}"'


def _begun(head: str, starts: Sequence[Micros], placed: Sequence[_Piece]) -> str:
    """Header lines whose EXT-X-START names the same moment of the content as before.

    Ads right at that moment are played. An offset below 0 is from the end.
    """

    def moved(found: re.Match[str]) -> str:
        end, offset = starts[-1], min(round(float(found[3]) * 1_000_000), starts[-1])
        at = end - offset if found[2] else offset
        between = sum(
            _announced(placed, index)
            for index, one in enumerate(placed)
            if (starts[one.cut] >= at if found[2] else starts[one.cut] < at)
        )
        return f"{found[1]}{found[2]}{(offset + between) / 1_000_000:.3f}"

    return _START.sub(moved, head) if placed else head


def _announced(placed: Sequence[_Piece], at: int) -> int:
    """What one ad or slate takes; of a slate's rounds the first one has all of it."""
    run = placed[at].run
    first = not at or placed[at - 1].pod is not placed[at].pod
    if not first and placed[at - 1].run.position == run.position:
        return 0
    return placed[at].pod.ads[run.position].duration_us


# Content time and stream time


def stitch(pods: Sequence[Pod]) -> tuple[Pod, ...]:
    """Pods whose ads are put one after another on the stitched stream, by their `at_us`."""
    found = []
    inserted = 0
    for pod in sorted(pods, key=lambda one: one.at_us):
        start = at = pod.at_us + inserted
        ads = []
        for placed in pod.ads:
            ads.append(msgspec.structs.replace(placed, start_us=at))
            at += placed.duration_us
        inserted += at - start
        found.append(
            msgspec.structs.replace(pod, start_us=start, until_us=pod.at_us, ads=tuple(ads))
        )
    return tuple(found)


def stream_time(content_us: Micros, pods: Sequence[Pod]) -> Micros:
    """Where content plays in the stitched stream: after the pods that stand right before it."""
    return content_us + sum(_length(pod) for pod in pods if pod.at_us <= content_us)


def content_time(stream_us: Micros, pods: Sequence[Pod]) -> Micros:
    """What content plays at a moment of the stitched stream; within ads: what comes after them."""
    inserted = 0
    for pod in sorted(pods, key=lambda one: one.at_us):
        if stream_us < pod.at_us + inserted:
            break
        inserted += min(_length(pod), stream_us - pod.at_us - inserted)
    return stream_us - inserted


def content_mapping(
    pods: Sequence[Pod], duration_us: Micros
) -> list[tuple[Micros, Micros, Micros]]:
    """(stream time, content time, duration) of each piece of content between pods."""
    cuts = sorted({min(pod.at_us, duration_us) for pod in pods if _length(pod)})
    edges = sorted({0, duration_us, *cuts})
    return [(stream_time(begin, pods), begin, end - begin) for begin, end in pairwise(edges)]


def _length(pod: Pod) -> Micros:
    return sum(placed.duration_us for placed in pod.ads) if pod.decided else 0
