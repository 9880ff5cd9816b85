"""Properties of the fold, over sessions that nobody would write down."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from timelines import Journal, closing, event, fold_all

from footfall.project.media import Fold
from footfall.project.media_checkpoint import changed
from footfall.project.media_session import SECOND
from footfall.project.media_terms import KINDS

SENT = [kind for kind in KINDS if kind not in ("sessionStart", "sessionEnd", "close")]
NAMES = ("mute", "Mute", "fullScreen")
WHAT = {
    "stateStart": lambda n: {"media.state.name": NAMES[n % 3]},
    "stateEnd": lambda n: {"media.state.name": NAMES[n % 3]},
    "statesUpdate": lambda n: {"statesStart": [{"media.state.name": NAMES[n % 3]}]},
    "bitrateChange": lambda n: {"qoeData": {"bitrate": 1000 * n}},
    "error": lambda n: {"qoeData": {"errorID": str(n), "errorSource": "external"}},
}
ONE = st.tuples(
    st.sampled_from(SENT),
    st.sampled_from([0, 0, 1, 2.5, 10, 10, 10, 59, 601]),  # seconds since the one before
    st.sampled_from([0, 0, 1, 10, 10, 25, -30, 500]),  # what the playhead moved
    st.integers(0, 5),
)
SESSION = st.lists(ONE, max_size=40)


def made(steps, sid="s", *, distinct=False):
    """Events of one session, in order."""
    events, at, playhead = [event(0, 0, "sessionStart", sid=sid)], 0.0, 0.0
    for kind, passed, moved, n in steps:
        at += max(passed, 0.001) if distinct else passed
        playhead = max(0, playhead + moved)
        what = WHAT[kind](n) if kind in WHAT else None
        events.append(event(at, playhead, kind, what, sid=sid))
    return events


@st.composite
def journals(draw):
    """Up to three sessions in records of any size, closed or not, at any pace."""
    every = [made(draw(SESSION), f"s{n}") for n in range(draw(st.integers(1, 3)))]
    journal, at = Journal(), 0.0
    while any(every):
        group, changes = [], []
        for events in every:
            take = draw(st.integers(0, 6)) if len(events) > 1 else 1
            took, events[:] = events[:take], events[take:]
            group += took
            if took and not events and draw(st.booleans()):
                last = took[-1]
                changes.append(closing(last.occurred_at, "idle", sid=last.session_id))
        at += draw(st.sampled_from([0, 1, 4, 6, 40]))
        journal.add(at, draw(st.permutations(group)) if draw(st.booleans()) else group, changes)
    journal.ticks(at + 1, at + draw(st.integers(0, 12)))
    return journal.records


def by_id(rows):
    return {each.session["session_id"]: each for each in rows}


def everything(fold, finished):
    return finished, list(fold.open_rows()), fold.due(), fold.clock, fold.position


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(journals(), st.data())
def test_going_on_from_a_checkpoint_gives_the_same(records, data):
    whole = everything(*fold_all(records))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(records)), max_size=4)))
    fold, finished, stored, begin = Fold(), [], {}, 0
    for cut in [*cuts, len(records)]:
        fold, more = fold_all(records[begin:cut], fold)
        finished += more
        snapshot = fold.snapshot()
        stored = changed(snapshot, stored)
        fold = Fold.restore(snapshot.fold, stored.values())
        assert len(fold) == len(stored)
        begin = max(0, cut - data.draw(st.integers(0, 2)))  # read a little of it again
    found = everything(fold, finished)
    assert found[0] == whole[0]
    assert by_id(found[1]) == by_id(whole[1])
    assert sorted(d.session_id for d in found[2]) == sorted(d.session_id for d in whole[2])
    assert found[3:] == whole[3:]


@settings(max_examples=30, deadline=None)
@given(journals())
def test_replaying_twice_gives_the_same(records):
    assert everything(*fold_all(records)) == everything(*fold_all(records))


@settings(max_examples=60, deadline=None)
@given(SESSION, st.data())
def test_order_of_arrival_within_the_window_does_not_matter(steps, data):
    start, *events = made(steps, distinct=True)
    straight, shuffled = Journal(), Journal()
    for journal in (straight, shuffled):
        journal.add(0, [start])
    at = 0
    while events:
        size = data.draw(st.integers(1, 9))
        group, events = events[:size], events[size:]
        at += 6
        straight.add(at, group)
        mixed = data.draw(st.permutations(group))
        # Some of them a little later, in a record of their own.
        first = data.draw(st.integers(0, len(mixed)))
        shuffled.add(at, mixed[:first])
        shuffled.add(at + 4, mixed[first:])
        at += 4
    assert [*fold_all(straight.records)[0].open_rows()] == [
        *fold_all(shuffled.records)[0].open_rows()
    ]


@settings(max_examples=100, deadline=None)
@given(SESSION)
def test_times_never_exceed_the_wall_clock_and_parts_never_their_whole(steps):
    events = made(steps)
    journal = Journal()
    journal.play(events)
    (rows,) = fold_all(journal.records)[0].open_rows()
    row = rows.session
    names = ("content_time_spent_s", "ad_time_spent_s", "pause_time_s", "buffer_time_s")
    times = [row[name] for name in (*names, "stall_time_s")]
    in_ads = sum(ad["pause_time_s"] + ad["buffer_time_s"] for ad in rows.ads)
    wall = (events[-1].occurred_at - events[0].occurred_at) / SECOND
    assert all(time >= 0 for time in times)
    assert sum(times) + in_ads <= wall + 1e-6
    assert sum(ad["ad_time_spent_s"] for ad in rows.ads) == pytest.approx(row["ad_time_spent_s"])
    chapters = [chapter["chapter_time_spent_s"] for chapter in rows.chapters]
    assert all(time >= 0 for time in chapters)
    assert sum(chapters) <= row["content_time_spent_s"] + 1e-6
    assert row["unique_time_played_s"] <= 2 * row["content_time_spent_s"] + 1e-6
    assert all(state["time_s"] <= wall + 1e-6 for state in rows.states)
    average = row["bitrate_average_kbps"]
    assert average is None or 0 < average <= 5
    minutes = row["active_minutes"]
    assert all(first <= last for first, last in minutes)
    assert all(a[1] + 1 < b[0] for a, b in pairwise(minutes))
    assert row["events"] == len(events)
    assert len(rows.ads) == row["ad_starts"]


@settings(max_examples=60, deadline=None)
@given(SESSION)
def test_a_row_is_final_with_the_close(steps):
    """What the metrics are while it is open, they are when it closes; only what is open ends."""
    events = made(steps)
    journal = Journal()
    journal.play(events)
    fold, _ = fold_all(journal.records)
    (live,) = fold.open_rows()
    last = max(each.occurred_at for each in events)
    journal.add(10_000_000, (), [closing(last, "idle", sid="s")])
    journal.add(10_000_006)
    _, (done,) = fold_all(journal.records)
    final = done.rows
    for name in live.session:
        if name.endswith(("_s", "_events", "_starts", "_markers", "_completes")):
            if name != "since_last_call_s":
                assert final.session[name] == live.session[name], name
    assert not any(ad["state"] == "open" for ad in final.ads)
    assert not any(chapter["state"] == "open" for chapter in final.chapters)
    assert not any(state["active"] for state in final.states)
    assert (final.session["state"], final.session["playback"]) == ("closed", "closed")
