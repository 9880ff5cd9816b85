"""Erasing on the local engine: byte by byte in every file, at every kill, beside other processes."""

import asyncio
import contextlib
import threading
from pathlib import Path

import pytest
from faulty_files import NO_SPACE, Forgetful, NoSync, Picky, PowerLoss, Stalling
from journal_units import START, count, holding, ids, look, put, read_all, say

from footfall.errors import JournalUnavailable
from footfall.journal.contract import Change, Outcome, Position
from footfall.journal.engines import keeping
from footfall.journal.engines.cutting import remove_segments
from footfall.journal.engines.local import LocalJournal
from footfall.journal.engines.segments import SEGMENT_HEADER, list_segments
from footfall.journal.engines.snapshots import list_snapshots
from footfall.journal.engines.state import state_path
from footfall.journal.engines.tip import ROLL

ANNA = b"anna@x.org"


@contextlib.contextmanager
def opened(directory, files=None):
    journal = LocalJournal(
        directory, files=files or NoSync(), segment_bytes=500, allocate_bytes=200
    )
    journal.open()
    try:
        yield journal
    finally:
        journal.close()


@pytest.fixture
def directory(tmp_path):
    LocalJournal.recover(tmp_path / "journal", files=NoSync())
    return tmp_path / "journal"


def forget(*keys):
    return Outcome(changes=[Change(key, None, 0) for key in keys])


def kept_open(directory, text):
    """Files that this process has open and that still hold a text, deleted ones too."""
    found = set()
    for entry in Path("/proc/self/fd").glob("*"):
        with contextlib.suppress(OSError):
            if str(directory) in str(entry.readlink()) and text in entry.read_bytes():
                found.add(str(entry.readlink()))
    return found


def die_in(monkeypatch, journal, place, units):
    """Let a commit end where a kill would, without what comes after."""

    def die(*_, **__):
        raise PowerLoss

    monkeypatch.setattr(*place(journal), die)
    with pytest.raises(PowerLoss):
        asyncio.run(journal.transact(units))
    monkeypatch.undo()


async def end_of(journal):
    return (await journal.partitions())[0].end


async def older_copies(journal):
    """Values of anna's that are something else by now, in free pages, snapshots and the WAL."""
    many = {f"many-{n}": ANNA + b" %d " % n + b"-" * 900 for n in range(40)}
    await journal.transact([put(key, value) for key, value in many.items()])
    for _ in range(2):
        for n in range(6):
            await journal.transact([say(f"e{n}"), put("anna", ANNA + b" and more")])
        await journal.trim(await end_of(journal))
    await journal.transact([forget(*many), put("anna", b"nobody")])


def test_older_copies_go_from_every_file(directory, monkeypatch):
    with opened(directory) as journal, opened(directory) as other:
        # As most builds of SQLite have it; Debian's zeroes what it deletes.
        journal._state._db.execute("PRAGMA secure_delete = OFF")
        asyncio.run(older_copies(journal))
        journal._state._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        asyncio.run(other.transact([put("late", ANNA), say(ANNA.decode())]))
        # Bytes in the tail of the live segment that nobody knows of.
        die_in(monkeypatch, other, lambda j: (j._tip, "write"), [say("x" * 50, ANNA.decode())])
        for name in ("00000000000000000001.torn", "99999999999999999999.torn", "state.tmp"):
            (directory / name).write_bytes(b"..." + ANNA)
        kinds = {name.split(".", 1)[1] for name, _ in holding(directory, ANNA)}
        assert kinds == {"log", "db", "db-wal", "snapshot", "torn", "tmp"}
        assert len(list_snapshots(NoSync(), directory)) == 2
        asyncio.run(other.trim(asyncio.run(end_of(other)), erased=[ANNA]))
        assert not holding(directory, ANNA)
        # Also not for whoever has a file open from when it last looked.
        assert not kept_open(directory, ANNA)
        assert asyncio.run(journal.get(["anna", "late", "many-1"])) == {"anna": b"nobody"}
    found = LocalJournal.recover(directory)
    assert (found.damage, found.rebuilt, found.cut_bytes) == ((), None, 0)
    assert not holding(directory, ANNA)


def test_a_segment_that_an_idle_process_has_open_holds_nothing_any_more(directory):
    with opened(directory) as idle, opened(directory) as other:
        asyncio.run(idle.transact([say(ANNA.decode())]))
        assert kept_open(directory, ANNA)
        asyncio.run(other.trim(asyncio.run(end_of(other)), erased=()))
        assert not kept_open(directory, ANNA)
        asyncio.run(idle.transact([say("next")]))
        assert ids(asyncio.run(read_all(other))[0]) == ["next"]


class Interrupted(NoSync):
    """Does something else once a file was opened, before it can be read."""

    then = None

    def open(self, path, *, create=False):
        fd = super().open(path, create=create)
        then, self.then = self.then, None
        if then is not None:
            then()
        return fd


def test_what_goes_while_it_is_read_is_no_damage(directory):
    files = Interrupted()
    with opened(directory, files) as journal:
        while len(list_segments(files, directory)) < 3:
            asyncio.run(journal.transact([say("e")]))
        records = asyncio.run(read_all(journal))[0]
        first, second, _ = list_segments(files, directory)
        files.then = lambda: remove_segments(NoSync(), directory, [first])
        kept, damage = asyncio.run(read_all(journal))
        assert (kept, damage) == ([r for r in records if r[0].sequence > second.base], [])


def test_a_tail_that_nobody_cut_goes_from_segments_that_stay(directory):
    async def scenario(journal):
        await journal.transact([say("first")])
        before = await end_of(journal)
        while len(list_segments(NoSync(), directory)) < 4:
            await journal.transact([say("kept")])
        # As a killed process leaves it, which had begun a record and then another segment.
        full = list_segments(NoSync(), directory)[1].path
        with full.open("ab") as file:
            file.write(ANNA)
        records = (await read_all(journal))[0]
        await journal.trim(before, erased=[ANNA])
        assert not holding(directory, ANNA, b"first")
        kept, damage = await read_all(journal)
        assert (kept[:-1], damage) == (records[1:], [])

    with opened(directory) as journal:
        asyncio.run(scenario(journal))


def test_the_state_is_one_that_can_be_lost(directory):
    """The snapshot has what the state has, and the log has nothing to add."""

    async def scenario(journal):
        await journal.transact([put("anna", ANNA), put("bob", b"bob")])
        before = await end_of(journal)
        await journal.transact([put("anna-again", ANNA), say("kept")])
        await journal.trim(before, erased=[ANNA])
        assert ids((await read_all(journal))[0]) == ["kept"]
        await journal.transact([count("n")])

    with opened(directory) as journal:
        asyncio.run(scenario(journal))
    for path in directory.glob("state*.db*"):
        path.unlink()
    assert LocalJournal.recover(directory).rebuilt
    with opened(directory) as journal:
        asked = journal.get(["anna", "anna-again", "bob", "n"])
        assert asyncio.run(asked) == {"bob": b"bob", "n": b"1"}


def test_each_erasure_has_a_state_of_its_own_and_starts_find_the_newest(directory):
    for number in (1, 2, 3):
        with opened(directory) as journal:
            asyncio.run(journal.transact([count("n")]))
            asyncio.run(journal.trim(START, erased=()))
        # An old one, as a file system may bring it back after a loss of power.
        (directory / "state.db").write_bytes(ANNA)
        (directory / f"{state_path(directory, number - 1).name}-wal").write_bytes(ANNA)
        assert not LocalJournal.recover(directory).rebuilt
        names = {path.name for path in directory.glob("state*.db*")}
        assert names <= {f"state-{number}.db{suffix}" for suffix in ("", "-wal", "-shm")}
        with opened(directory) as journal:
            assert asyncio.run(journal.get(["n"])) == {"n": b"%d" % number}


def test_leases_are_held_over_an_erasure(directory):
    async def scenario(one, other):
        assert await one.lease("loader", "a", 60)
        await other.trim(START, erased=())
        assert not await other.lease("loader", "b", 60)
        assert await one.lease("loader", "a", 0) is False
        assert await other.lease("loader", "b", 60)

    with opened(directory) as one, opened(directory) as other:
        asyncio.run(scenario(one, other))


def test_what_is_written_while_the_state_is_copied_is_in_it_and_erased_from_it(
    directory, monkeypatch
):
    """More than a little, so that some of it is taken before the lock, and some under it."""
    monkeypatch.setattr(keeping, "_LITTLE_BYTES", 3000)
    take, go, copied = keeping.Draft.take, threading.Event(), threading.Event()

    def slow(draft, *arguments):
        take(draft, *arguments)
        copied.set()
        go.wait(30)

    monkeypatch.setattr(keeping.Draft, "take", slow)

    async def scenario(journal, other):
        await journal.transact([put("changed", b"bob"), put("back", ANNA), put("gone", b"bob")])
        erasing = asyncio.ensure_future(journal.trim(START, erased=[ANNA]))
        while not copied.is_set():
            await asyncio.sleep(0.001)
        await other.transact([put("changed", ANNA), put("back", b"bob"), forget("gone")])
        for _ in range(80):
            await other.transact([count("n", "e")])
        assert (await other.transact([look("changed")]))[0].reply == {"changed": ANNA}
        go.set()
        await erasing
        for client in (journal, other):
            [result] = await client.transact([look("changed", "back", "gone", "n")])
            assert result.reply == {"back": b"bob", "n": b"80"}
            assert await client.get(["changed", "n"]) == {"n": b"80"}

    with opened(directory) as journal, opened(directory) as other:
        asyncio.run(scenario(journal, other))
    assert not LocalJournal.recover(directory).rebuilt


def test_trimming_and_erasing_do_not_disturb_each_other(directory):
    """A trim's snapshot that was begun before may not come after."""

    async def scenario(one, other):
        for n in range(20):
            await one.transact([put("anna", ANNA), count("n", f"e{n}")])
        end = await end_of(one)
        await asyncio.gather(
            one.trim(end), other.trim(end, erased=[ANNA]), one.trim(end), one.trim(end, erased=())
        )
        assert not holding(directory, ANNA)
        assert await one.get(["n", "anna"]) == {"n": b"20"}

    with opened(directory) as one, opened(directory) as other:
        asyncio.run(scenario(one, other))


def test_an_erasure_without_space_leaves_everything_and_works_later(directory, monkeypatch):
    files = Picky()

    async def scenario(journal):
        await journal.transact([put("anna", ANNA), say("a")])
        end = await end_of(journal)
        files.faults["allocate"] = NO_SPACE
        with pytest.raises(JournalUnavailable):
            await journal.trim(end, erased=[ANNA])
        # What is next begins the segment, whoever writes it.
        assert journal._tip.read().rolls
        files.faults.clear()
        await journal.transact([say("b")])
        assert not journal._tip.read().rolls
        assert [s.base for s in list_segments(files, directory)] == [0, end.sequence]
        with monkeypatch.context() as patched:
            patched.setattr(files, "rename", lambda *_: (_ for _ in ()).throw(NO_SPACE))
            with pytest.raises(JournalUnavailable):
                await journal.trim(end, erased=[ANNA])
        assert await journal.get(["anna"]) == {"anna": ANNA}
        assert ids((await read_all(journal))[0]) == ["a", "b"]
        assert not list(directory.glob("*.tmp*"))
        await journal.trim(end, erased=[ANNA])
        assert not holding(directory, ANNA)
        assert ids((await read_all(journal))[0]) == ["b"]

    with opened(directory, files) as journal:
        asyncio.run(scenario(journal))


def test_a_damaged_state_is_not_copied_over_a_sound_snapshot(directory):
    async def scenario(journal):
        for n in range(20):
            await journal.transact([count("n", f"e{n}")])
        await journal.trim(await end_of(journal))
        await journal.transact([put("k", b"v")])
        journal._state._db.execute("UPDATE state SET value = x'00'")
        with pytest.raises(JournalUnavailable):
            await journal.trim(await end_of(journal), erased=[ANNA])
        assert not (await journal.health()).ok

    with opened(directory) as journal:
        asyncio.run(scenario(journal))
    assert LocalJournal.recover(directory).rebuilt
    with opened(directory) as journal:
        assert asyncio.run(journal.get(["n", "k"])) == {"n": b"20", "k": b"v"}


@pytest.mark.parametrize("place", ["append", "sync", "write"])
def test_killed_while_the_segment_is_begun_the_next_one_begins_it_again(
    directory, monkeypatch, place
):
    with opened(directory) as journal, opened(directory) as other:
        asyncio.run(journal.transact([say("a")]))
        tip = other._tip.read()
        tip_file = other._tip
        tip_file.write(tip._replace(flags=ROLL))
        owner = journal._tip if place == "write" else journal._appender
        die_in(monkeypatch, journal, lambda _: (owner, place), [say("lost")])
        begun = {"append": [0], "sync": [0, tip.end], "write": [0, tip.end]}[place]
        assert [s.base for s in list_segments(NoSync(), directory)] == begun
        for client in (journal, other):
            assert ids(asyncio.run(read_all(client))[0]) == ["a"]
        asyncio.run(other.transact([say("b")]))
        asyncio.run(journal.transact([say("c")]))
        assert [s.base for s in list_segments(NoSync(), directory)] == [0, tip.end]
        for client in (journal, other):
            records, damage = asyncio.run(read_all(client))
            assert (ids(records), damage) == (["a", "b", "c"], [])
    assert not LocalJournal.recover(directory).damage


def test_closing_does_not_wait_for_a_keeper_that_waits_for_the_lock(directory):
    files = Stalling()
    files.go.set()

    async def scenario(journal):
        for n in range(20):
            await journal.transact([count("n", f"e{n}")])
        end = await end_of(journal)
        files.go.clear()
        files.reached.clear()
        tasks = [asyncio.ensure_future(journal.transact([say("last")]))]
        while not files.reached.is_set():
            await asyncio.sleep(0.001)
        tasks.append(asyncio.ensure_future(journal.trim(end)))
        await asyncio.sleep(0.05)
        threading.Timer(0.1, files.go.set).start()
        journal.close()
        await asyncio.gather(*tasks, return_exceptions=True)

    journal = LocalJournal(directory, files=files, segment_bytes=500, allocate_bytes=200)
    journal.open()
    asyncio.run(asyncio.wait_for(scenario(journal), 20))
    assert LocalJournal.recover(directory).damage == ()
    with opened(directory) as journal:
        assert ids(asyncio.run(read_all(journal))[0])[-1] == "last"


# Kills at every step. A process that dies holds no lock any more and cleans nothing up.


class Kill(Forgetful):
    """Dies at a step from `arm` on: of the files, or of the shared tip."""

    def arm(self, journal, steps):
        write = journal._tip.write

        def counted(tip):
            self._step()
            write(tip)

        journal._tip.write = counted
        self.steps, self.crash_at = 0, steps


async def two_persons(journal):
    """Groups of anna and bob; gives the place before which anna's events are."""
    for n in range(13):
        await journal.transact([say(f"{ANNA.decode()}-{n}"), put("anna", ANNA), count("n")])
    # In the midst of a segment, which has records of others after it.
    tip = journal._tip.read()
    assert 0 < tip.end - tip.base < 500
    before = await end_of(journal)
    await journal.transact([put("bob", b"bob"), say("bob-0")])
    await journal.transact([say("bob-1"), count("n")])
    return before


def erase_and_die(directory, files, steps):
    """Erase in a process that dies after so many steps; gives `before`, and whether it died."""
    with opened(directory, files) as journal:
        before = asyncio.run(two_persons(journal))
        files.arm(journal, steps)
        try:
            asyncio.run(journal.trim(before, erased=[ANNA]))
        except PowerLoss:
            return before, True
        finally:
            files.crash_at = None
        return before, False


async def as_it_should_be(journal, before):
    """Whatever was killed: what is after the place is there, what is before whole or not."""
    records, damage = await read_all(journal)
    assert not damage
    names = ids(records)
    assert names[-2:] == ["bob-0", "bob-1"]
    assert names[:-2] == [f"{ANNA.decode()}-{n}" for n in range(15 - len(names), 13)]
    assert ids((await read_all(journal, before))[0]) == names[-2:]
    [result] = await journal.transact([look("bob", "n")])
    assert result.reply == {"bob": b"bob", "n": b"14"}
    assert (await journal.get(["bob"])) == {"bob": b"bob"}
    assert (await journal.health()).ok


async def erased_now(journal, directory, before):
    await journal.trim(before, erased=[ANNA])
    assert not holding(directory, ANNA)
    assert ids((await read_all(journal))[0]) == ["bob-0", "bob-1"]
    await as_it_should_be(journal, before)


def steps_of_an_erasure(tmp_path):
    files = Kill()
    LocalJournal.recover(tmp_path / "whole", files=NoSync())
    assert not erase_and_die(tmp_path / "whole", files, None)[1]
    return files.steps


@pytest.mark.slow
@pytest.mark.parametrize("survivor", ["another", "restarted"])
def test_a_kill_at_any_step_leaves_a_journal_that_works(tmp_path, survivor):
    total = steps_of_an_erasure(tmp_path)
    assert total > 30
    for step in range(total):
        directory = tmp_path / str(step)
        LocalJournal.recover(directory, files=NoSync())
        with contextlib.ExitStack() as stack:
            if survivor == "another":
                other = stack.enter_context(opened(directory))
                asyncio.run(other.transact([look("anna", "bob", "n")]))
            before, died = erase_and_die(directory, Kill(), step)
            assert died
            if survivor == "restarted":
                found = LocalJournal.recover(directory, files=NoSync())
                assert (found.damage, found.rebuilt) == ((), None), step
                other = stack.enter_context(opened(directory))
            asyncio.run(as_it_should_be(other, before))
            asyncio.run(erased_now(other, directory, before))
        found = LocalJournal.recover(directory, files=NoSync())
        assert (found.damage, found.rebuilt) == ((), None), step
        with opened(directory) as journal:
            asyncio.run(as_it_should_be(journal, before))
            assert asyncio.run(journal.get(["anna"])) == {}


@pytest.mark.slow
def test_the_next_trim_takes_what_a_kill_left_of_the_segment(tmp_path):
    """The old segment and the one that was cut out of it, beside each other."""
    seen = 0
    for step in range(steps_of_an_erasure(tmp_path)):
        directory = tmp_path / str(step)
        LocalJournal.recover(directory, files=NoSync())
        before, _ = erase_and_die(directory, Kill(), step)
        bases = [segment.base for segment in list_segments(NoSync(), directory)]
        cut = before.sequence - SEGMENT_HEADER
        if cut in bases and bases[0] < cut:
            seen += 1
            with opened(directory) as journal:
                asyncio.run(as_it_should_be(journal, before))
                asyncio.run(journal.trim(before))
                assert asyncio.run(journal.partitions())[0].first == before
                asyncio.run(as_it_should_be(journal, before))
    assert seen


def test_a_kill_before_the_tip_names_the_new_state_leaves_the_old_one_in_use(directory):
    """What is written to the old one then is in the log, and so in the new one at a start."""
    files = Kill()
    steps = 0
    while not state_path(directory, 1).exists():
        with contextlib.suppress(PowerLoss), opened(directory, files) as journal:
            asyncio.run(journal.transact([put("anna", ANNA)]))
            files.arm(journal, steps)
            asyncio.run(journal.trim(START, erased=[ANNA]))
        files.crash_at = None
        steps += 1
    with opened(directory) as journal:
        assert journal._tip.read().state == 0
        asyncio.run(journal.transact([count("n"), put("bob", b"bob")]))
    assert not LocalJournal.recover(directory).rebuilt
    with opened(directory) as journal:
        assert journal._tip.read().state == 1
        assert asyncio.run(journal.get(["n", "bob"])) == {"n": b"1", "bob": b"bob"}


def test_a_position_in_the_midst_of_a_record_takes_that_record_too(directory):
    async def scenario(journal):
        for n in range(20):
            await journal.transact([say(f"e{n:02}")])
        records = (await read_all(journal))[0]
        for at in (5, 11, 17):
            middle = Position(0, records[at][0].sequence + 3)
            await journal.trim(middle, erased=())
            kept, damage = await read_all(journal)
            assert not damage
            assert ids(kept) == [f"e{n:02}" for n in range(at + 1, 20)]
            assert not holding(directory, b"e%02d" % at)

    with opened(directory) as journal:
        asyncio.run(scenario(journal))
