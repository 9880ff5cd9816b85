"""An erasure: its steps in order, each of which may be done again after a crash.

1. Who: every id of the people who are asked for, from what the lake has of them (`lake.persons`)
   and what the state has.
2. A record in the journal says who goes, and forgets what the state holds under their ids. Every
   follower has passed it before anything else happens: the loader has loaded what stands before
   it, the fold of media sessions has dropped theirs.
3. The journal forgets what stands before the record, and every value of the state that holds one
   of the ids.
4. Steps 1 to 3 once more: what came in while the state still knew the people is found and goes too.
5. The lake forgets (`lake.erasure`), table by table and day by day, and then what deleting leaves.
6. The audit has a line without ids, which is also the receipt; the ids go last.

Nothing is taken that comes after the record: who comes again afterwards begins anew.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec

from footfall.data import DataDirectory
from footfall.errors import AuditNotValid, ErasureUnfinished, JournalFailed
from footfall.journal.contract import Change, Journal, Outcome, Position, States
from footfall.lake import erasure as lake_erasure
from footfall.lake.lake import Lake
from footfall.lake.loader import Loader
from footfall.lake.persons import LONG_ENOUGH, PERSONAL, Before, Id, Kind
from footfall.model import ERASURE_KEY, Erasure, Micros
from footfall.privacy import audit
from footfall.privacy.progress import Erasures, Progress
from footfall.project.runner import MediaRunner

ROUNDS = 2
"""Of steps 1 to 3."""
FOLLOW_SECONDS = 3600.0
READ_BYTES = 1 << 20
KEYS_AT_ONCE = 10_000
REMEMBERED: Micros = 86_400 * 1_000_000
"""When the record's own change runs out, should nothing forget it before."""


class Keys(Protocol):
    """Under which keys of the journal's state the protocols may hold something of these people.

    `seen`: sources that people were seen by, and their identity groups, as the lake has them:
    settings may be others by now, or not at hand.
    """

    def __call__(self, erasure: Erasure, *, seen: Mapping[str, str]) -> Iterable[str]: ...


class Kin(Protocol):
    """Ids of profiles that the state says are the same as theirs, theirs among them."""

    def __call__(
        self,
        erasure: Erasure,
        get: Callable[[Iterable[str]], Awaitable[States]],
        *,
        seen: Mapping[str, str],
    ) -> Awaitable[set[str]]: ...


class Ended(Protocol):
    """What the protocols change in the state besides, as of a moment."""

    def __call__(
        self, erasure: Erasure, now: Micros, *, seen: Mapping[str, str]
    ) -> Iterable[Change]: ...


Step = Mapping[str, Any]
"""How far it is: ``done``, ``total``, ``what``; the last one has the ``receipt`` too."""


class Eraser:
    """Erases people from one data directory, one erasure at a time."""

    def __init__(
        self,
        *,
        data: DataDirectory,
        journal: Journal,
        lake: Lake,
        loader: Loader,
        media: MediaRunner,
        keys: Keys,
        kin: Kin,
        ended: Ended,
        now: Callable[[], Micros],
    ) -> None:
        self._data = data
        self._journal = journal
        self._lake = lake
        self._loader = loader
        self._media = media
        self._keys = keys
        self._kin = kin
        self._ended = ended
        self._now = now
        self._unfinished = Erasures(data.path / "erasures")
        self.audit = data.path / "erasures.jsonl"
        self.backups = data.path / "backups.jsonl"

    def begin(
        self, asked: Sequence[Id], source: str | None = None, repeats: Sequence[str] = ()
    ) -> Progress:
        """Take an erasure on: from here on it is done, if need be after a restart."""
        asked = [msgspec.structs.replace(one, source=source) for one in asked]
        progress = Progress(
            erasure_id=str(uuid.uuid4()),
            at=self._now(),
            asked=asked,
            source=source,
            repeats=list(repeats),
            ids=asked,
        )
        self._unfinished.save(progress)
        return progress

    def unfinished(self) -> list[Progress]:
        """What a crash or a fault left undone."""
        return self._unfinished.unfinished()

    def make_secret(self) -> None:
        """Have one, so that it is in a backup: what is hashed later can be told there by it."""
        self._data.secret()

    def note_backup(self, destination: Path) -> None:
        """Remember that a backup is made: erasures from now on name it."""
        made = audit.Backup(str(destination), audit.moment(self._now()))
        audit.append(self.backups, made)

    async def run(self, progress: Progress) -> AsyncIterator[Step]:
        """Do what is left to do. Raises what the steps raise; what is done stays done."""
        done = next(
            (e for e in audit.entries(self.audit) if e.erasure_id == progress.erasure_id), None
        )
        if done is None:
            total = 3 * ROUNDS + len(PERSONAL) + 2
            while progress.rounds < ROUNDS:
                async for what in self._go_round(progress):
                    yield {"done": 3 * progress.rounds, "total": total, "what": what}
            async for table in self._delete_rows(progress):
                at = [one.name for one in PERSONAL].index(table)
                yield {"done": 3 * ROUNDS + at, "total": total, "what": table}
            yield {"done": total - 2, "total": total, "what": "what is left of them"}
            await lake_erasure.leave_nothing(self._lake)
            await self._media.show()
            done = self._note(progress)
        self._unfinished.remove(progress.erasure_id)
        yield {
            "done": 1,
            "total": 1,
            "what": "done",
            "receipt": msgspec.json.decode(msgspec.json.encode(done)),
        }

    # The journal and those who follow it.

    async def _go_round(self, progress: Progress) -> AsyncIterator[str]:
        yield "finding who it is"
        await self._follow()
        progress.ids = await self._everybody(progress)
        self._unfinished.save(progress)  # the state is about to forget who is who
        yield "the journal"
        record, after = await self._record(progress)
        await self._follow()
        await self._media.checkpoint()
        yield "the state"
        await self._journal.transact([Outcome(changes=(Change(ERASURE_KEY, None, self._now()),))])
        await self._journal.trim(after, erased=texts(progress.ids))
        progress.partition, progress.sequence = record
        progress.trimmed = after.sequence
        progress.rounds += 1
        self._unfinished.save(progress)

    async def _everybody(self, progress: Progress) -> list[Id]:
        """Every id of theirs: lake and state each know some by what the other has found."""
        seen = await lake_erasure.groups(self._lake)
        ids = progress.ids
        while True:
            ids = await lake_erasure.expand(self._lake, ids)
            erasure = _erasure(ids, progress.source)
            found = await self._kin(erasure, self._states, seen=seen)
            new = found.difference(erasure.profiles)
            if not new:
                return ids
            ids += [Id("profile", one, progress.source) for one in sorted(new)]

    async def _follow(self) -> None:
        """Everybody has passed what is durable by now."""
        try:
            await self._loader.catch_up(FOLLOW_SECONDS)
            await self._media.catch_up(FOLLOW_SECONDS)
        except TimeoutError:
            raise ErasureUnfinished("The journal could not be loaded to its end.") from None

    async def _record(self, progress: Progress) -> tuple[Position, Position]:
        """Commit who goes; the record's position, and the one after it."""
        (span,) = await self._journal.partitions()
        erasure = _erasure(progress.ids, progress.source)
        seen = await lake_erasure.groups(self._lake)
        value = msgspec.msgpack.encode(erasure)
        mine = Change(ERASURE_KEY, value, self._now() + REMEMBERED)
        (result,) = await self._journal.transact(
            [
                Outcome(
                    changes=(
                        mine,
                        *await self._forgotten(erasure, seen),
                        *self._ended(erasure, self._now(), seen=seen),
                    )
                )
            ]
        )
        if isinstance(result, Exception):
            raise result
        place = span.end
        while True:
            batch = await self._journal.read(place, READ_BYTES)
            for number, (position, record) in enumerate(batch.records):
                if any(c.key == ERASURE_KEY and c.value == value for c in record.changes):
                    progress.recorded_at = record.at
                    rest = batch.records[number + 1 :]
                    return position, rest[0][0] if rest else batch.next
            if batch.next == place:
                raise JournalFailed("The journal does not give what was just written to it.")
            place = batch.next

    async def _forgotten(self, erasure: Erasure, seen: Mapping[str, str]) -> list[Change]:
        """What the state has under the ids themselves, to be forgotten."""
        now = self._now()
        states = await self._states(self._keys(erasure, seen=seen))
        return [Change(key, None, now) for key in states]

    async def _states(self, keys: Iterable[str]) -> States:
        """What the state has under any number of keys."""
        wanted, found = list(keys), dict[str, bytes]()
        for first in range(0, len(wanted), KEYS_AT_ONCE):
            found |= await self._journal.get(wanted[first : first + KEYS_AT_ONCE])
        return found

    # The lake, and the end.

    async def _delete_rows(self, progress: Progress) -> AsyncIterator[str]:
        before = Before(progress.partition, progress.sequence, progress.recorded_at)
        async for step in lake_erasure.delete_rows(self._lake, progress.ids, before):
            progress.rows[step.table] = progress.rows.get(step.table, 0) + step.rows
            progress.files += step.files
            progress.bytes += step.bytes
            self._unfinished.save(progress)
            yield step.table

    def _note(self, progress: Progress) -> audit.Entry:
        entry = audit.entry(progress, self._data.secret(), audit.backups(self.backups), self._now())
        audit.append(self.audit, entry)
        return entry

    # Again, in a directory that was restored from a backup.

    async def again(self, entries: Sequence[audit.Entry]) -> Mapping[str | None, Progress]:
        """Take on what audited erasures asked for, where it is here; by source.

        People are found by hashing every id that occurs here. Raises `AuditNotValid`.
        """
        secret = self._data.secret()
        mark = audit.fingerprint(secret)
        if any(entry.secret_fingerprint != mark for entry in entries):
            raise AuditNotValid("The audit is of a directory with another secret.")
        known = {entry.erasure_id for entry in audit.entries(self.audit)}
        new = [entry for entry in entries if entry.erasure_id not in known]
        await self._follow()
        wanted = {subject.hmac_sha256 for entry in new for subject in entry.subjects}
        found: dict[str, Id] = {}

        def is_wanted(kind: Kind, name: str) -> bool:
            digest = audit.hashed(secret, kind, name)
            if digest in wanted:
                found[digest] = Id(kind, name)
            return digest in wanted

        await lake_erasure.found_ids(self._lake, is_wanted)
        begun = {}
        for source in {entry.source for entry in new}:
            of_source = [entry for entry in new if entry.source == source]
            hashes = {subject.hmac_sha256 for entry in of_source for subject in entry.subjects}
            asked = [one for digest, one in found.items() if digest in hashes]
            if asked:
                repeats = [entry.erasure_id for entry in of_source]
                begun[source] = self.begin(asked, source, repeats)
        return begun


def _erasure(ids: Iterable[Id], source: str | None) -> Erasure:
    found = lake_erasure.by_kind(ids)
    return Erasure(
        profiles=found.get("profile", ()),
        users=found.get("user", ()),
        sessions=found.get("session", ()),
        source=source,
    )


def texts(ids: Iterable[Id]) -> list[bytes]:
    """What no value of the state may hold. Short ids are in strangers' values: theirs are
    forgotten by their keys.
    """
    return sorted({one.id.encode() for one in ids if len(one.id) >= LONG_ENOUGH})
