"""An erasure in the journal: the fold forgets the sessions of those who are erased."""

from __future__ import annotations

import asyncio
import contextlib

import msgspec
import pytest
from timelines import SID, START, Journal, closing, fold_all, timeline

from footfall.journal.contract import Change, Outcome
from footfall.journal.engines.memory import MemoryJournal
from footfall.lake.lake import Lake
from footfall.model import ERASURE_KEY, Erasure
from footfall.project.checkpoints import Checkpoints
from footfall.project.media import Fold
from footfall.project.media_checkpoint import changed
from footfall.project.media_session import SECOND
from footfall.project.runner import MediaRunner

OTHER = "7" * 64
ANNA = "anna-0123456789-ecid"
WATCHED = "0 0 sessionStart\n0 0 play\n10 10 ping"


def erasing(**fields):
    value = msgspec.msgpack.encode(Erasure(**fields))
    return Change(ERASURE_KEY, value, START + 86_400 * SECOND)


def watched_by(what, sid=SID, **fields):
    begin, *rest = timeline(WATCHED, sid=sid, **fields)
    properties = {**(begin.properties or {})}
    properties["params"] = {**properties["params"], **what.get("params", {})}
    properties |= {name: value for name, value in what.items() if name != "params"}
    return [msgspec.structs.replace(begin, properties=properties), *rest]


@pytest.mark.parametrize(
    ("what", "fields", "erasure"),
    [
        ({}, {}, {"sessions": (SID,)}),
        ({}, {"user_id": "a"}, {"users": ("a",)}),
        ({}, {"profile_id": "a"}, {"profiles": ("a",)}),
        ({"params": {"visitor.marketingCloudUserId": ANNA}}, {}, {"profiles": (ANNA,)}),
        ({"params": {"analytics.visitorId": "a"}}, {}, {"profiles": ("a",)}),
        ({"params": {"visitor.customerIDs": {"crm": {"id": ANNA}}}}, {}, {"users": (ANNA,)}),
        ({"customMetadata": {"url": f"https://x/?me={ANNA}&y"}}, {}, {"profiles": (ANNA,)}),
        ({}, {}, {"sessions": (SID,), "source": "tv"}),
    ],
)
def test_the_fold_forgets_a_session_of_theirs_and_no_other(what, fields, erasure):
    journal = Journal()
    journal.play(watched_by(what, **fields))
    journal.play(timeline(WATCHED, sid=OTHER, user_id="b", profile_id="b"))
    fold, _ = fold_all(journal.records)
    before = fold.rows("tv", OTHER)
    first = fold.snapshot()
    assert len(first.sessions) == 2
    journal.add(60, changes=[erasing(**erasure)])
    fold.take(*journal.records[-1])
    assert [session.session_id for session in fold.sessions()] == [OTHER]
    assert fold.rows("tv", OTHER) == before
    snapshot = fold.snapshot()
    assert snapshot.gone == [("tv", SID)]
    kept = changed(snapshot, first.sessions)
    assert list(kept) == [("tv", OTHER)]
    again = Fold.restore(snapshot.fold, kept.values())
    assert again.rows("tv", OTHER) == before


@pytest.mark.parametrize(
    "erasure",
    [
        {"sessions": (SID,), "source": "radio"},
        {"sessions": (SID[:-1],)},
        {"users": ("ping",), "profiles": ("film",)},
        {"users": (SID,)},
        {},
    ],
)
def test_who_is_not_meant_stays(erasure):
    journal = Journal()
    journal.play(timeline(WATCHED, user_id="b", profile_id="b", sid=OTHER))
    journal.add(60, changes=[erasing(**erasure)])
    fold, _ = fold_all(journal.records)
    assert len(fold) == 1


def test_a_closed_session_that_is_not_final_is_forgotten_too():
    journal = Journal()
    for sid in (SID, OTHER):
        for event in timeline(WATCHED, sid=sid):
            journal.add(10, [event])
        journal.add(12, changes=[closing(START + 12 * SECOND, sid=sid)])
    journal.add(13, changes=[erasing(sessions=(SID,))])
    journal.ticks(15, 30)
    fold, finished = fold_all(journal.records)
    assert [one.rows.session["session_id"] for one in finished] == [OTHER]
    assert len(fold) == 0


def test_a_session_that_goes_on_afterwards_is_not_known():
    journal = Journal()
    journal.play(timeline(WATCHED))
    journal.add(60, changes=[erasing(sessions=(SID,))])
    journal.add(70, timeline("70 70 ping"))
    fold, _ = fold_all(journal.records[:-1])
    taken = fold.take(*journal.records[-1])
    assert [stray.session_id for stray in taken.strays] == [SID]
    assert len(fold) == 0


def test_neither_lake_nor_checkpoint_holds_them(tmp_path):
    """Also where a session was final and could not be appended, and where it was checkpointed."""
    texts = [SID, OTHER, ANNA]

    async def run():
        now = START
        journal = MemoryJournal(lambda: now)
        lake = Lake(tmp_path / "lake", memory_mb=256, threads=1)
        lake.open()
        checkpoints = Checkpoints(tmp_path / "project" / "media.db", "media", 1)
        runner = MediaRunner(journal, lake, checkpoints, checkpoint_seconds=1e9)
        with contextlib.closing(lake), contextlib.closing(checkpoints):
            for sid in (SID, OTHER, "9" * 64):
                for event in watched_by({"customMetadata": {"me": ANNA}}, sid=sid):
                    await journal.transact([Outcome(events=(event,))])
            now += 20 * SECOND
            end = closing(START + 15 * SECOND, sid=OTHER)
            await journal.transact([Outcome(changes=(end,))])
            await runner.catch_up(20)
            await runner.checkpoint()
            raw = (tmp_path / "project" / "media.db").read_bytes()
            assert all(text.encode() in raw for text in texts)
            for _ in range(2):
                now += 10 * SECOND
                await journal.transact([])
            await journal.transact([Outcome(changes=(erasing(sessions=(SID, OTHER)),))])
            change = erasing(profiles=(ANNA,))
            await journal.transact([Outcome(changes=(change,))])
            await runner.catch_up(20)
            await runner.checkpoint()
            await runner.show()
            rows = await lake.run(
                lambda c: c.execute("SELECT session_id FROM media_sessions").fetchall()
            )
            assert rows == []
        for file in (tmp_path / "project").iterdir():
            assert not any(text.encode() in file.read_bytes() for text in texts), file.name

    asyncio.run(run())
