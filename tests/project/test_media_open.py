"""Open sessions: who there is, and what of them a checkpoint does not have yet."""

from footfall.project.media_open import OpenSessions
from footfall.project.media_session import Session


def session(session_id, source="tv", **values):
    return Session(
        source=source, session_id=session_id, opened_at=0, opened_clock=0, heard_clock=0,
        started_at=0, latest_at=0, ts=0, playhead=0.0, moved_at=0, start=[], visitor=[],
        client=[], counts=[], **values,
    )  # fmt: skip


def opened(*sessions):
    everybody = OpenSessions()
    for one in sessions:
        everybody.add(one)
    return everybody


def test_sessions_are_found_by_source_and_id():
    a, b, other = session("a"), session("b"), session("a", source="radio")
    everybody = opened(a, b, other)
    assert len(everybody) == 3
    assert everybody.find("radio", "a") is other
    assert everybody.find("radio", "b") is None
    assert everybody.find("cinema", "a") is None
    assert everybody.of_id("a") == [a, other]
    assert everybody.remove("radio", "a") is other
    assert list(everybody) == [a, b]
    assert set(everybody.by_source) == {"tv"}, "nothing is kept of a source without sessions"


def test_only_what_changed_is_written_and_each_once():
    a, b = session("a"), session("b")
    everybody = opened(a, b)
    everybody.touch(a)
    assert everybody.unwritten() == 2
    written, gone = everybody.changes(whole=False)
    assert (set(written), gone) == ({("tv", "a"), ("tv", "b")}, [])
    assert everybody.changes(whole=False) == ({}, [])
    everybody.touch(b)
    everybody.touch(b)
    assert everybody.unwritten() == 1
    assert set(everybody.changes(whole=False)[0]) == {("tv", "b")}


def test_one_that_changed_and_is_gone_is_gone():
    everybody = opened(session("a"))
    everybody.remove("tv", "a")
    assert everybody.changes(whole=False) == ({}, [("tv", "a")])


def test_an_id_that_is_back_is_written_as_it_is_now():
    everybody = opened(session("a", late=1))
    everybody.remove("tv", "a")
    everybody.add(session("a", late=2))
    written, gone = everybody.changes(whole=False)
    assert gone == []
    assert written == opened(session("a", late=2)).changes(whole=False)[0]


def test_a_whole_one_tells_again_who_is_gone_until_one_that_is_not_whole_follows():
    everybody = opened(session("a"), session("b"), session("c"))
    everybody.changes(whole=False)
    everybody.remove("tv", "a")
    assert everybody.changes(whole=False) == ({}, [("tv", "a")])
    everybody.remove("tv", "b")
    for _ in range(2):
        written, gone = everybody.changes(whole=True)
        assert (set(written), gone) == ({("tv", "c")}, [("tv", "a"), ("tv", "b")])
    assert everybody.changes(whole=False) == ({}, [])
    assert everybody.changes(whole=True)[1] == []
