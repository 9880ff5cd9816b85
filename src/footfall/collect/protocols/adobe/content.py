"""What a body holds: one event or a list of them, and everything that is wrong with it.

A sound event takes one decode and one look at its schema; only when something is off is it looked
at again, to say what. Not HTTP: that is the package's ``decode``. Not what a session's state
allows: that is `sessions`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from footfall.collect import wire
from footfall.collect.contract import Draft, Problem
from footfall.collect.protocols.adobe.schemas import ANY_EVENT, MOST_PROBLEMS, SCHEMAS
from footfall.model import Micros
from footfall.settings import Limits

Event = dict[str, Any]
"""A decoded event, as its schema says."""

START, END = "sessionStart", "sessionEnd"
IN_SESSION = {name: schema for name, schema in SCHEMAS.items() if name != START}
"""What may come once a session has begun."""
OPTIONAL = ("params", "qoeData", "customMetadata")
DOWNLOAD_FACTOR = 16
"""A download may hold so many times the keys and items of any other body, as it may the bytes."""


# Reading


def is_list(body: bytes) -> bool:
    """Whether a body, if it is JSON at all, is a list."""
    return body.lstrip(b" \t\r\n").startswith(b"[")


def listed(body: bytes, limits: Limits) -> list[Any]:
    """The items of a body that `is_list`. Raises `wire.NotReadable`.

    Brackets and commas are counted before anything is made of them, in strings as well: what is
    decoded takes many times the memory of its text, and this text may be large.
    """
    most = limits.json_keys * DOWNLOAD_FACTOR
    if body.count(b"{") + body.count(b"[") + body.count(b",") > most:
        raise wire.NotReadable(f"A list may hold at most {most} keys and items; send less at once.")
    more = dataclasses.replace(limits, json_keys=most, json_depth=limits.json_depth + 1)
    items: list[Any] = wire.json_value(body, more)
    return items


def is_sound(event: Any) -> bool:
    """Whether nothing is wrong with an event of a session that has begun."""
    if type(event) is not dict:
        return False
    kind = event.get("eventType")
    schema = IN_SESSION.get(kind) if type(kind) is str else None
    return schema is not None and schema.is_valid(event)


# What is wrong


def problems(event: Any) -> list[Problem]:
    """Everything that is wrong with an event of a session that has begun."""
    return _problems(event, starts=False, misplaced=AFTER_START)


def start_problems(event: Any) -> list[Problem]:
    """Everything that is wrong with the event that begins a session."""
    return _problems(event, starts=True, misplaced=NOT_START)


def list_problems(events: Sequence[Any]) -> list[Problem]:
    """Everything that is wrong with a downloaded session, as far as anybody reads."""
    if not events:
        return [Problem("", "The list is empty; it must begin with a sessionStart.")]
    found = _at(0, start_problems(events[0]))
    for index, event in enumerate(events):
        if len(found) >= MOST_PROBLEMS:
            break
        if index and not is_sound(event):
            found += _at(index, _problems(event, starts=False, misplaced=ONE_START))
    return found[:MOST_PROBLEMS]


AFTER_START = "A sessionStart begins a session; send it to /api/v1/sessions."
ONE_START = "Only the first event of a list is a sessionStart; send each session by itself."
NOT_START = "The first event of a session must be sessionStart."


def _problems(event: Any, *, starts: bool, misplaced: str) -> list[Problem]:
    if not isinstance(event, dict):
        said = f"Must be an event, a JSON object, not {wire.json_kind(event)}."
        return [Problem("", said)]
    kind = event.get("eventType")
    if not isinstance(kind, str):
        missing = "" if "eventType" in event else "Missing. "
        said = f"{missing}Must be a string, one of {', '.join(SCHEMAS)}."
    elif kind not in SCHEMAS:
        meant = wire.nearest(kind, SCHEMAS)
        hint = f" Did you mean {meant}?" if meant else ""
        said = f"This event type is not known.{hint} Known: {', '.join(SCHEMAS)}."
    else:
        found = SCHEMAS[kind].problems(event)
        if (kind == START) != starts:
            found.insert(0, Problem("eventType", misplaced))
        return found
    return [Problem("eventType", said), *ANY_EVENT.problems(event)]


def _at(index: int, found: Sequence[Problem]) -> list[Problem]:
    """Problems of an event under its place in a list."""
    return [
        Problem(f"{index}.{problem.path}" if problem.path else str(index), problem.message)
        for problem in found
    ]


# What is kept


def occurred_at(event: Event) -> Micros:
    """When a sound event happened. A whole number may be written as 1.0."""
    return int(event["playerTime"]["ts"]) * 1000


def visitor(event: Event) -> str | None:
    """The Experience Cloud id of a sound sessionStart; clients without one send "" or nothing."""
    return event["params"].get("visitor.marketingCloudUserId") or None


def draft(
    event: Event,
    moment: Micros,
    session_id: str,
    context: Mapping[str, Any] | None,
    profile_id: str | None = None,
) -> Draft:
    """A sound event as it is stored. `event` is used up: what is left of it are the properties."""
    player = event.pop("playerTime")
    playhead = player.pop("playhead")
    del player["ts"]
    for name in OPTIONAL:
        if name in event and not event[name]:
            del event[name]
    if player:  # further keys that a client sends with its time
        event["playerTime"] = player
    return Draft(
        type=event.pop("eventType"),
        occurred_at=moment,
        session_id=session_id,
        profile_id=profile_id,
        playhead_s=float(playhead) if playhead > 0 else 0.0,
        properties=event or None,
        context=context,
    )
