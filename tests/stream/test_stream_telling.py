"""What is told of a pod: settled once, for clients and for the server's own calls."""

from __future__ import annotations

import msgspec
import pytest

from footfall.stream import telling, told
from footfall.stream.contract import SLATE, Ad, Beacon, Details, Placed, Pod

S = 1_000_000
URL = "https://t.example/[BREAKPOSITION]/[PODSEQUENCE]/[SERVERSIDE]/[CACHEBUSTING]"


def decided(*ads: Placed, at_us=4 * S, **more) -> Pod:
    return Pod("p", at_us, 0, True, None, at_us, at_us, ads, **more)


@pytest.mark.parametrize(("by_server", "side"), [(True, "[SERVERSIDE]"), (False, "0")])
@pytest.mark.parametrize(("at", "position"), [(0, 1), (4, 2), (9, 3)])
def test_what_a_place_settles_is_filled_whoever_calls(by_server, side, at, position):
    pod = decided(Placed("a", "https://c.example/m", at * S, S), at_us=at * S)
    ad = Ad("a", sequence=5, beacons=(Beacon("start", URL),), click_through=URL)
    around = (Beacon("breakStart", URL),)
    said = telling.pod(pod, Details((ad,), around), by_server=by_server, content_us=9 * S)
    filled = f"https://t.example/{position}/5/{side}/[CACHEBUSTING]"
    assert said.ads[0].trackingevents[0].callbackurl == filled
    assert said.ads[0].videoclicks.clickthroughurl == filled.replace("[SERVERSIDE]", "0")
    assert said.adbreaktrackingevents[0].callbackurl == filled.replace("/5/", "/-1/")


def test_offsets_are_settled_and_what_never_comes_is_left_out():
    ad = Ad(
        "a",
        beacons=(
            Beacon("complete", "u"),
            Beacon("progress", "u", offset_percent=50.0),
            Beacon("mute", "u"),
            Beacon("progress", "u", offset_ms=10_001),
            Beacon("firstQuartile", "u"),
        ),
    )
    pod = decided(Placed("a", "https://c.example/m", 4 * S, 10 * S))
    said = telling.pod(pod, Details((ad,)), by_server=False)
    found = [(one.type, one.time_ms, one.offset_ms) for one in said.ads[0].trackingevents]
    assert found == [
        ("mute", 4000, None),
        ("firstQuartile", 6500, 2500),
        ("progress", 9000, 5000),
        ("complete", 14_000, 10_000),
    ]


def test_it_is_kept_as_it_is_and_takes_little_room():
    beacons = tuple(
        Beacon("progress", f"https://ads.example.com/track?event=progress&n={n}", n * 100)
        for n in range(40)
    )
    places = (
        Placed("a", "https://c.example/m", 4 * S, 10 * S),
        Placed(SLATE, "https://c.example/s", 14 * S, S),
        Placed(SLATE, "https://c.example/s", 15 * S, S, announced=False),
    )
    pod = decided(*places)
    details = Details((Ad("a", title="é", beacons=beacons), Ad(SLATE), Ad(SLATE)), beacons[:1])
    said = telling.pod(pod, details, by_server=False)
    assert [one.adid for one in said.ads] == ["a", SLATE]
    pod = msgspec.structs.replace(pod, told=told.pack(said))
    assert told.read(pod) == msgspec.convert(msgspec.to_builtins(said), told.Pod)
    assert told.text(pod) == told.encode(said)
    assert len(pod.told) < 800
