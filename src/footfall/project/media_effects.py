"""What the machine's steps do to a session besides changing its state.

An effect returns the reason why it changed nothing, or None. Time has been counted up to the
event before any effect is called.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable
from math import inf
from typing import Any

from footfall.model import Micros
from footfall.project.media_params import (
    AD,
    CHAPTER,
    POD,
    START,
    params_of,
    read_metadata,
    read_params,
    value_of,
)
from footfall.project.media_session import (
    SECOND,
    Ad,
    Chapter,
    Limits,
    PlayerState,
    Properties,
    Session,
)
from footfall.project.media_terms import COMPLETE, STALLED

Effect = Callable[[Session, Properties, Limits], str | None]

MARKERS = (10, 25, 50, 75, 95)
"""Progress markers, per cent of the length."""
MINUTE = 60 * SECOND


# Content.


def start_content(session: Session) -> None:
    """The first play of the main content. What was seen of the playhead before does not count:
    players that resume send 0 until they know better.
    """
    session.content_started = True
    session.lowest = session.highest = session.playhead
    expect_progress(session)


def expect_progress(session: Session) -> None:
    """Set the playhead that reaches the next marker, from how many were reached."""
    length = value_of(START, session.start, "length_s") or 0
    if length <= 0 or session.progress >= len(MARKERS):
        session.next_progress = inf
    else:
        session.next_progress = length * MARKERS[session.progress] / 100


def reach_progress(session: Session, playhead: float) -> None:
    while playhead >= session.next_progress:
        session.progress += 1
        expect_progress(session)


def stall(session: Session) -> None:
    """The playhead stood for three events: since the first of them it was a stall, not play.

    What was measured by the content's time within them is put back to the first: chapters, and
    the weight of a bitrate that changed at the second.
    """
    session.state = STALLED
    session.stall_events += 1
    session.stall_us += session.run_us
    session.content_us -= session.run_us
    session.run_us = 0
    now = session.content_us
    if (early := session.bitrate_from_us - now) > 0:
        session.bitrate_from_us = now
        if session.bitrate_before:
            session.bits -= early * session.bitrate_before
            session.bits_us -= early
    if session.chapter and session.chapter.from_us > now:
        session.chapter.from_us = now
    for chapter in reversed(session.chapters):
        if (chapter.until_us or 0) <= now:
            break
        chapter.until_us = now
        chapter.from_us = min(chapter.from_us, now)


def add_span(spans: list[float], start: float, end: float, most: int) -> None:
    """Unite `start` to `end` with the stretches in `spans`. Past `most` only what touches one."""
    first, last = bisect_left(spans, start), bisect_right(spans, end)
    if first == last and first % 2 == 0 and len(spans) >= 2 * most:
        return
    edges = ([start] if first % 2 == 0 else []) + ([end] if last % 2 == 0 else [])
    spans[first:last] = edges


def begin_span(session: Session, start: float, end: float, limits: Limits) -> None:
    """The playhead was elsewhere before: keep that stretch and begin another."""
    if session.span_to > session.span_from:
        add_span(session.spans, session.span_from, session.span_to, limits.items)
    session.span_from, session.span_to = start, end


def mark_minutes(session: Session, start: Micros, end: Micros, limits: Limits) -> None:
    """Something played from `start` to `end`, which is not before what was marked last."""
    first, last = start // MINUTE, (end - 1) // MINUTE
    minutes = session.minutes
    if minutes and first <= minutes[-1] + 1:
        minutes[-1] = max(last, minutes[-1])
    elif len(minutes) < 2 * limits.items:
        minutes += (first, last)
    session.minutes_until = (last + 1) * MINUTE


def complete_content(session: Session, _properties: Properties, _limits: Limits) -> str | None:
    session.completed = True
    return None


def complete_under_break(session: Session, _properties: Properties, _limits: Limits) -> str | None:
    """A sessionComplete inside a break: the content is complete, the break goes on."""
    if session.content == COMPLETE:
        return "repeated"
    session.content = COMPLETE
    session.completed = True
    return None


# Breaks and ads.


def start_break(session: Session, properties: Properties, _limits: Limits) -> str | None:
    session.ad_breaks += 1
    session.pod = read_params(POD, params_of(properties))
    return None


def start_ad(session: Session, properties: Properties, _limits: Limits) -> str | None:
    session.ad_starts += 1
    session.ad = Ad(
        session.ts,
        read_params(AD, params_of(properties)),
        session.pod,
        read_metadata(properties),
        session.ad_us,
    )
    return None


def _end_ad(session: Session, limits: Limits, *, completed: bool) -> None:
    ad, session.ad = session.ad, None
    assert ad is not None
    ad.ended_at = session.ts
    ad.played_us = session.ad_us - ad.from_us
    ad.completed = completed
    if len(session.ads) < limits.items:
        session.ads.append(ad)


def complete_ad(session: Session, _properties: Properties, limits: Limits) -> str | None:
    session.ad_completes += 1
    _end_ad(session, limits, completed=True)
    return None


def skip_ad(session: Session, _properties: Properties, limits: Limits) -> str | None:
    _end_ad(session, limits, completed=False)
    return None


# Chapters and player states.


def end_chapter(session: Session, limits: Limits, *, completed: bool) -> str | None:
    chapter, session.chapter = session.chapter, None
    if chapter is None:
        return "no_chapter_open"
    chapter.ended_at = session.ts
    chapter.until_us = session.content_us
    chapter.completed = completed
    session.chapter_completes += completed
    if len(session.chapters) < limits.items:
        session.chapters.append(chapter)
    return None


def complete_chapter(session: Session, _properties: Properties, limits: Limits) -> str | None:
    return end_chapter(session, limits, completed=True)


def skip_chapter(session: Session, _properties: Properties, limits: Limits) -> str | None:
    return end_chapter(session, limits, completed=False)


def start_chapter(session: Session, properties: Properties, limits: Limits) -> str | None:
    end_chapter(session, limits, completed=False)
    session.chapter_starts += 1
    session.chapter = Chapter(
        session.ts,
        read_params(CHAPTER, params_of(properties)),
        read_metadata(properties),
        session.content_us,
    )
    return None


def _start_state(session: Session, name: str, limits: Limits) -> str | None:
    state = session.states.get(name.lower())
    if state is None:
        if len(session.states) >= limits.states:
            return "too_many_states"
        state = session.states[name.lower()] = PlayerState(name)
    if state.since_us is not None:
        return "state_active"
    state.starts += 1
    state.since_us = session.counted_us
    return None


def _end_state(session: Session, name: str) -> str | None:
    state = session.states.get(name.lower())
    if state is None or state.since_us is None:
        return "state_not_active"
    state.us += session.counted_us - state.since_us
    state.since_us = None
    return None


def start_state(session: Session, properties: Properties, limits: Limits) -> str | None:
    name = _state_name(params_of(properties))
    return _start_state(session, name, limits) if name else "state_not_active"


def end_state(session: Session, properties: Properties, _limits: Limits) -> str | None:
    name = _state_name(params_of(properties))
    return _end_state(session, name) if name else "state_not_active"


def update_states(session: Session, properties: Properties, limits: Limits) -> str | None:
    """Ends before starts, so that a state in both begins anew. Tells the last reason, if any."""
    params, reason = params_of(properties), None
    for each in params.get("statesEnd") or ():
        if name := _state_name(each):
            reason = _end_state(session, name) or reason
    for each in params.get("statesStart") or ():
        if name := _state_name(each):
            reason = _start_state(session, name, limits) or reason
    return reason


def _state_name(params: Any) -> str | None:
    name = params.get("media.state.name") if isinstance(params, dict) else None
    return name if isinstance(name, str) else None


def end_all(session: Session, _properties: Properties, limits: Limits) -> str | None:
    """The end of the session: what is open ends with it, ad and chapter as skipped."""
    if session.ad:
        _end_ad(session, limits, completed=False)
    end_chapter(session, limits, completed=False)
    for name in session.states:
        _end_state(session, name)
    return None
