"""The fast lane over real sockets: framing, order, lanes, and how connections go on and end."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess

import pytest
from served import (
    SITE,
    Client,
    GatedJournal,
    Served,
    certificate,
    chunked,
    get,
    post,
)

from footfall.settings import Limits, Server


@pytest.fixture(scope="module")
def served():
    with Served() as running:
        yield running
    running.assert_quiet()


def bodies(client: Client, number: int) -> list[str]:
    return [json.loads(client.answer().body)["body"] for _ in range(number)]


# One request


def test_a_post_is_answered_and_stored(served):
    before = len(served.stored())
    answer = served.ask(post(b"hello", "/t?a=1&b"))
    assert answer.status == 200
    assert not answer.closes
    assert json.loads(answer.body) == {
        "method": "POST",
        "path": "/t",
        "query": "a=1&b",
        "body": "hello",
        "params": {},
        "ip": "127.0.0.1",
        "scheme": "http",
    }
    assert answer.headers["date"].endswith("GMT")
    assert answer.headers["content-type"] == "application/json"
    assert served.stored()[before:] == ["hello"]


def test_head_has_the_headers_of_get_and_no_body(served):
    with served.connect() as client:
        client.send(get("/any", method="HEAD") + post(b"next"))
        head = client.answer("HEAD")
        assert (head.status, head.body) == (200, b"")
        assert int(head.headers["content-length"]) > 0
        assert json.loads(client.answer().body)["body"] == "next"


def test_no_content_has_no_body_and_no_length(served):
    with served.connect() as client:
        client.send(post(b"empty") + post(b"next"))
        answer = client.answer()
        assert answer.status == 204
        assert "content-length" not in answer.headers
        assert bodies(client, 1) == ["next"]


@pytest.mark.parametrize("method", ["DELETE", "PATCH", "HEAD", "TRACE"])
def test_a_method_that_the_path_does_not_take(served, method):
    answer = served.ask(get("/t", method=method), method)
    assert answer.status == 405
    assert answer.headers["allow"] == "GET, POST, PUT, OPTIONS"


def test_preflight(served):
    answer = served.ask(get("/t", f"Origin: {SITE}", method="OPTIONS"))
    assert answer.status == 204
    assert answer.headers["access-control-allow-origin"] == SITE


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/%74", "/t"),
        ("http://a.example/t?q=1", "/t"),
        ("HTTP://a.example:8080/%74?q=1", "/t"),
        ("/item/caf%C3%A9/x%20y", "/item/café/x y"),
    ],
)
def test_targets(served, target, path):
    told = json.loads(served.ask(get(target)).body)
    assert told["path"] == path
    assert told["query"] == ("q=1" if "?" in target else "")


def test_a_pattern_gives_its_parts(served):
    told = json.loads(served.ask(get("/item/caf%C3%A9/2")).body)
    assert told["params"] == {"name": "café", "part": "2"}


@pytest.mark.parametrize("target", ["/item/a", "/item/a/b/c", "/item/a%2Fb/c", "/t/", "//t", "/T"])
def test_other_paths_are_not_tracking(served, target):
    assert served.ask(get(target)).status == 404


def test_options_for_the_whole_server(served):
    assert served.ask(get("*", method="OPTIONS")).status == 404


@pytest.mark.parametrize("target", ["http://", "/caf\xe9", "t"])
def test_targets_that_are_no_path(served, target):
    answer = served.ask(get(target, method="OPTIONS"))
    assert (answer.status, answer.closes) == (400, True)


def test_connect_is_not_for_us(served):
    assert served.ask(get("example.com:443", method="CONNECT")).status in {400, 404, 405}


def test_repeated_headers_are_joined(served):
    with served.connect() as client:
        client.send(post(b"x", "/t", "X-Forwarded-For: 1.2.3.4", "X-Forwarded-For: 5.6.7.8"))
        assert client.answer().status == 200


# HTTP versions and the end of a connection


def test_keep_alive_is_the_rule(served):
    with served.connect() as client:
        for number in range(20):
            client.send(post(b"%d" % number))
            answer = client.answer()
            assert json.loads(answer.body)["body"] == str(number)
            assert "connection" not in answer.headers


@pytest.mark.parametrize("path", ["/t", "/healthz"])
def test_connection_close(served, path):
    with served.connect() as client:
        client.send(get(path, "Connection: close"))
        assert client.answer().closes
        client.end()


@pytest.mark.parametrize("path", ["/t", "/healthz"])
@pytest.mark.parametrize("header", [b"", b"Connection: keep-alive\r\n"])
def test_http_1_0_ends_after_the_answer(served, path, header):
    with served.connect() as client:
        client.send(b"GET %b HTTP/1.0\r\n%b\r\n" % (path.encode(), header))
        answer = client.answer()
        assert (answer.status, answer.closes) == (200, True)
        client.end()


def test_nothing_is_taken_after_a_request_that_ends_the_connection(served):
    before = len(served.stored())
    with served.connect() as client:
        client.send(post(b"last", "/t", "Connection: close") + post(b"never"))
        assert bodies(client, 1) == ["last"]
        assert client.ended()
    assert served.stored()[before:] == ["last"]


@pytest.mark.parametrize("path", ["/t", "/healthz"])
def test_a_client_that_has_finished_sending_gets_its_answer(served, path):
    with served.connect() as client:
        client.send(get(path))
        client.finish_sending()
        assert client.answer().status == 200
        client.end()


def test_a_client_that_has_finished_sending_gets_all_its_answers(served):
    lanes = [post(b"1"), get("/healthz"), post(b"2"), get("/healthz"), post(b"3")]
    with served.connect() as client:
        client.send(b"".join(lanes))
        client.finish_sending()
        answers = [client.answer() for _ in lanes]
        client.end()
    assert [answer.body == b"ok\n" for answer in answers] == [False, True, False, True, False]


def test_a_client_that_has_finished_in_the_middle_of_a_request_is_let_go(served):
    with served.connect() as client:
        client.send(post(b"whole") + post(b"torn")[:-2])
        client.finish_sending()
        assert bodies(client, 1) == ["whole"]
        client.end()
    assert served.stored()[-1] == "whole"


# Pipelining and the order of answers


def test_pipelined_requests_are_answered_in_order(served):
    with served.connect() as client:
        client.send(b"".join(post(b"%d" % number) for number in range(500)))
        assert bodies(client, 500) == [str(number) for number in range(500)]


KINDS = {
    "f": (post(b"fast"), b"fast"),  # answered when durable
    "r": (post(b"refuse"), b"As you asked"),  # answered at once
    "s": (get("/healthz"), b"ok"),  # answered by the application
    "n": (get("/nowhere"), b"No protocol"),
}


@pytest.mark.parametrize("order", ["".join(p) for p in itertools.product("frs", repeat=4)])
def test_lanes_mixed_in_every_order(served, order):
    with served.connect() as client:
        client.send(b"".join(KINDS[kind][0] for kind in order))
        for kind in order:
            assert KINDS[kind][1] in client.answer().body


@pytest.mark.parametrize("behind", ["f", "r", "frn", "s"])
def test_thousands_in_one_write_behind_the_slow_lane(served, behind):
    order = "s" + behind * (3000 // len(behind))
    with served.connect() as client:
        client.send(b"".join(KINDS[kind][0] for kind in order))
        for kind in order:
            assert KINDS[kind][1] in client.answer().body


def test_a_long_train_of_requests_is_no_large_head():
    """Bytes count to the head that they belong to, however a train of requests is cut."""
    with Served(limits=Limits(header_bytes=1024, body_bytes=4096)) as served:
        train = b"".join(post(b"%d" % n + b"." * 400) for n in range(300))
        with served.connect() as client:
            client.send(train)
            assert [body.rstrip(".") for body in bodies(client, 300)] == [
                str(n) for n in range(300)
            ]
    served.assert_quiet()


# Cut anywhere

REQUESTS = {
    "post": (post(b'{"a":1}'), '{"a":1}'),
    "get": (get("/t?x=1", "Cookie: a=b", "Cookie: c=d"), ""),
    "chunked": (chunked(b"abc", b"defg", trailers=b"X-Sum: 1\r\n"), "abcdefg"),
    "upgrade": (
        post(b"up", "/t", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c"), "up",
    ),
    "upgrade-chunked": (
        chunked(b"up", b"on", headers="Connection: Upgrade\r\nUpgrade: h2c\r\n"), "upon",
    ),
    "upgrade-without-body": (get("/t", "Connection: Upgrade", "Upgrade: websocket"), ""),
    "absolute": (get("http://a/t"), ""),
}  # fmt: skip


@pytest.mark.parametrize("name", REQUESTS)
def test_whole_twice_and_with_trailing_bytes(served, name):
    data, body = REQUESTS[name]
    with served.connect() as client:
        client.send(data + data + b"\r\n\r\n" + data + b"nonsense\r\n\r\n")
        assert bodies(client, 3) == [body] * 3
        answer = client.answer()
        assert (answer.status, answer.closes) == (400, True)
        client.end()


@pytest.mark.parametrize("name", REQUESTS)
def test_byte_by_byte(served, name):
    data, body = REQUESTS[name]
    with served.connect() as client:
        client.socket.setsockopt(6, 1, 1)  # TCP_NODELAY
        for _ in range(2):
            for byte in data:
                client.send(bytes([byte]))
            assert bodies(client, 1) == [body]


@pytest.mark.slow
@pytest.mark.parametrize("name", REQUESTS)
def test_split_at_every_offset(served, name):
    """In the reading of the connection itself: TCP would not keep the pieces apart."""
    data, body = REQUESTS[name]
    for at in range(1, len(data)):
        with served.connect() as client:
            whole_first = feed(served, client, [data[:at], data[at:] + data[:at], data[at:]])
            assert bodies(client, 2) == [body] * 2, (at, whole_first)


def feed(served, client, pieces):
    """Hand pieces to the server's side of a connection as so many reads."""
    address = client.socket.getsockname()

    def lane():
        return next(
            (lane for lane in list(served.server.open_connections) if lane.client == address), None
        )

    served.wait_for(lane, "the connection")
    protocol = lane()

    def run():
        for piece in pieces:
            protocol.data_received(piece)

    served.loop.call_soon_threadsafe(run)


@pytest.mark.parametrize("name", REQUESTS)
def test_truncated_at_every_offset(served, name):
    data, _ = REQUESTS[name]
    before = len(served.stored())
    for at in range(len(data)):
        with served.connect() as client:
            client.send(data[:at])
            client.finish_sending()
            client.end()
    assert len(served.stored()) == before


# Upgrades, expectations and chunks


def test_the_request_after_an_offer_to_upgrade(served):
    """Java's HTTP client offers h2c with its first request, body and all."""
    with served.connect() as client:
        client.send(REQUESTS["upgrade"][0])
        assert bodies(client, 1) == ["up"]
        client.send(post(b"second") + REQUESTS["upgrade-chunked"][0] + get("/healthz"))
        assert bodies(client, 2) == ["second", "upon"]
        assert client.answer().body == b"ok\n"


@pytest.mark.parametrize("path", ["/t", "/small"])
def test_expect_continue(served, path):
    with served.connect() as client:
        client.send(post(b"body", path, "Expect: 100-continue")[:-4])
        assert client.answer().status == 100
        client.send(b"body")
        assert bodies(client, 1) == ["body"]


def test_expect_continue_is_refused_before_the_body(served):
    with served.connect() as client:
        client.send(post(b"b" * 11, "/small", "Expect: 100-continue")[:-11])
        assert client.answer().status == 413
        client.end()


JAVA = """
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;

public class Post {
    public static void main(String[] given) throws Exception {
        var client = HttpClient.newHttpClient();
        for (var body : new String[] {"first", "second"}) {
            var request = HttpRequest.newBuilder(URI.create(given[0]))
                .POST(HttpRequest.BodyPublishers.ofString(body)).build();
            System.out.println(client.send(request, HttpResponse.BodyHandlers.ofString()).body());
        }
    }
}
"""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("javac") is None, reason="no javac: Java's own client was not run")
def test_java_posts_with_an_offer_to_upgrade(served, tmp_path):
    (tmp_path / "Post.java").write_text(JAVA)
    run = subprocess.run(
        ["java", str(tmp_path / "Post.java"), f"http://127.0.0.1:{served.port}/t"],
        capture_output=True, timeout=60, check=True,
    )  # fmt: skip
    told = [json.loads(line)["body"] for line in run.stdout.splitlines()]
    assert told == ["first", "second"]


def test_expect_continue_does_not_overtake_answers():
    journal = GatedJournal()
    with Served(journal=journal) as served, served.connect() as client:
        client.send(post(b"1") + post(b"2", "/t", "Expect: 100-continue"))
        served.wait_for(lambda: journal.commits)
        journal.open()
        assert bodies(client, 2) == ["1", "2"]


def test_curl_waits_for_continue(served, tmp_path):
    (tmp_path / "body").write_bytes(b"c" * 5000)
    run = subprocess.run(
        ["curl", "-sS", "-H", "Expect: 100-continue", "--data-binary", f"@{tmp_path}/body",
         f"http://127.0.0.1:{served.port}/t"],
        capture_output=True, timeout=20, check=True,
    )  # fmt: skip
    assert json.loads(run.stdout)["body"] == "c" * 5000


def test_chunks_of_one_byte(served):
    body = b"0123456789" * 500
    with served.connect() as client:
        client.send(chunked(*[body[n : n + 1] for n in range(len(body))]))
        assert bodies(client, 1) == [body.decode()]


@pytest.mark.parametrize(
    "data",
    [
        b"POST /t HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"POST /t HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /t HTTP/1.1\r\nContent-Length: +1\r\n\r\na",
        b"POST /t HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\na",
        b"POST /t HTTP/1.1\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        b"POST /t HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /t HTTP/1.1\r\nA: b\r\n c: d\r\n\r\n",
        b"GET /t HTTP/1.1\r\nA : b\r\n\r\n",
        b"GET /t HTTP/1.1\nA: b\n\n",
        b"GET /t HTTP/1.1\r\nA: b\x00\r\n\r\n",
        b"GET /t HTTP/3.0\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"nonsense\r\n\r\n",
    ],
)
def test_what_proxies_could_read_otherwise_is_refused(served, data):
    before = len(served.stored())
    with served.connect() as client:
        client.send(data)
        answer = client.answer()
        assert (answer.status, answer.closes) == (400, True)
        assert answer.headers["content-type"].startswith("text/plain")
        client.end()
    assert len(served.stored()) == before


def test_a_refusal_waits_for_the_answers_before_it():
    journal = GatedJournal()
    with Served(journal=journal) as served, served.connect() as client:
        client.send(post(b"1") + post(b"2") + b"nonsense\r\n\r\n" + post(b"3"))
        served.wait_for(lambda: journal.commits)
        journal.open()
        assert bodies(client, 2) == ["1", "2"]
        assert client.answer().status == 400
        client.end()
    assert served.stored() == ["1", "2"]
    served.assert_quiet()


# Faults behind the edge


def test_a_fault_of_a_protocol_is_a_500_and_nobody_elses():
    with Served() as served, served.connect() as client:
        client.send(post(b"1") + post(b"raise") + post(b"2"))
        assert [client.answer().status for _ in range(3)] == [200, 500, 200]
    assert served.stored() == ["1", "2"]
    assert [entry["event"] for entry in served.logged] == ["decoding failed"]


def test_a_fault_of_the_edge_itself_is_said_and_not_hidden():
    def fail(*_args):
        raise RuntimeError("somewhere in our own code")

    with Served() as served, served.connect() as client:
        served.endpoint.match = fail
        client.send(post(b"1"))
        answer = client.answer()
        assert (answer.status, answer.closes) == (500, True)
        assert b"somewhere" not in answer.body
    assert any("reading a request failed" in str(entry) for entry in served.logged)


def test_a_fault_in_handling_holds_nothing_up():
    with Served() as served, served.connect() as client:
        handle = served.endpoint.handle

        def fail_once(*args, **kwargs):
            served.endpoint.handle = handle
            raise RuntimeError("somewhere in our own code")

        for _ in range(3):  # read by the parser first, then known
            served.endpoint.handle = fail_once
            client.send(post(b"1") + post(b"2"))
            assert [client.answer().status for _ in range(2)] == [500, 200]
    assert served.stored() == ["2"] * 3
    assert [entry["event"] for entry in served.logged] == ["handling a request failed"] * 3
    assert served.faults == []


# Addresses


def test_a_trusted_proxy_is_believed():
    server = Server(trusted_proxies=("127.0.0.0/8",))
    with Served(server=server) as served:
        headers = ["X-Forwarded-For: 6.6.6.6, 192.0.2.7", "X-Forwarded-Proto: https"]
        told = json.loads(served.ask(post(b"x", "/t", *headers)).body)
    assert (told["ip"], told["scheme"]) == ("192.0.2.7", "https")


def test_a_stranger_is_not(served):
    told = json.loads(served.ask(post(b"x", "/t", "X-Forwarded-For: 192.0.2.7")).body)
    assert told["ip"] == "127.0.0.1"


# TLS


@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    cert, key = certificate(tmp_path_factory.mktemp("tls"))
    limits = Limits(body_bytes=2000, request_seconds=0.6)
    server = Server(limits=limits, tls_certificate=str(cert), tls_key=str(key))
    with Served(server=server, limits=limits) as running:
        running.certificate = cert
        yield running
    running.assert_quiet()


def test_tls_essentials(tls):
    with tls.connect_tls(tls.certificate) as client:
        client.send(post(b"1") + get("/healthz") + post(b"2"))
        first, second = client.answer(), client.answer()
        assert json.loads(first.body)["scheme"] == "https"
        assert second.body == b"ok\n"
        assert bodies(client, 1) == ["2"]
        client.send(chunked(b"ab", b"c"))
        assert bodies(client, 1) == ["abc"]


@pytest.mark.slow
def test_tls_refusals_are_read(tls):
    with tls.connect_tls(tls.certificate) as client:
        client.send(post(b"b" * 100_000))
        assert client.answer().status == 413
    with tls.connect_tls(tls.certificate) as client:
        client.send(post(b"slow")[:-1])
        assert client.answer().status == 408
    with tls.connect_tls(tls.certificate) as client:
        client.send(b"nonsense\r\n\r\n")
        assert client.answer().status == 400


def test_plain_http_on_the_tls_port_harms_nobody(tls):
    with tls.connect() as client:
        client.send(post(b"plain"))
        assert client.ended()
    with tls.connect_tls(tls.certificate) as client:
        client.send(post(b"still here"))
        assert bodies(client, 1) == ["still here"]
