"""Answers in the form that Tracardi's clients read: 200 with its eight keys, and refusals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from footfall.collect import wire
from footfall.collect.contract import Reason, Refusal, Reply
from footfall.collect.protocols.tracardi.content import Fault
from footfall.collect.protocols.tracardi.identity import Profile

UNKNOWN_SOURCE = "Unauthorized Access: unknown or disabled source."

_encode = msgspec.json.Encoder().encode


class Body(msgspec.Struct, gc=False):
    """The body of a 200."""

    task: str
    ux: tuple[()]
    response: dict[str, Any]
    events: Sequence[str]
    profile: dict[str, Any]
    session: dict[str, str]
    errors: tuple[()]
    warnings: Sequence[str]


def taken(
    task: str,
    session_id: str,
    profile: dict[str, Any],
    events: Sequence[str] = (),
    warnings: Sequence[str] = (),
) -> Reply:
    """200"""
    body = Body(task, (), {}, events, profile, {"id": session_id}, (), warnings)
    return Reply(200, _encode(body), wire.JSON_HEADERS)


def whole(profile: Profile) -> dict[str, Any]:
    """Everything that is known of a profile, for `profile: true`."""
    known = profile.known
    return {
        "id": profile.id,
        "ids": [profile.id, *known.aliases],
        "metadata": {
            "time": {
                "insert": f"{wire.utc_text(known.created_at)}Z",
                "visit": {"count": known.visits},
            }
        },
        "consents": {
            name: {
                "granted": granted,
                "revoke": None if until is None else f"{wire.utc_text(until)}Z",
                "time": f"{wire.utc_text(at)}Z",
            }
            for name, (granted, until, at) in known.consents.items()
        },
        "traits": {name: value for name, (value, _) in known.traits.items()},
    }


def refuse(refusal: Refusal) -> Reply:
    """`{"detail": …}`: a sentence, and for 422 a list of everything that is wrong."""
    status = STATUSES.get(refusal.reason, wire.STATUS[refusal.reason])
    detail: Any = refusal.detail
    if status == 422:
        faults = refusal.problems or (Fault("", refusal.detail, "value_error", ("body",)),)
        detail = [_told(fault) for fault in faults]
    return wire.refusal_json(refusal, {"detail": detail}, status=status)


def _told(problem: Any) -> dict[str, Any]:
    if isinstance(problem, Fault):
        return {"type": problem.type, "loc": problem.loc, "msg": problem.message}
    return {"type": "value_error", "loc": ("body",), "msg": problem.message}


STATUSES = {
    Reason.BODY_NOT_VALID: 422,
    Reason.CONTENT_TYPE_NOT_VALID: 422,
    Reason.PROTOCOL_NOT_ALLOWED: 401,
}
"""Where the vendor answers with another status than the usual one."""
