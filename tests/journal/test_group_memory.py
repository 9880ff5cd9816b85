"""Deciding leaves nothing behind: a collector runs for months."""

import gc
from collections import Counter

from journal_units import event

from footfall.journal.contract import Outcome, Unit
from footfall.journal.group import decide


def alive() -> Counter[str]:
    gc.collect()
    return Counter(type(thing).__name__ for thing in gc.get_objects())


def test_deciding_leaves_no_objects_behind():
    outcome = Outcome(events=(event("one"), event("two")))  # a tuple, as collectors give it
    units = [Unit((), lambda _states: outcome)] * 2
    decide(units, {}, 0)
    before = alive()
    for _ in range(500):
        decide(units, {}, 0)
    more = alive() - before
    assert not [name for name, count in more.items() if count > 100], more
