"""The one vocabulary: what happened (`Event`) and what was refused (`Reject`).

Every protocol is translated into these, the journal stores them, the lake has a column for each
field. It is not the place for what only one vendor knows: that goes into ``properties`` (what
happened) or ``context`` (under what circumstances) under the vendor's own names.

Imports nothing of ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

Micros = int
"""A moment: microseconds since 1970-01-01T00:00:00Z."""


class Facts(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What an event says of its visit and its profile, beyond itself.

    Decided when it was taken and journalled with it: what depends on the state or the settings of
    that moment must not change when the journal is read again.
    """

    visit: str | None = None
    """The session whose first event this is: a new visit of the profile."""
    identity: str | None = None
    """With `visit`: the identity group that the profile belongs to, where sources share one."""
    context: Mapping[str, Any] | None = None
    """The request's own context, by which the session's is brought up to date, key by key."""
    properties: Mapping[str, Any] | None = None
    """Likewise the session's properties."""
    traits: Mapping[str, Any] | None = None
    """What is known of the person from now on, by name: ``{"email.main": "…"}``."""
    consents: Mapping[str, tuple[bool, Micros | None]] | None = None
    """By name: granted or refused, and until when (None: without end)."""
    aliases: Mapping[str, str] | None = None
    """Profile ids that stand for this event's profile from now on, and why each does."""


class Event(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One thing that somebody did, as it is journalled and as it stands in the lake."""

    event_id: str
    """Unique within source and protocol. Ours are time-ordered (UUID version 7)."""
    source: str
    protocol: str
    type: str
    """The vendor's own name for the kind of event, as the client sent it."""
    occurred_at: Micros
    """When the client says it happened; the time of arrival where a protocol carries none."""
    received_at: Micros
    session_id: str | None = None
    """Unique within source and protocol only."""
    profile_id: str | None = None
    user_id: str | None = None
    """The customer's id of a logged-in person."""
    page: str | None = None
    location: str | None = None
    """The widget on the page."""
    channel: str | None = None
    """desktop, mac, ios, android, … : by the client, else by its user agent."""
    brand: str | None = None
    """A URL or a name: by the client, else the origin of its page."""
    country: str | None = None
    """ISO 3166-1 alpha-2, by the truncated address."""
    device: str | None = None
    """desktop, mobile, tablet, tv, … or bot, by the user agent."""
    os: str | None = None
    browser: str | None = None
    ip: str | None = None
    """Truncated to /24 or /48 before anything is stored."""
    playhead_s: float | None = None
    properties: Mapping[str, Any] | None = None
    context: Mapping[str, Any] | None = None
    client_id_given: bool = False
    """True where `event_id` is the client's: it is then stored once, however often it is sent.
    Journal only, as everything below; no column."""
    stored: bool = True
    """False: not kept as an event, at its sender's wish; it counts for session and profile."""
    withheld: bool = False
    """True: without consent. It reaches the lake without anything that says who it was."""
    facts: Facts | None = None


class Reject(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A request that was refused, kept so that its sender can be helped."""

    received_at: Micros
    source: str | None = None
    """None where the key named no source."""
    protocol: str
    reason: str
    """One of `footfall.collect.contract.Reason`."""
    detail: str
    status: int
    body: str | None = None
    """The start of the body, as text."""


class MediaSession(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What the journal's state holds of a media session, under `media_key`, as MessagePack.

    Written when the session begins, when it closes, and when a later event says something else of
    consent than was said before; a record's first change with `closed_at` set is its closing.
    """

    source: str
    opened_at: Micros
    """The server's time when it began."""
    closed_at: Micros | None = None
    """The client's time of the event that closed it, or of its last event on a time-out."""
    why: str | None = None
    """How it closed: ended, idle, stuck, aged or downloaded."""
    consent: bool | None = None
    """What was said last of consent: given, refused, or nothing so far."""


def media_key(session_id: str) -> str:
    """Under which the journal's state holds a media session."""
    return f"media/{session_id}"


class Erasure(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Whose data is to go: everything of theirs that stands before it in the journal.

    In the journal as the value of a change under `ERASURE_KEY`, as MessagePack, so that whoever
    follows the journal obeys it at its place. It goes with the records before it.
    """

    profiles: tuple[str, ...] = ()
    """With all their aliases."""
    users: tuple[str, ...] = ()
    sessions: tuple[str, ...] = ()
    """Of any protocol."""
    source: str | None = None
    """Where only one source's data is meant."""


ERASURE_KEY = "erasure"
