"""The schemas of Adobe's events: every parameter of the table, missing and of every wrong type."""

from __future__ import annotations

import json

import jsonschema_rs
import pytest

from footfall.collect.contract import Request
from footfall.collect.protocols import adobe
from footfall.collect.protocols.adobe.schemas import ANY_EVENT, SCHEMAS, TABLE
from footfall.collect.sources import Sources

GOOD = {"string": "a", "number": 1.5, "integer": 2, "boolean": True, "object": {}, "array": []}
WRONG = {
    "string": [1, True, None, [], {}],
    "number": ["1", True, None, [], {}],
    "integer": ["1", 1.5, True, None, [], {}],
    "boolean": ["true", 1, 0, None, [], {}],
    "object": ["{}", 1, True, None, []],
    "array": ["[]", 1, True, None, {}],
}


def kinds(schema):
    return [schema["type"]] if isinstance(schema["type"], str) else schema["type"]


def sound(event_type, **more):
    """An event of a type with everything that it must have, and `more` parameters."""
    needed = TABLE[event_type]
    params = {name: GOOD[kinds(schema)[0]] for name, schema in needed.required.items()}
    for name in needed.any_of[:1]:
        params[name] = [{"media.state.name": "a"}]
    return {
        "eventType": event_type,
        "playerTime": {"playhead": 0, "ts": 1},
        "params": {**params, **more},
    }


def problems(event):
    return {p.path: p.message for p in SCHEMAS[event["eventType"]].problems(event)}


EVERY = [
    (event_type, name, schema)
    for event_type, params in TABLE.items()
    for name, schema in {**params.required, **params.optional}.items()
]
REQUIRED = [(event_type, name) for event_type, params in TABLE.items() for name in params.required]
IDS = [f"{event_type}-{name}" for event_type, name, _ in EVERY]


def test_the_event_types_are_those_of_the_vendor():
    assert len(TABLE) == 20
    assert {"statesUpdate", "adSkip", "chapterSkip", "bitrateChange"} <= set(TABLE)
    assert not {"contentComplete", "pause", "seekStart", "bufferComplete"} & set(TABLE)
    assert len(REQUIRED) == 8 + 2 + 3 + 3 + 1 + 1


@pytest.mark.parametrize("event_type", TABLE)
def test_what_is_needed_is_enough(event_type):
    assert problems(sound(event_type)) == {}
    extra = {**sound(event_type, unpublished={"a": [1]}), "extra": 1}
    extra["playerTime"] = {**extra["playerTime"], "zone": "x"}
    assert problems(extra) == {}


@pytest.mark.parametrize(("event_type", "name"), REQUIRED)
def test_every_required_parameter_is_missed(event_type, name):
    event = sound(event_type)
    del event["params"][name]
    assert list(problems(event)) == [f"params.{name}"]
    assert problems(event)[f"params.{name}"].startswith("Missing. Must be ")


@pytest.mark.parametrize("event_type", [name for name, params in TABLE.items() if params.required])
def test_all_that_is_missing_is_told_at_once(event_type):
    event = {**sound(event_type), "params": {}}
    del event["playerTime"]
    missing = {f"params.{name}" for name in TABLE[event_type].required}
    assert set(problems(event)) == {"playerTime", *missing}
    for params in ({"params": None}, {}):
        event = {"eventType": event_type, "playerTime": {"playhead": 0, "ts": 1}, **params}
        assert problems(event)["params"].startswith("Missing. ")


@pytest.mark.parametrize(("event_type", "name", "schema"), EVERY, ids=IDS)
def test_every_wrong_type_of_every_parameter_is_refused(event_type, name, schema):
    for value in WRONG[kinds(schema)[0]]:
        if value is None and "null" in kinds(schema):
            continue
        found = problems(sound(event_type, **{name: value}))
        assert list(found) == [f"params.{name}"], value
        assert "Must be " in found[f"params.{name}"]


@pytest.mark.parametrize("event_type", TABLE)
def test_parts_may_be_null_where_nothing_in_them_is_needed(event_type):
    event = {**sound(event_type), "qoeData": None, "customMetadata": None}
    assert problems(event) == {}
    if not (TABLE[event_type].required or TABLE[event_type].any_of):
        assert problems({**event, "params": None}) == {}


@pytest.mark.parametrize("part", ["params", "qoeData", "customMetadata", "playerTime"])
@pytest.mark.parametrize("value", ["", 0, False, []])
def test_parts_are_objects(part, value):
    assert list(problems({**sound("ping"), part: value})) == [part]


@pytest.mark.parametrize(
    ("value", "good"),
    [
        (1, True),
        (1.0, True),
        (-1, True),
        (0, True),
        (2**53 - 1, True),
        (2**53, False),
        (10**400, False),
        (1.5, False),
        (True, False),
        ("1", False),
    ],
)
def test_whole_numbers(value, good):
    assert (problems(sound("adBreakStart", **{"media.ad.podIndex": value})) == {}) == good


@pytest.mark.parametrize(
    ("value", "good"), [(0, True), (-1.5, True), (1e308, True), (10**400, False), (True, False)]
)
def test_numbers_are_finite(value, good):
    assert (problems(sound("sessionStart", **{"media.length": value})) == {}) == good


@pytest.mark.parametrize("name", ["bitrate", "droppedFrames", "framesPerSecond", "timeToStart"])
def test_quality_is_in_numbers(name):
    assert problems({**sound("ping"), "qoeData": {f"media.qoe.{name}": 29.97}}) == {}
    wrong = {**sound("ping"), "qoeData": {f"media.qoe.{name}": "29"}}
    assert list(problems(wrong)) == [f"qoeData.media.qoe.{name}"]


@pytest.mark.parametrize("name", ["a b", "", "a-b", "ä", "a\n", "a/b"])
def test_names_of_metadata(name):
    found = problems({**sound("adStart"), "customMetadata": {name: "x", "a.b_C1": "ä\u0000"}})
    assert list(found) == [f"customMetadata.{name}"]


def test_long_names_are_cut_in_what_is_told():
    (path,) = problems({**sound("ping"), "customMetadata": {" " * 100_000: "x"}})
    assert len(path) < 200


@pytest.mark.parametrize("name", ["", "a b", "x" * 65, "ä", "a\n"])
def test_names_of_states(name):
    for event in (
        sound("stateStart", **{"media.state.name": name}),
        sound("statesUpdate", statesEnd=[{"media.state.name": name}]),
    ):
        assert len(problems(event)) == 1
    assert problems(sound("stateEnd", **{"media.state.name": "x" * 64})) == {}


def test_customer_ids():
    def found(ids):
        return list(problems(sound("sessionStart", **{"visitor.customerIDs": ids})))

    path = "params.visitor.customerIDs.crm"
    assert found({"crm": {"id": "a", "authState": 1}, "b": {}}) == []
    assert found({"crm": "a"}) == [path]
    assert found({"crm": {"id": 5, "authState": 3}}) == [f"{path}.id", f"{path}.authState"]


def test_values_are_never_repeated():
    secret = "s3cr3t"
    event = {
        "eventType": "sessionStart",
        "playerTime": {"playhead": secret, "ts": [secret]},
        "params": {"media.length": secret, "media.id": [secret], "media.resume": secret},
        "qoeData": secret,
        "customMetadata": {"a": {"b": secret}},
    }
    assert secret not in repr(SCHEMAS["sessionStart"].problems(event))
    assert secret not in repr(ANY_EVENT.problems({**event, "params": secret}))


@pytest.mark.parametrize("event_type", TABLE)
def test_the_schema_that_is_served_is_the_one_that_validates(event_type):
    asked = Request(
        method="GET",
        path=f"/api/v1/schemas/{event_type}",
        params={"eventType": event_type},
    )
    document = json.loads(adobe.decode(asked, Sources([])).body)
    served = jsonschema_rs.validator_for(document)
    jsonschema_rs.meta.validate(document)
    good = sound(event_type)
    assert served.is_valid(good)
    for bad in (
        {**good, "eventType": "other"},
        {**good, "playerTime": {"playhead": 0, "ts": 1.5}},
        {**good, "playerTime": {"playhead": 10**400, "ts": 1}},
        {**good, "params": []},
        {**good, "customMetadata": {"a b": "x"}},
    ):
        assert not served.is_valid(bad)
        assert not SCHEMAS[event_type].is_valid(bad)
