"""What events say of visits and profiles: a row for each fact, once, whatever stands in the way."""

from __future__ import annotations

import asyncio
import json

import msgspec
import pytest
from lake_rig import NOON, make_event

from footfall.journal.contract import Batch, Position, Record, Span
from footfall.lake import loading
from footfall.lake.loader import Loader
from footfall.lake.maintenance import FLUSH, call
from footfall.lake.tables import PRIVATE, TABLES
from footfall.model import Facts

pytestmark = pytest.mark.slow  # a lake of its own for each test

SECOND = 1_000_000
FOREVER = 253_402_300_799_999_999


def told(**changes):
    """An event of a profile, with facts."""
    facts = changes.pop("facts", None)
    fields = {"protocol": "tracardi", "type": "page-view", "profile_id": "p", "session_id": "s"}
    facts = Facts(**facts) if isinstance(facts, dict) else facts
    return make_event(**(fields | changes), facts=facts)


def load(rig, journal=None) -> Loader:
    loader = Loader(journal or rig.journal, rig.lake, now=rig.clock)
    asyncio.run(loader.catch_up(30))
    return loader


def test_a_visit_has_a_row(rig):
    rig.write(
        told(event_id="1", occurred_at=NOON, facts={"visit": "s", "identity": "shops"}),
        told(),
        told(session_id=None, facts={"visit": "t"}, stored=False),
    )
    load(rig)
    columns = "source, identity, protocol, session_id, profile_id, partition, position"
    assert rig.sql(f"SELECT {columns} FROM visits ORDER BY received_at") == [
        ("site", "shops", "tracardi", "s", "p", 0, 0),
        ("site", "site", "tracardi", "t", "p", 0, 0),
    ]
    assert rig.sql("SELECT epoch_us(occurred_at) FROM visits WHERE session_id = 's'") == [(NOON,)]


def test_every_trait_has_a_row_each_time(rig):
    names = {"email.main": "ä@b", "odd \"'/~1 name": [1, {"x": None}], "age": 42, "gone": None}
    rig.write(
        told(event_id="1", type="sign-in", facts={"traits": names}),
        told(event_id="2", facts={"traits": {"age": 43}}),
        told(profile_id=None, facts={"traits": {"age": 44}}),
    )
    load(rig)
    rows = rig.sql(
        "SELECT event_id, type, line, name, value FROM profile_traits ORDER BY line, name"
    )
    assert [(*row[:4], json.loads(row[4])) for row in rows] == [
        ("1", "sign-in", 1, "age", 42),
        ("1", "sign-in", 1, "email.main", "ä@b"),
        ("1", "sign-in", 1, "gone", None),
        ("1", "sign-in", 1, "odd \"'/~1 name", [1, {"x": None}]),
        ("2", "page-view", 2, "age", 43),
    ]


def test_consents_have_rows_with_their_end(rig):
    until = {"on": (True, None), "off": (False, None), "spring": (True, NOON)}
    rig.write(told(event_id="1", type="consent-granted", facts={"consents": until}))
    rig.write(told(event_id="2", facts={"consents": {"far": (True, 2**62), "on": (False, None)}}))
    load(rig)
    rows = rig.sql(
        "SELECT event_id, type, name, granted, epoch_us(until) FROM profile_consents ORDER BY 1, 3"
    )
    assert rows == [
        ("1", "consent-granted", "off", False, None),
        ("1", "consent-granted", "on", True, None),
        ("1", "consent-granted", "spring", True, NOON),
        ("2", "page-view", "far", True, FOREVER),
        ("2", "page-view", "on", False, None),
    ]


def test_aliases_have_rows_with_their_reason(rig):
    rig.write(told(event_id="1", facts={"aliases": {"old": "imported", "older": "the same"}}))
    rig.write(told(facts={"aliases": {"p": "itself"}}))
    load(rig)
    rows = rig.sql(
        "SELECT source, alias, profile_id, reason, event_id FROM profile_aliases ORDER BY alias"
    )
    assert rows == [
        ("site", "old", "p", "imported", "1"),
        ("site", "older", "p", "the same", "1"),
    ]


def test_a_sessions_contexts_are_merged_over_a_batch(rig):
    rig.write(
        told(facts={"context": {"a": 1, "deep": {"x": 1, "y": 2}}, "properties": {"p": 1}}),
        told(session_id="other", facts={"context": {"a": "other"}}),
    )
    rig.write(told(facts={"context": {"deep": {"x": 3}, "n": None}}))
    rig.write(told(session_id=None, facts={"context": {"a": "nobody's"}}))
    load(rig)
    rows = rig.sql(
        "SELECT protocol, session_id, context, properties, position FROM session_contexts ORDER BY 2"
    )
    assert [
        (*row[:2], *(json.loads(cell or "null") for cell in row[2:4]), row[4]) for row in rows
    ] == [
        ("tracardi", "other", {"a": "other"}, None, 0),
        ("tracardi", "s", {"a": 1, "deep": {"x": 3}, "n": None}, {"p": 1}, 1),
    ]


def test_unstored_events_are_not_events_and_pass_all_the_same(rig):
    rig.write(told(type="visit-started", user_id="u", stored=False), told(page="/"))
    loader = load(rig)
    assert rig.sql("SELECT page FROM events") == [("/",)]
    assert rig.sql("SELECT type, session_id, profile_id, user_id, position FROM passing") == [
        ("visit-started", "s", "p", "u", 0)
    ]
    assert loader.counters.events == 1
    rig.write(told(stored=False))
    load(rig)
    assert rig.sql("SELECT count(*) FROM passing") == [(2,)]


def test_a_repeat_says_nothing(rig):
    once = {"event_id": "mine", "client_id_given": True, "facts": {"traits": {"a": 1}}}
    rig.write(told(**once), told(**once | {"facts": {"traits": {"a": 2}}}))
    rig.write(told(**once | {"stored": False, "facts": {"traits": {"a": 3}, "visit": "s"}}))
    assert load(rig).counters.repeats == 2
    assert rig.sql("SELECT value FROM profile_traits") == [("1",)]
    assert rig.sql("SELECT count(*) FROM passing") == [(0,)]
    assert rig.sql("SELECT count(*) FROM visits") == [(0,)]


class LinesJournal:
    """One record of these lines: for what no writer of ours would write."""

    def __init__(self, *lines: bytes) -> None:
        self.record = Record(NOON, b"".join(line + b"\n" for line in lines))

    async def partitions(self):
        return (Span(0, Position(0, 0), Position(0, 1)),)

    async def read(self, start, limit_bytes=0):
        return Batch([(start, self.record)] if start.sequence == 0 else [], Position(0, 1))


def line_with(text: str, **changes) -> bytes:
    """A line whose facts are this text."""
    line = msgspec.json.encode(told(**changes, facts={"visit": "FACTS"}))
    return line.replace(b'{"visit":"FACTS"}', text.encode())


BAD_FACTS = (
    "5", "null", "[]", '"text"', "{}", '{"traits":5}', '{"traits":[1]}', '{"traits":null}',
    '{"visit":{"a":1}}', '{"visit":5}', '{"visit":null}', '{"context":[1]}', '{"context":"x"}',
    '{"context":{"a":1,"a":2}}', '{"properties":{"a":1,"a":{}}}', '{"aliases":["p"]}',
    '{"consents":{"x":"yes"}}', '{"consents":{"x":[]}}', '{"consents":{"x":["true",null]}}',
    '{"consents":{"x":[true,"soon"]}}', '{"consents":{"x":[true,18446744073709551615]}}',
    '{"consents":{"x":[true,1e300]}}', '{"consents":{"x":[null,null]}}',
    '{"traits":{}}',
)  # fmt: skip


@pytest.mark.parametrize("beside", [b"", b"not json"], ids=["plain", "careful"])
def test_facts_that_are_not_understood_lose_no_event(rig, beside):
    lines = [line_with(text) for text in BAD_FACTS]
    good = msgspec.json.encode(told(facts={"traits": {"a": 1}, "visit": "s"}))
    loader = load(rig, LinesJournal(*lines, beside, good))
    assert rig.sql("SELECT count(*) FROM events") == [(len(BAD_FACTS) + 1,)]
    assert loader.counters.bad_lines == bool(beside)
    for table in ("visits", "profile_traits"):
        assert rig.sql(f"SELECT count(*) FROM {table}") == [(1,)]
    for table in ("profile_consents", "profile_aliases", "session_contexts"):
        assert rig.sql(f"SELECT * FROM {table}") == []


def test_a_name_that_stands_twice_counts_once(rig):
    load(rig, LinesJournal(line_with('{"traits":{"a":1,"a":2}}')))
    assert rig.sql("SELECT name, value FROM profile_traits") == [("a", "1")]


EVERYTHING = {
    "visit": "s",
    "context": {"k": 1},
    "traits": {"t": 1},
    "consents": {"c": (True, None)},
    "aliases": {"old": "imported"},
}
TOLD_TABLES = (
    "events", "passing", "visits", "profile_traits", "profile_consents", "profile_aliases",
    "session_contexts", "client_ids",
)  # fmt: skip


def test_facts_and_position_come_together_or_not_at_all(rig, monkeypatch):
    rig.write(told(event_id="mine", client_id_given=True, facts=EVERYTHING), told(stored=False))
    with monkeypatch.context() as patch:
        patch.setattr(loading, "_put_position", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            load(rig)
    for table in TOLD_TABLES:
        assert rig.sql(f"SELECT count(*) FROM {table}") == [(0,)], table
    for _ in range(2):
        load(rig)
        for table in TOLD_TABLES:
            assert rig.sql(f"SELECT count(*) FROM {table}") == [(1,)], table


WHO = {
    "user_id": "secret-user", "profile_id": "secret-profile", "session_id": "secret-session",
    "ip": "10.99.0.0", "properties": {"mail": "secret-mail", "jay_session_id": "secret-jay"},
    "context": {"page": "secret-context"}, "page": "/shop?q=secret-query#secret-part",
}  # fmt: skip


def everything_in(lake) -> str:
    """Every row of every table and every Parquet file, deleted ones too, as one text."""
    cursor = lake.cursor()
    found = []
    for table in (*TABLES, *PRIVATE):
        found += cursor.execute(f"FROM {table.name}").fetchall()
    for (name,) in cursor.execute(
        "SELECT table_name FROM duckdb_tables() WHERE database_name = 'catalog'"
    ).fetchall():
        found += cursor.execute(f'SELECT row::VARCHAR FROM catalog."{name}" AS row').fetchall()
    for file in lake.data.rglob("*.parquet"):
        found += cursor.execute(f"FROM read_parquet('{file}')").fetchall()
    cursor.close()
    return "\n".join(map(str, found))


@pytest.mark.parametrize("beside", [b"", b"not json"], ids=["plain", "careful"])
def test_of_a_withheld_event_nothing_says_who_it_was(rig, beside):
    facts = {"traits": {"secret-trait": 1}, "visit": "secret-session", "context": {"secret": 1},
             "aliases": {"secret-alias": "x"}}  # fmt: skip
    events = [
        told(**WHO, event_id="secret-id", client_id_given=True, withheld=True, country="DE"),
        told(**WHO, event_id="secret-id", client_id_given=True, withheld=True),
        told(**WHO, event_id="ours", withheld=True, playhead_s=1.5),
        told(**WHO, withheld=True, stored=False),
        told(**WHO, withheld=True, facts=facts, type="told"),
        told(page="/open?x=1", user_id="known"),
    ]
    journal = LinesJournal(
        *map(msgspec.json.encode, events),
        beside,
        # A line that cannot be loaded is not kept either.
        msgspec.json.encode(told(**WHO, withheld=True)).replace(b'"occurred_at":', b'"x":')
        if beside
        else b"",
    )
    assert load(rig, journal).counters.repeats == 1
    rows = rig.sql(
        "SELECT type, page, country, playhead_s, user_id, profile_id, session_id, ip, properties, "
        "context, event_id = 'ours' FROM events WHERE user_id IS NULL ORDER BY type, playhead_s"
    )
    nobody = (None,) * 6
    assert rows == [
        ("page-view", "/shop", None, 1.5, *nobody, True),
        ("page-view", "/shop", "DE", None, *nobody, False),
        ("told", "/shop", None, None, *nobody, False),
    ]
    assert rig.sql("SELECT page FROM events WHERE user_id = 'known'") == [("/open?x=1",)]
    connection = rig.lake.cursor()
    for table in TOLD_TABLES:
        call(rig.lake, FLUSH.format(table), connection)
    connection.close()
    assert "secret" not in everything_in(rig.lake)
    assert "10.99.0.0" not in everything_in(rig.lake)
    assert "known" in everything_in(rig.lake)


def test_a_withheld_event_is_stored_once_also_when_consent_changes(rig):
    def given(number, **changes):
        return told(event_id=f"mine-{number}", client_id_given=True, **changes)

    rig.write(given(1, withheld=True), given(2), given(3, withheld=True))
    load(rig)
    rig.write(given(1), given(2, withheld=True), given(3, withheld=True), given(4))
    assert load(rig).counters.repeats == 3
    assert rig.sql("SELECT count(*), count(session_id) FROM events") == [(4, 2)]


def test_a_withheld_event_can_take_consent_back(rig):
    facts = {"consents": {"marketing": (False, None)}}
    rig.write(told(event_id="e", withheld=True, facts=facts))
    load(rig)
    assert rig.sql("SELECT profile_id, name, granted, event_id FROM profile_consents") == [
        ("p", "marketing", False, None)
    ]
    assert rig.sql("SELECT profile_id, session_id FROM events") == [(None, None)]
