"""Which of an ad's renditions stands in for which of the content's, and what an ad must be."""

from __future__ import annotations

import msgspec
import pytest

from footfall.stream.contract import MediaList, Multivariant, Rendition
from footfall.stream.ladder import (
    RUNGS,
    Content,
    Rung,
    Unpreparable,
    content_of,
    families,
    fits,
    longest_s,
    match,
    profile,
    reference,
    step,
)

AVC, AAC = "avc1.64001f", "mp4a.40.2"


def video(bandwidth=0, height=0, rate=0.0, *, codecs=f"{AVC},{AAC}", muxed=True):
    return Rendition(
        uri=f"https://x.test/{bandwidth}.m3u8", kind="video", muxed=muxed,
        bandwidth=bandwidth, width=height * 16 // 9, height=height, frame_rate=rate, codecs=codecs,
    )  # fmt: skip


def audio(language="", name="", codecs="", default=False):
    return Rendition(
        uri=f"https://x.test/{name}{language}.m3u8", kind="audio", name=name, language=language,
        codecs=codecs, default=default,
    )  # fmt: skip


SUBTITLES = Rendition(uri="https://x.test/s.m3u8", kind="subtitles", language="en")


def content(*renditions, container="ts", target=6, longest=6):
    return Content(renditions, container, target, longest)


def media(seconds, target=6, maps=(), url="https://x.test/m.m3u8"):
    durations = [round(one * 1_000_000) for one in seconds]
    starts = [sum(durations[:i]) for i in range(len(durations) + 1)]
    return MediaList(
        url=url, target_s=target, version=3, sequence=0, discontinuity_sequence=0, head="",
        ended=True, starts=starts, chunks=["x\n"] * len(durations),
        plain=["x\n"] * len(durations), dated=False, durations=durations, maps=maps,
    )  # fmt: skip


# Matching


@pytest.mark.parametrize(
    ("asked", "offered", "taken"),
    [
        (3000, (1000, 2500, 6000), 2500),
        (3000, (1000, 3000, 6000), 3000),
        (800, (1000, 2500), 1000),
        (0, (1000, 2500), 1000),  # nothing known: the ad's first, which its maker starts with
        (9000, (2500, 1000), 2500),
    ],
)
def test_the_nearest_bandwidth_that_is_not_above(asked, offered, taken):
    assert match(video(asked), [video(one) for one in offered]).bandwidth == taken


def test_height_and_then_frame_rate_decide_between_equals():
    ads = [video(1000, 360, 25), video(1000, 720, 25), video(1000, 720, 50)]
    assert match(video(1000, 720, 50), ads) is ads[2]
    assert match(video(1000, 720, 25), ads) is ads[1]
    assert match(video(1000, 240), ads) is ads[0]


def test_muxed_is_not_matched_with_demuxed():
    assert match(video(1000, muxed=True), [video(1000, muxed=False)]) is None
    assert match(video(1000, muxed=False), [video(1000, muxed=True)]) is None
    assert match(video(1000, muxed=False), [video(1000, muxed=False)]) is not None


@pytest.mark.parametrize(
    ("ours", "theirs", "muxed", "same"),
    [
        ("avc1.64001f,mp4a.40.2", "avc3.4d401e,mp4a.40.5", True, True),
        ("avc1.64001f,mp4a.40.2", "hvc1.1.6.L93.B0,mp4a.40.2", True, False),
        ("avc1.64001f,mp4a.40.2", "", True, True),
        ("", "hvc1.1.6.L93.B0", True, True),
        ("avc1.64001f", "avc1.64001f,mp4a.40.2", True, False),  # content without sound
        ("avc1.64001f", "avc1.64001f,mp4a.40.2", False, True),
        ("avc1.64001f,mp4a.40.2", "avc1.64001f,ac-3", True, False),
        ("avc1.64001f,ac-3", "avc1.64001f,mp4a.40.2", False, True),
        ("avc1.64001f,mp4a.40.2,wvtt", "avc1.64001f,mp4a.40.2", True, True),
        ("avc1.64001f,mp4a.40.34", "avc1.64001f,mp4a.40.2", True, False),
        ("mp4a.40.2", "avc1.64001f,mp4a.40.2", True, False),  # a rendition of sound alone
    ],
)
def test_decoders_must_be_the_same(ours, theirs, muxed, same):
    found = match(video(1, codecs=ours, muxed=muxed), [video(1, codecs=theirs, muxed=muxed)])
    assert (found is not None) is same


def test_audio_goes_by_language_then_the_default_then_the_name():
    english, german = audio("en-GB", "a"), audio("de", "b", default=True)
    assert match(audio("en", "x"), [german, english]) is english
    assert match(audio("fr", "x"), [english, german]) is german
    assert match(audio("fr", "c"), [audio(name="b"), audio(name="c")]).name == "c"
    assert match(audio("fr"), [video(1)]) is None


def test_audio_of_another_codec_is_not_matched_where_both_are_known():
    aac, ac3 = audio("en", "a", "mp4a.40.2"), audio("en", "b", "ac-3")
    assert match(audio("en", codecs="ac-3"), [aac, ac3]) is ac3
    assert match(audio("en", codecs="ac-3"), [aac]) is None
    assert match(audio("en"), [aac]) is aac


def test_subtitles_are_matched_with_nothing():
    assert match(SUBTITLES, [SUBTITLES, video(1)]) is None


def test_families_of_codecs():
    assert families("avc1.42e01e, mp4a.40.2") == {"avc", "aac"}
    assert families("mp4a.40.34,stpp.ttml.im1t") == {"mp3"}
    assert families("zzzz.1") == {"zzzz"}
    assert families("") == families(" , ") == frozenset()


# Fitting


def test_a_like_ad_fits():
    ours = content(video(3000), video(1000), SUBTITLES)
    assert fits(ours, content(video(2000)), 6) is None
    beside = content(video(3000, muxed=False), audio("en"), container="fmp4")
    assert fits(beside, content(video(2000, muxed=False), audio("de"), container="fmp4"), 6) is None


@pytest.mark.parametrize(
    ("ad", "target", "word"),
    [
        (content(video(1000), container="fmp4"), 6, "fmp4"),
        (content(video(1000), longest=7), 6, "7 s"),
        (content(video(1000, muxed=False), audio()), 6, "with sound in it"),
        (content(video(1000, codecs="hvc1.1")), 6, AVC),
        (content(audio()), 6, "video rendition"),
        (content(), 6, "video rendition"),
    ],
)
def test_why_an_ad_does_not_fit(ad, target, word):
    assert word in fits(content(video(3000)), ad, target)


def test_each_audio_rendition_needs_one_too():
    ours = content(video(1, muxed=False), audio("en", "English", "ac-3"))
    reason = fits(ours, content(video(1, muxed=False), audio("en", "", "mp4a.40.2")), None)
    assert "English" in reason


def test_without_a_target_any_length_of_segments_fits():
    assert fits(content(video(3000)), content(video(1000), longest=20), None) is None


def test_what_is_known_of_a_stream():
    map_ = ((0, '#EXT-X-MAP:URI="i.mp4"\n'),)
    found = content_of(None, media([6, 6, 2.4], target=8, maps=map_))
    assert (found.container, found.target_s, found.longest_s) == ("fmp4", 8, 6)
    (only,) = found.renditions
    assert (only.kind, only.muxed, only.uri) == ("video", True, "https://x.test/m.m3u8")
    several = Multivariant(
        url="u", renditions=[audio("en"), video(2), video(1)], parts=[], addresses=[]
    )
    found = content_of(several, media([6]))
    assert (found.container, len(found.renditions)) == ("ts", 3)
    assert reference(found.renditions).bandwidth == 2


@pytest.mark.parametrize(
    ("seconds", "whole"), [((), 0), ((5.4, 6.499), 6), ((6.5,), 7), ((4.004,), 4)]
)
def test_the_longest_segment_is_rounded_as_the_target_is(seconds, whole):
    assert longest_s(media(seconds)) == whole


# What is prepared


def test_a_stream_is_as_long_as_its_first_picture_or_else_its_first_sound():
    sound = audio("en")
    assert reference([SUBTITLES, sound, video(2), video(1)]) == video(2)
    assert reference([SUBTITLES, sound]) == sound
    assert reference([SUBTITLES]) is None


def test_nothing_is_prepared_for_a_stream_of_sound_alone():
    with pytest.raises(Unpreparable, match="sound alone"):
        profile(content(audio("en")))


def test_a_profile_is_the_ladder():
    found = profile(content(video(3_000_000, 720, 29.97), video(900_000, 360, 29.97)))
    assert (found.container, found.segment_s, found.audio) == ("ts", 4, ())
    assert found.rungs == (
        Rung(1280, 720, step(3_000_000), "30000/1001", "avc", "aac"),
        Rung(640, 360, step(900_000), "30000/1001", "avc", "aac"),
    )


def test_sound_beside_the_picture_is_made_once_for_each_codec():
    ours = content(
        video(1, 720, codecs="hvc1.1.6.L93", muxed=False), audio("en", codecs="mp4a.40.2"),
        audio("de"), audio("en", codecs="ec-3"), container="fmp4",
    )  # fmt: skip
    found = profile(ours)
    assert (found.rungs[0].video, found.rungs[0].audio) == ("hevc", "")
    assert (found.container, found.audio) == ("fmp4", ("aac", "eac3"))


@pytest.mark.parametrize(
    ("codecs", "made"),
    [("", ("avc", "aac")), ("avc1.4d401f", ("avc", "")), ("mp4a.40.2", ("", "aac"))],
)
def test_what_the_content_lacks_is_not_made(codecs, made):
    (rung,) = profile(content(video(1, codecs=codecs))).rungs
    assert (rung.video, rung.audio) == made


@pytest.mark.parametrize("codecs", ["av01.0.05M.08,mp4a.40.2", "avc1.64001f,fLaC"])
def test_what_no_encoder_makes_is_said(codecs):
    with pytest.raises(Unpreparable, match=r"av1|flac"):
        profile(content(video(1, codecs=codecs)))


def test_a_long_ladder_keeps_its_ends():
    rates = [(i + 1) * 1_000_000 for i in range(11)]
    found = profile(content(*map(video, rates)))
    assert len(found.rungs) == RUNGS
    assert {found.rungs[0].bandwidth, found.rungs[-1].bandwidth} == {
        step(rates[0]), step(rates[-1]),
    }  # fmt: skip


def test_titles_that_differ_by_little_share_their_ads():
    one = profile(content(video(3_000_000, 720), target=6))
    other = profile(content(video(3_100_000, 720), target=8))
    assert one == other
    assert one.key == other.key
    for different in (content(video(1_500_000, 720)), content(video(3_000_000, 480))):
        assert profile(different).key != one.key


@pytest.mark.parametrize(("target", "served", "made"), [(2, None, 2), (10, None, 4), (10, 3, 3)])
def test_segments_are_no_longer_than_what_is_served_allows(target, served, made):
    assert profile(content(video(1), target=target), served).segment_s == made


def test_a_profiles_key_is_the_same_in_every_process():
    found = profile(content(video(3_000_000, 720, 25)))
    again = msgspec.json.decode(msgspec.json.encode(found), type=type(found))
    # Another key has every creative of every installation prepared anew.
    assert (again, again.key) == (found, "0229bef89aec1cf1")


@pytest.mark.parametrize("bandwidth", [1, 99_999, 100_000, 126_000, 800_000, 3_210_987, 50_000_000])
def test_a_step_is_never_above_and_near(bandwidth):
    assert bandwidth / 1.27 < step(bandwidth) <= bandwidth
