"""The words of the media-session machine: its states, its kinds of event, its reasons to ignore."""

from __future__ import annotations

STATES = (
    "starting",
    "playing",
    "paused",
    "buffering",
    "stalled",
    "complete",
    "break",
    "ad_playing",
    "ad_paused",
    "ad_buffering",
    "closed",
)
"""The first six are the content's, outside ad breaks. In a `break` no ad is open. `closed` is
what sessionEnd or a time-out leads to; nothing leads out of it."""

(
    STARTING,
    PLAYING,
    PAUSED,
    BUFFERING,
    STALLED,
    COMPLETE,
    BREAK,
    AD_PLAYING,
    AD_PAUSED,
    AD_BUFFERING,
    CLOSED,
) = range(len(STATES))
# Plain integers, not an Enum: they are compared several times per event.

RANKS = {
    "sessionStart": 0,
    "adComplete": 1,
    "adSkip": 1,
    "adBreakComplete": 2,
    "chapterComplete": 3,
    "chapterSkip": 3,
    "chapterStart": 4,
    "adBreakStart": 5,
    "adStart": 6,
    "bitrateChange": 7,
    "error": 7,
    "stateStart": 7,
    "stateEnd": 7,
    "statesUpdate": 7,
    "ping": 7,
    "play": 8,
    "pauseStart": 8,
    "bufferStart": 8,
    "sessionComplete": 9,
    "sessionEnd": 10,
    "close": 11,
}
"""Every kind of event, and its logical place among those of one `ts`: what ends comes before what
begins, outer before inner beginnings, playback after what it plays. `close` is our own: what a
closing record does to a session that has not ended by itself. New kinds go at the end, because
`Session.counts` follows this order."""

KINDS = tuple(RANKS)
KIND = {name: number for number, name in enumerate(KINDS)}
KIND_AND_RANK = {name: (KIND[name], rank) for name, rank in RANKS.items()}

REASONS = {
    "repeated": "It repeats the state that the player or the ad is in.",
    "outside_break": "Ads are tracked inside an ad break only: adBreakStart is missing, and the "
    "time counts as main content.",
    "no_break_open": "There is no ad break to complete.",
    "no_ad_open": "There is no ad to complete or skip.",
    "between_ads": "Inside an ad break, but in no ad: the content stands still.",
    "no_chapter_open": "There is no chapter to complete or skip.",
    "after_complete": "After sessionComplete nothing changes before another play.",
    "after_end": "Its time is after the end of the session.",
    "state_active": "The player state is active already.",
    "state_not_active": "The player state is not active.",
    "too_many_states": "The session has ten player states already; further names are dropped.",
    "unknown_type": "No such type of event is known.",
    "no_session": "The session is not open: it was closed more than 5 s before, or its "
    "sessionStart was never seen.",
}
"""Why an event changed nothing. What it carried besides (bitrate, dropped frames, playhead) counts
all the same, but for `after_end`, `unknown_type` and `no_session`."""

QUIET = frozenset({"repeated", "state_active", "state_not_active"})
"""What sound players do all the time: counted, not told one by one."""
