"""Rules of media playlists: of one, of one after another, and of all of a stream together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise

from footfall.model import Micros
from footfall.stream.checking_lists import Fault, MediaPlaylist, Segment, date_us

FRAGMENTED = (".m4s", ".mp4", ".cmfv", ".cmfa", ".m4v", ".m4a")
SAME_US = 50_000
"""Sums of rounded EXTINFs drift: so far apart may be what means the same date."""
NEAR_US = 100_000
"""How far a date may be from what the durations before it come to."""
ALIKE_US = 500_000
"""How far renditions may be apart at a discontinuity."""


def alone(one: MediaPlaylist) -> Iterator[Fault]:
    """What one playlist shows by itself."""
    yield from one.faults
    yield from _durations(one)
    yield from _maps(one)
    if one.dated:
        yield from _dates(one)
    yield from _ranges(one)


def after(before: MediaPlaylist, now: MediaPlaylist) -> Iterator[Fault]:
    """What a refresh must keep. `before` is the last that was seen of the same playlist."""
    if now.target_s != before.target_s:
        yield Fault("target-duration-changed", f"was {before.target_s} s, is {now.target_s} s")
    if before.ended and not (now.ended and _same(before, now)):
        yield Fault("ended-changed", "it had EXT-X-ENDLIST, and is another now")
    if before.kind in {"VOD", "EVENT"} and now.sequence != before.sequence:
        yield Fault("ended-changed", f"its type is {before.kind}, and segments were removed")
    yield from _numbers(before, now)
    yield from _kept(before, now)
    yield from _ranges_kept(before, now)


def grown(before: MediaPlaylist, now: MediaPlaylist) -> bool:
    """Whether a segment is new."""
    return now.sequence + len(now.segments) > before.sequence + len(before.segments)


def together(playlists: Mapping[str, MediaPlaylist]) -> Iterator[tuple[str, Fault]]:
    """Where playlists of one stream disagree with its first: (name, fault).

    They need not be of the same moment: what is compared is what several of them list.
    """
    (first, reference), *others = playlists.items()
    for name, other in others:
        if other.target_s != reference.target_s:
            said = f"{other.target_s} s, and of {first} {reference.target_s} s"
            yield name, Fault("variants-target", said)
        if other.ended != reference.ended:
            which, open_ = (name, first) if other.ended else (first, name)
            yield name, Fault("variants-ended", f"{which} has ended and {open_} has not")
        if not (other.segments and reference.segments):
            continue
        if other.dated != reference.dated:
            dated, bare = (name, first) if other.dated else (first, name)
            yield name, Fault("variants-dated", f"{dated} has dates and {bare} has none")
            continue
        if not (other.dated or (other.ended and reference.ended)):
            continue  # nothing says when in the stream an undated live list begins
        apart = other.end_us - reference.end_us
        if other.ended and abs(apart) > reference.target_s * 1_000_000:
            yield name, Fault("variants-length", f"ends {apart / 1e6:+.3f} s from {first}")
        for fault in (*_alike(first, reference, other), *_alike(name, other, reference)):
            yield name, fault


def _durations(one: MediaPlaylist) -> Iterator[Fault]:
    for segment in one.segments:
        # RFC 8216, 4.3.3.1: rounded to the nearest integer, a half upwards.
        if (segment.duration_us + 500_000) // 1_000_000 > one.target_s > 0:
            said = f"segment {segment.number} lasts {segment.duration_us / 1e6:.3f} s"
            yield Fault("target-duration", f"{said}, EXT-X-TARGETDURATION is {one.target_s} s")
    length = sum(segment.duration_us for segment in one.segments)
    if not one.ended and length < 3 * one.target_s * 1_000_000:
        yield Fault(
            "window", f"{length / 1e6:.1f} s are listed, three times {one.target_s} s is due"
        )


def _maps(one: MediaPlaylist) -> Iterator[Fault]:
    for segment in one.segments:
        if not segment.map and segment.uri.lower().endswith(FRAGMENTED):
            yield Fault("map-missing", f"segment {segment.number} is {segment.uri}")
    for before, now in pairwise(one.segments):
        if now.map != before.map and now.map and before.map and not now.discontinuity:
            said = f"segment {now.number}: {now.map} after {before.map}"
            yield Fault("map-without-discontinuity", said)
        if now.discontinuity and before.map and now.map == before.map and _elsewhere(before, now):
            said = f"segment {now.number}, {now.uri}, still has {now.map}"
            yield Fault("map-after-discontinuity", said)


def _elsewhere(before: Segment, now: Segment) -> bool:
    """Whether another folder begins: most likely another asset, with an encoding of its own."""
    return before.uri.rpartition("/")[0] != now.uri.rpartition("/")[0]


def _dates(one: MediaPlaylist) -> Iterator[Fault]:
    for before, now in pairwise(one.segments):
        if now.date_us is None:
            if now.discontinuity:
                yield Fault("date-after-discontinuity", f"segment {now.number} has none")
            continue
        apart = now.date_us - before.end_us
        early = f"segment {now.number} starts {-apart / 1e6:.3f} s before the last one ends"
        if now.date_us < before.at_us:
            yield Fault("date-order", early)
        elif apart < -NEAR_US:
            yield Fault("date-overlap", early)
        elif apart > NEAR_US and not now.discontinuity:
            yield Fault("date-drift", f"segment {now.number} starts {apart / 1e6:.3f} s late")


def _ranges(one: MediaPlaylist) -> Iterator[Fault]:
    if one.ranges and one.segments and not one.dated:
        yield Fault("daterange", "there are date ranges, and no EXT-X-PROGRAM-DATE-TIME")
    for name, said in one.ranges.items():
        start = date_us(said.get("START-DATE", ""))
        end = date_us(said["END-DATE"]) if "END-DATE" in said else None
        if start is None:
            yield Fault("daterange", f"{name}: START-DATE is missing or no date")
            continue
        for attribute in ("DURATION", "PLANNED-DURATION"):
            if _seconds(said.get(attribute, "0")) is None:
                yield Fault("daterange", f"{name}: {attribute} is {said[attribute]}")
        length = _seconds(said["DURATION"]) if "DURATION" in said else None
        if "END-DATE" in said and (end is None or end < start):
            yield Fault("daterange", f"{name}: END-DATE is {said['END-DATE']}")
        elif end is not None and length is not None and abs(start + length - end) > 1_000:
            yield Fault("daterange", f"{name}: END-DATE is not START-DATE plus DURATION")
        if "END-ON-NEXT" in said and ("CLASS" not in said or length is not None or end is not None):
            yield Fault("daterange", f"{name}: END-ON-NEXT needs CLASS, and no end of its own")


def _seconds(text: str) -> int | None:
    """Microseconds of a decimal number of seconds that is not below 0."""
    try:
        found = float(text)
    except ValueError:
        return None
    return round(found * 1e6) if 0 <= found < float("inf") else None


def _same(before: MediaPlaylist, now: MediaPlaylist) -> bool:
    return before.sequence == now.sequence and before.segments == now.segments


def _numbers(before: MediaPlaylist, now: MediaPlaylist) -> Iterator[Fault]:
    last_before = before.sequence + len(before.segments) - 1
    last = now.sequence + len(now.segments) - 1
    if now.sequence < before.sequence:
        yield Fault("media-sequence-back", f"was {before.sequence}, is {now.sequence}")
    elif now.sequence > last_before + 1:
        said = f"segment {last_before} was the last, {now.sequence} is the first"
        yield Fault("media-sequence-jump", said)
    if last < last_before:
        yield Fault("segments-withdrawn", f"segment {last_before} was listed, {last} is the last")
    if before.segments and now.segments and now.sequence > last_before:
        least = before.segments[-1].discontinuities
        if now.segments[0].discontinuities < least:
            yield _discontinuity(now.segments[0], least)


def _kept(before: MediaPlaylist, now: MediaPlaylist) -> Iterator[Fault]:
    """A segment stays what it was under its number; the first difference of each kind is told."""
    known = {segment.number: segment for segment in before.segments}
    told: set[str] = set()
    for segment in now.segments:
        was = known.get(segment.number)
        if was is None:
            continue
        for fault in _compared(was, segment, both_dated=before.dated and now.dated):
            if fault.rule not in told:
                told.add(fault.rule)
                yield fault


def _compared(was: Segment, now: Segment, *, both_dated: bool) -> Iterator[Fault]:
    number = f"segment {now.number}"
    if (was.uri, was.bytes) != (now.uri, now.bytes):
        said = f"{number} was {was.uri} {was.bytes}".rstrip()
        yield Fault("segment-changed", f"{said}, is {now.uri} {now.bytes}".rstrip())
        return
    if abs(was.duration_us - now.duration_us) > 1_000:
        said = f"{number} lasted {was.duration_us / 1e6:.3f} s, and {now.duration_us / 1e6:.3f} s"
        yield Fault("segment-changed", said)
    if was.discontinuities != now.discontinuities:
        yield _discontinuity(now, was.discontinuities)
    if was.map != now.map:
        yield Fault("map-changed", f"{number} had {was.map or 'none'}, has {now.map or 'none'}")
    if was.keys != now.keys:
        had, has = ("; ".join(keys) or "none" for keys in (was.keys, now.keys))
        yield Fault("key-changed", f"{number} had {had}, has {has}")
    if both_dated and abs(was.at_us - now.at_us) > SAME_US:
        said = f"{number} moved by {(now.at_us - was.at_us) / 1e6:+.3f} s"
        yield Fault("date-changed", said)


def _discontinuity(segment: Segment, due: int) -> Fault:
    said = f"segment {segment.number} is in discontinuity {segment.discontinuities}"
    return Fault("discontinuity-sequence", f"{said}, was in {due}")


def _ranges_kept(before: MediaPlaylist, now: MediaPlaylist) -> Iterator[Fault]:
    if not now.segments:
        return
    for name, said in before.ranges.items():
        span = _span(said)
        if name in now.ranges or span is None:
            continue
        start, end = span
        if start < now.end_us and end > now.segments[0].at_us + SAME_US:
            yield Fault("daterange-removed", f"{name} is gone, and some of its time is listed")


def _span(said: Mapping[str, str]) -> tuple[Micros, Micros] | None:
    """From when to when, where that is known."""
    start = date_us(said.get("START-DATE", ""))
    if start is None:
        return None
    end = date_us(said["END-DATE"]) if "END-DATE" in said else None
    length = _seconds(said.get("DURATION", said.get("PLANNED-DURATION", "x")))
    if end is not None:
        return start, end
    return (start, start + length) if length is not None else None


def _alike(name: str, one: MediaPlaylist, other: MediaPlaylist) -> Iterator[Fault]:
    """Every discontinuity of one must be in the other, where that lists its time."""
    there = {s.discontinuities: s.at_us for s in other.segments if s.discontinuity}
    begins, ends = other.segments[0].at_us, other.segments[-1].at_us
    for segment in one.segments:
        if not segment.discontinuity or not begins + ALIKE_US < segment.at_us < ends - ALIKE_US:
            continue
        at = there.get(segment.discontinuities)
        if at is None or abs(at - segment.at_us) > ALIKE_US:
            where = f"at {segment.at_us / 1e6:.3f} s in {name}"
            said = "not in the other" if at is None else f"at {at / 1e6:.3f} s in the other"
            yield Fault(
                "variants-discontinuities",
                f"discontinuity {segment.discontinuities} is {where} and {said}",
            )
            return
