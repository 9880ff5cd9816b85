"""Engines for the contract suite, and a clock that only tests move.

To run the suite over another engine, add its harness to `ENGINES`.
"""

import asyncio

import pytest

from footfall.journal.engines.local import LocalJournal
from footfall.journal.engines.memory import MemoryJournal

START = 1_700_000_000_000_000


class FakeClock:
    def __init__(self, now=START):
        self.now = now

    def __call__(self):
        return self.now

    def advance(self, seconds):
        self.now += round(seconds * 1_000_000)


class MemoryEngine:
    """Clients of one memory journal are the object itself."""

    def __init__(self, directory):
        self.clock = FakeClock()
        self._journal = MemoryJournal(self.clock)

    async def client(self):
        return self._journal

    async def stop(self):
        pass


class LocalEngine:
    """Each client is a `LocalJournal` of its own, as another process would have it."""

    def __init__(self, directory):
        self.clock = FakeClock()
        self._directory = directory / "journal"
        self._clients = []
        LocalJournal.recover(self._directory)

    async def client(self):
        # Small segments, so that every scenario crosses from one to the next.
        journal = LocalJournal(
            self._directory, clock=self.clock, segment_bytes=600, allocate_bytes=256
        )
        journal.open()
        self._clients.append(journal)
        return journal

    async def stop(self):
        for journal in self._clients:
            journal.close()


ENGINES = {"memory": MemoryEngine, "local": LocalEngine}


@pytest.fixture(params=ENGINES)
def on_engine(request, tmp_path):
    """Runs `async def scenario(engine)` on each engine in turn."""

    def run(scenario):
        async def main():
            engine = ENGINES[request.param](tmp_path)
            try:
                return await scenario(engine)
            finally:
                await engine.stop()

        return asyncio.run(main())

    return run
