"""The command line in this process, and a service behind it that answers from fixed data."""

from __future__ import annotations

import asyncio
import contextlib
import threading

import pytest
from click.testing import CliRunner

from footfall.cli import cli
from footfall.control import serving, tail_line
from footfall.data import DataDirectory
from footfall.errors import FootfallError, QueryRefused

EVENT = (
    b'{"event_id":"e1","source":"shop","protocol":"vaix","type":"clicks:event",'
    b'"occurred_at":1795189253849123,"received_at":1795189253849123,"page":"/live\\u001b[2J"}'
)
REJECT = (
    b'{"received_at":1795189253850000,"protocol":"jay","reason":"key_unknown",'
    b'"detail":"The key is not known.","status":401}'
)


class FakeService:
    """What a worker would answer."""

    def __init__(self) -> None:
        self.asked = []

    async def query(self, sql, fmt):
        self.asked.append((sql, fmt))
        if sql == "DROP":
            raise QueryRefused("Only one SELECT is taken.")
        if fmt == "csv":
            yield b"type,n,note\nclicks:event,12,\n"
            yield b'"a ""b""",7,"x\ny"\n' if sql != "EMPTY" else b""
        elif fmt == "json":
            yield b'[{"n":12}]'
        else:
            yield b"PAR1\xff\x00PAR1"

    async def tail(self, *, follow, start):
        self.asked.append((follow, start))
        yield tail_line("event", (0, 0), EVENT) + tail_line("reject", (0, 99), REJECT)
        yield b"\n"

    async def status(self):
        return {"journal": {"ok": True, "bytes": 12}, "collectors": [{"index": 0}], "lag_s": None}

    async def backup(self, destination):
        self.asked.append(destination)
        if destination.endswith("full"):
            raise FootfallError("The disk is full.")
        for done in range(21):
            yield {"done": done, "total": 20, "what": f"journal/{done}"}


@pytest.fixture
def run(tmp_path, monkeypatch):
    """`run("check", "--config", path)` in an empty folder, without anything of the environment."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments, env=None, **options):
        return CliRunner().invoke(cli, [str(part) for part in arguments], env=env, **options)

    return call


@pytest.fixture
def data(tmp_path):
    return DataDirectory.create(tmp_path / "data")


@pytest.fixture
def offline(monkeypatch, data):
    """No server runs; the command opens this service in its own process."""
    fake = FakeService()
    fake.opened_with = []

    @contextlib.asynccontextmanager
    async def open_service(settings):
        fake.opened_with.append(settings)
        with pytest.raises(FootfallError), DataDirectory(settings.server.data).lock():
            pass  # the command holds the directory before the service is opened
        yield fake

    monkeypatch.setattr("footfall.app.worker.open_service", open_service)
    return fake


@pytest.fixture
def online(data):
    """A server holds the directory and answers on its control socket."""
    fake = FakeService()
    started, stop = threading.Event(), threading.Event()

    async def serve():
        async with serving(fake, data.control):
            started.set()
            await asyncio.to_thread(stop.wait)

    with data.lock():
        thread = threading.Thread(target=asyncio.run, args=(serve(),))
        thread.start()
        assert started.wait(20)
        yield fake
        stop.set()
        thread.join(20)
