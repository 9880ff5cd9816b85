"""SCTE-35 in media playlists: every form of tag, and what several of them come to."""

from __future__ import annotations

import time

import pytest
import stream_splices as splices
from hypothesis import given
from hypothesis import strategies as st

from footfall.stream import markers, playlist
from footfall.stream.contract import Cue

URL = "https://origin.test/live/index.m3u8"
SECOND = 1_000_000
AT = 1_777_863_721 * SECOND
"""2026-05-04T03:02:01Z."""


def message(event=7, seconds=None, **more):
    ticks = None if seconds is None else round(seconds * 90_000)
    return splices.text(splices.insert(event, ticks=ticks, **more))


def hexadecimal(event=7, seconds=None, **more):
    ticks = None if seconds is None else round(seconds * 90_000)
    return f"0x{splices.insert(event, ticks=ticks, **more).hex().upper()}"


CANCELLED_SEGMENT = splices.signal(splices.segmentation(0x34, 7, cancel=1))
OUT, BACK = message(7, 30), message(7, out=0)


def listed(*before, count=8, dated=True, seconds=4, after=""):
    """A list of segments from `AT` on; `before`: (index, lines) to stand before some of them."""
    at = dict(before)
    date = "#EXT-X-PROGRAM-DATE-TIME:2026-05-04T03:02:01Z\n" if dated else ""
    text = f"#EXTM3U\n#EXT-X-TARGETDURATION:6\n{date}"
    for number in range(count):
        text += f"{at.get(number, '')}#EXTINF:{seconds},\ns{number}.ts\n"
    found = playlist.parse(text + after, URL)
    for line in "".join([*at.values(), after]).splitlines():
        assert line not in found.head
        assert not any(line in chunk for chunk in (*found.chunks, *found.plain))
    return found


def cues(*before, **more):
    return list(listed(*before, **more).cues)


def at(index):
    return AT + 4 * SECOND * index


def out(index=1, duration=30, event=None, **more):
    duration_us = None if duration is None else round(duration * SECOND)
    return Cue(index, at(index), True, duration_us, id=event, **more)


@pytest.mark.parametrize(
    ("tags", "cue"),
    [
        ("#EXT-X-CUE-OUT:30", out()),
        ("#EXT-X-CUE-OUT:30.000", out()),
        ("#EXT-X-CUE-OUT:158.016", out(duration=158.016)),
        ("#EXT-X-CUE-OUT:DURATION=30", out()),
        ('#EXT-X-CUE-OUT:Duration="30.0"', out()),
        ("#EXT-X-CUE-OUT:30,ID=ab", out(event="ab")),
        ('#EXT-X-CUE-OUT:ID="x1",DURATION=30', out(event="x1")),
        (f"#EXT-X-CUE-OUT:DURATION=20,CUE={OUT.rstrip('=')}", out(event="7")),
        ("#EXT-X-CUE-OUT", out(duration=None)),
        ("#EXT-X-CUE-OUT:", out(duration=None)),
        ("#EXT-X-CUE-OUT:0", out(duration=None)),
        ("#EXT-X-CUE-OUT:DURATION=0.0", out(duration=None)),
        ("#EXT-X-CUE-OUT:-5", out(duration=None)),
        ("#EXT-X-CUE-OUT:nan", out(duration=None)),
        ("#EXT-X-CUE-OUT:999999999", out(duration=None)),
        (f"#EXT-OATCLS-SCTE35:{OUT}", out(event="7")),
        (f"#EXT-X-OATCLS-SCTE35:{OUT}", out(event="7")),
        (f"#EXT-X-SPLICEPOINT-SCTE35:{OUT}", out(event="7")),
        (f"#EXT-OATCLS-SCTE35:{message(9)}", out(duration=None, event="9")),
        (f'#EXT-X-SCTE35:CUE="{OUT}"', out(event="7")),
        (f'#EXT-X-SCTE35:TYPE=0x34,ID="e1",CUE="{OUT}",CUE-OUT=YES,DURATION=20', out(event="7")),
        (
            '#EXT-X-SCTE35:ID="e1",UPID="0x08:1",CUE-OUT=YES,DURATION=30',
            out(event="e1", upid="0x08:1"),
        ),
        ('#EXT-X-CUE:TYPE="SpliceOut",ID="201",TIME="5.0",DURATION="30.000"', out(event="201")),
        ("#EXT-X-CUE:TYPE=SpliceOut,DURATION=30", out()),
        (f'#EXT-X-CUE:TYPE="scte35",CUE="{OUT}"', out(event="7")),
        # Two and three about one edge: the message has the last word on id and duration.
        (
            f"#EXT-OATCLS-SCTE35:{OUT}\n#EXT-X-ASSET:CAID=0x02,PRODUCT=a\n#EXT-X-CUE-OUT:20",
            out(event="7"),
        ),
        (f"#EXT-X-CUE-OUT:20\n#EXT-OATCLS-SCTE35:{message(8)}", out(duration=20, event="8")),
        ("#EXT-X-CUE-OUT:30\n#EXT-X-CUE-OUT-CONT:0/30", out()),
    ],
)
def test_a_break_begins(tags, cue):
    assert cues((1, f"{tags}\n")) == [cue]


@pytest.mark.parametrize(
    "tags",
    [
        "#EXT-X-CUE-IN",
        "#EXT-X-CUE-IN:",
        f"#EXT-OATCLS-SCTE35:{BACK}",
        f"#EXT-OATCLS-SCTE35:{BACK}\n#EXT-X-CUE-IN",
        f'#EXT-X-SCTE35:CUE="{BACK}",CUE-IN=YES',
        '#EXT-X-SCTE35:ID="7",CUE-IN=YES',
        '#EXT-X-CUE:TYPE="SpliceIn",ID="7"',
    ],
)
def test_a_break_ends_and_is_told_which(tags):
    before = f"#EXT-OATCLS-SCTE35:{message(7)}\n"
    assert cues((1, before), (3, f"{tags}\n")) == [
        out(duration=None, event="7"), Cue(3, at(3), False, id="7"),
    ]  # fmt: skip
    assert cues((3, f"{tags}\n"))[0].out is False


@pytest.mark.parametrize(
    ("tag", "elapsed", "duration", "event"),
    [
        ("8.308/30", 8.308, 30, None),
        ("8.308", 8.308, None, None),
        ("ElapsedTime=8.308,Duration=30", 8.308, 30, None),
        (f"ElapsedTime=8.308,Duration=29,SCTE35={OUT}", 8.308, 30, "7"),
        ('CAID=0x0A,ElapsedTime="8.308",Duration="30"', 8.308, 30, None),
        ("0/30", 0, 30, None),
        ("", 0, None, None),
    ],
)
def test_joining_within_a_break(tag, elapsed, duration, event):
    (cue,) = cues((0, f"#EXT-X-CUE-OUT-CONT:{tag}\n"))
    expected = out(0, duration, event, elapsed_us=round(elapsed * SECOND))
    assert cue == expected


def test_what_goes_on_knows_since_when():
    found = cues(
        (1, "#EXT-X-CUE-OUT:12,ID=a\n"), *((n, "#EXT-X-CUE-OUT-CONT\n") for n in (2, 3, 4, 5))
    )
    assert [cue.elapsed_us // SECOND for cue in found] == [0, 4, 8, 12, 16]
    assert {(cue.duration_us, cue.id) for cue in found} == {(12 * SECOND, "a")}


def test_continuations_by_the_other_tags():
    found = cues(
        (2, '#EXT-X-SCTE35:ID="a",CUE-OUT=CONT,ELAPSED=8,DURATION=30\n'), (3, "#EXT-X-CUE-SPAN\n")
    )
    assert [(cue.elapsed_us // SECOND, cue.id) for cue in found] == [(8, "a"), (12, "a")]


def test_the_same_event_again_goes_on_and_another_begins():
    again = f"#EXT-OATCLS-SCTE35:{message(7, 60)}\n"
    found = cues((1, again), (3, again), (4, f"#EXT-OATCLS-SCTE35:{message(8, 60)}\n"))
    assert [cue.elapsed_us for cue in found] == [0, 8 * SECOND, 0]


def test_a_break_that_goes_on_is_not_ended_by_a_message_alone():
    found = cues(
        (1, "#EXT-X-CUE-OUT:30\n"), (2, f"#EXT-X-CUE-OUT-CONT:4/30\n#EXT-OATCLS-SCTE35:{BACK}\n")
    )
    assert [cue.out for cue in found] == [True, True]


def test_ads_within_an_opportunity_are_no_edges_of_the_break():
    def tag(*descriptors):
        return f"#EXT-OATCLS-SCTE35:{splices.text(splices.signal(*descriptors))}\n"

    make = splices.segmentation
    found = cues(
        (1, tag(make(0x34, 1, ticks=90_000 * 20), make(0x30, 11))), (3, tag(make(0x31, 11), make(0x30, 12))),
        (6, tag(make(0x31, 12), make(0x35, 1))),
    )  # fmt: skip
    assert [(cue.index, cue.out, cue.id) for cue in found] == [(1, True, "1"), (6, False, "1")]
    alone = cues((1, tag(make(0x30, 11))), (3, tag(make(0x31, 11), make(0x30, 12))))
    assert [(cue.index, cue.out, cue.id) for cue in alone] == [
        (1, True, "11"),
        (3, False, "11"),
        (3, True, "12"),
    ]


def test_one_break_may_end_where_the_next_begins():
    found = cues((1, "#EXT-X-CUE-OUT:8\n"), (3, "#EXT-X-CUE-IN\n#EXT-X-CUE-OUT:12\n"))
    assert [(cue.index, cue.out) for cue in found] == [(1, True), (3, False), (3, True)]


def test_an_out_that_returns_by_itself_gives_no_in():
    assert cues((1, f"#EXT-OATCLS-SCTE35:{message(7, 12, auto_return=1)}\n")) == [
        out(duration=12, event="7")
    ]


def test_upids_are_told():
    made = splices.signal(splices.segmentation(0x34, 3, ticks=2_700_000, upid=(0x0C, b"ABCDx/1")))
    assert cues((1, f"#EXT-OATCLS-SCTE35:{splices.text(made)}\n")) == [
        out(event="3", upid="ABCDx/1")
    ]


def test_a_marker_after_the_last_segment_is_of_the_next():
    assert cues(count=2, after="#EXT-X-CUE-OUT:30\n") == [out(2)]


def test_without_dates_times_are_the_lists_own():
    found = cues((1, "#EXT-X-CUE-OUT:30\n"), dated=False)
    assert found == [Cue(1, 4 * SECOND, True, 30 * SECOND)]


# Date ranges


def span(*attributes, name="r1", start="2026-05-04T03:02:05Z"):
    date = f',START-DATE="{start}"' if start else ""
    return f'#EXT-X-DATERANGE:ID="{name}"{date}{"".join(f",{a}" for a in attributes)}\n'


def test_a_date_range_begins_a_break():
    found = cues((0, span("PLANNED-DURATION=20", f"SCTE35-OUT={hexadecimal(7)}")))
    assert found == [out(duration=20, event="7")]
    found = cues((0, span("PLANNED-DURATION=20", f"SCTE35-OUT={hexadecimal(7, 30)}")))
    assert found == [out(duration=30, event="7")]
    assert cues((0, span("SCTE35-OUT=0x00"))) == [out(duration=None, event="r1")]


@pytest.mark.parametrize(
    ("more", "back"),
    [
        ('END-DATE="2026-05-04T03:02:13.000Z"', 3),
        ("DURATION=8.0", 3),
        (f'END-DATE="2026-05-04T03:02:13Z",SCTE35-IN={hexadecimal(7, out=0)}', 3),
        (f"DURATION=8,SCTE35-IN={hexadecimal(7, out=0)}", 3),
        (f"SCTE35-IN={hexadecimal(7, out=0)}", 4),
    ],
)
@pytest.mark.parametrize("dates", ["2026-05-04T03:02:05Z", None])
def test_a_date_range_that_is_completed_ends_it(more, back, dates):
    first = span("PLANNED-DURATION=12", f"SCTE35-OUT={hexadecimal(7)}")
    found = cues((0, first), (4, span(more, start=dates)))
    assert found == [out(duration=12, event="7"), Cue(back, at(back), False, id="7")]


def test_a_range_of_its_own_for_the_end():
    found = cues(
        (1, span(f"SCTE35-OUT={hexadecimal(7, 12)}")),
        (4, span(f"SCTE35-IN={hexadecimal(7, out=0)}", name="r2", start="2026-05-04T03:02:17Z")),
    )
    assert found == [out(duration=12, event="7"), Cue(4, at(4), False, id="7")]


def test_commands_are_what_their_message_says():
    begin = span(f"SCTE35-CMD={hexadecimal(7, 12)}")
    end = span(f"SCTE35-CMD={hexadecimal(7, out=0)}", name="r2", start="2026-05-04T03:02:17Z")
    other = span(f"SCTE35-CMD=0x{splices.section(0, b'').hex()}", name="r3")
    assert cues((0, begin + end + other)) == [
        out(duration=12, event="7"),
        Cue(4, at(4), False, id="7"),
    ]


def test_a_break_ahead_of_the_list_is_known_before_its_segments():
    ahead = span("PLANNED-DURATION=30", "SCTE35-OUT=0x00", start="2026-05-04T03:03:01.500Z")
    (cue,) = cues((6, ahead))
    assert cue == Cue(8, AT + 60_500_000, True, 30 * SECOND, id="r1")


def test_a_break_that_began_before_the_list_keeps_its_moment():
    before = span("PLANNED-DURATION=60", "SCTE35-OUT=0x00", start="2026-05-04T03:01:51Z")
    (cue,) = cues((0, before))
    assert (cue.index, cue.at_us, cue.elapsed_us) == (0, AT - 10 * SECOND, 0)


@pytest.mark.parametrize(
    ("moment", "index"), [("05.004", 1), ("04.900", 1), ("06.900", 1), ("07.100", 2)]
)
def test_a_dated_break_stands_at_the_nearest_segment(moment, index):
    (cue,) = cues((0, span("SCTE35-OUT=0x00", start=f"2026-05-04T03:02:{moment}Z")))
    assert cue.index == index


def test_a_tag_has_the_place_and_the_range_near_it_the_rest():
    near = span("PLANNED-DURATION=24", "SCTE35-OUT=0x00", start="2026-05-04T03:02:05.400Z")
    assert cues((0, near), (1, "#EXT-X-CUE-OUT:20\n")) == [out(duration=24, event="r1")]
    ended = span("DURATION=11.8", "SCTE35-OUT=0x00")
    found = cues((1, f"{ended}#EXT-X-CUE-OUT:12\n"), (4, "#EXT-X-CUE-IN\n"))
    assert found == [out(duration=11.8, event="r1"), Cue(4, at(4), False, id="r1")]


def test_a_range_of_a_list_without_dates_is_where_it_stands():
    found = cues((2, span("PLANNED-DURATION=8", "SCTE35-OUT=0x00")), dated=False)
    assert found == [Cue(2, 8 * SECOND, True, 8 * SECOND, id="r1")]


def test_other_date_ranges_stay():
    other = '#EXT-X-DATERANGE:ID="show",START-DATE="2026-05-04T03:02:05Z",X-COM-A="SCTE"\n'
    found = playlist.parse(
        "#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXTINF:4,\na.ts\n" + other + span("SCTE35-OUT=0x00")
        + span("DURATION=1") + "#EXTINF:4,\nb.ts\n", URL,
    )  # fmt: skip
    assert found.dateranges == [(1, other)]
    assert "".join(found.chunks).count("DATERANGE") == 1


# What is wrong


@pytest.mark.parametrize("wrong", ["rubbish!", "/DA=", OUT[:-8] + "AAAAAAA=", ""])
def test_a_message_that_cannot_be_read_leaves_the_cue(wrong):
    found = listed((2, f"#EXT-OATCLS-SCTE35:{wrong}\n#EXT-X-CUE-OUT:30\n"))
    assert found.cues == [out(2)]
    assert len(found.problems) == (1 if wrong else 0)
    for problem in found.problems:
        assert problem.startswith(
            "Line 8 of the playlist: the SCTE-35 message of EXT-OATCLS-SCTE35 "
        )


def test_alone_it_is_no_cue():
    found = listed((2, "#EXT-OATCLS-SCTE35:rubbish!\n"), (3, span("SCTE35-CMD=0xFC")))
    assert found.cues == []
    assert len(found.problems) == 2


def test_dates_of_ranges_that_are_none():
    found = listed((2, span("SCTE35-OUT=0x00", start="soon")))
    assert [cue.index for cue in found.cues] == [2]
    assert any("a date of this date range is none" in problem for problem in found.problems)


def test_problems_are_told_of_up_to_a_number():
    found = listed(*((n, f"#EXT-OATCLS-SCTE35:x{n}\n") for n in range(90)), count=90)
    assert len(found.problems) == markers.MOST_PROBLEMS


def test_many_markers_take_no_longer_each():
    ranges = "".join(span("SCTE35-OUT=0x00", name=f"r{n}") for n in range(20_000))
    began = time.process_time()
    playlist.parse(f"#EXTM3U\n#EXT-X-TARGETDURATION:6\n{ranges}#EXTINF:4,\na.ts\n", URL)
    assert time.process_time() - began < 5


TAGS = st.sampled_from([*markers.READERS, markers.RANGE])
VALUES = st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=40) | st.sampled_from(
    [OUT, BACK, 'ID="a",SCTE35-OUT=0xFC', 'ID="a",SCTE35-IN=0x,END-DATE="2026-05-04T03:02:09Z"', "8/30"]
)  # fmt: skip


@given(st.lists(st.tuples(st.integers(0, 5), TAGS, VALUES), max_size=8), st.booleans())
def test_whatever_markers_say_cues_are_in_order_and_within_the_list(drawn, dated):
    date = "#EXT-X-PROGRAM-DATE-TIME:2026-05-04T03:02:01Z\n" if dated else ""
    text = f"#EXTM3U\n#EXT-X-TARGETDURATION:6\n{date}"
    for number in range(5):
        text += "".join(f"#{tag}:{value}\n" for at, tag, value in drawn if at == number)
        text += f"#EXTINF:4,\ns{number}.ts\n"
    text += "".join(f"#{tag}:{value}\n" for at, tag, value in drawn if at == 5)
    found = playlist.parse(text, URL)
    assert [cue.at_us for cue in found.cues] == sorted(cue.at_us for cue in found.cues)
    assert all(0 <= cue.index <= 5 and cue.elapsed_us >= 0 for cue in found.cues)
    assert all(cue.duration_us is None or cue.duration_us > 0 for cue in found.cues)


@pytest.mark.parametrize(
    "tag",
    [
        "#EXT-OATCLS-SCTE35:{}",
        '#EXT-X-SCTE35:CUE="{}"',
        '#EXT-X-CUE:TYPE="Other",CUE="{}"',
        '#EXT-X-DATERANGE:ID="c",START-DATE="2026-05-04T03:02:09Z",SCTE35-CMD={}',
        '#EXT-X-DATERANGE:ID="7",START-DATE="2026-05-04T03:02:21Z",SCTE35-CMD={}',
    ],
)
@pytest.mark.parametrize("data", [splices.insert(7, cancel=1), CANCELLED_SEGMENT])
def test_a_cancelled_event_is_told_from_where_its_tag_stands(tag, data):
    message = f"0x{data.hex()}" if "DATERANGE" in tag else splices.text(data)
    date = f'START-DATE="2026-05-04T03:02:21Z",PLANNED-DURATION=8,SCTE35-OUT={hexadecimal(7)}'
    ahead = f'#EXT-X-DATERANGE:ID="7",{date}\n'
    found = cues((1, ahead), (3, f"{tag.format(message)}\n"))
    assert found == [
        Cue(3, at(3), False, id="7", cancels=True),
        Cue(5, at(5), True, 8 * SECOND, id="7"),
    ]
