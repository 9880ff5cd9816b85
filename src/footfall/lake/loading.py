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

import json
from array import array
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import NamedTuple

import duckdb
import nanoarrow
import structlog

from footfall.journal.contract import Position, Record
from footfall.lake.lake import Lake
from footfall.lake.tables import EVENTS, REJECTS, Table, read_query
from footfall.model import Micros

log = structlog.get_logger(__name__)

REMEMBERED: Micros = 7 * 86_400 * 1_000_000
"""How long a client's event id is remembered."""
MARK_EVERY: Micros = 600 * 1_000_000
"""How often a time of the journal is noted beside its position."""
BAD_LINE_KEPT = 65_536
"""How much of a line that cannot be loaded is kept, in characters."""
RECORDS = "journal_records"
"""Under this name a statement sees the records that have lines for its table."""
RECORD = nanoarrow.struct(
    {
        "partition": nanoarrow.int64(),
        "position": nanoarrow.int64(),
        "committed_at": nanoarrow.int64(),
        "lines": nanoarrow.string(),
    }
)
SPLIT_LINES = f"""
    SELECT partition, position, committed_at, unnest(string_split(lines, chr(10))) AS line
    FROM {RECORDS}
"""
UNTAKEN = (duckdb.DataError, duckdb.IntegrityError, duckdb.InvalidInputException)
"""What DuckDB raises where a line is at fault, and not the disk or the memory."""
YEARS = "-62135596800000000 AND 253402300799999999"
"""Moments of the years 1 to 9999, which is what Python and most readers of Parquet can hold."""
JOURNALLED = ("partition", "position")
"""Columns of `events` that the record gives and not the line."""


class Work(NamedTuple):
    """What one transaction takes from the journal."""

    partition: int
    records: Sequence[tuple[Position, Record]]
    next: int
    """The sequence to go on from."""


class Loaded(NamedTuple):
    events: int = 0
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
                tables.append(_stage_table(connection, table, name))
            finally:
                connection.unregister(RECORDS)
    return Staged(work, tuple(tables))


def _stage_table(connection: duckdb.DuckDBPyConnection, table: Table, name: str) -> StagedTable:
    try:
        connection.execute(_staging_table(table, name, checked=True))
        connection.execute(f"INSERT INTO {name} {PARSE[table.name]}")
    except UNTAKEN as error:
        log.warning("lake.batch_not_taken_whole", table=table.name, error=type(error).__name__)
    else:
        return StagedTable(table, name, False, _has_client_ids(connection, name))
    connection.execute(_staging_table(table, name, checked=False))
    connection.execute(f"INSERT INTO {name} {PARSE_CAREFULLY[table.name]}")
    return StagedTable(table, name, True, _has_client_ids(connection, name))


def _has_client_ids(connection: duckdb.DuckDBPyConnection, name: str) -> bool:
    return _count(connection.execute(f"SELECT count(*) FROM {name} WHERE client_id_given")) > 0


def _staging_table(table: Table, name: str, *, checked: bool) -> str:
    """The table's own columns, and what storing must know of a row besides."""
    columns = [
        f"{column.name} {column.type}{' NOT NULL' if checked and column.required else ''}"
        for column in table.columns
    ]
    columns += ["client_id_given BOOLEAN", "committed_at BIGINT", "bad_line VARCHAR"]
    return f"CREATE OR REPLACE TABLE {name} ({', '.join(columns)})"


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
    where = "bad_line IS NULL"
    repeats = 0
    if staged.client_ids:
        since = work.records[0][1].at - REMEMBERED
        repeats = _take_repeats(connection, staged.name, since)
        where += " AND rowid NOT IN (SELECT row FROM repeats)"
        connection.execute(
            "INSERT INTO client_ids SELECT source, event_id, received_at "
            f"FROM {staged.name} WHERE client_id_given AND {where}"
        )
    columns = ", ".join(column.name for column in staged.table.columns)
    count = _count(
        connection.execute(
            f"INSERT INTO {staged.table.name} SELECT {columns} FROM {staged.name} WHERE {where}"
        )
    )
    bad = _keep_bad_lines(connection, staged) if staged.careful else 0
    if staged.table is EVENTS:
        return Loaded(events=count, repeats=repeats, rejects=bad, bad_lines=bad)
    return Loaded(rejects=count + bad, bad_lines=bad)


def _take_repeats(connection: duckdb.DuckDBPyConnection, staged: str, since: Micros) -> int:
    """Put the row numbers of repeats into a temporary table; how many there are."""
    connection.execute("CREATE OR REPLACE TEMP TABLE repeats (row BIGINT)")
    statement = f"INSERT INTO repeats {REPEATS.format(staged=staged)}"
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


def structure(table: Table) -> str:
    """How DuckDB is to read a line of JSON: names to types. A journalled moment is a number."""
    types = {
        column.name: "BIGINT" if column.type == "TIMESTAMP" else column.type
        for column in table.columns
        if column.name not in JOURNALLED
    }
    if table is EVENTS:
        types["client_id_given"] = "BOOLEAN"
    return json.dumps(types)


def _values(table: Table) -> Iterable[str]:
    """An expression for each column, from `item`, the parsed line."""
    for column in table.columns:
        if column.name in JOURNALLED:
            yield f"{column.name}::{column.type}"
        elif column.type == "TIMESTAMP":
            moment = f"item.{column.name}"
            yield f"make_timestamp(CASE WHEN {moment} BETWEEN {YEARS} THEN {moment} END)"
        else:
            yield f"item.{column.name}"


def _parse_statement(table: Table) -> str:
    given = "item.client_id_given" if table is EVENTS else "NULL"
    return (
        f"SELECT {', '.join(_values(table))}, {given}, NULL, NULL FROM ("
        f"SELECT partition, position, json_transform(line, '{structure(table)}') AS item "
        f"FROM ({SPLIT_LINES}) WHERE line <> '')"
    )


def _parse_carefully_statement(table: Table) -> str:
    """Line by line: what cannot be parsed, or lacks what it must have, becomes a bad line."""
    columns = ", ".join(
        f"try({value}) AS {column.name}"
        for column, value in zip(table.columns, _values(table), strict=True)
    )
    names = ", ".join(column.name for column in table.columns)
    required = " AND ".join(f"{c.name} IS NOT NULL" for c in table.columns if c.required)
    given = "item.client_id_given" if table is EVENTS else "NULL"
    return (
        f"SELECT {names}, given, committed_at, CASE WHEN {required} THEN NULL ELSE line END FROM ("
        f"SELECT committed_at, line, {given} AS given, {columns} "
        f"FROM (SELECT *, try(json_transform(line, '{structure(table)}')) AS item "
        f"FROM ({SPLIT_LINES}) WHERE line <> ''))"
    )


PARSE = {table.name: _parse_statement(table) for table in (EVENTS, REJECTS)}
PARSE_CAREFULLY = {table.name: _parse_carefully_statement(table) for table in (EVENTS, REJECTS)}
REPEATS = read_query("repeats.sql")


def _keep_bad_lines(connection: duckdb.DuckDBPyConnection, staged: StagedTable) -> int:
    """Put bad lines among the rejects, so that the loader can go on."""
    bad = _count(
        connection.execute(
            "INSERT INTO rejects SELECT make_timestamp(committed_at), source, "
            "coalesce(protocol, 'unknown'), 'internal_error', $1, 500, left(bad_line, $2) "
            f"FROM {staged.name} WHERE bad_line IS NOT NULL",
            [f"A line of {staged.table.name} could not be loaded; it is the body.", BAD_LINE_KEPT],
        )
    )
    log.error("lake.bad_lines", table=staged.table.name, lines=bad)
    return bad


def _count(result: duckdb.DuckDBPyConnection) -> int:
    row = result.fetchone()
    return int(row[0]) if row else 0
