"""The session-tracking JSON: valid at every moment, and what was told once stays as it was told."""

from __future__ import annotations

import json

import jsonschema_rs
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from footfall.stream import splice, telling, tracking
from footfall.stream.contexts import WHOLE
from footfall.stream.contract import (
    SLATE,
    Ad,
    Beacon,
    Break,
    Details,
    Graphic,
    Placed,
    Pod,
    Script,
    Verification,
)
from footfall.stream.runs import filler
from footfall.stream.told import pack
from footfall.stream.tracking import Tracking, Window

SECOND = 1_000_000
MS = 1000
START = 1_767_268_800 * SECOND
SEGMENT = 2 * SECOND
VALIDATOR = jsonschema_rs.validator_for(json.loads(tracking.schema()))


def ask(tracker: Tracking, pods, **given):
    """An answer, read and found valid."""
    given = {"target_s": 6, "told_by_server": False} | given
    found = json.loads(tracker.answer(pods, **given))
    problems = [
        f"{list(error.instance_path)}: {error.message}" for error in VALIDATOR.iter_errors(found)
    ]
    assert not problems
    return found


def beacon(kind: str, **more) -> Beacon:
    return Beacon(kind, f"https://t.example/{kind}?[CACHEBUSTING]", **more)


def telling_of(pod: Pod, *ads: Ad, beacons=(), by_server=False, content_us=None) -> Pod:
    """A pod as it is once it was decided what is told of it."""
    details = Details(ads, tuple(beacons))
    said = telling.pod(pod, details, by_server=by_server, content_us=content_us)
    return msgspec.structs.replace(pod, told=pack(said))


def make(name: str, start: int, ads: list[tuple[str, int]], *, beacons=(), at_us=None, **changes):
    """A decided pod of `ads` (id, duration in microseconds) from `start` on, back to back."""
    placed, said, at = [], [], start
    for ad_id, length in ads:
        placed.append(Placed(ad_id, "https://c.example/m.m3u8", at, length))
        said.append(
            Ad(ad_id, beacons=() if ad_id == SLATE else (beacon("start"), beacon("complete")))
        )
        at += length
    pod = Pod(
        name, start, 0, True, changes.get("planned_us"), start if at_us is None else at_us,
        changes.get("until_us", at), tuple(placed),
    )  # fmt: skip
    return telling_of(pod, *said, beacons=beacons)


def one_ad(ad: Ad, *, start=START, length=10 * SECOND, **given):
    """What is told of a single ad."""
    placed = Placed(ad.ad_id, "https://c.example/m.m3u8", start, length)
    pod = Pod("slot:1:x", start, 0, True, None, start, start + length, (placed,))
    by_server = given.get("told_by_server", False)
    answer = ask(Tracking(), [telling_of(pod, ad, by_server=by_server)], **given)
    return answer["adpods"][0]["ads"][0]


def window(edge_s: float, first_s: float = -60, **more) -> Window:
    given = {"segment_us": SEGMENT} | more
    return Window(START + round(first_s * SECOND), START + round(edge_s * SECOND), **given)


# One ad


def test_times_are_by_the_real_length_and_absolute():
    kinds = ("impression", "start", "firstQuartile", "midpoint", "thirdQuartile", "complete")
    found = one_ad(
        Ad("a", duration_ms=30_000, beacons=tuple(map(beacon, kinds))), length=10_001 * MS
    )
    assert (found["starttime_ms"], found["duration_ms"]) == (START // MS, 10_001)
    events = found["trackingevents"]
    assert [(one["type"], one["offset_ms"]) for one in events] == [
        ("impression", 0), ("start", 0), ("firstQuartile", 2500), ("midpoint", 5001),
        ("thirdQuartile", 7501), ("complete", 10_001),
    ]  # fmt: skip
    assert all(one["time_ms"] == START // MS + one["offset_ms"] for one in events)
    # What the client fills stays.
    assert events[0]["callbackurl"] == "https://t.example/impression?[CACHEBUSTING]"


def test_an_object_for_each_address_and_in_the_order_of_time():
    ad = Ad(
        "a",
        beacons=(
            beacon("complete"),
            Beacon("impression", "https://wrapper.example/i"),
            beacon("mute"),
            Beacon("impression", "https://inline.example/i"),
            beacon("progress", offset_ms=2000),
            beacon("progress", offset_percent=50.0),
            beacon("progress", offset_ms=10_001),
            beacon("progress"),
        ),
    )
    events = one_ad(ad)["trackingevents"]
    assert [(one["type"], one.get("offset_ms")) for one in events] == [
        ("impression", 0), ("mute", None), ("impression", 0), ("progress", 2000),
        ("progress", 5000), ("complete", 10_000),
    ]  # fmt: skip
    assert [one["callbackurl"] for one in events if one["type"] == "impression"] == [
        "https://wrapper.example/i", "https://inline.example/i",
    ]  # fmt: skip
    assert events[1]["time_ms"] == START // MS


@pytest.mark.parametrize(
    ("skip", "expected"),
    [
        ({"skip_ms": 5000}, 5000),
        ({"skip_ms": 0}, 0),
        ({"skip_percent": 25.0}, 2500),
        ({"skip_ms": 10_000}, None),
        ({"skip_percent": 100.0}, None),
        ({}, None),
    ],
)
def test_skipping_is_a_time_of_the_stream(skip, expected):
    found = one_ad(Ad("a", duration_ms=60_000, **skip))
    assert found.get("skippable_ms") == (None if expected is None else START // MS + expected)


def test_everything_that_vast_said_is_told():
    ad = Ad(
        "a", "c", "Title", "System", "Advertiser", 2, "linear_and_nonlinear",
        errors=("https://e.example/?[ERRORCODE]",), click_through="https://shop.example/",
        click_tracking=("https://t.example/click",), custom_clicks=("https://t.example/custom",),
        verifications=(
            Verification(
                "vendor", (Script("https://v.example/omid.js", "omid", True),),
                (Script("https://v.example/x", "x"),), (beacon("verificationNotExecuted"),), "{}",
            ),
        ),
        graphics=(
            Graphic("icon", program="AdChoices", width=20, x="left", y="top", offset_ms=1000,
                    duration_ms=5000, static="https://i.example/i.png", static_type="image/png",
                    click_through="https://i.example/", click_tracking=("https://i.example/c",),
                    events=(beacon("view"),)),
            Graphic("companion", "comp", html="<b>", events=(beacon("creativeView"),)),
            Graphic("nonlinear", "non", static="https://n.example/n.png", iframe="https://n.example/",
                    parameters="p", events=(beacon("acceptInvitation"),)),
        ),
        universal_ids=(("ad-id.org", "CNPA0484000H"),),
    )  # fmt: skip
    found = one_ad(ad)
    at = START // MS
    assert found == {
        "adid": "a", "creativeid": "c", "adtype": "linear_and_nonlinear", "starttime_ms": at,
        "duration_ms": 10_000, "trackingevents": [],
        "videoclicks": {
            "clickthroughurl": "https://shop.example/",
            "clicktracking": [{"clickurl": "https://t.example/click"}],
            "customclick": [{"clickurl": "https://t.example/custom"}],
        },
        "adverifications": [{
            "vendor": "vendor",
            "javascriptresources": [
                {"apiframework": "omid", "browseroptional": True, "url": "https://v.example/omid.js"}
            ],
            "executableresources": [
                {"apiframework": "x", "browseroptional": False, "url": "https://v.example/x"}
            ],
            "trackingevents": [{
                "type": "verificationNotExecuted", "time_ms": at,
                "callbackurl": "https://t.example/verificationNotExecuted?[CACHEBUSTING]",
            }],
            "verificationparameters": "{}",
        }],
        "nonlinearinfo": [{
            "creativeid": "non", "staticresource": "https://n.example/n.png",
            "iframeresource": "https://n.example/", "adparameters": "p",
            "trackingevents": [{
                "type": "acceptInvitation", "time_ms": at,
                "callbackurl": "https://t.example/acceptInvitation?[CACHEBUSTING]",
            }],
        }],
        "icons": [{
            "program": "AdChoices", "xposition": "left", "yposition": "top", "width": 20,
            "staticresource": "https://i.example/i.png", "staticresourcetype": "image/png",
            "clickthroughurl": "https://i.example/", "starttime_ms": at + 1000,
            "duration_ms": 5000, "clicktracking": [{"clickurl": "https://i.example/c"}],
            "trackingevents": [{
                "type": "view", "time_ms": at,
                "callbackurl": "https://t.example/view?[CACHEBUSTING]",
            }],
        }],
        "companions": [{
            "creativeid": "comp", "htmlresource": "<b>",
            "trackingevents": [{
                "type": "creativeView", "time_ms": at,
                "callbackurl": "https://t.example/creativeView?[CACHEBUSTING]",
            }],
        }],
        "errorurl": ["https://e.example/?[ERRORCODE]"],
        "adtitle": "Title", "adsystem": "System", "advertiser": "Advertiser", "sequence": 2,
        "universaladids": [{"idregistry": "ad-id.org", "value": "CNPA0484000H"}],
    }  # fmt: skip


def test_with_server_side_tracking_nothing_can_be_told_twice():
    ad = Ad(
        "a", "c", skip_ms=5000, beacons=(beacon("impression"),), errors=("https://e.example/",),
        click_through="https://shop.example/",
    )  # fmt: skip
    found = one_ad(ad, told_by_server=True)
    assert found["trackingevents"] == []
    assert "errorurl" not in found
    assert found["skippable_ms"] == START // MS + 5000
    assert found["videoclicks"] == {"clickthroughurl": "https://shop.example/"}
    pod = make("p", START, [("a", SECOND)], beacons=(beacon("breakStart"),))
    tracker = Tracking()
    assert "adbreaktrackingevents" not in ask(tracker, [pod], told_by_server=True)["adpods"][0]
    # What is kept of one way is not told in the other.
    told = ask(tracker, [pod])["adpods"][0]
    assert told["adbreaktrackingevents"]
    assert told["ads"][0]["trackingevents"]


def test_a_slate_is_told_without_trackers():
    pod = make("p", START, [("a", 10 * SECOND), (SLATE, 5 * SECOND)])
    (told,) = ask(Tracking(), [pod])["adpods"]
    assert told["ads"][1] == {
        "adid": "SLATE", "adtype": "linear", "starttime_ms": START // MS + 10_000,
        "duration_ms": 5000, "trackingevents": [],
    }  # fmt: skip
    assert told["duration_ms"] == 15_000


def test_macros_that_only_the_server_knows_are_filled():
    ad = Ad(
        "a",
        sequence=2,
        beacons=(
            Beacon(
                "start", "https://t.example/[BREAKPOSITION]/[PODSEQUENCE]?[ASSETURI]&[TIMESTAMP]"
            ),
        ),
    )

    def urls(at_us, name="p", **given):
        placed = (Placed("a", "https://c.example/m", at_us, SECOND),)
        pod = Pod(name, at_us, 0, True, None, at_us, at_us + SECOND, placed)
        around = Beacon("breakStart", "https://t.example/%5BBREAKPOSITION%5D")
        pod = telling_of(pod, ad, beacons=(around,), content_us=given.get("content_us"))
        (told,) = ask(tracker, [pod], **given)["adpods"]
        return (
            told["ads"][0]["trackingevents"][0]["callbackurl"].removeprefix("https://t.example/"),
            told["adbreaktrackingevents"][0]["callbackurl"][-1],
        )

    tracker, asset = Tracking(), "https%3A%2F%2Fc.example%2Fm&[TIMESTAMP]"
    assert urls(0, content_us=9 * SECOND) == (f"1/2?{asset}", "1")
    assert urls(4 * SECOND, content_us=9 * SECOND) == (f"2/2?{asset}", "2")
    assert urls(9 * SECOND, content_us=9 * SECOND) == (f"3/2?{asset}", "3")
    assert urls(START, name="preroll", window=window(9)) == (f"1/2?{asset}", "1")
    assert urls(START, name="slot:b", window=window(9)) == (f"2/2?{asset}", "2")
    assert urls(START, name="slot:b", window=window(9), breaks=[Break("b", START)])[1] == "2"


# Answers of VOD


def test_a_vod_has_all_its_breaks_and_its_content_mapping():
    pods = [
        make("mid", 25 * SECOND, [("m", 10_000_400)], at_us=15 * SECOND),
        make("pre", 0, [("a", 6 * SECOND), ("b", 4 * SECOND)], beacons=(beacon("breakEnd"), beacon("breakStart"))),
        Pod("empty", 55_000_400, 0, True, None, 35 * SECOND, 35 * SECOND),
        Pod("claimed", 75_000_400, 1),
        Pod(WHOLE, 0, 0, True),
        make("post", 95_000_400, [("p", 5 * SECOND)], at_us=75 * SECOND),
    ]  # fmt: skip
    found = ask(Tracking(), pods, content_us=75 * SECOND)
    told = {
        pod["id"]: (pod["starttime_ms"], pod["duration_ms"], len(pod["ads"]))
        for pod in found["adpods"]
    }
    assert told == {
        "pre": (0, 10_000, 2), "mid": (25_000, 10_000, 1), "empty": (55_000, 0, 0),
        "claimed": (75_000, 0, 0), "post": (95_000, 5000, 1),
    }  # fmt: skip
    assert list(told) == ["pre", "mid", "empty", "claimed", "post"]
    assert found["contentmapping"] == [
        {"streamtime_ms": 10_000, "contenttime_ms": 0, "duration_ms": 15_000},
        {"streamtime_ms": 35_000, "contenttime_ms": 15_000, "duration_ms": 60_000},
    ]
    events = found["adpods"][0]["adbreaktrackingevents"]
    assert [(one["type"], one["time_ms"]) for one in events] == [
        ("breakStart", 0),
        ("breakEnd", 10_000),
    ]


@pytest.mark.parametrize(
    ("target", "delay"), [(0, 2000), (1, 2000), (2, 2000), (4, 4000), (6, 5000), (10, 5000)]
)
def test_when_to_ask_again(target, delay):
    found = ask(Tracking(), [], target_s=target)
    assert found == {"refresh_delay_ms": delay, "timereference_ms": 0, "adpods": []}


# Answers of live


def test_ads_come_one_by_one_and_whole():
    pod = make(
        "slot:1:x",
        START,
        [("a", 10 * SECOND), ("b", 10 * SECOND), (SLATE, 10 * SECOND)],
        planned_us=30 * SECOND,
    )
    tracker = Tracking()

    def told(edge_s):
        (found,) = ask(tracker, [pod], window=window(edge_s))["adpods"] or [None]
        return found and (found["duration_ms"], [ad["adid"] for ad in found["ads"]])

    # As soon as lists show it: when a target duration of it is over.
    assert told(0) is None
    assert told(0.001) == told(5.9) == (0, [])
    assert told(6) == told(15.9) == (10_000, ["a"])
    assert told(16) == (20_000, ["a", "b"])
    assert told(26) == told(500) == (30_000, ["a", "b", SLATE])


def test_a_break_is_told_before_its_decision_and_keeps_its_id():
    tracker, breaks = Tracking(), [Break("1767268800000:x", START, 20 * SECOND)]
    name = "slot:1767268800000:x"
    empty = {"id": name, "starttime_ms": START // MS, "duration_ms": 0, "ads": []}
    assert ask(tracker, [], window=window(0), breaks=breaks)["adpods"] == []
    assert ask(tracker, [], window=window(2), breaks=breaks)["adpods"] == [empty]
    claimed = Pod(name, START, START + 9)
    assert ask(tracker, [claimed], window=window(2), breaks=breaks)["adpods"] == [empty]
    decided = make(name, START, [("a", 20 * SECOND)])
    (pod,) = ask(tracker, [decided], window=window(6), breaks=breaks)["adpods"]
    assert (pod["id"], pod["starttime_ms"], pod["duration_ms"]) == (name, START // MS, 20_000)


def test_what_begins_after_an_early_return_is_never_told():
    pod = make("slot:b", START, [("a", 10 * SECOND), ("b", 10 * SECOND)], planned_us=20 * SECOND)
    back = [Break("b", START, 20 * SECOND, START + 10 * SECOND)]
    (told,) = ask(Tracking(), [pod], window=window(40), breaks=back)["adpods"]
    assert [ad["adid"] for ad in told["ads"]] == ["a"]
    # It is gone from the manifest when its first ad is, not when it was to end.
    assert ask(Tracking(), [pod], window=window(60, 22), breaks=back)["adpods"] == []


def test_what_begins_just_before_an_early_return_is_never_told():
    """No list has room for it there."""
    pod = make("slot:b", START, [("a", 10 * SECOND), ("b", 10 * SECOND)], planned_us=20 * SECOND)
    back = [Break("b", START, 20 * SECOND, START + 12 * SECOND)]
    for edge in (10.5, 12.5, 40):
        (told,) = ask(Tracking(), [pod], window=window(edge), breaks=back)["adpods"]
        assert [ad["adid"] for ad in told["ads"]] == ["a"]


def test_a_slate_of_unknown_end_is_not_told():
    one = make("p", START, [("a", 10 * SECOND), (SLATE, 90 * SECOND)])
    hidden = msgspec.structs.replace(one.ads[1], announced=False)
    pod = msgspec.structs.replace(one, ads=(one.ads[0], hidden))
    pod = telling_of(pod, Ad("a"), Ad(SLATE), beacons=(beacon("breakEnd"),))
    (told,) = ask(Tracking(), [pod], window=window(30))["adpods"]
    assert (told["duration_ms"], len(told["ads"])) == (10_000, 1)
    assert told["adbreaktrackingevents"][0]["time_ms"] == START // MS + 10_000


def test_a_pod_stays_ten_seconds_after_its_last_segment_has_left():
    pod, tracker = make("p", START, [("a", 10 * SECOND)]), Tracking()

    def there(first_s, **more):
        return bool(ask(tracker, [pod], window=window(100, first_s, **more))["adpods"])

    assert there(9.9)
    assert there(21.9)
    assert not there(22)


@pytest.mark.parametrize("segment_s", [2, 4, 6.4, 8, 10])
@pytest.mark.parametrize("length_s", [1, 21, 30])
def test_a_pod_stays_ten_seconds_however_the_window_moves(segment_s, length_s):
    """It moves in whole segments, and the break need not end with one."""
    segment = round(segment_s * SECOND)
    breaks, tracker = [Break("1:x", START, length_s * SECOND)], Tracking()

    def there(first_us):
        shown = Window(first_us, START + 99 * SECOND, segment)
        return bool(ask(tracker, (), window=shown, breaks=breaks)["adpods"])

    left = START + -(-length_s * SECOND // segment) * segment
    told = [at for at in range(left, START + 99 * SECOND, segment) if there(at)]
    assert told[-1] + segment - left >= 10 * SECOND
    assert told[-1] - left < 10 * SECOND + segment


@pytest.mark.parametrize("target_s", [2, 6, 10])
def test_no_process_forgets_what_another_still_tells(target_s):
    """Its list may be three target durations older."""
    pod, segment = make("p", START, [("a", 10 * SECOND)]), target_s * SECOND
    for first_s in range(60):
        told = ask(Tracking(), [pod], window=window(100, first_s, segment_us=segment + 500_000))
        newer = filler(segment, target_s, "s.ts")
        newest = START + first_s * SECOND + 3 * segment
        newer = msgspec.structs.replace(newer, starts=[newest, newest + segment])
        assert not (told["adpods"] and splice.gone(pod, (), newer))


def test_the_last_segment_is_also_that_of_content_in_a_break_without_ads():
    empty = Pod("p", START, 0, True, 30 * SECOND, START, START)
    assert ask(Tracking(), [empty], window=window(90, 29))["adpods"]
    assert not ask(Tracking(), [empty], window=window(90, 42))["adpods"]


lengths = st.integers(MS, 40 * SECOND)
breaks = st.lists(
    st.tuples(st.integers(0, 30 * SECOND), st.lists(st.tuples(lengths, st.booleans()), max_size=5)),
    max_size=5,
)


@settings(max_examples=60, deadline=None)
@given(
    breaks,
    st.lists(st.integers(0, 20 * SECOND), min_size=1, max_size=25),
    st.integers(0, 999),
    st.booleans(),
)
def test_what_was_told_never_changes(spec, steps, part, server):
    """Over polls with a moving edge: pods only grow by whole ads that never overlap."""
    pods, at = [], START + part
    for number, (gap, ads) in enumerate(spec):
        at += gap
        named = [
            (SLATE if slate else f"{number}.{n}", length) for n, (length, slate) in enumerate(ads)
        ]
        pods.append(make(f"slot:{at // MS}:{number}", at, named, beacons=(beacon("breakEnd"),)))
        at += sum(length for _, length in named)
    known: dict[str, dict] = {}
    # So little is kept that pods are made anew in between.
    tracker, edge, first = Tracking(kept_bytes=3000), START, START
    for step in steps:
        edge += step
        first = max(first, edge - 60 * SECOND)
        found = ask(tracker, pods, window=Window(first, edge, SEGMENT), told_by_server=server)[
            "adpods"
        ]
        starts = [pod["starttime_ms"] for pod in found]
        assert starts == sorted(starts)
        end = 0
        for pod in found:
            before = known.get(pod["id"])
            if before:
                assert pod["starttime_ms"] == before["starttime_ms"]
                assert pod["ads"][: len(before["ads"])] == before["ads"]
                assert pod.get("adbreaktrackingevents") == before.get("adbreaktrackingevents")
            known[pod["id"]] = pod
            assert pod["duration_ms"] == sum(ad["duration_ms"] for ad in pod["ads"])
            for ad in pod["ads"]:
                assert ad["starttime_ms"] >= end
                end = ad["starttime_ms"] + ad["duration_ms"]
            if pod["ads"]:
                assert end == pod["starttime_ms"] + pod["duration_ms"]
        listed = {p.id for p in pods if p.start_us < edge and p.until_us > first}
        assert listed <= {pod["id"] for pod in found}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(lengths, st.lists(lengths, max_size=3)), max_size=6), lengths)
def test_content_and_ads_fill_the_stream_without_gaps(spec, tail):
    pods, content, stream = [], 0, 0
    for number, (gap, ads) in enumerate(spec):
        content, stream = content + gap, stream + gap
        pods.append(
            make(str(number), stream, [(f"a{n}", one) for n, one in enumerate(ads)], at_us=content)
        )
        stream += sum(ads)
    found = ask(Tracking(), pods, content_us=content + tail)
    spans = [(one["streamtime_ms"], one["duration_ms"]) for one in found["contentmapping"]]
    spans += [(pod["starttime_ms"], pod["duration_ms"]) for pod in found["adpods"] if pod["ads"]]
    end = 0
    for begin, length in sorted(spans):
        assert begin == end
        end = begin + length
    assert end == (stream + tail + 500) // MS


def test_the_schema_refuses_what_is_none():
    assert not VALIDATOR.is_valid({"adpods": []})
    answer = {"refresh_delay_ms": 2000, "timereference_ms": 0, "adpods": [{"id": "", "ads": []}]}
    assert not VALIDATOR.is_valid(answer)
    jsonschema_rs.meta.validate(json.loads(tracking.schema()))
