"""Profiles of an existing Tracardi: read line by line, known from then on, whatever is repeated."""

from __future__ import annotations

import asyncio
import json

import msgspec
import pytest
from golden import SECRET

from footfall.app.importing import ProfileImporter
from footfall.collect.protocols.tracardi.identity import Alias, Known, profile_key, read_profile
from footfall.collect.protocols.tracardi.importing import Taken, read
from footfall.collect.protocols.tracardi.settings import Tracardi
from footfall.collect.wire import NotReadable
from footfall.errors import SourceUnknown
from footfall.journal.contract import Position
from footfall.journal.engines.memory import MemoryJournal
from footfall.model import Event
from footfall.settings import Limits, Privacy, Source

CREATED = 1_672_531_200_000_000
"""2023-01-01T00:00:00Z."""
STORED = {
    "id": "bf0c8c8d3387",
    "ids": ["bf0c8c8d3387", "emm-4f2a"],
    "metadata": {
        "time": {"insert": "2023-01-01T00:00:00", "visit": {"count": 7}},
        "fields": {"data.contact.email.main": ["2023-01-02T00:00:00", "sign-in"]},
    },
    "data": {
        "contact": {"email": {"main": "ann@example.com", "business": None}},
        "pii": {"firstname": "Ann"},
        "loyalty": {"points": 12},
    },
    "traits": {"public": {"segment": "gold"}, "newsletter": True},
    "consents": {"marketing": {"revoke": None}, "general": {"revoke": "2030-01-01T00:00:00Z"}},
    "stats": {"visits": 7},
}
SHOP = Source(id="shop", protocols=("tracardi",))


def line(document: object) -> bytes:
    return json.dumps(document).encode() + b"\n"


def test_a_stored_profile():
    expected = Taken(
        profile_id="bf0c8c8d3387",
        created_at=CREATED,
        visits=7,
        consents={"marketing": (True, None), "general": (True, 1_893_456_000_000_000)},
        traits={
            "email.main": "ann@example.com",
            "firstname": "Ann",
            "loyalty.points": 12,
            "segment": "gold",
            "newsletter": True,
        },
        aliases=("emm-4f2a",),
    )
    assert read(line(STORED), Limits()) == expected
    assert read(line({"_index": "profile", "_source": STORED}), Limits()) == expected


def test_what_cannot_be_kept_as_a_trait_is_left_out():
    traits = {"a": 10**30, "b": "x" * 513, "c": [1], "d": None, "e": " ", "f": 2**63, "g": False}
    assert read(line({"id": "a", "traits": traits}), Limits()).traits == {"f": 2**63, "g": False}


def test_a_profile_of_1970_is_as_old_as_it_says():
    time = {"create": "1970-01-01T00:00:00", "insert": "2023-01-01T00:00:00"}
    document = {"id": "a", "metadata": {"time": time}}
    assert read(line(document), Limits()).created_at == 0
    _, [event], state = importing([line(document)])
    assert known(state, "a").created_at == event.occurred_at == 0


def test_an_id_is_enough():
    assert read(b'{"id": " a "}', Limits()) == Taken(profile_id="a")


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ("not JSON", "object"),
        ({}, "id"),
        ({"id": 7}, "id"),
        ({"id": "a" * 257}, "256"),
        ({"id": "a", "ids": "b"}, "ids"),
        ({"id": "a", "ids": [None]}, "ids"),
        ({"id": "a", "ids": [str(n) for n in range(64)]}, "64"),
        ({"id": "a", "metadata": {"time": {"insert": "soon"}}}, "metadata.time.insert"),
        ({"id": "a", "metadata": {"time": {"visit": {"count": -1}}}}, "count"),
        ({"id": "a", "metadata": {"time": {"visit": {"count": 2**63}}}}, "count"),
        ({"id": "a", "consents": {"marketing": {"revoke": 7}}}, "consents"),
        ({"id": "a", "traits": {str(n): n for n in range(129)}}, "128"),
    ],
)
def test_what_cannot_be_taken_is_said_without_its_value(document, said):
    with pytest.raises(NotReadable, match=said) as raised:
        read(line(document), Limits())
    assert "soon" not in str(raised.value)


def importing(*calls, source=SHOP):
    """Import pieces of lines one after another: the counts, the journal's events, its state."""

    async def scenario():
        journal = MemoryJournal()
        importer = ProfileImporter(journal, Limits(), SECRET)
        counts = [await importer([source], source.id, lines) for lines in calls]
        batch = await journal.read(Position(0, 0))
        lines = b"".join(record.events for _, record in batch.records).splitlines()
        events = [msgspec.json.decode(one, type=Event) for one in lines]
        return counts, events, journal._state

    return asyncio.run(scenario())


def known(state, profile_id, group="shop"):
    return read_profile(state[profile_key(group, profile_id)][0])


def test_what_is_taken_over_is_known_and_told():
    [counts], [event], state = importing([line(STORED)])
    assert counts == {"new": 1, "changed": 0, "same": 0, "faults": []}
    profile = known(state, "bf0c8c8d3387")
    assert isinstance(profile, Known)
    assert (profile.created_at, profile.visits) == (CREATED, 7)
    assert profile.traits["firstname"] == ("Ann", CREATED)
    assert known(state, "emm-4f2a") == Alias("bf0c8c8d3387")
    assert (event.type, event.stored, event.profile_id) == (
        "profile-imported", False, "bf0c8c8d3387",
    )  # fmt: skip
    assert event.occurred_at == CREATED < event.received_at
    assert event.facts.aliases == {"emm-4f2a": "imported"}
    assert event.facts.consents["marketing"] == (True, None)


def test_a_repeat_changes_nothing_and_what_is_known_stands():
    more = {"id": "bf0c8c8d3387", "traits": {"segment": "silver", "size": "M"}}
    counts, events, state = importing(
        [line(STORED)], [line(STORED), b"\n"], [line(more), line({"id": "other"})]
    )
    assert [(c["new"], c["changed"], c["same"]) for c in counts] == [
        (1, 0, 0), (0, 0, 1), (1, 1, 0),
    ]  # fmt: skip
    traits = known(state, "bf0c8c8d3387").traits
    assert (traits["segment"][0], traits["size"][0]) == ("gold", "M")
    assert [event.facts.traits for event in events if event.facts.traits][-1] == {"size": "M"}


def test_an_id_that_leads_elsewhere_brings_its_traits_there():
    _, events, state = importing(
        [line({"id": "old", "ids": ["new"]})], [line({"id": "new", "traits": {"a": 1}})]
    )
    assert known(state, "new") == Alias("old")
    assert known(state, "old").traits["a"][0] == 1
    assert events[-1].profile_id == "old"


def test_a_line_that_cannot_be_taken_leaves_the_others_alone():
    [counts], events, _ = importing([line({"id": "a"}), b"rubbish\n", line({"id": "b"})])
    assert counts["new"] == 2
    [(number, why)] = counts["faults"]
    assert number == 1
    assert "JSON" in why
    assert len(events) == 2


def test_without_consent_ids_are_known_and_traits_are_not_told():
    source = Source(
        id="shop",
        protocols=("tracardi",),
        consent="required",
        privacy=Privacy(consents=("marketing",)),
    )
    refusing = {"id": "b", "traits": {"a": 1}}
    _, [given, refused], state = importing([line(STORED), line(refusing)], source=source)
    assert not given.withheld
    assert given.facts.traits
    assert refused.withheld
    assert refused.facts is None
    assert known(state, "b").traits == {}


def test_consents_that_neither_count_nor_can_be_told_are_not_taken_over():
    """Else taking one back would tell of somebody of whom nothing may be told."""
    source = Source(id="shop", protocols=("tracardi",), consent="required")
    _, [event], state = importing([line(STORED)], source=source)
    assert event.facts is None
    assert known(state, "bf0c8c8d3387").consents == {}


def test_sources_that_share_an_identity_share_what_is_taken_over():
    source = Source(
        id="shop",
        protocols=("tracardi",),
        protocol_settings={"tracardi": Tracardi(identity="group")},
    )
    _, _, state = importing([line({"id": "a"})], source=source)
    assert isinstance(known(state, "a", "group"), Known)


def test_an_unknown_source_is_said():
    with pytest.raises(SourceUnknown, match="nobody"):
        asyncio.run(ProfileImporter(MemoryJournal(), Limits(), SECRET)([SHOP], "nobody", []))
