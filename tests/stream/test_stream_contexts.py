"""What the state holds of sessions and services, over a journal."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from footfall.journal.engines.memory import MemoryJournal
from footfall.model import Event
from footfall.settings import Service
from footfall.stream import contexts
from footfall.stream.contexts import Life, Wish
from footfall.stream.contract import (
    Break,
    Context,
    Mark,
    Placed,
    Pod,
    Shift,
)

S = 1_000_000
KEY = contexts.session_key("films", "abc")
NO_WISH = Wish()
EVENT = Event("1", "site", "broadpeak", "session", 1, 1)


class Clock:
    now = 1_780_000_000 * S

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def journal(clock):
    return MemoryJournal(clock)


def commit(journal, unit):
    (result,) = asyncio.run(journal.transact([unit]))
    if isinstance(result, Exception):
        raise result
    return result


def stored(journal, key=KEY):
    return contexts.read(asyncio.run(journal.get([key])).get(key))


def life(clock, seconds=600):
    return Life(KEY, clock.now, seconds * S)


def begin(journal, clock, wish=NO_WISH, events=()):
    opened = commit(journal, contexts.opened(life(clock), wish, lambda _context: events)).reply
    return opened.context


def test_the_first_call_begins_a_session_and_says_so_once(journal, clock):
    wish = Wish(workflow="1.0", parameters=(("w", "1"),))
    context = begin(journal, clock, wish, [EVENT])
    assert context == Context(
        clock.now, "1.0", parameters=(("w", "1"),), renewed_at=clock.now, life_us=600 * S
    )
    assert stored(journal) == context
    outcome = commit(journal, contexts.opened(life(clock), wish, lambda _context: [EVENT]))
    assert (outcome.reply.context, outcome.events, outcome.changes) == (context, (), ())


def test_what_is_settled_is_not_settled_again(journal, clock):
    begin(journal, clock, Wish(workflow="2.0"))
    clock.now += S
    context = begin(journal, clock, Wish("2.0", (("w", "9"),), clock.now, 5 * S))
    assert (context.manifest_at, context.joined_us, context.parameters) == (clock.now, 5 * S, ())
    later = begin(journal, clock, Wish("2.0", (), clock.now + S, 9 * S))
    assert later == context


def test_another_workflow_changes_nothing(journal, clock):
    context = begin(journal, clock, Wish(workflow="2.0"))
    assert begin(journal, clock, Wish("1.0", (), 7, 8)) == context
    assert stored(journal) == context


def test_a_workflow_is_fixed_by_the_first_call_that_names_one(journal, clock):
    begin(journal, clock, Wish(manifest_at=clock.now))
    assert begin(journal, clock, Wish(workflow="1.0")).workflow == "1.0"


def test_a_session_ends_with_its_time_and_begins_anew_with_another_workflow(journal, clock):
    begin(journal, clock, Wish(workflow="1.0"))
    clock.now += 599 * S
    assert commit(journal, contexts.renewed(life(clock))).reply.renewed_at == clock.now
    clock.now += 599 * S
    assert stored(journal) is not None
    clock.now += 1 * S
    assert commit(journal, contexts.renewed(life(clock))).reply is None
    context = begin(journal, clock, Wish(workflow="2.0"), [EVENT])
    assert (context.began_at, context.workflow) == (clock.now, "2.0")


@pytest.mark.parametrize(
    ("manifest_s", "hours", "expected_s"),
    [
        (0, 24, 600),
        (60, 24, 600),
        (120, 24, 1200),
        (20_000, 24, 86_400),
        (7200, 1, 3600),
        (7200, 0.17, 612),
    ],
)
def test_how_long_a_session_lives(manifest_s, hours, expected_s):
    service = Service(
        id="x", source="s", kind="vod", origin="https://o.example.com/", session_hours=hours
    )
    assert contexts.life_us(service, manifest_s * S) == expected_s * S


def pod(name, at=0, **more):
    return Pod(name, start_us=at * S, at_us=at * S, **more)


def claim(journal, clock, *pods):
    unit = contexts.opened(life(clock), Wish(pods=pods), lambda _context: [])
    return commit(journal, unit).reply


def fold(journal, clock, folded):
    return commit(journal, contexts.renewed(life(clock), folded))


def test_only_who_added_a_pod_may_decide_it(journal, clock):
    begin(journal, clock)
    wanted = pod("slot:1", 10, claimed_until=clock.now + 6 * S)
    first = claim(journal, clock, wanted)
    second = claim(journal, clock, wanted, pod("slot:2", 5, claimed_until=clock.now + 6 * S))
    assert (first.taken, second.taken) == ({"slot:1"}, {"slot:2"})
    assert [one.id for one in second.context.pods] == ["slot:2", "slot:1"]


def test_two_claims_in_one_group_are_one(journal, clock):
    begin(journal, clock)
    wish = Wish(pods=(pod("slot:1", claimed_until=clock.now + S),))
    unit = contexts.opened(life(clock), wish, lambda _context: [])
    results = asyncio.run(journal.transact([unit, unit]))
    assert [sorted(one.reply.taken) for one in results] == [["slot:1"], []]


def test_what_comes_first_is_claimed_only_by_the_call_that_joins(journal, clock):
    wish = Wish(manifest_at=clock.now, joined_us=5 * S, first=(pod("preroll", 5),))
    unit = contexts.opened(life(clock), wish, lambda _context: [])
    results = asyncio.run(journal.transact([unit, unit]))
    assert [sorted(one.reply.taken) for one in results] == [["preroll"], []]
    context = results[1].reply.context
    assert [one.id for one in context.pods] == ["preroll"]


def test_a_contradicting_wish_claims_nothing(journal, clock):
    begin(journal, clock, Wish(workflow="2.0"))
    begin(journal, clock, Wish(workflow="1.0", pods=(pod("slot:1"),)))
    assert stored(journal).pods == ()


def test_every_change_makes_a_context_newer_even_if_the_clock_stands(journal, clock):
    first = begin(journal, clock)
    clock.now -= 5 * S
    second = begin(journal, clock, Wish(workflow="1.0"))
    assert second.renewed_at > first.renewed_at


def test_a_life_that_was_promised_does_not_become_shorter(journal, clock):
    commit(journal, contexts.opened(life(clock, 7200), NO_WISH, lambda _context: []))
    clock.now += 3600 * S
    context = commit(journal, contexts.renewed(life(clock, 600))).reply
    assert contexts.ends_at(context) == clock.now + 7200 * S
    clock.now += 7199 * S
    assert stored(journal) is not None


def test_a_claim_is_settled_once_and_with_its_events(journal, clock):
    begin(journal, clock)
    wanted = pod("slot:1", 10, claimed_until=clock.now + 6 * S)
    claim(journal, clock, wanted)
    decided = pod("slot:1", 10, decided=True, until_us=20 * S, ads=(Placed("a", "u", 1, 2),))
    outcome = commit(journal, contexts.settled(life(clock), wanted, [decided], [EVENT]))
    assert outcome.reply.done
    assert outcome.reply.context.pods == (decided,)
    assert list(outcome.events) == [EVENT]
    again = commit(journal, contexts.settled(life(clock), wanted, [wanted], [EVENT]))
    assert (again.reply.done, again.events, again.changes) == (False, (), ())
    assert stored(journal).pods == (decided,)


def test_a_claim_that_ran_out_takes_no_decision_any_more(journal, clock):
    begin(journal, clock)
    wanted = pod("slot:1", 10, claimed_until=clock.now + 6 * S)
    claim(journal, clock, wanted)
    lost = pod("slot:1", 10, decided=True)
    early = commit(journal, contexts.settled(life(clock), wanted, [lost], [EVENT], expired=True))
    assert not early.reply.done
    clock.now += 6 * S
    late = commit(journal, contexts.settled(life(clock), wanted, [lost], [EVENT]))
    assert not late.reply.done
    outcome = commit(journal, contexts.settled(life(clock), wanted, [lost], [EVENT], expired=True))
    assert outcome.reply.done
    assert stored(journal).pods == (lost,)


def test_one_claim_may_become_many_pods(journal, clock):
    begin(journal, clock)
    whole = Pod(contexts.WHOLE, 0, claimed_until=clock.now + S)
    claim(journal, clock, whole)
    decided = [Pod(contexts.WHOLE, 0, decided=True), pod("mid", 30, decided=True), pod("pre", 0)]
    outcome = commit(journal, contexts.settled(life(clock), whole, decided, ()))
    assert [one.id for one in outcome.reply.context.pods] == ["", "pre", "mid"]


def test_pods_that_are_gone_are_folded_where_there_are_any(journal, clock):
    begin(journal, clock, Wish(rendition="r"))
    claim(journal, clock, pod("slot:1", 10))

    def folded(context):
        return msgspec.structs.replace(context, pods=(), shifts={"r": Shift(3, 2)})

    context = fold(journal, clock, folded).reply
    assert (context.pods, context.shifts) == ((), {"r": Shift(3, 2)})
    assert stored(journal) == context
    same = fold(journal, clock, lambda context: context)
    assert (same.reply, same.changes) == (context, ())


def test_a_rendition_seen_for_the_first_time_takes_the_numbers_of_another(journal, clock):
    begin(journal, clock, Wish(rendition="r"))
    shifts = {"r": Shift(3, 2, 50), "q": Shift(9, 4, 90)}
    fold(journal, clock, lambda one: msgspec.structs.replace(one, shifts=shifts))
    context = begin(journal, clock, Wish(rendition="s"))
    assert context.shifts == {**shifts, "s": Shift(9, 4, 90)}


def test_breaks_are_shared_and_written_only_where_they_change(journal, clock):
    one = Break("1:X", 1, 2)
    outcome = commit(journal, contexts.shared_breaks("b", clock.now, lambda _known: (one,)))
    assert outcome.reply == (one,)
    same = commit(journal, contexts.shared_breaks("b", clock.now, lambda known: tuple(known)))
    assert (same.reply, same.changes) == ((one,), ())


def mark(at, sequence):
    return Mark(at * S, sequence, 0, (at - 2) * S)


def test_a_mark_that_is_known_stays_as_it_is(journal, clock):
    now = clock.now
    first = commit(journal, contexts.shared_marks("m/r", now, [mark(20, 7)]))
    assert first.reply == (mark(20, 7),)
    wanted = [mark(19, 8), mark(10, 2), mark(22, 7)]
    second = commit(journal, contexts.shared_marks("m/r", now, wanted))
    assert second.reply == (mark(10, 2), mark(20, 7))
    assert commit(journal, contexts.shared_marks("m/r", now, wanted)).changes == ()
    assert commit(journal, contexts.shared_marks("m/q", now, [])).reply == ()


def test_old_marks_go_as_new_ones_come_by_the_streams_own_clock(journal, clock):
    days = 2 * contexts.KEPT_US // S
    commit(journal, contexts.shared_marks("m/r", clock.now, [mark(10, 1)]))
    near = commit(journal, contexts.shared_marks("m/r", clock.now, [mark(days, 2)])).reply
    assert near == (mark(10, 1), mark(days, 2))
    far = commit(journal, contexts.shared_marks("m/r", clock.now, [mark(days + 10, 3)])).reply
    assert far == (mark(days, 2), mark(days + 10, 3))


def test_the_clock_of_an_origin_without_dates_goes_on(journal, clock):
    def advance(known):
        return {**known, "r": (5, 100)}

    assert commit(journal, contexts.shared_clock("c", clock.now, advance)).reply == {"r": (5, 100)}
    assert commit(journal, contexts.shared_clock("c", clock.now, advance)).changes == ()
