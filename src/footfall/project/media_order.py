"""The order in which a session's events are applied: by their `ts`, though they arrive otherwise.

An event waits until `Limits.reorder_s` have passed on the journal's clock or
`Limits.reorder_events` wait; then it is applied, and before it whatever waits with an earlier
place. So events that arrive out of order within that window have the same effect as in order.
Ripe events are applied when something happens to their session, not at the very moment, which
nobody can tell: metrics are read with everything that waits applied.

One whose `ts` is before what was applied already is late: applied at once, and told.
"""

from __future__ import annotations

from bisect import insort

from footfall.model import Micros
from footfall.project import media_machine as machine
from footfall.project.media_session import SECOND, Item, Limits, Properties, Session
from footfall.project.media_terms import AD_PLAYING, BREAK, KIND, RANKS

AD_ENDS = frozenset({KIND["adComplete"], KIND["adSkip"]})
AD_START, BREAK_START, BREAK_END = KIND["adStart"], KIND["adBreakStart"], KIND["adBreakComplete"]
SESSION_END = KIND["sessionEnd"]
AFTER_AD = RANKS["adStart"]
AFTER_BREAK = RANKS["adBreakStart"]


def hear(  # noqa: C901, PLR0917 - once per event: calls and keywords cost as much as the work
    session: Session,
    clock: int,
    ts: Micros,
    kind_and_rank: tuple[int, int],
    playhead: float,
    properties: Properties | None,
    limits: Limits,
) -> None:
    """An event arrives at `clock`, not before any that arrived."""
    held = session.held
    if held and not session.ending:
        ripe = clock - limits.reorder_s * SECOND
        if len(held) == 1:  # as it is mostly: pings are further apart than the window
            if held[0][6] <= ripe:
                machine.apply(session, held.pop(), limits)
        else:
            while any(item[6] <= ripe for item in held):
                release(session, limits)
    session.heard_clock = clock
    session.arrivals = arrival = session.arrivals + 1
    kind, rank = kind_and_rank
    item = (ts, rank, arrival, kind, playhead, properties, clock)
    if ts < session.ts:
        machine.apply(session, item, limits, late=True)
        return
    if ts > session.latest_at:  # noqa: PLR1730 - a call to max costs more than all of this
        session.latest_at = ts
    if held:
        insort(held, item)
    else:
        held.append(item)
    if kind == SESSION_END:
        session.ending = True
    if len(held) >= limits.reorder_events:
        while len(held) >= limits.reorder_events and not session.ending:
            release(session, limits)


def release(session: Session, limits: Limits) -> None:
    """Apply the first of what waits, or put it behind the beginning that it belongs to."""
    item = session.held.pop(0)
    if session.held and session.held[0][0] == item[0]:
        later = _behind_its_start(session, item)
        if later:
            insort(session.held, later)
            return
    machine.apply(session, item, limits)


def drain(session: Session, limits: Limits) -> None:
    """Apply everything that waits."""
    while session.held:
        release(session, limits)


def _behind_its_start(session: Session, item: Item) -> Item | None:
    """The new place of an end that is of something which begins at the same `ts`, or None.

    Ends come before beginnings of one `ts`, which is right but for an ad or a break of no length:
    its end finds nothing open, and its beginning waits with the same `ts`. A break ends with the
    ad in it: where an ad's end was put behind its beginning, so is its break's.
    """
    ts, _, _, kind, playhead, properties, clock = item
    if kind not in AD_ENDS and kind != BREAK_END:
        return None
    same = [other for other in session.held if other[0] == ts]
    starts = [other for other in same if other[3] == AD_START]
    moved = [other for other in same if other[3] in AD_ENDS and other[1] == AFTER_AD]
    if kind in AD_ENDS:
        # Each moved end stands directly behind one adStart; the next one's is the next.
        if session.state >= AD_PLAYING or len(moved) >= len(starts):
            return None
        return (ts, AFTER_AD, starts[len(moved)][2] + 0.5, kind, playhead, properties, clock)
    breaks = [other for other in same if other[3] == BREAK_START]
    if session.state < BREAK and breaks:
        last = starts[-1] if starts else breaks[-1]
        rank = AFTER_AD if starts else AFTER_BREAK
        return (ts, rank, last[2] + 0.75, kind, playhead, properties, clock)
    if session.state >= BREAK and moved and not breaks:
        return (ts, AFTER_AD, starts[-1][2] + 0.75, kind, playhead, properties, clock)
    return None
