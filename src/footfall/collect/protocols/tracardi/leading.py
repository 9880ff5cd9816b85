"""What leads to a profile besides its own id, to be known for as long as the profile is.

A client may go on for ever with an id that became an alias, or that nobody issued; where that were
forgotten while its visitor keeps coming, one visitor would become many. Pure.
"""

from __future__ import annotations

from footfall.collect.protocols.tracardi.identity import (
    Alias,
    Asked,
    Look,
    Profile,
    profile_key,
    stale_key,
    write,
)


def leads(asked: Asked, profile: Profile, look: Look) -> tuple[str, bytes] | None:
    """The key and value by which the id that was sent leads to a profile; None where it is its own
    or leads elsewhere, or nowhere. Raises `Unasked`.
    """
    sent = asked.sent
    if sent is None or sent == profile.id:
        return None
    found = look.profile(sent)
    if found is not None:
        key = profile_key(asked.group, sent)
        return (key, write(Alias(profile.id))) if found.id == profile.id else None
    if asked.device_id is None:
        return None
    key = stale_key(asked.group, asked.device_id, sent)
    found = look.pointed(key)
    return (key, profile.id.encode()) if found is not None and found.id == profile.id else None
