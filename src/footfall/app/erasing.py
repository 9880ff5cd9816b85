"""Under which keys of the journal's state the protocols keep what they know of somebody."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from types import MappingProxyType

from footfall.collect import correlate
from footfall.collect.protocols.tracardi import identity
from footfall.collect.protocols.tracardi.issued import ProfileIds
from footfall.collect.protocols.tracardi.settings import Tracardi
from footfall.journal.contract import Change, States
from footfall.model import Erasure, Micros, media_key
from footfall.settings import Service, Source
from footfall.stream import contexts

LONGEST_DAYS = 36_500.0
"""That `remember_profiles_days` may be."""


def keys(
    sources: Sequence[Source],
    erasure: Erasure,
    services: Sequence[Service] = (),
    *,
    seen: Mapping[str, str] = MappingProxyType({}),
) -> Iterable[str]:
    """Keys that are made of an id of theirs, whether there is anything under them or not.

    What stands under other keys and names them, the journal itself finds by the ids. `seen`:
    sources that are, or were, and their identity groups.
    """
    groups = _groups(sources, erasure, seen)
    names = {one for one in {*seen, *(one.id for one in sources)} if _is_meant(one, erasure)}
    for session_id in erasure.sessions:
        yield media_key(session_id)
        for name in names:
            yield correlate.key(name, session_id)
        for group in groups:
            yield identity.session_key(group, session_id)
        for service in services:
            if _is_meant(service.source, erasure):
                yield contexts.session_key(service.id, session_id)
    for profile_id in erasure.profiles:
        for group in groups:
            yield identity.profile_key(group, profile_id)


async def kin(
    sources: Sequence[Source],
    erasure: Erasure,
    get: Callable[[Iterable[str]], Awaitable[States]],
    *,
    seen: Mapping[str, str] = MappingProxyType({}),
) -> set[str]:
    """Ids of the profiles that are the same as theirs, by the state alone: of somebody who gave no
    consent the lake has no aliases. `get` reads the state.
    """
    groups = _groups(sources, erasure, seen)
    found: set[str] = set()
    new = set(erasure.profiles)
    while new:
        found |= new
        states = await get([identity.profile_key(group, one) for group in groups for one in new])
        new = {one for value in states.values() for one in _same(value)} - found
    return found


def _same(value: bytes) -> Sequence[str]:
    """An alias leads to its profile, a profile to its aliases."""
    profile = identity.read_profile(value)
    if isinstance(profile, identity.Alias):
        return (profile.into,)
    return profile.aliases if isinstance(profile, identity.Known) else ()


def ended(
    sources: Sequence[Source],
    erasure: Erasure,
    now: Micros,
    secret: bytes,
    *,
    seen: Mapping[str, str] = MappingProxyType({}),
) -> Iterable[Change]:
    """What changes beside what is forgotten: what sessions say of profiles held until now, erased
    ids that were issued here prove nothing any more, and what collectors keep of stream sessions
    is to be looked at again. `secret`: the data directory's.
    """
    yield Change(contexts.ERASED, str(now).encode(), now + contexts.ERASED_LASTS_US)
    gone = identity.write(identity.Gone())
    for group, days in _groups(sources, erasure, seen).items():
        yield Change(identity.era_key(group), identity.write(now), now + identity.ERA_LASTS)
        remembered = round(days * identity.DAY)
        ids = ProfileIds(secret, group, remembered)
        for profile_id in erasure.profiles:
            if ids.known(profile_id, now) is not None:
                key = identity.profile_key(group, profile_id)
                yield Change(key, gone, now + remembered)


def _groups(
    sources: Sequence[Source], erasure: Erasure, seen: Mapping[str, str]
) -> Mapping[str, float]:
    """The identity groups that are meant, and how many days their profiles are known.

    Of a source that is set up no more, or elsewhere, it is as long as it can be.
    """
    found: dict[str, float] = {}
    set_up = [(one.id, one.of(Tracardi)) for one in sources]
    given = [(name, table.identity or name, table.remember_profiles_days) for name, table in set_up]
    known = {name for name, _ in set_up}
    given += [(name, group, LONGEST_DAYS) for name, group in seen.items() if name not in known]
    for name, group, days in given:
        if _is_meant(name, erasure):
            found[group] = max(found.get(group, 0), days)
    return found


def _is_meant(source: str, erasure: Erasure) -> bool:
    return erasure.source in {None, source}
