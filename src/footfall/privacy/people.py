"""What is asked about people, one thing at a time: `footfall forget`, `footfall export`, backups.

A backup and an erasure wait for each other: a backup holds a person whole or not at all.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import structlog

from footfall.errors import ErasureUnfinished, FootfallError, PeopleNotNamed, told
from footfall.lake.dossier import Dossiers
from footfall.lake.lake import Lake
from footfall.lake.persons import KINDS, Id
from footfall.privacy import audit
from footfall.privacy.erasing import Eraser, Step
from footfall.privacy.progress import Progress

log = structlog.get_logger(__name__)

EXPORTED_AT_ONCE = 200
"""People whose rows are looked for in one pass."""


class People:
    """Over parts that somebody else opened and will close."""

    def __init__(self, eraser: Eraser, lake: Lake, refresh: Callable[[], Awaitable[None]]) -> None:
        self._eraser = eraser
        self._lake = lake
        self._refresh = refresh
        """Has everything that was acknowledged in the lake."""
        self._alone = asyncio.Lock()

    async def forget(
        self,
        people: Sequence[Mapping[str, str]],
        source: str | None,
        *,
        resume: bool,
        repeated: str | None,
    ) -> AsyncIterator[Step]:
        """Erase people; or go on with what was broken off, or repeat an audit's erasures."""
        asked = _ids(people)
        async with self._alone:
            if resume:
                begun: Iterable[Progress] = self._eraser.unfinished()
            elif repeated is not None:
                begun = (await self._eraser.again(audit.read(repeated))).values()
            else:
                begun = [self._eraser.begin(asked, source)]
            for progress in begun:
                async for step in self._told(progress):
                    yield step

    async def _told(self, progress: Progress) -> AsyncIterator[Step]:
        """The steps of one erasure, its faults in words."""
        try:
            async for step in self._eraser.run(progress):
                yield step
        except (duckdb.Error, sqlite3.Error, OSError) as fault:
            raise ErasureUnfinished(f"The erasure was broken off: {told(fault)}") from fault

    async def go_on(self, stop: asyncio.Event) -> None:
        """Finish what an earlier process could not. A fault is logged and left to the next one."""
        for progress in self._eraser.unfinished():
            try:
                async with self._alone:
                    async for _ in self._told(progress):
                        if stop.is_set():
                            return
                log.info("privacy.erasure_done", erasure=progress.erasure_id)
            except FootfallError as fault:
                log.exception("privacy.erasure_failed", error=str(fault))

    async def export(
        self, people: Sequence[Mapping[str, str]], source: str | None
    ) -> AsyncIterator[Mapping[str, Any]]:
        """Each person's document in pieces, ``{"person": 0, "text": …}``, and how far it is."""
        asked = [Id(one.kind, one.id, source) for one in _ids(people)]
        for first in range(0, len(asked), EXPORTED_AT_ONCE):
            async with self._alone:
                await self._refresh()
                dossiers = Dossiers(self._lake, asked[first : first + EXPORTED_AT_ONCE])
                try:
                    await dossiers.gather()
                    for n, one in enumerate(asked[first : first + EXPORTED_AT_ONCE]):
                        at = audit.moment(time.time_ns() // 1000)
                        async for text in dossiers.document(n, at):
                            yield {"person": first + n, "text": text}
                        yield {"done": first + n + 1, "total": len(asked), "what": one.kind}
                finally:
                    await dossiers.close()

    async def backup(
        self, destination: Path, begin: Callable[[], AsyncIterator[Any]]
    ) -> AsyncIterator[Any]:
        """Let a backup be made, noted so that later erasures can name it."""
        async with self._alone:
            self._eraser.make_secret()
            noted = False
            async for step in begin():
                if not noted:  # only now it is known that there may be one
                    noted = True
                    self._eraser.note_backup(destination)
                yield step


def _ids(people: Sequence[Mapping[str, str]]) -> list[Id]:
    """Raises `PeopleNotNamed`."""
    found = []
    for one in people:
        for kind in KINDS:
            if one.keys() == {kind} and one[kind]:
                found.append(Id(kind, one[kind]))
                break
        else:
            raise PeopleNotNamed(f"Not the id of a {', '.join(KINDS)}: {sorted(one)}.")
    return found
