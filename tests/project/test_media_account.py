"""The account of a session, event by event."""

from timelines import START, timeline, vector

from footfall.project.media_account import explain
from footfall.project.media_session import SECOND
from footfall.project.media_terms import REASONS


def test_every_event_has_its_step():
    steps = explain(vector("media-timeline-1"))
    assert len(steps) == 27
    assert [(s.type, s.before, s.after) for s in steps[:3]] == [
        ("sessionStart", "starting", "starting"),
        ("adBreakStart", "starting", "break"),
        ("adStart", "break", "ad_playing"),
    ]
    assert sum(s.changed.get("content_s", 0) for s in steps) == 45
    assert sum(s.changed.get("ad_s", 0) for s in steps) == 30
    assert not any(s.ignored for s in steps)


def test_a_step_says_what_changed_or_why_nothing_did():
    text = """
        0  0  sessionStart
        0  0  play
        15 15 bufferStart
        8  8  adStart
        15 15 ping
    """
    found = [(s.at - START, s.type, s.changed, s.ignored) for s in explain(timeline(text))]
    assert found == [
        (0, "sessionStart", {}, None),
        (0, "play", {}, None),
        (8 * SECOND, "adStart", {"content_s": 8}, REASONS["outside_break"]),
        (15 * SECOND, "ping", {"content_s": 7, "progress": 1}, None),
        (15 * SECOND, "bufferStart", {"buffer_events": 1}, None),
    ]


def test_an_ad_of_no_length_is_told_behind_its_start():
    text = "0 0 sessionStart\n1 0 adComplete\n1 0 adBreakComplete\n1 0 adBreakStart\n1 0 adStart"
    assert [s.type for s in explain(timeline(text))][1:] == [
        "adBreakStart",
        "adStart",
        "adComplete",
        "adBreakComplete",
    ]


def test_without_a_start_there_is_no_account():
    assert explain(timeline("0 0 play")) == []
