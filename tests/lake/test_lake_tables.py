"""The tables as data: complete, true of the lake, and documented; sessions as they are counted."""

from __future__ import annotations

import asyncio
import re
import zipfile
from pathlib import Path

import pytest
from lake_rig import NOON, make_event

from footfall.lake.lake import Lake
from footfall.lake.loader import Loader
from footfall.lake.parsing import ONLY_JOURNALLED
from footfall.lake.query import query
from footfall.lake.reference import document
from footfall.lake.tables import EVENTS, PRIVATE, REJECTS, TABLES
from footfall.model import Event, Reject

pytestmark = pytest.mark.slow  # a lake each

ROOT = Path(__file__).parents[2]
SECOND = 1_000_000


def names(table) -> list[str]:
    return [column.name for column in table.columns]


def test_every_field_is_a_column():
    columns = set(Event.__struct_fields__) - set(ONLY_JOURNALLED)
    assert set(names(EVENTS)) == columns | {"partition", "position"}
    assert names(REJECTS) == list(Reject.__struct_fields__)


def test_the_lake_has_the_tables_as_described(lake):
    cursor = lake.cursor()
    for table in (*TABLES, *PRIVATE):
        found = cursor.execute(f"DESCRIBE {table.name}").fetchall()
        assert [(row[0], row[1]) for row in found] == [(c.name, c.type) for c in table.columns]
        if not table.view:
            assert [row[2] == "NO" for row in found] == [c.required for c in table.columns]


def test_the_document_is_current_and_its_examples_run(lake):
    text = (ROOT / "docs" / "tables.md").read_text()
    assert text == document(), "run: python -m footfall.lake.reference > docs/tables.md"
    (examples,) = re.findall(r"```sql\n(.*?)```", text, re.DOTALL)
    for example in examples.split(";\n")[:-1]:
        asyncio.run(query(lake, example, seconds=20))


def test_events_are_kept_by_day(rig):
    rig.write(*(make_event(received_at=NOON + n % 2 * 86_400 * SECOND) for n in range(1200)))
    asyncio.run(Loader(rig.journal, rig.lake, now=rig.clock).catch_up(30))
    days = {file.parent.name for file in rig.lake.data.rglob("*.parquet")}
    assert days == {"day=1", "day=2"}


def sessions(rig, *events) -> list[dict]:
    rig.write(*events)
    asyncio.run(Loader(rig.journal, rig.lake, now=rig.clock).catch_up(30))
    cursor = rig.lake.cursor()
    result = cursor.execute("SELECT * FROM sessions ORDER BY protocol, session_id, source")
    columns = [column[0] for column in result.description]
    return [dict(zip(columns, row, strict=True)) for row in result.fetchall()]


def at(seconds: float, **changes) -> Event:
    moment = NOON + int(seconds * SECOND)
    return make_event(occurred_at=moment, received_at=moment, **changes)


def test_a_session_is_counted_from_its_events(rig):
    first, second = sessions(
        rig,
        at(2.5, session_id="a", protocol="mirror", page="/2", profile_id="new", device="tv"),
        at(0, session_id="a", protocol="mirror", page="/1", profile_id="old", user_id="u"),
        at(1, session_id="a", protocol="mirror", page="/1", country="DE", device="mobile"),
        at(1, session_id="a", protocol="mirror", source="zoo"),
        at(9),
    )
    assert (first["events"], first["pages"], first["duration_s"]) == (3, 2, 2.5)
    assert (first["first_page"], first["last_page"]) == ("/1", "/2")
    assert (first["profile_id"], first["user_id"]) == ("new", "u")
    assert (first["country"], first["device"], first["os"]) == ("DE", "mobile", None)
    assert (second["source"], second["events"], second["duration_s"]) == ("zoo", 1, 0.0)


def test_a_jay_session_takes_in_what_other_protocols_sent_with_it(rig):
    jay = {"jay_session_id": "j"}
    found = sessions(
        rig,
        at(0, protocol="jay", type="session_start", session_id="j", user_id="u"),
        at(1, protocol="vaix", session_id="j", properties=jay, page="/live"),
        at(2, protocol="adobe", type="session_end", session_id="m", properties=jay),
        at(3, protocol="adobe", session_id="m", properties={"jay_session_id": None}),
        at(4, protocol="vaix", properties={"text": '"jay_session_id"'}),
        at(5, protocol="jay", type="session_end", session_id="j", properties=jay),
        at(7, protocol="vaix", properties=jay),
        at(8, protocol="vaix", source="other", properties=jay),
    )
    rows = {(row["source"], row["protocol"], row["session_id"]): row for row in found}
    assert {key: row["events"] for key, row in rows.items()} == {
        ("site", "jay", "j"): 5,
        ("other", "jay", "j"): 1,
        ("site", "vaix", "j"): 1,
        ("site", "adobe", "m"): 2,
    }
    session = rows["site", "jay", "j"]
    assert session["duration_s"] == 5.0  # its own end, not what came after or another's end
    assert (session["pages"], session["first_page"], session["user_id"]) == (1, "/live", "u")


def test_a_lake_of_an_earlier_release_gets_the_views_of_this_one(tmp_path):
    with Lake(tmp_path / "lake", memory_mb=256, threads=1) as lake:
        cursor = lake.cursor()
        cursor.execute("CREATE OR REPLACE VIEW sessions AS SELECT 1 AS old")
        cursor.execute("UPDATE facts SET value = 'older' WHERE name = 'views'")
        cursor.close()
    with Lake(tmp_path / "lake", memory_mb=256, threads=1) as lake:
        cursor = lake.cursor()
        described = cursor.execute("DESCRIBE sessions").fetchall()
        snapshots = cursor.execute("SELECT count(*) FROM catalog.ducklake_snapshot").fetchone()
        cursor.close()
    assert described[0][0] == "source"
    with Lake(tmp_path / "lake", memory_mb=256, threads=1) as lake:
        cursor = lake.cursor()
        again = cursor.execute("SELECT count(*) FROM catalog.ducklake_snapshot").fetchone()
        cursor.close()
    assert again == snapshots  # opening what is current changes nothing


def test_a_lake_of_a_later_release_is_refused(tmp_path):
    import pytest

    from footfall.errors import DataDirectoryTooNew

    with Lake(tmp_path / "lake", memory_mb=256, threads=1) as lake:
        cursor = lake.cursor()
        cursor.execute("UPDATE facts SET value = '2' WHERE name = 'format'")
        cursor.close()
    with pytest.raises(DataDirectoryTooNew, match="format 2"):
        Lake(tmp_path / "lake", memory_mb=256, threads=1).open()


def test_a_lake_of_the_first_release_gets_every_table_and_view(tmp_path):
    with zipfile.ZipFile(ROOT / "tests" / "releases" / "0.1.0" / "data.zip") as kept:
        kept.extractall(tmp_path)
    with Lake(tmp_path / "lake", memory_mb=256, threads=1) as lake:
        cursor = lake.cursor()
        counts = {
            table.name: cursor.execute(f"SELECT count(*) FROM {table.name}").fetchone()[0]
            for table in (*TABLES, *PRIVATE)
        }
        found = cursor.execute("SELECT * FROM sessions").fetchall()
        cursor.close()
    assert counts["events"] > 0
    assert counts["sessions"] == len(found) > 0
    assert (counts["profiles"], counts["visits"], counts["heirs"]) == (0, 0, 0)
