"""A real browser that tests drive: Chromium behind chromedriver."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess

import httpx
from running import PATIENCE

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
CHROMEDRIVER = shutil.which("chromedriver")


class Browser:
    """Chromium behind chromedriver, whose interface is W3C's WebDriver over HTTP."""

    def __init__(self, profile):
        self.process = subprocess.Popen(
            [CHROMEDRIVER, "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            text=True, start_new_session=True,
        )  # fmt: skip
        self.session = ""
        try:
            announced = (re.search(r"started .* on port (\d+)", s) for s in self.process.stdout)
            port = next(filter(None, announced))[1]
            self.http = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE)
            flags = (
                "headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "mute-audio",
                "disable-background-networking", "disable-component-update", "disable-sync",
                "disable-dev-shm-usage", f"user-data-dir={profile}",
            )  # fmt: skip
            options = {"binary": CHROMIUM, "args": [f"--{flag}" for flag in flags]}
            asked = {"capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}}
            self.session = "/session/" + self.post("/session", asked)["sessionId"]
        except BaseException:
            self.close()
            raise

    def post(self, path, body):
        answer = self.http.post(path, json=body).json()["value"]
        assert not (isinstance(answer, dict) and "error" in answer), answer
        return answer

    def open(self, url):
        self.post(f"{self.session}/url", {"url": url})

    def size(self, width, height):
        """Of the window, in pixels."""
        self.post(f"{self.session}/window/rect", {"width": width, "height": height})

    def run(self, script):
        """What a script in the page returns."""
        return self.post(f"{self.session}/execute/sync", {"script": script, "args": []})

    def close(self):
        if self.session:
            with contextlib.suppress(httpx.HTTPError):
                self.http.delete(self.session)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGTERM)
        self.process.wait(PATIENCE)
        self.process.stdout.close()
