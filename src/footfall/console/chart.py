"""Where the bars of a bar chart stand: numbers in, places in percent and pixels out.

The template `chart.svg` draws it. Places across are in percent and heights in pixels, so the
picture fits every width without stretching its letters, and without a script.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

HEIGHT = 140
"""Of the bars' ground, in pixels."""
TOP = 14
"""Above it, for the number at the highest line."""
GAP = 0.2
"""Between two bars, as a part of a bar's place."""
LABELS = 4


class Bar(NamedTuple):
    value: int
    start: datetime
    end: datetime
    slot: float
    """Left edge of its place, in percent."""
    x: float
    y: float
    height: float


class Line(NamedTuple):
    y: float
    value: float


class Label(NamedTuple):
    x: float
    at: datetime


class Chart(NamedTuple):
    bars: list[Bar]
    lines: list[Line]
    labels: list[Label]
    slot_width: float
    bar_width: float
    end: int
    """The value at the highest line."""
    height: int = HEIGHT
    top: int = TOP


def chart(values: list[int], start: datetime, bin_s: int, *, end: int | None = None) -> Chart:
    """A bar for every value; the first bin begins at `start`.

    `end` is another chart's, where both are drawn over one another.
    """
    top = end or scale_end(max(values, default=0))
    slot = 100 / max(len(values), 1)
    bars = []
    for place, value in enumerate(values):
        begin = start + timedelta(seconds=bin_s * place)
        # One event among thousands is still seen.
        height = max(value / top * HEIGHT, 1.5) if value else 0.0
        bars.append(
            Bar(
                value,
                begin,
                begin + timedelta(seconds=bin_s),
                round(slot * place, 3),
                round(slot * (place + GAP / 2), 3),
                round(TOP + HEIGHT - height, 2),
                round(height, 2),
            )
        )
    lines = [Line(TOP, top), Line(TOP + HEIGHT / 2, top / 2)]
    step = max(len(bars) // LABELS, 1)
    labels = [Label(bar.slot, bar.start) for bar in bars[::step]]
    return Chart(bars, lines, labels, round(slot, 3), round(slot * (1 - GAP), 3), top)


class Place(NamedTuple):
    """One point of a curve, as a bar."""

    slot: float
    x: float
    y: float
    height: float


class Curve(NamedTuple):
    """Shares of a whole, drawn from none to all."""

    bars: list[Place]
    slot_width: float
    bar_width: float
    every: int
    """Each so many points have room for a label."""
    height: int = HEIGHT
    top: int = TOP


def curve(shares: list[float]) -> Curve:
    """A bar for every share, from 0 to 1."""
    slot = 100 / max(len(shares), 1)
    bars = [
        Place(
            round(slot * place, 3),
            round(slot * (place + GAP / 2), 3),
            round(TOP + HEIGHT * (1 - share), 2),
            round(HEIGHT * share, 2),
        )
        for place, share in enumerate(shares)
    ]
    every = max(len(shares) // LABELS, 1)
    return Curve(bars, round(slot, 3), round(slot * (1 - GAP), 3), every)


def scale_end(largest: int) -> int:
    """The next even number of the kind 2, 4, 6, 8, 10, 20, 40 … so that half of it is whole."""
    power = 1
    while largest > 10 * power:
        power *= 10
    return next(step * power for step in (2, 4, 6, 8, 10) if step * power >= largest)
