"""kill -9 in the midst of open media sessions: they go on, and their metrics know nothing of it."""

from __future__ import annotations

import http.client
import json
import os
import signal
import time

import pytest
from running import eventually, query

SESSIONS = 1000
METRICS = {
    "content_time_spent_s": 25.0,
    "pause_time_s": 5.0,
    "pause_events": 1,
    "ad_time_spent_s": 4.0,
    "ad_completes": 1,
    "progress_markers": [10, 25],
    "events": 11,
    "ignored_events": 0,
    "late_events": 0,
}
PARAMS = {
    "analytics.trackingServer": "t.example",
    "analytics.reportSuite": "suite",
    "visitor.marketingCloudOrgId": "org",
    "media.id": "film",
    "media.length": 60,
    "media.contentType": "vod",
    "media.playerName": "player",
    "media.channel": "web",
}
BEFORE = (
    (0, 0, "adBreakStart", {"media.ad.podIndex": 0, "media.ad.podSecond": 0}),
    (0, 0, "adStart", {"media.ad.id": "a", "media.ad.length": 4, "media.ad.podPosition": 1}),
    (4, 0, "adComplete", {}),
    (4, 0, "adBreakComplete", {}),
    (4, 0, "play", {}),
    (14, 10, "ping", {}),
)
AFTER = (
    (24, 20, "pauseStart", {}),
    (29, 20, "play", {}),
    (34, 25, "ping", {}),
    (34, 25, "sessionEnd", {}),
)


class Player:
    """Sends one session after another over one connection."""

    def __init__(self, server):
        self.connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)

    def post(self, path, ts, playhead, kind, params):
        body = {
            "playerTime": {"ts": ts, "playhead": playhead},
            "eventType": kind,
            "params": params,
        }
        headers = {"Content-Type": "application/json"}
        self.connection.request("POST", path, json.dumps(body), headers)
        answer = self.connection.getresponse()
        answer.read()
        return answer

    def begin(self, start):
        answer = self.post("/api/v1/sessions", start, 0, "sessionStart", PARAMS)
        assert answer.status == 201
        return answer.headers["Location"]

    def play(self, location, start, events):
        for at, playhead, kind, params in events:
            path = f"{location}/events"
            answer = self.post(path, start + 1000 * at, playhead, kind, params)
            assert answer.status == 204, (answer.status, kind)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_open_sessions_survive(start):
    server = start()
    begun = round(time.time() * 1000) - 60_000
    player = Player(server)
    locations = [player.begin(begun) for _ in range(SESSIONS)]
    # In the midst: the worker dies alone once, then everything at once.
    for number, location in enumerate(locations):
        player.play(location, begun, BEFORE)
        if number == SESSIONS // 2:
            os.kill(server.child("worker"), signal.SIGKILL)
    server.kill()

    server = start()
    player = Player(server)
    for location in locations:
        player.play(location, begun, AFTER)

    columns = ", ".join(METRICS)
    asked = f"SELECT session_id, why, {columns} FROM media_sessions"
    rows = {row["session_id"]: row for row in query(server.data, asked)}
    assert rows.keys() == {location.rpartition("/")[2] for location in locations}
    wrong = [r for r in rows.values() if {k: r[k] for k in METRICS} != METRICS]
    assert not wrong, wrong[:3]
    assert {row["why"] for row in rows.values()} == {"ended"}

    # Final, each once, and still so after another start.
    server.kill()
    server = start()

    eventually(lambda: server.status()["media"]["open_sessions"] == 0, "all sessions are final")
    told = query(
        server.data, "SELECT count(*) AS n, count(DISTINCT session_id) AS ids FROM media_sessions"
    )
    assert told == [{"n": SESSIONS, "ids": SESSIONS}]
    ads = query(server.data, "SELECT count(*) AS n, sum(ad_time_spent_s) AS s FROM media_ads")
    assert ads == [{"n": SESSIONS, "s": 4.0 * SESSIONS}]
