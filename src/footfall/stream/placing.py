"""Where ads go: offers and a break, or a VMAP's breaks and a content, become pods. Pure.

What a pod says is announced and never changes, so everything is settled here at once: which ads
fit, when each begins, what fills the rest. How long an ad is, its segments say (`Candidate`).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence

import msgspec

from footfall.model import Micros
from footfall.stream.contract import (
    SLATE,
    Ad,
    AdBreak,
    Beacon,
    Details,
    Failure,
    Placed,
    Pod,
)
from footfall.stream.events import milliseconds

SHORTEST_SLATE_US = 2_000_000
LONGEST_SLATE_US = 3_600_000_000
"""Of a break whose end is not known: until its return, and no longer than this."""
WRONG_DURATION = 202
"""VAST's code for an ad that is not as long as was expected: here, longer than what is left."""


class Candidate(msgspec.Struct, frozen=True, gc=False):
    """An ad that can be played."""

    ad: Ad
    creative: str
    """Address of its playlist."""
    duration_us: int
    """By the segments of its reference rendition."""


class Offered(msgspec.Struct, frozen=True, gc=False):
    """What an ad call offers, creatives looked up."""

    ads: tuple[Candidate | None, ...] = ()
    """In the order of play; None in the place of one that cannot be played."""
    spare: tuple[Candidate, ...] = ()
    """Each may take the place of one that cannot be played."""


class Slate(msgspec.Struct, frozen=True, gc=False):
    """What fills a break where no ad does. It is repeated as often as it takes."""

    creative: str
    first_us: int
    """Its first segment: less than this is not filled."""


class Room(msgspec.Struct, frozen=True, gc=False):
    """What there is of a live break to be filled."""

    id: str
    """The pod's."""
    start_us: Micros
    at_us: Micros
    """Where ads may begin: the break's start, or later where somebody joins or decides late."""
    planned_us: int | None = None
    """Of the whole break, from its start; None: nobody knows."""
    limit_us: int | None = None
    """Longest that ads may take from `at_us`; None: as long as the break is."""
    excess_us: int = 0
    """How much longer than that they may be all the same."""

    @property
    def left_us(self) -> int | None:
        """From `at_us` on; None: nobody knows."""
        if self.limit_us is not None:
            return self.limit_us
        if self.planned_us is None:
            return None
        return max(0, self.start_us + self.planned_us - self.at_us)


class Placement(msgspec.Struct, frozen=True, gc=False):
    """A pod as it is to be announced."""

    pod: Pod
    """Without `told`."""
    details: Details
    failures: tuple[Failure, ...] = ()
    """Ads that did not fit."""


def live(
    room: Room, offered: Offered, slate: Slate | None = None, beacons: Sequence[Beacon] = ()
) -> Placement:
    """Fill a live break: ads in their order, those that do not fit left out, then the slate.

    `beacons`: those of a VMAP's break. Without an ad they are nobody's: a slate is not counted.
    """
    chosen, failures = _fitting(offered, room.left_us, room.excess_us)
    placed = list(_one_after_another(chosen, room.at_us))
    ads = [one.ad for one in chosen]
    end = _end(placed, room.at_us)
    filler = _filler(room, end, slate)
    if filler is not None:
        placed.append(filler)
        ads.append(Ad(SLATE))
        end = _end(placed, room.at_us)
    details = Details(tuple(ads), tuple(beacons) if chosen else ())
    pod = _pod(room.id, room.start_us, room.at_us, placed)
    pod = msgspec.structs.replace(pod, planned_us=room.planned_us, until_us=end)
    return Placement(pod, details, tuple(failures))


def vod(
    breaks: Sequence[tuple[Micros, AdBreak, Offered]], boundaries: Sequence[Micros]
) -> tuple[Placement, ...]:
    """Insert breaks into a content: each at the segment boundary that is nearest to its place.

    `breaks` are in the order of their places, in content time; `boundaries` are the starts of the
    content's segments and its end. A pod's times are those of the stitched stream.
    """
    ids: set[str] = set()
    found = []
    inserted = 0
    for place, one, offered in breaks:
        cut = nearest(place, boundaries)
        chosen, failures = _fitting(offered, None, 0)
        start = cut + inserted
        placed = list(_one_after_another(chosen, start))
        details = Details(tuple(each.ad for each in chosen), one.beacons)
        name = _unique(one.id or f"slot:{milliseconds(start)}", ids)
        pod = _pod(name, start, cut, placed)
        found.append(Placement(pod, details, tuple(failures)))
        inserted += sum(each.duration_us for each in placed)
    return tuple(found)


def nearest(at_us: Micros, boundaries: Sequence[Micros]) -> Micros:
    """The boundary that is nearest to a moment; the earlier one of two."""
    place = bisect_left(boundaries, at_us)
    around = boundaries[max(0, place - 1) : place + 1]
    return min(around, key=lambda one: abs(one - at_us))


def _fitting(
    offered: Offered, left_us: int | None, excess_us: int
) -> tuple[list[Candidate], list[Failure]]:
    """The ads that are played: each that fits, else a spare one that does, else the next."""
    chosen: list[Candidate] = []
    failures: list[Failure] = []
    spare = list(offered.spare)
    taken = 0
    for wanted in offered.ads:
        for one in (wanted, *spare):
            if one is None:
                continue
            if left_us is None or taken + one.duration_us <= left_us + excess_us:
                chosen.append(one)
                taken += one.duration_us
                if one is not wanted:
                    spare.remove(one)
                break
            if one is wanted:
                failures.append(_too_long(one, left_us - taken))
    return chosen, failures


def _too_long(one: Candidate, left_us: int) -> Failure:
    return Failure(
        WRONG_DURATION,
        f"it lasts {one.duration_us / 1_000_000:.1f} s, and {max(0, left_us) / 1_000_000:.1f} s "
        "of the break were left",
        one.ad.ad_id,
        one.ad.errors,
    )


def _one_after_another(chosen: Sequence[Candidate], start_us: Micros) -> Iterator[Placed]:
    for one in chosen:
        yield Placed(one.ad.ad_id, one.creative, start_us, one.duration_us)
        start_us += one.duration_us


def _filler(room: Room, end_us: Micros, slate: Slate | None) -> Placed | None:
    if slate is None or room.limit_us is not None:
        return None
    if room.planned_us is None:
        return Placed(SLATE, slate.creative, end_us, LONGEST_SLATE_US, announced=False)
    rest = room.start_us + room.planned_us - end_us
    if rest < max(SHORTEST_SLATE_US, slate.first_us):
        return None
    return Placed(SLATE, slate.creative, end_us, rest)


def _end(placed: Sequence[Placed], otherwise: Micros) -> Micros:
    return placed[-1].start_us + placed[-1].duration_us if placed else otherwise


def _pod(name: str, start_us: Micros, at_us: Micros, ads: Sequence[Placed]) -> Pod:
    return Pod(
        name,
        start_us,
        decided=True,
        at_us=at_us,
        until_us=at_us,
        ads=tuple(ads),
    )


def _unique(name: str, taken: set[str]) -> str:
    found, number = name, 1
    while found in taken:
        number += 1
        found = f"{name}-{number}"
    taken.add(found)
    return found
