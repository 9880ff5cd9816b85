# ruff: noqa: S608 - every statement here is put together from our own tables
"""Media sessions in the lake: closed ones appended once, open ones shown as of now."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

import duckdb
import msgspec

from footfall.journal.contract import Position
from footfall.lake.lake import Lake
from footfall.lake.rows import put_rows
from footfall.lake.tables import (
    MEDIA,
    MEDIA_CLOSED,
    MEDIA_OPEN,
    Column,
    Table,
    create_statement,
)
from footfall.project.media import Finished
from footfall.project.media_metrics import Rows

FOLLOWER = "media"
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def append(lake: Lake, finished: Sequence[Finished], connection: duckdb.DuckDBPyConnection) -> int:
    """Append sessions that are final, each once: how many of them were not there yet.

    They come in the order of their closings, and those of one record together. After a crash
    they come again; what is at or before the last closing that the lake has is passed over.
    """
    new = [one for one in finished if one.position.sequence > _through(connection, one.position)]
    if not new:
        return 0
    with lake.transaction(connection):
        for place, table in enumerate(MEDIA_CLOSED):
            rows = [{**row, **_closing(one)} for one in new for row in _rows(one.rows)[place]]
            put_rows(connection, table, rows, table.name)
        last = new[-1].position
        connection.execute(
            "DELETE FROM followers WHERE name = $1 AND partition = $2", [FOLLOWER, last.partition]
        )
        connection.execute(
            "INSERT INTO followers VALUES ($1, $2, $3)", [FOLLOWER, last.partition, last.sequence]
        )
    _hide(connection, [one.rows.session for one in new])
    return len(new)


def _hide(connection: duckdb.DuckDBPyConnection, sessions: Sequence[Mapping[str, Any]]) -> None:
    """Take what is in the lake now out of what is shown beside it."""
    keys = "\n".join(f"{row['source']}/{row['session_id']}" for row in sessions)
    there = {
        name for (name,) in connection.execute(
            "SELECT table_name FROM duckdb_tables() WHERE database_name = 'memory'"
        ).fetchall()
    }  # fmt: skip
    for table in MEDIA_OPEN:
        for name in there & {table.name, f"{table.name}_next"}:
            connection.execute(
                f"DELETE FROM memory.main.{name} WHERE source || '/' || session_id IN "
                "(SELECT unnest(string_split($1, chr(10))))",
                [keys],
            )


def prepare(connection: duckdb.DuckDBPyConnection) -> None:
    """Begin to put together what is open now; nobody sees it before `show`."""
    for table in MEDIA_OPEN:
        connection.execute(create_statement(table._replace(name=_next(table)), replace=True))


def add(sessions: Sequence[Rows], connection: duckdb.DuckDBPyConnection) -> None:
    """More of what is open."""
    found = [_rows(rows) for rows in sessions]
    for place, table in enumerate(MEDIA_OPEN):
        put_rows(connection, table, [row for rows in found for row in rows[place]], _next(table))


def show(connection: duckdb.DuckDBPyConnection) -> None:
    """Put what was prepared in the place of what was shown before."""
    connection.execute("BEGIN")
    for table in MEDIA_OPEN:
        connection.execute(f"DROP TABLE memory.main.{table.name}")
        connection.execute(f"ALTER TABLE {_next(table)} RENAME TO {table.name}")
    connection.execute("COMMIT")


def _next(table: Table) -> str:
    return f"memory.main.{table.name}_next"


def closed(session_id: str, connection: duckdb.DuckDBPyConnection) -> list[Mapping[str, Any]]:
    """The closed sessions of an id, of whatever source: by table, the rows as JSON has them."""
    found: list[Mapping[str, Any]] = []
    keys = connection.execute(
        "SELECT DISTINCT source FROM media_sessions_closed WHERE session_id = $1 ORDER BY ALL",
        [session_id],
    ).fetchall()
    for (source,) in keys:
        tables = {}
        for public, table in zip(MEDIA, MEDIA_CLOSED, strict=True):
            columns = ", ".join(f'"{column.name}"' for column in public.columns)
            result = connection.execute(
                f"SELECT {columns} FROM {table.name} WHERE source = $1 AND session_id = $2",
                [source, session_id],
            )
            names = [column.name for column in public.columns]
            found_rows = (dict(zip(names, row, strict=True)) for row in result.fetchall())
            tables[public.name] = [_as_json(public, row) for row in found_rows]
        found.append(tables)
    return found


def by_table(rows: Rows) -> Mapping[str, Any]:
    """A session's rows by table, as JSON has them."""
    return {
        table.name: [_as_json(table, row) for row in some]
        for table, some in zip(MEDIA, _rows(rows), strict=True)
    }


def _as_json(table: Table, row: Mapping[str, Any]) -> Mapping[str, Any]:
    """A row with its moments in UTC and its JSON decoded, wherever it comes from."""
    return {column.name: _value(column, row[column.name]) for column in table.columns}


def _value(column: Column, value: Any) -> Any:
    if column.type == "TIMESTAMP" and isinstance(value, int):
        return EPOCH + dt.timedelta(microseconds=value)
    if isinstance(value, dt.datetime):
        return value.replace(tzinfo=dt.UTC)
    return msgspec.json.decode(value) if column.type == "JSON" and isinstance(value, str) else value


def _rows(rows: Rows) -> tuple[Sequence[Mapping[str, Any]], ...]:
    """In the order of `MEDIA`."""
    return [rows.session], rows.ads, rows.chapters, rows.states


def _closing(one: Finished) -> Mapping[str, Any]:
    return {
        "received_at": one.rows.session["opened_at"],
        "partition": one.position.partition,
        "position": one.position.sequence,
    }


def _through(connection: duckdb.DuckDBPyConnection, position: Position) -> int:
    row = connection.execute(
        "SELECT max(through) FROM followers WHERE name = $1 AND partition = $2",
        [FOLLOWER, position.partition],
    ).fetchone()
    return -1 if row is None or row[0] is None else int(row[0])
