"""The streams of one process without a network: for what a call costs inside it.

The origin's list and those of the ads are given read, and the ad server answers at once, each
session with ads of its own. Everything between a request and its answer is the real thing.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any

from footfall.journal.contract import Outcome, States, Unit
from footfall.journal.engines.memory import MemoryJournal
from footfall.metrics import Tally
from footfall.settings import Service, Streams
from footfall.stream import tracking
from footfall.stream.ad_tokens import Tokens
from footfall.stream.contract import Ad, AdBreak, MediaFile, MediaList, Offer
from footfall.stream.creatives import Creatives
from footfall.stream.deciding import Decider
from footfall.stream.decisions import Client
from footfall.stream.endpoint import StreamApp
from footfall.stream.events import Events, Sender
from footfall.stream.inserts import Inserts
from footfall.stream.live_calls import LiveCalls
from footfall.stream.requests import Requests, new_session_id
from footfall.stream.sessions import Sessions
from footfall.stream.titles import Titles
from footfall.stream.vod_calls import VodCalls

ADS = 2
"""Of a break."""


class Journal:
    def __init__(self) -> None:
        self._journal = MemoryJournal()

    async def commit(self, unit: Unit | Outcome) -> Outcome:
        (result,) = await self._journal.transact([unit])
        if isinstance(result, BaseException):
            raise result
        return result

    async def get(self, keys: Sequence[str]) -> States:
        return await self._journal.get(keys)


class Process:
    """One live service, named live, of one media playlist; `window` may be replaced by a newer."""

    def __init__(self, window: MediaList, creatives: Mapping[str, MediaList], ad_us: int) -> None:
        self.window = window
        self._creatives = creatives
        self._ad_us = ad_us
        self._turn = count()
        service = Service(
            id="live",
            source="bench",
            kind="live",
            origin=window.url.rpartition("/")[0] + "/",
            ad_server="https://ads.example.com/",
            past_breaks_seconds=-1,
            session_hours=24,
        )
        tally, limits = Tally(), Streams(decision_seconds=60)
        sessions = Sessions(Journal(), self.now, tally, limits.sessions_cached)
        numbers = count()
        record = Events(lambda _now: f"{next(numbers):032x}")
        outside: Any = self
        found = Creatives(outside, outside, encoder=False)
        decider = Decider(
            sessions=sessions, ads=outside, creatives=found, errors=outside, recorder=record,
            streams=limits, clock=self.now, tally=tally,
        )  # fmt: skip
        tokens, told = Tokens(b"secret"), tracking.Tracking()
        shared: dict[str, Any] = {
            "titles": Titles(outside, sessions, self.now), "sessions": sessions,
            "decider": decider, "inserts": Inserts(found, tokens), "tracking": told,
            "recorder": record, "clock": self.now,
        }  # fmt: skip
        self._app = StreamApp(
            requests=Requests({service.id: service}, new_session_id), playlists=outside,
            live=LiveCalls(**shared), vod=VodCalls(**shared), tracking=told, tokens=tokens,
            beacons=outside, store=outside, clients=self._client, schema=b"", tally=tally,
        )  # fmt: skip

    async def get(self, session: str, *, tracking: bool = False) -> bytes:
        """The session's list or its JSON, uncompressed."""
        name = self.window.url.rpartition("/")[2]
        query = f"bpkio_sessionid={session}&bpkio_serviceid=live&app=tv"
        parts: list[bytes] = []

        async def send(message: Any) -> None:
            if message["type"] == "http.response.body":
                parts.append(message["body"])
            elif message["status"] != 200:
                raise AssertionError(message)

        path = f"/stream/live/{name}"
        scope = {
            "type": "http", "method": "GET", "path": path, "raw_path": path.encode(),
            "query_string": (query + "&bk-ml=1.0" * tracking).encode(),
            "headers": [(b"host", b"localhost")],
        }  # fmt: skip
        await self._app(scope, _nothing, send)
        return b"".join(parts)

    @staticmethod
    def now() -> int:
        return time.time_ns() // 1000

    @staticmethod
    def _client(_scope: Any, service: Service, session_id: str) -> Client:
        return Client(Sender(source="bench", service=service.id, session_id=session_id), {}, "")

    # The origin, and the ads' own

    async def playlist(self, _service: Service, uri: str, **_how: Any) -> MediaList:
        return self._creatives.get(uri, self.window)

    media = playlist

    # The ad server

    async def ask_break(self, _template: str, *, values: Any, **_how: Any) -> AdBreak:
        names = list(self._creatives)
        chosen = [names[next(self._turn) % len(names)] for _ in range(ADS)]
        ads = [
            Ad(
                f"{values.session}-{n}",
                duration_ms=self._ad_us // 1000,
                media=(MediaFile(name, "application/vnd.apple.mpegurl"),),
            )
            for n, name in enumerate(chosen)
        ]
        return AdBreak("start", offer=Offer(tuple(ads), latency_ms=1.0, calls=1))

    def tell(self, *_failures: Any) -> None:
        """Error addresses: there are none."""


async def _nothing() -> dict[str, Any]:
    return {}
