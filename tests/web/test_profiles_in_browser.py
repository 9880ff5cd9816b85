"""Profiles in the console, in a real browser: from the requests of visitors to what an operator sees."""

from __future__ import annotations

import sys
from pathlib import Path

import httpx
import pytest

for folder in ("processes", "console"):
    sys.path.insert(0, str(Path(__file__).parents[1] / folder))

from driving import CHROMEDRIVER, CHROMIUM, Browser  # noqa: E402 - found by the lines before
from running import eventually  # noqa: E402
from test_console_served import Served  # noqa: E402

pytestmark = pytest.mark.slow

if None in {CHROMIUM, CHROMEDRIVER} or sys.platform != "linux":
    pytest.skip(
        "needs Linux with chromium and chromedriver (Debian: apt-get install chromium "
        "chromium-driver); the console was not looked at in a browser",
        allow_module_level=True,
    )

EMAIL = "anna@example.org"
MARKUP = "<b id='injected'>Anna</b>"


@pytest.fixture
def served(tmp_path):
    server = Served(tmp_path)
    yield server
    server.end()


@pytest.fixture
def browser(tmp_path):
    browser = Browser(tmp_path / "profile")
    yield browser
    browser.close()


class Visitor:
    """Somebody's device: its own profile id, kept from answer to answer."""

    def __init__(self, url):
        self.url, self.profile = url, None

    def track(self, session, *events):
        answer = httpx.post(
            f"{self.url}/track",
            json={
                "source": {"id": "dev"},
                "session": {"id": session},
                "profile": self.profile and {"id": self.profile},
                "events": [{"type": kind, "properties": about} for kind, about in events],
            },
        )
        assert answer.status_code == 200, answer.text
        self.profile = answer.json()["profile"]["id"]


def text(browser):
    """What is seen of the page, as the browser lays it out."""
    return browser.run("return document.querySelector('main').innerText")


def follow(browser, words):
    """Click the link that says `words`, and wait for the page behind it."""
    browser.run(f"""
        document.documentElement.dataset.left = "";
        [...document.querySelectorAll("main a")].find(a => a.textContent == "{words}").click()""")
    there = "return !('left' in document.documentElement.dataset) && document.readyState"
    eventually(lambda: browser.run(there) == "complete", words)


def test_who_was_seen_and_who_that_is(served, browser):
    phone, laptop = Visitor(served.tracking), Visitor(served.tracking)
    phone.track("s-phone", ("page-view", {}), ("sign-in", {"email": EMAIL}))
    laptop.track("s-laptop", ("page-view", {}), ("consent-granted", {"mail": True, "ads": False}))
    alone = laptop.profile
    laptop.track("s-laptop", ("sign-in", {"email": EMAIL, "firstname": MARKUP}))
    assert laptop.profile == phone.profile != alone
    laptop.track("s-laptop", ("visit-ended", {}))

    browser.open(served.url)  # with the token, which becomes a cookie

    def listed():
        browser.open(f"{served.console}/console/profiles?id={alone}")
        return "No profile has" not in text(browser) and "2\t6\t" in text(browser)

    eventually(listed, "all is loaded")
    assert "Found at any time" in text(browser)
    assert "1 alias" in text(browser)
    browser.open(f"{served.console}/console/profiles")
    shown = text(browser)
    for figure in ("Profiles seen\n1", "New ones\n1", "Visits\n2", "granted\n100 % 1"):
        assert figure in shown
    bars = browser.run("""
        return [...document.querySelectorAll(".chart .bar")].map(bar => bar.getBBox().height)""")
    assert len(bars) == 2
    assert bars[0] == bars[1] > 50  # one new profile of one

    follow(browser, phone.profile)
    shown = text(browser)
    assert "firstname\t" + MARKUP in shown
    assert "email.main\t" + EMAIL in shown
    assert f"{alone}\tthe same e-mail" in shown
    assert "ads\trefused" in shown
    assert "mail\tgranted" in shown
    assert "tracardi\tended\t" in shown
    assert browser.run("return document.getElementById('injected')") is None
    assert shown.index("Timeline") < shown.index("visit-ended") < shown.rindex("page-view")
    # Nothing is wider than the window, down to a telephone's.
    for width in (1200, 500):
        browser.size(width, 900)
        assert browser.run("return document.documentElement.scrollWidth <= innerWidth")

    follow(browser, "s-laptop")
    follow(browser, phone.profile)
    assert "took over" not in text(browser)
    browser.open(f"{served.console}/console/profile?profile_id={alone}")
    assert f"This profile took over {alone}: the same e-mail" in text(browser)
