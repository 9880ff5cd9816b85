"""Backups: taken while loading goes on, verified to the byte, restored anywhere."""

from __future__ import annotations

import asyncio
import json
import shutil

import pytest
from lake_rig import make_event

from footfall.errors import BackupDamaged, DataDirectoryForeign
from footfall.journal.contract import Outcome, Unit
from footfall.journal.engines.local import LocalJournal
from footfall.lake.backup import MANIFEST, backup, restore
from footfall.lake.lake import Lake
from footfall.lake.loader import Loader

pytestmark = pytest.mark.slow  # a lake of its own for each test


async def write(journal, *events):
    outcome = Outcome(events=events)
    await journal.transact([Unit((), lambda states: outcome)])


def opened(data) -> LocalJournal:
    journal = data / "journal"
    journal.mkdir(parents=True, exist_ok=True)
    LocalJournal.recover(journal)
    local = LocalJournal(journal)
    local.open()
    return local


def counted(data) -> int:
    """Everything in a data directory's journal and lake, after a loader has gone over it."""

    async def run():
        journal = opened(data)
        with Lake(data / "lake", memory_mb=256, threads=1) as lake:
            await Loader(journal, lake).catch_up(30)
            cursor = lake.cursor()
            rows = cursor.execute("SELECT count(*), count(DISTINCT event_id) FROM events")
            total, distinct = rows.fetchone()
            cursor.close()
        journal.close()
        assert total == distinct
        return total

    return asyncio.run(run())


@pytest.fixture
def carried(tmp_path):
    """A backup of 700 loaded events in a file, 5 in the catalogue and 3 in the journal only."""

    async def run():
        journal = opened(tmp_path / "data")
        (tmp_path / "data" / "VERSION").write_text("1\n")
        with Lake(tmp_path / "data" / "lake", memory_mb=256, threads=1) as lake:
            loader = Loader(journal, lake)
            for count in (700, 5):
                await write(journal, *(make_event() for _ in range(count)))
                await loader.catch_up(30)
            await write(journal, *(make_event() for _ in range(3)))
            steps = [
                step async for step in backup(lake, tmp_path / "data/journal", tmp_path / "carried")
            ]
            await write(journal, make_event())
            await loader.catch_up(30)
        journal.close()
        assert steps[-1].done == steps[-1].total
        assert [step.done for step in steps] == sorted(step.done for step in steps)

    asyncio.run(run())
    return tmp_path / "carried"


def test_a_backup_restored_elsewhere_has_everything_once(carried, tmp_path):
    shutil.rmtree(tmp_path / "data")
    moved = tmp_path / "moved"
    carried.rename(moved)
    target = tmp_path / "deep" / "restored"
    assert list(restore(moved, target))[-1].what == "restored"
    shutil.rmtree(moved)
    assert (target / "VERSION").read_text() == "1\n"
    assert counted(target) == 708


def test_the_original_goes_on(carried, tmp_path):
    assert counted(tmp_path / "data") == 709


def test_a_backup_and_its_restored_copy_share_no_file(carried, tmp_path):
    list(restore(carried, tmp_path / "restored"))
    for file in (tmp_path / "restored").rglob("*"):
        assert file.is_dir() or file.stat().st_nlink == 1


def test_every_file_of_a_damaged_backup_is_told(carried, tmp_path):
    target = tmp_path / "restored"
    entries = json.loads((carried / MANIFEST).read_text())["files"]
    assert {entry["path"].split("/")[0] for entry in entries} == {"VERSION", "journal", "lake"}
    for entry in entries:
        file = carried / entry["path"]
        whole = file.read_bytes()
        changed = bytes([whole[0] ^ 1]) + whole[1:]
        file.unlink()
        for content in (None, changed, whole[:-1], whole + b"x"):
            if content is not None:
                file.write_bytes(content)
            with pytest.raises(BackupDamaged, match=file.name):
                list(restore(carried, target))
            assert not target.exists()
        file.write_bytes(whole)
    list(restore(carried, target))


def test_a_backup_without_its_manifest_is_none(carried, tmp_path):
    (carried / MANIFEST).unlink()
    with pytest.raises(BackupDamaged, match=MANIFEST):
        list(restore(carried, tmp_path / "restored"))


@pytest.mark.parametrize("path", ["../outside", "/etc/passwd"])
def test_a_manifest_cannot_write_outside(carried, tmp_path, path):
    manifest = json.loads((carried / MANIFEST).read_text())
    manifest["files"][0]["path"] = path
    (carried / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(BackupDamaged, match="outside"):
        list(restore(carried, tmp_path / "restored"))


@pytest.mark.slow
def test_nothing_is_overwritten(carried, tmp_path, lake):
    target = tmp_path / "restored"
    target.mkdir()
    (target / "mine").write_text("")
    with pytest.raises(DataDirectoryForeign):
        list(restore(carried, target))

    async def again():
        async for _ in backup(lake, tmp_path / "data" / "journal", target):
            pass

    with pytest.raises(DataDirectoryForeign):
        asyncio.run(again())
    assert [file.name for file in target.iterdir()] == ["mine"]
