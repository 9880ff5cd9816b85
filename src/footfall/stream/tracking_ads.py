"""One ad as the session-tracking JSON tells of it: names in lower case, times of the stream.

Pure: a place, what VAST said of the ad, and who tells the ad server. How ads are put together into
pods is `tracking`'s matter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any

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
        return (duration_ms * quarters + 2) // 4
    if kind != "progress":
        return None
    if beacon.offset_percent is not None:
        return round(duration_ms * beacon.offset_percent / 100)
    return beacon.offset_ms


def ad(placed: Placed, said: Ad, *, told_by_server: bool, url: Url) -> Said:
    """An ad at its place. What VAST left out is left out here."""
    start = milliseconds(placed.start_us)
    duration = placed_ms(placed)
    if placed.ad_id == SLATE:
        return {
            "adid": SLATE, "adtype": "linear", "starttime_ms": start, "duration_ms": duration,
            "trackingevents": [],
        }  # fmt: skip
    found: Said = {"adid": placed.ad_id}
    if said.creative_id:
        found["creativeid"] = said.creative_id
    found |= {"adtype": said.kind, "starttime_ms": start, "duration_ms": duration}
    skip = _skip_ms(said, duration)
    if skip is not None:
        found["skippable_ms"] = start + skip
    found["trackingevents"] = [] if told_by_server else _events(said.beacons, start, duration, url)
    clicks = _clicks(said, url)
    if clicks:
        found["videoclicks"] = clicks
    if said.verifications:
        found["adverifications"] = [_verification(one, start, url) for one in said.verifications]
    for name, kind in (
        ("nonlinearinfo", "nonlinear"),
        ("icons", "icon"),
        ("companions", "companion"),
    ):
        graphics = [_graphic(one, start, url) for one in said.graphics if one.kind == kind]
        if graphics:
            found[name] = graphics
    if said.errors and not told_by_server:
        found["errorurl"] = [url(one) for one in said.errors]
    return found | _named(said)


def _named(said: Ad) -> Said:
    """What an ad is called: for people, and for whoever matches ads over systems."""
    found: Said = _given(adtitle=said.title, adsystem=said.system, advertiser=said.advertiser)
    if said.sequence > 0:
        found["sequence"] = said.sequence
    if said.universal_ids:
        found["universaladids"] = [
            {"idregistry": registry, "value": value} for registry, value in said.universal_ids
        ]
    return found


def _skip_ms(said: Ad, duration_ms: int) -> int | None:
    skip = said.skip_ms
    if skip is None and said.skip_percent is not None:
        skip = round(duration_ms * said.skip_percent / 100)
    return skip if skip is not None and 0 <= skip < duration_ms else None


def _events(beacons: Iterable[Beacon], start: int, duration: int, url: Url) -> list[Said]:
    """By time, and of one time in the order in which they were given.

    What comes when the player or the viewer does something (mute, pause, skip, …) has no offset,
    and the ad's start for its time. Progress beyond the ad's real end never comes.
    """
    found: list[Said] = []
    for one in beacons:
        offset = offset_ms(one, duration)
        if offset is None:
            if one.type.lower() != "progress":
                found.append({"type": one.type, "callbackurl": url(one.url), "time_ms": start})
        elif 0 <= offset <= duration:
            found.append(
                {
                    "type": one.type,
                    "callbackurl": url(one.url),
                    "offset_ms": offset,
                    "time_ms": start + offset,
                }
            )
    found.sort(key=_time)
    return found


_time = itemgetter("time_ms")


def break_events(beacons: Iterable[Beacon], start: int, end: int, url: Url) -> list[Said]:
    """Of a pod whose announced ads play from `start` to `end`, in milliseconds."""
    times: Mapping[str, int] = {"breakstart": start, "breakend": end}
    found = [
        {"type": one.type, "callbackurl": url(one.url), "time_ms": times[one.type.lower()]}
        for one in beacons
        if one.type.lower() in times
    ]
    found.sort(key=_time)
    return found


def _clicks(said: Ad, url: Url) -> Said:
    found = _given(clickthroughurl=url(said.click_through) if said.click_through else "")
    if said.click_tracking:
        found["clicktracking"] = [{"clickurl": url(one)} for one in said.click_tracking]
    if said.custom_clicks:
        found["customclick"] = [{"clickurl": url(one)} for one in said.custom_clicks]
    return found


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
