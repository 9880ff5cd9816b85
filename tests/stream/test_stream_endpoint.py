"""The HTTP surface: statuses, headers, and what is answered when others fail."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import time

import jsonschema_rs
import pytest
from stream_rig import (
    IMPRESSION,
    MASTER,
    ORIGIN,
    SOUND,
    TOP,
    UNAVAILABLE,
    VIDEO,
    Live,
    Rig,
    World,
    ad,
    number,
    offer,
    segments,
    service,
)
from stream_rig import film as vod_world

from footfall.stream import origin as lists
from footfall.stream import problems, requests, tracking
from footfall.stream.ad_tokens import AdSegment
from footfall.stream.contract import AdBreak, FetchError
from footfall.stream.lines import PlaylistError

IDS = "bpkio_sessionid=abc&bpkio_serviceid=s"
SCHEMA = jsonschema_rs.validator_for(json.loads(tracking.schema()))


def run(test):
    asyncio.run(asyncio.wait_for(test(), 30))


def vod(*ads, **more):
    return Rig(vod_world(AdBreak("start", "pre", offer(*ads))), service("vod", **more))


def live(**more):
    world = World()
    world.offers = [offer(ad("one", 4))]
    return Rig(world, service(**more)), Live(world)


def test_a_client_goes_from_the_service_to_its_segments():
    rig = vod(ad("pre", 4))

    async def test():
        opening = await rig.get("/stream/s/master.m3u8?w=640")
        assert (opening.status_code, opening.content) == (307, b"")
        first = await rig.get(opening.headers["location"])
        assert first.headers["content-type"] == "application/vnd.apple.mpegurl"
        lines = first.text.splitlines()
        sound = lines[1].split('URI="')[1].rstrip('"')
        assert "w=640" in sound
        video = await rig.get(lines[3])
        assert segments(video.text)[:3] == ["pre", "pre", "v0"]
        assert segments((await rig.get(sound)).text)[:3] == ["pre", "pre", "a0"]
        ((_, values),) = rig.world.asked
        assert values.parameters == (("w", "640"),)

    run(test)
    (begun,) = rig.world.events("session")
    assert begun["properties"] == {
        "service": "s",
        "kind": "vod",
        "workflow": "",
        "path": "master.m3u8",
    }


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    "target",
    [
        f"/stream/s/master.m3u8?{IDS}",
        f"/stream/s/video.m3u8?{IDS}",
        f"/stream/s/master.m3u8?{IDS}&bk-ml=1.0",
        "/stream/s/master.m3u8",
        "/stream/s/nothing.m3u8?bpkio_sessionid=abc",
        "/stream/none/x.m3u8",
        "/stream/schema/session-tracking.json",
        "/stream/empty.webvtt",
    ],
)
def test_what_every_answer_says(method, target):
    rig = vod(ad("pre", 4))

    async def test():
        answer = await rig.get(target, method)
        headers = answer.headers
        assert headers["access-control-allow-origin"] == "*"
        assert headers["access-control-expose-headers"] == "Location"
        fixed = "schema" in target or "empty" in target
        assert headers["cache-control"] == ("public, max-age=86400" if fixed else "no-store")
        if method == "HEAD":
            whole = await rig.get(target)
            assert answer.content == b""
            assert headers["content-length"] == whole.headers["content-length"]
            assert answer.status_code == whole.status_code

    run(test)


def test_what_is_the_same_for_everybody():
    rig = vod()

    async def test():
        schema = await rig.get("/stream/schema/session-tracking.json")
        assert schema.headers["content-type"] == "application/schema+json"
        assert schema.json()["required"] == ["refresh_delay_ms", "timereference_ms", "adpods"]
        empty = await rig.get("/stream/empty.webvtt")
        assert (empty.headers["content-type"], empty.text) == ("text/vtt", "WEBVTT\n\n")

    run(test)


def test_a_preflight_has_no_body_and_no_length():
    rig = vod()

    async def test():
        answer = await rig.get("/stream/s/x.m3u8", "OPTIONS")
        assert (answer.status_code, answer.content) == (204, b"")
        assert "content-length" not in answer.headers
        refused = await rig.get("/stream/s/x.m3u8", "DELETE")
        assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD, OPTIONS")

    run(test)


@pytest.mark.parametrize(
    ("accepts", "zipped"),
    [("gzip, br", True), ("deflate", False), ("gzip; q=0", False), ("", False)],
)
def test_long_answers_are_compressed_for_who_takes_that(accepts, zipped):
    rig = vod(*(ad(f"ad-{number}", 8) for number in range(6)))

    async def test():
        target = f"/stream/s/video.m3u8?{IDS}"
        plain = await rig.get(target, **{"Accept-Encoding": "identity"})
        answer = await rig.get(target, **{"Accept-Encoding": accepts})
        assert answer.headers.get("content-encoding") == ("gzip" if zipped else None)
        assert answer.headers["vary"] == "Accept-Encoding"
        assert answer.text == plain.text
        if zipped:
            assert int(answer.headers["content-length"]) < len(plain.content)
        short = await rig.get("/stream/s/master.m3u8?" + IDS, **{"Accept-Encoding": accepts})
        assert "content-encoding" not in short.headers

    run(test)


def test_the_compressed_bytes_are_gzip():
    rig = vod(*(ad(f"ad-{number}", 8) for number in range(6)))
    sent = []

    async def test():
        scope = {
            "type": "http",
            "method": "GET",
            "scheme": "http",
            "path": "/stream/s/video.m3u8",
            "raw_path": b"/stream/s/video.m3u8",
            "query_string": IDS.encode(),
            "headers": [(b"accept-encoding", b"gzip")],
        }

        async def send(message):
            sent.append(message)

        await rig.app(scope, None, send)

    run(test)
    assert gzip.decompress(sent[1]["body"]).startswith(b"#EXTM3U")


# The two workflows


def test_fast_start_tells_nothing_before_the_first_list_and_asks_nobody():
    rig = vod(ad("pre", 4, IMPRESSION))

    async def test():
        target = f"/stream/s/master.m3u8?{IDS}&bk-ml=1.0"
        await rig.get(f"/stream/s/master.m3u8?{IDS}")
        early = await rig.get(target)
        assert (early.status_code, early.json()["adpods"]) == (200, [])
        assert rig.world.asked == []
        await rig.get(f"/stream/s/video.m3u8?{IDS}")
        told = (await rig.get(target)).json()
        assert [one["id"] for one in told["adpods"]] == ["pre"]
        assert SCHEMA.is_valid(told)

    run(test)


def test_metadata_first_opens_the_session_and_decides_what_the_list_then_has():
    rig = vod(ad("pre", 4))

    async def test():
        told = (await rig.get(f"/stream/s/master.m3u8?{IDS}&bk-ml=2.0&w=1")).json()
        assert [one["adid"] for one in told["adpods"][0]["ads"]] == ["pre"]
        assert rig.world.asked[0][1].parameters == (("w", "1"),)
        assert segments((await rig.get(f"/stream/s/video.m3u8?{IDS}")).text)[0] == "pre"
        assert len(rig.world.asked) == 1

    run(test)


def test_metadata_first_of_a_live_stream():
    rig, origin = live(preroll_ad_server="https://pre/")
    rig.world.offers = [offer(ad("pre", 4)), offer(ad("one", 4))]

    async def test():
        target = f"/stream/s/master.m3u8?{IDS}&bk-ml=2.0"
        told = (await rig.get(target)).json()
        (pod,) = told["adpods"]
        assert (pod["id"], pod["starttime_ms"]) == ("preroll", origin.at(12) // 1000)
        assert segments((await rig.get(f"/stream/s/video.m3u8?{IDS}")).text)[:2] == ["pre", "pre"]
        origin.cue_out(15, 4)
        origin.go_on(1)
        announced = (await rig.get(target)).json()["adpods"][-1]
        assert announced["starttime_ms"] == origin.at(15) // 1000
        await rig.get(f"/stream/s/video.m3u8?{IDS}")
        origin.go_on(1)
        told = (await rig.get(target)).json()
        assert [one["id"] for one in told["adpods"]] == ["preroll", announced["id"]]
        assert [one["adid"] for one in told["adpods"][1]["ads"]] == ["one"]
        assert SCHEMA.is_valid(told)
        assert len(rig.world.asked) == 2

    run(test)


def test_a_break_that_was_over_before_the_pre_roll_is_not_told():
    """No list of the session ever held any of it; one that the session joined within is told."""
    rig, origin = live(preroll_ad_server="https://pre/")
    rig.world.offers = [offer(ad("pre", 2)), offer(ad("one", 4))]
    origin.cue_out(8, 4)
    origin.cue_out(11, 4)
    origin.publish()

    async def test():
        await rig.get(f"/stream/s/video.m3u8?{IDS}")
        for _ in range(14):
            told = (await rig.get(f"/stream/s/video.m3u8?{IDS}&bk-ml=1.0")).json()["adpods"]
            assert [one["starttime_ms"] for one in told] == [
                origin.at(11) // 1000,
                origin.at(12) // 1000,
            ]
            origin.go_on(1)
            await rig.get(f"/stream/s/video.m3u8?{IDS}")

    run(test)


def test_sound_that_is_behind_the_picture_is_waited_for_where_a_session_begins_with_a_preroll(
    monkeypatch,
):
    """Else its list would be shorter than three target durations."""
    monkeypatch.setattr(lists, "LIVE_SECONDS", 0.1)
    rig, origin = live(preroll_ad_server="https://pre/")
    rig.world.offers = [offer(ad("pre", 10))]
    texts = rig.world.texts

    async def catch_up(newer):
        await asyncio.sleep(0.05)
        texts[SOUND] = newer

    async def test():
        older = texts[SOUND]
        origin.go_on(1)
        newer, texts[SOUND] = texts[SOUND], older
        assert segments((await rig.get(f"/stream/s/video.m3u8?{IDS}")).text) == ["pre"] * 3
        _, sound = await asyncio.gather(catch_up(newer), rig.get(f"/stream/s/sound.m3u8?{IDS}"))
        assert segments(sound.text) == ["pre"] * 3
        # Where it does not come, nobody waits for longer.
        texts[SOUND] = older
        began = time.monotonic()
        assert segments((await rig.get(f"/stream/s/sound.m3u8?{IDS}")).text) == ["pre"] * 2
        assert time.monotonic() - began >= lists.LIVE_SECONDS

    run(test)


@pytest.mark.parametrize("kind", ["vod", "live", "dash"])
def test_the_workflow_is_kept_for_the_whole_session(kind):
    rig = vod(ad("pre", 4)) if kind != "live" else live()[0]
    path = "x.mpd" if kind == "dash" else "master.m3u8"

    async def test():
        first = await rig.get(f"/stream/s/{path}?{IDS}&bk-ml=1.0")
        assert first.status_code == 200
        other = await rig.get(f"/stream/s/{path}?{IDS}&bk-ml=2.0")
        assert other.status_code == 400
        assert other.json()["detail"] == problems.WORKFLOW_CHANGED.detail
        again = await rig.get(f"/stream/s/{path}?{IDS}&bk-ml=1.0")
        assert again.status_code == 200
        elsewhere = await rig.get(f"/stream/s/{path}?bpkio_sessionid=other&bk-ml=2.0")
        assert elsewhere.status_code == 200
        assert len(rig.world.asked) == (kind == "vod")

    run(test)


# Faults


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (FetchError("status", "gone", 410), 410),
        (FetchError("status", "forbidden", 403), 403),
        (FetchError("status", "broken", 500), 502),
        (FetchError("timeout", "2 s"), 504),
        (FetchError("unreachable", "no route"), 502),
        (FetchError("too_large", "17 MB"), 502),
        (FetchError("refused", "a private address"), 404),
        (PlaylistError("It is not UTF-8."), 502),
        (RuntimeError("a fault of ours"), 500),
    ],
)
@pytest.mark.parametrize("kind", ["vod", "live", "dash"])
def test_a_playlist_whose_origin_fails(kind, fault, status):
    rig = vod() if kind != "live" else live()[0]
    uris = [VIDEO, TOP, f"{ORIGIN}x.mpd"]

    async def test():
        rig.world.texts.update(dict.fromkeys(uris, fault))
        path = "x.mpd" if kind == "dash" else "video.m3u8"
        answer = await rig.get(f"/stream/s/{path}?{IDS}")
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["status"] == status
        for workflow in ("1.0", "2.0"):
            told = await rig.get(f"/stream/s/{path}?bpkio_sessionid={workflow}&bk-ml={workflow}")
            assert (told.status_code, told.json()["adpods"]) == (200, [])
            assert SCHEMA.is_valid(told.json())

    run(test)


def test_a_live_poll_tells_what_is_known_while_the_origin_fails():
    rig, origin = live()

    async def test():
        target = f"/stream/s/master.m3u8?{IDS}&bk-ml=1.0"
        await rig.get(f"/stream/s/video.m3u8?{IDS}&bpkio_multivariant=master.m3u8")
        origin.cue_out(15, 4)
        origin.go_on(2)
        await rig.get(f"/stream/s/video.m3u8?{IDS}&bpkio_multivariant=master.m3u8")
        target = f"/stream/s/video.m3u8?{IDS}&bpkio_multivariant=master.m3u8&bk-ml=1.0"
        known = (await rig.get(target)).json()
        assert known["adpods"]
        rig.world.texts[VIDEO] = FetchError("timeout", "2 s")
        assert (await rig.get(target)).json() == known

    run(test)


def test_tracking_is_answered_while_the_journal_takes_nothing_and_forgets_nothing():
    rig = vod(ad("pre", 4))

    async def test():
        target = f"/stream/s/master.m3u8?{IDS}&bk-ml=2.0"
        known = await rig.get(target)
        rig.world.journal_fault = UNAVAILABLE
        assert (await rig.get(target)).content == known.content
        other = await rig.get("/stream/s/master.m3u8?bpkio_sessionid=new&bk-ml=2.0")
        assert (other.status_code, other.json()["adpods"]) == (200, [])

    run(test)


def test_without_its_multivariant_a_list_is_served_all_the_same():
    rig = vod(ad("pre", 4))
    rig.world.texts[TOP] = FetchError("timeout", "2 s")

    async def test():
        answer = await rig.get(f"/stream/s/video.m3u8?{IDS}&bpkio_multivariant=master.m3u8")
        assert segments(answer.text)[:3] == ["pre", "pre", "v0"]

    run(test)


# DASH


def test_a_dash_manifest_passes_unchanged_and_has_an_empty_session():
    rig = vod(ad("pre", 4))
    manifest = '<?xml version="1.0"?><MPD><BaseURL>a/</BaseURL></MPD>'
    rig.world.texts[f"{ORIGIN}x.mpd"] = manifest

    async def test():
        opening = await rig.get("/stream/s/x.mpd?a=1")
        assert opening.status_code == 307
        answer = await rig.get(opening.headers["location"])
        assert (answer.text, answer.headers["content-type"]) == (manifest, "application/dash+xml")
        told = await rig.get(opening.headers["location"] + "&bk-ml=2.0")
        assert told.json()["adpods"] == []
        assert SCHEMA.is_valid(told.json())
        segment = await rig.get("/stream/s/a/seg-1.m4s")
        assert segment.headers["location"] == f"{ORIGIN}a/seg-1.m4s"
        assert rig.world.asked == []

    run(test)
    assert len(rig.world.events("session")) == 1


# Server-side tracking


def test_segments_of_ads_are_asked_for_here_where_the_server_tracks():
    rig = vod(ad("pre", 3, IMPRESSION), tracking="server")

    async def test():
        text = (await rig.get(f"/stream/s/video.m3u8?{IDS}")).text
        ours = [line for line in text.splitlines() if line.startswith("/stream/s/ad/")]
        assert len(ours) == 2
        head = await rig.get(ours[1], "HEAD")
        assert rig.beacons.segments == []
        answer = await rig.get(ours[1], **{"User-Agent": "Player/1"})
        assert answer.status_code == head.status_code == 307
        assert answer.headers["location"] == "https://creatives.example.com/pre/video-1.ts"
        ((segment, viewer),) = rig.beacons.segments
        assert segment == AdSegment(
            "abc", "pre", 0, 1, 2, 2000, 3000, "https://creatives.example.com/pre/video-1.ts"
        )
        assert viewer.sender.session_id == "abc"
        assert viewer.values.agent == "Player/1"
        told = (await rig.get(f"/stream/s/master.m3u8?{IDS}&bk-ml=1.0")).json()
        assert told["adpods"][0]["ads"][0]["trackingevents"] == []
        forged = await rig.get(ours[1][:-3] + "AAA")
        assert (forged.status_code, len(rig.beacons.segments)) == (404, 1)

    run(test)


def test_lists_are_shared_by_sessions_that_have_the_same_and_not_where_the_server_tracks():
    rig, _origin = live()

    async def test():
        texts = {
            (await rig.get(f"/stream/s/video.m3u8?bpkio_sessionid={name}")).text for name in "abc"
        }
        assert len(texts) == 1
        (stream,) = rig.app._live._titles._streams.values()
        assert [len(view.texts) for view in stream.views.values()] == [1]

    run(test)


# Multivariant playlists


def test_a_multivariant_playlist_names_the_sessions_own_lists():
    rig = vod()

    async def test():
        answer = await rig.get(f"/stream/s/master.m3u8?{IDS}&a=b%26c")
        expected = MASTER
        for name in ("video", "sound"):
            own = f"/stream/s/{name}.m3u8?{IDS}&bpkio_multivariant=master.m3u8&a=b%26c"
            expected = expected.replace(f"{name}.m3u8", own)
        assert answer.text == expected

    run(test)


@pytest.mark.parametrize("kind", ["vod", "live"])
def test_renditions_that_only_their_query_tells_apart_have_their_own_ads(kind):
    rig = vod(ad("pre", 4)) if kind == "vod" else live(preroll_ad_server="https://pre/")[0]
    rig.world.texts[TOP] = MASTER.replace("video.m3u8", "list.m3u8?of=video").replace(
        "sound.m3u8", "list.m3u8?of=sound"
    )
    rig.world.texts[f"{ORIGIN}list.m3u8"] = rig.world.texts[VIDEO]

    async def test():
        master = (await rig.get(f"/stream/s/master.m3u8?{IDS}")).text
        sound, video = re.findall(r"/stream/s/list[^\s\"]+", master)
        for target, ads in ((sound, "/audio-0.ts"), (video, "/video-0.ts")):
            assert ads in (await rig.get(target)).text
        if kind == "live":
            session = await rig.sessions.get(rig.services["s"], "abc")
            assert len(session.context.shifts) == 2

    run(test)


@pytest.mark.parametrize(
    "written",
    [
        "https://ORIGIN.example.com/sound.m3u8",
        "https://origin.example.com:443/sound.m3u8",
        "https://origin.example.com/x/../sound.m3u8",
        "sound.m3u8#en",
        "the sound.m3u8",
        "sound|é.m3u8",
    ],
)
def test_a_rendition_is_known_however_its_address_is_written(written):
    rig = vod(ad("pre", 4))
    texts = rig.world.texts
    texts[TOP] = MASTER.replace("sound.m3u8", written)
    for name in ("the%20sound", "sound%7C%C3%A9"):
        texts[f"{ORIGIN}{name}.m3u8"] = texts[SOUND]

    async def test():
        master = (await rig.get(f"/stream/s/master.m3u8?{IDS}")).text
        sound = master.split('URI="')[1].partition('"')[0]
        assert segments((await rig.get(sound)).text)[:3] == ["pre", "pre", "a0"]
        assert "/audio-0.ts" in (await rig.get(sound)).text

    run(test)


@pytest.mark.parametrize("kind", ["vod", "live"])
@pytest.mark.parametrize("mapped", [False, True])
def test_subtitles_are_blank_while_ads_play_as_text_or_in_mp4_as_gaps(kind, mapped):
    rig = vod(ad("pre", 4)) if kind == "vod" else live(preroll_ad_server="https://pre/")[0]
    texts = rig.world.texts
    media = '#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="t",NAME="en",URI="text.m3u8"\n'
    texts[TOP] = MASTER.replace("#EXT-X-STREAM-INF", f"{media}#EXT-X-STREAM-INF")
    tag = '#EXT-X-MAP:URI="text.mp4"\n' if mapped else ""
    texts[f"{ORIGIN}text.m3u8"] = texts[VIDEO].replace("#EXTINF", f"{tag}#EXTINF", 1)

    async def test():
        target = f"/stream/s/text.m3u8?{IDS}&bpkio_multivariant=master.m3u8"
        lines = (await rig.get(target)).text.splitlines()
        at = lines.index("/stream/empty.webvtt")
        assert ("#EXT-X-GAP" in lines[at - 2 : at]) == mapped
        assert lines.count("/stream/empty.webvtt") == 2

    run(test)


@pytest.mark.parametrize("workflow", ["1.0", "2.0"])
def test_a_film_that_has_not_ended_is_passed_on_as_it_is_for_the_whole_session(workflow):
    rig = vod(ad("pre", 4))
    texts = rig.world.texts
    whole = dict(texts)
    for uri in (VIDEO, SOUND):
        texts[uri] = texts[uri].replace("#EXT-X-ENDLIST\n", "")
    tracking_call = f"/stream/s/video.m3u8?{IDS}&bk-ml={workflow}"

    async def test():
        told = (await rig.get(tracking_call)).json()
        assert told["adpods"] == []
        for _ in range(2):
            for name in ("video", "sound"):
                text = (await rig.get(f"/stream/s/{name}.m3u8?{IDS}")).text
                assert len(segments(text)) == 10
                assert ("#EXT-X-ENDLIST" in text) == (texts[VIDEO] == whole[VIDEO])
            assert (await rig.get(tracking_call)).json()["adpods"] == []
            texts.update(whole)  # it ends while the session plays
        assert rig.world.asked == []
        other = IDS.replace("abc", "def")
        text = (await rig.get(f"/stream/s/video.m3u8?{other}")).text
        assert segments(text)[:3] == ["pre", "pre", "v0"]

    run(test)


def test_where_a_film_begins_is_said_by_its_media_playlists_behind_its_ads():
    """A multivariant playlist is served before there are any."""
    rig = vod(ad("pre", 4))
    tag = "#EXT-X-START:TIME-OFFSET=6\n"
    rig.world.texts[TOP] = MASTER.replace("#EXT-X-MEDIA", f"{tag}#EXT-X-MEDIA", 1)
    rig.world.texts[SOUND] = rig.world.texts[SOUND].replace("#EXTINF", f"{tag}#EXTINF", 1)

    async def test():
        master = (await rig.get(f"/stream/s/master.m3u8?{IDS}")).text
        assert "#EXT-X-START" not in master
        for target in re.findall(r"/stream/s/[^\s\"]+", master):
            text = (await rig.get(target)).text
            assert re.findall("#EXT-X-START:.*", text) == ["#EXT-X-START:TIME-OFFSET=10.000"]

    run(test)


def test_where_a_live_stream_begins_is_said_as_its_origin_says_it():
    rig, _ = live()
    tag = "#EXT-X-START:TIME-OFFSET=-6\n"
    rig.world.texts[TOP] = MASTER.replace("#EXT-X-MEDIA", f"{tag}#EXT-X-MEDIA", 1)

    async def test():
        assert tag in (await rig.get(f"/stream/s/master.m3u8?{IDS}")).text

    run(test)


@pytest.mark.parametrize("dated", [True, False])
def test_streams_at_one_path_are_told_apart_by_the_parameters_that_choose_them(dated):
    """Not by those that are the session's own: these share breaks, marks and clock."""
    world = World()
    world.offers = [offer(ad("one", 4))]
    rig = Rig(world, service(origin_query=("token",), stream_query=("ch",)))
    channels = {1: Live(world, dated=dated), 2: Live(world, dated=dated)}
    channels[1].cue_out(15, 4)
    channels[2].first = 7000

    def go_on():
        for channel, origin in channels.items():
            origin.go_on(1)
            for token in "ab":
                for uri in (VIDEO, SOUND):
                    world.texts[f"{uri}?ch={channel}&token={token}"] = world.texts[uri]

    async def call(channel, token, more=""):
        ids = f"bpkio_sessionid={token}{channel}&ch={channel}&token={token}&w=640"
        return await rig.get(f"/stream/s/master.m3u8?{ids}{more}")

    async def look(channel, token):
        master = (await call(channel, token)).text
        shown = min(2, channels[1].edge - 15) if channel == 1 else 0
        for target in re.findall(r"/stream/s/(?:sound|video)[^\s\"]+", master):
            found = (await rig.get(target)).text
            assert segments(found).count("one") == shown
            assert number(found, "#EXT-X-MEDIA-SEQUENCE") // 1000 == (7 if channel == 2 else 1)
        told = (await call(channel, token, "&bk-ml=1.0")).json()["adpods"]
        assert len(told) == (1 if channel == 1 else 0)

    async def test():
        for _ in range(6):
            go_on()
            for channel, token in ((1, "a"), (2, "a"), (1, "b"), (2, "b")):
                await look(channel, token)
        assert len(world.asked) == 2
        kinds = [key.split("/")[2] for key in world.journal._state]
        assert [kinds.count(kind) for kind in ("breaks", "marks")] == [1, 2]
        assert kinds.count("clock") == (0 if dated else 2)

    run(test)


def test_sessions_of_services_that_share_an_id_are_two():
    one = service("vod")
    two = service("vod", id="t")
    rig = Rig(vod_world(AdBreak("start", "pre", offer(ad("pre", 4)))), one, two)

    async def test():
        for name in "st":
            await rig.get(f"/stream/{name}/video.m3u8?bpkio_sessionid=abc")
        assert len(rig.world.asked) == 2

    run(test)


def test_a_service_that_is_gone_after_a_reload_is_unknown():
    rig = vod()

    async def test():
        assert (await rig.get(f"/stream/s/video.m3u8?{IDS}")).status_code == 200
        rig.app.requests = requests.Requests({}, lambda: "x")
        assert (await rig.get(f"/stream/s/video.m3u8?{IDS}")).status_code == 404

    run(test)
