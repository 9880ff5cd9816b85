"""Stream services on a memory journal, with an origin, an ad server and creatives that tests say.

Several processes are several `Rig`s over one `World`: the journal and the outside are shared, what
a process keeps in memory is not. The stream's clock is the server's.
"""

from __future__ import annotations

import asyncio
import json
import time
from datetime import UTC, datetime
from itertools import count

import httpx

from footfall.errors import JournalUnavailable
from footfall.journal.contract import Position
from footfall.journal.engines.memory import MemoryJournal
from footfall.metrics import Tally
from footfall.settings import Service, Streams
from footfall.stream import multivariant, playlist, tracking
from footfall.stream.ad_tokens import Tokens
from footfall.stream.contract import Ad, AdBreak, Beacon, Failure, FetchError, MediaList, Offer
from footfall.stream.creatives import Creative
from footfall.stream.deciding import Decider
from footfall.stream.decisions import Client
from footfall.stream.endpoint import StreamApp
from footfall.stream.error_calls import ErrorCalls
from footfall.stream.events import Events, Sender
from footfall.stream.fetch import BeaconOutcome
from footfall.stream.inserts import Inserts
from footfall.stream.lines import PlaylistError
from footfall.stream.live_calls import LiveCalls
from footfall.stream.origin import Document
from footfall.stream.requests import Requests, new_session_id
from footfall.stream.sessions import Sessions
from footfall.stream.titles import Titles
from footfall.stream.vod_calls import VodCalls

S = 1_000_000
ORIGIN = "https://origin.example.com/"
MASTER = (
    '#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="en",URI="sound.m3u8"\n'
    '#EXT-X-STREAM-INF:BANDWIDTH=100000,CODECS="avc1.4d401f,mp4a.40.2",AUDIO="a"\nvideo.m3u8\n'
)
VIDEO, SOUND, TOP = (f"{ORIGIN}{name}.m3u8" for name in ("video", "sound", "master"))

VIDEO_CALL, AUDIO_CALL = (
    f"/stream/s/{name}.m3u8?bpkio_sessionid=abc&bpkio_multivariant=master.m3u8"
    for name in ("video", "sound")
)


def ad(name, seconds, *beacons):
    errors = (f"https://ads.example.com/error?ad={name}&code=[ERRORCODE]",)
    return Ad(name, duration_ms=round(seconds * 1000), errors=errors, beacons=beacons)


def offer(*ads, **more):
    return Offer(ads, **{"latency_ms": 5.0, "calls": 1, **more})


IMPRESSION = Beacon("impression", "https://ads.example.com/impression")


class World:
    """What is outside of the processes, and the journal that they share."""

    def __init__(self):
        self.journal = MemoryJournal()
        self.journal_fault = None
        self.texts = {TOP: MASTER}
        """Playlists by address, with its query or without; an exception is raised."""
        self.offers = []
        """What the ad server answers, one after another; the last one for ever."""
        self.ad_server_seconds = 0.0
        self.asked = []
        """(template, values) of every ad call."""
        self.called = []
        """Error addresses."""
        self.broken = set()
        """Ads that cannot be played."""
        self.lengths = {}
        """Of ads, in seconds: else as VAST says."""
        self.slate = None

    def events(self, kind=None):
        batch = asyncio.run(self.journal.read(Position(0, 0), 1 << 30))
        lines = b"".join(record.events for _, record in batch.records).splitlines()
        found = [json.loads(line) for line in lines]
        return [one for one in found if kind in {None, one["type"]}]


class Journal:
    def __init__(self, world):
        self._world = world

    async def commit(self, unit):
        await asyncio.sleep(0)
        if self._world.journal_fault:
            raise self._world.journal_fault
        (result,) = await self._world.journal.transact([unit])
        if isinstance(result, Exception):
            raise result
        return result

    async def get(self, keys):
        return await self._world.journal.get(keys)


class Playlists:
    """The origin: the same object as long as it is the same text."""

    def __init__(self, world):
        self._world = world
        self._known = {}

    async def playlist(self, service, uri, *, live, variables=()):
        texts = self._world.texts
        text = texts.get(uri, texts.get(uri.partition("?")[0]))
        if text is None:
            raise FetchError("status", "not found", 404)
        if isinstance(text, Exception):
            raise text
        if self._known.get(uri, ("",))[0] != text:
            read = multivariant if multivariant.is_multivariant(text) else playlist
            self._known[uri] = (text, read.parse(text, uri))
        return self._known[uri][1]

    async def media(self, service, uri, *, live, variables=()):
        found = await self.playlist(service, uri, live=live)
        if not isinstance(found, MediaList):
            raise PlaylistError("no media playlist")
        return found

    async def multivariant(self, service, uri, *, live=False):
        found = await self.playlist(service, uri, live=live)
        if isinstance(found, MediaList):
            raise PlaylistError("no multivariant playlist")
        return found

    async def document(self, service, uri, *, live):
        text = self._world.texts.get(uri)
        if text is None:
            raise FetchError("status", "not found", 404)
        if isinstance(text, Exception):
            raise text
        return Document(text.encode(), "application/dash+xml", uri)


class Ads:
    def __init__(self, world):
        self._world = world

    async def ask(self, template, *, service, values):
        found = await self._answer(template, values)
        return found if isinstance(found, tuple) else (AdBreak("start", offer=found),)

    async def ask_break(self, template, *, service, values):
        found = await self._answer(template, values)
        return found if isinstance(found, AdBreak) else AdBreak("start", offer=found)

    async def _answer(self, template, values):
        world = self._world
        world.asked.append((template, values))
        await asyncio.sleep(world.ad_server_seconds)
        return world.offers.pop(0) if len(world.offers) > 1 else world.offers[0]


class Creatives:
    """Every ad has segments of two seconds, in every rendition, and no subtitles."""

    def __init__(self, world):
        self._world = world
        self._lists = {}

    def _seconds(self, one):
        return self._world.lengths.get(one.ad_id, one.duration_ms / 1000)

    async def resolve(self, service, one, content):
        if one.ad_id in self._world.broken:
            return Failure(403, "it has no file", one.ad_id, one.errors)
        seconds = self._seconds(one)
        address = f"https://creatives.example.com/{one.ad_id}/{seconds}.m3u8"
        return Creative(address, round(seconds * S))

    async def slate(self, service, content):
        if self._world.slate is None:
            return None
        return Creative(self._world.slate, 4 * S)

    async def lists(self, service, address, rendition):
        if rendition.kind == "subtitles":
            return None
        key = (address, rendition.kind)
        if key not in self._lists:
            seconds = float(address.rpartition("/")[2].removesuffix(".m3u8"))
            text = vod_text(seconds, ".ts", f"{rendition.kind}-")
            self._lists[key] = playlist.parse(text, address)
        return self._lists[key]


class Caller:
    def __init__(self, world):
        self._world = world

    async def beacon(self, url, *, service, timeout, headers):
        self._world.called.append(url)
        return BeaconOutcome("sent", 200, 1.0)


class Beacons:
    """Remembers which segments were asked for."""

    def __init__(self):
        self.segments = []

    async def asked(self, service, segment, viewer):
        self.segments.append((segment, viewer))


class Store:
    def file(self, key, name):
        return None


class Rig:
    """One process."""

    def __init__(self, world=None, *services, **limits):
        self.world = world or World()
        self.limits = Streams(**{"decision_seconds": 2.0, "wait_seconds": 0.3, **limits})
        self.services = {one.id: one for one in services}
        self.tally = Tally()
        self.ahead_us = 0
        self.sessions = Sessions(Journal(self.world), self.now, self.tally, 1000)
        numbers = count()
        record = Events(lambda now: f"{id(self)}-{next(numbers)}")
        self.playlists, creatives = Playlists(self.world), Creatives(self.world)
        self.decider = Decider(
            sessions=self.sessions,
            ads=Ads(self.world),
            creatives=creatives,
            errors=ErrorCalls(Caller(self.world), self.now, self.tally, 1.0),
            recorder=record,
            streams=self.limits,
            clock=self.now,
            tally=self.tally,
        )
        self.tokens = Tokens(b"secret")
        self.beacons = Beacons()
        told = tracking.Tracking()
        shared = {
            "titles": Titles(self.playlists, self.sessions, self.now),
            "sessions": self.sessions,
            "decider": self.decider,
            "inserts": Inserts(creatives, self.tokens),
            "tracking": told,
            "recorder": record,
            "clock": self.now,
        }
        self.app = StreamApp(
            requests=Requests(self.services, new_session_id),
            playlists=self.playlists,
            live=LiveCalls(**shared),
            vod=VodCalls(**shared),
            tracking=told,
            tokens=self.tokens,
            beacons=self.beacons,
            store=Store(),
            clients=self._client,
            schema=tracking.schema(),
            tally=self.tally,
        )

    def now(self):
        return time.time_ns() // 1000 + self.ahead_us

    def _client(self, scope, service, session_id):
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        return Client(
            Sender(source=service.source, service=service.id, session_id=session_id),
            headers,
            "192.0.2.7",
        )

    async def get(self, target, method="GET", **headers):
        """An answer, redirects not followed."""
        transport = httpx.ASGITransport(app=self.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://s") as client:
            return await client.request(method, target, headers=headers)

    async def close(self):
        await self.decider.close()


def service(kind="live", **more):
    given = {
        "id": "s",
        "source": "site",
        "kind": kind,
        "origin": ORIGIN,
        "ad_server": "https://ads/",
    }
    return Service(**{**given, **more})


def vod_text(seconds, ending=".ts", name="", target=2):
    lines = ["#EXTM3U", "#EXT-X-VERSION:3", f"#EXT-X-TARGETDURATION:{target}"]
    left, number = seconds, 0
    while left > 0.001:
        lines += [f"#EXTINF:{min(left, target):.3f},", f"{name}{number}{ending}"]
        left, number = left - target, number + 1
    return "\n".join([*lines, "#EXT-X-ENDLIST", ""])


def film(*breaks, seconds=20):
    """A world with a finished film, whose ad server answers with these breaks."""
    world = World()
    world.offers = [breaks]
    for uri, name in ((VIDEO, "v"), (SOUND, "a")):
        world.texts[uri] = vod_text(seconds, ".ts", name)
    return world


class Live:
    """A live origin: segments of two seconds; what is listed is what a test lets be there."""

    def __init__(self, world, window=15, dated=True):
        self.world = world
        self.window = window
        self.dated = dated
        now = time.time_ns() // 1000
        self.start_us = now - now % (2 * S) - window * 2 * S
        self.first = 1000
        self.edge = window
        """How many segments there have been."""
        self.tags = {}
        """Lines before a segment, by its place since the start."""
        self.publish()

    def at(self, place):
        return self.start_us + place * 2 * S

    def go_on(self, segments=1):
        self.edge += segments
        self.publish()

    def cue_out(self, place, seconds=None):
        self.tags[place] = f"#EXT-X-CUE-OUT:{seconds}" if seconds else "#EXT-X-CUE-OUT"

    def cue_in(self, place):
        self.tags[place] = "#EXT-X-CUE-IN"

    def publish(self):
        for uri, name in ((VIDEO, "v"), (SOUND, "a")):
            begin = self.edge - self.window
            lines = ["#EXTM3U", "#EXT-X-VERSION:3", "#EXT-X-TARGETDURATION:2"]
            lines.append(f"#EXT-X-MEDIA-SEQUENCE:{self.first + begin}")
            for place in range(begin, self.edge):
                if place in self.tags:
                    lines.append(self.tags[place])
                if self.dated:
                    lines.append(f"#EXT-X-PROGRAM-DATE-TIME:{date(self.at(place))}")
                lines += ["#EXTINF:2.000,", f"{name}{place}.ts"]
            self.world.texts[uri] = "\n".join([*lines, ""])


def date(at_us):
    moment = datetime.fromtimestamp(at_us / S, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def segments(text):
    """What a list plays, in short: the names of its segments, ads by their own."""
    found = []
    for line in text.splitlines():
        if line and not line.startswith("#"):
            parts = line.removesuffix(".ts").split("/")
            found.append(f"{parts[-2]}" if "creatives" in line else parts[-1])
    return found


def number(text, tag):
    return int(next(line for line in text.splitlines() if line.startswith(tag)).split(":")[1])


UNAVAILABLE = JournalUnavailable("disk full")
