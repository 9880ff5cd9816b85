"""Adobe's sample player, replayed: its session closes by time-out, with numbers derived by hand.

From the recording's timestamps, in seconds since sessionStart. "Playing" is content; an ad break
is between adBreakStart and adBreakComplete:

    0.002 play … 10.489 pauseStart          10.487 content
    10.489 … 12.495 play                     2.006 pause
    12.495 … 17.512 adBreakStart             5.017 content (0 … 14.92 of the film by now)
    17.514 adStart … 32.503 adComplete      14.989 ad
    32.503 adBreakComplete … 38.489 pause    5.986 content: it goes on as it was before the break
    38.489 … 38.497 play                     0.008 pause: the seek back to the beginning
    38.497 … 54.003 adBreakStart            15.506 content, of what was seen before
    54.003 adStart … 69.002 adComplete      14.999 ad
    69.002 … 89.002, the last ping          20.000 content (up to 35.405205 of the film)

Nothing counts after the last event. Content 56.996, pauses 2 and 2.014, ads 2 and 29.988. Seen of
the film: 0 to 14.921324 and 15 to 35.405205, which is 35.326529; the second play from 9.9 to 14.9
adds nothing, and neither does the jump from 20.9 to 0. Of 45.393727 s the furthest playhead is
78 %: 10, 25, 50 and 75. `mute` was on from 0.002 to 6.490. Four chapters begun, three completed.
"""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import httpx
import pytest
from running import eventually, query, run

RECORDING = Path(__file__).parents[1] / "traffic" / "adobe-js-sdk-sample-player.jsonl"
EXPECTED = {
    "state": "closed",
    "why": "idle",
    "content_time_spent_s": 56.996,
    "ad_time_spent_s": 29.988,
    "media_time_spent_s": 86.984,
    "unique_time_played_s": 35.326529,
    "pause_events": 2,
    "pause_time_s": 2.014,
    "stall_events": 0,
    "buffer_events": 0,
    "ad_breaks": 2,
    "ad_starts": 2,
    "ad_completes": 2,
    "chapter_starts": 4,
    "chapter_completes": 3,
    "content_start": True,
    "content_complete": False,
    "drop_before_start": False,
    "bitrate_average_kbps": 50.0,
    "time_to_start_s": 0.001,
    "errors": 0,
    "watched_s": 89.002,
}


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_the_sample_player_times_out(start, tmp_path):
    config = tmp_path / "footfall.toml"
    config.write_text("[server.media]\nidle_seconds = 5\nreorder_seconds = 1\n")
    server = start("--config", config)
    replayed = run("replay", RECORDING, "--to", server.url, "--no-wait")
    assert replayed.returncode == 0, replayed.stdout + replayed.stderr
    eventually(lambda: server.status()["media"]["open_sessions"] == 1, "the session is open")
    eventually(lambda: server.status()["media"]["open_sessions"] == 0, "the session is final")

    columns = ", ".join([*EXPECTED, "progress_markers"]).replace("watched_s, ", "")
    (row,) = query(
        server.data,
        f"SELECT {columns}, (epoch_us(ended_at) - epoch_us(started_at)) / 1e6 AS watched_s, "
        "session_id FROM media_sessions",
    )
    session_id = row.pop("session_id")
    markers = row.pop("progress_markers")
    assert markers == [10, 25, 50, 75]
    assert row == pytest.approx(EXPECTED)
    (state,) = query(server.data, "SELECT name, starts, time_s FROM media_states")
    assert state == {"name": "mute", "starts": 1, "time_s": pytest.approx(6.488)}

    (told,) = json.loads(run("session", session_id, "--json", "--data", server.data).stdout)
    account = told["media_sessions"][0]["account"]
    assert account["types"]["ping"] == 5
    # The SDK says play once more: 1 s after the start, after each adStart and adBreakComplete.
    assert account["ignored"] == {"repeated": 5}
    steps = told["events"]
    assert len(steps) == 33
    assert [s["type"] for s in steps if s["ignored"]] == ["play"] * 5
    paused = next(s for s in steps if s["type"] == "pauseStart")
    assert (paused["before"], paused["after"]) == ("playing", "paused")
    assert paused["changed"]["pause_events"] == 1
    shown = run("session", session_id, "--data", server.data).stdout
    assert "content_time_spent_s" in shown

    def sent(at, session=session_id):
        """The status of a ping at so many seconds after the last event."""
        ts = round(last.timestamp() * 1000) + at * 1000
        body = {"eventType": "ping", "playerTime": {"playhead": 36, "ts": ts}}
        path = f"{server.url}/api/v1/sessions/{session}/events"
        return httpx.post(path, json=body).status_code

    last = datetime.fromisoformat(told["media_sessions"][0]["ended_at"])
    assert sent(10) == 410
    assert sent(-10) == 204
    assert sent(10, "0" * 64) == 404
    strays = "footfall_media_stray_events_total 1.0"
    eventually(lambda: strays in server.get("/metrics").body.decode(), "the late one is counted")
    (stray,) = query(server.data, "SELECT session_id, type FROM media_strays")
    assert stray == {"session_id": session_id, "type": "ping"}
    (row,) = query(server.data, "SELECT state, events FROM media_sessions")
    assert row == {"state": "closed", "events": told["media_sessions"][0]["events"]}

    missing = run("session", "0" * 64, "--data", server.data, check=False)
    assert missing.returncode == 1
    assert "F403" in missing.stderr
