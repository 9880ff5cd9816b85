"""Files that were damaged, cut, or taken away while nothing ran: what a start makes of them."""

from __future__ import annotations

import json
import shutil

import pytest
from load import Load
from running import eventually, run

pytestmark = pytest.mark.slow

SESSION = "/v1/playouts/tracking/session"
KEY = {"X-API-Key": "dev-key"}


def begin_session(server):
    made = server.request("POST", SESSION, headers=KEY)
    assert made.status == 200
    return json.loads(made.body)["session_id"]


def knows(server, session_id):
    return server.get(SESSION, {**KEY, "X-JAY-TRACKING": session_id}).status == 200


def flip(path, offset):
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 0xFF]))


def damage(path):
    for offset in range(100, path.stat().st_size, 1000):
        flip(path, offset)


def cut(path):
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def take_away(path):
    for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
        path.with_name(name).unlink(missing_ok=True)


@pytest.mark.parametrize("harm", [damage, cut, take_away])
def test_live_sessions_outlive_the_state_file(start, harm):
    server = start()
    alive, ended = begin_session(server), begin_session(server)
    assert server.request("DELETE", SESSION, headers={**KEY, "X-JAY-TRACKING": ended}).status == 200
    assert server.stop() == 0
    harm(server.data / "journal" / "state.db")

    server = start()
    (_, said) = server.log("journal verified")
    assert said["rebuilt"], "the start does not say that it built the state anew"
    assert knows(server, alive)
    assert not knows(server, ended)
    assert knows(server, begin_session(server))
    assert len(server.query("SELECT * FROM events WHERE protocol = 'jay'")) == 4


def segments(server):
    return sorted((server.data / "journal").glob("*.log"))


def test_a_torn_tail(start):
    """What a loss of power leaves of a record that nobody was told of."""
    server = start()
    with Load(server.port, clients=2) as load:
        load.wait_for(100)
        load.stop()
    server.stop()
    (said,) = server.log("journal verified")
    end = run("status", "--json", "--data", server.data).stdout
    place = json.loads(end)["journal"]["end"]
    (segment,) = segments(server)
    with segment.open("r+b") as file:
        file.seek(place)
        file.write(b"\xfe\xf5\xfd\xf6" + bytes(range(1, 200)))

    server = start()
    (_, said) = server.log("journal verified")
    assert said["cut_bytes"] > 0
    assert said["damage"] == []
    with Load(server.port, clients=1, first=10**6) as later:
        later.wait_for(50)
        later.stop()
    load.sent |= later.sent
    load.acknowledged |= later.acknowledged
    load.check(server.data)


def test_damage_in_the_middle_costs_what_was_hit_and_is_told(start):
    server = start()
    with Load(server.port, clients=1) as load:
        load.wait_for(100)
        load.stop()
    server.stop()
    (segment,) = segments(server)
    content = segment.read_bytes()
    hit = content.index(b'"event_id":"50"', 0)
    flip(segment, hit)
    # Nothing of it is in the lake yet: the lake is to be made of this journal.
    shutil.rmtree(server.data / "lake")

    server = start()
    assert server.get("/readyz").status == 200
    rows = server.query(
        "SELECT CAST(json_extract_string(properties, '$.event_id') AS INTEGER) AS n FROM events"
    )
    stored = {row["n"] for row in rows}
    lost = load.acknowledged - stored
    assert 50 in lost
    assert len(lost) <= 4, "more was lost than the record that was hit"
    (_, said) = server.log("journal verified")
    (passed_over,) = server.log("lake.journal_damage_passed_over")
    assert passed_over["start"] <= hit < passed_over["end"]
    assert [[*place] for place in said["damage"]], "the start does not name the damage"
    assert server.status()["lake"]["unreadable_stretches"] == 1
    told = b"footfall_journal_damage_total 1.0"
    eventually(lambda: told in server.get("/metrics").body, "it is counted")


def test_a_lake_that_was_deleted_is_made_again(start):
    """As far as the journal reaches, which is `server.journal_retention_hours`."""
    server = start()
    session_id = begin_session(server)
    with Load(server.port, clients=2) as load:
        load.wait_for(100)
        load.stop()
    server.request("POST", "/api/tracker/events", b"{}", {"Authorization": "Bearer wrong"})
    before = server.query("SELECT * FROM events ORDER BY event_id")
    rejects = server.query("SELECT * FROM rejects")
    server.stop()
    shutil.rmtree(server.data / "lake")

    server = start()
    assert server.query("SELECT * FROM events ORDER BY event_id") == before
    assert server.query("SELECT * FROM rejects") == rejects
    assert knows(server, session_id)
    load.check(server.data)


def test_an_older_journal_under_a_newer_lake(start, tmp_path):
    """It is told, what is in the lake can be asked for, and requests are taken."""
    server = start()
    with Load(server.port, clients=1) as load:
        load.wait_for(20)
        load.stop()
    server.stop()
    shutil.copytree(server.data / "journal", tmp_path / "older")
    server = start()
    with Load(server.port, clients=1) as load:
        load.wait_for(200)
        load.stop()
    server.stop()
    shutil.rmtree(server.data / "journal")
    (tmp_path / "older").rename(server.data / "journal")

    server = start()
    assert server.get("/readyz").status == 200
    (counted,) = server.query("SELECT count(*) AS n FROM events")
    assert counted["n"] >= len(load.acknowledged)
    assert "not the journal that this lake was loaded from" in server.log_text()
