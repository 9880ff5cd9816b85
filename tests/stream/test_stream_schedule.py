"""A channel's slots: read, set, kept once begun, and what they come to."""

from __future__ import annotations

import pytest

from footfall.settings import Slot
from footfall.stream import schedule
from footfall.stream.contract import Break
from footfall.stream.schedule import Planned, SlotNotValid, SlotStands

SECOND = 1_000_000
START = 1_795_284_000
"""2026-11-21T18:00:00Z"""
NOW = (START - 60) * SECOND
GIVEN = {"type": "ad-break", "start": "2026-11-21T18:00:00Z", "duration": 30}
BREAK = Planned("b", "ad-break", START * SECOND, (START + 30) * SECOND)
SHOW = Planned("s", "content", (START + 30) * SECOND, (START + 90) * SECOND, "https://a/m.m3u8")


def test_a_slot_is_told_as_it_was_set():
    assert schedule.slot("b", GIVEN) == BREAK
    told = SHOW.told()
    assert told == {
        "id": "s", "type": "content", "start": "2026-11-21T18:00:30Z",
        "end": "2026-11-21T18:01:30Z", "duration": 60, "replacement": "https://a/m.m3u8",
    }  # fmt: skip
    del told["duration"]
    assert schedule.slot("s", told) == SHOW
    assert schedule.read(schedule.write([BREAK, SHOW])) == [BREAK, SHOW]
    assert schedule.read(None) == []


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"type": "film"}, "type must be"),
        ({"type": None}, "type must be"),
        ({"start": "six o'clock"}, "start must be a moment"),
        ({"start": 5}, "start must be a moment"),
        ({"start": "2026-11-21T18:00:00"}, "start must be a moment"),
        ({"start": "9999-12-31T23:59:59Z"}, "before the year 9999"),
        ({"end": "2026-11-21T18:01:00Z"}, "Exactly one"),
        ({"duration": 0}, "from 1 to"),
        ({"duration": True}, "number of seconds"),
        ({"duration": 90_000}, "from 1 to"),
        ({"replacement": "https://a/m.m3u8"}, "content only"),
        ({"type": "content"}, "replacement must be"),
        ({"stop": 3}, '"stop" is not known'),
    ],
)
def test_what_is_wrong_with_a_slot_is_said(changed, said):
    with pytest.raises(SlotNotValid, match=said):
        schedule.slot("b", GIVEN | changed)


def test_an_end_must_come_after_its_start():
    given = {"type": "ad-break", "start": GIVEN["start"], "end": GIVEN["start"]}
    with pytest.raises(SlotNotValid, match="from 1 to"):
        schedule.slot("b", given)


@pytest.mark.parametrize("slot_id", ["", "a/b", "..", "x" * 65, "ä"])
def test_ids_are_names(slot_id):
    with pytest.raises(SlotNotValid, match="id is 1 to 64"):
        schedule.slot(slot_id, GIVEN)


def test_slots_are_set_in_order_and_do_not_overlap():
    slots = schedule.with_slot([SHOW], BREAK, NOW)
    assert slots == [BREAK, SHOW]
    assert schedule.with_slot(slots, BREAK, NOW) == slots
    later = Planned("b", "ad-break", BREAK.start_us, BREAK.end_us + SECOND)
    with pytest.raises(SlotNotValid, match='overlaps slot "s"'):
        schedule.with_slot(slots, later, NOW)
    moved = Planned("b", "ad-break", SHOW.end_us, SHOW.end_us + SECOND)
    assert schedule.with_slot(slots, moved, NOW) == [SHOW, moved]


def test_a_slot_that_has_begun_stands():
    slots = [BREAK, SHOW]
    during = BREAK.start_us
    assert schedule.with_slot(slots, BREAK, during) == slots
    for begun in (
        lambda: schedule.without(slots, "b", during),
        lambda: schedule.with_slot(slots, Planned("b", "ad-break", NOW * 2, NOW * 2 + 1), during),
        lambda: schedule.with_slot([], BREAK, during),
    ):
        with pytest.raises(SlotStands):
            begun()
    assert schedule.without(slots, "s", during) == [BREAK]
    with pytest.raises(KeyError):
        schedule.without(slots, "x", during)


def test_slots_that_are_long_over_are_let_go_with_the_next():
    late = Planned("l", "ad-break", NOW + 10**12, NOW + 10**12 + SECOND)
    assert schedule.with_slot([BREAK], late, NOW + 10**12 - SECOND) == [late]


def test_the_settings_slots_are_slots():
    one = Slot(id="b", kind="ad-break", start=GIVEN["start"], duration_seconds=30)
    assert schedule.of_settings([one]) == [BREAK]


def test_ad_breaks_are_breaks_and_content_is_a_pod_of_everybody():
    assert schedule.breaks([SHOW, BREAK]) == (Break(f"{START}000:b", START * SECOND, 30 * SECOND),)
    (pod,) = schedule.pods([BREAK, SHOW], {SHOW.replacement: 600 * SECOND})
    assert (pod.at_us, pod.until_us, pod.decided) == (SHOW.start_us, SHOW.end_us, True)
    assert [(p.creative, p.start_us, p.duration_us) for p in pod.ads] == [
        (SHOW.replacement, SHOW.start_us, 60 * SECOND)
    ]
    (short,) = schedule.pods([SHOW], {SHOW.replacement: 20 * SECOND})
    assert short.until_us == SHOW.start_us + 20 * SECOND, "then the loop plays on"
    assert schedule.pods([SHOW], {}) == ()
