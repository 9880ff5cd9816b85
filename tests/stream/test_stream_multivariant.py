"""Multivariant playlists: what they name, and their text with other addresses in it."""

from __future__ import annotations

import m3u8
import pytest

from footfall.stream import multivariant
from footfall.stream.contract import Rendition
from footfall.stream.multivariant import PlaylistError

URL = "https://origin.test/show/master.m3u8?token=t1"
DEMUXED = """#EXTM3U
#EXT-X-VERSION:6
## made by a packager
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-CONTENT-STEERING:SERVER-URI="/steer",PATHWAY-ID="A"
#EXT-X-SESSION-DATA:DATA-ID="com.x.title",VALUE="A film"
#EXT-X-SESSION-DATA:DATA-ID="com.x.more",URI="more.json"
#EXT-X-SESSION-KEY:METHOD=SAMPLE-AES,URI="skd://key",KEYFORMAT="com.apple.streamingkeydelivery"
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="aac",NAME="English",LANGUAGE="en",DEFAULT=YES,URI="en.m3u8"
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="aac",NAME="Deutsch",LANGUAGE="de",URI="../de.m3u8"
#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="subs",NAME="English, full",LANGUAGE="en",URI="s.m3u8"
#EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,GROUP-ID="cc",NAME="CC1",INSTREAM-ID="CC1"

#EXT-X-STREAM-INF:BANDWIDTH=2000000,RESOLUTION=1280x720,FRAME-RATE=29.97,CODECS="avc1.64001f,mp4a.40.2",AUDIO="aac",SUBTITLES="subs"
720/index.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=5000000,RESOLUTION=1920x1080,CODECS="avc1.640028,mp4a.40.2",AUDIO="aac"
https://cdn.test/1080/index.m3u8
#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=100000,URI="iframe.m3u8"
#EXT-X-IMAGE-STREAM-INF:BANDWIDTH=1000,URI="tiles.m3u8"
"""


def test_renditions_in_the_order_of_the_file():
    found = multivariant.parse(DEMUXED, URL)
    assert found.renditions == [
        Rendition("https://origin.test/show/en.m3u8", "audio", codecs="mp4a.40.2", group="aac", name="English", language="en", default=True),
        Rendition("https://origin.test/de.m3u8", "audio", codecs="mp4a.40.2", group="aac", name="Deutsch", language="de"),
        Rendition("https://origin.test/show/s.m3u8", "subtitles", group="subs", name="English, full", language="en"),
        Rendition("https://origin.test/show/720/index.m3u8", "video", muxed=False, bandwidth=2_000_000, width=1280, height=720, frame_rate=29.97, codecs="avc1.64001f,mp4a.40.2"),
        Rendition("https://cdn.test/1080/index.m3u8", "video", muxed=False, bandwidth=5_000_000, width=1920, height=1080, codecs="avc1.640028,mp4a.40.2"),
    ]  # fmt: skip


def test_text_is_kept_but_for_addresses_and_what_ads_do_not_have():
    found = multivariant.parse(DEMUXED, URL)
    assert len(found.parts) == len(found.addresses) + 1
    text = multivariant.render(found, lambda uri: f"/s/{uri.rsplit('/', 1)[1]}?id=1")
    expected = []
    for line in DEMUXED.splitlines():
        if not line or "STEERING" in line or "I-FRAME" in line or "IMAGE-STREAM" in line:
            continue
        for old, new in (
            ('"more.json"', '"https://origin.test/show/more.json"'),
            ('"en.m3u8"', '"/s/en.m3u8?id=1"'),
            ('"../de.m3u8"', '"/s/de.m3u8?id=1"'),
            ('"s.m3u8"', '"/s/s.m3u8?id=1"'),
            ("https://cdn.test/1080/index.m3u8", "/s/index.m3u8?id=1"),
            ("720/index.m3u8", "/s/index.m3u8?id=1"),
        ):
            line = line.replace(old, new)
        expected.append(line)
    assert text == "\n".join(expected) + "\n"


def test_the_second_opinion_reads_what_is_rendered():
    found = multivariant.parse(DEMUXED, URL)
    loaded = m3u8.loads(multivariant.render(found, lambda uri: uri))
    assert [p.uri for p in loaded.playlists] == [
        r.uri for r in found.renditions if r.kind == "video"
    ]
    assert [m.uri for m in loaded.media if m.uri] == [
        r.uri for r in found.renditions if r.kind != "video"
    ]


def test_an_address_given_twice_is_one_rendition_at_two_places():
    text = (
        '#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO="a"\nv.m3u8\n'
        '#EXT-X-STREAM-INF:BANDWIDTH=2,AUDIO="b"\nv.m3u8\n'
    )
    found = multivariant.parse(text, URL)
    assert [r.bandwidth for r in found.renditions] == [1]
    assert found.addresses == ["https://origin.test/show/v.m3u8"] * 2


@pytest.mark.parametrize(
    ("media", "muxed"),
    [
        ('#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="n",URI="a.m3u8"\n', False),
        ('#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="n"\n', True),
        ('#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="n"\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="m",URI="m.m3u8"\n', True),
        ('#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="b",NAME="n",URI="a.m3u8"\n', True),
        ("", True),
    ],
)  # fmt: skip
def test_sound_is_in_the_variant_unless_all_of_its_group_is_elsewhere(media, muxed):
    variant = '#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO="a"\nv.m3u8\n'
    for text in (media + variant, variant + media):
        found = multivariant.parse(f"#EXTM3U\n{text}", URL)
        (video,) = [r for r in found.renditions if r.kind == "video"]
        assert video.muxed is muxed


def test_a_variant_of_sound_alone_is_audio():
    text = '#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=64000,CODECS="mp4a.40.5"\na.m3u8\n'
    (only,) = multivariant.parse(text, URL).renditions
    assert (only.kind, only.bandwidth) == ("audio", 0)


def test_variables_are_filled_in_and_told():
    text = (
        '#EXTM3U\n#EXT-X-DEFINE:NAME="host",VALUE="cdn.test"\n#EXT-X-DEFINE:QUERYPARAM="token"\n'
        '#EXT-X-DEFINE:NAME="base",VALUE="https://{$host}/x"\n'
        "#EXT-X-STREAM-INF:BANDWIDTH=1\n{$base}/v.m3u8?t={$token}\n"
    )
    found = multivariant.parse(text, URL)
    assert found.addresses == ["https://cdn.test/x/v.m3u8?t=t1"]
    assert found.variables == {"host": "cdn.test", "token": "t1", "base": "https://cdn.test/x"}
    assert "DEFINE" not in "".join(found.parts)


def test_crlf_a_mark_at_the_beginning_and_no_newline_at_the_end():
    text = "\ufeff" + DEMUXED.rstrip("\n").replace("\n", "\r\n")
    assert multivariant.parse(text, URL) == multivariant.parse(DEMUXED, URL)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "begins with #EXTM3U"),
        ("<html>", "begins with #EXTM3U, this text with '<html>'"),
        ("#EXTM3U\n", "names no media playlists"),
        ("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n", "Line 2 .*has no address"),
        ("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n#EXT-X-STREAM-INF:BANDWIDTH=2\na\n", "Line 2 "),
        ("#EXTM3U\n\nv.m3u8\n", "Line 3 .*has an EXT-X-STREAM-INF before it"),
        ("#EXTM3U\n#EXTINF:4,\nv.ts\n", "Line 2 .*of a media playlist"),
        ("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{$x}\n", "Line 3 .*'x', which nothing defines"),
        ('#EXTM3U\n#EXT-X-DEFINE:IMPORT="x"\n', "Line 2 .*does not define 'x'"),
        ('#EXTM3U\n#EXT-X-DEFINE:QUERYPARAM="x"\n', "Line 2 .*no parameter 'x'"),
        ("#EXTM3U\n#EXT-X-DEFINE:FOO=1\n", "Line 2 .*NAME and VALUE"),
    ],
)
def test_what_is_wrong_and_on_which_line(text, says):
    with pytest.raises(PlaylistError, match=says):
        multivariant.parse(text, URL)


def test_variables_that_multiply_are_refused_before_they_fill_the_memory():
    lines = ['#EXT-X-DEFINE:NAME="a0",VALUE="xxxxxxxxxx"']
    lines += [f'#EXT-X-DEFINE:NAME="a{n}",VALUE="{f"{{$a{n - 1}}}" * 10}"' for n in range(1, 30)]
    with pytest.raises(PlaylistError, match="longer than any playlist"):
        multivariant.parse("#EXTM3U\n" + "\n".join(lines) + "\n", URL)


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        (DEMUXED, True),
        (DEMUXED.replace("\n", "\r\n"), True),
        ("#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:7\n#EXTINF:4,\na.ts\n", False),
        ("#EXTM3U\n#EXT-X-TARGETDURATION:4\n", False),
        ("#EXTM3U\n# a comment names #EXT-X-STREAM-INF:\n", False),
    ],
)
def test_which_kind_of_playlist_it_is(text, is_one):
    assert multivariant.is_multivariant(text) is is_one


def test_sound_of_its_own_is_coded_as_the_variants_say_that_use_it():
    text = """#EXTM3U
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="stereo",NAME="en",URI="stereo.m3u8"
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="surround",NAME="en",URI="surround.m3u8"
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="unused",NAME="en",URI="unused.m3u8"
#EXT-X-STREAM-INF:BANDWIDTH=1,CODECS="avc1.42c01e, mp4a.40.2",AUDIO="stereo"
a.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=2,CODECS="ec-3,avc1.42c01e",AUDIO="surround"
b.m3u8
"""
    found = multivariant.parse(text, "https://origin.example/m.m3u8")
    assert [one.codecs for one in found.renditions if one.kind == "audio"] == [
        "mp4a.40.2", "ec-3", "",
    ]  # fmt: skip
