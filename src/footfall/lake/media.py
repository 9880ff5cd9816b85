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
    MEDIA_STRAYS,
    Column,
    Table,
    create_statement,
)
from footfall.model import Micros
from footfall.project.media import PROTOCOL, Finished, MediaEvent, Stray
from footfall.project.media_account import Step
from footfall.project.media_metrics import Rows

FOLLOWER = "media"
STRAYS = "media_strays"
BEFORE = Position(-1, -1)
StrayRow = Mapping[str, Any]
"""A row of `media_strays`, times in microseconds."""
MOST_EVENTS = 10_000
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def append(
    lake: Lake,
    finished: Sequence[Finished],
    strays: Sequence[StrayRow],
    connection: duckdb.DuckDBPyConnection,
) -> None:
    """Append sessions that are final, and events that came to none, each once.

    They come in the order of their records, and those of one record together. After a crash they
    come again; what is at or before the last record that the lake has them of is passed over.
    """
    through = _through(connection)
    new = [one for one in finished if one.position > through.get(FOLLOWER, BEFORE)]
    stray = [row for row in strays if _place(row) > through.get(STRAYS, BEFORE)]
    if not (new or stray):
        return
    with lake.transaction(connection):
        for place, table in enumerate(MEDIA_CLOSED):
            rows = [{**row, **_closing(one)} for one in new for row in _rows(one.rows)[place]]
            put_rows(connection, table, rows, table.name)
        put_rows(connection, MEDIA_STRAYS, stray, MEDIA_STRAYS.name)
        if new:
            _put_through(connection, FOLLOWER, new[-1].position)
        if stray:
            _put_through(connection, STRAYS, _place(stray[-1]))
    _hide(connection, [one.rows.session for one in new])


def stray_row(position: Position, at: Micros, stray: Stray) -> StrayRow:
    """An event that came to no open session, with its record's place and time."""
    return {
        "source": stray.source,
        "session_id": stray.session_id,
        "type": stray.told.type,
        "reason": stray.told.reason,
        "occurred_at": stray.told.ts,
        "received_at": at,
        "partition": position.partition,
        "position": position.sequence,
    }


def _place(row: StrayRow) -> Position:
    return Position(row["partition"], row["position"])


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
        strays = connection.execute(
            "SELECT * FROM media_strays WHERE source = $1 AND session_id = $2 ORDER BY position "
            "LIMIT 100",
            [source, session_id],
        ).fetchall()
        names = [column.name for column in MEDIA_STRAYS.columns]
        tables[MEDIA_STRAYS.name] = [
            _as_json(MEDIA_STRAYS, dict(zip(names, row, strict=True))) for row in strays
        ]
        found.append(tables)
    return found


def history(
    source: str, session_id: str, connection: duckdb.DuckDBPyConnection
) -> list[MediaEvent]:
    """A session's first `MOST_EVENTS` events, in the order in which they came."""
    rows = connection.execute(
        "SELECT type, epoch_us(occurred_at), playhead_s, properties::VARCHAR FROM events "
        "WHERE protocol = $1 AND source = $2 AND session_id = $3 "
        "ORDER BY partition, position, event_id LIMIT $4",
        [PROTOCOL, source, session_id, MOST_EVENTS],
    ).fetchall()
    return [
        MediaEvent(
            protocol=PROTOCOL,
            source=source,
            type=kind,
            occurred_at=at,
            session_id=session_id,
            playhead_s=playhead,
            properties=msgspec.json.decode(properties) if properties else None,
        )
        for kind, at, playhead, properties in rows
    ]


def by_table(rows: Rows) -> Mapping[str, Any]:
    """A session's rows by table, as JSON has them."""
    return {
        table.name: [_as_json(table, row) for row in some]
        for table, some in zip(MEDIA, _rows(rows), strict=True)
    }


def step(one: Step) -> Mapping[str, Any]:
    """A step of a session's account, as JSON has it."""
    return {**one._asdict(), "at": EPOCH + dt.timedelta(microseconds=one.at)}


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


def _through(connection: duckdb.DuckDBPyConnection) -> Mapping[str, Position]:
    """By what is appended: the last record that the lake has it of."""
    rows = connection.execute("SELECT name, partition, through FROM followers").fetchall()
    return {name: Position(partition, through) for name, partition, through in rows}


def _put_through(connection: duckdb.DuckDBPyConnection, name: str, last: Position) -> None:
    connection.execute("DELETE FROM followers WHERE name = $1", [name])
    connection.execute("INSERT INTO followers VALUES ($1, $2, $3)", [name, *last])
