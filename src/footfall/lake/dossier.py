# ruff: noqa: S608 - statements are put together from our own tables; ids are literals
"""Everything that the lake has about each of some people, as one JSON document for each.

The lake is gone through once for all of them: their rows are put aside in memory (DuckDB spills
what is too much), and each document is written from there, table by table, into `scratch`.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import duckdb
import msgspec

from footfall.lake.lake import Lake, literal
from footfall.lake.persons import IDENTITY, OF_SETTINGS, Id, Who, condition
from footfall.lake.query import FORMATS, PIECE_BYTES
from footfall.lake.tables import CLIENT_IDS, MEDIA_CLOSED, PRIVATE, TABLES, Table

IN_ORDER = ("occurred_at", "started_at", "received_at")
"""Rows come in the order of the first of these that they have."""
OURS = ("partition", "position", "line")
"""Columns that say where a row comes from, and nothing about anybody."""

EXPORTED: tuple[Table, ...] = tuple(
    table
    for table in (*TABLES, *PRIVATE)
    if (table.view is None or table in TABLES)
    and table not in MEDIA_CLOSED
    and table not in (CLIENT_IDS, *OF_SETTINGS)
    and any(column.name == "source" for column in table.columns)
)
"""Views among them: what sessions and profiles come to is theirs as well."""


class Aside(NamedTuple):
    """Rows of a table that are put aside."""

    table: Table
    name: str


class Dossiers:
    """Some people's rows, put aside. Person `n` is the `n`-th that was asked for."""

    def __init__(self, lake: Lake, people: Sequence[Id]) -> None:
        self._lake = lake
        self._people = people
        self._who: Who | None = None
        self._aside: list[Aside] = []

    async def gather(self) -> None:
        """Go through the lake. `close` in any case."""
        await self._lake.read(self._gather)

    def _gather(self, cursor: duckdb.DuckDBPyConnection) -> None:
        self._who = Who(cursor, [[one] for one in self._people])
        self._who.expand(cursor)
        ids = self._who.ids(cursor)
        for table in EXPORTED:
            aside = Aside(table, f"memory.main.aside_{uuid.uuid4().hex}")
            where = condition(_plain(table), self._who, ids)
            cursor.execute(f"CREATE TABLE {aside.name} AS SELECT * FROM {table.name} WHERE {where}")
            self._aside.append(aside)

    async def document(self, n: int, exported_at: str) -> AsyncIterator[str]:
        """Person `n`'s document, in pieces of text."""
        ids = await self._lake.read(partial(self._ids, n))
        head = {
            "exported_at": exported_at,
            "asked": {self._people[n].kind: self._people[n].id},
            "source": self._people[n].source,
            "ids": {kind: [i.id for i in ids if i.kind == kind] for kind in sorted(_kinds(ids))},
        }
        yield msgspec.json.format(msgspec.json.encode(head)).decode().removesuffix("\n}")
        for aside in self._aside:
            yield f',\n  "{aside.table.name}": '
            file = self._lake.scratch / f"dossier-{uuid.uuid4().hex}"
            try:
                await self._lake.read(partial(self._write, aside, n, ids, file))
                for piece in _pieces(file):
                    yield piece
            finally:
                file.unlink(missing_ok=True)
        yield "\n}\n"

    def _ids(self, n: int, cursor: duckdb.DuckDBPyConnection) -> list[Id]:
        assert self._who is not None
        return self._who.ids(cursor, n)

    def _write(
        self, aside: Aside, n: int, ids: Sequence[Id], file: Path, cursor: duckdb.DuckDBPyConnection
    ) -> None:
        assert self._who is not None
        table = _plain(aside.table)
        where = condition(table, self._who, ids, n=n)
        left_out = [column.name for column in table.columns if column.name in OURS]
        columns = f"* EXCLUDE ({', '.join(left_out)})" if left_out else "*"
        names = [column.name for column in aside.table.columns]
        order = next((name for name in IN_ORDER if name in names), names[0])
        cursor.execute(
            f"COPY (SELECT {columns} FROM {aside.name} WHERE {where} ORDER BY {order}) "
            f"TO {literal(str(file))} ({FORMATS['json']})"
        )

    async def close(self) -> None:
        await self._lake.read(self._drop)

    def _drop(self, cursor: duckdb.DuckDBPyConnection) -> None:
        for aside in self._aside:
            cursor.execute(f"DROP TABLE IF EXISTS {aside.name}")
        if self._who is not None:
            self._who.close(cursor)


def _plain(table: Table) -> Table:
    """A view's rows are a person's by its columns of ids only: its texts are made of theirs."""
    if table.view is None:
        return table
    columns = [one for one in table.columns if one.name in IDENTITY or one.name == "source"]
    return table._replace(columns=tuple(columns))


def _kinds(ids: Sequence[Id]) -> set[str]:
    return {one.kind for one in ids}


def _pieces(file: Path) -> Iterator[str]:
    """The file's text without the newline at its end."""
    with file.open(encoding="utf-8") as opened:
        while piece := opened.read(PIECE_BYTES):
            yield piece.removesuffix("\n") if len(piece) < PIECE_BYTES else piece
