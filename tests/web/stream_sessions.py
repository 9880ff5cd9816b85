"""Sessions of a real server in real browsers: what was on screen, what was told, what was heard.

The demo is a server of its own here: a stranger to the collectors, as an origin and an ad server
are, and one process that counts every beacon, however many collectors there are.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import threading
import time
import uuid
from base64 import urlsafe_b64decode
from collections import Counter
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
import msgspec
import uvicorn
from running import Running, eventually
from starlette.applications import Starlette
from watching_streams import PER_SEGMENT, PICTURES_PER_S, STALLED_MS, Player, runs

from footfall import demo
from footfall.demo.live import CYCLE, EPOCH_US
from footfall.demo.media import ASSETS, SEGMENT_US
from footfall.demo.vast import BREAKS
from footfall.settings.development import DEV_SERVICES, OWN
from footfall.stream.ad_tokens import SIGNATURE_BYTES, AdSegment

MAIN, SLATE = ASSETS["main"].number, ASSETS["slate"].number
NAMES = {asset.number: asset.name for asset in ASSETS.values()}
BY_TIME = {
    "impression", "start", "firstQuartile", "midpoint", "thirdQuartile", "complete", "progress",
    "breakStart", "breakEnd",
}  # fmt: skip
"""Types of the demo's beacons that nobody but the clock sets off."""
HOLE_S = 0.5
"""What a player may leave out where two segments meet."""
LATE_MS = 5000
"""By how much the witness may come late to what is shown first."""
UNSURE_MS = 1000
"""How near to the beginning and the end of what was watched a beacon may go either way."""


@contextlib.contextmanager
def serving_the_demo():
    """The address of the demo by itself."""
    app = Starlette(routes=demo.routes())
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    eventually(lambda: server.started, "the demo is served", 10)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(10)


class Served:
    """Footfall with the demo's services, and others like them, at a demo of its own."""

    def __init__(self, folder, demo_url, workers=1):
        self.demo_url, self.workers = demo_url, workers
        config = folder / "footfall.toml"
        config.write_text(_settings(demo_url, workers))
        self.running = _Console(folder, "--config", config).announced()
        self.url = self.running.url

    def end(self):
        self.running.end()

    def heard(self, key):
        """Beacons of a key that came to the ad server."""
        asked = httpx.get(f"{self.demo_url}/demo/ads/beacons", params={"key": key})
        return asked.json()["beacons"]

    def set_slot(self, service, slot, **what):
        """Through the console, as whoever plans a channel does."""
        console = urlsplit(self.running.console)
        answer = httpx.put(
            f"http://{console.netloc}/console/api/services/{service}/slots/{slot}",
            headers={"Authorization": f"Bearer {dict(parse_qsl(console.query))['token']}"},
            json=what,
        )
        assert answer.status_code == 201, answer.text


STALLS = """
let at = -1, since = 0;
window.stoodStill = 0;
setInterval(() => {
  const now = performance.now();
  if (!seen.length || video.paused || video.currentTime !== at) [at, since] = [video.currentTime, now];
  else window.stoodStill = Math.max(window.stoodStill, now - since);
}, 100);
"""


class _Console(Running):
    """A server whose console's address is known, token included."""

    def read_line(self, *arguments):
        line = super().read_line(*arguments)
        self.console = line.partition("console on ")[2].strip()
        return line


def _settings(demo_url, workers):
    """The services of dev mode under short names, without a pre-roll, and told by the server."""
    vod, live, channel = DEV_SERVICES
    tables = [
        _service("vod", vod),
        _service("told", vod, tracking="server"),
        _service("live", live, preroll_ad_server=None),
        _service("preroll", live),
        _service("channel", channel),
    ]
    # Connections do not live long, so that a session's calls come to every collector.
    server = f"[server]\nworkers = {workers}\n[server.limits]\nidle_seconds = 1\n"
    return server + "".join(tables).replace(OWN, demo_url)


def _service(name, like, **other):
    said = {
        "source": like.source,
        "kind": like.kind,
        "origin": like.origin,
        "assets": list(like.assets) or None,
        "ad_server": like.ad_server,
        "preroll_ad_server": like.preroll_ad_server,
        "slate": like.slate,
        "private_addresses": True,
    } | other
    lines = [f"{key} = {json.dumps(value)}" for key, value in said.items() if value is not None]
    return "\n".join(("[[service]]", f'id = "{name}"', *lines, ""))


class Watching(Player):
    """A session that plays, and all that its tracking said of it, from every collector."""

    def __init__(self, browser, server, **parameters):
        self.key = uuid.uuid4().hex
        self.server = server
        self.pods = {}
        """By id, with all that was told of them."""
        # Each call on a connection of its own: it is taken by whichever collector.
        self.http = httpx.Client(headers={"Connection": "close"})
        super().__init__(browser, server.url, key=self.key, **parameters)
        eventually(lambda: browser.run("return Boolean(window.demo?.hls)"), "it begins", 20)
        browser.run(STALLS)

    # What the session's tracking says

    def ask(self):
        """Of whichever collector takes the call."""
        url, workflow = self.browser.run(
            "return [demo.session?.url.href ?? null, demo.session?.workflow]"
        )
        assert url, self.browser.run("return demo.log")
        answer = self.http.get(f"{url}&{urlencode({'bk-ml': workflow})}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def listen(self):
        """Hold what the page knows, and what a call says now, against what was said before."""
        self._heed(self.browser.run("return demo.session?.pods ?? []"))
        if self.browser.run("return Boolean(demo.session?.polls)"):
            self._heed(self.ask()["adpods"])

    def _heed(self, pods):
        """Pods keep id and start, and ads are added behind those that were told."""
        for pod in pods:
            before = self.pods.get(pod["id"], pod)
            assert before["starttime_ms"] == pod["starttime_ms"]
            both = min(len(before["ads"]), len(pod["ads"]))
            assert before["ads"][:both] == pod["ads"][:both]
            assert pod["duration_ms"] == sum(ad["duration_ms"] for ad in pod["ads"])
            if len(pod["ads"]) >= len(before["ads"]):
                self.pods[pod["id"]] = pod

    def ads(self):
        """In the order of their times, fillers left out."""
        found = [ad for pod in self.pods.values() for ad in pod["ads"] if ad["adid"] != "SLATE"]
        return sorted(found, key=lambda ad: ad["starttime_ms"])

    def owed(self):
        """By address, when each beacon is due that time sets off."""
        events = [
            event
            for pod in self.pods.values() if pod["ads"]
            for event in (
                *pod.get("adbreaktrackingevents", ()),
                *(event for ad in pod["ads"] for event in ad["trackingevents"]),
            )
        ]  # fmt: skip
        return {e["callbackurl"]: e["time_ms"] for e in events if e["type"] in BY_TIME}

    # What was asked for where the server tells

    def ad_segments(self):
        """Every request of the page for an ad's segment, by what its address says."""
        names = self.browser.run(
            "return performance.getEntriesByType('resource').map((one) => one.name)"
        )
        return [_segment(name.rpartition("/")[2]) for name in names if "/ad/" in name]

    def heard_of(self):
        """What the ad server heard: break, place in it, ad, event and its further name."""
        return Counter(
            (
                one["break"],
                one.get("sequence"),
                one.get("ad"),
                one["event"],
                one.get("at", one.get("by")),
            )
            for one in self.server.heard(self.key)
            for _ in range(one["count"])
        )

    # What was on screen

    def stood_still_ms(self):
        """The longest time for which it played and came no further."""
        return self.browser.run("return window.stoodStill")

    def freeze(self):
        """Stop without its being a viewer's pause."""
        self.browser.run("video.playbackRate = 0")

    def picture(self, stream_ms):
        """What a stream that has ended shows at one of its times."""
        before = len(self.seen())
        self.browser.run(f"video.pause(); video.currentTime = {stream_ms / 1000 + 0.01}")
        return eventually(lambda: self.seen()[before:], "it is there", 10)[-1]

    def assert_nothing_was_skipped(self):
        """Pictures may have been missed where the machine was busy, but no moment was."""
        played = self.browser.run(
            "const p = video.played;"
            "return Array.from({length: p.length}, (_, n) => [p.start(n), p.end(n)])"
        )
        for (_, before), (after, _) in itertools.pairwise(played):
            assert after - before < HOLE_S, played

    # What the ad server heard

    def heard(self):
        """How often the ad server heard each beacon of this session, by all that it says."""
        found = Counter()
        for one in self.server.heard(self.key):
            said = {k: v for k, v in one.items() if k not in {"count", "times_ms"}}
            found[frozenset(said.items())] += one["count"]
        return found

    def assert_heard_exactly(self, certain, doubtful=()):
        """Each of the certain addresses once, of the doubtful ones at most once, nothing else."""
        certain, doubtful = Counter(map(_said, certain)), Counter(map(_said, doubtful))
        with contextlib.suppress(AssertionError):
            eventually(lambda: certain <= self.heard(), "they all came", 5)
        found = self.heard()
        assert certain - found == Counter(), "these never came"
        assert found - certain - doubtful == Counter(), "nobody owed these"


def _said(url):
    return frozenset(parse_qsl(urlsplit(url).query, keep_blank_values=True))


# What the server owes


def _segment(token):
    data = urlsafe_b64decode(token + "=" * (-len(token) % 4))
    return msgspec.msgpack.decode(data[SIGNATURE_BYTES:], type=AdSegment)


QUARTERS = {"firstQuartile": 0.25, "midpoint": 0.5, "thirdQuartile": 0.75}


def owed_by(segments):
    """What requests for these segments of the demo's VOD owe, as `Watching.heard_of` has it."""
    owed = set()
    for one in segments:
        names = BREAKS[one.pod][1].split(",")
        name, duration = names[one.ad], ASSETS[names[one.ad]].duration_us / 1000
        moments = {(event, None): share * duration for event, share in QUARTERS.items()}
        moments |= {("progress", "2s"): 2000, ("progress", "90%"): 0.9 * duration}
        due = [which for which, at in moments.items() if one.begin_ms <= at < one.end_ms]
        if one.segment == 0:
            due += [("impression", None), ("impression", "agency"), ("start", None)]
        if one.segment == one.of - 1:
            due.append(("complete", None))
        owed |= {(one.pod, str(one.ad + 1), name, event, more) for event, more in due}
        if one.ad == one.segment == 0:
            owed.add((one.pod, None, None, "breakStart", None))
        if (one.ad, one.segment) == (len(names) - 1, one.of - 1):
            owed.add((one.pod, None, None, "breakEnd", None))
    return Counter(owed)


# Live streams


def live_path(edge):
    """Four times as fast, with the live edge now before this segment of the cycle."""
    now = time.time()
    at = (round(now * 1e6) - EPOCH_US) // SEGMENT_US
    return f"speed=4,start={now:.3f},phase={(edge - at) % CYCLE}/master.m3u8"


def phase_of(path):
    """How far the cycle of a live path is ahead, in segments."""
    return int(path.partition("phase=")[2].partition("/")[0] or 0)


def watch(players, seconds):
    """Let them play; nobody may stall, and what they are told is listened to."""
    for page in players:
        eventually(page.seen, "the first picture", 20)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.5)
        for page in players:
            assert page.stood_still_ms() < STALLED_MS, page.browser.run("return demo.log")
            page.listen()


def assert_shown_as_told(page, phase=None):
    """Of a live session: ads where the tracking says, whole, and their beacons heard.

    With a phase, content is what was on air. Returns the ids of the ads that were shown to their
    ends.
    """
    page.freeze()
    pictures = [picture for picture in page.seen() if picture.stream_ms is not None]
    page.listen()
    # A busy machine shows pictures late: how far it has come, the player itself says.
    began, ended = pictures[0].stream_ms, page.browser.run("return demo.at")
    shown = runs(pictures)
    ads = [
        ad for ad in page.ads()
        if ad["starttime_ms"] + ad["duration_ms"] > began + UNSURE_MS
        and ad["starttime_ms"] < ended - UNSURE_MS
    ]  # fmt: skip
    on_screen = [run for run in shown if run.asset not in {MAIN, SLATE}]
    if phase is None:  # a channel's slots have films that are ads elsewhere
        on_screen = on_screen[: len(ads)]
    assert [NAMES[run.asset] for run in on_screen][: len(ads)] == [ad["adid"] for ad in ads]
    assert len(on_screen) - len(ads) in {0, 1}, "one may have begun within the last second"
    whole = [ad for ad in ads if ad["starttime_ms"] + ad["duration_ms"] < ended - UNSURE_MS]
    page.assert_nothing_was_skipped()
    for run, ad in zip(on_screen, whole, strict=False):
        assert abs(began_ms(run) - ad["starttime_ms"]) < UNSURE_MS / 2
    for run in shown:
        if run.asset == MAIN and phase is not None:
            assert off_air(run.last, phase) < PICTURES_PER_S
    owed = page.owed()
    certain = {u for u, at in owed.items() if began + UNSURE_MS < at < ended - UNSURE_MS}
    early = began - LATE_MS
    near = {u for u, at in owed.items() if early < at < ended + UNSURE_MS} - certain
    page.assert_heard_exactly(certain, near)
    return [ad["adid"] for ad in whole]


def began_ms(run):
    """When a run's picture 0 was due, by the stream's time at its last one."""
    return run.last.stream_ms - run.last.number * 1000 / PICTURES_PER_S


def off_air(picture, phase):
    """By how many pictures one of the programme is not the one that was on air then."""
    segments = (picture.stream_ms * 1000 - EPOCH_US) / SEGMENT_US + phase
    pictures = CYCLE * PER_SEGMENT
    away = (picture.number - segments * PER_SEGMENT) % pictures
    return min(away, pictures - away)
