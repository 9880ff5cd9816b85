"""Which beacons the request for an ad's segment owes, each once over all processes. Pure.

At an ad's first segment: impression, creativeView, start, and breakStart at the pod's first ad.
Quartiles and progress with the segment that contains their moment; complete with the last one, and
breakEnd with the last one of the pod's last ad. What nobody asks for is never owed, so who jumps
over the middle is not counted there.

What was fired stands in the journal's state as bits, one for each address of the pod. They change
in the same transaction that journals the request, so that two processes, or a player that asks
twice, report once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import blake2b

import msgspec

from footfall.journal.contract import Change, Outcome, States, Unit
from footfall.model import Event, Micros
from footfall.stream import contexts, told
from footfall.stream.ad_tokens import AdSegment
from footfall.stream.contract import SLATE, Pod
from footfall.stream.events import Place
from footfall.stream.telling import QUARTERS


class Owed(msgspec.Struct, frozen=True, gc=False):
    """One address that is to be called."""

    number: int
    """Its own within the pod: breakStart and breakEnd first, then every ad's, as `told.Pod` has
    them. It never changes, since a decided pod does not."""
    type: str
    url: str
    """With its macros."""
    offset_ms: int
    """From the ad's start."""


class Fired(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What of a pod was asked for and reported: the bits of big numbers, lowest first."""

    began_at: Micros
    """Of the context that it is of: a session that begins anew under its id may come to a pod of
    the same id."""
    beacons: bytes = b""
    """By `Owed.number`."""
    segments: tuple[bytes, ...] = ()
    """By ad and segment."""


_encode = msgspec.msgpack.Encoder().encode
_fired = msgspec.msgpack.Decoder(Fired)


def fired_key(service: str, session_id: str, pod: str) -> str:
    """Without the session's id in it: who erases a session cannot know which pods it had."""
    name = blake2b(f"{session_id}/{pod}".encode(), digest_size=16).hexdigest()
    return f"stream/{service}/fired/{name}"


def place(pod: Pod, ad: int) -> Place | None:
    """How events name the ad at a place of a pod; None: there is none, or nothing is told of it."""
    if not (pod.told and 0 <= ad < len(pod.ads)):
        return None
    if pod.ads[ad].ad_id == SLATE or not pod.ads[ad].announced:
        return None
    before = sum(one.ad_id != SLATE for one in pod.ads[:ad])
    return Place(pod.id, pod.ads[ad].ad_id, before + 1)


def owed(pod: Pod, said: told.Pod, asked: AdSegment) -> tuple[Owed, ...]:
    """What a request for a segment owes, in the order in which it is to be reported."""
    first, last = asked.segment == 0, asked.segment == asked.of - 1
    index = sum(one.announced for one in pod.ads[: asked.ad])
    around, ad = said.adbreaktrackingevents or (), said.ads[index]
    number = len(around) + sum(len(one.trackingevents) for one in said.ads[:index])
    found = []
    for each, one in enumerate(ad.trackingevents, number):
        at, quarters = one.offset_ms, QUARTERS.get(one.type.lower())
        if at is None:
            continue  # of what a viewer does, which no server sees
        if quarters == 0:
            due = first
        elif quarters == 4:
            due = last
        else:
            # A rendition may be a little shorter than the ad: its last segment has the rest.
            due = asked.begin_ms <= at and (last or at < asked.end_ms)
        if due:
            found.append(Owed(each, one.type, one.callbackurl, at))
    real = [index for index, one in enumerate(pod.ads) if one.ad_id != SLATE]
    begins = _of(around, "breakstart", 0) if first and asked.ad == real[0] else []
    ends = _of(around, "breakend", ad.duration_ms) if last and asked.ad == real[-1] else []
    return (*begins, *found, *ends)


def _of(events: Sequence[told.Event], kind: str, at: int) -> list[Owed]:
    return [
        Owed(number, one.type, one.callbackurl, at)
        for number, one in enumerate(events)
        if one.type.lower() == kind
    ]


def unit(
    key: str,
    began_at: Micros,
    asked: AdSegment,
    owes: Sequence[Owed],
    *,
    now: Micros,
    events: Callable[[bool, Sequence[Owed]], Sequence[Event]],
) -> Unit:
    """Take note of a request; `reply` is a tuple of what it owes and nobody has reported yet.

    `began_at` is the context's. `events` gives the events: whether the segment is asked for the
    first time, and that tuple.
    """

    def decide(states: States) -> Outcome:
        held = states.get(key)
        known = Fired(began_at) if held is None else _fired.decode(held)
        if known.began_at != began_at:
            known = Fired(began_at)
        beacons = int.from_bytes(known.beacons, "little")
        new = tuple(one for one in owes if not beacons >> one.number & 1)
        segments = [*known.segments, *[b""] * (asked.ad + 1 - len(known.segments))]
        seen = int.from_bytes(segments[asked.ad], "little")
        first_time = not seen >> asked.segment & 1
        if not new and not first_time:
            return Outcome(reply=())
        for one in new:
            beacons |= 1 << one.number
        segments[asked.ad] = _bytes(seen | 1 << asked.segment)
        fired = Fired(began_at, _bytes(beacons), tuple(segments))
        change = Change(key, _encode(fired), now + contexts.KEPT_US)
        return Outcome(events(first_time, new), (), (change,), new)

    return Unit((key,), decide)


def _bytes(bits: int) -> bytes:
    return bits.to_bytes((bits.bit_length() + 7) // 8, "little")
