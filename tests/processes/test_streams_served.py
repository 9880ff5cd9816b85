"""Streams of a whole server: processes that are killed, restarted and reloaded under its viewers."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from running import eventually, run, send

sys.path.insert(0, str(Path(__file__).parents[1] / "stream"))

from rules import Follower, broken, read
from stream_outside import Outside

pytestmark = pytest.mark.slow

SITE = '[[source]]\nid = "site"\nprotocols = []\n\n'
ID = "bpkio_sessionid={}"
IDS = f"{ID}&bpkio_multivariant=master.m3u8"


@pytest.fixture
def outside():
    found = Outside()
    yield found
    found.close()


@pytest.fixture
def serve(start, tmp_path, outside):
    """`serve(*services)`: a server of two collectors; again, the next one on the same data."""

    def call(*services, command=None):
        services = services or (outside.toml(),)
        (tmp_path / "footfall.toml").write_text(SITE + "".join(services))
        more = {} if command is None else {"command": command}
        return start("--workers", 2, dev=False, **more)

    return call


class Viewer:
    """A session that follows one live list, whatever becomes of the processes."""

    def __init__(self, server, session, name="tv"):
        self.server, self.session, self.name = server, session, name
        self.follower = Follower()
        self.played = {}
        """What was listed, by number."""

    def path(self):
        return f"/stream/{self.name}/video.m3u8?{IDS.format(self.session)}"

    def get(self, path):
        """The answer, asked for again while nobody is there to give it."""

        def answer():
            with contextlib.suppress(OSError, http.client.HTTPException):
                return self.server.get(path)
            return None

        return eventually(answer, path)

    def refresh(self):
        answer = self.get(self.path())
        assert answer.status == 200, answer.body
        listing = read(answer.body.decode())
        assert broken(listing) + self.follower.broken(listing, listing.rows[0].at_us) == []
        self.played |= {row.number: row.uri for row in listing.rows}
        return listing

    def told(self):
        path = f"/stream/{self.name}/master.m3u8?{ID.format(self.session)}&bk-ml=1.0"
        answer = self.get(path)
        assert answer.status == 200
        return json.loads(answer.body)["adpods"]

    def watch(self, until):
        while time.time() < until:
            self.refresh()
            time.sleep(0.2)

    def ads(self):
        """Ads in the order in which they were listed, by their length."""
        urls = [url for _, url in sorted(self.played.items()) if "/creative/" in url]
        return [int(url.split("/creative/")[1].split("/")[0]) for url in urls]


def kill_collectors(server):
    for child in server.children():
        if child.name.startswith("collector"):
            os.kill(child.pid, signal.SIGKILL)


def test_a_kill_while_an_ad_decision_is_under_way(serve, outside):
    """The original plays, nobody is asked again, and the decision is recorded as lost."""
    server = serve()
    viewer = Viewer(server, "one")
    viewer.refresh()
    outside.ads_gate.clear()
    start = int(time.time()) + 2
    outside.breaks.append((start, 10))

    def asked():
        viewer.refresh()
        return outside.asked

    eventually(asked, "the ad server is asked")
    kill_collectors(server)
    outside.ads_gate.set()
    viewer.watch(start + 14)
    assert viewer.ads() == []
    assert len(outside.asked) == 1
    (pod,) = viewer.told()
    assert pod["ads"] == []

    def lost():
        return server.query("SELECT outcome, reason, calls FROM ad_breaks")

    (row,) = eventually(lost, "it is recorded")
    assert (row["outcome"], row["calls"]) == ("lost", 0)
    assert "not decided in time" in row["reason"]
    assert {one["event"] for one in server.log() if one["level"] == "error"} <= {"child ended"}


def killed_while_it_reports(serve, outside):
    """A server whose collectors died between a beacon's commit and its sending."""
    server = serve(outside.toml(tracking="server"))
    viewer = Viewer(server, "one")
    viewer.refresh()
    outside.breaks.append((int(time.time()) + 2, 10))

    def listed():
        return [row.uri for row in viewer.refresh().rows if "/ad/" in row.uri]

    first = eventually(listed, "an ad is listed")[0]
    outside.beacons_gate.clear()
    answer = server.get(first)
    assert (answer.status, answer.headers["location"]) == (
        307, f"{outside.url}/creative/4/0.ts",
    )  # fmt: skip
    eventually(lambda: outside.beacons, "the first is being sent")
    kill_collectors(server)
    outside.beacons_gate.set()
    assert viewer.get(first).status == 307
    time.sleep(1)
    assert outside.beacons == ["4/impression"]

    def due():
        return server.query("SELECT count(*) AS n FROM events WHERE type = 'beacon-due'")[0]["n"]

    eventually(lambda: due() == 2, "the lake has what was due")
    return server


def test_a_kill_between_a_beacons_commit_and_its_sending(serve, outside):
    """What was promised and may have arrived is never sent again."""
    server = killed_while_it_reports(serve, outside)
    assert server.query("SELECT count(*) AS n FROM events WHERE type = 'beacon'") == [{"n": 0}]
    assert outside.beacons == ["4/impression"]


@pytest.mark.long
def test_what_nobody_can_know_of_a_beacon_counts_as_uncertain(serve, outside):
    """From a minute later on: nobody waits for an answer any more."""
    server = killed_while_it_reports(serve, outside)
    (row,) = eventually(
        lambda: server.query(
            "SELECT uncertain, impressions, started FROM ads WHERE position = 1 AND uncertain > 0"
        ),
        "they count as uncertain",
        90,
    )
    assert row == {"uncertain": 2, "impressions": 0, "started": 0}


def test_sessions_outlive_the_server(serve, outside):
    """The same ads, ids, times and numbers, before and after, in the midst of a break."""
    server = serve()
    viewers = [Viewer(server, name) for name in ("one", "two")]
    for one in viewers:
        one.refresh()
    start = int(time.time()) + 2
    outside.breaks.append((start, 7))
    while time.time() < start + 5.5:
        for one in viewers:
            one.refresh()
        time.sleep(0.2)
    before = [one.told() for one in viewers]
    assert [len(pods) for pods in before] == [1, 1]
    assert server.stop() == 0
    again = serve()
    for one, pods in zip(viewers, before, strict=True):
        one.server = again
        (pod,) = one.told()
        assert pod["id"] == pods[0]["id"]
        assert pod["starttime_ms"] == pods[0]["starttime_ms"]
        assert pod["ads"][: len(pods[0]["ads"])] == pods[0]["ads"]
    while time.time() < start + 12:
        for one in viewers:
            one.refresh()
        time.sleep(0.2)
    assert [one.ads() for one in viewers] == [[4] * 4 + [3] * 3] * 2
    assert len(outside.asked) == 2
    rows = eventually(
        lambda: server_rows(again, "SELECT session_id, outcome FROM ad_breaks ORDER BY 1", 2),
        "both",
    )
    assert rows == [
        {"session_id": "one", "outcome": "filled"}, {"session_id": "two", "outcome": "filled"},
    ]  # fmt: skip


def server_rows(server, sql, least):
    found = server.query(sql)
    return found if len(found) >= least else None


@pytest.mark.parametrize("kind", ["vod", "live"])
def test_twenty_requests_of_a_new_session_at_once_are_one_decision(serve, outside, kind):
    server = serve(outside.toml("x", kind))
    if kind == "live":
        outside.breaks.append((int(time.time()) - 2, 30))
    warm = f"/stream/x/video.m3u8?{IDS.format('warm')}"
    eventually(lambda: server.get(warm).status == 200, "it is served")
    outside.asked.clear()
    tracking = f"/stream/x/master.m3u8?{ID.format('new')}&bk-ml=2.0"
    targets = [tracking, f"/stream/x/video.m3u8?{IDS.format('new')}"] * 10
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(server.get, targets))
    assert {one.status for one in answers} == {200}
    assert len(outside.asked) == 1
    told = [json.loads(one.body) for one in answers[::2]]
    assert len({pod["id"] for one in told for pod in one["adpods"]}) == 1
    if kind == "vod":
        lists = {one.body for one in answers[1::2]}
        assert len(lists) == 1
        assert lists.pop().count(b"/creative/") == 7
        assert len({json.dumps(one) for one in told}) == 1
    rows = eventually(
        lambda: server_rows(
            server, "SELECT outcome FROM ad_breaks WHERE session_id = 'new'", 1
        ), "it is recorded",
    )  # fmt: skip
    assert len(rows) == 1


def test_services_come_and_go_under_open_connections(serve, outside, tmp_path):
    server = serve(outside.toml("first", "vod"))
    connections = [http.client.HTTPConnection("127.0.0.1", server.port) for _ in range(12)]

    def statuses(name):
        path = f"/stream/{name}/video.m3u8?{IDS.format('a')}"
        return {send(one, "GET", path).status for one in connections}

    assert (statuses("first"), statuses("late")) == ({200}, {404})
    mine = [one.sock.getsockname() for one in connections]
    file = tmp_path / "footfall.toml"
    file.write_text(SITE + outside.toml("first", "vod") + outside.toml("late", "vod"))
    server.signal(signal.SIGHUP)
    eventually(lambda: statuses("late") == {200}, "the new service is there")
    assert statuses("first") == {200}
    file.write_text(SITE + outside.toml("late", "vod"))
    server.signal(signal.SIGHUP)
    eventually(lambda: statuses("first") == {404}, "the old one is gone")
    assert statuses("late") == {200}
    assert [one.sock.getsockname() for one in connections] == mine
    assert server.log("child ended") == []
    for one in connections:
        one.close()


def test_a_session_that_is_erased_is_gone_from_state_and_lake(serve, outside):
    services = outside.toml("x", "vod", tracking="server")
    server = serve(services)
    opened = server.get("/stream/x/video.m3u8")
    assert opened.status == 307
    session = re.search("bpkio_sessionid=([^&]+)", opened.headers["location"])[1]
    paths = {name: f"/stream/x/video.m3u8?{IDS.format(name)}" for name in (session, "other")}
    for path in paths.values():
        text = server.get(path).body.decode()
        segment = re.search(r"\S+/ad/\S+", text)[0]
        assert server.get(segment).status == 307
    assert len(outside.asked) == 2

    def sessions(table):
        rows = server.query(f"SELECT DISTINCT session_id AS s FROM {table} ORDER BY 1")
        return {row["s"] for row in rows}

    both = {session, "other"}
    eventually(lambda: sessions("ads") == both and sessions("ad_breaks") == both, "all is loaded")
    receipt = json.loads(run("forget", "--session", session, "--data", server.data).stdout)
    assert receipt
    for table in ("ads", "ad_breaks", "events"):
        assert sessions(table) == {"other"}
    for path in (server.data / "journal").rglob("*"):
        if path.is_file():
            assert session.encode() not in path.read_bytes(), path

    # Nobody knows it any longer, which a collector notices within a second: who comes with its id
    # begins anew, and the other one does not.
    def begins_anew():
        assert server.get(paths[session]).status == 200
        return len(outside.asked) == 3

    eventually(begins_anew, "it begins anew")
    assert server.get(paths["other"]).status == 200
    assert len(outside.asked) == 3
