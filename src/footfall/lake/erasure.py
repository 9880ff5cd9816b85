# ruff: noqa: S608 - statements are put together from our own tables; ids are literals
"""Rows about people leave the lake, and with them every trace of what the rows held.

`delete_rows` goes through a table day by day, so that loading comes in between; what is deleted
is out of every answer at once. `leave_nothing` then takes what deleting leaves behind: replaced
files, earlier states of the tables, the least and the greatest value of each column, and what a
database file keeps of rows that are no more. All of it may be repeated after a crash anywhere.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from functools import partial
from typing import NamedTuple

import duckdb

from footfall.lake.lake import Lake
from footfall.lake.maintenance import FLUSH, REWRITE, call
from footfall.lake.persons import IDENTITY, PERSONAL, Before, Id, Kind, Who, condition
from footfall.lake.tables import CLIENT_IDS, EVENTS, IDENTITIES, Table

EXPIRE = "ducklake_expire_snapshots('lake', older_than => now())"
CLEAN_UP = "ducklake_cleanup_old_files('lake', cleanup_all => true)"
DELETE_ORPHANS = "ducklake_delete_orphaned_files('lake', cleanup_all => true)"

AT_ONCE = 10_000
"""Rows that are in Python at once."""

GROUPS = f"""
    SELECT source, coalesce(any_value(identity), source)
    FROM (SELECT DISTINCT source FROM {EVENTS.name} UNION SELECT source FROM {IDENTITIES.name})
    LEFT JOIN {IDENTITIES.name} USING (source)
    GROUP BY source
"""
SOURCES = " UNION ".join(f"SELECT source FROM {table.name}" for table in (*PERSONAL, IDENTITIES))
DAYS = "SELECT DISTINCT received_at::DATE FROM {} WHERE {} ORDER BY ALL"
NEWEST_FILE = "SELECT coalesce(max(data_file_id), -1) FROM catalog.ducklake_data_file"
WRITTEN = """
    SELECT count(*), coalesce(sum(file_size_bytes), 0)
    FROM catalog.ducklake_data_file WHERE data_file_id > $1
"""
STATISTICS = """
    UPDATE catalog.ducklake_table_column_stats AS stats
    SET min_value = found.least, max_value = found.greatest
    FROM (
        SELECT
            column_.table_id,
            column_.column_id,
            -- Unknown of one file is unknown of all.
            CASE WHEN count(*) FILTER (file.min_value IS NULL AND file.value_count > 0) = 0
                THEN min(file.min_value) END AS least,
            CASE WHEN count(*) FILTER (file.max_value IS NULL AND file.value_count > 0) = 0
                THEN max(file.max_value) END AS greatest
        FROM catalog.ducklake_column AS column_
        LEFT JOIN (
            SELECT stats.* FROM catalog.ducklake_file_column_stats AS stats
            JOIN catalog.ducklake_data_file AS file USING (data_file_id)
            WHERE file.end_snapshot IS NULL
        ) AS file USING (table_id, column_id)
        WHERE column_.end_snapshot IS NULL AND column_.column_type IN ('varchar', 'json')
            AND column_.table_id IN (
                SELECT table_id FROM catalog.ducklake_table
                WHERE end_snapshot IS NULL AND list_contains($1, table_name)
            )
        GROUP BY ALL
    ) AS found
    WHERE stats.table_id = found.table_id AND stats.column_id = found.column_id
"""
"""What the tables know of their columns, from the files that are left. Times and numbers stay."""


class Erased(NamedTuple):
    """What one step took out of a table."""

    table: str
    day: dt.date
    rows: int
    files: int
    """Files that were written anew, without the rows."""
    bytes: int
    """Of these."""
    days: int
    """How many days of the table there are to do, this one among them."""


async def delete_rows(lake: Lake, ids: Iterable[Id], before: Before) -> AsyncIterator[Erased]:
    """Delete every row about the people of `ids` that stands before a place in the journal."""
    ids = list(ids)
    who = await lake.run(lambda connection: Who(connection, [ids]))
    try:
        for table in PERSONAL:
            where = condition(table, who, ids, before=before)
            await lake.run(partial(call, lake, FLUSH.format(table.name)))
            days = await lake.read(partial(_days, table, where))
            for day in days:
                taken = await lake.run(partial(_delete_day, lake, table, f"{_on(day)} AND {where}"))
                yield Erased(table.name, day, *taken, len(days))
    finally:
        await lake.run(who.close)


def _days(table: Table, where: str, cursor: duckdb.DuckDBPyConnection) -> list[dt.date]:
    return [day for (day,) in cursor.execute(DAYS.format(table.name, where)).fetchall()]


def _on(day: dt.date) -> str:
    return f"received_at >= DATE '{day}' AND received_at < DATE '{day + dt.timedelta(1)}'"


def _delete_day(
    lake: Lake, table: Table, where: str, connection: duckdb.DuckDBPyConnection
) -> tuple[int, int, int]:
    """Rows deleted, files and bytes written anew.

    Rows that are still in the catalogue are flushed first: else they come back when they are.
    """
    touched = (EVENTS, CLIENT_IDS) if table is EVENTS else (table,)
    for one in touched:
        call(lake, FLUSH.format(one.name), connection)
    (newest,) = connection.execute(NEWEST_FILE).fetchone() or (-1,)
    with lake.transaction(connection):
        if table is EVENTS:
            connection.execute(
                f"DELETE FROM {CLIENT_IDS.name} WHERE (source, event_id) IN "
                f"(SELECT (source, event_id) FROM {EVENTS.name} WHERE {where})"
            )
        row = connection.execute(f"DELETE FROM {table.name} WHERE {where}").fetchone()
    for one in touched:
        call(lake, REWRITE.format(one.name), connection)
    files, size = connection.execute(WRITTEN, [newest]).fetchone() or (0, 0)
    return row[0] if row else 0, int(files), int(size)


async def leave_nothing(lake: Lake) -> None:
    """Take what deleted rows leave behind. Queries that began before end first, others wait."""
    await lake.exclusively(partial(_leave_nothing, lake))


def _leave_nothing(lake: Lake, connection: duckdb.DuckDBPyConnection) -> None:
    for table in PERSONAL:
        call(lake, FLUSH.format(table.name), connection)
        # Where a crash came between deleting and this.
        call(lake, REWRITE.format(table.name), connection)
    for function in (EXPIRE, CLEAN_UP, DELETE_ORPHANS):
        call(lake, function, connection)
    with lake.transaction(connection):
        connection.execute(STATISTICS, [[table.name for table in PERSONAL]])
    lake.renew_catalog(connection)


async def found_ids(lake: Lake, wanted: Callable[[Kind, str], bool]) -> list[Id]:
    """The ids that occur in the lake and are wanted, each once."""

    def work(cursor: duckdb.DuckDBPyConnection) -> list[Id]:
        found: set[Id] = set()
        for table in PERSONAL:
            for column, kind in IDENTITY.items():
                if any(one.name == column for one in table.columns):
                    result = cursor.execute(
                        f"SELECT DISTINCT {column} FROM {table.name} WHERE {column} IS NOT NULL"
                    )
                    while some := result.fetchmany(AT_ONCE):
                        found.update(Id(kind, name) for (name,) in some if wanted(kind, name))
        return sorted(found)

    return await lake.read(work)


async def expand(lake: Lake, ids: Iterable[Id], before: Before | None = None) -> list[Id]:
    """The ids of the same people, with those that were given."""

    def work(cursor: duckdb.DuckDBPyConnection) -> list[Id]:
        who = Who(cursor, [ids])
        try:
            who.expand(cursor, before)
            return who.ids(cursor)
        finally:
            who.close(cursor)

    return await lake.read(work)


async def sources(lake: Lake) -> set[str]:
    """Every source that anything is kept of."""
    found = await lake.read(lambda cursor: cursor.execute(SOURCES).fetchall())
    return {source for (source,) in found if source is not None}


async def groups(lake: Lake) -> Mapping[str, str]:
    """Every source that somebody was seen by, and the identity group that it belongs to."""
    return dict(await lake.read(lambda cursor: cursor.execute(GROUPS).fetchall()))


def by_kind(ids: Iterable[Id]) -> Mapping[str, tuple[str, ...]]:
    """The ids alone, each once: ``{"profile": …, "user": …, "session": …}``."""
    found: dict[str, dict[str, None]] = {}
    for one in ids:
        found.setdefault(one.kind, {})[one.id] = None
    return {kind: tuple(names) for kind, names in found.items()}
