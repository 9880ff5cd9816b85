"""Tracardi beyond its golden cases: sequences of requests, limits, and what strangers send."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from served import Served
from tracked import DAY, SECOND, SECRET, Edge, facts, payload, request, source, visits

from footfall.collect.contract import Intent, Reason, Refusal
from footfall.collect.protocols import installed, tracardi
from footfall.collect.protocols.tracardi import content, identity, traits
from footfall.collect.protocols.tracardi.settings import Tracardi
from footfall.collect.sources import Sources
from footfall.errors import SettingsError
from footfall.replay import read_recording, replay
from footfall.settings import Limits, Privacy, load

TRAFFIC = Path(__file__).parents[1] / "traffic"
PROVEN = {"sign-in": ("email.main", "phone.main")}
SITE = Sources([source()], secret=SECRET)


def sign_in(email=None, **properties):
    if email is not None:
        properties["email"] = email
    return {"type": "sign-in", "properties": properties}


# Answers


@pytest.mark.parametrize("reason", Reason)
def test_every_refusal_is_worded(reason):
    reply = tracardi.PROTOCOL.refuse(Refusal(reason=reason, detail="What is wrong."))
    detail = json.loads(reply.body)["detail"]
    if reply.status == 422:
        assert detail == [{"type": "value_error", "loc": ["body"], "msg": "What is wrong."}]
    else:
        assert detail == "What is wrong."
    assert ("Content-Type", "application/json") in reply.headers
    assert (("Retry-After", "1") in reply.headers) == (reply.status == 503)


def test_every_answer_says_how_long_it_took_and_may_be_read_by_pages():
    with Edge() as edge:
        for body in (payload("x"), payload("x", source="nope"), {}, b"{"):
            reply = edge.reply(body, origin="https://a.example")
            headers = {**dict(reply.headers), **dict(reply.own)}
            assert float(headers["X-Process-Time"]) >= 0
            assert headers["Access-Control-Allow-Origin"] == "https://a.example"
            assert headers["Access-Control-Allow-Credentials"] == "true"
            assert headers["Vary"] == "Origin"


def test_ids_that_need_escaping_come_back_as_they_were():
    strange = 'a"b\\c\u2028/é'
    with Edge() as edge:
        first = edge.track("x", session=strange)
        assert first["session"]["id"] == strange
        again = edge.track("x", session=strange)
        assert again["profile"] == first["profile"]


def test_the_dev_source_goes_by_its_name_and_its_key():
    settings = load("", {}, extensions={p.name: p.settings for p in installed()}, dev=True)
    sources = Sources(settings.sources, secret=SECRET)
    for named in ("dev", "dev-key"):
        intent = tracardi.decode(request(payload("x", source=named)), sources)
        assert isinstance(intent, Intent)
        assert intent.source.id == "dev"
        assert intent.source.of(Tracardi).debug


def test_a_key_counts_before_a_name():
    with Edge(source("a", key_sha256=()), source("b")) as edge:
        edge.track("x", source="b")
        assert [event["source"] for event in edge.events()] == ["b"]


# Whose it is


@pytest.mark.parametrize(
    ("session", "profile"),
    [
        (session, profile)
        for session in ("kept", "lost")
        for profile in ("kept", "lost", "forged", "another's")
    ],
)
def test_what_a_visitor_loses(session, profile):
    with Edge() as edge:
        mine = edge.profile("x", session="S1")
        other = edge.profile("x", session="S9")
        sent = {"kept": mine, "lost": None, "forged": "forged", "another's": other}[profile]
        told = edge.profile("x", session="S1" if session == "kept" else "S2", profile=sent)
        if session == "kept":
            assert told == mine
        elif profile in {"kept", "another's"}:
            assert told == sent
        else:
            assert told not in {mine, other, "forged", None}


@pytest.mark.parametrize("order", [*itertools.permutations(("cookie", "profile", "both"))])
def test_losing_everything_in_any_order_ends_as_the_table_says(order):
    with Edge() as edge:
        session, profile, number = "S0", edge.profile("x", session="S0"), 0
        for lost in order:
            number += 1
            before = profile
            if lost == "cookie":
                session = f"S{number}"
                assert edge.profile("x", session=session, profile=profile) == before
            elif lost == "profile":
                assert edge.profile("x", session=session) == before
            else:
                session = f"S{number}"
                profile = edge.profile("x", session=session)
                assert profile != before
        assert len({event["profile_id"] for event in edge.events()}) == 2
        assert len(visits(edge.events())) == 3


@pytest.mark.parametrize("number", [2, 20, 200])
def test_first_requests_at_once_are_one_profile(number):
    with Edge() as edge:
        replies = edge.replies([request(payload("x")) for _ in range(number)])
        told = {json.loads(reply.body)["profile"]["id"] for reply in replies}
        assert len(told) == 1
        events = edge.events()
        assert len(events) == number
        assert {event["profile_id"] for event in events} == told
        assert visits(events) == ["S1"]
        assert edge.known(told.pop()).visits == 1


def test_new_visits_at_once_all_count():
    with Edge() as edge:
        profile = edge.profile("x", session="S0")
        edge.replies([request(payload("x", session=f"N{n}", profile=profile)) for n in range(50)])
        assert edge.known(profile).visits == 51
        assert len(visits(edge.events())) == 51


def test_updates_of_one_profile_at_once_all_stay():
    with Edge() as edge:
        profile = edge.profile("x", session="S0")
        bodies = [
            payload(
                {"type": "consent-granted", "properties": {f"c{n}": True}},
                session=f"S{n % 3}",
                profile=profile,
            )
            for n in range(40)
        ]
        edge.replies([request(body) for body in bodies])
        assert set(edge.known(profile).consents) == {f"c{n}" for n in range(40)}


def test_a_device_with_a_stale_id_stays_one_profile():
    with Edge() as edge:
        told = {edge.profile("x", session=f"S{n}", profile="stale", device="D") for n in range(5)}
        assert len(told) == 1
        other = edge.profile("x", session="T", profile="stale", device="D2")
        without = {edge.profile("x", session=f"U{n}", profile="stale") for n in range(3)}
        assert len({*told, other, *without}) == 5
        assert edge.known(told.pop()).visits == 5


def test_a_stale_id_in_a_known_session_is_remembered_too():
    with Edge() as edge:
        mine = edge.profile("x", session="S1")
        assert edge.profile("x", session="S1", profile="stale", device="D") == mine
        assert edge.profile("x", session="S2", profile="stale", device="D") == mine
        changes = len(edge.changes())
        assert edge.profile("x", session="S2", profile="stale", device="D") == mine
        assert len(edge.changes()) == changes, "what is known is not written again"


def test_a_device_whose_profile_was_deleted_is_given_one_new_profile():
    with Edge() as edge:
        first = edge.profile("x", session="S1", profile="stale", device="D")
        edge.forget(first)
        second = edge.profile("x", session="S1", profile="stale", device="D")
        assert second != first
        assert edge.profile("x", session="S2", profile="stale", device="D") == second
        assert edge.profile("x", session="S3", profile=first) not in {first, second}


def test_a_deleted_profile_is_not_asked_back_by_its_id():
    with Edge() as edge:
        first = edge.profile("x")
        edge.forget(first)
        second = edge.profile("x", profile=first)
        assert second != first
        assert visits(edge.events()) == ["S1", "S1"]
        assert [event["profile_id"] for event in edge.events()] == [first, second]


def test_sessions_of_an_earlier_era_look_their_profiles_up():
    proving = source(identification={"sign-in": ("email.main",)})
    sign_in = {"type": "sign-in", "properties": {"email": "ann@example.com"}}
    with Edge(proving) as edge:
        first = edge.profile("x", session="S1")
        edge.profile(sign_in, session="S1", profile=first)
        edge.now += 1_000_000
        second = edge.profile("x", session="S2")
        stranger = edge.profile("x", session="S3")
        assert edge.profile(sign_in, session="S2", profile=second) == first
        # What S2 and S3 say of their profiles was written before the merge.
        assert edge.profile("x", session="S2", profile=second) == first
        assert edge.profile("x", session="S2") == first
        assert edge.profile("x", session="S3", profile=stranger) == stranger
        assert edge.profile("x", session="S4", profile=second) == first


def test_slashes_in_ids_lead_to_nobody_else():
    keys = {
        identity.stale_key("site", device, profile)
        for device, profile in [("a/b", "c"), ("a", "b/c"), ("a%2Fb", "c")]
    }
    assert len(keys) == 3


def test_a_session_without_a_profile_takes_a_known_one():
    with Edge() as edge:
        mine = edge.profile("x", session="S0")
        assert edge.profile("x", session="S1", profile_less=True) is None
        assert edge.profile("x", session="S1", profile=mine) == mine
        assert edge.profile("x", session="S1", profile_less=True) is None
        assert edge.profile("x", session="S1") == mine
        assert visits(edge.events()) == ["S0", "S1"]


def test_what_is_not_to_change_a_profile_does_not():
    unsaved = {"saveProfile": False}
    with Edge() as edge:
        assert edge.profile(sign_in("a@b.example"), session="S0", options=unsaved) is None
        mine = edge.profile("x", session="S0")
        before = edge.known(mine)
        assert edge.profile(sign_in("a@b.example"), session="S1", profile=mine, options=unsaved)
        assert edge.known(mine) == before
        # Which profile the session has is known all the same, and its visit counted once.
        assert edge.profile("x", session="S1") == mine
        edge.profile("x", session="S1")
        assert edge.known(mine).visits == 2


def test_a_session_that_is_not_saved_is_known_all_the_same():
    with Edge() as edge:
        mine = edge.profile("x", options={"saveSession": False})
        assert edge.profile("x") == mine
        assert visits(edge.events()) == ["S1"]
        assert [event.get("session_id") for event in edge.events()] == [None, "S1"]


def test_sources_share_profiles_by_a_group_only():
    listed = [source("a", identity="g"), source("b", identity="g"), source("c")]
    with Edge(*listed) as edge:
        mine = edge.profile("x", source="a")
        assert edge.profile("x", source="b") == mine
        assert edge.profile("x", source="c", profile=mine) != mine
        assert [facts(event).get("identity") for event in edge.events()] == ["g", None, None]
        assert edge.known(mine, "g").visits == 1


# What is written


def test_a_visit_that_goes_on_is_written_once_a_day():
    with Edge() as edge:
        mine = edge.profile("x")
        written = len(edge.changes())
        for _ in range(5):
            edge.now += DAY // 6
            edge.profile("x", profile=mine)
        assert len(edge.changes()) == written
        edge.now += DAY // 6
        edge.profile("x", profile=mine)
        renewed = {change.key: change for change in edge.changes()[written:]}
        assert set(renewed) == {
            identity.session_key("site", "S1"),
            identity.profile_key("site", mine),
        }
        assert renewed[identity.session_key("site", "S1")].expires_at == edge.now + 90 * DAY
        assert renewed[identity.profile_key("site", mine)].expires_at == edge.now + 730 * DAY


def test_who_does_not_come_back_is_forgotten():
    with Edge(source(remember_sessions_days=2.0, remember_profiles_days=5.0)) as edge:
        mine = edge.profile("x")
        edge.now += 3 * DAY
        assert edge.profile("x", profile=mine) == mine
        assert visits(edge.events()) == ["S1", "S1"], "the session was forgotten, the profile not"
        edge.now += 6 * DAY
        assert edge.profile("x", profile=mine) != mine


def test_who_keeps_coming_with_an_old_id_stays_one_profile():
    """An id that nobody issued, and one that became an alias, are known as the profile is."""
    proving = source(remember_sessions_days=2.0, remember_profiles_days=5.0, identification=PROVEN)
    with Edge(proving) as edge:
        older = edge.profile(sign_in("ann@example.com"), session="A")
        edge.now += SECOND
        alias = edge.profile("x", session="B")
        assert edge.profile(sign_in("ann@example.com"), session="B", profile=alias) == older
        told = set()
        for day in range(12):
            edge.now += DAY
            assert edge.profile("x", session=f"C{day}", profile=alias) == older
            told.add(edge.profile("x", session=f"D{day}", profile="stale", device="D"))
        assert len(told) == 1
        edge.now += 6 * DAY
        assert edge.profile("x", session="E", profile=alias) != older


def test_an_event_id_is_remembered_for_seven_days():
    event = {"type": "consent-granted", "properties": {"general": True}, "id": "e-1"}
    with Edge(source(), source("other")) as edge:
        mine = edge.profile(event)
        before = edge.events(), edge.changes()
        assert edge.profile({**event, "properties": {"general": False}}) == mine
        assert (edge.events(), edge.changes()) == before
        edge.track(event, source="other")
        assert len(edge.events()) == 2
        edge.now += 7 * DAY
        edge.track(event)
        assert len(edge.events()) == 3


def test_one_event_id_many_times_at_once_is_one_event():
    bodies = [payload({"type": "x", "id": "e-1"}, {"type": "y"}, session=f"S{n}") for n in range(9)]
    with Edge() as edge:
        edge.replies([request(body) for body in bodies])
        assert sorted(edge.stored()) == ["x", *["y"] * 9]


def test_no_value_of_a_proof_is_in_a_key_or_a_reason():
    with Edge(source(identification=PROVEN)) as edge:
        edge.profile(sign_in("john@example.com"), session="S1")
        edge.profile("x", session="S2")
        edge.profile(sign_in("john@example.com"), session="S2")
        assert not [change.key for change in edge.changes() if "john" in change.key]
        (alias,) = [
            facts(event)["aliases"] for event in edge.events() if facts(event).get("aliases")
        ]
        assert list(alias.values()) == ["the same e-mail (email.main), proven by sign-in"]


# Merging


def test_two_devices_of_one_person_become_one():
    with Edge(source(identification=PROVEN)) as edge:
        older = edge.profile({"type": "consent-granted", "properties": {"a": True, "b": True}})
        edge.now += SECOND
        younger = edge.profile("x", session="S2")
        edge.now += SECOND
        edge.profile(sign_in("John@Example.com", firstname="John"), session="S2")
        edge.now += SECOND
        edge.profile({"type": "consent-granted", "properties": {"b": False}}, session="S2")
        assert edge.profile("x", session="S2") == younger
        edge.now += SECOND
        assert edge.profile(sign_in(" john@example.com ", lastname="Doe")) == older
        # The session, the id and a new session of the other device all lead to it.
        assert edge.profile("x", session="S2") == older
        assert edge.profile("x", session="S2", profile=younger) == older
        assert edge.profile("x", session="S3", profile=younger) == older
        known = edge.known(older)
        assert edge.known(younger) == identity.Alias(older)
        assert known.aliases == (younger,)
        assert known.visits == 3
        assert {name: granted for name, (granted, *_) in known.consents.items()} == {
            "a": True,
            "b": False,
        }
        assert {name: value for name, (value, _) in known.traits.items()} == {
            "email.main": "john@example.com",
            "firstname": "John",
            "lastname": "Doe",
        }


def test_of_two_who_are_one_what_was_said_last_counts_though_it_was_said_before():
    with Edge(source(identification=PROVEN)) as edge:
        older = edge.profile("x")
        edge.now += SECOND
        edge.profile(sign_in(firstname="Bob"), session="S2")
        edge.now += SECOND
        edge.profile(sign_in("b@x.example", firstname="Ann"))
        edge.now += SECOND
        assert edge.profile(sign_in("b@x.example", firstname="Bob"), session="S2") == older
        assert edge.known(older).traits["firstname"][0] == "Bob"


def test_a_chain_of_merges_leads_to_the_oldest():
    with Edge(source(identification=PROVEN)) as edge:
        ids = []
        for number in range(4):
            edge.now += SECOND
            ids.append(edge.profile("x", session=f"S{number}"))
        # 3 and 2 by one e-mail, 2 and 1 by a telephone, 1 and 0 by another e-mail of theirs.
        edge.profile(sign_in("c@d.example"), session="S3")
        assert edge.profile(sign_in("c@d.example", phone="+1 2"), session="S2") == ids[2]
        assert edge.profile(sign_in(phone="+12"), session="S1") == ids[1]
        assert edge.profile(sign_in("c@d.example"), session="S0") == ids[0]
        for number in range(4):
            assert edge.profile("x", session=f"S{number}") == ids[0]
            assert edge.profile("x", session=f"T{number}", profile=ids[number]) == ids[0]
            assert edge.known(ids[number]) == (
                identity.Alias(ids[0]) if number else edge.known(ids[0])
            )
        assert set(edge.known(ids[0]).aliases) == set(ids[1:])
        assert edge.known(ids[0]).visits == 8


def test_one_event_that_proves_two_traits_of_one_other_profile_counts_it_once():
    with Edge(source(identification=PROVEN)) as edge:
        other = edge.profile(sign_in("a@b.example", phone="1"), session="S0")
        edge.now += SECOND
        edge.profile("x", session="S1")
        assert edge.profile(sign_in("a@b.example", phone="1"), session="S1") == other
        assert edge.known(other).visits == 2
        edge.now -= DAY  # an older profile takes over the one that has both
        oldest = edge.profile("x", session="S2")
        edge.now += DAY
        assert edge.profile(sign_in("a@b.example", phone="1"), session="S2") == oldest
        assert edge.known(oldest).visits == 3


def test_one_request_may_lead_to_several_profiles():
    with Edge(source(identification=PROVEN)) as edge:
        ids = []
        for number, proof in enumerate((sign_in("a@b.example"), sign_in(phone="1"), "x")):
            edge.now += SECOND
            ids.append(edge.profile(proof, session=f"S{number}"))
        edge.now += SECOND
        told = edge.profile(sign_in("a@b.example"), sign_in(phone="1"), session="S2")
        assert told == ids[0]
        merged = [facts(event)["aliases"] for event in edge.events() if facts(event).get("aliases")]
        assert [list(found) for found in merged] == [[ids[2]], [ids[1]]]
        assert edge.known(ids[0]).visits == 3


def test_two_people_on_one_device_stay_two():
    with Edge(source(identification=PROVEN)) as edge:
        ann = edge.profile(sign_in("ann@example.com"), session="S1")
        bob = edge.profile(sign_in("bob@example.com"), session="S2")
        assert ann != bob
        # Bob signs in on Ann's device: neither takes over the other, and both keep their e-mail.
        assert edge.profile(sign_in("bob@example.com"), session="S1") == ann
        assert edge.profile(sign_in("bob@example.com"), session="S3") == bob
        assert edge.profile(sign_in("ann@example.com"), session="S4") == ann
        assert not any(facts(event).get("aliases") for event in edge.events())


def test_a_proof_outlives_the_profile_that_was_deleted():
    with Edge(source(identification=PROVEN)) as edge:
        first = edge.profile(sign_in("a@b.example"), session="S1")
        edge.forget(first)
        second = edge.profile(sign_in("a@b.example"), session="S2")
        assert second != first
        assert edge.profile(sign_in("a@b.example"), session="S3") == second


@pytest.mark.parametrize(
    ("trait", "one", "other", "same"),
    [
        ("email.main", "A@B.example", " a@b.EXAMPLE ", True),
        ("email.main", "ﬁsh@b.example", "fish@b.example", True),
        ("email.main", "a@b.example", "a.@b.example", False),
        ("phone.main", "+49 (30) 12-3", "+493012 3", True),
        ("phone.main", "+4930123", "004930123", False),
        ("phone.mobile", "12", "1 2", True),
        ("login", "Ann", "ann", True),
        ("login", "1", 1, True),
    ],
)
def test_the_one_spelling_of_a_value(trait, one, other, same):
    assert (traits.point(b"k", trait, one) == traits.point(b"k", trait, other)) is same
    assert traits.point(b"k", trait, one) != traits.point(b"other", trait, one)


def test_what_has_no_spelling_proves_nothing():
    assert traits.point(b"k", "phone.main", "none") is None
    assert traits.point(b"k", "email.main", " ") is None


# Consent


def test_who_gave_no_consent_leaves_no_trait_in_the_state():
    listed = source(
        consent="required", privacy=Privacy(consents=("general",)), identification=PROVEN
    )
    with Edge(listed) as edge:
        mine = edge.profile(sign_in("ann@example.com"))
        assert edge.known(mine).traits == {}
        assert edge.known(mine).points == {}
        assert [event["withheld"] for event in edge.events()] == [True]
        edge.profile(
            {"type": "consent-granted", "properties": {"general": True}},
            sign_in("ann@example.com"),
        )
        assert set(edge.known(mine).traits) == {"email.main"}
        assert visits(edge.events()) == ["S1"], "told with the first event that may be told"
        assert edge.known(mine).visits == 1


def test_consent_that_is_given_bit_by_bit_is_told_whole():
    def granted(**consents):
        return {"type": "consent-granted", "properties": consents}

    listed = source(consent="required", privacy=Privacy(consents=("a", "b")))
    with Edge(listed) as edge:
        edge.profile(granted(a=True, news=False))
        edge.profile(granted(b=True))
        edge.profile(granted(news=True))
        assert [facts(event).get("consents") for event in edge.events()] == [
            None,
            {"a": [True, None], "news": [False, None], "b": [True, None]},
            {"news": [True, None]},
        ]


# Limits and strangers


def test_the_state_of_one_profile_is_bounded():
    many = {f"c{n}": True for n in range(60)}
    with Edge() as edge:
        for turn in range(4):
            properties = {f"{turn}{name}": value for name, value in many.items()}
            mine = edge.profile({"type": "consent-granted", "properties": properties})
        assert len(edge.known(mine).consents) == 128
        assert sum(len(facts(event)["consents"]) for event in edge.events()) == 240


@pytest.mark.parametrize("number", [10**40, 2**64, -(2**63) - 1])
def test_a_number_beyond_all_measure_is_no_trait(number):
    with Edge() as edge:
        mine = edge.profile({"type": "sign-in", "properties": {"login": number, "name": "Ann"}})
        assert set(edge.known(mine).traits) == {"name"}
        assert edge.stored() == ["sign-in"]


def test_the_event_types_that_are_remembered_are_bounded():
    rules = traits.Rules(Tracardi())
    for number in range(3 * traits.MOST_TYPES):
        assert rules.of(f"type-{number}") is None
        assert rules.of("x" * 257 + str(number)) is None
    assert len(rules._known) <= traits.MOST_TYPES
    assert max(map(len, rules._known)) <= traits.TYPE_CHARACTERS
    long = traits.Rules(Tracardi(traits={"y" * 300: ("a",)}))
    assert long.of("Y" * 300) is not None
    assert rules.of("Sign In") is not None


@pytest.mark.parametrize(
    "table",
    [
        {"identity": "a b"},
        {"traits": {"x": ("=a",)}},
        {"traits": {"x": ("a=",)}},
        {"identification": {"sign-in": ("shoe.size",)}},
        {"identification": {"page-view": ("email.main",)}},
        {"identification": {"Sign In": ("email.main",)}, "traits": {"sign-in": ("login",)}},
        {"remember_sessions_days": 10.0, "remember_profiles_days": 9.0},
    ],
)
def test_settings_that_contradict_themselves(table):
    with pytest.raises(SettingsError):
        Tracardi(**table)


NAMES = st.sampled_from(
    "source session profile events id type properties options context tags time create insert "
    "update saveEvent profile_less device".split()
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=6) | NAMES, inner, max_size=4)
    ),
    max_leaves=20,
)
WORDS = st.sampled_from(["site", "x", "sign-in", "consent-update", "2026-01-01", " ", "S1", ""])
PAYLOADS = st.fixed_dictionaries(
    {"source": st.just({"id": "site"}) | JSON},
    optional={
        "session": st.fixed_dictionaries({}, optional={"id": WORDS}) | JSON,
        "profile": st.fixed_dictionaries({}, optional={"id": WORDS}) | JSON,
        "context": JSON,
        "properties": JSON,
        "options": JSON,
        "device": JSON,
        "profile_less": JSON,
        "events": st.lists(
            st.fixed_dictionaries(
                {"type": WORDS | JSON},
                optional={
                    "id": WORDS | JSON,
                    "properties": JSON,
                    "context": JSON,
                    "options": JSON,
                    "tags": JSON,
                    "time": st.dictionaries(NAMES, WORDS | JSON, max_size=3) | JSON,
                },
            )
            | JSON,
            max_size=3,
        )
        | JSON,
    },
)


@pytest.mark.slow
@given(JSON | PAYLOADS | st.binary(max_size=30))
def test_nothing_that_is_sent_raises(body):
    with Edge() as edge:
        reply = edge.reply(body)
        assert reply.status in {200, 401, 422}, reply
        detail = json.loads(reply.body)
        if reply.status == 422:
            assert all(set(one) == {"type", "loc", "msg"} for one in detail["detail"])
            assert all(one["loc"][0] == "body" for one in detail["detail"])


@pytest.mark.slow
@given(PAYLOADS)
def test_both_ways_of_reading_agree(body):
    raw = json.dumps(body).encode()
    quick, slow = content.read(raw, Limits()), content._walk(raw, Limits())
    assert isinstance(quick, list) == isinstance(slow, list)
    assert quick == slow


@pytest.mark.parametrize("levels", range(20, 34))
@pytest.mark.parametrize("inside", ["event", "payload"])
def test_the_limit_of_depth_is_the_same_however_it_is_found(levels, inside):
    deep = 1
    for _ in range(levels):
        deep = [deep]
    body = (
        payload("x") if inside == "payload" else payload({"type": "x", "properties": {"a": deep}})
    )
    if inside == "payload":
        body["context"] = {"a": deep}
    body["events"] += [{"type": "y"}] * 40
    raw = json.dumps(body).encode()
    above = 4 if inside == "event" else 2
    assert isinstance(content.read(raw, Limits()), list) == (levels + above > 32)


def test_many_faults_are_told_up_to_a_bound():
    reply = Edge().reply(payload(*[{"type": 1}] * 500))
    assert reply.status == 422
    assert len(json.loads(reply.body)["detail"]) == content.MOST_PROBLEMS


def test_many_warnings_are_told_up_to_a_bound():
    with Edge() as edge:
        told = edge.track(*[{"type": "x", "options": {"saveEvent": 1}}] * 500)
        assert len(told["warnings"]) == 100


def test_the_browsers_client_meets_what_it_needs():
    """Recorded: a first load, a reload, a beacon, lost ids, a forged one, an unknown source."""
    name = "tracardi-client-082.jsonl"
    recording = read_recording((TRAFFIC / name).read_bytes().splitlines(), name)
    with Served(protocols=(tracardi.PROTOCOL,), sources=(source("my-source"),)) as served:
        with httpx.HTTPTransport() as transport:
            url = f"http://127.0.0.1:{served.port}"
            answers = list(replay(recording, url, renamed={}, speed=None, transport=transport))
        assert [(a.number, a.got, a.text) for a in answers if not a.as_expected] == []
        events = [json.loads(line) for line in served.events().splitlines()]
        served.assert_quiet()
    assert len({event["profile_id"] for event in events}) == 2
    assert len({event["session_id"] for event in events}) == 3
    assert len(visits(events)) == 3
    assert {facts(event)["context"]["time"]["tz"] for event in events if "context" in facts(event)}
    sent = [
        event["type"]
        for one in recording
        if one.method == "POST" and one.reply_status == 200
        for event in one.body["events"]
    ]
    assert [event["type"] for event in events] == sent
