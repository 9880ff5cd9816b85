"""Posts of media events (Adobe Media Collection) against posts of vaix events, one server, one run.

Both are durable before the reply, decided and counted alike; a media event besides looks up its
session under the journal's lock. The worker follows with the fold and loads.

    python -m bench.adobe [--seconds 5] [--rounds 3]
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import statistics
import tempfile
import time
from pathlib import Path

from bench.http import footfall, lua, query, wrk

CONNECTIONS = 64
SESSIONS = 256
AT_LEAST = 0.8
PARAMS = {
    "analytics.trackingServer": "t.example",
    "analytics.reportSuite": "bench",
    "visitor.marketingCloudOrgId": "org",
    "media.id": "film",
    "media.length": 5400,
    "media.contentType": "vod",
    "media.playerName": "player",
    "media.channel": "web",
}


def begin(port: int, now_ms: int) -> list[str]:
    """Sessions that play: their places."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    places = []
    for _ in range(SESSIONS):
        body = {"eventType": "sessionStart", "playerTime": {"playhead": 0, "ts": now_ms},
                "params": PARAMS}  # fmt: skip
        connection.request("POST", "/api/v1/sessions", json.dumps(body))
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 201, answer.status
        places.append(answer.headers["Location"])
    return places


def pings(places: list[str], now_ms: int) -> str:
    """A wrk script that sends a ping to each session in turn, its time rising."""
    requests = []
    for place in places:
        body = json.dumps(
            {"playerTime": {"playhead": "PLAYHEAD", "ts": "TS"}, "eventType": "ping", "params": {},
             "qoeData": {"media.qoe.bitrate": 2400000, "media.qoe.framesPerSecond": 25}}
        ).replace('"PLAYHEAD"', "%7.1f").replace('"TS"', "%d")  # fmt: skip
        head = (
            f"POST {place}/events HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            "Origin: https://shop.example\r\nUser-Agent: Mozilla/5.0 (Windows NT 10.0; Win64; x64)"
            " AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36\r\n"
            "Content-Type: application/json\r\n"
            f"Content-Length: {len(body % (0, now_ms))}\r\n\r\n"
        )
        requests.append(json.dumps(head.replace("%", "%%") + body))
    return (
        f"local requests = {{{', '.join(requests)}}}\nlocal turn = 0\n"
        "request = function()\n  turn = turn + 1\n  local round = math.floor(turn / #requests)\n"
        f"  return string.format(requests[turn % #requests + 1], round * 0.5, {now_ms} + round * 500)"
        "\nend\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    os.environ["PATH"] += ":/usr/sbin"
    rates: dict[str, list[float]] = {"vaix": [], "adobe": []}
    refused = 0
    with tempfile.TemporaryDirectory(prefix="footfall-bench-") as name:
        folder = Path(name)
        now_ms = round(time.time() * 1000)
        with footfall(folder) as (port, _, data):
            scripts = {"vaix": folder / "vaix.lua", "adobe": folder / "adobe.lua"}
            scripts["vaix"].write_text(lua("127.0.0.1"))
            scripts["adobe"].write_text(pings(begin(port, now_ms), now_ms))
            for script in scripts.values():
                wrk(script, port, CONNECTIONS, 2)
            for _ in range(arguments.rounds):
                for protocol, script in scripts.items():
                    run = wrk(script, port, CONNECTIONS, arguments.seconds)
                    rates[protocol].append(run.rate)
                    refused += run.refused
            ended = time.monotonic()
            (row,) = query(data, "select count(*) as n, sum(events) as events from media_sessions")
            lag = time.monotonic() - ended
    vaix, adobe = (statistics.median(rates[protocol]) for protocol in ("vaix", "adobe"))
    print("| posts | req/s | ratio | at least |\n|---|---:|---:|---:|")
    print(f"| vaix events | {vaix:,.0f} | | |")
    print(f"| media events | {adobe:,.0f} | **{adobe / vaix:.2f}** | {AT_LEAST} |")
    print(f"\n- {CONNECTIONS} connections; answers other than 2xx: {refused}")
    print(
        f"- {row['events']:,.0f} events of {row['n']} sessions, asked for {lag:.1f} s after the load"
    )


if __name__ == "__main__":
    main()
