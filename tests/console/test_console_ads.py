"""What the console tells of ads: known small sessions, exact figures."""

from __future__ import annotations

import pytest
from visiting import HOSTILE, NOON, SECOND, Console

from footfall.stream import events
from footfall.stream.contract import Ad, Beacon, Details, Failure, Offer, Placed, Pod

HOUR = 3600 * SECOND
SLOW = Failure(301, "No answer within 2 s.")
UNFIT = Failure(403, "No media file fits.", "x")
KINDS = ("impression", "complete")


class Sessions:
    """Sessions of a console's services."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._made = events.Events(self._id)
        self._number = 0

    def _id(self, now):
        self._number += 1
        return f"ad-{self._number}"

    def has(
        self, session, at, *lengths, service="tv", source="site", planned=30, latency=100.0,
        failures=(), seen=(), tracking="server", offered=None,
    ):  # fmt: skip
        """A break with ads of `lengths`; `seen` are the beacons of its first ad that were sent."""
        placed, ads, moment = [], [], at
        for number, length in enumerate(lengths):
            placed.append(Placed(f"ad-{number}", "https://c.example/m", moment, length * SECOND))
            ads.append(
                Ad(
                    f"ad-{number}",
                    beacons=tuple(Beacon(kind, "https://t.example/") for kind in KINDS),
                )
            )
            moment += length * SECOND
        count = len(lengths) if offered is None else offered
        offer = Offer(tuple(Ad(str(n)) for n in range(count)), (), failures, latency, 1)
        pod = Pod("slot:1:x", at, 0, True, planned and planned * SECOND, at, moment, tuple(placed))
        place = events.Place(pod.id, "ad-0", 1)
        said = events.decided(
            at, pod, Details(tuple(ads)), offer, mode="replacement", tracking=tracking
        )
        for number, kind in enumerate(seen):
            named = {"number": number, "beacon": kind, "host": "t.example"}
            said.append(events.beacon_due(at + SECOND, place, **named))
            said.append(events.beacon(at + SECOND, place, **named, outcome="sent", status=200))
        sender = events.Sender(source=source, service=service, session_id=session)
        self.console.write(*self._made(sender, said, at))


@pytest.fixture(scope="module")
def broadcaster(tmp_path_factory):
    console = Console(tmp_path_factory.mktemp("ads") / "data")
    sessions = Sessions(console)
    sessions.has("a", NOON - HOUR, 15, 15, seen=KINDS)
    sessions.has("b", NOON - HOUR, 15, seen=KINDS[:1], failures=(UNFIT,), offered=2, latency=300.0)
    sessions.has("c", NOON - HOUR, failures=(SLOW, UNFIT), latency=2000.0)
    sessions.has("d", NOON - 30 * HOUR, 10, planned=None, latency=200.0)
    sessions.has("e", NOON - HOUR, 20, planned=20, service="radio", tracking="client")
    sessions.has("f", NOON - HOUR, 10, planned=40, source="other")
    sessions.has("g", NOON - 20 * 24 * HOUR, 10)
    yield console
    console.lake.close()


@pytest.fixture
def visitor(broadcaster):
    return broadcaster.operator()


def test_the_figures_of_a_service_and_day(visitor):
    found = visitor.json("ads", source="site", service="tv")
    assert (found["start"], found["end"]) == ("2025-12-26T00:00:00Z", "2026-01-02T00:00:00Z")
    assert [(row["day"], row["source"], row["service"]) for row in found["by_day"]] == [
        ("2026-01-01", "site", "tv"), ("2025-12-31", "site", "tv"),
    ]  # fmt: skip
    assert found["by_day"][0]["figures"] == {
        "breaks": 3,
        "outcomes": {"filled": 1, "partial": 1, "empty": 0, "failed": 1, "lost": 0},
        "planned_ms": 90_000,
        "filled_ms": 45_000,
        "fill_rate": 0.5,
        "offered": 4,
        "ads": 3,
        "impressions": 2,
        "completes": 1,
        "completion_rate": 0.5,
        "uncertain": 0,
        "errors": 3,
        "latency_ms": 300.0,
        "latency_p95_ms": 1830.0,
    }
    before = found["by_day"][1]["figures"]
    # Its length was not known: it is no part of a fill rate.
    assert (before["breaks"], before["planned_ms"], before["filled_ms"], before["fill_rate"]) == (
        1,
        0,
        0,
        None,
    )
    assert (found["total"]["breaks"], found["total"]["fill_rate"]) == (4, 0.5)


def test_services_and_sources_are_apart_and_together(visitor):
    found = visitor.json("ads", period="day")
    assert [(row["source"], row["service"], row["figures"]["breaks"]) for row in found["by_day"]] == [
        ("other", "tv", 1), ("site", "radio", 1), ("site", "tv", 3),
    ]  # fmt: skip
    radio = found["by_day"][1]["figures"]
    assert (
        radio["impressions"],
        radio["completes"],
        radio["completion_rate"],
        radio["uncertain"],
    ) == (None,) * 4
    assert found["total"]["breaks"] == 5
    assert found["total"]["fill_rate"] == round(75 / 150, 4)
    assert visitor.json("ads", period="month")["total"]["breaks"] == 7


def test_errors_by_their_code(visitor):
    found = visitor.json("ads")["by_error"]
    assert [(row["code"], row["errors"], row["breaks"], row["services"]) for row in found] == [
        (403, 2, 2, ["tv"]), (301, 1, 1, ["tv"]),
    ]  # fmt: skip
    assert "no answer in time" in found[1]["help"]
    assert found[0]["newest_at"] == "2026-01-01T11:00:00Z"


def test_a_period_ends_with_the_day_of_until(visitor):
    found = visitor.json("ads", period="day", until="2026-01-01T00:00:00Z")
    assert found["end"] == "2026-01-01T00:00:00Z"
    assert [row["day"] for row in found["by_day"]] == ["2025-12-31"]


@pytest.mark.parametrize(
    ("params", "rows"),
    [({"service": "radio"}, 1), ({"service": "' OR 1=1 --"}, 0), ({"service": "{where}"}, 0)],
)
def test_filters_are_values(visitor, params, rows):
    assert len(visitor.json("ads", **params)["by_day"]) == rows


def test_a_period_of_nothing(visitor):
    found = visitor.json("ads", source="nowhere")
    total = found["total"]
    assert (total["breaks"], total["fill_rate"], total["latency_ms"]) == (0, None, None)
    assert found["by_day"] == found["by_error"] == []


@pytest.mark.parametrize("query", ["period=hour", "state=open", "until=x", "limit=3"])
def test_refusals(visitor, query):
    response = visitor.get(f"/console/api/ads?{query}")
    assert response.status_code == 400
    assert set(response.json()) == {"message", "remedy"}


def test_the_same_account_serves_everybody_for_some_seconds(empty):
    sessions = Sessions(empty)
    sessions.has("a", NOON - HOUR, 15)
    visitor = empty.operator()
    assert visitor.json("ads")["total"]["breaks"] == 1
    sessions.has("b", NOON - HOUR, 15)
    assert visitor.json("ads")["total"]["breaks"] == 1
    empty.now += 5
    assert visitor.json("ads")["total"]["breaks"] == 2


def test_the_page(visitor):
    page = visitor.page("/console/ads", source="site")
    assert "Breaks 5 Fill rate 59.1 %" in page.text
    assert "Impressions 2 Completion rate 50 %" in page.text
    assert "2026-01-01 tv site 3 1 1 0 1 0 50 % 3 2 50 % 0 3 300 ms 1,830 ms" in page.text
    assert "403 Neither HLS nor a video file. 2 2 tv" in page.text
    assert page.all("a", **{"aria-current": "page"})[0]["href"] == "/console/ads"
    radio = visitor.page(page.link("radio"))
    assert "Breaks 1 Fill rate 100 %" in radio.text
    assert "Impressions - Completion rate -" in radio.text
    asked = visitor.get(page.link("Ask in SQL"))
    assert "ad_breaks" in asked.text


def test_events_of_streams_say_what_happened(visitor):
    text = visitor.page("/console/events", type="ad-break").text
    assert "partial, 1 of 1 ads, 10 s of" in text


def test_the_page_of_an_idle_server(empty):
    visitor = empty.operator()
    assert "No ad breaks in the period." in visitor.page("/console/ads").text
    assert "No ad break is like this" in visitor.page("/console/ads", service="x").text


def test_what_settings_and_ad_servers_say_is_text(empty):
    Sessions(empty).has("a", NOON - HOUR, 15, service=HOSTILE, failures=(Failure(77, HOSTILE),))
    page = empty.operator().page("/console/ads")
    assert "<script>alert" not in page.source
    assert " ".join(HOSTILE.split()) in page.text
