"""Over any content and any pods: every segment once and in order, times that add up."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lists import EPOCH, Origin, S, creative, cut_up, finished, pod
from rules import broken, read

from footfall.stream import splice
from footfall.stream.contract import Mark, Shift
from footfall.stream.cuts import nearest

LENGTHS = {"a": 10 * S, "b": 4_960_000, "c": 15 * S}
ADS = {f"https://ads.example/{name}": creative(name, at, 2 * S) for name, at in LENGTHS.items()}

durations = st.lists(st.integers(200_000, 8 * S), min_size=1, max_size=25)
breaks = st.lists(
    st.tuples(st.integers(0, 220 * S), st.lists(st.sampled_from(sorted(LENGTHS)), max_size=3)),
    max_size=4,
)


def pods_of(breaks):
    found = [
        pod(f"p{n}", at, [(name, LENGTHS[name]) for name in names])
        for n, (at, names) in enumerate(breaks)
    ]
    return splice.stitch(found)


@settings(max_examples=150, deadline=None)
@given(
    durations,
    breaks,
    st.sets(st.integers(0, 24), max_size=4),
    st.sampled_from(["", "AES-128"]),
    st.sampled_from([None, EPOCH]),
)
def test_vod(durations, breaks, tags, key, date_us):
    tags = tuple(tag for tag in tags if tag < len(durations))
    content = finished(durations, tags=tags, key=key, date_us=date_us)
    pods = pods_of(breaks)
    spliced = splice.vod(content, pods, ADS)
    listing = read(spliced.text)
    assert broken(listing, live=False, encrypted=("https://origin",) if key else ()) == []
    original = [row for row in listing.rows if "origin" in row.uri]
    assert [row.uri for row in original] == [
        f"https://origin.example/v/{n}.m4s" for n in range(len(durations))
    ]
    played = [row for row in listing.rows if row not in original]
    expected = [
        f"https://ads.example/{name}/v/{n}.m4s"
        for _, names in sorted(breaks, key=lambda one: one[0])
        for name in names
        for n in range(len(cut_up(LENGTHS[name], 2 * S)))
    ]
    assert [row.uri for row in played] == expected
    total = sum(row.duration_us for row in listing.rows)
    assert total == sum(durations) + sum(LENGTHS[name] for _, names in breaks for name in names)
    assert spliced.edge_us == total
    assert listing.ended
    # Whatever is next to something else has a discontinuity between, own ones stay.
    for before, row in pairwise(listing.rows):
        number = int(row.uri.rsplit("/", 1)[1][:-4])
        follows = before.uri.rsplit("/", 1)[0] == row.uri.rsplit("/", 1)[0] and number
        own = "origin" in row.uri and number in tags
        assert row.tagged or (follows and not own)


@settings(max_examples=150, deadline=None)
@given(durations, breaks)
def test_content_time_is_found_again(durations, breaks):
    total = sum(durations)
    pods = pods_of(breaks)
    for at in range(0, total, max(1, total // 7)):
        assert splice.content_time(splice.stream_time(at, pods), pods) == at
    mapping = splice.content_mapping(pods, total)
    assert sum(length for _, _, length in mapping) == total
    for (stream, content, length), after in pairwise(mapping):
        assert after[1] == content + length
        assert after[0] > stream + length


@settings(max_examples=300, deadline=None)
@given(durations, st.integers(-10 * S, 200 * S))
def test_the_nearest_boundary_is_the_nearest(durations, moment):
    starts = [0]
    for duration in durations:
        starts.append(starts[-1] + duration)
    index = nearest(starts, durations, moment)
    assert abs(starts[index] - moment) == min(abs(start - moment) for start in starts)


ORIGIN = Origin("v", 2 * S, 400 * S, first=100, tags=(31 * S, 90 * S))


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(
    st.integers(20 * S, 120 * S),
    st.lists(st.sampled_from(sorted(LENGTHS)), min_size=1, max_size=3),
    st.integers(3, 15),
    st.booleans(),
)
def test_live_numbers_never_contradict_each_other(at, names, length, slate):
    """Any pod, any window: one segment has one number and one discontinuity, for ever."""
    one = pod("slot:x", EPOCH + at, [(name, LENGTHS[name]) for name in names],
              slate_us=7 * S * slate)  # fmt: skip
    lists = ADS | {"https://ads.example/slate": creative("slate", 4 * S, 2 * S)}
    marks: dict[str, tuple[Mark, ...]] = {}
    known = {}
    last = (0, 0)
    for now in range(16, 240, 2):
        content = ORIGIN.window(EPOCH + now * S, length)

        def made(content=content):
            return splice.live(content, [one], [], lists, marks, shift=Shift(), key="k")

        spliced = made()
        if spliced.needed:
            marks["k"] = tuple(
                sorted((*marks.get("k", ()), *spliced.needed), key=lambda m: m.at_us)
            )
            assert made().text == spliced.text
        listing = read(spliced.text)
        assert broken(listing) == []
        for row in listing.rows:
            same = (row.uri, row.tags, row.tagged, row.at_us)
            assert known.setdefault(row.number, same) == same
        assert (listing.sequence, listing.discontinuity_sequence) >= last
        last = (listing.sequence, listing.discontinuity_sequence)
    numbers = sorted(known)
    assert numbers == list(range(numbers[0], numbers[-1] + 1))
