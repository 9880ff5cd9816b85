"""What a tracker event must be: the catalogue of event types and the rules of their fields.

Sound bodies take one typed decode and a few look-ups. Only when something is off is the body
looked at again, to say everything that is wrong with it at once. The rules and where they come
from stand in ``docs/protocol-vaix.md``. Not HTTP, not keys: that is the package's ``decode``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from footfall.collect import wire
from footfall.collect.contract import Problem
from footfall.collect.protocols.vaix.settings import Vaix
from footfall.settings import Limits

CATALOGUE: Mapping[str, tuple[str, ...]] = {
    "clicks:event": ("page", "location", "event_id"),
    "clicks:outcome": ("page", "location", "outcome_id"),
    "impressions:events": ("page", "location", "events"),
    "statistics:add_bet": (),
    "add:casino_game": (),
}
"""Event types that every source takes, each with the fields that its `data` must have."""

POSITION = ("position",)
OPTIONAL: Mapping[str, tuple[str, ...]] = {"clicks:outcome": ("position", "event_id")}
"""Fields that must be sound where they are given; for every other type that is `position`."""

WIDGETS = ("clicks:", "impressions:")
"""Families whose events happen on a widget, so that they need its page and location."""

USER_ID_CHARACTERS = 256
MOST_PROBLEMS = 100
"""Reported at once."""


class Content(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """A tracker event as it arrives, numbers as users included, for the sake of `lenient`."""

    event_type: str
    data: dict[str, Any]
    user_id: str | int | float | None = None


class Reading(msgspec.Struct, gc=False):
    """What came of reading a body. Without problems, the user is a string or None."""

    content: Content
    problems: list[Problem] = []
    waived: list[str] = []
    """Paths of what only `lenient` lets pass."""


_contents = msgspec.json.Decoder(Content)


class Checks(NamedTuple):
    """What makes the `data` of one event type sound."""

    texts: tuple[str, ...]
    """Fields that must be there and no more than a text."""
    others: tuple[tuple[str, bool, Callable[[Any], str | None]], ...]
    """Name of a field, whether it must be there, and its rule."""


class Rules:
    """A source's rules, with the checks of each event type put together when it first comes."""

    __slots__ = ("_checks", "vaix")

    def __init__(self, vaix: Vaix) -> None:
        self.vaix = vaix
        self._checks: dict[str, Checks] = {}

    def sound(self, content: Content) -> bool:
        """Whether nothing is wrong; what is wrong otherwise is `read`'s to say."""
        checks = self._checks.get(content.event_type)
        if checks is None and (checks := self._checks_of(content.event_type)) is None:
            return False
        data = content.data
        for name in checks.texts:
            value = data.get(name)
            if type(value) is not str or not value:
                return False
        for name, needed, check in checks.others:
            if (needed or name in data) and check(data.get(name)) is not None:
                return False
        user_id = content.user_id
        return user_id is None or (type(user_id) is str and 0 < len(user_id) <= USER_ID_CHARACTERS)

    def _checks_of(self, event_type: str) -> Checks | None:
        """None for types that are not known, or need fields without rules of their own."""
        paths = required(event_type, self.vaix)
        if paths is None or any(path not in RULES for path in paths):
            return None
        optional = [path for path in OPTIONAL.get(event_type, POSITION) if path not in paths]
        checks = self._checks[event_type] = Checks(
            tuple(path for path in paths if RULES[path] in TEXTS),
            tuple(
                (path, needed, RULES[path])
                for needed, some in ((True, paths), (False, optional))
                for path in some
                if not (needed and RULES[path] in TEXTS)
            ),
        )
        return checks


def read(body: bytes, limits: Limits, rules: Rules) -> Reading:
    """The event in a body, and everything that is wrong with it.

    Raises `wire.NotReadable` where the body is not a JSON object within the limits.
    """
    vaix = rules.vaix
    try:
        reading = Reading(_contents.decode(body))
    except (ValueError, RecursionError):
        reading = _piece_together(wire.json_object(body, limits))
    else:
        if wire.may_exceed(body, limits):
            wire.json_value(body, limits)
        if rules.sound(reading.content):
            return reading
    content = reading.content
    if content.event_type:
        _check_data(reading, vaix)
    user_id = content.user_id
    if user_id is not None and not (
        type(user_id) is str and 0 < len(user_id) <= USER_ID_CHARACTERS
    ):
        content.user_id = _user_id(user_id, reading, vaix)
    del reading.problems[MOST_PROBLEMS:]
    return reading


def required(event_type: str, vaix: Vaix) -> tuple[str, ...] | None:
    """The fields that `data` must have, dotted where nested; None for an unknown type."""
    listed = vaix.event_types.get(event_type)
    shipped = CATALOGUE.get(event_type)
    if listed is None:
        return shipped
    automatic = ("page", "location") if event_type.startswith(WIDGETS) else ()
    return tuple(dict.fromkeys((*(shipped or automatic), *listed)))


# What is wrong


def _piece_together(body: dict[str, Any]) -> Reading:
    """As much of the event as can be made out, its faults at the top level noted."""
    problems = [
        Problem(name, "This field is not known here; put additional data into data.")
        for name in body
        if name not in Content.__struct_fields__
    ]
    event_type, data, user_id = body.get("event_type"), body.get("data"), body.get("user_id")
    if not isinstance(event_type, str) or not event_type:
        problems.append(Problem("event_type", _must_be("a supported event type", event_type)))
        event_type = None
    if not isinstance(data, dict):
        problems.append(
            Problem("data", _must_be("an object with the tracking data, {} if none", data))
        )
        data = None
    if not isinstance(user_id, str | int | float | None) or isinstance(user_id, bool):
        problems.append(Problem("user_id", USER_ID))
        user_id = None
    # Without one of the two nothing can be said about the fields of the other.
    known = event_type if event_type is not None and data is not None else ""
    return Reading(Content(known, data or {}, user_id), problems)


def _check_data(reading: Reading, vaix: Vaix) -> None:
    event_type, data = reading.content.event_type, reading.content.data
    paths = required(event_type, vaix)
    if paths is None:
        reading.problems.append(Problem("event_type", _unknown_type(event_type, vaix)))
        paths = ()
    for path in paths:
        check = RULES.get(path)
        value = _at(data, path) if check is None else data.get(path)
        fault = (check or _given)(value)
        if fault is not None:
            _note(path, fault, reading, vaix)
    for name in OPTIONAL.get(event_type, POSITION):
        if name in data and name not in paths:
            fault = RULES[name](data[name])
            if fault is not None:
                _note(name, fault, reading, vaix)


def _note(path: str, fault: str, reading: Reading, vaix: Vaix) -> None:
    """File a fault of `data` as a problem or, where `lenient` waives it, as a deviation."""
    value = reading.content.data.get(path)
    missing = path in RULES and path not in reading.content.data
    if vaix.lenient and (
        (path == "page" and missing) or (path == "location" and _text(value) is None)
    ):
        reading.waived.append(f"data.{path}")
    elif path == "events" and isinstance(value, list) and value:
        reading.problems.extend(_entry_problems(value))
    else:
        fault = f"Missing. {fault}" if missing else fault
        reading.problems.append(Problem(f"data.{path}", fault))


def _entry_problems(entries: list[Any]) -> list[Problem]:
    found = []
    for index, entry in enumerate(entries):
        if not isinstance(entry, dict):
            found.append(
                Problem(f"data.events.{index}", 'Must be an object such as {"id": "1018561959"}.')
            )
        elif (fault := _text(entry.get("id"))) is not None:
            found.append(Problem(f"data.events.{index}.id", fault))
        if len(found) == MOST_PROBLEMS:
            break
    return found


def _unknown_type(event_type: str, vaix: Vaix) -> str:
    known = sorted({*CATALOGUE, *vaix.event_types})
    meant = wire.nearest(event_type, known)
    hint = f" Did you mean {meant}?" if meant else ""
    return f"This event type is not supported.{hint} Supported: {', '.join(known)}."


def _must_be(what: str, value: Any) -> str:
    return f"Missing. Must be {what}." if value is None else f"Must be {what}."


# Rules of fields: the fault of a value, or None


def _text(value: Any) -> str | None:
    if type(value) is str and value:
        return None
    return "Must be a non-empty string."


def _page(value: Any) -> str | None:
    if type(value) is str and value:
        return None
    return 'Must be a non-empty string with the page that the widget is on, such as "/home".'


def _location(value: Any) -> str | None:
    if type(value) is str:
        widget, _, kind = value.partition(":")
        if widget and kind:
            return None
    return 'Must follow the convention widget:type, such as "highlights:recommended".'


def _position(value: Any) -> str | None:
    if type(value) is int and value >= 0:  # a boolean is no number here
        return None
    return "Must be a whole number, 0 or more."


def _events(value: Any) -> str | None:
    if type(value) is list and value:
        for entry in value:
            if type(entry) is not dict or _text(entry.get("id")) is not None:
                break
        else:
            return None
    return 'Must be a non-empty list of objects with an id, such as [{"id": "1018561959"}].'


def _given(value: Any) -> str | None:
    return "Missing. This event type needs it." if value is None or value == "" else None


RULES: Mapping[str, Callable[[Any], str | None]] = {
    "page": _page,
    "location": _location,
    "event_id": _text,
    "outcome_id": _text,
    "events": _events,
    "position": _position,
}


TEXTS = frozenset({_text, _page})
"""Rules that ask for no more than a text that is not empty."""


def _at(data: dict[str, Any], path: str) -> Any:
    """The value at a dotted path; None where there is none."""
    value: Any = data
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


# Users

USER_ID = (
    f"Must be null or a string of 1 to {USER_ID_CHARACTERS} characters; put quotes around a number."
)


def _user_id(user_id: str | float, reading: Reading, vaix: Vaix) -> str | None:
    """The user in a number, where `lenient` takes one: its decimal text, and nobody for 0."""
    if vaix.lenient and not isinstance(user_id, str):
        text = format(Decimal(repr(user_id)), "f").removesuffix(".0") if user_id else None
        if text is None or len(text) <= USER_ID_CHARACTERS:
            reading.waived.append("user_id")
            return text
    reading.problems.append(Problem("user_id", USER_ID))
    return None
