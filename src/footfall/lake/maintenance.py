# ruff: noqa: S608 - every statement here is put together from our own tables; rows are parameters
"""What keeps the lake small and in order, as a table of tasks: `TASKS`.

One task at a time, in the thread that loads, between loads: each is bounded so that loading waits
for a second at most. Nothing here decides what is loaded, and every task may be left out for days
without harm to what is stored.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import duckdb
import structlog

from footfall.errors import FootfallError, told
from footfall.journal.clock import system_clock
from footfall.journal.contract import Journal, Position
from footfall.lake.lake import Lake
from footfall.lake.loader import Loader
from footfall.lake.tables import (
    BY_DAY,
    CLIENT_IDS,
    EVENTS,
    FOLLOWERS,
    LOADER,
    MARKS,
    MEDIA_CLOSED,
    MEDIA_STRAYS,
    PASSING,
    REJECTS,
    SESSION_CONTEXTS,
    Table,
    create_statement,
)
from footfall.model import Micros
from footfall.settings import Source

log = structlog.get_logger(__name__)

DAY: Micros = 86_400 * 1_000_000
READABLE = "INTERVAL 15 MINUTES"
"""How long a replaced file is kept for queries that began before; more than any may take."""
ORPHANED = "INTERVAL 1 DAY"
"""Age at which a file that no table knows is what a killed process left behind."""
CLIENT_ID_DAYS = 7
NAMELESS_DAYS = 30
"""How long rejects are kept whose key named no source; no setting of a source speaks for them."""
LOOK_SECONDS = 1.0
"""How often it is looked whether a task is due."""

FLUSH = "ducklake_flush_inlined_data('lake', table_name => '{}')"
MERGE = "ducklake_merge_adjacent_files('lake', '{}', max_compacted_files => 1, max_file_size => {})"
MERGED_ROWS = 200_000
"""Rows of a merged file, about: half a second of work."""
MERGED_BYTES = 16_000_000
FILES = """
    SELECT sum(file_size_bytes), sum(record_count)
    FROM catalog.ducklake_data_file AS file JOIN catalog.ducklake_table AS t USING (table_id)
    WHERE t.table_name = $1 AND t.end_snapshot IS NULL AND file.end_snapshot IS NULL
"""
REWRITE = "ducklake_rewrite_data_files('lake', '{}', delete_threshold => 0.0)"
EXPIRE = f"ducklake_expire_snapshots('lake', older_than => now() - {READABLE})"
CLEAN_UP = f"ducklake_cleanup_old_files('lake', older_than => now() - {READABLE})"
DELETE_ORPHANS = f"ducklake_delete_orphaned_files('lake', older_than => now() - {ORPHANED})"

Follower = Callable[[], Mapping[int, int]]
"""Gives, by partition, the sequence up to which somebody has durably followed the journal."""


class Maintenance:
    """Does the tasks of one lake when they are due. At most one at a time may run on a lake."""

    def __init__(
        self,
        lake: Lake,
        loader: Loader,
        journal: Journal,
        *,
        sources: Callable[[], Sequence[Source]],
        journal_retention_hours: float,
        followers: Sequence[Follower] = (),
        now: Callable[[], Micros] = system_clock,
    ) -> None:
        self.lake = lake
        self.loader = loader
        self.journal = journal
        self.sources = sources
        self.journal_retention: Micros = int(journal_retention_hours * 3_600_000_000)
        self.followers = followers
        self.now = now
        self._due = {task.name: time.monotonic() + task.every_s for task in TASKS}

    async def follow(self, stop: asyncio.Event) -> None:
        """Do what is due until `stop`. A task that fails is logged and waits for its next time."""
        while not stop.is_set():
            for task in TASKS:
                if time.monotonic() >= self._due[task.name] and not stop.is_set():
                    await self._try(task)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), LOOK_SECONDS)

    async def _try(self, task: Task) -> None:
        began = time.monotonic()
        try:
            await task.run(self)
        except (duckdb.Error, OSError, FootfallError) as error:
            log.exception("lake.task_failed", task=task.name, error=told(error))
        self._due[task.name] = time.monotonic() + task.every_s
        log.debug("lake.task_done", task=task.name, seconds=round(time.monotonic() - began, 3))

    async def run(self, name: str) -> None:
        """Do one task now, due or not."""
        await next(task for task in TASKS if task.name == name).run(self)


async def flush(maintenance: Maintenance) -> None:
    """Move rows from the catalogue into Parquet files."""
    for table in BY_DAY:
        await _call(maintenance.lake, FLUSH.format(table.name))


async def merge(maintenance: Maintenance) -> None:
    """Join neighbouring small files, one result at a time so that loads come in between."""
    for table in BY_DAY:
        merged = 1
        while merged:
            merged = await maintenance.lake.run(partial(merge_once, maintenance.lake, table))


def merge_once(lake: Lake, table: Table, connection: duckdb.DuckDBPyConnection) -> int:
    """Join small files of a table into one of at most some `MERGED_ROWS`; how many came of it.

    Bounded by rows, which is what merging takes its time for: rows that are alike take a few
    bytes each, and files by size alone would hold millions and be written anew every time.
    """
    size, rows = connection.execute(FILES, [table.name]).fetchone() or (0, 0)
    if not rows:
        return 0
    target = int(min(MERGED_BYTES, max(size / rows * MERGED_ROWS, MERGED_BYTES / 256)))
    option = f"'target_file_size', '{target}B', table_name => '{table.name}'"
    connection.execute(f"CALL lake.set_option({option})")
    return call(lake, MERGE.format(table.name, target * 3 // 4), connection)


async def expire(maintenance: Maintenance) -> None:
    """Forget earlier states of the tables, then delete the files that only those had."""
    await _call(maintenance.lake, EXPIRE)
    if not maintenance.lake.files_kept:
        await _call(maintenance.lake, CLEAN_UP)


async def delete_orphans(maintenance: Maintenance) -> None:
    """Delete files that a process left behind which died before it could commit."""
    if not maintenance.lake.files_kept:
        await _call(maintenance.lake, DELETE_ORPHANS)


class Limit(NamedTuple):
    """Rows of a table that are kept for some days."""

    table: Table
    days: int
    where: str
    """Which rows; its parameters are `values`, from `$2` on."""
    values: tuple[str, ...] = ()


RETAINED = (EVENTS, REJECTS, PASSING, SESSION_CONTEXTS, MEDIA_STRAYS, *MEDIA_CLOSED)
"""What goes with a source's events. Visits and what was said of profiles stay: they are what is
left of people whose events are gone."""
OF_TYPE = "source = $2 AND replace(lower(trim(type)), ' ', '-') = $3"


def limits(sources: Sequence[Source]) -> list[Limit]:
    """What is to be deleted by age."""
    found = [
        Limit(table, source.retention_days, "source = $2", (source.id,))
        for source in sources
        if source.retention_days is not None
        for table in RETAINED
    ]
    found += [
        Limit(table, days, OF_TYPE, (source.id, kind.strip().lower().replace(" ", "-")))
        for source in sources
        for kind, days in source.retention_days_by_type.items()
        for table in (EVENTS, PASSING)
    ]
    found.append(Limit(REJECTS, NAMELESS_DAYS, "source IS NULL"))
    found.append(Limit(CLIENT_IDS, CLIENT_ID_DAYS + 1, "true"))
    return found


async def retain(maintenance: Maintenance) -> None:
    """Delete what a source keeps no longer, by whole days in UTC, and its traces in files."""
    today = maintenance.now() // DAY * DAY
    for limit in limits(maintenance.sources()):
        work = partial(
            delete_rows,
            maintenance.lake,
            table=limit.table,
            where=f"received_at < make_timestamp($1) AND {limit.where}",
            parameters=[today - limit.days * DAY, *limit.values],
        )
        deleted = await maintenance.lake.run(work)
        if deleted:
            kept = {"table": limit.table.name, "of": limit.values, "days": limit.days}
            log.info("lake.retention", rows=deleted, **kept)


def delete_rows(
    lake: Lake,
    connection: duckdb.DuckDBPyConnection,
    table: Table,
    where: str,
    parameters: Sequence[object],
) -> int:
    """Delete rows and write the files anew that held them; the number of rows deleted.

    The old files go once nobody can be reading them (`expire`). Rows that are still in the
    catalogue are flushed first: a row that is deleted there comes back when it is flushed.
    """
    condition = f"FROM {table.name} WHERE {where}"
    found = connection.execute(f"SELECT count(*) {condition}", parameters).fetchone()
    if found is None or not found[0]:
        return 0
    call(lake, FLUSH.format(table.name), connection)
    with lake.transaction(connection):
        connection.execute(f"DELETE {condition}", parameters)
    call(lake, REWRITE.format(table.name), connection)
    return int(found[0])


async def tidy(maintenance: Maintenance) -> None:
    """Make the book-keeping tables anew: every load leaves a dead row in them."""

    def work(connection: duckdb.DuckDBPyConnection) -> None:
        for table in (LOADER, MARKS, FOLLOWERS):
            marks = ", ".join(f"${n}" for n in range(1, len(table.columns) + 1))
            with maintenance.lake.transaction(connection):
                rows = connection.execute(f"SELECT * FROM {table.name}").fetchall()
                connection.execute(create_statement(table, replace=True))
                if rows:
                    connection.executemany(f"INSERT INTO {table.name} VALUES ({marks})", rows)

    await maintenance.lake.run(work)


async def trim(maintenance: Maintenance) -> None:
    """Let the journal forget what is older than its retention and everybody has followed."""
    if maintenance.lake.files_kept:
        return
    before = maintenance.now() - maintenance.journal_retention
    followed = [maintenance.loader.saved(), *(follower() for follower in maintenance.followers)]
    for partition in followed[0]:
        limit = min(positions.get(partition, 0) for positions in followed)

        work = partial(_take_mark, maintenance.lake, partition, limit, before)
        sequence = await maintenance.lake.run(work)
        if sequence is not None:
            await maintenance.journal.trim(Position(partition, sequence))


def _take_mark(
    lake: Lake,
    partition: int,
    limit: int,
    before: Micros,
    connection: duckdb.DuckDBPyConnection,
) -> int | None:
    """The newest marked position that is old enough and passed; it and older marks are dropped."""
    row = connection.execute(
        "SELECT max(next) FROM marks "
        "WHERE partition = $1 AND next <= $2 AND reached_at <= make_timestamp($3)",
        [partition, limit, before],
    ).fetchone()
    if row is None or row[0] is None:
        return None
    with lake.transaction(connection):
        connection.execute(
            "DELETE FROM marks WHERE partition = $1 AND next <= $2", [partition, row[0]]
        )
    return int(row[0])


async def _call(lake: Lake, function: str) -> int:
    return await lake.run(partial(call, lake, function))


def call(lake: Lake, function: str, connection: duckdb.DuckDBPyConnection) -> int:
    """Call one of DuckLake's table functions in a transaction; how many rows it answered."""
    with lake.transaction(connection):
        row = connection.execute(f"SELECT count(*) FROM {function}").fetchone()
    return int(row[0]) if row else 0


class Task(NamedTuple):
    name: str
    every_s: float
    run: Callable[[Maintenance], Awaitable[None]]


TASKS = (
    Task("flush", 300, flush),
    Task("merge", 60, merge),
    Task("expire", 300, expire),
    Task("retain", 3600, retain),
    Task("trim", 300, trim),
    Task("tidy", 3600, tidy),
    Task("delete_orphans", 86_400, delete_orphans),
)
