"""A session's pods laid over one live rendition: what each consists of, where it cuts, where
content comes back, and what that does to the numbers. Pure.

Nothing here depends on how a rendition is cut into segments but the numbers of segments. Which
pods there are, which ads and rounds of slates they have and whether any content stands between
two of them follows from announced times, so that discontinuities have equal numbers in all
renditions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from footfall.model import Micros
from footfall.stream.contract import Break, Mark, MediaList, Pod, Shift
from footfall.stream.cuts import Cuts, Marks
from footfall.stream.runs import Run, runs

EARLY_US = 500_000
"""A break that ends by less than this before its time ends as it was planned."""
AT_ONCE_US = 500_000
"""Pods nearer to each other have no content between them; others have one segment at least."""


class Laid(msgspec.Struct, frozen=True, gc=False):
    """One pod in one rendition, as far as its list knows."""

    pod: Pod
    runs: Sequence[Run]
    cut: Mark
    back: Mark | None
    """Where content comes back, or the next pod cuts; None: not known yet."""
    at_once: bool
    """The next pod follows without content between."""

    @property
    def segments(self) -> int:
        return sum(run.size for run in self.runs)

    @property
    def tags(self) -> int:
        return sum(run.tags(run.size) for run in self.runs)


def by_pod(breaks: Iterable[Break]) -> dict[str, Break]:
    """Breaks by the ids of their pods."""
    return {f"slot:{one.id}": one for one in breaks}


def end_of(pod: Pod, breaks: Mapping[str, Break]) -> tuple[Micros, bool]:
    """Where content comes back from a pod, and whether that is before its ads are over.

    `breaks`: as `by_pod` gives them.
    """
    found = breaks.get(pod.id)
    if found is None or found.end_us is None:
        return pod.until_us, False
    planned = pod.until_us
    if found.duration_us is not None:
        planned = min(planned, found.start_us + found.duration_us) - EARLY_US
    return (found.end_us, True) if found.end_us < planned else (pod.until_us, False)


def _return(pod: Pod, until_us: Micros, breaks: Mapping[str, Break], target_s: int) -> Micros:
    """The moment of a return: that of the break, if ads are over less than half a segment before.

    What is left is too short for anything to fill it.
    """
    found = breaks.get(pod.id)
    if found is None or found.duration_us is None:
        return until_us
    left = found.start_us + found.duration_us - until_us
    return until_us + left if 0 < 2 * left <= target_s * 1_000_000 else until_us


def _filled(pods: Iterable[Pod], shift: Shift) -> list[Pod]:
    """The pods that change a list, those that the shift has already left out; by `at_us`."""
    found = [pod for pod in pods if pod.decided and pod.ads and pod.at_us >= shift.upto_us]
    return sorted(found, key=lambda pod: pod.at_us)


class Laying(msgspec.Struct, frozen=True, gc=False):
    """All pods in one rendition."""

    pods: Sequence[Laid]
    cuts: Cuts
    edge_us: Micros
    """Up to where it is known what plays."""
    target_s: int
    """EXT-X-TARGETDURATION of the list."""


def lay(
    content: MediaList,
    pods: Iterable[Pod],
    breaks: Sequence[Break],
    ads: Mapping[str, MediaList],
    marks: Marks,
    *,
    shift: Shift,
    key: str,
    target_s: int | None = None,
    known_us: Micros | None = None,
) -> Laying:
    """Pods over a list; those beyond its edge are left out. Arguments as for `live.live`."""
    edge = content.starts[-1] if known_us is None else min(content.starts[-1], known_us)
    # What is begun must not hang on a rendition's own target duration: subtitles have a longer one.
    target = target_s or content.target_s
    plans = _plans(_filled(pods, shift), breaks, ads, target, edge)
    cuts = Cuts(content, marks, key)
    laid: list[Laid] = []
    last = shift.after
    for this, after in zip(plans, [*plans[1:], None], strict=False):
        pod = this.pod
        if pod.at_us > edge:
            break
        cut = _not_before(cuts.at(pod.at_us), last)
        at_once = after is not None and after.pod.at_us - this.end_us < AT_ONCE_US
        back: Mark | None = None
        if after is not None and at_once:
            until = max(this.end_us, after.pod.at_us)
            back = cuts.at(until) if until <= edge else None
        elif this.end_us <= edge:
            back = cuts.back(this.end_us)
        back = back and _not_before(back, cut)
        laid.append(Laid(pod, this.runs, cut, back, at_once))
        last = _after(laid[-1])
    return Laying(laid, cuts, edge, max(content.target_s, target))


class _Plan(msgspec.Struct, frozen=True, gc=False):
    pod: Pod
    runs: Sequence[Run]
    end_us: Micros


def _plans(
    pods: Sequence[Pod],
    breaks: Sequence[Break],
    ads: Mapping[str, MediaList],
    target_s: int,
    edge_us: Micros,
) -> list[_Plan]:
    """Those up to the edge that have any effect, and the next one."""
    plans = []
    known = by_pod(breaks)
    for pod in pods:
        end, early = end_of(pod, known)
        end = end if early else _return(pod, end, known, target_s)
        upto = edge_us if end > edge_us else None
        found = runs(pod, ads, target_s, end_us=end if early else None, upto_us=upto)
        if found:
            plans.append(_Plan(pod, found, end))
        if pod.at_us > edge_us:
            break
    return plans


def _not_before(mark: Mark, other: Mark | None) -> Mark:
    return other if other is not None and mark.sequence < other.sequence else mark


def _after(one: Laid) -> Mark | None:
    """Where the next pod cuts at the earliest: one segment of content stands between the two,
    unless it follows at once.
    """
    mark = one.back
    if mark is None or one.at_once:
        return mark
    return Mark(mark.at_us, mark.sequence + 1, mark.discontinuities + mark.own)


def advanced(shift: Shift, one: Laid) -> Shift:
    """The shift of what comes after a pod whose return is known."""
    cut, back = one.cut, one.back
    assert back is not None
    tags = cut.discontinuities + one.tags - back.discontinuities
    if not one.at_once:
        tags += 1 - back.own
    return Shift(
        shift.sequence + one.segments - (back.sequence - cut.sequence),
        shift.discontinuities + tags,
        one.pod.at_us + 1,
        _after(one),
    )
