"""Routes, order of checks, CORS, gzip, and refusals counted and kept: without sockets."""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from uuid import uuid4

import echo
import msgspec
import pytest
import structlog
from served import SITE, source

from footfall.collect.agents import Agent
from footfall.collect.contract import RETRY_LATER, Cors, Reason, Refusal, Reply, Request, Route
from footfall.collect.endpoint import Budget, Endpoint
from footfall.collect.enrich import Enricher, Tools
from footfall.collect.ids import EventIds
from footfall.collect.intake import Intake
from footfall.collect.sources import Sources
from footfall.journal.contract import Position
from footfall.journal.engines.memory import MemoryJournal
from footfall.metrics import REFUSED, REQUESTS, Tally
from footfall.settings import Limits

OTHER = "https://other.example"


def gzipped(data):
    """The same bytes every time: gzip would put the time in."""
    return gzip.compress(data, mtime=0)


class Edge:
    """An endpoint with everything behind it, in memory."""

    def __init__(self, protocol=echo.PROTOCOL, sources=None, **limits):
        self.journal, self.tally = MemoryJournal(), Tally()
        self.limits = Limits(**limits)
        enricher = Enricher(Tools(parse_agent=lambda _agent: Agent()), 10)
        self.intake = Intake(self.journal, enricher, self.limits, EventIds(), self.tally)
        self.protocol = protocol
        self.endpoint = Endpoint(
            [protocol], Sources(sources or [source()]), self.intake, self.limits, self.tally
        )

    def request(self, method="POST", path="/t", body=b"x", *, at=1 << 50, **headers):
        given = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
        match = self.endpoint.match(path)
        return match, Request(
            method=method, path=path, headers=given, body=body, params=match.params,
            received_at=at, new_uuid=lambda: str(uuid4()),
        )  # fmt: skip

    async def ask_all(self, asked, oversized=False):
        running = asyncio.create_task(self.intake.run())
        replies = []
        for match, request in asked:
            self.endpoint.handle(match, request, replies.append, oversized=oversized)
        await self.intake.drained()
        running.cancel()
        batch = await self.journal.read(Position(0, 0), 1 << 30)
        self.events = b"".join(record.events for _, record in batch.records)
        self.rejects = [
            json.loads(line) for _, record in batch.records for line in record.rejects.splitlines()
        ]
        return replies

    def ask(self, *args, oversized=False, **headers):
        (reply,) = asyncio.run(self.ask_all([self.request(*args, **headers)], oversized))
        return reply


def header(reply, name):
    values = [value for key, value in reply.headers if key.lower() == name.lower()]
    assert len(values) <= 1 or name == "Vary"
    return values[0] if values else None


# Routes


@pytest.mark.parametrize(
    ("path", "params"),
    [
        ("/t", {}),
        ("/item/a/b", {"name": "a", "part": "b"}),
        ("/item/a b/ü", {"name": "a b", "part": "ü"}),
        ("/item/{name}/{part}", {"name": "{name}", "part": "{part}"}),
        ("/item/../x", {"name": "..", "part": "x"}),
    ],
)
def test_paths_that_have_a_route(path, params):
    assert dict(Edge().endpoint.match(path).params) == params


@pytest.mark.parametrize("path", ["", "/", "t", "/t/", "/T", "/item//b", "/item/a", "/item/a/b/c"])
def test_paths_that_have_none(path):
    assert Edge().endpoint.match(path) is None


def test_a_path_with_signs_of_its_own():
    protocol = msgspec.structs.replace(echo.PROTOCOL, routes=(Route("/v1.0/{a}.gif", ()),))
    endpoint = Edge(protocol).endpoint
    assert endpoint.match("/v1.0/b.gif").params == {"a": "b"}
    assert endpoint.match("/v1x0/b.gif") is None
    assert endpoint.match("/v1.0/bxgif") is None


def test_a_route_may_have_a_body_limit_of_its_own():
    endpoint = Edge(body_bytes=5000).endpoint
    assert endpoint.match("/small").body_limit == 10
    assert endpoint.match("/t").body_limit == 5000


# The order of checks


def test_method_comes_before_size_and_size_before_content():
    edge = Edge()
    assert edge.ask("DELETE", body=b"refuse", oversized=True).status == 405
    assert Edge().ask("OPTIONS", oversized=True).status == 204
    assert Edge().ask("POST", body=b"", oversized=True).status == 413
    assert Edge().ask("POST", body=b"refuse", content_encoding="br").status == 400
    assert Edge().ask("POST", body=b"refuse").status == 422


def test_405_says_what_is_taken():
    reply = Edge().ask("DELETE")
    assert reply.status == 405
    assert header(reply, "Allow") == "GET, POST, PUT, OPTIONS"
    without_cors = msgspec.structs.replace(echo.PROTOCOL, cors=None)
    assert header(Edge(without_cors).ask("OPTIONS"), "Allow") == "GET, POST, PUT"


def test_a_route_of_any_method_answers_preflights_itself():
    reply = Edge().ask("OPTIONS", "/any")
    assert json.loads(reply.body)["method"] == "OPTIONS"
    assert Edge().ask("BREW", "/any").status == 200


def test_a_fault_in_decoding_is_worded_and_not_shown():
    with structlog.testing.capture_logs() as logs:
        edge = Edge()
        reply = edge.ask(body=b"raise")
    assert reply.status == 500
    assert b"fault of the protocol" not in reply.body
    assert logs[0]["event"] == "decoding failed"
    assert edge.rejects[0]["reason"] == "internal_error"


def test_a_fault_in_wording_is_an_answer_too():
    def fail(_refusal):
        raise RuntimeError

    with structlog.testing.capture_logs() as logs:
        edge = Edge(msgspec.structs.replace(echo.PROTOCOL, refuse=fail))
        assert edge.ask(body=b"refuse").status == 500
    assert [entry["event"] for entry in logs] == ["wording a refusal failed"]
    assert edge.rejects[0]["status"] == 500


# CORS


def cors_of(reply):
    return {
        name[len("Access-Control-") :]: value
        for name, value in reply.headers
        if name.startswith("Access-Control-")
    }


GRANTED = {"Allow-Origin": SITE, "Allow-Credentials": "true"}
PREFLIGHT = {
    "Allow-Methods": "GET, POST, PUT, OPTIONS", "Allow-Headers": "Content-Type", "Max-Age": "600",
}  # fmt: skip
EXPOSED = {"Expose-Headers": "X-Told"}


@pytest.mark.parametrize(
    ("method", "body", "granted"),
    [
        ("OPTIONS", b"", GRANTED | PREFLIGHT),
        ("POST", b"x", GRANTED | EXPOSED),
        ("POST", b"refuse", GRANTED | EXPOSED),
        ("POST", b"stranger", GRANTED | EXPOSED),
        ("POST", b"raise", GRANTED | EXPOSED),
        ("DELETE", b"", GRANTED | EXPOSED),
    ],
)
def test_a_listed_origin_is_granted_on_every_answer(method, body, granted):
    with structlog.testing.capture_logs():
        reply = Edge().ask(method, body=body, origin=SITE)
    assert cors_of(reply) == granted
    assert header(reply, "Vary") == "Origin"


@pytest.mark.parametrize("method", ["OPTIONS", "POST"])
@pytest.mark.parametrize(
    "origin",
    [
        OTHER,
        "null",
        "",
        f"{SITE}.evil.example",
        SITE.upper(),
        "http://www.example.com",
        SITE + ":444",
        "*",
    ],
)
def test_an_origin_that_is_not_listed_is_not_granted(method, origin):
    reply = Edge().ask(method, origin=origin)
    assert reply.status in {200, 204}, "the answer is the normal one"
    assert cors_of(reply) == {}
    assert header(reply, "Vary") == "Origin"


def test_without_an_origin_there_is_nothing_to_grant():
    assert cors_of(Edge().ask()) == {}
    assert header(Edge().ask(), "Vary") == "Origin"


def test_every_origin_where_the_source_says_so():
    for origin in (OTHER, "null"):
        reply = Edge(sources=[source(origins=("*",))]).ask(origin=origin)
        assert cors_of(reply)["Allow-Origin"] == origin


def test_a_preflight_is_judged_by_every_source_and_the_request_by_its_own():
    two = [source(), source(id="second", key_sha256=(), origins=(OTHER,))]
    assert cors_of(Edge(sources=two).ask("OPTIONS", origin=OTHER)) == (
        GRANTED | PREFLIGHT | {"Allow-Origin": OTHER}
    )
    assert cors_of(Edge(sources=two).ask("POST", origin=OTHER)) == {}
    assert cors_of(Edge(sources=two).ask("POST", body=b"refuse", origin=OTHER)) == {}
    # Whose key is not known is nobody's, so judged as the preflight was.
    stranger = Edge(sources=two).ask("POST", body=b"stranger", origin=OTHER)
    assert cors_of(stranger)["Allow-Origin"] == OTHER
    not_taking = [source(), source(id="second", protocols=("jay",), origins=(OTHER,))]
    assert cors_of(Edge(sources=not_taking).ask("OPTIONS", origin=OTHER)) == {}


def test_a_protocol_that_grants_every_origin():
    cors = Cors(request_headers=("A", "B"), listed=False, max_age_s=5)
    edge = Edge(msgspec.structs.replace(echo.PROTOCOL, cors=cors))
    assert cors_of(edge.ask("OPTIONS", origin=OTHER)) == {
        "Allow-Origin": OTHER, "Allow-Methods": "GET, POST, PUT, OPTIONS",
        "Allow-Headers": "A, B", "Max-Age": "5",
    }  # fmt: skip
    assert cors_of(edge.ask("POST", origin=OTHER)) == {"Allow-Origin": OTHER}


def test_the_protocols_own_headers_are_on_every_answer():
    protocol = msgspec.structs.replace(echo.PROTOCOL, headers=(("X-Version", "7"),))
    for method, body in [("POST", b"x"), ("POST", b"refuse"), ("OPTIONS", b""), ("DELETE", b"")]:
        assert header(Edge(protocol).ask(method, body=body), "X-Version") == "7"


def test_a_grant_is_not_remembered_for_another_origin():
    """Answers are put together once per head; a head holds its origin."""
    edge = Edge()
    for origin in (SITE, OTHER, SITE):
        granted = cors_of(edge.ask("OPTIONS", origin=origin))
        assert granted == (GRANTED | PREFLIGHT if origin == SITE else {})


def test_a_shared_head_does_not_share_what_depends_on_the_body():
    edge = Edge()
    memo: dict = {}
    asked = []
    for body in (b"x", b"refuse", b"stranger", b"y", b"refuse"):
        match, request = edge.request(body=body, origin=SITE)
        asked.append((match, msgspec.structs.replace(request, memo=memo)))
    replies = asyncio.run(edge.ask_all(asked))
    assert sorted(reply.status for reply in replies) == [200, 200, 401, 422, 422]
    assert {reply.body for reply in replies if reply.status == 422} == {
        b'{"error":"As you asked."}'
    }
    assert echo.bodies(edge.events) == ["x", "y"]
    assert edge.tally.cell(REQUESTS, "echo", "422").number == 2
    assert edge.tally.cell(REQUESTS, "echo", "200").number == 2


# gzip


def told_body(reply):
    return json.loads(reply.body)["body"]


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", " GZIP "])
def test_gzip(encoding):
    reply = Edge().ask(body=gzipped(b"hello"), content_encoding=encoding)
    assert told_body(reply) == "hello"


@pytest.mark.parametrize("encoding", ["identity", ""])
def test_as_it_is(encoding):
    assert told_body(Edge().ask(body=b"hello", content_encoding=encoding)) == "hello"


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", b""),
        ("gzip", b"hello"),
        ("gzip", zlib.compress(b"hello")),
        ("gzip", gzipped(b"hello") + b"trailing"),
        ("gzip", gzipped(b'{"a":1}') + gzipped(b'{"b":2}')),
        ("gzip", gzipped(b"hello")[:-8] + bytes(8)),
        ("deflate", zlib.compress(b"hello")),
        ("br", b"hello"),
        ("gzip, gzip", gzipped(gzipped(b"hello"))),
    ],
)
def test_what_is_not_one_gzip_body(encoding, body):
    edge = Edge()
    assert edge.ask(body=body, content_encoding=encoding).status == 400
    assert edge.rejects[0]["reason"] == "body_not_valid"
    assert edge.events == b""


def test_gzip_cut_short_anywhere():
    body = gzipped(b"hello, hello, hello")
    for at in range(len(body)):
        assert Edge().ask(body=body[:at], content_encoding="gzip").status == 400


def test_a_gzip_bomb_is_stopped_at_the_limit():
    def status(body):
        return Edge(body_bytes=100_000).ask(body=body, content_encoding="gzip").status

    assert status(gzipped(bytes(50_000_000))) == 413
    assert status(gzipped(b"y" * 100_000)) == 200
    assert status(gzipped(b"y" * 100_001)) == 413


# Refusals


def test_refusals_are_counted_and_kept():
    edge = Edge(reject_body_bytes=5)
    replies = asyncio.run(
        edge.ask_all(
            [
                edge.request(body=b"refuse"),
                edge.request(body=b"stranger"),
                edge.request("DELETE", body=b"\xff\xfe"),
            ]
        )
    )
    assert [reply.status for reply in replies] == [422, 401, 405]
    assert edge.rejects == [
        {
            "received_at": 1 << 50, "source": "site", "protocol": "echo",
            "reason": "content_not_valid", "detail": "As you asked.", "status": 422,
            "body": "refus",
        },
        {
            "received_at": 1 << 50, "protocol": "echo", "reason": "key_unknown",
            "detail": "Nobody knows you.", "status": 401, "body": "stran",
        },
        {
            "received_at": 1 << 50, "protocol": "echo", "reason": "method_not_allowed",
            "detail": "This path takes GET, POST, PUT, OPTIONS.", "status": 405,
            "body": "\ufffd\ufffd",
        },
    ]  # fmt: skip
    assert edge.tally.cell(REFUSED, "echo", "content_not_valid").number == 1
    assert edge.tally.cell(REQUESTS, "echo", "405").number == 1


def test_rejects_have_a_budget_per_source_and_minute():
    minute = 60_000_000
    edge = Edge(rejects_per_minute=3)
    asked = [edge.request(body=b"stranger", at=minute * 100 + number) for number in range(10)]
    asked += [edge.request(body=b"refuse", at=minute * 100) for _ in range(2)]
    asked += [edge.request(body=b"stranger", at=minute * 101)]
    replies = asyncio.run(edge.ask_all(asked))
    assert {reply.status for reply in replies} == {401, 422}
    assert [reject["reason"] for reject in edge.rejects] == (
        ["key_unknown"] * 3 + ["content_not_valid"] * 2 + ["key_unknown"]
    )
    assert edge.tally.cell(REFUSED, "echo", "key_unknown").number == 11


def test_a_budget():
    budget = Budget(2)
    assert [budget.allows("a", 0) for _ in range(3)] == [True, True, False]
    assert budget.allows("b", 0)
    assert budget.allows("a", 60_000_000)
    assert not Budget(0).allows("a", 0)


@pytest.mark.parametrize("reason", sorted(RETRY_LATER))
def test_what_says_nothing_about_the_request_is_not_kept(reason):
    def decode(_request, _sources):
        return Refusal(reason=reason, detail="Later.")

    edge = Edge(msgspec.structs.replace(echo.PROTOCOL, decode=decode))
    reply = edge.ask()
    assert (reply.status, header(reply, "Retry-After")) == (503, "1")
    assert edge.rejects == []


def test_a_refusal_under_the_lock_is_like_any_other():
    def decide(_intent, _states, _events):
        from footfall.journal.contract import Outcome

        return Outcome(reply=Refusal(reason=Reason.SESSION_NOT_FOUND, detail="None."))

    def decode(request, sources):
        intent = echo.decode(request, sources)
        return msgspec.structs.replace(intent, decide=decide)

    edge = Edge(msgspec.structs.replace(echo.PROTOCOL, decode=decode))
    reply = edge.ask(origin=SITE)
    assert reply.status == 400
    assert cors_of(reply)["Allow-Origin"] == SITE, "judged by its own source"
    asyncio.run(edge.ask_all([]))
    assert [(reject["reason"], reject["source"]) for reject in edge.rejects] == [
        ("session_not_found", "site")
    ]


def test_an_answer_of_no_words():
    protocol = msgspec.structs.replace(
        echo.PROTOCOL, cors=None, refuse=lambda _refusal: Reply(418)
    )  # fmt: skip
    assert Edge(protocol).ask(body=b"refuse") == Reply(418)
