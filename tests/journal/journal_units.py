"""Units and readings that the journal's tests share."""

import msgspec

from footfall.journal.contract import Change, Outcome, Position, Unit
from footfall.model import Event, Reject

FOREVER = 1 << 60
START = Position(0, 0)


class FakeClock:
    """A clock that only tests move."""

    def __init__(self, now=1_700_000_000_000_000):
        self.now = now

    def __call__(self):
        return self.now

    def advance(self, seconds):
        self.now += round(seconds * 1_000_000)


def event(name, **fields):
    return Event(
        event_id=name,
        source="shop",
        protocol="test",
        type="t",
        occurred_at=1,
        received_at=2,
        **fields,
    )


def reject(detail):
    return Reject(
        received_at=1, protocol="test", reason="body_not_valid", detail=detail, status=400
    )


def say(*names, reply=None):
    """A unit without keys that stores events."""
    return Unit((), lambda states: Outcome(events=[event(n) for n in names], reply=reply))


def put(key, value, expires_at=FOREVER):
    return Unit((key,), lambda states: Outcome(changes=[Change(key, value, expires_at)]))


def look(*keys):
    """A unit that changes nothing and replies with what it sees."""
    return Unit(keys, lambda states: Outcome(reply=dict(states)))


def count(key, name=None):
    """A unit that counts a key up and replies with the count; stores an event that says so."""

    def decide(states):
        number = int(states.get(key, b"0")) + 1
        events = [event(f"{name}", properties={"count": number})] if name else []
        return Outcome(events=events, changes=[Change(key, b"%d" % number, FOREVER)], reply=number)

    return Unit((key,), decide)


def failing(fault):
    def decide(states):
        raise fault

    return Unit((), decide)


async def read_all(journal, start=START, limit_bytes=8 << 20):
    """All records from a position, and all damage, in as many reads as it takes."""
    records, damage = [], []
    while True:
        batch = await journal.read(start, limit_bytes)
        records.extend(batch.records)
        damage.extend(batch.damage)
        if batch.next == start:
            return records, damage
        start = batch.next


def holding(directory, *texts):
    """Which of some texts stand in which files below a directory, whatever the files are."""
    return {
        (path.name, text)
        for path in directory.rglob("*")
        if path.is_file()
        for text in texts
        if text in path.read_bytes()
    }


def ids(records):
    """The event ids of records, in order."""
    return [
        msgspec.json.decode(line)["event_id"]
        for _, record in records
        for line in record.events.splitlines()
    ]
