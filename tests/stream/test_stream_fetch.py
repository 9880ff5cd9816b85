"""Outgoing HTTP against real servers on loopback: limits, refusals, and what a beacon came to."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import socket
import time
import tracemalloc
import zlib

import pytest
from loopback import certificate, listening, read_request, response, service, serving

from footfall.stream import fetch
from footfall.stream.fetch import Fetcher, FetchError, Validators

LIMIT = 1 << 20
LOCAL = service()


@contextlib.asynccontextmanager
async def fetcher(**options):
    one = Fetcher(**options)
    try:
        yield one
    finally:
        await one.close()


async def got(one, url, *, by=LOCAL, **options):
    options = {"timeout": 5.0, "limit_bytes": LIMIT, **options}
    return await one.get(url, service=by, **options)


async def refused(one, url, kind, *, by=LOCAL, **options) -> str:
    with pytest.raises(FetchError) as caught:
        await got(one, url, by=by, **options)
    assert caught.value.kind == kind, caught.value
    return caught.value.detail


def resolver(**names):
    """Gives the listed addresses; counts how often it was asked."""

    async def resolve(host, port):
        resolve.asked.append(host)
        if host not in names:
            raise socket.gaierror(-2, "Name or service not known")
        return names[host]

    resolve.asked = []
    return resolve


def run(scenario, *arguments):
    asyncio.run(scenario(*arguments))


# -- answers ------------------------------------------------------------------------------------


def test_an_answer_has_its_body_headers_and_address():
    async def scenario():
        async with serving(lambda _: response(b"body", x_a="b")) as server, fetcher() as one:
            url = server.url("/a/b?c=d[e]&f=%20")
            fetched = await got(one, url, headers={"User-Agent": "x\r\nEvil: y", "x-f": "ü€"})
            assert (fetched.status, fetched.body) == (200, b"body")
            assert fetched.headers["x-a"] == "b"
            assert fetched.url == fetched.final_url == url
            (asked,) = server.requests
            assert asked.target == "/a/b?c=d[e]&f=%20"
            assert asked.headers["host"] == f"127.0.0.1:{server.port}"
            assert asked.headers["accept-encoding"] == "gzip"
            assert asked.headers["user-agent"] == "xEvil: y"
            assert asked.headers["x-f"] == "ü?"
            assert "evil" not in asked.headers

    run(scenario)


def test_connections_are_kept_and_cookies_are_not():
    async def scenario():
        answer = response(b"x", set_cookie="a=b")
        async with serving(lambda _: answer) as server, fetcher() as one:
            for _ in range(3):
                await got(one, server.url())
            assert server.connections == 1
            assert all("cookie" not in asked.headers for asked in server.requests)

    run(scenario)


def test_an_answer_is_asked_for_again_only_if_it_changed():
    async def scenario():
        def answer(asked):
            if asked.headers.get("if-none-match") == '"v1"':
                return response(status=304, content_length=None)
            return response(b"x", etag='"v1"', last_modified="Fri, 20 Nov 2026 18:00:00 GMT")

        async with serving(answer) as server, fetcher() as one:
            first = await got(one, server.url())
            assert first.validators == Validators('"v1"', "Fri, 20 Nov 2026 18:00:00 GMT")
            again = await got(one, server.url(), conditional=first.validators)
            assert (again.status, again.body) == (304, b"")
            modified = server.requests[1].headers["if-modified-since"]
            assert modified == "Fri, 20 Nov 2026 18:00:00 GMT"
            assert "if-none-match" not in server.requests[0].headers

    run(scenario)


@pytest.mark.parametrize("status", [304, 400, 403, 404, 500, 503])
def test_another_status_is_an_error_that_names_it(status):
    async def scenario():
        async with serving(lambda _: response(b"no", status)) as server, fetcher() as one:
            with pytest.raises(FetchError) as caught:
                await got(one, server.url("/a?secret=1"))
            assert (caught.value.kind, caught.value.status) == ("status", status)
            assert caught.value.detail == f"http://127.0.0.1:{server.port}/a answered {status}"

    run(scenario)


# -- sizes --------------------------------------------------------------------------------------


def test_gzip_is_inflated_also_in_several_members():
    async def scenario():
        packed = gzip.compress(b"a" * 5000) + gzip.compress(b"b" * 5000)
        answer = response(packed, content_encoding="gzip")
        async with serving(lambda _: answer) as server, fetcher() as one:
            fetched = await got(one, server.url(), limit_bytes=10_000)
            assert fetched.body == b"a" * 5000 + b"b" * 5000
            await refused(one, server.url(), "too_large", limit_bytes=9_999)

    run(scenario)


def test_a_gzip_bomb_is_not_inflated():
    async def scenario():
        packer = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
        bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(64)) + packer.flush()
        assert len(bomb) < 1 << 17
        answer = response(bomb, content_encoding="gzip")
        async with serving(lambda _: answer) as server, fetcher() as one:
            tracemalloc.start()
            detail = await refused(one, server.url(), "too_large", limit_bytes=1 << 18)
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            assert "more than 262144 bytes" in detail
            assert peak < 4 << 20

    run(scenario)


@pytest.mark.parametrize(
    ("body", "encoding", "said"),
    [
        (gzip.compress(b"x" * 100, mtime=0)[:-9], "gzip", "without its end"),
        (b"plain", "gzip", "broken gzip"),
        (gzip.compress(b"x", mtime=0) + b"junk", "gzip", "broken gzip"),
        (b"x", "br", "encoding br, unasked"),
        (b"x", "gzip, gzip", "encoding gzip, gzip, unasked"),
    ],
)
def test_what_cannot_be_inflated_is_no_answer(body, encoding, said):
    async def scenario():
        answer = response(body, content_encoding=encoding)
        async with serving(lambda _: answer) as server, fetcher() as one:
            assert said in await refused(one, server.url(), "unreachable")

    run(scenario)


def test_an_empty_answer_may_say_that_it_is_gzip():
    async def scenario():
        answer = response(b"", content_encoding="gzip")
        async with serving(lambda _: answer) as server, fetcher() as one:
            assert (await got(one, server.url())).body == b""

    run(scenario)


def test_reading_stops_at_the_limit():
    """Whether the size was told before or not."""

    async def endless(server, reader, writer):
        await read_request(reader)
        head = response(content_length=None, connection="close")
        writer.write(head)
        while True:
            writer.write(bytes(10_000))
            await writer.drain()
            server.names.append("sent")

    async def scenario():
        async with listening(endless) as server, fetcher() as one:
            await refused(one, server.url(), "too_large", limit_bytes=100_000)
            assert len(server.names) < 1000
        answer = response(content_length=1 << 40)
        async with serving(lambda _: answer) as server, fetcher() as one:
            await refused(one, server.url(), "too_large", timeout=0.5)

    run(scenario)


# -- redirects and hosts ------------------------------------------------------------------------


def test_redirects_are_followed_and_counted():
    async def scenario():
        def answer(asked):
            left = int(asked.target.rpartition("/")[2])
            if not left:
                return response(b"there")
            return response(b"moved", 302, location=f"../b/{left - 1}")

        async with serving(answer) as server, fetcher() as one:
            fetched = await got(one, server.url("/a/5"))
            assert fetched.body == b"there"
            assert fetched.final_url == server.url("/b/0")
            assert fetched.url == server.url("/a/5")
            assert server.connections == 1
            assert "redirects more than 5 times" in await refused(one, server.url("/a/6"), "status")
            assert len(server.requests) == 12

    run(scenario)


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("http://evil.example/x?y", "which are not"),
        ("http://localhost:{port}/", "which are not"),
        ("http://[::1]:{port}/", "which are not"),
        ("//evil.example/", "which are not"),
        ("file:///etc/passwd", "is no http or https address"),
        ("gopher://127.0.0.1/", "is no http or https address"),
        ("http://me:secret@127.0.0.1:{port}/", "has a name or password in it"),
        ("http://127.0.0.1:0/", "has a port that there cannot be"),
        ("http://127.0.0.1:99999/", "has a port that there cannot be"),
        ("http://[::1/", "which is no address"),
        ("http://127.0.0.1\\@evil.example/", "has a name or password"),
    ],
)
def test_every_target_of_a_redirect_is_checked(target, said):
    async def scenario():
        async with (
            serving(
                lambda _: response(b"", 307, location=target.format(port=server.port))
            ) as server,
            fetcher() as one,
        ):
            detail = await refused(one, server.url("/a"), "refused")
            if said == "which are not":
                said_now = "is on a host that service films may not ask; if that is meant, add "
            else:
                said_now = said
            assert said_now in detail
            assert detail.startswith(f"http://127.0.0.1:{server.port}/a redirects to ")
            assert "secret" not in detail
            assert server.targets == ["/a"]

    run(scenario)


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:{port}/",
        "http://127.0.0.2:{port}/",
        "http://2130706433:{port}/",
        "http://127.1:{port}/",
        "http://0x7f000001:{port}/",
        "http://[::ffff:127.0.0.1]:{port}/",
        "http://me@127.0.0.1:{port}/",
        "ftp://127.0.0.1:{port}/",
        "127.0.0.1:{port}/",
        "/x",
        "",
        "http://127.0.0.1 :{port}/",
        "http://127.0.0.1\t:{port}/",
    ],
)
def test_only_what_the_settings_name_is_asked(url):
    async def scenario():
        async with serving(lambda _: response(b"x")) as server, fetcher() as one:
            await refused(one, url.format(port=server.port), "refused")
            assert server.connections == 0

    run(scenario)


# -- addresses ----------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1"])
def test_loopback_is_refused_unless_the_service_may(host):
    async def scenario():
        async with serving(lambda _: response(b"x")) as server, fetcher() as one:
            closed = service([host], private=False)
            detail = await refused(one, server.url(host=host), "refused", by=closed)
            assert f"{host} is at " in detail
            assert "set private_addresses of service films" in detail
            assert server.connections == 0
            open_ = service([host], private=True)
            assert (await got(one, server.url(host=host), by=open_)).body == b"x"

    run(scenario)


def test_a_name_is_resolved_once_and_that_very_address_is_connected_to():
    """A name server that gives another address the second time gains nothing."""

    async def scenario():
        answers = iter([["127.0.0.1"], ["169.254.169.254"]])

        async def rebinding(host, port):
            return next(answers)

        async with serving(lambda _: response(b"x")) as server, fetcher(resolve=rebinding) as one:
            by = service(["ads.example"])
            fetched = await got(one, server.url(host="ads.example"), by=by)
            assert fetched.body == b"x"
            assert server.requests[0].headers["host"] == f"ads.example:{server.port}"
            assert (await got(one, server.url(host="ads.example"), by=by)).body == b"x"
            assert server.connections == 1
            await one.close()
            await refused(one, server.url(host="ads.example"), "refused", by=by)

    run(scenario)


def test_addresses_that_may_not_be_are_passed_over():
    async def scenario():
        resolve = resolver(**{"ads.example": ["169.254.169.254", "::", "127.0.0.1"]})
        async with serving(lambda _: response(b"x")) as server, fetcher(resolve=resolve) as one:
            url = server.url(host="ads.example")
            assert (await got(one, url, by=service(["ads.example"]))).body == b"x"
            assert resolve.asked == ["ads.example"]
            detail = await refused(one, url, "refused", by=service(["ads.example"], private=False))
            assert "ads.example is at 169.254.169.254" in detail

    run(scenario)


def test_the_next_address_is_tried_where_one_does_not_answer():
    async def scenario():
        resolve = resolver(**{"ads.example": ["127.0.0.9", "127.0.0.1"]})
        async with serving(lambda _: response(b"x")) as server, fetcher(resolve=resolve) as one:
            url = server.url(host="ads.example")
            assert (await got(one, url, by=service(["ads.example"]))).body == b"x"

    run(scenario)


def test_a_service_does_not_get_connections_that_only_another_may_have():
    async def scenario():
        async with serving(lambda _: response(b"x")) as server, fetcher() as one:
            assert (await got(one, server.url())).body == b"x"
            await refused(one, server.url(), "refused", by=service(private=False))
            assert len(server.requests) == 1

    run(scenario)


def test_a_name_that_is_not_known_is_unreachable():
    async def scenario():
        async with fetcher(resolve=resolver()) as one:
            detail = await refused(one, "http://ads.example/", "unreachable", by=service(["*"]))
            assert "its name is not known" in detail

    run(scenario)


def test_certificates_are_checked_against_the_name(tmp_path):
    async def scenario():
        tls, trusted = certificate(tmp_path, "ads.example")
        resolve = resolver(**{"ads.example": ["127.0.0.1"], "other.example": ["127.0.0.1"]})
        async with (
            serving(lambda _: response(b"x"), tls=tls) as server,
            fetcher(resolve=resolve, certificates=trusted) as one,
        ):
            by = service(["*.example"])
            fetched = await got(one, server.url(host="ads.example", scheme="https"), by=by)
            assert fetched.body == b"x"
            assert server.names == ["ads.example"]
            url = server.url(host="other.example", scheme="https")
            assert "certificate" in (await refused(one, url, "unreachable", by=by)).lower()
            assert len(server.requests) == 1

    run(scenario)


# -- time ---------------------------------------------------------------------------------------


def test_the_time_is_over_everything():
    async def drip(server, reader, writer):
        await read_request(reader)
        writer.write(response(content_length=10_000))
        for _ in range(100):
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.02)

    async def scenario():
        async with listening(drip) as server, fetcher() as one:
            began = time.monotonic()
            detail = await refused(one, server.url(), "timeout", timeout=0.2)
            assert detail.endswith("took longer than 0.2 s")
            assert time.monotonic() - began < 1.0

    run(scenario)


def test_resolving_takes_of_the_time_too():
    async def scenario():
        async def never(host, port):
            await asyncio.sleep(60)

        async with fetcher(resolve=never) as one:
            await refused(one, "http://ads.example/", "timeout", by=service(["*"]), timeout=0.1)

    run(scenario)


def test_a_host_gets_no_more_connections_than_its_share(monkeypatch):
    monkeypatch.setattr(fetch, "CONNECTIONS_PER_HOST", 3)

    async def scenario():
        hanging = asyncio.Event()

        async def answer(asked):
            if asked.target == "/hang":
                await hanging.wait()
            return response(b"x")

        async with serving(answer) as server, serving(answer) as other, fetcher() as one:
            calls = [asyncio.create_task(got(one, server.url("/hang"))) for _ in range(9)]
            while len(server.requests) < 3:
                await asyncio.sleep(0.01)
            by = service(["localhost"])
            assert (await got(one, other.url(host="localhost"), by=by)).body == b"x"
            assert len(server.requests) == 3
            hanging.set()
            assert {fetched.body for fetched in await asyncio.gather(*calls)} == {b"x"}
            assert server.connections == 3

    run(scenario)


def test_calls_that_are_given_up_leave_the_fetcher_usable(monkeypatch):
    monkeypatch.setattr(fetch, "CONNECTIONS_PER_HOST", 3)
    monkeypatch.setattr(fetch, "CONNECTIONS", 3)

    async def scenario():
        async def answer(asked):
            if asked.target == "/hang":
                await asyncio.sleep(60)
            return response(b"x")

        async with serving(answer) as server, fetcher() as one:
            calls = [asyncio.create_task(got(one, server.url("/hang"))) for _ in range(9)]
            while len(server.requests) < 3:
                await asyncio.sleep(0.01)
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)
            for _ in range(4):
                assert (await got(one, server.url("/"))).body == b"x"
            assert server.connections == 4

    run(scenario)


# -- beacons ------------------------------------------------------------------------------------


async def beaconed(one, url, *, by=LOCAL, timeout=2.0):
    return await one.beacon(url, service=by, timeout=timeout)


@pytest.mark.parametrize("status", [200, 204, 404, 500])
def test_a_beacon_that_is_answered_is_sent_whatever_the_answer(status):
    async def scenario():
        async with serving(lambda _: response(b"", status)) as server, fetcher() as one:
            outcome = await beaconed(one, server.url("/b?c"))
            assert (outcome.outcome, outcome.status, outcome.kind) == ("sent", status, "")
            assert 0 < outcome.latency_ms < 2000
            assert server.targets == ["/b?c"]

    run(scenario)


def test_a_beacon_follows_redirects():
    async def scenario():
        def answer(asked):
            return response(status=302, location="/b") if asked.target == "/a" else response(b"x")

        async with serving(answer) as server, fetcher() as one:
            outcome = await beaconed(one, server.url("/a"))
            assert (outcome.outcome, outcome.status) == ("sent", 200)
            assert server.targets == ["/a", "/b"]

    run(scenario)


def test_a_beacon_of_which_nothing_left_has_failed():
    async def scenario():
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        async with fetcher(resolve=resolver()) as one:
            by = service(["*"])
            cases = {
                f"http://unknown.example:{port}/": "unreachable",
                "http://me@ads.example/": "refused",
            }
            for url, kind in cases.items():
                outcome = await beaconed(one, url, by=by)
                assert (outcome.outcome, outcome.status, outcome.kind) == ("failed", None, kind)
        async with fetcher() as one:
            outcome = await beaconed(one, f"http://127.0.0.1:{port}/")
            assert (outcome.outcome, outcome.kind) == ("failed", "unreachable")
            outcome = await beaconed(one, f"http://127.0.0.1:{port}/", by=service(private=False))
            assert (outcome.outcome, outcome.kind) == ("failed", "refused")
            assert "127.0.0.1" in outcome.reason

    run(scenario)


def test_a_beacon_whose_name_is_never_resolved_has_failed():
    async def scenario():
        async def never(host, port):
            await asyncio.sleep(60)

        async with fetcher(resolve=never) as one:
            outcome = await beaconed(one, "http://a.example/", by=service(["*"]), timeout=0.1)
            assert (outcome.outcome, outcome.kind) == ("failed", "timeout")

    run(scenario)


def test_a_beacon_that_gets_no_further_than_tls_has_failed(tmp_path):
    async def hang(server, reader, writer):
        await asyncio.sleep(60)

    async def scenario():
        tls, _ = certificate(tmp_path, "127.0.0.1")
        async with serving(lambda _: response(b"x"), tls=tls) as server, fetcher() as one:
            outcome = await beaconed(one, server.url(scheme="https"))
            assert (outcome.outcome, outcome.kind) == ("failed", "unreachable")
            assert server.requests == []
        async with listening(hang) as server, fetcher() as one:
            outcome = await beaconed(one, server.url(scheme="https"), timeout=0.1)
            assert (outcome.outcome, outcome.kind) == ("failed", "timeout")

    run(scenario)


async def _closes_at_once(server, reader, writer):
    pass


async def _closes_after_the_request(server, reader, writer):
    await read_request(reader)


async def _closes_within_its_answer(server, reader, writer):
    await read_request(reader)
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Le")
    await writer.drain()


async def _resets(server, reader, writer):
    await read_request(reader)
    writer.transport.abort()


async def _never_answers(server, reader, writer):
    await read_request(reader)
    await asyncio.sleep(60)


async def _answers_nonsense(server, reader, writer):
    await read_request(reader)
    writer.write(b"SSH-2.0-OpenSSH\r\n\r\n")
    await writer.drain()


@pytest.mark.parametrize(
    ("handle", "kind"),
    [
        (_closes_at_once, "unreachable"),
        (_closes_after_the_request, "unreachable"),
        (_closes_within_its_answer, "unreachable"),
        (_resets, "unreachable"),
        (_never_answers, "timeout"),
        (_answers_nonsense, "unreachable"),
    ],
)
def test_a_beacon_that_left_and_was_not_answered_is_uncertain(handle, kind):
    async def scenario():
        async with listening(handle) as server, fetcher() as one:
            outcome = await beaconed(one, server.url(), timeout=0.3)
            assert (outcome.outcome, outcome.status, outcome.kind) == ("uncertain", None, kind)

    run(scenario)


async def _closes_within_the_body(server, reader, writer):
    await read_request(reader)
    writer.write(response(content_length=100) + b"x")
    await writer.drain()


async def _never_ends_the_body(server, reader, writer):
    await _closes_within_the_body(server, reader, writer)
    await asyncio.sleep(60)


async def _sends_a_large_body(server, reader, writer):
    await read_request(reader)
    writer.write(response(bytes(10 << 20)))
    await writer.drain()


@pytest.mark.parametrize(
    "handle", [_closes_within_the_body, _never_ends_the_body, _sends_a_large_body]
)
def test_a_beacon_is_sent_once_the_head_of_its_answer_is_there(handle):
    async def scenario():
        async with listening(handle) as server, fetcher() as one:
            outcome = await beaconed(one, server.url(), timeout=0.3)
            assert (outcome.outcome, outcome.status) == ("sent", 200)

    run(scenario)


def test_a_beacon_that_is_redirected_to_nowhere_may_have_counted():
    async def scenario():
        def answer(asked):
            return response(status=302, location="http://127.0.0.2:1/")

        async with serving(answer) as server, fetcher() as one:
            outcome = await beaconed(one, server.url())
            assert (outcome.outcome, outcome.kind) == ("uncertain", "refused")
            outcome = await beaconed(one, server.url(), by=service(["127.0.0.1", "127.0.0.2"]))
            assert (outcome.outcome, outcome.kind) == ("uncertain", "unreachable")

    run(scenario)
