"""What a context forgets of a live session: pods that are long gone become numbers. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from footfall.model import Micros
from footfall.stream.contract import Break, Context, MediaList, Placed, Pod, Shift
from footfall.stream.cuts import Marks
from footfall.stream.laid import advanced, by_pod, end_of, lay
from footfall.stream.runs import SLACK_US

STAY_US: Micros = 10_000_000
STAY_TARGETS = 5
"""A pod counts as gone so long, and so many target durations, after its end has left the list:
later than `tracking` tells of it, whose window moves in whole segments, in any process, whose list
may be three target durations old (`origin.STALE_TARGETS`)."""
KEPT_US: Micros = 600_000_000
"""A context holds gone pods until every rendition has counted them in, but no longer than this:
one that was not asked for since is brought up to the others."""


def begun(pod: Pod, breaks: Sequence[Break], edge_us: Micros, target_s: int) -> Sequence[Placed]:
    """The ads of a live pod that a list is sure to show once its edge is `edge_us`.

    `target_s` as for `live`. An ad that has begun is never taken back.
    """
    end, early = end_of(pod, by_pod(breaks))
    upto = min(edge_us, end + SLACK_US) if early else edge_us
    least = target_s * 1_000_000
    for count, placed in enumerate(pod.ads):
        if placed.start_us + min(placed.duration_us, least) > upto:
            return pod.ads[:count]
    return pod.ads


def gone(pod: Pod, breaks: Sequence[Break], content: MediaList) -> bool:
    """Whether nothing of a pod or its break has been in the list for a while.

    A pod without ads changes no numbers, and stays for as long as its break may go on.
    """
    known = by_pod(breaks)
    if not pod.ads and _may_go_on(pod, known):
        return False
    return _is_gone(pod, known, content)


def _is_gone(pod: Pod, breaks: Mapping[str, Break], content: MediaList) -> bool:
    stay = STAY_US + STAY_TARGETS * content.target_s * 1_000_000
    return _over(pod, breaks) + stay <= content.starts[0]


def _may_go_on(pod: Pod, breaks: Mapping[str, Break]) -> bool:
    """Whether nobody knows when its break ends: without its pod it would be decided again."""
    found = breaks.get(pod.id)
    return found is not None and found.end_us is None and found.duration_us is None


def _over(pod: Pod, breaks: Mapping[str, Break]) -> Micros:
    """When a pod and its break are over; a break without end is so at its pod's end."""
    over = max(end_of(pod, breaks)[0], pod.start_us + (pod.planned_us or 0))
    found = breaks.get(pod.id)
    if found is None:
        return over
    if found.end_us is not None:
        return max(end_of(pod, breaks)[0], found.end_us)
    return max(over, found.start_us + (found.duration_us or 0))


def unseen(shifts: Mapping[str, Shift]) -> Shift:
    """The shift of a rendition that a session sees for the first time.

    Media sequence numbers are a rendition's own; those of discontinuities are the same in all.
    """
    latest = max(shifts.values(), key=lambda one: one.upto_us, default=Shift())
    return msgspec.structs.replace(latest, after=None)


def fold(
    context: Context,
    content: MediaList,
    breaks: Sequence[Break],
    ads: Mapping[str, MediaList],
    marks: Marks,
    *,
    key: str,
    target_s: int | None = None,
) -> Context:
    """Count pods that are gone from one rendition's list into its shift, and leave out of the
    context those that no rendition needs any more. The very same context where there are none.

    Arguments as for `live`; `key` has to be among the context's shifts, or no pod to be gone.
    """
    known = by_pod(breaks)
    window = content.starts[0]
    ready = [pod for pod in context.pods if _is_gone(pod, known, content)]
    if not ready:
        return context
    counted = context.shifts.get(key) or unseen(context.shifts)
    laying = lay(
        content, context.pods, breaks, ads, marks, shift=counted, key=key, target_s=target_s
    )
    for one in laying.pods:
        if one.pod not in ready or one.back is None:
            break
        counted = advanced(counted, one)
    shifts = {**context.shifts, key: counted}
    kept: list[Pod] = []
    for pod in context.pods:
        if pod not in ready:
            kept.append(pod)
            continue
        counts = not _everywhere(pod, shifts)
        if counts and _over(pod, known) + KEPT_US <= window:
            shifts = {name: _caught_up(one, pod, counted) for name, one in shifts.items()}
            counts = False
        if counts or _may_go_on(pod, known):
            kept.append(msgspec.structs.replace(pod, told=b""))
    if tuple(kept) == context.pods and shifts == context.shifts:
        return context
    return msgspec.structs.replace(context, pods=tuple(kept), shifts=shifts)


def _everywhere(pod: Pod, shifts: Mapping[str, Shift]) -> bool:
    return not (pod.decided and pod.ads) or all(pod.at_us < one.upto_us for one in shifts.values())


def _caught_up(shift: Shift, pod: Pod, other: Shift) -> Shift:
    """A shift without a pod that is left out now, by another one that has counted it.

    Numbers of segments are the rendition's own, but must not go back.
    """
    if not pod.decided or not pod.ads or pod.at_us < shift.upto_us:
        return shift
    return Shift(max(shift.sequence, other.sequence), other.discontinuities, other.upto_us)
