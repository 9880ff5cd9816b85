"""What a profile's consents come to, and which of those that an event gives count.

State and history are told the same: what counts here is remembered, and stands on the event as
far as it may be told. Pure.
"""

from __future__ import annotations

from footfall.collect.protocols.tracardi.identity import Known
from footfall.collect.protocols.tracardi.traits import Consents
from footfall.model import Micros
from footfall.settings import Source


def remembered(known: Known, source: Source, at: Micros) -> bool | None:
    """What a profile's consents come to, of those that the source asks for.

    All granted, one refused or run out, or nothing (None).
    """
    all_granted = True
    for name in source.privacy.consents:
        found = known.consents.get(name)
        if found is None:
            all_granted = False
            continue
        granted, until, _ = found
        if not _holds(granted, until, at):
            return False
    return True if all_granted and source.privacy.consents else None


def withdrawn(given: Consents, at: Micros) -> Consents:
    """Of consents that an event gives, those that are none: refused, or run out already.

    What a request that refuses itself, by a signal of the browser say, can still say: it gives no
    consent, but somebody who takes it back is heard.
    """
    return {name: terms for name, terms in given.items() if not _holds(*terms, at)}


def taken_back(given: Consents, known: Known, at: Micros) -> Consents:
    """Of those, the ones that the profile had granted: all that an event can say that is withheld
    where the profile's consents do not count.
    """
    return {
        name: terms
        for name, terms in withdrawn(given, at).items()
        if name in known.consents and known.consents[name][0]
    }


def _holds(granted: bool, until: Micros | None, at: Micros) -> bool:
    return granted and (until is None or until > at)
