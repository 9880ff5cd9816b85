"""Finished lists with ads inserted: what stands at each cut, and which times are told."""

import re

import msgspec
import pytest
from lists import EPOCH, SLATE, S, creative, cut_up, finished, pod, stamp
from rules import broken, read

from footfall.stream import splice
from footfall.stream.contract import Placed, Pod

A, B = "https://ads.example/a", "https://ads.example/b"


def ads(**lengths):
    lengths = lengths or {"a": 10 * S, "b": 5 * S, "slate": 4 * S}
    return {f"https://ads.example/{k}": creative(k, v, 2 * S) for k, v in lengths.items()}


def content(total=60 * S, segment=6 * S, **more):
    return finished(cut_up(total, segment), **more)


def names(spliced):
    """``3`` for content, ``a0`` for an ad's segment, ``|`` for a discontinuity before."""
    found = []
    for row in read(spliced.text).rows:
        parts = row.uri.removesuffix(".m4s").removesuffix(".ts").split("/")
        name = parts[-1] if "origin" in row.uri else parts[3][0] + parts[-1]
        found.append("|" * row.tagged + name)
    return " ".join(found)


def test_without_ads_the_original_lines_are_served():
    original = content(tags=(3,), date_us=EPOCH)
    spliced = splice.vod(original, [Pod("x", 0, decided=True), Pod("y", 0)], {})
    assert "".join(original.chunks) in spliced.text
    assert spliced.text.endswith("#EXT-X-ENDLIST\n")
    assert "#EXT-X-PLAYLIST-TYPE:VOD\n" in spliced.text
    assert (spliced.first_us, spliced.edge_us) == (0, 60 * S)


def test_a_list_that_has_not_ended_does_not_end_here():
    original = msgspec.structs.replace(content(), ended=False)
    spliced = splice.vod(original, [], {})
    assert "".join(original.chunks) in spliced.text
    assert not re.search("ENDLIST|PLAYLIST-TYPE", spliced.text)


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (0, "a0 a1 a2 a3 a4 |0 1 2 3"),
        (6 * S, "0 |a0 a1 a2 a3 a4 |1 2 3"),
        (8 * S, "0 |a0 a1 a2 a3 a4 |1 2 3"),
        (9 * S, "0 |a0 a1 a2 a3 a4 |1 2 3"),
        (10 * S, "0 1 |a0 a1 a2 a3 a4 |2 3"),
        (24 * S, "0 1 2 3 |a0 a1 a2 a3 a4"),
        (9999 * S, "0 1 2 3 |a0 a1 a2 a3 a4"),
    ],
)
def test_a_pod_stands_at_the_nearest_boundary(at, expected):
    spliced = splice.vod(content(24 * S), [pod("p", at, [("a", 10 * S)])], ads())
    assert names(spliced) == expected
    assert spliced.edge_us == 34 * S
    assert broken(read(spliced.text), live=False) == []


@pytest.mark.parametrize(
    ("said", "moved"),
    [
        ("0", "0.000"),
        ("6", "16.000"),  # behind the pre-roll, not behind the ads that stand there
        ("6.5,PRECISE=YES", "21.500,PRECISE=YES"),
        ("99", "39.000"),
        ("-24", "-54.000"),
        ("-20", "-40.000"),
        ("-18", "-38.000"),
        ("-17.5", "-32.500"),
        ("-99", "-54.000"),
        ("never", "never"),
    ],
)
def test_where_a_film_begins_moves_with_its_content(said, moved):
    """Of 24 s with 10 s before them, 5 s at 6 s and 15 s behind them."""
    pods = [
        pod("first", 0, [("a", 10 * S)]),
        pod("second", 6 * S, [("b", 5 * S)]),
        pod("last", 24 * S, [("a", 10 * S), ("b", 5 * S)]),
    ]
    for own, of_multivariant in ((said, ""), (said, "3"), ("", said)):
        head = f"#EXT-X-START:TIME-OFFSET={own}\n" if own else ""
        film = msgspec.structs.replace(content(24 * S), head=head)
        start = f"#EXT-X-START:TIME-OFFSET={of_multivariant}\n" if of_multivariant else ""
        text = splice.vod(film, splice.stitch(pods), ads(), start=start).text
        assert f"#EXT-X-START:TIME-OFFSET={moved}\n" in text
        assert text.count("#EXT-X-START:") == 1
        without = splice.vod(film, [], {}, start=start).text
        assert f"#EXT-X-START:TIME-OFFSET={said}\n" in without


def test_several_ads_and_pods_come_in_their_order():
    pods = splice.stitch(
        [
            pod("end", 24 * S, [("b", 5 * S)]),
            pod("first", 12 * S, [("b", 5 * S), ("a", 10 * S)]),
            pod("second", 12 * S, [("a", 10 * S)]),
            pod("empty", 6 * S, []),
        ]
    )
    assert names(splice.vod(content(24 * S), pods, ads())) == (
        "0 1 |b0 b1 b2 |a0 a1 a2 a3 a4 |a0 a1 a2 a3 a4 |2 3 |b0 b1 b2"
    )
    starts = {one.id: [ad.start_us // S for ad in one.ads] for one in pods}
    assert starts == {"first": [12, 17], "second": [27], "end": [49], "empty": []}


def test_a_slate_is_repeated():
    one = pod("p", 6 * S, [], slate_us=9 * S)
    assert names(splice.vod(content(12 * S), [one], ads())) == "0 |s0 s1 |s0 s1 |1"


def test_own_discontinuities_stay():
    original = content(24 * S, tags=(1, 2))
    lists = {A: creative("a", 10 * S, 2 * S, tags=(2,))}
    spliced = splice.vod(original, [pod("p", 12 * S, [("a", 10 * S)])], lists)
    # The one before segment 2 is that of the return.
    assert names(spliced) == "0 |1 |a0 a1 |a2 a3 a4 |2 3"


def test_keys_and_maps_are_sent_again():
    original = content(24 * S, key="SAMPLE-AES")
    lists = ads() | {B: creative("b", 5 * S, 2 * S, key="AES-128")}
    pods = [pod("p", 12 * S, [("a", 10 * S), ("b", 5 * S), ("a", 10 * S)])]
    listing = read(splice.vod(original, pods, lists).text)
    encrypted = ("https://origin.example/", "https://ads.example/b/")
    assert broken(listing, live=False, encrypted=encrypted) == []
    assert listing.text.count("METHOD=NONE") == 2


def test_ivs_that_were_sequence_numbers_stay_those_of_the_original():
    key = '#EXT-X-KEY:METHOD=AES-128,URI="key"\n'
    original = content(24 * S, kind="ts", ranges={0: key}, sequence=7)
    text = splice.vod(original, [pod("p", 12 * S, [("a", 10 * S)])], ads()).text
    for number in range(4):
        before = text[: text.index(f"/v/{number}.ts")]
        assert before[before.rindex("IV=") :].startswith(f"IV=0x{7 + number:032X}\n")


def test_the_target_duration_and_version_are_enough_for_everything():
    original = finished([4 * S, 4 * S], kind="ts")
    plain = read(splice.vod(original, [], {}).text)
    assert plain.target_s == 4
    lists = {A: creative("a", 12 * S, 6_400_000)}
    spliced = read(splice.vod(original, [pod("p", 0, [("a", 12 * S)])], lists).text)
    assert (spliced.target_s, spliced.version) == (6, 6)
    assert read(splice.vod(original, [], {}, target_s=9).text).target_s == 9


def test_dates_go_with_the_stitched_stream():
    line = '#EXT-X-DATERANGE:ID="x",START-DATE="{}",END-DATE="{}"\n'
    original = content(
        24 * S,
        date_us=EPOCH,
        tags=(3,),
        ranges={2: line.format(stamp(EPOCH + 13 * S), stamp(EPOCH + 20 * S))},
    )
    pods = splice.stitch([pod("p", 6 * S, [("a", 10 * S)]), pod("q", 0, [("b", 5 * S)])])
    spliced = splice.vod(original, pods, ads())
    listing = read(spliced.text)
    assert names(spliced) == "b0 b1 b2 |0 |a0 a1 a2 a3 a4 |1 2 |3"
    assert broken(listing, live=False) == []
    dated = [(row.uri[-9:-4], (row.at_us - EPOCH) // S) for row in listing.rows if row.dated]
    assert dated == [
        ("b/v/0", 0),
        ("ple/v/0"[-5:], 5),
        ("a/v/0", 11),
        ("ple/v/1"[-5:], 21),
        ("ple/v/3"[-5:], 33),
    ]
    assert 'START-DATE="2027-01-15T08:00:28+00:00",END-DATE="2027-01-15T08:00:35+00:00"' in (
        listing.text
    )


def test_dates_that_jump_do_not_move_a_cut():
    """Content time is what plays, not what the clock said as it was recorded."""
    parts = [
        f"#EXT-X-PROGRAM-DATE-TIME:{stamp(EPOCH + at * S)}\n#EXTINF:6.0,\n{at}.ts\n"
        for at in (0, 6, 3600, 3606)
    ]
    from lists import parsed

    original = parsed(
        parts, url="https://origin.example/v/x.m3u8", target_s=6, end="#EXT-X-ENDLIST\n"
    )
    assert list(splice.boundaries(original)) == [0, 6 * S, 12 * S, 18 * S, 24 * S]
    one = pod("p", 18 * S, [("a", 10 * S)])
    assert names(splice.vod(original, [one], ads())) == "0 6 3600 |a0 a1 a2 a3 a4 |3606"


def test_dates_of_an_ad_itself_are_left_out():
    lists = {A: creative("a", 10 * S, 2 * S, date_us=5 * S, tags=(2,))}
    for date in (None, EPOCH):
        original = content(24 * S, date_us=date)
        listing = read(splice.vod(original, [pod("p", 12 * S, [("a", 10 * S)])], lists).text)
        assert "1970" not in listing.text
        assert broken(listing, live=False) == []


def test_a_list_that_vanished_is_a_gap_of_the_same_time():
    """What comes after it stays where it was announced to be."""
    pods = splice.stitch([pod("p", 12 * S, [("a", 10 * S), ("b", 5 * S)])])
    spliced = splice.vod(content(24 * S), pods, {B: ads()[B]})
    rows = read(spliced.text).rows
    assert [row.gap for row in rows] == [False] * 2 + [True] * 2 + [False] * 5
    assert sum(row.duration_us for row in rows[2:4]) == 10 * S
    assert spliced.edge_us == 39 * S


def test_subtitles_get_empty_text_in_the_place_of_ads():
    empty = splice.blank(10 * S, 6, "/stream/empty.webvtt")
    text = finished([6 * S] * 4, kind="webvtt")
    listing = read(splice.vod(text, [pod("p", 12 * S, [("a", 10 * S)])], {A: empty}).text)
    assert [row.uri for row in listing.rows][2:4] == ["/stream/empty.webvtt"] * 2
    assert [row.duration_us for row in listing.rows][2:4] == [6 * S, 4 * S]


def test_renditions_cut_otherwise_tell_the_same_times():
    video = finished(cut_up(60 * S, 2 * S), date_us=EPOCH)
    audio = finished(cut_up(60 * S, 1_920_000), date_us=EPOCH)
    pods = splice.stitch([pod("p", 0, [("b", 5 * S)]), pod("q", 30 * S, [("a", 10 * S)])])
    found = []
    for original, length in ((video, 2 * S), (audio, 1_920_000)):
        lists = {A: creative("a", 10_020_000, length), B: creative("b", 5 * S, length)}
        rows = read(splice.vod(original, pods, lists).text).rows
        found.append([(row.tags, row.at_us) for row in rows if row.tagged])
    for one, other in zip(*found, strict=True):
        assert one[0] == other[0]
        assert abs(one[1] - other[1]) <= 960_000
    assert found[0] == [(1, EPOCH + 5 * S), (2, EPOCH + 35 * S), (3, EPOCH + 45 * S)]


def test_addresses_of_ads_may_be_the_sessions_own():
    one = pod("p", 6 * S, [("a", 10 * S), ("b", 5 * S)])
    lists = ads()
    spliced = splice.vod(
        content(12 * S),
        [one],
        lists,
        address=lambda which, position, segment: (
            f"/ad/{which.id}-{position}-{segment}" if position else None
        ),
    )
    uris = [row.uri for row in read(spliced.text).rows]
    assert uris[1] == "https://ads.example/a/v/0.m4s"
    assert uris[6:9] == ["/ad/p-1-0", "/ad/p-1-1", "/ad/p-1-2"]


def test_content_time_and_stream_time():
    pods = splice.stitch(
        [
            pod("pre", 0, [("a", 10 * S)]),
            pod("mid", 30 * S, [("a", 10 * S), ("b", 5 * S)]),
            pod("post", 60 * S, [("b", 5 * S)]),
            Pod("lost", 40 * S, at_us=40 * S, ads=(Placed(SLATE, B, 0, 9 * S),)),
        ]
    )
    there = [splice.stream_time(at * S, pods) // S for at in (0, 29, 30, 60)]
    assert there == [10, 39, 55, 90]
    back = [splice.content_time(at * S, pods) // S for at in (0, 5, 10, 39, 40, 50, 55, 60, 99)]
    assert back == [0, 0, 0, 29, 30, 30, 30, 35, 69]
    mapping = splice.content_mapping(pods, 60 * S)
    assert mapping == [(10 * S, 0, 30 * S), (55 * S, 30 * S, 30 * S)]


def test_a_key_is_of_the_address_without_its_query():
    first = splice.key("https://origin.example/v.m3u8?token=1")
    assert first == splice.key("https://origin.example/v.m3u8?token=2")
    assert first != splice.key("https://origin.example/w.m3u8")
    chosen = splice.key("https://origin.example/v.m3u8?ch=1&token=1", "ch=1")
    assert chosen == splice.key("https://origin.example/v.m3u8?ch=1&token=2", "ch=1")
    assert chosen not in {first, splice.key("https://origin.example/v.m3u8", "ch=2")}
