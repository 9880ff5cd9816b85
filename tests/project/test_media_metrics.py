"""What is measured: quality, progress, unique time, segment, minutes, hints; and the columns."""

import pytest
from timelines import START, event, metrics, played, timeline

from footfall.project.media_columns import MEDIA_TABLES
from footfall.project.media_effects import add_span
from footfall.project.media_session import SECOND

PLAY = "0 0 sessionStart\n0 0 play\n"

EVERYTHING = """
    0  0  sessionStart {'params': {'media.resume': True, 'media.pass.auth': 'TRUE', 'media.show': 'S'}, 'customMetadata': {'a': 'b'}}
    0  0  play
    0  0  chapterStart {'params': {}, 'customMetadata': {'c': 'd'}}
    5  5  stateStart   {'media.state.name': 'mute'}
    10 10 adBreakStart
    10 10 adStart      {'params': {'media.ad.advertiser': 'A'}, 'customMetadata': {'e': 'f'}}
    20 10 ping
"""


def test_rows_have_the_columns_in_their_order_and_of_their_types():
    python = {"VARCHAR": str, "BIGINT": int, "INTEGER": int, "TIMESTAMP": int, "BOOLEAN": bool,
              "DOUBLE": (float, int), "JSON": dict}  # fmt: skip
    found = played(EVERYTHING)
    tables = [[found.session], found.ads, found.chapters, found.states]
    for (name, columns), rows in zip(MEDIA_TABLES.items(), tables, strict=True):
        assert len(rows) == 1
        for row in rows:
            assert list(row) == [column.name for column in columns], name
            for column in columns:
                wanted = list if column.type.endswith("[]") else python[column.type]
                value = row[column.name]
                assert value is None or isinstance(value, wanted), column


def test_every_column_is_described_once():
    for columns in MEDIA_TABLES.values():
        names = [column.name for column in columns]
        assert len(set(names)) == len(names)
        assert all(column.help.endswith((".", "…")) for column in columns)


def test_what_the_session_start_says_is_kept():
    rows = played(EVERYTHING)
    row = rows.session
    assert (row["resume"], row["authorized"], row["show"]) == (True, True, "S")
    assert row["metadata"] == {"a": "b"}
    assert (rows.ads[0]["advertiser"], rows.ads[0]["metadata"]) == ("A", {"e": "f"})
    assert rows.chapters[0]["metadata"] == {"c": "d"}


@pytest.mark.parametrize(
    ("profile", "params", "viewer"),
    [
        ("mcid", {"analytics.visitorId": "vid", "analytics.aid": "aid"}, "mcid"),
        (None, {"analytics.visitorId": "vid", "analytics.aid": "aid"}, "vid"),
        (None, {"analytics.visitorId": "", "analytics.aid": "aid"}, "aid"),
        (None, {}, "5" * 64),
    ],
)
def test_the_viewer_is_the_best_known_id(profile, params, viewer):
    row = played([event(0, 0, "sessionStart", {"params": params}, profile_id=profile)]).session
    assert row["viewer_id"] == viewer


# Quality.


@pytest.mark.parametrize(
    "what",
    [
        {"qoeData": {"media.qoe.bitrate": 800_000}},
        {"qoeData": {"bitrate": 800_000}},
        {"params": {"media.qoe.bitrate": 800_000}},
        {"params": {"bitrate": 800_000}},
        {"qoeData": {"media.qoe.bitrate": 800_000, "bitrate": 1}, "params": {"bitrate": 2}},
        {"qoeData": {"bitrate": 800_000}, "params": {"media.qoe.bitrate": 2}},
    ],
)
def test_quality_is_found_wherever_clients_put_it(what):
    events = [*timeline(PLAY), event(0, 0, "ping", what), event(10, 10, "ping")]
    assert metrics(events, "bitrate_average_kbps", "bitrate_average_bucket") == (800, "800-899")


def test_the_average_bitrate_is_weighted_by_play_time():
    text = (
        PLAY
        + """
        0  0  bitrateChange {'qoeData': {'media.qoe.bitrate': 1000000}}
        30 30 bitrateChange {'qoeData': {'media.qoe.bitrate': 5000000}}
        30 30 pauseStart
        90 30 play
        100 40 ping
    """
    )
    assert metrics(text, "bitrate_average_kbps", "bitrate_changes") == (2000, 2)
    assert metrics(PLAY + "10 10 ping", "bitrate_average_kbps", "bitrate_average_bucket") == (
        None,
        None,
    )


def test_frames_time_to_start_and_errors():
    text = (
        PLAY
        + """
        1 1 ping  {'qoeData': {'media.qoe.droppedFrames': 10, 'media.qoe.timeToStart': 1364, 'media.qoe.framesPerSecond': 25}}
        2 2 ping  {'qoeData': {'media.qoe.droppedFrames': 30}}
        3 3 error {'qoeData': {'media.qoe.errorID': 'e1', 'media.qoe.errorSource': 'player'}}
        4 4 error {'qoeData': {'media.qoe.errorID': 'e1', 'media.qoe.errorSource': 'player'}}
        5 5 error {'params': {'media.errorId': 'e2', 'media.errorSource': 'external'}}
        6 6 error
    """
    )
    row = played(text).session
    assert (row["dropped_frames"], row["dropped_frames_impacted"]) == (30, True)
    assert (row["time_to_start_s"], row["frames_per_second"]) == (1.364, 25)
    assert (row["errors"], row["player_errors"], row["external_errors"]) == (4, ["e1"], ["e2"])


def test_numbers_that_cannot_be_are_not_taken():
    text = PLAY + "1 1 ping {'qoeData': {'bitrate': -5, 'droppedFrames': True, 'timeToStart': 'x'}}"
    names = ("bitrate_average_kbps", "dropped_frames", "time_to_start_s")
    assert metrics(text, *names) == (None, 0, 0)


# Progress, unique time, segment.


def test_progress_needs_a_content_play_and_a_length():
    assert metrics("0 0 sessionStart\n5 60 ping", "progress_markers") == []
    assert metrics("0 0 sessionStart\n5 60 ping\n6 60 play", "progress_markers") == [10, 25, 50]
    text = "0 0 sessionStart {'media.length': 0}\n0 0 play\n9 9 ping"
    assert metrics(text, "progress_markers", "average_minute_audience") == ([], None)


def test_a_jump_reaches_every_marker_below_and_a_jump_back_loses_none():
    assert metrics(PLAY + "1 96 ping\n2 0 ping", "progress_markers") == [10, 25, 50, 75, 95]
    assert metrics(PLAY + "1 9.99 ping", "progress_markers") == []


def test_unique_time_counts_each_second_of_the_content_once_and_no_seek():
    text = (
        PLAY
        + """
        20 20 ping
        20 20 pauseStart
        21 10 play
        31 20 ping
        41 30 ping
        42 80 ping
        52 90 ping
        53 0  ping
        63 10 ping
    """
    )
    assert metrics(text, "unique_time_played_s", "content_time_spent_s") == (40, 62)


def test_a_playhead_that_goes_twice_as_fast_is_play_and_faster_is_a_seek():
    assert metrics(PLAY + "10 20 ping", "unique_time_played_s") == 20
    assert metrics(PLAY + "10 20.1 ping", "unique_time_played_s") == 0


def test_stretches_are_united_and_bounded():
    spans = []
    for start, end in [(10, 20), (30, 40), (20, 30), (50, 60), (5, 55)]:
        add_span(spans, start, end, 10)
    assert spans == [5, 60]
    spans = []
    for start in range(0, 100, 10):
        add_span(spans, start, start + 5, 3)
    assert spans == [0, 5, 10, 15, 20, 25]
    add_span(spans, 4, 12, 3)
    assert spans == [0, 15, 20, 25]


def test_the_segment_is_in_whole_minutes_outward_and_without_what_precedes_play():
    text = "0 0 sessionStart\n1 130 play\n11 140 ping\n12 301 ping\n13 290 ping"
    assert metrics(text, "content_segment", "segment_view") == ("[2-6]", True)


def test_estimated_streams_begin_every_half_hour():
    pings = "".join(f"\n{n * 600} {n * 600} ping" for n in range(1, 4))
    assert metrics(PLAY + pings[: pings.rindex("\n")], "estimated_streams") == 1
    assert metrics(PLAY + pings, "estimated_streams") == 2


# Minutes.


def test_active_minutes_are_those_in_which_something_played_or_buffered():
    text = """
        0   0   sessionStart
        0   0   adBreakStart
        0   0   adStart
        30  0   adComplete
        30  0   adBreakComplete
        100 0   play
        130 30  bufferStart
        200 30  pauseStart
        500 30  play
        510 40  ping
    """
    base = START // (60 * SECOND)
    offset = START // SECOND % 60
    runs = metrics(text, "active_minutes")
    minute = [base + (offset + s) // 60 for s in (0, 29, 100, 199, 500, 509)]
    assert runs == [minute[:2], minute[2:4], minute[4:]], "starting and paused are not active"


def test_active_minutes_that_follow_each_other_are_one_stretch():
    to_the_minute = 60 - START // SECOND % 60
    runs = metrics(
        PLAY + f"{to_the_minute} 40 ping\n{to_the_minute + 60} 100 ping", "active_minutes"
    )
    first = START // (60 * SECOND)
    assert runs == [[first, first + 1]]


def test_paused_minutes_are_not_active():
    assert metrics("0 0 sessionStart\n0 0 pauseStart\n500 0 ping", "active_minutes") == []


# Hints.


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("0 0 sessionStart {'media.length': 5400000}", "milliseconds"),
        ("0 0 sessionStart {'media.length': 0, 'media.contentType': 'Live'}", "86400"),
        (PLAY + "1 50000 ping", "playhead reached"),
        (PLAY + "1 1 adBreakStart\n1 1 adStart {'media.ad.length': 100}", "content's duration"),
        (PLAY + "20 0 ping\n40 0 ping\n60 0 ping", "never moved"),
        (PLAY + "1 1 adStart", "outside an ad break"),
        (PLAY + "1 1 adBreakStart\n1 1 adStart\n5 1 adComplete\n9 5 play", "adBreakComplete"),
    ],
)
def test_a_hint_is_given(text, word):
    (hint,) = metrics(text, "hints")
    assert word in hint


def test_a_sound_session_has_no_hints():
    assert metrics(EVERYTHING, "hints") == []


# The account.


def test_the_account_has_every_event_by_type_and_the_latest_ignored_ones():
    pings = "".join(f"\n{n} {n} adStart" for n in range(1, 31))
    row = played(PLAY + pings, told=20).session
    assert row["account"]["types"] == {"sessionStart": 1, "play": 1, "adStart": 30}
    assert row["account"]["ignored"] == {"outside_break": 30}
    assert len(row["account"]["last"]) == 20
    assert row["account"]["last"][-1]["at"] == START + 30 * SECOND
    assert (row["events"], row["ignored_events"]) == (32, 30)


def test_a_session_keeps_a_bounded_number_of_ads():
    lines = ["0 0 sessionStart", "0 0 adBreakStart"]
    lines += [f"{n} 0 adStart\n{n} 0 adComplete" for n in range(1, 9)]
    rows = played("\n".join(lines), items=5)
    assert (len(rows.ads), rows.session["ad_starts"], rows.session["ad_completes"]) == (5, 8, 8)
