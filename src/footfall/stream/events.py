"""What streams say happened: the vocabulary of protocol ``broadpeak`` in the journal and the lake.

Plain functions that give `Said`: a type, properties and a time. `Events` makes `model.Event`s of
them, once it is known whose they are. Names are the field's; times of the stream are `start_ms`,
in milliseconds: since 1970 of a live stream and a channel, from 0 of a VOD (`mode` "vod").

| type | one for each |
|---|---|
| `session` | context that began |
| `ad-break` | pod that was decided |
| `ad` | ad that was placed, slates excluded |
| `ad-error` | ad or answer that could not be used |
| `ad-segment` | segment of an ad, the first time that it is asked for (server-side tracking) |
| `beacon-due` | address that such a request owes a call |
| `beacon` | what came of that call |
| `origin-error` | kind of trouble with an origin, at most once a minute; of no session |
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, Protocol

import msgspec

from footfall.model import Event, Micros
from footfall.stream.contract import SLATE, Ad, Beacon, Details, Failure, Offer, Placed, Pod

PROTOCOL = "broadpeak"
Mode = Literal["vod", "preroll", "replacement", "channel"]
Outcome = Literal["filled", "partial", "empty", "failed", "lost"]
BeaconResult = Literal["sent", "failed", "uncertain", "lost"]
"""sent: it was answered, with `status`. failed: no byte of it left, however often it was tried.
uncertain: it was sent and no answer came. lost: it was not sent, since the server ended or the
journal took nothing for too long."""
TEXT_CHARACTERS = 1_000
"""Longest text of an ad server's that is kept."""
FILLED_MS = 2_000
"""A break of which less than this is left is filled: a slate needs as much."""
NO_ADS = 303
"""VAST's code for an answer without an ad: nothing that failed."""


class Said(msgspec.Struct, frozen=True):
    """Something that happened, before it is known whose it is."""

    type: str
    at: Micros
    """Server's clock."""
    properties: dict[str, Any]


class Sender(msgspec.Struct, frozen=True, kw_only=True):
    """Whose events they are: a session, and what its request tells of the client."""

    source: str
    service: str
    session_id: str | None
    """None: of the service as a whole."""
    channel: str | None = None
    brand: str | None = None
    country: str | None = None
    device: str | None = None
    os: str | None = None
    browser: str | None = None
    ip: str | None = None
    """Truncated, as in `Event`."""
    withheld: bool = False


class Recorder(Protocol):
    """Makes events of what was said. `Events` is the one; a port, so that ids stay outside."""

    def __call__(self, sender: Sender, said: Sequence[Said], now: Micros) -> list[Event]:
        """`now` is when the request arrived that said so."""
        ...


class Events:
    """Makes the events of one process."""

    def __init__(self, new_event_id: Callable[[Micros], str]) -> None:
        self._new_event_id = new_event_id

    def __call__(self, sender: Sender, said: Sequence[Said], now: Micros) -> list[Event]:
        return [
            Event(
                event_id=self._new_event_id(now),
                source=sender.source,
                protocol=PROTOCOL,
                type=one.type,
                occurred_at=one.at,
                received_at=now,
                session_id=sender.session_id,
                channel=sender.channel,
                brand=sender.brand,
                country=sender.country,
                device=sender.device,
                os=sender.os,
                browser=sender.browser,
                ip=sender.ip,
                properties={"service": sender.service, **one.properties},
                withheld=sender.withheld,
            )
            for one in said
        ]


def milliseconds(moment: Micros) -> int:
    """Microseconds rounded, so that what meets in microseconds meets in milliseconds."""
    return (moment + 500) // 1000


def placed_ms(one: Placed) -> int:
    """How long an ad is between its rounded edges."""
    return milliseconds(one.start_us + one.duration_us) - milliseconds(one.start_us)


def origin_error(at: Micros, *, kind: str, url: str, reason: str) -> Said:
    """An origin failed, or its live list did not go on; `kind` as `origin.Trouble` has it."""
    return Said("origin-error", at, {"kind": kind, "url": url, "reason": reason})


def session(at: Micros, *, kind: str, workflow: str, path: str) -> Said:
    """A context began. `workflow` is the value of bk-ml, or nothing."""
    return Said("session", at, {"kind": kind, "workflow": workflow, "path": path})


def decided(
    at: Micros,
    pod: Pod,
    details: Details,
    offer: Offer,
    *,
    mode: Mode,
    tracking: str,
    from_us: Micros | None = None,
) -> list[Said]:
    """A pod, its ads and what went wrong, as they are journalled with the decision.

    `from_us`: from where on a live break was the session's to fill; None: all of it. Who joins
    within a break is owed no more; who gets ads late is.
    """
    room_us = _room_us(pod, from_us)
    return [
        _ad_break(at, pod, offer, room_us, _outcome(pod, offer, room_us), mode=mode),
        *_ads(at, pod, details, mode, tracking),
        *(ad_error(at, pod.id, failure) for failure in offer.failures),
    ]


def lost(at: Micros, pod: Pod, *, mode: Mode, reason: str) -> Said:
    """A pod whose claim ran out undecided: the original plays."""
    return _ad_break(at, pod, Offer(), pod.planned_us, ("lost", reason), mode=mode)


def _ad_break(
    at: Micros,
    pod: Pod,
    offer: Offer,
    room_us: int | None,
    came_to: tuple[Outcome, str],
    *,
    mode: Mode,
) -> Said:
    outcome, reason = came_to
    ads = [one for one in pod.ads if one.ad_id != SLATE]
    slates = [one for one in pod.ads if one.ad_id == SLATE and one.announced]
    properties = {
        "pod": pod.id,
        "mode": mode,
        "start_ms": milliseconds(pod.start_us),
        "planned_ms": None if room_us is None else milliseconds(room_us),
        "filled_ms": sum(map(placed_ms, ads)),
        "slate_ms": sum(map(placed_ms, slates)),
        "offered": len(offer.ads),
        "ads": len(ads),
        "outcome": outcome,
        "reason": reason[:TEXT_CHARACTERS],
        "latency_ms": round(offer.latency_ms, 3) if offer.calls else None,
        "calls": offer.calls,
    }
    return Said("ad-break", at, properties)


def _room_us(pod: Pod, from_us: Micros | None) -> int | None:
    """How much of a break there was to be filled, as far as its length is known."""
    if pod.planned_us is None or from_us is None:
        return pod.planned_us
    return max(0, pod.start_us + pod.planned_us - max(pod.start_us, from_us))


def _outcome(pod: Pod, offer: Offer, room_us: int | None) -> tuple[Outcome, str]:
    """What became of a decided pod, and why where it is not filled."""
    ads = [one for one in pod.ads if one.ad_id != SLATE]
    serious = [one for one in offer.failures if one.code != NO_ADS]
    text = next((one.reason for one in (*serious, *offer.failures)), "")
    if not ads:
        return ("failed" if serious or offer.ads else "empty"), text
    if room_us is not None:
        short = milliseconds(room_us) - sum(map(placed_ms, ads)) >= FILLED_MS
    else:
        short = len(ads) < len(offer.ads)
    return ("partial", text) if short else ("filled", "")


def _ads(at: Micros, pod: Pod, details: Details, mode: Mode, tracking: str) -> Iterator[Said]:
    position = 0
    for placed, ad in zip(pod.ads, details.ads, strict=True):
        if placed.ad_id == SLATE:
            continue
        position += 1
        yield _ad(at, pod.id, position, placed, ad, mode=mode, tracking=tracking)


def _ad(
    at: Micros, pod_id: str, position: int, placed: Placed, ad: Ad, *, mode: Mode, tracking: str
) -> Said:
    properties = {
        "pod": pod_id,
        "mode": mode,
        "position": position,
        "ad_id": placed.ad_id[:TEXT_CHARACTERS],
        "creative_id": ad.creative_id[:TEXT_CHARACTERS],
        "title": ad.title[:TEXT_CHARACTERS],
        "advertiser": ad.advertiser[:TEXT_CHARACTERS],
        "start_ms": milliseconds(placed.start_us),
        "duration_ms": placed_ms(placed),
        "vast_duration_ms": ad.duration_ms,
        "creative": placed.creative[:TEXT_CHARACTERS],
        "tracking": tracking,
        "trackers": _trackers(ad.beacons),
    }
    return Said("ad", at, properties)


def _trackers(beacons: Sequence[Beacon]) -> Mapping[str, int]:
    """How many addresses want to hear of what: of what none does, nothing can be counted."""
    return Counter(one.type for one in beacons)


def ad_error(at: Micros, pod_id: str, failure: Failure) -> Said:
    """Something kept an ad out, or the whole answer; `code` is VAST's."""
    properties = {
        "pod": pod_id,
        "ad_id": failure.ad_id[:TEXT_CHARACTERS],
        "code": failure.code,
        "reason": failure.reason[:TEXT_CHARACTERS],
    }
    return Said("ad-error", at, properties)


class Place(msgspec.Struct, frozen=True):
    """An ad of a pod, as the events of its segments and beacons name it."""

    pod: str
    ad_id: str
    position: int
    """From 1 on, slates not counted."""

    def named(self) -> dict[str, Any]:
        return {"pod": self.pod, "ad_id": self.ad_id, "position": self.position}


def ad_segment(at: Micros, place: Place, *, segment: int, of: int) -> Said:
    """Segment `segment` (from 0) of `of` was asked for, for the first time."""
    return Said("ad-segment", at, {**place.named(), "segment": segment, "of": of})


def beacon_due(at: Micros, place: Place, *, number: int, beacon: str, host: str) -> Said:
    """An address is owed a call. `number` is the address' own within the pod."""
    properties = {**place.named(), "number": number, "beacon": beacon, "host": host}
    return Said("beacon-due", at, properties)


def beacon(
    at: Micros,
    place: Place,
    *,
    number: int,
    beacon: str,
    host: str,
    outcome: BeaconResult,
    status: int | None = None,
    latency_ms: float | None = None,
    reason: str = "",
) -> Said:
    """What came of a call that was owed."""
    properties = {
        **place.named(),
        "number": number,
        "beacon": beacon,
        "host": host,
        "outcome": outcome,
        "status": status,
        "latency_ms": None if latency_ms is None else round(latency_ms, 3),
        "reason": reason[:TEXT_CHARACTERS],
    }
    return Said("beacon", at, properties)
