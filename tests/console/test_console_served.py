"""The console of a server as an operator starts it: the announced URL, and where the token is not."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

pytestmark = pytest.mark.slow

FOOTFALL = [sys.executable, "-m", "footfall.cli"]
CHROMIUM = shutil.which("chromium")
LINE = re.compile(r"accepts requests on (\S+), console on ((\S+)/console\?token=(\S+))\n")


class Served:
    def __init__(self, folder, **environment) -> None:
        self.folder = folder
        self.log = folder / "log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [*FOOTFALL, "serve", "--dev", "--port", "0", "--console-port", "0"],
                cwd=folder, stdout=subprocess.PIPE, stderr=log, text=True,
                env=os.environ | environment,
            )  # fmt: skip
        found = LINE.search(self.process.stdout.readline())
        assert found, self.log.read_text()
        self.tracking, self.url, self.console, self.token = found.groups()

    def children(self):
        """By role: process ids."""
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        found = {}
        for pid in path.read_text().split():
            role = re.search(rb'"role": "(\w+)"', Path(f"/proc/{pid}/cmdline").read_bytes())
            if role:
                found[role[1].decode()] = int(pid)
        return found

    def end(self):
        self.process.terminate()
        try:
            assert self.process.wait(60) == 0
        finally:
            self.process.kill()
            self.process.stdout.close()


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    server = Served(tmp_path_factory.mktemp("served"))
    yield server
    server.end()


def eventually(look, what):
    deadline = time.monotonic() + 30
    while not (found := look()):
        assert time.monotonic() < deadline, what
        time.sleep(0.1)
    return found


def test_the_announced_url_leads_to_what_was_tracked(served):
    sent = httpx.post(
        f"{served.tracking}/api/tracker/events",
        headers={"Authorization": "Bearer dev-key", "x-vaix-client-id": "demo"},
        json={
            "event_type": "clicks:event",
            "user_id": "<b>anna</b>",
            "data": {"page": "/home", "location": "widget:top", "event_id": "1"},
        },
    )
    assert sent.status_code == 204
    with httpx.Client(follow_redirects=True) as browser:
        page = browser.get(served.url)
        assert page.status_code == 200
        assert str(page.url) == f"{served.console}/console"
        events = f"{served.console}/console/events"
        eventually(lambda: "&lt;b&gt;anna" in browser.get(events).text, "the event is not shown")
        origin = {"Origin": served.console}
        run = browser.post(
            f"{served.console}/console/sql",
            data={"sql": "SELECT user_id FROM events"},
            headers=origin,
        )
        assert "&lt;b&gt;anna" in run.text
    overview, headers = (
        f"{served.console}/console/api/overview",
        {"Authorization": f"Bearer {served.token}"},
    )
    # An overview serves for a second, so the one from before the event may be met first.
    eventually(lambda: httpx.get(overview, headers=headers).json()["events"], "no event is counted")
    assert httpx.get(f"{served.console}/console/events").status_code == 401


def test_the_token_is_in_the_announced_line_and_nowhere_else(served):
    token = served.token.encode()
    children = served.children()
    assert set(children) == {"collector", "worker"}
    for pid in (served.process.pid, *children.values()):
        assert token not in Path(f"/proc/{pid}/cmdline").read_bytes()
    assert token not in Path(f"/proc/{children['collector']}/environ").read_bytes()
    assert token not in served.log.read_bytes()
    status = subprocess.run(
        [*FOOTFALL, "status"], cwd=served.folder, capture_output=True, timeout=60, check=True
    )
    assert token not in status.stdout + status.stderr
    kept = [path for path in (served.folder / "footfall-data").rglob("*") if path.is_file()]
    assert kept
    assert not any(token in path.read_bytes() for path in kept)


def test_a_worker_that_was_started_again_takes_the_same_token(served):
    headers = {"Authorization": f"Bearer {served.token}"}
    first = served.children()["worker"]
    os.kill(first, signal.SIGKILL)
    eventually(lambda: served.children().get("worker") not in (None, first), "no other worker")
    # The port was kept meanwhile: this waits for the new worker instead of being refused.
    answer = httpx.get(f"{served.console}/console/api/overview", headers=headers, timeout=60)
    assert answer.status_code == 200


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_a_browser_opens_the_announced_url(served, tmp_path):
    """The cookie passes the redirect, and the script runs under the policy."""
    result = subprocess.run(
        [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", f"--user-data-dir={tmp_path}", "--virtual-time-budget=3000",
         "--dump-dom", served.url],
        capture_output=True, text=True, timeout=90, check=True,
    )  # fmt: skip
    assert "Events, last hour" in result.stdout
    assert '<span class="pulse">' in result.stdout  # the script has shown it


def test_an_operator_s_token_stays(tmp_path):
    token = "chosen-by-the-operator"
    server = Served(tmp_path, FOOTFALL_CONSOLE_TOKEN=token)
    assert server.token == token
    assert httpx.get(server.url).status_code == 303
    assert (
        token.encode() not in Path(f"/proc/{server.children()['collector']}/environ").read_bytes()
    )
    server.end()


def test_a_token_that_can_be_guessed_starts_nothing(tmp_path):
    result = subprocess.run(
        [*FOOTFALL, "serve", "--dev", "--port", "0", "--console-port", "0"],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
        env=os.environ | {"FOOTFALL_CONSOLE_TOKEN": "guess"},
    )  # fmt: skip
    assert result.returncode == 1
    assert "FOOTFALL_CONSOLE_TOKEN must be" in result.stderr
    assert "F101" in result.stderr
    assert "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == []
