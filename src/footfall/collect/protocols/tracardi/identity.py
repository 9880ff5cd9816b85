"""Who a visitor is: what the journal's state holds of sessions and profiles, and the one table.

A session id belongs to one profile for good; a profile id is ours, which shows (`issued`), or one
that was taken over.
Keys of the state are made here and nowhere else. Pure: `Look` reads what the journal gave.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple, Protocol, TypeVar

import msgspec

from footfall.journal.contract import States
from footfall.model import Micros

DAY = 86_400_000_000
"""In microseconds."""
ERA_LASTS = 36_500 * DAY
REMEMBER_EVENTS = 7 * DAY
LONGEST_CHAIN = 8
"""Of aliases that are followed; each merge leads old ones to the newest profile at once."""

T = TypeVar("T")
Value = str | int | float | bool

MOST_NAMES = 128
"""Traits and consents that the state remembers of one profile; the journal has them all."""


# The state


def session_key(group: str, session_id: str) -> str:
    """Holds a `Session`."""
    return f"tracardi/{group}/session/{session_id}"


def profile_key(group: str, profile_id: str) -> str:
    """Holds a `Known`, or the `Alias` or `Gone` that took its place; nothing where the id was
    issued here and says all there is.
    """
    return f"tracardi/{group}/profile/{profile_id}"


def era_key(group: str) -> str:
    """Holds the group's era, which ends when a profile becomes an alias or is erased: a number.

    What a session of this era says of its profile still holds, without a look at the profile.
    """
    return f"tracardi/{group}/era"


def stale_key(group: str, device_id: str, profile_id: str) -> str:
    """Holds the id of the profile that a device was given for an id that nobody issued."""
    device = device_id.replace("%", "%25").replace("/", "%2F")
    return f"tracardi/{group}/stale/{device}/{profile_id}"


def point_key(group: str, trait: str, digest: str) -> str:
    """Holds the id of the profile that has proven a trait's value, which only its hash tells."""
    return f"tracardi/{group}/point/{trait}/{digest}"


def event_key(source_id: str, event_id: str) -> str:
    """Is there where a source has stored an event under its client's id."""
    return f"tracardi/{source_id}/event/{event_id}"


class Session(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A session that was seen."""

    profile_id: str | None
    """None: so far without a profile. It may have become an alias since."""
    written_at: Micros
    visited: bool = True
    """Whether it was counted as a visit of its profile."""
    era: int = 0
    """In which it was written."""


class Known(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="profile"):
    """A profile. What decides answers, and what the answer `profile: true` tells."""

    created_at: Micros
    visits: int = 0
    consents: Mapping[str, tuple[bool, Micros | None, Micros]] = {}
    """By name: granted or refused, until when (None: without end), and since when."""
    traits: Mapping[str, tuple[Value, Micros]] = {}
    """By name: the value, and when it was said last."""
    aliases: tuple[str, ...] = ()
    """Ids that lead here, the oldest first."""
    points: Mapping[str, str] = {}
    """By trait: the hash of the value that it has proven."""


class Alias(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="alias"):
    """An id whose profile became another."""

    into: str


class Gone(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="gone"):
    """An id that was erased: it proves nothing any more."""


read_era = msgspec.msgpack.Decoder(int).decode
read_session = msgspec.msgpack.Decoder(Session).decode
read_profile = msgspec.msgpack.Decoder(Known | Alias | Gone).decode
write = msgspec.msgpack.Encoder().encode

_IS_KNOWN = write("profile")
"""What a `Known` has after its first byte: its tag."""


def is_known(value: bytes) -> bool:
    """Whether the value of a profile's key is a `Known`, without reading the rest."""
    return value.startswith(_IS_KNOWN, 1)


class Unasked(Exception):  # noqa: N818 - no fault: the journal is to be asked for these keys too
    """Deciding came to need a key that only other keys' values name."""

    def __init__(self, key: str) -> None:
        self.key = key


class Look:
    """The state as one request sees it."""

    __slots__ = ("_asked", "_group", "_issued", "_states")

    def __init__(
        self,
        states: States,
        asked: Collection[str],
        group: str,
        issued: Callable[[str], Known | None],
    ) -> None:
        """`asked`: the keys whose values `states` has, where they have one. `issued`: what an id
        says by itself.
        """
        self._states = states
        self._asked = asked
        self._group = group
        self._issued = issued

    def value(self, key: str) -> bytes | None:
        """A key's value. Raises `Unasked`."""
        found = self._states.get(key)
        if found is None and key not in self._asked:
            raise Unasked(key)
        return found

    def session(self, session_id: str) -> Session | None:
        value = self.value(session_key(self._group, session_id))
        return None if value is None else read_session(value)

    def profile(self, profile_id: str) -> Profile | None:
        """A profile by its id or an alias of it."""
        for _ in range(LONGEST_CHAIN):
            value = self.value(profile_key(self._group, profile_id))
            found = self._issued(profile_id) if value is None else read_profile(value)
            if type(found) is Known:
                return Profile(profile_id, found)
            if type(found) is not Alias:
                return None
            profile_id = found.into
        return None

    def pointed(self, key: str) -> Profile | None:
        """The profile whose id a key holds."""
        value = self.value(key)
        return None if value is None else self.profile(value.decode())


def era(value: bytes | None) -> int:
    """The era that the state holds; 0 before anything ended one."""
    return 0 if value is None else read_era(value)


# The table


class Profile(NamedTuple):
    """A profile and the id that it has now."""

    id: str
    known: Known


class Ids(Protocol):
    """Ids that prove themselves: `issued.ProfileIds`."""

    def issue(self, random_uuid: str, at: Micros) -> str: ...

    def known(self, profile_id: str, now: Micros) -> Known | None: ...


class Asked(msgspec.Struct, gc=False):
    """What a request says of who it is."""

    group: str
    """Sources that share an identity group share its sessions and profiles."""
    session_id: str
    sent: str | None
    """The profile id that it names."""
    device_id: str | None
    profile_less: bool
    save_profile: bool
    fresh: str
    """What a new profile would be called; empty until it is drawn."""
    at: Micros
    ids: Ids
    new_uuid: Callable[[], str]

    def issued(self, profile_id: str) -> Known | None:
        """What an id says by itself, now."""
        return self.ids.known(profile_id, self.at)

    def new_profile(self) -> Profile:
        """A profile that begins now."""
        self.fresh = self.fresh or self.ids.issue(self.new_uuid(), self.at)
        return Profile(self.fresh, Known(self.at))


class Person(NamedTuple):
    """Whose request it is."""

    profile: Profile | None
    """None: it has none, and gets none."""
    session: Session | None
    """As it was known."""
    is_new: bool
    """The profile comes into being with this request."""
    pointer: str | None
    """The key under which the device's stale id is to be remembered; None where it is, or must
    not be."""


def identify(asked: Asked, look: Look) -> Person:
    """The table: what is known of the session, and which profile id came with it.

    | session         | profile sent     | profile                        |
    |-----------------|------------------|--------------------------------|
    | has one         | any or none      | the session's                  |
    | had one, gone   | any or none      | a new one                      |
    | without, or new | known            | the one sent                   |
    | without, or new | unknown          | the device's, else a new one   |
    | without, or new | none             | a new one                      |

    Profile-less requests get none, and do not change the session's; with `saveProfile: false`
    there is no new one.
    """
    session = look.session(asked.session_id)
    if asked.profile_less:
        return Person(None, session, False, None)
    profile, gone = None, False
    if session is not None and session.profile_id is not None:
        profile = look.profile(session.profile_id)
        gone = profile is None
    pointer = None
    if asked.sent is not None and (profile is None or profile.id != asked.sent):
        sent = look.profile(asked.sent)
        if sent is None and asked.device_id is not None:
            pointer = stale_key(asked.group, asked.device_id, asked.sent)
            sent = look.pointed(pointer)
            if sent is not None and not gone:
                pointer = None
        if profile is None and not gone:
            profile = sent
    is_new = profile is None and asked.save_profile
    if is_new:
        profile = asked.new_profile()
    if profile is None or not asked.save_profile:
        pointer = None
    return Person(profile, session, is_new, pointer)


# What becomes of a profile


def with_consents(
    known: Known,
    given: Mapping[str, tuple[bool, Micros | None]],
    at: Micros,
    always: Sequence[str],
) -> Known:
    """With consents that were given or refused. Those of `always` are remembered past the bound."""
    new = {name: (*terms, at) for name, terms in given.items()}
    consents = _within(known.consents, new, always)
    return msgspec.structs.replace(known, consents=consents)


def with_traits(known: Known, found: Mapping[str, Value], at: Micros) -> Known:
    """With the traits that were said, again or anew: of two profiles that prove to be one, what was
    said last counts.
    """
    new = {name: (value, at) for name, value in found.items()}
    return msgspec.structs.replace(known, traits=_within(known.traits, new))


def _within(old: Mapping[str, T], new: Mapping[str, T], always: Sequence[str] = ()) -> dict[str, T]:
    """What is remembered by name, brought up to date; past the bound only names that it has."""
    found = dict(old)
    for name, value in new.items():
        if name in found or name in always or len(found) < MOST_NAMES:
            found[name] = value
    return found


def merged(one: Profile, other: Profile) -> tuple[Profile, Profile]:
    """Two profiles of one person as one, and the younger, whose id becomes an alias."""
    winner, loser = sorted((one, other), key=lambda profile: (profile.known.created_at, profile.id))
    aliases = (*winner.known.aliases, loser.id, *loser.known.aliases)
    known = joined(winner.known, loser.known)
    known = msgspec.structs.replace(known, aliases=tuple(dict.fromkeys(aliases)))
    return Profile(winner.id, known), loser


def joined(winner: Known, loser: Known) -> Known:
    """What is known of both, under the winner's name: of each name the newest."""
    consents = {**loser.consents, **winner.consents}
    for name, consent in loser.consents.items():
        if consent[2] > consents[name][2]:
            consents[name] = consent
    traits = {**loser.traits, **winner.traits}
    for name, trait in loser.traits.items():
        if trait[1] > traits[name][1]:
            traits[name] = trait
    return Known(
        winner.created_at,
        winner.visits + loser.visits,
        consents,
        traits,
        winner.aliases,
        {**loser.points, **winner.points},
    )


def may_merge(one: Known, other: Known) -> bool:
    """Not where the two have proven different values of one trait: then they are two people."""
    return all(other.points.get(trait, digest) == digest for trait, digest in one.points.items())
