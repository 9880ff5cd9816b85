"""Replay: what a recorded client would send now, and what counts as the same answer."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import httpx
import pytest

from footfall.errors import RecordingNotValid, TargetUnreachable
from footfall.replay import Clock, read_recording, replay

TRAFFIC = Path(__file__).parent / "traffic"
NOW = 1_900_000_000.0


class FakeClock:
    """Time that passes by sleeping only."""

    def __init__(self) -> None:
        self.at = 0.0
        self.clock = Clock(now=lambda: NOW, monotonic=lambda: self.at, sleep=self.sleep)

    def sleep(self, seconds):
        assert seconds >= 0
        self.at += seconds


class Vendors:
    """Answers as the vendors' servers did, with ids of its own, and keeps what it got."""

    def __init__(self, clock=None) -> None:
        self.requests = []
        self.sent_at = []
        self._clock = clock
        self._counter = itertools.count(1)
        self._profiles = {}

    def __call__(self, request):
        request.read()
        self.requests.append(request)
        self.sent_at.append(self._clock.at if self._clock else 0)
        if request.method == "OPTIONS":
            return httpx.Response(204)
        if request.url.path == "/track":
            return self.track(json.loads(request.content))
        if request.url.path == "/api/v1/sessions":
            return httpx.Response(
                201, headers={"location": f"/api/v1/sessions/s{next(self._counter)}"}
            )
        if request.url.path.startswith("/api/v1/sessions/s"):
            return httpx.Response(204)
        return httpx.Response(404, text="unknown")

    def track(self, payload):
        if payload["source"]["id"] != "shop":
            return httpx.Response(401, json={"detail": "unknown"})
        known = (payload.get("profile") or {}).get("id")
        session = payload["session"]["id"]
        if known not in self._profiles.values():
            known = self._profiles.setdefault(session, f"p{len(self._profiles)}")
        self._profiles[session] = known
        return httpx.Response(200, json={"profile": {"id": known}, "session": payload["session"]})


def recorded(name):
    with (TRAFFIC / name).open("rb") as file:
        return read_recording(file, name)


def run(recording, handler, **options):
    options.setdefault("speed", None)
    options.setdefault("renamed", {})
    transport = httpx.MockTransport(handler)
    return list(replay(recording, "http://127.0.0.1:1/", transport=transport, **options))


def lines(*requests):
    defaults = {"at_ms": 0, "method": "POST", "path": "/x", "headers": {}, "reply_status": 200}
    return read_recording([json.dumps({**defaults, **one}).encode() for one in requests], "t")


@pytest.mark.parametrize("name", ["adobe-js-sdk-session.jsonl", "adobe-js-sdk-sample-player.jsonl"])
def test_adobe_sessions_follow_the_location(name):
    vendors = Vendors()
    answers = run(recorded(name), vendors)
    assert all(answer.as_expected for answer in answers)
    events = [r for r in vendors.requests if r.method == "POST" and r.url.path.endswith("/events")]
    assert {r.url.path for r in events} == {"/api/v1/sessions/s1/events"}


def test_player_times_are_moved_as_a_whole():
    recording = recorded("adobe-js-sdk-session.jsonl")
    vendors = Vendors()
    run(recording, vendors, clock=FakeClock().clock)
    sent = [json.loads(r.content)["playerTime"]["ts"] for r in vendors.requests]
    before = [one.body["playerTime"]["ts"] for one in recording]
    assert sent[0] == int(NOW * 1000)
    assert [ts - sent[0] for ts in sent] == [ts - before[0] for ts in before]


def test_player_times_inside_lists_are_moved_and_texts_are_not():
    vendors = Vendors()
    body = [
        {"playerTime": {"ts": 5000, "playhead": 1}},
        {"playerTime": {"ts": "6000"}},
        {"playerTime": {"ts": True}},
        {"playerTime": None},
    ]
    run(lines({"body": body}), vendors, clock=FakeClock().clock)
    assert json.loads(vendors.requests[0].content) == [
        {"playerTime": {"ts": int(NOW * 1000), "playhead": 1}},
        *body[1:],
    ]


def test_tracardi_profiles_are_followed():
    vendors = Vendors()
    answers = run(recorded("tracardi-client-082.jsonl"), vendors, renamed={"my-source": "shop"})
    assert [answer.number for answer in answers if not answer.as_expected] == []
    profiles = [json.loads(r.content)["profile"] for r in vendors.requests if r.method == "POST"]
    forged = {"id": "11111111-1111-4111-8111-111111111111"}
    assert profiles == [None, *[{"id": "p0"}] * 5, None, forged, {"id": "p2"}, {"id": "p2"}]


def test_an_unchanged_source_would_be_noticed():
    """The recording's own source id is unknown to the fake, as it would be to a server."""
    answers = run(recorded("tracardi-client-082.jsonl"), Vendors())
    differing = [answer for answer in answers if not answer.as_expected]
    assert {(answer.expected, answer.got) for answer in differing} == {(200, 401)}


def test_ids_of_replies_are_replaced_everywhere():
    def handler(request):
        asked.append(request)
        return httpx.Response(200, json={"a": {"b": "new"}, "session_id": 5})

    asked = []
    again = {
        "path": "/x/old?id=old",
        "headers": {"cookie": "t=old"},
        "body": ["is old", {"old": 1}],
    }
    run(
        lines(again, {"reply_ids": {"a.b": "old", "session_id": "5f", "no.where": "6f"}}, again),
        handler,
    )
    first, _, then = asked
    assert first.url.raw_path == b"/x/old?id=old"
    assert then.url.raw_path == b"/x/new?id=new"
    assert then.headers["cookie"] == "t=new"
    assert json.loads(then.content) == ["is new", {"old": 1}]


def test_only_whole_values_are_renamed():
    vendors = Vendors()
    body = {"source": "a", "title": "a day", "list": ["a"]}
    run(
        lines({"headers": {"x-api-key": "a", "x": "ab"}, "body": body}), vendors, renamed={"a": "z"}
    )
    (request,) = vendors.requests
    assert (request.headers["x-api-key"], request.headers["x"]) == ("z", "ab")
    assert json.loads(request.content) == {"source": "z", "title": "a day", "list": ["z"]}


def test_nothing_is_added_that_was_not_recorded():
    vendors = Vendors()
    run(lines({"method": "GET", "headers": {"accept": "*/*"}}, {"headers": {}}), vendors)
    get, post = vendors.requests
    assert set(get.headers) == {"host", "accept"}
    assert get.content == b""
    assert set(post.headers) <= {"host", "content-length"}


def test_cookies_are_the_recordings_own():
    def handler(request):
        asked.append(request)
        return httpx.Response(200, headers={"set-cookie": "a=1"})

    asked = []
    run(lines({}, {}), handler)
    assert "cookie" not in asked[1].headers


@pytest.mark.parametrize(
    ("method", "expected", "got", "same"),
    [
        ("OPTIONS", 200, 204, True),
        ("OPTIONS", 204, 200, True),
        ("OPTIONS", 200, 403, False),
        ("OPTIONS", 405, 204, False),
        ("POST", 200, 204, False),
        ("POST", 204, 204, True),
        ("POST", 401, 200, False),
    ],
)
def test_what_counts_as_the_same_answer(method, expected, got, same):
    (answer,) = run(
        lines({"method": method, "reply_status": expected}), lambda _: httpx.Response(got)
    )
    assert answer.as_expected is same


@pytest.mark.parametrize(
    ("speed", "expected"),
    [(1.0, [0, 1.5, 1.5, 4]), (2.0, [0, 0.75, 0.75, 2]), (None, [0, 0, 0, 0])],
)
def test_times_between_requests_are_kept_or_compressed(speed, expected):
    clock = FakeClock()
    vendors = Vendors(clock)
    recording = lines({"at_ms": 500}, {"at_ms": 2000}, {"at_ms": 2000}, {"at_ms": 4500})
    run(recording, vendors, speed=speed, clock=clock.clock)
    assert vendors.sent_at == pytest.approx(expected)


def test_a_slow_server_delays_only_what_is_late():
    clock = FakeClock()

    def handler(request):
        sent_at.append(clock.at)
        clock.at += 1
        return httpx.Response(200)

    sent_at = []
    run(lines({"at_ms": 0}, {"at_ms": 100}, {"at_ms": 5000}), handler, speed=1.0, clock=clock.clock)
    assert sent_at == pytest.approx([0, 1, 5])


def test_nobody_there_is_said_so():
    def handler(request):
        raise httpx.ConnectError("Connection refused")

    with pytest.raises(TargetUnreachable, match=r"POST http://127.0.0.1:1/x: Connection refused"):
        run(lines({}), handler)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"{", "t:2:"),
        (b'{"at_ms": 0}', "t:2: Object missing required field"),
        (b'{"at_ms": "x", "method": "GET"}', "t:2: Expected `float`"),
    ],
)
def test_a_line_that_is_no_request_is_named(line, said):
    good = b'{"at_ms":0,"method":"GET","path":"/","headers":{},"reply_status":200}'
    with pytest.raises(RecordingNotValid, match=said):
        read_recording([good, line], "t")
    with pytest.raises(RecordingNotValid, match="no request"):
        read_recording([b"\n"], "t")


@pytest.mark.parametrize("path", sorted(TRAFFIC.glob("*.jsonl")), ids=lambda path: path.stem)
def test_every_recording_can_be_read(path):
    assert recorded(path.name)
    assert path.name in (TRAFFIC / "README.md").read_text()
