"""Everything about a person, as one document."""

from __future__ import annotations

import asyncio
import json

import pytest
from lake_rig import NOON, Rig, make_event, make_reject

from footfall.lake.dossier import EXPORTED, Dossiers
from footfall.lake.loader import Loader
from footfall.lake.persons import PERSONAL, Id
from footfall.lake.tables import CLIENT_IDS, MEDIA, MEDIA_CLOSED
from footfall.model import Facts

pytestmark = pytest.mark.slow

ANNA = "anna-000000-profile"


@pytest.fixture
def rig(lake):
    rig = Rig(lake)
    rig.loader = Loader(rig.journal, lake)
    return rig


def load(rig, *events, rejects=()):
    rig.write(*events, rejects=rejects)
    asyncio.run(rig.loader.catch_up(20))


def documents(rig, *people):
    async def run():
        dossiers = Dossiers(rig.lake, people)
        try:
            await dossiers.gather()
            texts = []
            for n in range(len(people)):
                texts.append("".join([text async for text in dossiers.document(n, "now")]))
            return texts
        finally:
            await dossiers.close()

    texts = asyncio.run(run())
    assert list(rig.lake.scratch.glob("dossier-*")) == []
    left = rig.sql("SELECT table_name FROM duckdb_tables() WHERE database_name = 'memory'")
    assert not [name for (name,) in left if name.startswith(("aside", "who"))]
    return [json.loads(text) for text in texts]


def test_every_table_that_has_rows_about_people_is_in_it():
    there = {table.name for table in EXPORTED}
    closed = {table.name for table in MEDIA_CLOSED}
    assert {table.name for table in MEDIA} <= there, "in place of the closed ones"
    assert {table.name for table in PERSONAL} - there == closed | {CLIENT_IDS.name}


def test_a_profile_with_its_aliases_and_their_rows_and_nobody_elses(rig):
    load(
        rig,
        make_event(profile_id="anna-before", session_id="s0", properties={"n": [1, "é\u2028"]}),
        make_event(
            profile_id=ANNA,
            session_id="s1",
            facts=Facts(
                aliases={"anna-before": "the same e-mail"},
                visit="s1",
                traits={"email.main": "anna@example.com"},
                consents={"ads": (True, None)},
                context={"screen": "wide"},
            ),
        ),
        make_event(profile_id=ANNA, session_id="s1", stored=False),
        make_event(session_id="s1"),
        make_event(profile_id="bert", session_id="s2", page="/bert"),
        rejects=[make_reject(body=f"it was {ANNA}"), make_reject(body="bert")],
    )
    (found,) = documents(rig, Id("profile", ANNA))
    assert found["exported_at"] == "now"
    assert found["asked"] == {"profile": ANNA}
    assert found["ids"] == {"profile": [ANNA, "anna-before"], "session": ["s0", "s1"]}
    assert {name: len(found[name]) for name in found if isinstance(found[name], list)} == {
        "events": 3, "rejects": 1, "sessions": 2, "profiles": 1, "visits": 1, "profile_traits": 1,
        "profile_consents": 1, "profile_aliases": 1, "media_sessions": 0, "media_ads": 0,
        "media_chapters": 0, "media_states": 0, "media_strays": 0, "passing": 1,
        "session_contexts": 1, "ad_breaks": 0, "ads": 0,
    }  # fmt: skip
    first = found["events"][0]
    assert first["properties"] == {"n": [1, "é\u2028"]}
    assert first["received_at"].startswith("2026-01-01T12:00:00.")
    assert "position" not in first
    assert found["profile_traits"][0]["value"] == "anna@example.com"
    assert "bert" not in json.dumps(found)


def test_of_many_people_each_has_their_own_document(rig):
    load(rig, *(make_event(user_id=f"u{n}", occurred_at=NOON + n) for n in range(40)))
    people = [Id("user", f"u{n}") for n in (3, 30, 99)]
    found = documents(rig, *people)
    assert [[row["user_id"] for row in one["events"]] for one in found] == [["u3"], ["u30"], []]


def test_of_one_source_only(rig):
    load(rig, make_event(user_id="u", source="shop"), make_event(user_id="u", source="blog"))
    (found,) = documents(rig, Id("user", "u", "shop"))
    assert found["source"] == "shop"
    assert [row["source"] for row in found["events"]] == ["shop"]


def test_of_one_source_of_an_identity_group(rig):
    """Who is one with whom was seen by another source of the group; the profile is all of theirs."""
    came = Facts(visit="s1", identity="group")
    load(
        rig,
        make_event(profile_id=ANNA, session_id="s1", source="shop", facts=came),
        make_event(profile_id="before", session_id="s2", source="shop"),
        make_event(profile_id="before", session_id="s3", source="other"),
        make_event(
            profile_id=ANNA, session_id="s1", source="blog",
            facts=Facts(visit="s1", identity="group", aliases={"before": "the same e-mail"}),
        ),
    )  # fmt: skip
    (found,) = documents(rig, Id("profile", ANNA, "shop"))
    assert found["ids"] == {"profile": [ANNA, "before"], "session": ["s1", "s2"]}
    assert [(row["source"], row["session_id"]) for row in found["events"]] == [
        ("shop", "s1"), ("shop", "s2"),
    ]  # fmt: skip
    assert [(row["source"], row["profile_id"]) for row in found["profiles"]] == [("group", ANNA)]


def test_rows_come_in_their_order(rig):
    load(rig, *(make_event(user_id="u", occurred_at=NOON - n) for n in range(1000)))
    (found,) = documents(rig, Id("user", "u"))
    times = [row["occurred_at"] for row in found["events"]]
    assert len(times) == 1000
    assert times == sorted(times)
