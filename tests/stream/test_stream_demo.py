"""The demo's origin and ad server: what it serves is right by other people's readers of it."""

from __future__ import annotations

import asyncio
import base64
import re
from collections import Counter
from xml.etree import ElementTree as ET

import httpx
import m3u8
import pytest
from starlette.applications import Starlette

from footfall import demo
from footfall.demo.live import BREAK, BREAK_US, CYCLE, EPOCH_US, WINDOW, Live
from footfall.demo.media import ASSETS, FOLDER, RENDITIONS, SEGMENT_US
from footfall.demo.scte35 import crc32_mpeg2, splice_insert
from footfall.demo.vast import SPOTS, fitting
from footfall.settings.development import DEV_SERVICES

SEGMENT_S = SEGMENT_US / 1e6


class Client:
    """Asks the application without a socket."""

    def __init__(self):
        app = Starlette(routes=demo.routes(console="http://127.0.0.1:8081"))
        self.transport = httpx.ASGITransport(app)

    def get(self, path, headers=None):
        return asyncio.run(self._ask("GET", path, headers))

    def post(self, path):
        return asyncio.run(self._ask("POST", path, None))

    async def _ask(self, method, path, headers):
        base = "http://127.0.0.1:8080"
        async with httpx.AsyncClient(transport=self.transport, base_url=base) as client:
            return await client.request(method, path, headers=headers)


@pytest.fixture
def client():
    return Client()


def _list(client, path):
    answer = client.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (
        200, "application/vnd.apple.mpegurl",
    )  # fmt: skip
    return m3u8.loads(answer.text, uri=str(answer.url))


# Media


def test_the_media_is_what_the_lists_say():
    total = 0
    for asset in ASSETS.values():
        for rendition in RENDITIONS:
            files = {path.name for path in (FOLDER / asset.name / rendition).iterdir()}
            assert files == {"init.mp4", *(f"{n}.m4s" for n in range(asset.segments))}
    for path in FOLDER.rglob("*.m*"):
        total += path.stat().st_size
    assert total < 700_000


@pytest.mark.parametrize(
    ("folder", "asset"),
    [
        ("/demo/origin/vod", "main"), ("/demo/origin/slate", "slate"),
        ("/demo/ads/creative/kettle", "kettle"), ("/demo/ads/creative/meadow", "meadow"),
        ("/demo/origin/live", "main"), ("/demo/origin/live/speed=4,phase=2", "main"),
    ],
)  # fmt: skip
def test_lists_lead_to_lists_and_to_media(client, folder, asset):
    master = _list(client, f"{folder}/master.m3u8")
    addresses = [playlist.absolute_uri for playlist in (*master.playlists, *master.media)]
    assert len(addresses) == len(RENDITIONS)
    for address in addresses:
        media = _list(client, address)
        assert media.is_endlist == ("live" not in folder)
        if media.is_endlist:
            assert len(media.segments) == ASSETS[asset].segments
        for segment in (media.segments[0], media.segments[-1]):
            assert segment.duration == SEGMENT_S <= media.target_duration
            for there in (segment.absolute_uri, segment.init_section.absolute_uri):
                assert f"/demo/media/{asset}/" in there
                answer = client.get(there)
                assert answer.status_code == 200
                assert answer.headers["content-type"] in {"video/mp4", "audio/mp4"}


def test_ranges_and_other_origins_are_answered(client):
    headers = {"Origin": "https://player.example", "Range": "bytes=4-7"}
    answer = client.get("/demo/media/main/high/init.mp4", headers=headers)
    assert (answer.status_code, answer.content) == (206, b"ftyp")
    assert answer.headers["access-control-allow-origin"] == "*"
    film = client.get("/demo/ads/creative/lantern.mp4")
    assert (film.status_code, film.headers["content-type"]) == (200, "video/mp4")


@pytest.mark.parametrize(
    "path",
    [
        "/demo/origin/nothing/master.m3u8", "/demo/origin/vod/other.m3u8", "/demo/origin/vod/x",
        "/demo/origin/live/speed=0/master.m3u8", "/demo/origin/live/phase=31/high.m3u8",
        "/demo/origin/live/phase=1.5/high.m3u8", "/demo/origin/live/x=1/high.m3u8",
        "/demo/media/main/high/../../../live.py", "/demo/media/main/high/make.sh",
        "/demo/media/main/high/31.m4s", "/demo/media/nothing/high/0.m4s",
        "/demo/ads/creative/main/master.m3u8", "/demo/ads/creative/vanished/master.m3u8",
        "/demo/ads/creative/kettle.mp4", "/demo/ads/creative/main.mp4",
    ],
)  # fmt: skip
def test_what_there_is_not(client, path):
    assert client.get(path).status_code == 404


# Live


class Clock:
    def __init__(self, at):
        self.at = at

    def __call__(self):
        return self.at


def _epoch_s(number=0):
    return EPOCH_US / 1e6 + number * SEGMENT_S


def test_a_live_list_goes_by_the_clock_and_every_number_keeps_its_segment():
    clock = Clock(_epoch_s(1000) + 0.5)
    seen, earlier = {}, None
    for _ in range(3 * CYCLE * 2):
        now = m3u8.loads(Live(clock, phase=5).playlist("high", "/demo/media"))
        assert len(now.segments) == WINDOW
        tags = now.discontinuity_sequence
        date = None
        for number, segment in enumerate(now.segments, now.media_sequence):
            tags += segment.discontinuity
            date = segment.program_date_time or date
            assert segment.current_program_date_time.timestamp() == pytest.approx(
                _epoch_s(number), abs=0.001
            )
            assert segment.discontinuity == (Live(phase=5).position(number) == 0)
            assert seen.setdefault(number, (segment.uri, tags)) == (segment.uri, tags)
        # The newest segment has just ended; nothing of the future is listed.
        assert 0 <= clock.at - _epoch_s(number + 1) < SEGMENT_S + 0.001
        if earlier is not None:
            assert now.media_sequence - earlier in {0, 1}
        earlier = now.media_sequence
        clock.at += SEGMENT_S / 2
    assert len(seen) > 3 * CYCLE


def test_a_break_is_marked_in_all_ways_for_as_long_as_it_is_listed():
    start = 40 * CYCLE + BREAK.start
    for first in range(start - 2, start + len(BREAK) + 2):
        clock = Clock(_epoch_s(first + WINDOW) + 0.1)
        text = Live(clock).playlist("low", "/demo/media")
        listed = m3u8.loads(text)
        assert listed.media_sequence == first
        ranges = re.findall(r"#EXT-X-DATERANGE:(.*)", text)
        outs = [line for line in ranges if "SCTE35-OUT" in line]
        elapsed = (first - start) * SEGMENT_S
        assert len(outs) == (first < start + len(BREAK))
        assert ("#EXT-X-CUE-OUT:17.280\n" in text) == (first <= start)
        if start < first < start + len(BREAK):
            assert f"#EXT-X-CUE-OUT-CONT:ElapsedTime={elapsed:.3f},Duration=17.280" in text
        back = [line for line in ranges if "SCTE35-IN" in line]
        assert len(back) == text.count("#EXT-X-CUE-IN\n") == (first <= start + len(BREAK))
        both = [re.match(r'ID="([^"]+)",START-DATE="([^"]+)"', line).groups() for line in ranges]
        assert len(set(both)) <= 1
    assert (
        BREAK_US
        == 17_280_000
        == sum(SPOTS[name].duration_ms for name in ("kettle", "meadow")) * 1000
    )


def test_a_sped_up_stream_shows_the_right_time_at_its_start():
    clock = Clock(1_800_000_000.0)
    stream = Live.of("speed=4,start=1800000000")
    fast = Live(clock, speed=stream.speed, start=stream.start)
    assert fast.now_us() == 1_800_000_000_000_000
    clock.at += 10
    assert fast.now_us() == 1_800_000_040_000_000


def _decoded(cue):
    """A reader of the splice_insert of SCTE 35, 9.7.3, bit by bit, from the standard's table."""
    bits = "".join(f"{byte:08b}" for byte in cue)
    at = 0

    def take(width):
        nonlocal at
        at += width
        return int(bits[at - width : at], 2)

    assert take(8) == 0xFC
    take(4)
    assert take(12) == len(cue) - 3
    assert (take(8), take(1)) == (0, 0)
    take(6), take(33), take(8), take(12)
    length, kind = take(12), take(8)
    assert kind == 5
    begins = at
    found = {"event": take(32), "cancel": take(1)}
    take(7)
    found["out"], program, timed, immediate = take(1), take(1), take(1), take(1)
    assert (program, immediate) == (1, 0)
    take(4)
    assert take(1) == 1
    take(6)
    found["pts"] = take(33)
    if timed:
        take(7)
        found["duration"] = take(33)
    take(32)
    assert at - begins == length * 8
    assert take(16) == 0
    assert at == len(bits) - 32
    assert crc32_mpeg2(cue) == 0
    return found


def test_cues_are_read_by_the_standard():
    assert crc32_mpeg2(b"123456789") == 0x0376E6E7
    # Out for 10 s at 21.4 s, as other encoders write it.
    other = base64.b64decode("/DAlAAAAAAAAAP/wFAUAAAABf+/+AB1jb/4ADbugAAEAAAAAXVU8Ew==")
    assert _decoded(other)["duration"] == 900_000
    assert splice_insert(1, pts=0x1D636F, duration=900_000) == other
    assert _decoded(splice_insert(7, pts=2**33 + 5, duration=None)) == {
        "event": 7, "cancel": 0, "out": 0, "pts": 5,
    }  # fmt: skip
    text = Live(Clock(_epoch_s(9 * CYCLE + BREAK.stop + 1))).playlist("high", "x")
    out = _decoded(base64.b64decode(re.search(r"OATCLS-SCTE35:(.*)", text)[1]))
    assert (out["event"], out["duration"], out["out"]) == (9, 17_280 * 90, 1)
    assert out["pts"] == BREAK.start * 1920 * 90
    assert _decoded(bytes.fromhex(re.search(r"SCTE35-IN=0x(\w+)", text)[1]))["out"] == 0


# Ad server


def _ads(client, query=""):
    answer = client.get(f"/demo/ads/vast?{query}")
    assert answer.status_code == 200
    root = ET.fromstring(answer.content)
    return root, [ad.get("id") for ad in root.iterfind(".//{*}Ad")]


@pytest.mark.parametrize(
    ("query", "ads"),
    [
        ("", ["kettle", "meadow", "lantern"]),
        ("duration=17280", ["kettle", "meadow"]),
        ("duration=9000", ["kettle"]),
        ("duration=30000", ["kettle", "meadow", "lantern", "lantern"]),
        ("duration=1000", []),
        ("duration=&ads=lantern", ["lantern"]),
        ("ads=meadow,nothing,kettle", ["meadow", "kettle"]),
        ("duration=$AD_BREAK_DURATION_MS", ["kettle", "meadow", "lantern"]),
        ("empty", []),
    ],
)
def test_a_pod_of_ads(client, query, ads):
    root, found = _ads(client, query)
    assert found == ads
    assert [int(ad.get("sequence")) for ad in root] if ads else root.find("{*}Error") is not None


def test_an_ad_tells_all_that_a_player_can_use(client):
    root, _ = _ads(client, "key=a%26b&break=x")
    for ad in root.iterfind(".//{*}Ad"):
        spot = SPOTS[ad.get("id")]
        assert len(list(ad.iterfind(".//{*}Impression"))) == 2
        tracked = Counter(event.get("event") for event in ad.iterfind(".//{*}Tracking"))
        assert {"start", "firstQuartile", "midpoint", "thirdQuartile", "complete"} <= set(tracked)
        assert tracked["progress"] == 2
        assert ad.find(".//{*}Linear").get("skipoffset") == (spot.skip or None)
        assert ad.find(".//{*}Duration").text == spot.duration
        (film, *_) = ad.iterfind(".//{*}MediaFile")
        assert client.get(film.text).status_code == 200
        assert all("key=a%26b" in beacon.text for beacon in ad.iterfind(".//{*}Impression"))
    for tag in ("AdVerifications", "Icon", "Companion"):
        assert len(list(root.iterfind(f".//{{*}}{tag}"))) == 1
    for resource in root.iterfind(".//{*}StaticResource"):
        assert client.get(resource.text).status_code == 200


def test_breaks_of_a_vmap_lead_to_their_ads(client):
    root = ET.fromstring(client.get("/demo/ads/vmap?key=k&wrap=1").content)
    breaks = {b.get("breakId"): b.get("timeOffset") for b in root}
    assert breaks == {"pre": "start", "mid": "00:00:20", "half": "50%", "post": "end"}
    for tag in root.iterfind(".//{*}AdTagURI"):
        answer = ET.fromstring(client.get(tag.text).content)
        assert answer.find("{*}Ad/{*}Wrapper") is not None
    assert len(list(root.iterfind(".//{*}Tracking"))) == 3 * len(breaks)


def test_wrappers_end_in_the_ads(client):
    address, levels = "/demo/ads/vast?wrap=3&ads=kettle&key=k&break=b", []
    while True:
        root = ET.fromstring(client.get(address).content)
        further = root.find(".//{*}VASTAdTagURI")
        if further is None:
            break
        levels.append(root.find("{*}Ad").get("id"))
        address = further.text
    assert levels == ["wrapper-3", "wrapper-2", "wrapper-1"]
    assert [ad.get("id") for ad in root] == ["kettle"]
    assert "key=k" in root.find(".//{*}Impression").text
    looped = ET.fromstring(client.get("/demo/ads/vast?loop=1").content)
    assert looped.find(".//{*}VASTAdTagURI").text == "http://127.0.0.1:8080/demo/ads/vast?loop=1"


def test_faults_on_demand(client):
    assert client.get("/demo/ads/vast?error=503").status_code == 503
    for wrong in ("", "99", "1000", "x"):
        assert client.get(f"/demo/ads/vmap?error={wrong}").status_code == 500
    with pytest.raises(ET.ParseError):
        ET.fromstring(client.get("/demo/ads/vast?rubbish").content)
    root, ads = _ads(client, "vanish&ads=kettle&slow=0.01")
    assert ads == ["kettle"]
    assert client.get(root.find(".//{*}MediaFile").text).status_code == 404


def test_beacons_are_counted_by_all_that_names_them(client):
    root, _ = _ads(client, "ads=kettle&key=one&break=pre")
    impressions = [impression.text for impression in root.iterfind(".//{*}Impression")]
    for address in (*impressions, impressions[0]):
        assert client.post(address).status_code == 204
    client.get("/demo/ads/beacon?event=start&key=other")
    heard = client.get("/demo/ads/beacons?key=one").json()["beacons"]
    assert [(b["event"], b["ad"], b["break"], b["count"]) for b in heard] == [
        ("impression", "kettle", "pre", 2), ("impression", "kettle", "pre", 1),
    ]  # fmt: skip
    assert len(client.get("/demo/ads/beacons").json()["beacons"]) == 3


def test_two_answers_with_the_same_ads_have_beacons_of_their_own(client):
    said = [
        _ads(client, "ads=kettle&key=k&break=live")[0].find(".//{*}Impression").text for _ in "ab"
    ]
    assert said[0] != said[1]
    assert re.sub("call=.*", "", said[0]) == re.sub("call=.*", "", said[1])


def test_ads_never_take_longer_than_they_may():
    for ms in range(0, 60_000, 731):
        ads = fitting(ms)
        assert sum(ad.duration_ms for ad in ads) <= ms
        assert ms - sum(ad.duration_ms for ad in ads) < min(s.duration_ms for s in SPOTS.values())


# Page


def test_the_page_needs_nothing_from_elsewhere(client):
    page = client.get("/demo/").text
    for name in re.findall(r'(?:src|href)="([^"#]+)"', page):
        assert not re.match(r"\w+:|//", name)
        if name.startswith("static/"):
            assert client.get(f"/demo/{name}").status_code == 200
    about = client.get("/demo/about.json").json()
    assert about == {
        "services": ["demo-vod", "demo-live", "demo-channel"], "console": "http://127.0.0.1:8081",
    }  # fmt: skip


def test_the_page_offers_the_services_of_dev_mode():
    assert [service.id for service in DEV_SERVICES] == list(demo.SERVICES)
