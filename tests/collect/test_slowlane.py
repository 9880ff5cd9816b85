"""Health, metrics, the page for people, and paths that nobody serves."""

from __future__ import annotations

import re

import echo
import pebble
import pytest
from served import Served, get

from footfall import __version__
from footfall.collect.proxies import Proxies
from footfall.collect.slowlane import SlowLane
from footfall.journal.contract import Health
from footfall.journal.engines.memory import MemoryJournal
from footfall.settings import Server, Settings


class Moody(MemoryJournal):
    mood = Health(ok=True)

    async def health(self):
        return self.mood


@pytest.fixture(scope="module")
def served():
    with Served(protocols=(echo.PROTOCOL, pebble.PROTOCOL), journal=Moody()) as running:
        yield running
    running.assert_quiet()


def test_healthz_is_about_the_process_only(served):
    served.journal.mood = Health(ok=False, reason="disk full")
    answer = served.ask(get("/healthz"))
    assert (answer.status, answer.body) == (200, b"ok\n")
    served.journal.mood = Health(ok=True)


def test_readyz_asks_the_journal(served):
    assert served.ask(get("/readyz")).body == b"ready\n"
    served.journal.mood = Health(ok=False, reason="disk full")
    answer = served.ask(get("/readyz"))
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    assert b"disk full" in answer.body
    served.journal.mood = Health(ok=True)


@pytest.mark.parametrize("path", ["/nowhere", "/t/", "/console", "/healthz/x"])
def test_other_paths(served, path):
    answer = served.ask(get(path))
    assert answer.status == 404
    assert answer.headers["content-type"] == "application/json"
    assert b"No protocol has this path" in answer.body


def test_other_methods(served):
    assert served.ask(get("/healthz", method="POST")).status == 405
    assert served.ask(get("/healthz", method="HEAD"), "HEAD").status == 200


def test_the_page_lists_what_is_served(served):
    text = served.ask(get("/")).body.decode()
    assert __version__ in text
    for path in ("/pebble/{color}", "/t", "/readyz"):
        assert path in text
    assert "dev-key" not in text
    page = served.ask(get("/", "Accept: text/html,*/*;q=0.8"))
    assert page.headers["content-type"].startswith("text/html")
    assert b"<h1>Footfall</h1>" in page.body


def test_what_to_paste_is_for_dev_mode_and_what_a_stranger_sends_is_escaped():
    server = Server()
    slow = SlowLane(
        settings=Settings(server=server, sources=(), dev=True),
        protocols=(),
        journal=MemoryJournal(),
        proxies=Proxies((), "x-forwarded-for"),
        metrics_directory=None,
        flush_metrics=lambda: None,
    )
    with Served(app=slow.app()) as served:
        answer = served.ask(
            b"GET / HTTP/1.1\r\nHost: <script>alert(1)</script>\r\nAccept: text/html\r\n\r\n"
        )
    text = answer.body.decode()
    assert "<script>" not in text
    assert len(re.findall("curl -i", text)) == 2
    assert "dev-key" in text


def test_dev_mode_leads_to_the_demo_and_its_streams():
    slow = SlowLane(
        settings=Settings(server=Server(), sources=(), dev=True),
        protocols=(),
        journal=MemoryJournal(),
        proxies=Proxies((), "x-forwarded-for"),
        metrics_directory=None,
        flush_metrics=lambda: None,
        streams=nothing,
    )
    with Served(app=slow.app()) as served:
        text = served.ask(get("/")).body.decode()
        page = served.ask(get("/", "Accept: text/html")).body.decode()
    assert "/stream/{service}/{path}" in text
    assert "http://a/demo/\n" in text
    assert "curl -L 'http://a/stream/demo-vod/master.m3u8?bk-ml=2.0'" in text
    assert '<a href="/demo/">http://a/demo/</a>' in page


async def nothing(_scope, _receive, _send):
    """Streams that nobody asks for."""


def metrics_of(tmp_path, from_networks, peer_headers=(), **server):
    """`/metrics` as it stands in a process of its own, where nothing is counted yet."""
    settings = Server(metrics_from=from_networks, **server)
    flushed = []
    slow = SlowLane(
        settings=Settings(server=settings, sources=()),
        protocols=(),
        journal=MemoryJournal(),
        proxies=Proxies(settings.trusted_proxies, settings.forwarded_header),
        metrics_directory=tmp_path,
        flush_metrics=lambda: flushed.append(1),
    )
    with Served(app=slow.app(), server=settings) as served:
        answer = served.ask(get("/metrics", *peer_headers))
    return answer.status, bool(flushed)


@pytest.mark.slow
def test_metrics_are_for_the_networks_that_may(tmp_path):
    local = ("127.0.0.0/8",)
    assert metrics_of(tmp_path, local) == (200, True)
    assert metrics_of(tmp_path, ("10.0.0.0/8",)) == (403, False)
    assert metrics_of(tmp_path, ()) == (403, False)
    spoofed = ["X-Forwarded-For: 127.0.0.1"]
    assert metrics_of(tmp_path, ("10.0.0.0/8",), spoofed) == (403, False)
    # A proxy on this machine must not open them to everybody.
    outside = ["X-Forwarded-For: 203.0.113.9"]
    assert metrics_of(tmp_path, local, outside, trusted_proxies=local) == (403, False)
    assert metrics_of(tmp_path, local, ["X-Forwarded-For: junk"], trusted_proxies=local)[0] == 200


def test_an_address_of_the_other_kind_is_the_same_address():
    with Served(host="127.0.0.1") as served:
        assert served.ask(get("/healthz")).status == 200
        (lane_class,) = {served.server.config.http_protocol_class}

    class Transport:
        def get_extra_info(self, name):
            return {"sockname": ("::", 80), "peername": ("::ffff:192.0.2.7", 5)}.get(name)

    from uvicorn.server import ServerState

    lane = lane_class(
        served.server.config, ServerState(), {}, _loop=type("L", (), {"time": lambda _self: 0})()
    )
    lane.connection_made(Transport())
    assert lane.client == ("192.0.2.7", 5)
