"""People leave the lake without a trace; everybody else stays as they were."""

from __future__ import annotations

import asyncio
import shutil
import threading
from pathlib import Path

import pytest
from lake_rig import DAY, NOON, Rig, make_event, make_reject
from remains import holders

from footfall.lake.erasure import by_kind, delete_rows, expand, leave_nothing
from footfall.lake.lake import Lake
from footfall.lake.loader import Loader
from footfall.lake.maintenance import FLUSH, call
from footfall.lake.persons import PERSONAL, Before, Id, spellings
from footfall.lake.query import ask

pytestmark = pytest.mark.slow  # a lake of its own for each test

ANNA = "anna-000000-profile"
BERT = "bert-000000-profile"
EVERYTHING = Before(0, 1 << 60, NOON + 1000 * DAY)


class House(Rig):
    """A lake that is loaded after each record."""

    def __init__(self, lake):
        super().__init__(lake)
        self.loader = Loader(self.journal, lake)

    def load(self, *events, rejects=()):
        self.write(*events, rejects=rejects)
        asyncio.run(self.loader.catch_up(20))

    def flush(self):
        for table in PERSONAL:
            asyncio.run(self.lake.run(lambda c, t=table: call(self.lake, FLUSH.format(t.name), c)))

    def ids(self, *given, before=None):
        return by_kind(asyncio.run(expand(self.lake, given, before)))

    def erase(self, *given, before=EVERYTHING):
        async def run():
            ids = await expand(self.lake, given, before)
            steps = [step async for step in delete_rows(self.lake, ids, before)]
            await leave_nothing(self.lake)
            return steps

        return asyncio.run(run())

    def everything(self, *without):
        """Every row of every table, but those in which a text of `without` stands."""
        found = {}
        for table in PERSONAL:
            rows = self.sql(f"SELECT to_json(t)::VARCHAR FROM {table.name} AS t ORDER BY ALL")
            found[table.name] = [r for (r,) in rows if not any(text in r for text in without)]
        return found

    def holders(self, *ids):
        return holders(self.lake.directory, *ids)


@pytest.fixture
def house(lake):
    return House(lake)


def crowd(number, **changes):
    """People of no interest, before and after everybody in the alphabet."""
    return [
        make_event(
            profile_id=f"{'a0' if n % 2 else 'zz'}-{n:012}",
            user_id=f"user-{n}",
            session_id=f"session-{n:012}",
            page=f"/page/{n % 7}",
            properties={"n": n},
            **changes,
        )
        for n in range(number)
    ]


def test_rows_in_files_and_in_the_catalogue_go_and_nobody_elses(house):
    house.load(*crowd(600), make_event(profile_id=ANNA, page=f"/?who={ANNA}"))  # a file
    house.load(*crowd(3), make_event(profile_id=ANNA, event_id="x" * 20, client_id_given=True))
    house.load(make_event(properties={"referrer": {"of": ANNA}}), rejects=[make_reject(body=ANNA)])
    house.load(rejects=[make_reject(body="somebody else"), make_reject(detail=f"no {ANNA}")])
    assert house.holders(ANNA)
    others = house.everything(ANNA, "x" * 20)
    steps = house.erase(Id("profile", ANNA))
    assert house.everything() == others
    assert house.holders(ANNA, "x" * 20) == []
    assert sum(step.rows for step in steps if step.table == "events") == 3
    assert sum(step.rows for step in steps if step.table == "rejects") == 2
    assert all(step.files and step.bytes for step in steps)


def test_ids_that_hold_a_nul_go_as_well(house):
    strange = "a\0b-which-is-an-id-too"
    house.load(*crowd(600), make_event(profile_id=ANNA, session_id=strange))
    house.load(make_event(user_id=strange, properties={"of": strange}), make_event(page="/b"))
    others = house.everything(ANNA, "which-is-an-id-too")
    steps = house.erase(Id("user", strange), Id("profile", ANNA))
    assert house.everything() == others
    assert house.holders(ANNA, "which-is-an-id-too") == []
    assert sum(step.rows for step in steps if step.table == "events") == 2


def test_the_least_and_the_greatest_value_of_a_column_are_forgotten(house):
    """Also where whole files go, after which the tables' own statistics stay as they were."""
    first, last = "!-the-first-of-all", "~-the-last-of-all-of-them"
    house.load(*crowd(600))
    house.load(*(make_event(profile_id=first, page=f"/{n}/secret") for n in range(600)))
    house.load(*(make_event(user_id=last, brand="~~~~~~~~~~~~~~~~~~~~ brand") for _ in range(3)))
    house.flush()
    assert house.holders("/9/secret")
    house.erase(Id("profile", first), Id("user", last))
    assert house.holders(first, last, "/9/secret", "~~~ brand") == []
    # What is left of the statistics must not hide rows from queries, nor those that come.
    house.load(make_event(profile_id=first, brand="~~~~"), make_event(profile_id="}", page="/"))
    for sql, count in (
        (f"profile_id = '{first}'", 1),
        ("profile_id >= '}'", 1),
        ("profile_id < 'b'", 301),
        ("page = '/page/3'", 86),
        ("brand = '~~~~'", 1),
        ("page >= '/'", 601),
    ):
        assert house.sql(f"SELECT count(*) FROM events WHERE {sql}") == [(count,)], sql


@pytest.mark.slow
def test_everything_may_go_and_what_comes_then_is_found(house):
    house.load(*(make_event(profile_id=ANNA, user_id="u" * 20) for _ in range(600)))
    house.erase(Id("profile", ANNA))
    assert house.everything()["events"] == []
    house.load(*crowd(600))
    assert house.sql("SELECT count(*) FROM events WHERE page = '/page/3'") == [(86,)]
    assert house.sql("SELECT count(*) FROM events WHERE user_id = 'user-7'") == [(1,)]


def test_what_stands_after_the_erasure_in_the_journal_stays(house):
    house.load(make_event(profile_id=ANNA, event_id="before"))
    house.load(make_event(profile_id=ANNA, event_id="after"))
    house.erase(Id("profile", ANNA), before=Before(0, 1, NOON))
    assert house.sql("SELECT event_id FROM events") == [("after",)]


def test_a_short_id_is_not_looked_for_in_texts(house):
    house.load(
        make_event(user_id="12345"), make_event(page="/item/12345", properties={"price": 12345})
    )
    house.erase(Id("user", "12345"))
    assert house.sql("SELECT page FROM events") == [("/item/12345",)]


def test_an_id_in_other_spellings_goes_too(house):
    odd = 'Zoë "the/first" @example.com'
    house.load(
        make_event(user_id=odd),
        make_event(page="/?u=Zo%C3%AB%20%22the%2Ffirst%22%20%40example.com"),
        make_event(page="/?u=Zo%c3%ab%20%22the%2ffirst%22%20%40example.com"),
        make_event(page="/?u=Zo%C3%AB+%22the%2Ffirst%22+%40example.com"),
        make_event(properties={"who": [odd]}),
        make_event(event_id="stays", page="/zoe"),
        rejects=[
            make_reject(body='{"user": "Zo\\u00eb \\"the/first\\" @example.com"}'),
            make_reject(body='{"user": "Zo\\u00EB \\"the/first\\" @example.com"}'),
            make_reject(body='{"user": "Zoë"}'),
        ],
    )
    house.erase(Id("user", odd))
    assert house.sql("SELECT event_id FROM events") == [("stays",)]
    assert house.sql("SELECT body FROM rejects") == [('{"user": "Zoë"}',)]


def test_an_id_may_stand_in_a_url_as_browsers_or_forms_write_it():
    assert spellings("O'Brien (é)") == {
        "O'Brien (é)",
        "O'Brien (\\u00e9)", "O'Brien (\\u00E9)",
        "O%27Brien%20%28%C3%A9%29", "O%27Brien%20%28%c3%a9%29",
        "O'Brien%20(%C3%A9)", "O'Brien%20(%c3%a9)",
        "O%27Brien+%28%C3%A9%29", "O%27Brien+%28%c3%a9%29",
    }  # fmt: skip
    assert spellings("%3f-abcdef") == {"%3f-abcdef", "%253f-abcdef"}
    assert spellings("plain-id") == {"plain-id"}


def test_a_users_profiles_and_sessions_are_theirs_where_nobody_elses(house):
    shared, own = "tablet-in-the-kitchen", "phone-of-anna-alone"
    house.load(
        make_event(user_id="anna", profile_id=own, session_id="s-own", event_id="1"),
        make_event(profile_id=own, session_id="s-before", event_id="2"),
        make_event(session_id="s-own", event_id="3"),
        make_event(user_id="anna", profile_id=shared, session_id="s-shared", event_id="4"),
        make_event(user_id="bert", profile_id=shared, session_id="s-shared", event_id="5"),
        make_event(profile_id=shared, session_id="s-shared", event_id="6"),
        make_event(user_id="bert", profile_id=shared, session_id="s-bert", event_id="7"),
        make_event(source="other", session_id="s-own", event_id="8"),
    )
    ids = house.ids(Id("user", "anna"))
    assert ids["profile"] == (own,)
    assert sorted(ids["session"]) == ["s-before", "s-own"]
    house.erase(Id("user", "anna"))
    assert house.sql("SELECT event_id FROM events ORDER BY ALL") == [*zip("5678")]


def test_a_session_alone(house):
    house.load(
        make_event(user_id="anna", session_id="one", event_id="1"),
        make_event(user_id="anna", session_id="two", event_id="2"),
    )
    house.erase(Id("session", "one"))
    assert house.sql("SELECT event_id FROM events") == [("2",)]


def test_a_jay_session_that_the_persons_events_carry_is_theirs(house):
    jay = "0b1e6f6c-6f1e-4f8e-8a39-8f4f6d0a9a11"
    house.load(
        make_event(user_id="anna", properties={"jay_session_id": jay}),
        make_event(protocol="jay", session_id=jay),
        make_event(properties={"jay_session_id": jay}),
        make_event(event_id="stays", properties={"jay_session_id": "other"}),
    )
    assert house.ids(Id("user", "anna"))["session"] == (jay,)
    house.erase(Id("user", "anna"))
    assert house.sql("SELECT event_id FROM events") == [("stays",)]


def test_of_one_source_only(house):
    house.load(
        make_event(user_id=ANNA, source="shop", session_id="one"),
        make_event(user_id=ANNA, source="blog", session_id="two", event_id="stays"),
        make_event(source="blog", page=f"/{ANNA}", event_id="stays too"),
    )
    assert house.ids(Id("user", ANNA, "shop"))["session"] == ("one",)
    house.erase(Id("user", ANNA, "shop"))
    assert house.sql("SELECT event_id FROM events ORDER BY ALL") == [("stays",), ("stays too",)]


@pytest.mark.slow
def test_many_people_at_once(house):
    people = [f"person-{n:04}-of-many" for n in range(1500)]
    house.load(*(make_event(profile_id=one) for one in people), *crowd(600))
    house.load(*(make_event(page=f"/of/{one}") for one in people[::3]))
    house.erase(*(Id("profile", one) for one in people))
    assert house.sql("SELECT count(*) FROM events") == [(600,)]
    assert house.holders(*people[::50]) == []


def test_only_files_that_held_the_person_are_written_anew(house):
    for day in range(3):
        received = {"received_at": NOON + day * DAY}
        house.load(
            *crowd(600, **received), *([make_event(profile_id=ANNA, **received)] * (day == 1))
        )
    before = {file.name for file in house.lake.data.rglob("*.parquet")}
    (step,) = house.erase(Id("profile", ANNA))
    after = {file.name for file in house.lake.data.rglob("*.parquet")}
    assert (step.rows, step.files, step.days) == (1, 1, 1)
    assert len(before & after) == 2
    assert len(after) == 3


def test_a_file_that_a_killed_process_left_behind_goes(house):
    house.load(*crowd(600), make_event(profile_id=ANNA))
    (file,) = house.lake.data.rglob("*.parquet")
    file.with_name("ducklake-orphan.parquet").write_bytes(file.read_bytes())
    house.erase(Id("profile", ANNA))
    assert house.holders(ANNA) == []


@pytest.mark.slow
def test_queries_are_right_all_the_while(house):
    for day in range(4):
        received = {"received_at": NOON + day * DAY}
        house.load(*crowd(600, **received), make_event(profile_id=ANNA, **received))
    askers = [[], [], []]
    """What each saw, one question after another; those of two may cross."""

    async def ask_on(done, seen):
        while not done.is_set():
            sql = f"SELECT count(*), count(*) FILTER (profile_id = '{ANNA}') FROM events"
            ((total, annas),) = (await ask(house.lake, sql, seconds=20)).rows
            seen.append(annas)
            assert total - annas == 2400

    async def run():
        done = asyncio.Event()
        asking = [asyncio.create_task(ask_on(done, seen)) for seen in askers]
        ids = await expand(house.lake, [Id("profile", ANNA)])
        async for _ in delete_rows(house.lake, ids, EVERYTHING):
            await asyncio.sleep(0.02)
        await leave_nothing(house.lake)
        await asyncio.sleep(0.1)
        done.set()
        await asyncio.gather(*asking)

    asyncio.run(run())
    for seen in askers:
        assert seen == sorted(seen, reverse=True)
        assert seen[-1] == 0
    assert sum(map(len, askers)) > 5


@pytest.mark.slow
def test_a_query_that_began_before_ends_as_if_nothing_happened(house):
    """The files that it reads stay until it has read them."""
    house.load(make_event(profile_id=BERT))
    house.erase(Id("profile", BERT))  # DuckLake makes tables of its own with the first deletion
    for _ in range(3):
        house.load(*crowd(600), make_event(profile_id=ANNA))
    house.flush()
    begun, released = threading.Event(), threading.Event()

    def slow(cursor):
        cursor.execute("BEGIN")
        first = cursor.execute("SELECT count(*) FROM events").fetchall()
        begun.set()
        released.wait(20)
        again = cursor.execute("SELECT count(*), count(DISTINCT page) FROM events").fetchall()
        cursor.execute("COMMIT")
        return first, again

    async def run():
        reading = asyncio.create_task(house.lake.read(slow))
        await asyncio.to_thread(begun.wait, 20)
        async for _ in delete_rows(house.lake, [Id("profile", ANNA)], EVERYTHING):
            pass
        leaving = asyncio.create_task(leave_nothing(house.lake))
        await asyncio.sleep(0.2)
        assert not leaving.done()
        released.set()
        await leaving
        return await reading

    assert asyncio.run(run()) == ([(1803,)], [(1803, 7)])
    assert house.holders(ANNA) == []


def test_loading_goes_on_after_the_catalogue_was_replaced(house, tmp_path):
    house.load(*crowd(600))
    house.erase(Id("profile", ANNA))
    house.load(*crowd(600))
    house.lake.close()
    with Lake(house.lake.directory, memory_mb=256, threads=1) as again:
        assert Rig(again).sql("SELECT count(*) FROM events") == [(1200,)]


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_crash_while_the_catalogue_is_replaced_leaves_a_whole_one(house, moment, monkeypatch):
    """What is on the disk at the moment is what a killed process leaves."""
    house.load(*crowd(600), make_event(profile_id=ANNA))
    crashed = house.lake.directory.parent / "crashed"
    rename = Path.rename

    def copied(self, target):
        if moment == "before":
            shutil.copytree(house.lake.directory, crashed)
        rename(self, target)
        if moment == "after":
            shutil.copytree(house.lake.directory, crashed)

    monkeypatch.setattr(Path, "rename", copied)
    house.erase(Id("profile", ANNA))
    monkeypatch.undo()
    with Lake(crashed, memory_mb=256, threads=1) as lake:
        again = House(lake)
        assert again.sql("SELECT count(*) FROM events") == [(600,)]
        again.erase(Id("profile", ANNA))
        assert again.holders(ANNA) == []
