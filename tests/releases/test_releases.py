"""Every release opens what every earlier release wrote: a directory of each is kept beside this."""

from __future__ import annotations

import asyncio
import json
import shutil
import zipfile
from pathlib import Path

import pytest
from make import traffic
from running import query

import footfall
from footfall.collect import correlate
from footfall.journal.engines.local import LocalJournal

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
RELEASES = sorted(path.parent.name for path in HERE.glob("*/answers.json"))


@pytest.fixture(params=RELEASES)
def release(request, tmp_path):
    """A folder as the release left it, and what that release answered."""
    kept = HERE / request.param
    with zipfile.ZipFile(kept / "data.zip") as archive:
        archive.extractall(tmp_path / "data")
    shutil.copy(kept / "footfall.toml", tmp_path)
    return tmp_path, json.loads((kept / "answers.json").read_text(encoding="utf-8"))


def same(data, answers):
    """The same answers; columns that came later do not count."""
    for asked in answers["queries"]:
        rows = query(data, asked["sql"])
        known = asked["rows"][0].keys()
        assert [{name: row[name] for name in known} for row in rows] == asked["rows"]


def test_this_release_is_kept():
    assert footfall.__version__ in RELEASES, "run tests/releases/make.py"


def test_it_is_opened_by_a_command_and_by_a_server(release, start):
    folder, answers = release
    data = folder / "data"
    same(data, answers)
    server = start(folder=folder, dev=False)
    same(data, answers)
    # And life goes on in it.
    count = "SELECT count(*) AS n FROM events"
    (before,) = server.query(count)
    traffic(server)
    (after,) = server.query(count)
    assert after["n"] == before["n"] + 33
    assert server.stop() == 0
    assert all(line["level"] == "info" for line in server.log())


def test_its_sessions_live_on(release):
    """By the clock of that day: they would have ended since."""
    folder, answers = release
    journal_directory = folder / "data" / "journal"
    found = LocalJournal.recover(journal_directory)
    assert (found.damage, found.rebuilt) == ((), None)
    journal = LocalJournal(journal_directory, clock=lambda: answers["at"])
    journal.open()
    try:
        alive = {correlate.key("shop", session) for session in answers["alive"]}
        ended = {correlate.key("shop", session) for session in answers["ended"]}
        assert asyncio.run(journal.get([*alive, *ended])).keys() == alive
    finally:
        journal.close()


def test_its_journal_makes_the_lake_anew(release, start):
    folder, answers = release
    shutil.rmtree(folder / "data" / "lake")
    same(folder / "data", answers)
