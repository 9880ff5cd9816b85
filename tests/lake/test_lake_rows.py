"""Rows of folds: what is given stands in the table, and what is wrong leaves it as it was."""

from __future__ import annotations

import datetime as dt

import duckdb
import pytest

from footfall.lake.rows import put_rows
from footfall.lake.tables import Column, Table, create_statement

TABLE = Table(
    "played",
    "For this test.",
    (
        Column("name", "VARCHAR", "", required=True),
        Column("at", "TIMESTAMP", ""),
        Column("share", "DOUBLE", ""),
        Column("count", "BIGINT", ""),
        Column("open", "BOOLEAN", ""),
        Column("marks", "INTEGER[]", ""),
        Column("runs", "BIGINT[][]", ""),
        Column("metadata", "JSON", ""),
    ),
)
NOTHING = dict.fromkeys(column.name for column in TABLE.columns)


@pytest.fixture
def connection():
    with duckdb.connect() as connection:
        connection.execute(create_statement(TABLE))
        yield connection


def stored(connection):
    return connection.execute("SELECT * FROM played ORDER BY name").fetchall()


def test_every_kind_of_value_arrives(connection):
    row = {
        "name": "naïve 'quotes' \n",
        "at": 1_767_225_600_000_001,
        "share": 0.746,
        "count": 2**40,
        "open": True,
        "marks": [10, 25],
        "runs": [[1, 2], [5, 9]],
        "metadata": {"a.b": "ä"},
    }
    put_rows(connection, TABLE, [row, {**NOTHING, "name": "z"}], "played")
    first, second = stored(connection)
    assert first[:-1] == (
        "naïve 'quotes' \n", dt.datetime(2026, 1, 1, 0, 0, 0, 1), 0.746, 2**40, True, [10, 25],
        [[1, 2], [5, 9]],
    )  # fmt: skip
    assert first[-1] == '{"a.b":"ä"}'
    assert second == ("z", *[None] * 7)


def test_many_rows_and_none(connection):
    put_rows(connection, TABLE, [], "played")
    put_rows(connection, TABLE, [{**NOTHING, "name": f"{n:05}", "count": n} for n in range(5000)],
             "played")  # fmt: skip
    assert [row[3] for row in stored(connection)] == list(range(5000))


@pytest.mark.parametrize(
    "wrong", [{"count": "many"}, {"name": None}, {"marks": [[1]]}], ids=lambda w: next(iter(w))
)
def test_a_wrong_value_leaves_the_table_as_it_was(connection, wrong):
    good = {**NOTHING, "name": "good"}
    with pytest.raises(duckdb.Error):
        put_rows(connection, TABLE, [good, good | wrong], "played")
    assert stored(connection) == []
    put_rows(connection, TABLE, [good], "played")
    assert len(stored(connection)) == 1


def test_a_missing_column_is_an_error(connection):
    with pytest.raises(duckdb.Error):
        put_rows(connection, TABLE, [{"name": "a"}], "played")
