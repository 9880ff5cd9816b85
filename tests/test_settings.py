"""Settings: what is read, what is refused, and in which words."""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from footfall.errors import SettingsError
from footfall.settings import (
    Limits,
    Media,
    Privacy,
    Server,
    Service,
    Settings,
    Slot,
    Source,
    Streams,
    describe,
    load,
    setting,
    unreadable_files,
)
from footfall.settings.declared import declared
from footfall.settings.development import DEV_KEY, DEV_KEY_SHA256, DEV_SERVICES
from footfall.settings.lines import Lines
from footfall.settings.rules import MACROS
from footfall.settings.values import CHECKS
from footfall.stream import macros


@dataclass(frozen=True, slots=True, kw_only=True)
class Vaix:
    client_ids: tuple[str, ...] = setting((), "Client ids.", dev=("*",))
    lenient: bool = setting(False, "Takes what the public client sends.")
    public_key: str | None = setting(None, "PEM file.", check="file")
    event_types: dict[str, tuple[str, ...]] = setting(  # noqa: RUF009 - it gives a field
        {"clicks:event": ("page",)}, "Required fields by type."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Jay:
    lifetime_hours: float = setting(24.0, "Of a session.", unit="hours", low=0.1)


EXTENSIONS = {"vaix": Vaix, "jay": Jay, "tracardi": None}
KEY = "a" * 64
SHOP = f'[[source]]\nid = "shop"\nkey_sha256 = "{KEY}"\nprotocols = ["vaix"]\n'


def read(text="", environment=None, **options) -> Settings:
    options.setdefault("extensions", EXTENSIONS)
    return load(text, environment or {}, **options)


def problems(text="", environment=None, **options) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        read(text, environment, **options)
    return str(caught.value).split("\n")


def problem(text="", environment=None, **options) -> str:
    (only,) = problems(text, environment, **options)
    return only


def test_nothing_given_is_the_defaults():
    settings = read()
    assert settings.sources == ()
    assert settings.server.port == 8080
    assert settings.server.limits == Limits()
    assert settings.server.data == str(Path.cwd() / "footfall-data")


def test_values_take_the_types_that_are_declared():
    settings = read(
        "[server]\nport = 9000\nquery_seconds = 5\ntrusted_proxies = '10.0.0.0/8'\n"
        "[server.limits]\nbody_bytes = 65536\n" + SHOP + "[source.vaix]\nlenient = true\n"
        "client_ids = 'web'\n[source.vaix.event_types]\n'clicks:offer' = ['page', 'offer']\n"
        "'clicks:all' = 'page'\n"
    )
    assert settings.server.port == 9000
    assert settings.server.query_seconds == 5.0
    assert isinstance(settings.server.query_seconds, float)
    assert settings.server.trusted_proxies == ("10.0.0.0/8",)
    assert settings.server.limits == Limits(body_bytes=65536)
    (shop,) = settings.sources
    assert shop.key_sha256 == (KEY,)
    assert shop.of(Vaix) == Vaix(
        lenient=True,
        client_ids=("web",),
        event_types={"clicks:offer": ("page", "offer"), "clicks:all": ("page",)},
    )


def test_protocol_settings_are_there_without_a_table():
    (shop,) = read(SHOP).sources
    assert shop.protocol_settings == {"vaix": Vaix(), "jay": Jay()}
    assert shop.of(Jay).lifetime_hours == 24.0
    assert Source(id="x", protocols=()).of(Jay) == Jay()


def test_privacy_of_a_source():
    (shop,) = read(SHOP).sources
    assert (shop.consent, shop.privacy) == ("implied", Privacy())
    (shop,) = read(
        SHOP + "consent = 'required'\n[source.privacy]\ntcf_field = 'context.tcf string'\n"
        "tcf_purposes = [1, 7]\ntcf_vendor = 12\nhonour = 'gpc'\nconsents = ['analytics']\n"
    ).sources
    assert shop.consent == "required"
    assert shop.privacy == Privacy(
        tcf_field="context.tcf string",
        tcf_purposes=(1, 7),
        tcf_vendor=12,
        honour=("gpc",),
        consents=("analytics",),
    )


def test_settings_can_stand_in_sets():
    """Sources are compared and kept in sets when they are read anew."""
    assert len({read(SHOP), read(SHOP)}) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "[server]\nport = 70000",
            "2: server.port must be a whole number from 0 to 65535, not 70000",
        ),
        (
            "[server]\nport = '80'",
            '2: server.port must be a whole number from 0 to 65535, not "80"',
        ),
        (
            "[server]\nport = true",
            "2: server.port must be a whole number from 0 to 65535, not true",
        ),
        (
            "[server]\nport = 80.0",
            "2: server.port must be a whole number from 0 to 65535, not 80.0",
        ),
        (
            "[server]\nquery_seconds = inf",
            "2: server.query_seconds must be a number of at least 0.1 seconds, not inf",
        ),
        (
            "[server]\nquery_seconds = nan",
            "2: server.query_seconds must be a number of at least 0.1 seconds, not nan",
        ),
        ("[server]\nhost = 3", "2: server.host must be a text in quotes, not 3"),
        (
            "[server]\ntrusted_proxies = 3",
            "2: server.trusted_proxies must be a list of texts, not 3",
        ),
        (
            "[server]\ntrusted_proxies = [\n3]",
            "2: server.trusted_proxies must be a list of texts, not 3",
        ),
        (
            "[server.limits]\nbody_bytes = 1",
            "2: server.limits.body_bytes must be a whole number of at least 1024 bytes, not 1",
        ),
        ("[server]\nlimits = 1", "2: server.limits must be a table"),
        ("server = 1", "1: server must be a table"),
        ("[server]\nprot = 1", '2: server.prot is not a setting; did you mean "port"?'),
        ("[sever]\nport = 1", '1: sever is not a table of this file; did you mean "server"?'),
        ("[source]\nid = 'x'", "1: source is a list: write [[source]] with two brackets"),
        ("source = [1]", "1: source 1 must be a table"),
        ("source = 1", "1: source is a list: write [[source]] with two brackets"),
        (SHOP + "bots = 'no'", '5: source shop: bots must be one of "keep", "drop", not "no"'),
        (
            SHOP + "\n[source.vaix]\nlenint = true",
            '7: source shop: vaix.lenint is not a setting; did you mean "lenient"?',
        ),
        (
            SHOP + "vaix = { lenient = 3 }",
            "5: source shop: vaix.lenient must be true or false, not 3",
        ),
        (
            SHOP + "[source.vaix]\nevent_types = 3",
            "6: source shop: vaix.event_types must be a table of lists of texts, not 3",
        ),
        (
            SHOP + "[source.vaix.event_types]\na = 3",
            '5: source shop: vaix.event_types must be a table of lists of texts, not 3 for "a"',
        ),
        (SHOP + "[source.vax]", '5: source shop: vax is not a setting; did you mean "vaix"?'),
        (
            SHOP + "[source.jay]",
            '5: source shop: jay is set, but protocols does not list it: add "jay" or take it out',
        ),
        (
            "[[source]]\nid = 'shop'\nprotocols = ['jya']",
            '3: source shop: protocols has "jya", which is unknown; did you mean "jay"?',
        ),
        (
            "[[source]]\nid = 'shop'\nprotocols = []",
            "3: source shop: protocols is empty: name at least one protocol, or this source in a [[service]]",
        ),
        (
            "[[source]]\nid = 'shop'\nprotocols = ['broadpeak']",
            '3: source shop: protocols has "broadpeak", which no source takes: a [[service]] whose source it is does',
        ),
        (
            "[[source]]\nid = 'shop'",
            "1: source shop: protocols is missing: it must be a list of texts",
        ),
        (
            "[[source]]\nid = 'a b'\nprotocols = 'jay'",
            '2: source a b: id must be 1 to 64 letters, digits, "-", "_" and ".", beginning with a letter or digit, not "a b"',
        ),
        (
            SHOP + "[[source]]\nid = 'shop'\nprotocols = 'jay'",
            '6: source shop: id "shop" names source 1 already',
        ),
        (
            SHOP + f"[[source]]\nid = 'b'\nprotocols = 'jay'\nkey_sha256 = '{KEY.upper()}'",
            "8: source b: key_sha256 has aaaaaaaaaaaa… which source shop has already: a key names one source",
        ),
        (
            "[server]\ntls_key = 'pyproject.toml'",
            "2: server.tls_key needs server.tls_certificate as well",
        ),
        (
            SHOP + "consent = 'asked'",
            '5: source shop: consent must be one of "required", "implied", "none", not "asked"',
        ),
        (
            SHOP + "[source.privacy]\nconsent_field = 'consent'",
            '6: source shop: privacy.consent_field must be a dotted path that begins with "properties." or "context.", not "consent"',
        ),
        (
            SHOP + "[source.privacy]\ntcf_field = 'context..tcf'",
            '6: source shop: privacy.tcf_field must be a dotted path that begins with "properties." or "context.", not "context..tcf"',
        ),
        (
            SHOP + "[source.privacy]\nconsent_header = 'X Consent'",
            '6: source shop: privacy.consent_header must be a name of letters, digits and "-", not "X Consent"',
        ),
        (
            SHOP + "[source.privacy]\ntcf_purposes = [0]",
            "6: source shop: privacy.tcf_purposes must be a list of whole numbers from 1 to 24, not 0",
        ),
        (
            SHOP + "[source.privacy]\ntcf_purposes = []",
            "6: source shop: privacy.tcf_purposes is empty: name at least one purpose that must have consent",
        ),
        (
            SHOP + "[source.privacy]\ntcf_vendor = 65536",
            "6: source shop: privacy.tcf_vendor must be a whole number from 1 to 65535, not 65536",
        ),
        (
            SHOP + "[source.privacy]\nhonour = ['gpp']",
            '6: source shop: privacy.honour must be a list of texts, each one of "gpc", "dnt", not "gpp"',
        ),
        (
            SHOP + "[source.privacy]\nconsent_heder = 'X'",
            '6: source shop: privacy.consent_heder is not a setting; did you mean "consent_header"?',
        ),
        ("[server]\ngeoip = 'no.mmdb'", '2: server.geoip names "no.mmdb", which does not exist'),
        ("[server]\ngeoip = '.'", '2: server.geoip names ".", which is not a file'),
        ("[server]\nport = 8081", "console_port is 8081, which tracking has: choose another"),
        (
            "[server]\ntrusted_proxies = '10.0.0.1/8'",
            '2: server.trusted_proxies has an address where a network is meant: write "10.0.0.0/8"',
        ),
        (
            "[server]\ntrusted_proxies = 'lan'",
            '2: server.trusted_proxies must be networks such as "10.0.0.0/8" or "::1/128", not "lan"',
        ),
        (
            "[cluster]\nnats = 'x'",
            "1: cluster is not in this release, which keeps everything in server.data; take it out",
        ),
        ("[service]\nid = 'x'", "1: service is a list: write [[service]] with two brackets"),
        ("port = \n", "1: not valid TOML: Invalid value (at line 1, column 8)"),
        ("[server]\nhost = '''\n", "3: not valid TOML: Expected \"'''\" (at end of document)"),
    ],
)
def test_a_problem_says_where_what_and_what_would_be_right(text, message):
    said = problem(text)
    assert said.startswith("footfall.toml:")
    assert said.removeprefix("footfall.toml:").endswith(message)


def test_all_problems_come_at_once_in_the_order_of_the_file():
    found = problems(
        SHOP.replace("vaix", "jya") + "[server]\nport = -1\nworkers = 0\n",
        {"FOOTFALL_SERVER_LIMITS_JSON_DEPTH": "deep"},
        overrides={"server.console_port": -4},
    )
    assert [line.split(" ")[0] for line in found] == [
        "footfall.toml:4:",
        "footfall.toml:6:",
        "footfall.toml:7:",
        "command",
        "environment:",
    ]


def test_a_key_in_place_of_its_hash_is_not_repeated():
    """The text may be the key itself, and messages end up in logs."""
    said = problem(SHOP.replace(KEY, "my-secret-key"))
    assert "my-secret-key" not in said
    assert "footfall source new" in said


@pytest.mark.parametrize(
    ("given_", "kept"),
    [
        ("*", "*"),
        ("https://www.example.com", "https://www.example.com"),
        ("HTTPS://WWW.Example.com:443", "https://www.example.com"),
        ("http://localhost:3000", "http://localhost:3000"),
        ("http://[::1]:3000", "http://[::1]:3000"),
        ("capacitor://localhost", "capacitor://localhost"),
    ],
)
def test_origins_are_kept_as_browsers_send_them(given_, kept):
    (shop,) = read(SHOP + f"origins = '{given_}'").sources
    assert shop.origins == (kept,)


@pytest.mark.parametrize(
    "text",
    [
        "www.example.com",
        "https://a/b",
        "https://a/",
        "https://*.a.com",
        "https://u@a",
        "https://a:x",
        "",
    ],
)
def test_what_is_not_an_origin_is_refused(text):
    assert "origins" in problem(SHOP + f"origins = '{text}'")


# -- services -----------------------------------------------------------------------------------

VOD = (
    SHOP
    + "[[service]]\nid = 'films'\nsource = 'shop'\nkind = 'vod'\norigin = 'https://o.example/vod'\n"
)
TV = (
    SHOP
    + "[[service]]\nid = 'tv'\nsource = 'shop'\nkind = 'channel'\nassets = 'http://o.example/a.m3u8'\n"
)
SLOT = "[[service.slot]]\nid = 'news'\nkind = 'ad-break'\nstart = '2026-11-20T18:00:00Z'\n"
MINUTE = SLOT + "duration_seconds = 60\n"
EVERYTHING = macros.Values(
    session="s", service="films", address="192.0.2.1", duration_us=1, signal_id="1", upid="u"
)


def test_a_source_may_be_of_services_only():
    only = VOD.replace(SHOP, "[[source]]\nid = 'shop'\nprotocols = []\n")
    assert read(only).sources[0].protocols == ()


def test_the_macros_of_ad_servers_are_those_that_are_filled():
    text = VOD + f"ad_server = 'http://a.example/?{'&'.join(f'x=${name}' for name in MACROS)}'"
    filled = macros.request(read(text).services[0].ad_server, EVERYTHING, 0)
    assert "=&" not in filled + "&"
    assert len(filled.split("&")) == len(MACROS)


def test_services_and_their_slots_are_read():
    text = (
        VOD + "ad_server = 'http://ads.example:8000/v?x=$arg_x&r=[CACHEBUSTING]'\nhosts = "
        "['*.CDN.example.', 'localhost', '::1', '*']\n"
        + TV.removeprefix(SHOP)
        + SLOT + "end = 2026-11-20T19:30:00+01:00\n"
        "[[service.slot]]\nid = 'film'\nkind = 'content'\nstart = '2026-11-20T18:30:00Z'\n"
        "duration_seconds = 5400\nreplacement = 'https://o.example/film.m3u8'\n"
    )  # fmt: skip
    films, tv = read(text).services
    assert films.origin == "https://o.example/vod/"
    assert films.ad_server == "http://ads.example:8000/v?x=$arg_x&r=[CACHEBUSTING]"
    assert films.hosts == ("*.cdn.example", "localhost", "::1", "*")
    assert (films.tracking, films.slots) == ("client", ())
    assert tv.assets == ("http://o.example/a.m3u8",)
    assert tv.slots == (
        Slot(
            id="news",
            kind="ad-break",
            start="2026-11-20T18:00:00Z",
            end="2026-11-20T18:30:00Z",
        ),
        Slot(
            id="film",
            kind="content",
            start="2026-11-20T18:30:00Z",
            duration_seconds=5400,
            replacement="https://o.example/film.m3u8",
        ),
    )
    assert len({read(text), read(text)}) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "[[service]]\nid = 'x'\nsource = 'shop'\nkind = 'vod'\norigin = 'http://o.example/'",
            '3: service x: source is "shop", which is no source; there is no [[source]]',
        ),
        (
            VOD.replace("= 'shop'\nkind", "= 'shpo'\nkind"),
            '7: service films: source is "shpo", which is no source; did you mean "shop"?',
        ),
        (VOD.replace("'films'", "'a b'"), 'beginning with a letter or digit, not "a b"'),
        (VOD + VOD.removeprefix(SHOP), '11: service films: id "films" names service 1 already'),
        (VOD.replace("'films'", "'schema'"), "6: service schema: id is taken by the server itself; choose another"),
        (
            VOD.replace("source = 'shop'\n", ""),
            "5: service films: source is missing: it must be a text in quotes",
        ),
        (
            VOD.replace("'vod'\n", "'vdo'\n"),
            '8: service films: kind must be one of "vod", "live", "channel", not "vdo"',
        ),
        (
            VOD.replace("origin =", "orgin =") + "origin = 'https://o.example/'\n",
            '9: service films: orgin is not a setting; did you mean "origin"?',
        ),
        (VOD.partition("origin")[0], "5: service films: origin is missing: a vod service needs it"),
        (
            VOD.partition("origin")[0].replace("'vod'", "'live'"),
            "5: service films: origin is missing: a live service needs it",
        ),
        (
            TV.partition("assets")[0] + MINUTE,
            '5: service tv: assets is missing: a channel needs assets, or slots of kind "content"',
        ),
        (
            VOD + "assets = 'http://o.example/'",
            "10: service films: assets is of channel only; this service is vod",
        ),
        (
            TV + "origin = 'http://o.example/'",
            "10: service tv: origin is of vod and live only; this service is channel",
        ),
        (
            VOD + "preroll_ad_server = 'http://o.example/'",
            "10: service films: preroll_ad_server is of live and channel only; this service is vod",
        ),
        (VOD + MINUTE, "10: service films: slot is of channel only; this service is vod"),
        (
            VOD + "ad_server = 'http://a.example/v?d=$AD_BREAK_DURATON'",
            '10: service films: ad_server has "$AD_BREAK_DURATON", which stands for nothing; did you mean "AD_BREAK_DURATION"?',
        ),
        (
            TV + SLOT,
            "10: service tv: slot news: end is missing: give it, or duration_seconds",
        ),
        (
            TV + MINUTE + "end = '2026-11-20T18:01:00Z'",
            "15: service tv: slot news: end is given beside duration_seconds: leave one of them out",
        ),
        (
            TV + SLOT + "end = '2026-11-20T18:00:00Z'",
            "14: service tv: slot news: end is 2026-11-20T18:00:00Z, which is not after its start, 2026-11-20T18:00:00Z",
        ),
        (
            TV + SLOT + "end = '2026-11-22T18:00:00Z'",
            "14: service tv: slot news: end is more than a day after its start, 2026-11-20T18:00:00Z",
        ),
        (
            TV + MINUTE.replace("ad-break", "content"),
            "10: service tv: slot news: replacement is missing: a slot of kind content needs what it plays",
        ),
        (
            TV + MINUTE + "replacement = 'http://o.example/x.m3u8'",
            "15: service tv: slot news: replacement is of content only; this slot is an ad-break",
        ),
        (
            TV + MINUTE + MINUTE.replace("18:00", "18:01"),
            '16: service tv: slot news: id "news" names slot 1 already',
        ),
        (
            TV + MINUTE + MINUTE.replace("18:00:00", "18:00:59").replace("news", "more"),
            "18: service tv: slot more: start lies within slot news: slots must not overlap",
        ),
        (
            TV + "slot = 1",
            "10: service tv: slot is a list: write [[service.slot]] with two brackets",
        ),
        (TV + "slot = [1]", "10: service tv: slot 1 must be a table"),
        (
            TV + MINUTE.replace("start", "strat") + "start = '2026-11-20T18:00:00Z'",
            '13: service tv: slot news: strat is not a setting; did you mean "start"?',
        ),
        (
            TV + MINUTE.replace("= 60", "= 86401"),
            "14: service tv: slot news: duration_seconds must be a whole number from 1 to 86400 seconds, not 86401",
        ),
    ],
)  # fmt: skip
def test_a_problem_of_a_service_says_so_likewise(text, message):
    said = problem(text)
    assert said.startswith("footfall.toml:")
    assert said.endswith(message)


def test_a_slot_within_a_long_one_is_found_past_others():
    slots = (
        SLOT + "duration_seconds = 3600\n"
        + MINUTE.replace("news", "a").replace("18:00", "18:01")
        + MINUTE.replace("news", "b").replace("18:00", "18:30")
        + MINUTE.replace("news", "c").replace("18:00", "19:00")
    )  # fmt: skip
    said = problems(TV + slots)
    assert [line.partition(": ")[2] for line in said] == [
        "service tv: slot a: start lies within slot news: slots must not overlap",
        "service tv: slot b: start lies within slot news: slots must not overlap",
    ]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("slate", "ftp://a.example/x", 'must be an address such as "https://www.example.com/x", not'),
        ("slate", "//a.example/x", "must be an address such as"),
        ("slate", "a.example", "must be an address such as"),
        ("slate", "http://", "must be an address such as"),
        ("slate", "http://a.example:99999/", "must be an address such as"),
        ("slate", "http://a b/", "must be an address such as"),
        ("slate", "http://[::1/", "must be an address such as"),
        ("slate", "http://bücher.example/", "must be an address such as"),
        ("slate", "http://a.example/x y", 'must be an address without "#"'),
        ("slate", "http://a.example/x#y", 'must be an address without "#"'),
        ("slate", "http://a.example\\\\@b.example/", "must not hold a name or password"),
        ("origin", "http://a.example/x?y=z", 'must be a folder, without "?" and what follows: write "http://a.example/x"'),
        ("hosts", "https://ads.example:8000/x", 'has more than the host\'s name: write "ads.example"'),
        ("hosts", "ads.example:8000", 'has more than the host\'s name: write "ads.example"'),
        ("hosts", "a.*.example", 'must be hosts such as "ads.example.com" or "*.example.com", not "a.*.example"'),
        ("hosts", "", "must be hosts such as"),
    ],
)  # fmt: skip
def test_addresses_and_hosts_of_a_service_are_checked(name, value, message):
    text = VOD if name != "origin" else VOD.partition("origin")[0]
    assert message in problem(text + f'{name} = "{value}"')


def test_a_password_in_an_address_is_not_repeated():
    said = problem(VOD + "slate = 'https://me:hunter2@a.example/'")
    assert "must not hold a name or password" in said
    assert "hunter2" not in said


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("'2026-11-20T18:00:00'", 'has no time zone: write "2026-11-20T18:00:00Z" if it is in UTC'),
        ("2026-11-20T18:00:00", "has no time zone"),
        ("'2026-11-20T18:00:00.5Z'", "has a fraction of a second"),
        ("'tomorrow'", 'must be a moment such as "2026-11-20T18:00:00Z", not "tomorrow"'),
        ("'0001-01-01T00:00:00+14:00'", "must be a moment of our times"),
        ("5", "must be a text in quotes, not 5"),
    ],
)
def test_moments_are_checked(value, message):
    text = TV + MINUTE.replace("'2026-11-20T18:00:00Z'", value)
    assert f"service tv: slot news: start {message}" in problem(text)


def test_dev_adds_the_services_of_the_demo_for_its_source():
    settings = read(VOD, dev=True)
    assert [service.id for service in settings.services] == [
        "films",
        "demo-vod",
        "demo-live",
        "demo-channel",
    ]
    assert {service.source for service in DEV_SERVICES} == {"dev"}
    assert (
        read(VOD.replace("= 'shop'\nkind", "= 'dev'\nkind"), dev=True).services[0].source == "dev"
    )
    assert '"demo-vod", which --dev adds itself' in problem(
        VOD.replace("films", "demo-vod"), dev=True
    )
    assert read(VOD.replace("films", "demo-vod")).services[0].id == "demo-vod"


def test_services_of_the_demo_keep_the_rules_of_services():
    """Their addresses begin with what stands for the server; the rest is as in a file."""
    for service in DEV_SERVICES:
        lines = [SHOP, "[[service]]\n"]
        for name in declared(Service):
            value = getattr(service, name)
            if value is not None and not isinstance(value, tuple):
                lines.append(
                    f"{name} = {str(value).lower() if isinstance(value, bool) else repr(value)}\n"
                )
            elif value:
                lines.append(f"{name} = {list(value)}\n")
        text = "".join(lines).replace("footfall:/", "http://127.0.0.1:8080/")
        (kept,) = read(text.replace("'dev'", "'shop'")).services
        assert kept.kind == service.kind


def test_without_extensions_services_are_checked_and_left_out():
    assert read(VOD, extensions=None, dev=True).services == ()
    assert "origin is missing" in problem(VOD.partition("origin")[0], extensions=None)


# -- environment and flags ----------------------------------------------------------------------


def test_environment_wins_over_the_file_and_flags_over_both():
    text = "[server]\nport = 1000\nhost = '127.0.0.2'\nconsole_port = 1001\n"
    environment = {
        "FOOTFALL_SERVER_PORT": "2000",
        "FOOTFALL_SERVER_CONSOLE_PORT": "2001",
        "FOOTFALL_SERVER_LIMITS_BODY_BYTES": "4096",
        "FOOTFALL_SERVER_TRUSTED_PROXIES": "10.0.0.0/8, ::1/128",
        "FOOTFALL_SERVER_QUERY_SECONDS": "2.5",
        "FOOTFALL_DEBUG": "1",
        "HOME": "/",
    }
    server = read(text, environment, overrides={"server.port": 3000, "server.workers": None}).server
    assert (server.port, server.console_port, server.host) == (3000, 2001, "127.0.0.2")
    assert server.limits.body_bytes == 4096
    assert server.trusted_proxies == ("10.0.0.0/8", "::1/128")
    assert server.query_seconds == 2.5
    assert server.workers == 1


def test_an_empty_variable_unsets_what_may_be_unset():
    text = "[server]\ngeoip = 'no.mmdb'\n"
    assert read(text, {"FOOTFALL_SERVER_GEOIP": ""}).server.geoip is None


@pytest.mark.parametrize(
    ("variable", "text", "message"),
    [
        (
            "FOOTFALL_SERVER_POTR",
            "1",
            'environment: FOOTFALL_SERVER_POTR is not known; did you mean "FOOTFALL_SERVER_PORT"?',
        ),
        (
            "FOOTFALL_SERVER_PORT",
            "x",
            'environment: FOOTFALL_SERVER_PORT must be a whole number from 0 to 65535, not "x"',
        ),
        (
            "FOOTFALL_SERVER_PORT",
            "",
            'environment: FOOTFALL_SERVER_PORT must be a whole number from 0 to 65535, not ""',
        ),
    ],
)
def test_a_problem_of_the_environment_names_the_variable(variable, text, message):
    assert problem("", {variable: text}) == message


def test_every_server_setting_has_its_variable():
    texts = {row.environment for row in describe(EXTENSIONS) if row.environment}
    assert "FOOTFALL_SERVER_LIMITS_BODY_BYTES" in texts
    settings = [s for kind in (Server, Limits, Media, Streams) for s in declared(kind).values()]
    assert len(texts) == len([setting for setting in settings if not setting.is_table])


def test_the_environment_does_not_hide_a_server_table_of_the_wrong_kind():
    assert "server must be a table" in problem("server = 1", {"FOOTFALL_SERVER_PORT": "1"})


# -- places of files ----------------------------------------------------------------------------


def test_the_files_names_are_relative_to_its_folder(tmp_path):
    (tmp_path / "cert.pem").write_text("")
    (tmp_path / "key.pem").write_text("")
    text = "[server]\ndata = 'kept'\ntls_certificate = 'cert.pem'\ntls_key = 'key.pem'"
    server = read(text, path=tmp_path / "footfall.toml").server
    assert server.data == str(tmp_path / "kept")
    assert server.tls_certificate == str(tmp_path / "cert.pem")
    assert read(path=tmp_path / "footfall.toml").server.data == str(tmp_path / "footfall-data")


def test_names_from_flags_and_environment_are_relative_to_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text, path = "[server]\ndata = 'kept'", Path("/etc/footfall.toml")
    assert read(text, path=path, overrides={"server.data": "d"}).server.data == str(tmp_path / "d")
    environment = {"FOOTFALL_SERVER_DATA": "e"}
    assert read(text, environment, path=path).server.data == str(tmp_path / "e")


def test_files_that_cannot_be_read_may_be_told_instead_of_refused(tmp_path):
    text = "[server]\ngeoip = 'no.mmdb'\n" + SHOP + "[source.vaix]\npublic_key = 'no.pem'"
    settings = read(text, path=tmp_path / "footfall.toml", check_files=False)
    assert unreadable_files(settings) == [
        f"server.geoip names {tmp_path}/no.mmdb, which does not exist",
        f"source shop: vaix.public_key names {tmp_path}/no.pem, which does not exist",
    ]
    assert len(problems(text, path=tmp_path / "footfall.toml")) == 2


# -- dev mode, and reading without the protocols ------------------------------------------------


def test_dev_adds_a_source_that_takes_everything():
    settings = read(SHOP, dev=True)
    assert [source.id for source in settings.sources] == ["shop", "dev"]
    dev = settings.sources[-1]
    assert dev.key_sha256 == (hashlib.sha256(DEV_KEY.encode()).hexdigest(),) == (DEV_KEY_SHA256,)
    assert set(dev.protocols) == set(EXTENSIONS)
    assert dev.origins == ("*",)
    assert dev.of(Vaix) == Vaix(client_ids=("*",))


@pytest.mark.parametrize("name", ["host", "console_host"])
@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.1", "example.com"])
def test_dev_serves_loopback_only(name, host):
    said = problem(dev=True, overrides={f"server.{name}": host})
    assert said.startswith(f'command line: --{name.replace("_", "-")} is "{host}": --dev has')


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.53", "::1", "localhost"])
def test_dev_takes_every_name_of_loopback(host):
    assert read(dev=True, overrides={"server.host": host}).dev


def test_dev_wants_its_source_id_for_itself():
    assert '"dev"' in problem(SHOP.replace("shop", "dev"), dev=True)
    assert read(SHOP.replace("shop", "dev")).sources[0].id == "dev"


def test_without_extensions_only_the_server_is_read():
    """Sources without their protocols' settings would quietly have the defaults instead."""
    text = SHOP.replace("vaix", "whatever") + "[source.whatever]\nx = 1\n[server]\nport = 9\n"
    settings = read(text, extensions=None, dev=True)
    assert settings.sources == ()
    assert settings.dev
    assert settings.server.port == 9


def test_a_protocols_own_rule_between_settings_names_the_line():
    @dataclass(frozen=True, slots=True, kw_only=True)
    class Both:
        a: str | None = setting(None, "A.")

        def __post_init__(self):
            if self.a:
                raise SettingsError("a needs b.")

    text = "[[source]]\nid = 'x'\nprotocols = 'both'\n[source.both]\na = 'y'"
    said = problem(text, extensions={"both": Both})
    assert said == "footfall.toml:4: source x: both is contradictory: a needs b."


# -- the scanner of lines -----------------------------------------------------------------------


def test_lines_are_found_past_everything_that_looks_like_a_header():
    text = '''# [server]
a = """
[server]
b = 1 \\""" "
"""
c = [ # ]
  "]", [1, 2],
  { d = 1 },
]
"quoted key" = 1
[ server . "limits" ] # comment
 e.f = '[x]'
[[source]]
[source.vaix]
g = "\\"]"
h = \'\'\'
[[source]]\'\'\'\'
[[source]]
id = 1
[source.vaix.event_types]
"clicks:event" = 1
[[service]]
[[service.slot]]
[[service.slot]]
start = 1
[[service]]
[[service.slot]]
start = 1
'''
    tomllib.loads(text)
    lines = Lines(text)
    assert {
        path: lines.of(path)
        for path in [
            ("a",),
            ("c",),
            ("c", "d"),
            ("quoted key",),
            ("server",),
            ("server", "limits", "e", "f"),
            ("source", 0, "vaix", "g"),
            ("source", 0, "vaix", "h"),
            ("source", 0, "id"),
            ("source", 1, "id"),
            ("source", 1, "vaix", "event_types", "clicks:event"),
            ("service", 0, "slot", 1, "start"),
            ("service", 1, "slot", 0, "start"),
            ("nowhere",),
        ]
    } == {
        ("a",): 2,
        ("c",): 6,
        ("c", "d"): 6,
        ("quoted key",): 10,
        ("server",): 11,
        ("server", "limits", "e", "f"): 12,
        ("source", 0, "vaix", "g"): 15,
        ("source", 0, "vaix", "h"): 16,
        ("source", 0, "id"): 13,
        ("source", 1, "id"): 19,
        ("source", 1, "vaix", "event_types", "clicks:event"): 21,
        ("service", 0, "slot", 1, "start"): 25,
        ("service", 1, "slot", 0, "start"): 28,
        ("nowhere",): None,
    }


_words = st.text("abc[]{}#='\\\"\n ", max_size=12)
_values = st.recursive(
    _words | st.integers(), lambda inner: st.lists(inner, max_size=3), max_leaves=5
)


def _written(value) -> str:
    """A value as TOML, over several lines where it has brackets."""
    if isinstance(value, list):
        return "[\n" + "".join(f"{_written(item)}, # ]\n" for item in value) + "]"
    if isinstance(value, int):
        return str(value)
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"""{escaped}"""' if "\n" in value else f'"{escaped}"'


@given(st.lists(_values, max_size=6))
def test_lines_of_keys_are_right_whatever_their_values(values):
    text, expected = "[t]\n", {}
    for number, value in enumerate(values):
        expected["t", f"k{number}"] = text.count("\n") + 1
        text += f"k{number} = {_written(value)}\n"
    assert list(tomllib.loads(text)["t"]) == [name for _, name in expected]
    lines = Lines(text)
    assert {path: lines.of(path) for path in expected} == expected


# -- the list itself ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Server, Limits, Media, Streams, Source, Privacy, Service, Slot])
def test_every_setting_is_whole(kind):
    for one in declared(kind).values():
        if one.is_table:
            continue
        assert one.help.endswith("."), one.name
        assert one.check is None or one.check in CHECKS
        values = one.default if isinstance(one.default, tuple | dict) else (one.default,)
        values = values.values() if isinstance(values, dict) else values
        if one.low is not None and not one.required and one.default is not None:
            assert all(value >= one.low for value in values)
        if one.example:
            tomllib.loads(f"x = {one.example}")


def test_describe_has_every_setting_once():
    rows = describe(EXTENSIONS)
    names = [(row.table, row.name) for row in rows]
    assert len(names) == len(set(names))
    assert ("[server.limits]", "body_bytes") in names
    assert ("[[source]]", "origins") in names
    assert ("[source.vaix]", "lenient") in names
    assert ("[source.privacy]", "tcf_purposes") in names
    assert ("[[service]]", "tracking") in names
    assert ("[[service.slot]]", "replacement") in names
    by_name = dict(zip(names, rows, strict=True))
    assert by_name["[[source]]", "id"].default == "required"
    assert by_name["[server]", "tls_key"].default == "unset"
    assert by_name["[source.vaix]", "event_types"].default == '`{"clicks:event" = ["page"]}`'


def test_days_by_type_are_whole_numbers_each():
    (source,) = read(SHOP + 'retention_days_by_type = { "page-view" = 30, "a b" = 1 }\n').sources
    assert source.retention_days_by_type == {"page-view": 30, "a b": 1}
    (said,) = problems(SHOP + 'retention_days_by_type = { "page-view" = 0 }\n')
    assert "retention_days_by_type must be a table of whole numbers" in said
    assert 'not 0 for "page-view"' in said
    (said,) = problems(SHOP + "retention_days_by_type = 30\n")
    assert "must be a table of whole numbers of at least 1 days, not 30" in said
