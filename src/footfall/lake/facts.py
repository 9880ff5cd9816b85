"""What events say of their visit and profile (`footfall.model.Facts`), into tables of its own.

Part of storing a batch (`loading`), in its transaction. Facts were decided when they were taken;
here they are only taken apart. What cannot be understood of them is passed over: it never stops
loading, and the event itself stands in `events` either way.
"""

from __future__ import annotations

import duckdb

from footfall.lake.parsing import FIRST_YEAR, LAST_YEAR
from footfall.lake.tables import (
    PROFILE_ALIASES,
    PROFILE_CONSENTS,
    PROFILE_TRAITS,
    SESSION_CONTEXTS,
    VISITS,
    read_query,
)

TOLD, SAID = read_query("told.sql"), read_query("said.sql")
NEW = {
    VISITS: read_query("new_visits.sql"),
    PROFILE_TRAITS: read_query("new_traits.sql"),
    PROFILE_CONSENTS: read_query("new_consents.sql").format(
        first_year=FIRST_YEAR, last_year=LAST_YEAR
    ),
    PROFILE_ALIASES: read_query("new_aliases.sql"),
    SESSION_CONTEXTS: read_query("new_contexts.sql"),
}
"""What each table is given, from the temporary tables `told` and `said`."""


def store_facts(connection: duckdb.DuckDBPyConnection, staged: str, taken: str) -> None:
    """Put what the staged rows that are `taken` (a condition) say into the tables of `NEW`."""
    told = TOLD.format(staged=staged, taken=taken)
    connection.execute(f"CREATE OR REPLACE TEMP TABLE told AS {told}")
    connection.execute(f"CREATE OR REPLACE TEMP TABLE said AS {SAID}")
    for table, rows in NEW.items():
        connection.execute(f"INSERT INTO {table.name} BY NAME {rows}")
    for name in ("said", "told"):
        connection.execute(f"DROP TABLE temp.{name}")
