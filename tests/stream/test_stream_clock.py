"""A live origin that dates nothing: one clock for all processes and renditions."""

from __future__ import annotations

import asyncio

import msgspec
from stream_rig import AUDIO_CALL, VIDEO_CALL, Live, Rig, World, ad, offer, segments, service

from footfall.stream import clock
from footfall.stream.contract import Cue
from footfall.stream.playlist import parse

S = 1_000_000
NOW = 1_780_000_000 * S


def media(first, count, seconds=2):
    lines = ["#EXTM3U", f"#EXT-X-TARGETDURATION:{seconds}", f"#EXT-X-MEDIA-SEQUENCE:{first}"]
    for number in range(first, first + count):
        lines += ["#EXT-X-CUE-OUT:8"] if number == 12 else []
        lines += [f"#EXTINF:{seconds},", f"{number}.ts"]
    return parse("\n".join([*lines, ""]), "https://o.example.com/v.m3u8")


def test_the_first_list_that_anybody_sees_ends_now():
    found = clock.anchored(media(5, 10), {}, "r", NOW)
    assert (found.starts[0], found.starts[-1]) == (NOW - 20 * S, NOW)
    assert not found.dated


def test_later_lists_go_on_from_it_by_their_numbers_whatever_the_time_is():
    known = clock.advanced(media(5, 10), {}, "r", NOW)
    later = clock.anchored(media(8, 10), known, "r", NOW + 7 * S)
    assert later.starts[0] == NOW - 14 * S
    # Another process may have seen an older list, or none for a while.
    assert clock.anchored(media(3, 10), known, "r", NOW + 1 * S).starts[-1] == NOW - 4 * S
    assert clock.anchored(media(15, 10), known, "r", NOW + 21 * S).starts[0] == NOW


def test_it_is_written_again_only_when_what_is_known_leaves_soon():
    known = clock.advanced(media(0, 10), {}, "r", NOW)
    assert known == {"r": (9, NOW - 2 * S)}
    assert clock.advanced(media(4, 10), known, "r", NOW + 8 * S) is known
    moved = clock.advanced(media(5, 10), known, "r", NOW + 10 * S)
    assert moved == {"r": (14, NOW + 8 * S)}


def test_another_rendition_begins_its_segments_with_those_of_the_same_number():
    known = clock.advanced(media(0, 10), {}, "r", NOW)
    other = clock.anchored(media(2, 10), known, "q", NOW + 5 * S)
    assert other.starts[0] == NOW - 16 * S


def test_an_origin_that_began_anew_ends_now_again():
    known = clock.advanced(media(500, 10), {}, "r", NOW)
    assert clock.anchored(media(0, 10), known, "r", NOW + 60 * S).starts[-1] == NOW + 60 * S


def test_markers_go_with_the_clock_unless_they_have_a_date():
    one = media(10, 5)
    dated = Cue(0, NOW + 5 * S, True)
    one = msgspec.structs.replace(one, cues=(*one.cues, dated))
    found = clock.anchored(one, {}, "r", NOW)
    assert [cue.at_us for cue in found.cues] == [NOW - 6 * S, NOW + 5 * S]


def test_who_joins_joins_three_target_durations_before_the_edge():
    starts = [round(at * S) for at in (0, 2, 4, 6, 8, 10, 12)]
    assert clock.joining(starts, 2) == 6 * S
    assert clock.joining(starts, 3) == 2 * S
    assert clock.joining(starts, 10) == 0


def test_breaks_of_an_origin_without_dates_are_cut_alike_in_all_processes():
    world = World()
    world.offers = [offer(ad("one", 4))]
    live = Live(world, dated=False)
    rigs = [Rig(world, service()) for _ in range(2)]

    async def test():
        for rig in rigs:
            await rig.get(VIDEO_CALL)
        live.cue_out(15, 4)
        live.go_on(3)
        lists = [
            (await rig.get(target)).text for rig in rigs for target in (VIDEO_CALL, AUDIO_CALL)
        ]
        assert [segments(one)[-4:] for one in lists] == [
            ["v14", "one", "one", "v17"],
            ["a14", "one", "one", "a17"],
        ] * 2
        assert len(world.asked) == 1
        live.go_on(30)
        later = [(await rig.get(VIDEO_CALL)).text for rig in rigs]
        assert later[0] == later[1]

    asyncio.run(test())
