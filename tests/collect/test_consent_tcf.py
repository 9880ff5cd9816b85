"""TCF strings: the published examples, an encoder of our own to try every shape, and junk."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from footfall.collect import tcf

# The specification's own example; decoded there and by several libraries.
SPECIFICATION = (
    "COvFyGBOvFyGBAbAAAENAPCAAOAAAAAAAAAAAEEUACCKAAA.IFoEUQQgAIQwgIwQABAEAAAAOIAACAIAAAAQAIAgEAAC"
    "EAAAAAgAQBAAAAAAAGBAAgAAAAAAAFAAECAAAgAAQARAEQAAAAAJAAIAAgAAAYQEAAAQmAgBC3ZAYzUw"
)
# Of Adobe's documentation of consent; what it holds is what other decoders say.
ADOBE = (
    "CLcVDxRMWfGmWAVAHCENAXCkAKDAADnAABRgA5mdfCKZuYJez-NQm0TBMYA4oCAAGQYIAAAAAAEAIAEgAA"
    ".argAC0gAAAAAAAAAAAA"
)
PURPOSES = range(1, 25)


def encoded(purposes, vendors, *, ranges=None, version=2, after="") -> str:
    """A core segment as the specification's table lays it out, padded as base64 needs it."""
    bits = f"{version:06b}" + "0" * 36 * 2 + "0" * (12 + 12 + 6 + 12 + 12 + 6 + 1 + 1 + 12)
    bits += "".join("1" if purpose in purposes else "0" for purpose in PURPOSES)
    bits += "0" * (24 + 1 + 12)
    highest = max([0, *vendors, *(last for _, last in ranges or [])])
    bits += f"{highest:016b}"
    if ranges is None:
        bits += "0" + "".join("1" if v in vendors else "0" for v in range(1, highest + 1))
    else:
        bits += "1" + f"{len(ranges):012b}"
        for first, last in ranges:
            bits += f"0{first:016b}" if first == last else f"1{first:016b}{last:016b}"
    bits += after
    bits += "0" * (-len(bits) % 8)
    packed = int(bits, 2).to_bytes(len(bits) // 8, "big")
    return base64.urlsafe_b64encode(packed).decode().rstrip("=")


@pytest.mark.parametrize(
    ("text", "purposes", "vendors"),
    [
        (SPECIFICATION, {1, 2, 3}, {2, 6, 8}),
        (ADOBE, {1, 3, 9, 10}, None),
        (encoded({1}, {7}), {1}, {7}),
        (encoded({1, 24}, (), ranges=[(3, 5), (9, 9)]), {1, 24}, {3, 4, 5, 9}),
        (encoded((), ()), set(), set()),
    ],
)
def test_what_a_string_says(text, purposes, vendors):
    assert {one for one in PURPOSES if tcf.given(text, (one,))} == purposes
    if vendors is not None:
        assert {one for one in range(1, 700) if tcf.given(text, (), one)} == vendors


def test_the_vendors_of_a_published_string():
    assert tcf.given(ADOBE, (1, 3, 9, 10), 115) is True
    assert tcf.given(ADOBE, (1,), 116) is False
    assert tcf.given(ADOBE, (1,), 65535) is False


@given(
    purposes=st.sets(st.integers(1, 24)),
    vendors=st.sets(st.integers(1, 3000), max_size=40),
    asked=st.sets(st.integers(1, 24), min_size=1, max_size=4),
    vendor=st.integers(1, 3000),
    as_ranges=st.booleans(),
    after=st.text("01", max_size=80),
)
def test_it_reads_what_was_written(*, purposes, vendors, asked, vendor, as_ranges, after):
    ranges = [(one, one) for one in sorted(vendors)] if as_ranges else None
    text = encoded(purposes, vendors, ranges=ranges, after=after)
    assert tcf.given(text, sorted(asked)) is (asked <= purposes)
    assert tcf.given(text, (), vendor) is (vendor in vendors)
    assert tcf.given(f"{text}.YAAAAAAAAAA", sorted(asked), vendor) is (
        asked <= purposes and vendor in vendors
    )


@given(st.lists(st.tuples(st.integers(1, 65535), st.integers(0, 900)), max_size=8))
def test_ranges_of_any_length(pairs):
    ranges = [(first, min(first + more, 65535)) for first, more in pairs]
    text = encoded({1}, (), ranges=ranges)
    for vendor in {1, 65535, *(first for first, _ in ranges), *(last for _, last in ranges)}:
        inside = any(first <= vendor <= last for first, last in ranges)
        assert tcf.given(text, (1,), vendor) is inside


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "C",
        "granted",
        "BOEFEAyOEFEAyAHABDENAI4AAAB9vABAASA",  # version 1.1
        encoded({1}, (), version=1),
        encoded({1}, (), version=3),
        encoded({1}, ())[:38],  # ends before the vendors
        SPECIFICATION.replace("O", "+", 1),
        SPECIFICATION.replace("O", "=", 1),
        f"{SPECIFICATION[:20]} {SPECIFICATION[20:]}",
        "C\N{LATIN SMALL LETTER O WITH DIAERESIS}vFyGBOvFyGBAbAAAENAPCAAOAAAAAAAAAAAEEUACCKAAA",
        "." + SPECIFICATION,
        "C" + "\0" * 60,
    ],
)
def test_what_is_no_such_string_says_nothing(text):
    assert tcf.given(text, (1,), 2) is None


def test_one_that_ends_among_its_vendors_says_nothing_of_them():
    text = encoded({1}, {3000})[:100]
    assert tcf.given(text, (1,)) is True
    assert tcf.given(text, (2,)) is False
    assert tcf.given(text, (1,), 3000) is None
    assert tcf.given(encoded({1}, (), ranges=[(n, n) for n in range(1, 40)])[:60], (1,), 39) is None


def test_a_writer_that_stops_within_a_byte_is_understood():
    """Some pad to six bits only, which is no base64 that others take."""
    core = encoded({1, 2}, {3})
    bits = "".join(
        f"{byte:08b}" for byte in base64.urlsafe_b64decode(core + "=" * (-len(core) % 4))
    )
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    for length in range(38, 44):
        some = bits[: length * 6].ljust(length * 6, "0")
        text = "".join(alphabet[int(some[at : at + 6], 2)] for at in range(0, len(some), 6))
        assert tcf.given(text, (1, 2)) is (True if length * 6 >= 230 else None)


def test_however_long_it_is_no_more_than_its_beginning_is_read():
    text = encoded({1}, {60_000})
    assert len(text) > 2 * tcf.LONGEST
    assert tcf.given(text, (1,)) is True
    assert tcf.given(text, (1,), 60_000) is None
    assert tcf.given("A" * (1 << 20), (1,)) is None


@given(st.text(max_size=200))
def test_any_text_is_answered(text):
    assert tcf.given(text, (1,), 1) in {True, False, None}
    assert tcf.given("CO" + text, (1,), 1) in {True, False, None}


@given(st.integers(0, 300), st.integers(0, 5))
def test_cut_anywhere_or_changed_anywhere_it_never_fails(cut, step):
    text = ADOBE[:cut] + "_" * step
    assert tcf.given(text, (1, 3), 115) in {True, False, None}
