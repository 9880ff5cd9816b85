"""Rules of session tracking: of one answer, of one after another, and against the playlists."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

import jsonschema_rs
import msgspec

from footfall.model import Micros
from footfall.stream.checking_lists import Fault, MediaPlaylist

NEAR_US = 100_000
"""How far a cut of the playlist may be from what the tracking says."""
SUM_MS = 2
"""What rounding may make of a sum."""
CLOCK_US = 600_000_000
"""A live pod further away than this from all that is listed is told by another clock."""


class Event(msgspec.Struct):
    type: str
    callbackurl: str
    time_ms: int
    offset_ms: int | None = None


class Ad(msgspec.Struct):
    adid: str
    starttime_ms: int
    duration_ms: int
    trackingevents: list[Event] = []

    @property
    def end_ms(self) -> int:
        return self.starttime_ms + self.duration_ms


class Pod(msgspec.Struct):
    id: str
    starttime_ms: int
    duration_ms: int
    ads: list[Ad]

    @property
    def end_ms(self) -> int:
        """Of its last ad: a pod's own duration says only how long its ads are."""
        return max((ad.end_ms for ad in self.ads), default=self.starttime_ms)


class Answer(msgspec.Struct):
    """What any client reads; further names are none of a check's business."""

    adpods: list[Pod]
    refresh_delay_ms: int | None = None
    timereference_ms: int = 0
    """Added to every time."""


def read(body: bytes) -> Answer | Fault:
    try:
        answer = msgspec.json.decode(body, type=Answer)
    except (msgspec.DecodeError, UnicodeDecodeError) as fault:
        return Fault("tracking-shape", str(fault))
    shift = answer.timereference_ms
    for pod in answer.adpods:
        pod.starttime_ms += shift
        for ad in pod.ads:
            ad.starttime_ms += shift
            for event in ad.trackingevents:
                event.time_ms += shift
    return answer


def by_schema(schema: Any, body: bytes) -> Iterator[Fault]:
    """What the service's own published schema has against an answer; the first three."""
    validator = jsonschema_rs.validator_for(schema)
    for number, error in enumerate(validator.iter_errors(msgspec.json.decode(body))):
        if number == 3:
            return
        place = "/".join(map(str, error.instance_path)) or "the answer"
        yield Fault("tracking-schema", f"{place}: {error.message}")


def alone(answer: Answer) -> Iterator[Fault]:
    """What one answer shows by itself."""
    delay = answer.refresh_delay_ms
    if delay is None or not 2000 <= delay <= 5000:
        yield Fault("refresh-delay", f"it is {delay}")
    for before, pod in pairwise(answer.adpods):
        if pod.starttime_ms < before.starttime_ms:
            yield Fault("pods-order", f"{pod.id} is after {before.id} and starts before it")
    # By their ads: who joins within a break has a pre-roll first, then the rest of the break.
    ads = sorted(
        ((ad, pod) for pod in answer.adpods for ad in pod.ads), key=lambda one: one[0].starttime_ms
    )
    for (ad, of), (later, pod) in pairwise(ads):
        if pod is not of and later.starttime_ms < ad.end_ms:
            yield Fault("pods-order", f"an ad of {pod.id} starts before one of {of.id} ends")
    for pod in answer.adpods:
        yield from _pod(pod)


def after(before: Answer, now: Answer) -> Iterator[Fault]:
    """What a later answer must keep."""
    pods = {pod.id: pod for pod in now.adpods}
    for was in before.adpods:
        pod = pods.get(was.id)
        if pod is None:
            continue
        if pod.starttime_ms != was.starttime_ms:
            said = f"started at {was.starttime_ms}, starts at {pod.starttime_ms}"
            yield Fault("pod-changed", f"{was.id} {said}")
        ads = {(ad.adid, ad.starttime_ms): ad for ad in pod.ads}
        for ad in was.ads:
            known = ads.get((ad.adid, ad.starttime_ms))
            if known is None:
                yield Fault("ad-changed", f"{was.id}: {ad.adid} at {ad.starttime_ms} is gone")
            elif known.duration_ms != ad.duration_ms:
                said = f"lasted {ad.duration_ms} ms, lasts {known.duration_ms} ms"
                yield Fault("ad-changed", f"{was.id}: {ad.adid} {said}")


def left_early(
    before: Answer, now: Answer, playlists: Mapping[str, MediaPlaylist]
) -> Iterator[Fault]:
    """Pods that are gone while a playlist still lists some of them."""
    listed = [one.segments[0].at_us for one in playlists.values() if one.segments]
    there = {pod.id for pod in now.adpods}
    for pod in before.adpods:
        if pod.id not in there and pod.ads and listed and pod.end_ms * 1000 > min(listed) + NEAR_US:
            yield Fault("pod-left-early", f"{pod.id} ends at {pod.end_ms}, which is still listed")


def against(answer: Answer, one: MediaPlaylist, *, live: bool) -> Iterator[Fault]:
    """Whether a playlist is cut where the ads begin and end that it lists.

    A live playlist has to have dates: nothing else says which time its segments have.
    """
    if not one.segments or (live and not one.dated):
        return
    first, last = one.segments[0].at_us, one.end_us
    cuts = [first, *(s.at_us for s in one.segments if s.discontinuity), last]
    if live and answer.adpods and not any(_within(pod, first, last) for pod in answer.adpods):
        said = f"{first // 1000} to {last // 1000} is listed"
        pod = answer.adpods[-1]
        yield Fault("tracking-clock", f"{pod.id} is at {pod.starttime_ms} ms, {said}")
        return
    for pod in answer.adpods:
        for ad in pod.ads:
            for what, ms in (("begins", ad.starttime_ms), ("ends", ad.end_ms)):
                at = ms * 1000
                if first + NEAR_US < at < last - NEAR_US and _apart(cuts, at) > NEAR_US:
                    said = f"{_apart(cuts, at) / 1e6:.3f} s from the nearest cut"
                    yield Fault("ad-boundary", f"{pod.id}: {ad.adid} {what} at {ms} ms, {said}")


def _pod(pod: Pod) -> Iterator[Fault]:
    total = sum(ad.duration_ms for ad in pod.ads)
    if abs(total - pod.duration_ms) > SUM_MS:
        yield Fault("pod-sum", f"{pod.id} lasts {pod.duration_ms} ms, its ads {total} ms")
    for before, ad in pairwise(pod.ads):
        if ad.starttime_ms < before.end_ms:
            said = f"{ad.adid} starts at {ad.starttime_ms}, {before.adid} ends at {before.end_ms}"
            yield Fault("ads-overlap", f"{pod.id}: {said}")
    for ad in pod.ads:
        if ad.starttime_ms < pod.starttime_ms:
            yield Fault("ad-outside", f"{pod.id}: {ad.adid} starts at {ad.starttime_ms}")
        for event in ad.trackingevents:
            due = ad.starttime_ms + (event.offset_ms or 0)
            if event.offset_ms is not None and abs(event.time_ms - due) > 1:
                said = f"is at {event.time_ms}, start plus offset is {due}"
            elif not ad.starttime_ms <= event.time_ms <= ad.end_ms:
                said = f"is at {event.time_ms}, the ad from {ad.starttime_ms} to {ad.end_ms}"
            else:
                continue
            yield Fault("event-time", f"{pod.id}: {event.type} of {ad.adid} {said}")


def _within(pod: Pod, first: Micros, last: Micros) -> bool:
    return first - CLOCK_US < pod.starttime_ms * 1000 < last + CLOCK_US


def _apart(cuts: list[Micros], at: Micros) -> int:
    """From the nearest cut; `cuts` rise."""
    index = bisect_left(cuts, at)
    return min(abs(at - cut) for cut in cuts[max(index - 1, 0) : index + 1])
