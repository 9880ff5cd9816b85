"""Heads that were parsed before: taken for what they are, and nothing else for them."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from served import SITE, GatedJournal, Served, chunked, get, post, source
from test_fastlane import bodies, feed

from footfall.collect.heads import Head, Heads
from footfall.collect.sources import Sources


@pytest.fixture
def served():
    with Served() as running:
        yield running
    running.assert_quiet()


def known(served):
    """The heads that are kept now."""
    lane = served.server.config.http_protocol_class
    return list(lane.heads._heads)


def learn(served, data):
    with served.connect() as client:
        client.send(data)
        client.answer()
    assert known(served)


def test_the_same_head_is_read_once_and_answered_each_time(served):
    with served.connect() as client:
        for number in range(100, 120):
            client.send(post(b"%d" % number))
            assert bodies(client, 1) == [str(number)]
    assert len(known(served)) == 1
    assert served.stored() == [str(number) for number in range(100, 120)]


def test_answers_of_every_kind_to_the_same_head(served):
    """Each is its own, whatever was answered to that head before."""
    said = [
        b"12345",
        b"own-1",
        b"empty",
        b"own-2",
        b"later",
        b"later",
        b"empty",
        b"own-3",
        b"6789a",
    ]
    for client in (served.connect(), served.connect()):
        with client:
            for body in said:
                client.send(post(body))
                answer = client.answer()
                assert answer.status == (204 if body == b"empty" else 200)
                own = body.decode() if body.startswith(b"own") else None
                assert answer.headers.get("x-own") == own
                assert answer.headers["vary"] == "Origin"
                if answer.status == 200:
                    assert json.loads(answer.body)["body"] == body.decode()
                    assert int(answer.headers["content-length"]) == len(answer.body)
    assert len(known(served)) == 1


def test_known_and_new_heads_mixed_in_one_write(served):
    learn(served, post(b"1"))
    with served.connect() as client:
        client.send(
            post(b"2") + post(b"new", "/t?x") + post(b"3") + get("/healthz") + post(b"4")
            + chunked(b"five") + post(b"6")
        )  # fmt: skip
        assert bodies(client, 3) == ["2", "new", "3"]
        assert client.answer().body == b"ok\n"
        assert bodies(client, 3) == ["4", "five", "6"]


def test_cut_at_every_offset(served):
    data = post(b"hello")
    learn(served, data)
    with served.connect() as client:
        pieces = []
        for at in range(1, len(data)):
            pieces += [data[:at], data[at:] + data + data[:at], data[at:]]
        feed(served, client, pieces)
        number = 3 * (len(data) - 1)
        assert bodies(client, number) == ["hello"] * number


@pytest.mark.parametrize("path", ["/nowhere", "/healthz"])
def test_a_body_that_looks_like_a_known_head_is_a_body(served, path):
    """Also where the answer was given before the body came: else bodies become requests."""
    learn(served, post(b"innocent"))
    smuggled = post(b"smuggled")[: len(post(b"innocent"))]
    with served.connect() as client:
        client.send(post(smuggled, path)[: -len(smuggled)])
        assert client.answer().status in {404, 405}
        client.send(smuggled)
        client.send(post(b"after it"))
        assert bodies(client, 1) == ["after it"]
    assert served.stored() == ["innocent", "after it"]


def test_a_body_of_tracking_that_looks_like_a_known_head_is_a_body(served):
    learn(served, post(b"innocent"))
    inner = post(b"innocent")
    with served.connect() as client:
        client.send(post(inner)[: -len(inner)])
        feed(served, client, [inner])
        assert bodies(client, 1) == [inner.decode()]
    with served.connect() as client:
        feed(served, client, [chunked(inner)[:-7], b"\r\n0\r\n\r\n"])
        assert bodies(client, 1) == [inner.decode()]
    assert len(served.stored()) == 3


def test_empty_lines_are_not_learnt_as_a_request(served):
    with served.connect() as client:
        client.send(b"\r\n\r\nGET /t HTTP/1.1\r\n\r\n")
        assert client.answer().status == 200
    assert known(served) == []
    with served.connect() as client:
        client.send(b"\r\n\r\n")
        client.send(post(b"mine"))
        assert bodies(client, 1) == ["mine"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "data",
    [
        get("/t", "Connection: close"),
        b"GET /t HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        post(b"x", "/t", "Expect: 100-continue"),
        post(b"x", "/t", "Upgrade: h2c", "Connection: upgrade"),
        chunked(b"x"),
        post(b"much too much", "/small"),
        get("/t", "X-Long: " + "x" * 5000),
        get("/t", *[f"X-{number}: 1" for number in range(100)]),
        b"\r\n" + get("/t"),
        get("/healthz"),
        get("/nowhere"),
    ],
)
def test_what_is_never_learnt(served, data):
    for _ in range(2):
        with served.connect() as client:
            client.send(data)
            answer = client.answer()
            if answer.status == 100:
                answer = client.answer()
            assert answer.status in {200, 404, 413}
    assert known(served) == []


def test_two_clients_with_one_head_are_two_clients():
    """What is remembered of a head must not hold what the address behind it is."""
    from footfall.settings import Server

    with Served(server=Server(trusted_proxies=("127.0.0.0/8",))) as served:
        for last in (1, 2, 1):
            told = served.ask(post(b"x", "/t", f"X-Forwarded-For: 192.0.{last}.7"))
            assert json.loads(told.body)["ip"] == f"192.0.{last}.7"
        addresses = [json.loads(line)["ip"] for line in served.events().splitlines()]
        assert addresses == ["192.0.1.0", "192.0.2.0", "192.0.1.0"]


def test_a_reload_counts_at_once(served):
    answer = served.ask(post(b"x", "/t", f"Origin: {SITE}"))
    assert answer.headers["access-control-allow-origin"] == SITE
    changed = source(id="other", origins=("https://other.example",))
    served.endpoint.sources = Sources([changed])
    answer = served.ask(post(b"x", "/t", f"Origin: {SITE}"))
    assert "access-control-allow-origin" not in answer.headers
    stored = [json.loads(line)["source"] for line in served.events().splitlines()]
    assert stored == ["site", "other"]


def test_known_heads_wait_behind_the_slow_lane_and_a_full_connection():
    journal = GatedJournal()
    with Served(journal=journal) as served:
        journal.open()
        learn(served, post(b"0"))
        journal.gate.clear()
        with served.connect() as client:
            client.send(get("/healthz") + post(b"1") * 400)
            client.send(get("/healthz") + post(b"2") * 400)
            assert client.answer().body == b"ok\n"
            journal.open()
            assert bodies(client, 400) == ["1"] * 400
            assert client.answer().body == b"ok\n"
            assert bodies(client, 400) == ["2"] * 400
    served.assert_quiet()


def test_how_many_are_kept_is_bounded():
    heads = Heads(most=3)

    class Small:
        body_limit = 10

    for number in range(10):
        raw = b"GET /%d HTTP/1.1\r\n\r\n" % number
        head = Head(
            match=Small, method="GET", path=f"/{number}", query="", headers={}, keep_alive=True
        )
        heads.keep(raw, head, 0)
    assert [head.path for head in heads._heads.values()] == ["/7", "/8", "/9"]


PIECES = [post(b"a"), post(b"bb"), get("/t"), get("/healthz"), chunked(b"c"), post(b"refuse")]


@pytest.mark.slow
@given(
    st.lists(st.integers(0, len(PIECES) - 1), min_size=1, max_size=12),
    st.lists(st.integers(1, 200), max_size=12),
)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_mixture_cut_anywhere_is_answered_as_if_whole(mixed, which, sizes):
    data = b"".join(PIECES[number] for number in which)
    pieces, at = [], 0
    for size in sizes:
        pieces.append(data[at : at + size])
        at += size
    pieces = [piece for piece in [*pieces, data[at:]] if piece]
    with mixed.connect() as client:
        feed(mixed, client, pieces)
        for number in which:
            answer = client.answer()
            expected = {3: b"ok\n", 5: b'{"error":"As you asked."}'}.get(number)
            if expected is None:
                body = {0: "a", 1: "bb", 2: "", 4: "c"}[number]
                assert json.loads(answer.body)["body"] == body
            else:
                assert answer.body == expected


@pytest.fixture(scope="module")
def mixed():
    with Served() as running:
        yield running
    running.assert_quiet()
