"""The lake's ad tables, over events as streams make them: what they count and what they cannot."""

from __future__ import annotations

import asyncio
import datetime as dt
import json

import pytest
from lake_rig import NOON

from footfall.lake.dossier import Dossiers
from footfall.lake.loader import Loader
from footfall.lake.persons import Id
from footfall.lake.query import query
from footfall.stream import events
from footfall.stream.contract import SLATE, Ad, Beacon, Details, Failure, Offer, Placed, Pod

pytestmark = pytest.mark.slow  # a lake of its own for each test

SECOND = 1_000_000
START = NOON - 3600 * SECOND
KINDS = ("impression", "start", "firstQuartile", "midpoint", "thirdQuartile", "complete")
COUNTS = ("impressions", "started", "first_quartiles", "midpoints", "third_quartiles", "completes")


class Session:
    """Says what happens to a session, as a stream would."""

    def __init__(self, rig, session_id="s", service="tv", **changes) -> None:
        self.rig = rig
        self.sender = events.Sender(
            source="site", service=service, session_id=session_id, **changes
        )
        self._number = 0
        self._make = events.Events(self._id)

    def _id(self, now):
        self._number += 1
        return f"{self.sender.session_id}-{self.sender.service}-{self._number}"

    def says(self, *said):
        self.rig.write(*self._make(self.sender, said, said[0].at))

    def decides(self, at=START, name="slot:1:x", planned=30, lengths=(10, 10), **changes):
        kinds = changes.get("kinds", KINDS)
        placed, ads, moment = [], [], at
        for number, length in enumerate(lengths, 1):
            placed.append(Placed(f"ad-{number}", "https://c.example/m", moment, length * SECOND))
            trackers = tuple(Beacon(kind, "https://t.example/") for kind in kinds)
            ads.append(Ad(f"ad-{number}", title="Soap", beacons=trackers))
            moment += length * SECOND
        if changes.get("slate"):
            placed.append(Placed(SLATE, "https://c.example/s", moment, changes["slate"] * SECOND))
            ads.append(Ad(SLATE))
        offer = Offer(tuple(ads[: len(lengths)]), (), changes.get("failures", ()), 120.5, 1)
        pod = Pod(name, at, 0, True, planned and planned * SECOND, at, moment, tuple(placed))
        mode, tracking = changes.get("mode", "replacement"), changes.get("tracking", "server")
        self.says(
            *events.decided(at, pod, Details(tuple(ads)), offer, mode=mode, tracking=tracking)
        )

    def asks(self, at, segment, of, *due):
        """A segment is asked for; `due` are (number, kind) of what it owes."""
        place = events.Place("slot:1:x", "ad-1", 1)
        self.says(
            events.ad_segment(at, place, segment=segment, of=of),
            *(
                events.beacon_due(at, place, number=number, beacon=kind, host="t.example")
                for number, kind in due
            ),
        )

    def hears(self, at, number, kind, outcome="sent"):
        place = events.Place("slot:1:x", "ad-1", 1)
        self.says(
            events.beacon(
                at, place, number=number, beacon=kind, host="t.example", outcome=outcome, status=200
            )
        )


def rows(rig, table) -> list[dict]:
    """All rows, as a user's query gives them."""
    asyncio.run(Loader(rig.journal, rig.lake, now=rig.clock).catch_up(30))
    sql = f"SELECT * FROM {table} ORDER BY source, session_id, pod, decided_at" + (
        ", position" if table == "ads" else ""
    )

    return json.loads(asyncio.run(query(rig.lake, sql, seconds=20, fmt="json")))


def figures(row) -> tuple:
    return tuple(row[name] for name in COUNTS)


def test_a_break_as_it_was_decided(rig):
    failures = (Failure(403, "No media file fits.", "x"), Failure(303, "No ad."))
    Session(rig).decides(slate=10, failures=failures)
    (row,) = rows(rig, "ad_breaks")
    at = dt.datetime.fromtimestamp(START / SECOND, dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    assert row == {
        "source": "site", "service": "tv", "session_id": "s", "pod": "slot:1:x",
        "mode": "replacement", "starts_at": at, "start_ms": START // 1000, "decided_at": at,
        "planned_ms": 30_000, "filled_ms": 20_000, "slate_ms": 10_000, "offered": 2, "ads": 2,
        "outcome": "partial", "reason": "No media file fits.", "latency_ms": 120.5, "calls": 1,
        "fill_rate": 0.6667, "errors": [303, 403],
    }  # fmt: skip


def test_what_is_unknown_is_null(rig):
    session = Session(rig)
    session.decides(at=15 * SECOND, name="pre", planned=None, lengths=(), mode="vod")
    claim = Pod("late", START, START)
    session.says(events.lost(START, claim, mode="channel", reason="out of time"))
    late, pre = rows(rig, "ad_breaks")
    assert (pre["starts_at"], pre["start_ms"], pre["fill_rate"]) == (None, 15_000, None)
    assert (pre["outcome"], pre["reason"], pre["errors"]) == ("empty", None, [])
    assert (late["outcome"], late["latency_ms"], late["calls"]) == ("lost", None, 0)
    assert rows(rig, "ads") == []


def test_an_ad_that_was_seen_to_its_end(rig):
    session = Session(rig)
    session.decides(failures=(Failure(402, "Slow.", "ad-2"),))
    session.asks(START, 0, 5, (0, "impression"), (1, "start"))
    for number, kind in enumerate(KINDS):
        session.asks(START + number * SECOND, min(number, 4), 5, (number, kind))
        session.hears(START + number * SECOND, number, kind)
    first, second = rows(rig, "ads")
    assert figures(first) == (1,) * 6
    assert (first["segments_requested"], first["segments"], first["uncertain"]) == (5, 5, 0)
    assert (first["ad_id"], first["title"], first["creative_id"]) == ("ad-1", "Soap", None)
    assert (first["position"], first["duration_ms"], first["errors"]) == (1, 10_000, [])
    assert first["start_ms"] + 10_000 == second["start_ms"]
    # Nobody asked for the second one.
    assert figures(second) == (0,) * 6
    assert (second["segments_requested"], second["segments"]) == (0, None)
    assert second["errors"] == [402]


def test_two_addresses_are_one_impression(rig):
    session = Session(rig)
    session.decides(kinds=("impression", "impression"), lengths=(10,))
    session.asks(START, 0, 5, (0, "impression"), (1, "impression"))
    session.hears(START, 0, "impression", "failed")
    session.hears(START, 1, "impression")
    (row,) = rows(rig, "ads")
    # Of what no address wants to hear, nothing is known.
    assert figures(row) == (1, None, None, None, None, None)


@pytest.mark.parametrize(
    ("outcome", "uncertain", "impressions"),
    [("sent", 0, 1), ("failed", 0, 0), ("uncertain", 1, 0), ("lost", 0, 0), (None, 1, 0)],
)
def test_what_nobody_knows_of_is_uncertain(rig, outcome, uncertain, impressions):
    session = Session(rig)
    session.decides(lengths=(10,))
    session.asks(START, 0, 5, (0, "impression"))
    if outcome:
        session.hears(START + SECOND, 0, "impression", outcome)
    (row,) = rows(rig, "ads")
    assert (row["uncertain"], row["impressions"]) == (uncertain, impressions)


def test_what_became_due_just_now_is_not_uncertain_yet(rig):
    session = Session(rig)
    now = int(dt.datetime.now(dt.UTC).timestamp() * SECOND)
    session.decides(at=now - 5 * SECOND, lengths=(10,))
    session.asks(now, 0, 5, (0, "impression"))
    (row,) = rows(rig, "ads")
    assert row["uncertain"] == 0


def test_with_client_side_tracking_nobody_told_us(rig):
    Session(rig).decides(tracking="client", lengths=(10,))
    (row,) = rows(rig, "ads")
    assert figures(row) == (None,) * 6
    assert (row["segments_requested"], row["segments"], row["uncertain"]) == (None, None, None)


def test_a_session_that_began_anew_under_its_id_has_its_own_rows(rig):
    session = Session(rig)
    again = START + 1000 * SECOND
    session.decides(lengths=(10,), failures=(Failure(301, "Slow."),))
    session.asks(START + SECOND, 0, 5, (0, "impression"))
    session.hears(START + SECOND, 0, "impression")
    session.decides(at=again, lengths=(10,), failures=(Failure(403, "Unfit.", "ad-1"),))
    session.asks(again + SECOND, 0, 5, (0, "impression"))
    first, second = rows(rig, "ads")
    assert (first["impressions"], first["uncertain"], first["errors"]) == (1, 0, [])
    assert (second["impressions"], second["uncertain"], second["errors"]) == (0, 1, [403])
    assert [row["errors"] for row in rows(rig, "ad_breaks")] == [[301], [403]]


def test_equal_names_elsewhere_are_others(rig):
    one, two, three = Session(rig), Session(rig, "t"), Session(rig, service="radio")
    for session in (one, two, three):
        session.decides(lengths=(10,))
    two.asks(START, 0, 5, (0, "impression"))
    two.hears(START, 0, "impression")
    found = {(row["session_id"], row["service"]): row["impressions"] for row in rows(rig, "ads")}
    assert found == {("s", "tv"): 0, ("t", "tv"): 1, ("s", "radio"): 0}


def test_without_consent_nothing_is_said_of_a_session(rig):
    Session(rig, withheld=True).decides()
    assert rows(rig, "ads") == rows(rig, "ad_breaks") == []


def test_a_persons_document_has_their_ads(rig):
    Session(rig).decides(lengths=(10,))
    Session(rig, "t").decides(lengths=(10,))
    assert len(rows(rig, "ads")) == 2

    async def work():
        dossiers = Dossiers(rig.lake, [Id("session", "t")])
        try:
            await dossiers.gather()
            return "".join([piece async for piece in dossiers.document(0, "now")])
        finally:
            await dossiers.close()

    found = json.loads(asyncio.run(work()))
    assert [(row["session_id"], row["position"]) for row in found["ads"]] == [("t", 1)]
    assert [row["session_id"] for row in found["ad_breaks"]] == ["t"]
    assert "position" not in found["events"][0]


@pytest.mark.parametrize("view", ["ad_breaks", "ads"])
def test_no_ad_view_joins_everything_with_everything(rig, view):
    Session(rig).decides()
    rows(rig, view)
    ((_, plan),) = rig.sql(f"EXPLAIN SELECT * FROM {view}")
    assert "HASH_JOIN" in plan
    for slow in ("CROSS_PRODUCT", "NESTED_LOOP", "BLOCKWISE", "PIECEWISE"):
        assert slow not in plan
