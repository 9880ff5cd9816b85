"""How ffmpeg is told to prepare a creative, and what is written of what it made. No ffmpeg here."""

from __future__ import annotations

from fractions import Fraction

import msgspec
import pytest

from footfall.stream.encoding import (
    FRAME_SAMPLES,
    Rendered,
    Source,
    Unreadable,
    encode,
    multivariant,
    plan,
    read_made,
    read_probe,
)
from footfall.stream.ladder import Profile, Rung
from footfall.stream.multivariant import parse as read_multivariant

MUXED = Profile(
    "ts", 4,
    (
        Rung(1280, 720, 3_000_000, "25", "avc", "aac"),
        Rung(640, 360, 300_000, "25", "avc", "aac"),
    ),
)  # fmt: skip
APART = Profile(
    "fmp4", 4, (Rung(1280, 720, 3_000_000, "25", "hevc"), Rung(640, 360, 0, "25", "avc")),
    ("aac", "ac3"),
)  # fmt: skip
FILM = Source(15.0, Fraction(25), sound=True)


def answer(seconds="12.04", rate="25/1", sound=True, **stream):
    streams = [
        {"codec_type": "video", "width": 320, "height": 180, "avg_frame_rate": rate, **stream}
    ]
    streams += [{"codec_type": "audio"}] if sound else []
    return msgspec.json.encode({"streams": streams, "format": {"duration": seconds}})


def test_what_a_source_is():
    assert read_probe([answer()]) == Source(12.04, Fraction(25), sound=True)
    assert read_probe([answer(sound=False)]).sound is False
    assert read_probe([answer(sound=False), answer(sound=True)]).sound is True
    assert read_probe([answer(duration="11.5")]).seconds == 11.5


@pytest.mark.parametrize(
    ("rate", "taken"),
    [("30000/1001", Fraction(30000, 1001)), ("0/0", Fraction(25)), ("2997/100", Fraction(30000, 1001)),
     ("1000/1", Fraction(60)), ("15/1", Fraction(24000, 1001)), ("x", Fraction(25))],
)  # fmt: skip
def test_an_odd_rate_becomes_a_usual_one(rate, taken):
    assert read_probe([answer(rate=rate)]).frame_rate == taken


@pytest.mark.parametrize(
    ("given", "word"),
    [
        (answer(seconds="0.2"), "0.2 s"),
        (answer(seconds="3600"), "3600"),
        (answer(seconds="N/A"), "unknown"),
        (answer(seconds="nan"), "unknown"),
        (answer(width=20000, height=20000), "pixels"),
        (answer(codec_type="audio"), "no picture"),
        (answer(disposition={"attached_pic": 1}), "no picture"),
        (b'{"streams": [], "format": {}}', "no picture"),
    ],
)
def test_what_can_be_no_ad(given, word):
    with pytest.raises(Unreadable, match=word):
        read_probe([given])


@pytest.mark.parametrize("seconds", [0.5, 3.99, 4.0, 4.04, 8.0, 12.04, 15.0, 29.97, 31.3, 599.9])
@pytest.mark.parametrize("rate", [Fraction(24000, 1001), Fraction(25), Fraction(60000, 1001)])
def test_segments_are_equal_and_none_is_a_crumb(seconds, rate):
    for longest in (1, 2, 4):
        profile = msgspec.structs.replace(MUXED, segment_s=longest, rungs=(Rung(video="avc"),))
        made = plan(profile, Source(seconds, rate, sound=True))
        (one,) = made.outputs
        assert one.gop / rate < longest + 0.5
        assert one.frames / one.segments > one.gop - 1
        assert one.gop / rate > longest / 2 or seconds < longest
        assert seconds - 1 / rate < one.frames / rate < seconds + 1e-6


def test_rungs_of_several_rates_are_cut_at_the_same_times():
    rungs = (Rung(frame_rate="30", video="avc"), Rung(frame_rate="60", video="avc"))
    made = plan(msgspec.structs.replace(MUXED, rungs=rungs), FILM)
    low, high = made.outputs
    assert (low.frames * 2, low.segments) == (high.frames, high.segments)
    assert low.segment_s == high.segment_s


@pytest.mark.parametrize("codec", ["aac", "ac3", "eac3"])
def test_sound_ends_with_the_picture_or_just_before(codec):
    made = plan(msgspec.structs.replace(APART, audio=(codec,)), FILM)
    graph = encode("ffmpeg", made, ["x"])
    graph = graph[graph.index("-filter_complex") + 1]
    samples = int(graph.split("atrim=end_sample=")[1].split("[")[0])
    frame = FRAME_SAMPLES[codec]
    assert samples % frame == 0
    # With the one frame that an encoder puts in front.
    assert 15.0 - frame / 48_000 < (samples + frame) / 48_000 <= 15.0


def test_a_command_reads_nothing_but_films_from_files():
    command = encode("/bin/ffmpeg", plan(APART, FILM), ["a", "b"])
    for i in (i for i, word in enumerate(command) if word == "-i"):
        before = command[i - 6 : i]
        assert before[before.index("-protocol_whitelist") + 1] == "file"
        formats = before[before.index("-format_whitelist") + 1].split(",")
        assert not {"hls", "concat", "dash", "image2", "sdp", "rtsp"} & set(formats)
    assert "[1:a:0]" in command[command.index("-filter_complex") + 1]


def test_silence_where_there_is_no_sound():
    command = encode("ffmpeg", plan(MUXED, Source(4, Fraction(25), sound=False)), ["a"])
    graph = command[command.index("-filter_complex") + 1]
    assert "anullsrc" in graph
    assert ":a:0]" not in graph


def test_rates_stay_below_what_the_content_says():
    command = encode("ffmpeg", plan(MUXED, FILM), ["a"])
    rates = [int(command[i + 1]) for i, word in enumerate(command) if word == "-maxrate"]
    assert rates == [3_000_000 * 3 // 4 - 128_000, 300_000 * 3 // 4 - 64_000]
    free = encode("ffmpeg", plan(APART, FILM), ["a"])
    assert free.count("-maxrate") == 1


def test_what_was_made_names_its_codecs():
    made = msgspec.json.encode({"streams": [
        {"codec_type": "video", "codec_name": "h264", "profile": "High", "level": 31,
         "width": 1280, "height": 720, "avg_frame_rate": "25/1"},
        {"codec_type": "audio", "codec_name": "aac"},
    ]})  # fmt: skip
    assert read_made(made) == (1280, 720, Fraction(25), "avc1.64001f,mp4a.40.2")
    made = msgspec.json.encode({"streams": [
        {"codec_type": "video", "codec_name": "hevc", "profile": "Main", "level": 93,
         "width": 1280, "height": 720, "avg_frame_rate": "30000/1001"},
    ]})  # fmt: skip
    assert read_made(made)[2:] == (Fraction(30000, 1001), "hvc1.1.6.L93.B0")


def test_the_multivariant_of_muxed_renditions():
    rendered = {
        "v0": Rendered(1280, 720, Fraction(25), "avc1.64001f,mp4a.40.2", 2_000_000),
        "v1": Rendered(640, 360, Fraction(25), "avc1.64001e,mp4a.40.2", 400_000),
    }
    assert multivariant(plan(MUXED, FILM), rendered) == (
        "#EXTM3U\n"
        "#EXT-X-VERSION:6\n"
        "#EXT-X-INDEPENDENT-SEGMENTS\n"
        '#EXT-X-STREAM-INF:BANDWIDTH=3000000,CODECS="avc1.64001f,mp4a.40.2",'
        "RESOLUTION=1280x720,FRAME-RATE=25.000\n"
        "v0.m3u8\n"
        '#EXT-X-STREAM-INF:BANDWIDTH=400000,CODECS="avc1.64001e,mp4a.40.2",'
        "RESOLUTION=640x360,FRAME-RATE=25.000\n"
        "v1.m3u8\n"
    )


def test_the_multivariant_of_renditions_with_their_sound_beside_them():
    sound = Rendered(0, 0, Fraction(0), "mp4a.40.2", 130_000)
    rendered = {
        "v0": Rendered(1280, 720, Fraction(25), "hvc1.1.6.L93.B0", 2_900_000),
        "v1": Rendered(640, 360, Fraction(25), "avc1.64001e", 400_000),
        "a0": sound,
        "a1": Rendered(0, 0, Fraction(0), "ac-3", 130_000),
    }
    text = multivariant(plan(APART, FILM), rendered)
    assert text.count("#EXT-X-MEDIA:TYPE=AUDIO") == 2
    assert 'GROUP-ID="aac",NAME="aac",DEFAULT=YES,AUTOSELECT=YES,CHANNELS="2",URI="a0.m3u8"' in text
    assert 'BANDWIDTH=3030000,CODECS="hvc1.1.6.L93.B0,mp4a.40.2"' in text
    assert 'BANDWIDTH=530000,CODECS="avc1.64001e,ac-3"' in text
    assert [line for line in text.splitlines() if line.endswith('AUDIO="ac3"')]
    assert text.count("\nv0.m3u8\n") == text.count("\nv1.m3u8\n") == 2


def test_what_has_no_picture_is_a_variant_where_the_others_have_their_own_sound():
    rendered = {
        "v0": Rendered(1280, 720, Fraction(25), "avc1.64001f,mp4a.40.2", 2_000_000),
        "v1": Rendered(640, 360, Fraction(25), "avc1.64001e,mp4a.40.2", 200_000),
        "a0": Rendered(0, 0, Fraction(0), "mp4a.40.2", 130_000),
    }
    profile = msgspec.structs.replace(MUXED, audio=("aac",))
    text = multivariant(plan(profile, FILM), rendered)
    assert "AUDIO=" not in text
    assert "EXT-X-MEDIA" not in text
    assert text.endswith('#EXT-X-STREAM-INF:BANDWIDTH=130000,CODECS="mp4a.40.2"\na0.m3u8\n')
    found = {one.kind: one for one in read_multivariant(text, "https://x.test/").renditions}
    assert (found["video"].muxed, found["audio"].codecs) == (True, "mp4a.40.2")
