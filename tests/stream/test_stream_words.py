"""What `footfall session` says of a stream session: one line an event, out of the event itself."""

from __future__ import annotations

import re

import msgspec
import pytest

from footfall.stream import events
from footfall.stream.contract import SLATE, Ad, Details, Failure, Offer, Placed, Pod
from footfall.stream.events import Place
from footfall.stream.words import WORDS, words

PLACE = Place("slot:1", "kettle", 2)
POD = Pod(
    "slot:1",
    0,
    decided=True,
    planned_us=30_000_000,
    ads=(
        Placed("kettle", "k.m3u8", 0, 7_680_000),
        Placed(SLATE, "s.m3u8", 7_680_000, 22_320_000),
    ),
)
OFFER = Offer((Ad("kettle"), Ad("long")), failures=(Failure(202, "it lasts too long", "long"),))
DECIDED = events.decided(
    0,
    POD,
    Details((Ad("kettle", title="Boils"), Ad(SLATE))),
    OFFER,
    mode="channel",
    tracking="server",
)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            events.origin_error(0, kind="jump", url="https://o/a.m3u8", reason="it went back"),
            "jump https://o/a.m3u8, it went back",
        ),
        (events.session(0, kind="live", workflow="2.0", path="a.m3u8"), "live a.m3u8, bk-ml=2.0"),
        (events.session(0, kind="vod", workflow="", path="a.m3u8"), "vod a.m3u8"),
        (
            DECIDED[0],
            "slot:1: partial, 1 of 2 ads, 7.68 s of 30 s, slate 22.32 s, it lasts too long",
        ),
        (DECIDED[1], 'slot:1: ad 1 kettle, 7.68 s, "Boils"'),
        (DECIDED[2], "slot:1: ad long 202 it lasts too long"),
        (events.ad_error(0, "p", Failure(301, "no answer")), "p: 301 no answer"),
        (
            events.ad_segment(0, PLACE, segment=0, of=4),
            "slot:1: ad 2 kettle, segment 1 of 4",
        ),
        (
            events.beacon_due(0, PLACE, number=1, beacon="start", host="a.example"),
            "slot:1: ad 2 kettle, start to a.example",
        ),
        (
            events.beacon(
                0, PLACE, number=1, beacon="start", host="a.example", outcome="sent", status=204
            ),
            "slot:1: ad 2 kettle, start to a.example, sent 204",
        ),
        (
            events.lost(0, POD, mode="channel", reason="late"),
            "slot:1: lost, 1 of 0 ads, 7.68 s of 30 s, slate 22.32 s, late",
        ),
    ],
)
def test_an_event_of_each_type_in_words(said, told):
    row = {"protocol": "broadpeak", "type": said.type, "properties": said.properties}
    assert (
        words(row)
        == words({**row, "properties": msgspec.Raw(msgspec.json.encode(said.properties))})
        == told
    )


def test_every_type_has_words():
    assert set(WORDS) == set(re.findall(r"^\| `(.+?)` \|", events.__doc__, re.MULTILINE))


@pytest.mark.parametrize(
    "row",
    [
        {"protocol": "vaix", "type": "session", "properties": {"kind": "x"}},
        {"protocol": "broadpeak", "type": "new", "properties": {}},
        {"protocol": "broadpeak", "type": "ad", "properties": None},
    ],
)
def test_of_anything_else_nothing_is_said(row):
    assert words(row) == ""
