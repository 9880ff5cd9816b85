"""Adobe's media tracking beyond its golden cases: ids, routing, sessions, downloads, real clients."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from pathlib import Path
from uuid import uuid4

import golden
import httpx
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from served import Served

from footfall.collect.agents import Agent
from footfall.collect.contract import Intent, Reason, Refusal, Reply, Request
from footfall.collect.endpoint import Endpoint
from footfall.collect.enrich import Enricher, Tools
from footfall.collect.ids import EventIds
from footfall.collect.intake import Intake
from footfall.collect.protocols import adobe
from footfall.collect.protocols.adobe import content, sessions
from footfall.collect.protocols.adobe.settings import Adobe
from footfall.collect.sources import Sources
from footfall.journal.contract import Position, encode_events
from footfall.journal.engines.memory import MemoryJournal
from footfall.metrics import Tally
from footfall.model import Event, MediaSession, media_key
from footfall.replay import read_recording, replay
from footfall.settings import Limits, Source

TRAFFIC = Path(__file__).parents[1] / "traffic"
NOW = golden.NOW
DAY = 86_400_000_000
TS = NOW // 1000 - 10_000
"""Milliseconds: ten seconds ago."""
FOUR = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "OPTIONS,POST,PUT",
    "Access-Control-Allow-Headers": "Content-Type",
    "Access-Control-Expose-Headers": "Location",
}
PARAMS = {
    "analytics.trackingServer": "example.sc.omtrdc.net",
    "analytics.reportSuite": "suite",
    "visitor.marketingCloudOrgId": "org@AdobeOrg",
    "media.id": "id",
    "media.length": 60,
    "media.contentType": "vod",
    "media.playerName": "player",
    "media.channel": "channel",
}


def source(id_="site", suites=("suite",), **given):
    settings = {"adobe": Adobe(report_suites=suites, **given.pop("adobe", {}))}
    return Source(id=id_, protocols=("adobe",), protocol_settings=settings, **given)


def start(**params):
    return event("sessionStart", params={**PARAMS, **params})


def event(kind="ping", ts=TS, playhead=1, **parts):
    return {"eventType": kind, "playerTime": {"playhead": playhead, "ts": ts}, **parts}


SITE = Sources([source()])


def request(body, path="/api/v1/sessions", **given):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    sid = path.split("/")[4] if path.endswith("/events") else None
    params = {} if sid is None else {"sid": sid}
    return Request(
        method="POST",
        path=path,
        body=raw,
        params=params,
        received_at=NOW,
        new_uuid=lambda: str(uuid4()),
        **given,
    )


def own_id(id_="site"):
    return sessions.new_id(source(id_), lambda: str(uuid4()))


def to_session(sid):
    return f"/api/v1/sessions/{sid}/events"


class Edge:
    """Endpoint, intake and a journal in memory, asked one request after another."""

    def __init__(self, *listed):
        self.now = NOW
        self.journal = MemoryJournal(clock=lambda: self.now)
        self._sources = Sources(listed or [source()])
        self._runner = asyncio.Runner()

    def __enter__(self):
        return self

    def __exit__(self, *_exc):
        self._runner.close()

    def post(self, path, body, **headers) -> Reply:
        return self._runner.run(self._ask(path, json.dumps(body).encode(), headers))

    def begin(self, **params) -> str:
        reply = self.post("/api/v1/sessions", start(**params))
        assert reply.status == 201
        return dict(reply.headers)["Location"].split("/")[4]

    def send(self, sid, *args, **parts) -> int:
        return self.post(to_session(sid), event(*args, **parts)).status

    def state(self, sid) -> MediaSession | None:
        key = media_key(sid)
        value = self._runner.run(self.journal.get([key])).get(key)
        return None if value is None else msgspec.msgpack.decode(value, type=MediaSession)

    def events(self) -> list[dict]:
        batch = self._runner.run(self.journal.read(Position(0, 0), 1 << 30))
        return [json.loads(one) for _, r in batch.records for one in r.events.splitlines()]

    async def _ask(self, path, body, headers):
        limits = Limits()
        tools = Tools(parse_agent=lambda agent: Agent(device="bot" if "bot" in agent else None))
        tally = Tally()
        intake = Intake(self.journal, Enricher(tools, 10), limits, EventIds(), tally)
        endpoint = Endpoint([adobe.PROTOCOL], self._sources, intake, limits, tally)
        match = endpoint.match(path)
        asked = Request(
            method="POST",
            path=path,
            params=match.params,
            headers={name.replace("_", "-").encode(): v.encode() for name, v in headers.items()},
            body=body,
            received_at=self.now,
            new_uuid=lambda: str(uuid4()),
        )
        replies: list[Reply] = []
        running = asyncio.create_task(intake.run())
        endpoint.handle(match, asked, replies.append)
        await intake.drained()
        running.cancel()
        (reply,) = replies
        return reply


# Answers


@pytest.mark.parametrize("reason", Reason)
def test_every_refusal_is_worded(reason):
    reply = adobe.refuse(Refusal(reason=reason, detail="What is wrong."))
    body = json.loads(reply.body)
    assert body.pop("message") == "What is wrong."
    if reply.status == 400:
        assert body == {"errors": [{"path": "", "reason": "What is wrong."}]}
    else:
        assert body == {}
    assert ("Content-Type", "application/json") in reply.headers
    assert (("Retry-After", "1") in reply.headers) == (reply.status == 503)


def test_every_answer_has_exactly_the_four_headers_for_any_origin():
    with Edge() as edge:
        sid = edge.begin()
        for path, body in [
            ("/api/v1/sessions", start()),
            ("/api/v1/sessions", {}),
            (to_session(sid), event()),
            (to_session("x"), event()),
        ]:
            for origin in ("https://a.example", "null", ""):
                headers = edge.post(path, body, origin=origin).headers
                cors = [(n, v) for n, v in headers if n.startswith("Access-Control") or n == "Vary"]
                assert cors == list(FOUR.items())
                assert ("Cache-Control", "no-store") in headers


# Ids and report suites


def test_ids_are_what_clients_take_out_of_location():
    with Edge() as edge:
        location = dict(edge.post("/api/v1/sessions", start()).headers)["Location"]
    sid = location.split("/")[4]
    assert location == f"/api/v1/sessions/{sid}"
    assert len(sid) == 64
    assert set(sid) <= set("0123456789abcdef")


def test_ids_bear_their_source_and_are_never_the_same():
    ids = {own_id() for _ in range(1000)}
    assert len({sid[8:] for sid in ids}) == 1000
    assert {sid[:8] for sid in ids} == {sessions.mark("site")}
    assert sessions.mark("site") != sessions.mark("other")


@pytest.mark.parametrize(
    "forged",
    [
        "v1",
        "0" * 64,
        "{sid}",
        sessions.mark("site"),
        sessions.mark("site") + "0" * 55,
        sessions.mark("site") + "0" * 57,
        sessions.mark("site") + "g" * 56,
        "٠" * 64,
    ],
)
def test_forged_ids_are_not_found_without_asking_the_journal(forged):
    refusal = adobe.decode(request(event(), to_session(forged)), SITE)
    assert isinstance(refusal, Refusal)
    assert (refusal.reason, refusal.source) == (Reason.SESSION_NOT_FOUND, None)
    assert adobe.refuse(refusal).status == 404


def test_a_made_up_id_of_a_source_is_not_found():
    with Edge() as edge:
        assert edge.send(own_id()) == 404
        assert edge.events() == []


def test_a_session_of_a_source_that_takes_adobe_no_more_is_not_found():
    gone = Sources([Source(id="site", protocols=("vaix",))])
    refusal = adobe.decode(request(event(), to_session(own_id())), gone)
    assert refusal.reason is Reason.SESSION_NOT_FOUND


@pytest.mark.parametrize(
    ("suites", "owner"),
    [
        ("a", "first"),
        ("b", "second"),
        ("both", "first"),
        ("x,b,a", "second"),
        (" a , b ", "first"),
        (",b", "second"),
        ("A", "rest"),
        ("x,y", "rest"),
        ("", "rest"),
        (",".join(["x"] * 100_000), "rest"),
    ],
)
def test_the_first_suite_that_a_source_names_decides(suites, owner):
    routing = sessions.routing(
        Sources(
            [
                source("rest", ("*",)),
                source("first", ("a", "both")),
                source("second", ("b", "both")),
                Source(id="none", protocols=("adobe",)),
            ]
        )
    )
    assert routing.of_suites(suites).id == owner


def test_routing_is_the_snapshots_own():
    before, after = Sources([source(suites=("a",))]), Sources([source(suites=("b",))])
    assert sessions.routing(before).of_suites("b") is None
    assert sessions.routing(after).of_suites("b").id == "site"


# The life of a session


def test_a_session_from_its_start_to_its_end_and_after():
    with Edge() as edge:
        sid = edge.begin(**{"visitor.marketingCloudUserId": "visitor"})
        assert edge.state(sid) == MediaSession("site", NOW)
        edge.now += 1_000_000
        assert edge.send(sid, "play", TS) == 204
        assert edge.state(sid) == MediaSession("site", NOW)
        assert edge.send(sid, "sessionComplete", TS + 5000) == 204
        assert edge.state(sid).closed_at is None, "completing closes nothing"
        assert edge.send(sid, "sessionEnd", TS + 6000, playhead=-3) == 204
        closed = MediaSession("site", NOW, (TS + 6000) * 1000, "ended")
        assert edge.state(sid) == closed

        assert edge.send(sid, "ping", TS + 6001) == 410
        assert edge.send(sid, "ping", TS + 6000) == 204
        assert edge.send(sid, "sessionEnd", TS + 9000) == 204
        assert edge.send(sid, "sessionComplete", TS + 9000) == 204
        assert edge.send(sid, "nothing", TS + 9000) == 400
        assert edge.state(sid) == closed, "what comes after the close moves it no more"

        stored = edge.events()
        assert [(one["type"], one["occurred_at"] // 1000 - TS) for one in stored] == [
            ("sessionStart", 0), ("play", 0), ("sessionComplete", 5000), ("sessionEnd", 6000),
            ("ping", 6000), ("sessionEnd", 9000), ("sessionComplete", 9000),
        ]  # fmt: skip
        assert {one["session_id"] for one in stored} == {sid}
        assert [one.get("profile_id") for one in stored] == ["visitor", *[None] * 6]
        assert stored[3]["playhead_s"] == 0


def test_closed_sessions_are_remembered_for_as_long_as_is_set():
    with Edge(source(adobe={"remember_closed_days": 2})) as edge:
        sid = edge.begin()
        edge.now += DAY
        assert edge.send(sid, "sessionEnd") == 204
        edge.now += 2 * DAY - 1
        assert edge.send(sid, ts=TS + 1) == 410
        edge.now += 1
        assert edge.send(sid, ts=TS + 1) == 404


def test_open_sessions_are_forgotten_after_thirty_days():
    with Edge() as edge:
        sid = edge.begin()
        edge.now += 30 * DAY - 1
        assert edge.send(sid) == 204
        edge.now += 1
        assert edge.send(sid) == 404


def test_events_that_race_for_the_end_are_decided_in_order():
    """One group, one overlay: the second event sees that the first one has closed the session."""
    sid = own_id()
    states = {media_key(sid): msgspec.msgpack.encode(MediaSession("site", NOW))}
    end = adobe.decode(request(event("sessionEnd"), to_session(sid)), SITE)
    late = adobe.decode(request(event(ts=TS + 1), to_session(sid)), SITE)
    assert late.decide(late, states, ()).reply == Reply(204)
    (change,) = end.decide(end, states, ()).changes
    states[change.key] = change.value
    assert late.decide(late, states, ()).reply.reason is Reason.SESSION_CLOSED


def test_a_crawlers_session_is_dropped_but_answered_as_any_other():
    with Edge(source(bots="drop")) as edge:
        reply = edge.post("/api/v1/sessions", start(), user_agent="a bot")
        assert (reply.status, ("X-Footfall-Dropped", "bot") in reply.headers) == (201, True)
        sid = dict(reply.headers)["Location"].split("/")[4]
        end = edge.post(to_session(sid), event("sessionEnd"), user_agent="a bot")
        assert end.status == 204
        assert edge.state(sid).why == "ended"
        assert edge.events() == []


# Downloads


def download(count):
    first = start(**{"media.downloaded": True})
    pings = [event(ts=TS + 50_000 * n, playhead=50 * n) for n in range(1, count - 1)]
    return [first, *pings, event("sessionEnd", TS + 50_000 * count)]


@pytest.mark.parametrize("path", ["/api/v1/sessions", "/api/v1/downloaded"])
def test_five_thousand_events_of_a_download(path):
    with Edge() as edge:
        reply = edge.post(path, download(5000))
        assert reply.status == 201
        sid = dict(reply.headers)["Location"].split("/")[4]
        assert edge.state(sid) == MediaSession(
            "site", NOW, (TS + 50_000 * 5000) * 1000, "downloaded"
        )
        stored = edge.events()
        assert len(stored) == 5000
        assert len({one["event_id"] for one in stored}) == 5000
        assert {one["session_id"] for one in stored} == {sid}
        assert edge.send(sid, ts=TS + 50_000 * 5000 + 1) == 410
        assert edge.send(sid, "sessionEnd", ts=TS + 50_000 * 5001) == 204


def test_a_download_closes_at_its_latest_moment_whatever_its_order():
    with Edge() as edge:
        reply = edge.post("/api/v1/downloaded", [start(), event(ts=TS + 9), event(ts=TS + 4)])
        sid = dict(reply.headers)["Location"].split("/")[4]
        assert edge.state(sid).closed_at == (TS + 9) * 1000


@pytest.mark.parametrize("place", [0, 1, 2500, 4999])
def test_one_bad_event_refuses_the_whole_download(place):
    events = download(5000)
    events[place]["playerTime"]["ts"] = "now"
    with Edge() as edge:
        reply = edge.post("/api/v1/downloaded", events)
        assert reply.status == 400
        assert [e["path"] for e in json.loads(reply.body)["errors"]] == [f"{place}.playerTime.ts"]
        assert edge.events() == []


def test_as_many_problems_as_anybody_reads():
    refusal = adobe.decode(request([start(), *[{}] * 5000], "/api/v1/downloaded"), SITE)
    assert len(refusal.problems) == 100
    many = event(customMetadata={f"k{n}": n for n in range(1000)})
    assert len(adobe.decode(request(many, to_session(own_id())), SITE).problems) == 100


@pytest.mark.parametrize("filling", [b"[]", b"{}", b'"a"', b"1", b'","'])
def test_a_list_that_would_take_too_much_memory_is_not_decoded(filling, monkeypatch):
    body = b"[" + b",".join([filling] * 320_001) + b"]"
    monkeypatch.setattr(content.wire, "json_value", lambda *_args: pytest.fail("decoded"))
    refusal = adobe.decode(request(body, "/api/v1/downloaded"), SITE)
    assert (refusal.reason, "at most 320000" in refusal.detail) == (Reason.BODY_NOT_VALID, True)


def test_an_object_on_sessions_has_the_limits_of_any_other_body():
    body = start(x=[1] * 20_000)
    assert adobe.decode(request(body), SITE).reason is Reason.BODY_NOT_VALID


def test_limits_of_bodies():
    endpoint = Endpoint([adobe.PROTOCOL], SITE, None, Limits(), Tally())
    limit = {p: endpoint.match(p).body_limit for p in (to_session("x"), "/api/v1/downloaded")}
    assert limit == {to_session("x"): 1 << 20, "/api/v1/downloaded": 16 << 20}
    assert endpoint.match("/api/v1/sessions").body_limit == 16 << 20
    assert endpoint.match("/api/v1/sessions/") is None


# Input of all kinds


@pytest.mark.parametrize("ts", [-62_135_596_800_000, -1, 0, 1.0, 4e12, 253_402_300_799_999])
def test_absurd_moments_that_can_be_told_are_stored(ts):
    with Edge() as edge:
        sid = edge.begin()
        assert edge.send(sid, ts=ts) == 204
        assert edge.events()[-1]["occurred_at"] == int(ts) * 1000


@pytest.mark.parametrize(
    "ts",
    [
        "-62135596800001",
        "253402300800000",
        "9" * 19,
        "-" + "9" * 19,
        "9" * 4000,
        "1e18",
        "1e308",
        "1.5",
        "NaN",
        "Infinity",
        "1e400",
        "9" * 5000,
        "true",
        '"1"',
        "null",
        "[]",
        "{}",
    ],
)
def test_moments_that_cannot_be_told_are_refused(ts):
    body = f'{{"eventType":"ping","playerTime":{{"playhead":1,"ts":{ts}}}}}'.encode()
    refusal = adobe.decode(request(body, to_session(own_id())), SITE)
    assert adobe.refuse(refusal).status == 400


@pytest.mark.parametrize(
    ("playhead", "kept"),
    [("-5", 0), ("-0.0", 0), ("0", 0), ("1e308", 1e308), ("9" * 300, 1e300), ("86400", 86400)],
)
def test_playheads(playhead, kept):
    body = f'{{"eventType":"ping","playerTime":{{"playhead":{playhead},"ts":1}}}}'.encode()
    (draft,) = adobe.decode(request(body, to_session(own_id())), SITE).drafts
    assert draft.playhead_s == kept
    assert isinstance(draft.playhead_s, float)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)  # fmt: skip
names = st.sampled_from([*PARAMS, "media.downloaded", "media.state.name", "media.ad.id", "x"])
part = st.dictionaries(names, json_values) | st.just(PARAMS) | json_values
any_event = st.fixed_dictionaries(
    {},
    optional={
        "eventType": st.sampled_from(sorted(content.SCHEMAS)) | json_values,
        "playerTime": st.fixed_dictionaries(
            {}, optional={"playhead": json_values | st.just(0), "ts": json_values | st.just(5)}
        )
        | json_values,
        "params": part,
        "qoeData": part,
        "customMetadata": part,
        "other": json_values,
    },
)
bodies = (any_event | st.lists(any_event | st.just(start()))).map(lambda v: json.dumps(v).encode())
paths = st.sampled_from(["/api/v1/sessions", "/api/v1/downloaded", to_session(own_id())])


@pytest.mark.slow
@given(st.binary() | bodies, paths)
def test_nothing_raises(body, path):
    result = adobe.decode(request(body, path), SITE)
    if isinstance(result, Refusal):
        reply = adobe.refuse(result)
        assert reply.status == 400
        assert json.loads(reply.body)["errors"]
        return
    assert isinstance(result, Intent)
    for draft in result.drafts:
        encode_events(
            [
                Event(
                    event_id="e",
                    source="site",
                    protocol="adobe",
                    type=draft.type,
                    occurred_at=draft.occurred_at,
                    received_at=NOW,
                    playhead_s=draft.playhead_s,
                    properties=draft.properties,
                )
            ]
        )


# Real clients


@pytest.mark.parametrize("name", ["adobe-js-sdk-session.jsonl", "adobe-js-sdk-sample-player.jsonl"])
def test_recorded_clients_get_the_answers_that_they_were_content_with(name):
    with (TRAFFIC / name).open("rb") as file:
        recording = read_recording(file, name)
    everything = dataclasses.replace(source(suites=("*",)))
    with Served(protocols=(adobe.PROTOCOL,), sources=(everything,)) as served:
        with httpx.HTTPTransport() as transport:
            answers = list(
                replay(
                    recording,
                    f"http://127.0.0.1:{served.port}",
                    renamed={},
                    speed=None,
                    transport=transport,
                )
            )
        assert [(a.number, a.got, a.text) for a in answers if not a.as_expected] == []
        stored = [json.loads(line) for line in served.events().splitlines()]
        served.assert_quiet()
    sent = [one.body["eventType"] for one in recording if one.method == "POST"]
    assert [one["type"] for one in stored] == sent
    assert len({one["session_id"] for one in stored}) == 1


def test_what_stands_on_the_wire():
    with Served(protocols=(adobe.PROTOCOL,), sources=(source(),)) as served:
        body = json.dumps(start()).encode()
        head = "POST /api/v1/sessions HTTP/1.1\r\nHost: x\r\nOrigin: https://a.example\r\n"
        answer = served.ask(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        assert (answer.status, answer.body, answer.headers["content-length"]) == (201, b"", "0")
        preflight = served.ask(
            b"OPTIONS /api/v1/sessions HTTP/1.1\r\nHost: x\r\nOrigin: https://a.example\r\n"
            b"Access-Control-Request-Method: POST\r\n\r\n"
        )
        assert (preflight.status, preflight.body) == (204, b"")
        assert preflight.headers["access-control-max-age"] == "7200"
        for headers in (answer.headers, preflight.headers):
            given = {n: v for n, v in headers.items() if n.startswith("access-control-")}
            assert given.pop("access-control-max-age", "7200") == "7200"
            assert given == {name.lower(): value for name, value in FOUR.items()}
        put = served.ask(b"PUT /api/v1/sessions HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        assert (put.status, put.headers["allow"]) == (405, "POST, OPTIONS")
        schema = served.ask(b"GET /api/v1/schemas/ping HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (schema.status, schema.headers["content-type"]) == (200, "application/schema+json")
        served.assert_quiet()
