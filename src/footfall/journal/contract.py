"""What a journal is: one ordered log of records, and the small state that decides replies.

These comments are meant to be enough to write an engine; `docs/adding-an-engine.md` walks
through it and `tests/journal/test_contract.py` runs over every engine. The memory engine is the
oracle for the others.

**The log** is a sequence of records per partition. A record holds what one group of requests
produced: events, rejects and state changes, committed together or not at all. A record without
any of them is a *tick*. Sequences grow; they need not be dense (the local engine uses byte
offsets, a cluster the stream's own numbers). `Position(partition, sequence)` names the place
of a record, and "from a position" always includes it.

**The state** is a map from text keys to bytes with an expiry. It is tiny: identities and what
is open or closed, never counts or times that can be folded from events. It is a function of the
log: replaying the log's changes in order gives it again.

**Durable** means: survives kill -9 of every process and loss of power.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

import msgspec

from footfall.model import Event, Micros, Reject


class Position(NamedTuple):
    partition: int
    sequence: int


class Change(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One key's new value. None forgets the key."""

    key: str
    value: bytes | None
    expires_at: Micros
    """From then on the key counts as absent, whatever the engine still holds."""


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """What deciding one unit gave. Only `reply` set: nothing is written for it."""

    events: Sequence[Event] | bytes = ()
    """As `encode_events` gives them, where nothing that is decided could change them any more."""
    rejects: Sequence[Reject] = ()
    changes: Sequence[Change] = ()
    reply: object = None
    """Opaque to the journal; handed back once the rest is durable."""


def encode_events(events: Sequence[Event]) -> bytes:
    """Events as a record holds them (`Record.events`). Raises where one cannot be JSON."""
    # Lists: of anything else msgspec 0.22 leaks an iterator per call.
    return _lines(list(events)) if events else b""


_lines = msgspec.json.Encoder().encode_lines

States = Mapping[str, bytes]
"""The live values of the keys that were asked for; an absent or expired key is not in it."""


class More(msgspec.Struct, frozen=True, gc=False):
    """What deciding came to need besides: keys that only other keys' values name."""

    keys: tuple[str, ...]


class Unit(msgspec.Struct, frozen=True, gc=False):
    """One request's part of a group."""

    keys: tuple[str, ...]
    """Every key that `decide` looks at first. Most units have none, and then ask for none."""
    decide: Callable[[States], Outcome | More]
    """Pure, fast, and called under the journal's lock, after the units before it. Where it gives
    `More`, it is called again with the values of those keys too."""


class Record(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One committed group, as followers read it."""

    at: Micros
    """The server's clock when it was committed; never less than the record before it."""
    events: bytes = b""
    """`footfall.model.Event` as JSON, one per line, each line ended by a newline."""
    rejects: bytes = b""
    """`footfall.model.Reject` likewise."""
    changes: tuple[Change, ...] = ()


class Damage(NamedTuple):
    """A stretch of the log that cannot be read. `end` is where reading goes on."""

    start: Position
    end: Position
    reason: str


class Batch(NamedTuple):
    """What `Journal.read` gives."""

    records: Sequence[tuple[Position, Record]]
    next: Position
    """Read from here next time; equal to the position asked for when there was nothing."""
    damage: Sequence[Damage] = ()
    """Stretches that were passed over, in order. Never silently: whoever reads reports them."""


class Span(NamedTuple):
    """A partition and what it holds: records from `first` up to, not including, `end`."""

    partition: int
    first: Position
    end: Position


class Health(NamedTuple):
    ok: bool
    """A commit would be taken now."""
    reason: str = ""
    """Where not ok: what is wrong, for the operator."""


class Journal(Protocol):
    """Seven methods. All but `transact` and `lease` only read or free; none blocks the loop."""

    async def transact(self, units: Sequence[Unit | Outcome]) -> Sequence[Outcome | Exception]:
        """Decide the units in order and make what they produced durable as one record.

        What depends on nothing in the state may be given as the outcome that it has.

        Under the journal's lock, which excludes every other process on the same journal: read
        the live values of all the units' keys at once; call each `decide` with them, later
        units seeing earlier units' changes; append one record with all events, rejects and
        changes; make it durable; apply the changes. Then, and not before, return one result per
        unit, in order.

        A unit whose `decide` raises gets that exception as its result and leaves nothing
        behind; the others go on. When nothing is to be written the log is not touched. With no
        units at all a tick is appended.

        Raises `JournalUnavailable` when nothing was written and a repeat may succeed (disk
        full, quorum lost), `JournalFailed` when it is unknown what was written; the engine then
        takes nothing more. May be called again before an earlier call has returned; calls are
        then served in turn.
        """
        ...

    async def get(self, keys: Sequence[str]) -> States:
        """The live values of some keys as of now, outside any lock: for showing, not deciding."""
        ...

    async def read(self, start: Position, limit_bytes: int = 8 << 20) -> Batch:
        """Durable records from `start`, oldest first, about `limit_bytes` of them at most.

        Gives at least one record when there is one. A `start` before the first kept record
        begins at the first. Never gives a record that a loss of power could still take back.
        """
        ...

    async def partitions(self) -> Sequence[Span]:
        """Every partition with what it holds now. Embedded engines have exactly one, 0."""
        ...

    async def trim(self, before: Position, *, erased: Sequence[bytes] | None = None) -> None:
        """Allow forgetting the records before a position (whole segments; perhaps not all).

        The state survives: an engine that rebuilds it from the log keeps what it needs first.
        Also the time to forget expired keys.

        With `erased`, be it empty, it is an order: on return nothing before the position is kept
        anywhere, nor any value of the state that contains one of these texts, nor an older copy
        of either; no later decision sees such a value. Records from the position on stay, with
        what they hold, and what they change goes as well where it contains a text by the time
        the state is gone through. The position is one of a record or the log's end, and
        followers have passed it. Commits go on meanwhile.

        Raises `ValueError` for an empty text, `JournalUnavailable` where it could not be done to
        its end: some of it may be, and a repeat does the rest.
        """
        ...

    async def lease(self, name: str, holder: str, seconds: float) -> bool:
        """Take or renew the lease `name` for `holder`; True while `holder` has it.

        At most one holder has a lease at a time, over all processes; one that is not renewed
        within `seconds` is free. With `seconds` 0 the holder gives it up.
        """
        ...

    async def health(self) -> Health:
        """Whether a commit would be taken now, and if not, why. Cheap; asked every second."""
        ...
