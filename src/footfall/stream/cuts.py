"""Where moments cut a live rendition: by its list while that shows it, by marks afterwards. Pure.

A moment cuts at the segment boundary that is nearest to it. Lists of several ages and processes
agree on it: a mark, once it is stored, is believed more than any list. What nobody remembers is
reckoned from the list's own pace, and kept as a mark too, so that it stays what it was.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from operator import attrgetter

from footfall.model import Micros
from footfall.stream.contract import Mark, MediaList

Marks = Mapping[str, Sequence[Mark]]
"""By rendition's key, each by `at_us`."""

SAME_US = 150_000
"""So far from each other the renditions' starts of one moment may be: frames have lengths."""

_at_us = attrgetter("at_us")


def nearest(starts: Sequence[Micros], durations: Sequence[int], moment: Micros) -> int:
    """The index of the boundary that is nearest to a moment: the earlier one of two.

    By a segment's own duration, not by the start of the next one, so that it never changes when
    that one comes and the clock has jumped.
    """
    index = min(bisect_left(starts, moment), len(durations))
    if index and 2 * (moment - starts[index - 1]) <= durations[index - 1]:
        index -= 1
    return index


class Cuts:
    """Where moments cut one list."""

    def __init__(self, content: MediaList, marks: Marks, key: str) -> None:
        self._content = content
        self._known = marks.get(key, ())
        self._others = [known for rendition, known in marks.items() if rendition != key]
        self.needed: list[Mark] = []
        """What was asked for and is not among the marks."""

    def at(self, moment: Micros) -> Mark:
        """The moment must not be after the end of the list."""
        mark = _covering(self._known, moment) or _covering_any(self.needed, moment)
        if mark is None:
            content = self._content
            near = content.durations[0] // 2 if content.durations else 0
            told = moment >= content.starts[0] - near
            mark = self._told(moment) if told else self._reckoned(moment)
            if mark.sequence < content.sequence + len(content):
                # Of what comes next it is not known yet whether it has a tag.
                self.needed.append(mark)
        return mark

    def back(self, moment: Micros) -> Mark:
        """Where content comes back: as `at`, but a discontinuity of its own that is still to come
        is never taken for the one that the return has. Renditions are cut into segments
        otherwise, and some would come back before it.
        """
        mark = self.at(moment)
        if mark.tag_us is None or moment >= mark.tag_us - SAME_US:
            return mark
        return Mark(mark.at_us, mark.sequence - 1, mark.discontinuities, mark.after_us)

    def _told(self, moment: Micros) -> Mark:
        content = self._content
        index = nearest(content.starts, content.durations, moment)
        tags = bisect_left(content.discontinuities, index)
        tag = content.discontinuities[tags : tags + 1]
        last = content.starts[index]
        if index < len(content):
            last += content.durations[index] // 2
        if index:
            after = content.starts[index - 1] + content.durations[index - 1] // 2
        else:
            after = moment - 1
        return Mark(
            max(moment, last),
            content.sequence + index,
            content.discontinuity_sequence + tags,
            min(moment - 1, after),
            content.starts[index] if tag and tag[0] == index else None,
        )

    def _reckoned(self, moment: Micros) -> Mark:
        """Numbers by the list's pace; discontinuities as other renditions remember them.

        Those are the same in all renditions. Without any memory they are as before the list.
        """
        content = self._content
        length = content.starts[-1] - content.starts[0]
        pace = max(1, length // max(1, len(content)))
        ago = (content.starts[0] - moment + pace // 2) // pace
        other = next((mark for known in self._others if (mark := _covering(known, moment))), None)
        return Mark(
            moment,
            max(0, content.sequence - max(1, ago)),
            other.discontinuities if other else content.discontinuity_sequence,
            moment - 1,
            other.tag_us if other else None,
        )


def _covering(marks: Sequence[Mark], moment: Micros) -> Mark | None:
    index = bisect_left(marks, moment, key=_at_us)
    if index < len(marks) and marks[index].after_us < moment:
        return marks[index]
    return None


def _covering_any(marks: Sequence[Mark], moment: Micros) -> Mark | None:
    return next((mark for mark in marks if mark.after_us < moment <= mark.at_us), None)
