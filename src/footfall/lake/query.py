"""Users' SQL: one guarded SELECT with a time limit, its result as a table, JSON, CSV or Parquet.

What may be asked is `guard`'s matter. A result is a bounded table in memory (`ask`), or a file
that DuckDB writes into the lake's scratch directory and that is then handed on in pieces
(`export`); neither holds more than a few megabytes in Python, however large the result.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import duckdb

from footfall.errors import QueryRefused, QueryTimeout
from footfall.lake.guard import allowed
from footfall.lake.lake import Lake, literal

T = TypeVar("T")

TABLE_ROWS = 10_000
"""Most rows of a result that is held in memory."""
EXPORT_BYTES = 8 << 30
"""Largest result that is written to disk on its way out."""
PIECE_BYTES = 256 << 10
LOOK_SECONDS = 0.1
"""How often the size of a growing result is looked at."""

UTC_TEXT = "%Y-%m-%dT%H:%M:%S.%fZ"
FORMATS = {
    "json": f"FORMAT json, ARRAY true, TIMESTAMPFORMAT '{UTC_TEXT}'",
    "csv": f"FORMAT csv, HEADER true, TIMESTAMPFORMAT '{UTC_TEXT}'",
    "parquet": "FORMAT parquet, COMPRESSION zstd",
}
"""What DuckDB's COPY is told for each format. `json` is one array of objects."""
MEDIA_TYPES = {
    "json": "application/json",
    "csv": "text/csv; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
}


class Answer(NamedTuple):
    """A result as a table."""

    columns: tuple[str, ...]
    types: tuple[str, ...]
    """DuckDB's names of the columns' types."""
    rows: list[tuple[Any, ...]]
    """Python values; times are naive and in UTC."""
    truncated: bool
    """There were more rows than were asked for."""


FIRST_DELETE = "ducklake_inlined_delete"
"""DuckLake keeps a table's first deletes in a table that it makes then. A query that begins just
before does not find it and fails; asked again it does."""


async def ask(lake: Lake, sql: str, *, seconds: float, rows: int = TABLE_ROWS) -> Answer:
    """The first `rows` rows of a query.

    Raises `QueryRefused` for what may not be asked or DuckDB cannot answer, in words for whoever
    wrote it; `QueryTimeout` after `seconds`.
    """

    def work(cursor: duckdb.DuckDBPyConnection) -> Answer:
        select = allowed(cursor, sql)
        # The newline ends a comment that the query may end in.
        described = cursor.execute(f"DESCRIBE FROM ({select}\n)").fetchall()
        columns = tuple(str(column[0]) for column in described)
        types = tuple(str(column[1]) for column in described)
        found = cursor.execute(_as_python(select, types, rows + 1)).fetchall()
        return Answer(columns, types, found[:rows], len(found) > rows)

    return await _limited(lake, work, seconds)


@contextlib.asynccontextmanager
async def export(
    lake: Lake, sql: str, *, seconds: float, fmt: str
) -> AsyncIterator[AsyncIterator[bytes]]:
    """The whole result as `fmt` (a key of `FORMATS`), in pieces of bytes.

    Raises as `ask` does, all before the first piece: a result that has begun is whole.
    """
    file = lake.scratch / f"result-{uuid.uuid4().hex}"

    def work(cursor: duckdb.DuckDBPyConnection) -> None:
        cursor.execute(
            f"COPY (FROM ({allowed(cursor, sql)}\n)) TO {literal(str(file))} ({FORMATS[fmt]})"
        )

    try:
        await _limited(lake, work, seconds, file)
        yield _pieces(file)
    finally:
        file.unlink(missing_ok=True)


async def query(lake: Lake, sql: str, *, seconds: float, fmt: str = "table") -> Answer | bytes:
    """`ask` for `table`, else the whole of `export` in one: for small results and scripts."""
    if fmt == "table":
        return await ask(lake, sql, seconds=seconds)
    async with export(lake, sql, seconds=seconds, fmt=fmt) as pieces:
        return b"".join([piece async for piece in pieces])


def _as_python(select: str, types: tuple[str, ...], rows: int) -> str:
    """The query with its columns by place and in types that Python has without further packages.

    A moment with a zone is given in UTC; inside something else, as text.
    """
    names = [f"c{place}" for place in range(len(types))]
    values = ", ".join(
        f"{name}::TIMESTAMP" if kind == "TIMESTAMP WITH TIME ZONE"
        else f"{name}::VARCHAR" if "WITH TIME ZONE" in kind
        else name
        for name, kind in zip(names, types, strict=True)
    )  # fmt: skip
    columns = ", ".join(names)
    return f"SELECT {values} FROM ({select}\n) AS result({columns}) LIMIT {rows}"  # noqa: S608 - guarded


async def _pieces(file: Path) -> AsyncIterator[bytes]:
    with file.open("rb") as opened:
        while piece := await asyncio.to_thread(opened.read, PIECE_BYTES):
            yield piece


async def _limited(
    lake: Lake,
    work: Callable[[duckdb.DuckDBPyConnection], T],
    seconds: float,
    file: Path | None = None,
) -> T:
    """Run `work` with a cursor of its own, and interrupt it when its time or space is over."""
    end = asyncio.get_running_loop().time() + seconds
    async with contextlib.AsyncExitStack() as stack:
        try:
            async with asyncio.timeout_at(end):
                await stack.enter_async_context(lake.gate.reading())
        except TimeoutError:
            raise _too_long(seconds) from None
        cursor = lake.cursor()
        job = lake.readers.submit(_worded, work, cursor)
        try:
            await _watch(job, seconds, end, file)
        finally:
            # Also where the one who asked has gone: DuckDB stops within milliseconds.
            while not job.done() and not job.cancel():
                cursor.interrupt()
                await asyncio.sleep(0.01)
            cursor.close()
        return job.result()


def _too_long(seconds: float) -> QueryTimeout:
    return QueryTimeout(f"The query took longer than {seconds:g} seconds.")


async def _watch(job: Future[T], seconds: float, end: float, file: Path | None) -> None:
    """Wait for the job. Raises when its time or space is over."""
    loop, done = asyncio.get_running_loop(), asyncio.Event()
    job.add_done_callback(lambda _: loop.call_soon_threadsafe(done.set))
    while not job.done():
        left = end - loop.time()
        if left <= 0:
            raise _too_long(seconds)
        if file is not None and _size(file) > EXPORT_BYTES:
            raise QueryRefused(f"The result is larger than {EXPORT_BYTES >> 30} GiB; narrow it.")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(done.wait(), left if file is None else min(left, LOOK_SECONDS))


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0


def _worded(work: Callable[[duckdb.DuckDBPyConnection], T], cursor: duckdb.DuckDBPyConnection) -> T:
    """Turn what DuckDB says about the query into a refusal in its own words."""
    try:
        try:
            return work(cursor)
        except duckdb.CatalogException as error:
            if FIRST_DELETE not in str(error):
                raise
            return work(cursor)  # the table is there now
    except duckdb.OutOfMemoryException as error:
        raise QueryRefused(
            "The query needs more memory than server.query_memory_mb allows; narrow it to fewer "
            "days or columns."
        ) from error
    except (duckdb.FatalException, duckdb.InternalException):
        raise
    except duckdb.Error as error:
        raise QueryRefused(_without_wrapping(str(error))) from error


def _without_wrapping(message: str) -> str:
    """DuckDB's message with its hint, without the excerpt, which shows our wrapping too."""
    return message.split("\n\nLINE ", maxsplit=1)[0].strip()
