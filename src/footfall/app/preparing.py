"""Preparing creatives in the worker: nothing is loaded for it before a service may need it."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import Callable, Mapping

import structlog

from footfall.data import DataDirectory
from footfall.settings import Service, Streams

log = structlog.get_logger("footfall")

LOOK_SECONDS = 5.0
"""How often it is looked whether there is a service by now, and ffmpeg."""


def encoder_installed() -> bool:
    """Whether creatives can be prepared on this machine."""
    return all(shutil.which(name) for name in ("ffmpeg", "ffprobe"))


async def prepare_creatives(
    data: DataDirectory,
    services: Callable[[], Mapping[str, Service]],
    streams: Streams,
    stop: asyncio.Event,
) -> None:
    """Prepare what collectors queue, until `stop`.

    `services`: those of the settings by id, their own addresses resolved; asked for each job, so
    that a reload is heeded.
    """
    while not (_wanted(services()) and encoder_installed()):
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), LOOK_SECONDS)
        if stop.is_set():
            return
    from footfall.stream.fetch import Fetcher  # noqa: PLC0415 - see above
    from footfall.stream.origin import Origins  # noqa: PLC0415
    from footfall.stream.prepared import Store  # noqa: PLC0415
    from footfall.stream.preparing import Preparer, Tools  # noqa: PLC0415

    tools = Tools.found()
    assert tools is not None
    fetcher = Fetcher()
    origins = Origins(fetcher, streams)
    preparer = Preparer(
        Store(data.creatives),
        fetcher,
        origins,
        services=lambda name: services().get(name),
        tools=tools,
        limit_mb=streams.creative_cache_mb,
    )
    try:
        await preparer.follow(stop)
    finally:
        await origins.close()
        await fetcher.close()


def _wanted(services: Mapping[str, Service]) -> bool:
    return any(service.transcode for service in services.values())
