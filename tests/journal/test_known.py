"""The cache before the state: right whoever changes the state, and bounded."""

from __future__ import annotations

from footfall.journal.contract import Change
from footfall.journal.engines import known as module
from footfall.journal.engines.known import Known


class Store:
    def __init__(self, **values):
        self.values = {key: (value, 100) for key, value in values.items()}
        self.asked = []

    def __call__(self, keys):
        self.asked.append(list(keys))
        return {key: self.values[key] for key in keys if key in self.values}


def test_a_value_is_read_once_while_nothing_changes():
    store = Store(a=b"1")
    known = Known(store)
    for _ in range(3):
        assert known.load(["a", "absent", "a"], 0, 7) == {"a": b"1"}
    assert known.load(["a", "b"], 0, 7) == {"a": b"1"}
    assert store.asked[0] == ["a", "absent", "a"]
    assert store.asked[1:] == [["b"]]


def test_what_somebody_else_changed_is_read_anew():
    store = Store(a=b"1")
    known = Known(store)
    known.load(["a"], 0, 7)
    store.values["a"] = (b"2", 100)
    assert known.load(["a"], 0, 7) == {"a": b"1"}, "nothing is said to have changed"
    assert known.load(["a"], 0, 8) == {"a": b"2"}


def test_our_own_changes_are_known_without_reading():
    store = Store(a=b"1", b=b"1", c=b"1")
    known = Known(store)
    known.load(["a", "b", "c"], 0, 7)
    known.change([Change("a", b"2", 100), Change("b", None, 0)], 7, 9)
    assert known.load(["a", "b", "c"], 0, 9) == {"a": b"2", "c": b"1"}
    assert len(store.asked) == 1


def test_our_change_after_a_strangers_says_nothing_of_the_strangers():
    store = Store(a=b"1")
    known = Known(store)
    known.load(["a"], 0, 7)
    store.values["a"] = (b"strange", 100)  # at 8, which we did not see
    known.change([Change("b", b"1", 100)], 8, 9)
    assert known.load(["a"], 0, 9) == {"a": b"strange"}


def test_an_expired_value_is_absent_and_stays_known():
    known = Known(Store(a=b"1"))
    assert known.load(["a"], 99, 7) == {"a": b"1"}
    assert known.load(["a"], 100, 7) == {}


def test_strangers_cannot_fill_it(monkeypatch):
    monkeypatch.setattr(module, "MOST", 10)
    known = Known(Store())
    for number in range(1000):
        known.load([f"forged {number}"], 0, 7)
        assert len(known._newer) + len(known._older) <= 12


def test_what_is_asked_for_often_stays(monkeypatch):
    monkeypatch.setattr(module, "MOST", 10)
    store = Store(a=b"1")
    known = Known(store)
    known.load(["a"], 0, 7)
    for number in range(1000):
        known.load([f"seldom {number}"], 0, 7)
        assert known.load(["a"], 0, 7) == {"a": b"1"}
    assert store.asked.count(["a"]) == 1


def test_a_change_counts_however_long_ago_the_value_was_read(monkeypatch):
    monkeypatch.setattr(module, "MOST", 10)
    store = Store(a=b"1")
    known = Known(store)
    known.load(["a"], 0, 7)
    for number in range(6):
        known.load([f"other {number}"], 0, 7)
    known.change([Change("a", b"2", 100)], 7, 8)
    assert known.load(["a"], 0, 8) == {"a": b"2"}
