"""What is kept of a fault: enough to mend it by, and nothing that a client sent."""

from __future__ import annotations

import asyncio
import sqlite3

import duckdb
import msgspec
import pytest
from structlog.testing import capture_logs

from footfall.errors import ErasureUnfinished, JournalUnavailable, told
from footfall.lake.loader import Loader
from footfall.privacy.people import People

ANNA = "anna-5d41402abc4b2a76"


def raised(sql):
    with pytest.raises(duckdb.Error) as caught:
        duckdb.connect().execute(sql)
    assert ANNA in str(caught.value), "else nothing is tested"
    return caught.value


@pytest.mark.parametrize(
    "sql",
    [
        f"SELECT '{ANNA}'::INT",
        f"SELECT '{ANNA}'::JSON",
        f'SELECT "{ANNA}"',
        f"CREATE TABLE t (id VARCHAR PRIMARY KEY); INSERT INTO t VALUES ('{ANNA}'), ('{ANNA}')",
    ],
)
def test_a_text_that_quotes_a_row_is_not_kept(sql):
    fault = raised(sql)
    assert told(fault) == f"duckdb.{type(fault).__name__}"


def test_neither_the_loader_nor_an_erasure_logs_it(monkeypatch):
    fault = raised(f"SELECT '{ANNA}'::INT")

    class Broken:
        """An eraser."""

        def begin(self, *_):
            return None

        async def run(self, _):
            raise fault
            yield

    async def load():
        stop = asyncio.Event()

        async def step(_):
            stop.set()
            raise fault

        monkeypatch.setattr(Loader, "step", step)
        await Loader(None, None).follow(stop)

    async def erase():
        people = [{"profile": ANNA}]
        async for _ in People(Broken(), None, None).forget(
            people, None, resume=False, repeated=None
        ):
            pass

    with capture_logs() as lines:
        asyncio.run(load())
    assert [line["error"] for line in lines] == ["duckdb.ConversionException"]
    with pytest.raises(ErasureUnfinished, match=r"broken off: duckdb\.ConversionException"):
        asyncio.run(erase())


def test_what_names_our_files_is_kept():
    with pytest.raises(duckdb.IOException) as caught:
        duckdb.connect("/nowhere/catalog.ducklake")
    assert "/nowhere/catalog.ducklake" in told(caught.value)
    assert "No space left" in told(OSError(28, "No space left on device", "/data"))
    assert told(JournalUnavailable("The disk is full.")) == "The disk is full."
    assert told(sqlite3.DatabaseError("malformed")) == "malformed"
    assert told(msgspec.ValidationError(ANNA)) == "msgspec.ValidationError"
