"""What events say of a person: traits, consents and proofs of identity, by the event's type.

The table of types is data: `types`, and `[source.tracardi] traits` over it. What is known of a
profile by now, and under which id, is the business of `identity`.
"""

from __future__ import annotations

import hashlib
import hmac
import unicodedata
from collections.abc import Mapping
from typing import Any, NamedTuple

from footfall.collect.protocols.tracardi.moments import micros, moment
from footfall.collect.protocols.tracardi.settings import Tracardi
from footfall.collect.protocols.tracardi.types import kind_of, path_of
from footfall.model import Micros

Value = str | int | float | bool

TEXT_CHARACTERS = 512
"""Longest text that is kept as a trait."""
WHOLE_NUMBERS = range(-(2**63), 2**64)
"""That can be kept as a trait: what the state can hold of them."""
MOST_CONSENTS = 64
"""That one event may give."""
NAME_CHARACTERS = 128
"""Longest name of a consent."""
MOST_TYPES = 2000
"""Event types whose rules are remembered; strangers can make up any number."""
TYPE_CHARACTERS = 256
"""Longest event type that is remembered; strangers can send a megabyte."""

GRANTED, UPDATED = "consent-granted", "consent-update"

Consents = Mapping[str, tuple[bool, Micros | None]]
"""By name: granted or refused, and until when."""


class Rule(NamedTuple):
    """What events of one type say."""

    paths: tuple[tuple[str, tuple[str, ...]], ...]
    """Each trait and where in the properties its value stands."""
    proofs: tuple[str, ...]
    """Traits that are proven by it."""
    consents: str | None
    """`GRANTED` or `UPDATED`."""


class Said(NamedTuple):
    """What one event says beyond itself."""

    kind: str
    traits: Mapping[str, Value]
    consents: Consents
    proofs: tuple[str, ...]
    """Those of `traits` that it proves."""


class Rules:
    """A source's rules, those of each event type put together when it first comes."""

    __slots__ = ("_known", "_proofs", "_traits")

    def __init__(self, settings: Tracardi) -> None:
        self._traits = settings.by_type()
        self._proofs = {kind_of(name): found for name, found in settings.identification.items()}
        self._known: dict[str, Rule | None] = {}

    def of(self, event_type: str) -> Rule | None:
        """None for most types: they say nothing of the person."""
        known = self._known
        if event_type in known:
            return known[event_type]
        if len(event_type) > TYPE_CHARACTERS:
            return self._rule(kind_of(event_type))
        if len(known) >= MOST_TYPES:
            known.clear()
        rule = known[event_type] = self._rule(kind_of(event_type))
        return rule

    def _rule(self, kind: str) -> Rule | None:
        paths = tuple(path_of(entry) for entry in self._traits.get(kind, ()))
        consents = kind if kind in {GRANTED, UPDATED} else None
        if not paths and consents is None:
            return None
        return Rule(paths, self._proofs.get(kind, ()), consents)


def read(
    rule: Rule, event_type: str, properties: Mapping[str, Any], warnings: list[str], where: str
) -> Said:
    """What an event says. What cannot be taken is left out, with a line in `warnings`."""
    traits: dict[str, Value] = {}
    for trait, path in rule.paths:
        if trait not in traits and (value := _value(properties, path)) is not None:
            traits[trait] = value
    consents: Consents = {}
    if rule.consents is not None:
        read_consents = _granted if rule.consents == GRANTED else _updated
        consents = read_consents(properties, warnings, where)
    proofs = tuple(trait for trait in rule.proofs if trait in traits)
    return Said(kind_of(event_type), traits, consents, proofs)


def point(secret: bytes, trait: str, value: Value) -> str | None:
    """The keyed hash of a trait's value in its one spelling; None where nothing is left of it.

    E-mail addresses without regard to case, telephone numbers by their digits and leading "+".
    """
    text = unicodedata.normalize("NFKC", str(value)).strip().lower()
    if trait.partition(".")[0] == "phone":
        digits = "".join(character for character in text if character.isdecimal())
        text = f"+{digits}" if text.startswith("+") and digits else digits
    if not text:
        return None
    return hmac.new(secret, text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


def _value(properties: Mapping[str, Any], path: tuple[str, ...]) -> Value | None:
    value: Any = properties
    for name in path:
        if type(value) is not dict:
            return None
        value = value.get(name)
    return kept(value)


def kept(value: Any) -> Value | None:
    """A value as it is kept as a trait; None where it is none, or too large."""
    if type(value) is str:
        value = value.strip()
        return value if 0 < len(value) <= TEXT_CHARACTERS else None
    if type(value) is int:
        return value if value in WHOLE_NUMBERS else None
    return value if type(value) in (bool, float) else None


def _granted(properties: Mapping[str, Any], warnings: list[str], where: str) -> Consents:
    """`{"marketing": false, "general": true}`: each boolean is a consent of that name."""
    found: dict[str, tuple[bool, Micros | None]] = {}
    for name, value in properties.items():
        if type(value) is bool and _takes(name, found, warnings, where):
            found[name] = (value, None)
    return found


def _updated(properties: Mapping[str, Any], warnings: list[str], where: str) -> Consents:
    """`{"consents": {"marketing": {"revoke": null}}}`: granted until then, or without end.

    The date may also stand in the place of its object.
    """
    given = properties.get("consents")
    found: dict[str, tuple[bool, Micros | None]] = {}
    if type(given) is not dict:
        warnings.append(f"{where}.properties.consents is not an object and was ignored.")
        return found
    for name, terms in given.items():
        ends = terms.get("revoke") if type(terms) is dict else terms
        until = _until(ends)
        if ends is not None and until is None:
            # Consent whose end cannot be read would be consent for ever: it is none.
            warnings.append(
                f"{where}: a consent whose revoke is neither null nor a date was ignored."
            )
        elif _takes(name, found, warnings, where):
            found[name] = (True, until)
    return found


def _takes(name: str, found: Mapping[str, Any], warnings: list[str], where: str) -> bool:
    if len(name) <= NAME_CHARACTERS and len(found) < MOST_CONSENTS:
        return True
    warnings.append(
        f"{where}: at most {MOST_CONSENTS} consents with names of at most {NAME_CHARACTERS} "
        "characters are taken at once; others were ignored."
    )
    return False


def _until(revoke: Any) -> Micros | None:
    found = moment(revoke) if type(revoke) is str else None
    return None if found is None else micros(found)
