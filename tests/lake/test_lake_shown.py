"""One profile, one session at a glance: whoever looks sees what it came to and what of."""

from __future__ import annotations

import datetime as dt

import pytest
from lake_rig import NOON, make_event
from test_lake_profiles import alias, at, load, visit

from footfall.lake import profiles, sessions

pytestmark = pytest.mark.slow  # a lake of its own for each test

NOON_TIME = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)


def found(rig, what, asked):
    cursor = rig.lake.cursor()
    try:
        return what.find(asked, cursor)
    finally:
        cursor.close()


def filled(rig) -> None:
    load(
        rig,
        visit(0, "s1", profile_id="old", facts={"traits": {"email.main": "a@b"}}),
        visit(0, "s0", profile_id="stranger", facts={"traits": {"email.main": "z@z"}}),
        visit(10, "s2", type="sign-in", user_id="u", properties={"k": [1]},
              facts={"traits": {"email.main": "c@d"}, "consents": {"ads": (True, None)}}),
        alias(11, "old", "p"),
        at(12, facts={"consents": {"ads": (False, NOON)}}, stored=False),
        visit(20, "s1", source="other"),
    )  # fmt: skip


def test_a_profile_is_shown_with_its_history(rig):
    filled(rig)
    other, one = found(rig, profiles, "p")
    assert (one["sources"], other["sources"]) == (["site"], ["other"])
    (row,) = one["profiles"]
    assert (row["profile_id"], row["source"], row["visits"], row["events"]) == ("p", "site", 2, 3)
    assert (row["aliases"], row["user_id"]) == (["old"], "u")
    assert (row["traits"], row["consents"]) == ({"email.main": "c@d"}, {"ads": "refused"})
    assert row["first_seen_at"] == NOON_TIME
    assert [(t["value"], t["profile_id"]) for t in one["traits"]] == [("c@d", "p"), ("a@b", "old")]
    assert [(c["granted"], c["until"]) for c in one["consents"]] == [
        (False, NOON_TIME),
        (True, None),
    ]
    assert [(a["alias"], a["reason"]) for a in one["aliases"]] == [("old", "the same person")]
    assert [v["session_id"] for v in one["visits"]] == ["s2", "s1"]
    assert [e["type"] for e in one["events"]] == ["page-view", "sign-in", "page-view"]
    assert one["events"][1]["properties"] == {"k": [1]}
    assert one["earlier_events"] == 0


def test_an_alias_leads_to_the_profile_that_took_over(rig):
    filled(rig)
    (one,) = found(rig, profiles, "old")
    assert one == found(rig, profiles, "p")[1]


def test_the_row_is_the_views(rig):
    """The summary reads one profile's rows only; it must say what the whole view says."""
    filled(rig)
    cursor = rig.lake.cursor()
    view = profiles.rows(cursor, "SELECT * FROM profiles", {})
    cursor.close()
    shown = {
        (row["source"], row["profile_id"]): row
        for name in ("p", "stranger")
        for one in found(rig, profiles, name)
        for row in one["profiles"]
    }
    assert shown == {(row["source"], row["profile_id"]): row for row in view}
    assert len(shown) == 3


def test_a_group_of_sources_is_one_place(rig):
    group = {"identity": "shops"}
    load(rig, visit(0, "s1", source="a", facts=group), visit(1, "s1", source="b", facts=group))
    (one,) = found(rig, profiles, "p")
    assert (one["sources"], one["profiles"][0]["source"]) == (["a", "b"], "shops")
    assert len(one["events"]) == 2


def test_of_many_events_the_newest_are_shown_and_the_rest_counted(rig):
    rig.write(*(at(n, page=f"/{n}", session_id="s") for n in range(1005)))
    load(rig)
    (one,) = found(rig, profiles, "p")
    assert (len(one["events"]), one["earlier_events"]) == (1000, 5)
    assert (one["events"][0]["page"], one["events"][-1]["page"]) == ("/1004", "/5")
    (session,) = found(rig, sessions, "s")
    assert (len(session["timeline"]), session["later_events"]) == (1000, 5)
    assert (session["timeline"][0]["page"], session["timeline"][-1]["page"]) == ("/0", "/999")


@pytest.mark.parametrize("what", [profiles, sessions])
def test_of_an_unknown_id_there_is_nothing(rig, what):
    filled(rig)
    assert found(rig, what, "nobody") == []
    assert found(rig, what, "") == []


def test_a_profile_of_what_was_said_only_is_there(rig):
    load(rig, at(0, withheld=True, facts={"consents": {"ads": (False, None)}}))
    (one,) = found(rig, profiles, "p")
    assert (one["events"], one["profiles"][0]["consents"]) == ([], {"ads": "refused"})


def test_a_session_is_shown_with_its_events(rig):
    jay = {"jay_session_id": "j"}
    load(
        rig,
        visit(0, "s", facts={"context": {"tz": "UTC"}}),
        at(1, session_id="s", type="click", page="/x"),
        make_event(protocol="vaix", session_id="s", source="site"),
        make_event(protocol="jay", type="session_start", session_id="j"),
        make_event(protocol="vaix", type="bet", session_id="v", properties=jay),
        make_event(protocol="vaix", type="bet", session_id="v", source="other", properties=jay),
    )
    tracardi, vaix = found(rig, sessions, "s")
    (row,) = tracardi["sessions"]
    assert (row["context"], row["visit"], row["events"]) == ({"tz": "UTC"}, 1, 2)
    assert [(e["type"], e["page"]) for e in tracardi["timeline"]] == [
        ("page-view", None),
        ("click", "/x"),
    ]
    assert (vaix["sessions"][0]["protocol"], len(vaix["timeline"])) == ("vaix", 1)
    _, own = found(rig, sessions, "j")
    assert [e["type"] for e in own["timeline"]] == ["session_start", "bet"]
