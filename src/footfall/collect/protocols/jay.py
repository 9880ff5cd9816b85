"""Media Jay tracking sessions, version 2025-05-19: create, read and end.

The vendor's guide is at https://docs.jay-metadata.com ("How to do Tracking"); what it leaves
open is settled in ``docs/protocol-jay.md``. A session's state lives in the journal, so two
requests that race for one session are decided in order.

Not for what other protocols do with a session id that they are sent: that is `correlate`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from footfall.collect import correlate, wire
from footfall.collect.contract import (
    Cors,
    Draft,
    Intent,
    Protocol,
    Reason,
    Refusal,
    Reply,
    Request,
    Route,
)
from footfall.collect.correlate import TrackingSession
from footfall.collect.sources import Sources
from footfall.journal.contract import Change, Outcome, States
from footfall.model import Event
from footfall.settings import Source, setting

VERSION = "2025-05-19"
MADE_BY = "jay.api.playout.1.0.0"
"""`source` of every session: the API that created it."""
COOKIE_DELETED = "Thu, 01 Jan 1970 00:00:00 GMT"
USER_ID_CHARACTERS = 256
USER_ID_KEYS = ("user_id", "userId")
"""Both spellings stand in the vendor's examples."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Jay:
    """`[source.jay]`"""

    lifetime_hours: float = setting(
        24.0, "How long a session lasts from its start.", unit="hours", low=0.01, high=8760
    )
    same_site: str = setting("Lax", "The cookie's SameSite.", allowed=("Lax", "Strict"))
    cookie_domain: str | None = setting(
        None,
        "The cookie's Domain; unset keeps it to the host that set it.",
        example='"example.com"',
    )


# Requests


def decode(request: Request, sources: Sources) -> Intent | Refusal:
    """Key, version, then body and query; the first that fails answers."""
    key = request.header(b"x-api-key")
    if not key:
        return Refusal(
            reason=Reason.KEY_MISSING,
            detail="The header X-API-Key is missing; send the key of your source in it.",
        )
    source = sources.by_key(key)
    if source is None:
        return Refusal(
            reason=Reason.KEY_UNKNOWN,
            detail="The key in X-API-Key is not known here; check that it is whole and in use.",
        )
    if "jay" not in source.protocols:
        return Refusal(
            reason=Reason.PROTOCOL_NOT_ALLOWED,
            detail="This key's source does not take the protocol jay; add it to its protocols.",
            source=source,
        )
    version = request.header(b"x-jay-api-version")
    if version is not None and version != VERSION:
        return Refusal(
            reason=Reason.VERSION_NOT_SUPPORTED,
            detail=f"The version in x-jay-api-version is not supported. Supported: {VERSION}.",
            source=source,
        )
    if request.method == "POST":
        return _create(request, sources, source)
    ids = correlate.carried(request)
    return _end(request, source, ids) if request.method == "DELETE" else _read(request, source, ids)


def _create(request: Request, sources: Sources, source: Source) -> Intent | Refusal:
    try:
        user_id = _user_id(request, sources)
    except wire.NotReadable as error:
        return Refusal(reason=Reason.BODY_NOT_VALID, detail=str(error), source=source)
    settings = source.of(Jay)
    seconds = round(settings.lifetime_hours * 3600)
    session_id = request.new_uuid()
    session = TrackingSession(
        start_time=request.received_at,
        ends_at=request.received_at + seconds * 1_000_000,
        user_id=user_id,
    )
    reply = wire.reply_json(
        200,
        _as_json(session_id, session),
        (
            ("Set-Cookie", _cookie(settings, session_id, f"Max-Age={seconds}")),
            (correlate.NAME, session_id),
        ),
    )
    return Intent(
        source=source,
        drafts=(_draft("session_start", session_id, request, user_id),),
        payload=(session_id, session, reply),
        decide=_decide_create,
    )


def _read(request: Request, source: Source, ids: tuple[str, ...]) -> Intent | Refusal:
    if not ids:
        return _not_found(source)
    return Intent(
        source=source,
        keys=tuple(correlate.key(source.id, session_id) for session_id in ids),
        payload=(ids, request.received_at),
        decide=_decide_read,
    )


def _end(request: Request, source: Source, ids: tuple[str, ...]) -> Intent:
    reply = wire.reply_json(
        200, {"message": "Tracking session deleted"}, (_deleted_cookie(source.of(Jay)),)
    )
    if not ids:
        return Intent(source=source, reply=reply)
    return Intent(
        source=source,
        drafts=tuple(_draft("session_end", session_id, request) for session_id in ids),
        keys=tuple(correlate.key(source.id, session_id) for session_id in ids),
        payload=(ids, request.received_at, reply),
        decide=_decide_end,
    )


def _draft(kind: str, session_id: str, request: Request, user_id: str | None = None) -> Draft:
    return Draft(
        type=kind,
        session_id=session_id,
        user_id=user_id,
        context=wire.sent_by(request.headers) or None,
    )


def _user_id(request: Request, sources: Sources) -> str | None:
    """The user that a POST names, in the body or the query. Raises `NotReadable`.

    No bytes are no body, whatever the content type says, and bytes are JSON likewise.
    """
    given: dict[str, Any] = {}
    if request.body:
        body = wire.json_object(request.body, sources.limits)
        if any(key not in USER_ID_KEYS for key in body):
            raise wire.NotReadable("The body may hold user_id (or userId) and nothing else.")
        given.update({f"{key} in the body": value for key, value in body.items()})
    for name, value in wire.query(request.query):
        if name == "user_id":
            if "\ufffd" in value:
                raise wire.NotReadable("user_id in the query must be percent-encoded UTF-8.")
            place = f"{name} in the query"
            if given.get(place, value) != value:
                raise wire.NotReadable("user_id stands in the query twice; send it once.")
            given[place] = value
    return _one_user_id({place: value for place, value in given.items() if value is not None})


def _one_user_id(given: dict[str, Any]) -> str | None:
    for place, value in given.items():
        if not isinstance(value, str):
            raise wire.NotReadable(f"{place} must be a string, not {wire.json_kind(value)}.")
        if not 0 < len(value) <= USER_ID_CHARACTERS:
            raise wire.NotReadable(
                f"{place} must have 1 to {USER_ID_CHARACTERS} characters; leave it out for nobody."
            )
        if _CONTROL.search(value):
            raise wire.NotReadable(f"{place} must not hold control characters.")
    if len(set(given.values())) > 1:
        raise wire.NotReadable(f"{' and '.join(given)} differ; send one of them.")
    return next(iter(given.values()), None)


# Decisions, under the journal's lock


def _decide_create(intent: Intent, _states: States, events: Sequence[Event]) -> Outcome:
    session_id, session, reply = intent.payload
    change = Change(
        key=correlate.key(intent.source.id, session_id),
        value=msgspec.msgpack.encode(session),
        expires_at=session.ends_at,
    )
    return Outcome(events=events, changes=(change,), reply=reply)


def _decide_read(intent: Intent, states: States, _events: Sequence[Event]) -> Outcome:
    ids, now = intent.payload
    for session_id in ids:
        session = correlate.live(states, intent.source.id, session_id, now)
        if session is not None:
            return Outcome(reply=wire.reply_json(200, _as_json(session_id, session)))
    return Outcome(reply=_not_found(intent.source))


def _decide_end(intent: Intent, states: States, events: Sequence[Event]) -> Outcome:
    ids, now, reply = intent.payload
    source_id = intent.source.id
    ended: dict[str | None, TrackingSession] = {}
    for session_id in ids:
        session = correlate.live(states, source_id, session_id, now)
        if session is not None:
            ended[session_id] = session
    return Outcome(
        events=tuple(
            msgspec.structs.replace(event, user_id=ended[event.session_id].user_id)
            for event in events
            if event.session_id in ended
        ),
        changes=tuple(
            Change(
                key=correlate.key(source_id, str(session_id)),
                value=None,
                expires_at=session.ends_at,
            )
            for session_id, session in ended.items()
        ),
        reply=reply,
    )


# Answers


def _as_json(session_id: str, session: TrackingSession) -> dict[str, str]:
    """A session as the vendor's clients read it: flat, and without a user it did not get."""
    body = {
        "session_id": session_id,
        "start_time": wire.utc_text(session.start_time),
        "source": MADE_BY,
    }
    if session.user_id is not None:
        body["user_id"] = session.user_id
    return body


def _cookie(settings: Jay, value: str, *lifetime: str) -> str:
    """`Secure` stands always: browsers refuse a name that starts with `__Secure-` without it."""
    domain = (f"Domain={settings.cookie_domain}",) if settings.cookie_domain else ()
    rest = ("Path=/", *domain, "Secure", "HttpOnly", f"SameSite={settings.same_site}")
    return "; ".join((f"{correlate.NAME}={value}", *lifetime, *rest))


def _deleted_cookie(settings: Jay) -> tuple[str, str]:
    return ("Set-Cookie", _cookie(settings, "", "Max-Age=0", f"Expires={COOKIE_DELETED}"))


def _not_found(source: Source) -> Refusal:
    return Refusal(
        reason=Reason.SESSION_NOT_FOUND,
        detail="No tracking session found or session data is invalid",
        source=source,
    )


_NOT_VALID = ("9005", "REQUEST_NOT_VALID")
CODES: dict[Reason, tuple[str, str]] = {
    Reason.SESSION_NOT_FOUND: ("1001", "TRACKING_NOT_VALID"),
    Reason.KEY_MISSING: ("9001", "API_KEY_MISSING"),
    Reason.KEY_UNKNOWN: ("9002", "API_KEY_INVALID"),
    Reason.KEY_EXPIRED: ("9002", "API_KEY_INVALID"),
    Reason.PROTOCOL_NOT_ALLOWED: ("9003", "PROTOCOL_NOT_ALLOWED"),
    Reason.VERSION_NOT_SUPPORTED: ("9004", "VERSION_NOT_SUPPORTED"),
    Reason.METHOD_NOT_ALLOWED: ("9006", "METHOD_NOT_ALLOWED"),
    Reason.BODY_TOO_LARGE: ("9007", "BODY_TOO_LARGE"),
    Reason.INTERNAL_ERROR: ("9008", "INTERNAL_ERROR"),
    Reason.JOURNAL_UNAVAILABLE: ("9009", "STORE_NOT_AVAILABLE"),
    Reason.OVERLOADED: ("9009", "STORE_NOT_AVAILABLE"),
}
"""`code` and `details` of an error; every other reason is `REQUEST_NOT_VALID`. 1001 is the
vendor's, 9001 and up are outside the vendor's ranges."""


def refuse(refusal: Refusal) -> Reply:
    """The vendor's error envelope."""
    code, details = CODES.get(refusal.reason, _NOT_VALID)
    return wire.refusal_json(
        refusal,
        {"error": {"code": code, "message": refusal.detail, "details": details}},
        status=None if refusal.reason in CODES else 400,
    )


PROTOCOL = Protocol(
    name="jay",
    routes=(Route("/v1/playouts/tracking/session", ("GET", "POST", "DELETE")),),
    decode=decode,
    refuse=refuse,
    cors=Cors(
        request_headers=(
            "Content-Type",
            "X-API-Key",
            "x-jay-api-version",
            correlate.NAME,
            "X-JAY-TRACKING",
        ),
        exposed_headers=(correlate.NAME, "x-jay-api-version"),
        credentials=True,
    ),
    settings=Jay,
    headers=(("x-jay-api-version", VERSION), ("Cache-Control", "no-store")),
    takes_tracking_session=False,
)
