"""Processes of the stream endpoint with all their parts, over a network and a time that tests own.

Only what connects to other servers is not the real one, and where a test wants that, it is:
`Process` takes any fetcher. What processes share is the journal and the outside; what each keeps
in memory is its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import selectors
from collections import Counter
from itertools import count
from urllib.parse import parse_qsl, urlsplit

import httpx
from lists import EPOCH, S

from footfall.metrics import Tally
from footfall.settings import Service, Streams
from footfall.stream import tracking
from footfall.stream.ad_tokens import Tokens
from footfall.stream.adserver import AdServer
from footfall.stream.beacons import Beacons
from footfall.stream.channels import Playlists
from footfall.stream.contract import FetchError
from footfall.stream.creatives import Creatives
from footfall.stream.deciding import Client, Decider
from footfall.stream.endpoint import StreamApp
from footfall.stream.error_calls import ErrorCalls
from footfall.stream.events import Events, Sender
from footfall.stream.fetch import BeaconOutcome, Fetched
from footfall.stream.inserts import Inserts
from footfall.stream.live_calls import LiveCalls
from footfall.stream.origin import Origins
from footfall.stream.prepared import Store
from footfall.stream.requests import Requests, new_session_id
from footfall.stream.services import allows, folder_of_channel
from footfall.stream.sessions import Sessions
from footfall.stream.slots import Slots
from footfall.stream.titles import Titles
from footfall.stream.troubles import Troubles
from footfall.stream.vod_calls import VodCalls

REAL_SECONDS = 10
"""How long nothing at all may happen outside before a test counts as stuck."""


class _Selector(selectors.DefaultSelector):
    """Never sleeps while only timers are waited for: the loop's time moves instead."""

    loop = None

    def select(self, timeout=None):
        if (
            self.loop.outside and timeout != 0
        ):  # a thread or a disk is at work, which takes its own time
            return super().select(REAL_SECONDS)
        if timeout is None:
            found = super().select(REAL_SECONDS)
            assert found, "nothing is left that could happen"
            return found
        self.loop.passed += timeout
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """Time passes when nobody has anything to do, at once up to the next timer."""

    def __init__(self):
        selector = _Selector()
        selector.loop = self
        self.passed = 0.0
        self.outside = 0
        super().__init__(selector)

    def time(self):
        return self.passed


@contextlib.contextmanager
def outside():
    """While something is waited for that takes real time, virtual time stands still."""
    loop = asyncio.get_running_loop()
    loop.outside = getattr(loop, "outside", 0) + 1
    try:
        yield
    finally:
        loop.outside -= 1


def run(coroutine):
    """Run a test in virtual time; one that takes a virtual day hangs."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(asyncio.wait_for(coroutine, 86_400))


def now():
    """The clock of servers and streams."""
    return EPOCH + round(asyncio.get_running_loop().time() * S)


def clock():
    """The same for threads, which have no loop: a clock of the loop that runs now."""
    loop = asyncio.get_running_loop()
    return lambda: EPOCH + round(loop.time() * S)


class Network:
    """Other servers. `answer[host](url)` gives a body, (status, body), a `FetchError` or, of those
    that take their time, a coroutine of one of these."""

    def __init__(self):
        self.answer = {}
        self.asked = []
        """Every address that was fetched."""
        self.called = []
        """Every beacon."""
        self.beacon_seconds = 0.0

    def count(self, host):
        return sum(urlsplit(url).hostname == host for url in self.asked)

    async def get(
        self, url, *, service, timeout, limit_bytes, headers=None, conditional=None
    ) -> Fetched:
        host = urlsplit(url).hostname
        if not allows(service, host):
            raise FetchError("refused", f"{host} is on no list")
        self.asked.append(url)
        found = self.answer[host](url)
        try:
            async with asyncio.timeout(timeout):
                found = await found if asyncio.iscoroutine(found) else found
        except TimeoutError:
            raise FetchError("timeout", f"{host} took longer than {timeout} s") from None
        if isinstance(found, FetchError):
            raise found
        status, body = found if isinstance(found, tuple) else (200, found)
        body = body.encode() if isinstance(body, str) else body
        if status >= 300:
            raise FetchError("status", f"{host} answered {status}", status)
        if len(body) > limit_bytes:
            raise FetchError("too_large", f"{host} sent more than {limit_bytes} bytes")
        return Fetched(status, {}, body, url, url)

    async def beacon(self, url, *, service, timeout, headers=None):
        self.called.append(url)
        await asyncio.sleep(self.beacon_seconds)
        return BeaconOutcome("sent", 200, 1.0)

    async def close(self):
        pass


def query(url):
    return dict(parse_qsl(urlsplit(url).query, keep_blank_values=True))


class State:
    """The journal as `Sessions` and `Beacons` see it; a disk's waits are real, not virtual."""

    def __init__(self, journal):
        self.journal = journal
        self.fault = None

    async def commit(self, unit):
        if self.fault is not None:
            raise self.fault
        with outside():
            (result,) = await self.journal.transact([unit])
        if isinstance(result, Exception):
            raise result
        return result

    async def get(self, keys):
        with outside():
            return await self.journal.get(keys)


class Process:
    """One collector, as far as streams go."""

    def __init__(self, journal, fetcher, folder, *services, clock=now, **limits):
        limits = Streams(**limits)
        loop = asyncio.get_running_loop()
        self.fetcher = fetcher
        self.services = {one.id: _in_folder(one) for one in services}
        self.state = State(journal)
        tally = Tally()
        numbers = count()
        record = Events(lambda at: f"{id(self):x}-{at}-{next(numbers)}")
        troubles = Troubles(self.state.commit, record, lambda _service: "site", clock)
        origins = Origins(fetcher, limits, clock=loop.time, on_trouble=troubles.tell)
        self.playlists = Playlists(origins, Slots(self.state, clock), clock, loop.time)
        store = Store(folder)
        creatives = Creatives(self.playlists, store, encoder=False, clock=loop.time)
        self.sessions = Sessions(self.state, clock, tally, limits.sessions_cached)
        errors = ErrorCalls(fetcher, clock, tally, limits.beacon_seconds)
        self.decider = Decider(
            sessions=self.sessions,
            ads=AdServer(fetcher, limits, clock=loop.time, now=clock),
            creatives=creatives,
            errors=errors,
            recorder=record,
            streams=limits,
            clock=clock,
            tally=tally,
        )
        tokens = Tokens(b"secret")
        self.beacons = Beacons(
            known=self.sessions.with_pod,
            commit=self.state.commit,
            record=record,
            caller=fetcher,
            now=clock,
            seconds=limits.beacon_seconds,
        )
        told = tracking.Tracking()
        shared = {
            "titles": Titles(self.playlists, self.sessions, clock),
            "sessions": self.sessions,
            "decider": self.decider,
            "inserts": Inserts(creatives, tokens),
            "tracking": told,
            "recorder": record,
            "clock": clock,
        }
        self.app = StreamApp(
            requests=Requests(self.services, new_session_id),
            playlists=self.playlists,
            live=LiveCalls(**shared),
            vod=VodCalls(**shared),
            tracking=told,
            tokens=tokens,
            beacons=self.beacons,
            store=store,
            clients=_client,
            schema=tracking.schema(),
            tally=tally,
        )
        self._closing = (self.decider, errors, troubles, self.playlists, fetcher)

    async def get(self, target, method="GET", headers=()):
        """The answer, redirects not followed: status, headers, body."""
        path, _, asked = target.partition("?")
        answer = {}
        body = []

        async def send(message):
            if message["type"] == "http.response.start":
                answer.update(message)
            else:
                body.append(message.get("body", b""))

        scope = {
            "type": "http",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode("latin-1"),
            "query_string": asked.encode("latin-1"),
            "headers": [(name.encode(), value.encode()) for name, value in headers],
            "client": ("192.0.2.7", 1),
        }
        await self.app(scope, None, send)
        return httpx.Response(answer["status"], headers=answer["headers"], content=b"".join(body))

    async def close(self, beacons_seconds=1.0):
        await self.beacons.close(beacons_seconds)
        for one in self._closing:
            await one.close()


def _in_folder(service):
    """As `Services` gives it: a channel's own playlists lie in a folder of no network."""
    folder = folder_of_channel(service)
    return service if folder is None else dataclasses.replace(service, origin=folder)


def _client(scope, service, session_id):
    sender = Sender(source=service.source, service=service.id, session_id=session_id)
    headers = {name.decode(): value.decode() for name, value in scope["headers"]}
    return Client(sender, headers, "192.0.2.7")


async def events(journal, kind=None):
    """What was journalled, oldest first."""
    found = []
    for span in await journal.partitions():
        at = span.first
        while True:
            batch = await journal.read(at)
            for _, record in batch.records:
                found += [json.loads(line) for line in record.events.splitlines()]
            if batch.next == at or not batch.records:
                break
            at = batch.next
    return [one for one in found if kind in {None, one["type"]}]


def properties(found, *names):
    return [tuple(one["properties"][name] for name in names) for one in found]


def decisions(found):
    """How often each pod of each session was decided."""
    return Counter(
        (one["properties"]["service"], one["session_id"], one["properties"]["pod"])
        for one in found
        if one["type"] == "ad-break"
    )


def service(name="s", kind="live", **more):
    given = {
        "id": name,
        "source": "site",
        "kind": kind,
        "origin": "https://origin.example/",
        "ad_server": "https://ads.example/vast?ads=$arg_ads&session=$SESSION_ID",
        "hosts": ("creatives.example", "beacons.example"),
    }
    return Service(**{**given, **more})
