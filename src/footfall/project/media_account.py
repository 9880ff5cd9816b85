"""The whole account of one session: what each of its events changed, or why it changed nothing.

The fold keeps counts and the latest ignored events only. Whoever wants every step gives the
session's events, as the lake has them, and they are gone through once more, in the order of their
`ts`: which of them came late cannot be told from that any more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from footfall.model import Event, Micros
from footfall.project import media_order as order
from footfall.project.media import Fold, MediaEvent
from footfall.project.media_session import SECOND, Item, Limits, Session
from footfall.project.media_terms import KIND_AND_RANK, KINDS, REASONS, STATES

_TIMES = ("content_us", "ad_us", "pause_us", "buffer_us", "stall_us", "uncounted_us")
_COUNTS = (
    "pause_events",
    "buffer_events",
    "stall_events",
    "ad_breaks",
    "ad_starts",
    "ad_completes",
    "chapter_starts",
    "chapter_completes",
    "bitrate_changes",
    "errors",
    "progress",
)


class Step(NamedTuple):
    """One event of the account."""

    at: Micros
    type: str
    playhead_s: float
    before: str
    """The state it found: one of `STATES`."""
    after: str
    changed: dict[str, float]
    """Times that passed until it (`…_s`) and counts that rose with it. A stall takes back
    content time."""
    ignored: str | None
    """The sentence that says why it changed nothing."""


def explain(events: Sequence[Event | MediaEvent], limits: Limits | None = None) -> list[Step]:
    """Every event of one session, in order; empty without a sessionStart among them."""
    fold = Fold(limits)
    ours = [event for event in events if event.protocol == "adobe"]
    opening = next((event for event in ours if event.type == "sessionStart"), None)
    if opening is None:
        return []
    fold.take_events(0, [opening], [])
    (session,) = fold.sessions()
    first, at = STATES[session.state], opening.occurred_at
    steps = [Step(at, opening.type, session.playhead, first, first, {}, None)]
    held: list[Item] = []
    for place, event in enumerate(ours):
        known = KIND_AND_RANK.get(event.type)
        if event is not opening and known and event.session_id == session.session_id:
            number, rank = known
            playhead = max(0.0, event.playhead_s or 0.0)
            held.append((event.occurred_at, rank, place, number, playhead, event.properties, 0))
    session.held = sorted(held)
    while session.held:
        item, waiting = session.held[0], len(session.held)
        before, numbers, reasons = session.state, _numbers(session), dict(session.reasons)
        order.release(session, fold.limits)
        if len(session.held) == waiting:
            continue  # it was put behind its beginning
        reason = next(
            (name for name, n in session.reasons.items() if n != reasons.get(name, 0)), None
        )
        changed = {
            name: number - numbers[name]
            for name, number in _numbers(session).items()
            if number != numbers[name]
        }
        ignored = REASONS[reason] if reason else None
        kind, after = KINDS[item[3]], STATES[session.state]
        steps.append(Step(item[0], kind, item[4], STATES[before], after, changed, ignored))
    return steps


def _numbers(session: Session) -> dict[str, float]:
    times = {name.replace("_us", "_s"): getattr(session, name) / SECOND for name in _TIMES}
    return times | {name: getattr(session, name) for name in _COUNTS}
