"""Loading costs by the event, not by the record: a quiet server's records hold one event each."""

from __future__ import annotations

import time

import duckdb
import msgspec

from footfall.journal.contract import Position, Record
from footfall.lake import loading
from footfall.model import Event

EVENTS = 4000


def staged(per_record, connection):
    """Seconds that staging takes, and how many rows it gives."""
    now = 1_795_189_253_849_123
    line = msgspec.json.encode(Event("e", "shop", "vaix", "click", now, now)) + b"\n"
    records = [
        (Position(0, number), Record(now, line * per_record))
        for number in range(EVENTS // per_record)
    ]
    began = time.perf_counter()
    made = loading.stage(loading.Work(0, records, EVENTS), 0, connection)
    took = time.perf_counter() - began
    ((rows, positions),) = connection.execute(
        f"SELECT count(*), count(DISTINCT position) FROM {made.tables[0].name}"
    ).fetchall()
    assert (rows, positions) == (EVENTS, len(records))
    return took


def test_small_records_are_no_burden():
    connection = duckdb.connect()
    staged(EVENTS, connection)  # the first use of anything costs more
    large = min(staged(EVENTS, connection) for _ in range(3))
    small = min(staged(1, connection) for _ in range(3))
    print(f"{large * 1000:.0f} ms in one record, {small * 1000:.0f} ms in {EVENTS}")
    assert small < 12 * large
