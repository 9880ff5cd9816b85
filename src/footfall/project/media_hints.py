"""Hints: what in a session looks like a fault of the integration. They change no metric."""

from __future__ import annotations

from typing import Any

from footfall.project.media_params import AD, value_of
from footfall.project.media_session import SECOND, Session

DAY_S = 86400
LIVE = frozenset({"live", "linear", "radio"})
BEYOND_S = 10
"""How far beyond the length a playhead may go, besides a tenth of it: players round, and trailers
follow."""
STUCK_S = 30
"""Playing for so long without any movement of the playhead is worth telling."""


def hints(session: Session, start: dict[str, Any]) -> list[str]:
    """Sentences for whoever wrote the player, in a fixed order."""
    length = start["length_s"] or 0
    live = (start["content_type"] or "").lower() in LIVE
    found = []
    if length > DAY_S:
        found.append(
            f"media.length is {length:g} s, more than a day: it is in seconds, not milliseconds."
        )
    if live and length <= 0:
        found.append("Live content of unknown length is sent with media.length 86400.")
    if length > 0 and session.content_started and session.highest > length * 1.1 + BEYOND_S:
        found.append(
            f"The playhead reached {session.highest:g} s of {length:g} s: one of them is wrong"
            + (" (live content of unknown length has media.length 86400)." if live else ".")
        )
    if length > 0 and any(
        value_of(AD, ad.values, "length_s") == length
        for ad in (*session.ads, *filter(None, [session.ad]))
    ):
        found.append("An ad's length is that of the content: was the content's duration sent?")
    played = session.content_us + session.stall_us
    if session.content_started and session.lowest == session.highest and played >= STUCK_S * SECOND:
        found.append(
            "The playhead never moved while content played: its time is counted as stall. "
            "The player must update it before each event."
        )
    if session.reasons.get("outside_break"):
        found.append("Ads came outside an ad break and count as content: send adBreakStart.")
    if session.break_moves:
        found.append(
            "The content's playhead moved inside an ad break, between ads: is adBreakComplete "
            "missing? Content does not count while a break is open."
        )
    return found
