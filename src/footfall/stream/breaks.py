"""From the markers of a list to the breaks of a stream: pure.

One break is told of by many tags: by several at its start, by one on each segment while it lasts,
and by others in another rendition or another process' list, a moment earlier or later. All of
them are one break here, with one id and one start, which never change again.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from footfall.model import Micros
from footfall.stream.contract import Break, Cue

NEAR_US = 1_500_000
"""Starts so near to each other are one break's."""
UNKNOWN_TRIGGER = "UNK_TRIGGER"
TRIGGER_CHARACTERS = 64


def merged(
    known: Sequence[Break], cues: Sequence[Cue], *, forget_before: Micros = 0
) -> tuple[Break, ...]:
    """The breaks by what was known and by what a list's markers say; by their start.

    What was known keeps id and start; a duration is added where it was not known, an end as soon
    as a marker says so; one that is cancelled ends where it begins. Breaks that were over before
    `forget_before` are left out.
    """
    breaks = sorted(known, key=lambda one: one.start_us)
    # What a list cancels it may still mark, at a later time.
    for cue in sorted(cues, key=lambda one: one.cancels):
        if cue.cancels:
            _cancel(breaks, cue)
        elif cue.out:
            _begin(breaks, cue)
        else:
            _end(breaks, cue)
    return tuple(one for one in breaks if _end_of(one) >= forget_before)


def is_cancelled(one: Break) -> bool:
    """Whether a break that was marked ahead was called off before it began."""
    return one.end_us is not None and one.end_us <= one.start_us


def planned_end(one: Break) -> Micros | None:
    """When a break is over, as far as that is known."""
    if one.end_us is not None:
        return one.end_us
    return None if one.duration_us is None else one.start_us + one.duration_us


def _begin(breaks: list[Break], cue: Cue) -> None:
    start = cue.at_us - cue.elapsed_us
    for place, one in enumerate(breaks):
        if abs(one.start_us - start) <= NEAR_US or _goes_on(one, cue):
            if one.duration_us is None and cue.duration_us is not None and one.end_us is None:
                breaks[place] = msgspec.structs.replace(one, duration_us=cue.duration_us)
            return
    for place, one in enumerate(breaks):
        if planned_end(one) is None and one.start_us < start:
            breaks[place] = msgspec.structs.replace(one, end_us=start)
    name = f"{start // 1000}:{_trigger(cue)}"
    breaks.append(Break(name, start, cue.duration_us, upid=cue.upid or ""))
    breaks.sort(key=lambda one: one.start_us)


def _trigger(cue: Cue) -> str:
    return (cue.id or UNKNOWN_TRIGGER)[:TRIGGER_CHARACTERS]


def _goes_on(one: Break, cue: Cue) -> bool:
    """Whether a marker inside a break is that break's.

    Of a break without an end, a marker of another id begins the next one.
    """
    if not one.start_us <= cue.at_us:
        return False
    end = planned_end(one)
    if end is not None:
        # Lists are not exact: a break may begin a moment before the one before it is over.
        return cue.at_us < (end if cue.elapsed_us else end - NEAR_US)
    return cue.elapsed_us > 0 or cue.id is None or one.id.endswith(f":{_trigger(cue)}")


def _cancel(breaks: list[Break], cue: Cue) -> None:
    """Call off the first break of an id that had not begun when this was said. One that has begun
    is played: ads that were shown are not taken back.
    """
    for place, one in enumerate(breaks):
        if one.id.endswith(f":{_trigger(cue)}") and one.start_us >= cue.at_us:
            if one.end_us is None:
                breaks[place] = msgspec.structs.replace(one, end_us=one.start_us)
            return


def _end(breaks: list[Break], cue: Cue) -> None:
    """End the break that a marker of return belongs to: the last one that began before it."""
    for place in range(len(breaks) - 1, -1, -1):
        one = breaks[place]
        if one.start_us >= cue.at_us:
            continue
        if one.end_us is None and not _over_by_plan(one, cue):
            breaks[place] = msgspec.structs.replace(one, end_us=cue.at_us)
        return


def _over_by_plan(one: Break, cue: Cue) -> bool:
    """Whether a break was over long before: the marker is that of a break nobody saw begin."""
    end = planned_end(one)
    return end is not None and cue.at_us > end + max(NEAR_US, one.duration_us or 0)


def _end_of(one: Break) -> Micros:
    end = planned_end(one)
    return one.start_us if end is None else end
