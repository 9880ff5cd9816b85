"""An hour of live streams through the endpoint, seen by several sessions over several processes."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from urllib.parse import urlsplit

import pytest
from lists import EPOCH, S
from stream_feed import Feed, creative, label, offered
from stream_site import (
    Network,
    Process,
    clock,
    decisions,
    events,
    now,
    outside,
    query,
    run,
    service,
)
from stream_viewer import Viewer

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
SERVICES = (
    service("plain"),
    service("filled", slate="https://creatives.example/slate/master.m3u8"),
    service("first", preroll_ad_server="https://ads.example/pre?ads=d&session=$SESSION_ID"),
)
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


class Stage:
    """The outside, and processes on any journals, each behind caches of another age."""

    def __init__(self, feed, journals, folder, services=SERVICES, seed=1):
        self.feed, self.journals = feed, journals
        self.chance = random.Random(seed)
        self.processes, self.networks = [], []
        for number, journal in enumerate(journals):
            network = Network()
            network.answer = {
                "origin.example": lambda url, age=number: feed.answer(
                    url, now() - age * 7 * S // 10
                ),
                "ads.example": self._ads,
                "creatives.example": creative,
            }
            self.networks.append(network)
            self.processes.append(Process(journal, network, folder, *services))

    def any(self):
        return self.chance.choice(self.processes)

    async def _ads(self, url):
        await asyncio.sleep(self.chance.choice((0.05, 0.2, 0.2, 1.4)))
        return offered(url)

    def asked(self):
        """How often the ad server was asked, by session."""
        urls = [url for one in self.networks for url in one.asked]
        return Counter(
            query(url)["session"] for url in urls if urlsplit(url).hostname == "ads.example"
        )

    async def close(self):
        for one in self.processes:
            await one.close()


async def watch(stage, viewer, until_us, turn_s=2.0):
    """A player: a video, what goes with it, and what it is told, about each target duration."""
    turn = 0
    while now() < until_us:
        turn += 1
        video = "v2" if turn % 40 < 10 else "v1"
        await viewer.refresh(video, age_us=3 * S)
        await viewer.refresh("audio" if turn % 3 else "text", age_us=3 * S)
        if turn % 2:
            await viewer.poll()
        await asyncio.sleep(turn_s * stage.chance.uniform(0.6, 1.4))


async def join(stage, audience, hour_us):
    """Everybody, each from when they come until they go."""

    async def one(name, ads, workflow, at_s, for_s):
        await asyncio.sleep(at_s)
        viewer = Viewer(stage.any, name, ads, workflow=workflow, feed=stage.feed)
        await viewer.open()
        await watch(stage, viewer, min(hour_us, EPOCH + (at_s + for_s) * S))
        return viewer

    return await asyncio.gather(*(one(*each) for each in audience))


def judged(viewers, stage, found):
    """What is wrong, over everything."""
    for viewer in viewers:
        assert viewer.wrong[:3] == [], (viewer.service, viewer.ads, len(viewer.wrong))
        assert list(viewer.ends())[:3] == [], (viewer.service, viewer.ads)
    made = decisions(found)
    assert set(made.values()) == {1}
    by_session = Counter()
    for (_, session, _), times in made.items():
        by_session[session] += times
    assert by_session == stage.asked()
    return made


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
