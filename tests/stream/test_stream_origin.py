"""Playlists of origins on loopback: shared, fresh, stale where they may be, and bounded."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from loopback import response, service, serving

from footfall.settings import Streams
from footfall.stream import origin
from footfall.stream.contract import FetchError, MediaList, Multivariant
from footfall.stream.fetch import Fetcher
from footfall.stream.lines import PlaylistError
from footfall.stream.origin import Origins, status_of

LOCAL = service()
MULTIVARIANT = b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nv.m3u8\n"


def media(first=100, count=6, name="s{}.ts", end=False):
    lines = [f"#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXT-X-MEDIA-SEQUENCE:{first}"]
    lines += [f"#EXTINF:6,\n{name.format(n)}" for n in range(first, first + count)]
    return "\n".join([*lines, "#EXT-X-ENDLIST" if end else "", ""]).encode()


class Origin:
    """What the origin's server answers at present."""

    def __init__(self, body=b"", **headers):
        self.now = 1000.0
        self.headers = headers
        self.answer = response(body, **headers)
        self.gate = asyncio.Event()
        self.gate.set()
        self.moved_to = ""
        self.troubles = []

    async def __call__(self, asked):
        await self.gate.wait()
        if self.moved_to and asked.target != self.moved_to:
            return response(status=302, location=self.moved_to)
        etag = asked.headers.get("if-none-match")
        if etag and etag == self.headers.get("etag"):
            return response(status=304, content_length=None)
        return self.answer

    def gives(self, body, status=200, **headers):
        self.headers = headers
        self.answer = response(body, status, **headers)


@contextlib.asynccontextmanager
async def playing(body=b"", *, streams=None, **options):
    """An origin, its server, and `Origins` whose clock is the origin's `now`."""
    there = Origin(body)
    fetcher = Fetcher()
    async with serving(there) as server:
        origins = Origins(
            fetcher,
            streams or Streams(),
            clock=lambda: there.now,
            on_trouble=there.troubles.append,
            **options,
        )
        try:
            yield there, server, origins
        finally:
            await origins.close()
            await fetcher.close()


def run(scenario):
    asyncio.run(scenario())


async def failing(awaitable, kind):
    with pytest.raises(FetchError) as caught:
        await awaitable
    assert caught.value.kind == kind
    return status_of(caught.value)


# -- sharing and freshness ----------------------------------------------------------------------


def test_whoever_asks_at_once_gets_the_same_list_of_one_fetch():
    async def scenario():
        async with playing(media()) as (there, server, origins):
            there.gate.clear()
            url = server.url("/live.m3u8")
            calls = [asyncio.create_task(origins.media(LOCAL, url, live=True)) for _ in range(20)]
            await asyncio.sleep(0.02)
            for call in calls[:5]:
                call.cancel()
            there.gate.set()
            lists = await asyncio.gather(*calls[5:])
            assert len({id(one) for one in lists}) == 1
            assert lists[0].sequence == 100
            assert lists[0].url == url
            assert len(server.requests) == 1

    run(scenario)


@pytest.mark.parametrize(("live", "seconds"), [(True, 0.5), (False, 60.0)])
def test_lists_are_asked_for_again_when_they_are_no_longer_fresh(live, seconds):
    async def scenario():
        async with playing(media(end=not live)) as (there, server, origins):
            url = server.url("/x.m3u8")
            first = await origins.media(LOCAL, url, live=live)
            there.now += seconds - 0.01
            assert await origins.media(LOCAL, url, live=live) is first
            assert len(server.requests) == 1
            there.now += 0.02
            assert await origins.media(LOCAL, url, live=live) is first
            assert len(server.requests) == 2

    run(scenario)


def test_a_list_that_was_to_be_finished_and_goes_on_is_asked_for_like_a_live_one_and_reported():
    async def scenario():
        async with playing(media(count=6)) as (there, server, origins):
            url = server.url("/x.m3u8?token=1")
            for count in (6, 7):
                there.gives(media(count=count))
                assert len(await origins.media(LOCAL, url, live=False)) == count
                there.now += 0.6
            (told,) = there.troubles
            assert (told.kind, told.url) == ("unfinished", server.url("/x.m3u8"))
            there.gives(media(count=8, end=True))
            for _ in range(2):
                assert (await origins.media(LOCAL, url, live=False)).ended
                there.now += 59
            assert len(server.requests) == 3

    run(scenario)


def test_a_short_target_duration_is_good_for_less():
    async def scenario():
        body = media().replace(b"TARGETDURATION:6", b"TARGETDURATION:1").replace(b":6,", b":1,")
        async with playing(body) as (there, server, origins):
            await origins.media(LOCAL, server.url(), live=True)
            there.now += 0.26
            await origins.media(LOCAL, server.url(), live=True)
            assert len(server.requests) == 2

    run(scenario)


def test_a_list_is_read_only_when_it_changed():
    async def scenario():
        read = []

        def parse(text, url, variables):
            read.append(text)
            return origin.playlist.parse(text, url, variables)

        async with playing(parse_media=parse) as (there, server, origins):
            for body, headers, reads in (
                (media(), {"etag": '"1"'}, 1),
                (media(), {"etag": '"1"'}, 1),  # 304
                (media(), {"etag": '"2"'}, 1),  # the same text
                (media(101), {"etag": '"3"'}, 2),
            ):
                there.gives(body, **headers)
                there.now += 1
                found = await origins.media(LOCAL, server.url(), live=True)
                assert len(read) == reads
            assert found.sequence == 101
            sent = [asked.headers.get("if-none-match") for asked in server.requests]
            assert sent == [None, '"1"', '"1"', '"2"']

    run(scenario)


def test_the_same_text_at_another_address_is_another_list():
    """Segments' addresses are relative to where redirects led."""

    async def scenario():
        async with playing(media()) as (there, server, origins):
            for edge in ("a", "b"):
                there.now += 1
                there.moved_to = f"/{edge}/x.m3u8"
                found = await origins.media(LOCAL, server.url("/x.m3u8"), live=True)
                assert found.chunks[0].endswith(f"{server.url()}{edge}/s100.ts\n")

    run(scenario)


def test_services_do_not_share_what_only_one_may_ask():
    async def scenario():
        async with playing(media()) as (_, server, origins):
            await origins.media(LOCAL, server.url(), live=True)
            other = service(["elsewhere.example"], id="other")
            assert await failing(origins.media(other, server.url(), live=True), "refused") == 502

    run(scenario)


# -- kinds --------------------------------------------------------------------------------------


def test_kinds_of_playlists_are_told_apart_with_one_fetch():
    async def scenario():
        async with playing(MULTIVARIANT) as (there, server, origins):
            found = await origins.multivariant(LOCAL, server.url())
            assert isinstance(found, Multivariant)
            assert [one.uri for one in found.renditions] == [server.url("/v.m3u8")]
            with pytest.raises(PlaylistError, match="multivariant playlist, where"):
                await origins.media(LOCAL, server.url(), live=False)
            there.gives(media(end=True))
            with pytest.raises(PlaylistError, match="media playlist, where"):
                await origins.multivariant(LOCAL, server.url("/v.m3u8"))
            found = await origins.playlist(LOCAL, server.url("/v.m3u8"), live=False)
            assert isinstance(found, MediaList)
            assert len(server.requests) == 2

    run(scenario)


def test_variables_of_the_multivariant_reach_the_list():
    async def scenario():
        body = media(name="{{$dir}}/{}.ts").replace(
            b"#EXTM3U\n", b'#EXTM3U\n#EXT-X-DEFINE:IMPORT="dir"\n'
        )
        async with playing(body) as (_, server, origins):
            url = server.url()
            found = await origins.media(LOCAL, url, live=True, variables={"dir": "low"})
            assert found.chunks[0].endswith("/low/100.ts\n")
            found = await origins.media(LOCAL, url, live=True, variables={"dir": "high"})
            assert found.chunks[0].endswith("/high/100.ts\n")

    run(scenario)


def test_a_document_is_passed_as_it_is():
    async def scenario():
        async with playing() as (there, server, origins):
            there.gives(b"<MPD>\xff", content_type="application/dash+xml")
            found = await origins.document(LOCAL, server.url("/a.mpd"), live=True)
            assert (found.body, found.content_type) == (b"<MPD>\xff", "application/dash+xml")
            assert found.url == server.url("/a.mpd")

    run(scenario)


@pytest.mark.parametrize("body", [b"<html>", b"", b"#EXTM3U\n#EXTINF:6,\nx\n", b"#EXTM3U\n\xff"])
def test_what_is_no_playlist_is_said_so(body):
    async def scenario():
        async with playing(body) as (_, server, origins):
            with pytest.raises(PlaylistError) as caught:
                await origins.media(LOCAL, server.url(), live=True)
            assert status_of(caught.value) == 502

    run(scenario)


# -- trouble ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "answered"), [(401, 401), (404, 404), (410, 410), (500, 502), (503, 502), (304, 502)]
)
def test_the_origins_status_becomes_the_answers(status, answered):
    async def scenario():
        async with playing() as (there, server, origins):
            there.gives(b"", status)
            asked = origins.media(LOCAL, server.url(), live=False)
            assert await failing(asked, "status") == answered

    run(scenario)


def test_an_origin_that_is_slow_or_gone_has_its_status():
    async def scenario():
        async with playing(media(), streams=Streams(origin_seconds=0.1)) as (
            there,
            server,
            origins,
        ):
            there.gate.clear()
            asked = origins.media(LOCAL, server.url(), live=True)
            assert await failing(asked, "timeout") == 504
        async with playing(media(count=200), streams=Streams(playlist_bytes=1024)) as playing_:
            _, server, origins = playing_
            asked = origins.media(LOCAL, server.url(), live=True)
            assert await failing(asked, "too_large") == 502
            asked = origins.media(LOCAL, "http://127.0.0.1:1/", live=True)
            assert await failing(asked, "unreachable") == 502

    run(scenario)


def test_a_fault_is_remembered_for_a_moment():
    async def scenario():
        async with playing() as (there, server, origins):
            there.gives(b"", 404)
            for _ in range(5):
                assert await failing(origins.media(LOCAL, server.url(), live=True), "status") == 404
            assert len(server.requests) == 1
            there.gives(media())
            there.now += 0.6
            assert (await origins.media(LOCAL, server.url(), live=True)).sequence == 100

    run(scenario)


@pytest.mark.parametrize("status", [404, 500, 200])
def test_a_live_origin_in_trouble_leaves_its_last_list_for_three_target_durations(status):
    async def scenario():
        async with playing(media()) as (there, server, origins):
            url = server.url()
            good = await origins.media(LOCAL, url, live=True)
            there.gives(b"rubbish", status)
            for _ in range(3):
                there.now += 5.9
                assert await origins.media(LOCAL, url, live=True) is good
                await asyncio.sleep(0.02)
            assert len(server.requests) == 4
            there.now += 0.5
            with pytest.raises((FetchError, PlaylistError)):
                await origins.media(LOCAL, url, live=True)
            there.gives(media(103))
            there.now += 0.6
            assert (await origins.media(LOCAL, url, live=True)).sequence == 103

    run(scenario)


def test_nobody_waits_twice_for_an_origin_in_trouble():
    async def scenario():
        async with playing(media(), streams=Streams(origin_seconds=0.2)) as (
            there,
            server,
            origins,
        ):
            url = server.url()
            loop = asyncio.get_running_loop()
            good = await origins.media(LOCAL, url, live=True)
            there.gate.clear()
            there.now += 1
            began = loop.time()
            assert await origins.media(LOCAL, url, live=True) is good
            assert loop.time() - began > 0.15
            there.now += 1
            began = loop.time()
            for _ in range(10):
                assert await origins.media(LOCAL, url, live=True) is good
            assert loop.time() - began < 0.1
            assert len(server.requests) <= 3
            there.gives(media(101))
            there.gate.set()
            await asyncio.sleep(0.05)
            there.now += 1
            assert (await origins.media(LOCAL, url, live=True)).sequence == 101

    run(scenario)


def test_what_is_finished_outlives_its_origin_unless_that_takes_it_away():
    async def scenario():
        async with playing(media(end=True)) as (there, server, origins):
            url = server.url()
            good = await origins.media(LOCAL, url, live=False)
            there.gives(b"", 503)
            there.now += 61
            assert await origins.media(LOCAL, url, live=False) is good
            there.now += 600
            assert await failing(origins.media(LOCAL, url, live=False), "status") == 502
            there.gives(media(end=True))
            there.now += 1
            await origins.media(LOCAL, url, live=False)
            there.gives(b"", 410)
            there.now += 61
            assert await failing(origins.media(LOCAL, url, live=False), "status") == 410

    run(scenario)


def test_trouble_is_said_once_a_minute_for_each_service_and_kind(monkeypatch):
    said = []
    monkeypatch.setattr(origin.log, "warning", lambda event, **told: said.append(told))

    async def scenario():
        async with playing() as (there, server, origins):
            there.gives(b"", 500)
            for number in range(20):
                await failing(origins.media(LOCAL, server.url(f"/{number}?x"), live=True), "status")
            assert [told["url"] for told in said] == [server.url("/0")]
            there.now += 61
            await failing(origins.media(LOCAL, server.url("/0"), live=True), "status")
            assert len(said) == 2

    run(scenario)


# -- going on -----------------------------------------------------------------------------------


def test_an_origin_that_begins_anew_is_reported(monkeypatch):
    monkeypatch.setattr("footfall.stream.origin.SAID_SECONDS", 0)

    async def scenario():
        async with playing(media(100)) as (there, server, origins):
            url = server.url()
            for first, reason in (
                (102, ""),
                (0, "its media sequence went back from 102 to 0"),
                (1, ""),
                (5000, "its media sequence leapt from 1 to 5000"),
            ):
                there.troubles.clear()
                there.gives(media(first))
                there.now += 6
                assert (await origins.media(LOCAL, url, live=True)).sequence == first
                assert [one.reason for one in there.troubles] == ([reason] if reason else [])
            (jump,) = there.troubles
            assert (jump.service, jump.url, jump.kind) == ("films", url, "jump")

    run(scenario)


def test_a_list_never_goes_back_because_a_cache_does():
    async def scenario():
        async with playing(media(102)) as (there, server, origins):
            url = server.url()
            newest = await origins.media(LOCAL, url, live=True)
            for first in (101, 100, 102):
                there.gives(media(first))
                there.now += 1
                assert await origins.media(LOCAL, url, live=True) is newest
            there.gives(media(100))
            there.now += 18
            assert (await origins.media(LOCAL, url, live=True)).sequence == 100
            assert [(one.kind, one.reason) for one in there.troubles] == [
                ("jump", "its media sequence went back from 102 to 100")
            ]

    run(scenario)


# -- bounds -------------------------------------------------------------------------------------


def test_what_was_not_asked_for_longest_is_forgotten(monkeypatch):
    async def scenario():
        async with playing(media(end=True)) as (_, server, origins):
            for number in (1, 2, 3, 1, 4):
                await origins.media(LOCAL, server.url(f"/{number}"), live=False)
            assert server.targets == ["/1", "/2", "/3", "/4"]
            for number in (1, 3, 4):
                await origins.media(LOCAL, server.url(f"/{number}"), live=False)
            assert len(server.requests) == 4
            await origins.media(LOCAL, server.url("/2"), live=False)
            assert len(server.requests) == 5

    monkeypatch.setattr(origin, "MOST_ENTRIES", 3)
    run(scenario)
    monkeypatch.undo()
    monkeypatch.setattr(origin, "MOST_BYTES", 3 * origin.WEIGHT * len(media(end=True)))
    run(scenario)


def test_faults_do_not_pile_up(monkeypatch):
    monkeypatch.setattr(origin, "MOST_ENTRIES", 3)

    async def scenario():
        async with playing() as (there, server, origins):
            there.gives(b"", 404)
            for number in range(9):
                await failing(origins.media(LOCAL, server.url(f"/{number}"), live=True), "status")
            assert len(origins._entries) == 3

    run(scenario)
