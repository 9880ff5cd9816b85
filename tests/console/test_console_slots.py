"""The slots of channels, set from outside."""

from __future__ import annotations

import json

import pytest
from visiting import NOON, SECOND

from footfall.settings import Service, Slot

START = "2026-01-01T13:00:00Z"
BREAK = {"type": "ad-break", "start": START, "duration": 30}
FIXED = Slot(id="fixed", kind="ad-break", start="2026-01-01T15:00:00Z", duration_seconds=60)
CHANNEL = Service(
    id="news", source="site", kind="channel", assets=("https://a.example/m.m3u8",), slots=(FIXED,)
)


@pytest.fixture
def operator(console, monkeypatch):
    vod = Service(id="film", source="site", kind="vod", origin="https://a.example/")
    monkeypatch.setattr(console.service, "services", (CHANNEL, vod))
    return console.operator()


def put(operator, given, slot="one", service="news"):
    return operator.ask(
        "PUT", f"/console/api/services/{service}/slots/{slot}", content=json.dumps(given)
    )


def test_a_slot_is_set_told_changed_and_taken_out(operator):
    answer = put(operator, BREAK)
    assert answer.status_code == 201
    assert answer.json() == {
        "id": "one", "type": "ad-break", "start": START, "end": "2026-01-01T13:00:30Z",
        "duration": 30,
    }  # fmt: skip
    assert put(operator, BREAK | {"duration": 45}).status_code == 200
    assert operator.json("services/news/slots/one")["duration"] == 45
    assert [one["id"] for one in operator.json("services/news/slots")["slots"]] == ["one", "fixed"]
    gone = operator.ask("DELETE", "/console/api/services/news/slots/one")
    assert (gone.status_code, gone.content) == (204, b"")
    assert [one["id"] for one in operator.json("services/news/slots")["slots"]] == ["fixed"]


def test_services_are_listed(operator):
    assert [one["id"] for one in operator.json("services")["services"]] == ["news", "film"]


@pytest.mark.parametrize(
    ("given", "where", "status", "said"),
    [
        ({"type": "film"}, {}, 400, "type must be"),
        ([], {}, 400, "must be an object"),
        (BREAK | {"id": "two"}, {}, 400, "not the path's"),
        (BREAK, {"service": "radio"}, 404, "no such service"),
        (BREAK, {"service": "film"}, 409, "no channel"),
        (BREAK, {"slot": "fixed"}, 409, "in the settings"),
        (BREAK | {"start": "2026-01-01T14:59:50Z"}, {}, 400, 'overlaps slot "fixed"'),
        (BREAK | {"start": "2026-01-01T11:00:00Z"}, {}, 409, "has passed"),
        (
            {"type": "content", "start": START, "duration": 9,
             "replacement": "https://elsewhere.example/x.m3u8"},
            {}, 400, "may not ask",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_set_is_refused_with_the_reason(operator, given, where, status, said):
    answer = put(operator, given, **where)
    assert answer.status_code == status
    assert said in answer.json()["message"]
    assert answer.json()["remedy"]


def test_a_slot_that_has_begun_stands(console, operator, monkeypatch):
    put(operator, BREAK)
    monkeypatch.setattr(console, "clock", NOON + 3600 * SECOND)
    assert put(operator, BREAK | {"duration": 45}).status_code == 409
    assert operator.ask("DELETE", "/console/api/services/news/slots/one").status_code == 409  # fmt: skip
    assert put(operator, BREAK).status_code == 200, "a repeat of what is so already is no change"


def test_there_is_nothing_to_take_out(operator):
    for slot in ("none", "x/y"):
        answer = operator.ask("DELETE", f"/console/api/services/news/slots/{slot}")
        assert answer.status_code == 404
    assert operator.get("/console/api/services/news/slots/none").status_code == 404


def test_strangers_set_nothing(console, operator):
    before = operator.json("services/news/slots")
    answer = put(console.visitor(), BREAK, slot="mine")
    assert answer.status_code == 401
    assert operator.json("services/news/slots") == before
