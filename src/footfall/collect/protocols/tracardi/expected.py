"""What is expected of a request, and mostly is so: its events are made as if it were.

A known visit goes on, or somebody comes for the first time. Where the state agrees, nothing is left
to decide. Everything else, and whatever is not as expected, is the business of `deciding`.
"""

from __future__ import annotations

from collections.abc import Sequence

from footfall.collect.protocols.tracardi.identity import (
    DAY,
    Asked,
    Session,
    era,
    is_known,
    profile_key,
    read_session,
    write,
)
from footfall.collect.protocols.tracardi.settings import Tracardi
from footfall.journal.contract import Change, More, States

Changes = tuple[Change, ...] | More | None
"""Of the state; or what is to be asked for besides; None: it is not as expected.

The first two of a request's `keys` are its session's and its group's era's.
"""


def goes_on(keys: Sequence[str], who: Asked, states: States, more: Sequence[str]) -> Changes:
    """A known session of the very profile that was sent goes on: nothing changes.

    The profile itself is looked at only where it may have become another since. `more`: the keys
    that were asked for besides.
    """
    value = states.get(keys[0])
    if value is None or who.sent is None:
        return None
    session = read_session(value)
    if session.profile_id != who.sent or not session.visited or who.at - session.written_at >= DAY:
        return None
    if session.era == era(states.get(keys[1])):
        return ()
    key = profile_key(who.group, who.sent)
    if key not in more:
        return More((key,))
    profile = states.get(key)
    known = who.issued(who.sent) is not None if profile is None else is_known(profile)
    return () if known else None


def begins(keys: Sequence[str], who: Asked, states: States, settings: Tracardi) -> Changes:
    """Somebody comes for the first time: a session comes into being. Of its profile the id says
    all there is.
    """
    if keys[0] in states:
        return None
    session = Session(who.fresh, who.at, True, era(states.get(keys[1])))
    days = settings.remember_sessions_days
    return (Change(keys[0], write(session), who.at + round(days * DAY)),)
