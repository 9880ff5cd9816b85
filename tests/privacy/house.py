"""A data directory with journal, lake, loader, fold and eraser, opened in the test's process."""

from __future__ import annotations

import asyncio
import contextlib
import json
from functools import partial

from remains import holders

from footfall.app.erasing import ended, keys, kin
from footfall.data import DataDirectory
from footfall.journal.clock import system_clock
from footfall.journal.contract import Outcome
from footfall.journal.engines.local import LocalJournal
from footfall.lake.backup import backup
from footfall.lake.lake import Lake
from footfall.lake.loader import Loader
from footfall.lake.persons import PERSONAL
from footfall.privacy.erasing import Eraser
from footfall.privacy.people import People
from footfall.project.checkpoints import Checkpoints
from footfall.project.media import VERSION
from footfall.project.runner import MediaRunner
from footfall.settings import Source

SOURCES = (Source(id="site", protocols=("vaix",)),)


class House:
    def __init__(self, path):
        self.data = DataDirectory.create(path)

    def open(self):
        self.data.journal.mkdir(exist_ok=True)
        LocalJournal.recover(self.data.journal)
        self.journal = LocalJournal(self.data.journal)
        self.journal.open()
        self.lake = Lake(self.data.lake, memory_mb=256, threads=1)
        self.lake.open()
        self.checkpoints = Checkpoints(self.data.project / "media.db", "media", VERSION)
        self.media = MediaRunner(self.journal, self.lake, self.checkpoints, checkpoint_seconds=1e9)
        self.loader = Loader(self.journal, self.lake)
        self.eraser = Eraser(
            data=self.data,
            journal=self.journal,
            lake=self.lake,
            loader=self.loader,
            media=self.media,
            keys=partial(keys, SOURCES),
            kin=partial(kin, SOURCES),
            ended=partial(ended, SOURCES, secret=self.data.secret()),
            now=system_clock,
        )
        self.people = People(self.eraser, self.lake, self.follow)

    def close(self):
        """As a killed process does: nothing is finished first."""
        self.checkpoints.close()
        self.lake.close()
        self.journal.close()

    def reopen(self):
        self.close()
        self.open()

    # In a running loop.

    async def write(self, *events, rejects=(), changes=()):
        outcome = Outcome(events=events, rejects=rejects, changes=changes)
        (result,) = await self.journal.transact([outcome])
        assert not isinstance(result, Exception), result

    async def follow(self):
        await self.loader.catch_up(20)
        await self.media.catch_up(20)
        await self.media.show()

    async def forget(self, *people, source=None, resume=False, repeated=None):
        """The receipts."""
        steps = [
            step
            async for step in self.people.forget(people, source, resume=resume, repeated=repeated)
        ]
        return [step["receipt"] for step in steps if "receipt" in step]

    async def export(self, *people, source=None):
        """The documents."""
        texts = {}
        async for item in self.people.export(people, source):
            if "text" in item:
                texts[item["person"]] = texts.get(item["person"], "") + item["text"]
        return [json.loads(text) for _, text in sorted(texts.items())]

    async def back_up(self, destination):
        begin = partial(backup, self.lake, self.data.journal, destination)
        async for _ in self.people.backup(destination, begin):
            pass

    # Looking.

    def everything(self, *without):
        """Every row of every table, but those in which a text of `without` stands."""
        cursor = self.lake.cursor()
        with contextlib.closing(cursor):
            found = {}
            for table in PERSONAL:
                rows = cursor.execute(
                    f"SELECT to_json(t)::VARCHAR FROM {table.name} AS t ORDER BY ALL"
                ).fetchall()
                found[table.name] = [r for (r,) in rows if not any(text in r for text in without)]
        return found

    def sql(self, text):
        cursor = self.lake.cursor()
        with contextlib.closing(cursor):
            return cursor.execute(text).fetchall()

    def holders(self, *ids):
        return holders(self.data.path, *ids)


def run(work):
    return asyncio.run(work)
