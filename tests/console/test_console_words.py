"""Figures and words for people, and where the bars of the chart stand."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from footfall.console import words
from footfall.console.chart import HEIGHT, TOP, chart, scale_end

START = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (99_949, "99.9 kB"), (99_950, "100 kB"),
     (999_499, "999 kB"), (999_500, "1.0 MB"), (4_511_288, "4.5 MB"), (78e9, "78.0 GB"), (5e15, "5000 TB")],
)  # fmt: skip
def test_size(value, text):
    assert words.size(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0.0 s"), (59.94, "59.9 s"), (60, "1 min 00 s"), (3599, "59 min 59 s"), (3600, "1 h 00 min"),
     (47 * 3600, "47 h 00 min"), (48 * 3600, "2 d 0 h"), (-5, "-5.0 s")],
)  # fmt: skip
def test_span(value, text):
    assert words.span(value) == text


def test_json_that_is_none_is_shown_as_it_is():
    assert words.pretty(b'{"a":1}') == '{\n  "a": 1\n}'
    assert words.pretty(b"{a") == "{a"


@pytest.mark.parametrize(
    ("largest", "end"),
    [(0, 2), (1, 2), (2, 2), (3, 4), (10, 10), (11, 20), (272, 400), (1001, 2000)],
)
def test_the_scale_ends_above_the_largest(largest, end):
    assert scale_end(largest) == end


def test_bars_stand_on_the_ground_in_their_places():
    drawn = chart([0, 1, 1000, 500], START, 60)
    assert [bar.height for bar in drawn.bars] == [0.0, 1.5, HEIGHT, HEIGHT / 2]
    assert all(bar.y + bar.height == pytest.approx(TOP + HEIGHT) for bar in drawn.bars)
    assert [bar.slot for bar in drawn.bars] == [0, 25, 50, 75]
    assert drawn.bars[2].start.minute == 2
    assert [line.value for line in drawn.lines] == [1000, 500]
    assert all(
        bar.slot < bar.x and bar.x + drawn.bar_width < bar.slot + drawn.slot_width
        for bar in drawn.bars
    )


def test_a_chart_of_nothing():
    assert chart([], START, 60).bars == []
    assert [bar.height for bar in chart([0, 0], START, 60).bars] == [0, 0]


def test_two_charts_of_one_scale():
    whole = chart([4, 10], START, 60)
    part = chart([2, 0], START, 60, end=whole.end)
    assert part.bars[0].height == whole.bars[0].height / 2
    assert part.lines == whole.lines


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(60, "minute"), (1800, "30 minutes"), (3600, "hour"), (10_800, "3 hours"), (86_400, "day")],
)
def test_every(seconds, text):
    assert words.every(seconds) == text


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b'"an \\"x\\""', 'an "x"'),
        (b"1.50", "1.50"),
        (b"[1, 2]", "[1, 2]"),
        (b"null", "null"),
        (b"{a", "{a"),
        (b'"' + b"x" * 3000 + b'"', "x" * 2000 + "…"),
    ],
)
def test_json_in_a_line(raw, text):
    assert words.plain(raw) == text


def test_the_pairs_of_an_object():
    assert words.pairs(b'{"b": 1, "a": null}') == [("b", 1), ("a", None)]
    assert words.pairs(b"[1]") == words.pairs(None) == []
