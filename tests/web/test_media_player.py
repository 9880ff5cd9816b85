"""A video in a real browser, tracked across origins: the metrics agree with what was on the screen.

The page (`media_player/`) plays a real clip at its own speed and measures by itself, beside what
it sends; a viewer pauses and seeks, an ad interrupts, and it plays to the end.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "processes"))

from driving import CHROMEDRIVER, CHROMIUM, Browser  # noqa: E402 - found by the line before
from running import eventually  # noqa: E402
from starting import start  # noqa: E402, F401 - pytest finds the fixture here

pytestmark = pytest.mark.slow

FFMPEG = shutil.which("ffmpeg")
if None in {CHROMIUM, CHROMEDRIVER, FFMPEG} or sys.platform != "linux":
    pytest.skip(
        "needs Linux with chromium, chromedriver and ffmpeg (Debian: apt-get install chromium "
        "chromium-driver ffmpeg); no video was tracked in a browser",
        allow_module_level=True,
    )

PING = 1.0
"""Seconds between two pings of the page, and what its metrics may be off by."""
CONTENT_S, AD_S = 14, 3
SEEK_TO, MIDROLL = 10, 11
"""Playheads. Up to the seek there is time enough to look at the session on a slow machine."""
PAUSED_S = 2.0
COMPARED = {
    "content_time_spent_s": "content_s",
    "pause_time_s": "paused_s",
    "ad_time_spent_s": "ad_s",
    "buffer_time_s": "waiting_s",
}
"""Metrics, and the page's record of the same."""
KINDS = {".html": "text/html", ".js": "text/javascript", ".webm": "video/webm"}


class Site:
    """The web server of the page and of its clips; browsers seek with ranges only."""

    def __init__(self, *folders):
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                name = urlsplit(self.path).path.strip("/")
                file = next((f / name for f in folders if name and (f / name).is_file()), None)
                body = file.read_bytes() if file else b""
                self.send_response(206 if (wanted := self.range(body)) else 200 if file else 404)
                if wanted:
                    first, last = wanted
                    self.send_header("Content-Range", f"bytes {first}-{last}/{len(body)}")
                    body = body[first : last + 1]
                self.send_header("Accept-Ranges", "bytes")
                self.send_header("Content-Type", KINDS.get(Path(name).suffix, "text/plain"))
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                with contextlib.suppress(ConnectionError):  # the element has enough for now
                    self.wfile.write(body)

            def range(self, body):
                found = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
                if not found or int(found[1]) >= len(body):
                    return None
                last = len(body) - 1
                return int(found[1]), min(int(found[2] or last), last)

            def log_message(self, *_args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        # Another port is another origin, and another name is another site on top of that.
        self.origin = f"http://player.localhost:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """A folder with the content and an ad: VP8, which every build of Chromium plays."""
    folder = tmp_path_factory.mktemp("clips")
    for name, seconds, source in (("content", CONTENT_S, "testsrc"), ("ad", AD_S, "smptebars")):
        subprocess.run(
            [
                FFMPEG, "-v", "error", "-f", "lavfi",
                "-i", f"{source}=size=160x90:rate=25:duration={seconds}",
                "-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-g", "25",
                str(folder / f"{name}.webm"),
            ],
            check=True, timeout=60,
        )  # fmt: skip
    return folder


@pytest.fixture
def site(clips):
    site = Site(HERE / "media_player", clips)
    yield site
    site.close()


@pytest.fixture
def browser(tmp_path):
    browser = Browser(tmp_path / "profile")
    yield browser
    browser.close()


class Watched:
    """One page that plays, the server that it tells, and what both say."""

    def __init__(self, browser, server, site):
        self.browser, self.server = browser, server
        asked = {
            "tracker": server.url, "ping": round(PING * 1000), "midroll": MIDROLL,
            "content": "content.webm", "ad": "ad.webm",
        }  # fmt: skip
        browser.open(f"{site.origin}/player.html?{urlencode(asked)}")

    def recorded(self):
        """What the browser did so far by the page's own record, in seconds."""
        found = self.browser.run("return recorded()")
        return found | {f"{name}_s": ms / 1000 for name, ms in found["ms"].items()}

    def until(self, is_so, what):
        return eventually(lambda: is_so(self.recorded()), what, 30)

    def row(self):
        (row,) = self.server.query(
            "SELECT state, why, playback, content_time_spent_s, unique_time_played_s, "
            "pause_time_s, pause_events, buffer_time_s, stall_events, ad_time_spent_s, "
            "ad_breaks, ad_starts, ad_completes, content_complete, length_s, events, "
            "late_events, account FROM media_sessions"
        )
        return row

    def look(self):
        """The row of the session while it runs, which has to be what the page did a ping ago."""
        before, row, after = self.recorded(), self.row(), self.recorded()
        assert (row["state"], row["why"], row["content_complete"]) == ("open", None, False)
        for metric, done in COMPARED.items():
            assert before[done] - PING <= row[metric] <= after[done] + PING, (metric, row, after)
        return row


def test_the_metrics_of_a_played_video_are_what_the_browser_did(start, site, browser):  # noqa: F811
    page = Watched(browser, start(), site)

    # It plays, and the row grows with it.
    page.until(lambda seen: seen["content_s"] > 1.2, "the content plays")
    first = page.look()
    assert first["playback"] == "playing"
    page.until(lambda seen: seen["content_s"] > first["content_time_spent_s"] + 2 * PING, "more")
    second = page.look()
    assert second["content_time_spent_s"] > first["content_time_spent_s"]

    # The viewer pauses, plays on, and seeks over what comes next.
    browser.run("viewer.pause()")
    page.until(lambda seen: seen["paused_s"] > PAUSED_S, "the pause lasts")
    third = page.look()
    assert (third["playback"], third["pause_events"]) == ("paused", 1)
    browser.run("viewer.play()")
    played = page.recorded()["content_s"]
    page.until(lambda seen: seen["content_s"] > played + 0.6, "it plays on")
    browser.run(f"viewer.seek({SEEK_TO})")

    # An ad comes, and the content's time stands still.
    page.until(lambda seen: seen["ad_s"] > 0.3, "an ad plays")
    fourth = page.look()
    assert (fourth["ad_breaks"], fourth["ad_starts"]) == (1, 1)
    page.until(lambda seen: seen["showing"] == "ended", "it plays to its end, and all is answered")

    did = page.recorded()
    assert did["content_s"] > 6
    assert did["ad_s"] == pytest.approx(AD_S, abs=PING)
    row = page.row()
    assert (row["state"], row["why"], row["content_complete"]) == ("closed", "ended", True)
    for metric, done in COMPARED.items():
        assert row[metric] == pytest.approx(did[done], abs=PING), (metric, row, did)
    assert row["pause_events"] == did["pauses"] == 2  # the seek is one
    assert (row["ad_breaks"], row["ad_starts"], row["ad_completes"]) == (1, 1, 1)
    assert row["length_s"] == pytest.approx(CONTENT_S, abs=0.1)

    # The browser's own account of what it played, which knows neither clock nor events.
    assert [clip for clip, _ in did["clips"]] == ["content", "ad", "content"]
    of_content = sum(seconds for clip, seconds in did["clips"] if clip == "content")
    assert row["content_time_spent_s"] == pytest.approx(of_content, abs=PING)
    assert row["unique_time_played_s"] == pytest.approx(of_content, abs=PING)
    assert row["ad_time_spent_s"] == pytest.approx(did["clips"][1][1], abs=PING)

    # Nothing that was sent was lost, refused or not understood.
    assert [status for _, status in did["sent"]] == [201] + [204] * (len(did["sent"]) - 1)
    assert (row["events"], row["late_events"]) == (len(did["sent"]), 0)
    assert set(row["account"]["ignored"]) <= {"repeated"}, "the play that follows a break, at most"
    assert page.server.query(
        "SELECT DISTINCT context->>'origin' AS origin FROM events WHERE protocol = 'adobe'"
    ) == [{"origin": site.origin}]
