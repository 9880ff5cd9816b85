"""Media sessions without consent: their rows say what was measured, and not whose it was."""

from __future__ import annotations

import asyncio
import contextlib

import msgspec
import pytest
from test_media_runner import Studio
from timelines import SID, START, Journal, closing, event, fold_all, timeline

from footfall.journal.contract import Change, Outcome
from footfall.model import MediaSession, media_key
from footfall.project.media import Fold
from footfall.project.media_columns import MEDIA_TABLES
from footfall.project.media_session import SECOND

SECRET = "s3cret"
"""It stands wherever an id of a person may."""
IDS = {
    "visitor.marketingCloudUserId": f"ecid-{SECRET}",
    "analytics.visitorId": f"visitor-{SECRET}",
    "analytics.aid": f"aid-{SECRET}",
    "appInstallationId": f"app-{SECRET}",
    "visitor.customerIDs": {"crm": {"id": f"customer-{SECRET}"}},
}
OWN = {"customMetadata": {"member": f"member-{SECRET}"}}
LONG = f"{SECRET}-".ljust(64, "5")
"""A session's id that is told from everything else."""


def watched(withheld=True, sid=LONG):
    """One of each: content, an ad in a break, a chapter, a player state."""
    start = {"params": IDS, **OWN}
    ad = {"params": {"media.ad.creativeURL": f"https://ads.example/7?for={SECRET}"}, **OWN}
    state = {"media.state.name": "mute"}
    told = [
        (0, 0, "sessionStart", start),
        (0, 0, "play", None),
        (0, 0, "chapterStart", OWN),
        (1, 1, "stateStart", state),
        (5, 5, "adBreakStart", None),
        (5, 5, "adStart", ad),
        (9, 5, "adComplete", None),
        (9, 5, "adBreakComplete", None),
        (20, 16, "ping", None),
    ]
    return [
        event(*one, sid=sid, user_id=f"user-{SECRET}", profile_id=f"profile-{SECRET}",
              country="DE", withheld=withheld)
        for one in told
    ]  # fmt: skip


def tables(rows):
    return dict(zip(MEDIA_TABLES, ([rows.session], rows.ads, rows.chapters, rows.states),
                    strict=True))  # fmt: skip


def fold_of(*groups) -> Fold:
    journal = Journal()
    for at, events in groups:
        changes = [
            closing(e.occurred_at, sid=e.session_id) for e in events if e.type == "sessionEnd"
        ]
        journal.add(at, events, changes)
    fold, _ = fold_all(journal.records)
    return fold


def test_rows_of_a_session_without_consent_name_nobody():
    (rows,) = fold_of((0, watched())).open_rows()
    assert SECRET not in repr(rows)
    (alias,) = {row["session_id"] for some in tables(rows).values() for row in some}
    assert alias.startswith("withheld-0-")
    assert rows.session["viewer_id"] == alias
    assert all(tables(rows).values()), "a row in every table"


def test_they_say_all_else_that_those_with_consent_say():
    (without,), (whole,) = (
        fold_of((0, watched(withheld))).open_rows() for withheld in (True, False)
    )
    assert SECRET in repr(whole)
    differing = {
        column
        for name, rows in tables(without).items()
        for row, other in zip(rows, tables(whole)[name], strict=True)
        for column in row
        if row[column] != other[column]
    }
    assert differing == {
        "session_id", "viewer_id", "marketing_cloud_user_id", "analytics_visitor_id",
        "analytics_aid", "app_installation_id", "customer_ids", "user_id", "metadata",
        "creative_url",
    }  # fmt: skip
    assert without.ads[0]["creative_url"] == "https://ads.example/7"
    assert list(without.session) == list(whole.session), "in the tables' order"


@pytest.mark.parametrize("column", [c.name for c in MEDIA_TABLES["media_sessions"]])
def test_every_column_was_thought_of(column):
    """A new one that may hold an id has to be left out too: this list is what may stay."""
    (rows,) = fold_of((0, watched())).open_rows()
    marks = ("_id", "ids", "metadata", "visitor", "viewer", "user")
    may_stay = {"session_id", "viewer_id", "organization_id", "media_id", "asset_id"}
    if any(mark in column for mark in marks) and column not in may_stay:
        assert rows.session[column] is None


def test_it_is_found_under_its_alias_only():
    fold = fold_of((0, watched()))
    (rows,) = fold.open_rows()
    assert fold.session(LONG) == []
    assert fold.session(rows.session["session_id"]) == [rows]
    assert fold.session("withheld-0-1-99") == []


def test_of_several_in_one_record_each_has_its_own_alias():
    events = [*watched(sid="1" * 64), *watched(sid="2" * 64), *watched(False, sid="3" * 64)]
    names = [rows.session["session_id"] for rows in fold_of((0, events)).open_rows()]
    assert len(set(names)) == 3
    assert [name.startswith("withheld-") for name in names] == [True, True, False]


def test_the_latest_event_decides():
    later = timeline("30 26 ping", sid=LONG)
    refused = timeline("40 36 ping", sid=LONG, withheld=True)
    given = fold_of((0, watched()), (30, later))
    (rows,) = given.open_rows()
    assert rows.session["session_id"] == LONG
    assert given.session(LONG) == [rows]
    withdrawn = fold_of((0, watched(False)), (30, later), (40, refused))
    (rows,) = withdrawn.open_rows()
    assert SECRET not in repr(rows)
    assert withdrawn.session(LONG) == []


def test_it_keeps_its_alias_whatever_is_said_in_between():
    journal = Journal()
    first = watched()
    journal.add(0, first)
    fold, _ = fold_all(journal.records)
    (before,) = fold.open_rows()
    journal.add(30, timeline("30 26 ping", sid=LONG))
    journal.add(40, timeline("40 36 ping", sid=LONG, withheld=True))
    fold, _ = fold_all(journal.records)
    (after,) = fold.open_rows()
    assert after.session["session_id"] == before.session["session_id"]


def test_a_checkpoint_keeps_it():
    fold = fold_of((0, watched()))
    snapshot = fold.snapshot()
    restored = Fold.restore(snapshot.fold, snapshot.sessions.values())
    assert list(restored.open_rows()) == list(fold.open_rows())


def test_a_checkpoint_of_an_earlier_release_is_read():
    """Which knew nothing of consent: its sessions are not withheld until an event is."""
    fold = fold_of((0, watched(False)))
    snapshot = fold.snapshot()
    (written,) = snapshot.sessions.values()
    earlier = msgspec.msgpack.encode(msgspec.msgpack.decode(written)[:-2])
    restored = Fold.restore(snapshot.fold, [earlier])
    assert list(restored.open_rows()) == list(fold.open_rows())


def test_an_event_that_comes_to_no_open_session_names_none():
    journal = Journal()
    journal.add(0, [*timeline("5 5 ping", sid=LONG, withheld=True),
                    *timeline("6 6 ping", sid=LONG, withheld=True),
                    *timeline("7 7 ping", sid=SID)])  # fmt: skip
    fold, strays = Fold(), []
    for position, record in journal.records:
        strays += fold.take(position, record).strays
    assert [stray.session_id.startswith("withheld-") for stray in strays] == [True, True, False]
    assert len({stray.session_id for stray in strays}) == 3


def test_a_change_of_what_was_said_closes_nothing():
    journal = Journal()
    said = MediaSession("tv", START, consent=False)
    change = Change(media_key(LONG), msgspec.msgpack.encode(said), START + 86_400 * SECOND)
    journal.add(0, watched())
    journal.add(1, [], [change])
    fold, _ = fold_all(journal.records)
    (rows,) = fold.open_rows()
    assert (rows.session["state"], rows.session["ended_at"] is None) == ("open", False)


# -- in the lake --------------------------------------------------------------------------------


@pytest.fixture
def studio(tmp_path):
    studio = Studio(tmp_path)
    with contextlib.closing(studio.lake):
        yield studio
        studio.kill()


ALL = (
    "SELECT 's', * FROM media_sessions", "SELECT 'a', * FROM media_ads",
    "SELECT 'c', * FROM media_chapters", "SELECT 't', * FROM media_states",
    "SELECT 'x', * FROM media_strays",
)  # fmt: skip


def test_no_table_has_ids_open_or_closed(studio):
    async def work():
        for one in watched():
            studio.now = max(studio.now, one.occurred_at)
            await studio.journal.transact([Outcome(events=(one,))])
        shown = [await studio.ask(sql) for sql in ALL]
        assert [len(rows) for rows in shown] == [1, 1, 1, 1, 0]
        assert SECRET not in repr(shown)
        ((alias,),) = await studio.ask("SELECT session_id FROM media_sessions")
        assert await studio.runner.session(LONG) == []
        ((found),) = await studio.runner.session(alias)
        assert SECRET not in repr(found)

        await studio.passes(700)
        late = timeline("900 20 ping", sid=LONG, withheld=True)
        await studio.journal.transact([Outcome(events=tuple(late))])
        shown = [await studio.ask(sql) for sql in ALL]
        assert [len(rows) for rows in shown] == [1, 1, 1, 1, 1]
        assert SECRET not in repr(shown)
        assert await studio.ask("SELECT session_id, state, why FROM media_sessions") == [
            (alias, "closed", "idle")
        ]
        (found,) = await studio.runner.session(alias)
        assert found["media_sessions"][0]["media_id"] == "film"

    asyncio.run(work())


def test_a_time_out_keeps_what_was_said(studio):
    """A late event that says nothing itself is judged by it."""

    async def work():
        key = media_key(LONG)
        said = MediaSession("tv", START, consent=True)
        change = Change(key, msgspec.msgpack.encode(said), START + 86_400 * SECOND)
        await studio.journal.transact([Outcome(events=tuple(watched(False)), changes=(change,))])
        await studio.passes(700)
        state = (await studio.journal.get([key]))[key]
        known = msgspec.msgpack.decode(state, type=MediaSession)
        assert (known.why, known.consent) == ("idle", True)

    asyncio.run(work())
