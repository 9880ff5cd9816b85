"""What a request's parameters ask for, checked: filters, how many rows, from where on.

The same for pages and API. Raises `NotUnderstood`, worded for whoever wrote the URL.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime

from footfall.console.answers import PERIODS, Period
from footfall.console.paging import Descending, NotUnderstood, Order, Wanted, read_cursor
from footfall.model import Micros

ROWS = 50
MOST_ROWS = 200
FILTER_CHARACTERS = 2_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def wanted(
    params: Mapping[str, str],
    order: Order | Descending,
    filters: Collection[str],
    *,
    place: str = "before",
    rows: int = ROWS,
) -> Wanted:
    """`place` is the name of the parameter that a page's `next` is given back in."""
    return Wanted(
        {name: _text(name, params[name]) for name in filters if params.get(name)},
        _limit(params.get("limit", ""), rows),
        moment(params.get("until", "")),
        read_cursor(params[place], order, place) if params.get(place) else None,
    )


def refuse_unknown(params: Mapping[str, str], known: Collection[str]) -> None:
    """A parameter that is passed over in silence would give an answer to another question."""
    for name in params:
        if name not in known:
            raise NotUnderstood(
                f"There is no parameter `{name}` here; there are: {', '.join(sorted(known))}."
            )


def period(params: Mapping[str, str], among: Sequence[Period] = PERIODS) -> Period:
    name = params.get("period") or among[0].name
    for known in among:
        if known.name == name:
            return known
    raise NotUnderstood(f"`period` must be one of {', '.join(p.name for p in among)}.")


def _text(name: str, value: str) -> str:
    if len(value) > FILTER_CHARACTERS:
        raise NotUnderstood(f"`{name}` is longer than {FILTER_CHARACTERS} characters.")
    if "\0" in value:
        raise NotUnderstood(f"`{name}` holds a NUL, which cannot be asked for.")
    return value


def text(name: str, value: str) -> str:
    """A value that something is looked up by."""
    if not value:
        raise NotUnderstood(f"`{name}` is missing.")
    return _text(name, value)


def _limit(value: str, rows: int) -> int:
    if not value:
        return rows
    if not (value.isascii() and value.isdecimal() and 1 <= int(value[:9]) <= MOST_ROWS):
        raise NotUnderstood(f"`limit` must be a whole number from 1 to {MOST_ROWS}.")
    return int(value)


def moment(value: str) -> Micros | None:
    """ISO 8601; without an offset it is UTC."""
    if not value:
        return None
    try:
        found = datetime.fromisoformat(value)
        with_zone = found if found.tzinfo else found.replace(tzinfo=UTC)
        since = with_zone - _EPOCH
    except (ValueError, OverflowError):
        raise NotUnderstood("`until` must be a time such as 2026-01-31T18:30:00Z.") from None
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
