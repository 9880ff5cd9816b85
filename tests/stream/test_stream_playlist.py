"""Media playlists: every tag, every oddity, and the same by another parser."""

from __future__ import annotations

import contextlib
import time

import m3u8
import pytest
from hypothesis import given
from hypothesis import strategies as st

from footfall.stream import playlist
from footfall.stream.playlist import PlaylistError

URL = "https://origin.test/live/video/index.m3u8?token=t1"
BASE = "https://origin.test/live/video/"
HEAD = "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:6\n"
AT = 1_777_863_721_000_000
"""2026-05-04T03:02:01Z."""


def parse(body, head=HEAD, url=URL, **more):
    return playlist.parse(head + body, url, **more)


def segments(count, *before):
    """`count` segments of 4 s; `before`: (index, lines) to stand before some of them."""
    lines = dict(before)
    return "".join(f"{lines.get(n, '')}#EXTINF:4.000,\ns{n}.ts\n" for n in range(count))


def test_a_live_list():
    found = parse(
        "#EXT-X-MEDIA-SEQUENCE:120\n#EXT-X-DISCONTINUITY-SEQUENCE:3\n"
        "#EXT-X-INDEPENDENT-SEGMENTS\n## a comment\n#EXT-X-UNHEARD-OF:1\n"
        "#EXT-X-PROGRAM-DATE-TIME:2026-05-04T03:02:01.000Z\n#EXTINF:4.004,first\ns120.ts\n"
        "#EXTINF:5.005,\ns121.ts\n"
    )
    assert (found.target_s, found.version, found.ended, found.dated) == (6, 7, False, True)
    assert (found.sequence, found.discontinuity_sequence) == (120, 3)
    assert found.head == "#EXT-X-INDEPENDENT-SEGMENTS\n## a comment\n#EXT-X-UNHEARD-OF:1\n"
    assert found.durations == [4_004_000, 5_005_000]
    assert found.starts == [AT, AT + 4_004_000, AT + 9_009_000]
    assert found.chunks == [
        f"#EXT-X-PROGRAM-DATE-TIME:2026-05-04T03:02:01.000Z\n#EXTINF:4.004,first\n{BASE}s120.ts\n",
        f"#EXTINF:5.005,\n{BASE}s121.ts\n",
    ]
    assert found.plain == [
        f"#EXTINF:4.004,first\n{BASE}s120.ts\n",
        f"#EXTINF:5.005,\n{BASE}s121.ts\n",
    ]
    assert len(found) == 2


def test_times_begin_with_0_where_there_are_no_dates():
    found = parse("#EXTINF:4.5,\na\n#EXTINF:3,\nb\n#EXT-X-ENDLIST\n")
    assert (found.dated, found.starts, found.ended) == (False, [0, 4_500_000, 7_500_000], True)


@pytest.mark.parametrize(("tag", "ended"), [("VOD", True), ("EVENT", False)])
def test_the_kind_of_a_list_says_whether_it_grows(tag, ended):
    found = parse(f"#EXT-X-PLAYLIST-TYPE:{tag}\n{segments(1)}")
    assert found.ended is ended
    assert found.head == ""


def test_gaps_between_dates_are_kept_and_times_before_the_first_date_are_reckoned_back():
    def date(text):
        return f"#EXT-X-PROGRAM-DATE-TIME:{text}\n"

    found = parse(segments(
        6, (1, date(" 2026-05-04T03:02:01Z")), (2, date("2026-05-04T05:02:05.000+02:00")),
        (3, "#EXT-X-DISCONTINUITY\n" + date("2026-05-04T03:12:01.250Z")),
    ))  # fmt: skip
    late = AT + 600_250_000
    assert found.starts == [
        AT - 4_000_000,
        AT,
        AT + 4_000_000,
        late,
        late + 4_000_000,
        late + 8_000_000,
        late + 12_000_000,
    ]
    assert found.discontinuities == [3]


def test_a_segment_starts_at_the_same_moment_however_many_stand_before_it():
    """Durations are rounded; their sum drifts from the dates."""
    dates = [
        f"#EXT-X-PROGRAM-DATE-TIME:2026-05-04T03:02:{1 + 3.837 * n:06.3f}Z\n" for n in range(8)
    ]
    made = [f"{date}#EXTINF:3.840,\ns{n}.ts\n" for n, date in enumerate(dates)]
    whole, later = parse("".join(made)), parse("".join(made[5:]))
    assert list(whole.starts[5:]) == list(later.starts)


def test_a_clock_that_goes_back_is_not_followed():
    back = "#EXT-X-DISCONTINUITY\n#EXT-X-PROGRAM-DATE-TIME:2026-05-04T03:00:00Z\n"
    again = "#EXT-X-PROGRAM-DATE-TIME:2026-05-04T03:00:04Z\n"
    found = parse(
        segments(4, (0, "#EXT-X-PROGRAM-DATE-TIME:2026-05-04T03:02:01Z\n"), (2, back), (3, again))
    )
    assert found.starts == [AT + 4_000_000 * n for n in range(5)]


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("s.ts", f"{BASE}s.ts"),
        ("a/b/s.ts?x=1", f"{BASE}a/b/s.ts?x=1"),
        ("../s.ts", "https://origin.test/live/s.ts"),
        ("../../a/s.ts", "https://origin.test/a/s.ts"),
        ("./s.ts", f"{BASE}s.ts"),
        ("a/./s.ts", f"{BASE}a/s.ts"),
        ("/s.ts", "https://origin.test/s.ts"),
        ("//cdn.test/s.ts", "https://cdn.test/s.ts"),
        ("http://cdn.test/a/s.ts", "http://cdn.test/a/s.ts"),
        ("https://cdn.test/a:b/s:1.ts?u=http://x/../y", "https://cdn.test/a:b/s:1.ts?u=http://x/../y"),
        ("s.ts?at=12:30&next=/../x", f"{BASE}s.ts?at=12:30&next=/../x"),
        ("?n=1", f"{BASE}index.m3u8?n=1"),
        ("data:video/mp2t;base64,AAAA", "data:video/mp2t;base64,AAAA"),
        ("s.ts#a/b", f"{BASE}s.ts#a/b"),
        ("..", "https://origin.test/live/"),
    ],
)  # fmt: skip
def test_addresses_become_absolute(address, expected):
    found = parse(f"#EXTINF:4,\n{address}\n")
    assert found.chunks == [f"#EXTINF:4,\n{expected}\n"]
    among_others = parse(f"#EXTINF:4,\nx.ts\n#EXTINF:4,\n{address}\n#EXTINF:4,\ny/{address}z\n")
    assert among_others.chunks[1] == found.chunks[0]


def test_byte_ranges_name_their_offset():
    found = parse(
        '#EXT-X-MAP:URI="v.mp4",BYTERANGE="800"\n'
        "#EXT-X-BYTERANGE:100@800\n#EXTINF:4,\nv.mp4\n#EXTINF:4,\n#EXT-X-BYTERANGE:50\nv.mp4\n"
        "#EXT-X-BYTERANGE:70\n#EXTINF:4,\nv.mp4\n#EXT-X-BYTERANGE:5\n#EXTINF:4,\nw.mp4\n"
    )
    ranges = [line for chunk in found.plain for line in chunk.split("\n") if "BYTERANGE" in line]
    assert ranges == [f"#EXT-X-BYTERANGE:{text}" for text in ("100@800", "50@900", "70@950", "5@0")]
    assert found.maps == [(0, f'#EXT-X-MAP:URI="{BASE}v.mp4",BYTERANGE="800@0"\n')]


def test_what_is_kept_with_its_segment_and_what_is_said_apart():
    before = (
        "#EXT-X-DISCONTINUITY\n#EXT-X-PROGRAM-DATE-TIME:2026-05-04T03:02:05Z\n"
        '#EXT-X-KEY:METHOD=SAMPLE-AES,URI="k",IV=0x1\n#EXT-X-MAP:URI="i.mp4"\n'
        '#EXT-X-DATERANGE:ID="x",START-DATE="2026-05-04T03:02:05Z"\n'
        '#EXT-X-BITRATE:900\n#EXT-X-GAP\n#EXT-X-OWN:URI="own.json",X-ASSET-URI="a"\n# note\n'
    )
    found = parse(segments(2, (1, before)))
    own = (
        f'#EXT-X-BITRATE:900\n#EXT-X-GAP\n#EXT-X-OWN:URI="{BASE}own.json",X-ASSET-URI="a"\n# note\n'
    )
    assert found.plain[1] == f"{own}#EXTINF:4.000,\n{BASE}s1.ts\n"
    apart = before.partition("#EXT-X-BITRATE")[0].replace('URI="', f'URI="{BASE}')
    assert found.chunks[1] == f"{apart}{found.plain[1]}"
    assert found.keys == [(1, f'#EXT-X-KEY:METHOD=SAMPLE-AES,URI="{BASE}k",IV=0x1\n')]
    assert found.maps == [(1, f'#EXT-X-MAP:URI="{BASE}i.mp4"\n')]
    assert found.dateranges == [(1, '#EXT-X-DATERANGE:ID="x",START-DATE="2026-05-04T03:02:05Z"\n')]
    assert found.discontinuities == [1]


def key(method="SAMPLE-AES", uri="k", **more):
    rest = "".join(f",{name}={value}" for name, value in more.items())
    return f'#EXT-X-KEY:METHOD={method},URI="https://k.test/{uri}"{rest}\n'


def test_keys_of_several_formats_are_in_force_together():
    apple, wide = key(uri="1", KEYFORMAT='"a"'), key(uri="2", KEYFORMAT='"w"')
    next_apple, clear = key(uri="3", KEYFORMAT='"a"'), "#EXT-X-KEY:METHOD=NONE\n"
    found = parse(segments(5, (0, apple + wide), (2, next_apple), (3, clear), (4, wide)))
    assert found.keys == [(0, apple + wide), (2, next_apple + wide), (3, clear), (4, wide)]
    assert [chunk.count("EXT-X-KEY") for chunk in found.chunks] == [2, 0, 1, 1, 1]


def test_an_iv_that_is_the_sequence_number_is_written_out():
    """Splicing renumbers segments; what the origin encrypted stays as it was."""
    head = f"{HEAD.replace('VERSION:7', 'VERSION:1')}#EXT-X-MEDIA-SEQUENCE:16\n"
    line = key("AES-128").rstrip()
    found = parse(segments(4, (1, f"{line}\n"), (3, key("AES-128", IV="0x1"))), head)
    assert found.chunks[1] == f"{line},IV=0x{17:032X}\n#EXTINF:4.000,\n{BASE}s1.ts\n"
    assert found.chunks[2] == f"{line},IV=0x{18:032X}\n#EXTINF:4.000,\n{BASE}s2.ts\n"
    assert found.plain[2] == f"#EXTINF:4.000,\n{BASE}s2.ts\n"
    assert found.keys == [
        (1, f"{line},IV=0x{17:032X}\n"), (2, f"{line},IV=0x{18:032X}\n"), (3, f"{line},IV=0x1\n"),
    ]  # fmt: skip
    assert found.version == 2


def test_a_map_that_its_segments_key_does_not_encrypt_goes_with_its_own():
    map_ = '#EXT-X-MAP:URI="https://k.test/i.mp4"\n'
    one, two = key("AES-128", "1", IV="0x1"), key("AES-128", "2", IV="0x2")
    clear = "#EXT-X-KEY:METHOD=NONE\n"
    assert parse(segments(2, (0, map_ + one), (1, two))).maps == [
        (0, clear + map_ + one), (1, clear + map_ + two),
    ]  # fmt: skip
    assert parse(segments(2, (0, one + map_), (1, two))).maps == [(0, map_), (1, one + map_ + two)]
    sample = key("SAMPLE-AES-CTR", KEYFORMAT='"w"')
    assert parse(segments(2, (0, map_ + sample))).maps == [(0, map_)]


def test_low_latency_is_left_out():
    body = (
        "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1\n#EXT-X-PART-INF:PART-TARGET=0.3\n"
        '#EXTINF:4,\na.ts\n#EXT-X-PART:DURATION=2,URI="b.0.ts"\n#EXT-X-PART:DURATION=2,URI="b.1.ts"\n'
        '#EXTINF:4,\nb.ts\n#EXT-X-PART:DURATION=2,URI="c.0.ts"\n'
        '#EXT-X-PRELOAD-HINT:TYPE=PART,URI="c.1.ts"\n#EXT-X-RENDITION-REPORT:URI="../x.m3u8"\n'
    )
    found = parse(body)
    assert found.head == ""
    assert found.chunks == found.plain == [f"#EXTINF:4,\n{BASE}a.ts\n", f"#EXTINF:4,\n{BASE}b.ts\n"]


def test_what_stands_after_the_last_segment():
    after = (
        '#EXT-X-DISCONTINUITY\n#EXT-X-PROGRAM-DATE-TIME:2026-05-04T03:02:05Z\n#EXT-X-KEY:METHOD=NONE\n'
        '#EXT-X-MAP:URI="n.mp4"\n#EXT-X-DATERANGE:ID="y",START-DATE="2026-05-04T03:02:05Z"\n# bye\n'
    )  # fmt: skip
    found = parse(segments(1) + after)
    assert found.chunks == [f"#EXTINF:4.000,\n{BASE}s0.ts\n"]
    assert (found.discontinuities, found.keys, found.maps, found.dated) == ([], [], [], False)
    assert [index for index, _ in found.dateranges] == [1]


def test_a_list_without_segments():
    found = parse("#EXT-X-MEDIA-SEQUENCE:4\n#EXT-X-OWN\n")
    assert (len(found), found.starts, found.sequence, found.head) == (0, [0], 4, "#EXT-X-OWN\n")


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("\n", "\r\n"),
        lambda text: "\ufeff" + text,
        lambda text: text.rstrip("\n"),
        lambda text: text.replace("\n", "\n\n"),
        lambda text: text.replace("\n", " \t\n").replace("#EXTINF", "  #EXTINF"),
    ],
)
def test_line_ends_blank_lines_and_spaces_do_not_matter(change):
    text = HEAD + "#EXT-X-OWN\n" + segments(3, (1, "#EXT-X-DISCONTINUITY\n")) + "#EXT-X-ENDLIST\n"
    assert playlist.parse(change(text), URL) == playlist.parse(text, URL)


def test_variables():
    found = parse(
        '#EXT-X-DEFINE:NAME="dir",VALUE="seg/ments"\n#EXT-X-DEFINE:QUERYPARAM="token"\n'
        '#EXT-X-DEFINE:IMPORT="cdn"\n#EXT-X-MAP:URI="https://{$cdn}/i.mp4"\n'
        "#EXTINF:4,\n{$dir}/1.ts?t={$token}\n",
        imported={"cdn": "cdn.test"},
    )
    assert found.head == ""
    assert found.chunks == [
        f'#EXT-X-MAP:URI="https://cdn.test/i.mp4"\n#EXTINF:4,\n{BASE}seg/ments/1.ts?t=t1\n'
    ]


def test_a_target_that_is_no_whole_number_is_rounded_up():
    assert parse(segments(1), HEAD.replace(":6\n", ":6.006\n")).target_s == 7
    assert parse(segments(1), HEAD.replace(":6\n", ":6.0\n")).target_s == 6


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", r"Line 1 of the playlist: a playlist begins with #EXTM3U, this text with ''\."),
        ("<!doctype html>", "Line 1 .*'<!doctype html>'"),
        ("#EXTM3U\n#EXTINF:4,\na.ts\n", "no EXT-X-TARGETDURATION"),
        ("#EXTM3U\n#EXT-X-TARGETDURATION:x\n", "Line 2 .*number of seconds, not 'x'"),
        (HEAD + "#EXTINF:4,\na.ts\n\nb.ts\n", "Line 7 .*this one has none"),
        (HEAD + "#EXTINF:4,\na.ts\n#EXTINF:4,\n#EXTINF:4,\nb.ts\n", "Line 7 .*no address behind it"),
        (HEAD + "#EXTINF:4,\na.ts\n#EXTINF:4,\n", "cut off"),
        (HEAD + "#EXTINF:4,\na.ts\n#EXTINF:-1,\nb.ts\n", "Line 6 .*from 0 to a day, not '-1'"),
        (HEAD + "#EXTINF:nan,\na.ts\n", "Line 4 .*not 'nan'"),
        (HEAD + "#EXTINF:inf,\na.ts\n", "Line 4 .*not 'inf'"),
        (HEAD + "#EXTINF:1e3,\na.ts\n", "Line 4 .*not '1e3'"),
        (HEAD + "#EXTINF:86401,\na.ts\n", "Line 4 .*not '86401'"),
        (HEAD + "#EXTINF:,\na.ts\n", "Line 4 .*not ''"),
        (HEAD + "#EXTINF:٤,\na.ts\n", "Line 4 "),
        (HEAD + f"#EXTINF:{'9' * 100_000},\na.ts\n", "Line 4 .*9…'"),
        (HEAD + "#EXT-X-MEDIA-SEQUENCE:-4\n", "Line 4 .*EXT-X-MEDIA-SEQUENCE is a whole number"),
        (HEAD + f"#EXT-X-MEDIA-SEQUENCE:{'9' * 19}\n", "Line 4 "),
        (HEAD + segments(1, (0, "#EXT-X-BYTERANGE:x\n")), "Line 4 .*length@offset"),
        (HEAD + segments(1, (0, "#EXT-X-KEY:URI=x\n")), "Line 4 .*EXT-X-KEY has a METHOD"),
        (HEAD + segments(1, (0, "#EXT-X-KEY:METHOD=AES-128\n")), "Line 4 .*a URI unless"),
        (HEAD + segments(1, (0, "#EXT-X-MAP:X=1\n")), "Line 4 .*EXT-X-MAP has a URI"),
        (HEAD + "#EXT-X-SKIP:SKIPPED-SEGMENTS=9\n", "Line 4 .*delta update"),
        (HEAD + "#EXT-X-STREAM-INF:BANDWIDTH=1\nv.m3u8\n", "Line 4 .*multivariant"),
        (HEAD + segments(3, (2, "#EXT-X-PROGRAM-DATE-TIME:\n")), "Line 8 .*not ''"),
        (HEAD + segments(3, (2, "#EXT-X-PROGRAM-DATE-TIME:yesterday\n")), "Line 8 .*not 'yesterday'"),
        (HEAD + segments(2, (1, "#EXT-X-GAP\n#EXT-X-PROGRAM-DATE-TIME:1969-01-01T00:00:00Z\n")), "Line 7 "),
        (HEAD + segments(1, (0, "#EXT-X-PROGRAM-DATE-TIME:9999-12-31T23:59:59Z\n")), "Line 4 "),
        (HEAD + '#EXT-X-DEFINE:NAME="a",VALUE="b"\n#EXTINF:4,\n{$c}.ts\n', "Line 6 .*'c'"),
    ],
)  # fmt: skip
def test_what_is_wrong_and_on_which_line(text, says):
    with pytest.raises(PlaylistError, match=says) as caught:
        playlist.parse(text, URL)
    assert len(str(caught.value)) < 300


@pytest.mark.slow  # lists of megabytes
@pytest.mark.parametrize(
    "text",
    [
        HEAD + "#EXTINF:4," + "x" * 10_000_000 + "\na.ts\n",
        HEAD + "#EXTINF:4,\n" + "a" * 10_000_000 + "\n",
        HEAD + "#EXT-X-KEY:" + "A" * 10_000_000 + "\n#EXTINF:4,\na.ts\n",
        HEAD + "#EXT-X-KEY:METHOD=NONE," + 'A="' * 2_000_000 + "\n#EXTINF:4,\na.ts\n",
        HEAD + "#EXT-X-OWN:" + 'URI="' * 500_000 + "\n#EXTINF:4,\na.ts\n",
        HEAD + "#" * 10_000_000,
        HEAD + "\n" * 10_000_000,
        HEAD + "#EXT-X-GAP\n" * 1_000_000 + "#EXTINF:4,\na.ts\n",
        HEAD + "#EXT-X-PROGRAM-DATE-TIME:2026-05-04T03:02:01Z\n" * 300_000 + "#EXTINF:4,\na.ts\n",
        HEAD + "#EXT-X-DISCONTINUITY\n#EXTINF:4,\na.ts\n" * 100_000,
        HEAD + "#EXT-X-CUE-OUT\n" * 200_000 + "#EXTINF:4,\na.ts\n",
        HEAD + '#EXT-X-DATERANGE:ID="x",SCTE35-OUT=0xFC\n' * 100_000 + "#EXTINF:4,\na.ts\n",
        HEAD + "{$a" * 1_000_000 + "\n",
        HEAD + "a.ts\n" * 1_000_000,
        "#EXTM3U" * 1_000_000,
    ],
    ids=range(15),
)
def test_hostile_text_is_a_list_or_an_error_and_soon(text):
    began = time.process_time()
    with contextlib.suppress(PlaylistError):
        playlist.parse(text, URL)
    assert time.process_time() - began < 6


def test_the_head_of_an_output_list():
    found = parse("#EXT-X-INDEPENDENT-SEGMENTS\n" + segments(1))
    numbers = {"target_s": 8, "sequence": 12, "discontinuity_sequence": 2, "version": 6}
    expected = (
        "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:8\n#EXT-X-MEDIA-SEQUENCE:12\n"
        "#EXT-X-DISCONTINUITY-SEQUENCE:2\n#EXT-X-INDEPENDENT-SEGMENTS\n"
    )
    assert playlist.render_head(found, **numbers, vod=False) == expected
    whole = expected.replace("#EXT-X-IND", "#EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-IND")
    assert playlist.render_head(found, **numbers, vod=True) == whole


# Properties

KEPT_TAGS = st.sampled_from(
    ["#EXT-X-DISCONTINUITY", "#EXT-X-GAP", "#EXT-X-BITRATE:800", "# note", '#EXT-X-OWN:A=1,B="x,y"']
)  # fmt: skip
KEYS = st.sampled_from(
    [
        "#EXT-X-KEY:METHOD=NONE",
        '#EXT-X-KEY:METHOD=AES-128,URI="https://k.test/1",IV=0x1',
        '#EXT-X-KEY:METHOD=AES-128,URI="https://k.test/2",IV=0x2',
        '#EXT-X-MAP:URI="https://k.test/i.mp4"',
        '#EXT-X-MAP:URI="https://k.test/j.mp4",BYTERANGE="10@5"',
    ]
)
DROPPED = st.sampled_from(
    ["", '#EXT-X-PART:DURATION=1,URI="p"', "#EXT-X-CUE-OUT:30", "#EXT-X-CUE-IN", "#EXT-X-ASSET:A=1"]
)  # fmt: skip
SEGMENT = st.tuples(
    st.lists(KEPT_TAGS | KEYS, max_size=3, unique_by=lambda tag: tag[:11]),
    st.lists(DROPPED, max_size=2),
    st.integers(0, 12_000),
    st.booleans(),
)
LISTS = st.lists(SEGMENT, min_size=1, max_size=12)


def written(drawn, dates):
    """The text, and the lines of it that are kept (addresses as they will be)."""
    text, kept, at = [], [], 0.0
    for number, (tags, dropped, ms, dated) in enumerate(drawn):
        lines = list(tags)
        if dates and dated:
            lines.append(
                f"#EXT-X-PROGRAM-DATE-TIME:2026-05-04T03:{int(at // 60):02}:{at % 60:06.3f}Z"
            )
        lines.append(f"#EXTINF:{ms / 1000:.3f},title, {number}")
        text += [*dropped, *lines, f"dir/{number}.ts"]
        kept += [*lines, f"{BASE}dir/{number}.ts"]
        at += ms / 1000
    head = "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:12\n#EXT-X-MEDIA-SEQUENCE:77\n"
    return head + "#EXTINF:1,\nx\n" + "\n".join(text) + "\n", ["#EXTINF:1,", f"{BASE}x", *kept]


@given(LISTS, st.booleans())
def test_joining_the_chunks_gives_every_kept_line_in_its_order(drawn, dates):
    text, kept = written(drawn, dates)
    found = playlist.parse(text, URL)
    assert "".join(found.chunks).splitlines() == kept
    apart = ("#EXT-X-DISC", "#EXT-X-PROG", "#EXT-X-KEY", "#EXT-X-MAP", "#EXT-X-DATER")
    assert "".join(found.plain).splitlines() == [k for k in kept if not k.startswith(apart)]
    assert len(found.chunks) == len(found.plain) == len(found.durations) == len(found.starts) - 1
    assert list(found.starts) == sorted(found.starts)


@given(LISTS, st.booleans())
def test_another_parser_finds_the_same(drawn, dates):
    text, _ = written(drawn, dates)
    found = playlist.parse(text, URL)
    other = m3u8.loads(text, uri=URL)
    assert found.sequence == other.media_sequence
    assert found.durations == [round(s.duration * 1_000_000) for s in other.segments]
    assert found.discontinuities == [n for n, s in enumerate(other.segments) if s.discontinuity]
    assert found.dated == any(s.program_date_time for s in other.segments)
    for start, segment in zip(found.starts, other.segments, strict=False):
        if segment.program_date_time:
            assert start == round(segment.program_date_time.timestamp() * 1_000_000)
    for index, segment in enumerate(other.segments):
        lines = next((text for at, text in reversed(found.keys) if at <= index), "")
        assert lines.splitlines() == ([str(segment.key)] if segment.key else [])
        # Of a map's lines the one that is it: others say what encrypts it.
        lines = next((text for at, text in reversed(found.maps) if at <= index), "")
        maps = [line for line in lines.splitlines() if "EXT-X-MAP" in line]
        assert maps == ([str(segment.init_section)] if segment.init_section else [])


@given(LISTS, st.integers(0, 12))
def test_cut_and_joined_text_reads_as_the_same_segments(drawn, cut):
    """What is said before a cut by `keys` and `maps` is what was in force there."""
    text, _ = written(drawn, dates=False)
    whole = playlist.parse(text, URL)
    cut = min(cut, len(whole) - 1)
    keys = next((lines for at, lines in reversed(whole.keys) if at <= cut), "")
    maps = next((lines for at, lines in reversed(whole.maps) if at <= cut), "")
    head = playlist.render_head(
        whole, target_s=12, sequence=whole.sequence + cut, discontinuity_sequence=0, version=7, vod=False
    )  # fmt: skip
    again = playlist.parse(
        head
        + "#EXT-X-DISCONTINUITY\n"
        + keys
        + maps
        + whole.plain[cut]
        + "".join(whole.chunks[cut + 1 :]),
        URL,
    )
    assert again.plain == whole.plain[cut:]
    for index in range(cut, len(whole)):
        for columns in ((whole.keys, again.keys), (whole.maps, again.maps)):
            then, now = (
                next((lines for at, lines in reversed(column) if at <= place), "")
                for column, place in zip(columns, (index, index - cut), strict=True)
            )
            assert then == now
