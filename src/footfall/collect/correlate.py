"""Tracking sessions as everybody meets them: where a request carries one, and whether it lives.

Clients send the id of their tracking session with every request, whatever the protocol, so that
one person's actions can be told to belong together. Here it is found, looked up, and written on
the events. Making and ending sessions is the business of `protocols/jay`.

Where the id may stand, what is tolerated around it and why the cookie is split by hand is
described in ``docs/protocol-jay.md``.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from urllib.parse import unquote

import msgspec

from footfall.collect import wire
from footfall.collect.contract import Request
from footfall.journal.contract import States
from footfall.model import Event, Micros

NAME = "__Secure-jay_tracking"
"""Of the cookie and of the header."""
PROPERTY = "jay_session_id"
"""Under which an event keeps the tracking session that it was sent in."""

MOST_IDS = 32
"""Ids that are looked up for one request. Browsers send one cookie per path and domain."""
MOST_CHARACTERS = 4096
"""Longest value that is looked at."""

_COOKIE = NAME.encode()
_HEADERS = (NAME.lower().encode(), b"x-jay-tracking")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class TrackingSession(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What the journal's state holds of a live session."""

    start_time: Micros
    ends_at: Micros
    user_id: str | None = None


class _Carrier(msgspec.Struct, gc=False):
    """The JSON that newer clients wrap the id in; nothing else of it is believed."""

    session_id: str


_sessions = msgspec.msgpack.Decoder(TrackingSession)
_carriers = msgspec.json.Decoder(_Carrier)


def key(source_id: str, session_id: str) -> str:
    """Under which the journal's state holds a session. It belongs to the source that made it."""
    return f"jay/{source_id}/{session_id}"


def carried(request: Request) -> tuple[str, ...]:
    """The session ids that a request names, each once, in the order in which they count.

    Cookies in order of arrival, then the two headers. Only what has the shape of a UUID.
    """
    headers = request.headers
    texts: list[str] = []
    cookie = headers.get(b"cookie")
    if cookie is not None and _COOKIE in cookie:
        texts = wire.cookies(cookie, _COOKIE)
    for name in _HEADERS:
        value = headers.get(name)
        if value is not None:
            texts.extend(value.decode("latin-1").split(","))
    if not texts:
        return ()
    ids = (_session_id(text) for text in texts[:MOST_IDS])
    return tuple(dict.fromkeys(found for found in ids if found is not None))


def live(states: States, source_id: str, session_id: str, now: Micros) -> TrackingSession | None:
    """A session of a source, unless it is unknown, ended or past its end."""
    value = states.get(key(source_id, session_id))
    if value is None:
        return None
    session = _sessions.decode(value)
    return session if session.ends_at > now else None


def correlate(
    events: Sequence[Event],
    states: States,
    ids: Sequence[str],
    source_id: str,
    now: Micros,
) -> Sequence[Event]:
    """The events with the first live session among `ids` written on each of them.

    It becomes `properties.jay_session_id`, and the session of events that have none.
    """
    for session_id in ids:
        if live(states, source_id, session_id, now) is not None:
            return tuple([_in_session(event, session_id) for event in events])
    return events


def _in_session(event: Event, session_id: str) -> Event:
    properties: Mapping[str, object] = {**(event.properties or {}), PROPERTY: session_id}
    return msgspec.structs.replace(
        event, properties=properties, session_id=event.session_id or session_id
    )


def _session_id(text: str) -> str | None:
    """The id in one cookie's or header's value: bare, or as newer clients wrap it."""
    text = text.strip().removeprefix(f"{NAME}=").strip('"')
    if _UUID.fullmatch(bare := text.lower()):
        return bare
    if not text or len(text) > MOST_CHARACTERS:
        return None
    packed = unquote(text).rstrip("=").translate({ord("-"): "+", ord("_"): "/"})
    try:
        decoded = base64.b64decode(packed + "=" * (-len(packed) % 4), validate=True)
        wrapped = _carriers.decode(decoded).session_id.lower()
    except (ValueError, RecursionError):  # no base64, no JSON, or JSON without such a text
        return None
    return wrapped if _UUID.fullmatch(wrapped) else None
