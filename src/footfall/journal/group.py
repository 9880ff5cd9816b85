"""Deciding one group of units: what every engine does between reading and writing.

Pure but for the units' own `decide`. It is not where states are read from or where what was
produced goes to: that is the engine's part.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType
from typing import NamedTuple, cast

import msgspec

from footfall.journal.contract import Change, Outcome, Record, States, Unit, encode_events
from footfall.model import Micros

_lines = msgspec.json.Encoder().encode_lines
_msgpack = msgspec.msgpack.Encoder()
_changes = msgspec.msgpack.Decoder(tuple[Change, ...])
_records = msgspec.msgpack.Decoder(Record)

_NOTHING: States = MappingProxyType({})


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


def decide(units: Sequence[Unit | Outcome], states: dict[str, bytes], now: Micros) -> Decided:
    """Decide units in order. `states` holds the live values of all their keys; it is changed.

    A unit is encoded right after it was decided and before its changes are seen by later units,
    so one that raises, or whose events cannot be written as JSON, leaves nothing behind.
    """
    results: list[Outcome | Exception] = []
    events: list[bytes] = []
    rejects: list[bytes] = []
    changes: list[Change] = []
    for unit in units:
        try:
            if type(unit) is Unit:
                outcome = unit.decide(_seen(unit.keys, states) if unit.keys else _NOTHING)
            else:
                outcome = cast("Outcome", unit)
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
            _overlay(changed, states, now)
    return Decided(results, b"".join(events), b"".join(rejects), tuple(changes))


def encode_record(record: Record) -> bytes:
    """A record as it is stored: MessagePack, an array of its four fields."""
    return _msgpack.encode(record)


def decode_record(payload: bytes) -> Record:
    """Raises `msgspec.MsgspecError` where the bytes are no record."""
    return _records.decode(payload)


def _seen(keys: tuple[str, ...], states: dict[str, bytes]) -> States:
    return {key: states[key] for key in keys if key in states}


def _checked(changes: Sequence[Change]) -> tuple[Change, ...]:
    """The changes as whoever reads the log will see them; raises where it could not."""
    return _changes.decode(_msgpack.encode(changes))


def _overlay(changes: Sequence[Change], states: dict[str, bytes], now: Micros) -> None:
    for change in changes:
        if change.value is None or change.expires_at <= now:
            states.pop(change.key, None)
        else:
            states[change.key] = change.value
