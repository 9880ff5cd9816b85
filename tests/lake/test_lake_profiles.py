"""Profiles and their sessions as they are counted: whose is what, by what was said of whom."""

from __future__ import annotations

import asyncio
import json
from functools import partial

import pytest
from lake_rig import DAY, NOON, make_event

from footfall.lake.groups import put_groups
from footfall.lake.loader import Loader
from footfall.lake.maintenance import Maintenance
from footfall.model import Facts
from footfall.settings import Source

pytestmark = pytest.mark.slow  # a lake each

SECOND = 1_000_000


def at(seconds: float, **changes):
    """An event of protocol tracardi and profile p, with facts."""
    facts = changes.pop("facts", None)
    moment = NOON + int(seconds * SECOND)
    fields = {
        "protocol": "tracardi", "type": "page-view", "occurred_at": moment, "received_at": moment,
        "profile_id": "p", "facts": Facts(**facts) if facts else None,
    }  # fmt: skip
    return make_event(**(fields | changes))


def visit(seconds: float, session: str, **changes):
    """The first event of a session that is new to its profile."""
    facts = {"visit": session, **changes.pop("facts", {})}
    return at(seconds, session_id=session, facts=facts, **changes)


def alias(seconds: float, old: str, profile: str, **changes):
    return at(seconds, profile_id=profile, facts={"aliases": {old: "the same person"}}, **changes)


def load(rig, *events) -> None:
    """Each in a record of its own."""
    for event in events:
        rig.write(event)
    asyncio.run(Loader(rig.journal, rig.lake, now=rig.clock).catch_up(30))


def rows(rig, view: str, order: str) -> list[dict]:
    cursor = rig.lake.cursor()
    result = cursor.execute(f"SELECT * FROM {view} ORDER BY {order}")
    names = [column[0] for column in result.description]
    found = [dict(zip(names, row, strict=True)) for row in result.fetchall()]
    cursor.close()
    return [
        {
            name: json.loads(value)
            if name in ("traits", "consents", "context", "properties") and value
            else value
            for name, value in row.items()
        }
        for row in found
    ]


def profiles(rig) -> dict[str, dict]:
    """By source and id."""
    return {f"{row['source']}/{row['profile_id']}": row for row in rows(rig, "profiles", "ALL")}


def sessions(rig) -> dict[str, dict]:
    return {row["session_id"]: row for row in rows(rig, "sessions", "ALL")}


def test_a_profile_is_what_is_kept_of_it(rig):
    load(
        rig,
        visit(0, "s1", country="DE", device="mobile"),
        at(10, session_id="s1", user_id="u", country="FR"),
        at(11, session_id="s1", type="unstored", stored=False, user_id="v"),
        visit(86_400, "s2", stored=False, type="visit-started"),
        at(90_000, protocol="adobe", session_id="m", profile_id="q", os="iOS"),
        at(90_001, profile_id=None, session_id="s3"),
    )
    found = profiles(rig)
    assert found.keys() == {"site/p", "site/q"}
    one = found["site/p"]
    assert (one["visits"], one["events"], one["user_id"]) == (2, 2, "v")
    assert (one["country"], one["device"], one["os"]) == ("FR", "mobile", None)
    assert (one["last_seen_at"] - one["first_seen_at"]).total_seconds() == 86_400
    assert (one["aliases"], one["traits"], one["consents"]) == ([], None, None)
    assert (found["site/q"]["visits"], found["site/q"]["events"]) == (1, 1)


def test_sessions_know_their_visit_and_what_became_of_it(rig):
    load(
        rig,
        visit(0, "s1"),
        at(1, session_id="s1", type="Visit Ended"),
        visit(10, "s2", profile_id="p2"),
        # The second visit ended and went on; its end was not to be stored.
        visit(20, "s3"),
        at(21, session_id="s3", type="visit-ended", stored=False),
        visit(30, "s4"),
        at(31, session_id="s4", type="visit-ended"),
        at(32, session_id="s4"),
        # One that is in no session's row: saveSession was false.
        at(25, session_id=None, facts={"visit": "hidden"}),
        make_event(session_id="other", profile_id="p", type="visit-ended"),
    )
    found = sessions(rig)
    assert {name: (row["visit"], row["status"]) for name, row in found.items()} == {
        "s1": (1, "ended"),
        "s2": (1, "active"),
        "s3": (2, "ended"),
        "s4": (4, "active"),
        "other": (None, None),
    }
    assert (found["s3"]["events"], found["s3"]["duration_s"]) == (1, 1.0)
    assert profiles(rig)["site/p"]["visits"] == 5


def test_a_sessions_context_is_what_its_requests_made_of_it(rig):
    first = {"context": {"a": 1, "deep": {"x": 1}}, "properties": {"p": 1}}
    load(rig, visit(0, "s", facts=first), visit(0, "lone", facts={"context": {"k": "v"}}))
    load(rig, at(1, session_id="s", facts={"context": {"deep": {"y": 2}, "n": None}}))
    # Late, but said last.
    load(rig, at(0.5, session_id="s", facts={"context": {"a": 2}, "properties": {"q": [1]}}))
    load(rig, visit(3, "without"))
    found = sessions(rig)
    assert found["s"]["context"] == {"a": 2, "deep": {"y": 2}, "n": None}
    assert found["s"]["properties"] == {"p": 1, "q": [1]}
    assert (found["lone"]["context"], found["lone"]["properties"]) == ({"k": "v"}, None)
    assert found["without"]["context"] is None


def test_a_session_of_unstored_events_only_is_there(rig):
    load(rig, visit(0, "s", stored=False), at(5, session_id="s", stored=False, user_id="u"))
    row = sessions(rig)["s"]
    assert (row["events"], row["duration_s"], row["profile_id"], row["user_id"]) == (0, 5, "p", "u")


def test_the_latest_of_a_trait_counts_by_when_it_was_said(rig):
    # Two in one record: the order of its lines decides.
    rig.write(
        at(9, facts={"traits": {"a": 1, "b": {"x": [1]}, "c.d": "é", "gone": 1}}),
        at(8, facts={"traits": {"a": 2}}),
    )
    load(rig, at(1, facts={"traits": {"gone": None}}))
    assert profiles(rig)["site/p"]["traits"] == {"a": 2, "b": {"x": [1]}, "c.d": "é"}
    (value,) = rig.sql("""SELECT traits ->> '$."c.d"' FROM profiles""")
    assert value == ("é",)


def test_consents_say_whether_they_hold_now(rig):
    past, future = NOON - 20 * 365 * DAY, NOON + 900 * 365 * DAY
    given = {"on": (True, None), "off": (False, future), "old": (True, past), "new": (True, future)}
    rig.write(
        at(0, facts={"consents": given | {"twice": (True, None)}}),
        at(0, facts={"consents": {"twice": (False, None)}}),
    )
    load(rig)
    assert profiles(rig)["site/p"]["consents"] == {
        "new": "granted", "off": "refused", "old": "expired", "on": "granted", "twice": "refused",
    }  # fmt: skip


def test_a_chain_of_aliases_leads_to_its_end(rig):
    load(
        rig,
        visit(0, "s1", profile_id="a", facts={"traits": {"n": 1, "only": "a"}}),
        visit(1, "s2", profile_id="b", facts={"traits": {"n": 2}}),
        visit(2, "s3", profile_id="c"),
        visit(2, "s4", profile_id="other"),
        alias(3, "a", "b"),
        alias(4, "b", "c"),
        at(5, profile_id="c", facts={"aliases": {"never-seen": "imported"}}),
        # A client that goes on with its old id.
        at(6, profile_id="a", session_id="s1"),
    )
    found = profiles(rig)
    assert found.keys() == {"site/c", "site/other"}
    assert found["site/c"]["aliases"] == ["a", "b", "never-seen"]
    assert (found["site/c"]["visits"], found["site/c"]["events"]) == (3, 7)
    assert found["site/c"]["traits"] == {"n": 2, "only": "a"}
    by_session = {name: (row["profile_id"], row["visit"]) for name, row in sessions(rig).items()}
    assert by_session == {"s1": ("c", 1), "s2": ("c", 2), "s3": ("c", 3), "s4": ("other", 1)}


def test_merged_profiles_that_are_merged_become_one(rig):
    load(
        rig,
        *(visit(n, f"s{n}", profile_id=name) for n, name in enumerate("abcd")),
        alias(10, "a", "b"),
        alias(11, "c", "d"),
        alias(12, "b", "d"),
    )
    (one,) = profiles(rig).values()
    assert (one["profile_id"], one["aliases"], one["visits"]) == ("d", ["a", "b", "c"], 4)
    assert [sessions(rig)[f"s{n}"]["visit"] for n in range(4)] == [1, 2, 3, 4]


def test_the_latest_alias_counts(rig):
    load(rig, visit(0, "s", profile_id="a"), alias(1, "a", "b"), alias(2, "a", "c"))
    assert profiles(rig)["site/c"]["visits"] == 1
    assert profiles(rig)["site/b"]["visits"] == 0


@pytest.mark.parametrize("pairs", [("ab", "ba"), ("ab", "bc", "ca"), ("xa", "ab", "bc", "ca")])
def test_a_circle_of_aliases_ends_and_has_one_name(rig, pairs):
    load(
        rig,
        *(visit(n, f"s{n}", profile_id=old) for n, (old, _) in enumerate(pairs)),
        *(alias(10 + n, old, new) for n, (old, new) in enumerate(pairs)),
    )
    (one,) = profiles(rig).values()
    assert (one["profile_id"], one["visits"]) == ("a", len(pairs))
    assert set(one["aliases"]) == {old for old, _ in pairs} - {"a"}


def test_sources_of_an_identity_group_share_profiles(rig):
    group = {"identity": "shops"}
    load(
        rig,
        visit(0, "s1", source="a", facts=group),
        visit(1, "s2", source="b", facts=group),
        visit(2, "s3", source="b", facts=group | {"traits": {"n": 1}}),
        # A session is the group's, and one visit wherever it goes on; another protocol's is not.
        at(2, source="b", session_id="s1"),
        visit(3, "s1", source="alone"),
        # Of no visit; another protocol of a source of the group.
        at(4, source="a", protocol="adobe", session_id="m"),
        at(4, source="b", protocol="adobe", session_id="m"),
        alias(5, "old", "p", source="a"),
        at(6, source="b", profile_id="old", session_id="s2"),
    )
    found = profiles(rig)
    assert found.keys() == {"shops/p", "alone/p"}
    shared = found["shops/p"]
    assert (shared["visits"], shared["events"], shared["aliases"]) == (5, 8, ["old"])
    assert shared["traits"] == {"n": 1}
    assert rig.sql("SELECT source, session_id, visit FROM sessions WHERE visit > 0 ORDER BY 3, 1") == [
        ("a", "s1", 1), ("alone", "s1", 1), ("b", "s1", 1), ("b", "s2", 2), ("b", "s3", 3),
    ]  # fmt: skip


def put(rig, **groups):
    asyncio.run(rig.lake.run(partial(put_groups, rig.lake, groups)))


def test_a_source_of_no_visit_is_in_the_group_that_its_settings_name(rig):
    """A backend that only proves who somebody is; what visits say of their group counts not."""
    put(rig, a="g", b="g")
    load(
        rig,
        visit(0, "s1", source="a", profile_id="p", facts={"identity": "earlier"}),
        visit(1, "s2", source="a", profile_id="q"),
        alias(2, "q", "p", source="b"),
        at(3, source="b", facts={"traits": {"n": 1}}),
    )
    (one,) = profiles(rig).values()
    assert (one["source"], one["profile_id"], one["aliases"]) == ("g", "p", ["q"])
    assert (one["visits"], one["traits"]) == (2, {"n": 1})
    assert {name: row["visit"] for name, row in sessions(rig).items() if name} == {"s1": 1, "s2": 2}


def test_a_group_stays_when_its_source_goes_and_goes_with_its_name(rig):
    put(rig, a="g", b="g")
    snapshots = rig.sql("SELECT count(*) FROM catalog.ducklake_snapshot")
    put(rig, a="g")
    assert rig.sql("SELECT count(*) FROM catalog.ducklake_snapshot") == snapshots
    assert rig.sql("FROM identities ORDER BY ALL") == [("a", "g"), ("b", "g")]
    put(rig, a="a", b="h")
    rig.lake.reopen()
    assert rig.sql("FROM identities ORDER BY ALL") == [("a", "a"), ("b", "h")]


def test_a_session_that_was_given_to_another_profile_counts_for_both(rig):
    load(rig, visit(0, "s", profile_id="a"), visit(9, "s", profile_id="b"))
    found = profiles(rig)
    assert [found[f"site/{name}"]["visits"] for name in "ab"] == [1, 1]
    assert sessions(rig)["s"]["profile_id"] == "b"
    # Once they are one person, it is one visit.
    load(rig, alias(20, "a", "b"))
    assert profiles(rig)["site/b"]["visits"] == 1


def test_what_came_while_the_clock_stood_still_is_in_order(rig):
    """Equal times: the session's last type is an end, whichever row is read first."""
    rig.write(at(0, session_id="s"), at(0, session_id="s", type="visit-ended"))
    load(rig)
    assert sessions(rig)["s"]["status"] == "ended"


def test_visits_and_what_was_said_stay_when_events_go(rig):
    source = Source(id="site", protocols=("tracardi",), retention_days=30)
    old = {"received_at": NOON - 40 * DAY, "occurred_at": NOON - 40 * DAY}
    load(
        rig,
        visit(0, "old", **old, facts={"traits": {"n": 1}, "context": {"k": 1}}),
        at(0, **old, session_id="old", stored=False),
        visit(0, "new"),
    )
    loader = Loader(rig.journal, rig.lake, now=rig.clock)
    maintenance = Maintenance(
        rig.lake, loader, rig.journal,
        sources=lambda: (source,), journal_retention_hours=1, now=rig.clock,
    )  # fmt: skip
    asyncio.run(maintenance.run("retain"))
    assert sessions(rig).keys() == {"new"}
    assert sessions(rig)["new"]["visit"] == 2
    assert rig.sql("SELECT count(*) FROM session_contexts") == [(0,)]
    assert rig.sql("SELECT count(*) FROM passing") == [(0,)]
    one = profiles(rig)["site/p"]
    assert (one["visits"], one["events"], one["traits"]) == (2, 1, {"n": 1})
    assert (one["last_seen_at"] - one["first_seen_at"]).days == 40


@pytest.mark.parametrize("view", ["sessions", "profiles"])
def test_no_view_joins_everything_with_everything(rig, view):
    load(rig, visit(0, "s", facts={"traits": {"n": 1}, "aliases": {"old": "x"}}))
    ((_, plan),) = rig.sql(f"EXPLAIN SELECT * FROM {view}")
    assert "HASH_JOIN" in plan
    for slow in ("CROSS_PRODUCT", "NESTED_LOOP", "BLOCKWISE", "PIECEWISE"):
        assert slow not in plan
