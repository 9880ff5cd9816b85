"""Whether there is consent: what a request says of it, and what comes of that by the settings.

In this order: a signal that the source honours refuses; else what the request says at a place
that the settings name (a field, a header, a TCF string) counts; else what is remembered, where a
protocol remembers (a media session, a profile); else the source's mode. One place that refuses
outweighs any that give. What is not there, empty or malformed says nothing.

An event without it is journalled whole and marked `Event.withheld`: its ids serve the reply and
what is open. The lake gets it without anything that says who it was (`docs/privacy.md`).

What follows from a request's head alone is worked out once for all requests with that head.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import msgspec

from footfall.collect import tcf, wire
from footfall.collect.contract import Draft, Request
from footfall.model import Event
from footfall.settings import Privacy, Source

WORDS: Mapping[str, bool] = {
    "true": True,
    "1": True,
    "yes": True,
    "granted": True,
    "given": True,
    "opt-in": True,
    "false": False,
    "0": False,
    "no": False,
    "denied": False,
    "refused": False,
    "opt-out": False,
}
"""What texts say, in whatever case. Every other text says nothing."""

SIGNALS: Mapping[str, bytes] = {"gpc": b"sec-gpc", "dnt": b"dnt"}
"""By the name in `Privacy.honour`: a header whose 1 refuses. Global Privacy Control
(https://www.w3.org/TR/gpc/) and Do Not Track (https://www.w3.org/TR/tracking-dnt/)."""

Reads = Callable[[Any], bool | None]


class Field(msgspec.Struct, frozen=True, gc=False):
    """A place in events where consent stands."""

    inside: str
    """properties or context."""
    path: tuple[str, ...]
    reads: Reads


class Head(msgspec.Struct, frozen=True, gc=False):
    """What a request's head has settled for a source."""

    said: bool | None
    """False also by a signal."""
    withheld: bool
    """An event that says nothing itself is withheld, where nothing is remembered either."""
    fields: tuple[Field, ...]
    """Where its events may say more; empty where that would change nothing."""


def said(request: Request, source: Source, draft: Draft) -> bool | None:
    """What a request says of consent for one of its events: given, refused, or nothing (None)."""
    head = request.once(look, source)
    return in_event(head, draft) if head.fields else head.said


def withheld(source: Source, said: bool | None, remembered: bool | None = None) -> bool:
    """Whether an event is withheld, by what was `said` with it and what is `remembered`.

    `remembered`: what was said before, for the session or the profile; None for nothing.
    """
    if source.consent == "none":
        return said is False
    if said is None:
        said = remembered
    return said is not True if source.consent == "required" else said is False


def marked(event: Event, is_withheld: bool) -> Event:
    """The event, withheld or not."""
    if event.withheld is is_withheld:
        return event
    return msgspec.structs.replace(event, withheld=is_withheld)


def look(request: Request, source: Source) -> Head:
    """What the head says. For `Request.once`."""
    privacy, headers = source.privacy, request.headers
    if any(headers.get(SIGNALS[name], b"").strip() == b"1" for name in privacy.honour):
        return Head(False, True, ())
    if source.consent == "none":
        return Head(None, False, ())
    found = _together(_in_head(privacy, headers))
    return Head(found, withheld(source, found), () if found is False else fields(privacy))


def in_event(head: Head, draft: Draft) -> bool | None:
    """What head and event say together."""
    found = [head.said]
    for field in head.fields:
        inside = draft.properties if field.inside == "properties" else draft.context
        if inside is not None:
            found.append(field.reads(_at(inside, field.path)))
    return _together(found)


def headers(sources: Iterable[Source]) -> tuple[str, ...]:
    """Request headers that browsers' pages of other origins may send for consent's sake."""
    names = [
        name
        for source in sources
        for name in (source.privacy.consent_header, source.privacy.tcf_header)
        if name is not None
    ]
    return tuple(dict.fromkeys(names))


def _in_head(privacy: Privacy, headers: Mapping[bytes, bytes]) -> Iterable[bool | None]:
    if privacy.consent_header is not None:
        yield word(_header(headers, privacy.consent_header))
    reads = _reads_tcf(privacy)
    if privacy.tcf_header is not None:
        yield reads(_header(headers, privacy.tcf_header))
    if privacy.tcf_cookie is not None and b"cookie" in headers:
        for value in wire.cookies(headers[b"cookie"], privacy.tcf_cookie.encode()):
            yield reads(value)


def _header(headers: Mapping[bytes, bytes], name: str) -> str:
    return headers.get(name.lower().encode(), b"").decode("latin-1")


@lru_cache(maxsize=256)
def fields(privacy: Privacy) -> tuple[Field, ...]:
    """The places in events that the settings name."""
    named = ((privacy.consent_field, word), (privacy.tcf_field, _reads_tcf(privacy)))
    found = []
    for place, reads in named:
        if place is not None:
            inside, *path = place.split(".")
            found.append(Field(inside, tuple(path), reads))
    return tuple(found)


def _reads_tcf(privacy: Privacy) -> Reads:
    def reads(value: Any) -> bool | None:
        if not isinstance(value, str):
            return None
        return tcf.given(value, privacy.tcf_purposes, privacy.tcf_vendor)

    return reads


def word(value: Any) -> bool | None:
    """What a value says: JSON true or false, 1 or 0, or one of `WORDS`."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return {1: True, 0: False}.get(value)
    return WORDS.get(value.strip().lower()) if isinstance(value, str) else None


def _at(inside: Mapping[str, Any], path: Sequence[str]) -> Any:
    """What stands at a dotted path; keys with dots in them are found as well."""
    for end in range(len(path), 0, -1):
        key = ".".join(path[:end])
        if key not in inside:
            continue
        value = inside[key]
        if end == len(path):
            return value
        if isinstance(value, Mapping):
            found = _at(value, path[end:])
            if found is not None:
                return found
    return None


def _together(found: Iterable[bool | None]) -> bool | None:
    """Refused where one refuses, else given where one gives."""
    together = None
    for each in found:
        if each is False:
            return False
        together = together or each
    return together
