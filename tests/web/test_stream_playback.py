"""Sessions in a real browser: what was on the screen is what the tracking says, told once each."""

from __future__ import annotations

import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "processes"))

from driving import CHROMEDRIVER, CHROMIUM, Browser  # noqa: E402 - found by the line before
from running import eventually  # noqa: E402
from stream_sessions import (  # noqa: E402
    MAIN,
    NAMES,
    UNSURE_MS,
    Served,
    Watching,
    assert_shown_as_told,
    began_ms,
    live_path,
    owed_by,
    phase_of,
    serving_the_demo,
    watch,
)
from watching_streams import PICTURES_PER_S, runs  # noqa: E402

from footfall.demo.live import BREAK  # noqa: E402
from footfall.stream.checking import Check  # noqa: E402

pytestmark = pytest.mark.slow

if None in {CHROMIUM, CHROMEDRIVER} or sys.platform != "linux":
    pytest.skip(
        "needs Linux with chromium and chromedriver (Debian: apt-get install chromium "
        "chromium-driver); no session was played in a browser",
        allow_module_level=True,
    )

VOD_ORDER = [
    "kettle", "main", "lantern", "meadow", "main", "kettle", "lantern", "main", "meadow",
]  # fmt: skip
JOINED = {"before": 7, "in": BREAK.start + 5, "after": BREAK.stop + 4}
"""Where in the cycle the live edge is as a session begins, by how that is to the break."""


@pytest.fixture(scope="module")
def demo_url():
    with serving_the_demo() as url:
        yield url


@pytest.fixture(scope="module")
def one(demo_url, tmp_path_factory):
    """Footfall with one collector."""
    served = Served(tmp_path_factory.mktemp("one"), demo_url)
    yield served
    served.end()


@pytest.fixture(scope="module")
def two(demo_url, tmp_path_factory):
    """Footfall with two collectors."""
    served = Served(tmp_path_factory.mktemp("two"), demo_url, workers=2)
    yield served
    served.end()


@pytest.fixture(scope="module")
def browsers(tmp_path_factory):
    """Three of them, which the tests share: one test's pages are gone with the next one's."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(closing(Browser(tmp_path_factory.mktemp("browser") / "profile")))
            for _ in range(3)
        ]


@pytest.fixture(scope="module")
def vods(one, two, browsers):
    """Sessions of a VOD, one of them told by the server, all played to their ends at once."""
    first, second, third = browsers
    found = {
        "1.0": Watching(first, one, service="vod", workflow="1.0", rate=8),
        "2.0": Watching(second, two, service="vod", workflow="2.0", rate=8),
        "told": Watching(third, two, service="told", rate=8),
    }
    third.run(
        "performance.setResourceTimingBufferSize(5000); demo.hls.config.backBufferLength = 10"
    )
    for page in found.values():
        page.ended(120)
    return found


@pytest.mark.parametrize("workflow", ["1.0", "2.0", "told"])
@pytest.mark.timeout(180)  # all three are played in the first one
def test_a_vod_with_ads_before_in_and_after(vods, workflow):
    page = vods[workflow]
    page.listen()
    shown = runs(page.seen())
    assert [NAMES[run.asset] for run in shown] == VOD_ORDER
    page.assert_nothing_was_skipped()
    ads = page.ads()
    on_screen = [run for run in shown if run.asset != MAIN]
    assert [NAMES[run.asset] for run in on_screen] == [ad["adid"] for ad in ads]
    for run, ad in zip(on_screen, ads, strict=True):
        assert began_ms(run) == pytest.approx(ad["starttime_ms"], abs=UNSURE_MS / 2)
    # Content goes on where it was cut.
    content = [run for run in shown if run.asset == MAIN]
    for run, piece in zip(content, page.ask()["contentmapping"], strict=True):
        shift = piece["streamtime_ms"] - piece["contenttime_ms"]
        assert began_ms(run) == pytest.approx(shift, abs=UNSURE_MS / 2)
    assert not any("fatal" in line["what"] for line in page.log("fault"))


@pytest.mark.parametrize("workflow", ["1.0", "2.0"])
def test_every_beacon_of_a_vod_is_heard_once(vods, workflow):
    page = vods[workflow]
    page.listen()
    # Two impressions, start, three quartiles, complete and two of progress; two of each break.
    assert len(page.owed()) == 9 * len(page.ads()) + 2 * len(page.pods)
    page.assert_heard_exactly(page.owed())


@pytest.mark.parametrize("workflow", ["1.0", "2.0"])
def test_a_vod_is_resumed_by_its_content_mapping(vods, workflow):
    page = vods[workflow]
    mapping = page.ask()["contentmapping"]
    for content_ms in (5_000, 25_000, 45_000):
        piece = next(
            one for one in mapping if content_ms < one["contenttime_ms"] + one["duration_ms"]
        )
        there = piece["streamtime_ms"] + content_ms - piece["contenttime_ms"]
        picture = page.picture(there)
        assert picture.asset == MAIN
        assert picture.number == pytest.approx(content_ms / 1000 * PICTURES_PER_S, abs=2)


def test_what_the_server_tells_is_what_was_asked_for(vods):
    page = vods["told"]
    page.listen()
    assert page.owed() == {}, "nothing is left to the client"
    asked = page.ad_segments()
    assert Counter(b["count"] for b in page.server.heard(page.key)).keys() == {1}
    assert owed_by(asked) == page.heard_of()
    # Back to the first ad, which the player has to ask for again.
    before = Counter(asked)
    page.browser.run("video.currentTime = 0; video.play()")
    eventually(lambda: Counter(page.ad_segments()) - before, "it is asked for again")
    eventually(lambda: runs(page.seen())[-1].asset == MAIN, "the ad was played again")
    assert Counter(page.ad_segments()).most_common(1)[0][1] > 1
    assert owed_by(page.ad_segments()) == page.heard_of()


@pytest.mark.parametrize(("service", "served"), [("live", "one"), ("preroll", "two")])
def test_a_live_stream_joined_around_a_break(service, served, request, browsers):
    server = request.getfixturevalue(served)
    paths, players = {}, {}
    for (name, edge), browser in zip(JOINED.items(), browsers, strict=True):
        paths[name] = live_path(edge)
        players[name] = Watching(browser, server, service=service, path=paths[name], rate=4)
    watch(players.values(), 13)
    whole = {
        name: assert_shown_as_told(page, phase_of(paths[name])) for name, page in players.items()
    }
    first = ["lantern"] if service == "preroll" else []
    assert whole["before"] == [*first, "kettle", "meadow"]
    assert whole["in"][: len(first)] == first
    assert whole["after"][: len(first)] == first
    breaks = {
        name: min(
            (pod for pod in page.pods.values() if pod["id"] != "preroll"),
            key=lambda pod: pod["starttime_ms"],
        )
        for name, page in players.items()
    }
    assert breaks["in"]["ads"][0]["starttime_ms"] > breaks["in"]["starttime_ms"]
    if service == "preroll":
        begins = players["after"].pods["preroll"]["starttime_ms"]
        assert breaks["after"]["starttime_ms"] > begins, "what was over by then is not told"
    else:
        assert not breaks["after"]["ads"], "it was over"


@pytest.mark.long
@pytest.mark.timeout(720)
def test_ten_minutes_of_live_streams(two, browsers):
    cases = (("live", "before"), ("live", "in"), ("preroll", "after"))
    players = {}
    for (service, name), browser in zip(cases, browsers, strict=True):
        path = live_path(JOINED[name]).replace("speed=4", "speed=1")
        players[path] = Watching(browser, two, service=service, path=path)
    watch(players.values(), 600)
    for path, page in players.items():
        assert len(assert_shown_as_told(page, phase_of(path))) >= 2 * 9


def test_a_channel_plays_the_slots_that_are_set(two, browsers):
    page = Watching(browsers[0], two, service="channel")
    now = datetime.now(UTC).replace(microsecond=0)
    spots, film = now + timedelta(seconds=4), now + timedelta(seconds=11)
    two.set_slot("channel", "spots", type="ad-break", start=spots.isoformat(), duration=6)
    two.set_slot(
        "channel", "film", type="content", start=film.isoformat(), duration=5,
        replacement=f"{two.demo_url}/demo/ads/creative/meadow/master.m3u8",
    )  # fmt: skip
    watch([page], 24)
    assert assert_shown_as_told(page) == ["lantern"]
    shown = [run for run in runs(page.seen()) if NAMES[run.asset] in {"lantern", "meadow"}]
    assert [NAMES[run.asset] for run in shown] == ["lantern", "meadow"]
    for run, start, lasts_s in zip(shown, (spots, film), (5.76, 5), strict=True):
        assert began_ms(run) == pytest.approx(start.timestamp() * 1000, abs=UNSURE_MS / 2)
        assert run.last.number == pytest.approx(lasts_s * PICTURES_PER_S, abs=PICTURES_PER_S)


def test_the_check_finds_nothing_to_say(one, two):
    def check(url):
        with httpx.Client() as client:
            return Check(client).run(url, 6)

    urls = [
        f"{server.url}/stream/{service}/{path}"
        for server in (one, two)
        for service, path in (
            ("vod", "master.m3u8"),
            ("told", "master.m3u8"),
            ("live", live_path(BREAK.start)),
            ("preroll", "master.m3u8"),
            ("channel", "master.m3u8"),
        )
    ]
    with ThreadPoolExecutor(len(urls)) as pool:
        for report in pool.map(check, urls):
            # A slot begins when it is set to, and not where a segment of the loop does.
            allowed = {"date-overlap"} if "/channel/" in report.url else set()
            found = [one for one in report.findings if one.rule not in allowed]
            assert found == [], report.url
            assert report.session
            assert report.tracking.answers
