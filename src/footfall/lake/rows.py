# ruff: noqa: S608 - every statement here is put together from our own tables
"""Rows of a fold into a table of the lake, or of the memory beside it.

Rows are mappings from column to value, times in microseconds since 1970, as folds give them. They
go to DuckDB as JSON lines that it reads where they lie; see `loading`.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

import duckdb
import msgspec
import nanoarrow

from footfall.lake.tables import Table

LINES = "given_rows"
"""Under this name a statement sees the lines."""

_encode = msgspec.json.Encoder().encode

Row = Mapping[str, Any]


def put_rows(
    connection: duckdb.DuckDBPyConnection, table: Table, rows: Sequence[Row], target: str
) -> None:
    """Append `rows` to `target`, which has the columns of `table`.

    A value that is no JSON, or not of its column's type, raises and leaves the target as it was.
    """
    if not rows:
        return
    lines = [_encode(row) for row in rows]
    offsets = array("i", accumulate(map(len, lines), initial=0))
    given = nanoarrow.c_array_from_buffers(
        nanoarrow.struct({"line": nanoarrow.string()}),
        len(lines),
        [None],
        children=[
            nanoarrow.c_array_from_buffers(
                nanoarrow.string(), len(lines), [None, offsets, b"".join(lines)]
            )
        ],
    )
    connection.register(LINES, nanoarrow.Array(given))
    try:
        connection.execute(
            f"INSERT INTO {target} SELECT {', '.join(_values(table))} FROM ("
            f"SELECT json_transform_strict(line, '{_structure(table)}') AS item FROM {LINES})"
        )
    finally:
        connection.unregister(LINES)


def _values(table: Table) -> Sequence[str]:
    return [
        f"make_timestamp(item.{column.name})"
        if column.type == "TIMESTAMP"
        else f"item.{column.name}"
        for column in table.columns
    ]


def _structure(table: Table) -> str:
    """How DuckDB is to read a line: names to types. A moment is a number."""
    return json.dumps({
        column.name: "BIGINT" if column.type == "TIMESTAMP" else column.type
        for column in table.columns
    })  # fmt: skip
