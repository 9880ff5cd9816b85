"""Requests that are malformed, oversized, slow or random, while others send what is right.

Nothing of it may be a 5xx, a traceback, an accepted event that is lost, or the end of a process.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import random

import pytest
from load import LOST, Load, vaix

pytestmark = [pytest.mark.slow]

GOOD = vaix(0)
HEAD, _, BODY = GOOD.partition(b"\r\n\r\n")
PATHS = [
    b"/api/tracker/events", b"/v1/playouts/tracking/session", b"/mirror", b"/", b"/metrics",
    b"/api/v1/sessions", b"/api/v1/downloaded", b"/api/v1/schemas/play",
    b"/api/v1/sessions/" + b"0" * 64 + b"/events",
]  # fmt: skip
PLAY = {"eventType": "play", "playerTime": {"playhead": 1.5, "ts": 1_700_000_000_000}}
MEDIA = {
    "eventType": "sessionStart",
    "playerTime": {"playhead": 0, "ts": 1_700_000_000_000},
    "params": {
        "analytics.trackingServer": "t",
        "analytics.reportSuite": "suite",
        "visitor.marketingCloudOrgId": "org",
        "media.id": "film",
        "media.length": 100,
        "media.contentType": "vod",
        "media.playerName": "player",
        "media.channel": "web",
    },
    "qoeData": {"media.qoe.bitrate": 1},
    "customMetadata": {"a.b": "c"},
}
"""What a player sends; taken apart by `mutated`."""


def media(value, path=b"/api/v1/sessions"):
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return b"POST %b HTTP/1.1\r\nHost: t\r\nContent-Length: %d\r\n\r\n%b" % (path, len(body), body)


def with_body(body, *more):
    lines = [line for line in HEAD.split(b"\r\n") if not line.startswith(b"Content-Length")]
    lines += [b"Content-Length: %d" % len(body), *more]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


MALFORMED = [
    b"\r\n" * 1000,
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
    b"GET / HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"POST /api/tracker/events HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    b"POST /api/tracker/events HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
    b"POST /api/tracker/events HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
    b"POST /api/tracker/events HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n",
    b"POST /api/tracker/events HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 10_000 + b"\r\n",
    b"GET /%ff%fe%00 HTTP/1.1\r\nHost: \xff\xfe\r\n\r\n",
    b"GET http://[::1 HTTP/1.1\r\n\r\n",
    b"GET * HTTP/1.1\r\n\r\n",
    b"CONNECT a:1 HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    HEAD,
    with_body(b""),
    with_body(b"{}"),
    with_body(b"\xff\xfe\x00"),
    with_body(b"[" * 100_000),
    with_body(b'{"a":' * 5_000),
    with_body(b'{"data": {' + b",".join(b'"%d":1' % n for n in range(50_000)) + b"}}"),
    with_body(b'{"event_type": "' + b"\\ud800" * 10 + b'"}'),
    with_body(b"1e999999"),
    with_body(b"x" * 3_000_000),
    with_body(gzip.compress(bytes(50_000_000)), b"Content-Encoding: gzip"),
    with_body(b"not gzip", b"Content-Encoding: gzip"),
    with_body(BODY, b"Content-Encoding: br"),
    with_body(BODY, b"Expect: 100-continue"),
    with_body(BODY, b"Cookie: " + b"__Secure-jay_tracking=x; " * 500),
    b"POST /v1/playouts/tracking/session?user_id=%ff HTTP/1.1\r\nX-API-Key: dev-key\r\n\r\n",
    media(MEDIA | {"playerTime": {"playhead": -1e308, "ts": -(10**18)}}),
    media(MEDIA | {"playerTime": {"playhead": 1e308, "ts": 10**30}}),
    media(MEDIA | {"playerTime": {"playhead": True, "ts": 1.5}}),
    media(MEDIA | {"params": dict.fromkeys(MEDIA["params"])}),
    media(MEDIA | {"params": [MEDIA["params"]]}),
    media(MEDIA | {"customMetadata": {"\ud800": "\ud800"}}),
    media(json.dumps(MEDIA).replace("1.5", "NaN").replace("100", "Infinity").encode()),
    media([MEDIA, PLAY] * 2000, b"/api/v1/downloaded"),
    media([MEDIA, *[PLAY] * 5000], b"/api/v1/downloaded"),
    media(
        [
            MEDIA | {"params": MEDIA["params"] | {"media.length": 1e308}},
            PLAY | {"playerTime": {"playhead": 1e308, "ts": 253402300799999}},
        ],
        b"/api/v1/downloaded",
    ),
    media([[[[]]]], b"/api/v1/downloaded"),
    media(PLAY, b"/api/v1/sessions/" + b"f" * 64 + b"/events"),
    media(PLAY, b"/api/v1/sessions/%2e%2e/events"),
    b"GET /api/v1/schemas/%00 HTTP/1.1\r\nHost: t\r\n\r\n",
    b"OPTIONS /mirror/../.. HTTP/1.1\r\nX-API-Key: dev-key\r\nX-Original-URI: \xff\r\n\r\n",
]


def mutated(chance):
    """A good request, or the head of another, with some bytes changed, lost or doubled."""
    data = bytearray(chance.choice([GOOD, media(MEDIA), chance.choice(MALFORMED)[:3000]]))
    if chance.random() < 0.5:
        data = data.replace(PATHS[0], chance.choice(PATHS))
    for _ in range(chance.randrange(1, 8)):
        place = chance.randrange(len(data))
        what = chance.randrange(3)
        if what == 0:
            data[place] = chance.randrange(256)
        elif what == 1:
            del data[place : place + chance.randrange(1, 20)]
        else:
            data[place:place] = data[place : place + chance.randrange(1, 40)]
        data = data or bytearray(b"x")
    return bytes(data)


async def talk(port, data, *, slowly=0):
    """All that comes back; half-closed, so that a request that is not whole has an end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answer = b""
    with contextlib.suppress(*LOST):
        if slowly:
            for place in range(0, len(data), slowly):
                writer.write(data[place : place + slowly])
                await asyncio.sleep(0.002)
        else:
            writer.write(data)
        writer.write_eof()
        answer = await asyncio.wait_for(reader.read(), 60)
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return answer


def statuses(answer):
    """Of every answer on the connection. Bodies of ours hold no line that looks like one."""
    return [int(line[9:12]) for line in answer.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")]


async def some_at_once(port, requests, **options):
    gate = asyncio.Semaphore(16)

    async def one(data):
        async with gate:
            return data, statuses(await talk(port, data, **options))

    return await asyncio.gather(*map(one, requests))


@pytest.fixture
def bystanders(start, tmp_path):
    """A server and clients that do nothing wrong; afterwards both are well."""
    (tmp_path / "footfall.toml").write_text(
        "[server.limits]\nrequest_seconds = 2\nidle_seconds = 2\n"
    )
    server = start()
    children = server.children()
    with Load(server.port, clients=2, pause=0.01) as load:
        yield server
        load.wait_for(20)
        load.stop()
    assert set(load.answers.values()) == {204}
    assert server.children() == children, "a process has ended"
    assert server.get("/readyz").status == 200
    assert server.query("SELECT count(*) AS n FROM media_sessions")[0]["n"] >= 0
    assert all(line["level"] == "info" for line in server.log()), server.log_text()
    stored = server.query(
        "SELECT json_extract_string(properties, '$.event_id') AS n FROM events"
        " WHERE json_extract_string(properties, '$.padding') = ''"
    )
    assert load.acknowledged <= {int(row["n"]) for row in stored if row["n"].isdecimal()}


def check(answered):
    for data, found in answered:
        assert all(status < 500 for status in found), (data[:500], found)


def test_malformed_and_oversized(bystanders):
    answered = asyncio.run(some_at_once(bystanders.port, MALFORMED))
    check(answered)
    assert {400, 413, 422, 431} <= {status for _, found in answered for status in found}


def test_random(bystanders):
    seed = random.randrange(1 << 32)
    print("seed", seed)
    chance = random.Random(seed)
    check(asyncio.run(some_at_once(bystanders.port, [mutated(chance) for _ in range(1500)])))


def test_slow(bystanders):
    """Byte by byte, and slower than is allowed, and not at all."""

    async def scenario():
        answered = await some_at_once(bystanders.port, [GOOD] * 8, slowly=3)
        idle = [await asyncio.open_connection("127.0.0.1", bystanders.port) for _ in range(50)]
        started = [await asyncio.open_connection("127.0.0.1", bystanders.port) for _ in range(50)]
        for _, writer in started:
            writer.write(GOOD[:100])
        ends = await asyncio.gather(*(reader.read() for reader, _ in idle + started))
        for _, writer in idle + started:
            writer.close()
        return answered, ends

    answered, ends = asyncio.run(scenario())
    assert [found for _, found in answered] == [[204]] * 8
    assert {tuple(statuses(end)) for end in ends[50:]} == {(408,)}


def test_thousands_of_connections_that_come_and_go(bystanders):
    async def scenario():
        for _ in range(20):
            opened = await asyncio.gather(
                *(asyncio.open_connection("127.0.0.1", bystanders.port) for _ in range(100))
            )
            for number, (_, writer) in enumerate(opened):
                writer.write(GOOD if number % 2 else GOOD[:200])
                writer.transport.abort()  # none of them reads an answer

    asyncio.run(scenario())
    assert b"footfall_unsent_total" in bystanders.get("/metrics").body
