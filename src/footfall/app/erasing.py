"""Under which keys of the journal's state the protocols keep what they know of somebody."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from footfall.collect import correlate
from footfall.collect.protocols.tracardi import identity
from footfall.collect.protocols.tracardi.issued import ProfileIds
from footfall.collect.protocols.tracardi.settings import Tracardi
from footfall.journal.contract import Change
from footfall.model import Erasure, Micros, media_key
from footfall.settings import Service, Source
from footfall.stream import contexts


def keys(
    sources: Sequence[Source], erasure: Erasure, services: Sequence[Service] = ()
) -> Iterable[str]:
    """Keys that are made of an id of theirs, whether there is anything under them or not.

    What stands under other keys and names them, the journal itself finds by the ids.
    """
    meant = [one for one in sources if erasure.source in {None, one.id}]
    groups = {one.of(Tracardi).identity or one.id for one in meant}
    for session_id in erasure.sessions:
        yield media_key(session_id)
        for source in meant:
            yield correlate.key(source.id, session_id)
        for group in groups:
            yield identity.session_key(group, session_id)
        for service in services:
            if erasure.source in {None, service.source}:
                yield contexts.session_key(service.id, session_id)
    for profile_id in erasure.profiles:
        for group in groups:
            yield identity.profile_key(group, profile_id)


def ended(
    sources: Sequence[Source], erasure: Erasure, now: Micros, secret: bytes
) -> Iterable[Change]:
    """What changes beside what is forgotten: what sessions say of profiles held until now, erased
    ids that were issued here prove nothing any more, and what collectors keep of stream sessions
    is to be looked at again. `secret`: the data directory's.
    """
    yield Change(contexts.ERASED, str(now).encode(), now + contexts.ERASED_LASTS_US)
    meant = [one for one in sources if erasure.source in {None, one.id}]
    settings = [(one.of(Tracardi), one.id) for one in meant]
    gone = identity.write(identity.Gone())
    for group in {table.identity or name for table, name in settings}:
        yield Change(identity.era_key(group), identity.write(now), now + identity.ERA_LASTS)
        lasts = [t.remember_profiles_days for t, name in settings if (t.identity or name) == group]
        remembered = round(max(lasts) * identity.DAY)
        ids = ProfileIds(secret, group, remembered)
        for profile_id in erasure.profiles:
            if ids.known(profile_id, now) is not None:
                key = identity.profile_key(group, profile_id)
                yield Change(key, gone, now + remembered)
