"""A session without consent, as anybody may see it: what was measured and watched, and not by whom.

It counts as withheld while the latest of its events to arrive is. Its rows then bear an alias, made
from a place in the journal, and nothing that a client could be known by. The session itself goes
on being folded under its own id, which its client's events name.
"""

from __future__ import annotations

import re

from footfall.journal.contract import Position
from footfall.project import media_metrics as metrics
from footfall.project.media_metrics import Row, Rows
from footfall.project.media_session import Limits, Session

ALIAS = "withheld-"
"""How every alias begins; no id of a client's does."""

LEFT_OUT = frozenset(
    {
        "marketing_cloud_user_id",
        "analytics_visitor_id",
        "analytics_aid",
        "app_installation_id",
        "customer_ids",
        "user_id",
        "metadata",
    }
)
"""Columns that are NULL: ids, and what clients may put ids into."""
NAMES = frozenset({"session_id", "viewer_id"})
"""Columns that have the alias."""
ADDRESSES = frozenset({"creative_url"})
"""Columns that end where a query begins."""


def alias(place: Position | None, number: int) -> str:
    """The name of a session that the record at `place` was the first to withhold."""
    partition, sequence = place or (0, 0)
    return f"{ALIAS}{partition}-{sequence}-{number}"


def name_of(session: Session) -> str:
    """What a session is called in its rows."""
    return session.alias if session.withheld else session.session_id


def rows(session: Session, limits: Limits) -> Rows:
    """What a session comes to now, as `media_metrics.rows` has it, without ids if need be."""
    found = metrics.rows(session, limits)
    if not session.withheld:
        return found
    name = session.alias
    return Rows(
        _without_ids(found.session, name),
        [_without_ids(row, name) for row in found.ads],
        [_without_ids(row, name) for row in found.chapters],
        [_without_ids(row, name) for row in found.states],
    )


def _without_ids(row: Row, name: str) -> Row:
    shown: Row = {}
    for column, value in row.items():
        if column in NAMES:
            shown[column] = name
        elif column in LEFT_OUT:
            shown[column] = None
        elif column in ADDRESSES and value is not None:
            shown[column] = re.split("[?#]", value, maxsplit=1)[0]
        else:
            shown[column] = value
    return shown
