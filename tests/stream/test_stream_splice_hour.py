"""An hour of a live stream, as several sessions see it through several processes."""

import random

import pytest
from broadcast import TARGET_S, Broadcast, Session
from lists import EPOCH, S

BREAKS = [
    (100 * S, 30 * S, 130 * S),
    (300 * S, 60 * S, 340 * S),  # returns early
    (500 * S, None, 545 * S),
    (700 * S, 30 * S, 730 * S),
    (730 * S, 20 * S, 750 * S),  # at once after the one before
    (900 * S, None, 1000 * S),
    (1100 * S, 20 * S, 1112 * S),
]
TAGS = (100 * S, 130 * S, 320 * S, 545 * S, 900 * S, 950 * S, 1000 * S, 1112 * S)


def watched(cast, sessions, total_us, *, step_us=2 * S, sparing=1, seed=3):
    """Every session asks for a video and the audio, at some age of the origin's lists."""
    chance = random.Random(seed)
    now, turn = EPOCH + 20 * S, 0
    while now < EPOCH + total_us:
        turn += 1
        for one in sessions:
            if now < one.joined_us + 4 * TARGET_S * S:
                continue
            video = "v1" if (now // (70 * S)) % 2 else "v2"
            for rendition in (video, "audio"):
                age = round(chance.choice((0, 0.7, 1.9)) * S)
                one.serve(rendition, now, now - age, every_rule=turn % sparing == 0)
        now += round(step_us * chance.uniform(0.5, 1.5))
    return [(one.wrong[0], len(one.wrong)) for one in sessions if one.wrong]


def audience(cast):
    return [
        Session(cast),
        Session(cast, ads=("c", "d"), slate=True),
        Session(cast, ads=("e", "a"), takes_us=5 * S, slate=True),
        Session(cast, ads=("b",), joined_us=EPOCH + 320 * S),
        Session(cast, ads=("a", "c"), joined_us=EPOCH + 90 * S, preroll=("a", "d")),
        Session(cast, ads=("a",), joined_us=EPOCH + 720 * S, preroll=("b",)),
    ]


def test_every_rule_holds_over_some_minutes():
    cast = Broadcast(BREAKS, 400 * S)
    sessions = [Session(cast), Session(cast, ads=("c", "d"), slate=True)]
    assert watched(cast, sessions, 400 * S) == []
    assert [one.played for one in sessions] == [
        {"content", "a", "b"},
        {"content", "c", "d", "slate"},
    ]


@pytest.mark.slow
def test_every_rule_holds_over_an_hour():
    """Breaks of all kinds, sessions that join at all times, two videos and an audio that is cut
    into segments otherwise, processes that see the origin at several ages."""
    hour = 3600 * S
    breaks = [
        (at + begin, planned, at + end)
        for at in range(0, hour, 1200 * S)
        for begin, planned, end in BREAKS
    ]
    tags = [at + tag for at in range(0, hour, 1200 * S) for tag in TAGS]
    cast = Broadcast(breaks, hour, tags=tags, window=10)
    sessions = audience(cast)
    assert watched(cast, sessions, hour, sparing=2) == []
    assert {"a", "b", "c", "d", "e", "slate"} <= set().union(*(one.played for one in sessions))
    assert all(len(one.context.pods) <= 3 for one in sessions)
    assert sum(one.served for one in sessions) > 15_000


@pytest.mark.slow
def test_every_rule_holds_over_a_dvr_window():
    cast = Broadcast(BREAKS, 1300 * S, window=200, tags=TAGS)
    assert watched(cast, audience(cast), 1300 * S, step_us=10 * S) == []


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_one_alone_who_changes_renditions_sees_no_number_twice(seed):
    """Nobody else leaves marks: a rendition may be asked for first in the middle of a pod."""
    cast = Broadcast(BREAKS, 1200 * S, window=5 + seed)
    one = Session(cast, ads=("e", "b"), slate=seed % 2 == 1)
    assert watched(cast, [one], 1200 * S, seed=seed) == []
