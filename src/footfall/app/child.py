"""What every child process has in common: its orders, its signals and its background jobs."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

import structlog

from footfall.collect import protocols
from footfall.console.token import VARIABLE
from footfall.data import DataDirectory
from footfall.errors import FootfallError
from footfall.settings import Settings, load

log = structlog.get_logger("footfall")


class Process:
    """What a child was told by the supervisor."""

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        self._parameters = parameters
        self.data = DataDirectory.open(parameters["data"])
        self.addresses: Mapping[str, str] = parameters["addresses"]
        self.console_token = os.environ.pop(VARIABLE, "")
        """The worker's only."""

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


def die_with_parent(alive: int) -> None:
    """End at once when the supervisor is gone, whatever this process is busy with.

    `alive` is one end of a pipe of which the supervisor holds the other, and nobody else does.
    """

    def wait() -> NoReturn:
        os.read(alive, 1)  # returns when the other end is closed, so when its holder ended
        os._exit(1)

    threading.Thread(target=wait, daemon=True, name="parent").start()


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


def on_signals(stop: Callable[[], None], reload: Callable[[], None]) -> None:
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
async def background(
    *jobs: Callable[[], Awaitable[None]], grace: float = 0.0
) -> AsyncIterator[None]:
    """Run jobs beside the body; one that ends by a fault is logged and ends the process.

    After the body they have `grace` seconds to end by themselves; then they are cancelled.
    """
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
        if grace:
            await asyncio.wait(tasks, timeout=grace)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
