"""Users' SQL: what is refused, what is answered, in which form, and that it ends in time."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import threading

import duckdb
import pytest
from lake_rig import NOON, Rig, make_event

from footfall.errors import QueryRefused, QueryTimeout
from footfall.lake import query as queries
from footfall.lake.lake import Lake
from footfall.lake.loader import Loader
from footfall.lake.query import FORMATS, _worded, ask, export, query

HOSTILE = """
select * from loader
select * from "LOADER"
select * from lake.main.facts
select * from client_ids
select * from marks
select * from catalog.ducklake_metadata
select * from catalog.main.ducklake_data_file
select * from __ducklake_metadata_lake.main.ducklake_snapshot
select * from temp.main.staged
select * from memory.main.x
select * from information_schema.tables
select * from pg_catalog.pg_class
select * from duckdb_settings
select * from duckdb_tables()
select * from duckdb_settings()
select * from duckdb_secrets()
select * from duckdb_logs
select * from sqlite_master
select * from pragma_database_list
select * from pragma_table_info('loader')
select * from read_csv('/etc/passwd')
select * from read_csv_auto('/etc/passwd')
select * from read_text('/etc/passwd')
select * from read_blob('/etc/passwd')
select * from read_json('{dir}/x.json')
select * from read_parquet('{dir}/data/**/*.parquet')
select * from parquet_metadata('{dir}/data/x.parquet')
select * from parquet_scan('{dir}/data/x.parquet')
select * from sniff_csv('/etc/passwd')
select * from glob('{dir}/*')
select * from '/etc/passwd'
select * from '{dir}/x.csv'
select * from "{dir}/catalog.ducklake"
from '{dir}/x.parquet'
select * from query('select * from loader')
select * from query_table('loader')
select * from query_table(['loader'])
select * from histogram('loader', 'next')
select * from summary((select 1))
select * from json_execute_serialized_sql('x')
select * from ducklake_snapshots('lake')
select * from ducklake_list_files('lake', 'events')
select * from ducklake_expire_snapshots('lake', older_than => now())
select * from ducklake_set_option('lake', 'x', 'y')
select * from lake.snapshots()
select * from python_map_function(1)
select * from checkpoint()
select * from force_checkpoint('catalog')
select (select count(*) from loader)
select * from events where event_id in (select next::varchar from loader)
select exists (from loader)
select array(select next from loader)
select * from events union all select * from loader
select * from events, loader
select * from events join loader on true
select * from events semi join loader on true
select * from (select * from (select * from loader))
select * from (values ((select max(next) from loader)))
select 1 order by (select max(next) from loader)
select 1 limit (select max(next) from loader)
select count(*) filter (exists (from loader)) from events
select list_transform([1], lambda x: (select max(next) from loader))
select sum(1) over (order by (select max(next) from loader)) from events
with a as (select * from loader) select * from a
with a as (with b as (select * from loader) select * from b) select * from a
with loader as (select 1) select * from loader
with duckdb_tables as (select 1) select * from (select * from duckdb_tables)
with recursive sessions as (select * from sessions union all select * from loader) from sessions
with recursive loader as (select next from loader union all select 1) from loader
with a as (select * from b), b as (select 1) select * from a
select * from (with b as (select 1) select * from b), b
with "x.csv" as (select 1) select * from "x.csv"
select * from (pivot loader on partition in (0) using max(next))
select * from (unpivot loader on next)
describe loader
summarize loader
select * from (describe loader)
select * from (show tables)
show databases
show loader
select * from events at (version => 1)
select * from events at (timestamp => now())
select current_setting('memory_limit')
select system.main.current_setting('memory_limit')
select "current_setting"('memory_limit')
select getvariable('x')
select nextval('x')
select currval('x')
select write_log('x')
select pg_sleep(1)
select sleep_ms(1)
select current_query()
select getenv('HOME')
select $1
select ?
select $name
select 1; select 2
select 1; drop table events
drop table events
delete from events
update events set page = 'x'
insert into events select * from events
create table x as select 1
create view x as select 1
create macro x() as 1
create temp table x as select 1
create secret (type s3)
create or replace table loader (x int)
alter table events add column x int
truncate events
merge into events using events e on true when matched then delete
copy events to '{dir}/x.csv'
copy (select 1) to '{dir}/x.csv'
copy events from '{dir}/x.csv'
export database '{dir}/x'
import database '{dir}/x'
attach '{dir}/x.db' as x
attach ':memory:' as x
detach lake
use memory
set memory_limit = '100GB'
set global threads = 100
reset memory_limit
pragma database_list
pragma memory_limit = '1GB'
call ducklake_expire_snapshots('lake')
call lake.set_option('parquet_compression', 'snappy')
load httpfs
install httpfs
install 'x' from 'http://127.0.0.1'
checkpoint
vacuum
analyze
begin
commit
rollback
prepare x as select 1
execute x
deallocate x
explain select 1
explain analyze select * from events
set variable x = 1
comment on table events is 'x'
select
selec 1
select * from events where
select 'unfinished
select /* unfinished
select 1) to '{dir}/x.csv' --
select 1) ; drop table events; select (1
"""

ANSWERED = """
select count(*) from events
from events
table events
values (1, 'a'), (2, 'b')
describe events
describe select 1 as x
summarize events
show tables
select * from events; -- and a comment; with a semicolon
select ';' as x;;
select 1 /* ; */ ; /* ; */
select * exclude (properties, context) from lake.events
select * from lake.main.sessions
select * from main.rejects
select "TYPE", count(*) as n from EVENTS group by all having n > 0 order by n desc, 1 nulls last
select properties ->> '$.a.b', properties -> 'a', context['x'] from events
select date_trunc('day', received_at) as day, approx_count_distinct(page) from events group by day
select row_number() over (partition by page order by received_at rows between 1 preceding and current row) from events
select * from events qualify row_number() over (partition by page order by occurred_at) = 1
select distinct on (page) page, type from events order by page
select * from events using sample 10 percent
select * from events tablesample 2
with e as (select * from events), f as (from e) select count(*) from f
with events as (select 1 as mine) select mine from events
with recursive t(n) as (select 1 union all select n + 1 from t where n < 5) select sum(n) from t
select * from range(3) r(i), generate_series(1, 2), unnest([1, 2]) u(x)
select e.page, x.value from events e, json_each(e.properties) x
select * from (pivot (select type, device from events) on device in ('mobile') using count(*))
select * from (unpivot (select 1 as a, 2 as b) on a, b)
select a.type from events a asof join events b on a.received_at >= b.received_at
select * from events a left join lateral (select max(b.received_at) from events b where b.page = a.page) on true
select 1 union select 2 except select 3 intersect select 4 order by 1 limit 1 offset 0
select list_transform([1, 2], lambda x: x + 1), [x * 2 for x in [1, 2] if x > 1], {'a': 1}.a
select case when page like '/%' then 1 else try_cast('x' as integer) end from events
select interval 1 day, 1::decimal(10, 3), uuid(), random(), now(), current_date, today()
select columns('.*_at') from events
select regexp_extract(page, '/(\\w+)', 1), page[1:2], coalesce(null, 1), nullif(1, 1) from events
select grouping(page), count(*) from events group by rollup (page)
select (select max(received_at) from events) - interval 7 days
select * from events where received_at between '2026-01-01' and timestamp '2026-01-02' and page in ('/a', '/b')
select 1 as a, 2 as a
select 'ü' as "ä" -- ü
"""


def lines(text: str) -> list[str]:
    return text.strip().splitlines()


@pytest.fixture(scope="module")
def rig(tmp_path_factory):
    with Lake(tmp_path_factory.mktemp("query") / "lake", memory_mb=256, threads=1) as lake:
        rig = Rig(lake)
        rig.write(
            *(make_event(page=f"/{n}", properties={"a": {"b": n}}) for n in range(20)),
            make_event(event_id="first", received_at=NOON, occurred_at=NOON, country="DE"),
        )
        asyncio.run(Loader(rig.journal, lake).catch_up(30))
        yield rig


def run(lake, sql, **options):
    return asyncio.run(query(lake, sql, seconds=20, **options))


@pytest.mark.parametrize("sql", lines(HOSTILE))
def test_refused(rig, sql):
    before = set(rig.lake.directory.rglob("*.*"))
    sql = sql.replace("{dir}", str(rig.lake.directory))
    with pytest.raises(QueryRefused):
        run(rig.lake, sql)
    assert set(rig.lake.directory.rglob("*.*")) == before


@pytest.mark.parametrize("sql", lines(ANSWERED))
def test_answered(rig, sql):
    table = run(rig.lake, sql)
    assert len(table.columns) == len(table.types)
    if "uuid()" not in sql and "sample" not in sql:
        exported = run(rig.lake, sql, fmt="csv").decode()
        assert len(list(csv.reader(io.StringIO(exported)))) == len(table.rows) + 1


def test_the_confinement_holds_behind_the_guard(rig):
    outside = rig.lake.directory.parent / "outside.csv"
    outside.write_text("a\n1\n")
    for sql in (
        f"SELECT * FROM read_csv('{outside}')",
        f"COPY events TO '{outside}'",
        f"ATTACH '{outside}.db'",
        "SET enable_external_access = true",
        "SET memory_limit = '100GB'",
        "INSTALL httpfs",
        "LOAD httpfs",
    ):
        with pytest.raises(duckdb.Error):
            rig.sql(sql)


def test_a_deep_query_is_refused_and_not_a_crash(rig):
    for sql in (
        "select " + "(select " * 900 + "1" + ")" * 900,
        "select " + "-" * 5000 + " 1",
        "x" * 100_001,
    ):
        with pytest.raises(QueryRefused):
            run(rig.lake, sql)


def test_duckdbs_own_words_and_hint_reach_the_user(rig):
    with pytest.raises(QueryRefused, match='"pag" not found') as refusal:
        run(rig.lake, "select pag from events")
    assert '"page"' in str(refusal.value)
    assert "LINE" not in str(refusal.value)
    with pytest.raises(QueryRefused, match="there are: ad_breaks, ads, events, identities"):
        run(rig.lake, "select * from event")


def test_a_table_is_cut_and_says_so(rig):
    answer = asyncio.run(
        ask(rig.lake, "select * from range(10) order by 1 desc", seconds=20, rows=3)
    )
    assert answer == (("range",), ("BIGINT",), [(9,), (8,), (7,)], True)
    answer = asyncio.run(ask(rig.lake, "select * from range(3)", seconds=20, rows=3))
    assert not answer.truncated


WIDE = """select event_id, received_at, received_at::timestamptz as zoned, country, properties,
playhead_s, 2::bigint as n from events where event_id = 'first' or page = '/3' order by event_id desc"""


def test_json_is_an_array_of_objects_with_times_in_utc(rig):
    first, other = json.loads(run(rig.lake, WIDE, fmt="json"))
    assert first == {
        "event_id": "first", "received_at": "2026-01-01T12:00:00.000000Z",
        "zoned": "2026-01-01T12:00:00.000000Z", "country": "DE", "properties": None,
        "playhead_s": None, "n": 2,
    }  # fmt: skip
    assert other["properties"] == {"a": {"b": 3}}
    assert json.loads(run(rig.lake, "select 1 as a where false", fmt="json")) == []


def test_csv_has_a_header_even_without_rows(rig):
    first, _ = csv.DictReader(io.StringIO(run(rig.lake, WIDE, fmt="csv").decode()))
    assert first["received_at"] == "2026-01-01T12:00:00.000000Z"
    assert run(rig.lake, "select 1 as a where false", fmt="csv") == b"a\n"


def test_parquet_can_be_read_by_others(rig, tmp_path):
    file = tmp_path / "x.parquet"
    file.write_bytes(run(rig.lake, "from events", fmt="parquet"))
    assert duckdb.connect().execute(f"SELECT count(*) FROM '{file}'").fetchone() == (21,)


def test_results_come_in_pieces_and_leave_no_file(rig, monkeypatch):
    monkeypatch.setattr(queries, "PIECE_BYTES", 1000)

    async def pieces(leave_early):
        async with export(rig.lake, "from range(10000)", seconds=20, fmt="csv") as found:
            sizes = []
            async for piece in found:
                sizes.append(len(piece))
                if leave_early:
                    break
            return sizes

    assert max(asyncio.run(pieces(False))) == 1000
    assert asyncio.run(pieces(True)) == [1000]
    assert not list(rig.lake.scratch.glob("result-*"))


ENDLESS = "select sum(a.range * b.range) from range(1000000000) a, range(1000000000) b"


@pytest.mark.parametrize("fmt", ["table", *FORMATS])
def test_a_query_is_ended_in_time(rig, fmt):
    with pytest.raises(QueryTimeout):
        asyncio.run(query(rig.lake, ENDLESS, seconds=0.2, fmt=fmt))
    assert run(rig.lake, "select 1").rows == [(1,)]
    assert not list(rig.lake.scratch.glob("result-*"))


def test_waiting_for_a_turn_counts(rig):
    release = threading.Event()
    for _ in range(4):
        rig.lake.readers.submit(release.wait)
    with pytest.raises(QueryTimeout):
        asyncio.run(query(rig.lake, "select 1", seconds=0.2))
    release.set()
    assert run(rig.lake, "select 1").rows == [(1,)]


def test_a_query_ends_when_nobody_waits_for_it(rig):
    async def leave():
        asking = asyncio.create_task(query(rig.lake, ENDLESS, seconds=1000))
        await asyncio.sleep(0.2)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking

    asyncio.run(leave())
    assert run(rig.lake, "select 1").rows == [(1,)]


def test_a_result_that_fills_the_disk_is_ended(rig, monkeypatch):
    monkeypatch.setattr(queries, "EXPORT_BYTES", 1 << 20)
    with pytest.raises(QueryRefused, match="larger"):
        run(rig.lake, "select * from range(10000000000)", fmt="csv")


@pytest.mark.slow
def test_a_query_that_needs_too_much_memory_is_refused_in_words(rig):
    with pytest.raises(QueryRefused, match="query_memory_mb"):
        run(rig.lake, "select list(repeat('x', 1000) || range) from range(100000000)")
    assert run(rig.lake, "select count(*) from events").rows == [(21,)]


def test_a_query_that_begins_at_a_tables_first_delete_is_asked_again():
    asked = []

    def work(cursor):
        asked.append(cursor)
        if len(asked) == 1:
            raise duckdb.CatalogException("Table with name ducklake_inlined_delete_14 is not there")
        return "rows"

    assert _worded(work, "cursor") == "rows"
    assert asked == ["cursor", "cursor"]


def test_a_query_of_a_table_that_is_not_there_is_asked_once():
    asked = []

    def work(cursor):
        asked.append(cursor)
        raise duckdb.CatalogException("Table with name nobody is not there")

    with pytest.raises(QueryRefused, match="nobody"):
        _worded(work, "cursor")
    assert len(asked) == 1
