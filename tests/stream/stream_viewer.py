"""A player that holds everything it is served to the rules: lists, tracking, and both to each other.

It has no address of a process: each request goes to any of them.
"""

from __future__ import annotations

import json
import re
from itertools import pairwise

import jsonschema_rs
from lists import S
from rules import ROUNDING_US, Discontinuities, Follower, broken, read, withheld
from stream_feed import VIDEOS, label
from stream_site import now

from footfall.stream import tracking

SCHEMA = jsonschema_rs.validator_for(json.loads(tracking.schema()))
BLANK = "/stream/empty.webvtt"


class Viewer:
    """One session. `processes()` gives the one that answers next."""

    def __init__(self, processes, service, ads, *, workflow="1.0", feed=None):
        self.processes, self.service, self.ads = processes, service, ads
        self.workflow, self.feed = workflow, feed
        self.addresses = {}
        self.multivariant = ""
        self.followers = {}
        self.discontinuities = Discontinuities(label)
        self.pods = {}
        """By id: the last that was told of it, and when it was told."""
        self.told = {}
        """Every ad by its id and start."""
        self.rows = {}
        """Where each ad was seen to play in a video, by the start of its segments."""
        self.wrong = []
        self.served = 0

    async def open(self):
        """From the service's address to those of the renditions."""
        first = await self.processes().get(f"/stream/{self.service}/master.m3u8?ads={self.ads}")
        assert first.status_code == 307
        self.multivariant = first.headers["location"]
        if self.workflow == "2.0":
            await self.poll()
        text = (await self.processes().get(self.multivariant)).text
        found = re.findall(r"/stream/[^\"\s]+", text)
        self.addresses = {one.split("/")[3]: one for one in found}
        return self

    @property
    def session(self):
        return re.search(r"bpkio_sessionid=([^&]+)", self.multivariant)[1]

    async def refresh(self, name, *, age_us=S):
        """One list. `age_us`: how old the origin's list may be that it was made of."""
        answer = await self.processes().get(self.addresses[name])
        if answer.status_code != 200:
            self._note([f"{name} was answered {answer.status_code}: {answer.text}"])
            return None
        listing = read(answer.text)
        self.served += 1
        found = broken(listing)
        follower = self.followers.setdefault(name, Follower())
        found += follower.broken(listing, listing.rows[0].at_us)
        rows = tuple(row for row in listing.rows if row.uri != BLANK)
        found += self.discontinuities.broken(listing._replace(rows=rows))
        found += [f"{row.uri} is a gap" for row in listing.rows if row.gap]
        if self.feed is not None:
            # Segments of other lengths end elsewhere: the edge is that of the first video.
            edge = min(self.feed.edge(one, now() - age_us) for one in {"v1", name})
            found += withheld(listing, edge)
        if name in VIDEOS:
            for row in rows:
                if label(row.uri) not in {"content", "slate"}:
                    self.rows[row.at_us] = (label(row.uri), row.duration_us)
        self._note([f"{name}: {one}" for one in found])
        return listing

    async def poll(self):
        """The tracking JSON, held to the schema and to all that was told before."""
        answer = await self.processes().get(f"{self.multivariant}&bk-ml={self.workflow}")
        if answer.status_code != 200:
            self._note([f"tracking was answered {answer.status_code}: {answer.text}"])
            return None
        told = answer.json()
        found = [f"schema: {one.message}" for one in SCHEMA.iter_errors(told)]
        pods = told["adpods"]
        if pods != sorted(pods, key=lambda pod: pod["starttime_ms"]):
            found.append("the pods are in no order")
        for pod in pods:
            found += self._pod(pod)
        self.pods |= {pod["id"]: (pod, now()) for pod in pods}
        self._note(found)
        return told

    def _pod(self, pod):
        """What of a pod is not as it was, or not as it has to be."""
        ads = pod["ads"]
        if pod["duration_ms"] != sum(ad["duration_ms"] for ad in ads):
            yield f"{pod['id']} is not as long as its ads"
        for one, other in pairwise(ads):
            if one["starttime_ms"] + one["duration_ms"] != other["starttime_ms"]:
                yield f"{other['adid']} does not begin where {one['adid']} ends"
        for ad in ads:
            if ad["adid"] != "SLATE" and len(ad["trackingevents"]) != 6:
                yield f"{ad['adid']} is told of without all its events"
            known = self.told.setdefault((ad["adid"], ad["starttime_ms"]), ad)
            if known != ad and ad["adid"] != "SLATE":
                yield f"{ad['adid']} at {ad['starttime_ms']} has changed"
        before, _ = self.pods.get(pod["id"], (None, 0))
        if before is not None:
            if pod["starttime_ms"] != before["starttime_ms"]:
                yield f"{pod['id']} has moved"
            old = [(ad["adid"], ad["starttime_ms"]) for ad in before["ads"]]
            new = [(ad["adid"], ad["starttime_ms"]) for ad in ads]
            # Of two processes one may see less far; what one has told the other knows.
            if new[: len(old)] != old[: len(new)]:
                yield f"{pod['id']} had {old} and has {new}"

    def ends(self):
        """What lists and tracking do not say alike, now that all is over."""
        spans = sorted(
            (start * 1000, ad["duration_ms"] * 1000, name)
            for (name, start), ad in self.told.items()
            if name != "SLATE"
        )
        for one, other in pairwise(spans):
            if one[0] + one[1] > other[0]:
                yield f"{one} and {other} overlap"
        for at, (name, duration) in sorted(self.rows.items()):
            inside = any(
                name == ad
                and start - ROUNDING_US <= at
                and at + duration <= start + length + ROUNDING_US
                for start, length, ad in spans
            )
            if not inside:
                yield f"{name} played at {at} and nobody was told"
        played = {(name, at) for at, (name, _) in self.rows.items()}
        for start, _, name in spans:
            if not any(one == name and abs(at - start) < ROUNDING_US for one, at in played):
                yield f"{name} was told of at {start} and did not play there"

    def _note(self, found):
        self.wrong += [f"{now() / S:.1f} s {one}" for one in found]
