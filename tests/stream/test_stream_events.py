"""What is journalled of a decision: figures that add up, and an outcome in one word."""

from __future__ import annotations

import json

import pytest

from footfall.journal.contract import encode_events
from footfall.stream import events
from footfall.stream.contract import (
    SLATE,
    Ad,
    Beacon,
    Details,
    Failure,
    Offer,
    Placed,
    Pod,
)

SECOND = 1_000_000
START = 1_767_268_800 * SECOND + 333_333
NO_ADS = Failure(303, "The wrapper holds no ad.")
UNFIT = Failure(403, "No media file fits.", "unfit", ("https://e.example/[ERRORCODE]",))


def pod(*seconds: float, planned: float | None = 30, slate: float = 0) -> tuple[Pod, Details]:
    """A live pod with an ad of each length, and a slate after them."""
    placed, ads, at = [], [], START
    for number, length in enumerate(seconds):
        placed.append(
            Placed(f"ad-{number}", "https://c.example/m.m3u8", at, round(length * SECOND))
        )
        trackers = (
            Beacon("impression", "https://a.example/1"),
            Beacon("impression", "https://b.example/1"),
            Beacon("complete", "https://a.example/2"),
        )
        ads.append(Ad(f"ad-{number}", "creative", "T" * 2000, duration_ms=5000, beacons=trackers))
        at += placed[-1].duration_us
    if slate:
        placed.append(Placed(SLATE, "https://c.example/slate.m3u8", at, round(slate * SECOND)))
        ads.append(Ad(SLATE))
    whole = None if planned is None else round(planned * SECOND)
    one = Pod("slot:1:x", START, 0, True, whole, START, at, tuple(placed))
    return one, Details(tuple(ads))


def said(offer: Offer, *seconds, **given):
    one, details = pod(*seconds, **given)
    return events.decided(START, one, details, offer, mode="replacement", tracking="server")


def offered(count, *failures) -> Offer:
    return Offer(tuple(Ad(f"ad-{n}") for n in range(count)), (), failures, 12.3456, 2)


@pytest.mark.parametrize(
    ("offer", "seconds", "planned", "outcome"),
    [
        (offered(2), (15, 15), 30, "filled"),
        (offered(2), (15, 13.5), 30, "filled"),
        (offered(2, UNFIT), (15,), 30, "partial"),
        (offered(2), (15, 15), None, "filled"),
        (offered(2, UNFIT), (15,), None, "partial"),
        (offered(1), (15,), 15, "filled"),
        (offered(0), (), 30, "empty"),
        (offered(0, NO_ADS), (), 30, "empty"),
        (offered(1, UNFIT), (), 30, "failed"),
        (offered(1), (), 30, "failed"),
        (offered(0, Failure(301, "No answer within 2 s.")), (), None, "failed"),
    ],
)
def test_a_break_has_one_outcome(offer, seconds, planned, outcome):
    found = said(offer, *seconds, planned=planned)[0].properties
    assert found["outcome"] == outcome
    assert (found["reason"] != "") == (outcome != "filled" and bool(offer.failures))


def test_a_serious_reason_goes_before_an_empty_answer():
    assert said(offered(0, NO_ADS, UNFIT))[0].properties["reason"] == UNFIT.reason


def test_a_decision_is_a_break_its_ads_and_its_errors():
    found = said(offered(3, UNFIT), 10, 5.0004, slate=15)
    assert [one.type for one in found] == ["ad-break", "ad", "ad", "ad-error"]
    whole, first, second, error = (one.properties for one in found)
    assert whole == {
        "pod": "slot:1:x", "mode": "replacement", "start_ms": 1_767_268_800_333, "planned_ms": 30_000,
        "filled_ms": 15_001, "slate_ms": 15_000, "offered": 3, "ads": 2, "outcome": "partial",
        "reason": "No media file fits.", "latency_ms": 12.346, "calls": 2,
    }  # fmt: skip
    assert (first["position"], second["position"]) == (1, 2)
    assert first["start_ms"] + first["duration_ms"] == second["start_ms"]
    assert first["duration_ms"] + second["duration_ms"] == whole["filled_ms"]
    assert first["trackers"] == {"impression": 2, "complete": 1}
    assert len(first["title"]) == events.TEXT_CHARACTERS
    assert error == {"pod": "slot:1:x", "ad_id": "unfit", "code": 403, "reason": UNFIT.reason}


def test_a_slate_without_a_known_end_counts_nothing():
    one, details = pod(10, slate=9999)
    hidden = Placed(SLATE, "x", one.ads[1].start_us, one.ads[1].duration_us, announced=False)
    shown = Pod(one.id, one.start_us, 0, True, None, 0, 0, (one.ads[0], hidden))
    found = events.decided(0, shown, details, offered(1), mode="vod", tracking="client")
    assert found[0].properties["slate_ms"] == 0


def test_a_lost_claim_is_a_break_without_ads():
    one = Pod("slot:1:x", START, START + SECOND)
    found = events.lost(START, one, mode="preroll", reason="Nobody decided within 6 s.").properties
    assert (found["outcome"], found["ads"], found["latency_ms"]) == ("lost", 0, None)


def test_events_are_the_senders():
    sender = events.Sender(
        source="site", service="tv", session_id="abc", country="DE", device="tv", withheld=True
    )
    make = events.Events(lambda now: f"id-{now}")
    (one,) = make(sender, [events.session(5, kind="live", workflow="2.0", path="a.m3u8")], 7)
    assert (one.event_id, one.protocol, one.type) == ("id-7", "broadpeak", "session")
    assert (one.occurred_at, one.received_at, one.session_id) == (5, 7, "abc")
    assert (one.country, one.device, one.withheld) == ("DE", "tv", True)
    assert one.properties == {"service": "tv", "kind": "live", "workflow": "2.0", "path": "a.m3u8"}


def test_everything_that_is_said_can_be_journalled():
    place = events.Place("p", "ad", 1)
    every = [
        *said(offered(2, UNFIT), 10, 10),
        events.ad_segment(1, place, segment=0, of=3),
        events.beacon_due(1, place, number=0, beacon="impression", host="a.example"),
        events.beacon(
            2, place, number=0, beacon="impression", host="a.example", outcome="sent", status=204,
            latency_ms=1.23456,
        ),
    ]  # fmt: skip
    sender = events.Sender(source="site", service="tv", session_id="abc")
    lines = encode_events(events.Events(lambda now: "id")(sender, every, 1)).splitlines()
    found = [json.loads(line) for line in lines]
    assert [one["type"] for one in found][-3:] == ["ad-segment", "beacon-due", "beacon"]
    assert found[-1]["properties"]["latency_ms"] == 1.235
    assert all(one["properties"]["service"] == "tv" for one in found)


def test_who_joins_within_a_break_is_owed_what_was_left_of_it():
    one, details = pod(15, 3)
    joined = START + 12 * SECOND
    whole, left = (
        events.decided(
            START, one, details, offered(2), mode="replacement", tracking="server", from_us=since
        )[0].properties
        for since in (None, joined)
    )
    assert (whole["planned_ms"], whole["outcome"]) == (30_000, "partial")
    assert (left["planned_ms"], left["outcome"]) == (18_000, "filled")
