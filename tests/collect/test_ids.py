"""Event ids: UUIDs of version 7 that grow."""

from __future__ import annotations

import random
import uuid

from footfall.collect.ids import EventIds, RandomIds


def test_they_are_uuids_of_version_7_with_the_time_of_arrival():
    new = EventIds()
    parsed = uuid.UUID(new(1_792_504_800_123_456))
    assert (parsed.version, parsed.variant) == (7, uuid.RFC_4122)
    assert parsed.int >> 80 == 1_792_504_800_123


def test_they_grow_and_never_repeat():
    new = EventIds()
    ids = [new(1_000_000 + number // 3) for number in range(20_000)]
    assert ids == sorted(set(ids))
    assert all(uuid.UUID(one).version == 7 for one in ids)


def test_a_full_millisecond_borrows_from_the_next():
    new = EventIds()
    ids = [new(5_000) for _ in range(0x1000 * 2 + 5)]
    assert ids == sorted(set(ids))
    assert uuid.UUID(ids[0xFFF]).int >> 80 == 5
    assert uuid.UUID(ids[0x1000]).int >> 80 == 6
    assert new(6_500) > ids[-1]


def test_a_clock_that_goes_back_changes_nothing():
    new = EventIds()
    ids = [new(at) for at in (9_000_000, 3_000_000, 9_000_500, 1, 9_001_000)]
    assert ids == sorted(set(ids))


def test_two_processes_do_not_meet():
    assert EventIds()(1_000_000) != EventIds()(1_000_000)
    assert EventIds(lambda bits: 0)(7_000).endswith("-8000-000000000000")
    assert EventIds(lambda bits: (1 << bits) - 1)(7_000).endswith("-bfff-ffffffffffff")


def test_the_far_ends_of_time():
    assert uuid.UUID(EventIds()(0)).version == 7
    assert uuid.UUID(EventIds()((1 << 48) * 1000 + 1)).version == 7


def test_random_ids_are_uuids_of_version_4_and_all_of_it_is_drawn():
    drawn = []

    def random_bytes(count):
        drawn.append(random.Random(len(drawn)).randbytes(count))
        return drawn[-1]

    new = RandomIds(random_bytes)
    ids = [new() for _ in range(1000)]
    for number, text in enumerate(ids):
        at = number % 256 * 16
        expected = uuid.UUID(bytes=drawn[number // 256][at : at + 16], version=4)
        assert text == str(expected)
    assert len(set(ids)) == 1000
    assert uuid.UUID(RandomIds()()).version == 4
