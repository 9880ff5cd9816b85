"""What the demo's ad server says: VAST 4.2 and VMAP 1.0.1, each beacon with all that names it.

Beacons lead to ``/demo/ads/beacon?event=…&ad=…&sequence=…&level=0&break=…&key=…&call=…``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from footfall.demo.media import ADS, ASSETS

EVENTS = (
    "start",
    "firstQuartile",
    "midpoint",
    "thirdQuartile",
    "complete",
    "mute",
    "pause",
    "skip",
)
"""Of every ad, beside impressions and progress."""
BREAKS: Mapping[str, tuple[str, str]] = {
    "pre": ("start", "kettle"),
    "mid": ("00:00:20", "lantern,meadow"),
    "half": ("50%", "kettle,lantern"),
    "post": ("end", "meadow"),
}
"""Of the VMAP: each break's id with its offset and its ads."""

_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
)


@dataclass(frozen=True)
class Spot:
    """An ad that there is."""

    name: str
    title: str
    advertiser: str
    skip: str = ""
    """skipoffset, as VAST writes it."""
    verified: bool = False
    icon: bool = False
    companion: bool = False

    @property
    def duration_ms(self) -> int:
        return ASSETS[self.name].duration_us // 1000

    @property
    def duration(self) -> str:
        """hh:mm:ss.mmm"""
        seconds, ms = divmod(self.duration_ms, 1000)
        return f"00:00:{seconds:02}.{ms:03}"


SPOTS: Mapping[str, Spot] = {
    spot.name: spot
    for spot in (
        Spot("kettle", "Boils in a minute", "Kettle & Co", verified=True),
        Spot("meadow", "Breakfast, out of doors", "Meadow Foods", skip="00:00:05", companion=True),
        Spot("lantern", "Light for the way home", "Lantern Works", icon=True),
    )
}
"""In the order in which they are offered."""


@dataclass(frozen=True)
class Asked:
    """What one request to the ad server is answered with, and for."""

    base: str
    """Where the demo is: ``http://127.0.0.1:8080/demo``."""
    key: str = ""
    break_id: str = ""
    call: str = ""
    """Of this answer alone, so that the beacons of two breaks with the same ads differ."""
    vanish: bool = False
    """The creatives are named but not there."""

    def beacon(self, event: str, **more: str | int) -> str:
        said = {"event": event, **more, "break": self.break_id, "key": self.key, "call": self.call}
        return f"{self.base}/ads/beacon?{urlencode(said)}"


@dataclass(frozen=True)
class Offered:
    """An ad at its place in an answer; what the template reads."""

    spot: Spot
    sequence: int
    asked: Asked

    def beacon(self, event: str, **more: str) -> str:
        return self.asked.beacon(event, ad=self.spot.name, sequence=self.sequence, level=0, **more)

    @property
    def error(self) -> str:
        return f"{self.beacon('error')}&code=[ERRORCODE]"

    @property
    def film(self) -> str:
        folder = "vanished" if self.asked.vanish else self.spot.name
        return f"{self.asked.base}/ads/creative/{folder}/master.m3u8"

    @property
    def file(self) -> str:
        """As MP4, where there is one."""
        if self.spot.name != "lantern" or self.asked.vanish:
            return ""
        return f"{self.asked.base}/ads/creative/{self.spot.name}.mp4"


def fitting(duration_ms: int | None) -> tuple[Spot, ...]:
    """Ads for that long: round after round, each that still fits; without it, each once."""
    if duration_ms is None:
        return tuple(SPOTS.values())
    found: list[Spot] = []
    left, went_on = duration_ms, True
    while went_on:
        went_on = False
        for spot in SPOTS.values():
            if spot.duration_ms <= left:
                found.append(spot)
                left -= spot.duration_ms
                went_on = True
    return tuple(found)


def named(names: str) -> tuple[Spot, ...]:
    """Ads by their names, ``kettle,meadow``; those that there are not are left out."""
    return tuple(SPOTS[name] for name in names.split(",") if name in ADS)


def vast(asked: Asked, spots: Sequence[Spot]) -> str:
    """A pod of these ads; none of them is an answer too."""
    return _TEMPLATES.get_template("vast.xml").render(
        ads=[Offered(spot, number, asked) for number, spot in enumerate(spots, 1)],
        base=asked.base,
        events=EVENTS,
        no_ad=f"{asked.beacon('error')}&code=[ERRORCODE]",
    )


def wrapper(asked: Asked, level: int, then: str) -> str:
    """A wrapper around what `then` answers; outer ones have the higher level."""

    def beacon(event: str) -> str:
        return asked.beacon(event, level=level)

    return _TEMPLATES.get_template("wrapper.xml").render(
        level=level, beacon=beacon, error=f"{beacon('error')}&code=[ERRORCODE]", next=then
    )


def vmap(base: str, key: str, call: str, more: Mapping[str, str]) -> str:
    """Breaks before, in the middle and after; `more` goes on to the ad server of each."""
    breaks = []
    for name, (offset, ads) in BREAKS.items():
        tag = {"ads": ads, "break": name, "key": key, **more}
        asked = Asked(base, key, name, call)
        breaks.append(
            {
                "id": name,
                "offset": offset,
                "tag": f"{base}/ads/vast?{urlencode(tag)}",
                "beacon": asked.beacon,
            }
        )
    return _TEMPLATES.get_template("vmap.xml").render(breaks=breaks)
