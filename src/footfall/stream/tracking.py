"""The session-tracking JSON: what was spliced into a session, told to its client.

A pure function of the session's pods, the service's breaks and the moment. A pod that was decided
never changes, so its ads are put into JSON once and joined from then on; that is all that is kept.

Valid against `session-tracking.schema.json`, which is served at /stream/schema/.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from importlib import resources
from typing import NamedTuple

import msgspec

from footfall.model import Micros
from footfall.stream import contexts, laid, told
from footfall.stream.breaks import is_cancelled
from footfall.stream.contract import Break, Pod
from footfall.stream.events import milliseconds
from footfall.stream.runs import SLACK_US

STAY_US: Micros = 10_000_000
"""How long a pod stays at least after its last segment has left the manifest."""
REFRESH_MS = (2000, 5000)
KEPT_BYTES = 32 << 20
"""Of pods as JSON, in one process."""
_ENTRY_BYTES = 500
"""What keeping one takes beside its text."""
SCHEMA = "session-tracking.schema.json"


class Window(msgspec.Struct, frozen=True):
    """What of a live stream or channel is listed at the moment of an answer."""

    first_us: Micros
    """Start of the first segment."""
    edge_us: Micros
    """End of the last one, of the rendition that is furthest. It must not go back."""
    segment_us: int
    """No segment lasts longer: the first one moves by so much at once."""
    begins_us: Micros = 0
    """Nothing before it is ever listed to the session, which began there with a pre-roll."""


class _Shown(NamedTuple):
    """How live pods are told."""

    told_by_server: bool
    least_us: int
    """A list begins an ad when it has this much of it, or all: `folding.begun`."""


class Tracking:
    """Answers tracking calls; keeps what pods look like as JSON, bounded in bytes."""

    def __init__(
        self,
        kept_bytes: int = KEPT_BYTES,
    ) -> None:
        self._kept: OrderedDict[tuple[bool, int, Pod], bytes] = OrderedDict()
        self._room = kept_bytes

    def answer(
        self,
        pods: Sequence[Pod],
        *,
        target_s: int,
        told_by_server: bool,
        window: Window | None = None,
        breaks: Sequence[Break] = (),
        content_us: int | None = None,
    ) -> bytes:
        """The JSON.

        `pods`: the session's, undecided ones too. Of live and channel: `window`, and the service's
        `breaks`. Of a VOD: how long its content is, once that is known. `told_by_server`: the
        service's beacons are server-side.
        """
        low, high = REFRESH_MS
        pods = [pod for pod in pods if pod.id != contexts.WHOLE]
        if window is None:
            shown = [(pod.start_us, self._pod(pod, told_by_server)) for pod in pods]
        else:
            shown = self._live(pods, window, breaks, _Shown(told_by_server, target_s * 1_000_000))
        shown.sort(key=lambda one: one[0])
        parts = [
            b'{"refresh_delay_ms":%d,"timereference_ms":0,"adpods":['
            % min(max(target_s * 1000, low), high),
        ]
        for _, text in shown:
            parts += (text, b",")
        if shown:
            parts.pop()
        parts.append(b"]")
        if window is None and content_us is not None:
            parts += (b',"contentmapping":', told.encode(content_mapping(pods, content_us)))
        parts.append(b"}")
        return b"".join(parts)

    def _live(
        self, pods: Sequence[Pod], window: Window, breaks: Sequence[Break], how: _Shown
    ) -> list[tuple[Micros, bytes]]:
        known = laid.by_pod(breaks)
        ends = dict(known)
        shown = []
        for pod in pods:
            end, edge = _end(pod), window.edge_us
            back = ends.pop(pod.id, None)
            if back is not None and is_cancelled(back):
                continue
            if back is not None and back.end_us is not None:
                end = min(end, back.end_us)
                returns, early = laid.end_of(pod, known)
                if early:
                    # What would begin at an early return, or just before it, is never played.
                    edge = min(edge, returns + SLACK_US)
            if pod.start_us < window.edge_us and _stays(end, window):
                count = _announced(pod, edge, how.least_us)
                shown.append((pod.start_us, self._pod(pod, how.told_by_server, count)))
        for name, one in ends.items():
            if is_cancelled(one):
                continue
            end = one.end_us if one.end_us is not None else one.start_us + (one.duration_us or 0)
            if one.start_us < window.edge_us and _stays(end, window):
                shown.append((one.start_us, _waiting(name, one.start_us)))
        return shown

    def _pod(self, pod: Pod, told_by_server: bool, count: int | None = None) -> bytes:
        """A pod with its first ads; all of those that are announced unless told how many."""
        if not pod.told:
            return _waiting(pod.id, pod.start_us)
        key = (told_by_server, -1 if count is None else count, pod)
        text = self._kept.get(key)
        if text is None:
            text = self._kept[key] = _text(pod, told_by_server, count)
            self._room -= len(text) + _ENTRY_BYTES
            while self._room < 0:
                _, oldest = self._kept.popitem(last=False)
                self._room += len(oldest) + _ENTRY_BYTES
        else:
            self._kept.move_to_end(key)
        return text


def _announced(pod: Pod, edge_us: Micros, least_us: int) -> int | None:
    """How many of a live pod's ads are told, as lists have them; None: all that ever will be.

    An ad of which there is less room than `least_us` may never be listed, since the break may end
    there.
    """
    ads = [one for one in pod.ads if one.announced]
    count = len(ads)
    while count and ads[count - 1].start_us + min(ads[count - 1].duration_us, least_us) > edge_us:
        count -= 1
    return None if count == len(ads) else count


def _text(pod: Pod, told_by_server: bool, count: int | None) -> bytes:
    if count is None and not told_by_server:
        return told.text(pod)
    said = told.read(pod)
    if count is not None:
        said = said.first(count)
    return told.encode(said.told_by_server() if told_by_server else said)


def content_mapping(pods: Sequence[Pod], content_us: int) -> list[dict[str, int]]:
    """Where the pieces of a VOD's content stand in the stitched stream."""
    found = []
    begin = shift = 0
    for pod in sorted(pods, key=lambda one: one.at_us):
        length = sum(one.duration_us for one in pod.ads) if pod.decided else 0
        if length:
            found.append(_piece(begin, min(pod.at_us, content_us), shift))
            begin = min(pod.at_us, content_us)
            shift += length
    found.append(_piece(begin, content_us, shift))
    return [piece for piece in found if piece["duration_ms"] > 0]


def _piece(begin_us: int, end_us: int, shift_us: int) -> dict[str, int]:
    begin = milliseconds(begin_us + shift_us)
    return {
        "streamtime_ms": begin,
        "contenttime_ms": milliseconds(begin_us),
        "duration_ms": milliseconds(end_us + shift_us) - begin,
    }


def _waiting(name: str, start_us: Micros) -> bytes:
    """A pod of which there is nothing to be told yet."""
    return told.encode(
        told.Pod(id=name, starttime_ms=milliseconds(start_us), duration_ms=0, ads=())
    )


def _end(pod: Pod) -> Micros:
    """Of everything that a live pod may have in the manifest."""
    planned = pod.start_us + (pod.planned_us or 0)
    last = pod.ads[-1] if pod.ads else None
    return max(pod.until_us, planned, last.start_us + last.duration_us if last else 0)


def _stays(end_us: Micros, window: Window) -> bool:
    """Some of what ends then is in the manifest, or has been a few seconds ago.

    By the stream's own clock, which is the same for every process. It was gone as the first
    segment after its end became the window's first: that may begin a whole segment later.
    """
    if end_us <= window.begins_us:
        return False
    return window.first_us - end_us < window.segment_us + STAY_US


def schema() -> bytes:
    """The schema of every answer."""
    return resources.files(__package__).joinpath(SCHEMA).read_bytes()
