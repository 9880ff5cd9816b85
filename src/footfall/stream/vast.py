"""VAST: an ad server's answer as data, and the levels of wrappers around an ad merged into one.

Versions 2.0 to 4.x, by https://iabtechlab.com/standards/vast/ and its schemas. Pure: who follows a
wrapper's address is `adserver`. What is not taken: pricing, surveys, categories and the like, which
nothing here acts upon; ViewableImpression, which only a player can judge; interactive files (VPAID,
SIMID), which cannot run in a stitched stream.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeAlias, TypeVar

import msgspec

from footfall.stream import offsets, xml
from footfall.stream.contract import (
    SLATE,
    Ad,
    Beacon,
    Failure,
    Graphic,
    MediaFile,
    Script,
    Verification,
)
from footfall.stream.xml import Element, XmlError

MOST_GRAPHICS = 64
"""Of one level of an ad: icons, companions and non-linear ads."""
MOST_SHARED = 128
"""Beacons of wrappers that go to every graphic of the ad."""

_VERSION = re.compile(r"[234](\.[0-9]+)*")
_EVENTS = {
    event.lower(): event
    for event in (
        "creativeView", "start", "firstQuartile", "midpoint", "thirdQuartile", "complete", "mute",
        "unmute", "pause", "rewind", "resume", "fullscreen", "exitFullscreen", "expand", "collapse",
        "playerExpand", "playerCollapse", "acceptInvitation", "acceptInvitationLinear", "close",
        "closeLinear", "skip", "progress", "timeSpentViewing", "otherAdInteraction",
        "overlayViewDuration", "adExpand", "adCollapse", "minimize", "loaded", "notUsed",
        "interactiveStart", "verificationNotExecuted", "breakStart", "breakEnd", "error",
    )
}  # fmt: skip
"""Of all versions and of VMAP, as they write them: ad servers vary in capitals."""

_T = TypeVar("_T")


class InLine(msgspec.Struct, frozen=True):
    """An ad that is all there."""

    ad: Ad


class Wrapper(msgspec.Struct, frozen=True):
    """An ad that is somewhere else, and what is to be told of it here."""

    ad: Ad
    """Its own beacons, clicks, verifications, graphics and errors."""
    tag: str
    """Where the ad is; nothing if that is no address."""
    follow: bool = True
    """Whether what is there may be a wrapper in turn."""
    multiple: bool = False
    """Whether several ads may come of it; else one."""
    fallback: bool = False
    """Whether a stand-alone ad beside it may take its place if nothing comes of it."""


Entry: TypeAlias = InLine | Wrapper


class Document(msgspec.Struct, frozen=True):
    """One VAST answer."""

    version: str
    """As it says; nothing where it does not."""
    ads: tuple[Entry, ...] = ()
    """In document order."""
    errors: tuple[str, ...] = ()
    """Addresses that want to hear of an answer without ads."""
    failures: tuple[Failure, ...] = ()
    """Ads that are neither InLine nor Wrapper."""


def parse(data: bytes, limit_bytes: int = xml.LIMIT) -> Document:
    """Raises `XmlError` 100, 101 or 102."""
    return read(xml.parse(data, limit_bytes))


def read(root: Element) -> Document:
    """A VAST element. Raises `XmlError` 101 for another one, 102 for another version."""
    if xml.name(root) == "VideoAdServingTemplate":
        raise XmlError(102, "VAST 1.0 is not supported: ask the ad server for 2.0 to 4.2")
    if xml.name(root) != "VAST":
        raise XmlError(101, f"the answer is <{xml.name(root)[:40]}>, not VAST")
    version = xml.attribute(root, "version")
    if version and not _VERSION.fullmatch(version):
        raise XmlError(102, f"VAST {version[:20]} is not supported: ask for 2.0 to 4.2")
    ads: list[Entry] = []
    failures = []
    for element in xml.children(root, "Ad"):
        if (inline := xml.first(element, "InLine")) is not None:
            ads.append(_inline(element, inline))
        elif (wrapper := xml.first(element, "Wrapper")) is not None:
            ads.append(_wrapper(element, wrapper))
        else:
            reason = "an Ad is neither InLine nor Wrapper"
            failures.append(Failure(101, reason, xml.attribute(element, "id")))
    return Document(version, tuple(ads), xml.addresses(root, "Error"), tuple(failures))


# One level


def _inline(element: Element, inline: Element) -> InLine:
    creatives = list(xml.children(inline, "Creatives", "Creative"))
    spot = next((one for one in creatives if xml.first(one, "Linear") is not None), None)
    linear = xml.first(spot, "Linear")
    overlay = next(xml.children(inline, "Creatives", "Creative", "NonLinearAds", "NonLinear"), None)
    # An ad has one film. A second one in it would be another ad, with beacons of its own.
    ad = _level(element, inline, [] if linear is None else [linear], creatives)
    media = tuple(_media(linear))
    main = spot if spot is not None else next(iter(creatives), None)
    creative_id = "" if main is None else xml.attribute(main, "id", "adId", "AdID")
    skip = "" if linear is None else xml.attribute(linear, "skipoffset")
    titled = xml.text(inline, "AdTitle")
    # An ad that calls itself as what fills a break without ads would lose its beacons.
    named = (ad.ad_id, creative_id, _hash([*(one.url for one in media), titled]))
    return InLine(
        msgspec.structs.replace(
            ad,
            ad_id=next(one for one in named if one and one != SLATE),
            creative_id=creative_id,
            title=titled,
            advertiser=xml.text(inline, "Advertiser"),
            kind=_kind(linear is not None, overlay is not None),
            duration_ms=offsets.milliseconds(xml.text(linear, "Duration")) or 0,
            skip_ms=offsets.milliseconds(skip),
            skip_percent=offsets.percent(skip),
            media=media,
            universal_ids=tuple(_universal_ids(main)),
        )
    )


def _wrapper(element: Element, wrapper: Element) -> Wrapper:
    creatives = list(xml.children(wrapper, "Creatives", "Creative"))
    linears = list(xml.children(wrapper, "Creatives", "Creative", "Linear"))
    return Wrapper(
        _level(element, wrapper, linears, creatives),
        tag=xml.address(wrapper, "VASTAdTagURI"),
        follow=xml.flag(wrapper, "followAdditionalWrappers", default=True),
        multiple=xml.flag(wrapper, "allowMultipleAds", default=False),
        fallback=xml.flag(wrapper, "fallbackOnNoAd", default=False),
    )


def _level(
    element: Element, body: Element, linears: Sequence[Element], creatives: Sequence[Element]
) -> Ad:
    """What InLine and Wrapper have in common."""
    clicks = [one for linear in linears for one in xml.children(linear, "VideoClicks")]
    through = [found for one in clicks for found in xml.addresses(one, "ClickThrough")]
    return Ad(
        ad_id=xml.attribute(element, "id"),
        system=xml.text(body, "AdSystem"),
        sequence=xml.number(element, "sequence"),
        beacons=(
            *(Beacon("impression", url) for url in xml.addresses(body, "Impression")),
            *(beacon for linear in linears for beacon in events(linear)),
        ),
        errors=xml.addresses(body, "Error"),
        click_through=next(iter(through), ""),
        click_tracking=_flat(xml.addresses(one, "ClickTracking") for one in clicks),
        custom_clicks=_flat(xml.addresses(one, "CustomClick") for one in clicks),
        verifications=tuple(_verifications(body)),
        graphics=tuple(islice(_graphics(linears, creatives), MOST_GRAPHICS)),
    )


def _kind(linear: bool, overlay: bool) -> str:
    if linear:
        return "linear_and_nonlinear" if overlay else "linear"
    return "nonlinear" if overlay else "unsupported"


def events(element: Element) -> Iterator[Beacon]:
    """The beacons in an element's TrackingEvents."""
    for tracking in xml.children(element, "TrackingEvents", "Tracking"):
        written = xml.attribute(tracking, "event")
        event, url = _EVENTS.get(written.lower(), written), xml.address(tracking)
        offset = xml.attribute(tracking, "offset")
        at, share = offsets.milliseconds(offset), offsets.percent(offset)
        # Progress without an offset would never be due.
        if event and url and (event != "progress" or at is not None or share is not None):
            due = event == "progress"
            yield Beacon(event, url, at if due else None, share if due else None)


def _media(linear: Element | None) -> Iterator[MediaFile]:
    for element in xml.children(linear, "MediaFiles"):
        for file in element:
            url = xml.address(file)
            is_program = xml.attribute(file, "apiFramework").upper() in {"VPAID", "SIMID"}
            if xml.name(file) in {"MediaFile", "Mezzanine"} and url and not is_program:
                between = xml.number(file, "minBitrate") + xml.number(file, "maxBitrate")
                yield MediaFile(
                    url,
                    type=xml.attribute(file, "type").lower(),
                    delivery=xml.attribute(file, "delivery").lower() or "progressive",
                    bitrate=xml.number(file, "bitrate") or between // 2,
                    width=xml.number(file, "width"),
                    height=xml.number(file, "height"),
                    codec=xml.attribute(file, "codec"),
                    mezzanine=xml.name(file) == "Mezzanine",
                )


def _universal_ids(creative: Element | None) -> Iterator[tuple[str, str]]:
    for element in xml.children(creative, "UniversalAdId"):
        # 4.0 has the value in an attribute, later versions in the text.
        value = xml.text(element) or xml.attribute(element, "idValue")
        if value and value.lower() != "unknown":
            yield xml.attribute(element, "idRegistry"), value


def _verifications(body: Element) -> Iterator[Verification]:
    """Of 4.1 on, and of 2.0 to 4.0, which have them in an extension."""
    places = list(xml.children(body, "AdVerifications"))
    for extension in xml.children(body, "Extensions", "Extension"):
        if xml.attribute(extension, "type").lower() == "adverifications":
            places += xml.children(extension, "AdVerifications")
    for place in places:
        for element in xml.children(place, "Verification"):
            yield Verification(
                vendor=xml.attribute(element, "vendor"),
                scripts=tuple(_scripts(element, "JavaScriptResource")),
                executables=tuple(_scripts(element, "ExecutableResource")),
                events=tuple(events(element)),
                parameters=xml.text(element, "VerificationParameters"),
            )


def _scripts(verification: Element, kind: str) -> Iterator[Script]:
    for element in xml.children(verification, kind):
        if url := xml.address(element):
            optional = xml.flag(element, "browserOptional", default=False)
            yield Script(url, xml.attribute(element, "apiFramework"), optional)


def _graphics(linears: Sequence[Element], creatives: Sequence[Element]) -> Iterator[Graphic]:
    for linear in linears:
        yield from _icons(linear)
    for creative in creatives:
        yield from _beside(creative)


def _icons(linear: Element) -> Iterator[Graphic]:
    for element in xml.children(linear, "Icons", "Icon"):
        yield msgspec.structs.replace(
            _graphic(element, "icon", xml.first(element, "IconClicks")),
            program=xml.attribute(element, "program"),
            x=xml.attribute(element, "xPosition"),
            y=xml.attribute(element, "yPosition"),
            offset_ms=offsets.milliseconds(xml.attribute(element, "offset")),
            duration_ms=offsets.milliseconds(xml.attribute(element, "duration")),
            events=tuple(Beacon("view", url) for url in xml.addresses(element, "IconViewTracking")),
        )


def _beside(creative: Element) -> Iterator[Graphic]:
    """A creative's companions and non-linear ads."""
    named = xml.attribute(creative, "id", "adId", "AdID")
    for element in xml.children(creative, "CompanionAds", "Companion"):
        found = _graphic(element, "companion", element, named)
        yield msgspec.structs.replace(found, events=tuple(events(element)))
    for group in xml.children(creative, "NonLinearAds"):
        shared = tuple(events(group))
        overlays = list(xml.children(group, "NonLinear"))
        if shared and not overlays:
            yield Graphic("nonlinear", creative_id=named, events=shared)
        for element in overlays:
            yield msgspec.structs.replace(
                _graphic(element, "nonlinear", element, named),
                duration_ms=offsets.milliseconds(xml.attribute(element, "minSuggestedDuration")),
                events=shared,
            )


def _graphic(element: Element, kind: str, clicks: Element | None, named: str = "") -> Graphic:
    """What the three kinds have in common; `clicks` is the element that holds their clicks."""
    still = xml.first(element, "StaticResource")
    prefix = {"icon": "Icon", "companion": "Companion", "nonlinear": "NonLinear"}[kind]
    return Graphic(
        kind,
        creative_id=xml.attribute(element, "id") or named,
        width=xml.number(element, "width"),
        height=xml.number(element, "height"),
        static=xml.address(still),
        static_type="" if still is None else xml.attribute(still, "creativeType", "type"),
        iframe=xml.address(element, "IFrameResource"),
        html=xml.text(element, "HTMLResource"),
        parameters=xml.text(element, "AdParameters"),
        click_through=xml.address(clicks, f"{prefix}ClickThrough"),
        click_tracking=xml.addresses(clicks, f"{prefix}ClickTracking"),
    )


def _hash(texts: Iterable[str]) -> str:
    """A name for an ad that has none: the same whenever the same ad comes."""
    written = next((text for text in texts if text), "")
    return hashlib.sha256(written.encode()).hexdigest()[:16]


# All levels


def merge(levels: Sequence[Ad]) -> Ad:
    """Wrappers, outermost first, and the InLine ad that they led to, as one ad.

    What wants to be told, at any level, is told once: an address that two levels (or one, twice)
    name for the same thing stands there once, where it came first. What describes the ad is the
    InLine's; only a click-through that it does not have is its nearest wrapper's (VAST 4.2). The
    place in the pod is the outermost level's that has one: a pod is what the first answer made it.
    """
    inner = levels[-1]
    through = [level.click_through for level in reversed(levels) if level.click_through]
    return msgspec.structs.replace(
        inner,
        sequence=next((level.sequence for level in levels if level.sequence), 0),
        beacons=_once(level.beacons for level in levels),
        errors=_once(level.errors for level in levels),
        click_through=next(iter(through), ""),
        click_tracking=_once(level.click_tracking for level in levels),
        custom_clicks=_once(level.custom_clicks for level in levels),
        verifications=_once(level.verifications for level in levels),
        graphics=_merged_graphics(levels),
        wrappers=len(levels) - 1,
    )


def _merged_graphics(levels: Sequence[Ad]) -> tuple[Graphic, ...]:
    """Those that show something; of icons for one program, the one closest to the ad.

    What shows nothing is a wrapper's way to be told of those that do, so it goes to each of them.
    """
    everything = _once(level.graphics for level in levels)
    closest = {one.program: one for one in everything if _shows(one) and one.program}
    shown = [one for one in everything if _shows(one) and closest.get(one.program, one) is one]
    told = {kind: _told(everything, kind) for kind in {one.kind for one in shown}}
    return tuple(
        msgspec.structs.replace(
            one,
            events=_once([told[one.kind].events, one.events]),
            click_tracking=_once([told[one.kind].click_tracking, one.click_tracking]),
        )
        for one in shown
    )


def _shows(graphic: Graphic) -> bool:
    return bool(graphic.static or graphic.iframe or graphic.html or graphic.parameters)


def _told(graphics: Sequence[Graphic], kind: str) -> Graphic:
    """All that show nothing, as one."""
    bare = [one for one in graphics if one.kind == kind and not _shows(one)]
    return Graphic(
        kind,
        events=_once(one.events for one in bare)[:MOST_SHARED],
        click_tracking=_once(one.click_tracking for one in bare)[:MOST_SHARED],
    )


def _flat(groups: Iterable[Iterable[_T]]) -> tuple[_T, ...]:
    return tuple(one for group in groups for one in group)


def _once(groups: Iterable[Iterable[_T]]) -> tuple[_T, ...]:
    """All of some groups in order, equal ones once."""
    return tuple(dict.fromkeys(_flat(groups)))
