"""ISO 8601 dates as Tracardi's clients send them. Without a zone they are UTC."""

from __future__ import annotations

import datetime as dt

from footfall.model import Micros

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_FIRST = dt.datetime(1, 1, 1, tzinfo=dt.UTC) - _EPOCH
_LAST = dt.datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=dt.UTC) - _EPOCH


def moment(text: str) -> dt.datetime | None:
    """A date and time, or None where it is none, or not within the years 1 to 9999 of UTC."""
    try:
        found = dt.datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return found if micros(found) is not None else None


def micros(given: dt.datetime) -> Micros | None:
    """As microseconds since 1970; None outside of the years 1 to 9999 of UTC."""
    if given.tzinfo is None:
        given = given.replace(tzinfo=dt.UTC)
    since = given - _EPOCH
    if not _FIRST <= since <= _LAST:
        return None
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
