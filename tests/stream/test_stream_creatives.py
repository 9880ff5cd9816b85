"""Where an ad is played from: HLS that fits, what was prepared, and why not, by VAST's codes."""

from __future__ import annotations

import asyncio
import dataclasses

import msgspec
import pytest

from footfall.settings import Service
from footfall.stream import creatives as creatives_module
from footfall.stream import multivariant, playlist
from footfall.stream.contract import Ad, Failure, FetchError, MediaFile, Rendition
from footfall.stream.creatives import Creative, Creatives, is_hls, videos
from footfall.stream.kept import FAILED_SECONDS, FRESH_SECONDS
from footfall.stream.ladder import Content, profile
from footfall.stream.lines import PlaylistError
from footfall.stream.prepared import QUEUED_MOST, RETRY_SECONDS, Store, job_of

HLS, MP4 = "application/vnd.apple.mpegurl", "video/mp4"
LIVE = Service(id="tv", source="dev", kind="live", origin="https://origin.test/")
VOD = dataclasses.replace(LIVE, kind="vod")
ERRORS = ("https://ads.test/error?c=[ERRORCODE]",)


def video(bandwidth, height):
    return Rendition(
        uri=f"https://origin.test/{height}.m3u8", kind="video", bandwidth=bandwidth, height=height,
        width=height * 16 // 9, codecs="avc1.64001f,mp4a.40.2", frame_rate=25,
    )  # fmt: skip


SUBTITLES = Rendition(uri="https://origin.test/s.m3u8", kind="subtitles")
HIGH, LOW = video(3_000_000, 720), video(900_000, 360)
CONTENT = Content((HIGH, LOW, SUBTITLES), "ts", 6, 6)


def media(*seconds, ended=True, extra=""):
    lines = [f"#EXTINF:{one},\n{i}.ts\n" for i, one in enumerate(seconds)]
    end = "#EXT-X-ENDLIST\n" if ended else ""
    return f"#EXTM3U\n#EXT-X-TARGETDURATION:6\n{extra}{''.join(lines)}{end}"


LADDER = (
    "#EXTM3U\n"
    '#EXT-X-STREAM-INF:BANDWIDTH=500000,CODECS="avc1.64001e,mp4a.40.2"\nlow.m3u8\n'
    '#EXT-X-STREAM-INF:BANDWIDTH=2500000,CODECS="avc1.64001f,mp4a.40.2"\nhigh.m3u8\n'
)


class Origins:
    """Playlists by address; an exception among them is raised."""

    def __init__(self, **texts):
        self.texts = {f"https://ads.test/{name}.m3u8": text for name, text in texts.items()}
        self.asked = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def text(self, uri):
        self.asked.append(uri)
        await self.gate.wait()
        found = self.texts.get(uri, FetchError("status", "answered 404"))
        if isinstance(found, Exception):
            raise found
        return found

    async def playlist(self, service, uri, *, live):
        assert live is False
        text = await self.text(uri)
        if multivariant.is_multivariant(text):
            return multivariant.parse(text, uri)
        return playlist.parse(text, uri)

    async def media(self, service, uri, *, live, variables):
        assert live is False
        return playlist.parse(await self.text(uri), uri, variables)


class Clock:
    now = 1_800_000_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def store(tmp_path, clock):
    return Store(tmp_path / "creatives", now=clock)


@pytest.fixture
def origins():
    return Origins(ad=LADDER, low=media(4, 4, 2), high=media(4, 4, 1.96))


@pytest.fixture
def creatives(origins, store, clock):
    return Creatives(origins, store, encoder=True, clock=clock)


def hls(name="ad", type_=HLS):
    return MediaFile(url=f"https://ads.test/{name}.m3u8", type=type_)


def mp4(name="ad", bitrate=0, **more):
    return MediaFile(
        url=f"https://ads.test/{name}.mp4", type=more.pop("type_", MP4), bitrate=bitrate, **more
    )


def ad(*files):
    return Ad(ad_id="a1", media=files, errors=ERRORS)


def resolve(creatives, one, service=LIVE, content=CONTENT):
    return asyncio.run(creatives.resolve(service, one, content))


def failed(found, code, word):
    assert isinstance(found, Failure)
    assert found.code == code
    assert word in found.reason
    assert found.ad_id == "a1"
    assert found.urls == (() if code == 900 else ERRORS)


# HLS as it is


def test_hls_that_fits_is_played_where_it_is(creatives):
    # As long as what stands in for the content's first rendition: the 2.5 Mbit/s of the ad.
    assert resolve(creatives, ad(mp4(), hls())) == Creative("https://ads.test/ad.m3u8", 9_960_000)


def test_a_stream_of_sound_alone_has_ads_of_sound_alone(origins, creatives):
    sound = Rendition(uri="https://origin.test/a.m3u8", kind="audio", codecs="mp4a.40.2")
    text = '#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=96000,CODECS="mp4a.40.2"\nlow.m3u8\n'
    origins.texts["https://ads.test/ad.m3u8"] = text
    content = Content((sound,), "ts", 6, 6)
    found = resolve(creatives, ad(hls()), content=content)
    assert found == Creative("https://ads.test/ad.m3u8", 10_000_000)
    failed(resolve(creatives, ad(mp4()), content=content), 405, "sound alone")


def test_a_creative_of_one_list_plays_for_every_rendition(origins, creatives):
    origins.texts["https://ads.test/ad.m3u8"] = media(4, 4)
    assert resolve(creatives, ad(hls())) == Creative("https://ads.test/ad.m3u8", 8_000_000)

    async def lists():
        for rendition in (HIGH, LOW):
            found = await creatives.lists(LIVE, "https://ads.test/ad.m3u8", rendition)
            assert found.durations == [4_000_000, 4_000_000]
        assert await creatives.lists(LIVE, "https://ads.test/ad.m3u8", SUBTITLES) is None

    asyncio.run(lists())


def test_the_next_hls_is_tried_where_one_cannot_be_had(creatives):
    assert isinstance(resolve(creatives, ad(hls("gone"), hls())), Creative)


@pytest.mark.parametrize(
    ("text", "code", "word"),
    [
        (FetchError("timeout", "2 s"), 402, "2 s"),
        (FetchError("refused", "not in service.hosts"), 401, "service.hosts"),
        (FetchError("status", "answered 404"), 401, "404"),
        ("<html>", 405, "EXTM3U"),
        (media(4, ended=False), 405, "ENDLIST"),
        (media(), 405, "ENDLIST"),
    ],
)
def test_why_a_playlist_cannot_be_used(origins, creatives, text, code, word):
    origins.texts["https://ads.test/ad.m3u8"] = text
    failed(resolve(creatives, ad(hls())), code, word)


@pytest.mark.parametrize("files", [(), (MediaFile(url="https://x.test/a.js", type="text/x"),)])
def test_without_a_file_that_could_be_used_it_is_403(creatives, files):
    failed(resolve(creatives, ad(*files)), 403, "neither")


def test_an_ad_may_name_its_segments_by_variables(origins, creatives):
    origins.texts["https://ads.test/ad.m3u8"] = LADDER.replace(
        "#EXTM3U\n", '#EXTM3U\n#EXT-X-DEFINE:NAME="cdn",VALUE="https://cdn.test"\n'
    )
    lines = media(4, extra='#EXT-X-DEFINE:IMPORT="cdn"\n').replace("0.ts", "{$cdn}/0.ts")
    origins.texts["https://ads.test/high.m3u8"] = origins.texts["https://ads.test/low.m3u8"] = lines
    assert isinstance(resolve(creatives, ad(hls())), Creative)
    found = asyncio.run(creatives.lists(LIVE, "https://ads.test/ad.m3u8", LOW))
    assert found.chunks[0].endswith("https://cdn.test/0.ts\n")


def test_the_target_duration_binds_what_is_live(origins, creatives):
    for name in ("high", "low"):
        origins.texts[f"https://ads.test/{name}.m3u8"] = media(8, 8)
    served = dataclasses.replace(LIVE, transcode=False)
    failed(resolve(creatives, ad(hls()), served), 405, "8 s")
    longer = dataclasses.replace(served, target_duration_seconds=8)
    assert isinstance(resolve(creatives, ad(hls()), longer), Creative)
    assert isinstance(resolve(creatives, ad(hls()), VOD), Creative)


# Prepared


def jobs_of(store):
    return [job.address for job in store.jobs()]


def ready(store, address, content=CONTENT, *, texts=None, hls=False):
    """As the worker would leave it."""
    one = job_of("tv", address, profile(content), hls=hls)
    folder = store.workspace() / "out"
    folder.mkdir()
    made = LADDER.replace("low", "v1").replace("high", "v0")
    for name, text in (texts or {"index": made, "v0": media(4, 4), "v1": media(4, 4)}).items():
        (folder / f"{name}.m3u8").write_text(text)
    store.publish(one, folder)
    return one


def test_a_file_is_left_out_until_it_is_prepared(creatives, store):
    failed(resolve(creatives, ad(mp4())), 900, "being prepared")
    failed(resolve(creatives, ad(mp4())), 900, "being prepared")
    assert jobs_of(store) == ["https://ads.test/ad.mp4"]
    one = ready(store, "https://ads.test/ad.mp4")
    found = resolve(creatives, ad(mp4()))
    assert found == Creative(f"/stream/tv/creative/{one.key}/index.m3u8", 8_000_000)
    assert store.jobs() == []


def test_the_lists_of_a_prepared_creative_name_its_files_by_path(creatives, store, origins):
    one = ready(store, "https://ads.test/ad.mp4")
    address = f"/stream/tv/creative/{one.key}/index.m3u8"
    found = asyncio.run(creatives.lists(LIVE, address, LOW))
    assert found.chunks[1].endswith(f"\n/stream/tv/creative/{one.key}/1.ts\n")
    assert found.url == f"/stream/tv/creative/{one.key}/v1.m3u8"
    assert asyncio.run(creatives.lists(LIVE, address, SUBTITLES)) is None
    assert origins.asked == []


@pytest.mark.parametrize(
    "address",
    [
        "/stream/tv/creative/", "/stream/tv/creative/../x/index.m3u8",
        "/stream/tv/creative/" + "0" * 32 + "/index.m3u8",
    ],
)  # fmt: skip
def test_a_prepared_creative_that_is_not_there(creatives, address, origins):
    with pytest.raises(FetchError, match="unreachable"):
        asyncio.run(creatives.lists(LIVE, address, LOW))
    assert origins.asked == []


def test_a_prepared_creative_that_was_deleted_is_prepared_again(creatives, store, clock):
    one = ready(store, "https://ads.test/ad.mp4")
    found = resolve(creatives, ad(mp4()))
    clock.now += 700
    assert list(store.shrink(0)) == [one.key]
    with pytest.raises(FetchError, match="make room"):
        asyncio.run(creatives.lists(LIVE, found.address, HIGH))
    failed(resolve(creatives, ad(mp4())), 900, "being prepared")


def test_hls_that_does_not_fit_is_prepared(origins, creatives, store):
    for name in ("high", "low"):
        origins.texts[f"https://ads.test/{name}.m3u8"] = media(8, 8)
    failed(resolve(creatives, ad(hls())), 900, "being prepared")
    assert [(job.address, job.hls) for job in store.jobs()] == [("https://ads.test/ad.m3u8", True)]


def test_files_are_prepared_before_hls_that_does_not_fit(origins, creatives, store):
    origins.texts["https://ads.test/high.m3u8"] = origins.texts["https://ads.test/low.m3u8"] = (
        media(8)
    )
    resolve(creatives, ad(hls(), mp4()))
    assert jobs_of(store) == ["https://ads.test/ad.mp4"]


def test_a_file_that_failed_gives_way_to_the_next_for_ten_minutes(creatives, store, clock):
    one = ad(mp4("a", 2000), mp4("b", 1000))
    resolve(creatives, one)
    store.fail(store.jobs()[0], "there is no picture in it")
    failed(resolve(creatives, one), 900, "being prepared")
    assert jobs_of(store) == ["https://ads.test/b.mp4"]
    store.fail(store.jobs()[0], "it is too long")
    failed(resolve(creatives, one), 405, "too long")
    assert store.jobs() == []
    clock.now += RETRY_SECONDS
    failed(resolve(creatives, one), 900, "being prepared")
    assert jobs_of(store) == ["https://ads.test/a.mp4"]


def test_why_nothing_is_prepared(origins, creatives, store, clock):
    off = dataclasses.replace(LIVE, transcode=False)
    failed(resolve(creatives, ad(mp4()), off), 405, "service.transcode")
    without = Creatives(origins, store, encoder=False, clock=clock)
    failed(resolve(without, ad(mp4())), 405, "apt-get install ffmpeg")
    exotic = Content((msgspec.structs.replace(HIGH, codecs="av01.0.05M.08"),), "fmp4", 6, 6)
    failed(resolve(creatives, ad(mp4()), content=exotic), 405, "av1")
    assert store.jobs() == []


def test_a_full_queue_is_said(creatives, store):
    for i in range(QUEUED_MOST):
        store.queue(job_of("tv", f"https://x.test/{i}", profile(CONTENT), hls=False))
    failed(resolve(creatives, ad(mp4())), 900, "too many")


def test_which_file_is_prepared():
    files = [
        MediaFile(url="https://x.test/a.flv", type="video/x-flv", bitrate=2900),
        MediaFile(url="https://x.test/a.mp4", type=MP4, bitrate=9000),
        MediaFile(url="https://x.test/b.mp4", type=MP4, bitrate=800),
        MediaFile(url="https://x.test/c.mp4", type=MP4, bitrate=2800),
        MediaFile(url="https://x.test/d.mp4", type=MP4, bitrate=6000),
        MediaFile(url="https://x.test/e.mov", type="video/quicktime", mezzanine=True),
        MediaFile(url="https://x.test/f", type="application/javascript"),
        MediaFile(url="https://x.test/g.mpd", type="application/dash+xml"),
        MediaFile(url="https://x.test/h.m3u8", type=HLS),
        MediaFile(url="https://x.test/i.mp4", type=MP4, delivery="streaming"),
    ]
    order = [file.url[-5:] for file in videos(ad(*files), CONTENT)]
    assert order == ["e.mov", "c.mp4", "b.mp4", "d.mp4", "a.mp4", "a.flv"]


@pytest.mark.parametrize(
    ("file", "so"),
    [
        (MediaFile(url="https://x.test/a", type="application/x-mpegURL"), True),
        (MediaFile(url="https://x.test/a", type="audio/mpegurl"), True),
        (MediaFile(url="https://x.test/a.m3u8?x=y", type=""), True),
        (MediaFile(url="https://x.test/a.mp4", type=""), False),
        (MediaFile(url="https://x.test/a.m3u8", type=MP4), False),
        (MediaFile(url="https://x.test/?a.m3u8", type=""), False),
    ],
)
def test_what_is_hls(file, so):
    assert is_hls(file) is so


# Slates


def test_a_slate_is_resolved_like_an_ad(creatives, store):
    assert asyncio.run(creatives.slate(LIVE, CONTENT)) is None
    given = dataclasses.replace(LIVE, slate="https://ads.test/ad.m3u8")
    found = asyncio.run(creatives.slate(given, CONTENT))
    assert found == Creative("https://ads.test/ad.m3u8", 9_960_000)
    film = dataclasses.replace(LIVE, slate="https://ads.test/slate.mp4")
    assert asyncio.run(creatives.slate(film, CONTENT)).code == 900
    assert jobs_of(store) == ["https://ads.test/slate.mp4"]


# What is kept


def test_sessions_that_ask_at_once_ask_once(creatives, origins):
    async def ask():
        origins.gate.clear()
        several = [
            asyncio.create_task(creatives.lists(LIVE, "https://ads.test/ad.m3u8", HIGH))
            for _ in range(20)
        ]
        await asyncio.sleep(0.01)
        several[0].cancel()  # who stops waiting does not stop the others
        origins.gate.set()
        return await asyncio.gather(*several, return_exceptions=True)

    first, *others = asyncio.run(ask())
    assert isinstance(first, asyncio.CancelledError)
    assert {id(one) for one in others} == {id(others[0])}
    assert sum(others[0].durations) == 9_960_000
    assert len(origins.asked) == len(set(origins.asked)) == 3


def test_lists_are_kept_for_an_hour_and_longer_where_they_are_gone(creatives, origins, clock):
    async def ask():
        return await creatives.lists(LIVE, "https://ads.test/ad.m3u8", LOW)

    async def run():
        first = await ask()
        asked = len(origins.asked)
        clock.now += FRESH_SECONDS - 1
        assert await ask() is first
        assert len(origins.asked) == asked
        clock.now += 2
        origins.texts.clear()
        assert await ask() is first
        assert len(origins.asked) > asked

    asyncio.run(run())


def test_a_failure_is_remembered_for_half_a_minute(creatives, origins, clock):
    async def run():
        text = origins.texts.pop("https://ads.test/ad.m3u8")
        for _ in range(3):
            with pytest.raises(FetchError):
                await creatives.lists(LIVE, "https://ads.test/ad.m3u8", LOW)
        assert len(origins.asked) == 1
        origins.texts["https://ads.test/ad.m3u8"] = text
        clock.now += FAILED_SECONDS
        assert await creatives.lists(LIVE, "https://ads.test/ad.m3u8", LOW)

    asyncio.run(run())


def test_what_is_kept_is_bounded(origins, store, clock, monkeypatch):
    monkeypatch.setattr(creatives_module, "KEPT", 3)
    creatives = Creatives(origins, store, encoder=True, clock=clock)

    async def run():
        for i in range(10):
            origins.texts[f"https://ads.test/{i}.m3u8"] = media(4)
            await creatives.lists(LIVE, f"https://ads.test/{i}.m3u8", LOW)
        asked = len(origins.asked)
        await creatives.lists(LIVE, "https://ads.test/9.m3u8", LOW)
        assert len(origins.asked) == asked
        await creatives.lists(LIVE, "https://ads.test/0.m3u8", LOW)
        assert len(origins.asked) > asked

    asyncio.run(run())


def test_services_share_nothing_that_was_fetched(creatives, origins):
    """Each has its own list of hosts."""

    async def run():
        await creatives.lists(LIVE, "https://ads.test/ad.m3u8", LOW)
        asked = len(origins.asked)
        other = dataclasses.replace(LIVE, id="radio")
        await creatives.lists(other, "https://ads.test/ad.m3u8", LOW)
        assert len(origins.asked) == 2 * asked

    asyncio.run(run())


def test_a_broken_list_of_a_creative_is_an_error(creatives, origins):
    origins.texts["https://ads.test/low.m3u8"] = media(4, ended=False)
    with pytest.raises(PlaylistError):
        asyncio.run(creatives.lists(LIVE, "https://ads.test/ad.m3u8", LOW))
