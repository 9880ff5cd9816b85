"""What a tracker payload holds, and everything that is wrong with it.

A sound payload takes one typed decode and one look at its ids. Only when something is off is it
looked at again, field by field, to say all of it at once. The fields and where they come from
stand in ``docs/protocol-tracardi.md``. Not HTTP, not sources: that is the package's ``decode``.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import msgspec

from footfall.collect import wire
from footfall.collect.contract import Problem
from footfall.collect.protocols.tracardi.moments import micros, moment
from footfall.settings import Limits

ID_CHARACTERS = 256
MOST_PROBLEMS = 100
"""Reported at once."""

Options = dict[str, Any]
Step = str | int


class Fault(Problem, frozen=True, gc=False):
    """A problem as the vendor's clients are told of it."""

    type: str = "value_error"
    loc: tuple[Step, ...] = ()


class Named(msgspec.Struct, gc=False):
    """`session`, `profile`: an object with an id. None and "" are no id."""

    id: str | None = None


class Origin(msgspec.Struct, gc=False):
    """`source`"""

    id: str


class Times(msgspec.Struct, gc=False):
    """`time` of an event."""

    create: dt.datetime | None = None
    insert: dt.datetime | None = None
    update: dt.datetime | None = None


class Item(msgspec.Struct, gc=False):
    """One of `events`."""

    type: str
    properties: dict[str, Any] | None = None
    options: Options | None = None
    context: dict[str, Any] | None = None
    tags: list[str] | None = None
    time: Times | None = None
    id: str | None = None


class Payload(msgspec.Struct, gc=False):
    """A tracker payload. Once `read` gave it, its ids and types are trimmed, an absent id None."""

    source: Origin
    session: Named | None = None
    profile: Named | None = None
    context: dict[str, Any] | None = None
    properties: dict[str, Any] | None = None
    events: list[Item] | None = None
    options: Options | None = None
    profile_less: Any = None
    device: Any = None
    """Whatever it is: only an id in it is used, and nothing of it is kept."""


_payloads = msgspec.json.Decoder(Payload)


def read(body: bytes, limits: Limits) -> Payload | list[Fault]:
    """The payload of a body, or everything that is wrong with it."""
    try:
        payload = _payloads.decode(body)
    except (ValueError, RecursionError):
        return _walk(body, limits)
    if not _trim(payload) or not _within(payload, body, limits):
        return _walk(body, limits)
    return payload


def device_id(payload: Payload) -> str | None:
    """The id that a browser keeps for itself, where it is one."""
    device = payload.device
    given = device.get("id") if type(device) is dict else None
    return given if type(given) is str and 0 < len(given) <= ID_CHARACTERS else None


def _trim(payload: Payload) -> bool:
    """Trim ids and types; False where one is not sound."""
    payload.source.id = payload.source.id.strip()
    for named in (payload.session, payload.profile):
        if named is not None and named.id is not None:
            named.id = named.id.strip() or None
            if named.id is not None and len(named.id) > ID_CHARACTERS:
                return False
    for item in payload.events or ():
        item.type = item.type.strip()
        if not item.type:
            return False
        if item.id is not None:
            item.id = item.id.strip() or None
            if item.id is not None and len(item.id) > ID_CHARACTERS:
                return False
        if item.time is not None and not _sound_times(item.time):
            return False
    return True


def _sound_times(times: Times) -> bool:
    for given in (times.create, times.insert, times.update):
        # Only at the very ends of the calendar can a zone lead out of it.
        if given is not None and not 1 < given.year < 9999 and micros(given) is None:
            return False
    return True


def _within(payload: Payload, body: bytes, limits: Limits) -> bool:
    """Whether what was decoded keeps to the limits; what was passed over takes no memory."""
    count = body.count
    opened = count(b"{") + count(b"[")
    # Every key or item but a container's first follows a comma.
    if len(body) > limits.json_keys and opened + count(b",") > limits.json_keys:
        return False
    if opened <= limits.json_depth:
        return True
    # Above what is in an event's properties stand the payload, its events, and the event.
    deepest = limits.json_depth - 4
    for item in payload.events or ():
        for part in (item.properties, item.context, item.options):
            if part and _is_deeper(part, deepest):
                return False
    return not any(
        part and _is_deeper(part, limits.json_depth - 2)
        for part in (payload.context, payload.properties, payload.options)
    )


def _is_deeper(value: Any, levels: int) -> bool:
    """Whether a value of a container is nested so many levels deep, or deeper."""
    for part in value.values() if type(value) is dict else value:
        if (type(part) is dict or type(part) is list) and (
            levels <= 0 or _is_deeper(part, levels - 1)
        ):
            return True
    return False


# What is wrong


class _Walk:
    """Reads a decoded value into a `Payload`, noting every fault on the way."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []

    def note(self, loc: tuple[Step, ...], kind: str, message: str) -> None:
        if len(self.faults) < MOST_PROBLEMS:
            path = ".".join(str(step) for step in loc[1:])
            self.faults.append(Fault(path, message, kind, loc))

    def payload(self, value: dict[str, Any]) -> Payload:
        body: tuple[Step, ...] = ("body",)
        return Payload(
            source=self._source(value, body),
            session=self._named(value, body, "session"),
            profile=self._named(value, body, "profile"),
            context=self._dict(value, body, "context"),
            properties=self._dict(value, body, "properties"),
            events=self._events(value, body),
            options=self._dict(value, body, "options"),
            profile_less=value.get("profile_less"),
            device=value.get("device"),
        )

    def _source(self, value: dict[str, Any], body: tuple[Step, ...]) -> Origin:
        at = (*body, "source")
        source = value.get("source")
        if source is None:
            self.note(at, "missing", 'Field required: an object such as {"id": "…"}.')
        elif type(source) is not dict:
            self.note(at, "dict_type", 'Must be an object such as {"id": "…"}.')
        elif source.get("id") is None:
            self.note((*at, "id"), "missing", "Field required: the id of the source.")
        elif type(source["id"]) is not str:
            self.note((*at, "id"), "string_type", "Must be a string in quotes.")
        else:
            return Origin(source["id"].strip())
        return Origin("")

    def _named(self, value: dict[str, Any], body: tuple[Step, ...], name: str) -> Named | None:
        given = value.get(name)
        if given is None:
            return None
        if type(given) is not dict:
            self.note((*body, name), "dict_type", 'Must be an object such as {"id": "…"}, or null.')
            return None
        return Named(self._id(given, (*body, name)))

    def _id(self, value: dict[str, Any], at: tuple[Step, ...]) -> str | None:
        given = value.get("id")
        if given is None:
            return None
        if type(given) is not str:
            self.note((*at, "id"), "string_type", "Must be a string in quotes, or null.")
            return None
        given = given.strip()
        if len(given) > ID_CHARACTERS:
            said = f"Must be a string of at most {ID_CHARACTERS} characters."
            self.note((*at, "id"), "string_too_long", said)
        return given or None

    def _dict(
        self, value: dict[str, Any], at: tuple[Step, ...], name: str
    ) -> dict[str, Any] | None:
        given = value.get(name)
        if given is None or type(given) is dict:
            return given
        self.note((*at, name), "dict_type", "Must be an object, or null.")
        return None

    def _events(self, value: dict[str, Any], body: tuple[Step, ...]) -> list[Item] | None:
        given = value.get("events")
        if given is None:
            return None
        if type(given) is not list:
            self.note((*body, "events"), "list_type", "Must be a list of events, or null.")
            return None
        return [self._item(one, (*body, "events", at)) for at, one in enumerate(given)]

    def _item(self, value: Any, at: tuple[Step, ...]) -> Item:
        if type(value) is not dict:
            self.note(at, "dict_type", 'Must be an event, an object such as {"type": "page-view"}.')
            return Item("")
        return Item(
            type=self._type(value, at),
            properties=self._dict(value, at, "properties"),
            options=self._dict(value, at, "options"),
            context=self._dict(value, at, "context"),
            tags=self._tags(value, at),
            time=self._times(value, at),
            id=self._id(value, at),
        )

    def _type(self, value: dict[str, Any], at: tuple[Step, ...]) -> str:
        given = value.get("type")
        if given is None:
            self.note((*at, "type"), "missing", "Field required: the event's type.")
        elif type(given) is not str:
            self.note((*at, "type"), "string_type", "Must be a string in quotes.")
        elif not (trimmed := given.strip()):
            self.note((*at, "type"), "value_error", "Must not be blank.")
        else:
            return trimmed
        return ""

    def _tags(self, value: dict[str, Any], at: tuple[Step, ...]) -> list[str] | None:
        given = value.get("tags")
        if given is None:
            return None
        if type(given) is not list:
            self.note((*at, "tags"), "list_type", "Must be a list of strings, or null.")
            return None
        for index, tag in enumerate(given):
            if type(tag) is not str:
                self.note((*at, "tags", index), "string_type", "Must be a string in quotes.")
        return given

    def _times(self, value: dict[str, Any], at: tuple[Step, ...]) -> Times | None:
        given = self._dict(value, at, "time")
        if given is None:
            return None
        read_times = Times()
        for name in Times.__struct_fields__:
            text = given.get(name)
            if text is None:
                continue
            found = moment(text) if type(text) is str else None
            if found is None:
                said = (
                    "Must be an ISO 8601 date and time in the years 1 to 9999, such as "
                    '"2026-01-31T12:00:00Z", or null.'
                )
                kind = "datetime_parsing" if type(text) is str else "datetime_type"
                self.note((*at, "time", name), kind, said)
            setattr(read_times, name, found)
        return read_times


def _walk(body: bytes, limits: Limits) -> Payload | list[Fault]:
    """Field by field: dates of other ISO forms pass here, all else that failed is named."""
    walk = _Walk()
    if not body.strip():
        return [Fault("", "The body is empty; it must be JSON.", "missing", ("body",))]
    try:
        value = wire.json_value(body, limits)
    except wire.NotReadable as error:
        return [Fault("", str(error), "json_invalid", ("body",))]
    if type(value) is not dict:
        said = f"The body must be a JSON object, not {wire.json_kind(value)}."
        return [Fault("", said, "dict_type", ("body",))]
    payload = walk.payload(value)
    return walk.faults or payload
