"""Times as VAST and VMAP write them, and where the breaks of a VMAP fall in a content.

https://iabtechlab.com/standards/video-multiple-ad-playlist-vmap/ has the forms of timeOffset.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from footfall.model import Micros
from footfall.stream.contract import AdBreak, Failure

MOST_BREAKS = 500
"""In one content, repeats included: no viewer meets more, and each may hold ads."""

SLACK_US = 1_000_000
"""How far after the end a time still means the end: contents differ from their schedules."""

_CLOCK = re.compile(r"([0-9]{1,3}):([0-5]?[0-9]):([0-5]?[0-9])(?:\.([0-9]{1,9}))?")
_PERCENT = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,9})?)\s*%")


def milliseconds(text: str) -> int | None:
    """Of ``hh:mm:ss[.mmm]``; None for anything else."""
    found = _CLOCK.fullmatch(text.strip())
    if not found:
        return None
    hours, minutes, seconds, fraction = found.groups(default="")
    whole = int(hours) * 3600 + int(minutes) * 60 + int(seconds)
    return whole * 1000 + int(fraction.ljust(3, "0")[:3])


def percent(text: str) -> float | None:
    """Of ``n%``, 0 to 100; None for anything else."""
    found = _PERCENT.fullmatch(text.strip())
    value = float(found[1]) if found else None
    return value if value is not None and value <= 100 else None


def position(text: str, duration_us: int) -> Micros | None:
    """Where in a content of that length a timeOffset is; None where it is nowhere in it.

    ``#n`` is the n-th opportunity that the content itself offers. A playlist names none, so it is
    nowhere.
    """
    text = text.strip()
    if text == "start":
        return 0
    if text == "end":
        return duration_us
    if (share := percent(text)) is not None:
        return round(duration_us * share / 100)
    at = milliseconds(text)
    if at is None or at * 1000 > duration_us + SLACK_US:
        return None
    return min(at * 1000, duration_us)


def place(
    breaks: Iterable[AdBreak], duration_us: int
) -> tuple[tuple[tuple[Micros, AdBreak], ...], tuple[Failure, ...]]:
    """Breaks with their places in a content, in the order of play, and why others have none.

    A break that repeats stands there once for each time, with the same ads, until before the
    content's end. Two breaks at one place stay in the order of their document.
    """
    placed: list[tuple[Micros, AdBreak]] = []
    failures: list[Failure] = []
    for one in breaks:
        at = position(one.offset, duration_us)
        if at is None:
            failures.append(
                Failure(900, f"break {one.id or '?'}: nothing is at timeOffset {one.offset[:40]!r}")
            )
            continue
        placed.append((at, one))
        step = one.repeat_after_ms * 1000
        while step and at + step < duration_us and len(placed) < MOST_BREAKS:
            at += step
            placed.append((at, one))
    if len(placed) > MOST_BREAKS:
        failures.append(Failure(900, f"more than {MOST_BREAKS} breaks: the others are left out"))
    placed = placed[:MOST_BREAKS]
    return tuple(sorted(placed, key=lambda found: found[0])), tuple(failures)
