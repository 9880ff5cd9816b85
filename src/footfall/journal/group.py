"""Deciding one group of units: what every engine does between reading and writing.

Pure but for the units' own `decide`. It is not where states are read from or where what was
produced goes to: that is the engine's part.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import MappingProxyType
from typing import NamedTuple, cast

import msgspec

from footfall.journal.contract import (
    Change,
    More,
    Outcome,
    Record,
    States,
    Unit,
    encode_events,
)
from footfall.model import Micros

_lines = msgspec.json.Encoder().encode_lines
_msgpack = msgspec.msgpack.Encoder()
_changes = msgspec.msgpack.Decoder(tuple[Change, ...])
_records = msgspec.msgpack.Decoder(Record)

_NOTHING: States = MappingProxyType({})

Load = Callable[[Sequence[str]], dict[str, bytes]]
"""The live values of keys, as they stood before the group, in a dict that is the caller's."""

MOST_ROUNDS = 16
"""How often one unit may ask for more keys: chains of names are short, circles a fault."""


class Decided(NamedTuple):
    """What a group came to: one result per unit, and what is to be written for all of them."""

    results: list[Outcome | Exception]
    events: bytes
    rejects: bytes
    changes: tuple[Change, ...]

    @property
    def writes(self) -> bool:
        return bool(self.events or self.rejects or self.changes)


def keys_of(units: Sequence[Unit | Outcome]) -> list[str]:
    """Every key that deciding a group looks at."""
    return [key for unit in units if type(unit) is Unit for key in unit.keys]


def decide(units: Sequence[Unit | Outcome], load: Load, now: Micros) -> Decided:
    """Decide units in order, each seeing what those before it changed.

    All keys that units name are loaded at once; what a unit comes to need besides, when it does.
    A unit is encoded right after it was decided and before its changes are seen by later units,
    so one that raises, or whose events cannot be written as JSON, leaves nothing behind.
    """
    results: list[Outcome | Exception] = []
    events: list[bytes] = []
    rejects: list[bytes] = []
    changes: list[Change] = []
    states = _States(load, now, keys_of(units))
    for unit in units:
        try:
            outcome = _outcome(unit, states) if type(unit) is Unit else cast("Outcome", unit)
            produced = outcome.events
            event_lines = produced if isinstance(produced, bytes) else encode_events(produced)
            # A list: of anything else msgspec 0.22 leaks an iterator per call.
            reject_lines = _lines(list(outcome.rejects)) if outcome.rejects else b""
            changed = _checked(outcome.changes) if outcome.changes else ()
        except Exception as fault:  # noqa: BLE001 - whatever it is, it is this unit's result
            results.append(fault)
            continue
        results.append(outcome)
        if event_lines:
            events.append(event_lines)
        if reject_lines:
            rejects.append(reject_lines)
        if changed:
            changes.extend(changed)
            states.overlay(changed)
    return Decided(results, b"".join(events), b"".join(rejects), tuple(changes))


def encode_record(record: Record) -> bytes:
    """A record as it is stored: MessagePack, an array of its four fields."""
    return _msgpack.encode(record)


def decode_record(payload: bytes) -> Record:
    """Raises `msgspec.MsgspecError` where the bytes are no record."""
    return _records.decode(payload)


def erases(texts: Sequence[bytes]) -> Callable[[bytes], bool]:
    """Whether a state's value contains one of the texts. Raises `ValueError` for an empty one."""
    if not all(texts):
        raise ValueError("an empty text is in every value")
    wanted = tuple(set(texts))
    return lambda value: any(text in value for text in wanted)


def _outcome(unit: Unit, states: _States) -> Outcome:
    keys = unit.keys
    outcome = unit.decide(states.seen(keys) if keys else _NOTHING)
    rounds = 0
    while type(outcome) is More:
        rounds += 1
        if rounds > MOST_ROUNDS:
            raise RecursionError(f"a unit asked for more keys {MOST_ROUNDS} times")
        keys += outcome.keys
        states.load(outcome.keys)
        outcome = unit.decide(states.seen(keys))
    return cast("Outcome", outcome)


class _States:
    """The live values of the keys that a group looks at, and what it changed of them."""

    def __init__(self, load: Load, now: Micros, keys: Sequence[str]) -> None:
        self._load = load
        self._now = now
        self._live = load(keys) if keys else {}
        self._loaded = set(keys)

    def load(self, keys: Sequence[str]) -> None:
        """Keys that were not named before. What was changed meanwhile stays changed."""
        missing = [key for key in keys if key not in self._loaded]
        if missing:
            self._live.update(self._load(missing))
            self._loaded.update(missing)

    def seen(self, keys: Sequence[str]) -> States:
        live = self._live
        return {key: live[key] for key in keys if key in live}

    def overlay(self, changes: Sequence[Change]) -> None:
        for change in changes:
            self._loaded.add(change.key)
            if change.value is None or change.expires_at <= self._now:
                self._live.pop(change.key, None)
            else:
                self._live[change.key] = change.value


def _checked(changes: Sequence[Change]) -> tuple[Change, ...]:
    """The changes as whoever reads the log will see them; raises where it could not."""
    return _changes.decode(_msgpack.encode(changes))
