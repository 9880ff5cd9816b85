"""Maintenance: the same rows in fewer files, what is old gone without a trace, the journal short."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from lake_rig import DAY, NOON, make_event, make_reject

from footfall.lake import maintenance as tasks
from footfall.lake.loader import Loader
from footfall.lake.maintenance import TASKS, Maintenance
from footfall.settings import Source

pytestmark = pytest.mark.slow  # a lake each


class Keeper:
    """A rig with its loader and its maintenance."""

    def __init__(self, rig, *, sources=(), hours=1.0, followers=()) -> None:
        self.rig = rig
        self.loader = Loader(rig.journal, rig.lake, now=rig.clock)
        self.maintenance = Maintenance(
            rig.lake, self.loader, rig.journal, sources=lambda: sources,
            journal_retention_hours=hours, followers=followers, now=rig.clock,
        )  # fmt: skip

    def load(self) -> None:
        asyncio.run(self.loader.catch_up(30))

    def run(self, *names: str) -> None:
        for name in names:
            asyncio.run(self.maintenance.run(name))

    def files(self, table: str = "events") -> list:
        return self.rig.sql(f"SELECT data_file FROM ducklake_list_files('lake', '{table}')")


@pytest.fixture
def at_once(monkeypatch):
    """Replaced files go at once."""
    for name in ("EXPIRE", "CLEAN_UP"):
        monkeypatch.setattr(tasks, name, getattr(tasks, name).replace("15 MINUTES", "0 SECONDS"))


def test_flushing_and_merging_keep_every_row(rig, at_once):
    keeper = Keeper(rig)
    for count in (600, 3, 700, 2):
        rig.write(*(make_event() for _ in range(count)), rejects=[make_reject()])
        keeper.load()
    before = rig.sql("SELECT * FROM events ORDER BY event_id")
    assert len(keeper.files()) == 2
    keeper.run("flush", "merge", "expire")
    assert len(keeper.files()) == 1
    assert rig.sql("SELECT * FROM events ORDER BY event_id") == before
    assert rig.sql("SELECT count(*) FROM rejects") == [(4,)]
    assert len(list((rig.lake.data / "main" / "events").rglob("*.parquet"))) == 1


def test_every_task_may_run_on_an_empty_lake(rig):
    keeper = Keeper(rig)
    keeper.run(*(task.name for task in TASKS))
    assert rig.sql("SELECT count(*) FROM events") == [(0,)]


def test_tidying_keeps_positions_and_marks(rig):
    keeper = Keeper(rig)
    for _ in range(5):
        rig.clock.now += 700_000_000
        rig.write(make_event())
        keeper.load()
    before = rig.sql("SELECT * FROM loader"), rig.sql("SELECT * FROM marks ORDER BY ALL")
    assert len(before[1]) == 5
    keeper.run("tidy")
    assert (rig.sql("SELECT * FROM loader"), rig.sql("SELECT * FROM marks ORDER BY ALL")) == before
    rig.write(make_event())
    keeper.load()
    assert rig.sql("SELECT * FROM loader") == [(0, 6)]


def test_retention_deletes_by_source_and_leaves_nothing_in_files(rig, at_once):
    site = Source(id="site", protocols=("vaix",), retention_days=30)
    other = Source(id="other", protocols=("vaix",))
    keeper = Keeper(rig, sources=(site, other))
    for source in ("site", "other"):
        for age in (29, 31, 32):
            received = NOON - age * DAY
            events = [
                make_event(source=source, received_at=received, user_id=f"{source}-{age}")
                for _ in range(300)
            ]
            rig.write(*events, rejects=[make_reject(source=source, received_at=received)])
    rig.write(rejects=[make_reject(source=None, received_at=NOON - age * DAY) for age in (1, 40)])
    keeper.load()
    keeper.run("retain", "expire")
    left = "SELECT source, count(DISTINCT user_id), count(*) FROM events GROUP BY ALL ORDER BY ALL"
    assert rig.sql(left) == [("other", 3, 900), ("site", 1, 300)]
    rejects = "SELECT source, count(*) FROM rejects GROUP BY ALL ORDER BY ALL"
    assert rig.sql(rejects) == [("other", 3), ("site", 1), (None, 1)]
    keeper.run("flush", "merge")
    assert rig.sql(left) == [("other", 3, 900), ("site", 1, 300)]
    stored = "|".join(
        str(row)
        for file in rig.lake.data.rglob("*.parquet")
        for row in rig.sql(f"SELECT * FROM read_parquet('{file}')")
    )
    assert "other-31" in stored
    assert "site-31" not in stored


def test_a_type_can_be_kept_for_less_long(rig):
    site = Source(
        id="site", protocols=("vaix",), retention_days=60,
        retention_days_by_type={"Page View": 5, "long": 90},
    )  # fmt: skip
    other = Source(id="other", protocols=("vaix",), retention_days_by_type={"it's": 1})
    keeper = Keeper(rig, sources=(site, other))
    for source in ("site", "other"):
        for kind in ("page-view", "PAGE view", "page", "long", "it's"):
            for age in (1, 6, 70):
                received = NOON - age * DAY
                for stored in (True, False):
                    event = make_event(source=source, type=kind, received_at=received)
                    rig.write(msgspec.structs.replace(event, stored=stored))
    keeper.load()
    keeper.run("retain")
    for table in ("events", "passing"):
        kept = rig.sql(f"SELECT source, type, count(*) FROM {table} GROUP BY ALL ORDER BY ALL")
        assert kept == [
            ("other", "PAGE view", 3), ("other", "it's", 1), ("other", "long", 3),
            ("other", "page", 3), ("other", "page-view", 3),
            ("site", "PAGE view", 1), ("site", "it's", 2), ("site", "long", 2),
            ("site", "page", 2), ("site", "page-view", 1),
        ]  # fmt: skip


def test_client_ids_are_forgotten_after_a_week(rig):
    keeper = Keeper(rig)
    rig.write(make_event(event_id="x", client_id_given=True))
    keeper.load()
    rig.clock.now += 7 * DAY
    keeper.run("retain")
    assert rig.sql("SELECT count(*) FROM client_ids") == [(1,)]
    rig.clock.now += 2 * DAY
    keeper.run("retain")
    assert rig.sql("SELECT count(*) FROM client_ids") == [(0,)]


def test_the_journal_is_trimmed_to_what_is_old_and_followed_by_all(rig):
    follower = {0: 2}
    keeper = Keeper(rig, hours=1.0, followers=[lambda: follower])

    def first() -> int:
        return asyncio.run(rig.journal.partitions())[0].first.sequence

    for _ in range(4):
        rig.write(make_event())
        keeper.load()
        rig.clock.now += 900_000_000  # a quarter of an hour
    keeper.run("trim")
    assert first() == 1  # an hour old; the others are younger
    rig.clock.now += DAY
    keeper.run("trim")
    assert first() == 2  # where the other follower stands
    follower[0] = 4
    with rig.lake.keep_files():
        keeper.run("trim")
    assert first() == 2  # a backup is being taken
    keeper.run("trim")
    assert first() == 4
    follower.clear()
    keeper.run("trim")
    assert first() == 4


def test_what_a_killed_process_left_is_deleted_after_a_day(rig):
    import os

    keeper = Keeper(rig)
    rig.write(*(make_event() for _ in range(600)))
    keeper.load()
    folder = rig.lake.data / "main" / "events"
    new, old = folder / "new.parquet", folder / "old.parquet"
    for file in (new, old):
        file.write_bytes(b"PAR1")
    os.utime(old, (0, 0))
    with rig.lake.keep_files():
        keeper.run("delete_orphans")
    assert old.exists()
    keeper.run("delete_orphans")
    assert (new.exists(), old.exists()) == (True, False)
    assert rig.sql("SELECT count(*) FROM events") == [(600,)]


def test_a_task_that_fails_does_not_stop_the_others(rig, monkeypatch):
    done = []

    async def fail(_):
        raise OSError("no space left on device")

    async def note(_):
        done.append(1)

    monkeypatch.setattr(tasks, "TASKS", (tasks.Task("a", 0, fail), tasks.Task("b", 0, note)))
    keeper = Keeper(rig)

    async def run():
        stop = asyncio.Event()
        following = asyncio.create_task(keeper.maintenance.follow(stop))
        async with asyncio.timeout(20):
            while not done:
                await asyncio.sleep(0.01)
        stop.set()
        await following

    asyncio.run(run())
