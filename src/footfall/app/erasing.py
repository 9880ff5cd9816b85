"""Under which keys of the journal's state the protocols keep what they know of somebody."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from footfall.collect import correlate
from footfall.collect.protocols.tracardi import identity
from footfall.collect.protocols.tracardi.settings import Tracardi
from footfall.journal.contract import Change
from footfall.model import Erasure, Micros, media_key
from footfall.settings import Source


def keys(sources: Sequence[Source], erasure: Erasure) -> Iterable[str]:
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
    for profile_id in erasure.profiles:
        for group in groups:
            yield identity.profile_key(group, profile_id)


def ended(sources: Sequence[Source], erasure: Erasure, now: Micros) -> Iterable[Change]:
    """What changes where nothing is forgotten: what sessions say of profiles held until now."""
    meant = [one for one in sources if erasure.source in {None, one.id}]
    for group in {one.of(Tracardi).identity or one.id for one in meant}:
        yield Change(identity.era_key(group), identity.write(now), now + identity.ERA_LASTS)
