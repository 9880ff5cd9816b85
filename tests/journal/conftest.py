"""Engines for the contract suite.

To run the suite over another engine, add its harness to `ENGINES`. `directory` is where all its
files are, if it has any.
"""

import asyncio
from pathlib import Path

import pytest
from journal_units import FakeClock

from footfall.journal.engines.local import LocalJournal
from footfall.journal.engines.memory import MemoryJournal


class MemoryEngine:
    """Clients of one memory journal are the object itself."""

    def __init__(self, directory):
        self.clock = FakeClock()
        self.directory = directory
        self._journal = MemoryJournal(self.clock)

    async def client(self):
        return self._journal

    async def stop(self):
        pass


class LocalEngine:
    """Each client is a `LocalJournal` of its own, as another process would have it."""

    def __init__(self, directory):
        self.clock = FakeClock()
        self.directory = directory
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


class DocumentedEngine:
    """The engine of docs/adding-an-engine.md, as the page has it. One process, one client."""

    def __init__(self, directory):
        page = Path(__file__).parents[2].joinpath("docs", "adding-an-engine.md").read_text()
        code = page.split("```python\n")[1].split("```")[0]
        names = {"__name__": "documented"}
        exec(compile(code, "docs/adding-an-engine.md", "exec", dont_inherit=True), names)
        self.clock = FakeClock()
        self.directory = directory
        self._journal = names["TableJournal"](directory / "journal.db", self.clock)

    async def client(self):
        return self._journal

    async def stop(self):
        self._journal.close()


ENGINES = {"memory": MemoryEngine, "local": LocalEngine, "documented": DocumentedEngine}


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
