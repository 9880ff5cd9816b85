"""A channel's slots: what plays instead of its loop, and where its ad breaks are. Pure.

A slot of content is a pod that every session of the channel has, an ad-break slot is a break like
one that a marker tells of: from there on both are what live streams have. So that the numbers of a
list never change after they were served, a slot stands once it has begun.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from footfall.model import Micros
from footfall.settings import Slot
from footfall.settings.values import CHECKS, seconds_of
from footfall.stream.contract import Break, Placed, Pod
from footfall.stream.services import slot_window

SECOND = 1_000_000
CONTENT, AD_BREAK = "content", "ad-break"
LONGEST_S = 86_400
LATEST_US: Micros = round(datetime(9999, 1, 1, tzinfo=UTC).timestamp()) * SECOND
"""Ends of slots are before this: what is later cannot be told of as a date."""
MOST_SLOTS = 10_000
KEPT_US = 25 * 3600 * SECOND
"""How long a slot that is over is kept: longer than any session."""
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_FIELDS = ("type", "start", "end", "duration", "replacement")


class SlotNotValid(ValueError):  # noqa: N818 - it names what is the case
    """What was said of a slot cannot be taken; the message says why and what would be right."""


class SlotStands(SlotNotValid):
    """It has begun: it neither changes nor goes."""


class Planned(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One slot."""

    id: str
    kind: str
    """content or ad-break."""
    start_us: Micros
    end_us: Micros
    replacement: str = ""
    """Of content: address of its multivariant playlist."""

    def told(self) -> dict[str, Any]:
        """As the API tells of it: times in UTC, the duration in seconds."""
        told: dict[str, Any] = {
            "id": self.id,
            "type": self.kind,
            "start": _text(self.start_us),
            "end": _text(self.end_us),
            "duration": (self.end_us - self.start_us) // SECOND,
        }
        return told | ({"replacement": self.replacement} if self.replacement else {})


def slots_key(service_id: str) -> str:
    """Under which the journal's state holds the slots that the API has set: `write`."""
    return f"stream/{service_id}/slots"


write = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(list[Planned])


def read(value: bytes | None) -> list[Planned]:
    """What `write` wrote; nothing is no slots."""
    return [] if value is None else _decoder.decode(value)


def of_settings(slots: Iterable[Slot]) -> list[Planned]:
    """The slots of the settings, which have been checked."""
    return [Planned(one.id, one.kind, *slot_window(one), one.replacement or "") for one in slots]


# What the API is told


def slot(slot_id: str, given: Mapping[str, Any]) -> Planned:
    """A slot as the API gets it: type, start, and end or duration in seconds.

    Raises `SlotNotValid`. Whether its replacement may be asked for is not looked at here.
    """
    if not _ID.fullmatch(slot_id):
        raise SlotNotValid(
            'A slot\'s id is 1 to 64 letters, digits, "-", "_" and ".", beginning with a letter '
            "or digit."
        )
    unknown = sorted(set(given) - set(_FIELDS) - {"id"})
    if unknown:
        raise SlotNotValid(f'"{unknown[0]}" is not known; a slot has {", ".join(_FIELDS)}.')
    kind = given.get("type")
    if kind not in {CONTENT, AD_BREAK}:
        raise SlotNotValid(f'type must be "{CONTENT}" or "{AD_BREAK}".')
    start = _moment(given, "start")
    end = _end(given, start)
    if not start < end <= start + LONGEST_S * SECOND:
        raise SlotNotValid(f"A slot lasts from 1 to {LONGEST_S} seconds.")
    if end >= LATEST_US:
        raise SlotNotValid("A slot ends before the year 9999.")
    replacement = given.get("replacement")
    if kind == CONTENT and not (isinstance(replacement, str) and replacement):
        raise SlotNotValid("replacement must be the address of a multivariant playlist.")
    if kind == AD_BREAK and replacement is not None:
        raise SlotNotValid("replacement is for slots of content only.")
    return Planned(slot_id, kind, start, end, replacement or "")


def with_slot(slots: Sequence[Planned], new: Planned, now: Micros) -> list[Planned]:
    """The slots with one that is new or changed, by their start.

    Raises `SlotStands` for one that has begun, or would have, and `SlotNotValid` where it overlaps
    another or there are too many.
    """
    old = next((one for one in slots if one.id == new.id), None)
    if old == new:
        return list(slots)
    if old is not None and old.start_us <= now:
        raise SlotStands(f'Slot "{old.id}" has begun: what was played stays what it was.')
    if new.start_us <= now:
        raise SlotStands("start has passed: a slot is set before it begins.")
    others = [one for one in slots if one.id != new.id]
    for one in others:
        if one.start_us < new.end_us and new.start_us < one.end_us:
            raise SlotNotValid(
                f'It overlaps slot "{one.id}" ({_text(one.start_us)} to {_text(one.end_us)}).'
            )
    kept = [one for one in others if one.end_us > now - KEPT_US]
    if len(kept) >= MOST_SLOTS:
        raise SlotNotValid(f"A channel has at most {MOST_SLOTS} slots; take some out.")
    return sorted([*kept, new], key=lambda one: one.start_us)


def without(slots: Sequence[Planned], slot_id: str, now: Micros) -> list[Planned]:
    """The slots without one. Raises `SlotStands`, and `KeyError` where there is none of the id."""
    old = next((one for one in slots if one.id == slot_id), None)
    if old is None:
        raise KeyError(slot_id)
    if old.start_us <= now:
        raise SlotStands(f'Slot "{slot_id}" has begun: what was played stays what it was.')
    return [one for one in slots if one.id != slot_id]


# What they come to


def breaks(slots: Iterable[Planned]) -> tuple[Break, ...]:
    """The ad breaks, by their start."""
    found = [
        Break(f"{one.start_us // 1000}:{one.id}", one.start_us, one.end_us - one.start_us)
        for one in slots
        if one.kind == AD_BREAK
    ]
    return tuple(sorted(found, key=lambda one: one.start_us))


def pods(slots: Iterable[Planned], durations: Mapping[str, int]) -> tuple[Pod, ...]:
    """What plays instead of the loop, by its start; the same for every session.

    `durations`: by replacement, how long it is in microseconds; one that is not in there cannot be
    had, and the loop plays on. One that is shorter than its slot ends before it.
    """
    found = []
    for one in slots:
        lasts = durations.get(one.replacement, 0) if one.kind == CONTENT else 0
        if lasts <= 0:
            continue
        until = min(one.end_us, one.start_us + lasts)
        name, plays = f"slot:{one.id}", until - one.start_us
        placed = Placed(name, one.replacement, one.start_us, plays, announced=False)
        found.append(
            Pod(
                name,
                one.start_us,
                decided=True,
                at_us=one.start_us,
                until_us=until,
                ads=(placed,),
            )
        )
    return tuple(sorted(found, key=lambda pod: pod.at_us))


def _moment(given: Mapping[str, Any], name: str) -> Micros:
    """Whole seconds, as RFC 3339 writes them."""
    text = given.get(name)
    try:
        checked = CHECKS["moment"](text if isinstance(text, str) else "", Path())
        return seconds_of(checked) * SECOND
    except ValueError:
        raise SlotNotValid(
            f'{name} must be a moment in UTC, such as "2026-11-20T18:00:00Z".'
        ) from None


def _end(given: Mapping[str, Any], start: Micros) -> Micros:
    if ("end" in given) is ("duration" in given):
        raise SlotNotValid("Exactly one of end and duration must be given.")
    if "end" in given:
        return _moment(given, "end")
    duration = given["duration"]
    if isinstance(duration, bool) or not isinstance(duration, int | float):
        raise SlotNotValid("duration must be a number of seconds.")
    if not 1 <= duration <= LONGEST_S:
        raise SlotNotValid(f"duration must be from 1 to {LONGEST_S} seconds.")
    return start + round(duration) * SECOND


def _text(at_us: Micros) -> str:
    return datetime.fromtimestamp(at_us // SECOND, UTC).isoformat().replace("+00:00", "Z")
