"""Several real processes on one local journal, some of them killed."""

import asyncio
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest
from journal_units import read_all

from footfall.journal.engines.files import Files
from footfall.journal.engines.local import LocalJournal
from footfall.journal.engines.segments import list_segments

WRITER = Path(__file__).with_name("journal_writer.py")
pytestmark = pytest.mark.slow


class Writer:
    """A running writer; what it said goes to a file, so that it never waits for us."""

    def __init__(self, directory, name, groups):
        self._said = directory.parent / f"{name}.out"
        with self._said.open("w") as out:
            self.process = subprocess.Popen(
                [sys.executable, WRITER, directory, name, str(groups)], stdout=out
            )

    def said(self):
        """What was acknowledged; a line that a kill cut short does not count."""
        text = self._said.read_text()
        return text[: text.rfind("\n") + 1].split()

    def wait_for(self, lines):
        while len(self.said()) < lines:
            assert self.process.poll() is None
            time.sleep(0.005)

    def kill(self):
        self.process.kill()
        self.process.wait()
        return self.said()


def outcome(directory):
    """Ids and counts of the counted events in log order, and the state's total."""

    async def scenario(journal):
        records, damage = await read_all(journal)
        assert not damage
        return records, (await journal.get(["total"]))["total"]

    journal = LocalJournal(directory)
    journal.open()
    try:
        records, total = asyncio.run(scenario(journal))
    finally:
        journal.close()
    events = [
        msgspec.json.decode(line) for _, record in records for line in record.events.splitlines()
    ]
    counted = [event for event in events if "properties" in event]
    return (
        [event["event_id"] for event in counted],
        [event["properties"]["count"] for event in counted],
        int(total),
    )


@pytest.fixture
def directory(tmp_path):
    LocalJournal.recover(tmp_path / "journal")
    return tmp_path / "journal"


@pytest.mark.parametrize("writers", [2, 4])
def test_no_update_is_lost_and_everything_is_there_once(directory, writers):
    running = [Writer(directory, f"w{n}", 150) for n in range(writers)]
    for writer in running:
        assert writer.process.wait(timeout=60) == 0
    said = [line for writer in running for line in writer.said()]
    ids, counts, total = outcome(directory)
    assert total == writers * 150
    assert counts == list(range(1, total + 1))
    assert sorted(ids) == sorted(said)
    assert len(list_segments(Files(), directory)) > 3
    found = LocalJournal.recover(directory)
    assert (found.damage, found.rebuilt, found.cut_bytes) == ((), None, 0)


def test_erasing_beside_writers_loses_nothing(directory):
    """Each erasure puts another state in place; every process goes on counting in it."""
    running = [Writer(directory, f"w{n}", 400) for n in range(2)]
    for writer in running:
        writer.wait_for(3)
    journal = LocalJournal(directory, segment_bytes=20_000, allocate_bytes=4096)
    journal.open()
    erasures = 0
    try:
        while any(writer.process.poll() is None for writer in running):
            [span] = asyncio.run(journal.partitions())
            asyncio.run(journal.trim(span.first, erased=[b"nobody"]))
            erasures += 1
    finally:
        journal.close()
        for writer in running:
            writer.process.kill()
    assert [writer.process.wait() for writer in running] == [0, 0]
    assert erasures > 3
    ids, counts, total = outcome(directory)
    assert counts == list(range(1, 801))
    assert total == 800
    assert sorted(ids) == sorted(line for writer in running for line in writer.said())
    found = LocalJournal.recover(directory)
    assert (found.damage, found.rebuilt, found.cut_bytes) == ((), None, 0)


@pytest.mark.parametrize("rounds", [4, pytest.param(40, marks=pytest.mark.long)])
def test_writers_killed_in_the_middle_lose_nothing_acknowledged(directory, rounds):
    steady = Writer(directory, "steady", 1_000_000)
    said = []
    try:
        for turn in range(rounds):
            doomed = [Writer(directory, f"doomed{turn}-{n}", 1_000_000) for n in range(2)]
            try:
                for writer in doomed:
                    writer.wait_for(3 + turn % 20)
            finally:
                for writer in doomed:
                    said.extend(writer.kill())
        steady.wait_for(len(steady.said()) + 5)  # life goes on
    finally:
        said.extend(steady.kill())
    assert len(said) > rounds * 6
    # First as another process finds it at once, then as a start does.
    for _ in range(2):
        ids, counts, total = outcome(directory)
        assert set(said) <= set(ids)
        assert len(ids) == len(set(ids))
        # In flight when killed: at most one each, and in the log or not, but not by halves.
        assert len(ids) - len(said) <= 2 * rounds + 1
        assert counts == list(range(1, len(ids) + 1))
        assert total <= len(ids)
        found = LocalJournal.recover(directory)
        assert (found.damage, found.rebuilt) == ((), None)
    assert total == len(ids)
