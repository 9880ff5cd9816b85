"""Keep a data directory of this release: `python tests/releases/make.py`, once per release.

Writes `tests/releases/VERSION/`: `data.zip`, the directory as a server left it that was killed
(some events in Parquet, some in the catalogue, some only in the journal), `footfall.toml`, and
`answers.json`, what this release answers to some queries. `test_releases.py` asks every later
release the same. A directory that is there already is what users have: it is never made anew.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "processes"))

from running import Running, eventually, query

from footfall import __version__
from footfall.data import DataDirectory
from footfall.journal.engines.local import LocalJournal
from footfall.lake.lake import Lake
from footfall.lake.loader import Loader
from footfall.lake.maintenance import Maintenance

HERE = Path(__file__).parent
SHOP, CASINO = "key-of-shop", "key-of-casino"
SETTINGS = f"""\
[[source]]
id = "shop"
key_sha256 = "{hashlib.sha256(SHOP.encode()).hexdigest()}"
protocols = ["vaix", "jay", "mirror"]
[source.vaix]
client_ids = "shop"
[source.jay]
lifetime_hours = 8760

[[source]]
id = "casino"
key_sha256 = "{hashlib.sha256(CASINO.encode()).hexdigest()}"
protocols = ["vaix"]
[source.vaix]
client_ids = "*"
"""
QUERIES = (
    "SELECT source, protocol, type, count(*) AS n FROM events GROUP BY ALL ORDER BY ALL",
    "SELECT * FROM events ORDER BY position, event_id",
    "SELECT * FROM sessions ORDER BY source, protocol, session_id",
    "SELECT * FROM rejects ORDER BY received_at, reason",
    "SELECT properties ->> 'jay_session_id' AS jay, count(*) AS n FROM events GROUP BY 1 ORDER BY 1",
)
AGENTS = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 Version/18.1",
    "acme-backend/4.2 (jdk 21)",
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
)


def vaix(server, number, *, source="shop", session=None, status=204):
    impression = number % 3 == 0
    data = {"page": f"/live/{number % 4}", "location": "widget:recommended", "position": number}
    data |= {"events": [{"id": f"ä{number}"}]} if impression else {"event_id": str(number)}
    headers = {
        "Authorization": f"Bearer {SHOP if source == 'shop' else CASINO}",
        "x-vaix-client-id": source,
        "Content-Type": "application/json",
        "User-Agent": AGENTS[number % 3],
        "Referer": "https://www.example.com/live",
    }
    if session:
        headers["X-JAY-TRACKING"] = session
    kind = "impressions:events" if impression else "clicks:event"
    body = {"event_type": kind, "user_id": f"u-{number % 5}", "data": data}
    answer = server.request("POST", "/api/tracker/events", json.dumps(body), headers)
    assert answer.status == status, answer


def jay(server, method, session=None, **body):
    headers = {"X-API-Key": SHOP, "Content-Type": "application/json", "User-Agent": AGENTS[0]}
    if session:
        headers["X-JAY-TRACKING"] = session
    path = "/v1/playouts/tracking/session"
    answer = server.request(method, path, json.dumps(body) if body else None, headers)
    assert answer.status == 200, answer
    return json.loads(answer.body).get("session_id")


def mirror(server, number, session=None):
    headers = {
        "X-API-Key": SHOP, "X-Original-Method": "PUT", "X-Original-Host": "api.example.com",
        "X-Original-URI": f"/v1/bets/{number}?stake=5",
    }  # fmt: skip
    if session:
        headers["X-JAY-TRACKING"] = session
    assert server.request("GET", "/mirror", headers=headers).status == 204


def rejects(server):
    for body, key, status in (
        (b"not json", SHOP, 400),
        (b'{"event_type": "clicks:evnt", "data": {}}', SHOP, 422),
        (b"{}", "nobody", 401),
    ):
        headers = {
            "Authorization": f"Bearer {key}", "x-vaix-client-id": "shop",
            "Content-Type": "application/json",
        }  # fmt: skip
        answer = server.request("POST", "/api/tracker/events", body, headers)
        assert answer.status == status, answer


def traffic(server):
    """Some of everything; the ids of a session that lives and of one that was ended."""
    alive, ended = jay(server, "POST", user_id="u-1"), jay(server, "POST")
    for number in range(12):
        vaix(server, number, session=alive if number % 2 else None)
        vaix(server, number, source="casino")
    for number in range(6):
        mirror(server, number, session=ended)
    jay(server, "DELETE", session=ended)
    rejects(server)
    return alive, ended


def served(folder, *, clean):
    server = Running(folder, dev=False)
    try:
        ids = traffic(server.announced())
        if clean:
            eventually(lambda: server.status()["lake"]["behind_bytes"] == 0, "all is loaded")
            assert server.stop() == 0
        else:
            server.kill()
    finally:
        server.end()
    return ids


def flush(data):
    """Rows into Parquet files, which a server does after some minutes."""

    async def work():
        journal, lake = LocalJournal(data.journal), Lake(data.lake, memory_mb=256)
        journal.open()
        lake.open()
        try:
            maintenance = Maintenance(
                lake, Loader(journal, lake), journal,
                sources=lambda: (), journal_retention_hours=24,
            )  # fmt: skip
            await maintenance.run("flush")
        finally:
            lake.close()
            journal.close()

    LocalJournal.recover(data.journal)
    asyncio.run(work())


def main():
    target = HERE / __version__
    if target.exists():
        sys.exit(f"{target} is there already.")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "footfall.toml").write_text(SETTINGS)
        data = DataDirectory(folder / "data")
        sessions = served(folder, clean=True)
        flush(data)
        more = served(folder, clean=False)
        target.mkdir()
        (target / "footfall.toml").write_text(SETTINGS)
        shutil.make_archive(str(target / "data"), "zip", data.path)
        answers = {
            "at": time.time_ns() // 1000,
            "alive": [sessions[0], more[0]],
            "ended": [sessions[1], more[1]],
            "queries": [{"sql": sql, "rows": query(data.path, sql)} for sql in QUERIES],
        }
    text = json.dumps(answers, indent=1, ensure_ascii=False)
    (target / "answers.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
