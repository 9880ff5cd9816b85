"""Whether live lists go on from each other, and anchors for those without dates."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from footfall.stream.continuity import Anchor, anchored, is_older, jump, next_anchor
from footfall.stream.playlist import parse

SECOND = 1_000_000
MINUTE = 60 * SECOND


def media(first, count, *, dated=None, name="s{}.ts", seconds=6, query="", cue=False):
    """Segments `first` and on; `dated`: the minute of the hour at which number 0 began."""
    lines = [f"#EXTM3U\n#EXT-X-TARGETDURATION:{seconds}\n#EXT-X-MEDIA-SEQUENCE:{first}"]
    for number in range(first, first + count):
        if dated is not None:
            at = dated * 60 + number * seconds
            clock = f"{at // 60 % 60:02}:{at % 60:02}"
            lines.append(f"#EXT-X-PROGRAM-DATE-TIME:2026-11-20T{18 + at // 3600}:{clock}Z")
        if cue and number == first + 1:
            lines.append("#EXT-X-CUE-OUT:DURATION=12")
        lines.append(f"#EXTINF:{seconds},\n{name.format(number)}{query}")
    return parse("\n".join(lines), "https://o.example/live/x.m3u8")


LIST = media(100, 6)


@pytest.mark.parametrize(
    ("after", "elapsed"),
    [
        (media(100, 6), 0),
        (media(101, 6), 6),
        (media(105, 6), 30),
        (media(106, 6), 36),
        (media(150, 6), 300),
        (media(115, 6), 10),
        (media(102, 6, query="?token=new"), 12),
        (media(102, 6, name="edge2/abc/s{}.ts"), 12),
        (media(95, 20), 60),
        (media(0, 0), 6),
    ],
)
def test_lists_that_go_on(after, elapsed):
    assert jump(LIST, after, elapsed * SECOND) == ""
    assert jump(media(0, 0), LIST, 0) == ""


@pytest.mark.parametrize(
    ("after", "reason"),
    [
        (media(0, 6), "its media sequence went back from 100 to 0"),
        (media(94, 6), "its media sequence went back from 100 to 94"),
        (media(100, 6, name="new{}.ts"), "segment 100 is another one than before"),
        (media(98, 6, name="new{}.ts"), "segment 100 is another one than before"),
        (media(104, 6, name="new{}.ts"), "segment 104 is another one than before"),
        (media(5000, 6), "its media sequence leapt from 100 to 5000"),
    ],
)
def test_lists_that_do_not(after, reason):
    assert jump(LIST, after, 12 * SECOND) == reason
    assert not is_older(LIST, after)


def test_dates_count_more_than_names():
    dated = media(100, 6, dated=0)
    assert jump(dated, media(102, 6, dated=0, name="other{}.ts"), 12 * SECOND) == ""
    moved = media(102, 6, dated=3)
    assert jump(dated, moved, 12 * SECOND) == "segment 102 is another one than before"
    earlier = media(110, 6, dated=-10)
    assert jump(media(100, 6, dated=0), earlier, 30 * SECOND) == "its program date times went back"


def test_an_older_state_of_the_same_stream_is_no_jump():
    for older in (media(99, 6), media(95, 6), media(100, 5)):
        assert is_older(LIST, older)
        assert jump(LIST, older, SECOND) == ""
    for newer in (LIST, media(101, 6), media(95, 20), media(200, 6)):
        assert not is_older(LIST, newer)


# -- anchors ------------------------------------------------------------------------------------

NOW = 1_795_197_600 * SECOND


def test_an_anchor_lays_a_list_on_the_clock():
    one = media(100, 6, cue=True)
    laid = anchored(one, Anchor(102, NOW))
    assert laid.starts == [NOW + (n - 2) * 6 * SECOND for n in range(7)]
    assert [cue.at_us for cue in laid.cues] == [NOW - 6 * SECOND]
    assert laid.chunks is one.chunks
    assert not laid.dated


def test_a_list_with_dates_needs_no_anchor():
    dated = media(100, 6, dated=0)
    assert anchored(dated, Anchor(100, 5)) is dated


def test_the_first_anchor_lets_the_list_end_now():
    assert anchored(LIST, next_anchor(LIST, None, NOW)).starts[-1] == NOW


def test_an_anchor_stays_as_long_as_its_segment_does():
    anchor = next_anchor(LIST, None, NOW)
    assert anchor.sequence == 103
    for first in (100, 101, 102):
        assert next_anchor(media(first, 6), anchor, NOW + MINUTE) is anchor
    moved = next_anchor(media(103, 6), anchor, NOW + MINUTE)
    assert moved == Anchor(106, anchor.at_us + 18 * SECOND)


@given(st.lists(st.integers(0, 4), max_size=40), st.integers(1, 8))
def test_segments_keep_their_moments_while_the_list_moves(steps, count):
    """Whatever is fetched how often: as long as the lists overlap, and beyond where even."""
    first, anchor = 100, None
    known = {}
    for step in steps:
        first += step
        one = media(first, count)
        anchor = next_anchor(one, anchor, NOW)
        for number, start in enumerate(anchored(one, anchor).starts[:-1], first):
            assert known.setdefault(number, start) == start


def test_a_gap_is_bridged_by_the_usual_duration():
    anchor = Anchor(100, NOW)
    assert anchored(media(200, 6), anchor).starts[0] == NOW + 600 * SECOND
    assert next_anchor(media(200, 6), anchor, 0) == Anchor(203, NOW + 618 * SECOND)


def test_after_a_jump_back_a_new_anchor_begins_and_time_does_not_go_back():
    anchor = Anchor(5000, NOW)
    again = media(0, 6)
    assert next_anchor(again, anchor, NOW + MINUTE) == Anchor(3, NOW + MINUTE - 18 * SECOND)
    assert next_anchor(again, anchor, NOW - MINUTE) == Anchor(3, NOW - 18 * SECOND)


def test_an_empty_list_has_a_moment_too():
    empty = media(100, 0)
    assert next_anchor(empty, None, NOW) == Anchor(100, NOW)
    assert anchored(empty, Anchor(100, NOW)).starts == [NOW]
    assert anchored(empty, Anchor(90, NOW)).starts == [NOW + MINUTE]
