"""One ad as the session-tracking JSON tells of it: names in lower case, times of the stream.

Pure: a place, what VAST said of the ad, and who tells the ad server. How ads are put together into
pods is `tracking`'s matter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from operator import attrgetter
from typing import Any

import msgspec

from footfall.stream.contract import (
    SLATE,
    Ad,
    Beacon,
    Graphic,
    Placed,
    Script,
    Verification,
)
from footfall.stream.events import milliseconds, placed_ms

Said = dict[str, Any]
Url = Callable[[str], str]
"""Fills the macros of an address that are not the client's to fill."""
QUARTERS = {
    "impression": 0,
    "creativeview": 0,
    "start": 0,
    "firstquartile": 1,
    "midpoint": 2,
    "thirdquartile": 3,
    "complete": 4,
}
"""Types that playing alone brings, in small letters, and after how many quarters of the ad."""


def offset_ms(beacon: Beacon, duration_ms: int) -> int | None:
    """When an ad of this real length owes a call; None: at no time that playing alone brings."""
    kind = beacon.type.lower()
    quarters = QUARTERS.get(kind)
    if quarters is not None:
        return _quarter_ms(duration_ms, quarters)
    if kind != "progress":
        return None
    if beacon.offset_percent is not None:
        return round(duration_ms * beacon.offset_percent / 100)
    return beacon.offset_ms


def _quarter_ms(duration_ms: int, quarters: int) -> int:
    return (duration_ms * quarters + 2) // 4


@lru_cache(256)
def _quarters(duration_ms: int) -> Mapping[str, int]:
    """Offsets by `QUARTERS`, of an ad of this real length."""
    return {kind: _quarter_ms(duration_ms, number) for kind, number in QUARTERS.items()}


class Event(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A call that is owed, as JSON has it."""

    type: str
    callbackurl: str
    time_ms: int
    offset_ms: int | None = None
    """From the ad's start, where playing alone brings it."""


class Clicks(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """`videoclicks`."""

    clickthroughurl: str = ""
    clicktracking: Sequence[Said] | None = None
    customclick: Sequence[Said] | None = None


class Told(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """An ad as JSON has it: what VAST left out is left out. Not a dict: there are many."""

    adid: str
    creativeid: str = ""
    adtype: str
    starttime_ms: int
    duration_ms: int
    skippable_ms: int | None = None
    trackingevents: Sequence[Event]
    videoclicks: Clicks | None = None
    adverifications: Sequence[Said] | None = None
    nonlinearinfo: Sequence[Said] | None = None
    icons: Sequence[Said] | None = None
    companions: Sequence[Said] | None = None
    errorurl: Sequence[str] | None = None
    adtitle: str = ""
    adsystem: str = ""
    advertiser: str = ""
    sequence: int = 0
    universaladids: Sequence[Said] | None = None


def ad(placed: Placed, said: Ad, *, told_by_server: bool, url: Url) -> Told:
    """An ad at its place."""
    start = milliseconds(placed.start_us)
    duration = placed_ms(placed)
    if placed.ad_id == SLATE:
        return Told(
            adid=SLATE, adtype="linear", starttime_ms=start, duration_ms=duration, trackingevents=()
        )
    skip = _skip_ms(said, duration)
    rare = said.verifications or said.graphics or said.universal_ids
    return Told(
        adid=placed.ad_id,
        creativeid=said.creative_id,
        adtype=said.kind,
        starttime_ms=start,
        duration_ms=duration,
        skippable_ms=None if skip is None else start + skip,
        trackingevents=() if told_by_server else _events(said.beacons, start, duration, url),
        videoclicks=_clicks(said, url),
        errorurl=list(map(url, said.errors)) if said.errors and not told_by_server else None,
        adtitle=said.title,
        adsystem=said.system,
        advertiser=said.advertiser,
        sequence=max(0, said.sequence),
        **(_rare(said, start, url) if rare else {}),
    )


def _rare(said: Ad, start: int, url: Url) -> dict[str, list[Said]]:
    """What few ads have, each where it has any."""
    found = {
        "adverifications": [_verification(one, start, url) for one in said.verifications],
        "universaladids": [
            {"idregistry": registry, "value": value} for registry, value in said.universal_ids
        ],
    }
    for name, kind in (
        ("nonlinearinfo", "nonlinear"),
        ("icons", "icon"),
        ("companions", "companion"),
    ):
        found[name] = [_graphic(one, start, url) for one in said.graphics if one.kind == kind]
    return {name: each for name, each in found.items() if each}


def _skip_ms(said: Ad, duration_ms: int) -> int | None:
    skip = said.skip_ms
    if skip is None and said.skip_percent is not None:
        skip = round(duration_ms * said.skip_percent / 100)
    return skip if skip is not None and 0 <= skip < duration_ms else None


def _events(beacons: Iterable[Beacon], start: int, duration: int, url: Url) -> list[Event]:
    """By time, and of one time in the order in which they were given.

    What comes when the player or the viewer does something (mute, pause, skip, …) has no offset,
    and the ad's start for its time. Progress beyond the ad's real end never comes.
    """
    quarters = _quarters(duration)
    found: list[Event] = []
    for one in beacons:
        kind = one.type.lower()
        offset = quarters.get(kind)
        if offset is None and kind == "progress":
            offset = offset_ms(one, duration)
            if offset is None or not 0 <= offset <= duration:
                continue
        found.append(Event(one.type, url(one.url), start + (offset or 0), offset))
    found.sort(key=_time)
    return found


_time = attrgetter("time_ms")


def break_events(beacons: Iterable[Beacon], start: int, end: int, url: Url) -> list[Event]:
    """Of a pod whose announced ads play from `start` to `end`, in milliseconds."""
    times: Mapping[str, int] = {"breakstart": start, "breakend": end}
    found = [
        Event(one.type, url(one.url), times[one.type.lower()])
        for one in beacons
        if one.type.lower() in times
    ]
    found.sort(key=_time)
    return found


def _clicks(said: Ad, url: Url) -> Clicks | None:
    through, tracking, custom = said.click_through, said.click_tracking, said.custom_clicks
    if not (through or tracking or custom):
        return None
    return Clicks(
        url(through) if through else "",
        [{"clickurl": url(one)} for one in tracking] if tracking else None,
        [{"clickurl": url(one)} for one in custom] if custom else None,
    )


def _verification(one: Verification, start: int, url: Url) -> Said:
    """Its events are the client's to tell also with server-side tracking: the server runs none."""
    return {
        "vendor": one.vendor,
        "javascriptresources": _scripts(one.scripts),
        "executableresources": _scripts(one.executables),
        "trackingevents": _plain_events(one.events, start, url),
        "verificationparameters": one.parameters,
    }


def _scripts(scripts: Sequence[Script]) -> list[Said]:
    return [
        {
            "apiframework": one.api_framework,
            "browseroptional": one.browser_optional,
            "url": one.url,
        }
        for one in scripts
    ]


def _graphic(one: Graphic, start: int, url: Url) -> Said:
    found: Said = _given(
        creativeid=one.creative_id,
        program=one.program,
        xposition=one.x,
        yposition=one.y,
        staticresource=one.static,
        staticresourcetype=one.static_type,
        iframeresource=one.iframe,
        htmlresource=one.html,
        adparameters=one.parameters,
        clickthroughurl=url(one.click_through) if one.click_through else "",
    )
    for name, length in (("width", one.width), ("height", one.height)):
        if length > 0:
            found[name] = length
    if one.offset_ms is not None:
        found["starttime_ms"] = start + one.offset_ms
    if one.duration_ms is not None:
        found["duration_ms"] = one.duration_ms
    if one.click_tracking:
        found["clicktracking"] = [{"clickurl": url(each)} for each in one.click_tracking]
    found["trackingevents"] = _plain_events(one.events, start, url)
    return found


def _plain_events(events: Iterable[Beacon], start: int, url: Url) -> list[Said]:
    return [{"type": one.type, "callbackurl": url(one.url), "time_ms": start} for one in events]


def _given(**texts: str) -> Said:
    """Those that say something."""
    return {name: text for name, text in texts.items() if text}
