"""Adobe media tracking: the Media Collection API, spoken by Adobe's media libraries.

The vendor's reference is at
https://experienceleague.adobe.com/en/docs/media-analytics/using/implementation/analytics-only/streaming-media-apis/mc-api-overview;
what it leaves open is settled in ``docs/protocol-adobe.md``.

``settings``  `[source.adobe]`
``schemas``   what each event must be, as one table and the JSON Schemas made of it
``content``   what a body holds, and everything that is wrong with it
``sessions``  whose a session is, and whether it is open
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from footfall.collect import consent, wire
from footfall.collect.contract import (
    Intent,
    Problem,
    Protocol,
    Reason,
    Refusal,
    Reply,
    Request,
    Route,
)
from footfall.collect.protocols.adobe import content
from footfall.collect.protocols.adobe.schemas import SCHEMAS
from footfall.collect.protocols.adobe.sessions import (
    Begun,
    Sent,
    decide_begin,
    decide_event,
    new_id,
    not_found,
    routing,
)
from footfall.collect.protocols.adobe.settings import Adobe
from footfall.collect.sources import Sources
from footfall.model import MediaSession, media_key
from footfall.settings import Source

SESSIONS = "/api/v1/sessions"
DOWNLOADED = "/api/v1/downloaded"
DOWNLOAD_BYTES = 16 << 20

PREFLIGHT = Reply(204, b"", (("Access-Control-Max-Age", "7200"),))
SCHEMA_TYPE = ("Content-Type", "application/schema+json")

SUITE = "analytics.reportSuite"
NOT_MAPPED = (
    "No source has this report suite. Send one that is set up here, or add it to report_suites "
    "in [source.adobe] of its source."
)
NOT_VALID = "The request had improper format; each fault is named in errors."
LIVE = (
    "Must be false or left out for a session that is live; send a downloaded one whole, as a list "
    f"to {DOWNLOADED}."
)
DOWNLOADED_ONLY = f"Must be true for a list that is sent to {SESSIONS}; or send it to {DOWNLOADED}."


def decode(request: Request, sources: Sources) -> Intent | Refusal | Reply:
    """By route. A body is looked at before its session is: a 400 depends on no session."""
    if request.method == "OPTIONS":
        return _preflight(sources)
    params = request.params
    if "sid" in params:
        return _event(request, sources)
    if "eventType" in params:
        return _schema(params["eventType"])
    try:
        if content.is_list(request.body):
            return _download(request, sources, content.listed(request.body, sources.limits))
        event = wire.json_value(request.body, sources.limits)
    except wire.NotReadable as error:
        return _not_readable(error, None)
    if request.path == DOWNLOADED:
        said = f"The body must be a list of events, not {wire.json_kind(event)}."
        return _not_valid([Problem("", said)], None)
    return _start(request, sources, event)


def _preflight(sources: Sources) -> Reply:
    """The protocol's own headers name what every client sends; a list may come in several."""
    more = routing(sources).preflight_headers
    if not more:
        return PREFLIGHT
    allowed = ("Access-Control-Allow-Headers", ", ".join(more))
    return msgspec.structs.replace(PREFLIGHT, headers=(*PREFLIGHT.headers, allowed))


# Events


class Entrance(msgspec.Struct, frozen=True):
    """What the head of an event's request alone has settled."""

    source: Source | None
    """None where the path names no session of ours."""
    session_id: str
    key: str
    context: dict[str, Any] | None
    """Shared by the events of all requests with this head."""


def _enter(request: Request, sources: Sources) -> Entrance:
    session_id = request.params["sid"]
    source = routing(sources).of_session(session_id)
    context = wire.sent_by(request.headers) or None
    return Entrance(source, session_id, media_key(session_id), context)


def _event(request: Request, sources: Sources) -> Intent | Refusal:
    entrance = request.once(_enter, sources)
    source = entrance.source
    try:
        event = wire.json_value(request.body, sources.limits)
    except wire.NotReadable as error:
        return _not_readable(error, source)
    if not content.is_sound(event):
        return _not_valid(content.problems(event), source)
    if source is None:
        return not_found(None)
    event_type, moment = event["eventType"], content.occurred_at(event)
    draft = content.draft(event, moment, entrance.session_id, entrance.context)
    said = consent.said(request, source, draft)
    return Intent(
        source=source,
        drafts=(draft,),
        keys=(entrance.key,),
        payload=Sent(entrance.key, event_type, moment, request.received_at, said),
        decide=decide_event,
    )


# Sessions


def _start(request: Request, sources: Sources, event: Any) -> Intent | Refusal:
    """A session that is live: it begins with one event."""
    problems = content.start_problems(event)
    if _param(event, "media.downloaded") is True:
        problems.append(Problem("params.media.downloaded", LIVE))
    source = _source(event, sources)
    if isinstance(source, Problem):
        problems.append(source)
        source = None
    if problems or source is None:
        return _not_valid(problems, source)
    return _begin(request, source, [event])


def _download(request: Request, sources: Sources, events: list[Any]) -> Intent | Refusal:
    """A session that was played earlier: all of it, or nothing."""
    problems = content.list_problems(events)
    first = events[0] if events else None
    if request.path == SESSIONS and events and not _param(first, "media.downloaded"):
        problems.append(Problem("0.params.media.downloaded", DOWNLOADED_ONLY))
    source = _source(first, sources)
    if isinstance(source, Problem):
        problems.append(Problem(f"0.{source.path}", source.message))
        source = None
    if problems or source is None:
        return _not_valid(problems, source)
    return _begin(request, source, events, why="downloaded")


def _begin(
    request: Request, source: Source, events: Sequence[content.Event], why: str | None = None
) -> Intent:
    """A session under a new id, with the events that came with it; with `why`, closed at once."""
    session_id = new_id(source, request.new_uuid)
    context = wire.sent_by(request.headers) or None
    profile_id = content.visitor(events[0])
    moments = [content.occurred_at(event) for event in events]
    session = MediaSession(
        source=source.id,
        opened_at=request.received_at,
        closed_at=max(moments) if why else None,
        why=why,
    )
    reply = Reply(201, b"", (("Location", f"{SESSIONS}/{session_id}"),))
    drafts = tuple(
        [
            content.draft(event, moment, session_id, context, None if index else profile_id)
            for index, (event, moment) in enumerate(zip(events, moments, strict=True))
        ]
    )
    said = [consent.said(request, source, draft) for draft in drafts]
    return Intent(
        source=source,
        drafts=drafts,
        payload=Begun(session_id, session, request.received_at, reply, said),
        decide=decide_begin,
    )


def _source(event: Any, sources: Sources) -> Source | Problem | None:
    """Whose session it is, by its report suite; None where it has none, which its schema tells."""
    suites = _param(event, SUITE)
    if not isinstance(suites, str):
        return None
    source = routing(sources).of_suites(suites)
    return Problem(f"params.{SUITE}", NOT_MAPPED) if source is None else source


def _param(event: Any, name: str) -> Any:
    """A parameter of what may be an event."""
    params = event.get("params") if isinstance(event, dict) else None
    return params.get(name) if isinstance(params, dict) else None


# Answers


def _schema(event_type: str) -> Reply:
    """The very schema that events of a type are validated with."""
    schema = SCHEMAS.get(event_type)
    if schema is not None:
        return Reply(200, schema.document, (SCHEMA_TYPE,))
    known = ", ".join(SCHEMAS)
    return wire.reply_json(404, {"message": f"There is no such event type. Known: {known}."})


def _not_readable(error: wire.NotReadable, source: Source | None) -> Refusal:
    return Refusal(reason=Reason.BODY_NOT_VALID, detail=str(error), source=source)


def _not_valid(problems: Sequence[Problem], source: Source | None) -> Refusal:
    only_the_suite = all(problem.message is NOT_MAPPED for problem in problems)
    return Refusal(
        reason=Reason.KEY_UNKNOWN if only_the_suite else Reason.CONTENT_NOT_VALID,
        detail=NOT_VALID,
        problems=tuple(problems),
        source=source,
    )


STATUSES = {
    Reason.CONTENT_NOT_VALID: 400,
    Reason.KEY_UNKNOWN: 400,
    Reason.SESSION_NOT_FOUND: 404,
}
"""Where the vendor documents another status than the usual one. A key is a report suite here."""


def refuse(refusal: Refusal) -> Reply:
    """The vendor's error body, and with 400 a list of everything that is wrong."""
    status = STATUSES.get(refusal.reason, wire.STATUS[refusal.reason])
    body: dict[str, Any] = {"message": refusal.detail}
    if status == 400:
        problems = refusal.problems or (Problem("", refusal.detail),)
        body["errors"] = [{"path": problem.path, "reason": problem.message} for problem in problems]
    return wire.refusal_json(refusal, body, status=status)


POST = ("POST", "OPTIONS")

PROTOCOL = Protocol(
    name="adobe",
    routes=(
        Route(SESSIONS, POST, DOWNLOAD_BYTES),
        Route(f"{SESSIONS}/{{sid}}/events", POST),
        Route(DOWNLOADED, POST, DOWNLOAD_BYTES),
        Route("/api/v1/schemas/{eventType}", ("GET", "OPTIONS")),
    ),
    decode=decode,
    refuse=refuse,
    settings=Adobe,
    headers=(
        ("Access-Control-Allow-Origin", "*"),
        ("Access-Control-Allow-Methods", "OPTIONS,POST,PUT"),
        ("Access-Control-Allow-Headers", "Content-Type"),
        ("Access-Control-Expose-Headers", "Location"),
        ("Cache-Control", "no-store"),
    ),
)
