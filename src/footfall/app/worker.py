"""The worker: follows the journal, keeps the lake, answers questions; also without a server."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from footfall.app.child import Process, background, on_signals
from footfall.app.erasing import ended, keys, kin
from footfall.app.groups import give_groups, keep_groups
from footfall.app.importing import ProfileImporter
from footfall.app.preparing import prepare_creatives
from footfall.collect.protocols.adobe.settings import Adobe
from footfall.console.server import serve_console
from footfall.console.slots_api import SlotsApi
from footfall.control.server import serving
from footfall.data import DataDirectory
from footfall.errors import FootfallError, JournalFailed, JournalUnavailable
from footfall.journal.clock import system_clock
from footfall.journal.engines.local import LocalJournal
from footfall.lake.backup import restore as restore_backup
from footfall.lake.lake import Lake
from footfall.lake.loader import Loader
from footfall.lake.maintenance import Maintenance
from footfall.metrics import (
    DAMAGE,
    LOADED,
    LOADER_LAG_BYTES,
    LOADER_LAG_SECONDS,
    MEDIA_OPEN,
    MEDIA_STRAYS,
)
from footfall.model import Micros
from footfall.privacy.erasing import Eraser
from footfall.project.checkpoints import Checkpoints
from footfall.project.media import VERSION
from footfall.project.media_session import Limits
from footfall.project.runner import MediaRunner
from footfall.service import LocalService
from footfall.settings import Media, Service, Settings
from footfall.stream.services import resolved
from footfall.stream.slots import Slots
from footfall.supervisor import JOURNAL_FAILED

log = structlog.get_logger("footfall")

MEASURE_SECONDS = 1.0
TICK_SECONDS = 5.0
LAST_WORK_SECONDS = 20.0
"""How long the worker's stop waits for what is being loaded or tidied, and for the last batch."""
OFFLINE_SECONDS = 3600.0


async def worker(process: Process) -> int:
    """Follow the journal, keep the lake and answer questions until told to stop; the exit code."""
    settings = process.settings()
    async with _opened(process.data, settings) as (journal, lake, loader, media):
        service = _service(process.data, journal, lake, loader, media, settings, process.addresses)
        maintenance = Maintenance(
            lake,
            loader,
            journal,
            sources=lambda: service.sources,
            journal_retention_hours=settings.server.journal_retention_hours,
            followers=(loader.saved, media.saved),
        )
        stop, failed = asyncio.Event(), asyncio.Event()

        def reload() -> None:
            read = process.settings()
            service.sources, service.services = read.sources, read.services

        def services() -> Mapping[str, Service]:
            base = process.addresses["collector"]
            return {one.id: resolved(one, base) for one in service.services}

        def console() -> Awaitable[None]:
            listening = socket.socket(fileno=process.socket_fd())
            slots = SlotsApi(Slots(journal, system_clock), lambda: service.services)
            return serve_console(
                listening,
                stop,
                lake=lake,
                service=service,
                slots=slots,
                server=settings.server,
                token=process.console_token,
            )

        jobs = (
            lambda: _tick(journal, stop, failed),
            lambda: _measure(loader, media, stop),
            lambda: loader.follow(stop),
            lambda: media.follow(stop),
            lambda: maintenance.follow(stop),
            lambda: keep_groups(lake, lambda: service.sources, stop),
            lambda: service.people.go_on(stop),
            lambda: prepare_creatives(process.data, services, settings.server.streams, stop),
            console,
        )
        async with (
            serving(service, process.data.control),
            background(*jobs, grace=LAST_WORK_SECONDS),
        ):
            on_signals(stop.set, reload)
            process.ready()
            await stop.wait()
        with contextlib.suppress(TimeoutError, FootfallError):
            await loader.catch_up(LAST_WORK_SECONDS)
        return JOURNAL_FAILED if failed.is_set() else 0


async def _tick(journal: LocalJournal, stop: asyncio.Event, failed: asyncio.Event) -> None:
    """Let time pass in the journal, also where nothing happens."""
    while not stop.is_set():
        try:
            await journal.transact([])
        except JournalFailed as fault:
            log.error("the journal failed", error=str(fault))  # noqa: TRY400 - in words
            failed.set()
            stop.set()
        except JournalUnavailable as fault:
            log.warning("no tick", error=str(fault))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), TICK_SECONDS)


async def _measure(loader: Loader, media: MediaRunner, stop: asyncio.Event) -> None:
    """Keep the metrics of loading and folding up to date."""
    loaded = damage = strays = 0
    while not stop.is_set():
        lag, counters = await loader.lag(), loader.counters
        LOADER_LAG_BYTES.set(lag.behind)
        LOADER_LAG_SECONDS.set(lag.seconds)
        LOADED.inc(counters.events - loaded)
        DAMAGE.inc(counters.damage - damage)
        loaded, damage = counters.events, counters.damage
        MEDIA_OPEN.set(media.open)
        MEDIA_STRAYS.inc(media.strays - strays)
        strays = media.strays
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), MEASURE_SECONDS)


@contextlib.asynccontextmanager
async def _opened(
    data: DataDirectory, settings: Settings
) -> AsyncIterator[tuple[LocalJournal, Lake, Loader, MediaRunner]]:
    """What follows the journal: opened in order, closed in the other."""
    journal = LocalJournal(data.journal)
    journal.open()
    try:
        server = settings.server
        lake = Lake(data.lake, memory_mb=server.query_memory_mb, threads=server.query_threads)
        await asyncio.to_thread(lake.open)
        try:
            await give_groups(lake, settings.sources)
            checkpoints = Checkpoints(data.project / "media.db", "media", VERSION)
            with contextlib.closing(checkpoints):
                media = MediaRunner(
                    journal,
                    lake,
                    checkpoints,
                    limits=_limits(server.media),
                    remembered=partial(_remembered, settings),
                )
                yield journal, lake, Loader(journal, lake), media
        finally:
            await asyncio.to_thread(lake.close)
    finally:
        await asyncio.to_thread(journal.close)


def _service(  # noqa: PLR0917 - everything that was opened
    data: DataDirectory,
    journal: LocalJournal,
    lake: Lake,
    loader: Loader,
    media: MediaRunner,
    settings: Settings,
    addresses: Mapping[str, str] | None = None,
) -> LocalService:
    eraser = Eraser(
        data=data,
        journal=journal,
        lake=lake,
        loader=loader,
        media=media,
        keys=lambda erasure, *, seen: keys(service.sources, erasure, service.services, seen=seen),
        kin=lambda erasure, get, *, seen: kin(service.sources, erasure, get, seen=seen),
        ended=lambda erasure, now, *, seen: ended(
            service.sources, erasure, now, data.secret(), seen=seen
        ),
        now=system_clock,
    )
    service: LocalService = LocalService(
        data=data,
        journal=journal,
        lake=lake,
        loader=loader,
        media=media,
        settings=settings,
        eraser=eraser,
        importer=ProfileImporter(journal, settings.server.limits, data.secret()),
        addresses=addresses,
    )
    return service


def _remembered(settings: Settings, source: str) -> Micros:
    """How long a source's closed media sessions are remembered."""
    days = next((one.of(Adobe) for one in settings.sources if one.id == source), Adobe())
    return round(days.remember_closed_days * 86_400 * 1_000_000)


def _limits(media: Media) -> Limits:
    return Limits(
        idle_s=media.idle_seconds,
        gap_s=media.gap_seconds,
        stuck_s=media.stuck_seconds,
        longest_s=media.longest_seconds,
        reorder_s=media.reorder_seconds,
        reorder_events=media.reorder_events,
    )


@contextlib.asynccontextmanager
async def open_service(settings: Settings) -> AsyncIterator[LocalService]:
    """The service of a data directory that no server runs on; the caller holds its lock.

    Everything that the journal holds is loaded first, so answers are whole.
    """
    data = DataDirectory.open(settings.server.data)
    LocalJournal.recover(data.journal)
    async with _opened(data, settings) as (journal, lake, loader, media):
        await loader.catch_up(OFFLINE_SECONDS)
        await media.catch_up(OFFLINE_SECONDS)
        try:
            yield _service(data, journal, lake, loader, media, settings)
        finally:
            await media.close()


def restore(source: Path, data_directory: Path) -> Iterator[Mapping[str, Any]]:
    """Make a data directory from a backup; yields progress as `Service.backup` does."""
    for step in restore_backup(source, data_directory):
        yield step._asdict()
