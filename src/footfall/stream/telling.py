"""What is told of a pod and its ads: names in lower case, times of the stream. Pure.

Of places, of what VAST said of the ads, and of who calls the ad server. Offsets are settled here,
and macros are filled that nobody but the server could fill, or that places settle.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter

import msgspec

from footfall.stream import macros, told
from footfall.stream.contract import (
    SLATE,
    Ad,
    Beacon,
    Details,
    Graphic,
    Placed,
    Pod,
    Script,
    Verification,
)
from footfall.stream.events import milliseconds, placed_ms
from footfall.stream.told import Clicks, Event, Said

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


def _offset_ms(beacon: Beacon, duration_ms: int) -> int | None:
    """When an ad of this real length owes a call; None: at no time that playing alone brings."""
    kind = beacon.type.lower()
    quarters = QUARTERS.get(kind)
    if quarters is not None:
        return (duration_ms * quarters + 2) // 4
    if kind != "progress":
        return None
    offset = beacon.offset_ms
    if beacon.offset_percent is not None:
        offset = round(duration_ms * beacon.offset_percent / 100)
    return offset if offset is not None and 0 <= offset <= duration_ms else None


def pod(
    decided: Pod, details: Details, *, by_server: bool, content_us: int | None = None
) -> told.Pod:
    """What is told of a pod. `by_server`: the server itself makes the calls that it owes.
    `content_us`: of a VOD, how long its content is.
    """
    where = macros.Playing(position=position(decided, content_us))
    ads = [
        ad(placed, said, where, by_server=by_server)
        for placed, said in zip(decided.ads, details.ads, strict=True)
        if placed.announced
    ]
    start = end = milliseconds(decided.start_us)
    if ads:
        start, end = ads[0].starttime_ms, ads[-1].starttime_ms + ads[-1].duration_ms
    url = _filling(macros.placed if by_server else macros.client, where)
    return told.Pod(
        id=decided.id,
        starttime_ms=milliseconds(decided.start_us),
        duration_ms=sum(one.duration_ms for one in ads),
        adbreaktrackingevents=_break_events(details.beacons, start, end, url),
        ads=ads,
    )


def position(decided: Pod, content_us: int | None = None) -> int:
    """Where a break stands, as BREAKPOSITION has it. `content_us`: of a VOD, how long it is."""
    if decided.id == "preroll" or decided.at_us <= 0:
        return macros.PREROLL
    if content_us is not None and decided.at_us >= content_us:
        return macros.POSTROLL
    return macros.MIDROLL


def _filling(fill: Callable[[str, macros.Playing], str], playing: macros.Playing) -> Url:
    return lambda url: fill(url, playing)


def ad(placed: Placed, said: Ad, where: macros.Playing, *, by_server: bool) -> told.Ad:
    """An ad at its place."""
    start = milliseconds(placed.start_us)
    duration = placed_ms(placed)
    if placed.ad_id == SLATE:
        return told.Ad(
            adid=SLATE, adtype="linear", starttime_ms=start, duration_ms=duration, trackingevents=()
        )
    playing = msgspec.structs.replace(where, sequence=said.sequence, asset=placed.creative)
    url = _filling(macros.client, playing)
    tracker = _filling(macros.placed, playing) if by_server else url
    skip = _skip_ms(said, duration)
    rare = said.verifications or said.graphics or said.universal_ids
    return told.Ad(
        adid=placed.ad_id,
        creativeid=said.creative_id,
        adtype=said.kind,
        starttime_ms=start,
        duration_ms=duration,
        skippable_ms=None if skip is None else start + skip,
        trackingevents=_events(said.beacons, start, duration, tracker),
        videoclicks=_clicks(said, url),
        errorurl=list(map(url, said.errors)) if said.errors and not by_server else None,
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
    found: list[Event] = []
    for one in beacons:
        offset = _offset_ms(one, duration)
        if offset is None and one.type.lower() == "progress":
            continue
        found.append(Event(one.type, url(one.url), start + (offset or 0), offset))
    found.sort(key=_time)
    return found


_time = attrgetter("time_ms")


def _break_events(beacons: Iterable[Beacon], start: int, end: int, url: Url) -> list[Event]:
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
