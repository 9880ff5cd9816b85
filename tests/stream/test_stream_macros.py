"""Macros in the addresses of ad servers and beacons, and the headers of their requests."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from footfall.stream import macros
from footfall.stream.macros import Playing, Values

NOW = 1_767_268_807_127_000  # 2026-01-01T12:00:07.127Z
VIEWER = Values(
    session="5e55104a-1",
    service="news",
    parameters=(("w", "640"), ("app", "a b&c=d"), ("w", "1")),
    headers={"user-agent": "TV/1.0 (x; y)", "x-own-thing": "é/1"},
    address="203.0.113.9",
    duration_us=30_030_000,
    signal_id="event 7",
    upid="ABC",
    position=macros.MIDROLL,
)


def query(url: str) -> list[tuple[str, str]]:
    return parse_qsl(urlsplit(url).query, keep_blank_values=True)


class TestRequest:
    @pytest.mark.parametrize(
        ("written", "value"),
        [
            ("$arg_w", "640"),
            ("$arg_app", "a%20b%26c%3Dd"),
            ("$arg_none", ""),
            ("$http_user_agent", "TV%2F1.0%20%28x%3B%20y%29"),
            ("$http_X_Own_Thing", "%C3%A9%2F1"),
            ("$http_cookie", ""),
            ("$REMOTE_ADDRESS", "203.0.113.9"),
            ("$AD_BREAK_DURATION", "30"),
            ("$AD_BREAK_DURATION_MS", "30030"),
            ("$LIVE_AR_SIGNALID", "event%207"),
            ("$LIVE_AR_UPID", "ABC"),
            ("$SESSION_ID", "5e55104a-1"),
            ("$SERVICE_ID", "news"),
            ("$NOT_KNOWN", ""),
            ("$5", "$5"),
            ("$arg_w-$arg_w.$SERVICE_ID", "640-640.news"),
            ("[BREAKPOSITION]", "2"),
            ("[SERVERSIDE]", "1"),
        ],
    )
    def test_macros(self, written, value):
        url = macros.request(f"https://ads.example/v?x={written}&y", VIEWER, NOW)
        assert url.startswith(f"https://ads.example/v?x={value}&y")

    def test_cache_busters_differ(self):
        urls = {macros.request("https://a/?c=$CACHE_BUSTER", Values(), NOW) for _ in range(3)}
        assert len(urls) > 1
        assert all(re.fullmatch(r"https://a/\?c=\d{8}", url) for url in urls)

    def test_a_break_of_unknown_length_has_no_length(self):
        url = macros.request(
            "https://a/?s=$AD_BREAK_DURATION&m=$AD_BREAK_DURATION_MS", Values(), NOW
        )
        assert url == "https://a/?s=&m="

    @pytest.mark.parametrize(
        ("template", "expected"),
        [
            ("https://a/v", "https://a/v?w=640&app=a%20b%26c%3Dd&w=1"),
            ("https://a/v?", "https://a/v?w=640&app=a%20b%26c%3Dd&w=1"),
            ("https://a/v?x=1", "https://a/v?x=1&w=640&app=a%20b%26c%3Dd&w=1"),
            ("https://a/v?x=1&", "https://a/v?x=1&w=640&app=a%20b%26c%3Dd&w=1"),
            ("https://a/v?width=$arg_w", "https://a/v?width=640&app=a%20b%26c%3Dd"),
            ("https://a/v?x=$arg_app#f", "https://a/v?x=a%20b%26c%3Dd&w=640&w=1#f"),
            ("https://a/v?app=fixed", "https://a/v?app=fixed&w=640&w=1"),
            ("https://a/$arg_w/$arg_app", "https://a/640/a%20b%26c%3Dd"),
        ],
    )
    def test_parameters_that_the_template_does_not_name_are_appended(self, template, expected):
        assert macros.request(template, VIEWER, NOW) == expected

    @given(st.text(max_size=20), st.text(max_size=20))
    def test_a_viewer_adds_values_and_nothing_else(self, name, value):
        name = name.encode("utf-8", "ignore").decode()
        value = value.encode("utf-8", "ignore").decode()
        values = Values(parameters=((name, value),), headers={"x-a": value})
        url = macros.request("https://a/p?one=$arg_q&two=$http_x_a&cb=5", values, NOW)
        found = query(url)
        expected = [("one", value if name == "q" else ""), ("two", value), ("cb", "5")]
        if name not in {"q", "one", "two", "cb"}:
            expected.append((name, value))
        assert found == expected
        assert urlsplit(url)[:3] == ("https", "a", "/p")


class TestVast:
    playing = Playing(
        position=macros.PREROLL,
        sequence=3,
        asset="https://cdn.example/a b.m3u8",
        ad_us=11_355_000,
        content_us=3_723_004_999,
    )

    @pytest.mark.parametrize(
        ("written", "value"),
        [
            ("[TIMESTAMP]", "2026-01-01T12%3A00%3A07.127Z"),
            ("%5BTIMESTAMP%5D", "2026-01-01T12%3A00%3A07.127Z"),
            ("%5bTIMESTAMP%5d", "2026-01-01T12%3A00%3A07.127Z"),
            ("[ERRORCODE]", "303"),
            ("[ERROR_CODE]", "303"),
            ("[SERVERSIDE]", "1"),
            ("[BREAKPOSITION]", "1"),
            ("[ADPLAYHEAD]", "00%3A00%3A11.355"),
            ("[MEDIAPLAYHEAD]", "01%3A02%3A03.004"),
            ("[CONTENTPLAYHEAD]", "01%3A02%3A03.004"),
            ("[ASSETURI]", "https%3A%2F%2Fcdn.example%2Fa%20b.m3u8"),
            ("[PODSEQUENCE]", "3"),
            ("[DEVICEIP]", "203.0.113.9"),
            ("[DEVICEUA]", "TV%2F1.0%20%28x%3B%20y%29"),
            ("[SERVERUA]", "footfall"),
            ("[LIMITADTRACKING]", "-1"),
            ("[REASON]", "2"),
            ("[PLAYERSTATE]", "-1"),
            ("[NEVER_HEARD_OF]", "-1"),
            ("[timestamp]", "2026-01-01T12%3A00%3A07.127Z"),
            ("[width]", "[width]"),
            ("[0]", "[0]"),
            ("[]", "[]"),
            ("[A", "[A"),
        ],
    )
    def test_a_beacon_that_the_server_calls_is_filled_completely(self, written, value):
        url = f"https://a.example/{written}?x={written}"
        filled = macros.beacon(url, VIEWER, self.playing, NOW, code=303, reason=2)
        assert filled == f"https://a.example/{value}?x={value}"

    @pytest.mark.parametrize(
        "macro",
        "ERRORCODE REASON ADPLAYHEAD MEDIAPLAYHEAD ASSETURI PODSEQUENCE DEVICEIP DEVICEUA".split(),
    )
    def test_what_is_not_known_is_minus_one(self, macro):
        assert macros.beacon(f"https://a/?x=[{macro}]", Values(), Playing(), NOW).endswith("=-1")

    @pytest.mark.parametrize(
        ("sent", "value"),
        [({"sec-gpc": "1"}, "1"), ({"dnt": "1"}, "1"), ({"dnt": "0"}, "0"), ({}, "-1")],
    )
    def test_limited_tracking(self, sent, value):
        values = Values(headers=sent)
        assert macros.tag("https://a/?l=[LIMITADTRACKING]", values, NOW) == f"https://a/?l={value}"

    def test_a_tag(self):
        url = "https://a/?p=[BREAKPOSITION]&m=[BREAKMAXDURATION]&c=[CACHEBUSTING]&e=[ERRORCODE]"
        found = dict(query(macros.tag(url, VIEWER, NOW)))
        assert re.fullmatch(r"\d{8}", found.pop("c"))
        assert found == {"p": "2", "m": "30", "e": "-1"}
        assert dict(query(macros.tag(url, Values(), NOW)))["m"] == "-1"

    def test_an_address_for_a_client_gets_what_only_the_server_knows(self):
        url = (
            "https://a/?t=[TIMESTAMP]&c=%5BCACHEBUSTING%5D&p=[PODSEQUENCE]&b=[BREAKPOSITION]"
            "&u=[ASSETURI]&s=[SERVERSIDE]&e=[ERRORCODE]&h=[ADPLAYHEAD]&n=[NEW]"
        )
        assert macros.client(url, self.playing) == (
            "https://a/?t=[TIMESTAMP]&c=%5BCACHEBUSTING%5D&p=3&b=1"
            "&u=https%3A%2F%2Fcdn.example%2Fa%20b.m3u8&s=0&e=[ERRORCODE]&h=[ADPLAYHEAD]&n=[NEW]"
        )

    def test_what_is_filled_in_is_not_filled_again(self):
        playing = Playing(asset="https://c/[SERVERSIDE]")
        assert macros.client("https://a/?u=[ASSETURI]", playing).endswith("%5BSERVERSIDE%5D")


class TestHeaders:
    def test_the_viewers(self):
        assert macros.headers(VIEWER) == {
            "User-Agent": "TV/1.0 (x; y)",
            "X-Device-User-Agent": "TV/1.0 (x; y)",
            "X-Forwarded-For": "203.0.113.9",
            "X-Device-IP": "203.0.113.9",
        }

    def test_of_nobody(self):
        assert macros.headers(Values()) == {"User-Agent": "footfall"}

    def test_a_user_agent_cannot_bring_headers_of_its_own(self):
        values = Values(headers={"user-agent": "é\r\nX-Own: 1\x00"})
        assert macros.headers(values)["User-Agent"] == "X-Own: 1"
