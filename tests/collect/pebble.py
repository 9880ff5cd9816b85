"""A sixth protocol, whole, in one file: pebbles on a beach, `POST /pebble/{color}`.

The first pebble of a color is remembered, so that the answer depends on what is known already.
"""

from __future__ import annotations

from collections.abc import Sequence

from footfall.collect import wire
from footfall.collect.contract import (
    Cors,
    Draft,
    Intent,
    Problem,
    Protocol,
    Reason,
    Refusal,
    Reply,
    Request,
    Route,
)
from footfall.collect.sources import Sources
from footfall.journal.contract import Change, Outcome, States
from footfall.model import Event

DAY = 86_400_000_000


def decode(request: Request, sources: Sources) -> Intent | Refusal:
    source = sources.by_key(request.header(b"x-pebble-key") or "")
    if source is None or "pebble" not in source.protocols:
        return Refusal(reason=Reason.KEY_UNKNOWN, detail="Send your key in X-Pebble-Key.")
    try:
        body = wire.json_object(request.body, sources.limits)
    except wire.NotReadable as error:
        return Refusal(reason=Reason.BODY_NOT_VALID, detail=str(error), source=source)
    grams = body.get("grams")
    if not isinstance(grams, int | float):
        return Refusal(
            reason=Reason.CONTENT_NOT_VALID,
            detail="The pebble is not valid.",
            problems=(Problem("grams", "Must be a number."),),
            source=source,
        )
    color = request.params["color"]
    return Intent(
        source=source,
        drafts=(Draft(type="pebble", page=color, properties={"grams": grams}),),
        keys=(f"pebble/{source.id}/{color}",),
        payload=request.received_at,
        decide=decide,
    )


def decide(intent: Intent, states: States, events: Sequence[Event]) -> Outcome:
    (key,) = intent.keys
    if key in states:
        return Outcome(events=events, reply=wire.reply_json(200, {"first": False}))
    change = Change(key, b"", intent.payload + DAY)
    return Outcome(events=events, changes=(change,), reply=wire.reply_json(200, {"first": True}))


def refuse(refusal: Refusal) -> Reply:
    problems = {problem.path: problem.message for problem in refusal.problems}
    return wire.refusal_json(refusal, {"error": refusal.detail, **problems})


PROTOCOL = Protocol(
    name="pebble",
    routes=(Route("/pebble/{color}", ("POST",)),),
    decode=decode,
    refuse=refuse,
    cors=Cors(request_headers=("Content-Type", "X-Pebble-Key")),
)
