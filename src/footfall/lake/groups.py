"""The identity groups that sources belong to, as the settings have them, for the views to join.

Not from events: a source whose events begin no visit, a backend that signs people in say, says its
group with none of them. Groups of sources that are set up no more stay: their history does.
"""

from __future__ import annotations

from collections.abc import Mapping

import duckdb

from footfall.lake.lake import Lake
from footfall.lake.tables import SOURCE_GROUPS

KNOWN = f"SELECT source, identity FROM {SOURCE_GROUPS.name}"  # noqa: S608 - a table of ours
FORGET = f"DELETE FROM {SOURCE_GROUPS.name} WHERE source IN (SELECT unnest($1))"  # noqa: S608
PUT = f"INSERT INTO {SOURCE_GROUPS.name} SELECT unnest($1), unnest($2)"


def put_groups(
    lake: Lake, groups: Mapping[str, str], connection: duckdb.DuckDBPyConnection
) -> None:
    """Bring the lake up to date with `groups`, by source; for `Lake.run`.

    Nothing is written where nothing has changed.
    """
    known = dict(connection.execute(KNOWN).fetchall())
    changed = {source: group for source, group in groups.items() if known.get(source) != group}
    if changed:
        with lake.transaction(connection):
            connection.execute(FORGET, [list(changed)])
            connection.execute(PUT, [list(changed), list(changed.values())])
