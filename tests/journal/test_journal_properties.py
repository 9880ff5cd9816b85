"""Any run of groups gives the same on the memory engine and on the local one."""

import asyncio
import tempfile
from pathlib import Path

import pytest
from faulty_files import NoSync
from hypothesis import given, settings
from hypothesis import strategies as st
from journal_units import FakeClock, event, read_all, reject

from footfall.journal.contract import Change, Outcome, Position, Unit
from footfall.journal.engines.local import LocalJournal
from footfall.journal.engines.memory import MemoryJournal

KEYS = ("a", "b", "c", "ключ")

keys = st.sampled_from(KEYS)
values = st.none() | st.binary(max_size=12)
lifetimes = st.sampled_from([-5, 0, 3, 10, 1000])
units = st.fixed_dictionaries(
    {
        "keys": st.lists(keys, max_size=3).map(tuple),
        "changes": st.lists(st.tuples(keys, values, lifetimes), max_size=3),
        "events": st.integers(0, 2),
        "rejects": st.integers(0, 1),
        "fails": st.sampled_from(["", "", "", "", "raise", "event"]),
    }
)
steps = st.one_of(
    st.tuples(st.just("transact"), st.integers(0, 1), st.lists(units, max_size=4)),
    st.tuples(st.just("advance"), st.integers(-5, 20)),
    st.tuples(st.just("trim"), st.integers(0, 8)),
    st.tuples(st.just("erase"), st.integers(0, 8), st.binary(min_size=1, max_size=1)),
    st.tuples(st.just("restart"), st.sampled_from(["clean", "tip", "state"])),
)


def unit(what, name, now):
    """What a description stands for; its event tells what it saw."""

    def decide(states):
        if what["fails"] == "raise":
            raise ValueError(name)
        seen = {key: value.hex() for key, value in states.items()}
        seen["bad"] = object() if what["fails"] == "event" else None
        count = max(what["events"], 1) if what["fails"] == "event" else what["events"]
        return Outcome(
            events=[event(f"{name}.{n}", properties=seen) for n in range(count)],
            rejects=[reject(name)] * what["rejects"],
            changes=[Change(key, value, now + life) for key, value, life in what["changes"]],
            reply=(name, dict(states)),
        )

    return Unit(what["keys"], decide)


class Local:
    """Two clients of one directory, which can be restarted."""

    def __init__(self, directory, clock):
        self._directory = directory
        self._clock = clock
        self.clients = []
        self.restart("clean")

    def restart(self, lost):
        self.close()
        for path in self._directory.glob(
            {"clean": "", "tip": "tip", "state": "state*.db*"}[lost] or "-"
        ):
            path.unlink()
        found = LocalJournal.recover(self._directory, files=NoSync())
        assert not found.damage
        assert not found.torn
        for _ in range(2):
            journal = LocalJournal(
                self._directory,
                clock=self._clock,
                files=NoSync(),
                segment_bytes=300,
                allocate_bytes=100,
            )
            journal.open()
            self.clients.append(journal)

    def close(self):
        for journal in self.clients:
            journal.close()
        self.clients.clear()


def told(results):
    return [r.reply if isinstance(r, Outcome) else (type(r), str(r)) for r in results]


async def same(memory, local):
    """Whether both hold the same, as far as both still hold it."""
    expected = [record for _, record in (await read_all(memory))[0]]
    for client in local.clients:
        assert await client.get(KEYS) == await memory.get(KEYS)
        records, damage = await read_all(client)
        assert not damage
        held = [record for _, record in records]
        assert held == expected[len(expected) - len(held) :]
    return len(held)


async def play(script, directory):
    clock = FakeClock()
    memory, local = MemoryJournal(clock), Local(directory, clock)
    total, trimmed = 0, 0
    try:
        for number, (what, *arguments) in enumerate(script):
            if what == "transact":
                which, described = arguments
                group = [unit(each, f"{number}.{n}", clock.now) for n, each in enumerate(described)]
                answer = await local.clients[which].transact(group)
                assert told(answer) == told(await memory.transact(group))
            elif what == "advance":
                clock.now += arguments[0]
            elif what == "trim":
                records, _ = await read_all(local.clients[0])
                if len(records) > arguments[0]:
                    await local.clients[1].trim(records[arguments[0]][0])
                    trimmed += arguments[0]
            elif what == "erase":
                at, text = arguments
                records, _ = await read_all(local.clients[0])
                if len(records) > at:
                    end = (await memory.partitions())[0].end.sequence
                    await memory.transact([])  # the local engine's segment begins with a tick
                    await memory.trim(Position(0, end - len(records) + at), erased=[text])
                    await local.clients[1].trim(records[at][0], erased=[text])
                    assert await same(memory, local) == len(records) - at + 1
                    trimmed += at
            else:
                local.restart(arguments[0])
            held = await same(memory, local)
            total = (await memory.partitions())[0].end.sequence
            assert held >= total - trimmed
    finally:
        local.close()


def run(script):
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(play(script, Path(directory)))


@settings(max_examples=25, deadline=None)
@given(st.lists(steps, max_size=12))
def test_any_run_gives_the_same_as_in_memory(script):
    run(script)


@pytest.mark.long
@settings(max_examples=600, deadline=None)
@given(st.lists(steps, max_size=30))
def test_any_long_run_gives_the_same_as_in_memory(script):
    run(script)


def test_reading_from_any_position_in_between_gives_the_rest():
    async def scenario(directory):
        local = Local(directory, FakeClock())
        try:
            for n in range(20):
                await local.clients[n % 2].transact(
                    [Unit((), lambda s: Outcome(events=[event("e")]))]
                )
            records, _ = await read_all(local.clients[0])
            for n, (position, _) in enumerate(records):
                assert (await read_all(local.clients[1], position, 1))[0] == records[n:]
            assert (await read_all(local.clients[1], Position(0, 1)))[0] == records
        finally:
            local.close()

    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(scenario(Path(directory)))
