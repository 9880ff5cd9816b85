"""The shared tip: whoever reads it never misreads it."""

import contextlib
import random

import pytest

from footfall.errors import JournalFailed
from footfall.journal.engines.tip import FAILED, ROLL, Tip, TipFile


def tip(n):
    return Tip(end=n, base=n // 2, changes_end=n - 1, applied=n - 2, last_at=n * 3)


@pytest.fixture
def path(tmp_path):
    with contextlib.closing(TipFile(tmp_path / "tip", create=True)):
        return tmp_path / "tip"


def test_what_was_written_last_is_read_by_everybody(path):
    with contextlib.closing(TipFile(path)) as one, contextlib.closing(TipFile(path)) as other:
        assert other.peek() is None
        for n in range(10, 15):
            one.write(tip(n))
            assert other.read() == tip(n)
        other.write(tip(20)._replace(flags=FAILED))
        assert one.read().failed


def test_flags_and_the_number_of_the_state_share_a_place(path):
    with contextlib.closing(TipFile(path)) as one:
        for flags, state in ((ROLL, 0), (0, 1), (FAILED | ROLL, 2), (0, (1 << 24) - 1)):
            one.write(tip(10)._replace(flags=flags, state=state))
            read = one.read()
            assert (read.flags, read.state) == (flags, state)
            assert (read.failed, read.rolls) == (bool(flags & FAILED), bool(flags & ROLL))


def test_what_fails_fails_for_everybody_and_says_why(path):
    with contextlib.closing(TipFile(path)) as one, contextlib.closing(TipFile(path)) as other:
        one.write(tip(10)._replace(state=7))
        assert other.sound() == one.read()
        one.fail(FAILED)
        assert other.read() == tip(10)._replace(flags=FAILED, state=7)
        with pytest.raises(JournalFailed, match="restart"):
            other.sound()


def test_without_a_whole_slot_nothing_is_believed(path):
    with contextlib.closing(TipFile(path)) as one, pytest.raises(JournalFailed):
        one.read()


def test_a_write_that_was_cut_anywhere_leaves_the_moment_before(path):
    with contextlib.closing(TipFile(path)) as one:
        for n in (10, 11, 12):
            one.write(tip(n))
        before = path.read_bytes()
        one.write(tip(13))
    after = path.read_bytes()
    changed = [n for n in range(len(before)) if before[n] != after[n]]
    for stop in range(changed[0], changed[-1] + 1):
        path.write_bytes(after[:stop] + before[stop:])
        with contextlib.closing(TipFile(path)) as one:
            assert one.read() == tip(12)


def test_any_mixture_of_two_moments_is_one_of_them(path):
    chance = random.Random(7)
    with contextlib.closing(TipFile(path)) as one:
        one.write(tip(10))
        one.write(tip(11))
        before = path.read_bytes()
        one.write(tip(12))
    after = path.read_bytes()
    for _ in range(300):
        mixed = bytes(chance.choice(pair) for pair in zip(before, after, strict=True))
        path.write_bytes(mixed)
        with contextlib.closing(TipFile(path)) as one:
            assert one.read() in (tip(11), tip(12))
