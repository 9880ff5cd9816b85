"""The demo's player in a real browser: hls.js plays, and what was on the screen is read from it.

The top row of every picture says which asset it is and its number; that is the witness, not the
player's own account.
"""

from __future__ import annotations

import itertools
import sys
import threading
import time
from pathlib import Path

import pytest
import uvicorn
from starlette.applications import Starlette

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "processes"))

from driving import CHROMEDRIVER, CHROMIUM, Browser  # noqa: E402 - found by the line before
from running import eventually  # noqa: E402
from watching_streams import PER_SEGMENT, PICTURES_PER_S, Player, runs  # noqa: E402

from footfall import demo  # noqa: E402
from footfall.demo.media import ASSETS, SEGMENT_US  # noqa: E402

pytestmark = pytest.mark.slow

if None in {CHROMIUM, CHROMEDRIVER} or sys.platform != "linux":
    pytest.skip(
        "needs Linux with chromium and chromedriver (Debian: apt-get install chromium "
        "chromium-driver); the demo's player was not tried",
        allow_module_level=True,
    )


@pytest.fixture(scope="module")
def origin():
    """The demo by itself, and where it answers."""
    app = Starlette(routes=demo.routes())
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    eventually(lambda: server.started, "the demo is served", 10)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(10)


@pytest.fixture
def browser(tmp_path):
    browser = Browser(tmp_path / "profile")
    yield browser
    browser.close()


def test_the_original_plays_from_its_start_to_its_end(origin, browser):
    page = Player(browser, origin, url="/demo/origin/vod/master.m3u8", rate=8)
    page.ended(30)
    main = ASSETS["main"]
    (shown,) = runs(page.seen())
    assert shown.asset == main.number
    assert shown.first.number < 4 * PICTURES_PER_S, "the witness came late"
    assert shown.last.number >= main.segments * PER_SEGMENT - 8
    assert page.log("fault") == []
    assert "plain stream" in browser.run("return document.getElementById('session').textContent")


def test_the_live_stream_plays_over_its_own_start(origin, browser):
    # Three segments from the end of the programme at the edge, and it goes 4 times as fast.
    start = time.time()
    at = round(start * 1e6) // SEGMENT_US
    phase = (28 - at + demo.live.EPOCH_US // SEGMENT_US) % demo.live.CYCLE
    how = f"speed=4,start={start:.3f},phase={phase}"
    page = Player(browser, origin, url=f"/demo/origin/live/{how}/master.m3u8", rate=4)
    eventually(page.seen, "the first picture", 15)
    page.run_for(10)
    seen = page.seen()
    # Media of 40 s, through the discontinuity where the programme begins anew.
    before, after = runs(seen)
    assert {before.asset, after.asset} == {ASSETS["main"].number}
    assert before.last.number >= ASSETS["main"].segments * PER_SEGMENT - 4
    assert after.first.number < 4
    assert after.last.media_s - before.first.media_s > 30
    gaps = [later.media_s - earlier.media_s for earlier, later in itertools.pairwise(seen)]
    assert 0 < max(gaps) < 1


TRACKING = """
const {Tracking, playing} = await import("/demo/static/tracking.js");
const event = (type, time_ms) => ({type, time_ms, callbackurl: `http://x/${type}`});
const pods = [{id: "a", ads: [{adid: "k", starttime_ms: 1000, duration_ms: 4000, trackingevents: [
  event("impression", 1000), event("start", 1000), event("midpoint", 3000), event("mute", 1000),
  event("complete", 5000)]}], adbreaktrackingevents: [event("breakStart", 1000)]},
  {id: "b", ads: [], adbreaktrackingevents: [event("breakStart", 2000)]}];
const told = (due) => due.map((one) => one.event.type);
"""


@pytest.mark.parametrize(
    ("steps", "told"),
    [
        ("[0, 900, 1010, 1020, 3100, 5100]",
         [[], [], ["breakStart", "impression", "start"], [], ["midpoint"], ["complete"]]),
        ("[0, 2000, -500, 2000]", [[], ["breakStart", "impression", "start"], [], []]),
        ("[1000]", [["breakStart", "impression", "start"]]),
        ("[0, {seek: 2500}, 2600, 3100]", [[], [], ["midpoint"]]),
        ("[900, {seek: 1100}, 1100]", [[], ["breakStart", "impression", "start"]]),
        ("[0, {seek: 6000}, 6000, {seek: 0}, 100, 1100]",
         [[], [], [], ["breakStart", "impression", "start"]]),
    ],
    ids=["in order", "back", "from the start", "seek over", "small hole", "seek back"],
)  # fmt: skip
def test_beacons_are_due_once_and_only_for_what_was_seen(page_of_nothing, steps, told):
    script = f"""return (async () => {{ {TRACKING}
      const tracking = new Tracking(), all = [];
      for (const step of {steps}) {{
        if (step.seek !== undefined) tracking.seek(step.seek);
        else all.push(told(tracking.advance(pods, step)));
      }}
      return all; }})()"""
    assert page_of_nothing.run(script) == told


def test_what_a_viewer_does_is_told_once(page_of_nothing):
    script = f"""return (async () => {{ {TRACKING}
      const tracking = new Tracking(), {{pod, ad}} = playing(pods, 2000);
      return [told(tracking.by(pod, ad, "mute")), told(tracking.by(pod, ad, "mute")),
              playing(pods, 5000), pod.id]; }})()"""
    assert page_of_nothing.run(script) == [["mute"], [], None, "a"]


@pytest.fixture(scope="module")
def page_of_nothing(origin, tmp_path_factory):
    """A browser on one of the demo's addresses, for its modules alone."""
    browser = Browser(tmp_path_factory.mktemp("modules") / "profile")
    browser.open(f"{origin}/demo/about.json")
    yield browser
    browser.close()
