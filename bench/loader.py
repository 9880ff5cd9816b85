"""How fast the loader takes a journal into the lake, and how many bytes an event then takes.

    python -m bench.loader [--events 1000000]

Parsed JSON in, DuckLake out, position and all, in one process, from records of 250 events each;
beside it, in the same run and from the same lines in a file, what DuckDB's own `read_json` takes
into one plain Parquet file, which keeps no position and is not synced.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import duckdb

from bench.traffic import Traffic
from footfall.journal.contract import Batch, Position, Record, Span
from footfall.lake.lake import Lake
from footfall.lake.loader import Loader
from footfall.lake.maintenance import FLUSH, call, merge_once
from footfall.lake.parsing import structure
from footfall.lake.tables import EVENTS

AT_LEAST = 200_000
"""Events a second."""
AT_MOST = 60
"""Bytes an event."""


class Row(NamedTuple):
    what: str
    value: float
    unit: str
    wanted: str = ""


class Kept:
    """A journal in memory that only reads; its sequences count records."""

    def __init__(self, records: Sequence[tuple[Position, Record]]) -> None:
        self.records = records

    async def partitions(self) -> Sequence[Span]:
        return (Span(0, Position(0, 0), Position(0, len(self.records))),)

    async def read(self, start: Position, limit_bytes: int = 8 << 20) -> Batch:
        found, size = [], 0
        for item in self.records[start.sequence :]:
            if size >= limit_bytes:
                break
            found.append(item)
            size += len(item[1].events)
        return Batch(found, Position(0, start.sequence + len(found)))


def stored(directory: Path) -> int:
    return sum(file.stat().st_size for file in directory.rglob("*.parquet"))


def resident_mb() -> float:
    """Of this process, now. 0 where the system does not say."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS")), 0.0)


async def load(journal: Kept, folder: Path, events: int, threads: int) -> list[Row]:
    """`threads`: DuckDB's. Parsing and writing have one of their own each besides."""
    before = resident_mb()
    with Lake(folder, memory_mb=512, threads=threads) as lake:
        opened = resident_mb()
        loader = Loader(journal, lake)
        began = time.perf_counter()
        await loader.catch_up(600)
        seconds = time.perf_counter() - began
        loaded = resident_mb()
        assert loader.counters.events == events
        fresh = stored(lake.data)

        def merged(connection: duckdb.DuckDBPyConnection) -> int:
            call(lake, FLUSH.format("events"), connection)
            while merge_once(lake, EVENTS, connection):
                pass
            rows = connection.execute(
                "SELECT sum(data_file_size_bytes) FROM ducklake_list_files('lake', 'events')"
            ).fetchone()
            return int(rows[0])

        size = await lake.run(merged)
    return [
        Row(
            f"loaded into the lake, threads = {threads}",
            events / seconds,
            "events/s",
            f"at least {AT_LEAST:,}",
        ),
        Row("stored, once merged", size / events, "bytes/event", f"at most {AT_MOST}"),
        Row("stored, as loaded", fresh / events, "bytes/event"),
        Row("memory of an open lake, beyond the process", opened - before, "MB"),
        Row("memory after loading, beyond that", loaded - opened, "MB"),
    ]


def plain(records: Sequence[tuple[Position, Record]], folder: Path, events: int) -> Row:
    """The same lines from a file into one Parquet file."""
    lines = folder / "events.jsonl"
    with lines.open("wb") as file:
        file.writelines(record.events for _, record in records)
    connection = duckdb.connect(config={"threads": 2, "memory_limit": "512MB"})
    began = time.perf_counter()
    connection.execute(
        f"COPY (FROM read_json('{lines}', format = 'newline_delimited', columns = {structure(EVENTS)})) "
        f"TO '{folder / 'plain.parquet'}' (FORMAT parquet, COMPRESSION zstd)"
    )
    seconds = time.perf_counter() - began
    connection.close()
    return Row("read_json into one plain Parquet file", events / seconds, "events/s")


def run(events: int = 1_000_000) -> list[Row]:
    """`events`: how many are loaded. They are made first; that takes 10 s a million."""
    records = list(Traffic().records(events))
    json_bytes = sum(len(record.events) for _, record in records)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = asyncio.run(load(Kept(records), folder / "two", events, 2))
        # One thread loads faster where cores are few: DuckDB's callers spin while its own threads
        # have taken their work. Queries want two.
        rows.insert(1, asyncio.run(load(Kept(records), folder / "one", events, 1))[0])
        rows.append(Row("as JSON in the journal", json_bytes / events, "bytes/event"))
        rows.append(plain(records, folder, events))
    return rows


def table(rows: Sequence[Row]) -> str:
    lines = ["| | | | wanted |", "|---|---:|---|---|"]
    lines += [f"| {row.what} | {row.value:,.1f} | {row.unit} | {row.wanted} |" for row in rows]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    options = parser.parse_args()
    print(f"{options.events:,} events\n\n{table(run(options.events))}")


if __name__ == "__main__":
    main()
