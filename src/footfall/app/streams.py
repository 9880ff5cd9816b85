"""Streams in a collector: their parts joined, as soon as the settings have a service.

Without one nothing of theirs is loaded: outgoing HTTP and XML cost memory that a collector which
only tracks does not need.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from footfall.app.preparing import encoder_installed
from footfall.collect import consent
from footfall.collect.contract import Request
from footfall.collect.enrich import Enricher
from footfall.collect.ids import EventIds
from footfall.collect.intake import Intake
from footfall.collect.proxies import Proxies
from footfall.data import DataDirectory
from footfall.journal.clock import system_clock
from footfall.journal.contract import Journal, Outcome, States, Unit
from footfall.metrics import Tally
from footfall.settings import Service, Settings

if TYPE_CHECKING:
    from footfall.stream.decisions import Client
    from footfall.stream.endpoint import StreamApp
    from footfall.stream.services import Services

LAST_BEACONS_SECONDS = 3.0
"""How long the end of a process waits for beacons that are due."""


class Streams:
    """An ASGI application that is everything under ``/stream``."""

    def __init__(
        self,
        *,
        data: DataDirectory,
        base: str,
        journal: Journal,
        intake: Intake,
        proxies: Proxies,
        enricher: Enricher,
        tally: Tally,
    ) -> None:
        """`base`: scheme, host and port of this server."""
        self._data = data
        self._base = base
        self._journal = journal
        self._intake = intake
        self._proxies = proxies
        self._enricher = enricher
        self._tally = tally
        self._services: Services | None = None
        self._app: StreamApp | None = None
        self._closing: list[Any] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if self._app is None:
            from footfall.stream import problems, requests  # noqa: PLC0415 - see above

            answer = requests.refusal(problems.SERVICE_UNKNOWN)
            start = {"status": answer.status, "headers": list(answer.headers)}
            await send({"type": "http.response.start", **start})
            await send({"type": "http.response.body", "body": answer.body})
            return
        await self._app(scope, receive, send)

    def load(self, settings: Settings) -> None:
        """Serve the services of the settings from now on."""
        if not settings.services and self._app is None:
            return
        from footfall.stream.requests import Requests, new_session_id  # noqa: PLC0415 - see above
        from footfall.stream.services import Services  # noqa: PLC0415

        self._services = Services(settings, self._base)
        requests = Requests(self._services.by_id, new_session_id)
        if self._app is None:
            self._app = self._joined(settings, requests)
        self._app.requests = requests

    async def close(self) -> None:
        """End what is under way."""
        for close in self._closing:
            await close()

    def _joined(self, settings: Settings, requests: Any) -> StreamApp:
        from footfall.stream import tracking  # noqa: PLC0415
        from footfall.stream.ad_tokens import Tokens  # noqa: PLC0415
        from footfall.stream.adserver import AdServer  # noqa: PLC0415
        from footfall.stream.beacons import Beacons  # noqa: PLC0415
        from footfall.stream.channels import Playlists  # noqa: PLC0415
        from footfall.stream.creatives import Creatives  # noqa: PLC0415
        from footfall.stream.deciding import Decider  # noqa: PLC0415
        from footfall.stream.endpoint import StreamApp  # noqa: PLC0415
        from footfall.stream.error_calls import ErrorCalls  # noqa: PLC0415
        from footfall.stream.events import Events  # noqa: PLC0415
        from footfall.stream.fetch import Fetcher  # noqa: PLC0415
        from footfall.stream.inserts import Inserts  # noqa: PLC0415
        from footfall.stream.live_calls import LiveCalls  # noqa: PLC0415
        from footfall.stream.origin import Origins  # noqa: PLC0415
        from footfall.stream.prepared import Store  # noqa: PLC0415
        from footfall.stream.sessions import Sessions  # noqa: PLC0415
        from footfall.stream.slots import Slots  # noqa: PLC0415
        from footfall.stream.titles import Titles  # noqa: PLC0415
        from footfall.stream.troubles import Troubles  # noqa: PLC0415
        from footfall.stream.vod_calls import VodCalls  # noqa: PLC0415

        limits, now, tally = settings.server.streams, system_clock, self._tally
        fetcher = Fetcher()
        record = Events(EventIds())
        troubles = Troubles(self._intake.commit, record, self._source_id, now)
        origins = Origins(fetcher, limits, on_trouble=troubles.tell)
        playlists = Playlists(origins, Slots(self._journal, now), now)
        store = Store(self._data.creatives)
        creatives = Creatives(playlists, store, encoder=encoder_installed())
        sessions = Sessions(_State(self._intake, self._journal), now, tally, limits.sessions_cached)
        errors = ErrorCalls(fetcher, now, tally, limits.beacon_seconds)
        decider = Decider(
            sessions=sessions,
            ads=AdServer(fetcher, limits),
            creatives=creatives,
            errors=errors,
            recorder=record,
            streams=limits,
            clock=now,
            tally=tally,
        )
        tokens = Tokens(self._data.secret())
        beacons = Beacons(
            known=sessions.with_pod,
            commit=self._intake.commit,
            record=record,
            caller=fetcher,
            now=now,
            seconds=limits.beacon_seconds,
        )
        told = tracking.Tracking()
        shared: dict[str, Any] = {
            "titles": Titles(playlists, sessions, now),
            "sessions": sessions,
            "decider": decider,
            "inserts": Inserts(creatives, tokens),
            "tracking": told,
            "recorder": record,
            "clock": now,
        }
        self._closing = [
            decider.close,
            lambda: beacons.close(LAST_BEACONS_SECONDS),
            errors.close,
            troubles.close,
            playlists.close,
            fetcher.close,
        ]
        return StreamApp(
            requests=requests,
            playlists=playlists,
            live=LiveCalls(**shared),
            vod=VodCalls(**shared),
            tracking=told,
            tokens=tokens,
            beacons=beacons,
            store=store,
            clients=self._client,
            schema=tracking.schema(),
            tally=tally,
        )

    def _source_id(self, service_id: str) -> str | None:
        assert self._services is not None
        service = self._services.get(service_id)
        return None if service is None else service.source

    def _client(self, scope: Mapping[str, Any], service: Service, session_id: str) -> Client:
        """Who sent a request, as far as it may be known."""
        from footfall.stream.decisions import Client  # noqa: PLC0415
        from footfall.stream.events import Sender  # noqa: PLC0415

        assert self._services is not None
        source = self._services.source_of(service)
        headers = _joined_headers(scope["headers"])
        peer = scope.get("client") or ("", 0)
        address, scheme = self._proxies.client(peer[0], scope["scheme"], headers)
        request = Request(
            method="GET", path=scope["path"], headers=headers, client_ip=address, scheme=scheme
        )
        visit = self._enricher(request, source)
        sender = Sender(
            source=source.id,
            service=service.id,
            session_id=session_id,
            channel=visit.channel,
            brand=visit.brand,
            country=visit.country,
            device=visit.device,
            os=visit.os,
            browser=visit.browser,
            ip=visit.ip,
            withheld=consent.look(request, source).withheld,
        )
        texts = {name.decode("latin-1"): each.decode("latin-1") for name, each in headers.items()}
        return Client(sender, texts, address)


class _State:
    """The journal as sessions see it: changed with the requests of other protocols."""

    def __init__(self, intake: Intake, journal: Journal) -> None:
        self._journal = journal
        self._intake = intake

    async def commit(self, unit: Unit | Outcome) -> Outcome:
        return await self._intake.commit(unit)

    async def get(self, keys: Sequence[str]) -> States:
        return await self._journal.get(keys)


def _joined_headers(pairs: Sequence[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Headers by name; what is repeated is joined by commas, as HTTP has it."""
    found: dict[bytes, bytes] = {}
    for name, value in pairs:
        found[name] = b", ".join((found[name], value)) if name in found else value
    return found
