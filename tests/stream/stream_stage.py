"""Several processes of `stream_site` before one origin, and an audience."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from urllib.parse import urlsplit

from lists import EPOCH, S
from stream_feed import creative, offered
from stream_site import Network, Process, decisions, now, query, service
from stream_viewer import Viewer

SERVICES = (
    service("plain"),
    service("filled", slate="https://creatives.example/slate/master.m3u8"),
    service("first", preroll_ad_server="https://ads.example/pre?ads=d&session=$SESSION_ID"),
)


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
