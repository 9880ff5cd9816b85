"""The media-session state machine: one table of every transition, and how one event is applied.

Everything that changes a session's state stands in `TABLE`, but for two things that no event
says: a stall (three events with one playhead while content plays) begins and ends in `apply`.

What Adobe's pages leave open, and what is done here:

- A pause or a buffering inside an ad is the ad's and stands in its row; the session's counts and
  times of pauses, buffering and stalls are the content's.
- A pauseStart or bufferStart before the first play counts, as any other.
- A break interrupts what it finds: a pause that goes on after it is still one pause.
- A stall that has begun is not ended by a `play` with the same playhead: that repeats the state.
- While a stall lasts the viewer counts as present, as while buffering.
- A sessionComplete inside a break completes the content under it; the break goes on.
- A late event changes states and counts; playhead, bitrate and the like are the past's.
"""

from __future__ import annotations

from typing import NamedTuple

from footfall.model import Micros
from footfall.project import media_effects as does
from footfall.project import media_quality as quality
from footfall.project.media_effects import Effect
from footfall.project.media_session import SECOND, Item, Limits, Properties, Session, Told
from footfall.project.media_terms import (
    AD_BUFFERING,
    AD_PAUSED,
    AD_PLAYING,
    BREAK,
    BUFFERING,
    CLOSED,
    COMPLETE,
    KIND,
    KINDS,
    PAUSED,
    PLAYING,
    QUIET,
    STALLED,
)

BACK = -1
"""As the next state: what the content was in before the break."""


class Step(NamedTuple):
    """What an event of one kind does in one state."""

    to: int | None = None
    """The next state; None stays."""
    do: tuple[Effect, ...] = ()
    ignored: str = ""
    """One of `REASONS`: nothing is done, and told so."""


____ = Step()
"""The event changes nothing in the machine: that it came is all it says."""
PLAY, PAUSE, BUFFER = Step(PLAYING), Step(PAUSED), Step(BUFFERING)
APLAY, APAUSE, ABUFF = Step(AD_PLAYING), Step(AD_PAUSED), Step(AD_BUFFERING)
SAME = Step(ignored="repeated")
BTWN = Step(ignored="between_ads")
DONE = Step(ignored="after_complete")
OVER = Step(ignored="after_end")
NOBRK = Step(ignored="no_break_open")
NOAD = Step(ignored="no_ad_open")
OUTSD = Step(ignored="outside_break")

OPEN = Step(BREAK, (does.start_break,))
REOPN = Step(BREAK, (does.skip_ad, does.start_break))
SHUT = Step(BACK)
SKSHT = Step(BACK, (does.skip_ad,))
AD = Step(AD_PLAYING, (does.start_ad,))
NEXT = Step(AD_PLAYING, (does.skip_ad, does.start_ad))
ADEND = Step(BREAK, (does.complete_ad,))
SKIP = Step(BREAK, (does.skip_ad,))
CHAP = Step(None, (does.start_chapter,))
CHEND = Step(None, (does.complete_chapter,))
CHSKP = Step(None, (does.skip_chapter,))
RATE = Step(None, (quality.count_bitrate_change,))
ERR = Step(None, (quality.count_error,))
SON = Step(None, (does.start_state,))
SOFF = Step(None, (does.end_state,))
SUPD = Step(None, (does.update_states,))
COMPL = Step(COMPLETE, (does.complete_content,))
UNDER = Step(None, (does.complete_under_break,))
END = Step(CLOSED, (does.end_all,))

# fmt: off
TABLE: dict[str, tuple[Step, ...]] = {
#                    starting playing paused buffering stalled complete
#                    break    ad_playing ad_paused ad_buffering closed
"sessionStart":     (____,  ____,  ____,  ____,  ____,  ____,
                     ____,  ____,  ____,  ____,  OVER),
"play":             (PLAY,  SAME,  PLAY,  PLAY,  SAME,  PLAY,
                     BTWN,  SAME,  APLAY, APLAY, OVER),
"pauseStart":       (PAUSE, PAUSE, SAME,  PAUSE, PAUSE, DONE,
                     BTWN,  APAUSE, SAME, APAUSE, OVER),
"bufferStart":      (BUFFER, BUFFER, BUFFER, SAME, BUFFER, DONE,
                     BTWN,  ABUFF, ABUFF, SAME,  OVER),
"ping":             (____,  ____,  ____,  ____,  ____,  ____,
                     ____,  ____,  ____,  ____,  OVER),
"adBreakStart":     (OPEN,  OPEN,  OPEN,  OPEN,  OPEN,  OPEN,
                     OPEN,  REOPN, REOPN, REOPN, OVER),
"adBreakComplete":  (NOBRK, NOBRK, NOBRK, NOBRK, NOBRK, NOBRK,
                     SHUT,  SKSHT, SKSHT, SKSHT, OVER),
"adStart":          (OUTSD, OUTSD, OUTSD, OUTSD, OUTSD, OUTSD,
                     AD,    NEXT,  NEXT,  NEXT,  OVER),
"adComplete":       (OUTSD, OUTSD, OUTSD, OUTSD, OUTSD, OUTSD,
                     NOAD,  ADEND, ADEND, ADEND, OVER),
"adSkip":           (OUTSD, OUTSD, OUTSD, OUTSD, OUTSD, OUTSD,
                     NOAD,  SKIP,  SKIP,  SKIP,  OVER),
"chapterStart":     (CHAP,  CHAP,  CHAP,  CHAP,  CHAP,  CHAP,
                     CHAP,  CHAP,  CHAP,  CHAP,  OVER),
"chapterComplete":  (CHEND, CHEND, CHEND, CHEND, CHEND, CHEND,
                     CHEND, CHEND, CHEND, CHEND, OVER),
"chapterSkip":      (CHSKP, CHSKP, CHSKP, CHSKP, CHSKP, CHSKP,
                     CHSKP, CHSKP, CHSKP, CHSKP, OVER),
"bitrateChange":    (RATE,  RATE,  RATE,  RATE,  RATE,  RATE,
                     RATE,  RATE,  RATE,  RATE,  OVER),
"error":            (ERR,   ERR,   ERR,   ERR,   ERR,   ERR,
                     ERR,   ERR,   ERR,   ERR,   OVER),
"stateStart":       (SON,   SON,   SON,   SON,   SON,   SON,
                     SON,   SON,   SON,   SON,   OVER),
"stateEnd":         (SOFF,  SOFF,  SOFF,  SOFF,  SOFF,  SOFF,
                     SOFF,  SOFF,  SOFF,  SOFF,  OVER),
"statesUpdate":     (SUPD,  SUPD,  SUPD,  SUPD,  SUPD,  SUPD,
                     SUPD,  SUPD,  SUPD,  SUPD,  OVER),
"sessionComplete":  (COMPL, COMPL, COMPL, COMPL, COMPL, SAME,
                     UNDER, UNDER, UNDER, UNDER, OVER),
"sessionEnd":       (END,   END,   END,   END,   END,   END,
                     END,   END,   END,   END,   OVER),
"close":            (END,   END,   END,   END,   END,   END,
                     END,   END,   END,   END,   ____),
}
# fmt: on

_STEPS = tuple(TABLE[kind] for kind in KINDS)


def apply(  # noqa: C901, PLR0912, PLR0915 - once per event: a call costs as much as its work
    session: Session, item: Item, limits: Limits, *, late: bool = False
) -> None:
    """Let one event happen to a session: first the time until it passes, then it does its step.

    Of a late event `ts` and playhead are in the past: no time passes, and the playhead stays.
    """
    ts, _, _, kind, playhead, properties, _ = item
    session.counts[kind] += 1
    state, last, before = session.state, session.playhead, session.ts
    if state == CLOSED:
        if ignored := _STEPS[kind][CLOSED].ignored:
            tell(session, Told(ts, KINDS[kind], ignored, late), limits)
        return
    counted = 0
    if ts > before:
        session.ts = ts
        counted = ts - before
        if state >= BREAK:
            session.moved_at += counted
        if counted > limits.gap_s * SECOND:
            session.uncounted_us += counted
            counted = 0
    if late:
        playhead = last
    elif playhead != last:
        session.playhead = playhead
        session.moved_at = ts
        if playhead > session.highest:
            session.highest = playhead
        elif playhead < session.lowest:
            session.lowest = playhead
    if state == PLAYING:
        session.content_us += counted
        if playhead != last:
            if session.run_events > 1:
                session.run_events, session.run_us = 1, 0
            # Backward, or more than twice as far as the time that passed: a seek.
            if 0 < playhead - last <= counted * 2e-6:
                if last == session.span_to:
                    session.span_to = playhead
                else:
                    does.begin_span(session, last, playhead, limits)
        elif ts > before:
            session.run_us += counted
            session.run_events += 1
            if session.run_events == STALLED_AFTER:
                does.stall(session)
        if counted and ts > session.minutes_until:
            does.mark_minutes(session, ts - counted, ts, limits)
    elif counted or playhead != last:
        _pass(session, state, counted, playhead != last, limits)
    if properties is not None and not late:
        quality.note_quality(session, properties)
    step = _STEPS[kind][session.state]
    if step is not ____:
        reason = step.ignored or _take(session, step, properties or {}, limits)
        if reason or late:
            tell(session, Told(ts, KINDS[kind], reason or "", late), limits)
    elif late:
        tell(session, Told(ts, KINDS[kind], "", late), limits)
    if playhead >= session.next_progress:
        does.reach_progress(session, playhead)


STALLED_AFTER = 3
"""So many events of different `ts` with one playhead make a stall."""


def _pass(session: Session, state: int, counted: int, moved: bool, limits: Limits) -> None:
    """Time passes in any state but playing content."""
    if state == AD_PLAYING:
        session.ad_us += counted
    elif state == PAUSED:
        session.pause_us += counted
        return
    elif state == BUFFERING:
        session.buffer_us += counted
    elif state == STALLED:
        session.stall_us += counted
        if moved:
            _resume_play(session)
    elif state == AD_PAUSED and session.ad:
        session.ad.pause_us += counted
        return
    elif state == AD_BUFFERING and session.ad:
        session.ad.buffer_us += counted
    else:
        session.break_moves += moved and state == BREAK
        return
    if counted and session.ts > session.minutes_until:
        does.mark_minutes(session, session.ts - counted, session.ts, limits)


def _take(session: Session, step: Step, properties: Properties, limits: Limits) -> str | None:
    """Do what a step says; returns the reason where that came to nothing."""
    reason = None
    for effect in step.do:
        reason = effect(session, properties, limits) or reason
    to = step.to
    if to is None or to == session.state:
        return reason
    if to == BREAK and session.state < BREAK:
        session.content = session.state
    if to == BACK:
        to = session.content
    else:
        _count_entry(session, to)
    session.state = to
    if to == PLAYING:
        _resume_play(session)
    return reason


def _count_entry(session: Session, to: int) -> None:
    """A state is entered from another one, not returned to after a break."""
    if to == PAUSED:
        session.pause_events += 1
    elif to == BUFFERING:
        session.buffer_events += 1
    elif to == AD_PAUSED and session.ad:
        session.ad.pause_events += 1
    elif to == AD_BUFFERING and session.ad:
        session.ad.buffer_events += 1
    elif to == PLAYING and not session.content_started:
        does.start_content(session)


def _resume_play(session: Session) -> None:
    """Content plays from here: the first of the events that may become a stall."""
    session.state = PLAYING
    session.run_events, session.run_us = 1, 0


def tell(session: Session, told: Told, limits: Limits) -> None:
    """Keep that an event was ignored or late."""
    session.late += told.late
    if told.reason:
        session.reasons[told.reason] = session.reasons.get(told.reason, 0) + 1
    if told.late or told.reason not in QUIET:
        session.told.append(told)
        del session.told[: -limits.told]


def close_item(session: Session) -> Item:
    """The event that closes a session which has not ended by itself: after all others."""
    return (session.ts, 1 << 30, 0, KIND["close"], session.playhead, None, session.heard_clock)


def unknown(session: Session, ts: Micros, name: str, limits: Limits) -> None:
    """An event of a kind that is not in the table."""
    tell(session, Told(ts, name[:64], "unknown_type", late=False), limits)
