"""Starts: torn tails are cut, damage is fenced, the state is built anew, power may go any time."""

import asyncio
import random
import shutil
import sqlite3

import pytest
from faulty_files import Files, Forgetful, NoSync, PowerLoss
from journal_units import count, holding, ids, look, put, read_all, say

from footfall.errors import DataDirectoryTooNew, JournalFailed
from footfall.journal.contract import Position
from footfall.journal.engines import segments as format_
from footfall.journal.engines.local import LocalJournal
from footfall.journal.engines.segments import (
    RECORD_HEADER,
    SEGMENT_HEADER,
    list_segments,
    segment_header,
    segment_name,
)

SMALL = {"segment_bytes": 700, "allocate_bytes": 256}


def session(directory, scenario, files=None, **sizes):
    """Open a recovered journal, run `async def scenario(journal)` on it, close it."""
    journal = LocalJournal(directory, files=files or NoSync(), **(sizes or SMALL))
    journal.open()
    try:
        return asyncio.run(scenario(journal))
    finally:
        journal.close()


def fill(directory, groups=4, **sizes):
    """A new journal with some groups: each an event and a count. Gives its records."""

    async def scenario(journal):
        for n in range(groups):
            await journal.transact([say(f"e{n}"), count("n")])
        return (await read_all(journal))[0]

    LocalJournal.recover(directory, files=NoSync())
    return session(directory, scenario, **(sizes or {"segment_bytes": 1 << 20}))


def contents(directory):
    async def scenario(journal):
        records, damage = await read_all(journal)
        return records, damage, (await journal.get(["n"])).get("n")

    return session(directory, scenario)


def forget_tip(directory):
    (directory / "tip").unlink()


def forget_state(directory):
    for path in directory.glob("state*.db*"):
        path.unlink()


def goes_on(directory):
    """Whether commits are taken, read back, and survive another recovery."""

    async def scenario(journal):
        await journal.transact([say("after")])
        return ids((await read_all(journal))[0])[-1] == "after"

    assert session(directory, scenario)
    LocalJournal.recover(directory, files=NoSync())
    return ids(contents(directory)[0])[-1] == "after"


def test_an_empty_directory_is_set_up(tmp_path):
    found = LocalJournal.recover(tmp_path / "a" / "b")
    assert found == (Position(0, SEGMENT_HEADER), 0, None, (), None)
    assert LocalJournal.recover(tmp_path / "a" / "b") == found
    assert goes_on(tmp_path / "a" / "b")


def test_a_directory_that_was_not_recovered_is_not_opened(tmp_path):
    with pytest.raises(JournalFailed):
        LocalJournal(tmp_path).open()


def test_a_clean_stop_loses_nothing(tmp_path):
    records = fill(tmp_path)
    found = LocalJournal.recover(tmp_path)
    assert (found.cut_bytes, found.damage, found.rebuilt) == (0, (), None)
    assert contents(tmp_path) == (records, [], b"4")


@pytest.mark.parametrize("lost", ["tip", "state", "tip and state"])
def test_what_is_beside_the_log_can_be_lost(tmp_path, lost):
    records = fill(tmp_path)
    if "tip" in lost:
        forget_tip(tmp_path)
    if "state" in lost:
        forget_state(tmp_path)
    found = LocalJournal.recover(tmp_path)
    assert not found.damage
    assert (found.rebuilt is not None) == ("state" in lost)
    assert contents(tmp_path) == (records, [], b"4")
    assert goes_on(tmp_path)


def test_time_does_not_go_back_over_a_start(tmp_path):
    records = fill(tmp_path)
    forget_tip(tmp_path)
    forget_state(tmp_path)
    LocalJournal.recover(tmp_path)
    journal = LocalJournal(tmp_path, clock=lambda: 5, files=NoSync())
    journal.open()
    asyncio.run(journal.transact([]))
    last = asyncio.run(read_all(journal))[0][-1][1]
    journal.close()
    assert last.at == records[-1][1].at


def torn_at(tmp_path, length, filling):
    """Recover a log whose last record was cut at `length` while it was written."""
    origin, directory = tmp_path / "origin", tmp_path / f"{length}-{filling}"
    shutil.copytree(origin, directory)
    path = directory / segment_name(0)
    data = path.read_bytes()
    path.write_bytes(data[:length] + filling * (len(data) - length if filling == b"\0" else 7))
    return directory, LocalJournal.recover(directory, files=NoSync())


def torn_lengths(tmp_path, step):
    """Every `step`th length within the last record, which nothing else knows of."""
    origin = tmp_path / "origin"
    records = fill(origin, 3, segment_bytes=1 << 20, allocate_bytes=1)
    # As a loss of power has it: tip and state are behind the last record.
    forget_tip(origin)
    forget_state(origin)
    start = records[-1][0].sequence
    # A record that only lacks zeros at its end is whole, since zeros follow it.
    end = len(origin.joinpath(segment_name(0)).read_bytes().rstrip(b"\0"))
    return records, range(start, end, step)


@pytest.mark.parametrize("step", [29, pytest.param(1, marks=pytest.mark.long)])
def test_a_torn_tail_is_cut_and_kept_beside(tmp_path, step):
    records, lengths = torn_lengths(tmp_path, step)
    start = records[-1][0].sequence
    for length in lengths:
        for filling in (b"", b"\0", b"\xa5"):
            directory, found = torn_at(tmp_path, length, filling)
            assert not found.damage
            assert found.end == Position(0, start)
            torn = b"" if found.torn is None else found.torn.read_bytes()
            assert len(torn) == found.cut_bytes
            assert (found.torn is None) == (length == start and filling != b"\xa5")
            assert contents(directory) == (records[:-1], [], b"2")
            assert goes_on(directory)
            shutil.rmtree(directory)


def test_damage_in_the_last_acknowledged_record_is_fenced_not_cut(tmp_path):
    for known in ("tip", "state"):
        directory = tmp_path / known
        records = fill(directory)
        (forget_state if known == "tip" else forget_tip)(directory)
        start = records[-1][0].sequence
        path = directory / segment_name(0)
        data = bytearray(path.read_bytes())
        data[start + RECORD_HEADER + 3] ^= 1
        path.write_bytes(data)
        found = LocalJournal.recover(directory)
        [damage] = found.damage
        assert damage.start == Position(0, start)
        assert "checksum" in damage.reason
        assert found.torn is None
        # The bytes stay where they are, and nothing more is written to that file.
        assert path.read_bytes() == bytes(data[: damage.end.sequence])
        read, reported, number = contents(directory)
        assert read == records[:-1]
        assert [(d.start, d.end) for d in reported] == [(damage.start, damage.end)]
        assert number == (b"3" if known == "tip" else b"4")
        assert goes_on(directory)
        # Put back, it reads as if nothing had been.
        data[start + RECORD_HEADER + 3] ^= 1
        path.write_bytes(data)
        assert contents(directory)[0][:4] == records


@pytest.mark.parametrize("step", [31, pytest.param(1, marks=pytest.mark.long)])
@pytest.mark.parametrize("beside", ["kept", "lost"])
def test_a_flipped_byte_anywhere_in_the_log(tmp_path, step, beside):
    origin = tmp_path / "origin"
    records = fill(origin, 3)
    ends = [position.sequence for position, _ in records[1:]]
    ends.append(LocalJournal.recover(origin).end.sequence)
    data = origin.joinpath(segment_name(0)).read_bytes()
    for offset in range(0, ends[-1], step):
        directory = tmp_path / str(offset)
        shutil.copytree(origin, directory)
        if beside == "lost":
            forget_tip(directory)
            forget_state(directory)
        broken = bytearray(data)
        broken[offset] ^= 0xFF
        directory.joinpath(segment_name(0)).write_bytes(broken)
        found = LocalJournal.recover(directory, files=NoSync())
        hit = next((n for n, r in enumerate(records) if r[0].sequence <= offset < ends[n]), None)
        read, reported, number = contents(directory)
        assert read == [record for n, record in enumerate(records) if n != hit], offset
        # With nothing to say that it was acknowledged, the last record is as good as torn.
        torn = hit == 2 and beside == "lost"
        assert (found.torn is not None) == torn, offset
        assert bool(found.damage) == bool(reported) == (not torn), offset
        assert number == (b"3" if beside == "kept" or hit is None or hit < 2 else b"2")
        assert goes_on(directory)
        shutil.rmtree(directory)


def test_segments_that_are_gone_are_reported(tmp_path):
    records = fill(tmp_path, 24, **SMALL)
    bases = [segment.base for segment in list_segments(Files(), tmp_path)]
    assert len(bases) > 3
    for gone in (bases[-1], bases[1]):
        (tmp_path / segment_name(gone)).unlink()
    found = LocalJournal.recover(tmp_path)
    assert [d.start.sequence for d in found.damage] == [bases[-1]]
    read, damage, number = contents(tmp_path)
    lost = range(bases[1], bases[2])
    assert read == [r for r in records if r[0].sequence < bases[-1] and r[0].sequence not in lost]
    assert [d.start.sequence for d in damage] == [bases[1], bases[-1]]
    assert number == b"24"
    assert goes_on(tmp_path)


def test_a_log_that_is_gone_altogether_is_reported(tmp_path):
    fill(tmp_path)
    (tmp_path / segment_name(0)).unlink()
    found = LocalJournal.recover(tmp_path)
    assert found.damage[0].start == Position(0, 0)
    assert contents(tmp_path)[2] == b"4"
    assert goes_on(tmp_path)


@pytest.mark.parametrize("content", [b"", bytes(100), b"garbage" * 9, "header"])
def test_a_segment_whose_creation_was_cut_short(tmp_path, content):
    records = fill(tmp_path)
    forget_tip(tmp_path)
    forget_state(tmp_path)
    end = LocalJournal.recover(tmp_path).end.sequence
    if content == "header":
        content = segment_header(end)
    (tmp_path / segment_name(end)).write_bytes(content)
    found = LocalJournal.recover(tmp_path)
    assert not found.damage
    assert (tmp_path / f"{end:020d}.torn").exists() == content.startswith(b"garbage")
    assert contents(tmp_path) == (records, [], b"4")
    assert goes_on(tmp_path)


def test_a_format_of_a_later_release_is_not_touched(tmp_path, monkeypatch):
    fill(tmp_path)
    with monkeypatch.context() as later:
        later.setattr(format_, "VERSION", 2)
        header = segment_header(0)
    path = tmp_path / segment_name(0)
    path.write_bytes(header + path.read_bytes()[SEGMENT_HEADER:])
    before = path.read_bytes()
    with pytest.raises(DataDirectoryTooNew):
        LocalJournal.recover(tmp_path)
    assert path.read_bytes() == before


def test_changes_that_did_not_reach_the_state_are_replayed(tmp_path):
    """Power was lost after the sync and before SQLite's: the state is older, not damaged."""
    fill(tmp_path, 2)
    older = {path.name: path.read_bytes() for path in tmp_path.glob("state.db*")}

    async def more(journal):
        for _ in range(3):
            await journal.transact([count("n")])

    session(tmp_path, more)
    forget_state(tmp_path)
    for name, data in older.items():
        (tmp_path / name).write_bytes(data)
    found = LocalJournal.recover(tmp_path)
    assert found.rebuilt is None
    assert contents(tmp_path)[2] == b"5"


# The state file.


def keyed(directory, keys=300):
    async def scenario(journal):
        for start in range(0, keys, 50):
            await journal.transact(
                [put(f"k{n}", b"value %d" % n) for n in range(start, start + 50)]
            )

    LocalJournal.recover(directory, files=NoSync())
    session(directory, scenario, segment_bytes=1 << 20)


def state_is_right(directory, keys=300):
    async def scenario(journal):
        [result] = await journal.transact([look(*(f"k{n}" for n in range(keys)))])
        return result.reply

    return session(directory, scenario) == {f"k{n}": b"value %d" % n for n in range(keys)}


@pytest.mark.parametrize("step", [1499, pytest.param(23, marks=pytest.mark.long)])
def test_a_flipped_byte_anywhere_in_the_state(tmp_path, step):
    origin = tmp_path / "origin"
    keyed(origin)
    data = origin.joinpath("state.db").read_bytes()
    rebuilt = 0
    for offset in range(0, len(data), step):
        for mask in (0x01, 0xFF):
            directory = tmp_path / f"{offset}-{mask}"
            shutil.copytree(origin, directory)
            broken = bytearray(data)
            broken[offset] ^= mask
            directory.joinpath("state.db").write_bytes(broken)
            found = LocalJournal.recover(directory, files=NoSync())
            assert not found.damage
            rebuilt += found.rebuilt is not None
            assert state_is_right(directory), offset
            shutil.rmtree(directory)
    assert rebuilt


@pytest.mark.parametrize("length", [0, 1, 99, 100, 4096, 5000, 8192])
def test_a_truncated_state_is_built_anew(tmp_path, length):
    keyed(tmp_path)
    path = tmp_path / "state.db"
    path.write_bytes(path.read_bytes()[:length])
    found = LocalJournal.recover(tmp_path)
    assert found.rebuilt
    assert state_is_right(tmp_path)


def test_a_flipped_byte_in_the_write_ahead_log_of_the_state(tmp_path):
    origin, live = tmp_path / "origin", tmp_path / "live"
    LocalJournal.recover(live, files=NoSync())

    async def scenario(journal):
        for n in range(20):
            await journal.transact([put(f"k{n}", b"value %d" % n)])
        shutil.copytree(live, origin)  # as kill -9 leaves it

    session(live, scenario)
    data = origin.joinpath("state.db-wal").read_bytes()
    assert len(data) > 4096
    for offset in range(0, len(data), max(len(data) // 23, 1)):
        directory = tmp_path / str(offset)
        shutil.copytree(origin, directory)
        broken = bytearray(data)
        broken[offset] ^= 0xFF
        directory.joinpath("state.db-wal").write_bytes(broken)
        LocalJournal.recover(directory, files=NoSync())
        assert state_is_right(directory, 20)
        shutil.rmtree(directory)


@pytest.mark.parametrize("offset", range(100))
def test_a_flipped_byte_in_the_header_of_the_state(tmp_path, offset):
    keyed(tmp_path, 50)
    path = tmp_path / "state.db"
    data = bytearray(path.read_bytes())
    data[offset] ^= 1
    path.write_bytes(data)
    LocalJournal.recover(tmp_path, files=NoSync())
    assert state_is_right(tmp_path, 50)


def test_a_state_of_another_schema_is_built_anew(tmp_path):
    keyed(tmp_path)
    with sqlite3.connect(tmp_path / "state.db") as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    assert "schema" in LocalJournal.recover(tmp_path).rebuilt
    assert state_is_right(tmp_path)


def test_a_row_found_damaged_while_running_stops_everything_until_a_restart(tmp_path):
    keyed(tmp_path)

    async def scenario(journal):
        with sqlite3.connect(tmp_path / "state.db") as db:
            db.execute("UPDATE state SET value = x'00'")
        db.close()
        with pytest.raises(JournalFailed, match="damaged"):
            await journal.transact([look("k1")])
        with pytest.raises(JournalFailed):
            await journal.transact([say("x")])
        assert not (await journal.health()).ok

    session(tmp_path, scenario)
    assert LocalJournal.recover(tmp_path).rebuilt
    assert state_is_right(tmp_path)


# Trimming.


def trimmed(directory, rounds=2):
    """A journal that has been trimmed; its state is in snapshots and in what is left."""
    LocalJournal.recover(directory, files=NoSync())

    async def scenario(journal):
        for turn in range(rounds):
            for n in range(100 * turn, 100 * turn + 100):
                await journal.transact([put(f"k{n}", b"value %d" % n)])
            records, _ = await read_all(journal)
            await journal.trim(records[-10][0])
        await journal.transact([put("last", b"1")])

    session(directory, scenario)
    assert list_segments(Files(), directory)[0].base > 0


def test_the_state_survives_its_loss_after_trimming(tmp_path):
    trimmed(tmp_path, rounds=3)
    assert len(list(tmp_path.glob("*.snapshot"))) == 2
    forget_state(tmp_path)
    found = LocalJournal.recover(tmp_path)
    assert found.rebuilt
    assert not found.damage
    assert state_is_right(tmp_path)
    assert goes_on(tmp_path)


def test_a_damaged_snapshot_is_passed_over_and_what_is_lost_is_said(tmp_path):
    trimmed(tmp_path)
    forget_state(tmp_path)
    older, newest = sorted(tmp_path.glob("*.snapshot"))
    data = bytearray(newest.read_bytes())
    data[len(data) // 2] ^= 1
    newest.write_bytes(data)
    found = LocalJournal.recover(tmp_path)
    [damage] = found.damage
    assert f"state-{damage.start.sequence:020d}" in older.name
    assert damage.end.sequence == list_segments(Files(), tmp_path)[0].base
    assert goes_on(tmp_path)


def test_a_state_that_is_behind_the_trimmed_log_is_built_anew(tmp_path):
    fill(tmp_path, 1)
    older = {path.name: path.read_bytes() for path in tmp_path.glob("state.db*")}
    trimmed(tmp_path)
    forget_state(tmp_path)
    for name, data in older.items():
        (tmp_path / name).write_bytes(data)
    found = LocalJournal.recover(tmp_path)
    assert "before the log begins" in found.rebuilt
    assert not found.damage
    assert state_is_right(tmp_path, 200)


def test_drafts_of_a_crash_are_removed(tmp_path):
    fill(tmp_path)
    for name in ("snapshot-1.tmp", "snapshot-1.tmp-wal", "state.tmp"):
        (tmp_path / name).write_bytes(b"half")
    LocalJournal.recover(tmp_path)
    assert not list(tmp_path.glob("*.tmp*"))


# Loss of power.


def run_until_power_loss(directory, files, erased=None):
    """Groups, a trim in their midst; gives what was acknowledged, and states at each moment.

    The groups before the sixth also write `erased` to the state, and those that are trimmed with
    it. After that was acknowledged, its name is there too.
    """
    acknowledged, moments = [], [{}]

    async def scenario(journal):
        before = Position(0, 700)
        for n in range(14):
            if erased is not None and n == 5:
                [span] = await journal.partitions()
                before = span.end
            if erased is not None and n < 5:
                await journal.transact([count("n", f"e{n}"), put(f"k{n}", erased)])
            else:
                await journal.transact([count("n", f"e{n}")])
            acknowledged.append(f"e{n}")
            moments.append(
                {p.name: p.read_bytes() for p in [directory / "tip", *directory.glob("state*.db*")]}
            )
            if n == 9:
                await journal.trim(before, erased=erased and [erased])
                if erased is not None:
                    acknowledged.append("erased")

    try:
        LocalJournal.recover(directory, files=files)
        session(directory, scenario, files=files, segment_bytes=500, allocate_bytes=200)
    except PowerLoss:
        pass
    return acknowledged, moments


@pytest.mark.parametrize("erased", [None, b"anna@x.org"])
@pytest.mark.parametrize(("every", "seeds"), [(9, 2), pytest.param(1, 8, marks=[pytest.mark.long])])
def test_power_may_be_lost_at_every_step(tmp_path, every, seeds, erased):
    whole = Forgetful()
    assert len(run_until_power_loss(tmp_path / "whole", whole, erased)[0]) == 14 + bool(erased)
    for step in range(0, whole.steps + 1, every):
        files = Forgetful(crash_at=step)
        directory = tmp_path / str(step)
        acknowledged, moments = run_until_power_loss(directory, files, erased)
        gone = "erased" in acknowledged
        acknowledged = [name for name in acknowledged if name != "erased"]
        for seed in range(seeds):
            chance = random.Random(f"{step} {seed}")
            after = tmp_path / f"{step}-after-{seed}"
            files.after_power_loss(after, chance)
            for name, data in chance.choice(moments).items():
                if chance.random() < 0.8 and not name.endswith("-shm"):
                    after.joinpath(name).write_bytes(data)
            survives(after, acknowledged, f"step {step} seed {seed}")
            assert not (gone and holding(after, erased))
            shutil.rmtree(after)
        shutil.rmtree(directory)


def test_what_a_recovery_shows_is_durable(tmp_path, monkeypatch):
    """A record that was written but not synced by whoever was killed is synced before it shows."""
    files = Forgetful()
    directory = tmp_path / "journal"
    LocalJournal.recover(directory, files=files)

    async def killed_before_the_sync(journal):
        await journal.transact([say("a")])
        monkeypatch.setattr(journal._appender, "sync", lambda *_: (_ for _ in ()).throw(PowerLoss))
        with pytest.raises(PowerLoss):
            await journal.transact([say("b")])
        monkeypatch.undo()

    session(directory, killed_before_the_sync, files=files)
    LocalJournal.recover(directory, files=files)
    assert ids(contents(directory)[0]) == ["a", "b"]
    for seed in range(5):
        after = tmp_path / str(seed)
        files.after_power_loss(after, random.Random(seed))
        LocalJournal.recover(after, files=NoSync())
        assert ids(contents(after)[0]) == ["a", "b"]


def survives(directory, acknowledged, what):
    found = LocalJournal.recover(directory, files=NoSync())
    assert not found.damage, what
    records, damage, number = contents(directory)
    assert not damage, what
    names = ids(records)
    # The one in flight may have made it; what was trimmed is at the start.
    total = len(acknowledged)
    if names and names[-1] == f"e{total}":
        total += 1
    assert names == [f"e{n}" for n in range(total - len(names), total)], what
    assert int(number or 0) == total, what
    assert len(names) == total or (total > 9 and len(names) >= total - 9), what
    assert goes_on(directory), what
