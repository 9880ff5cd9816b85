"""Profiles of an existing Tracardi, taken over so that known visitors stay known.

A line is one profile as Tracardi stores it (https://docs.tracardi.com/, "Profile"), or a search
hit around it (``{"_source": {…}}``). Read are its id, the ids that lead to it, consents, traits
and when it was made; what else it holds stays where it is. Taking a line over again changes
nothing, and what is known here already stands.

Pure, as `deciding` is: where lines come from and who commits the units is the caller's matter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from footfall.collect import consent, wire
from footfall.collect.protocols.tracardi.consents import remembered
from footfall.collect.protocols.tracardi.identity import (
    DAY,
    Alias,
    Known,
    Look,
    Profile,
    Unasked,
    Value,
    profile_key,
    write,
)
from footfall.collect.protocols.tracardi.issued import ProfileIds
from footfall.collect.protocols.tracardi.moments import micros, moment
from footfall.collect.protocols.tracardi.settings import Tracardi
from footfall.collect.protocols.tracardi.traits import kept
from footfall.journal.contract import Change, More, Outcome, States, Unit
from footfall.model import Event, Facts, Micros
from footfall.settings import Limits, Source

TYPE = "profile-imported"
"""Of the event that carries what was taken over; it is not kept as an event."""
REASON = "imported"
ID_CHARACTERS = 256
MOST_TRAITS = 128
MOST_ALIASES = 64
VISITS = range(2**53)
"""How many a profile may have had."""

NEW, CHANGED, SAME = "new", "changed", "same"
"""What became of a line; a unit's reply."""


class Taken(msgspec.Struct, frozen=True, gc=False):
    """One profile, as it is to be known here."""

    profile_id: str
    created_at: Micros | None = None
    visits: int = 0
    consents: Mapping[str, tuple[bool, Micros | None]] = {}
    traits: Mapping[str, Value] = {}
    aliases: tuple[str, ...] = ()


# Lines


def read(line: bytes, limits: Limits) -> Taken:
    """A profile. Raises `wire.NotReadable` with what is wrong, never with the value."""
    document = wire.json_object(line, limits)
    inner = document.get("_source")
    if isinstance(inner, dict):
        document = inner
    ids = _ids(document)
    metadata = _object(document, "metadata")
    time = _object(metadata, "time", "metadata.time")
    visits = _object(time, "visit", "metadata.time.visit").get("count", 0)
    if isinstance(visits, bool) or not isinstance(visits, int) or visits not in VISITS:
        raise wire.NotReadable("metadata.time.visit.count must be a whole number from 0.")
    created_at = _moment(time, "create")
    return Taken(
        profile_id=ids[0],
        created_at=_moment(time, "insert") if created_at is None else created_at,
        visits=visits,
        consents=_consents(_object(document, "consents")),
        traits=_traits(document),
        aliases=ids[1:],
    )


def _ids(document: Mapping[str, Any]) -> tuple[str, ...]:
    given = [document.get("id"), *_list(document, "ids")]
    ids = [one.strip() if isinstance(one, str) else "" for one in given]
    if not all(0 < len(one) <= ID_CHARACTERS for one in ids):
        raise wire.NotReadable(
            f"id, and each of ids, must be a string of 1 to {ID_CHARACTERS} characters."
        )
    if len(ids) > MOST_ALIASES:
        raise wire.NotReadable(f"ids may hold at most {MOST_ALIASES} ids.")
    return tuple(dict.fromkeys(ids))


def _object(holder: Mapping[str, Any], name: str, path: str | None = None) -> Mapping[str, Any]:
    value = holder.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise wire.NotReadable(f"{path or name} must be an object, not {wire.json_kind(value)}.")
    return value


def _list(holder: Mapping[str, Any], name: str) -> list[Any]:
    value = holder.get(name)
    if value is None:
        return []
    if not isinstance(value, list):
        raise wire.NotReadable(f"{name} must be a list, not {wire.json_kind(value)}.")
    return value


def _moment(time: Mapping[str, Any], name: str) -> Micros | None:
    value = time.get(name)
    if value is None:
        return None
    found = moment(value) if isinstance(value, str) else None
    at = None if found is None else micros(found)
    if at is None:
        raise wire.NotReadable(f"metadata.time.{name} must be a date as ISO 8601 has it.")
    return at


def _consents(given: Mapping[str, Any]) -> dict[str, tuple[bool, Micros | None]]:
    """``{"marketing": {"revoke": null}}``, or booleans."""
    found: dict[str, tuple[bool, Micros | None]] = {}
    for name, terms in given.items():
        if isinstance(terms, bool):
            found[name] = (terms, None)
            continue
        ends = terms.get("revoke") if isinstance(terms, dict) else ...
        until = moment(ends) if isinstance(ends, str) else None
        if ends is not None and until is None:
            raise wire.NotReadable(
                "Each of consents must be true, false, or an object whose revoke is null or a date."
            )
        found[name] = (True, None if until is None else micros(until))
    return found


def _traits(document: Mapping[str, Any]) -> dict[str, Value]:
    """`data` and `traits` as flat names: ``data.contact.email.main`` is ``email.main`` here."""
    found: dict[str, Value] = {}
    data = dict(_object(document, "data"))
    for inner in ("contact", "pii"):
        _flatten(data.pop(inner, None), "", found)
    _flatten(data, "", found)
    traits = dict(_object(document, "traits"))
    for inner in ("public", "private"):
        _flatten(traits.pop(inner, None), "", found)
    _flatten(traits, "", found)
    if len(found) > MOST_TRAITS:
        raise wire.NotReadable(f"A profile may have at most {MOST_TRAITS} traits.")
    return found


def _flatten(value: Any, name: str, found: dict[str, Value]) -> None:
    if isinstance(value, dict):
        for inner, item in value.items():
            _flatten(item, f"{name}.{inner}" if name else inner, found)
    elif not name or name in found:
        return
    elif (trait := kept(value)) is not None:
        found[name] = trait


# Decisions, under the journal's lock


def unit(
    taken: Taken,
    source: Source,
    now: Micros,
    new_event_id: Callable[[Micros], str],
    secret: bytes,
) -> Unit:
    """Take a profile over. Its reply says what became of it: `NEW`, `CHANGED` or `SAME`.

    `secret`: the data directory's.
    """
    settings = source.of(Tracardi)
    group = settings.identity or source.id
    ids = ProfileIds(secret, group, round(settings.remember_profiles_days * DAY))
    keys = tuple(profile_key(group, one) for one in (taken.profile_id, *taken.aliases))
    asked = set(keys)

    def decide(states: States) -> Outcome | More:
        look = Look(states, asked, group, lambda profile_id: ids.known(profile_id, now))
        try:
            found = look.profile(taken.profile_id)
            aliases = [one for one in taken.aliases if look.profile(one) is None]
        except Unasked as unasked:
            asked.add(unasked.key)
            return More((unasked.key,))
        return _decided(taken, source, now, new_event_id, found, aliases)

    return Unit(keys, decide)


def _decided(  # noqa: PLR0917 - what `unit` has gathered
    taken: Taken,
    source: Source,
    now: Micros,
    new_event_id: Callable[[Micros], str],
    found: Profile | None,
    aliases: list[str],
) -> Outcome:
    created = now if taken.created_at is None else min(taken.created_at, now)
    profile = found or Profile(taken.profile_id, Known(created, taken.visits))
    old = profile.known
    consents = {name: one for name, one in taken.consents.items() if name not in old.consents}
    if not source.privacy.consents and consent.withheld(source, None):
        consents = {}  # they do not count and cannot be told
    since = {name: (*one, created) for name, one in consents.items()}
    known = msgspec.structs.replace(
        old, consents={**old.consents, **since}, aliases=(*old.aliases, *aliases)
    )
    withheld = consent.withheld(source, None, remembered(known, source, now))
    traits: dict[str, Value] = {}
    if not withheld:
        traits = {name: value for name, value in taken.traits.items() if name not in old.traits}
        told = {name: (value, created) for name, value in traits.items()}
        known = msgspec.structs.replace(known, traits={**old.traits, **told})
    if found is not None and known == old:
        return Outcome(reply=SAME)
    settings = source.of(Tracardi)
    group = settings.identity or source.id
    until = now + round(settings.remember_profiles_days * DAY)
    into = write(Alias(profile.id))
    changes = [Change(profile_key(group, profile.id), write(known), until)]
    changes += [Change(profile_key(group, alias), into, until) for alias in aliases]
    facts = Facts(traits=traits, consents=consents, aliases=dict.fromkeys(aliases, REASON))
    event = Event(
        event_id=new_event_id(now),
        source=source.id,
        protocol="tracardi",
        type=TYPE,
        occurred_at=created,
        received_at=now,
        profile_id=profile.id,
        stored=False,
        withheld=withheld,
        facts=None if withheld else facts,
    )
    return Outcome([event], (), changes, NEW if found is None else CHANGED)
