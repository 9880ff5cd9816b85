# ruff: noqa: S608 - statements are put together from our own tables; ids are parameters
"""One profile at a glance: its row of `profiles`, and what that row was made of.

For whoever has to say what is known of somebody, and since when. An id that was taken over leads
to the profile that has it now. Erasing and handing out people's data is not done here.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

import duckdb
import msgspec

from footfall.lake.tables import (
    EVENTS,
    HEIRS,
    IDENTITIES,
    PASSING,
    PROFILE_ALIASES,
    PROFILE_CONSENTS,
    PROFILE_TRAITS,
    PROFILES,
    VISITS,
)

MOST_EVENTS = 1000
"""Of a timeline: the newest."""
SAYING = (EVENTS, PASSING, VISITS, PROFILE_TRAITS, PROFILE_CONSENTS, PROFILE_ALIASES)
"""Tables that say something of a profile."""
OF_PROFILE = """
    source IN (SELECT unnest($sources)) AND profile_id IN (SELECT unnest($members))
"""
ORDER = "partition DESC, position DESC, line DESC"
GROUPS = "\nUNION\n".join(
    [
        *(
            f"SELECT coalesce(groups.identity, source) FROM {table.name} "
            f"LEFT JOIN {IDENTITIES.name} AS groups USING (source) WHERE profile_id = $id"
            for table in SAYING
        ),
        f"SELECT identity FROM {HEIRS.name} WHERE alias = $id",
    ]
)
"""Whose profiles have such an id: identity groups, or sources of none."""
NARROWED = ",\n".join(
    f"{table.name} AS (SELECT * FROM lake.main.{table.name} WHERE {OF_PROFILE})" for table in SAYING
)
SUMMARY = f"WITH {NARROWED}\nSELECT * FROM ({PROFILES.sql()})"
"""The view over one profile's rows only: over a table's name stands a WITH of that name."""
PARTS = {
    "traits": f"""
        SELECT name, value, occurred_at, type, source, profile_id, event_id
        FROM profile_traits WHERE {OF_PROFILE} ORDER BY name, {ORDER}
    """,
    "consents": f"""
        SELECT name, granted, until, occurred_at, type, source, profile_id, event_id
        FROM profile_consents WHERE {OF_PROFILE} ORDER BY name, {ORDER}
    """,
    "aliases": f"""
        SELECT alias, profile_id, reason, received_at, source, event_id
        FROM profile_aliases WHERE {OF_PROFILE} ORDER BY {ORDER}
    """,
    "visits": f"""
        SELECT min(occurred_at) AS began_at, source, protocol, session_id
        FROM visits WHERE {OF_PROFILE} GROUP BY ALL ORDER BY began_at DESC, session_id
    """,
    "events": f"""
        SELECT occurred_at, source, protocol, type, session_id, user_id, page, properties, event_id
        FROM events WHERE {OF_PROFILE}
        ORDER BY occurred_at DESC, partition DESC, position DESC, event_id DESC
        LIMIT {MOST_EVENTS}
    """,
}
"""What a profile's row was made of, each the latest first; of the events, the newest only."""
JSON = frozenset({"traits", "consents", "value", "properties", "context"})


def find(profile_id: str, connection: duckdb.DuckDBPyConnection) -> list[Mapping[str, Any]]:
    """The profiles that an id stands for: one for each identity group, or source, that has it.

    ``{"sources": [...], "profiles": [its row], "traits": [...], "consents": [...],
    "aliases": [...], "visits": [...], "events": [...], "earlier_events": 0}``: rows by the names
    of `PARTS`, times in UTC, `sources` being those that share it.
    """
    groups = connection.execute(
        f"SELECT DISTINCT * FROM ({GROUPS}) AS found (identity) ORDER BY ALL", {"id": profile_id}
    ).fetchall()
    return [_profile(identity, profile_id, connection) for (identity,) in groups]


def _profile(
    identity: str, profile_id: str, connection: duckdb.DuckDBPyConnection
) -> Mapping[str, Any]:
    sources = connection.execute(
        "SELECT source FROM identities WHERE identity = $1 ORDER BY ALL", [identity]
    ).fetchall()
    heir = connection.execute(
        "SELECT profile_id FROM heirs WHERE identity = $1 AND alias = $2", [identity, profile_id]
    ).fetchone()
    main = heir[0] if heir else profile_id
    aliases = connection.execute(
        "SELECT alias FROM heirs WHERE identity = $1 AND profile_id = $2", [identity, main]
    ).fetchall()
    asked = {
        "sources": [source for (source,) in sources] or [identity],
        "members": [main, *(alias for (alias,) in aliases)],
    }
    found: dict[str, Any] = {
        "sources": asked["sources"],
        PROFILES.name: rows(connection, SUMMARY, asked),
        **{name: rows(connection, sql, asked) for name, sql in PARTS.items()},
    }
    kept = sum(row["events"] for row in found[PROFILES.name])
    return {**found, "earlier_events": max(0, kept - len(found["events"]))}


def rows(
    connection: duckdb.DuckDBPyConnection, sql: str, parameters: Mapping[str, Any]
) -> Sequence[Mapping[str, Any]]:
    """Rows as JSON has them: moments in UTC, columns of JSON decoded."""
    result = connection.execute(sql, parameters)
    names = [column[0] for column in result.description]
    return [
        {name: _value(name, cell) for name, cell in zip(names, row, strict=True)}
        for row in result.fetchall()
    ]


def _value(name: str, value: Any) -> Any:
    if isinstance(value, dt.datetime):
        return value.replace(tzinfo=dt.UTC)
    return msgspec.json.decode(value) if name in JSON and isinstance(value, str) else value
