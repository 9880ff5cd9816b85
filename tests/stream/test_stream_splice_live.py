"""Live splicing: what one list looks like."""

import msgspec
import pytest
from lists import EPOCH, Origin, S, creative, pod, stamp
from rules import broken, read

from footfall.stream import splice
from footfall.stream.contract import SLATE, Break, Context, Mark, Placed, Pod, Shift

KEY = "k"
AT = EPOCH + 20 * S


def break_of(end_us=None, duration_us=10 * S):
    return Break(f"{AT // 1000}:x", AT, duration_us, end_us)


def taken(lengths=(("a", 10 * S),), **more):
    return pod(f"slot:{break_of().id}", AT, lengths, **more)


def ads(segment_us=2 * S, rendition="v", **lengths):
    lengths = lengths or {"a": 10 * S, "b": 6 * S, "slate": 4 * S}
    return {
        f"https://ads.example/{name}": creative(name, total, segment_us, rendition)
        for name, total in lengths.items()
    }


def made(content, pods=(), breaks=(), lists=None, marks=None, *, shift=None, **more):
    return splice.live(
        content,
        pods,
        breaks,
        ads() if lists is None else lists,
        marks or {},
        shift=shift or Shift(),
        key=KEY,
        **more,
    )


def names(spliced):
    """``17`` for content of that number, ``a/0`` for an ad's segment."""
    rows = read(spliced.text).rows
    return [row.uri.removesuffix(".m4s").split("/", 3)[3].replace("/v/", "/") for row in rows]


def plays(*numbers):
    return [f"v/{number}" for number in numbers]


@pytest.fixture
def origin():
    """Segments of 2 s, the first one numbered 100; a break of 10 s after 20 s."""
    return Origin("v", 2 * S, 200 * S, first=100, breaks=[(20 * S, 10 * S, 30 * S)])


def seen(origin, seconds, length=6):
    return origin.window(EPOCH + round(seconds * S), length)


def test_without_pods_the_original_lines_are_served(origin):
    content = seen(origin, 40)
    spliced = made(content)
    assert spliced.text.endswith("".join(content.chunks))
    assert (spliced.sequence, spliced.discontinuity_sequence) == (114, 0)
    assert (spliced.first_us, spliced.edge_us) == (EPOCH + 28 * S, EPOCH + 40 * S)
    assert "#EXT-X-TARGETDURATION:2\n" in spliced.text
    assert spliced.needed == ()


def test_a_pod_that_nothing_was_decided_or_found_for_changes_nothing(origin):
    content = seen(origin, 26)
    for one in (Pod("slot:x", AT), Pod("slot:x", AT, decided=True, at_us=AT, until_us=AT)):
        assert made(content, [one], [break_of()]).text == made(content).text


def test_ads_are_listed_as_the_edge_passes_their_ends(origin):
    pods, breaks = [taken()], [break_of()]
    listed = [names(made(seen(origin, at, 4), pods, breaks)) for at in (20, 22, 24, 30, 32)]
    assert listed == [
        plays(106, 107, 108, 109),
        [*plays(107, 108, 109), "a/0"],
        [*plays(108, 109), "a/0", "a/1"],
        ["a/1", "a/2", "a/3", "a/4"],
        ["a/2", "a/3", "a/4", "v/115"],
    ]


def test_at_each_cut_there_is_all_that_a_player_needs(origin):
    text = made(seen(origin, 32, 8), [taken()], [break_of()]).text
    assert (
        f"https://origin.example/v/109.m4s\n#EXT-X-DISCONTINUITY\n"
        f'#EXT-X-MAP:URI="https://ads.example/a/v/init.mp4"\n'
        f"#EXT-X-PROGRAM-DATE-TIME:{stamp(AT)}\n#EXTINF:2.000000,\n"
        f"https://ads.example/a/v/0.m4s\n#EXTINF" in text
    )
    assert (
        f"https://ads.example/a/v/4.m4s\n#EXT-X-DISCONTINUITY\n"
        f'#EXT-X-MAP:URI="https://origin.example/v/init.mp4"\n'
        f"#EXT-X-PROGRAM-DATE-TIME:{stamp(AT + 10 * S)}\n#EXTINF:2.000000,\n"
        f"https://origin.example/v/115.m4s\n" in text
    )


def test_keys_end_where_clear_ads_begin_and_come_back(origin):
    locked = Origin("v", 2 * S, 60 * S, first=100, key="AES-128")
    listing = read(made(seen(locked, 32, 8), [taken()], [break_of()]).text)
    assert broken(listing, encrypted=("https://origin.example/",)) == []
    assert listing.text.count("#EXT-X-KEY:METHOD=NONE\n") == 1
    assert listing.text.count("#EXT-X-KEY:METHOD=AES-128") == 2


def test_numbers_go_on_without_holes_whatever_the_ads_segments(origin):
    # 4 segments of 2.5 s in the place of 5 of 2 s.
    lists = {"https://ads.example/a": creative("a", 10 * S, 2_500_000, target_s=3)}
    pods, breaks, marks = [taken()], [break_of()], {}
    numbers = {}
    for at in range(20, 60, 2):
        spliced = made(seen(origin, at), pods, breaks, lists, marks)
        marks.setdefault(KEY, []).extend(spliced.needed)
        for row in read(spliced.text).rows:
            assert numbers.setdefault(row.uri, row.number) == row.number
    assert numbers["https://origin.example/v/109.m4s"] == 109
    assert numbers["https://ads.example/a/v/0.m4s"] == 110
    assert numbers["https://origin.example/v/115.m4s"] == 114
    assert spliced.discontinuity_sequence == 2


def test_an_early_return_drops_what_would_not_be_over(origin):
    pods, breaks = [taken((("a", 10 * S), ("b", 6 * S)))], [break_of(AT + 9 * S, None)]
    spliced = made(seen(origin, 34, 8), pods, breaks)
    # Segments end at 28, 30, 32 s: the one that would end at 30 s is not begun.
    assert names(spliced)[-7:] == ["a/0", "a/1", "a/2", "a/3", "v/114", "v/115", "v/116"]
    assert read(spliced.text).rows[-1].tags == 2


@pytest.mark.parametrize("end", [29.6, 30, 30.7])
def test_a_break_that_ends_as_planned_keeps_its_ads(origin, end):
    """Ads may take a little longer than the break, and its marker may come a little early."""
    pods, breaks = [taken()], [break_of(EPOCH + round(end * S))]
    assert names(made(seen(origin, 32, 3), pods, breaks)) == ["a/3", "a/4", "v/115"]


def test_a_break_that_ends_before_its_first_ad_could_begin_plays_the_original(origin):
    late = taken(start_us=AT + 8 * S)
    late = msgspec.structs.replace(late, at_us=AT + 8 * S, until_us=AT + 18 * S)
    content = seen(origin, 40, 12)
    assert made(content, [late], [break_of(AT + 9 * S)]).text == made(content).text


def test_a_slate_is_repeated_until_its_time_is_over(origin):
    one = taken((("b", 6 * S),), slate_us=9 * S)
    spliced = made(seen(origin, 38, 12), [one], [break_of(duration_us=15 * S)])
    slates = ["slate/0", "slate/1", "slate/0", "slate/1"]
    # Of the last second nothing is filled: content is back at the boundary next to its end.
    assert names(spliced)[3:] == ["b/0", "b/1", "b/2", *slates, "v/117", "v/118"]
    assert [row.tags for row in read(spliced.text).rows[3:]] == [1, 1, 1, 2, 2, 3, 3, 4, 4]


def test_a_slate_without_end_lasts_until_the_return(origin):
    one = Placed(SLATE, "https://ads.example/slate", AT, 3600 * S, announced=False)
    one = Pod(f"slot:{break_of().id}", AT, decided=True, at_us=AT, until_us=AT + 3600 * S,
              ads=(one,))  # fmt: skip
    assert names(made(seen(origin, 30, 3), [one], [break_of(None, None)]))[-1] == "slate/0"
    back = made(seen(origin, 32, 3), [one], [break_of(AT + 10 * S, None)])
    assert names(back) == ["slate/1", "slate/0", "v/115"]


def test_a_list_that_vanished_is_a_gap_of_the_same_time(origin):
    spliced = made(seen(origin, 32, 6), [taken()], [break_of()], lists={})
    rows = read(spliced.text).rows
    assert [row.gap for row in rows] == [True] * 5 + [False]
    assert rows[-1].at_us == AT + 10 * S


def test_pods_that_follow_at_once_have_no_content_between(origin):
    first = pod("preroll", AT - 4 * S, [("b", 4 * S)])
    second = pod("slot:y", AT, [("a", 10 * S)])
    lists = ads(b=4 * S, a=10 * S)
    spliced = made(seen(origin, 32, 9), [first, second], [], lists)
    assert names(spliced) == [
        "v/107", "b/0", "b/1", "a/0", "a/1", "a/2", "a/3", "a/4", "v/115",
    ]  # fmt: skip
    assert [row.tags for row in read(spliced.text).rows] == [0, 1, 1, 2, 2, 2, 2, 2, 3]


def test_before_a_preroll_there_is_nothing(origin):
    one = pod("preroll", AT, [("a", 10 * S)])
    for length in (20, 3):
        spliced = made(seen(origin, 24, length), [one], from_us=AT)
        assert names(spliced)[0] == "a/0"
        assert spliced.sequence == 110
    assert made(seen(origin, 34, 3), [one], from_us=AT).sequence == 114


def test_date_ranges_of_replaced_segments_stay():
    line = '#EXT-X-DATERANGE:ID="p",CLASS="programme",START-DATE="2027-01-15T08:00:20.000Z"\n'
    origin = Origin("v", 2 * S, 60 * S, first=100, ranges=[(24 * S, line)])
    pods, breaks = [taken()], [break_of()]
    for at, after in ((28, "a/3"), (30, "a/4"), (34, "v/115")):
        spliced = made(seen(origin, at, 6), pods, breaks)
        assert spliced.text.count(line) == 1
        assert after in names(spliced)
    assert line not in made(seen(origin, 40, 6), pods, breaks).text


def test_an_origin_without_dates_gets_one_at_each_cut():
    origin = Origin("v", 2 * S, 60 * S, first=100, dated=False)
    content = seen(origin, 32, 8)
    anchored = [EPOCH + 16 * S + 2 * S * at for at in range(len(content) + 1)]
    content = msgspec.structs.replace(content, starts=anchored)
    listing = read(made(content, [taken()], [break_of()]).text)
    assert broken(listing) == []
    dates = [row.at_us - EPOCH for row in listing.rows if row.dated]
    assert dates == [16 * S, 20 * S, 30 * S]


def test_what_is_not_known_yet_waits(origin):
    """A rendition without markers may be ahead of the one that has them."""
    audio = Origin("v", 1_920_000, 200 * S, cues=False)
    ahead = audio.window(EPOCH + 24 * S, 6)
    spliced = made(ahead, known_us=EPOCH + 20 * S)
    assert spliced.edge_us == EPOCH + 20 * S
    last = read(spliced.text).rows[-1]
    assert last.at_us + last.duration_us <= EPOCH + 20 * S + 960_000
    later = made(ahead, [taken()], [break_of()], known_us=EPOCH + 22 * S)
    assert names(later)[: len(names(spliced))] == names(spliced)
    assert names(later)[len(names(spliced))] == "a/0"


def test_marks_tell_what_the_list_forgot(origin):
    pods, breaks = [taken()], [break_of()]
    early = made(seen(origin, 32, 12), pods, breaks)
    assert [(one.sequence, one.discontinuities, one.own) for one in early.needed] == [
        (110, 0, False),
        (115, 0, False),
    ]
    marks = {KEY: early.needed}
    assert made(seen(origin, 32, 12), pods, breaks, None, marks).needed == ()
    later = made(seen(origin, 38, 5), pods, breaks, None, marks)
    assert (later.sequence, later.discontinuity_sequence, later.needed) == (114, 1, ())
    # Any moment nearest to the same boundary has the same mark.
    assert [(one.after_us - EPOCH, one.at_us - EPOCH) for one in early.needed] == [
        (19 * S, 21 * S),
        (29 * S, 31 * S),
    ]


def test_what_nobody_remembers_is_reckoned_and_kept(origin):
    """Another rendition's marks tell the discontinuities, the pace of the list the numbers."""
    pods, breaks = [taken((("a", 10 * S), ("b", 6 * S)))], [break_of(None, 16 * S)]
    there = {"other": (Mark(AT + S, 7000, 5, AT - S),)}
    spliced = made(seen(origin, 34, 3), pods, breaks, None, there)
    assert names(spliced) == ["a/4", "b/0", "b/1"]
    assert (spliced.sequence, spliced.discontinuity_sequence) == (114, 6)
    assert [one.sequence for one in spliced.needed] == [110]
    kept = {KEY: spliced.needed}
    assert made(seen(origin, 34, 3), pods, breaks, None, kept).sequence == 114


def test_addresses_of_ads_may_be_the_sessions_own(origin):
    one = taken((("a", 10 * S),), slate_us=4 * S)
    spliced = made(
        seen(origin, 36, 10),
        [one],
        [break_of(None, 14 * S)],
        address=lambda which, position, segment: f"/ad/{which.id[:4]}-{position}-{segment}",
    )
    uris = [row.uri for row in read(spliced.text).rows]
    assert uris[2:7] == [f"/ad/slot-0-{n}" for n in range(5)]
    assert uris[7].startswith("https://ads.example/slate")


def numbers(shifts):
    """Without what the next pod is told."""
    return {key: (one.sequence, one.discontinuities, one.upto_us) for key, one in shifts.items()}


def test_the_segment_between_two_pods_stays_when_the_first_is_gone():
    """In long segments both would cut at 64 s; one segment stands between them in any case."""
    text = Origin("text", 4 * S, 200 * S, first=100)
    first = pod("slot:1", EPOCH + 42 * S, (("a", 21_500_000),))
    second = pod("slot:2", EPOCH + 66 * S, (("b", 16 * S),))
    lists = ads(segment_us=4 * S, rendition="text", a=21_500_000, b=16 * S)
    marks, context = {}, Context(0, pods=(first, second), shifts={KEY: Shift()})
    for at in range(40, 140, 4):
        content = seen(text, at, 6)
        shift = context.shifts[KEY]
        spliced = made(content, context.pods, lists=lists, marks=marks, shift=shift)
        marks[KEY] = (*marks.get(KEY, ()), *spliced.needed)
        before = made(content, context.pods, lists=lists, marks=marks, shift=shift)
        context = splice.fold(context, content, (), lists, marks, key=KEY)
        after = made(content, context.pods, lists=lists, marks=marks, shift=context.shifts[KEY])
        assert after == before
    assert context.pods == ()


def test_what_is_gone_becomes_a_shift(origin):
    lists = ads(segment_us=1_000_000, a=10 * S)
    pods, breaks, marks = (taken(),), [break_of()], {}
    marks[KEY] = made(seen(origin, 32, 12), pods, breaks, lists).needed
    context = Context(0, pods=pods, shifts={KEY: Shift(), "other": Shift(3)})

    def folded(at, context):
        return splice.fold(context, seen(origin, at, 4), breaks, lists, marks, key=KEY)

    assert folded(57, context) is context
    assert not splice.gone(pods[0], breaks, seen(origin, 57, 4))
    after = folded(58, context)
    assert splice.gone(pods[0], breaks, seen(origin, 58, 4))
    # 10 ad segments for 5, two discontinuities; the other rendition has not counted it yet.
    assert numbers(after.shifts) == {KEY: (5, 2, AT + 1), "other": (3, 0, 0)}
    assert [one.id for one in after.pods] == [pods[0].id]
    with_pod = made(seen(origin, 58, 4), pods, breaks, lists, marks)
    assert (
        made(seen(origin, 58, 4), after.pods, breaks, lists, marks, shift=after.shifts[KEY])
        == with_pod
    )
    assert folded(60, after) is after
    both = splice.fold(
        after, seen(origin, 60, 4), breaks, lists, {"other": marks[KEY]}, key="other"
    )
    assert numbers(both.shifts)["other"] == (8, 2, AT + 1)
    assert both.pods == ()


def test_a_rendition_that_was_not_asked_for_is_brought_up_to_the_others(origin):
    long = Origin("v", 2 * S, 800 * S, first=100)
    pods, breaks = (taken(),), [break_of()]
    marks = {KEY: made(seen(long, 32, 12), pods, breaks).needed}
    context = Context(0, pods=pods, shifts={KEY: Shift(), "other": Shift(3)})
    after = splice.fold(context, seen(long, 700, 4), breaks, ads(), marks, key=KEY)
    assert after.pods == ()
    assert numbers(after.shifts) == {KEY: (0, 2, AT + 1), "other": (3, 2, AT + 1)}
    assert splice.unseen(after.shifts).discontinuities == 2


def test_a_pod_stays_as_long_as_its_break_is_in_the_list(origin):
    """Or its break would be decided once more."""
    empty = Pod(f"slot:{break_of().id}", AT, decided=True, planned_us=60 * S, at_us=AT, until_us=AT)
    context = Context(0, pods=(empty,), shifts={KEY: Shift()})
    for at, left in ((90, 1), (110, 0)):
        content = seen(origin, at, 4)
        found = splice.fold(context, content, [break_of(None, 60 * S)], {}, {}, key=KEY)
        assert len(found.pods) == left


def test_an_ad_has_begun_where_every_list_will_show_it():
    one = taken((("a", 10 * S), ("b", 6 * S)))
    sure = [len(splice.begun(one, [], AT + at * S, 2)) for at in (0, 1, 2, 11, 12)]
    assert sure == [0, 0, 1, 1, 2]
    back = [break_of(AT + 11 * S, None)]
    assert len(splice.begun(one, back, AT + 60 * S, 2)) == 1


def tags_after(segment_us, pods, breaks=(), tags=(), at=60):
    """Discontinuity numbers of what plays, in a rendition of that segmenting."""
    origin = Origin("v", segment_us, 200 * S, first=100, tags=tags)
    lists = ads(segment_us, a=10 * S, b=6 * S, c=9_100_000)
    content = origin.window(EPOCH + at * S, 80)
    rows = read(made(content, pods, breaks, lists, target_s=2).text).rows
    return [(row.uri.split("/")[2], row.tags) for row in rows if row.tagged], rows[-1].tags


SEGMENTS = (500_000, S, 1_920_000, 2 * S)


def test_a_discontinuity_right_after_a_return_counts_in_every_rendition():
    """Whether a rendition's segments are long or short: some would come back after it."""
    one = pod("slot:x", AT, [("c", 9_100_000)])
    found = {repr(tags_after(length, [one], tags=(30 * S,))) for length in SEGMENTS}
    assert len(found) == 1
    assert tags_after(2 * S, [one], tags=(30 * S,))[1] == 3


def test_content_is_back_at_the_breaks_end_if_ads_are_over_a_moment_before():
    one = taken((("c", 9_100_000),))
    for length in SEGMENTS:
        assert tags_after(length, [one], [break_of()], tags=(30 * S,))[1] == 2
    origin = Origin("v", 500_000, 200 * S, first=100)
    rows = read(made(origin.window(EPOCH + 34 * S, 8), [one], [break_of()]).text).rows
    assert rows[0].at_us == AT + 10 * S


def test_between_two_pods_that_are_apart_every_rendition_has_content():
    apart = [taken(), pod("slot:y", AT + 11 * S, [("b", 6 * S)])]
    found = {repr(tags_after(length, apart)) for length in SEGMENTS}
    assert len(found) == 1
    assert tags_after(2 * S, apart)[1] == 4


def test_an_ad_that_is_longer_here_than_announced_leaves_no_hole(origin):
    pods = [taken((("a", 10 * S), ("b", 6 * S)))]
    spliced = made(seen(origin, 40, 4), pods, [], ads(a=14 * S, b=6 * S))
    assert names(spliced) == ["a/6", "b/0", "b/1", "b/2", "v/118", "v/119"]
    assert spliced.sequence == 116


def test_what_plays_in_a_slot_ends_about_where_the_slot_does(origin):
    film = Placed("slot:film", "https://ads.example/a", AT, 5 * S, announced=False)
    slot = Pod("slot:film", AT, decided=True, at_us=AT, until_us=AT + 5 * S, ads=(film,))
    spliced = made(seen(origin, 34, 12), [slot])
    assert names(spliced) == [*plays(*range(105, 110)), "a/0", "a/1", *plays(*range(112, 117))]
    assert spliced.sequence == 105


def test_what_has_begun_before_an_early_return_is_listed_in_every_rendition(origin):
    """Its first segment may be longer here than the target duration by a little."""
    lists = {"https://ads.example/a": creative("a", 9_600_000, 2_400_000, target_s=2)}
    back = [break_of(AT + 2 * S, None)]
    assert names(made(seen(origin, 24, 3), [taken()], back, lists)) == ["v/109", "a/0", "v/111"]
