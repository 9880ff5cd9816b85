"""The only place where parts are joined: what each process is made of, and its life.

`python -m footfall.app '{"role": …}'` is how the supervisor starts a child. A collector takes
requests in; the worker follows the journal and answers questions; `recover` verifies the journal
before either opens it. `open_service` makes the same answers available without a server.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn
from uuid import uuid4

import structlog

from footfall import logs
from footfall.collect import protocols
from footfall.collect.agents import parser
from footfall.collect.endpoint import Endpoint
from footfall.collect.enrich import Enricher, Tools
from footfall.collect.fastlane import fast_lane, sweep
from footfall.collect.ids import EventIds
from footfall.collect.intake import Intake
from footfall.collect.keysets import KeySets, locations
from footfall.collect.proxies import Proxies
from footfall.collect.server import adopt, collector_server
from footfall.collect.slowlane import SlowLane
from footfall.collect.sources import Sources
from footfall.data import DataDirectory
from footfall.errors import FootfallError
from footfall.journal.engines.local import LocalJournal
from footfall.metrics import Tally
from footfall.settings import Settings, load
from footfall.supervisor import JOURNAL_FAILED

log = structlog.get_logger("footfall")

FLUSH_SECONDS = 1.0
LAST_ANSWERS_SECONDS = 1.0
"""After a failed sync: how long a collector still answers 503 before it ends."""


def extensions() -> dict[str, type | None]:
    """Every protocol's own table of `[[source]]`, by protocol name."""
    return {protocol.name: protocol.settings for protocol in protocols.installed()}


def read_settings(
    config: Path | None, overrides: Mapping[str, object], *, dev: bool = False
) -> Settings:
    """File, environment and flags, checked against the protocols that are installed."""
    text = config.read_text(encoding="utf-8") if config is not None else ""
    return load(
        text, os.environ, extensions=extensions(), dev=dev, overrides=overrides, path=config
    )


class Process:
    """What a child was told by the supervisor."""

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        self._parameters = parameters
        self.data = DataDirectory.open(parameters["data"])
        self.index: int = parameters["index"]

    def settings(self) -> Settings:
        given = self._parameters
        config = Path(given["config"]) if given["config"] else None
        return read_settings(config, given["overrides"], dev=given["dev"])

    def socket_fd(self) -> int:
        fd: int = self._parameters["socket"]
        return fd

    def ready(self) -> None:
        """Tell the supervisor that this process does its work."""
        os.write(self._parameters["ready"], b"1")
        os.close(self._parameters["ready"])

    def die_with_parent(self) -> None:
        """End at once when the supervisor is gone, whatever this process is busy with."""
        alive = self._parameters["alive"]

        def wait() -> NoReturn:
            os.read(alive, 1)  # returns when the other end is closed, so when its holder ended
            os._exit(1)

        threading.Thread(target=wait, daemon=True, name="parent").start()


async def collector(process: Process) -> int:
    """Take requests in until told to stop; the exit code."""
    settings = process.settings()
    server, limits = settings.server, settings.server.limits
    journal = LocalJournal(process.data.journal)
    journal.open()
    tally = Tally()
    enricher = Enricher(
        Tools(parse_agent=parser(limits.user_agents_cached), countries=_countries(server.geoip)),
        remembered=limits.user_agents_cached,
    )
    installed = protocols.installed()
    key_sets = KeySets()
    intake = Intake(journal, enricher, limits, EventIds(), tally)
    endpoint = Endpoint(installed, _sources(settings, key_sets), intake, limits, tally)
    proxies = Proxies(server.trusted_proxies, server.forwarded_header)
    slow = SlowLane(
        settings=settings,
        protocols=installed,
        journal=journal,
        proxies=proxies,
        metrics_directory=process.data.metrics,
        flush_metrics=tally.flush,
    )
    uvicorn = collector_server(slow.app(), fast_lane(endpoint, limits, proxies, uuid4), server)

    def stop() -> None:
        uvicorn.should_exit = True

    def reload() -> None:
        endpoint.sources = _sources(process.settings(), key_sets)
        log.info("reloaded", sources=len(endpoint.sources.all))

    async def flush() -> None:
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            tally.flush()

    async def end_when_failed() -> None:
        await intake.has_failed.wait()
        await asyncio.sleep(LAST_ANSWERS_SECONDS)
        stop()

    async with _background(
        intake.run, flush, end_when_failed, key_sets.run, lambda: sweep(uvicorn.open_connections)
    ):
        _on_signals(stop, reload)
        process.ready()
        await uvicorn.serve(sockets=[adopt(process.socket_fd())])
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(intake.drained(), limits.shutdown_seconds)
    tally.flush()
    journal.close()
    return JOURNAL_FAILED if intake.failed else 0


def _sources(settings: Settings, key_sets: KeySets) -> Sources:
    key_sets.watch(locations(settings.sources))
    return Sources(settings.sources, limits=settings.server.limits, key_sets=key_sets)


def _countries(path: str | None) -> Any:
    if path is None:
        return None
    import maxminddb  # noqa: PLC0415 - only where it is set

    try:
        return maxminddb.open_database(path)
    except (OSError, ValueError) as fault:
        raise FootfallError(f"server.geoip: {path} is no MaxMind database: {fault}") from fault


def _on_signals(stop: Callable[[], None], reload: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()

    def reload_or_say() -> None:
        try:
            reload()
        except FootfallError as fault:
            log.error("not reloaded", error=str(fault), code=fault.code)  # noqa: TRY400 - in words

    loop.add_signal_handler(signal.SIGTERM, stop)
    loop.add_signal_handler(signal.SIGINT, stop)
    loop.add_signal_handler(signal.SIGHUP, reload_or_say)


@contextlib.asynccontextmanager
async def _background(*jobs: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Run jobs beside the body; one that ends by a fault is logged and ends the process."""
    tasks = [asyncio.ensure_future(job()) for job in jobs]

    def check(task: asyncio.Future[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            log.error("a background job failed", exc_info=task.exception())
            os.kill(os.getpid(), signal.SIGTERM)

    for task in tasks:
        task.add_done_callback(check)
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def worker(process: Process) -> int:
    journal = LocalJournal(process.data.journal)
    journal.open()
    stop = asyncio.Event()
    _on_signals(stop.set, lambda: None)
    process.ready()
    await stop.wait()
    return 0


def recover(data: DataDirectory) -> int:
    """Verify the journal and say what was found; the exit code."""
    found = LocalJournal.recover(data.journal)
    log.info("journal verified", **found._asdict())
    return 0


def main(argument: str) -> int:
    """One child's life; its exit code."""
    parameters = json.loads(argument)
    role = parameters["role"]
    logs.configure(role)
    try:
        if role == "recover":
            return recover(DataDirectory.open(parameters["data"]))
        process = Process(parameters)
        process.die_with_parent()
        # What start-up made stays for good: leave it out of every later collection.
        gc.freeze()
        if role == "collector":
            import uvloop  # noqa: PLC0415 - collectors only; it costs memory

            return uvloop.run(collector(process))
        return asyncio.run(worker(process))
    except FootfallError as fault:
        log.error("ended", error=str(fault), code=fault.code, remedy=fault.remedy)  # noqa: TRY400 - in words
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
