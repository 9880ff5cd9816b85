"""The fast lane against what is too large, too slow, too much, or gone: over real sockets."""

from __future__ import annotations

import json
import socket
import threading

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from served import GatedJournal, Served, chunked, get, post
from test_fastlane import bodies

from footfall import metrics
from footfall.settings import Limits

SMALL = Limits(
    body_bytes=2000, header_bytes=1500, request_seconds=0.5, idle_seconds=1, connections=20
)


@pytest.fixture(scope="module")
def served():
    with Served(limits=SMALL) as running:
        yield running
    running.assert_quiet()


def refused_early(status: str) -> float:
    return metrics.REFUSED_EARLY.labels(status)._value.get()


# Too large


def keep_sending(client, data):
    """Send and send until the server will not have it, as clients do that do not listen."""
    try:
        for _ in range(200):
            client.send(data)
    except OSError:
        return


@pytest.mark.parametrize("way", ["length", "chunks"])
def test_413_is_read_every_time_while_the_client_keeps_sending(served, way):
    """Thirty times of thirty: a close at once would have the client's system drop the answer."""
    for _ in range(30):
        with served.connect() as client:
            if way == "length":
                client.send(post(b"", "/t")[:-2].replace(b": 0", b": 9999999") + b"\r\n")
            else:
                client.send(chunked()[:-5])
            piece = b"b" * 10_000 if way == "length" else b"2710\r\n" + b"b" * 10_000 + b"\r\n"
            sender = threading.Thread(target=keep_sending, args=(client, piece))
            sender.start()
            answer = client.answer()
            assert (answer.status, answer.closes) == (413, True)
            assert b"2000 bytes" in answer.body
            client.socket.shutdown(socket.SHUT_RDWR)
            sender.join()


def test_a_body_at_the_limit_is_taken(served):
    with served.connect() as client:
        client.send(post(b"b" * 2000) + chunked(b"c" * 1500, b"c" * 500))
        assert [len(body) for body in bodies(client, 2)] == [2000, 2000]
        client.send(chunked(b"c" * 1500, b"c" * 501))
        assert client.answer().status == 413
        client.end()


def test_answers_owed_come_before_the_413():
    journal = GatedJournal()
    with Served(limits=SMALL, journal=journal) as served, served.connect() as client:
        client.send(post(b"1") + post(b"2" * 3000) + post(b"3"))
        served.wait_for(lambda: journal.commits)
        journal.open()
        assert bodies(client, 1) == ["1"]
        assert client.answer().status == 413
        client.end()
        served.wait_for(lambda: served.rejects(), "the reject")
    assert served.stored() == ["1"]


@pytest.mark.parametrize(
    "head",
    [
        b"GET /t HTTP/1.1\r\nA: " + b"a" * 1500 + b"\r\n\r\n",
        b"GET /t?" + b"a" * 1500 + b" HTTP/1.1\r\n\r\n",
        b"GET /t HTTP/1.1\r\n" + b"A: b\r\n" * 300 + b"\r\n",
        b"GET /healthz HTTP/1.1\r\nA: " + b"a" * 1500 + b"\r\n\r\n",
        b"GET /t HTTP/1.1\r\nA: " + b"a" * 500_000,
    ],
)
def test_a_head_over_the_limit(served, head):
    before = refused_early("431")
    with served.connect() as client:
        client.send(head)
        answer = client.answer()
        assert (answer.status, answer.closes) == (431, True)
        assert b"1500 bytes" in answer.body
        assert client.ended()
    assert refused_early("431") == before + 1


def test_a_head_within_the_limit_in_many_pieces(served):
    head = get("/t", "A: " + "a" * 1300)
    with served.connect() as client:
        for at in range(0, len(head), 50):
            client.send(head[at : at + 50])
        assert client.answer().status == 200


@pytest.mark.parametrize(
    "endless",
    [
        b"X-Trailer: " + b"t" * 100_000,
        b"X-Trailer: t\r\n" * 10_000,
        b"",
    ],
)
def test_endless_trailers_and_chunk_extensions(served, endless):
    with served.connect() as client:
        client.send(chunked(b"abc")[:-2])
        sender = threading.Thread(
            target=keep_sending, args=(client, endless or b"1;" + b"x" * 100_000)
        )
        sender.start()
        assert client.answer().status in {400, 431}
        client.socket.shutdown(socket.SHUT_RDWR)
        sender.join()


# Too slow


@pytest.mark.slow
@pytest.mark.parametrize(
    "part",
    [
        b"P",
        post(b"slow")[:20],
        post(b"slow")[:-4],
        post(b"slow")[:-1],
        chunked(b"slow")[:-3],
        post(b"whole") + post(b"slow")[:-1],
        get("/healthz") + post(b"slow")[:-1],
        post(b"slow", "/t", "Upgrade: h2c", "Connection: Upgrade")[:-1],
    ],
)
def test_a_slow_request_is_told_so(served, part):
    with served.connect() as client:
        client.send(part)
        answer = client.answer()
        if part.startswith((post(b"whole"), get("/healthz"))):
            assert answer.status == 200
            answer = client.answer()
        assert (answer.status, answer.closes) == (408, True)
        client.end()
    assert "slow" not in served.stored()


@pytest.mark.slow
def test_dripping_does_not_put_the_deadline_off(served):
    with served.connect() as client:
        client.send(post(b"x" * 500)[:-500])
        dripping = threading.Event()

        def drip():
            while not dripping.wait(0.05):
                try:
                    client.send(b"x")
                except OSError:
                    return

        dripper = threading.Thread(target=drip)
        dripper.start()
        assert client.answer().status == 408
        dripping.set()
        dripper.join()


@pytest.mark.slow
@pytest.mark.parametrize("first", [b"", post(b"1"), get("/healthz")])
def test_an_idle_connection_ends_without_a_word(served, first):
    with served.connect() as client:
        if first:
            client.send(first)
            assert client.answer().status == 200
        client.end()


@pytest.mark.slow
def test_waiting_for_the_journal_is_not_the_clients_slowness():
    journal = GatedJournal()
    with Served(limits=SMALL, journal=journal) as served, served.connect() as client:
        client.send(post(b"patient"))
        opener = threading.Timer(2.0, journal.open)  # beyond every limit of the connection's
        opener.start()
        assert bodies(client, 1) == ["patient"]
        client.send(post(b"and on"))
        assert bodies(client, 1) == ["and on"]
    served.assert_quiet()


# Too much


def test_too_many_connections(served):
    served.wait_for(lambda: not served.server.open_connections, "the end of earlier connections")
    clients = [served.connect() for _ in range(20)]
    served.wait_for(lambda: len(served.server.open_connections) == 20)
    with served.connect() as client:
        answer = client.answer()
        assert (answer.status, answer.closes) == (503, True)
        assert answer.headers["retry-after"] == "1"
        client.end()
    for client in clients:
        client.send(post(b"in"))
        assert bodies(client, 1) == ["in"]
        client.socket.close()
    served.wait_for(lambda: not served.server.open_connections)
    assert served.ask(post(b"room again")).status == 200


@pytest.mark.slow
def test_who_never_reads_answers_is_paused_and_let_go():
    with Served(limits=Limits(idle_seconds=1, request_seconds=1)) as served:
        client = served.connect()
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.socket.settimeout(1)
        sent = 0
        train = post(b"x" * 2000) * 20
        try:
            while sent < 50_000_000:
                client.send(train)
                sent += len(train)
        except OSError:
            pass  # nothing more was taken for a second
        assert sent < 50_000_000, "its requests were taken without end"
        lanes = list(served.server.open_connections)
        for lane in lanes:
            assert lane.transport.get_write_buffer_size() < 4_000_000
            assert len(lane._turns) < 2000
        # While it hangs on, others are served; then it is let go though it never read.
        assert served.ask(post(b"other")).status == 200
        served.wait_for(lambda: not served.server.open_connections, "the end of the connection")
        client.socket.close()
    served.assert_quiet()


@pytest.mark.slow
def test_many_bodies_at_once_may_not_fill_the_memory():
    limits = Limits(queue_bytes=1 << 20, body_bytes=1 << 20, request_seconds=10)
    before = refused_early("503")
    with Served(limits=limits) as served:
        clients = [served.connect() for _ in range(8)]
        for client in clients:
            client.send(post(b"b" * 400_000)[:-1])
        statuses = []
        served.wait_for(lambda: refused_early("503") == before + 6, "room")
        for client in clients:
            try:
                client.send(b"b")
                statuses.append(client.answer().status)
            except ConnectionError:
                statuses.append("reset")
            client.socket.close()
        assert sorted(map(str, statuses)) == ["200"] * 2 + ["503"] * 6
    served.assert_quiet()


# Gone


@pytest.mark.parametrize("way", ["reset", "close"])
def test_who_leaves_before_the_answer_disturbs_nobody(way):
    journal = GatedJournal()
    with Served(journal=journal) as served:
        before = metrics.UNSENT._value.get()
        leaving = [served.connect() for _ in range(10)]
        staying = [served.connect() for _ in range(10)]
        for number, pair in enumerate(zip(leaving, staying, strict=True)):
            pair[0].send(post(b"leaves %d" % number))
            pair[1].send(post(b"stays %d" % number))
        served.wait_for(lambda: journal.commits)
        served.wait_for(lambda: len(served.intake._queue) + len(served.intake._in_flight) == 20)
        for client in leaving:
            client.reset() if way == "reset" else client.socket.close()
        if way == "reset":
            served.wait_for(lambda: len(served.server.open_connections) == 10)
        journal.open()
        for number, client in enumerate(staying):
            assert bodies(client, 1) == [f"stays {number}"]
            client.send(post(b"again"))
            assert bodies(client, 1) == ["again"]
            client.socket.close()
        served.wait_for(lambda: not served.server.open_connections)
        if way == "reset":
            assert metrics.UNSENT._value.get() == before + 10
    stored = served.stored()
    assert sorted(stored[:20]) == sorted(
        [f"leaves {n}" for n in range(10)] + [f"stays {n}" for n in range(10)]
    )
    served.assert_quiet()


def test_who_leaves_in_the_middle_of_a_request_leaves_nothing():
    with Served() as served:
        for at in range(1, len(post(b"torn")), 7):
            client = served.connect()
            client.send(post(b"torn")[:at])
            client.reset()
        served.wait_for(lambda: not served.server.open_connections)
        assert served.ask(post(b"whole")).status == 200
    assert served.stored() == ["whole"]
    served.assert_quiet()


# Anything at all

TOKENS = st.sampled_from([
    b"GET ", b"POST ", b"/t", b"/any", b"/healthz", b" HTTP/1.1\r\n", b" HTTP/1.0\r\n", b"\r\n",
    b"Host: a\r\n", b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n", b"\r\n\r\n",
    b"3\r\nabc\r\n", b"0\r\n\r\n", b"Upgrade: h2c\r\nConnection: Upgrade\r\n", b"abc",
    b"Expect: 100-continue\r\n", b"Connection: close\r\n", b"Content-Encoding: gzip\r\n", b"%",
    b"\x00", b"\xff\xfe", b"Cookie: a\r\n", b"http://", b"*", b"OPTIONS ", b"CONNECT ", b"HEAD ",
    b"Origin: null\r\n", b": \r\n", b"Content-Length: -1\r\n", post(b"ok"), get("/t"),
])  # fmt: skip


@given(
    st.one_of(
        st.binary(max_size=400),
        st.lists(st.one_of(TOKENS, TOKENS, st.binary(max_size=5)), max_size=25).map(b"".join),
    )
)
@example(b"GET  HTTP/1.1\r\n\r\n")
@example(b"CONNECT /t HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc")
@example(b"GET ?x HTTP/1.1\r\n\r\n")
@example(b"GET //[ HTTP/1.1\r\n\r\n")
@example(b"GET http://[::1/t HTTP/1.1\r\n\r\n")
@example(b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n" + post(b"ok"))
@settings(max_examples=400, deadline=None)
def test_whatever_is_sent_the_server_goes_on(served, data):
    with served.connect() as client:
        client.send(data)
        client.finish_sending()
        heard = b""
        try:
            while got := client.socket.recv(65536):
                heard += got
        except ConnectionError:
            pass
    for line in heard.split(b"\r\n"):
        if line.startswith(b"HTTP/1.1 "):
            assert line[9:10] in b"1234", line
    served.assert_quiet()


def test_and_it_did_go_on(served):
    assert json.loads(served.ask(post(b"still here")).body)["body"] == "still here"
    served.wait_for(lambda: not served.server.open_connections)
