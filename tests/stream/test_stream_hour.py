"""An hour of live streams through the endpoint, seen by several sessions over several processes."""

from __future__ import annotations

import pytest
from lists import EPOCH, S
from stream_feed import Feed, label
from stream_site import clock, events, now, outside, run
from stream_stage import Stage, join, judged

from footfall.journal.engines.local import LocalJournal
from footfall.journal.engines.memory import MemoryJournal

BREAKS = [
    (100 * S, 30 * S, 130 * S),
    (240 * S, 60 * S, 276 * S),  # returns early
    (360 * S, None, 400 * S),
    (500 * S, 30 * S, 530 * S),
    (530 * S, 20 * S, 550 * S),  # at once after the one before
    (640 * S, None, 720 * S),
    (800 * S, 20 * S, 812 * S),  # returns early
]
ROUND_S = 900
TAGS = (100 * S, 130 * S, 276 * S, 400 * S, 690 * S, 812 * S)
AUDIENCE = [
    # service, ads, workflow, joins at, stays for
    ("plain", "a,b", "1.0", 20, 3600),
    ("filled", "c,d", "2.0", 40, 1100),
    ("first", "e,a", "1.0", 60, 400),
    ("plain", "c,e", "2.0", 254, 500),  # within a break
    ("filled", "e,b", "1.0", 372, 600),  # within one of unknown length
    ("first", "a", "2.0", 510, 500),  # a pre-roll within a break
    ("filled", "a", "1.0", 900 + 132, 700),  # just behind one
    ("plain", "d", "2.0", 1800 - 70, 600),
    ("first", "b,a", "1.0", 2700 + 92, 500),  # a pre-roll that a break begins in
    ("filled", "", "1.0", 2700 + 230, 500),  # no ads: the slate
]


@pytest.mark.slow
def test_every_rule_holds_for_everybody_over_an_hour(tmp_path):
    """Breaks in every form of marker, joined before, in and after; early returns, unknown lengths;
    pre-rolls and slates; sound in segments of its own, subtitles; three processes."""
    hour = 3600
    breaks = [
        (at * S + begin, planned, at * S + end)
        for at in range(0, hour, ROUND_S)
        for begin, planned, end in BREAKS
    ]
    tags = [at * S + tag for at in range(0, hour, ROUND_S) for tag in TAGS]
    feed = Feed(breaks, (hour + 60) * S, tags=tags)

    async def test():
        journal = MemoryJournal(now)
        stage = Stage(feed, [journal] * 3, tmp_path)
        viewers = await join(stage, AUDIENCE, EPOCH + hour * S)
        found = await events(journal)
        await stage.close()
        return stage, viewers, found

    stage, viewers, found = run(test())
    made = judged(viewers, stage, found)
    whole, *_ = viewers
    assert len(whole.followers["v1"].rows) > 1500
    assert sum(session == whole.session for _, session, _ in made) == len(breaks)
    assert sum(viewer.served for viewer in viewers) > 8000
    shown = {label(row[0][0]) for one in viewers for row in one.followers["v1"].rows.values()}
    assert shown == {"content", "a", "b", "c", "d", "e", "slate"}


@pytest.mark.slow
def test_processes_that_share_a_directory_serve_one_stream(tmp_path):
    LocalJournal.recover(tmp_path / "journal")
    feed = Feed(BREAKS, 700 * S, tags=TAGS)
    audience = [
        ("plain", "a,b", "1.0", 20, 420),
        ("filled", "c,d", "2.0", 90, 330),
        ("first", "e,a", "1.0", 254, 160),
    ]

    def opened():
        journal = LocalJournal(tmp_path / "journal", clock=clock())
        journal.open()
        return journal

    async def test():
        journals = [opened() for _ in range(3)]
        stage = Stage(feed, journals, tmp_path / "creatives")
        viewers = await join(stage, audience, EPOCH + 440 * S)
        await stage.close()
        with outside():
            found = await events(journals[0])
        for journal in journals:
            journal.close()
        return stage, viewers, found

    stage, viewers, found = run(test())
    judged(viewers, stage, found)
    assert all(viewer.served > 100 for viewer in viewers)
