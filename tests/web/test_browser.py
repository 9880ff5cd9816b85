"""The vendor's own JavaScript in a real browser, over HTTPS, against a real collector.

A page of this test runs the functions of `tracking.js` and posts what they returned.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import shutil
import signal
import ssl
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from served import KEY, PATIENCE, Served, certificate, source

from footfall.collect.protocols import installed
from footfall.settings import Server

pytestmark = pytest.mark.slow

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
if CHROMIUM is None or shutil.which("openssl") is None:
    pytest.skip(
        "no chromium or no openssl on this machine (Debian: apt-get install chromium openssl); "
        "the vendor's JavaScript was not run in a browser",
        allow_module_level=True,
    )

TRACKING = (Path(__file__).parent / "tracking.js").read_text()
SITE = "shop.localhost"
"""Browsers take every name under localhost for this machine, and the part before it for a site."""

PAGE = """<!doctype html>
<meta charset="utf-8">
<script>
let stored = null;
function saveSessionId(id) { stored = id; }
function getStoredSessionId() { return stored; }
function clearSessionId() { stored = null; }
const session = 'https://your-api-domain/v1/playouts/tracking/session';
</script>
<script src="/tracking.js"></script>
<script>
async function scenario() {
%s
}
scenario().catch(error => ({failed: String(error)})).then(result =>
  fetch('/result', {method: 'POST', body: JSON.stringify(result)}));
</script>
"""


class Pages:
    """The customer's web server: one page with its script, and a place for its results."""

    def __init__(self, cert, key):
        pages = self
        self.results = queue.Queue()
        self.api = ""
        self.script = ""

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                is_script = self.path == "/tracking.js"
                text = TRACKING if is_script else PAGE % pages.script
                text = text.replace("https://your-api-domain", pages.api)
                self.reply(
                    200 if is_script or self.path == "/page" else 404,
                    "text/javascript" if is_script else "text/html",
                    text.replace("your_api_key_here", KEY).encode(),
                )

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                pages.results.put(json.loads(body))
                self.reply(204, "text/plain", b"")

            def reply(self, status, kind, body):
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_args):
                pass

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def origin(self, host):
        return f"https://{host}:{self.port}"


@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    return certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def pages(tls):
    pages = Pages(*tls)
    yield pages
    pages.server.shutdown()
    pages.server.server_close()


@pytest.fixture
def footfall(tls, pages):
    cert, key = tls
    listed = (pages.origin(f"www.{SITE}"), pages.origin("app.elsewhere.localhost"))
    sources = (source(protocols=("jay", "vaix"), origins=listed),)
    protocols = [protocol for protocol in installed() if protocol.name in {"jay", "vaix"}]
    server = Server(tls_certificate=str(cert), tls_key=str(key))
    with Served(protocols=protocols, sources=sources, server=server) as running:
        pages.api = f"https://track.{SITE}:{running.port}"
        yield running
    running.assert_quiet()


@contextlib.contextmanager
def browser(url, profile):
    process = subprocess.Popen(
        [
            CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
            "--no-first-run", "--disable-background-networking", "--disable-component-update",
            "--disable-sync", "--disable-dev-shm-usage", "--ignore-certificate-errors",
            "--remote-debugging-port=0", f"--user-data-dir={profile}", url,
        ],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(PATIENCE)


@pytest.fixture
def run(pages, tmp_path):
    """Run a script in a page of a host; what it returns."""

    def run_in_page(host, script):
        pages.script = script
        with browser(f"{pages.origin(host)}/page", tmp_path / "profile"):
            return pages.results.get(timeout=60)

    return run_in_page


def events(footfall):
    return [json.loads(line) for line in footfall.events().splitlines()]


COOKIE_LIFE = """
  const created = await createTrackingSession('user-123-xyz');
  const checked = await checkTrackingSession();
  const visible = document.cookie;
  const second = await createTracking();
  const checkedSecond = await checkTrackingSession();
  const ended = await endTrackingSession();
  const after = await checkTrackingSession();
  const again = await endTrackingSession();
  return {created, checked, visible, second, checkedSecond, ended, after, again};
"""


def test_a_session_by_cookie_on_a_page_of_the_same_site(footfall, run):
    result = run(f"www.{SITE}", COOKIE_LIFE)
    assert "failed" not in result, result
    created = result["created"]
    assert set(created) == {"session_id", "start_time", "source", "user_id"}
    assert (created["source"], created["user_id"]) == ("jay.api.playout.1.0.0", "user-123-xyz")
    assert result["checked"] == created, "the browser kept the cookie and sent it back"
    assert result["visible"] == "", "HttpOnly"
    assert "user_id" not in result["second"]
    assert result["checkedSecond"] == result["second"], "the newer cookie took the older's place"
    assert (result["ended"], result["after"], result["again"]) == (True, None, True)
    first, second = created["session_id"], result["second"]["session_id"]
    assert [(event["type"], event["session_id"]) for event in events(footfall)] == [
        ("session_start", first), ("session_start", second), ("session_end", second),
    ]  # fmt: skip


def test_an_origin_that_is_not_listed_is_refused_by_the_browser(footfall, run):
    result = run(
        f"stranger.{SITE}",
        """
  const created = await createTrackingSession('user-1');
  const checked = await checkTrackingSession();
  const ended = await endTrackingSession();
  let error = null;
  await fetch(session, {headers: {'X-API-Key': 'your_api_key_here'}}).catch(e => error = e.name);
  return {created, checked, ended, error};
""",
    )
    assert result == {"created": None, "checked": None, "ended": False, "error": "TypeError"}
    assert events(footfall) == [], "not even the preflight let it through"


HEADER_LIFE = """
  const id = await setupTracking('user-7');
  const found = await fetchWithTracking(session);
  const ended = await deleteTrackingSession();
  saveSessionId(id);
  const after = await fetchWithTracking(session);
  const response = await fetch(session, {
    method: 'POST', headers: {'X-API-Key': 'your_api_key_here'}});
  const header = response.headers.get('__Secure-jay_tracking');
  const version = response.headers.get('x-jay-api-version');
  return {id, found, ended, after, header, version, own: (await response.json()).session_id};
"""


@pytest.mark.parametrize("host", [f"www.{SITE}", "app.elsewhere.localhost"])
def test_a_session_by_header_on_a_page_of_any_listed_site(footfall, run, host):
    result = run(host, HEADER_LIFE)
    assert "failed" not in result, result
    assert result["found"]["session_id"] == result["id"]
    assert result["found"]["user_id"] == "user-7"
    assert result["ended"] is True
    assert result["after"]["error"]["code"] == "1001"
    assert result["header"] == result["own"], "pages may read the header"
    assert result["version"] == "2025-05-19"


def test_a_cookie_does_not_reach_across_sites(footfall, run):
    """The documented limit of cookies: a page of another site needs the header."""
    result = run("app.elsewhere.localhost", COOKIE_LIFE)
    assert result["created"]["user_id"] == "user-123-xyz"
    assert result["checked"] is None
    assert result["visible"] == ""
