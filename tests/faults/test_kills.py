"""kill -9 of every process under load: what was acknowledged is there once, and life goes on."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from uuid import uuid4

import pytest
from load import Load
from running import eventually, patched

from footfall.data import DataDirectory
from footfall.journal.contract import Outcome, Unit
from footfall.journal.engines.local import LocalJournal
from footfall.model import Event

TIMES = [
    pytest.param(5, marks=pytest.mark.slow),
    pytest.param(100, marks=[pytest.mark.long, pytest.mark.timeout(3600)]),
]
"""How often; a hundred is for `make test-long`."""


@pytest.fixture
def chance(request):
    """Random moments, of a seed that a failure shows."""
    seed = random.randrange(1 << 32)
    print("seed", seed)
    return random.Random(seed)


@pytest.mark.parametrize("times", TIMES)
def test_the_supervisor(start, chance, times):
    server = start()
    with Load(server.port) as load:
        for _ in range(times):
            load.wait_for(50)
            time.sleep(chance.uniform(0, 0.3))
            server.kill()
            server = start()
            load.port = server.port
        load.wait_for(50)
        load.stop()
    load.check(server.data)


@pytest.mark.parametrize("times", TIMES)
def test_a_collector(start, chance, times):
    server = start("--workers", 2, command=patched("quick"))
    with Load(server.port) as load:
        for _ in range(times):
            load.wait_for(50)
            time.sleep(chance.uniform(0, 0.3))
            os.kill(server.child(f"collector-{chance.randrange(2)}"), signal.SIGKILL)
        load.wait_for(50)
        load.stop()
    load.check(server.data)
    assert len(server.log("child ended")) == times


@pytest.mark.parametrize("times", TIMES)
def test_the_worker(start, chance, times):
    server = start(command=patched("quick"))
    with Load(server.port) as load:
        for _ in range(times):
            load.wait_for(50)
            # It needs half a second to start, and loads once a second.
            time.sleep(chance.uniform(0, 1.5))
            os.kill(server.child("worker"), signal.SIGKILL)
        load.wait_for(50)
        load.stop()
        assert set(load.answers.values()) == {204}, "collecting was disturbed"
        eventually(lambda: not server.status()["lake"]["behind_bytes"], "all is loaded")
    load.check(server.data)
    assert len(server.log("child ended")) == times


EVENTS = 200_000
GROUP = 500


def backlog(directory):
    """A journal that nobody has loaded yet."""
    now = time.time_ns() // 1000

    async def fill(journal):
        for group in range(EVENTS // GROUP):
            events = tuple(
                Event(
                    str(uuid4()), "dev", "vaix", "clicks:event", now, now, page="/home",
                    properties={"event_id": str(group * GROUP + n)}, context={"client_id": "demo"},
                )
                for n in range(GROUP)
            )  # fmt: skip
            await journal.transact([Unit((), lambda _, events=events: Outcome(events=events))])

    LocalJournal.recover(directory)
    journal = LocalJournal(directory)
    journal.open()
    asyncio.run(fill(journal))
    journal.close()


@pytest.mark.parametrize("times", TIMES)
def test_the_worker_while_it_loads_a_backlog(start, chance, tmp_path, times):
    for part in range(times // 5):
        folder = tmp_path / str(part)
        data = DataDirectory.create(folder / "data")
        backlog(data.journal)
        server = start(command=patched("quick"), folder=folder)
        for _ in range(5):
            time.sleep(chance.uniform(0.3, 1.3))
            os.kill(server.child("worker"), signal.SIGKILL)
        found = eventually(lambda server=server: all_loaded(server), "all is loaded")
        assert set(found.values()) == {EVENTS}
        server.stop()


def all_loaded(server):
    """Counts of a lake that has come to the end; None before."""
    if server.status()["lake"]["behind_bytes"]:
        return None
    (row,) = server.query(
        "SELECT count(*) AS events, count(DISTINCT event_id) AS ids,"
        " count(DISTINCT json_extract_string(properties, '$.event_id')) AS numbers FROM events"
    )
    return row
