"""One session at a glance: its row of `sessions`, and its events.

Of any protocol. What a media session came to is `media`'s matter.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import duckdb

from footfall.lake.profiles import rows

MOST_EVENTS = 1000
"""Of a session: the first."""
ROWS = "SELECT * FROM sessions WHERE session_id = $id ORDER BY source, protocol"
EVENTS = f"""
    SELECT occurred_at, protocol, type, user_id, page, location, playhead_s, properties, event_id
    FROM events
    WHERE source = $source AND (
        (protocol = $protocol AND session_id = $id)
        OR (
            $protocol = 'jay'
            AND contains(properties::VARCHAR, '"jay_session_id"')
            AND (properties ->> '$.jay_session_id') = $id
        )
    )
    ORDER BY occurred_at, partition, position, event_id
    LIMIT {MOST_EVENTS}
"""  # noqa: S608 - a number of our own


def find(session_id: str, connection: duckdb.DuckDBPyConnection) -> list[Mapping[str, Any]]:
    """The sessions of an id, of whatever source and protocol, each with its events.

    ``{"sessions": [its row], "timeline": [...], "later_events": 0}``, times in UTC.
    """
    found: list[Mapping[str, Any]] = []
    for row in rows(connection, ROWS, {"id": session_id}):
        asked = {"source": row["source"], "protocol": row["protocol"], "id": session_id}
        timeline = rows(connection, EVENTS, asked)
        later = max(0, row["events"] - len(timeline))
        found.append({"sessions": [row], "timeline": timeline, "later_events": later})
    return found
