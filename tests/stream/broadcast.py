"""A live stream with breaks, and sessions that watch it through several processes.

What the endpoint does around `splice.live`, without I/O: marks, breaks and contexts are what the
processes share; each sees the origin's lists at an age of its own.
"""

import random
from bisect import bisect_right
from itertools import accumulate

import msgspec
from lists import EPOCH, Origin, S, creative
from rules import Discontinuities, Follower, broken, read, withheld

from footfall.stream import splice
from footfall.stream.breaks import merged
from footfall.stream.contract import SLATE, Context, Placed, Pod, Shift

RENDITIONS = {"v1": 2 * S, "v2": 2 * S, "audio": 1_920_000}
ADS = {"a": 10 * S, "b": 14_960_000, "c": 30 * S, "d": 6 * S, "e": 5_500_000}
TARGET_S = 2


def label(uri):
    """Content, or the creative."""
    return uri.split("/")[3] if uri.startswith("https://ads.example/") else "content"


def ad_lists(rendition):
    """One creative has a discontinuity of its own, one is encrypted."""
    length = RENDITIONS[rendition]
    lists = {}
    for name, total in ADS.items():
        more = {"tags": (round(6 * S / length),)} if name == "c" else {}
        more = {"key": "AES-128"} if name == "b" else more
        lists[f"https://ads.example/{name}"] = creative(name, total, length, rendition, **more)
    # Rounds of a slate are as long in each rendition, but for some milliseconds.
    total = 4 * S if rendition != "audio" else 4_011_000
    lists["https://ads.example/slate"] = creative("slate", total, length, rendition)
    return lists


class Broadcast:
    """The origin and what all sessions share."""

    def __init__(self, breaks, total_us, *, window=8, seed=1, **origin):
        self.chance = random.Random(seed)
        self.window = window
        self.origins = {
            name: Origin(
                name,
                length,
                total_us,
                breaks=breaks,
                cues=name != "audio",
                first=1000 if name != "audio" else 500,
                **origin,
            )
            for name, length in RENDITIONS.items()
        }
        self.keys = {name: splice.key(one.url) for name, one in self.origins.items()}
        self.ads = {name: ad_lists(name) for name in RENDITIONS}
        self.breaks = ()
        self.marks = {}

    def see(self, rendition, now_us):
        content = self.origins[rendition].window(now_us, self.window)
        if content.cues:
            self.breaks = merged(self.breaks, content.cues)
        return content

    def remember(self, key, wanted):
        known = self.marks.get(key, ())
        moments = {one.at_us for one in known}
        new = [one for one in wanted if one.at_us not in moments]
        self.marks[key] = tuple(sorted([*known, *new], key=lambda one: one.at_us))


class Session:
    """One viewer: which ads, how long it takes to decide, and all lists that it was served."""

    def __init__(self, cast, *, ads=("a", "b"), joined_us=EPOCH, slate=False, takes_us=0,
                 preroll=(), excess_us=S):  # fmt: skip
        self.cast, self.names, self.slate, self.takes_us = cast, ads, slate, takes_us
        self.excess_us = excess_us
        origin = cast.origins["v1"]
        self.joined_us = origin.starts[bisect_right(origin.starts, joined_us) - 1]
        self.context = Context(0, joined_us=self.joined_us)
        self.from_us = self.joined_us if preroll else None
        if preroll:
            self._add(self._pod("preroll", self.joined_us, self.joined_us, preroll, None))
        self.asked = {}
        self.followers = {}
        self.discontinuities = Discontinuities(label)
        self.wrong = []
        self.served = 0
        self.played = set()

    def _add(self, pod):
        pods = sorted([*self.context.pods, pod], key=lambda one: one.at_us)
        self.context = msgspec.structs.replace(self.context, pods=tuple(pods))

    def _pod(self, name, start, at, ads, planned):
        left = None if planned is None else start + planned - at + self.excess_us
        ends = list(accumulate((ADS[ad] for ad in ads), initial=at))
        placed = [
            Placed(ad, f"https://ads.example/{ad}", begin, ADS[ad])
            for ad, begin, end in zip(ads, ends, ends[1:], strict=False)
            if left is None or end - at <= left
        ]
        until = placed[-1].start_us + placed[-1].duration_us if placed else at
        if self.slate and name != "preroll":
            rest = 600 * S if planned is None else start + planned - until
            if rest >= 2 * S:
                placed.append(Placed(SLATE, "https://ads.example/slate", until, rest))
                until += rest
        return Pod(name, start, decided=True, planned_us=planned, at_us=at, until_us=until,
                   ads=tuple(placed))  # fmt: skip

    def decide(self, now_us, edge_us):
        known = {pod.id for pod in self.context.pods}
        for one in self.cast.breaks:
            name = f"slot:{one.id}"
            end = one.end_us or (one.start_us + one.duration_us if one.duration_us else None)
            if name in known or (name in self.asked and self.asked[name] is None):
                continue
            if end is not None and end <= self.joined_us:
                continue
            began = self.asked.setdefault(name, now_us)
            if now_us - began < self.takes_us:
                continue
            self.asked[name] = None
            at = max(one.start_us, self.joined_us)
            if now_us > began:
                at = max(at, edge_us + TARGET_S * S)
            for pod in self.context.pods:
                at = max(at, pod.until_us) if pod.at_us <= at < pod.until_us else at
            if end is None or at < end:
                self._add(self._pod(name, one.start_us, at, self.names, one.duration_us))

    def serve(self, rendition, now_us, seen_us, *, every_rule=True):
        """One list, as a process makes it that sees the origin as it was at `seen_us`."""
        cast, key = self.cast, self.cast.keys[rendition]
        reference = cast.see("v1", seen_us)
        content = cast.see(rendition, seen_us)
        edge = max(reference.starts[-1], content.starts[-1])
        self.decide(now_us, edge)
        known = None if rendition != "audio" else reference.starts[-1]
        self._fold(key, rendition, content)
        spliced = self._spliced(rendition, content, known)
        if spliced.needed:
            cast.remember(key, spliced.needed)
            spliced = self._spliced(rendition, content, known)
            assert spliced.needed == ()
        listing = read(spliced.text)
        self.served += 1
        self.played |= {label(row.uri) for row in listing.rows}
        follower = self.followers.setdefault(rendition, Follower())
        found = follower.broken(listing, content.starts[0]) + self.discontinuities.broken(listing)
        if every_rule:
            edge = content.starts[-1] if known is None else min(known, content.starts[-1])
            found += broken(listing, encrypted=("https://ads.example/b/",))
            found += withheld(listing, edge)
            assert listing.sequence == spliced.sequence
            assert listing.rows[0].at_us // 1000 == spliced.first_us // 1000
        if found:
            when = (now_us - EPOCH) / S
            self.wrong.append((f"{when:.1f} s, {rendition}, {(now_us - seen_us) / S} old", found))
        return listing

    def _fold(self, key, rendition, content):
        cast = self.cast
        if key not in self.context.shifts:
            shifts = {**self.context.shifts, key: splice.unseen(self.context.shifts)}
            self.context = msgspec.structs.replace(self.context, shifts=shifts)
        self.context = splice.fold(
            self.context, content, cast.breaks, cast.ads[rendition], cast.marks, key=key,
            target_s=TARGET_S,
        )  # fmt: skip

    def _spliced(self, rendition, content, known):
        cast, key = self.cast, self.cast.keys[rendition]
        return splice.live(
            content,
            self.context.pods,
            cast.breaks,
            cast.ads[rendition],
            cast.marks,
            shift=self.context.shifts.get(key, Shift()),
            key=key,
            target_s=TARGET_S,
            from_us=self.from_us,
            known_us=known,
        )
