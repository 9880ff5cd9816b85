"""Quality of experience: bitrate, frames, time to start and errors, from wherever they stand.

Documented place and names are `qoeData` and `media.qoe.…`; pages and clients also have the names
without prefix, and either in `params`. The better place wins.
"""

from __future__ import annotations

from math import isfinite
from typing import Any

from footfall.project.media_session import Limits, Properties, Session

_NAMES = ("bitrate", "droppedFrames", "framesPerSecond", "timeToStart", "errorID", "errorSource")
_SPELLED = (
    {f"media.qoe.{name}": name for name in _NAMES}
    | {name: name for name in _NAMES}
    | {"media.errorId": "errorID", "media.errorSource": "errorSource"}
)


def quality_of(properties: Properties) -> dict[str, Any]:
    """What an event says of the quality, by the name without prefix."""
    found: dict[str, Any] = {}
    # The later assignment wins: params before qoeData, names without prefix before those with.
    for place in ("params", "qoeData"):
        values = properties.get(place)
        if not values or not isinstance(values, dict):
            continue
        known = [key for key in values if key in _SPELLED]
        for key in sorted(known, key=lambda key: key.startswith("media.qoe.")):
            if values[key] is not None:
                found[_SPELLED[key]] = values[key]
    return found


def note_quality(session: Session, properties: Properties) -> None:
    """Take over what an event says. The latest value of each wins; dropped frames and time to
    start are the client's own sums.
    """
    found = quality_of(properties)
    if not found:
        return
    bitrate = _number(found.get("bitrate"))
    if bitrate is not None and bitrate != session.bitrate:
        set_bitrate(session, bitrate)
    frames = _number(found.get("droppedFrames"))
    if frames is not None:
        session.dropped_frames = frames
    rate = _number(found.get("framesPerSecond"))
    if rate is not None:
        session.frames_per_second = rate
    to_start = _number(found.get("timeToStart"))
    if to_start is not None:
        session.time_to_start_ms = to_start


def set_bitrate(session: Session, bitrate: float) -> None:
    """From now on another bitrate is active. Weighted by the content's play time; 0 is unknown."""
    played = session.content_us - session.bitrate_from_us
    if played:
        if session.bitrate:
            session.bits += played * session.bitrate
            session.bits_us += played
        session.bitrate_before = session.bitrate
        session.bitrate_from_us = session.content_us
    session.bitrate = bitrate


def count_bitrate_change(session: Session, _properties: Properties, _limits: Limits) -> str | None:
    session.bitrate_changes += 1
    return None


def count_error(session: Session, properties: Properties, limits: Limits) -> str | None:
    """Every error counts; ids are kept once each, by source."""
    session.errors += 1
    found = quality_of(properties)
    error, source = found.get("errorID"), found.get("errorSource")
    if isinstance(error, str) and error:
        known = session.external_errors if source == "external" else session.player_errors
        if error[:200] not in known and len(known) < limits.errors:
            known.append(error[:200])
    return None


def _number(value: Any) -> float | None:
    """A number that can be one of these: finite and not negative."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return value if isfinite(value) and value >= 0 else None
