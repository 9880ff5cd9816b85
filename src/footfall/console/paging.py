"""Pages of rows by key: a page begins where the one before it ended.

The key of a row is a few whole numbers which together no other row has, so what arrives or is
deleted meanwhile neither repeats a row nor leaves one out. A `Cursor` is those numbers of a page's
last row, joined by dots.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from footfall.model import Micros

Cursor = tuple[int, ...]


class NotUnderstood(Exception):  # noqa: N818 - it names what is the case
    """A parameter of a request that cannot be read; the message says which and how to mend it."""


_CURSOR = re.compile(r"-?\d{1,20}(\.-?\d{1,20})*")


class Order(NamedTuple):
    """How a list is sorted."""

    time: str
    """The column that it is sorted by first."""
    rest: tuple[str, ...]
    """Further expressions, each a whole number and never NULL, until no two rows are alike."""
    descending: bool

    @property
    def keys(self) -> tuple[str, ...]:
        return (f"epoch_us({self.time})", *self.rest)

    def clause(self) -> str:
        end = " DESC" if self.descending else ""
        return ", ".join(f"{key}{end}" for key in (self.time, *self.rest))

    def beyond(self, cursor: Cursor) -> str:
        """The condition for what comes after a row.

        The time stands alone once more: by it alone can files be passed over.
        """
        keys, values = ", ".join(self.keys), ", ".join(str(value) for value in cursor)
        sign = "<" if self.descending else ">"
        return (
            f"{self.time} {sign}= make_timestamp({cursor[0]}) AND ({keys}) {sign} ({values})"
        )  # fmt: skip


class Descending(NamedTuple):
    """How a list is sorted that is not sorted by time first: by `keys`, the largest first."""

    keys: tuple[str, ...]
    """Expressions, each a whole number and never NULL, until no two rows are alike."""

    def clause(self) -> str:
        return ", ".join(f"{key} DESC" for key in self.keys)

    def beyond(self, cursor: Cursor) -> str:
        """The condition for what comes after a row."""
        return f"({', '.join(self.keys)}) < ({', '.join(map(str, cursor))})"


class Wanted(NamedTuple):
    """Which part of a list is wanted."""

    filters: Mapping[str, str]
    """By column: the value that it must have."""
    limit: int
    until: Micros | None = None
    """Where a list of the newest begins: only rows from before this moment."""
    cursor: Cursor | None = None
    """The last row of the page before."""


def read_cursor(text: str, order: Order | Descending, name: str) -> Cursor:
    """Raises `NotUnderstood` for what no page of this order gave; `name` is the parameter's."""
    if _CURSOR.fullmatch(text):
        cursor = tuple(int(part) for part in text.split("."))
        if len(cursor) == len(order.keys) and abs(cursor[0]) < 1 << 62:
            return cursor
    raise NotUnderstood(f"`{name}` must be what `next` of the page before says.")


def cursor_text(values: Sequence[int]) -> str:
    return ".".join(str(value) for value in values)


def windows(end: Micros) -> tuple[Micros | None, ...]:
    """Where to begin looking for the newest rows before `end`, nearest first; None: anywhere.

    Sorting reads everything that it is given. A busy server fills a page from its last minute, and
    only one that has been quiet for weeks has all of its table read.
    """
    return (*(end - seconds * 1_000_000 for seconds in (60, 3600, 86_400, 7 * 86_400)), None)
