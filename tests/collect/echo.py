"""A protocol for tests of what surrounds protocols: it tells what reached it, and stores it.

What the body says decides: `refuse`, `raise`, `later` (an answer decided under the lock), `own…`
(one with a header of its own), or anything else, which is taken.
"""

from __future__ import annotations

import msgspec

from footfall.collect import wire
from footfall.collect.contract import Cors, Draft, Intent, Protocol, Reason, Refusal, Route
from footfall.journal.contract import Outcome


def told(request):
    return {
        "method": request.method,
        "path": request.path,
        "query": request.query,
        "body": request.body.decode("latin-1"),
        "params": dict(request.params),
        "ip": request.client_ip,
        "scheme": request.scheme,
    }


def decode(request, sources):
    source = sources.all[0]
    if request.body == b"raise":
        raise RuntimeError("a fault of the protocol's own")
    if request.body == b"refuse":
        return Refusal(reason=Reason.CONTENT_NOT_VALID, detail="As you asked.", source=source)
    if request.body == b"stranger":
        return Refusal(reason=Reason.KEY_UNKNOWN, detail="Nobody knows you.")
    reply = wire.reply_json(200, told(request))
    draft = Draft(type="echo", properties={"body": request.body[:100].decode("latin-1")})
    if request.body == b"later":
        return Intent(source=source, drafts=(draft,), payload=reply, decide=decide)
    if request.body.startswith(b"own"):
        own = (("X-Own", request.body.decode("latin-1")),)
        reply = msgspec.structs.replace(reply, own=own)
    if request.body == b"nothing":
        return Intent(source=source, reply=reply)
    if request.body == b"empty":
        return Intent(source=source, drafts=(draft,), reply=wire.Reply(204))
    return Intent(source=source, drafts=(draft,), reply=reply)


def decide(intent, states, events):
    return Outcome(events=events, reply=intent.payload)


def refuse(refusal):
    return wire.refusal_json(refusal, {"error": refusal.detail})


PROTOCOL = Protocol(
    name="echo",
    routes=(
        Route("/t", ("GET", "POST", "PUT")),
        Route("/any", ()),
        Route("/item/{name}/{part}", ("GET", "POST")),
        Route("/small", ("POST",), body_limit=10),
    ),
    decode=decode,
    refuse=refuse,
    cors=Cors(request_headers=("Content-Type",), exposed_headers=("X-Told",), credentials=True),
)


def bodies(events):
    """The bodies of stored events, given as lines of JSON."""
    return [msgspec.json.decode(line)["properties"]["body"] for line in events.splitlines()]
