"""A channel's loop: the same numbers for the same segments at every moment, in every process."""

from __future__ import annotations

import m3u8
import pytest
from hypothesis import given
from hypothesis import strategies as st

from footfall.stream.channel import WINDOW_US, loop, window
from footfall.stream.playlist import parse

SECOND = 1_000_000
NOW = 1_790_000_000 * SECOND


def asset(name, *durations, head="", before=None):
    """A finished list; `before`: lines before a segment, by its index."""
    text = f"#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:{round(max(durations))}\n{head}"
    for index, duration in enumerate(durations):
        text += (before or {}).get(index, "") + f"#EXTINF:{duration},\n{index}.ts\n"
    return parse(text + "#EXT-X-ENDLIST\n", f"https://origin.example/{name}/v.m3u8")


A = asset("a", 2, 2, 2, 1.5)
B = asset("b", 4, 3, before={1: "#EXT-X-DISCONTINUITY\n"})
TURN = loop("https://footfall.example/v.m3u8", [A, B], [7_500_000, 7_000_000])


def test_a_turn_is_its_assets_one_after_another():
    found = window(TURN, NOW)
    assert found.target_s == 4
    assert not found.ended
    names = [chunk.rsplit("/", 2)[-2:] for chunk in found.chunks]
    order = [("a", 0), ("a", 1), ("a", 2), ("a", 3), ("b", 0), ("b", 1)]
    place = order.index((names[0][0], int(names[0][1].split(".")[0])))
    for index, (name, file) in enumerate(names):
        assert (name, int(file.split(".")[0])) == order[(place + index) % len(order)]


@given(st.integers(0, 200_000_000), st.integers(0, 30_000_000))
def test_segments_keep_number_time_and_discontinuity_as_the_window_moves(start, later):
    one, two = window(TURN, NOW + start), window(TURN, NOW + start + later)
    seen = [{}, {}]
    for found, kept in zip((one, two), seen, strict=True):
        discontinuity = found.discontinuity_sequence
        for index, chunk in enumerate(found.plain):
            discontinuity += index in found.discontinuities
            kept[found.sequence + index] = (found.starts[index], chunk, discontinuity)
    shared = seen[0].keys() & seen[1].keys()
    # The number is of what follows a tag: a first segment's own is listed, and not yet counted.
    assert shared or later > WINDOW_US - 10 * SECOND
    assert all(seen[0][number] == seen[1][number] for number in shared)
    assert two.sequence >= one.sequence
    assert two.discontinuity_sequence >= one.discontinuity_sequence


def test_discontinuities_are_counted_from_not_long_ago():
    since_2026 = NOW - 1_767_225_600 * SECOND
    assert 0 < window(TURN, NOW).discontinuity_sequence <= since_2026 // TURN.lasts_us * 3
    assert window(TURN, 1_700_000_000 * SECOND).discontinuity_sequence >= 0


@given(st.integers(0, 200_000_000))
def test_it_lists_what_is_over_and_goes_back_as_far_as_it_says(moment):
    now = NOW + moment
    found = window(TURN, now)
    assert found.starts[-1] <= now < found.starts[-1] + 5 * SECOND
    assert now - WINDOW_US <= found.starts[0] < now - WINDOW_US + 5 * SECOND


def test_the_text_is_a_live_playlist_to_others_too():
    found = window(TURN, NOW)
    head = f"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:{found.sequence}\n"
    read = m3u8.loads(head + "".join(found.chunks))
    assert [one.duration for one in read.segments] == [d / SECOND for d in found.durations]
    dated = [one for one in read.segments if one.program_date_time]
    assert len(dated) >= len(found.discontinuities)
    assert [i for i, one in enumerate(read.segments) if one.discontinuity] == list(
        found.discontinuities
    )
    for index, one in enumerate(read.segments):
        if one.program_date_time:
            assert round(one.program_date_time.timestamp() * SECOND) == found.starts[index]


def test_a_rendition_that_lasts_longer_begins_each_asset_with_the_others():
    sound = asset("s", 1.96, 2.006, 2.02, 1.52, 0.02)
    turn = loop("u", [sound, sound], [7_500_000, 7_500_000])
    assert len(turn.plain) == 8, "the crumb that begins after the asset's end is left out"
    assert turn.starts[4] == 7_500_000


def test_maps_and_keys_are_said_again_at_each_asset_and_hold_at_a_windows_begin():
    key = '#EXT-X-KEY:METHOD=AES-128,URI="https://k.example/1",IV=0x01\n'
    locked = asset("l", 2, 2, before={0: key + '#EXT-X-MAP:URI="i.mp4"\n'})
    clear = asset("c", 2, 2, before={0: '#EXT-X-MAP:URI="j.mp4"\n'})
    turn = loop("u", [locked, clear], [4_000_000, 4_000_000])
    for step in range(8):
        found = window(turn, NOW + step * SECOND)
        assert found.keys[0][0] == found.maps[0][0] == 0
        at = {}
        for column in ("keys", "maps"):
            changes = dict(getattr(found, column))
            for index in range(len(found)):
                at.setdefault(index, {})[column] = changes.get(index) or at[index - 1][column]
        for index, chunk in enumerate(found.plain):
            is_clear = "/c/" in chunk
            assert ("METHOD=NONE" in at[index]["keys"]) is is_clear
            assert ("j.mp4" in at[index]["maps"]) is is_clear


@given(st.integers(0, 40_000_000))
def test_a_list_begins_with_the_key_and_the_map_in_force(moment):
    key = '#EXT-X-KEY:METHOD=AES-128,URI="https://k.example/1"\n'
    mapped = asset("m", 2, 2, 2, before={0: f'{key}#EXT-X-MAP:URI="init.mp4"\n'})
    found = window(loop("https://f.example/v.m3u8", [mapped], [6_000_000]), NOW + moment)
    chunk = found.chunks[0]
    assert chunk.count("#EXT-X-MAP:") == chunk.count("#EXT-X-KEY:") == 1
    assert chunk.index("#EXT-X-KEY:") < chunk.index("#EXT-X-MAP:") < chunk.index("#EXTINF:")


def test_nothing_to_play_is_said():
    with pytest.raises(ValueError, match="no segments"):
        loop("u", [], [])
