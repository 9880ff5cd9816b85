"""Whole sessions with known metrics: Adobe's public timelines, and its worked example."""

import json

import pytest
from timelines import SID, VECTORS, Journal, fold_all, timeline, vector

EXPECTED = json.loads((VECTORS / "media-timelines-expected.json").read_text())
AFTER = 200


def finished_rows(events):
    journal = Journal()
    journal.play(events)
    journal.ticks(AFTER, AFTER + 10)
    fold, finished = fold_all(journal.records)
    if finished:
        assert len(fold) == 0
        return finished[0].rows
    return fold.rows("tv", SID)


@pytest.mark.parametrize("name", EXPECTED)
def test_a_public_timeline_has_the_known_metrics(name):
    rows = finished_rows(vector(name))
    expected = dict(EXPECTED[name])
    assert rows.chapters == expected.pop("chapters")
    for column, value in expected.items():
        found = rows.session[column]
        assert (round(found, 3) if isinstance(value, float) else found) == value, column
        assert type(found) in (type(value), float), column


def test_the_ads_of_timeline_1():
    ads = finished_rows(vector("media-timeline-1")).ads
    assert [(ad["ad_id"], ad["ad_time_spent_s"], ad["state"]) for ad in ads] == [
        ("001", 15, "complete"),
        ("002", 7, "complete"),
        ("003", 8, "complete"),
    ]
    assert [ad["pod_id"] for ad in ads] == [
        "VA API Sample Player_0",
        "VA API Sample Player_0",
        "VA API Sample Player_1",
    ]
    assert ads[0]["metadata"] == {"myCustomData1": "CustomData1", "myCustomData2": "CustomData2"}


def test_timeline_2_is_closed_with_its_ad_skipped_and_its_bitrate_read_without_prefix():
    rows = finished_rows(vector("media-timeline-2"))
    assert (rows.session["state"], rows.session["why"]) == ("closed", "ended")
    assert [ad["state"] for ad in rows.ads] == ["complete", "skipped"]
    assert rows.session["bitrate_average_kbps"] == 10
    assert rows.session["bitrate_average_bucket"] == "0-99"
    assert (rows.session["player_errors"], rows.session["external_errors"]) == ([], [])


WORKED = """
    0   0   sessionStart
    0   0   play
    0   0   chapterStart
    10  10  chapterComplete
    10  10  stateStart  {'media.state.name': 'fullscreen'}
    13  13  stateEnd    {'media.state.name': 'fullscreen'}
    13  13  stateStart  {'media.state.name': 'mute'}
    16  16  stateEnd    {'media.state.name': 'mute'}
    20  20  adBreakStart
    20  20  adStart
    27  20  adSkip
    27  20  adBreakComplete
    27  20  ping
    30  23  error       {'qoeData': {'media.qoe.errorID': 'e1', 'media.qoe.errorSource': 'player'}}
    32  25  pauseStart
    35  24  play
    45  34  ping
    55  44  ping
    58  47  sessionComplete
    58  47  sessionEnd
"""


def test_the_worked_example_of_a_close():
    """One second is seen twice: after the pause the player goes on a second before it."""
    rows = finished_rows(timeline(WORKED))
    row = rows.session
    assert (row["content_time_spent_s"], row["unique_time_played_s"]) == (48, 47)
    assert (row["media_time_spent_s"], row["ad_time_spent_s"]) == (55, 7)
    assert row["average_minute_audience"] == 0.48
    assert (row["pause_events"], row["pause_time_s"]) == (1, 3)
    assert (row["ad_starts"], row["chapter_starts"], row["chapter_completes"]) == (1, 1, 1)
    assert [chapter["chapter_time_spent_s"] for chapter in rows.chapters] == [10]
    assert (row["estimated_streams"], row["progress_markers"]) == (1, [10, 25])
    assert (row["content_complete"], row["content_segment"]) == (True, "[0-1]")
    assert [(s["name"], s["starts"], s["time_s"]) for s in rows.states] == [
        ("fullscreen", 1, 3),
        ("mute", 1, 3),
    ]
    assert (row["errors"], row["player_errors"]) == (1, ["e1"])
