"""What must hold between settings: the list `RULES`, one function per rule.

Each looks at the values that could be read and gives the place and the end of a sentence for
everything that breaks it. Values that could not be read are absent and were reported before.
"""

from __future__ import annotations

import difflib
import ipaddress
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from footfall.settings.development import DEV_SERVICES, DEV_SOURCE
from footfall.settings.lines import Place
from footfall.settings.values import seconds_of

Extensions = Mapping[str, type | None]
"""By protocol name: the dataclass of its table in ``[[source]]``, or None where it has none."""

Problem = tuple[Place, str]

_ID_WORDS = '1 to 64 letters, digits, "-", "_" and ".", beginning with a letter or digit'
SOURCE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
"""Of sources, services and slots."""
STREAMS = "broadpeak"
"""The protocol of the events that services make."""
RESERVED_SERVICES = ("schema",)
"""Paths under /stream that are the server's own."""
KINDS_OF: Mapping[str, tuple[str, ...]] = {
    "origin": ("vod", "live"),
    "assets": ("channel",),
    "preroll_ad_server": ("live", "channel"),
}
"""Settings of a service that only some kinds of it have."""
AD_SERVERS = ("ad_server", "preroll_ad_server")
MACROS = (
    "CACHE_BUSTER",
    "REMOTE_ADDRESS",
    "AD_BREAK_DURATION",
    "AD_BREAK_DURATION_MS",
    "LIVE_AR_SIGNALID",
    "LIVE_AR_UPID",
    "SESSION_ID",
    "SERVICE_ID",
)
"""What may stand after a $ in `AD_SERVERS`, beside ``arg_`` and ``http_`` with a name."""
_MACRO = re.compile(r"\$([A-Za-z][A-Za-z0-9_]*)")
LONGEST_SLOT = 86_400
"""Seconds, as `duration_seconds` has it."""


@dataclass(frozen=True, slots=True)
class Draft:
    """Values by name, before they are made into `Settings`."""

    server: Mapping[str, Any]
    """Complete: defaults stand where nothing was given, or what was given could not be read."""
    sources: list[dict[str, Any]]
    services: list[dict[str, Any]]
    """``slots`` of each is a list of such values too."""
    given: list[frozenset[str]]
    """By source: the protocols' tables that the file has."""
    extensions: Extensions | None
    dev: bool
    unread: Collection[Place] = ()
    """Places of what was given and could not be read: such a value is absent, yet not missing."""


def broken(draft: Draft) -> Iterator[Problem]:
    """Everything that breaks a rule."""
    for rule in RULES:
        yield from rule(draft)


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown name: the nearest known one, or all of them."""
    names = list(known)
    close = difflib.get_close_matches(name, names, 1)
    if close:
        return f'; did you mean "{close[0]}"?'
    return "; known here: " + ", ".join(names) if names else ""


def source_ids(draft: Draft) -> Iterator[Problem]:
    taken = {DEV_SOURCE} if draft.dev else set()
    yield from _ids(draft.sources, ("source",), taken)


def _ids(items: list[dict[str, Any]], place: Place, taken: Collection[str]) -> Iterator[Problem]:
    """Ids that are malformed, given twice, or `taken` by what --dev adds."""
    first: dict[str, int] = {}
    for index, item in enumerate(items):
        name = item.get("id")
        if name is None:
            continue
        where = (*place, index, "id")
        if not SOURCE_ID.fullmatch(name):
            yield where, f'must be {_ID_WORDS}, not "{name}"'
        if name in first:
            yield where, f'"{name}" names {place[-1]} {first[name] + 1} already'
        if name in taken:
            yield where, f'is "{name}", which --dev adds itself; choose another'
        first.setdefault(name, index)


def keys(draft: Draft) -> Iterator[Problem]:
    owners: dict[str, int] = {}
    for index, source in enumerate(draft.sources):
        for digest in source.get("key_sha256", ()):
            if digest in owners:
                owner = draft.sources[owners[digest]].get("id", owners[digest] + 1)
                whose = "itself" if owners[digest] == index else f"source {owner}"
                yield (
                    ("source", index, "key_sha256"),
                    f"has {digest[:12]}… which {whose} has already: a key names one source",
                )
            owners.setdefault(digest, index)


def protocols(draft: Draft) -> Iterator[Problem]:
    if draft.extensions is None:
        return
    streamed = {service.get("source") for service in draft.services}
    for index, source in enumerate(draft.sources):
        taken = source.get("protocols")
        if taken is None:
            continue
        if not taken and source.get("id") not in streamed:
            yield (
                ("source", index, "protocols"),
                "is empty: name at least one protocol, or this source in a [[service]]",
            )
        for name in taken:
            if name == STREAMS:
                yield (
                    ("source", index, "protocols"),
                    f'has "{name}", which no source takes: a [[service]] whose source it is does',
                )
            elif name not in draft.extensions:
                hint = nearest(name, draft.extensions)
                yield ("source", index, "protocols"), f'has "{name}", which is unknown{hint}'
        for name in sorted(draft.given[index]):
            if name in draft.extensions and name not in taken:
                yield (
                    ("source", index, name),
                    f'is set, but protocols does not list it: add "{name}" or take it out',
                )


def purposes(draft: Draft) -> Iterator[Problem]:
    for index, source in enumerate(draft.sources):
        privacy = source.get("privacy")
        if privacy is not None and not privacy.tcf_purposes:
            yield (
                ("source", index, "privacy", "tcf_purposes"),
                "is empty: name at least one purpose that must have consent",
            )


def service_ids(draft: Draft) -> Iterator[Problem]:
    taken = {service.id for service in DEV_SERVICES} if draft.dev else set()
    yield from _ids(draft.services, ("service",), taken)
    for index, service in enumerate(draft.services):
        if service.get("id") in RESERVED_SERVICES:
            yield ("service", index, "id"), "is taken by the server itself; choose another"


def service_sources(draft: Draft) -> Iterator[Problem]:
    known = [source["id"] for source in draft.sources if "id" in source]
    known += [DEV_SOURCE] if draft.dev else []
    for index, service in enumerate(draft.services):
        name = service.get("source")
        if name is not None and name not in known:
            hint = nearest(name, known) or "; there is no [[source]]"
            yield ("service", index, "source"), f'is "{name}", which is no source{hint}'


def service_kinds(draft: Draft) -> Iterator[Problem]:
    """What each kind of service needs, and what it has no use for."""
    for index, service in enumerate(draft.services):
        place, kind = ("service", index), service.get("kind")
        if kind is None:
            continue
        if kind in KINDS_OF["origin"] and _lacks(draft, service, place, "origin"):
            yield (*place, "origin"), f"is missing: a {kind} service needs it"
        contents = [slot for slot in service["slots"] if slot.get("kind") == "content"]
        if kind == "channel" and not contents and _lacks(draft, service, place, "assets"):
            yield (
                (*place, "assets"),
                'is missing: a channel needs assets, or slots of kind "content"',
            )
        for name, kinds in KINDS_OF.items():
            if service.get(name) and kind not in kinds:
                yield (*place, name), f"is of {' and '.join(kinds)} only; this service is {kind}"
        if service["slots"] and kind != "channel":
            yield (*place, "slot"), f"is of channel only; this service is {kind}"


def service_macros(draft: Draft) -> Iterator[Problem]:
    """Macros that would stand for nothing, which no ad server complains of."""
    for index, service in enumerate(draft.services):
        for setting in AD_SERVERS:
            for name in _MACRO.findall(service.get(setting) or ""):
                if name not in MACROS and not name.startswith(("arg_", "http_")):
                    known = nearest(name, (*MACROS, "arg_<name>", "http_<name>"))
                    yield (
                        ("service", index, setting),
                        f'has "${name}", which stands for nothing{known}',
                    )


def slots(draft: Draft) -> Iterator[Problem]:
    for index, service in enumerate(draft.services):
        place = ("service", index, "slot")
        yield from _ids(service["slots"], place, ())
        for number, slot in enumerate(service["slots"]):
            yield from _slot(draft, slot, (*place, number))
        yield from _overlaps(service["slots"], place)


def _slot(draft: Draft, slot: Mapping[str, Any], place: Place) -> Iterator[Problem]:
    """What is wrong within one slot."""
    end, seconds = slot.get("end"), slot.get("duration_seconds")
    if end and seconds:
        yield (*place, "end"), "is given beside duration_seconds: leave one of them out"
    elif _lacks(draft, slot, place, "end", "duration_seconds"):
        yield (*place, "end"), "is missing: give it, or duration_seconds"
    elif end and slot.get("start"):
        lasts = seconds_of(end) - seconds_of(slot["start"])
        if lasts <= 0:
            yield (*place, "end"), f"is {end}, which is not after its start, {slot['start']}"
        elif lasts > LONGEST_SLOT:
            yield (*place, "end"), f"is more than a day after its start, {slot['start']}"
    where = (*place, "replacement")
    if slot.get("kind") == "content" and _lacks(draft, slot, place, "replacement"):
        yield where, "is missing: a slot of kind content needs what it plays"
    if slot.get("kind") == "ad-break" and slot.get("replacement"):
        yield where, "is of content only; this slot is an ad-break"


def _lacks(draft: Draft, values: Mapping[str, Any], place: Place, *names: str) -> bool:
    """Whether none of these settings was given."""
    if place in draft.unread:
        return False
    return not any(values.get(name) or (*place, name) in draft.unread for name in names)


def _overlaps(listed: list[dict[str, Any]], place: Place) -> Iterator[Problem]:
    """Slots that begin before an earlier one has ended."""
    whole = sorted(
        (seconds_of(slot["start"]), _end(slot), number)
        for number, slot in enumerate(listed)
        if slot.get("start") and (slot.get("end") or slot.get("duration_seconds"))
    )
    last_end, last = 0, -1
    for start, end, number in whole:
        if last >= 0 and start < last_end:
            other = listed[last].get("id", last + 1)
            yield (*place, number, "start"), f"lies within slot {other}: slots must not overlap"
        if end > last_end:
            last_end, last = end, number


def _end(slot: Mapping[str, Any]) -> int:
    if slot.get("end"):
        return seconds_of(slot["end"])
    return seconds_of(slot["start"]) + int(slot["duration_seconds"])


def tls(draft: Draft) -> Iterator[Problem]:
    pair = ("tls_certificate", "tls_key")
    for name, other in (pair, pair[::-1]):
        if draft.server[name] and not draft.server[other]:
            yield ("server", name), f"needs server.{other} as well"


def ports(draft: Draft) -> Iterator[Problem]:
    port, console = (draft.server[name] for name in ("port", "console_port"))
    if port and port == console:
        yield ("server", "console_port"), f"is {port}, which tracking has: choose another"


def dev_hosts(draft: Draft) -> Iterator[Problem]:
    if not draft.dev:
        return
    for name in ("host", "console_host"):
        host = draft.server[name]
        if not is_loopback(host):
            yield (
                ("server", name),
                f'is "{host}": --dev has a known key and serves loopback only (127.0.0.1)',
            )


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


RULES: tuple[Callable[[Draft], Iterator[Problem]], ...] = (
    source_ids,
    keys,
    protocols,
    purposes,
    service_ids,
    service_sources,
    service_kinds,
    service_macros,
    slots,
    tls,
    ports,
    dev_hosts,
)
