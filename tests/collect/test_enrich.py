"""What a request says about its sender: steps, agents, countries, addresses, bounds."""

from __future__ import annotations

from ipaddress import ip_address
from types import SimpleNamespace
from uuid import uuid4

import maxminddb
import pytest
import structlog
from served import source

from footfall.collect.agents import Agent, parser
from footfall.collect.contract import DropReason, Request
from footfall.collect.enrich import LONGEST, STEPS, Enricher, Tools, page_origin

parse = parser(1000)

CHROME_WINDOWS = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36"
AGENTS = [
    # (user agent, device, os, browser, channel)
    (CHROME_WINDOWS, "desktop", "Windows", "Chrome", "desktop"),
    ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36 Edg/130.0.0.0", "desktop", "Windows", "Edge", "desktop"),
    ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4 Safari/605.1.15", "desktop", "Mac OS X", "Safari", "mac"),
    ("Mozilla/5.0 (X11; Linux x86_64; rv:131.0) Gecko/20100101 Firefox/131.0", "desktop", "Linux", "Firefox", "desktop"),
    ("Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:131.0) Gecko/20100101 Firefox/131.0", "desktop", "Ubuntu", "Firefox", "desktop"),
    ("Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36", "desktop", "Chrome OS", "Chrome", "desktop"),
    ("Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4 Mobile/15E148 Safari/604.1", "mobile", "iOS", "Mobile Safari", "ios"),
    ("Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/130.0.6723.37 Mobile/15E148 Safari/604.1", "mobile", "iOS", "Chrome Mobile iOS", "ios"),
    ("Mozilla/5.0 (iPad; CPU OS 16_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/16.6 Mobile/15E148 Safari/604.1", "tablet", "iOS", "Mobile Safari", "ios"),
    ("Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Mobile Safari/537.36", "mobile", "Android", "Chrome Mobile", "android"),
    ("Mozilla/5.0 (Linux; Android 13; SM-X700) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36", "tablet", "Android", "Chrome", "android"),
    ("Mozilla/5.0 (Linux; Android 14; SAMSUNG SM-S918B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/23.0 Chrome/115.0.0.0 Mobile Safari/537.36", "mobile", "Android", "Samsung Internet", "android"),
    ("okhttp/4.12.0", None, None, "okhttp", None),
    ("Dalvik/2.1.0 (Linux; U; Android 13; Pixel 6 Build/TQ3A.230805.001)", "mobile", "Android", "Android", "android"),
    ("Mozilla/5.0 (SMART-TV; Linux; Tizen 6.0) AppleWebKit/537.36 (KHTML, like Gecko) 76.0.3809.146/6.0 TV Safari/537.36", "tv", "Tizen", None, None),
    ("Mozilla/5.0 (Web0S; Linux/SmartTV) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/94.0.4606.128 Safari/537.36 WebAppManager", "tv", "Web0S", None, None),
    ("Mozilla/5.0 (Linux; Android 9; AFTMM Build/PS7613; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/110.0.0.0 Mobile Safari/537.36", "tv", "Android", "Chrome Mobile WebView", "android"),
    ("Roku/DVP-12.0 (12.0.0.4182-88)", "tv", "Roku", None, None),
    ("AppleTV11,1/17.4", "tv", None, None, None),
    ("Mozilla/5.0 (CrKey armv7l 1.5.16041) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/31.0.1650.0 Safari/537.36", "tv", None, None, None),
    ("Mozilla/5.0 (Linux; Android 10; BRAVIA 4K UR2) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36", "tv", "Android", None, "android"),
    ("HbbTV/1.6.1 (+DRM;Samsung;SmartTV2022;T-KSU2EDEUC-1220.9;;) Tizen/6.5", "tv", None, None, None),
    ("Mozilla/5.0 (PlayStation; PlayStation 5/8.20) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/15.4 Safari/605.1.15", "console", None, None, None),
    ("Mozilla/5.0 (Windows NT 10.0; Win64; x64; Xbox; Xbox Series X) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36 Edge/44.18363.8131", "console", "Windows", None, None),
    ("Mozilla/5.0 (Nintendo Switch; WifiWebAuthApplet) AppleWebKit/609.4 (KHTML, like Gecko) NF/6.0.3.21.1 NintendoBrowser/5.1.0.23519", "console", None, None, None),
    ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "bot", None, "Googlebot", None),
    ("Mozilla/5.0 (Linux; Android 6.0.1; Nexus 5X Build/MMB29P) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Mobile Safari/537.36 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "bot", "Android", "Googlebot", None),
    ("Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)", "bot", None, "bingbot", None),
    ("facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)", "bot", None, None, None),
    ("Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.1; +https://openai.com/gptbot)", "bot", None, None, None),
    ("curl/7.88.1", None, None, "curl", None),
    ("python-requests/2.32.0", None, None, "Python Requests", None),
    ("", None, None, None, None),
    ("\x00\xff garbage \r\n" * 30, None, None, None, None),
]  # fmt: skip


@pytest.mark.parametrize(("text", "device", "system", "browser", "channel"), AGENTS)
def test_agents(text, device, system, browser, channel):
    agent = parse(text)
    assert (agent.device, agent.channel) == (device, channel)
    if system is not None:
        assert agent.os == system
    if browser is not None:
        assert agent.browser == browser


# The steps


class Countries:
    """A country database in a dict, with the faults that a real one has."""

    def __init__(self, known):
        self.known, self.asked = known, []

    def get(self, address):
        self.asked.append(address)
        if not address:
            raise ValueError("not an address")
        found = self.known.get(address)
        if isinstance(found, Exception):
            raise found
        return found


def enrich(tools=None, bots="keep", ip="192.0.2.77", remembered=10, **headers):
    given = {name.replace("_", "-").encode(): value.encode("latin-1") for name, value in headers.items()}  # fmt: skip
    request = Request(
        method="POST", path="/", headers=given, client_ip=ip, new_uuid=lambda: str(uuid4())
    )  # fmt: skip
    return Enricher(tools or Tools(parse_agent=parse), remembered)(request, source(bots=bots))


def test_the_steps_can_be_pointed_at():
    names = [step.__name__ for step in STEPS]
    assert names == ["put_device", "drop_bot", "put_country", "put_brand", "truncate_ip"]


@pytest.mark.parametrize(
    ("ip", "stored"),
    [
        ("192.0.2.77", "192.0.2.0"),
        ("255.255.255.255", "255.255.255.0"),
        ("0.0.0.0", "0.0.0.0"),
        ("2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff", "2001:db8:aaaa::"),
        ("::1", "::"),
        ("::ffff:192.0.2.77", "192.0.2.0"),
        ("fe80::1%eth0", "fe80::"),
        ("", None),
        ("unix:", None),
        ("not an address", None),
    ],
)
def test_addresses_are_kept_by_their_network_only(ip, stored):
    visit = enrich(ip=ip)
    assert visit.ip == stored


@pytest.mark.parametrize(
    ("found", "country"),
    [
        ({"country": {"iso_code": "NL"}}, "NL"),
        ({"registered_country": {"iso_code": "DE"}}, "DE"),
        ({"country": {"iso_code": "NL"}, "registered_country": {"iso_code": "DE"}}, "NL"),
        ({"country": {}}, None),
        ({}, None),
        (None, None),
        ("a text", None),
    ],
)
def test_countries(found, country):
    countries = Countries({"192.0.2.77": found})
    visit = enrich(Tools(parse_agent=parse, countries=countries))
    assert visit.country == country
    assert visit.ip == "192.0.2.0"
    assert countries.asked == ["192.0.2.77"], "by the whole address"


def database(networks):
    """A MaxMind DB of IPv4 networks and countries, as its specification has it (version 2.0)."""

    def text(value):
        return bytes([2 << 5 | len(value)]) + value.encode()

    def number(value, kind=5):
        return bytes([kind << 5 | 2]) + value.to_bytes(2, "big")

    def table(**items):
        packed = b"".join(text(name) + value for name, value in items.items())
        return bytes([7 << 5 | len(items)]) + packed

    nodes, data = [[None, None]], b""
    for network, country in networks.items():
        address, bits = network.split("/")
        path = f"{int(ip_address(address)):032b}"[: int(bits)]
        at = 0
        for bit in path[:-1]:
            if nodes[at][int(bit)] is None:
                nodes.append([None, None])
                nodes[at][int(bit)] = len(nodes) - 1
            at = nodes[at][int(bit)]
        nodes[at][int(path[-1])] = ("data", len(data))
        data += table(country=table(iso_code=text(country)))

    def record(value):
        if value is None:
            value = len(nodes)
        elif isinstance(value, tuple):
            value = len(nodes) + 16 + value[1]
        return value.to_bytes(3, "big")

    tree = b"".join(record(left) + record(right) for left, right in nodes)
    about = table(
        node_count=number(len(nodes), 6), record_size=number(24), ip_version=number(4),
        database_type=text("Test"), languages=bytes([0, 11 - 7]), description=table(),
        binary_format_major_version=number(2), binary_format_minor_version=number(0),
        build_epoch=bytes([1, 9 - 7, 1]),
    )  # fmt: skip
    return tree + bytes(16) + data + b"\xab\xcd\xefMaxMind.com" + about


def test_a_real_database(tmp_path):
    path = tmp_path / "countries.mmdb"
    path.write_bytes(database({"192.0.2.0/24": "NL", "198.51.100.64/26": "DE"}))
    with maxminddb.open_database(path) as countries:
        tools = Tools(parse_agent=parse, countries=countries)
        found = {
            ip: enrich(tools, ip=ip).country
            for ip in ("192.0.2.77", "198.51.100.65", "198.51.100.1", "2001:db8::1", "", "x")
        }
    assert found == {
        "192.0.2.77": "NL", "198.51.100.65": "DE", "198.51.100.1": None, "2001:db8::1": None,
        "": None, "x": None,
    }  # fmt: skip


def test_a_database_without_an_answer_or_in_pieces_costs_no_event():
    tools = Tools(parse_agent=parse, countries=Countries({"192.0.2.77": RuntimeError("damaged")}))
    with structlog.testing.capture_logs() as logs:
        visit = enrich(tools, origin="https://a.example")
    assert (visit.country, visit.brand, visit.ip) == (None, "https://a.example", "192.0.2.0")
    assert logs[0]["step"] == "put_country"
    assert enrich(tools, ip="").country is None


@pytest.mark.parametrize(("bots", "dropped"), [("keep", None), ("drop", DropReason.BOT)])
def test_crawlers(bots, dropped):
    crawler = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
    visit = enrich(bots=bots, user_agent=crawler)
    assert (visit.device, visit.dropped) == ("bot", dropped)
    assert enrich(bots=bots, user_agent=CHROME_WINDOWS).dropped is None
    assert enrich(bots=bots).dropped is None


@pytest.mark.parametrize(
    ("headers", "origin"),
    [
        ({}, b""),
        ({"origin": "https://a.example"}, b"https://a.example"),
        ({"origin": "https://a.example", "referer": "https://b.example/x"}, b"https://a.example"),
        ({"origin": "null", "referer": "https://b.example/x"}, b"https://b.example"),
        ({"origin": "null"}, b""),
        ({"origin": ""}, b""),
        ({"referer": "https://b.example"}, b"https://b.example"),
        ({"referer": "https://b.example/"}, b"https://b.example"),
        ({"referer": "https://b.example:8443/x/y?z#w"}, b"https://b.example:8443"),
        ({"referer": "https://b.example?x=/y"}, b"https://b.example"),
        ({"referer": "https://b.example#x/y"}, b"https://b.example"),
        ({"referer": "https://user:secret@b.example/x"}, b"https://b.example"),
        ({"referer": "https://[2001:db8::1]:8443/x"}, b"https://[2001:db8::1]:8443"),
        ({"referer": "android-app://com.example.app/x"}, b"android-app://com.example.app"),
        ({"referer": "about:client"}, b""),
        ({"referer": "/relative"}, b""),
        ({"referer": ""}, b""),
    ],
)
def test_the_origin_of_a_page(headers, origin):
    given = {name.encode(): value.encode() for name, value in headers.items()}
    assert page_origin(given) == origin


def test_what_is_remembered_is_bounded_in_number_and_size():
    looked_up = []

    def counting(text):
        looked_up.append(text)
        return Agent()

    enricher = Enricher(Tools(parse_agent=counting), remembered=5)

    def ask(number, length=10):
        agent = (f"{number}-" + "x" * length).encode()
        origin = b"https://" + b"o" * length
        request = Request(
            method="GET", path="/", headers={b"user-agent": agent, b"origin": origin},
            client_ip="192.0.2.1", new_uuid=lambda: str(uuid4()),
        )  # fmt: skip
        return enricher(request, SimpleNamespace(bots="keep"))

    for _ in range(3):
        for number in range(5):
            ask(number)
    assert len(looked_up) == 5
    for number in range(1000):
        ask(number)
    assert enricher._run.cache_info().currsize == 5
    visit = ask(0, 100_000)
    assert len(looked_up[-1]) == LONGEST
    assert len(visit.brand) == LONGEST


def test_the_parser_remembers_so_many_and_no_more():
    few = parser(2)
    for text in ("a", "b", "c", "a"):
        assert few(text) == Agent()
    assert few.cache_info().currsize == 2
