"""What streams are made of, joined. `streams` imports it as soon as the settings have a service."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from footfall.app.preparing import encoder_installed
from footfall.app.stream_clients import StreamClients
from footfall.collect.ids import EventIds
from footfall.collect.intake import Intake
from footfall.journal.clock import system_clock
from footfall.journal.contract import Journal, Outcome, States, Unit
from footfall.settings import Settings
from footfall.settings import Streams as Limits
from footfall.stream.ad_tokens import Tokens
from footfall.stream.adserver import AdServer
from footfall.stream.beacons import Beacons
from footfall.stream.channels import Playlists
from footfall.stream.creatives import Creatives
from footfall.stream.deciding import Decider
from footfall.stream.endpoint import StreamApp
from footfall.stream.error_calls import ErrorCalls
from footfall.stream.events import Events
from footfall.stream.fetch import Fetcher
from footfall.stream.inserts import Inserts
from footfall.stream.live_calls import LiveCalls
from footfall.stream.origin import Origins
from footfall.stream.prepared import Store
from footfall.stream.requests import Requests, new_session_id
from footfall.stream.services import Services
from footfall.stream.sessions import Sessions
from footfall.stream.slots import Slots
from footfall.stream.titles import Titles
from footfall.stream.tracking import Tracking, schema
from footfall.stream.troubles import Troubles
from footfall.stream.vod_calls import VodCalls

if TYPE_CHECKING:
    from footfall.app.streams import Shared

LAST_BEACONS_SECONDS = 3.0
"""How long the end of a process waits for beacons that are due."""


class StreamParts:
    """The application of streams, and what of it goes on between requests."""

    def __init__(self, shared: Shared, settings: Settings) -> None:
        limits, now, tally = settings.server.streams, system_clock, shared.tally
        services = Services(settings, shared.base)
        self._base = shared.base
        self._clients = StreamClients(services, shared.proxies, shared.enricher)
        record = Events(EventIds())
        self._outside = outside = _Outside(shared, limits, record, self._source_id)
        sessions = Sessions(
            _State(shared.intake, shared.journal), now, tally, limits.sessions_cached
        )
        self._errors = ErrorCalls(outside.fetcher, now, tally, limits.beacon_seconds)
        self._decider = Decider(
            sessions=sessions,
            ads=AdServer(outside.fetcher, limits),
            creatives=outside.creatives,
            errors=self._errors,
            recorder=record,
            streams=limits,
            clock=now,
            tally=tally,
        )
        self._beacons = Beacons(
            known=sessions.with_pod,
            commit=shared.intake.commit,
            record=record,
            caller=outside.fetcher,
            now=now,
            seconds=limits.beacon_seconds,
        )
        tokens, tracking = Tokens(shared.data.secret()), Tracking()
        both: dict[str, Any] = {
            "titles": Titles(outside.playlists, sessions, now),
            "sessions": sessions,
            "decider": self._decider,
            "inserts": Inserts(outside.creatives, tokens),
            "tracking": tracking,
            "recorder": record,
            "clock": now,
        }
        self.app = StreamApp(
            requests=Requests(services.by_id, new_session_id),
            playlists=outside.playlists,
            live=LiveCalls(**both),
            vod=VodCalls(**both),
            tracking=tracking,
            tokens=tokens,
            beacons=self._beacons,
            store=outside.store,
            clients=self._clients,
            schema=schema(),
            tally=tally,
        )

    def load(self, settings: Settings) -> None:
        """Serve the services of these settings from now on."""
        services = Services(settings, self._base)
        self._clients.services = services
        self.app.requests = Requests(services.by_id, new_session_id)

    async def close(self) -> None:
        """End what is under way, the parts that others need last."""
        await self._decider.close()
        await self._beacons.close(LAST_BEACONS_SECONDS)
        await self._errors.close()
        await self._outside.close()

    def _source_id(self, service_id: str) -> str | None:
        service = self._clients.services.get(service_id)
        return None if service is None else service.source


class _Outside:
    """What streams have of other servers: HTTP, origins' lists, ads' lists and creatives."""

    def __init__(
        self,
        shared: Shared,
        limits: Limits,
        record: Events,
        source_id: Callable[[str], str | None],
    ) -> None:
        """`source_id`: of a service by its own id, for the events that tell of troubles."""
        self.fetcher = Fetcher()
        self._troubles = Troubles(shared.intake.commit, record, source_id, system_clock)
        origins = Origins(self.fetcher, limits, on_trouble=self._troubles.tell)
        self.playlists = Playlists(origins, Slots(shared.journal, system_clock), system_clock)
        self.store = Store(shared.data.creatives)
        self.creatives = Creatives(self.playlists, self.store, encoder=encoder_installed())

    async def close(self) -> None:
        await self._troubles.close()
        await self.playlists.close()
        await self.fetcher.close()


class _State:
    """The journal as sessions see it: changed with the requests of other protocols."""

    def __init__(self, intake: Intake, journal: Journal) -> None:
        self._journal = journal
        self._intake = intake

    async def commit(self, unit: Unit | Outcome) -> Outcome:
        return await self._intake.commit(unit)

    async def get(self, keys: Sequence[str]) -> States:
        return await self._journal.get(keys)
