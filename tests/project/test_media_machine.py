"""The state machine, rule by rule."""

import pytest
from timelines import START, metrics, played, timeline

from footfall.project import media_machine as machine
from footfall.project.media_session import SECOND
from footfall.project.media_terms import CLOSED, KINDS, RANKS, REASONS, STATES


def test_every_state_and_event_is_defined():
    assert set(machine.TABLE) == set(KINDS)
    for kind, steps in machine.TABLE.items():
        assert len(steps) == len(STATES), kind
        for state, step in zip(STATES, steps, strict=True):
            assert not step.ignored or step.ignored in REASONS
            assert not (step.ignored and (step.do or step.to is not None)), (kind, state)
            assert step.to is None or step.to == machine.BACK or 0 <= step.to < len(STATES)


def test_nothing_leads_out_of_closed():
    for kind, steps in machine.TABLE.items():
        assert steps[CLOSED].to is None, kind
        assert not steps[CLOSED].do, kind


def test_only_ad_events_cross_between_content_and_ads():
    for kind in ("play", "pauseStart", "bufferStart"):
        for state, step in enumerate(machine.TABLE[kind]):
            assert step.to is None or (step.to < machine.BREAK) == (state < machine.BREAK)


def test_ranks_are_the_documented_order():
    assert sorted(RANKS.values()) == list(RANKS.values())


# Time.


def test_the_time_after_the_last_event_counts_nowhere():
    assert metrics("0 0 sessionStart\n0 0 play\n10 10 ping", "content_time_spent_s") == 10


@pytest.mark.parametrize(("gap", "counted"), [(600, 600), (600.001, 0)])
def test_a_gap_of_more_than_ten_minutes_counts_nowhere(gap, counted):
    text = f"0 0 sessionStart\n0 0 play\n{gap} {gap} ping\n{gap} {gap} ping"
    assert metrics(text, "content_time_spent_s") == counted


def test_a_gap_counts_in_the_state_before_it_paused_too():
    assert metrics("0 0 sessionStart\n0 0 pauseStart\n20 0 play", "pause_time_s") == 20


# Playback.


def test_a_repeated_playback_event_changes_nothing():
    text = """
        0  0  sessionStart
        0  0  play
        1  1  play
        5  5  pauseStart
        6  5  pauseStart
        9  5  play
        12 8  bufferStart
        13 8  bufferStart
        14 8  play
    """
    names = ("content_time_spent_s", "pause_events", "pause_time_s", "buffer_events")
    assert metrics(text, *names) == (8, 1, 4, 1)
    assert metrics(text, "buffer_time_s", "ignored_events") == (2, 3)
    assert metrics(text, "account")["last"] == []


def test_a_pause_ends_at_buffering_and_buffering_at_a_pause():
    text = """
        0  0  sessionStart
        0  0  play
        5  5  pauseStart
        8  5  bufferStart
        10 5  pauseStart
        11 5  play
    """
    names = ("pause_events", "pause_time_s", "buffer_events", "buffer_time_s")
    assert metrics(text, *names) == (2, 4, 1, 2)


def test_what_is_before_the_first_play_is_starting():
    row = played("0 0 sessionStart\n10 0 ping").session
    assert (row["playback"], row["content_time_spent_s"], row["content_start"]) == (
        "starting",
        0,
        False,
    )
    assert row["drop_before_start"] is False, "it may still start"
    assert row["content_segment"] is None


def test_after_session_complete_nothing_is_played_until_another_play():
    text = """
        0  0  sessionStart
        0  0  play
        10 10 sessionComplete
        20 20 ping
        21 20 pauseStart
        22 20 sessionComplete
        25 20 play
        30 25 ping
    """
    row = played(text).session
    assert (row["content_time_spent_s"], row["pause_events"]) == (15, 0)
    assert row["content_complete"] is True
    assert row["account"]["ignored"] == {"after_complete": 1, "repeated": 1}


def test_an_error_does_not_stop_play():
    text = "0 0 sessionStart\n0 0 play\n5 5 error\n10 10 ping"
    assert metrics(text, "content_time_spent_s", "errors") == (10, 1)


# Stall.


def test_three_events_with_one_playhead_are_a_stall_from_the_first():
    text = """
        0  0  sessionStart
        0  0  play
        10 10 ping
        20 10 ping
        30 10 ping
        40 10 ping
        50 20 ping
        60 30 ping
    """
    names = ("content_time_spent_s", "stall_events", "stall_time_s", "unique_time_played_s")
    assert metrics(text, *names) == (20, 1, 40, 20)


def test_two_events_with_one_playhead_are_none():
    text = "0 0 sessionStart\n0 0 play\n10 10 ping\n20 10 ping\n30 20 ping"
    assert metrics(text, "content_time_spent_s", "stall_events") == (30, 0)


def test_events_of_one_time_count_once_for_a_stall():
    text = "0 0 sessionStart\n0 0 play\n10 10 ping\n10 10 error\n10 10 ping\n20 10 ping\n30 20 ping"
    assert metrics(text, "content_time_spent_s", "stall_events") == (30, 0)


def test_a_stall_ends_when_the_state_changes():
    text = """
        0  5  sessionStart
        0  5  play
        10 5  ping
        20 5  ping
        25 5  play
        30 5  pauseStart
        40 5  play
        50 15 ping
    """
    names = ("stall_time_s", "pause_time_s", "content_time_spent_s", "playback")
    assert metrics(text, *names) == (30, 10, 10, "playing")


def test_a_stall_takes_its_time_back_from_chapters_and_bitrates():
    text = """
        0  0  sessionStart  {'qoeData': {'media.qoe.bitrate': 1000000}}
        0  0  play
        10 10 ping
        20 10 chapterStart
        20 10 bitrateChange {'qoeData': {'media.qoe.bitrate': 9000000}}
        30 10 ping
        40 20 ping
        50 30 ping
    """
    rows = played(text)
    assert rows.session["content_time_spent_s"] == 20
    assert [chapter["chapter_time_spent_s"] for chapter in rows.chapters] == [10]
    assert rows.session["bitrate_average_kbps"] == 5000


def test_a_chapter_that_ended_within_what_became_a_stall_is_cut_too():
    text = """
        0  0  sessionStart
        0  0  play
        0  0  chapterStart
        10 10 ping
        20 10 chapterComplete
        30 10 ping
    """
    rows = played(text)
    assert (rows.session["content_time_spent_s"], rows.session["stall_time_s"]) == (10, 20)
    assert [chapter["chapter_time_spent_s"] for chapter in rows.chapters] == [10]


# Ads.


AD = """
    0  0  sessionStart
    0  0  play
    10 10 adBreakStart
    10 10 adStart
    {inside}
    20 10 adComplete
    20 10 adBreakComplete
    30 20 ping
"""


def test_playback_events_inside_an_ad_change_the_ad_only():
    rows = played(
        AD.format(inside="12 10 pauseStart\n 15 10 play\n 16 10 bufferStart\n 17 10 play")
    )
    row, (ad,) = rows.session, rows.ads
    assert (row["content_time_spent_s"], row["ad_time_spent_s"]) == (20, 6)
    assert (row["pause_events"], row["pause_time_s"], row["buffer_events"]) == (0, 0, 0)
    assert (ad["pause_events"], ad["pause_time_s"]) == (1, 3)
    assert (ad["buffer_events"], ad["buffer_time_s"]) == (1, 1)
    assert (ad["ad_time_spent_s"], ad["ad_complete"]) == (6, True)


def test_a_play_inside_an_ad_does_not_start_the_content():
    text = "0 0 sessionStart\n0 0 adBreakStart\n0 0 adStart\n0 0 play\n5 0 ping"
    names = ("content_start", "ad_time_spent_s", "content_time_spent_s")
    assert metrics(text, *names) == (False, 5, 0)


def test_content_is_after_a_break_what_it_was_before():
    text = """
        0  0  sessionStart
        0  0  play
        10 10 pauseStart
        12 10 adBreakStart
        12 10 adStart
        20 10 adComplete
        20 10 adBreakComplete
        25 10 play
    """
    names = ("pause_events", "pause_time_s", "ad_time_spent_s", "content_time_spent_s")
    assert metrics(text, *names) == (1, 7, 8, 10)


def test_between_ads_time_stands_still_and_playback_events_are_ignored():
    text = """
        0  0  sessionStart
        0  0  play
        10 10 adBreakStart
        11 10 adStart
        15 10 adComplete
        16 10 play
        18 10 adStart
        20 10 adSkip
        21 10 adBreakComplete
        31 20 ping
    """
    row = played(text).session
    assert (row["ad_time_spent_s"], row["content_time_spent_s"]) == (6, 20)
    assert (row["ad_starts"], row["ad_completes"], row["ad_breaks"]) == (2, 1, 1)
    assert row["account"]["ignored"] == {"between_ads": 1}


def test_ads_outside_a_break_are_ignored_with_the_reason_and_count_as_content():
    text = "0 0 sessionStart\n0 0 play\n5 5 adStart\n15 15 adComplete\n15 15 adSkip\n20 20 ping"
    rows = played(text)
    row = rows.session
    assert rows.ads == []
    assert (row["content_time_spent_s"], row["ad_time_spent_s"], row["ad_starts"]) == (20, 0, 0)
    assert row["account"]["ignored"] == {"outside_break": 3}
    assert [(told["type"], told["reason"]) for told in row["account"]["last"]] == [
        ("adStart", "outside_break"),
        ("adComplete", "outside_break"),
        ("adSkip", "outside_break"),
    ]
    assert any("adBreakStart" in hint for hint in row["hints"])


@pytest.mark.parametrize(
    ("outer", "breaks", "starts"),
    [("adStart", 1, 2), ("adBreakStart", 2, 1), ("adBreakComplete", 1, 1), ("sessionEnd", 1, 1)],
)
def test_what_comes_outside_first_closes_an_open_ad_as_skipped(outer, breaks, starts):
    text = f"0 0 sessionStart\n0 0 adBreakStart\n0 0 adStart\n7 0 {outer}"
    rows = played(text)
    assert (rows.ads[0]["state"], rows.ads[0]["ad_time_spent_s"]) == ("skipped", 7)
    row = rows.session
    assert (row["ad_breaks"], row["ad_starts"], row["ad_completes"]) == (breaks, starts, 0)


def test_a_session_complete_inside_a_break_completes_the_content_under_it():
    text = """
        0  0  sessionStart
        0  0  play
        10 10 adBreakStart
        10 10 adStart
        12 10 sessionComplete
        15 10 adComplete
        15 10 adBreakComplete
        25 20 ping
    """
    names = ("content_complete", "ad_time_spent_s", "ad_completes", "content_time_spent_s")
    assert metrics(text, *names) == (True, 5, 1, 10)


def test_an_end_of_nothing_is_told():
    text = """
        0  0  sessionStart
        1  0  adBreakComplete
        2  0  adBreakStart
        3  0  adComplete
        4  0  chapterComplete
    """
    assert metrics(text, "account")["ignored"] == {
        "no_break_open": 1,
        "no_ad_open": 1,
        "no_chapter_open": 1,
    }


def test_the_ad_has_its_own_player_or_the_sessions():
    rows = played(AD.format(inside="11 10 ping"))
    assert rows.ads[0]["player_name"] == "player"


# Chapters and player states.


def test_chapters_have_content_time_without_ads_and_do_not_overlap():
    text = """
        0  0  sessionStart
        0  0  play
        0  0  chapterStart     {'media.chapter.index': 1}
        5  5  adBreakStart
        5  5  adStart
        10 5  adComplete
        10 5  adBreakComplete
        20 15 chapterStart     {'media.chapter.index': 2}
        30 25 chapterComplete
        30 25 chapterStart     {'media.chapter.index': 3}
        35 30 sessionEnd
    """
    rows = played(text)
    found = [(c["chapter_index"], c["chapter_time_spent_s"], c["state"]) for c in rows.chapters]
    assert found == [(1, 15, "skipped"), (2, 10, "complete"), (3, 5, "skipped")]
    assert rows.session["chapter_starts"] == 3
    assert rows.session["chapter_completes"] == 1
    assert rows.chapters[0]["chapter_id"] == "film_1_0"


def test_player_states_are_compared_without_case_and_last_across_playback_states():
    text = """
        0  0  sessionStart
        0  0  play
        5  5  stateStart   {'media.state.name': 'fullScreen'}
        6  6  stateStart   {'media.state.name': 'FULLSCREEN'}
        8  8  pauseStart
        15 8  stateEnd     {'media.state.name': 'fullscreen'}
        16 8  stateEnd     {'media.state.name': 'fullscreen'}
        20 8  statesUpdate {'statesStart': [{'media.state.name': 'mute'}, {'media.state.name': 'Fullscreen'}]}
        25 8  statesUpdate {'statesEnd': [{'media.state.name': 'mute'}]}
        30 8  ping
    """
    rows = played(text)
    found = [(s["name"], s["starts"], s["time_s"], s["active"]) for s in rows.states]
    assert found == [("fullScreen", 2, 20, True), ("mute", 1, 5, False)]
    assert rows.session["account"]["ignored"] == {"state_active": 1, "state_not_active": 1}


def test_ten_names_of_player_states_at_most():
    lines = ["0 0 sessionStart"]
    lines += [f"{n} 0 stateStart {{'media.state.name': 's{n}'}}" for n in range(1, 13)]
    lines += ["20 0 stateEnd {'media.state.name': 's1'}"]
    lines += ["21 0 stateStart {'media.state.name': 'S1'}"]
    rows = played("\n".join(lines))
    assert len(rows.states) == 10
    assert rows.states[0]["starts"] == 2, "a known name begins again at any time"
    assert rows.session["account"]["ignored"] == {"too_many_states": 2}


def test_player_states_end_with_the_session():
    text = "0 0 sessionStart\n2 0 stateStart {'media.state.name': 'mute'}\n9 0 sessionEnd"
    assert [(s["time_s"], s["active"]) for s in played(text).states] == [(7, False)]


# The end.


def test_session_end_without_play_is_a_drop_before_start():
    row = played("0 0 sessionStart\n5 0 sessionEnd").session
    assert (row["state"], row["why"], row["drop_before_start"]) == ("closed", "ended", True)
    assert (row["ended_at"], row["since_last_call_s"]) == (START + 5 * SECOND, 0)


def test_what_is_later_than_the_end_is_ignored():
    events = timeline("0 0 sessionStart\n0 0 play\n11 11 ping\n10 10 sessionEnd")
    row = played(events).session
    assert (row["content_time_spent_s"], row["playhead_s"]) == (10, 10)
    assert row["account"]["ignored"] == {"after_end": 1}
