"""The JSON: its shapes, filters, pages, and how it refuses."""

from __future__ import annotations

import random
from datetime import datetime

import pytest
from visiting import HOSTILE, NOON, SECOND, event, reject

from footfall.lake.tables import EVENTS, REJECTS, SESSIONS


def test_overview(console):
    found = console.operator().json("overview")
    assert found["period"] == "hour"
    assert found["bin_s"] == 60
    assert (found["start"], found["end"]) == ("2026-01-01T11:01:00Z", "2026-01-01T12:01:00Z")
    assert len(found["bins"]) == 60
    assert found["bins"][49] == found["events"] == 5
    assert found["rejects"] == 2
    assert found["by_source"] == [
        {"name": "site", "events": 4, "protocol": None},
        {"name": "other", "events": 1, "protocol": None},
    ]
    assert [(c["name"], c["events"]) for c in found["by_protocol"]] == [
        ("vaix", 3),
        ("jay", 1),
        ("mirror", 1),
    ]
    assert {"name": "clicks:event", "events": 2, "protocol": "vaix"} in found["by_type"]
    assert [(c["reason"], c["rejects"]) for c in found["by_reason"]] == [
        ("content_not_valid", 1), ("key_unknown", 1),
    ]  # fmt: skip
    assert found["status"]["lake"]["events"] == 5
    assert found["status"]["journal"]["takes_events"] is True


@pytest.mark.parametrize(("period", "bins", "bin_s"), [("day", 48, 1800), ("week", 56, 10_800)])
def test_an_overview_of_longer(console, period, bins, bin_s):
    found = console.operator().json("overview", period=period)
    assert (len(found["bins"]), found["bin_s"]) == (bins, bin_s)
    assert sum(found["bins"]) == 5
    assert found["bins"].index(5) in (bins - 1, bins - 2)


def test_an_overview_holds_its_period_and_no_more(empty):
    hour = NOON - 3600 * SECOND
    empty.write(event(at=NOON), event(at=hour + 60 * SECOND), event(at=hour + 60 * SECOND - 1))
    bins = empty.operator().json("overview")["bins"]
    assert (bins[0], bins[-1], sum(bins)) == (1, 1, 2)


def test_an_overview_serves_for_a_second(empty):
    assert empty.operator().json("overview")["events"] == 0
    empty.write(event())
    assert empty.operator().json("overview")["events"] == 0
    empty.now += 1
    assert empty.operator().json("overview")["events"] == 1


def test_rows_have_the_columns_of_their_tables(console):
    row = console.operator().json("events", type=HOSTILE)["rows"][0]
    assert list(row) == [column.name for column in EVENTS.columns]
    assert row["properties"] == {HOSTILE: HOSTILE}
    assert row["received_at"] == "2026-01-01T11:50:00Z"
    assert row["playhead_s"] is None
    row = console.operator().json("rejects")["rows"][0]
    assert list(row) == [column.name for column in REJECTS.columns]
    session = console.operator().json("sessions/site/jay/jay-1")["session"]
    assert list(session) == [column.name for column in SESSIONS.columns]


@pytest.mark.parametrize(
    ("filters", "count"),
    [
        ({}, 5),
        ({"source": "other"}, 1),
        ({"protocol": "vaix"}, 3),
        ({"type": "clicks:event"}, 2),
        ({"session_id": "jay-1"}, 1),
        ({"user_id": "anna"}, 3),
        ({"user_id": "anna", "protocol": "jay"}, 1),
        ({"user_id": HOSTILE}, 1),
        ({"user_id": "' OR 1=1 --"}, 0),
        ({"user_id": "anna' OR '1'='1"}, 0),
        ({"source": "site", "until": "2026-01-01T11:50:03Z"}, 2),
        ({"source": "site", "until": "2026-01-01T12:50:03+01:00"}, 2),
        ({"source": "site", "until": "2026-01-01T11:50:03.000001"}, 3),
        ({"until": "2025-01-01"}, 0),
        ({"until": ""}, 5),
    ],
)
def test_filters(console, filters, count):
    found = console.operator().json("events", **filters)
    assert len(found["rows"]) == count
    assert found["next"] is None


@pytest.mark.parametrize(
    ("filters", "count"),
    [({}, 2), ({"reason": "key_unknown"}, 1), ({"source": "site"}, 1), ({"source": HOSTILE}, 0)],
)
def test_filters_of_rejects(console, filters, count):
    assert len(console.operator().json("rejects", **filters)["rows"]) == count


def _all(visitor, path, limit, place="before", part=lambda found: found, **params):
    rows, cursor = [], {}
    while True:
        page = part(visitor.json(path, limit=limit, **params, **cursor))
        assert len(page["rows"]) <= limit
        rows += page["rows"]
        if page["next"] is None:
            return rows
        assert len(page["rows"]) == limit
        cursor = {place: page["next"]}


@pytest.mark.slow
@pytest.mark.parametrize("limit", [5, 200])
def test_pages_give_every_row_once_however_many_share_a_moment(empty, limit):
    """One batch is one record and one moment; the windows of the search lie between the others."""
    shuffled = random.Random(limit)
    moments = [NOON, NOON - SECOND, NOON - 120 * SECOND, NOON - 8 * 86_400 * SECOND]
    events = [
        event(event_id=f"same{n % 9}", source=f"s{n % 4}", at=shuffled.choice(moments))
        for n in range(36)
    ]
    empty.write(*events[:20])
    empty.write(
        *events[20:], rejects=[reject(at=m, detail=str(n)) for n in range(5) for m in moments]
    )
    rows = _all(empty.operator(), "events", limit)
    assert len({(row["source"], row["event_id"]) for row in rows}) == len(rows) == 36
    times = [row["received_at"] for row in rows]
    assert times == sorted(times, reverse=True)
    assert (
        len(
            {
                (row["received_at"], row["detail"])
                for row in _all(empty.operator(), "rejects", limit)
            }
        )
        == 20
    )
    assert len(_all(empty.operator(), "events", limit, source="s1")) == 9


def test_what_arrives_meanwhile_moves_no_page(empty):
    empty.write(*(event(type=f"old{n}", at=NOON - 10 - n) for n in range(4)))
    first = empty.operator().json("events", limit=2)
    empty.write(*(event(type="new", at=NOON - n) for n in range(3)))
    second = empty.operator().json("events", limit=2, before=first["next"])
    assert [row["type"] for row in second["rows"]] == ["old2", "old3"]


def test_a_session_is_whole_and_in_order(console):
    found = console.operator().json("sessions/site/jay/jay-1")
    assert found["session"]["events"] == 3
    assert found["session"]["duration_s"] == 5.0
    assert [row["page"] for row in found["events"]["rows"]] == [None, "/shop", "/home"]


def test_the_events_of_a_long_session_come_in_pages(empty):
    empty.write(*(event(session_id="a/b c?d", type=f"t{n}", at=NOON + n // 3) for n in range(10)))
    empty.write(
        event(session_id="a/b c?d", source="other"), event(session_id="a/b c?d", protocol="jay")
    )
    rows = _all(
        empty.operator(),
        "sessions/site/vaix/a%2Fb%20c%3Fd",
        4,
        "after",
        lambda found: found["events"],
    )
    assert sorted(row["type"] for row in rows) == sorted(f"t{n}" for n in range(10))
    moments = [datetime.fromisoformat(row["occurred_at"]) for row in rows]
    assert moments == sorted(moments)


def test_what_is_too_long_is_left_out_and_named(empty):
    empty.write(event(page="p" * 5000, properties={"a": "q" * 20_000}, context={"b": 1}))
    row = empty.operator().json("events")["rows"][0]
    assert row["page"] == "p" * 1000 + "…"
    assert row["properties"] is None
    assert row["context"] == {"b": 1}
    assert row["left_out"] == ["properties"]


@pytest.mark.parametrize(
    ("fmt", "media", "begins"),
    [
        (None, "application/json", b"["),
        ("json", "application/json", b"["),
        ("csv", "text/csv; charset=utf-8", b"type,n\n"),
        ("parquet", "application/vnd.apache.parquet", b"PAR1"),
    ],
)
def test_a_query(console, fmt, media, begins):
    body = {"sql": "SELECT type, count(*) AS n FROM events GROUP BY ALL"} | (
        {"format": fmt} if fmt else {}
    )
    response = console.operator().post("/console/api/query", json=body)
    assert response.status_code == 200
    assert response.headers["content-type"] == media
    assert response.content.startswith(begins)


def test_a_query_sees_what_was_acknowledged_before_it(empty):
    import asyncio

    from footfall.journal.contract import Outcome, Unit

    async def commit():
        outcome = Outcome(events=[event()])
        await empty.journal.transact([Unit((), lambda states: outcome)])

    asyncio.run(commit())
    response = empty.operator().post(
        "/console/api/query", json={"sql": "SELECT count(*) AS n FROM events"}
    )
    assert response.json() == [{"n": 1}]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM loader",
        "DROP TABLE events",
        "SELECT 1; SELECT 2",
        "",
        "SELECT * FROM read_text('/etc/passwd')",
    ],
)
def test_a_query_that_may_not_be_asked(console, sql):
    response = console.operator().post("/console/api/query", json={"sql": sql})
    assert response.status_code == 400
    assert set(response.json()) == {"code", "message", "remedy"}
    assert response.json()["code"] == "F401"


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"[1]", b'{"sql": 1}', b'{"sql": "SELECT 1", "format": "table"}',
     b'{"sql": "SELECT 1", "more": 1}', b'{"sql": "\\ud800"}', b'{"sql": "\xff"}', b"x" * (1 << 21)],
)  # fmt: skip
def test_a_body_that_cannot_be_read(console, body):
    response = console.operator().post("/console/api/query", content=body)
    assert response.status_code == 400
    assert set(response.json()) == {"message", "remedy"}


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("events?bogus=1", 400),
        ("events?reason=x", 400),
        ("rejects?type=x", 400),
        ("overview?period=x", 400),
        ("sessions/site/jay/jay-1?before=1", 400),
        ("sessions/site/jay/jay-1?after=1", 400),
        ("sessions/site/jay/nobody", 404),
        ("sessions/site/jay/", 400),
        ("sessions/site", 404),
        ("nowhere", 404),
        ("query", 405),
    ],
)
def test_refusals(console, path, status):
    response = console.operator().get(f"/console/api/{path}")
    assert response.status_code == status
    assert {"message", "remedy"} <= set(response.json())


def test_a_query_that_takes_too_long(empty):
    empty.answers._seconds = 0.2
    sql = "SELECT count(*) FROM range(100000) a, range(100000) b WHERE a.range * b.range % 7 = 3"
    page = empty.operator().post("/console/sql", data={"sql": sql})
    assert page.status_code == 504
    assert "F402" in page.text
