"""The session-tracking JSON: what was spliced into a session, told to its client.

A pure function of the session's pods, the service's breaks and the moment. A pod that was decided
never changes, so its ads are put into JSON once and joined from then on; that is all that is kept.

Valid against `session-tracking.schema.json`, which is served at /stream/schema/.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import NamedTuple

import msgspec

from footfall.model import Micros
from footfall.stream import contexts, laid, macros, tracking_ads
from footfall.stream.contract import Break, Placed, Pod
from footfall.stream.events import milliseconds, placed_ms
from footfall.stream.runs import SLACK_US

STAY_US: Micros = 10_000_000
"""How long a pod stays after its last segment has left the manifest."""
REFRESH_MS = (2000, 5000)
KEPT_BYTES = 32 << 20
"""Of ads as JSON, in one process."""
SCHEMA = "session-tracking.schema.json"

_json = msgspec.json.Encoder()


class Window(msgspec.Struct, frozen=True):
    """What of a live stream or channel is listed at the moment of an answer."""

    first_us: Micros
    """Start of the first segment that the session's manifest holds."""
    edge_us: Micros
    """End of the last one, of the rendition that is furthest. It must not go back."""
    now_us: Micros = 0
    """Server's clock."""
    gone: Mapping[str, Micros] = {}
    """Server's clock when the last segment of a pod left the manifest, by the pod's id. Of a pod
    that is not in it, the stream's own clock tells how long ago that was."""


class _Way(NamedTuple):
    """What a pod's JSON depends on beside the pod."""

    told_by_server: bool
    position: int
    """BREAKPOSITION."""


class _Shown(NamedTuple):
    """How live pods are told."""

    told_by_server: bool
    least_us: int
    """A list begins an ad when it has this much of it, or all: `folding.begun`."""


class _Told(msgspec.Struct, frozen=True):
    """A decided pod as JSON, whole and cut where its ads end."""

    whole: bytes
    """With all its ads, as most of a session's pods are told."""
    places: tuple[Placed, ...]
    """Of the ads that are announced."""
    begin: int
    """Where in `whole` the first of them begins, and by ad where each ends."""
    ends: tuple[int, ...]
    breaks: bytes
    """``,"adbreaktrackingevents":[…]``, or nothing."""

    def part(self, pod: Pod, count: int) -> bytes:
        """With its first ads."""
        stop = self.ends[count - 1] if count else self.begin
        return _joined(pod, self.places[:count], self.breaks, self.whole[self.begin : stop])

    def size(self) -> int:
        return len(self.whole) + 500


class Tracking:
    """Answers tracking calls; keeps what pods look like as JSON, bounded in bytes."""

    def __init__(
        self,
        kept_bytes: int = KEPT_BYTES,
    ) -> None:
        self._kept: OrderedDict[tuple[_Way, Pod], _Told] = OrderedDict()
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
            shown = [
                (
                    pod.start_us,
                    self._pod(pod, None, _Way(told_by_server, position(pod, content_us))),
                )
                for pod in pods
            ]
        else:
            shown = self._live(pods, window, breaks, _Shown(told_by_server, target_s * 1_000_000))
        shown.sort(key=lambda one: one[0])
        parts = [
            b'{"refresh_delay_ms":%d,"timereference_ms":0,"adpods":['
            % min(max(target_s * 1000, low), high),
        ]
        for _, told in shown:
            parts += (told, b",")
        if shown:
            parts.pop()
        parts.append(b"]")
        if window is None and content_us is not None:
            parts += (b',"contentmapping":', _json.encode(content_mapping(pods, content_us)))
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
            if back is not None and back.end_us is not None:
                end = min(end, back.end_us)
                returns, early = laid.end_of(pod, known)
                if early:
                    # What would begin at an early return, or just before it, is never played.
                    edge = min(edge, returns + SLACK_US)
            if pod.start_us < window.edge_us and _stays(pod.id, end, window):
                way = _Way(how.told_by_server, position(pod))
                shown.append((pod.start_us, self._pod(pod, edge, way, how.least_us)))
        for name, one in ends.items():
            end = one.end_us if one.end_us is not None else one.start_us + (one.duration_us or 0)
            if one.start_us < window.edge_us and _stays(name, end, window):
                shown.append((one.start_us, _head(name, one.start_us) + _NOTHING))
        return shown

    def _pod(self, pod: Pod, edge_us: Micros | None, way: _Way, least_us: int = 0) -> bytes:
        if not pod.decided or not pod.details:
            return _head(pod.id, pod.start_us) + _NOTHING
        told = self._told(pod, way)
        count = len(told.places)
        if edge_us is not None:
            # As lists have it: an ad of which there is less room than this may never be listed,
            # since the break may end there.
            while count and _begins(told.places[count - 1], least_us) > edge_us:
                count -= 1
        if count == len(told.places):
            return told.whole
        return told.part(pod, count)

    def _told(self, pod: Pod, way: _Way) -> _Told:
        key = (way, pod)
        told = self._kept.get(key)
        if told is not None:
            self._kept.move_to_end(key)
            return told
        told = self._kept[key] = _tell(pod, way)
        self._room -= told.size()
        while self._room < 0:
            _, oldest = self._kept.popitem(last=False)
            self._room += oldest.size()
        return told


def _begins(one: Placed, least_us: int) -> Micros:
    """Where the edge is when a list is sure to show an ad."""
    return one.start_us + min(one.duration_us, least_us)


def _tell(pod: Pod, way: _Way) -> _Told:
    details = contexts.unpack(pod.details)
    announced = [
        (one, said) for one, said in zip(pod.ads, details.ads, strict=True) if one.announced
    ]
    places = tuple(one for one, _ in announced)
    ads = bytearray()
    ends: list[int] = []
    for one, said in announced:
        url: tracking_ads.Url = str
        if details.placed_macros:
            url = _filling(way, asset=one.creative, sequence=said.sequence)
        told = tracking_ads.ad(one, said, told_by_server=way.told_by_server, url=url)
        if ends:
            ads += b","
        _json.encode_into(told, ads, len(ads))
        ends.append(len(ads))
    breaks = b""
    if not way.told_by_server:
        start = end = milliseconds(pod.start_us)
        if places:
            start = milliseconds(places[0].start_us)
            end = milliseconds(places[-1].start_us + places[-1].duration_us)
        events = tracking_ads.break_events(details.beacons, start, end, _filling(way))
        breaks = b',"adbreaktrackingevents":' + _json.encode(events)
    whole = _joined(pod, places, breaks, bytes(ads))
    begin = len(whole) - len(ads) - len(_END)
    return _Told(whole, places, begin, tuple(begin + end for end in ends), breaks)


def _filling(way: _Way, *, asset: str = "", sequence: int = 0) -> tracking_ads.Url:
    playing = macros.Playing(position=way.position, sequence=sequence, asset=asset)
    return lambda url: macros.client(url, playing)


def position(pod: Pod, content_us: int | None = None) -> int:
    """Where a break stands, as BREAKPOSITION has it. `content_us`: of a VOD, how long it is."""
    if pod.id == "preroll" or pod.at_us <= 0:
        return macros.PREROLL
    if content_us is not None and pod.at_us >= content_us:
        return macros.POSTROLL
    return macros.MIDROLL


_NOTHING = b'0,"ads":[]}'


_END = b"]}"


def _joined(pod: Pod, places: Sequence[Placed], breaks: bytes, ads: bytes) -> bytes:
    return b'%b%d%b,"ads":[%b%b' % (
        _head(pod.id, pod.start_us),
        sum(map(placed_ms, places)),
        breaks,
        ads,
        _END,
    )


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


def _head(name: str, start_us: Micros) -> bytes:
    return b'{"id":%b,"starttime_ms":%d,"duration_ms":' % (
        _json.encode(name),
        milliseconds(start_us),
    )


def _end(pod: Pod) -> Micros:
    """Of everything that a live pod may have in the manifest."""
    planned = pod.start_us + (pod.planned_us or 0)
    last = pod.ads[-1] if pod.ads else None
    return max(pod.until_us, planned, last.start_us + last.duration_us if last else 0)


def _stays(name: str, end_us: Micros, window: Window) -> bool:
    """Some of it is in the manifest, or has been a few seconds ago."""
    if end_us > window.first_us:
        return True
    since = window.gone.get(name)
    if since is None:
        return window.first_us - end_us < STAY_US
    return window.now_us - since < STAY_US


def schema() -> bytes:
    """The schema of every answer."""
    return resources.files(__package__).joinpath(SCHEMA).read_bytes()
