"""What every engine owes, as one suite: `conftest.ENGINES` says which run."""

import asyncio

import msgspec
import pytest
from journal_units import count, event, failing, holding, ids, look, put, read_all, reject, say

from footfall.journal.contract import Change, More, Outcome, Position, Unit, encode_events
from footfall.model import Event


def test_events_are_stored_in_order_and_read_back(on_engine):
    async def scenario(engine):
        journal = await engine.client()
        results = await journal.transact([say("a", "b", reply=1), say("c", reply=2)])
        assert [result.reply for result in results] == [1, 2]
        records, damage = await read_all(journal)
        assert ids(records) == ["a", "b", "c"]
        assert not damage
        (_, record), *_ = records
        assert record.at == engine.clock.now
        assert record.events.endswith(b"\n")
        assert msgspec.json.decode(record.events.splitlines()[0], type=Event) == event("a")

    on_engine(scenario)


def test_one_group_is_one_record_with_everything_in_it(on_engine):
    async def scenario(engine):
        journal = await engine.client()
        refused = Unit((), lambda states: Outcome(rejects=[reject("why")]))
        await journal.transact([say("a"), refused, put("k", b"v")])
        [(position, record)], _ = await read_all(journal)
        assert position.partition == 0
        assert ids([(position, record)]) == ["a"]
        assert msgspec.json.decode(record.rejects)["detail"] == "why"
        assert [(c.key, c.value) for c in record.changes] == [("k", b"v")]

    on_engine(scenario)


def test_an_outcome_stands_for_a_unit_that_depends_on_nothing(on_engine):
    async def scenario(engine):
        journal = await engine.client()
        encoded = Outcome(events=encode_events([event("b"), event("c")]), reply=2)
        plain = Outcome(events=[event("e")], changes=[Change("k", b"v", 1 << 60)], reply=3)
        results = await journal.transact([say("a"), encoded, count("n", "d"), plain, look("k")])
        assert results[1] is encoded
        assert results[3] is plain
        assert results[4].reply == {"k": b"v"}
        assert ids((await read_all(journal))[0]) == ["a", "b", "c", "d", "e"]

    on_engine(scenario)


def following(first):
    """A unit that follows names from `first` to what has none, and tells the names it saw."""

    def decide(states):
        names = [first]
        while (value := states.get(names[-1])) is not None:
            names.append(value.decode())
            if names[-1] not in asked:
                asked.append(names[-1])
                return More((names[-1],))
        return Outcome(reply=names)

    asked = [first]
    return Unit((first,), decide)


def test_a_unit_may_ask_for_keys_that_only_values_name(on_engine):
    async def scenario(engine):
        journal = await engine.client()
        await journal.transact([put("a", b"b"), put("b", b"c"), put("z", b"a")])
        # Of the same group: what was changed before counts, asked for early or late.
        changes = [put("c", b"d"), put("b", b"x")]
        results = await journal.transact([following("z"), *changes, following("z")])
        assert [results[0].reply, results[3].reply] == [["z", "a", "b", "c"], ["z", "a", "b", "x"]]
        results = await journal.transact([put("b", None), following("z"), following("a")])
        assert [result.reply for result in results[1:]] == [["z", "a", "b"], ["a", "b"]]

    on_engine(scenario)


def test_a_unit_that_goes_on_asking_fails_alone(on_engine):
    async def scenario(engine):
        journal = await engine.client()
        endless = Unit(("a",), lambda states: More(("a",)))
        results = await journal.transact([endless, say("b", reply=1)])
        assert isinstance(results[0], RecursionError)
        assert results[1].reply == 1

    on_engine(scenario)


def test_a_unit_that_raises_fails_alone(on_engine):
    async def scenario(engine):
        journal = await engine.client()
        fault = ValueError("no")
        results = await journal.transact([say("a", reply=1), failing(fault), say("b", reply=2)])
        assert results[1] is fault
        assert [results[0].reply, results[2].reply] == [1, 2]
        assert ids((await read_all(journal))[0]) == ["a", "b"]

    on_engine(scenario)


@pytest.mark.parametrize(
    "outcome",
    [
        lambda: Outcome(events=[event("x", properties={"o": object()})]),
        lambda: Outcome(events=[event("fine"), event("bad \ud800")]),
        lambda: Outcome(events=[event("x")], changes=[Change("k", "not bytes", 1 << 60)]),
        lambda: Outcome(changes=[Change("\ud800", b"v", 1 << 60)]),
        lambda: None,
    ],
    ids=["event", "surrogate", "value", "key", "none"],
)
def test_what_cannot_be_written_fails_alone_and_leaves_nothing(on_engine, outcome):
    def decide(states):
        result = outcome()
        if result is None:
            return None
        changes = [Change("seen", b"1", 1 << 60), *result.changes]
        return Outcome(events=result.events, changes=changes)

    async def scenario(engine):
        journal = await engine.client()
        results = await journal.transact([Unit((), decide), look("seen"), say("after")])
        assert isinstance(results[0], Exception)
        assert results[1].reply == {}
        records, damage = await read_all(journal)
        assert ids(records) == ["after"]
        assert not damage
        assert not records[0][1].changes
        assert await journal.get(["seen"]) == {}

    on_engine(scenario)


def test_later_units_see_earlier_changes_of_their_group(on_engine):
    async def scenario(engine):
        journal = await engine.client()
        await journal.transact([put("k", b"old")])
        results = await journal.transact(
            [look("k"), put("k", b"new"), look("k"), put("k", None), look("k")]
        )
        assert [r.reply for r in results[::2]] == [{"k": b"old"}, {"k": b"new"}, {}]
        assert await journal.get(["k"]) == {}

    on_engine(scenario)


def test_a_unit_sees_its_own_keys_only(on_engine):
    async def scenario(engine):
        journal = await engine.client()
        await journal.transact([put("a", b"1"), put("b", b"2")])
        results = await journal.transact([look("a"), look("b", "c"), look()])
        assert [r.reply for r in results] == [{"a": b"1"}, {"b": b"2"}, {}]

    on_engine(scenario)


def test_a_change_need_not_be_to_a_key_that_was_asked_for(on_engine):
    async def scenario(engine):
        journal = await engine.client()
        blind = Unit((), lambda states: Outcome(changes=[Change("k", b"v", 1 << 60)]))
        results = await journal.transact([blind, look("k")])
        assert results[1].reply == {"k": b"v"}
        assert await journal.get(["k", "other"]) == {"k": b"v"}

    on_engine(scenario)


def test_many_keys_are_read_at_once(on_engine):
    async def scenario(engine):
        journal = await engine.client()
        names = [f"k{n}" for n in range(1300)]
        await journal.transact([put(name, name.encode()) for name in names[::2]])
        [result] = await journal.transact([look(*names)])
        assert result.reply == {name: name.encode() for name in names[::2]}

    on_engine(scenario)


def test_keys_and_values_may_be_anything(on_engine):
    async def scenario(engine):
        journal = await engine.client()
        values = {"": b"", "ключ": b"\0\xff", "k" * 5000: b"v" * 70_000, "a'b\"c\0": b"x"}
        await journal.transact([put(key, value) for key, value in values.items()])
        assert await journal.get(list(values)) == values
        [result] = await journal.transact([look(*values, "\ud800")])
        assert result.reply == values

    on_engine(scenario)


def test_a_key_is_absent_from_its_expiry_on(on_engine):
    async def scenario(engine):
        journal = await engine.client()
        await journal.transact([put("k", b"v", engine.clock.now + 10)])
        engine.clock.now += 9
        assert await journal.get(["k"]) == {"k": b"v"}
        assert (await journal.transact([look("k")]))[0].reply == {"k": b"v"}
        engine.clock.now += 1
        assert await journal.get(["k"]) == {}
        assert (await journal.transact([look("k")]))[0].reply == {}

    on_engine(scenario)


def test_a_change_that_is_expired_already_hides_the_value_before_it(on_engine):
    async def scenario(engine):
        journal = await engine.client()
        await journal.transact([put("k", b"v")])
        results = await journal.transact([put("k", b"dead", engine.clock.now), look("k")])
        assert results[1].reply == {}
        assert await journal.get(["k"]) == {}

    on_engine(scenario)


def test_nothing_to_write_leaves_the_log_alone(on_engine):
    async def scenario(engine):
        journal = await engine.client()
        await journal.transact([say("a")])
        before = await journal.partitions()
        await journal.transact([look("k"), failing(KeyError("x"))])
        assert await journal.partitions() == before
        assert len((await read_all(journal))[0]) == 1

    on_engine(scenario)


def test_no_units_append_a_tick(on_engine):
    async def scenario(engine):
        journal = await engine.client()
        assert list(await journal.transact([])) == []
        engine.clock.advance(5)
        await journal.transact([])
        records, _ = await read_all(journal)
        assert [r.at for _, r in records] == [engine.clock.now - 5_000_000, engine.clock.now]
        assert all(not (r.events or r.rejects or r.changes) for _, r in records)

    on_engine(scenario)


def test_the_time_of_records_never_goes_back(on_engine):
    async def scenario(engine):
        journal = await engine.client()
        first = engine.clock.now
        await journal.transact([put("k", b"v", first + 5)])
        engine.clock.advance(-60)
        await (await engine.client()).transact([])
        assert [r.at for _, r in (await read_all(journal))[0]] == [first, first]
        # Nor does a key come back to life.
        engine.clock.now = first + 5
        await journal.transact([])
        engine.clock.now = first
        assert await journal.get(["k"]) == {}
        assert (await journal.transact([look("k")]))[0].reply == {}

    on_engine(scenario)


def test_a_position_is_included_and_sequences_grow(on_engine):
    async def scenario(engine):
        journal = await engine.client()
        for n in range(20):
            await journal.transact([say(f"e{n}")])
        records, _ = await read_all(journal)
        positions = [position for position, _ in records]
        assert positions == sorted(set(positions))
        for n, position in enumerate(positions):
            assert ids((await journal.read(position)).records)[0] == f"e{n}"

    on_engine(scenario)


@pytest.mark.parametrize("limit_bytes", [0, 1, 150, 1000])
def test_reading_in_small_steps_gives_the_same(on_engine, limit_bytes):
    async def scenario(engine):
        journal = await engine.client()
        for n in range(15):
            await journal.transact([say(f"e{n}", "x" * (n * 40))])
        records, damage = await read_all(journal, limit_bytes=limit_bytes)
        assert (records, damage) == await read_all(journal)
        batch = await journal.read(Position(0, 0), limit_bytes)
        assert 1 <= len(batch.records) < 15

    on_engine(scenario)


def test_reading_where_there_is_nothing_gives_the_position_back(on_engine):
    async def scenario(engine):
        journal = await engine.client()
        empty = await journal.read(Position(0, 0))
        assert (list(empty.records), empty.next) == ([], Position(0, 0))
        await journal.transact([say("a")])
        end = (await journal.read(Position(0, 0))).next
        again = await journal.read(end)
        assert (list(again.records), again.next, list(again.damage)) == ([], end, [])
        await journal.transact([say("b")])
        assert ids((await journal.read(end)).records) == ["b"]

    on_engine(scenario)


def test_partitions_say_what_is_held(on_engine):
    async def scenario(engine):
        journal = await engine.client()
        [span] = await journal.partitions()
        assert (span.partition, span.first) == (0, span.end)
        await journal.transact([say("a")])
        [span] = await journal.partitions()
        batch = await journal.read(span.first)
        assert batch.records[0][0] == span.first
        assert batch.next == span.end

    on_engine(scenario)


def test_clients_share_log_and_state(on_engine):
    async def scenario(engine):
        one, other = await engine.client(), await engine.client()
        await one.transact([say("a"), put("k", b"1")])
        assert await other.get(["k"]) == {"k": b"1"}
        [result] = await other.transact([count("k")])
        assert result.reply == 2
        await one.transact([say("b")])
        assert ids((await read_all(other))[0]) == ["a", "b"]
        assert (await one.transact([look("k")]))[0].reply == {"k": b"2"}

    on_engine(scenario)


def test_calls_are_served_in_turn_and_no_update_is_lost(on_engine):
    async def scenario(engine):
        clients = [await engine.client() for _ in range(3)]

        async def writer(name, journal):
            groups = [
                journal.transact([count("total", f"{name}-{n}"), count(f"own-{name}")])
                for n in range(20)
            ]
            return await asyncio.gather(*groups)

        answers = await asyncio.gather(*(writer(n, c) for n, c in enumerate(clients)))
        totals = sorted(total.reply for answer in answers for total, _ in answer)
        assert totals == list(range(1, 61))
        for answer in answers:
            assert [own.reply for _, own in answer] == list(range(1, 21))
        records, _ = await read_all(clients[0])
        counts = [msgspec.json.decode(r.events)["properties"]["count"] for _, r in records]
        assert counts == list(range(1, 61))

    on_engine(scenario)


def test_whoever_is_cancelled_does_not_disturb_the_next(on_engine):
    async def scenario(engine):
        journal = await engine.client()
        task = asyncio.ensure_future(journal.transact([say("a")]))
        await asyncio.sleep(0)
        task.cancel()
        assert (await journal.transact([say("b", reply=7)]))[0].reply == 7
        assert ids((await read_all(journal))[0])[-1] == "b"

    on_engine(scenario)


def test_trimming_forgets_what_is_before_and_keeps_the_state(on_engine):
    async def scenario(engine):
        journal = await engine.client()
        await journal.transact([put("early", b"1"), put("dead", b"1", engine.clock.now + 1)])
        for n in range(40):
            engine.clock.advance(1)
            await journal.transact([say(f"e{n}")])
        records, _ = await read_all(journal)
        before = records[30][0]
        await journal.trim(before)
        [span] = await journal.partitions()
        assert records[0][0] < span.first <= before
        kept, damage = await read_all(journal)
        assert not damage
        assert kept[0][0] == span.first
        assert kept == records[-len(kept) :]
        assert await journal.get(["early", "dead"]) == {"early": b"1"}
        await journal.trim(span.end)
        await journal.transact([say("after")])
        assert ids((await read_all(journal))[0])[-1] == "after"
        assert (await journal.transact([look("early")]))[0].reply == {"early": b"1"}

    on_engine(scenario)


async def some_persons(engine, journal):
    """Forty records, with anna's and bob's states written early and late. Gives the records."""
    for n in range(40):
        engine.clock.advance(1)
        units = [say(f"event-{n:02}")]
        if n % 10 == 0:
            units += [put(f"anna-{n}", b"of anna@x.org"), put(f"bob-{n}", b"of bob@x.org")]
        await journal.transact(units)
    # An older copy of what is something else by now, and one that takes many pages.
    await journal.transact(
        [put("changed", b"once anna@x.org"), put("long", b"-" * 50_000 + b"p17")]
    )
    await journal.transact([put("changed", b"now somebody")])
    return (await read_all(journal))[0]


@pytest.mark.parametrize("at", [0, 1, 29, 30, 31, 41, 42])
def test_erasing_leaves_nothing_before_and_no_value_with_a_text(on_engine, at):
    async def scenario(engine):
        journal, other = await engine.client(), await engine.client()
        records = await some_persons(engine, journal)
        [span] = await journal.partitions()
        before = [*(position for position, _ in records), span.end][at]
        assert (await other.transact([look("anna-0")]))[0].reply
        assert await other.get(["anna-0"])
        await journal.trim(before, erased=[b"anna@", b"p17"])
        for client in (journal, other):
            [span] = await client.partitions()
            assert span.first >= before
            kept, damage = await read_all(client)
            assert not damage
            # A tick may stand at the end: where a new segment began.
            assert [r for r in kept if r[1].events or r[1].changes] == records[at:]
            keys = ["anna-0", "anna-30", "bob-0", "bob-30", "changed", "long"]
            left = {"bob-0": b"of bob@x.org", "bob-30": b"of bob@x.org", "changed": b"now somebody"}
            assert await client.get(keys) == left
            assert (await client.transact([look(*keys)]))[0].reply == left
        assert (await other.transact([count("anna-0", "after")]))[0].reply == 1
        assert await journal.get(["anna-0"]) == {"anna-0": b"1"}
        assert ids((await read_all(journal))[0])[-1] == "after"
        return records

    records = on_engine(scenario)
    assert len(records) == 42


def test_what_was_erased_is_in_no_file(on_engine):
    async def scenario(engine):
        journal = await engine.client()
        records = await some_persons(engine, journal)
        gone = [f"event-{n:02}".encode() for n in range(40)]
        assert holding(engine.directory, gone[0]) or not any(engine.directory.iterdir())
        await journal.trim(records[35][0], erased=[b"anna@", b"p17"])
        assert not holding(engine.directory, *gone[:35])
        [span] = await journal.partitions()
        # What stands from there on stays: callers erase at a place behind what is to go.
        await journal.trim(span.end, erased=[b"anna@", b"p17"])
        assert not holding(engine.directory, b"anna@", b"p17", b"event-")
        assert (await journal.get(["bob-0"])) == {"bob-0": b"of bob@x.org"}
        await journal.transact([say("after"), count("n")])
        [span] = await journal.partitions()
        await journal.trim(span.end, erased=())
        assert not holding(engine.directory, b"after")
        assert await journal.get(["n"]) == {"n": b"1"}
        assert [r for r in (await read_all(journal))[0] if r[1].events] == []

    on_engine(scenario)


def test_erasing_forgets_expired_keys_too(on_engine):
    async def scenario(engine):
        journal = await engine.client()
        await journal.transact([put("dead", b"expired", engine.clock.now + 1), put("k", b"v")])
        engine.clock.advance(1)
        await journal.transact([])
        [span] = await journal.partitions()
        await journal.trim(span.end, erased=())
        assert not holding(engine.directory, b"expired")
        assert await journal.get(["dead", "k"]) == {"k": b"v"}

    on_engine(scenario)


def test_an_empty_text_is_refused_before_anything_goes(on_engine):
    async def scenario(engine):
        journal = await engine.client()
        await journal.transact([say("a"), put("k", b"v")])
        kept = await read_all(journal)
        with pytest.raises(ValueError, match="empty"):
            await journal.trim((await journal.partitions())[0].end, erased=[b"v", b""])
        assert await read_all(journal) == kept
        assert await journal.get(["k"]) == {"k": b"v"}

    on_engine(scenario)


def test_nothing_acknowledged_is_lost_while_erasing(on_engine):
    """Decisions see what is erased until it is, and never again after that."""

    async def scenario(engine):
        journal, other = await engine.client(), await engine.client()
        await journal.transact([put("bob", b"bob@x.org")])
        replies, stop = [], False

        def decide(states):
            number = int(states.get("anna", b"anna 0")[5:]) + 1
            changes = [Change("anna", b"anna %d" % number, 1 << 60)]
            return Outcome([event(f"e{len(replies)}")], changes=changes, reply=number)

        async def write():
            while not stop:
                results = await journal.transact([Unit(("anna",), decide)])
                replies.append(results[0].reply)
                await asyncio.sleep(0)

        async def show():
            while not stop:
                assert (await other.get(["bob"])) == {"bob": b"bob@x.org"}
                [span] = await other.partitions()
                assert not (await other.read(span.first)).damage
                await asyncio.sleep(0)

        tasks = [asyncio.ensure_future(write()), asyncio.ensure_future(show())]
        try:
            for _ in range(4):
                await asyncio.sleep(0.05)
                [span] = await other.partitions()
                await other.trim(span.end, erased=[b"anna "])
            await asyncio.sleep(0.05)
        finally:
            stop = True
            await asyncio.gather(*tasks)
        # Counted up from 1 anew after each erasure, without a gap and never as before.
        starts = [n for n, reply in enumerate(replies) if reply == 1]
        assert len(starts) == 5
        for start, end in zip(starts, [*starts[1:], len(replies)], strict=True):
            assert replies[start:end] == list(range(1, end - start + 1))
        assert await journal.get(["anna"]) == {"anna": b"anna %d" % replies[-1]}
        names = ids((await read_all(other))[0])
        assert names == [f"e{n}" for n in range(len(replies) - len(names), len(replies))]
        assert names

    on_engine(scenario)


def test_a_lease_has_one_holder(on_engine):
    async def scenario(engine):
        one, other = await engine.client(), await engine.client()
        assert await one.lease("loader", "a", 10)
        assert not await other.lease("loader", "b", 10)
        assert await other.lease("keeper", "b", 10)
        engine.clock.advance(8)
        assert await one.lease("loader", "a", 10)
        engine.clock.advance(8)
        assert not await other.lease("loader", "b", 10)
        engine.clock.advance(2)
        assert await other.lease("loader", "b", 10)
        assert not await one.lease("loader", "a", 10)

    on_engine(scenario)


def test_a_lease_can_be_given_up_by_its_holder_only(on_engine):
    async def scenario(engine):
        journal = await engine.client()
        assert await journal.lease("loader", "a", 10)
        assert not await journal.lease("loader", "b", 0)
        assert not await journal.lease("loader", "b", 10)
        assert not await journal.lease("loader", "a", 0)
        assert await journal.lease("loader", "b", 10)

    on_engine(scenario)


def test_a_journal_that_takes_commits_is_healthy(on_engine):
    async def scenario(engine):
        journal = await engine.client()
        assert (await journal.health()).ok

    on_engine(scenario)
