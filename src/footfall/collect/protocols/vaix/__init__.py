"""vaix tracker events: `POST /api/tracker/events`, one event per request.

The vendor's reference is at https://docs.sportradar.com/personalization (Tracker); what it
leaves open is settled in ``docs/protocol-vaix.md``.

``settings``  `[source.vaix]`
``content``   the event types and the rules of their fields
``tokens``    signed tokens (the authentication method iam)
"""

from __future__ import annotations

from typing import Any

import msgspec

from footfall.collect import correlate, wire
from footfall.collect.contract import (
    Cors,
    Draft,
    HeaderPairs,
    Intent,
    Protocol,
    Reason,
    Refusal,
    Reply,
    Request,
    Route,
)
from footfall.collect.protocols.vaix import tokens
from footfall.collect.protocols.vaix.content import Content, Rules, read
from footfall.collect.protocols.vaix.settings import Vaix
from footfall.collect.sources import Sources
from footfall.settings import Source

CLIENT_ID = b"x-vaix-client-id"
METHOD = b"x-vaix-authentication-method"
ACCEPTED = Reply(204)


class Entrance(msgspec.Struct, frozen=True):
    """What the head alone has settled."""

    source: Source
    rules: Rules
    context: dict[str, Any]
    """Shared by the events of all requests with this head: copied before anything is added."""


def decode(request: Request, sources: Sources) -> Intent | Refusal:
    """The vendor's checks in their order; the first that fails answers."""
    if request.headers.get(METHOD) == b"iam":
        entrance = _enter(request, sources)  # a token that expires is looked at every time
    else:
        entrance = request.once(_enter, sources)
    if isinstance(entrance, Refusal):
        return entrance
    source = entrance.source
    try:
        reading = read(request.body, sources.limits, entrance.rules)
    except wire.NotReadable as error:
        return Refusal(reason=Reason.BODY_NOT_VALID, detail=str(error), source=source)
    if reading.problems:
        return Refusal(
            reason=Reason.CONTENT_NOT_VALID,
            detail="The event is well-formed but not valid; each fault is named under its field.",
            problems=tuple(reading.problems),
            source=source,
        )
    context = entrance.context
    if reading.waived:
        context = {**context, "deviations": reading.waived}
    return Intent(source=source, drafts=(_draft(reading.content, context),), reply=ACCEPTED)


def _enter(request: Request, sources: Sources) -> Entrance | Refusal:
    """Everything that is checked before the body."""
    headers = request.headers
    if headers.get(b"early-data") == b"1":
        return Refusal(
            reason=Reason.TOO_EARLY,
            detail="Sent as TLS early data, which can be replayed; send it after the handshake.",
        )
    source = _source(request, sources)
    if isinstance(source, Refusal):
        return source
    vaix = source.of(Vaix)
    client_id = headers.get(CLIENT_ID, b"").strip().decode("latin-1")
    refusal = _not_allowed(client_id, source, vaix) or _not_readable(request, source)
    if refusal is not None:
        return refusal
    context = wire.sent_by(headers)
    context["client_id"] = client_id[: wire.HEADER_CHARACTERS]
    return Entrance(source, Rules(vaix), context)


def _source(request: Request, sources: Sources) -> Source | Refusal:
    """Whose token it is, by the method of authentication that the request names."""
    method = request.headers.get(METHOD)
    if method not in {None, b"vaix", b"iam"}:
        return Refusal(
            reason=Reason.AUTHENTICATION_METHOD_UNKNOWN,
            detail="x-vaix-authentication-method must be vaix or iam; without it, it is vaix.",
        )
    authorization = request.headers.get(b"authorization")
    token = wire.bearer(authorization) if authorization else None
    if token is None:
        return Refusal(
            reason=Reason.KEY_MISSING,
            detail="The header Authorization must be Bearer, a space and the token.",
        )
    if method == b"iam":
        return _issued(token, request, sources)
    return sources.by_key(token) or Refusal(
        reason=Reason.KEY_UNKNOWN,
        detail="The token is not known here; check that it is whole and in use.",
    )


def _issued(token: str, request: Request, sources: Sources) -> Source | Refusal:
    candidates = [
        (source, vaix) for source in sources.all if (vaix := source.of(Vaix)).iam_issuer is not None
    ]
    if not candidates:
        return Refusal(
            reason=Reason.AUTHENTICATION_METHOD_NOT_CONFIGURED,
            detail="The authentication method iam is not set up here; use a configured token "
            "and the method vaix.",
        )
    return tokens.source_of(token, candidates, sources.key_sets, request.received_at)


def _not_allowed(client_id: str, source: Source, vaix: Vaix) -> Refusal | None:
    """What speaks against this client of this source, the token being good."""
    if not client_id:
        return Refusal(
            reason=Reason.CLIENT_ID_MISSING,
            detail="The header x-vaix-client-id is missing or empty; send the client id that "
            "belongs to the token.",
            source=source,
        )
    takes_vaix = "vaix" in source.protocols
    listed = client_id in vaix.client_ids or "*" in vaix.client_ids
    # A source that has nothing to do with vaix lists no client ids: then say that instead.
    if not listed and (takes_vaix or vaix.client_ids):
        return Refusal(
            reason=Reason.CLIENT_ID_NOT_ALLOWED,
            detail="The client id in x-vaix-client-id does not belong to the token.",
            source=source,
        )
    if not takes_vaix:
        return Refusal(
            reason=Reason.PROTOCOL_NOT_ALLOWED,
            detail="The token has no permission for this endpoint; its source does not take vaix.",
            source=source,
        )
    return None


def _not_readable(request: Request, source: Source) -> Refusal | None:
    """What speaks against the form of the answer or of the body, going by the headers."""
    headers = request.headers
    if not wire.accepts_json(headers.get(b"accept")):
        return Refusal(
            reason=Reason.NOT_ACCEPTABLE,
            detail="Answers are application/json, which the Accept header rules out; "
            "send Accept: */* or leave it out.",
            source=source,
        )
    if not wire.is_json_type(headers.get(b"content-type")):
        return Refusal(
            reason=Reason.CONTENT_TYPE_NOT_VALID,
            detail="Content-Type must be application/json, in UTF-8 if it names a charset.",
            source=source,
        )
    return None


def _draft(content: Content, context: dict[str, Any]) -> Draft:
    data = content.data
    return Draft(
        type=content.event_type,
        user_id=content.user_id,  # type: ignore[arg-type]  # a string or None: nothing was wrong
        page=_take(data, "page") if "page" in data else None,
        location=_take(data, "location") if "location" in data else None,
        channel=_take(data, "channel") if "channel" in data else None,
        brand=_take(data, "brand") if "brand" in data else None,
        properties=data or None,
        context=context,
    )


def _take(data: dict[str, Any], name: str) -> str | None:
    """A text out of `data`; what is no text stays there, among the rest."""
    value = data[name]
    if type(value) is not str and value is not None:
        return None
    del data[name]
    return value or None


CHALLENGE: HeaderPairs = (("WWW-Authenticate", "Bearer"),)


def refuse(refusal: Refusal) -> Reply:
    """Faults of fields under their paths; everything else in the generic form."""
    if refusal.problems:
        errors: dict[str, list[str]] = {}
        for problem in refusal.problems:
            errors.setdefault(problem.path, []).append(problem.message)
        return wire.refusal_json(refusal, {"errors": errors})
    return wire.refusal_json(
        refusal,
        {"error": refusal.detail, "status": "error"},
        CHALLENGE if wire.STATUS[refusal.reason] == 401 else (),
    )


PROTOCOL = Protocol(
    name="vaix",
    routes=(Route("/api/tracker/events", ("POST",)),),
    decode=decode,
    refuse=refuse,
    cors=Cors(
        request_headers=(
            "Authorization",
            "Content-Type",
            "x-vaix-client-id",
            "x-vaix-authentication-method",
            correlate.NAME,
        ),
    ),
    settings=Vaix,
)
