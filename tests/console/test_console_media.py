"""What the console tells of media sessions: known small sessions, exact figures."""

from __future__ import annotations

import pytest
from visiting import HOSTILE, NOON, SECOND, Console, Page
from watching import settle, sid, watch

from footfall.console.media_words import GROUPS, ITEMS
from footfall.lake.tables import MEDIA

MINUTE = 60 * SECOND
WHOLE = """
0   0   sessionStart
0   0   play
50  50  ping
100 100 sessionComplete
100 100 sessionEnd
"""
HALF = """
0  0  sessionStart
0  0  play
30 30 bufferStart
40 30 play
65 55 error
65 55 sessionEnd
"""
NEVER = """
0  0  sessionStart
20 0  sessionEnd
"""
OPEN = """
0  0  sessionStart
0  0  play
20 20 play
30 30 pauseStart
"""


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    """Four sessions of a film in the last hour, live content of yesterday, one of another source."""
    console = Console(tmp_path_factory.mktemp("media") / "data")
    watch(console, 1, WHOLE, start=NOON - 50 * MINUTE, viewer="anna", name="The film")
    watch(console, 2, HALF, start=NOON - 49 * MINUTE, viewer="anna", name="The film")
    watch(console, 3, NEVER, start=NOON - 40 * MINUTE, viewer="bert", name="The film")
    watch(console, 4, OPEN, start=NOON - MINUTE, viewer="bert", name="The film")
    watch(console, 5, WHOLE, start=NOON - 49 * MINUTE, viewer="anna", source="other", id="song")
    live = "0 0 sessionStart\n0 0 play\n60 60 ping\n{} {} sessionEnd"
    for number, length in ((6, 90), (7, 150), (8, 240)):
        watch(
            console, number, live.format(length, length),
            start=NOON - 20 * 3600 * SECOND, viewer=f"v{number}",
            id="channel", length=86_400, contentType="live",
        )  # fmt: skip
    settle(console)
    yield console
    console.lake.close()


@pytest.fixture
def visitor(studio):
    studio.now += 1
    return studio.operator()


def test_an_audience_counts_viewers_by_minute(visitor):
    found = visitor.json("media/concurrent", source="site", until="2026-01-01T12:00:00")
    assert (found["start"], found["end"]) == ("2026-01-01T11:00:00Z", "2026-01-01T12:00:00Z")
    viewers = found["viewers"]
    assert len(viewers) == 60
    # anna watches twice in minute 11, and is one viewer; who never plays is none.
    assert {m: n for m, n in enumerate(viewers) if n} == {10: 1, 11: 1, 12: 1, 59: 1}
    assert found["peak"] == 1
    assert found["average_minute_audience"] == round(4 / 60, 4)


def test_a_viewer_of_two_sources_is_two(visitor):
    found = visitor.json("media/concurrent", until="2026-01-01T12:00:00Z")
    assert {m: n for m, n in enumerate(found["viewers"]) if n} == {10: 1, 11: 2, 12: 2, 59: 1}
    assert found["peak"] == 2


def test_the_figures_of_a_period_are_of_what_began_in_it(visitor):
    found = visitor.json("media/concurrent", source="site", period="hour")
    figures = {name: found[name] for name in list(found)[6:]}
    assert figures == {
        "open_sessions": 1,
        "media_starts": 4,
        "content_starts": 3,
        "completes": 1,
        "completion_rate": 0.3333,
        "drops_before_start": 1,
        "drop_rate": 0.25,
        "average_content_time_s": pytest.approx((100 + 55 + 30) / 3),
        "buffer_rate": 0.25,
        "error_rate": 0.25,
    }
    day = visitor.json("media/concurrent", source="site", period="day")
    assert len(day["viewers"]) == 1440
    assert day["media_starts"] == 7
    content = visitor.json("media/concurrent", media_id="song")
    assert content["completion_rate"] == 1.0


def test_an_hour_of_nothing(visitor):
    found = visitor.json("media/concurrent", until="1970-01-01", source="nowhere")
    assert sum(found["viewers"]) == found["media_starts"] == 0
    assert (
        found["completion_rate"] is found["average_content_time_s"] is found["error_rate"] is None
    )


def test_the_list_has_open_ones_first_and_then_the_newest(visitor):
    found = visitor.json("media")
    numbers = [int(row["session_id"], 16) for row in found["rows"]]
    assert numbers[:2] == [4, 3]
    assert set(numbers[2:4]) == {2, 5}
    assert numbers[4] == 1
    assert set(numbers[5:]) == {6, 7, 8}
    assert found["next"] is None
    first = found["rows"][0]
    assert first == {
        "source": "site",
        "session_id": sid(4),
        "state": "open",
        "playback": "paused",
        "started_at": "2026-01-01T11:59:00Z",
        "ended_at": "2026-01-01T11:59:30Z",
        "media_id": "film",
        "media_name": "The film",
        "content_type": "vod",
        "length_s": 100.0,
        "viewer_id": "bert",
        "device": "tv",
        "content_start": True,
        "content_complete": False,
        "content_time_spent_s": 30.0,
        "ad_time_spent_s": 0.0,
        "playhead_s": 30.0,
        "progress_markers": [10, 25],
        "errors": 0,
        "ignored_events": 1,
        "hint_count": 0,
    }


@pytest.mark.parametrize(
    ("filters", "count"),
    [
        ({"source": "site"}, 7),
        ({"source": "other"}, 1),
        ({"state": "open"}, 1),
        ({"state": "closed", "media_id": "film"}, 3),
        ({"media_id": "' OR 1=1 --"}, 0),
        ({"media_id": "{where}"}, 0),
        ({"until": "2026-01-01T11:11:00"}, 4),
    ],
)
def test_the_list_is_filtered(visitor, filters, count):
    assert len(visitor.json("media", **filters)["rows"]) == count


def test_the_list_comes_in_pages(visitor):
    rows, cursor = [], {}
    while True:
        page = visitor.json("media", limit=2, **cursor)
        rows += page["rows"]
        if page["next"] is None:
            break
        cursor = {"before": page["next"]}
    assert len(rows) == len({row["session_id"] for row in rows}) == 8
    assert rows[0]["state"] == "open"


def test_how_far_a_content_is_watched(visitor):
    found = visitor.json("media/content", source="site", media_id="film")
    drop_off = found.pop("drop_off")
    reached = found.pop("reached")
    assert found == {
        "source": "site", "media_id": "film", "media_name": "The film", "length_s": 100.0,
        "sessions": 4, "open_sessions": 1, "content_starts": 3, "completes": 1,
        "completion_rate": 0.3333,
    }  # fmt: skip
    assert [(p["at"], p["sessions"], p["share"]) for p in reached] == [
        (10, 3, 1.0), (25, 3, 1.0), (50, 2, 0.6667), (75, 1, 0.3333), (95, 1, 0.3333),
    ]  # fmt: skip
    assert (drop_off["unit"], drop_off["sessions"]) == ("percent", 2)
    shares = {point["at"]: point["share"] for point in drop_off["points"]}
    assert list(shares) == list(range(0, 101, 5))
    assert (shares[0], shares[55], shares[60], shares[100]) == (1.0, 1.0, 0.5, 0.5)


def test_content_without_an_end_is_left_by_the_minute(visitor):
    drop_off = visitor.json("media/content", source="site", media_id="channel")["drop_off"]
    assert (drop_off["unit"], drop_off["sessions"]) == ("minute", 3)
    assert [(p["at"], p["sessions"]) for p in drop_off["points"]] == [
        (0, 3), (1, 3), (2, 2), (3, 1), (4, 1),
    ]  # fmt: skip


def test_a_broadcast_has_no_parts_that_one_could_have_come_to(visitor):
    page = visitor.page("/console/media/content", source="site", media_id="channel")
    assert "Still watching, by minute of content" in page.text
    assert "completed 0 0 %" in page.text
    assert "75 %" not in page.text
    assert "2 min 2 66.7 %" in page.text


def test_a_long_broadcast_has_a_bounded_curve(empty):
    lines = [f"{minute * 60} {minute * 60} ping" for minute in range(5, 605, 5)]
    text = "\n".join(["0 0 sessionStart", "0 0 play", *lines, "36000 36000 sessionEnd"])
    watch(empty, 1, text, length=0)
    settle(empty)
    points = empty.operator().json("media/content", source="site", media_id="film")["drop_off"]
    assert points["unit"] == "minute"
    assert [p["at"] for p in points["points"]] == list(range(0, 601, 10))


@pytest.mark.slow
def test_a_content_that_nobody_has_left_yet(empty):
    watch(empty, 1, OPEN)
    found = empty.operator().json("media/content", source="site", media_id="film")
    assert found["open_sessions"] == 1
    assert found["drop_off"] == {"unit": "percent", "sessions": 0, "points": []}
    page = empty.operator().page("/console/media/content", source="site", media_id="film")
    assert "No session with a content start is closed yet" in page.text


def test_a_session_is_what_the_service_has(visitor):
    (found,) = visitor.json(f"media/{sid(2)}")
    assert list(found)[:4] == [table.name for table in MEDIA]
    (session,) = found["media_sessions"]
    assert list(session) == [column.name for column in MEDIA[0].columns]
    assert session["content_time_spent_s"] == 55.0
    assert session["account"]["types"]["error"] == 1
    (open_one,) = visitor.json(f"media/{sid(4)}")
    assert open_one["media_sessions"][0]["state"] == "open"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("media/nobody", 404),
        ("media/nobody?x=1", 400),
        ("media?type=x", 400),
        ("media?before=1.2", 400),
        ("media/concurrent?period=week", 400),
        ("media/concurrent?state=open", 400),
        ("media/content?source=site", 400),
        ("media/content?source=site&media_id=nothing", 404),
    ],
)
def test_refusals(visitor, path, status):
    response = visitor.get(f"/console/api/{path}")
    assert response.status_code == status
    assert set(response.json()) == {"message", "remedy"}


@pytest.mark.slow
def test_what_is_open_is_refreshed_once_a_second_for_everybody(empty, monkeypatch):
    refreshed, refresh = [], empty.service.refresh

    async def counted(sql):
        refreshed.append(sql)
        await refresh(sql)

    monkeypatch.setattr(empty.service, "refresh", counted)
    watch(empty, 1, OPEN)
    for path in ("/console/media", "/console/media?state=open", "/console/api/media/concurrent"):
        assert empty.operator().get(path).status_code == 200
    assert len(refreshed) == 1
    watch(empty, 2, OPEN)
    assert len(empty.operator().json("media")["rows"]) == 1
    empty.now += 1
    assert len(empty.operator().json("media")["rows"]) == 2
    assert empty.operator().json("media/concurrent")["open_sessions"] == 2
    assert len(refreshed) == 2


@pytest.mark.slow
def test_the_page_shows_audience_and_sessions(visitor):
    page = visitor.page("/console/media", source="site")
    assert "Open now 1" in page.text
    assert "Completes 1 Completion rate 33.3 %" in page.text
    assert "Drop before start 1 25 %" in page.text
    assert "Concurrent viewers per minute" in page.text
    assert page.all("svg", role="img")[0]["aria-label"] == (
        "At most 1 at a time, 0.1 in an average minute"
    )
    assert "open paused" in page.text
    assert page.all("div", id="live")[0].get("data-live", "") is None
    assert page.link("The film") == "/console/media/content?source=site&media_id=film"
    day = visitor.page("/console/media", period="day")
    assert "Most concurrent viewers in 12 minutes" in day.text
    assert len(day.all("rect", **{"class": "slot"})) == 120
    assert day.all("input", name="period")[0]["value"] == "day"


@pytest.mark.slow
def test_the_page_leads_on(visitor):
    page = visitor.page("/console/media", media_id="film", state="open")
    session = visitor.page(page.link("2026-01-01 11:59:00.000"))
    assert "content_time_spent 30.0 s" in session.text
    assert "It repeats the state that the player or the ad is in. 1" in session.text
    assert "11:59" in session.text
    content = visitor.page(session.link("Its content"))
    assert "Still watching, by per cent of the length" in content.text
    assert "50 % 2 66.7 %" in content.text
    assert visitor.page(content.link("Its sessions"))
    response = visitor.post("/console/sql", data={"sql": "x"})
    assert response.status_code == 400
    asked = visitor.get(page.link("Ask in SQL"))
    assert "&#39;film&#39;" in asked.text


@pytest.mark.slow
def test_events_and_media_session_lead_to_one_another(empty):
    watch(empty, 1, HALF)
    settle(empty)
    page = empty.operator().page("/console/media/session", source="site", session_id=sid(1))
    events = empty.operator().page(page.link("Its events"))
    assert "bufferStart" in events.text
    assert empty.operator().page(events.link("Media session")).text == page.text


ADS = """
0  0 sessionStart
0  0 adStart {"media.ad.id": "early", "media.ad.length": 5, "media.ad.podPosition": 1}
1  0 adBreakStart {"media.ad.podIndex": 1, "media.ad.podSecond": 0, "media.ad.podFriendlyName": "pre-roll"}
1  0 adStart {"media.ad.id": "spot", "media.ad.name": "A spot", "media.ad.length": 5, "media.ad.podPosition": 1}
6  0 adComplete
6  0 adBreakComplete
6  0 chapterStart {"media.chapter.index": 1, "media.chapter.offset": 0, "media.chapter.length": 9, "media.chapter.friendlyName": "One"}
6  0 stateStart {"media.state.name": "mute"}
6  0 play
16 10 ping
20 14 sessionEnd
"""


def test_a_session_has_its_ads_chapters_states_and_hints(empty):
    watch(empty, 1, ADS)
    page = empty.operator().page("/console/media/session", source="site", session_id=sid(1))
    assert "A spot pre-roll 1 1 5.0 s 5.0 s" in page.text
    assert "One 1 0.0 s 9.0 s 14.0 s" in page.text
    assert "mute 1 14.0 s" in page.text
    assert "Ads came outside an ad break and count as content: send adBreakStart." in page.text
    told = page.text.partition("The latest that were ignored or came late")[2]
    assert "2026-01-01 11:30:00.000 adStart Ads are tracked inside an ad break only" in told
    assert "outside_break Ads are tracked inside an ad break only" in page.text


@pytest.mark.slow
def test_what_players_send_is_text(empty):
    watch(empty, 1, HALF, viewer=HOSTILE, id=HOSTILE, name=HOSTILE, channel=HOSTILE, show=HOSTILE)
    watch(empty, 2, OPEN, id="i" * 5000, name="n" * 5000)
    visitor = empty.operator()
    for path, params in (
        ("/console/media", {}),
        ("/console/media", {"media_id": HOSTILE}),
        ("/console/media/session", {"source": "site", "session_id": sid(1)}),
        ("/console/media/content", {"source": "site", "media_id": HOSTILE}),
    ):
        page = visitor.page(path, **params)
        assert "<script>alert" not in page.source
        assert " ".join(HOSTILE.split()) in page.text
        assert [attrs["src"] for attrs in page.all("script")] == ["/console/static/console.js"]
        assert not any(
            name == "style" or name.startswith("on") for _, a in page.elements for name in a
        )
    assert "n" * 1001 not in visitor.page("/console/media").source


@pytest.mark.slow
def test_an_idle_server(empty):
    visitor = empty.operator()
    assert "No media sessions yet" in visitor.page("/console/media").text
    assert "No media session is like this" in visitor.page("/console/media", state="x").text
    for path in ("session?source=a&session_id=b", "content?source=a&media_id=b"):
        response = visitor.get(f"/console/media/{path}")
        assert response.status_code == 404
        assert Page(response.text).all("h1")
    assert visitor.get("/console/media/session?source=a").status_code == 400


def test_a_session_page_has_every_column():
    shown = [name for names in GROUPS.values() for name in names]
    assert sorted([*shown, "session_id", "hints", "account"]) == sorted(
        column.name for column in MEDIA[0].columns
    )
    for table in MEDIA[1:]:
        assert {*ITEMS[table.name][1]} <= {column.name for column in table.columns}
