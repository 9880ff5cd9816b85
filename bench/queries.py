"""Questions to the lake beside the same questions to one plain Parquet file in plain DuckDB.

    python -m bench.queries [--events 10000000]

Both have the same rows, threads and memory. The lake is asked as users ask it, through the guard,
with its rows in the files that loading and merging left; a ratio of 1.0 is as fast as plain.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import duckdb

from bench.loader import Kept
from bench.traffic import Traffic
from footfall.lake.lake import Lake
from footfall.lake.loader import Loader
from footfall.lake.maintenance import merge_once
from footfall.lake.query import ask
from footfall.lake.tables import EVENTS

MEMORY_MB, THREADS, ROUNDS = 1024, 2, 5
QUERIES = {
    "events by type and day": (
        "SELECT type, received_at::DATE AS day, count(*) AS n FROM events GROUP BY ALL ORDER BY ALL"
    ),
    "distinct sessions": "SELECT count(DISTINCT session_id) AS n FROM events",
    "top pages": (
        "SELECT page, count(*) AS n FROM events WHERE page IS NOT NULL "
        "GROUP BY page ORDER BY n DESC, page LIMIT 20"
    ),
}


class Row(NamedTuple):
    query: str
    lake_s: float
    plain_s: float

    @property
    def ratio(self) -> float:
        return self.lake_s / self.plain_s


def fill(lake: Lake, events: int, traffic: Traffic | None = None) -> None:
    """A tenth is loaded from a journal; the rest are further days of the same with other ids."""
    tenth = max(events // 10, 1)
    records = list((traffic or Traffic()).records(tenth))
    asyncio.run(Loader(Kept(records), lake).catch_up(600))
    values = ", ".join(
        {
            "occurred_at": "occurred_at + to_days($1)",
            "received_at": "received_at + to_days($1)",
            "session_id": "session_id || $1::INTEGER::VARCHAR",
        }.get(column.name, column.name)
        for column in EVENTS.columns
    )

    def copy(connection: duckdb.DuckDBPyConnection) -> None:
        for day in range(1, 10):
            with lake.transaction(connection):
                connection.execute(
                    f"INSERT INTO events SELECT {values} FROM events WHERE received_at < '2026-01-02'",
                    [day],
                )
        while merge_once(lake, EVENTS, connection):
            pass

    asyncio.run(lake.run(copy))


def write_plain(lake: Lake, file: Path) -> None:
    cursor = lake.cursor()
    inside = lake.scratch / "plain.parquet"
    cursor.execute(f"COPY (FROM events ORDER BY received_at) TO '{inside}' (COMPRESSION zstd)")
    cursor.close()
    inside.rename(file)


def compare(lake: Lake, connection: duckdb.DuckDBPyConnection, name: str, sql: str) -> Row:
    """Medians of rounds that take turns, after one that warms up; the answers must be equal."""
    ours, theirs = [], []
    for number in range(ROUNDS + 1):
        began = time.perf_counter()
        answer = asyncio.run(ask(lake, sql, seconds=600, rows=1_000_000))
        between = time.perf_counter()
        rows = connection.execute(sql).fetchall()
        ended = time.perf_counter()
        assert answer.rows == rows, name
        if number:
            ours.append(between - began)
            theirs.append(ended - between)
    return Row(name, statistics.median(ours), statistics.median(theirs))


def run(events: int = 10_000_000) -> list[Row]:
    """`events`: how many are asked about. Ten million take a minute or two to make."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with Lake(folder / "lake", memory_mb=MEMORY_MB, threads=THREADS) as lake:
            fill(lake, events)
            write_plain(lake, folder / "plain.parquet")
            connection = duckdb.connect(
                config={"threads": THREADS, "memory_limit": f"{MEMORY_MB}MB"}
            )
            connection.execute(f"CREATE VIEW events AS FROM '{folder / 'plain.parquet'}'")
            rows = [compare(lake, connection, *query) for query in QUERIES.items()]
            connection.close()
    return rows


def table(rows: Sequence[Row]) -> str:
    lines = ["| query | lake, ms | plain DuckDB, ms | ratio |", "|---|---:|---:|---:|"]
    lines += [
        f"| {row.query} | {row.lake_s * 1000:,.0f} | {row.plain_s * 1000:,.0f} | **{row.ratio:.2f}** |"
        for row in rows
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=10_000_000)
    options = parser.parse_args()
    print(f"{options.events:,} events\n\n{table(run(options.events))}")


if __name__ == "__main__":
    main()
