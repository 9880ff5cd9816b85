"""The local engine on a bad day: no space, failed and stalled syncs, and life after each."""

import asyncio
import contextlib
import sqlite3
import time

import pytest
from faulty_files import IO_ERROR, NO_SPACE, NoSync, Picky, Stalling
from journal_units import count, ids, look, put, read_all, say

from footfall.errors import JournalFailed, JournalUnavailable
from footfall.journal.engines import keeping, local
from footfall.journal.engines.local import LocalJournal
from footfall.journal.engines.segments import list_segments
from footfall.journal.engines.state import State, digest, state_path

SIZES = {"segment_bytes": 500, "allocate_bytes": 200}


@contextlib.contextmanager
def opened(directory, files=None, **more):
    journal = LocalJournal(directory, files=files or NoSync(), **{**SIZES, **more})
    journal.open()
    try:
        yield journal
    finally:
        journal.close()


@pytest.fixture
def directory(tmp_path):
    LocalJournal.recover(tmp_path / "journal", files=NoSync())
    return tmp_path / "journal"


@pytest.mark.parametrize("where", ["allocate", "pwrite"])
@pytest.mark.parametrize("before", range(5))
def test_a_full_disk_is_survived(directory, where, before):
    """Whatever the segment holds by then, so also when a new one is due."""
    files = Picky()

    async def scenario(journal):
        for n in range(before):
            await journal.transact([say(f"e{n}", "x" * 60), count("n")])
        files.faults[where] = NO_SPACE
        for _ in range(2):
            with pytest.raises(JournalUnavailable) as raised:
                await journal.transact([say("lost", "y" * 300), count("n")])
            assert not isinstance(raised.value, JournalFailed)
        assert len((await read_all(journal))[0]) == before
        # What needs no space goes on.
        [result] = await journal.transact([look("n")])
        assert int(result.reply.get("n", b"0")) == before
        files.faults.clear()
        [_, result] = await journal.transact([say("after"), count("n")])
        assert result.reply == before + 1
        records, damage = await read_all(journal)
        assert not damage
        assert len(records) == before + 1
        return records

    with opened(directory, files) as journal:
        records = asyncio.run(scenario(journal))
    assert not LocalJournal.recover(directory).damage
    with opened(directory) as journal:
        assert asyncio.run(read_all(journal)) == (records, [])


def test_a_disk_that_was_full_at_the_stop_is_recovered(directory):
    files = Picky()

    async def scenario(journal):
        await journal.transact([say("a")])
        files.faults["pwrite"] = NO_SPACE
        with pytest.raises(JournalUnavailable):
            await journal.transact([say("lost")])

    with opened(directory, files) as journal:
        asyncio.run(scenario(journal))
    found = LocalJournal.recover(directory)
    assert (found.damage, found.cut_bytes > 0) == ((), True)
    with opened(directory) as journal:
        assert ids(asyncio.run(read_all(journal))[0]) == ["a"]


@pytest.mark.parametrize("where", ["sync", "sync_directory", "pwrite"])
def test_a_failed_sync_is_never_retried_into_a_success(directory, where):
    files = Picky()

    async def scenario(journal, other):
        await journal.transact([say("a")])
        files.faults[where] = IO_ERROR
        with pytest.raises(JournalFailed):
            # A directory is synced with a new segment only.
            await asyncio.gather(*(journal.transact([say(f"e{n}", "x" * 90)]) for n in range(20)))
        files.faults.clear()
        for client in (journal, other):
            for units in ([say("later")], [], [look("n")]):
                with pytest.raises(JournalFailed):
                    await client.transact(units)
            with pytest.raises(JournalFailed):
                await client.lease("l", "h", 5)
            assert not (await client.health()).ok
        # What was acknowledged before can still be read.
        return (await read_all(other))[0]

    with opened(directory, files) as journal, opened(directory) as other:
        records = asyncio.run(scenario(journal, other))
    assert ids(records)[0] == "a"
    found = LocalJournal.recover(directory)
    assert not found.damage
    with opened(directory) as journal:
        assert asyncio.run(read_all(journal)) == (records, [])
        asyncio.run(journal.transact([say("after")]))
        assert asyncio.run(journal.health()).ok
        assert ids(asyncio.run(read_all(journal))[0]) == [*ids(records), "after"]


def test_after_a_failed_sync_nothing_more_is_written_to_that_file(directory):
    files = Picky()

    async def scenario(journal):
        await journal.transact([say("a")])
        files.faults["sync"] = IO_ERROR
        with pytest.raises(JournalFailed):
            await journal.transact([say("unknown")])

    with opened(directory, files) as journal:
        asyncio.run(scenario(journal))
    [segment] = list_segments(files, directory)
    found = LocalJournal.recover(directory)
    # The record may be in memory only: it was not acknowledged, so it goes; its bytes are kept.
    assert b"unknown" in found.torn.read_bytes()
    kept = segment.path.read_bytes()
    with opened(directory) as journal:
        asyncio.run(journal.transact([say("b")]))
        assert ids(asyncio.run(read_all(journal))[0]) == ["a", "b"]
    assert segment.path.read_bytes() == kept


def test_a_stalled_sync_is_named_and_does_not_block_the_loop(directory, monkeypatch):
    monkeypatch.setattr(local, "STALLED_SECONDS", 0.05)
    files = Stalling()

    async def scenario(journal, other):
        task = asyncio.ensure_future(journal.transact([say("a", reply=1)]))
        while not files.reached.is_set():
            await asyncio.sleep(0.001)
        waiting = asyncio.ensure_future(other.transact([say("b", reply=2)]))
        await asyncio.sleep(0.1)
        for client, cause in ((journal, "sync"), (other, "lock")):
            health = await client.health()
            assert not health.ok
            assert "stalled" in health.reason
            assert cause in health.reason
        # Nothing that is not durable is shown, and reading goes on.
        assert (await read_all(other))[0] == []
        assert await other.get(["k"]) == {}
        assert not task.done()
        files.go.set()
        assert [(await task)[0].reply, (await waiting)[0].reply] == [1, 2]
        assert (await journal.health()).ok
        assert (await other.health()).ok
        assert ids((await read_all(other))[0]) == ["a", "b"]

    with opened(directory, files) as journal, opened(directory) as other:
        asyncio.run(scenario(journal, other))


def test_a_disk_that_is_nearly_full_is_named_before_it_is(directory):
    files = Picky()
    with opened(directory, files) as journal:
        files.free = 1 << 20
        health = asyncio.run(journal.health())
        assert not health.ok
        assert "nearly full" in health.reason
        files.free = None
        assert asyncio.run(journal.health()).ok


def kill_in(monkeypatch, journal, place):
    """Let the next commit end where a kill would, without what comes after."""

    class Killed(BaseException):
        pass

    def die(*args, **kwargs):
        raise Killed

    monkeypatch.setattr(*place(journal), die)
    with pytest.raises(Killed):
        asyncio.run(journal.transact([count("n", "killed"), put("k", b"v")]))
    monkeypatch.undo()


def test_killed_between_the_tip_and_the_state_the_next_one_applies_the_log(directory, monkeypatch):
    with opened(directory) as journal, opened(directory) as other:
        asyncio.run(journal.transact([count("n", "first")]))
        kill_in(monkeypatch, journal, lambda j: (j._state, "apply"))
        # Units without keys and without changes need no state and do not wait for it.
        asyncio.run(other.transact([say("plain")]))
        [result] = asyncio.run(other.transact([count("n", "third")]))
        assert result.reply == 3
        assert asyncio.run(other.get(["k"])) == {"k": b"v"}
        assert ids(asyncio.run(read_all(other))[0]) == ["first", "killed", "plain", "third"]


def test_changes_without_keys_do_not_hide_what_was_left_out(directory, monkeypatch):
    with opened(directory) as journal, opened(directory) as other:
        kill_in(monkeypatch, journal, lambda j: (j._state, "apply"))
        blind = put("other", b"1")
        asyncio.run(other.transact([type(blind)((), blind.decide)]))
        [result] = asyncio.run(other.transact([look("n", "k", "other")]))
        assert result.reply == {"n": b"1", "k": b"v", "other": b"1"}


def test_killed_before_the_tip_the_next_one_overwrites(directory, monkeypatch):
    with opened(directory) as journal, opened(directory) as other:
        kill_in(monkeypatch, journal, lambda j: (j._tip, "write"))
        [result] = asyncio.run(other.transact([count("n", "next")]))
        assert result.reply == 1
        records, damage = asyncio.run(read_all(other))
        assert (ids(records), damage) == (["next"], [])
    found = LocalJournal.recover(directory)
    assert not found.damage
    with opened(directory) as journal:
        assert ids(asyncio.run(read_all(journal))[0]) == ["next"]


def test_killed_while_a_segment_is_created_the_next_one_creates_it_again(directory, monkeypatch):
    with opened(directory) as journal, opened(directory) as other:
        while len(list_segments(NoSync(), directory)) < 2:
            asyncio.run(journal.transact([count("n", "e" + "x" * 80)]))
        while True:
            tip = journal._tip.read()
            if tip.end - tip.base >= SIZES["segment_bytes"]:
                break
            asyncio.run(journal.transact([count("n", "e" + "x" * 80)]))
        before = asyncio.run(read_all(other))[0]
        kill_in(monkeypatch, journal, lambda j: (j._appender, "sync"))
        assert len(list_segments(NoSync(), directory)) == 3
        assert asyncio.run(read_all(other))[0] == before
        asyncio.run(other.transact([say("next")]))
        assert asyncio.run(read_all(journal))[0][:-1] == before
        assert ids(asyncio.run(read_all(journal))[0])[-1] == "next"


def test_a_state_without_space_falls_behind_and_catches_up(directory, monkeypatch):
    def full(*args):
        raise JournalUnavailable("no space")

    with opened(directory) as journal:
        with monkeypatch.context() as patched:
            patched.setattr(journal._state, "apply", full)
            # The log has it: it is committed.
            [result] = asyncio.run(journal.transact([count("n")]))
            assert result.reply == 1
            with pytest.raises(JournalUnavailable):
                asyncio.run(journal.transact([count("n")]))
            asyncio.run(journal.transact([say("plain")]))
        [result] = asyncio.run(journal.transact([count("n")]))
        assert result.reply == 2


def test_replay_stays_short_without_changes(directory):
    with opened(directory) as journal:
        for n in range(30):
            asyncio.run(journal.transact([say(f"e{n}" + "x" * 50)]))
        tip = journal._tip.read()
    with contextlib.closing(State(state_path(directory, 0))) as state:
        assert state.applied > tip.base


def test_trimming_needs_no_snapshot_where_nothing_goes(directory):
    async def scenario(journal):
        await journal.transact([say("a")])
        await journal.trim((await journal.partitions())[0].end)

    with opened(directory) as journal:
        asyncio.run(scenario(journal))
    assert not list(directory.glob("*.snapshot"))


def test_trimming_keeps_the_log_where_the_copy_of_the_state_is_damaged(directory, monkeypatch):
    async def scenario(journal):
        for n in range(30):
            await journal.transact([count("n", f"e{n}")])
        end = (await journal.partitions())[0].end
        before = await read_all(journal)
        real = State.copy_to

        def spoiled(self, path):
            real(self, path)
            data = bytearray(path.read_bytes())
            data[data.index(digest("n")) + 3] ^= 0xFF
            path.write_bytes(data)

        monkeypatch.setattr(State, "copy_to", spoiled)
        with pytest.raises(JournalFailed):
            await journal.trim(end)
        assert await read_all(journal) == before
        return before

    with opened(directory) as journal:
        before = asyncio.run(scenario(journal))
    assert not list(directory.glob("*.snapshot"))
    assert LocalJournal.recover(directory).rebuilt
    with opened(directory) as journal:
        assert asyncio.run(read_all(journal)) == before
        assert asyncio.run(journal.get(["n"])) == {"n": b"30"}


def test_trimming_while_others_write_and_read(directory):
    async def scenario(journal, other):
        stop = False

        async def write():
            n = 0
            while not stop:
                n += 1
                await journal.transact([count("n", f"e{n}")])
            return n

        async def read():
            while not stop:
                [span] = await other.partitions()
                batch = await other.read(span.first)
                assert not batch.damage

        tasks = [asyncio.ensure_future(write()), asyncio.ensure_future(read())]
        for _ in range(5):
            await asyncio.sleep(0.03)
            [span] = await other.partitions()
            await other.trim(span.end)
        stop = True
        written, _ = await asyncio.gather(*tasks)
        assert await other.get(["n"]) == {"n": b"%d" % written}
        records, damage = await read_all(other)
        assert not damage
        names = ids(records)
        assert names == [f"e{n}" for n in range(written - len(names) + 1, written + 1)]
        assert len(names) < written

    with opened(directory) as journal, opened(directory) as other:
        asyncio.run(scenario(journal, other))


def test_expired_keys_are_dropped_in_steps(directory, monkeypatch):
    monkeypatch.setattr(keeping, "_EXPIRY_STEP", 7)

    async def scenario(journal):
        now = time.time_ns() // 1000
        await journal.transact(
            [put(f"k{n}", b"v", 1 if n % 3 else now + 10**9) for n in range(100)]
        )
        await journal.transact([])
        await journal.trim((await journal.partitions())[0].end)

    with opened(directory) as journal:
        asyncio.run(scenario(journal))
    with contextlib.closing(State(state_path(directory, 0))) as state:
        kept = state._db.execute("SELECT count(*) FROM state").fetchone()[0]
    assert kept == 34


def test_a_closed_journal_says_so(directory):
    with opened(directory) as journal:
        pass
    with pytest.raises(JournalUnavailable):
        asyncio.run(journal.transact([]))
    assert not asyncio.run(journal.health()).ok
    journal.close()


def test_closing_finishes_the_commit_that_has_begun_and_refuses_those_behind_it(directory):
    async def scenario(journal):
        tasks = [asyncio.ensure_future(journal.transact([say(f"e{n}")])) for n in range(20)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        journal.close()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert not isinstance(results[0], Exception)
        assert all(isinstance(result, JournalUnavailable) for result in results[1:])

    with opened(directory) as journal:
        asyncio.run(scenario(journal))
    with opened(directory) as journal:
        assert ids(asyncio.run(read_all(journal))[0]) == ["e0"]


def test_changed_state_is_taken_into_its_file_beside_the_commits(directory, monkeypatch):
    monkeypatch.setattr(local, "SETTLED_CHANGES", 10)

    async def scenario(journal):
        for number in range(40):
            await journal.transact([put(f"k{number}", b"v")])
        await asyncio.wrap_future(journal._settling)
        # Read without SQLite's own log: what is in the file itself.
        file = sqlite3.connect(f"{state_path(directory, 0).as_uri()}?immutable=1", uri=True)
        with contextlib.closing(file):
            return file.execute("SELECT count(*) FROM state").fetchone()[0]

    with opened(directory) as journal:
        assert asyncio.run(scenario(journal)) >= 10


def test_state_that_cannot_be_settled_now_stops_nobody(directory, monkeypatch):
    def full():
        raise JournalUnavailable("no space")

    monkeypatch.setattr(local, "SETTLED_CHANGES", 1)

    async def scenario(journal):
        monkeypatch.setattr(journal._keeping, "settle", full)
        for _ in range(3):
            await journal.transact([count("n")])
        [result] = await journal.transact([count("n")])
        return result.reply

    with opened(directory) as journal:
        assert asyncio.run(scenario(journal)) == 4


def test_memory_for_the_log_is_given_back_as_segments_get_old(directory):
    class Noting(NoSync):
        def __init__(self):
            self.paths, self.forgotten = {}, []

        def open(self, path, *, create=False):
            fd = super().open(path, create=create)
            self.paths[fd] = path
            return fd

        def forget_cached(self, fd):
            self.forgotten.append(self.paths[fd])

    files = Noting()

    async def scenario(journal):
        for n in range(30):
            await journal.transact([say(f"e{n}", "x" * 100)])
        segments = [one.path for one in list_segments(files, directory)]
        assert len(segments) > 5
        # The one that is written and the last full one are what followers read.
        assert files.forgotten == segments[:-2]
        records, damage = await read_all(journal)
        assert (len(records), damage) == (30, [])

    with opened(directory, files) as journal:
        asyncio.run(scenario(journal))
