"""Profile ids that prove themselves: what was issued here is known without having been written.

An id is a UUID of version 4 in form. Its first 32 bits are the second in which it was issued, its
last 32 a keyed hash of the rest, what is between is random: so whoever comes for the first time
costs one row of the state, its session's, and a made-up id passes once in four thousand million
tries. What such an id alone says of its profile is when it began, and that it came once.
"""

from __future__ import annotations

import hashlib

from footfall.collect.protocols.tracardi.identity import Known
from footfall.model import Micros

SECOND = 1_000_000
PROOF_BYTES = 4
LENGTH = 36
PROOF_AT = LENGTH - 2 * PROOF_BYTES


class ProfileIds:
    """The ids of one identity group."""

    __slots__ = ("_key", "_remembered")

    def __init__(self, secret: bytes, group: str, remembered: Micros) -> None:
        """`secret`: the data directory's. `remembered`: how long a profile is known."""
        self._key = hashlib.blake2b(group.encode(), key=secret, person=b"profile ids").digest()
        self._remembered = remembered

    def issue(self, random_uuid: str, at: Micros) -> str:
        """A new id, of what is random in a UUID of version 4."""
        text = f"{at // SECOND & 0xFFFFFFFF:08x}{random_uuid[8:PROOF_AT]}"
        return text + self._proof(text)

    def known(self, profile_id: str, now: Micros) -> Known | None:
        """What an id says of its profile, where nothing else does: None if it is not ours, or of
        somebody who was not seen for too long.
        """
        if len(profile_id) != LENGTH or self._proof(profile_id[:PROOF_AT]) != profile_id[PROOF_AT:]:
            return None
        try:
            began = int(profile_id[:8], 16) * SECOND
        except ValueError:
            return None
        return None if began + self._remembered <= now else first_visit(began)

    def _proof(self, text: str) -> str:
        found = hashlib.blake2b(
            text.encode("utf-8", "surrogatepass"), key=self._key, digest_size=PROOF_BYTES
        )
        return found.hexdigest()


def first_visit(at: Micros) -> Known:
    """A profile that came once and of whom nothing else is known."""
    return Known(at // SECOND * SECOND, 1)
