"""A collector: takes requests in on the tracking port until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import structlog
from starlette.routing import BaseRoute

from footfall.app.child import Process, background, on_signals
from footfall.app.streams import Shared, Streams
from footfall.collect import protocols
from footfall.collect.agents import parser
from footfall.collect.endpoint import Endpoint
from footfall.collect.enrich import Enricher, Tools
from footfall.collect.fastlane import fast_lane
from footfall.collect.ids import EventIds, RandomIds
from footfall.collect.intake import Intake
from footfall.collect.keysets import KeySets, locations
from footfall.collect.proxies import Proxies
from footfall.collect.server import CollectorServer, adopt, collector_server
from footfall.collect.slowlane import SlowLane
from footfall.collect.sources import Sources
from footfall.collect.sweeping import sweep
from footfall.errors import SettingsError
from footfall.journal.engines.local import LocalJournal
from footfall.metrics import Tally
from footfall.settings import Settings
from footfall.supervisor import JOURNAL_FAILED

log = structlog.get_logger("footfall")

FLUSH_SECONDS = 1.0
LAST_ANSWERS_SECONDS = 1.0
"""After a failed sync: how long a collector still answers 503 before it ends."""


class _Parts(NamedTuple):
    """What a collector is made of, as far as its life has to do with it."""

    intake: Intake
    endpoint: Endpoint
    key_sets: KeySets
    secret: bytes
    """The data directory's: what ids prove themselves by."""
    streams: Streams
    uvicorn: CollectorServer

    def load(self, settings: Settings) -> None:
        """Take in what the sources and services of these settings say, from now on."""
        self.endpoint.sources = _sources(settings, self.key_sets, self.secret)
        self.streams.load(settings)


async def collector(process: Process) -> int:
    """Take requests in until told to stop; the exit code."""
    settings = process.settings()
    journal, tally = LocalJournal(process.data.journal), Tally()
    journal.open()
    parts = _joined(process, settings, journal, tally)
    intake, uvicorn = parts.intake, parts.uvicorn
    _load_certificate(uvicorn)

    def stop() -> None:
        uvicorn.should_exit = True

    def reload() -> None:
        read = process.settings()
        parts.load(read)
        log.info("reloaded", sources=len(parts.endpoint.sources.all), services=len(read.services))

    async def end_when_failed() -> None:
        await intake.has_failed.wait()
        await asyncio.sleep(LAST_ANSWERS_SECONDS)
        stop()

    jobs = (
        intake.run,
        lambda: _flush(tally),
        end_when_failed,
        parts.key_sets.run,
        lambda: sweep(uvicorn.open_connections),
    )
    async with background(*jobs):
        on_signals(stop, reload)
        process.ready()
        await uvicorn.serve(sockets=[adopt(process.socket_fd())])
        await parts.streams.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(intake.drained(), settings.server.limits.shutdown_seconds)
    tally.flush()
    journal.close()
    return JOURNAL_FAILED if intake.failed else 0


def _joined(process: Process, settings: Settings, journal: LocalJournal, tally: Tally) -> _Parts:
    server, limits = settings.server, settings.server.limits
    enricher = Enricher(
        Tools(parse_agent=parser(limits.user_agents_cached), countries=_countries(server.geoip)),
        remembered=limits.user_agents_cached,
    )
    installed = protocols.installed()
    key_sets = KeySets()
    intake = Intake(journal, enricher, limits, EventIds(), tally)
    secret = process.data.secret()
    sources = _sources(settings, key_sets, secret)
    endpoint = Endpoint(installed, sources, intake, limits, tally)
    proxies = Proxies(server.trusted_proxies, server.forwarded_header)
    base = process.addresses["collector"]
    streams = Streams(Shared(process.data, base, journal, intake, proxies, enricher, tally))
    streams.load(settings)
    slow = SlowLane(
        settings=settings,
        protocols=installed,
        journal=journal,
        proxies=proxies,
        metrics_directory=process.data.metrics,
        flush_metrics=tally.flush,
        streams=streams,
        routes=_demo(process.addresses) if settings.dev else (),
    )
    fast = fast_lane(endpoint, limits, proxies, RandomIds())
    uvicorn = collector_server(slow.app(), fast, server)
    return _Parts(intake, endpoint, key_sets, secret, streams, uvicorn)


async def _flush(tally: Tally) -> None:
    while True:
        await asyncio.sleep(FLUSH_SECONDS)
        tally.flush()


def _sources(settings: Settings, key_sets: KeySets, secret: bytes) -> Sources:
    key_sets.watch(locations(settings.sources))
    limits = settings.server.limits
    return Sources(settings.sources, limits=limits, key_sets=key_sets, secret=secret)


def _demo(addresses: Mapping[str, str]) -> Sequence[BaseRoute]:
    """What dev mode serves besides: an origin, an ad server and a player for its streams."""
    from footfall import demo  # noqa: PLC0415 - only there

    return demo.routes(console=addresses.get("worker"))


def _countries(path: str | None) -> Any:
    if path is None:
        return None
    import maxminddb  # noqa: PLC0415 - only where it is set

    try:
        return maxminddb.open_database(path)
    except (OSError, ValueError, maxminddb.InvalidDatabaseError) as fault:
        raise SettingsError(f"server.geoip: {path} is no MaxMind database: {fault}") from fault


def _load_certificate(uvicorn: CollectorServer) -> None:
    """Before anybody is told that requests are taken."""
    try:
        uvicorn.config.load()
    except OSError as fault:  # TLS's own faults are of this kind
        raise SettingsError(f"server.tls_certificate, server.tls_key: {fault}") from fault
