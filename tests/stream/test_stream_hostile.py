"""Requests that nobody's player sends: any path, query and method, straight at the application."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lists import S
from stream_feed import Feed, creative, offered
from stream_site import Network, Process, VirtualLoop, now, service

from footfall.journal.engines.memory import MemoryJournal

FEED = Feed([(20 * S, 20 * S, 40 * S)], 400 * S)
ALLOWED = {200, 204, 307, 400, 403, 404, 405, 502, 504}
METHODS = ["GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE", "TRACE", "get", "X"]

names = st.sampled_from(["s", "film", "told", "wheel", "none", "schema", "empty.webvtt", "", "%73"])
pieces = st.sampled_from(
    [
        "master.m3u8", "v1", "list.m3u8", "audio", "text", "x.mpd", "x.ts", "ad", "_", "https", "http",
        "origin.example", "creatives.example", "127.0.0.1", "[::1]", "evil.example:99999", "..", ".",
        "%2e%2e", "%2F", "%00", "a;b", "%", "%zz", "%ff%fe", "creative", "0" * 32, "token", "0.m3u8",
        "session-tracking.json", "\xe9", "a b", "@", "x" * 3000,
    ]
)  # fmt: skip
texts = st.text(st.characters(min_codepoint=33, max_codepoint=255), max_size=20)
paths = st.builds(
    lambda name, rest: "/stream/" + "/".join([name, *rest]),
    names | texts.map(lambda one: one.replace("?", "").replace("/", "")),
    st.lists(pieces | texts.map(lambda one: one.replace("?", "")), max_size=5),
)
keys = st.sampled_from(
    [
        "bk-ml", "bpkio_sessionid", "bpkio_serviceid", "bpkio_multivariant", "bpkio_query", "response",
        "bpkio_x", "ads", "a", "", "%", "bk-ml%00",
    ]
)  # fmt: skip
values = texts | st.sampled_from(
    [
        "1.0", "2.0", "3.0", "", "s", "film", "x", "y", "..", "x" * 129, "a/b", "%0d%0aX-Y: 1",
        "master.m3u8", "_/http/127.0.0.1/x.m3u8", "_/https/origin.example/master.m3u8", "200", "%ff",
        "+", "&", "==", "\x85",
    ]
)  # fmt: skip
queries = st.lists(st.builds(lambda a, b: f"{a}={b}", keys, values) | texts, max_size=6).map(
    "&".join
)


@contextmanager
def site():
    """A process with a service of every kind, in virtual time."""
    loop = VirtualLoop()
    asyncio.set_event_loop(loop)
    try:
        with tempfile.TemporaryDirectory() as folder:
            process = loop.run_until_complete(_process(Path(folder)))
            yield lambda *request: loop.run_until_complete(process.get(*request))
            loop.run_until_complete(process.close(0))
    finally:
        asyncio.set_event_loop(None)
        loop.close()


async def _process(folder):
    network = Network()
    network.answer = {
        "origin.example": _origin,
        "ads.example": offered,
        "creatives.example": creative,
    }
    film = service("film", "vod")
    told = service("told", tracking="server")
    wheel = service(
        "wheel", "channel", origin=None, assets=("https://creatives.example/a/master.m3u8",)
    )
    await asyncio.sleep(30)
    return Process(MemoryJournal(now), network, folder, service(), film, told, wheel)


def _origin(url):
    """What there is, else a 404, and a fault of its own where the path is odd."""
    name = url.split("/", 3)[3].partition("?")[0]
    if name in {"master.m3u8", "v1/list.m3u8", "v2/list.m3u8", "audio/list.m3u8", "text/list.m3u8"}:
        return FEED.answer(url.partition("?")[0], now())
    if name.endswith(".mpd"):
        return "<MPD/>"
    return (500, "") if len(name) % 5 == 0 else (404, "")


@pytest.fixture(scope="module")
def get():
    with site() as found:
        yield found


def check(answer, method):
    assert answer.status_code in ALLOWED
    headers = answer.headers
    assert headers["access-control-allow-origin"] == "*"
    assert headers["access-control-expose-headers"] == "Location"
    cached = headers["cache-control"] != "no-store"
    assert not cached or answer.status_code == 200
    kind = headers.get("content-type", "")
    if answer.status_code >= 400:
        assert kind == "application/problem+json"
    if answer.status_code in {502, 504}:
        assert "origin" in answer.text or method == "HEAD"
    location = headers.get("location", "")
    assert not any(ord(one) < 33 or ord(one) > 126 for one in location)
    if location:
        # To ourselves, or to the origin of the service: never where a stranger says.
        assert location.startswith(("/stream/", "https://origin.example/"))
    if method == "HEAD" or answer.status_code == 204:
        assert answer.content == b""
    return answer


@settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(method=st.sampled_from(["GET"] * 6 + METHODS), path=paths, query=queries)
def test_every_request_has_an_orderly_answer(get, method, path, query):
    with structlog.testing.capture_logs() as said:
        check(get(f"{path}?{query}", method), method)
    assert [one for one in said if one["log_level"] == "error"] == []


@settings(max_examples=300, deadline=None)
@given(
    session=st.sampled_from(["x", "y", "a.b-C_9", "z" * 128]),
    name=st.sampled_from(["s", "film", "told", "wheel"]),
    file=st.sampled_from(["master.m3u8", "v1/list.m3u8", "text/list.m3u8", "0.m3u8", "x.mpd"]),
    mode=st.sampled_from(["", "&bk-ml=1.0", "&bk-ml=2.0"]),
    rest=queries,
)
def test_sessions_bear_any_parameters(get, session, name, file, **more):
    """Calls that are what they should be, but for what hangs on them."""
    workflow, rest = more["mode"], more["rest"]
    given_ = "&".join(one for one in rest.split("&") if not one.startswith(("bk-ml", "bpkio_")))
    target = f"/stream/{name}/{file}?bpkio_sessionid={session}{workflow}&{given_}"
    with structlog.testing.capture_logs() as said:
        answer = check(get(target), "GET")
    assert [one for one in said if one["log_level"] == "error"] == []
    if workflow and name != "wheel":  # a channel knows itself which playlists there are
        assert answer.status_code in {200, 400}


@pytest.mark.parametrize("token", ["", "x", "a.b", "%", "=" * 40, "A" * 4000, "%00"])
def test_a_token_that_nobody_gave_leads_nowhere(get, token):
    assert check(get(f"/stream/told/ad/{token}"), "GET").status_code == 404


@pytest.mark.parametrize("headers", [[("accept-encoding", "gzip;q=0.5, *")], [("host", "")]])
def test_headers_change_nothing(get, headers):
    target = "/stream/film/v1/list.m3u8?bpkio_sessionid=h"
    answer = check(get(target, "GET", headers), "GET")
    assert (answer.status_code, answer.text[:7]) == (200, "#EXTM3U")


def test_many_sessions_at_once_are_bounded_in_memory():
    """More than are kept: the rest is read again, with the same ads."""

    async def test(process):
        targets = [f"/stream/s/v1/list.m3u8?bpkio_sessionid={n}&ads=a" for n in range(60)]
        first = await asyncio.gather(*(process.get(one) for one in targets))
        again = await asyncio.gather(*(process.get(one) for one in targets))
        assert {one.status_code for one in (*first, *again)} == {200}
        assert [one.text for one in first] == [one.text for one in again]
        assert len(process.sessions._known) <= 10
        asked = process.fetcher.count("ads.example")
        assert asked == 60
        await process.close(0)

    async def begun(folder):
        network = Network()
        network.answer = {
            "origin.example": _origin, "ads.example": offered, "creatives.example": creative,
        }  # fmt: skip
        await asyncio.sleep(30)
        process = Process(MemoryJournal(now), network, folder, service(), sessions_cached=10)
        await test(process)

    with asyncio.Runner(loop_factory=VirtualLoop) as runner, tempfile.TemporaryDirectory() as name:
        runner.run(begun(Path(name)))
