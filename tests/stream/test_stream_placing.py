"""Which ads fit, where each begins, and what fills the rest."""

from __future__ import annotations

import pytest

from footfall.stream import contexts, placing
from footfall.stream.contract import SLATE, Ad, AdBreak, Beacon
from footfall.stream.placing import Candidate, Offered, Room, Slate

S = 1_000_000
T = 1_780_000_000 * S


def ad(name, seconds):
    return Candidate(
        Ad(name, errors=(f"https://e/{name}?[ERRORCODE]",)), f"https://c/{name}", round(seconds * S)
    )


def room(planned=30, *, at=0.0, excess=0, **more):
    return Room(
        "slot:1:X",
        T,
        T + round(at * S),
        None if planned is None else planned * S,
        excess_us=excess * S,
        **more,
    )


def played(placement):
    return [(one.ad_id, (one.start_us - T) / S, one.duration_us / S) for one in placement.pod.ads]


def test_ads_follow_each_other_from_the_breaks_start():
    found = placing.live(room(), Offered((ad("a", 10), ad("b", 19.96))))
    assert played(found) == [("a", 0, 10), ("b", 10, 19.96)]
    pod = found.pod
    assert (pod.decided, pod.start_us, pod.at_us, pod.planned_us) == (True, T, T, 30 * S)
    assert pod.until_us == T + round(29.96 * S)
    assert [one.ad_id for one in found.details.ads] == ["a", "b"]


def test_an_ad_that_does_not_fit_is_left_out_and_a_later_one_may():
    found = placing.live(room(), Offered((ad("a", 20), ad("long", 15), ad("b", 10))))
    assert played(found) == [("a", 0, 20), ("b", 20, 10)]
    (failure,) = found.failures
    assert (failure.code, failure.ad_id) == (202, "long")
    assert failure.urls == ("https://e/long?[ERRORCODE]",)
    assert "15.0 s" in failure.reason
    assert "10.0 s" in failure.reason


def test_ads_may_be_longer_than_their_break_by_what_the_settings_allow():
    offered = Offered((ad("a", 20), ad("b", 11)))
    assert len(played(placing.live(room(excess=0), offered))) == 1
    found = placing.live(room(excess=1), offered)
    assert len(played(found)) == 2
    assert found.pod.until_us == T + 31 * S


def test_who_joins_within_a_break_gets_ads_for_the_rest_of_it():
    found = placing.live(room(at=12), Offered((ad("a", 20), ad("b", 15))))
    assert played(found) == [("b", 12, 15)]
    assert (found.pod.start_us, found.pod.at_us) == (T, T + 12 * S)


def test_nothing_is_placed_when_the_break_is_over():
    found = placing.live(room(at=40), Offered((ad("a", 5),)), Slate("https://c/s", S))
    assert played(found) == []
    assert (found.pod.at_us, found.pod.until_us) == (T + 40 * S, T + 40 * S)
    assert len(found.failures) == 1


def test_a_spare_ad_takes_the_place_of_one_that_cannot_be_played():
    offered = Offered((ad("a", 10), None, ad("long", 25), ad("b", 5)), (ad("s", 8), ad("t", 6)))
    found = placing.live(room(), offered)
    assert [one[0] for one in played(found)] == ["a", "s", "t", "b"]
    assert [one.ad_id for one in found.failures] == ["long"]


def test_a_spare_ad_is_played_only_in_the_place_of_another():
    found = placing.live(room(), Offered((ad("a", 10),), (ad("s", 8),)))
    assert [one[0] for one in played(found)] == ["a"]


@pytest.mark.parametrize(
    ("seconds", "first", "filled"), [(27, 1, 3), (28, 2, 2), (28.5, 1, None), (27, 4, None)]
)
def test_the_slate_fills_what_is_left_if_it_is_worth_it(seconds, first, filled):
    found = placing.live(room(), Offered((ad("a", seconds),)), Slate("https://c/s", first * S))
    last = played(found)[-1]
    if filled is None:
        assert last[0] == "a"
        assert found.pod.until_us == T + round(seconds * S)
    else:
        assert last == (SLATE, seconds, filled)
        assert found.pod.until_us == T + 30 * S
    assert len(found.details.ads) == len(found.pod.ads)


def test_a_break_without_ads_is_filled_by_the_slate_and_without_a_slate_by_the_original():
    found = placing.live(room(), Offered(), Slate("https://c/s", S))
    assert played(found) == [(SLATE, 0, 30)]
    empty = placing.live(room(), Offered()).pod
    assert (empty.ads, empty.until_us) == ((), empty.at_us)


def test_a_break_of_unknown_length_takes_what_is_offered():
    offered = Offered((ad("a", 100), ad("b", 200)))
    found = placing.live(room(None), offered)
    assert played(found) == [("a", 0, 100), ("b", 100, 200)]
    slated = placing.live(room(None), offered, Slate("https://c/s", S)).pod
    assert slated.ads[-1].ad_id == SLATE
    assert not slated.ads[-1].announced
    assert slated.until_us == slated.ads[-1].start_us + placing.LONGEST_SLATE_US


def test_a_breaks_beacons_are_owed_where_an_ad_is_played():
    around, slate = (Beacon("breakStart", "u"),), Slate("https://c/s", S)
    assert placing.live(room(), Offered((ad("a", 10),)), slate, around).details.beacons == around
    assert placing.live(room(), Offered(), slate, around).details.beacons == ()


def test_a_preroll_is_limited_and_has_no_slate():
    found = placing.live(
        room(None, limit_us=30 * S), Offered((ad("a", 20), ad("b", 20))), Slate("https://c/s", S)
    )
    assert played(found) == [("a", 0, 20)]
    assert found.pod.planned_us is None


BOUNDARIES = [round(each * 2 * S) for each in range(31)]


def vod(*breaks):
    return placing.vod(
        [
            (round(at * S), AdBreak("", name, beacons=(Beacon("breakStart", "u"),)), Offered(ads))
            for at, name, *ads in breaks
        ],
        BOUNDARIES,
    )


def test_breaks_are_inserted_at_the_nearest_boundary_and_shift_what_comes_after():
    found = vod(
        (0, "pre", ad("a", 10)), (20.9, "mid", ad("b", 5), ad("c", 5)), (60, "post", ad("d", 3))
    )
    cuts = [(one.pod.id, one.pod.at_us / S, one.pod.start_us / S) for one in found]
    assert cuts == [("pre", 0, 0), ("mid", 20, 30), ("post", 60, 80)]
    assert [one.start_us / S for one in found[1].pod.ads] == [30, 35]
    assert all(one.pod.until_us == one.pod.at_us for one in found)
    assert found[0].details.beacons == (Beacon("breakStart", "u"),)


def test_two_breaks_at_one_place_follow_each_other_in_their_order():
    found = vod((20, "one", ad("a", 10)), (20.4, "two", ad("b", 5)))
    assert [(one.pod.at_us / S, one.pod.start_us / S) for one in found] == [(20, 20), (20, 30)]
    assert [one.id for one in contexts.ordered([found[1].pod, found[0].pod])] == ["one", "two"]


def test_every_pod_has_an_id_of_its_own():
    found = vod((0, ""), (20, "mid", ad("a", 10)), (40, "mid"), (40, ""), (40, "mid-2"))
    assert [one.pod.id for one in found] == ["slot:0", "mid", "mid-2", "slot:50000", "mid-2-2"]


def test_a_break_without_ads_inserts_nothing():
    empty, after = vod((0, "pre"), (20, "mid", ad("a", 10)))
    assert (empty.pod.ads, after.pod.start_us) == ((), 20 * S)


@pytest.mark.parametrize(
    ("at", "expected"), [(-5, 0), (0.9, 0), (1, 0), (1.1, 2), (59.5, 60), (99, 60)]
)
def test_the_nearest_boundary(at, expected):
    assert placing.nearest(round(at * S), BOUNDARIES) == expected * S
