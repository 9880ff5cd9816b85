"""Who sent a stream's request: whose word is taken, what is recorded, and what is withheld."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from footfall.app.stream_clients import StreamClients
from footfall.collect.agents import Agent
from footfall.collect.enrich import Enricher, Tools
from footfall.collect.proxies import Proxies
from footfall.settings import Privacy, Server, Service, Settings, Source
from footfall.stream.services import Services

FILMS = Service(id="films", source="shop", kind="vod", origin="https://origin.example/")
SHOP = Source(id="shop", protocols=("vaix",))


def services(source=SHOP):
    settings = Settings(server=Server(), sources=(source,), services=(FILMS,))
    return Services(settings, "http://127.0.0.1:8080")


def clients(source=SHOP, trusted=()):
    enricher = Enricher(Tools(parse_agent=lambda _agent: Agent(device="tv")), remembered=10)
    return StreamClients(services(source), Proxies(trusted, "x-forwarded-for"), enricher)


def scope(*headers, client=("198.51.100.7", 4711)):
    pairs = [(name.encode(), value.encode()) for name, value in headers]
    return {"headers": pairs, "client": client, "scheme": "http", "path": "/stream/films/x.m3u8"}


def test_a_client_is_told_as_tracking_tells_one():
    asked = scope(("user-agent", "tv"), ("origin", "https://shop.example"))
    client = clients()(asked, FILMS, "s1")
    sender = client.sender
    assert (sender.source, sender.service, sender.session_id) == ("shop", "films", "s1")
    assert (sender.device, sender.brand) == ("tv", "https://shop.example")
    assert (client.address, sender.ip) == ("198.51.100.7", "198.51.100.0")
    assert client.headers["user-agent"] == "tv"
    assert not sender.withheld


def test_a_proxy_is_believed_only_where_it_is_trusted():
    asked = scope(("x-forwarded-for", "203.0.113.9"))
    assert clients()(asked, FILMS, "s1").address == "198.51.100.7"
    assert clients(trusted=["198.51.100.0/24"])(asked, FILMS, "s1").address == "203.0.113.9"


def test_headers_that_are_repeated_are_one_list():
    asked = scope(("x-forwarded-for", "203.0.113.9"), ("x-forwarded-for", "198.51.100.8"))
    client = clients(trusted=["198.51.100.0/24"])(asked, FILMS, "s1")
    assert client.headers["x-forwarded-for"] == "203.0.113.9, 198.51.100.8"
    assert client.address == "203.0.113.9"


def test_a_socket_without_an_address_has_none():
    client = clients()(scope(client=None), FILMS, "s1")
    assert (client.address, client.sender.ip) == ("", None)


@pytest.mark.parametrize(
    ("source", "headers", "withheld"),
    [
        (replace(SHOP, consent="required"), (), True),
        (replace(SHOP, consent="implied"), (), False),
        (replace(SHOP, privacy=Privacy(honour=("gpc",))), (("sec-gpc", "1"),), True),
    ],
)
def test_consent_is_read_as_for_every_protocol(source, headers, withheld):
    assert clients(source)(scope(*headers), FILMS, "s1").sender.withheld is withheld


def test_services_that_were_read_anew_count_from_then_on():
    one = clients()
    one.services = services(replace(SHOP, consent="required"))
    assert one(scope(), FILMS, "s1").sender.withheld


@pytest.mark.slow
def test_a_collector_without_services_loads_nothing_of_streams():
    program = (
        "import sys, footfall.app.__main__, footfall.app.collector\n"
        "print(sorted(name for name in sys.modules if name.startswith('footfall.stream')))\n"
        "print('lxml' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\nFalse\n"
