"""A loader that is killed in the midst of its work loads each event, and what it said, once."""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
import sys
import time

import pytest
from lake_rig import make_event

from footfall.journal.contract import Outcome, Unit
from footfall.journal.engines.local import LocalJournal
from footfall.lake.lake import Lake
from footfall.lake.loader import Loader
from footfall.model import Facts

EVENTS, PER_RECORD = 60_000, 50
LOAD = """
import asyncio, sys
from pathlib import Path
from footfall.journal.engines.local import LocalJournal
from footfall.lake.lake import Lake
from footfall.lake.loader import Loader

async def main():
    journal = LocalJournal(Path(sys.argv[1]) / "journal")
    journal.open()
    with Lake(Path(sys.argv[1]) / "lake", memory_mb=256) as lake:
        print("open", flush=True)
        await Loader(journal, lake, batch_bytes=100_000).catch_up(100)
    journal.close()
    print("done", flush=True)

asyncio.run(main())
"""


def told(**changes):
    """An event that says something for every table of facts."""
    return make_event(
        session_id="s", profile_id="p", **changes,
        facts=Facts(visit="s", context={"k": 1}, traits={"t": 1}, consents={"c": (True, None)},
                    aliases={"old": "imported"}),
    )  # fmt: skip


def fill(directory) -> None:
    """A journal with many records; every tenth event has an id of the client's, sent twice."""

    async def run():
        directory.mkdir()
        LocalJournal.recover(directory)
        journal = LocalJournal(directory)
        journal.open()
        for _ in range(EVENTS // PER_RECORD):
            events = [make_event(page=f"/{n}") for n in range(PER_RECORD)]
            for n in range(0, PER_RECORD, 10):
                given = make_event(event_id=events[n].event_id, client_id_given=True)
                events[n] = given
                events[n + 1] = given
            events[2] = told(stored=False)
            events[3] = told()
            outcome = Outcome(events=events)
            await journal.transact([Unit((), lambda states, outcome=outcome: outcome)])
        journal.close()

    asyncio.run(run())


@pytest.mark.slow
def test_killed_anywhere_it_loads_each_event_once(tmp_path):
    fill(tmp_path / "journal")
    chance, kills, done = random.Random(4), 0, False
    while not done:
        process = subprocess.Popen(
            [sys.executable, "-c", LOAD, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout.readline() == "open\n"
        if kills < 8:
            time.sleep(chance.uniform(0, 0.25))
            process.send_signal(signal.SIGKILL)
            kills += process.wait() == -signal.SIGKILL
        done = process.stdout.readline() == "done\n"
        process.wait()
    with Lake(tmp_path / "lake", memory_mb=256, threads=1) as lake:
        cursor = lake.cursor()
        found = cursor.execute("SELECT count(*), count(DISTINCT event_id) FROM events").fetchone()
        per_record = cursor.execute(
            "SELECT DISTINCT count(*) FROM events GROUP BY position"
        ).fetchall()
        said = {
            table: cursor.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for table in ("visits", "profile_traits", "profile_consents", "profile_aliases")
        }
        passing = cursor.execute("SELECT count(*) FROM passing").fetchone()[0]
        cursor.close()
    records = EVENTS // PER_RECORD
    stored = EVENTS - EVENTS // 10 - records
    assert found == (stored, stored)
    assert per_record == [(stored // records,)]
    assert passing == records
    assert said == dict.fromkeys(said, 2 * records)
    assert kills > 0


def test_a_commit_is_preceded_by_a_sync_of_every_new_file(rig, monkeypatch):
    import os

    from footfall.lake import lake as module

    order = []
    sync = module._sync
    monkeypatch.setattr(module, "_sync", lambda path: (order.append(os.fspath(path)), sync(path)))
    rig.write(*(make_event() for _ in range(600)))
    asyncio.run(Loader(rig.journal, rig.lake, now=rig.clock).catch_up(30))
    (file,) = rig.lake.data.rglob("*.parquet")
    assert str(file) in order
    # the names on the way to it, from the inside out
    folders = [str(parent) for parent in file.parents if parent.is_relative_to(rig.lake.data)]
    assert [path for path in order if path in folders] == folders
