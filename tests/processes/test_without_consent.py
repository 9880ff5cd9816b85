"""Real traffic with consent and without it, and then every byte of the lake looked through."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import hashlib
import json

import duckdb
import pytest
from running import query, run

from footfall.lake.lake import Lake
from footfall.lake.maintenance import FLUSH, call
from footfall.lake.tables import BY_DAY
from footfall.service import LEFT_OUT

KEY = "shop-key"
CONFIG = f"""
[server.media]
reorder_seconds = 0

[[source]]
id = "shop"
key_sha256 = ["{hashlib.sha256(KEY.encode()).hexdigest()}"]
protocols = ["vaix", "jay", "adobe"]
consent = "required"

[source.privacy]
consent_header = "X-Consent"

[source.vaix]
client_ids = ["web"]

[source.adobe]
report_suites = ["suite"]
"""
NEMO, NOVA = "nemo-7b31f0c2", "nova-5a90c1d4"
"""In every id of who said nothing, and of who gave consent."""
TS = 1_792_504_790_000


class Visitor:
    """One person's clients, and every id that they have or are given."""

    def __init__(self, server, mark, **headers):
        self.server, self.mark, self.headers = server, mark, headers
        self.ids = {mark}

    def send(self, method, path, body, expected, **headers):
        given = {"Content-Type": "application/json", **self.headers, **headers}
        answer = self.server.request(method, path, json.dumps(body), given)
        assert answer.status == expected, answer
        return answer

    def click(self, **data):
        body = {
            "event_type": "clicks:event", "user_id": f"user-{self.mark}",
            "data": {"page": f"/home?user={self.mark}#{self.mark}", "location": "a:b",
                     "event_id": f"e-{self.mark}", "position": 1, **data},
        }  # fmt: skip
        bearer = {"Authorization": f"Bearer {KEY}", "x-vaix-client-id": "web"}
        self.send("POST", "/api/tracker/events", body, 204, **bearer, **self.tracked())
        self.send("POST", "/api/tracker/events", {"user_id": f"user-{self.mark}"}, 422, **bearer)

    def tracked(self):
        return {"__Secure-jay_tracking": self.tracking} if hasattr(self, "tracking") else {}

    def begin_tracking(self):
        body = {"user_id": f"jay-{self.mark}"}
        key = {"X-API-Key": KEY}
        answer = self.send("POST", "/v1/playouts/tracking/session", body, 200, **key)
        self.tracking = json.loads(answer.body)["session_id"]
        self.ids.add(self.tracking)

    def end_tracking(self):
        key = {"X-API-Key": KEY, **self.tracked()}
        self.send("DELETE", "/v1/playouts/tracking/session", None, 200, **key)

    def watch(self, *kinds):
        params = {
            "analytics.trackingServer": "t", "analytics.reportSuite": "suite",
            "visitor.marketingCloudOrgId": "o", "media.id": "film", "media.length": 60,
            "media.contentType": "vod", "media.playerName": "p", "media.channel": "c",
            "visitor.marketingCloudUserId": f"ecid-{self.mark}",
            "analytics.visitorId": f"visitor-{self.mark}", "analytics.aid": f"aid-{self.mark}",
            "appInstallationId": f"app-{self.mark}",
            "visitor.customerIDs": {"crm": {"id": f"crm-{self.mark}"}},
        }  # fmt: skip
        own = {"customMetadata": {"member": f"member-{self.mark}"}}
        start = {"eventType": "sessionStart", "playerTime": {"playhead": 0, "ts": TS}}
        answer = self.send("POST", "/api/v1/sessions", {**start, "params": params, **own}, 201)
        path = answer.headers["location"]
        self.ids.add(path.rpartition("/")[2])
        parts = {
            "adBreakStart": {"media.ad.podIndex": 1, "media.ad.podSecond": 0},
            "adStart": {"media.ad.id": "ad", "media.ad.length": 5, "media.ad.podPosition": 1,
                        "media.ad.playerName": "p",
                        "media.ad.creativeURL": f"https://ads.example/?{self.mark}"},
            "chapterStart": {"media.chapter.index": 1, "media.chapter.offset": 0,
                             "media.chapter.length": 9},
        }  # fmt: skip
        for second, kind in enumerate(kinds, 1):
            event = {
                "eventType": kind,
                "playerTime": {"playhead": second, "ts": TS + second * 1000},
            }
            if kind in parts:
                event |= {"params": parts[kind], **own}
            self.send("POST", f"{path}/events", event, 204)


def lake_as_text(lake) -> str:
    """Every row of every Parquet file and of the catalogue's own tables, and every file's bytes."""
    found = [path.read_bytes().decode("latin-1") for path in lake.rglob("*") if path.is_file()]
    with duckdb.connect() as connection:
        places = [f"read_parquet('{path}')" for path in lake.rglob("*.parquet")]
        connection.execute(f"ATTACH '{lake / 'catalog.ducklake'}' AS catalogue (READ_ONLY)")
        tables = connection.execute(
            "SELECT schema_name, table_name FROM duckdb_tables() WHERE database_name = 'catalogue'"
        ).fetchall()
        assert any(name.startswith("ducklake_") for _, name in tables)
        places += [f'catalogue."{schema}"."{name}"' for schema, name in tables]
        for place in places:
            rows = connection.execute(f"SELECT to_json(row)::VARCHAR FROM {place} AS row")
            found += [text for (text,) in rows.fetchall()]
    return "\n".join(found)


def flush(directory):
    """Move the newest rows out of the catalogue into Parquet files, as maintenance does."""
    lake = Lake(directory, memory_mb=256, threads=1)
    lake.open()
    with contextlib.closing(lake):
        for table in BY_DAY:
            statement = FLUSH.format(table.name)
            asyncio.run(lake.run(functools.partial(call, lake, statement)))


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_nobody_is_in_the_lake_who_gave_no_consent(start, tmp_path):
    config = tmp_path / "footfall.toml"
    config.write_text(CONFIG)
    server = start("--config", config, dev=False)
    nemo = Visitor(server, NEMO)
    nova = Visitor(server, NOVA, **{"X-Consent": "granted"})
    for visitor in (nemo, nova):
        visitor.begin_tracking()
        visitor.click()
        visitor.end_tracking()
        visitor.watch("play", "chapterStart", "adBreakStart", "adStart", "adComplete",
                      "adBreakComplete", "sessionEnd")  # fmt: skip
        visitor.watch("play", "ping")

    # Both are counted; one of them is nobody.
    rows = query(server.data, "SELECT * EXCLUDE (partition, position) FROM events")
    withheld = [row for row in rows if row["ip"] is None]
    assert (len(rows), len(withheld)) == (28, 14)
    left_out = LEFT_OUT - {"facts"}
    assert {row[name] for row in withheld for name in left_out} == {None}
    assert {row["page"] for row in withheld} == {None, "/home"}
    assert {row["type"] for row in withheld} == {row["type"] for row in rows}
    sessions = query(server.data, "SELECT * FROM media_sessions ORDER BY state, session_id")
    assert [row["state"] for row in sessions] == ["closed", "closed", "open", "open"]
    nameless = [row for row in sessions if row["session_id"].startswith("withheld-")]
    assert [row["state"] for row in nameless] == ["closed", "open"]
    assert nameless[0]["ad_starts"] == 1
    for table in ("media_ads", "media_chapters"):
        names = [row["session_id"] for row in query(server.data, f"FROM {table}")]
        assert nameless[0]["session_id"] in names
    bodies = query(server.data, "SELECT body FROM rejects")
    assert sorted(row["body"] is None for row in bodies) == [False, True]
    sessions_of_nova = query(server.data, "SELECT protocol FROM sessions ORDER BY ALL")
    assert [row["protocol"] for row in sessions_of_nova] == ["adobe", "adobe", "jay", "vaix"]

    shown = run("tail", "--json", "--no-follow", "--data", server.data).stdout
    ended = run("session", "--json", nameless[0]["session_id"], "--data", server.data).stdout
    server.stop()
    loaded = lake_as_text(server.data / "lake")
    flush(server.data / "lake")
    assert list((server.data / "lake").rglob("*.parquet"))
    flushed = lake_as_text(server.data / "lake")
    for text in (json.dumps([rows, sessions]), shown, ended, loaded, flushed):
        assert not [one for one in nemo.ids if one in text]
    for text in (shown, loaded, flushed):
        assert not [one for one in nova.ids if one not in text], "else nothing was looked at"
