"""Markers become breaks: one break is one, whatever tags and lists tell of it."""

from __future__ import annotations

import pytest

from footfall.stream import breaks
from footfall.stream.contract import Break, Cue

S = 1_000_000
T = 1_780_000_000 * S


def out(at, duration=None, elapsed=0.0, event=None):
    length = None if duration is None else round(duration * S)
    return Cue(0, T + round(at * S), True, length, round(elapsed * S), event)


def back(at, event=None):
    return Cue(0, T + round(at * S), False, id=event)


def known(start, duration=None, end=None, trigger="UNK_TRIGGER"):
    at = T + round(start * S)
    return Break(
        f"{at // 1000}:{trigger}",
        at,
        None if duration is None else round(duration * S),
        None if end is None else T + round(end * S),
    )


def test_a_marker_begins_a_break_that_is_named_by_its_start_and_trigger():
    (one,) = breaks.merged((), [out(10, 30, event="42")])
    assert one == Break(f"{(T + 10 * S) // 1000}:42", T + 10 * S, 30 * S)
    assert breaks.merged((), [out(10, 30)])[0].id.endswith(":UNK_TRIGGER")


def cancel(at, event):
    return Cue(0, T + round(at * S), False, id=event, cancels=True)


def test_a_break_that_is_cancelled_before_it_begins_is_none():
    marked = out(30, 20, event="42")
    ahead = breaks.merged((), [marked])
    assert not breaks.is_cancelled(ahead[0])
    (one,) = cancelled = breaks.merged(ahead, [cancel(10, "42"), marked])
    assert breaks.is_cancelled(one)
    assert one.id == ahead[0].id
    # Whoever sees both for the first time comes to the same, and its own marker does not revive it.
    assert breaks.merged((), [cancel(10, "42"), marked]) == cancelled
    assert breaks.merged(cancelled, [cancel(10, "42"), marked, back(50, "42")]) == cancelled


@pytest.mark.parametrize(("at", "event"), [(30.1, "42"), (10, "2"), (10, "43")])
def test_a_break_that_has_begun_and_any_other_one_is_not_cancelled(at, event):
    ahead = breaks.merged((), [out(30, 20, event="42")])
    assert breaks.merged(ahead, [cancel(at, event)]) == ahead


def test_an_event_that_is_marked_anew_after_it_was_cancelled_is_a_break():
    first = breaks.merged((), [out(30, 20, event="42"), cancel(10, "42")])
    both = breaks.merged(first, [cancel(10, "42"), out(60, 20, event="42")])
    assert [breaks.is_cancelled(one) for one in both] == [True, False]


def test_the_markers_of_one_break_are_one_break():
    cues = [
        out(10, 30, event="42"),
        out(10.2),
        out(16, 30, elapsed=6),
        out(22, elapsed=12.3),
        out(28, 30, elapsed=17.5),
    ]
    first = breaks.merged((), cues[:1])
    assert breaks.merged((), cues) == first
    assert breaks.merged(first, cues[2:]) == first


def test_who_joins_within_a_break_finds_its_beginning():
    (one,) = breaks.merged((), [out(22, 30, elapsed=12), out(28, 30, elapsed=18)])
    assert (one.start_us, one.duration_us) == (T + 10 * S, 30 * S)


def test_a_duration_that_comes_later_is_added_and_none_is_changed():
    (one,) = breaks.merged([known(10)], [out(16, 30, elapsed=6)])
    assert one.duration_us == 30 * S
    assert breaks.merged([one], [out(10, 60)]) == (one,)


@pytest.mark.parametrize("end", [25, 40, 41.3])
def test_a_marker_of_return_ends_its_break_once(end):
    (one,) = breaks.merged((), [out(10, 30), back(end)])
    assert one.end_us == T + round(end * S)
    assert breaks.merged([one], [back(end + 1)]) == (one,)


def test_a_return_long_after_the_planned_end_is_of_a_break_that_nobody_saw_begin():
    one = known(10, 30)
    assert breaks.merged([one], [back(90)]) == (one,)
    assert breaks.merged((), [back(10)]) == ()


def test_a_break_without_a_duration_lasts_until_its_return():
    (one,) = breaks.merged((), [out(10), out(16), out(22, elapsed=12)])
    assert breaks.planned_end(one) is None
    (ended,) = breaks.merged([one], [back(25)])
    assert breaks.planned_end(ended) == T + 25 * S


def test_another_id_begins_another_break_where_the_first_has_no_end():
    found = breaks.merged((), [out(10, event="1"), out(40, event="2")])
    assert [one.id.split(":")[1] for one in found] == ["1", "2"]
    assert [one.end_us for one in found] == [T + 40 * S, None]


def test_breaks_that_follow_each_other_at_once_are_two():
    found = breaks.merged((), [out(10, 30, event="1"), out(39.9, 20, event="2")])
    assert [one.start_us for one in found] == [T + 10 * S, T + round(39.9 * S)]
    found = breaks.merged((), [out(10, 30), back(40), out(40, 20)])
    assert [one.end_us for one in found] == [T + 40 * S, None]


def test_after_an_early_return_the_next_break_may_begin_within_the_first_ones_plan():
    found = breaks.merged((), [out(10, 60), back(20), out(30, 30)])
    assert [one.start_us for one in found] == [T + 10 * S, T + 30 * S]
    assert found[0].end_us == T + 20 * S


def test_a_return_ends_the_later_of_two():
    found = breaks.merged([known(10, 30), known(60, 30)], [back(80)])
    assert [one.end_us for one in found] == [None, T + 80 * S]


def test_what_is_long_over_is_forgotten():
    found = breaks.merged([known(0, 10), known(50, 30)], [], forget_before=T + 60 * S)
    assert [one.start_us for one in found] == [T + 50 * S]


def test_lists_of_two_renditions_agree_whoever_comes_first():
    video, audio = [out(10, 30, event="7")], [out(10.04, 30), out(16.01, 30, elapsed=6)]
    seen = breaks.merged((), video)
    assert breaks.merged(seen, audio) == seen
    seen = breaks.merged((), audio)
    assert breaks.merged(seen, video) == seen


def test_a_trigger_cannot_grow_without_bound():
    (one,) = breaks.merged((), [out(10, 30, event="x" * 500)])
    assert len(one.id) < 100
