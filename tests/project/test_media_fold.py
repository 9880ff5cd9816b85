"""The fold over the journal: order, clock, closings, time-outs, checkpoints."""

import msgspec
import pytest
from timelines import SID, START, Journal, closing, event, fold_all, timeline

from footfall.journal.contract import Change, Position, Record
from footfall.model import Event, MediaSession, media_key
from footfall.project.media import Fold
from footfall.project.media_checkpoint import changed
from footfall.project.media_session import SECOND, Limits

PLAY = timeline("0 0 sessionStart\n0 0 play")


def arrived(*groups):
    """Groups of (arrival, text), each one record; the fold after them."""
    journal = Journal()
    for at, text in groups:
        events = timeline(text) if isinstance(text, str) else text
        changes = [closing(e.occurred_at) for e in events if e.type == "sessionEnd"]
        journal.add(at, events, changes)
    return fold_all(journal.records)


def row_of(fold):
    return fold.rows("tv", SID).session


# Order.


def test_events_out_of_order_within_the_window_are_put_in_order():
    fold, _ = arrived(
        (0, "0 0 sessionStart\n0 0 play"), (11, "10 10 ping"), (12, "8 8 play\n5 5 pauseStart")
    )
    row = row_of(fold)
    assert (row["pause_time_s"], row["content_time_spent_s"], row["late_events"]) == (3, 7, 0)


def test_what_comes_after_the_window_is_applied_at_once_and_marked_late():
    fold, _ = arrived(
        (0, "0 0 sessionStart\n0 0 play"), (11, "10 10 ping"), (17, "20 20 ping"),
        (18, "5 5 pauseStart"), (19, "30 20 play"),
    )  # fmt: skip
    row = row_of(fold)
    # The late pause begins where the session is then, at 10; no time is taken back.
    assert (row["content_time_spent_s"], row["pause_time_s"], row["late_events"]) == (10, 20, 1)
    (told,) = row["account"]["last"]
    assert (told["type"], told["late"], told["reason"]) == ("pauseStart", True, None)


def test_of_two_that_wait_both_are_ripe_after_the_window():
    fold, _ = arrived((0, PLAY), (1, "20 20 ping\n10 10 ping"), (7, "15 15 ping"))
    assert row_of(fold)["late_events"] == 1
    fold, _ = arrived((0, PLAY), (1, "20 20 ping\n10 10 ping"), (5.9, "15 15 ping"))
    assert row_of(fold)["late_events"] == 0


def test_a_late_event_leaves_playhead_and_quality_alone():
    late = [event(5, 5, "ping", {"qoeData": {"bitrate": 1}}), event(6, 90, "ping")]
    fold, _ = arrived((0, PLAY), (11, "10 10 ping"), (21, "20 20 ping"), (26, late))
    row = row_of(fold)
    assert (row["late_events"], row["playhead_s"], row["unique_time_played_s"]) == (2, 20, 20)
    assert (row["progress_markers"], row["bitrate_average_kbps"]) == ([10], None)


def test_the_first_of_ten_that_wait_is_applied():
    events = [event(n, n, "ping") for n in range(10, 19)]
    fold, _ = arrived((0, PLAY), (20, [*events, event(9, 9, "ping"), event(9.5, 9.5, "ping")]))
    assert row_of(fold)["late_events"] == 0
    fold, _ = arrived((0, PLAY), (20, [*events, event(19, 19, "ping"), event(9, 9, "ping")]))
    assert row_of(fold)["late_events"] == 1


def test_reading_metrics_includes_what_is_held_back_and_applies_nothing():
    fold, _ = arrived((0, PLAY), (10, "10 10 ping"))
    before = fold.snapshot(whole=True)
    assert row_of(fold)["content_time_spent_s"] == 10
    assert [rows.session["content_time_spent_s"] for rows in fold.open_rows()] == [10]
    assert fold.snapshot(whole=True) == before


@pytest.mark.parametrize("backwards", [False, True])
def test_events_of_one_time_are_applied_in_their_logical_order(backwards):
    text = "0 0 sessionStart"
    same = timeline("""
        10 0 adBreakStart
        10 0 adStart
        10 0 play
        20 0 adComplete
        20 0 adBreakComplete
        20 0 play
        30 10 sessionComplete
        30 10 sessionEnd
    """)
    fold, _ = arrived((0, text), (31, list(reversed(same)) if backwards else same))
    rows = fold.rows("tv", SID)
    row = rows.session
    assert (row["ad_completes"], row["ad_time_spent_s"], row["content_time_spent_s"]) == (1, 10, 10)
    assert (row["content_complete"], row["ignored_events"]) == (True, 1)
    assert row["account"]["ignored"] == {"repeated": 1}


def counted(text):
    fold, _ = arrived((0, "0 0 sessionStart\n0 0 play"), (60, text))
    rows = fold.rows("tv", SID)
    assert rows.session["ignored_events"] == 0, rows.session["account"]
    return rows.session["ad_breaks"], [(ad["state"], ad["ad_time_spent_s"]) for ad in rows.ads]


def test_an_ad_of_no_length_is_complete():
    text = "5 5 adBreakStart\n6 5 adStart\n6 5 adComplete\n9 5 adBreakComplete"
    assert counted(text) == (1, [("complete", 0)])


def test_a_break_of_no_length_is_a_break():
    text = "5 5 adBreakStart\n5 5 adStart\n5 5 adComplete\n5 5 adBreakComplete\n9 9 ping"
    assert counted(text) == (1, [("complete", 0)])
    assert counted("5 5 adBreakStart\n5 5 adBreakComplete\n9 9 ping") == (1, [])


def test_the_last_ad_of_a_break_has_no_length():
    text = """
        5 5 adBreakStart
        5 5 adStart
        9 5 adComplete
        9 5 adStart
        9 5 adSkip
        9 5 adBreakComplete
        12 8 ping
    """
    assert counted(text) == (1, [("complete", 4), ("skipped", 0)])


def test_two_ads_of_no_length_each_have_their_own_end():
    text = """
        5 5 adBreakStart
        5 5 adStart
        5 5 adComplete
        5 5 adStart
        5 5 adSkip
        5 5 adBreakComplete
        9 9 ping
    """
    assert counted(text) == (1, [("complete", 0), ("skipped", 0)])


def test_a_break_follows_a_break_with_an_ad_of_no_length():
    text = """
        5 5 adBreakStart
        5 5 adStart
        9 5 adComplete
        9 5 adBreakComplete
        9 5 adBreakStart
        9 5 adStart
        9 5 adComplete
        9 5 adBreakComplete
        12 8 ping
    """
    assert counted(text) == (2, [("complete", 4), ("complete", 0)])


# The clock.


def test_the_clock_counts_each_gap_as_fifteen_seconds_at_most():
    journal = Journal()
    for at in (0, 5, 25, 3600):
        journal.add(at)
    fold, _ = fold_all(journal.records)
    assert fold.clock == (5 + 15 + 15) * SECOND


def test_a_downtime_closes_nothing_and_idleness_does():
    journal = Journal()
    journal.add(0, PLAY)
    journal.add(7200)
    fold, _ = fold_all(journal.records)
    assert fold.due() == []
    rest = Journal()
    rest.records = [(Position(0, 10_000), Record(START + 7200 * SECOND))]
    rest.records += [
        (Position(0, 10_000 + n), Record(START + (7200 + 5 * n) * SECOND)) for n in range(1, 117)
    ]
    fold, _ = fold_all(rest.records, fold)
    assert fold.due() == [], "15 s and 580 s"
    fold.take(Position(0, 20_000), Record(START + 7785 * SECOND))
    (due,) = fold.due()
    assert (due.source, due.session_id) == ("tv", SID)
    assert due.closing == MediaSession("tv", START, START, "idle")


def test_an_event_of_a_past_or_future_client_clock_keeps_the_session_open():
    """Idleness is the journal's, not the client's clock."""
    journal = Journal()
    journal.add(0, PLAY)
    journal.add(10, timeline("5000 5000 ping"))
    fold, _ = fold_all(journal.records)
    assert fold.due() == []


def paused_until(seconds, text="0 0 sessionStart\n0 0 play\n5 5 pauseStart"):
    journal = Journal()
    events = timeline(text)
    events += [event(at, 5, "ping") for at in range(10, seconds + 11, 10)]
    journal.play(events)
    return fold_all(journal.records)[0]


def test_a_playhead_that_stands_for_half_an_hour_closes_the_session():
    assert paused_until(1800).due() == []
    (due,) = paused_until(1810).due()
    assert (due.closing.why, due.closing.closed_at) == ("stuck", START + 1820 * SECOND)


def test_a_long_ad_break_is_not_stuck():
    text = "0 0 sessionStart\n0 0 play\n5 5 adBreakStart\n5 5 adStart"
    assert paused_until(4000, text).due() == []
    text = "0 0 sessionStart\n0 0 play\n5 5 adBreakStart\n5 5 adStart\n6 5 adBreakComplete"
    assert paused_until(1900, text).due()


def test_a_break_that_begins_in_the_last_moment_keeps_a_session_from_being_stuck():
    journal = Journal()
    events = timeline("0 0 sessionStart\n0 0 play\n5 5 pauseStart")
    events += [event(at, 5, "ping") for at in range(10, 1800, 10)]
    events += timeline("1806 5 adBreakStart\n1806 5 adStart")
    journal.play(events)
    journal.add(1812, timeline("1812 5 ping"))
    assert fold_all(journal.records)[0].due() == []


def test_after_a_break_the_half_hour_goes_on_where_it_was():
    journal = Journal()
    events = timeline("0 0 sessionStart\n0 0 play\n5 5 pauseStart")
    events += [event(at, 5, "ping") for at in range(10, 1000, 10)]
    events += timeline("1000 5 adBreakStart")
    events += [event(at, 5, "ping") for at in range(1010, 3000, 10)]
    events += timeline("3000 5 adBreakComplete")
    events += [event(at, 5, "ping") for at in range(3010, 3801, 10)]
    journal.play(events)
    assert fold_all(journal.records)[0].due() == []
    journal.play(timeline("3810 5 ping\n3820 5 ping"))
    assert [due.closing.why for due in fold_all(journal.records)[0].due()] == ["stuck"]


def test_a_day_closes_the_session_by_the_journals_clock():
    limits = Limits(longest_s=100, idle_s=60)
    journal = Journal()
    events = PLAY + [event(at, at, "ping") for at in range(10, 101, 10)]
    journal.play(events, delay=0)
    fold, _ = fold_all(journal.records, Fold(limits))
    (due,) = fold.due()
    assert (due.closing.why, due.closing.closed_at) == ("aged", START + 100 * SECOND)


# Closing.


def test_a_closed_session_waits_for_the_window_and_comes_out_once():
    journal = Journal()
    journal.add(0, PLAY)
    journal.add(10, timeline("10 10 sessionEnd"), [closing(START + 10 * SECOND)])
    journal.add(14.9)
    fold, finished = fold_all(journal.records)
    assert finished == []
    assert row_of(fold)["state"] == "closed"
    assert row_of(fold)["playback"] == "closed"
    journal.add(15)
    taken = fold.take(*journal.records[-1])
    assert [each.position for each in taken.finished] == [journal.records[1][0]]
    assert taken.finished[0].rows.session["content_time_spent_s"] == 10
    journal.add(20)
    assert fold.take(*journal.records[-1]).finished == []
    assert len(fold) == 0
    assert fold.rows("tv", SID) is None


def test_an_event_from_before_the_end_counts_within_the_window():
    _, finished = arrived(
        (0, "0 0 sessionStart\n0 0 play"), (8.5, "8.5 7 ping"), (10, "10 8 sessionEnd"),
        (14, "2 2 pauseStart\n4 2 play"), (15, []),
    )  # fmt: skip
    (done,) = finished
    row = done.rows.session
    assert (row["content_time_spent_s"], row["pause_time_s"]) == (8, 2)


def test_ten_events_in_the_window_do_not_hasten_the_end():
    late = "".join(f"\n{9 + n / 100} 8 ping" for n in reversed(range(20)))
    _, finished = arrived(
        (0, "0 0 sessionStart\n0 0 play"), (10, "10 8 sessionEnd"), (14, late), (15, [])
    )
    row = finished[0].rows.session
    assert (row["ignored_events"], row["late_events"], row["account"]["types"]["ping"]) == (
        0,
        0,
        20,
    )


def test_what_comes_after_the_window_is_told_as_a_stray():
    journal = Journal()
    journal.add(0, PLAY)
    journal.add(10, timeline("10 10 sessionEnd"), [closing(START + 10 * SECOND)])
    journal.add(15, timeline("9 9 ping"))
    fold = Fold()
    taken = [fold.take(*each) for each in journal.records]
    assert len(taken[-1].finished) == 1
    (stray,) = taken[-1].strays
    assert (stray.session_id, stray.told.type, stray.told.reason) == (SID, "ping", "no_session")


def test_sessions_come_out_in_the_order_of_their_closings():
    journal = Journal()
    sids = ["c", "a", "b"]
    for sid in sids:
        journal.add(0, timeline("0 0 sessionStart", sid=sid))
    for at, sid in enumerate(sids):
        journal.add(at, (), [closing(START, "idle", sid=sid)])
    journal.add(10)
    _, finished = fold_all(journal.records)
    assert [each.rows.session["session_id"] for each in finished] == sids
    assert [each.position for each in finished] == [p for p, _ in journal.records[3:6]]


def test_a_time_out_is_dated_with_the_last_event_and_says_how_long_it_was_silent():
    journal = Journal()
    journal.play(timeline("0 0 sessionStart\n0 0 play\n10 10 ping"), delay=0)
    journal.ticks(15, 610)
    fold, _ = fold_all(journal.records)
    (due,) = fold.due()
    change = Change(media_key(SID), msgspec.msgpack.encode(due.closing), 0)
    journal.add(610, (), [change])
    assert fold.take(*journal.records[-1]).finished == []
    assert fold.due() == [], "its closing is known"
    journal.add(615)
    (done,) = fold.take(*journal.records[-1]).finished
    row = done.rows.session
    assert (row["why"], row["ended_at"]) == ("idle", START + 10 * SECOND)
    assert (row["content_time_spent_s"], row["since_last_call_s"]) == (10, 600)


def test_an_event_that_came_while_the_time_out_was_under_way_is_in_the_session():
    journal = Journal()
    journal.play(timeline("0 0 sessionStart\n0 0 play\n10 10 ping\n20 20 ping"), delay=0)
    journal.add(21, (), [closing(START + 10 * SECOND, "aged")])
    journal.add(26)
    _, (done,) = fold_all(journal.records)
    row = done.rows.session
    assert (row["content_time_spent_s"], row["ended_at"]) == (20, START + 20 * SECOND)


def test_a_downloaded_session_is_one_record():
    events = timeline("0 0 sessionStart\n0 0 play\n50 50 ping\n100 100 ping\n120 100 pauseStart")
    journal = Journal()
    journal.add(90_000, events, [closing(START + 120 * SECOND, "downloaded")])
    journal.add(90_005)
    _, finished = fold_all(journal.records)
    row = finished[0].rows.session
    assert (row["content_time_spent_s"], row["why"]) == (120, "downloaded")
    assert (row["content_complete"], row["since_last_call_s"]) == (False, 0)
    assert (row["started_at"], row["ended_at"]) == (START, START + 120 * SECOND)


def test_the_opening_says_when_the_server_opened_it():
    opening = MediaSession("tv", START + 3)
    journal = Journal()
    journal.add(1, PLAY, [Change(media_key(SID), msgspec.msgpack.encode(opening), 1 << 60)])
    fold, _ = fold_all(journal.records)
    assert row_of(fold)["opened_at"] == START + 3
    assert fold.due() == []


def test_sources_may_have_the_same_session_id():
    journal = Journal()
    journal.add(0, timeline("0 0 sessionStart", source="a"))
    journal.add(0, timeline("0 0 sessionStart", source="b"))
    journal.add(0, (), [closing(START, source="a")])
    journal.add(6)
    fold, finished = fold_all(journal.records)
    assert [each.rows.session["source"] for each in finished] == ["a"]
    assert [rows.session["source"] for rows in fold.session(SID)] == ["b"]


def test_other_protocols_events_and_changes_are_passed_over():
    other = Event(
        "e", "tv", "jay", "play", START, START, SID, properties={"x": '"protocol":"adobe"'}
    )
    journal = Journal()
    journal.add(0, [other, *PLAY], [Change("jay/1", b"x", 0), Change(media_key(SID), None, 0)])
    fold = Fold()
    assert fold.take(*journal.records[0]).strays == []
    assert row_of(fold)["events"] == 2


def test_an_unknown_type_is_told():
    fold, _ = arrived((0, PLAY), (1, [event(1, 1, "contentComplete")]))
    assert row_of(fold)["account"]["ignored"] == {"unknown_type": 1}


def test_a_record_is_taken_once():
    journal = Journal()
    journal.play(timeline("0 0 sessionStart\n0 0 play\n10 10 ping"))
    fold, _ = fold_all(journal.records + journal.records)
    assert row_of(fold)["events"] == 3


# Checkpoints.


def test_a_snapshot_has_only_what_changed():
    journal = Journal()
    journal.add(0, timeline("0 0 sessionStart", sid="a"))
    journal.add(0, timeline("0 0 sessionStart", sid="b"))
    fold, _ = fold_all(journal.records)
    assert fold.dirty() == 2
    stored = changed(fold.snapshot(), {})
    assert set(stored) == {("tv", "a"), ("tv", "b")}
    assert fold.dirty() == 0
    journal.add(1, timeline("1 0 ping", sid="a"), [closing(START, sid="b")])
    fold.take(*journal.records[-1])
    second = fold.snapshot()
    assert set(second.sessions) == {("tv", "a"), ("tv", "b")}
    stored = changed(second, stored)
    journal.add(8)
    assert len(fold.take(*journal.records[-1]).finished) == 1
    third = fold.snapshot()
    assert (set(third.sessions), third.gone) == (set(), [("tv", "b")])
    assert set(changed(third, stored)) == {("tv", "a")}
    assert set(fold.snapshot(whole=True).sessions) == {("tv", "a")}


def test_a_session_that_is_gone_before_the_snapshot_is_not_in_it():
    journal = Journal()
    journal.add(0, PLAY, [closing(START)])
    journal.add(6)
    fold, _ = fold_all(journal.records)
    snapshot = fold.snapshot()
    assert (snapshot.sessions, snapshot.gone) == ({}, [("tv", SID)])


def test_after_a_snapshot_that_was_not_written_a_whole_one_has_what_was_gone():
    journal = Journal()
    for sid in ("a", "b", "c"):
        journal.add(0, timeline("0 0 sessionStart", sid=sid))
    fold, _ = fold_all(journal.records)
    stored = changed(fold.snapshot(), {})
    for at, sid in ((1, "a"), (10, "b")):
        journal.add(at, (), [closing(START, sid=sid)])
        journal.add(at + 6)
        fold, _ = fold_all(journal.records, fold)
        lost = fold.snapshot(whole=at > 1)
        assert ("tv", sid) in lost.gone
    assert set(changed(fold.snapshot(whole=True), stored)) == {("tv", "c")}
    assert fold.snapshot().gone == []


def test_texts_that_sessions_have_alike_are_in_memory_once_after_a_restore():
    journal = Journal()
    for sid in ("a", "b"):
        journal.add(0, timeline("0 0 sessionStart {'media.name': 'The film'}", sid=sid))
    fold, _ = fold_all(journal.records)
    snapshot = fold.snapshot()
    a, b = Fold.restore(snapshot.fold, snapshot.sessions.values()).sessions()
    assert a.start[1] == "The film"
    assert a.start[1] is b.start[1]
    assert a.source is b.source


def test_a_later_versions_checkpoint_is_refused():
    fold = Fold()
    state = msgspec.msgpack.decode(fold.snapshot().fold)
    state[0] += 1
    with pytest.raises(ValueError, match="version"):
        Fold.restore(msgspec.msgpack.encode(state), [])
    with pytest.raises(msgspec.DecodeError):
        Fold.restore(b"nonsense", [])
