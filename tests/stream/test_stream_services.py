"""Services: whose they are, whom they may ask, and that no path leads out of the origin."""

from __future__ import annotations

import dataclasses
from urllib.parse import urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from footfall import demo
from footfall.settings import Server, Service, Settings, Slot, Source, load
from footfall.settings.development import DEV_SERVICES, OWN
from footfall.stream import services
from footfall.stream.services import (
    HostRefused,
    Services,
    allows,
    origin_of,
    path_of,
    resolved,
    slot_window,
)

VOD = Service(
    id="films",
    source="shop",
    kind="vod",
    origin="https://o.example/vod/",
    ad_server="https://Ads.example:8443/vmap?x=$arg_x",
    slate="http://[2001:DB8::1]:9000/slate.m3u8",
    hosts=("*.cdn.example", "one.example", "::1"),
)
CHANNEL = Service(id="tv", source="shop", kind="channel", assets=("http://a.example/a.m3u8",))


def test_services_are_found_by_their_id_with_their_source():
    shop = Source(id="shop", protocols=("vaix",))
    settings = Settings(server=Server(), sources=(shop,), services=(VOD, CHANNEL))
    services = Services(settings, "http://127.0.0.1:8080")
    assert services.get("films") == VOD
    assert services.get("nobody") is None
    assert list(services.by_id) == ["films", "tv"]
    assert services.source_of(VOD) is shop


def test_services_of_the_demo_get_the_servers_own_address():
    settings = load("", {}, extensions={}, dev=True)
    base = "http://127.0.0.1:41234"
    services = Services(settings, base)
    assert services.source_of(services.by_id["demo-vod"]).id == "dev"
    for service in services.by_id.values():
        told = dataclasses.asdict(service)
        assert OWN not in str(told)
        assert allows(service, "127.0.0.1")
    assert services.by_id["demo-live"].origin == f"{base}/demo/origin/live/"
    assert services.by_id["demo-channel"].assets[0] == f"{base}/demo/origin/vod/master.m3u8"
    assert resolved(VOD, base) == VOD


def test_the_demo_offers_the_services_of_dev_mode():
    assert tuple(one.id for one in DEV_SERVICES) == demo.SERVICES
    assert all((one.origin or one.assets[0]).startswith(OWN + "/demo/") for one in DEV_SERVICES)


def test_when_a_slot_is():
    start = "2026-11-20T18:00:00Z"
    began = 1_795_197_600_000_000
    slot = Slot(id="a", kind="ad-break", start=start, duration_seconds=90)
    assert slot_window(slot) == (began, began + 90_000_000)
    slot = Slot(id="a", kind="ad-break", start=start, end="2026-11-20T18:01:00Z")
    assert slot_window(slot) == (began, began + 60_000_000)


# -- hosts --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    [
        "o.example",
        "O.EXAMPLE",
        "o.example.",
        "ads.example",
        "2001:db8::1",
        "2001:0db8:0:0::1",
        "cdn.example",
        "a.cdn.example",
        "a.b.cdn.example",
        "one.example",
        "::1",
        "0:0:0:0:0:0:0:1",
    ],
)
def test_hosts_that_the_settings_name_are_allowed(host):
    assert allows(VOD, host)


@pytest.mark.parametrize(
    "host",
    [
        "",
        ".",
        "example",
        "x.o.example",
        "evilcdn.example",
        "cdn.example.evil",
        "a.one.example",
        "o.example\x00.evil",
        "2001:db8::2",
        "::ffff:7f00:1",
        "*",
    ],
)
def test_others_are_not(host):
    assert not allows(VOD, host)


def test_a_star_allows_every_host_and_slots_allow_theirs():
    assert allows(dataclasses.replace(VOD, hosts=("*",)), "whoever.example")
    slot = Slot(
        id="a",
        kind="content",
        start="2026-11-20T18:00:00Z",
        duration_seconds=9,
        replacement="https://film.example/x.m3u8",
    )
    assert allows(dataclasses.replace(CHANNEL, slots=(slot,)), "film.example")
    assert allows(CHANNEL, "a.example")
    assert not allows(CHANNEL, "film.example")


# -- paths and addresses ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "address"),
    [
        ("a.m3u8", "https://o.example/vod/a.m3u8"),
        ("a/b%20c/d.m3u8", "https://o.example/vod/a/b%20c/d.m3u8"),
        ("a/v=1,2;x/d.m3u8", "https://o.example/vod/a/v=1,2;x/d.m3u8"),
        ("a%25b.m3u8", "https://o.example/vod/a%25b.m3u8"),
        ("a...b/.hidden/..c", "https://o.example/vod/a...b/.hidden/..c"),
        ("_/https/o.example/above.m3u8", "https://o.example/above.m3u8"),
        ("_/https/o.example/vod/_/x.m3u8", "https://o.example/vod/_/x.m3u8"),
        ("_/http/a.cdn.example/x/y.m3u8", "http://a.cdn.example/x/y.m3u8"),
        ("_/http/a.cdn.example:8080/", "http://a.cdn.example:8080/"),
        ("_/https/%5B2001:db8::1%5D:1/x", "https://[2001:db8::1]:1/x"),
    ],
)
def test_paths_and_addresses_stand_for_each_other(path, address):
    assert origin_of(VOD, path) == address
    assert path_of(VOD, address) == path
    assert path_of(VOD, f"{address}?token=1#x") == path


@pytest.mark.parametrize(
    ("address", "path"),
    [
        ("HTTPS://O.Example:443/vod/a.m3u8", "a.m3u8"),
        ("https://o.example./vod/a.m3u8", "a.m3u8"),
        ("https://o.example/vod/x/../a.m3u8", "a.m3u8"),
        ("https://o.example/vod/../a.m3u8", "_/https/o.example/a.m3u8"),
        ("https://o.example/vodka.m3u8", "_/https/o.example/vodka.m3u8"),
        ("http://o.example/vod/a.m3u8", "_/http/o.example/vod/a.m3u8"),
        ("https://o.example:444/vod/a.m3u8", "_/https/o.example:444/vod/a.m3u8"),
        ("http://one.example", "_/http/one.example/"),
    ],
)
def test_addresses_have_one_path_however_they_are_written(address, path):
    assert path_of(VOD, address) == path
    assert path_of(VOD, origin_of(VOD, path)) == path


def test_a_query_is_put_after_the_address_and_cannot_end_it():
    assert origin_of(VOD, "a.m3u8", "t=a/b&u=%2F?[x]") == (
        "https://o.example/vod/a.m3u8?t=a/b&u=%2F?[x]"
    )
    assert origin_of(VOD, "a.m3u8", "t=a b#c\r\n") == (
        "https://o.example/vod/a.m3u8?t=a%20b%23c%0D%0A"
    )


def test_what_does_not_belong_into_a_path_is_encoded():
    assert origin_of(VOD, 'a?b#c d"é.m3u8') == ("https://o.example/vod/a%3Fb%23c%20d%22%C3%A9.m3u8")


HOSTILE = [
    "",
    "..",
    ".",
    "../x",
    "a/../../x",
    "a/./b",
    "%2e%2e/x",
    "%2E./x",
    ".%2e/x",
    "%252e%252e/x",
    "%25252e%25252e/x",
    "..;/x",
    "..;a=b/x",
    "%2e%2e%3b/x",
    "a%2f..%2fx",
    "a%2Fb",
    "a%252Fb",
    "a\\..\\x",
    "a%5cx",
    "a%255cx",
    "a%00.m3u8",
    "a%0d%0aHost: x",
    "a\r\nHost: x",
    "%",
    "%zz",
    "a%2",
]


@pytest.mark.parametrize("path", HOSTILE)
def test_no_path_leads_out_of_the_folder(path):
    for whole in {path, f"x/{path}", f"_/https/o.example/{path}"} if path else {path}:
        with pytest.raises(ValueError):
            origin_of(VOD, whole)


@pytest.mark.parametrize(
    "path",
    [
        "_/",
        "_/https",
        "_/https/o.example",
        "_/https//x",
        "_/file/o.example/x",
        "_/HTTPS/o.example/x",
        "_/https/user@o.example/x",
        "_/https/user:pass@o.example/x",
        "_/https/user%40o.example/x",
        "_/https/o.example:0/x",
        "_/https/o.example:65536/x",
        "_/https/o.example:x/x",
        "_/https/o.example:80:80/x",
        "_/https/o.example%3Fx/x",
        "_/https/o.example%23/x",
        "_/https/o.example%2fevil/x",
        "_/https/o.example%00/x",
        "_/https/o ex.example/x",
        "_/https/[::1/x",
        "_/https/[o.example]/x",
        "_/https/::1/x",
        "_/https/[fe80::1%25eth0]/x",
        "_/https/xn--/ü/x",
        "_/https/ö.example/x",
    ],
)
def test_no_other_address_hides_in_a_foreign_path(path):
    with pytest.raises(ValueError):
        origin_of(VOD, path)


@pytest.mark.parametrize(
    "path",
    ["_/https/evil.example/x", "_/http/127.0.0.1/x", "_/http/[::2]/x", "_/http/2130706433/x"],
)
def test_a_foreign_path_on_a_host_that_is_not_allowed_is_told_apart(path):
    with pytest.raises(HostRefused):
        origin_of(VOD, path)


@pytest.mark.parametrize(
    "address",
    [
        "ftp://o.example/x",
        "//o.example/x",
        "x.m3u8",
        "https://evil.example/x",
        "https://o.example@evil.example/x",
        "https://evil@o.example/x",
        "https://o.example\\@evil.example/x",
        "https://o.example/a b",
        "https://o.example/a\n",
        "https://o.example/vod/",
        "https://o.example/vod/a%2fb",
        "https://o.example:99999/x",
        "https:///x",
    ],
)
def test_an_address_that_no_path_can_stand_for_is_refused(address):
    with pytest.raises(ValueError):
        path_of(VOD, address)


def test_a_channel_has_no_folder():
    assert path_of(CHANNEL, "http://a.example/a.m3u8") == "_/http/a.example/a.m3u8"
    assert origin_of(CHANNEL, "_/http/a.example/a.m3u8") == "http://a.example/a.m3u8"
    with pytest.raises(ValueError):
        origin_of(CHANNEL, "a.m3u8")


@pytest.mark.parametrize(
    ("path", "same"),
    [
        ("/a/b", "/a/b"),
        ("/a/./b", "/a/b"),
        ("/a/../b", "/b"),
        ("/../../b", "/b"),
        ("/a/b/..", "/a/"),
        ("/a/.", "/a/"),
        ("//.2", "//.2"),
        ("/", "/"),
    ],
)
def test_dots_in_paths_are_resolved(path, same):
    assert services._without_dots(path) == same


@example("/.2", "")
@given(st.text(alphabet="abc./%2eEfF5cC;:@\\_ ?#\n[]ü", max_size=24), st.text(max_size=8))
def test_whatever_the_path_the_address_stays_where_it_may(path, query):
    for whole in (path, f"_/https/{path}", f"_/https/o.example/{path}"):
        try:
            address = origin_of(VOD, whole, query)
        except ValueError:
            continue
        parts = urlsplit(address)
        assert allows(VOD, parts.hostname)
        assert parts.username is None
        assert parts.fragment == ""
        assert ".." not in parts.path.split("/")
        assert address.isascii()
        if not whole.startswith("_/"):
            assert address.startswith(VOD.origin)
        assert origin_of(VOD, path_of(VOD, address)) == address.partition("?")[0]
