"""How long one person among many takes to erase from the lake, and what queries see of it.

    python -m bench.erase [--events 10000000]

100,000 visitors on ten days. Meanwhile one query after the other counts everybody else's events; an
answer that is not the same ends the benchmark. Beside it, in the same run, what it takes to copy the
events into new files whole, which is what a lake of plain Parquet files would have to do.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import NamedTuple

import duckdb

from bench.queries import MEMORY_MB, THREADS, fill, write_plain
from bench.traffic import Traffic
from footfall.lake.erasure import delete_rows, expand, leave_nothing
from footfall.lake.lake import Lake
from footfall.lake.persons import Before, Id
from footfall.lake.query import ask

VISITORS = 100_000
EVERYTHING = Before(0, 1 << 62, 4_000_000_000_000_000)
MIDDLING = """
    SELECT profile_id, count(*) AS n FROM events WHERE profile_id IS NOT NULL AND user_id IS NULL
    GROUP BY ALL ORDER BY n DESC, profile_id LIMIT 1 OFFSET 1000
"""


class Erasure(NamedTuple):
    ids: int
    rows: int
    files: int
    of_files: int
    bytes: int
    of_bytes: int
    find_s: float
    delete_s: float
    leave_s: float
    whole_s: float
    """Writing all events anew."""
    answers: list[float]
    """Seconds that each query took meanwhile."""


class Watch:
    """Asks the same question as long as it runs, and holds the answers to be the same."""

    def __init__(self, lake: Lake, sessions: list[str]) -> None:
        self._lake = lake
        theirs = ", ".join(f"'{one}'" for one in sessions)
        self._sql = f"SELECT count(*) FROM events WHERE session_id NOT IN ({theirs})"
        self.seconds: list[float] = []

    async def once(self) -> int:
        began = time.perf_counter()
        count: int = (await ask(self._lake, self._sql, seconds=600)).rows[0][0]
        self.seconds.append(time.perf_counter() - began)
        return count

    async def follow(self, expected: int, done: asyncio.Event) -> None:
        while not done.is_set():
            count = await self.once()
            assert count == expected, f"{count:,} events of others, not {expected:,}"


async def erase(lake: Lake) -> Erasure:
    (profile, _), *_ = (await ask(lake, MIDDLING, seconds=600)).rows
    files = [file.stat().st_size for file in lake.data.rglob("*.parquet")]
    began = time.perf_counter()
    ids = await expand(lake, [Id("profile", profile)])
    found = time.perf_counter()
    watch = Watch(lake, [one.id for one in ids if one.kind == "session"])
    done = asyncio.Event()
    watching = asyncio.create_task(watch.follow(await watch.once(), done))
    started = time.perf_counter()
    steps = [step async for step in delete_rows(lake, ids, EVERYTHING)]
    deleted = time.perf_counter()
    await leave_nothing(lake)
    left = time.perf_counter()
    done.set()
    await watching
    return Erasure(
        ids=len(ids),
        rows=sum(step.rows for step in steps),
        files=sum(step.files for step in steps),
        of_files=len(files),
        bytes=sum(step.bytes for step in steps),
        of_bytes=sum(files),
        find_s=found - began,
        delete_s=deleted - started,
        leave_s=left - deleted,
        whole_s=0.0,
        answers=watch.seconds,
    )


def run(events: int) -> Erasure:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with Lake(folder / "lake", memory_mb=MEMORY_MB, threads=THREADS) as lake:
            fill(lake, events, Traffic(visitors=VISITORS))
            began = time.perf_counter()
            write_plain(lake, folder / "plain.parquet")
            whole = time.perf_counter() - began
            found = asyncio.run(erase(lake))
            rows = asyncio.run(lake.run(partial(_count)))
            assert rows == events - found.rows
    return found._replace(whole_s=whole)


def _count(connection: duckdb.DuckDBPyConnection) -> int:
    row = connection.execute("SELECT count(*) FROM events").fetchone()
    return int(row[0]) if row else 0


def table(found: Erasure) -> str:
    together = found.find_s + found.delete_s + found.leave_s
    lines = (
        ("ids of the person, sessions among them", f"{found.ids:,}"),
        ("rows erased", f"{found.rows:,}"),
        ("files written anew", f"{found.files:,} of {found.of_files:,}"),
        ("bytes written anew", f"{found.bytes:,} of {found.of_bytes:,}"),
        ("finding the ids, s", f"{found.find_s:.2f}"),
        ("finding and deleting the rows, s", f"{found.delete_s:.2f}"),
        ("leaving nothing behind, s", f"{found.leave_s:.2f}"),
        ("**together, s**", f"**{together:.2f}**"),
        ("writing all events anew into one Parquet file, s", f"{found.whole_s:.2f}"),
        ("ratio", f"**{together / found.whole_s:.2f}**"),
        ("queries answered meanwhile, all with the same number", f"{len(found.answers):,}"),
        ("their median, s", f"{statistics.median(found.answers):.3f}"),
        ("the longest, s", f"{max(found.answers):.3f}"),
    )
    return "\n".join(["| what | |", "|---|---:|", *(f"| {a} | {b} |" for a, b in lines)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=10_000_000)
    options = parser.parse_args()
    print(f"{options.events:,} events, {VISITORS:,} profiles\n\n{table(run(options.events))}")


if __name__ == "__main__":
    main()
