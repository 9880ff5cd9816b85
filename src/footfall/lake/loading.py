# ruff: noqa: S608 - every statement here is put together from our own tables; rows are parameters
"""One batch of journal records into the lake, in one transaction, parsed by DuckDB itself.

No event becomes a Python object here: a record's lines go to DuckDB as one text, which splits and
parses them outside Python's lock. Blocking; `loader` calls it in the lake's thread.

The fast way takes lines as they come. Where a batch holds ids that clients gave, or a line that
DuckDB cannot take, it goes through a staging table instead, which costs half as much again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import duckdb
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
CLIENT_ID = b'"client_id_given":true'
BAD_LINE_KEPT = 65_536
"""How much of a line that cannot be loaded is kept, in characters."""
SPLIT_LINES = """
    SELECT position, committed_at, unnest(string_split(lines, chr(10))) AS line
    FROM (SELECT unnest($1::BIGINT[]) AS position, unnest($2::BIGINT[]) AS committed_at,
                 unnest($3::VARCHAR[]) AS lines)
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


def load(lake: Lake, connection: duckdb.DuckDBPyConnection, work: Work, marked: Micros) -> Loaded:
    """Load `work` and its position, all or nothing. `marked`: the time of the newest mark."""
    careful = any(CLIENT_ID in record.events for _, record in work.records)
    if not careful:
        try:
            return _load(lake, connection, work, marked, careful=False)
        except UNTAKEN as error:
            log.warning("lake.batch_not_taken_whole", error=type(error).__name__, next=work.next)
    return _load(lake, connection, work, marked, careful=True)


def _load(
    lake: Lake,
    connection: duckdb.DuckDBPyConnection,
    work: Work,
    marked: Micros,
    *,
    careful: bool,
) -> Loaded:
    insert = _insert_carefully if careful else _insert
    with lake.transaction(connection):
        events = insert(connection, EVENTS, work)
        rejects = insert(connection, REJECTS, work)
        _put_position(connection, work, marked)
    return Loaded(
        events.events,
        rejects.rejects + events.bad_lines + rejects.bad_lines,
        events.repeats,
        events.bad_lines + rejects.bad_lines,
    )


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


def _parameters(work: Work, table: Table) -> list[object] | None:
    """Positions, times and texts of the records that have lines for a table."""
    rows = [
        (position.sequence, record.at, record.events if table is EVENTS else record.rejects)
        for position, record in work.records
    ]
    rows = [row for row in rows if row[2]]
    if not rows:
        return None
    # A line's bytes were encoded by the journal's writer; "replace" keeps a wrong one visible.
    texts = [row[2].decode("utf-8", "replace") for row in rows]
    return [[row[0] for row in rows], [row[1] for row in rows], texts]


def _structure(table: Table) -> str:
    """How `json_transform` is to read a line: a journalled moment is a number."""
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
            yield {"partition": "$4::INTEGER", "position": "position"}[column.name]
        elif column.type == "TIMESTAMP":
            moment = f"item.{column.name}"
            yield f"make_timestamp(CASE WHEN {moment} BETWEEN {YEARS} THEN {moment} END)"
        else:
            yield f"item.{column.name}"


def _insert_statement(table: Table) -> str:
    names = ", ".join(column.name for column in table.columns)
    used = "" if table is EVENTS else " AND $4::INTEGER IS NOT NULL"
    return (
        f"INSERT INTO {table.name} ({names}) SELECT {', '.join(_values(table))} "
        f"FROM (SELECT position, json_transform(line, '{_structure(table)}') AS item "
        f"FROM ({SPLIT_LINES}) WHERE line <> ''{used})"
    )


def _stage_statement(table: Table) -> str:
    """Parsed line by line; what cannot be parsed, or lacks what it must have, is not `fine`."""
    columns = ", ".join(
        f"try({value}) AS {column.name}"
        for column, value in zip(table.columns, _values(table), strict=True)
    )
    required = " AND ".join(f"{c.name} IS NOT NULL" for c in table.columns if c.required)
    given = "coalesce(item.client_id_given, false)" if table is EVENTS else "false"
    return (
        f"CREATE OR REPLACE TEMP TABLE staged AS SELECT *, {required} AS fine FROM ("
        f"SELECT committed_at, line, {given} AS client_id_given, {columns} "
        f"FROM (SELECT *, try(json_transform(line, '{_structure(table)}')) AS item "
        f"FROM ({SPLIT_LINES}) WHERE line <> '' AND $4::INTEGER IS NOT NULL))"
    )


INSERT = {table.name: _insert_statement(table) for table in (EVENTS, REJECTS)}
STAGE = {table.name: _stage_statement(table) for table in (EVENTS, REJECTS)}
REPEATS = read_query("repeats.sql")


def _insert(connection: duckdb.DuckDBPyConnection, table: Table, work: Work) -> Loaded:
    parameters = _parameters(work, table)
    if parameters is None:
        return Loaded()
    count = _count(connection.execute(INSERT[table.name], [*parameters, work.partition]))
    return Loaded(events=count) if table is EVENTS else Loaded(rejects=count)


def _insert_carefully(connection: duckdb.DuckDBPyConnection, table: Table, work: Work) -> Loaded:
    """Through the staging table: repeats left out, bad lines set apart."""
    parameters = _parameters(work, table)
    if parameters is None:
        return Loaded()
    connection.execute(STAGE[table.name], [*parameters, work.partition])
    repeats = 0
    if table is EVENTS:
        since = work.records[0][1].at - REMEMBERED
        repeats = _count(
            connection.execute(
                f"DELETE FROM staged WHERE fine AND rowid IN ({REPEATS})", {"since": since}
            )
        )
        connection.execute(
            "INSERT INTO client_ids SELECT source, event_id, received_at FROM staged "
            "WHERE fine AND client_id_given"
        )
    names = ", ".join(column.name for column in table.columns)
    count = _count(
        connection.execute(f"INSERT INTO {table.name} SELECT {names} FROM staged WHERE fine")
    )
    bad = _keep_bad_lines(connection, table)
    connection.execute("DROP TABLE temp.staged")
    if table is EVENTS:
        return Loaded(events=count, repeats=repeats, bad_lines=bad)
    return Loaded(rejects=count, bad_lines=bad)


def _keep_bad_lines(connection: duckdb.DuckDBPyConnection, table: Table) -> int:
    """Put the lines that are not fine among the rejects, so that the loader can go on."""
    bad = _count(
        connection.execute(
            "INSERT INTO rejects SELECT make_timestamp(committed_at), source, "
            "coalesce(protocol, 'unknown'), 'internal_error', $1, 500, left(line, $2) "
            "FROM staged WHERE NOT fine",
            [f"A line of {table.name} could not be loaded; it stands in body.", BAD_LINE_KEPT],
        )
    )
    if bad:
        log.error("lake.bad_lines", table=table.name, lines=bad)
    return bad


def _count(result: duckdb.DuckDBPyConnection) -> int:
    row = result.fetchone()
    return int(row[0]) if row else 0
