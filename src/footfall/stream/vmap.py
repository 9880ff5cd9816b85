"""VMAP 1.0 and 1.0.1: which breaks a content has, and where the ads of each are.

https://iabtechlab.com/standards/video-multiple-ad-playlist-vmap/. Both of its namespaces are met,
and none matters. Pure: who asks an AdTagURI is `adserver`, where a timeOffset falls says `offsets`.
"""

from __future__ import annotations

import msgspec

from footfall.stream import offsets, vast, xml
from footfall.stream.contract import Beacon
from footfall.stream.xml import Element, XmlError


class AdSource(msgspec.Struct, frozen=True):
    """Where a break's ads come from: `document`, `tag`, or neither."""

    document: vast.Document | None = None
    """VASTAdData: the VAST itself."""
    tag: str = ""
    """AdTagURI: where the VAST is."""
    multiple: bool = True
    """allowMultipleAds: whether a pod or several ads may be played; else one."""
    follow: bool = True
    """followRedirects: whether wrappers may be followed."""
    code: int = 0
    """VAST error code of a source that cannot be used."""
    reason: str = ""
    """Why it cannot."""


class Break(msgspec.Struct, frozen=True):
    """One AdBreak that may hold linear ads."""

    offset: str
    id: str
    source: AdSource
    repeat_after_ms: int = 0
    beacons: tuple[Beacon, ...] = ()
    """breakStart, breakEnd, error."""


class Vmap(msgspec.Struct, frozen=True):
    version: str
    breaks: tuple[Break, ...]
    """In document order. Those of nonlinear and display ads only are left out."""


def is_vmap(root: Element) -> bool:
    return xml.name(root) == "VMAP"


def parse(data: bytes, limit_bytes: int = xml.LIMIT) -> Vmap:
    """Raises `XmlError` 100 or 101."""
    return read(xml.parse(data, limit_bytes))


def read(root: Element) -> Vmap:
    """A VMAP element. Raises `XmlError` 101 for another one.

    One break that cannot be used leaves the others as they are.
    """
    if not is_vmap(root):
        raise XmlError(101, f"the answer is <{xml.name(root)[:40]}>, not VMAP")
    breaks = (_break(one) for one in xml.children(root, "AdBreak") if _has_linear(one))
    return Vmap(xml.attribute(root, "version"), tuple(breaks))


def _held(element: Element) -> Element:
    """The VAST within VASTAdData: as elements or, as some ad servers write it, as text in CDATA.

    Where there is neither, the element itself, which is no VAST. Raises `XmlError`.
    """
    if len(element):
        return element[0]
    text = xml.text(element)
    return xml.parse_text(text) if text else element


def _has_linear(element: Element) -> bool:
    types = xml.attribute(element, "breakType").lower()
    return not types or "linear" in {one.strip() for one in types.split(",")}


def _break(element: Element) -> Break:
    return Break(
        offset=xml.attribute(element, "timeOffset"),
        id=xml.attribute(element, "breakId"),
        source=_source(xml.first(element, "AdSource")),
        repeat_after_ms=offsets.milliseconds(xml.attribute(element, "repeatAfter")) or 0,
        beacons=tuple(vast.events(element)),
    )


def _source(element: Element | None) -> AdSource:
    if element is None:
        return AdSource(code=303, reason="the break has no AdSource")
    found = AdSource(
        multiple=xml.flag(element, "allowMultipleAds", default=True),
        follow=xml.flag(element, "followRedirects", default=True),
    )
    # VASTData was the name in a draft that ad servers still write.
    held = next((one for one in element if xml.name(one) in {"VASTAdData", "VASTData"}), None)
    if held is not None:
        try:
            return msgspec.structs.replace(found, document=vast.read(_held(held)))
        except XmlError as error:
            return msgspec.structs.replace(found, code=error.code, reason=error.reason)
    if tag := xml.address(element, "AdTagURI"):
        return msgspec.structs.replace(found, tag=tag)
    reason = "the AdSource has neither VASTAdData nor an http(s) AdTagURI"
    return msgspec.structs.replace(found, code=300, reason=reason)
