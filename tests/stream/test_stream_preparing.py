"""Creatives prepared by the real ffmpeg: what comes of films, of what is no film, and of deaths."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import msgspec
import pytest
from stream_films import FFMPEG, FFPROBE, Web, film

from footfall.app.preparing import prepare_creatives
from footfall.data import DataDirectory
from footfall.settings import Service, Streams
from footfall.stream import multivariant, playlist, preparing, source_files
from footfall.stream.contract import Rendition
from footfall.stream.fetch import Fetcher
from footfall.stream.ladder import Content, content_of, fits, match, profile
from footfall.stream.lines import PlaylistError
from footfall.stream.origin import Origins
from footfall.stream.prepared import Store, job_of
from footfall.stream.preparing import Preparer, Tools

pytestmark = pytest.mark.slow

if None in {FFMPEG, FFPROBE}:
    pytest.skip(
        "no ffmpeg on this machine (Debian: apt-get install ffmpeg); no creative was prepared",
        allow_module_level=True,
    )

SERVICE = Service(
    id="tv", source="dev", kind="vod", origin="http://127.0.0.1/", hosts=("127.0.0.1",),
    private_addresses=True,
)  # fmt: skip
BOTH = "avc1.64001f,mp4a.40.2"


def video(height, bandwidth, *, muxed, rate=25.0):
    return Rendition(
        uri=f"https://x.test/{height}.m3u8", kind="video", muxed=muxed, bandwidth=bandwidth,
        width=height * 16 // 9, height=height, frame_rate=rate, codecs=BOTH,
    )  # fmt: skip


MUXED = Content((video(360, 900_000, muxed=True), video(180, 300_000, muxed=True)), "ts", 6, 6)
APART = Content(
    (
        video(360, 900_000, muxed=False, rate=29.97),
        video(180, 300_000, muxed=False, rate=29.97),
        Rendition(uri="https://x.test/en.m3u8", kind="audio", language="en", name="English"),
    ),
    "fmp4", 2, 2,
)  # fmt: skip


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    folder = tmp_path_factory.mktemp("films")
    film(folder / "four.mp4", 4)
    film(folder / "mute.mp4", 2.5, sound=False, rate="30")
    film(folder / "tall.webm", 1, size="180x320", options=("-c:v", "libvpx", "-c:a", "libvorbis"))
    film(folder / "long.mp4", 40, size="640x360")
    return folder


@pytest.fixture
def web(films):
    web = Web()
    web.folder(films, "")
    yield web
    web.close()


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "creatives")


def preparer(store, *, services=(SERVICE,), limit_mb=100):
    fetch = Fetcher()
    known = {one.id: one for one in services}
    return Preparer(
        store,
        fetch,
        Origins(fetch, Streams()),
        services=known.get,
        tools=Tools.found(),
        limit_mb=limit_mb,
    )


def job(address, content=MUXED, *, hls=False):
    return job_of("tv", address, profile(content), hls=hls)


def prepare(store, one, **changed):
    assert store.queue(one)
    asyncio.run(preparer(store, **changed).prepare(one))
    assert not store.is_queued(one.key)


class Made:
    """What stands in the folder of a prepared creative."""

    def __init__(self, store, one):
        assert store.is_ready(one.key), store.failure(one.key)
        self.folder = store.file(one.key, "index.m3u8").parent
        self.multivariant = multivariant.parse(
            (self.folder / "index.m3u8").read_text(), "https://we.test/c/index.m3u8"
        )

    def media(self, rendition):
        name = rendition.uri.rpartition("/")[2]
        return playlist.parse((self.folder / name).read_text(), rendition.uri)

    def of(self, kind):
        return [one for one in self.multivariant.renditions if one.kind == kind]

    def first(self):
        return self.media(self.of("video")[0])

    def probed(self, rendition, *entries):
        name = rendition.uri.rpartition("/")[2]
        answer = subprocess.run(
            [FFPROBE, "-v", "error", *entries, "-of", "json", str(self.folder / name)],
            check=True, capture_output=True, timeout=60,
        )  # fmt: skip
        return json.loads(answer.stdout)

    def keyframes(self, rendition):
        """Times of the pictures that need no other, from the first picture on."""
        entries = ("-select_streams", "v:0", "-show_entries", "packet=pts_time,flags")
        packets = self.probed(rendition, *entries)["packets"]
        first = float(packets[0]["pts_time"])
        return [float(p["pts_time"]) - first for p in packets if "K" in p["flags"]]


def test_muxed_ts(store, web):
    one = job(f"{web.url}/four.mp4")
    prepare(store, one)
    made = Made(store, one)
    high, low = made.of("video")
    assert not made.of("audio")
    assert [(r.width, r.height, r.frame_rate, r.muxed) for r in (high, low)] == [
        (640, 360, 25.0, True), (320, 180, 25.0, True),
    ]  # fmt: skip
    ours = content_of(made.multivariant, made.first())
    assert fits(MUXED, ours, 6) is None
    assert match(MUXED.renditions[0], ours.renditions) == high
    assert match(MUXED.renditions[1], ours.renditions) == low
    for rendition in (high, low):
        media = made.media(rendition)
        assert list(media.durations) == [4_000_000]
        shown = made.probed(rendition, "-show_entries", "stream=codec_name,width,height")
        kinds = {stream["codec_name"]: stream for stream in shown["streams"]}
        assert set(kinds) == {"h264", "aac"}
        assert kinds["h264"]["height"] == rendition.height
    names = {path.name for path in made.folder.iterdir()}
    assert names == {"index.m3u8", "job.json", "v0.m3u8", "v0-0.ts", "v1.m3u8", "v1-0.ts"}


def test_demuxed_fmp4_at_another_frame_rate(store, web):
    one = job(f"{web.url}/four.mp4", APART)
    prepare(store, one)
    made = Made(store, one)
    high, low = made.of("video")
    (sound,) = made.of("audio")
    assert not high.muxed
    assert fits(APART, content_of(made.multivariant, made.first()), 2) is None
    lists = [made.media(rendition) for rendition in (high, low, sound)]
    assert {len(media) for media in lists} == {2}
    assert all(media.maps for media in lists)
    frame = Fraction(1001, 30000)
    for media in lists[:2]:
        assert sum(media.durations) / 1e6 == pytest.approx(119 * frame)
        assert media.durations == lists[0].durations
    assert 0 <= sum(lists[0].durations) - sum(lists[2].durations) < 45_000
    for rendition, media in zip((high, low), lists, strict=False):
        assert made.keyframes(rendition) == pytest.approx([0, media.durations[0] / 1e6], abs=1e-3)
        (stream,) = made.probed(rendition, "-show_entries", "stream=r_frame_rate")["streams"]
        assert stream["r_frame_rate"] == "30000/1001"


def test_what_does_not_divide_is_cut_into_equal_parts(store, web, films, tmp_path):
    film(tmp_path / "odd.mp4", 12.04)
    web.files["/odd.mp4"] = (tmp_path / "odd.mp4").read_bytes()
    one = job(f"{web.url}/odd.mp4")
    prepare(store, one)
    made = Made(store, one)
    for rendition in made.of("video"):
        durations = list(made.media(rendition).durations)
        assert durations == [3_040_000, 3_000_000, 3_000_000, 3_000_000]
        starts = [sum(durations[:i]) / 1e6 for i in range(4)]
        assert made.keyframes(rendition) == pytest.approx(starts, abs=1e-3)


def test_what_has_no_picture_is_made_beside_the_muxed(store, web):
    only = Rendition(uri="https://x.test/a.m3u8", kind="audio", codecs="mp4a.40.2")
    content = Content((*MUXED.renditions, only), "ts", 6, 6)
    one = job(f"{web.url}/four.mp4", content)
    prepare(store, one)
    made = Made(store, one)
    assert fits(content, content_of(made.multivariant, made.first()), 6) is None
    assert len(made.media(made.of("audio")[0])) == len(made.first())


def test_silence_where_the_source_has_no_sound(store, web):
    one = job(f"{web.url}/mute.mp4", APART)
    prepare(store, one)
    made = Made(store, one)
    (sound,) = made.of("audio")
    assert len(made.media(sound)) == len(made.first()) == 2
    (stream,) = made.probed(sound, "-show_entries", "stream=codec_name,channels")["streams"]
    assert (stream["codec_name"], stream["channels"]) == ("aac", 2)


def test_another_shape_is_framed_not_stretched(store, web):
    one = job(f"{web.url}/tall.webm")
    prepare(store, one)
    high = Made(store, one).of("video")[0]
    assert (high.width, high.height) == (640, 360)


def test_content_of_which_nothing_is_known(store, web, tmp_path):
    film(tmp_path / "odd.mp4", 1, size="322x242", rate="50")
    web.files["/odd.mp4"] = (tmp_path / "odd.mp4").read_bytes()
    content = Content((Rendition(uri="https://x.test/only.m3u8", kind="video"),), "ts", 6, 6)
    one = job(f"{web.url}/odd.mp4", content)
    prepare(store, one)
    made = Made(store, one)
    (only,) = made.of("video")
    assert (only.width, only.height, only.frame_rate) == (322, 242, 50.0)
    assert fits(content, content_of(made.multivariant, made.first()), 6) is None


def test_other_codecs_are_made_where_the_content_has_them(store, web):
    picture = video(180, 400_000, muxed=False)
    picture = msgspec.structs.replace(picture, codecs="hvc1.1.6.L60.B0,ac-3")
    sound = Rendition(uri="https://x.test/a.m3u8", kind="audio", codecs="ac-3")
    content = Content((picture, sound), "fmp4", 4, 4)
    one = job(f"{web.url}/four.mp4", content)
    prepare(store, one)
    made = Made(store, one)
    assert fits(content, content_of(made.multivariant, made.first()), 4) is None
    assert made.of("video")[0].codecs == "hvc1.1.6.L60.B0,ac-3"
    (stream,) = made.probed(made.of("audio")[0], "-show_entries", "stream=codec_name")["streams"]
    assert stream["codec_name"] == "ac3"


@pytest.mark.parametrize("kind", ["ts", "fmp4"])
def test_hls_that_does_not_fit_is_a_source_too(store, web, films, tmp_path, kind):
    options = ["-g", "25", "-f", "hls", "-hls_time", "1", "-hls_playlist_type", "vod"]
    options += ["-hls_segment_type", "fmp4"] if kind == "fmp4" else []
    (tmp_path / "hls").mkdir()
    film(tmp_path / "hls/list.m3u8", 3, options=options)
    web.folder(tmp_path / "hls", "/hls")
    one = job(f"{web.url}/hls/list.m3u8", APART, hls=True)
    prepare(store, one)
    made = Made(store, one)
    assert sum(made.first().durations) == pytest.approx(3_000_000, abs=60_000)


def test_hls_with_its_sound_beside_it_is_a_source(store, web, films, tmp_path):
    one = job(f"{web.url}/four.mp4", APART)
    prepare(store, one)
    web.folder(Made(store, one).folder, "/apart")
    other = job(f"{web.url}/apart/index.m3u8", hls=True)
    prepare(store, other)
    made = Made(store, other)
    assert fits(MUXED, content_of(made.multivariant, made.first()), 6) is None
    assert sum(made.first().durations) == pytest.approx(4_000_000, abs=60_000)
    asked = [path for path, _ in web.asked if path.endswith(".m4s")]
    assert asked == ["/apart/v0-0.m4s", "/apart/v0-1.m4s", "/apart/a0-0.m4s", "/apart/a0-1.m4s"]


def test_a_large_file_is_fetched_in_pieces(store, web, monkeypatch):
    monkeypatch.setattr(source_files, "PIECE_BYTES", 10_000)
    one = job(f"{web.url}/four.mp4")
    prepare(store, one)
    Made(store, one)
    size = len(web.files["/four.mp4"])
    assert len(web.asked) == -(-size // 10_000) > 1
    assert web.asked[1] == ("/four.mp4", "bytes=10000-19999")


@pytest.mark.parametrize("ranges", [True, False])
def test_a_file_that_is_too_large_is_refused(store, web, films, monkeypatch, ranges):
    monkeypatch.setattr(source_files, "SOURCE_BYTES", 5_000)
    other = Web(ranges=ranges)
    other.folder(films, "")
    one = job(f"{other.url}/four.mp4")
    prepare(store, one)
    other.close()
    assert "more" in store.failure(one.key).reason or "large" in store.failure(one.key).reason


def test_a_server_without_ranges_gives_the_whole(store, films):
    other = Web(ranges=False)
    other.folder(films, "")
    one = job(f"{other.url}/four.mp4")
    prepare(store, one)
    other.close()
    Made(store, one)


SECRET = "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n"


@pytest.mark.parametrize(
    "body",
    [
        b"", b"not a film", SECRET.encode(), b"ffconcat version 1.0\nfile /etc/passwd\n",
        b'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><BaseURL>/etc/</BaseURL></MPD>',
        b"\x00\x00\x00\x18ftypisom\x00\x00\x00\x00isom" + b"\xff" * 2000,
    ],
    ids=["empty", "text", "hls", "concat", "dash", "broken"],
)  # fmt: skip
def test_what_is_no_film_fails_with_a_reason(store, web, body):
    web.files["/x.mp4"] = body
    one = job(f"{web.url}/x.mp4")
    prepare(store, one)
    assert not store.is_ready(one.key)
    assert store.failure(one.key).reason
    assert not list(store.path.glob("work/*"))


def test_ffmpeg_opens_no_file_that_a_playlist_names(films, tmp_path):
    """Were the formats not named, ffmpeg would follow a list to other files of ours."""
    (tmp_path / "x.mp4").write_text(f"ffconcat version 1.0\nfile {films / 'four.mp4'}\n")
    with_care = preparing.encoding.probe(FFPROBE, str(tmp_path / "x.mp4"))
    assert subprocess.run(with_care, capture_output=True, timeout=30).returncode != 0
    without = [FFPROBE, "-v", "error", "-safe", "0", "-f", "concat", str(tmp_path / "x.mp4")]
    assert subprocess.run(without, capture_output=True, timeout=30).returncode == 0


def test_what_cannot_be_fetched_fails_with_a_reason(store, web):
    one = job(f"{web.url}/nowhere.mp4")
    prepare(store, one)
    assert "404" in store.failure(one.key).reason
    elsewhere = job("http://elsewhere.test/x.mp4")
    prepare(store, elsewhere)
    assert "refused" in store.failure(elsewhere.key).reason


def test_a_job_of_a_service_that_is_gone_is_dropped(store, web):
    one = job(f"{web.url}/four.mp4")
    prepare(store, one, services=())
    assert store.failure(one.key) is None
    assert web.asked == []


def test_encrypted_hls_is_no_source(store, web):
    web.files["/e.m3u8"] = (
        b'#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-KEY:METHOD=AES-128,URI="k"\n'
        b"#EXTINF:4,\na.ts\n#EXT-X-ENDLIST\n"
    )  # fmt: skip
    one = job(f"{web.url}/e.m3u8", hls=True)
    prepare(store, one)
    assert "encrypted" in store.failure(one.key).reason


def test_an_encoder_that_takes_too_long_is_ended(store, web, monkeypatch):
    monkeypatch.setattr(preparing, "ENCODE_SECONDS", 0.3)
    one = job(f"{web.url}/long.mp4")
    began = time.monotonic()
    prepare(store, one)
    assert "took more than" in store.failure(one.key).reason
    assert time.monotonic() - began < 5


def test_more_than_may_be_kept_is_deleted(store, web):
    old, new = job(f"{web.url}/four.mp4"), job(f"{web.url}/mute.mp4")
    prepare(store, old)
    os.utime(store.path / "ready" / old.key / "job.json", (1, 1))
    prepare(store, new, limit_mb=0)
    assert not store.is_ready(old.key)
    assert store.is_ready(new.key)


def test_it_follows_the_queue_until_it_is_told_to_stop(store, web):
    several = [job(f"{web.url}/four.mp4"), job(f"{web.url}/nowhere.mp4")]

    async def run():
        stop = asyncio.Event()
        following = asyncio.create_task(preparer(store).follow(stop))
        for one in several:
            store.queue(one)
        async with asyncio.timeout(30):
            while store.jobs():
                await asyncio.sleep(0.05)
        stop.set()
        await asyncio.wait_for(following, 2)

    asyncio.run(run())
    assert store.is_ready(several[0].key)
    assert store.failure(several[1].key)


def test_the_workers_job_begins_with_the_first_service(web, tmp_path, monkeypatch):
    monkeypatch.setattr("footfall.app.preparing.LOOK_SECONDS", 0.05)
    data = DataDirectory.create(tmp_path / "data")
    store = Store(data.creatives)
    one = job(f"{web.url}/mute.mp4")
    store.queue(one)
    services = {}

    async def run():
        stop = asyncio.Event()
        job = asyncio.create_task(prepare_creatives(data, lambda: services, Streams(), stop))
        await asyncio.sleep(0.2)
        assert store.jobs() == [one]
        services["tv"] = SERVICE
        async with asyncio.timeout(30):
            while not store.is_ready(one.key):
                await asyncio.sleep(0.05)
        stop.set()
        await asyncio.wait_for(job, 5)

    asyncio.run(run())


def test_the_workers_job_ends_where_there_is_no_service(tmp_path):
    async def run():
        stop = asyncio.Event()
        data = DataDirectory.create(tmp_path / "data")
        job = asyncio.create_task(prepare_creatives(data, dict, Streams(), stop))
        await asyncio.sleep(0.01)
        stop.set()
        await asyncio.wait_for(job, 1)
        assert not data.creatives.exists()

    asyncio.run(run())


def test_what_was_being_made_at_a_stop_is_made_by_the_next(store, web):
    one = job(f"{web.url}/long.mp4")
    store.queue(one)

    async def stopped():
        stop = asyncio.Event()
        following = asyncio.create_task(preparer(store).follow(stop))
        async with asyncio.timeout(20):
            while not list(store.path.glob("work/*/out/*.ts")):
                await asyncio.sleep(0.02)
        stop.set()
        await asyncio.wait_for(following, 5)

    asyncio.run(stopped())
    assert not encoders(store)
    assert store.jobs() == [one]
    assert store.failure(one.key) is None
    assert not list(store.path.glob("work/*"))


RUNNER = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_stream_preparing import preparer
from footfall.stream.origin import Origins
from footfall.stream.prepared import Store
asyncio.run(preparer(Store(Path({store!r}))).follow(asyncio.Event()))
"""


def test_what_was_being_made_when_the_process_died_is_made_by_the_next(store, web):
    one = job(f"{web.url}/long.mp4")
    store.queue(one)
    code = RUNNER.format(tests=str(Path(__file__).parent), store=str(store.path))
    process = subprocess.Popen([sys.executable, "-c", code])
    try:
        until(lambda: list(store.path.glob("work/*/out/*.ts")))
        process.send_signal(signal.SIGKILL)
        process.wait(10)
        # The kernel ends ffmpeg with its parent.
        until(lambda: not encoders(store))
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    assert store.jobs() == [one]
    assert not store.is_ready(one.key)
    process = subprocess.Popen([sys.executable, "-c", code])
    try:
        until(lambda: store.is_ready(one.key), 60)
    finally:
        process.kill()
        process.wait(10)
    assert len(Made(store, one).first()) == 10
    assert store.jobs() == []


def until(is_so, seconds=20):
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.02)


def encoders(store):
    """Processes that work in the store."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if str(store.path) in os.readlink(process / "cwd"):
                found.append(process.name)
    return found


def test_lists_that_are_not_cut_alike_are_refused(store, web, monkeypatch):
    """What ffmpeg made is looked at before it is served."""
    monkeypatch.setattr(preparing.encoding.Output, "segment_s", property(lambda _: 1.0))
    monkeypatch.setattr(preparing.encoding, "_boundaries", lambda _: "expr:gte(t,n_forced)")
    one = job(f"{web.url}/four.mp4")
    prepare(store, one)
    assert "segments of 1" in store.failure(one.key).reason


def test_a_playlist_error_is_a_reason(store, web):
    web.files["/x.m3u8"] = b"#EXTM3U\n#EXTINF:4,\na.ts\n"
    one = job(f"{web.url}/x.m3u8", hls=True)
    prepare(store, one)
    assert store.failure(one.key).reason
    with pytest.raises(PlaylistError):
        playlist.parse("x", "https://x.test/")
