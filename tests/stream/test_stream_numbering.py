"""Discontinuities of origins that do not number them: one count for all renditions and processes."""

from __future__ import annotations

import asyncio

import msgspec
from stream_rig import (
    AUDIO_CALL,
    SOUND,
    UNAVAILABLE,
    VIDEO,
    VIDEO_CALL,
    Live,
    Rig,
    World,
    ad,
    number,
    offer,
    service,
)

from footfall.stream import numbering
from footfall.stream.playlist import parse

S = 1_000_000
NOW = 1_780_000_000 * S
TAG = "#EXT-X-DISCONTINUITY"
SEQUENCE = "#EXT-X-DISCONTINUITY-SEQUENCE"


def media(first, tagged, *, sequence=0, late_us=0):
    """Ten segments of two seconds by their places since the start, tags before some."""
    lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:2", f"{SEQUENCE}:{sequence}"]
    for place in range(first, first + 10):
        lines += [TAG] if place in tagged else []
        lines += ["#EXTINF:2,", f"{place}.ts"]
    found = parse("\n".join([*lines, ""]), "https://o.example.com/v.m3u8")
    base = NOW + first * 2 * S + late_us
    return msgspec.structs.replace(found, starts=[base + start for start in found.starts])


def count(known, *args, **more):
    listed = media(*args, **more)
    known = numbering.advanced(listed, known)
    return known, numbering.counted(listed, known)


def test_a_tag_that_left_counts():
    known, found = count({}, 0, {3})
    assert found == 0
    known, found = count(known, 3, {3, 12})
    assert found == 0
    known, found = count(known, 4, {3, 12})
    assert found == 1
    known, found = count(known, 13, {})
    assert found == 2
    known, found = count(known, 500, {505})
    assert found == 2
    assert count(known, 506, {})[1] == 3


def test_lists_of_other_times_and_renditions_agree():
    known, _ = count({}, 0, {3})
    known, _ = count(known, 4, {13})
    for late_us in (-200_000, 0, 200_000):
        assert [
            count(known, first, {3, 13}, late_us=late_us)[1] for first in (2, 3, 4, 13, 14)
        ] == [0, 0, 1, 1, 2]


def test_what_the_origin_numbers_is_left_as_it_is():
    known, _ = count({}, 0, {3})
    assert count(known, 4, {12}, sequence=7) == (known, 7)


def test_what_is_known_is_written_again_before_it_is_forgotten():
    known, _ = count({}, 0, {3})
    half_a_day = numbering.OLD_US // (2 * S)
    assert count(known, half_a_day, {}) == (known, 1)
    later, found = count(known, half_a_day + 10, {})
    assert later != known
    assert found == count(later, half_a_day + 10, {})[1] == 1


def test_numbers_do_not_go_back_where_the_clock_does():
    known, _ = count({}, 1000, {1003})
    before = count(known, 1004, {})[1]
    found = []
    for first in range(20):
        known, one = count(known, first, {8, 12})
        found.append(one)
    assert found == sorted(found)
    assert (found[0], found[-1]) == (before, before + 2)


# In sessions


class Cut(Live):
    """An origin with discontinuities of its own before some segments, numbered or not."""

    tagged = (3, 9)
    numbered = True

    def publish(self):
        super().publish()
        begin = self.edge - self.window
        for uri in (VIDEO, SOUND):
            lines, place = [], begin
            for line in self.world.texts[uri].splitlines():
                if line.startswith("#EXT-X-PROGRAM-DATE-TIME"):
                    lines += [TAG] * (place in self.tagged)
                    place += 1
                lines.append(line)
                if line.startswith("#EXT-X-MEDIA-SEQUENCE") and self.numbered:
                    lines.append(f"{SEQUENCE}:{sum(one < begin for one in self.tagged)}")
            self.world.texts[uri] = "\n".join([*lines, ""])


def played(*, numbered, processes=1, fault=None):
    """What two renditions of a session are served, refresh by refresh, a break among them."""
    world = World()
    world.offers = [offer(ad("one", 4))]
    rigs = [Rig(world, service("live")) for _ in range(processes)]
    origin = Cut(world, window=6)
    origin.numbered = numbered
    origin.cue_out(6, 4)
    origin.publish()
    found = []

    async def test():
        for step in range(14):
            rig = rigs[step % processes]
            world.journal_fault = fault if step > 2 else None
            texts = [(await rig.get(call)).text for call in (VIDEO_CALL, AUDIO_CALL)]
            found.append(
                [
                    (
                        number(text, "#EXT-X-MEDIA-SEQUENCE"),
                        number(text, SEQUENCE),
                        text.count(f"{TAG}\n"),
                    )
                    for text in texts
                ]
            )
            origin.go_on()

    asyncio.run(test())
    return found


def test_a_session_is_the_same_as_of_an_origin_that_numbers():
    expected = played(numbered=True)
    assert expected[-1][0][1] == 4, "both of the origin's tags and both of the break's have left"
    assert played(numbered=False) == expected
    assert played(numbered=False, processes=3) == expected


def test_while_the_journal_takes_nothing_a_process_goes_on_with_what_it_sees():
    found = played(numbered=False, fault=UNAVAILABLE)
    assert [one[0][1] for one in found] == sorted(one[0][1] for one in found)
