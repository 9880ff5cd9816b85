"""The order of the checks, addresses both ways, and the headers of every answer."""

from __future__ import annotations

import json
import re

import pytest

from footfall.settings import Service
from footfall.stream import problems, requests
from footfall.stream.requests import Answer, Call, File, Fixed, Segment

VOD = Service(
    id="films",
    source="site",
    kind="vod",
    origin="https://origin.example.com/vod/",
    hosts=("cdn.example.net",),
)
SIDE = Service(
    id="side", source="site", kind="live", origin="https://o.example.com/l", tracking="server"
)
CHANNEL = Service(
    id="ch",
    source="site",
    kind="channel",
    assets=("https://o.example.com/a.m3u8",),
    origin="http://channel.invalid/ch/",
)
SERVICES = {one.id: one for one in (VOD, SIDE, CHANNEL)}
SESSION = "0123abcd-2f1c6d2e-0000-4000-8000-000000000000"
IDS = f"bpkio_sessionid={SESSION}&bpkio_serviceid=films"


def read(target, method="GET"):
    path, _, query = target.partition("?")
    return requests.Requests(SERVICES, lambda: SESSION).read(method, path, query)


def detail(answer):
    assert isinstance(answer, Answer)
    headers = dict(answer.headers)
    assert headers[b"content-type"] == b"application/problem+json"
    told = json.loads(answer.body)
    assert set(told) == {"type", "title", "status", "detail"}
    assert told["status"] == answer.status
    return answer.status, told["detail"]


def header(answer, name):
    return dict(answer.headers).get(name)


def test_a_session_is_opened_by_a_redirect_that_keeps_the_request_as_it_was_encoded():
    answer = read("/stream/films/a%20b/x.m3u8?q=a%2Fb+c&bk-ml=2.0&w=640&w=&response=307")
    assert answer.status == 307
    assert answer.body == b""
    assert header(answer, b"location").decode() == (
        f"/stream/films/a%20b/x.m3u8?{IDS}&q=a%2Fb+c&bk-ml=2.0&w=640&w=&response=307"
    )
    assert header(answer, b"cache-control") == b"no-store"


def test_a_session_is_opened_by_200_where_redirects_cannot_be_followed():
    answer = read("/stream/films/x.m3u8?response=200")
    assert (answer.status, answer.body) == (200, b"")
    assert header(answer, b"location").decode() == f"/stream/films/x.m3u8?{IDS}&response=200"
    assert header(answer, b"access-control-expose-headers") == b"Location"


def test_the_service_is_named_once_in_the_redirect():
    answer = read("/stream/films/x.m3u8?bpkio_serviceid=films&a=1")
    assert header(answer, b"location").decode() == f"/stream/films/x.m3u8?{IDS}&a=1"


def test_response_has_no_effect_beside_a_session():
    call = read(f"/stream/films/x.m3u8?{IDS}&response=200")
    assert isinstance(call, Call)
    assert call.parameters == ()


def test_a_new_session_has_eight_digits_and_a_random_uuid():
    pattern = r"[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
    assert re.fullmatch(pattern, requests.new_session_id())
    assert requests.new_session_id() != requests.new_session_id()


WRONG = "bk-ml=3&bpkio_sessionid=%20&bpkio_serviceid=other"


@pytest.mark.parametrize(
    ("method", "target", "expected"),
    [
        ("POST", f"/stream/none/x.m3u8?{WRONG}", problems.METHOD),
        ("GET", f"/stream/none/x.m3u8?{WRONG}", problems.SERVICE_UNKNOWN),
        ("GET", f"/stream/films/x.m3u8?{WRONG}", problems.WORKFLOW_UNKNOWN),
        ("GET", "/stream/films/x.m3u8?bk-ml=1.0&bk-ml=1.0", problems.WORKFLOW_UNKNOWN),
        ("GET", "/stream/films/x.m3u8?bk-ml=1", problems.WORKFLOW_UNKNOWN),
        ("GET", "/stream/films/x.m3u8?bk-ml=", problems.WORKFLOW_UNKNOWN),
        (
            "GET",
            "/stream/films/x.m3u8?bk-ml=1.0&bpkio_sessionid=a%20b&bpkio_serviceid=other",
            problems.SESSION_MALFORMED,
        ),
        ("GET", "/stream/films/x.m3u8?bpkio_sessionid=", problems.SESSION_MALFORMED),
        ("GET", f"/stream/films/x.m3u8?bpkio_sessionid={'a' * 129}", problems.SESSION_MALFORMED),
        ("GET", "/stream/films/x.m3u8?bpkio_sessionid=a&bpkio_sessionid=a", problems.SESSION_MALFORMED),
        ("GET", "/stream/films/x.m3u8?bpkio_serviceid=other", problems.SERVICE_CONTRADICTED),
        ("GET", "/stream/films", problems.PATH_UNKNOWN),
        ("GET", "/stream/films/", problems.PATH_UNKNOWN),
        ("GET", "/stream/films/../x.m3u8", problems.PATH_UNKNOWN),
        ("GET", "/stream/films/a/%2e%2E/x.m3u8", problems.PATH_UNKNOWN),
        ("GET", "/stream/films/a%2f..%2fx.m3u8", problems.PATH_UNKNOWN),
        ("GET", "/stream/films/a%5c..%5cx.m3u8", problems.PATH_UNKNOWN),
        ("GET", "/stream/films/_/ftp/h/x.m3u8", problems.PATH_UNKNOWN),
        ("GET", "/stream/films/_/https/user@h/x.m3u8", problems.PATH_UNKNOWN),
        ("GET", "/stream/films/_/https/h", problems.PATH_UNKNOWN),
        ("GET", "/stream/films/_/https/evil.example.net/x.m3u8", problems.HOST_REFUSED),
        ("GET", "/stream/films/_/https/evil.example.net/x.ts", problems.HOST_REFUSED),
        ("GET", "/stream/films/_/https/cdn.example.net/x.ts", problems.PATH_UNKNOWN),
        ("GET", f"/stream/films/x.m3u8?{IDS}&bpkio_multivariant=../x.m3u8", problems.PATH_UNKNOWN),
        ("GET", "/stream/", problems.SERVICE_UNKNOWN),
    ],
)  # fmt: skip
def test_the_order_of_the_checks(method, target, expected):
    answer = read(target, method)
    assert detail(answer) == (expected.status, expected.detail)
    assert (header(answer, b"allow") is not None) == (answer.status == 405)


def test_other_methods_are_told_what_is_taken():
    assert header(read("/stream/films/x.m3u8", "PUT"), b"allow") == b"GET, HEAD, OPTIONS"


def test_a_preflight_is_answered_whatever_its_path():
    answer = read("/stream/none/x", "OPTIONS")
    assert (answer.status, answer.body) == (204, b"")
    assert header(answer, b"access-control-allow-methods") == b"GET, HEAD, OPTIONS"
    assert header(answer, b"access-control-allow-headers") == b"*"
    assert header(answer, b"access-control-max-age") == b"600"


@pytest.mark.parametrize(
    "answer",
    [
        read("/stream/films/x.m3u8"),
        read("/stream/films/x.m3u8", "OPTIONS"),
        read("/stream/films/x.m3u8", "POST"),
        read("/stream/none/x.m3u8"),
        read("/stream/films/seg.ts"),
        requests.refusal(problems.origin_refused(410)),
    ],
)
def test_every_answer_may_be_read_by_pages_of_other_origins(answer):
    assert header(answer, b"access-control-allow-origin") == b"*"
    assert header(answer, b"access-control-expose-headers") == b"Location"
    assert header(answer, b"cache-control") == b"no-store"


def test_head_is_read_as_get():
    assert read(f"/stream/films/x.m3u8?{IDS}", "HEAD") == read(f"/stream/films/x.m3u8?{IDS}")


def test_a_call_knows_what_is_the_ad_servers_and_what_is_ours():
    call = read(
        f"/stream/films/hi/v.m3u8?{IDS}&bk-ml=1.0&app=a%26b+c&bpkio_multivariant=x.m3u8"
        "&bpkio_query=token%3D1%26u&w=640&bpkio_other=1&w=320&empty="
    )
    assert call == Call(
        VOD,
        "hi/v.m3u8",
        "https://origin.example.com/vod/hi/v.m3u8?token=1&u",
        SESSION,
        "1.0",
        (("app", "a&b c"), ("w", "640"), ("w", "320"), ("empty", "")),
        "x.m3u8",
        "https://origin.example.com/vod/x.m3u8",
    )


def test_the_service_may_be_missing_beside_a_session_id_of_anybodys():
    call = read("/stream/films/x.m3u8?bpkio_sessionid=A.b_c-9")
    assert call.session_id == "A.b_c-9"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("token=a%26b/c&w=1", "?token=a%26b/c"),
        ("token=1&t2=2&bpkio_query=token%3D9%26x", "?token=9&x&t2=2"),
        ("w=1", ""),
    ],
)
def test_parameters_are_handed_on_to_the_origin_where_the_service_says_so(query, expected):
    service = Service(
        id="s",
        source="a",
        kind="vod",
        origin="https://o.example.com/v",
        origin_query=("token", "t2"),
    )
    reader = requests.Requests({"s": service}, lambda: SESSION)
    call = reader.read("GET", "/stream/s/x.m3u8", f"bpkio_sessionid={SESSION}&{query}")
    assert call.url == f"https://o.example.com/v/x.m3u8{expected}"
    other = requests.asked_with("https://o.example.com/y.m3u8?token=own", call.handed_on)
    assert other.startswith("https://o.example.com/y.m3u8?token=own")
    assert other.count("token=") == 1


def test_parameters_that_choose_a_stream_are_handed_on_too_and_are_the_same_in_any_order():
    service = Service(
        id="s",
        source="a",
        kind="live",
        origin="https://o.example.com/v",
        origin_query=("token",),
        stream_query=("ch", "of"),
    )
    reader = requests.Requests({"s": service}, lambda: SESSION)

    def read(query):
        return reader.read("GET", "/stream/s/x.m3u8", f"bpkio_sessionid={SESSION}&{query}")

    call = read("of=a%26b&token=1&w=640&ch=2")
    assert call.url == "https://o.example.com/v/x.m3u8?of=a%26b&token=1&ch=2"
    assert call.chosen == "ch=2&of=a%26b" == read("ch=2&token=7&of=a%26b&w=9").chosen
    assert read("token=1&w=640").chosen == ""


def test_a_rendition_on_a_host_that_may_not_be_asked_stays_where_it_is():
    call = read(f"/stream/films/x.m3u8?{IDS}")
    elsewhere = "https://evil.example.net/v.m3u8?a=1"
    assert requests.playlist_address(call, elsewhere, "x.m3u8") == elsewhere


@pytest.mark.parametrize("path", ["x.m3u8", "a/master.m3u8", "0.ts", "x.mpd"])
def test_a_channel_says_which_playlists_it_has(path):
    for query in ("", f"?bpkio_sessionid={SESSION}"):
        answer = read(f"/stream/ch/{path}{query}")
        assert (answer.status, answer) == (404, requests.refusal(problems.CHANNEL_UNKNOWN))


def test_a_channel_has_paths_as_if_it_had_an_origin():
    url = read(f"/stream/ch/master.m3u8?bpkio_sessionid={SESSION}").url
    assert url == "http://channel.invalid/ch/master.m3u8"
    assert read("/stream/ch/0.m3u8").status == 307


def test_a_playlists_address_carries_the_session_and_comes_back_as_the_same_call():
    call = read(f"/stream/films/x.m3u8?{IDS}&bk-ml=2.0&app=a%26b+%C3%A9&d=%22")
    address = requests.playlist_address(
        call, "https://cdn.example.net/hi/v.m3u8?sig=a%2Bb&x=1", "x.m3u8"
    )
    assert '"' not in address
    assert address.startswith(f"/stream/films/_/https/cdn.example.net/hi/v.m3u8?{IDS}&")
    again = read(address)
    assert again.parameters == call.parameters
    assert again.multivariant == "x.m3u8"
    assert again.workflow == ""
    assert again.url == "https://cdn.example.net/hi/v.m3u8?sig=a%2Bb&x=1"


def test_a_media_playlist_of_any_name_is_the_sessions():
    call = read(f"/stream/films/x.m3u8?{IDS}")
    url = "https://origin.example.com/vod/list.php?rendition=2"
    again = read(requests.playlist_address(call, url, "x.m3u8"))
    assert isinstance(again, Call)
    assert again.url == url


def test_what_stands_beside_a_manifest_is_at_the_origin():
    answer = read("/stream/films/dash/seg-1.m4s?a=1")
    assert answer.status == 307
    assert header(answer, b"location") == b"https://origin.example.com/vod/dash/seg-1.m4s?a=1"
    assert detail(read("/stream/ch/seg-1.ts"))[0] == 404


def test_dash_is_known_by_its_name():
    assert read(f"/stream/films/x.MPD?{IDS}").dash
    assert not read(f"/stream/films/x?{IDS}").dash


def test_what_is_the_same_for_everybody():
    assert read("/stream/schema/session-tracking.json") == Fixed(requests.SCHEMA)
    assert read("/stream/empty.webvtt") == Fixed(requests.SUBTITLES)


def test_segments_of_ads_are_ours_only_where_the_server_tracks():
    assert read("/stream/side/ad/abc.1") == Segment(SIDE, "abc.1")
    assert isinstance(read(f"/stream/films/ad/x.m3u8?{IDS}"), Call)
    assert isinstance(read(f"/stream/side/ad/x.m3u8?bpkio_sessionid={SESSION}"), Call)


def test_files_of_prepared_creatives_are_known_by_their_keys():
    key = "0123456789abcdef" * 2
    assert read(f"/stream/films/creative/{key}/v0-1.ts") == File(key, "v0-1.ts")
    assert isinstance(read(f"/stream/films/creative/x.m3u8?{IDS}"), Call)
    assert isinstance(read(f"/stream/films/creative/{key}/a/x.m3u8?{IDS}"), Call)
