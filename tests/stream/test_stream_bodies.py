"""Bodies as they come in, at every place where the network may cut them."""

from __future__ import annotations

import gzip

import pytest

from footfall.stream.bodies import IncomingBody
from footfall.stream.contract import FetchError

TWO_MEMBERS = gzip.compress(b"a" * 50, mtime=0) + gzip.compress(b"b" * 50, mtime=0)
INFLATED = b"a" * 50 + b"b" * 50


def body(encoding="", limit_bytes=1000):
    return IncomingBody("http://a.example/x", encoding, limit_bytes)


def refused(act, *arguments) -> tuple[str, str]:
    with pytest.raises(FetchError) as caught:
        act(*arguments)
    return caught.value.kind, caught.value.detail


@pytest.mark.parametrize("size", range(1, len(TWO_MEMBERS) + 1))
def test_gzip_comes_in_in_pieces_of_any_size(size):
    one = body("X-GZip ")
    for start in range(0, len(TWO_MEMBERS), size):
        one.add(TWO_MEMBERS[start : start + size])
    assert one.whole() == INFLATED


@pytest.mark.parametrize("end", range(1, len(TWO_MEMBERS)))
def test_gzip_that_ends_too_early_is_none(end):
    one = body("gzip")
    one.add(TWO_MEMBERS[:end])
    if end == len(TWO_MEMBERS) // 2:  # both members are of one length, and each is whole
        assert one.whole() == b"a" * 50
    else:
        said = ("unreachable", "http://a.example/x sent gzip without its end")
        assert refused(one.whole) == said


def test_the_limit_is_of_what_is_sent_and_of_what_it_inflates_to():
    too_large = ("too_large", "http://a.example/x sent more than 99 bytes")
    plain = body(limit_bytes=99)
    plain.add(bytes(99))
    assert plain.whole() == bytes(99)
    assert refused(plain.add, b"x") == too_large
    assert len(TWO_MEMBERS) < 99
    assert refused(body("gzip", 99).add, TWO_MEMBERS) == too_large
    one = body("gzip", 100)
    one.add(TWO_MEMBERS)
    assert one.whole() == INFLATED


@pytest.mark.parametrize(
    ("length", "fits"), [("99", True), ("100", False), ("", True), ("x", True)]
)
def test_a_length_that_is_told_is_believed_only_where_it_is_too_large(length, fits):
    one = body(limit_bytes=99)
    if fits:
        one.expect(length)
    else:
        assert refused(one.expect, length)[0] == "too_large"
