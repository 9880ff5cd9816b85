"""The fold's reading and writing: what is open is shown, what is closed is appended once."""

from __future__ import annotations

import asyncio
import contextlib

import duckdb
import pytest
from timelines import SID, START, closing, timeline

from footfall.journal.contract import Outcome
from footfall.journal.engines.memory import MemoryJournal
from footfall.lake.lake import Lake
from footfall.lake.query import ask
from footfall.model import media_key
from footfall.project import runner as running
from footfall.project.checkpoints import Checkpoint, Checkpoints
from footfall.project.media_session import SECOND, Limits
from footfall.project.runner import MediaRunner

pytestmark = pytest.mark.slow  # a lake of its own for each test

WATCHED = """
0  0  sessionStart
0  0  play
10 10 ping
20 20 ping
"""
ENDED = "25 25 sessionEnd"


class Studio:
    """A journal whose clock stands still, a lake, and a runner that can be killed."""

    def __init__(self, directory):
        self.now = START
        self.journal = MemoryJournal(lambda: self.now)
        self.directory = directory
        self.lake = Lake(directory / "lake", memory_mb=256, threads=1)
        self.lake.open()
        self.start()

    def start(self, **limits):
        """Begin from the last checkpoint, as a new process does."""
        self.checkpoints = Checkpoints(self.directory / "media.db", "media", 1)
        self.runner = MediaRunner(
            self.journal,
            self.lake,
            self.checkpoints,
            limits=Limits(**limits),
            checkpoint_seconds=1e9,  # only when a test says so
        )

    def kill(self):
        self.checkpoints.close()

    async def happens(self, text, *, sid=SID):
        """Each event in a record of its own, when it happens; sessionEnd closes."""
        for event in timeline(text, sid=sid):
            self.now = max(self.now, event.occurred_at)
            changes = ()
            if event.type == "sessionEnd":
                changes = (closing(event.occurred_at, sid=sid),)
            await self.journal.transact([Outcome(events=(event,), changes=changes)])

    async def passes(self, seconds):
        """Time, with a tick every five seconds."""
        for _ in range(round(seconds / 5)):
            self.now += 5 * SECOND
            await self.journal.transact([])
            await self.runner.catch_up(20)

    async def ask(self, sql):
        await self.runner.catch_up(20)
        await self.runner.show()
        return (await ask(self.lake, sql, seconds=20)).rows

    async def sessions(self, columns="state, why, content_time_spent_s"):
        return await self.ask(f"SELECT {columns} FROM media_sessions ORDER BY session_id")


@pytest.fixture
def studio(tmp_path):
    studio = Studio(tmp_path)
    with contextlib.closing(studio.lake):
        yield studio
        studio.kill()


def run(work):
    return asyncio.run(work)


def test_an_open_session_is_read_while_it_runs(studio):
    async def test():
        await studio.happens(WATCHED)
        assert await studio.sessions() == [("open", None, 20.0)]
        await studio.happens("30 30 ping")
        assert await studio.sessions() == [("open", None, 30.0)]

    run(test())


def test_an_ended_session_is_appended_once_its_window_is_over(studio):
    async def test():
        await studio.happens(WATCHED + ENDED)
        assert await studio.sessions() == [("closed", "ended", 25.0)]
        assert await studio.ask("SELECT count(*) FROM events") == [(0,)]
        with pytest.raises(Exception, match="media_sessions_closed"):
            await studio.ask("SELECT * FROM media_sessions_closed")
        await studio.passes(10)
        assert len(studio.runner._fold) == 0
        assert await studio.sessions() == [("closed", "ended", 25.0)]
        (found,) = await studio.runner.session(SID)
        assert found["media_sessions"][0]["ended_at"].isoformat() == "2023-11-14T22:13:45+00:00"
        assert found["media_sessions"][0]["account"]["types"]["ping"] == 2

    run(test())


def test_ads_chapters_and_states_have_tables_of_their_own(studio):
    text = """
    0  0  sessionStart
    0  0  adBreakStart
    0  0  adStart
    0  0  play
    5  0  adComplete
    5  0  adBreakComplete
    5  0  play
    6  1  chapterStart
    6  1  stateStart {"media.state.name": "mute"}
    9  4  stateEnd {"media.state.name": "mute"}
    16 11 chapterComplete
    20 15 sessionEnd
    """

    async def test():
        await studio.happens(text)
        asked = (
            "SELECT ad_id, ad_time_spent_s FROM media_ads",
            "SELECT chapter_number, chapter_time_spent_s FROM media_chapters",
            "SELECT name, time_s FROM media_states",
        )
        expected = [[("ad", 5.0)], [(1, 10.0)], [("mute", 3.0)]]
        assert [await studio.ask(sql) for sql in asked] == expected
        await studio.passes(10)
        assert len(studio.runner._fold) == 0
        assert [await studio.ask(sql) for sql in asked] == expected

    run(test())


def test_a_time_out_is_a_record_of_the_journal(studio):
    async def test():
        await studio.happens(WATCHED)
        await studio.passes(595)
        assert await studio.sessions() == [("open", None, 20.0)]
        await studio.passes(10)
        key = media_key(SID)
        value = running._session.decode((await studio.journal.get([key]))[key])
        assert (value.closed_at, value.why) == (START + 20 * SECOND, "idle")
        await studio.passes(10)
        assert await studio.sessions() == [("closed", "idle", 20.0)]

    run(test())


def test_time_in_which_no_server_ran_closes_nothing(studio):
    async def test():
        await studio.happens(WATCHED)
        studio.now += 3600 * SECOND
        await studio.passes(300)
        assert await studio.sessions() == [("open", None, 20.0)]

    run(test())


def test_who_ended_in_the_meantime_is_not_closed_again(studio):
    async def test():
        await studio.happens(WATCHED)
        await studio.passes(595)
        studio.now += 15 * SECOND
        await studio.journal.transact([])
        end = timeline("610 25 sessionEnd")
        # Committed after the runner's look at the journal and before its closing.
        read = studio.runner._read

        async def reads_and_loses_the_race():
            more = await read()
            if end:
                event = end.pop()
                await studio.journal.transact(
                    [Outcome(events=(event,), changes=(closing(event.occurred_at),))]
                )
            return more

        studio.runner._read = reads_and_loses_the_race
        await studio.runner.catch_up(20)
        await studio.passes(10)
        assert await studio.sessions("why") == [("ended",)]

    run(test())


def test_after_a_restart_it_is_as_if_nothing_had_happened(studio):
    async def test():
        for number in range(10):
            await studio.happens("0 0 sessionStart\n0 0 play", sid=f"{number:064}")
        await studio.runner.catch_up(20)
        await studio.runner.close()  # checkpoints
        await studio.happens("10 10 ping", sid=f"{3:064}")
        await studio.runner.catch_up(20)  # and does not checkpoint this
        studio.kill()
        studio.start()
        for number in range(10):
            await studio.happens("15 15 ping\n20 20 sessionEnd", sid=f"{number:064}")
        await studio.passes(10)
        rows = await studio.sessions("state, content_time_spent_s, events")
        assert rows == [("closed", 20.0, 5 if number == 3 else 4) for number in range(10)]

    run(test())


def test_a_row_that_was_appended_before_a_crash_is_not_appended_again(studio):
    async def test():
        await studio.happens(WATCHED)
        await studio.runner.catch_up(20)
        await studio.runner.close()
        await studio.happens(ENDED)
        await studio.happens("26 0 sessionStart\n27 0 sessionEnd", sid="b" * 64)
        await studio.passes(10)
        assert len(await studio.sessions()) == 2
        studio.kill()  # the checkpoint has the first session open, the lake has both closed
        studio.start()
        await studio.passes(5)
        assert [row[0] for row in await studio.sessions()] == ["closed", "closed"]
        assert await studio.ask("SELECT count(*) FROM media_sessions") == [(2,)]

    run(test())


def test_a_session_that_becomes_final_after_it_was_shown_is_there_once(studio):
    async def test():
        await studio.happens(WATCHED + ENDED)
        assert len(await studio.sessions()) == 1
        await studio.passes(10)  # nothing is shown anew
        rows = (await ask(studio.lake, "SELECT state FROM media_sessions", seconds=20)).rows
        assert rows == [("closed",)]

    run(test())


def test_an_event_that_comes_too_late_is_told_of_once(studio):
    async def test():
        await studio.happens(WATCHED + ENDED)
        await studio.runner.catch_up(20)
        await studio.runner.close()
        await studio.passes(10)
        await studio.happens("22 22 ping")
        sql = "SELECT session_id, type, reason FROM media_strays"
        assert await studio.ask(sql) == [(SID, "ping", "no_session")]
        studio.kill()  # the checkpoint is from before
        studio.start()
        await studio.passes(5)
        assert await studio.ask(sql) == [(SID, "ping", "no_session")]
        assert await studio.sessions("state, events") == [("closed", 5)]
        (found,) = await studio.runner.session(SID)
        assert [row["type"] for row in found["media_strays"]] == ["ping"]

    run(test())


def test_what_the_lake_could_not_take_is_appended_later(studio, monkeypatch):
    real, failing = running.store.append, True

    def append(*arguments):
        if failing:
            raise duckdb.IOException("no space")
        return real(*arguments)

    monkeypatch.setattr(running.store, "append", append)

    async def test():
        nonlocal failing
        await studio.happens(WATCHED + ENDED)
        with pytest.raises(duckdb.IOException):
            await studio.passes(10)
        await studio.runner.close()
        assert studio.runner.saved() == {}, "checkpointed past what is nowhere else"
        failing = False
        await studio.passes(5)
        assert await studio.sessions() == [("closed", "ended", 25.0)]

    run(test())


def test_a_checkpoint_that_could_not_be_written_is_made_whole_later(studio, monkeypatch):
    async def test():
        await studio.happens("0 0 sessionStart\n0 0 play")
        await studio.runner.catch_up(20)
        with monkeypatch.context() as patch:

            def full(_checkpoint):
                raise OSError(28, "no space")

            patch.setattr(studio.checkpoints, "write", full)
            await studio.runner.close()
        assert studio.runner.saved() == {}
        await studio.runner.close()
        studio.kill()
        studio.start()
        assert len(studio.runner._fold) == 1

    run(test())


@pytest.mark.parametrize("damage", ["lost", "no database", "another fold", "another session"])
def test_a_checkpoint_that_cannot_be_read_costs_a_fold_from_the_beginning(studio, damage):
    async def test():
        await studio.happens(WATCHED)
        await studio.runner.catch_up(20)
        await studio.runner.close()
        if damage == "lost":
            studio.checkpoints.begin_anew()
        elif damage == "another fold":
            studio.checkpoints.write(Checkpoint(b"no fold", []))
        elif damage == "another session":
            studio.checkpoints.write(Checkpoint(studio.checkpoints.fold(), [(b"k", b"\xc1")]))
        studio.kill()
        if damage == "no database":
            (studio.directory / "media.db").write_bytes(bytes(9000))
        studio.start()
        assert await studio.sessions() == [("open", None, 20.0)]

    run(test())
