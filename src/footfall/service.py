"""The questions that an operator asks, answered over the journal and the lake.

The worker of a running server answers them on the control socket; where no server runs, a command
holds the data directory and asks this in its own process. Implements
`footfall.control.contract.Service`.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import structlog

from footfall import __version__
from footfall.control.contract import tail_line
from footfall.data import DataDirectory
from footfall.errors import FootfallError, QueryRefused, SourceUnknown, told
from footfall.journal.contract import Journal, Position, Record, Span
from footfall.lake import erasure, profiles, sessions
from footfall.lake.backup import backup
from footfall.lake.lake import Lake
from footfall.lake.loader import Loader
from footfall.lake.query import export as export_result
from footfall.privacy.erasing import Eraser
from footfall.privacy.people import People
from footfall.project.media import PROTOCOL
from footfall.project.runner import MediaRunner
from footfall.settings import Settings, Source

log = structlog.get_logger("footfall")

MEDIA_TABLES = re.compile(r"media_", re.IGNORECASE)
"""What a query that asks for media sessions has in it; others need not wait for them."""
FRESH_SECONDS = 2.0
"""How long a query waits for what was acknowledged before it to be loaded."""
POLL_SECONDS = 0.2
WITHHELD = b'"withheld":true'
"""In every line of an event that was withheld."""
LEFT_OUT = frozenset(
    {"session_id", "profile_id", "user_id", "ip", "properties", "context", "facts"}
)
"""What the lake does not have of one either."""
TAIL_BYTES = 1 << 20

Importer = Callable[[Sequence[Source], str, Sequence[bytes]], Awaitable[Mapping[str, Any]]]
"""`Service.import_profiles`, given the sources that there are: a protocol's matter."""


class LocalService:
    """Over parts that somebody else opened and will close."""

    def __init__(
        self,
        *,
        data: DataDirectory,
        journal: Journal,
        lake: Lake,
        loader: Loader,
        media: MediaRunner,
        settings: Settings,
        eraser: Eraser,
        importer: Importer,
        addresses: Mapping[str, str] | None = None,
    ) -> None:
        self._data = data
        self._journal = journal
        self._lake = lake
        self._loader = loader
        self._media = media
        self._settings = settings
        self.sources = settings.sources
        """Replaced whole on reload, as `services` are."""
        self.services = settings.services
        self._addresses = addresses
        self._importer = importer
        self.people = People(eraser, lake, self._refresh_all)
        """What is asked about people; the worker has it go on with what was broken off."""
        self._started = time.time()

    async def query(self, sql: str, fmt: str) -> AsyncIterator[bytes]:
        """One SELECT over everything that was acknowledged before it was asked."""
        await self.refresh(sql)
        seconds = self._settings.server.query_seconds
        async with export_result(self._lake, sql, seconds=seconds, fmt=fmt) as pieces:
            async for piece in pieces:
                yield piece

    async def refresh(self, sql: str) -> None:
        """Wait for what was acknowledged before, as long as that is bearable."""
        await self._load_all()
        if MEDIA_TABLES.search(sql):
            await self._show_media()

    async def _show_media(self) -> None:
        """Fold what was acknowledged, and put what is open where SQL sees it."""
        try:
            await self._media.catch_up(FRESH_SECONDS)
        except TimeoutError:
            log.warning("a query was answered before all was folded")
        await self._media.show()

    async def _load_all(self) -> None:
        """Load what was acknowledged."""
        try:
            await self._loader.catch_up(FRESH_SECONDS)
        except TimeoutError:
            log.warning("a query was answered before all was loaded")
        except (duckdb.Error, OSError, FootfallError) as fault:
            # The loader itself says so and tries again; what is loaded can be asked for.
            log.warning("a query was answered without loading", error=told(fault))

    async def tail(self, *, follow: bool, start: str) -> AsyncIterator[bytes]:
        """Lines in the journal's order; with `follow` for ever. Nobody's ids without consent."""
        spans = await self._journal.partitions()
        places = {span.partition: _place(span, start) for span in spans}
        while True:
            found = False
            for partition, place in places.items():
                batch = await self._journal.read(place, TAIL_BYTES)
                found = found or batch.next != place
                places[partition] = batch.next
                lines = [line for record in batch.records for line in _lines(*record)]  # fmt: skip
                if lines:
                    yield b"".join(lines)
            if not found:
                if not follow:
                    return
                await asyncio.sleep(POLL_SECONDS)

    async def session(self, session_id: str) -> Sequence[Mapping[str, Any]]:
        """A session's rows by table, as of now; a media session's with its account."""
        await self._load_all()
        with contextlib.suppress(TimeoutError):
            await self._media.catch_up(FRESH_SECONDS)
        media = await self._media.session(session_id)
        told = {(row["source"], PROTOCOL) for one in media for row in one["media_sessions"]}
        others = await self._lake.read(partial(sessions.find, session_id))
        return [*media, *(one for one in others if not told & set(map(_of, one["sessions"])))]

    async def profile(self, profile_id: str) -> Sequence[Mapping[str, Any]]:
        """The profiles that an id stands for, with what they were made of."""
        await self._load_all()
        return await self._lake.read(partial(profiles.find, profile_id))

    async def status(self) -> Mapping[str, Any]:
        """Where things are, how much is kept, and how far the lake is behind."""
        health = await self._journal.health()
        spans = await self._journal.partitions()
        lag = await self._loader.lag()
        counters = self._loader.counters
        journal = {
            "takes_events": health.ok,
            "reason": health.reason or None,
            "first": min(span.first.sequence for span in spans),
            "end": max(span.end.sequence for span in spans),
            "bytes": await asyncio.to_thread(_size, self._data.journal),
        }
        lake = {
            **await self._lake.run(_counts),
            "bytes": await asyncio.to_thread(_size, self._data.lake),
            "behind_bytes": lag.behind,
            "behind_s": round(lag.seconds, 3),
            "unreadable_stretches": counters.damage,
            "unreadable_lines": counters.bad_lines,
        }
        free = shutil.disk_usage(self._data.path).free
        return {
            "version": __version__,
            "running": self._addresses is not None,
            **({"addresses": dict(self._addresses)} if self._addresses else {}),
            **({"uptime_s": round(time.time() - self._started)} if self._addresses else {}),
            "data": str(self._data.path),
            "disk_free_bytes": free,
            "sources": [source.id for source in self.sources],
            "journal": journal,
            "lake": lake,
            "media": {"open_sessions": self._media.open},
        }

    async def import_profiles(self, source: str, lines: Sequence[bytes]) -> Mapping[str, Any]:
        """Take profiles over from elsewhere."""
        return await self._importer(self.sources, source, lines)

    async def backup(self, destination: str) -> AsyncIterator[Mapping[str, Any]]:
        """A consistent copy of lake and journal; loading goes on meanwhile."""
        path = Path(destination)
        begin = partial(backup, self._lake, self._data.journal, path)
        async for step in self.people.backup(path, begin):
            yield step._asdict()

    async def forget(
        self,
        people: Sequence[Mapping[str, str]],
        source: str | None = None,
        *,
        resume: bool = False,
        audit: str | None = None,
    ) -> AsyncIterator[Mapping[str, Any]]:
        """Erase people, step by step."""
        await self._check(source)
        steps = self.people.forget(people, source, resume=resume, repeated=audit)
        async for step in steps:
            yield step

    async def export(
        self, people: Sequence[Mapping[str, str]], source: str | None = None
    ) -> AsyncIterator[Mapping[str, Any]]:
        """Everything that is kept about people, a document for each."""
        await self._check(source)
        async for item in self.people.export(people, source):
            yield item

    async def _check(self, source: str | None) -> None:
        """Raises `SourceUnknown` for one that is not set up and that nothing is kept of."""
        known = {one.id for one in self.sources}
        if source is None or source in known:
            return
        await self._load_all()
        known |= await erasure.sources(self._lake)
        if source not in known:
            there = f"there are {', '.join(sorted(known))}" if known else "there is none"
            raise SourceUnknown(f'There is no source "{source}" here; {there}.')

    async def _refresh_all(self) -> None:
        await self._load_all()
        await self._show_media()


def _of(row: Mapping[str, Any]) -> tuple[str, str]:
    return row["source"], row["protocol"]


def _place(span: Span, start: str) -> Position:
    if start == "start":
        return span.first
    if start == "now":
        return span.end
    partition, _, sequence = start.partition(":")
    if not (partition.isdecimal() and sequence.isdecimal()):
        raise QueryRefused(f'"{start}" is no place in the journal: use start, now, or 0:4711.')
    if int(partition) != span.partition:
        return span.end
    return max(span.first, Position(span.partition, int(sequence)))


def _lines(position: Position, record: Record) -> Iterator[bytes]:
    for raw in record.events.splitlines():
        shown = _without_ids(raw) if WITHHELD in raw else raw
        yield tail_line("event", position, shown)
    for raw in record.rejects.splitlines():
        yield tail_line("reject", position, raw)


def _without_ids(raw: bytes) -> bytes:
    """An event that was withheld as the lake has it; every other one as it is."""
    event = msgspec.json.decode(raw)
    if not event.get("withheld"):
        return raw  # the mark stood somewhere in its properties
    shown = {name: value for name, value in event.items() if name not in LEFT_OUT}
    if shown.pop("client_id_given", False):
        del shown["event_id"]  # the lake's own is made when it is loaded
    if "page" in shown:
        shown["page"] = re.split("[?#]", shown["page"], maxsplit=1)[0]
    return msgspec.json.encode(shown)


def _counts(connection: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    counted = {}
    for table in ("events", "rejects"):
        row = connection.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608 - ours
        counted[table] = row[0] if row else 0
    return counted


def _size(directory: Path) -> int:
    return sum(file.stat().st_size for file in directory.rglob("*") if file.is_file())
