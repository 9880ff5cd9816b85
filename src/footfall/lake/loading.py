# ruff: noqa: S608 - every statement here is put together from our own tables; rows are parameters
"""One batch of journal records into the lake, parsed by DuckDB itself, in two halves.

`stage` parses: DuckDB reads the records' lines where they lie (an Arrow array, which nothing is
copied for) and splits and parses them outside Python's lock, so no event becomes a Python object.
`store` writes what was staged and the position
in one transaction. So that the next batch can be parsed while one is written, `loader` runs the
halves in two threads; each blocks.

Lines are staged as they come. Where DuckDB cannot take one, the batch is staged once more, line by
line, and the bad ones end up among the rejects.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

import duckdb
import nanoarrow
import structlog

from footfall.journal.contract import Position, Record
from footfall.lake.facts import store_facts
from footfall.lake.lake import Lake
from footfall.lake.parsing import (
    PARSE,
    PARSE_CAREFULLY,
    PARSE_USUAL,
    RECORDS,
    is_usual,
    staging_table,
)
from footfall.lake.tables import EVENTS, PASSING, REJECTS, Table, read_query
from footfall.model import Micros

log = structlog.get_logger(__name__)

REMEMBERED: Micros = 7 * 86_400 * 1_000_000
"""How long a client's event id is remembered."""
MARK_EVERY: Micros = 600 * 1_000_000
"""How often a time of the journal is noted beside its position."""
BAD_LINE_KEPT = 65_536
"""How much of a line that cannot be loaded is kept, in characters."""
RECORD = nanoarrow.struct(
    {
        "partition": nanoarrow.int64(),
        "position": nanoarrow.int64(),
        "committed_at": nanoarrow.int64(),
        "lines": nanoarrow.string(),
    }
)
UNTAKEN = (duckdb.DataError, duckdb.IntegrityError, duckdb.InvalidInputException)
"""What DuckDB raises where a line is at fault, and not the disk or the memory."""
DIGEST = "'sha256:' || sha256(client_id)"
"""How an event id that a client gave is remembered where the event was withheld."""
REPEATS = read_query("repeats.sql")


class Work(NamedTuple):
    """What one transaction takes from the journal."""

    partition: int
    records: Sequence[tuple[Position, Record]]
    next: int
    """The sequence to go on from."""


class Loaded(NamedTuple):
    events: int = 0
    """Rows of `events`; what was not to be stored is not among them."""
    rejects: int = 0
    repeats: int = 0
    """Events left out because their client-given id was stored before."""
    bad_lines: int = 0
    """Lines that DuckDB could not take; kept in `rejects`."""

    def plus(self, other: Loaded) -> Loaded:
        return Loaded(*(a + b for a, b in zip(self, other, strict=True)))


class StagedTable(NamedTuple):
    table: Table
    name: str
    """Where its rows are staged."""
    careful: bool
    """There are bad lines among them."""
    client_ids: bool
    """There are events whose id the client gave."""
    unstored: bool
    """There are events that are not to be stored as such."""
    facts: bool
    """There are events that say something of their visit or profile."""


class Staged(NamedTuple):
    """A batch that is parsed and not yet in the lake."""

    work: Work
    tables: tuple[StagedTable, ...]


def stage(work: Work, slot: int, connection: duckdb.DuckDBPyConnection) -> Staged:
    """Parse `work` into the staging tables of `slot`, which are made anew."""
    tables = []
    for table in (EVENTS, REJECTS):
        records = _records(work, table)
        if records is not None:
            connection.register(RECORDS, records)
            try:
                name = f"memory.main.{table.name}_{slot}"
                usual = table is REJECTS or is_usual(record.events for _, record in work.records)
                tables.append(_stage_table(connection, table, name, usual=usual))
            finally:
                connection.unregister(RECORDS)
    return Staged(work, tuple(tables))


def _stage_table(
    connection: duckdb.DuckDBPyConnection, table: Table, name: str, *, usual: bool
) -> StagedTable:
    parse = PARSE_USUAL if usual else PARSE
    try:
        connection.execute(staging_table(table, name, checked=True))
        connection.execute(f"INSERT INTO {name} {parse[table.name]}")
    except UNTAKEN as error:
        log.warning("lake.batch_not_taken_whole", table=table.name, error=type(error).__name__)
    else:
        found = (False,) * 3 if usual else _found(connection, table, name)
        return StagedTable(table, name, False, *found)
    connection.execute(staging_table(table, name, checked=False))
    connection.execute(f"INSERT INTO {name} {PARSE_CAREFULLY[table.name]}")
    return StagedTable(table, name, True, *_found(connection, table, name))


def _found(connection: duckdb.DuckDBPyConnection, table: Table, name: str) -> Sequence[bool]:
    """Whether there are client ids, unstored events, facts: what storing else need not look for."""
    if table is not EVENTS:
        return False, False, False
    counts = connection.execute(
        f"SELECT count(client_id), count(*) FILTER (NOT stored), count(facts) FROM {name}"
    ).fetchone()
    return [count > 0 for count in counts or ()]


def store(
    lake: Lake, staged: Staged, marked: Micros, connection: duckdb.DuckDBPyConnection
) -> Loaded:
    """Put what is staged, and the position after it, into the lake: all or nothing.

    `marked` is the time of the partition's newest mark.
    """
    loaded = Loaded()
    with lake.transaction(connection):
        for table in staged.tables:
            loaded = loaded.plus(_store_table(connection, table, staged.work))
        _put_position(connection, staged.work, marked)
    for table in staged.tables:
        connection.execute(f"DROP TABLE {table.name}")
    return loaded


def _store_table(connection: duckdb.DuckDBPyConnection, staged: StagedTable, work: Work) -> Loaded:
    taken = "bad_line IS NULL"
    repeats = 0
    if staged.client_ids:
        since = work.records[0][1].at - REMEMBERED
        repeats = _take_repeats(connection, staged.name, since)
        taken += " AND rowid NOT IN (SELECT row FROM repeats)"
        connection.execute(
            f"INSERT INTO client_ids SELECT source, CASE WHEN withheld THEN {DIGEST} "
            f"ELSE client_id END, received_at FROM {staged.name} "
            f"WHERE client_id IS NOT NULL AND {taken}"
        )
    if staged.unstored:
        _insert(connection, PASSING, staged, f"NOT stored AND NOT withheld AND {taken}")
    if staged.facts:
        store_facts(connection, staged.name, taken)
    stored = f"stored AND {taken}" if staged.unstored else taken
    count = _insert(connection, staged.table, staged, stored)
    bad = _keep_bad_lines(connection, staged) if staged.careful else 0
    if staged.table is EVENTS:
        return Loaded(events=count, repeats=repeats, rejects=bad, bad_lines=bad)
    return Loaded(rejects=count + bad, bad_lines=bad)


def _insert(
    connection: duckdb.DuckDBPyConnection, table: Table, staged: StagedTable, where: str
) -> int:
    """Staged rows into a table that has no column beyond theirs; how many."""
    columns = ", ".join(column.name for column in table.columns)
    statement = f"INSERT INTO {table.name} SELECT {columns} FROM {staged.name} WHERE {where}"
    return _count(connection.execute(statement))


def _take_repeats(connection: duckdb.DuckDBPyConnection, staged: str, since: Micros) -> int:
    """Put the row numbers of repeats into a temporary table; how many there are."""
    connection.execute("CREATE OR REPLACE TEMP TABLE repeats (row BIGINT)")
    statement = f"INSERT INTO repeats {REPEATS.format(staged=staged, digest=DIGEST)}"
    return _count(connection.execute(statement, {"since": since}))


def _put_position(connection: duckdb.DuckDBPyConnection, work: Work, marked: Micros) -> None:
    updated = connection.execute(
        "UPDATE loader SET next = $1 WHERE partition = $2", [work.next, work.partition]
    ).fetchone()
    if updated == (0,):
        connection.execute("INSERT INTO loader VALUES ($1, $2)", [work.partition, work.next])
    if not work.records:
        return
    at = work.records[-1][1].at
    if next_mark(marked, at) != marked:
        connection.execute(
            "INSERT INTO marks VALUES ($1, make_timestamp($2), $3)", [work.partition, at, work.next]
        )


def next_mark(marked: Micros, at: Micros) -> Micros:
    """The time of the newest mark once a batch that ends at `at` is loaded."""
    return at if at >= marked + MARK_EVERY else marked


def _records(work: Work, table: Table) -> nanoarrow.Array | None:
    """The records that have lines for a table, as Arrow has them (`RECORD`); None without any.

    As values of a statement's parameters they would be copied several times, which took a third
    of the time of parsing them.
    """
    rows = [
        (position.sequence, record.at, lines)
        for position, record in work.records
        if (lines := record.events if table is EVENTS else record.rejects)
    ]
    if not rows:
        return None
    texts = [_utf8(lines) for _, _, lines in rows]
    columns = (
        (nanoarrow.int64(), [array("q", [work.partition]) * len(rows)]),
        (nanoarrow.int64(), [array("q", [position for position, _, _ in rows])]),
        (nanoarrow.int64(), [array("q", [at for _, at, _ in rows])]),
        (nanoarrow.string(), [array("i", accumulate(map(len, texts), initial=0)), b"".join(texts)]),
    )
    children = [
        nanoarrow.c_array_from_buffers(kind, len(rows), [None, *buffers])
        for kind, buffers in columns
    ]
    whole = nanoarrow.c_array_from_buffers(RECORD, len(rows), [None], children=children)
    return nanoarrow.Array(whole)


def _utf8(lines: bytes) -> bytes:
    """The journal's writer encoded them; should a byte be wrong, it stays visible as U+FFFD.

    DuckDB believes an Arrow array's texts and would not notice.
    """
    if lines.isascii():
        return lines
    try:
        lines.decode()
    except UnicodeDecodeError:
        return lines.decode("utf-8", "replace").encode()
    return lines


def _keep_bad_lines(connection: duckdb.DuckDBPyConnection, staged: StagedTable) -> int:
    """Put bad lines among the rejects, so that the loader can go on."""
    bad = _count(
        connection.execute(
            "INSERT INTO rejects SELECT make_timestamp(committed_at), source, "
            "coalesce(protocol, 'unknown'), 'internal_error', $1, 500, "
            "left(nullif(bad_line, ''), $2) "
            f"FROM {staged.name} WHERE bad_line IS NOT NULL",
            [f"A line of {staged.table.name} could not be loaded; it is the body.", BAD_LINE_KEPT],
        )
    )
    log.error("lake.bad_lines", table=staged.table.name, lines=bad)
    return bad


def _count(result: duckdb.DuckDBPyConnection) -> int:
    row = result.fetchone()
    return int(row[0]) if row else 0
