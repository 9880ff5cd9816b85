"""The loader: every event once, in every column, with its position, whatever stands in the way."""

from __future__ import annotations

import asyncio
import json

import msgspec
import pytest
from lake_rig import DAY, NOON, make_event, make_reject

from footfall.errors import JournalDamaged
from footfall.journal.contract import Batch, Damage, Position, Record, Span
from footfall.lake import loading
from footfall.lake.lake import Lake
from footfall.lake.loader import Loader
from footfall.lake.parsing import ONLY_JOURNALLED
from footfall.model import Event

pytestmark = pytest.mark.slow  # a lake each


class FixedJournal:
    """Gives what it was made with: for records and damage that no engine would write."""

    def __init__(self, records, damage=()) -> None:
        self.records = [(Position(0, n), record) for n, record in enumerate(records)]
        self.damage = damage

    async def partitions(self):
        return (Span(0, Position(0, 0), Position(0, len(self.records))),)

    async def read(self, start, limit_bytes=0):
        rest = [item for item in self.records if item[0].sequence >= start.sequence]
        damage = [part for part in self.damage if part.start.sequence >= start.sequence]
        return Batch(rest, Position(0, len(self.records)), damage)


def load(rig, journal=None, **settings):
    """Everything that a new loader loads from the journal."""
    loader = Loader(journal or rig.journal, rig.lake, now=rig.clock, **settings)
    asyncio.run(loader.catch_up(30))
    return loader


def test_every_field_is_in_its_column(rig):
    event = make_event(
        session_id="s", profile_id="p", user_id="u", page="/a", location="w:x", channel="ios",
        brand="b", country="DE", device="mobile", os="iOS", browser="Safari", ip="10.0.0.0",
        playhead_s=1.5, properties={"ä": [1, {"x": None}], "nul": "a\0b"}, context={"k": 2**70},
    )  # fmt: skip
    rig.write(event)
    rig.write(make_event(), rejects=[make_reject(body='{"x": "\n"}')])
    load(rig)
    cursor = rig.lake.cursor()
    result = cursor.execute("SELECT * FROM events WHERE event_id = $1", [event.event_id])
    row = dict(zip([column[0] for column in result.description], result.fetchone(), strict=True))
    for name in Event.__struct_fields__:
        if name in ("properties", "context"):
            assert json.loads(row[name]) == getattr(event, name)
        elif name.endswith("_at"):
            micros = cursor.execute("SELECT epoch_us($1::TIMESTAMP)", [row[name]]).fetchone()[0]
            assert micros == getattr(event, name)
        elif name in row:
            assert row[name] == getattr(event, name), name
    assert set(Event.__struct_fields__) - set(row) == set(ONLY_JOURNALLED)
    assert (row["partition"], row["position"]) == (0, 0)
    assert rig.sql("SELECT position FROM events ORDER BY 1") == [(0,), (1,)]
    assert rig.sql("SELECT source, reason, status, body FROM rejects") == [
        ("site", "content_not_valid", 422, '{"x": "\n"}')
    ]


def test_goes_on_where_the_lake_ends(rig):
    rig.write(make_event(), make_event())
    load(rig)
    rig.write(make_event())
    again = load(rig)
    assert again.counters.events == 1
    assert rig.sql("SELECT count(*) FROM events") == [(3,)]
    assert rig.sql("SELECT * FROM loader") == [(0, 2)]


def test_rows_and_position_come_together_or_not_at_all(rig, monkeypatch):
    rig.write(make_event())
    with monkeypatch.context() as patch:
        patch.setattr(loading, "_put_position", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            load(rig)
    assert rig.sql("SELECT count(*) FROM events") == [(0,)]
    load(rig)
    assert rig.sql("SELECT count(*) FROM events") == [(1,)]


def test_ticks_move_nothing_until_a_minute_has_gone(rig):
    loader = Loader(rig.journal, rig.lake, now=rig.clock)
    asyncio.run(rig.journal.transact([]))
    asyncio.run(loader.step())
    assert rig.sql("SELECT * FROM loader") == []
    rig.clock.now += 61_000_000
    asyncio.run(rig.journal.transact([]))
    asyncio.run(loader.step())
    assert rig.sql("SELECT * FROM loader") == [(0, 2)]


def test_client_ids_are_stored_once_within_seven_days(rig):
    def given(**changes):
        return make_event(**({"event_id": "mine", "client_id_given": True} | changes))

    rig.write(given(page="/first"), given(), given(source="other"))
    rig.write(given(), make_event(event_id="ours"), make_event(event_id="ours"))
    loader = load(rig)
    assert rig.sql("SELECT source, page FROM events WHERE event_id = 'mine' ORDER BY 1") == [
        ("other", None),
        ("site", "/first"),
    ]
    assert rig.sql("SELECT count(*) FROM events WHERE event_id = 'ours'") == [(2,)]
    assert loader.counters.repeats == 2
    for days, stored in ((6, 2), (8, 3), (9, 3)):
        rig.clock.now = NOON + days * DAY
        rig.write(given(received_at=NOON + days * DAY))
        load(rig)
        assert rig.sql("SELECT count(*) FROM events WHERE event_id = 'mine'") == [(stored,)]


def test_an_id_that_holds_a_nul_stops_nothing(rig):
    """DuckLake's own SQL cannot have one, and a join would put it there."""
    rig.write(*(make_event(event_id=f"{n}", client_id_given=True) for n in range(3000)))
    load(rig)
    for _ in range(2):
        rig.write(make_event(event_id="a\0b", session_id="c\0d", client_id_given=True))
        load(rig)
    assert rig.sql("SELECT count(*) FROM events WHERE contains(event_id, chr(0))") == [(1,)]
    named = "SELECT DISTINCT session_id FROM events WHERE contains(session_id, chr(0))"
    assert rig.sql(f"SELECT count(*) FROM events JOIN ({named}) USING (session_id)") == [(1,)]


def test_a_batch_spans_a_day_at_most(rig):
    for day in (0, 8):
        rig.clock.now = NOON + day * DAY
        rig.write(make_event(event_id="x", client_id_given=True, received_at=rig.clock.now))
    assert load(rig).counters.batches == 2
    assert rig.sql("SELECT count(*) FROM events") == [(2,)]


@pytest.mark.parametrize(
    "bad",
    [
        b'{"event_id": "x", "sour',
        b"not json at all",
        b"[]",
        b"{}",
        b"\xff\xfe",
        b'{"event_id":"x","source":"s","protocol":"p","type":"t","occurred_at":"soon","received_at":1}',
        b'{"event_id":"x","source":"s","protocol":"p","type":"t","occurred_at":-9223372036854775808,"received_at":1}',
        b'{"event_id":"x","source":"s","protocol":"p","type":"t","occurred_at":253402300800000000,"received_at":1}',
    ],
)
def test_a_bad_line_is_set_apart_and_the_others_are_loaded(rig, bad):
    good = [msgspec.json.encode(make_event()) + b"\n" for _ in range(3)]
    record = Record(NOON, good[0] + bad + b"\n" + good[1])
    loader = load(rig, FixedJournal([record, Record(NOON, good[2])]))
    assert rig.sql("SELECT count(*) FROM events") == [(3,)]
    ((reason, status, body),) = rig.sql("SELECT reason, status, body FROM rejects")
    assert (reason, status, body) == ("internal_error", 500, bad.decode("utf-8", "replace"))
    assert loader.counters.bad_lines == 1


def test_a_bad_reject_line_is_set_apart_too(rig):
    record = Record(NOON, b"", b'{"status": "none"}\n' + msgspec.json.encode(make_reject()) + b"\n")
    load(rig, FixedJournal([record]))
    assert rig.sql("SELECT reason FROM rejects ORDER BY 1") == [
        ("content_not_valid",),
        ("internal_error",),
    ]


def test_damage_is_passed_over_and_counted(rig):
    journal = FixedJournal(
        [Record(NOON, msgspec.json.encode(make_event()) + b"\n")],
        [Damage(Position(0, 0), Position(0, 1), "checksum")],
    )
    assert load(rig, journal).counters.damage == 1
    assert rig.sql("SELECT count(*) FROM events") == [(1,)]


def test_a_lake_that_is_ahead_of_its_journal_is_refused(rig):
    rig.write(make_event())
    load(rig)
    with pytest.raises(JournalDamaged, match="up to 1"):
        load(rig, FixedJournal([]))


def test_lag_counts_what_is_not_loaded(rig):
    loader = load(rig)
    rig.write(make_event())
    asyncio.run(loader.step())
    assert asyncio.run(loader.lag()) == (0, 0.0)
    rig.clock.now += 3_000_000
    rig.write(make_event())
    lag = asyncio.run(loader.lag())
    assert (lag.behind, lag.seconds) == (1, 3.0)


def test_follow_loads_until_it_is_told_to_stop_and_outlives_failures(rig, monkeypatch):
    async def run():
        loader = Loader(rig.journal, rig.lake, every_seconds=0.01, now=rig.clock)
        stop = asyncio.Event()
        reads = rig.journal.read
        failures = iter([OSError("stalled"), OSError("stalled")])

        async def read(*arguments):
            if failure := next(failures, None):
                raise failure
            return await reads(*arguments)

        monkeypatch.setattr(rig.journal, "read", read)
        following = asyncio.create_task(loader.follow(stop))
        await asyncio.to_thread(rig.write, make_event())
        async with asyncio.timeout(20):
            while loader.counters.events < 1:
                await asyncio.sleep(0.01)
        stop.set()
        await following

    asyncio.run(run())


def test_small_batches_wait_in_the_catalogue(rig):
    rig.write(make_event())
    load(rig)
    assert not list(rig.lake.data.rglob("*.parquet"))


def test_large_batches_become_one_file_by_day(tmp_path, rig):
    rig.write(*(make_event(page=f"/{n}") for n in range(600)))
    load(rig)
    (file,) = rig.lake.data.rglob("*.parquet")
    assert file.parent.relative_to(rig.lake.data / "main" / "events").parts == (
        "year=2026",
        "month=1",
        "day=1",
    )


def test_a_closed_lake_opens_with_everything(tmp_path):
    directory = tmp_path / "lake"
    for count in (1, 2):
        with Lake(directory, memory_mb=256, threads=1) as lake:
            cursor = lake.cursor()
            cursor.execute("INSERT INTO loader VALUES (7, 7)")
            assert cursor.execute("SELECT count(*) FROM loader").fetchone() == (count,)
            cursor.close()
