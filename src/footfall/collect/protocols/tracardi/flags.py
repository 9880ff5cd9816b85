"""Options that say what is to be stored and answered. All others are kept and mean nothing here.

An event inherits the payload's options, its own over them. Flags are JSON booleans; anything else
is ignored and said so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from footfall.collect.protocols.tracardi.content import Options, Payload

OF_EVENTS = ("saveEvent", "save", "saveSession", "debugger", "profile")
OF_PAYLOADS = (*OF_EVENTS, "saveEvents", "saveProfile")
_FLAGS = frozenset(OF_PAYLOADS)

WORDS = {
    "true": True,
    "1": True,
    "yes": True,
    "on": True,
    "false": False,
    "0": False,
    "no": False,
    "off": False,
}
"""What `profile_less` may be in a query."""


class Flags(NamedTuple):
    """What a request wants."""

    profile_less: bool = False
    save_profile: bool = True
    save_session: bool = True
    """Where it has no events; else it is said of each of them."""
    debugger: bool = False
    whole: bool = False
    """The answer is to have the whole profile."""
    stored: Sequence[bool] = ()
    """By event: whether it is kept as one. Empty: all are."""
    in_session: Sequence[bool] = ()
    """By event: whether it is kept as part of the session. Empty: all are."""


PLAIN = Flags()
"""What most requests want."""


def read(payload: Payload, in_query: str | None, warnings: list[str]) -> Flags:
    """The flags of a payload. `in_query`: `profile_less` of the query."""
    items = payload.events or ()
    given = payload.options
    profile_less = payload.profile_less is not None or in_query is not None
    if not profile_less and (not given or _FLAGS.isdisjoint(given)):
        for item in items:
            if item.options and not _FLAGS.isdisjoint(item.options):
                break
        else:
            return PLAIN
    own = _booleans(given, OF_PAYLOADS, "options", warnings) if given else {}
    each = [own] * len(items)
    for index, item in enumerate(items):
        if item.options and not _FLAGS.isdisjoint(item.options):
            where = f"events.{index}.options"
            if found := _booleans(item.options, OF_EVENTS, where, warnings):
                each[index] = {**own, **found}
    less = _profile_less(payload, in_query, warnings) if profile_less else False
    if not own and not less and not any(each):
        return PLAIN
    save_session = own.get("saveSession", True)
    return Flags(
        profile_less=less,
        save_profile=own.get("saveProfile", True),
        save_session=save_session,
        debugger=own.get("debugger", False) or any(e.get("debugger", False) for e in each),
        whole=own.get("profile", False) or any(e.get("profile", False) for e in each),
        stored=_unless_all(
            [
                own.get("saveEvents", True) and e.get("saveEvent", True) and e.get("save", True)
                for e in each
            ]
        ),
        in_session=_unless_all([save_session and e.get("saveSession", True) for e in each]),
    )


def _unless_all(wanted: Sequence[bool]) -> Sequence[bool]:
    return () if all(wanted) else wanted


def _booleans(
    options: Options, names: Sequence[str], where: str, warnings: list[str]
) -> dict[str, bool]:
    found = {}
    for name in names:
        if name in options:
            value = options[name]
            if type(value) is bool:
                found[name] = value
            else:
                warnings.append(f"{where}.{name} is not true or false and was ignored.")
    return found


def _profile_less(payload: Payload, in_query: str | None, warnings: list[str]) -> bool:
    found = False
    if payload.profile_less is not None:
        if type(payload.profile_less) is bool:
            found = payload.profile_less
        else:
            warnings.append("profile_less is not true or false and was ignored.")
    if in_query is not None:
        word = WORDS.get(in_query.strip().lower())
        if word is None:
            warnings.append("profile_less of the query is not true or false and was ignored.")
        found = found or word is True
    return found
