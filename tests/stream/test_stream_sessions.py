"""Sessions in a process' memory: how long they are good, and what becomes of them in the state."""

from __future__ import annotations

import asyncio

from stream_rig import UNAVAILABLE, Journal, World, service

from footfall.journal.contract import Change, Outcome
from footfall.metrics import EVENTS, Tally
from footfall.model import Event
from footfall.stream import contexts
from footfall.stream.contexts import Wish
from footfall.stream.contract import Pod
from footfall.stream.sessions import ERASED_US, GOOD_US, Sessions

S = 1_000_000
ONE = service()
LIFE = 600 * S
EVENT = Event("1", "site", "broadpeak", "session", 1, 1)


class Process:
    """Sessions of one process, and how often they looked at the state and changed it."""

    def __init__(self, world, clock, most=100):
        self.tally = Tally()
        journal = Journal(world)
        self.reads = self.commits = 0
        process = self

        class Counting:
            async def get(self, keys):
                process.reads += keys != [contexts.ERASED]
                return await journal.get(keys)

            async def commit(self, unit):
                process.commits += 1
                return await journal.commit(unit)

        self.sessions = Sessions(Counting(), clock, self.tally, most)

    async def open(self, name="a", wish=None, life_us=LIFE):
        session, taken = await self.sessions.open(
            ONE, name, wish or Wish(), life_us=life_us, began=lambda _context: [EVENT]
        )
        return session, taken

    async def settled(self):
        """Wait for what nobody waits for."""
        await asyncio.gather(*self.sessions._jobs)


class Clock:
    now = 1_780_000_000 * S

    def __call__(self):
        return self.now


def run(test, processes=1, most=100):
    world, clock = World(), Clock()
    world.journal._clock = clock
    made = [Process(world, clock, most) for _ in range(processes)]
    asyncio.run(test(world, clock, *made))


def test_a_session_that_has_all_it_needs_costs_the_journal_nothing():
    async def test(_world, clock, process):
        await process.open()
        assert (process.reads, process.commits) == (1, 1)
        for _ in range(20):
            clock.now += S
            await process.open()
        assert (process.reads, process.commits) == (1, 1)
        assert process.tally.cell(EVENTS, "broadpeak", "site").number == 1

    run(test)


def test_it_is_renewed_within_a_quarter_of_its_life_and_nobody_waits():
    async def test(_world, clock, process):
        session, _ = await process.open()
        for _ in range(15):
            clock.now += 10 * S
            await process.open()
            await process.open()
        await process.settled()
        assert process.commits == 2
        assert contexts.ends_at(session.context) == clock.now + LIFE

    run(test)


def test_a_longer_manifest_makes_it_live_longer_at_once():
    async def test(_world, clock, process):
        session, _ = await process.open()
        clock.now += S
        await process.open(life_us=7200 * S)
        await process.settled()
        assert contexts.ends_at(session.context) == clock.now + 7200 * S

    run(test)


def test_a_session_whose_time_is_up_begins_anew():
    async def test(_world, clock, process):
        session, _ = await process.open(wish=Wish(workflow="1.0"))
        clock.now += LIFE
        other, _ = await process.open(wish=Wish(workflow="2.0"))
        assert other is not session
        assert (other.context.began_at, other.context.workflow) == (clock.now, "2.0")

    run(test)


def test_a_session_that_was_erased_is_forgotten_when_it_is_to_be_renewed():
    async def test(world, clock, process):
        await process.open()
        await world.journal.trim((await world.journal.partitions())[0].end)
        world.journal._state.clear()
        clock.now += LIFE // 4
        await process.open()
        await process.settled()
        session, _ = await process.open()
        assert session.context.began_at == clock.now

    run(test)


def test_a_session_that_was_erased_is_forgotten_a_moment_later_and_the_others_stay():
    async def test(world, clock, process):
        first = clock.now
        await process.open("erased")
        await process.open("other")
        changes = (
            Change(contexts.session_key(ONE.id, "erased"), None, 0),
            Change(contexts.ERASED, b"1", clock.now + LIFE),
        )
        await Journal(world).commit(Outcome(changes=changes))
        for _ in range(3):
            clock.now += ERASED_US
            session, _ = await process.open("other")
            assert session.context.began_at == first
        session, _ = await process.open("erased")
        assert session.context.began_at == clock.now
        reads = process.reads
        for _ in range(3):
            clock.now += ERASED_US
            await process.open("other")
            await process.open("erased")
        assert process.reads == reads

    run(test)


def test_a_session_stays_while_nobody_can_tell_whether_it_was_erased():
    async def test(world, clock, process):
        first, _ = await process.open()
        world.journal_fault = UNAVAILABLE
        clock.now += GOOD_US + 1
        session, _ = await process.open()
        assert session is first

    run(test)


def test_who_was_not_called_for_a_while_looks_at_the_state_again():
    async def test(_world, clock, one, two):
        await one.open()
        session, _ = await two.open()
        pod = Pod("slot:1", 5, claimed_until=clock.now + S)
        _, taken = await one.open(wish=Wish(pods=(pod,)))
        assert taken == {"slot:1"}
        await two.open()
        assert session.context.pods == ()
        clock.now += GOOD_US + 1
        await two.open()
        assert session.context.pods == (pod,)

    run(test, 2)


def test_what_is_older_never_takes_the_place_of_what_is_newer():
    async def test(_world, clock, process):
        session, _ = await process.open()
        old = session.context
        await process.open(wish=Wish(workflow="1.0"))
        session.adopt(old)
        assert session.context.workflow == "1.0"

    run(test)


def test_as_many_are_kept_as_the_settings_say_and_others_are_read_again():
    async def test(_world, _clock, process):
        for name in "abcde":
            await process.open(name)
        assert list(process.sessions._known) == [contexts.session_key("s", n) for n in "cde"]
        commits = process.commits
        session, _ = await process.open("a")
        assert session.context.began_at
        assert process.commits == commits

    run(test, most=3)


def test_a_session_that_began_while_nothing_was_taken_has_no_claims_for_its_life():
    async def test(world, clock, process):
        world.journal_fault = UNAVAILABLE
        pods = (Pod("slot:1", 5, claimed_until=clock.now + S),)
        session, taken = await process.open(wish=Wish(manifest_at=7, pods=pods, first=pods))
        assert (session.stored, taken, session.context.pods) == (False, frozenset(), ())
        assert session.context.manifest_at == 7
        world.journal_fault = None
        again, taken = await process.open(wish=Wish(pods=pods))
        assert (again is session, taken, again.context.pods) == (True, frozenset(), ())
        clock.now += contexts.SHORTEST_LIFE_US
        anew, taken = await process.open(wish=Wish(pods=pods))
        assert (anew.stored, taken) == (True, {"slot:1"})

    run(test)


def test_a_known_session_stays_as_it_is_while_nothing_is_taken():
    async def test(world, clock, process):
        session, _ = await process.open()
        world.journal_fault = UNAVAILABLE
        pods = (Pod("slot:1", 5, claimed_until=clock.now + S),)
        same, taken = await process.open(wish=Wish(pods=pods))
        assert (same is session, same.stored, taken) == (True, True, frozenset())
        world.journal_fault = None
        _, taken = await process.open(wish=Wish(pods=pods))
        assert taken == {"slot:1"}

    run(test)


def test_sessions_with_the_same_pods_have_the_same_signature():
    async def test(_world, _clock, process):
        one, _ = await process.open("a")
        two, _ = await process.open("b")
        assert one.sign() == two.sign()
        pod = Pod("slot:1", 5, at_us=5)
        before = one.sign()
        await process.open("a", Wish(pods=(pod,)))
        assert one.sign() != before

    run(test)
