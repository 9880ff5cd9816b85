"""A real nginx in front of a small API, with the configuration of `docs/protocol-mirror.md`.

The page's own lines are what nginx runs on here; only addresses and the key are put in.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import textwrap
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from served import KEY, PATIENCE, GatedJournal, Served, source

from footfall.collect.protocols import installed
from footfall.settings import Server

pytestmark = pytest.mark.slow

PAGE = Path(__file__).parents[2] / "docs" / "protocol-mirror.md"
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
if NGINX is None:
    pytest.skip(
        "no nginx on this machine (Debian: apt-get install nginx-light); "
        "the documented mirror configuration was not run",
        allow_module_level=True,
    )

SESSION = "/v1/playouts/tracking/session"


class Api(BaseHTTPRequestHandler):
    """The customer's own API: answers everything, and never hears of Footfall."""

    protocol_version = "HTTP/1.1"

    def answer(self):
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        told = json.dumps({"method": self.command, "path": self.path, "body": body.decode()})
        self.send_response(200)
        self.send_header("Content-Length", str(len(told)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(told.encode())

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_OPTIONS = answer  # noqa: N815 - http.server's

    def log_message(self, *_args):
        pass


@pytest.fixture(scope="module")
def api():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def nginx(folder: Path, api: int, footfall: int):
    """nginx with the page's `server` block; gives its port."""
    (block,) = re.findall(
        r"^    server \{\n.*?^    \}\n", PAGE.read_text(), re.DOTALL | re.MULTILINE
    )
    port = free_port()
    block = textwrap.dedent(block)
    for written, meant in [
        ("server {", f"server {{\n    listen 127.0.0.1:{port};"),
        ("http://your-api", f"http://127.0.0.1:{api}"),
        ("127.0.0.1:8080", f"127.0.0.1:{footfall}"),
        ("the key of your source", KEY),
    ]:
        assert block.count(written) == 1, written
        block = block.replace(written, meant)
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"daemon off;\npid {folder}/pid;\nerror_log {folder}/error.log warn;\n"
        f"worker_processes 1;\nevents {{ }}\nhttp {{\naccess_log off;\n{temporary}{block}}}\n"
    )
    process = subprocess.Popen(
        [
            NGINX,
            "-p",
            str(folder),
            "-c",
            str(folder / "nginx.conf"),
            "-e",
            str(folder / "error.log"),
        ],
        stderr=subprocess.PIPE,
    )
    try:
        until(lambda: listens(port) or process.poll() is not None)
        assert process.poll() is None, process.stderr.read().decode()
        yield port
    finally:
        process.terminate()
        process.wait(PATIENCE)


def until(condition):
    give_up = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < give_up, "it did not come about"
        time.sleep(0.02)


def listens(port) -> bool:
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    return False


def ask(port, method, path, body=None, headers=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    with contextlib.closing(connection):
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read(), answer.headers


@pytest.fixture
def workspace(tmp_path):
    if os.getuid() == 0:
        # nginx's worker is nobody then, and pytest's folders are their owner's only.
        for folder in (tmp_path, *tmp_path.parents):
            if folder.stat().st_uid or folder.stat().st_mode & 0o005 == 0o005:
                break
            folder.chmod(0o755)
    return tmp_path


@pytest.fixture
def footfall():
    protocols = [p for p in installed() if p.name in {"jay", "mirror"}]
    sources = (source(protocols=("jay", "mirror")),)
    server = Server(trusted_proxies=("127.0.0.1/32",))
    with Served(protocols=protocols, sources=sources, server=server) as running:
        yield running
    running.assert_quiet()


def recorded(footfall, number):
    def requests():
        events = map(json.loads, footfall.events().splitlines())
        return [event for event in events if event["protocol"] == "mirror"]

    footfall.wait_for(lambda: len(requests()) >= number, "the recorded requests")
    return requests()


def begin_session(footfall):
    status, body, _ = ask(footfall.port, "POST", SESSION, headers={"X-API-Key": KEY})
    assert status == 200
    return json.loads(body)["session_id"]


def test_requests_are_recorded_with_their_session(footfall, api, workspace):
    session = begin_session(footfall)
    cookie = f"a=b; __Secure-jay_tracking={session}"
    with nginx(workspace, api, footfall.port) as port:
        told = [
            ask(port, "GET", "/v1/items/caf%C3%A9?token=secret", headers={"Cookie": cookie}),
            ask(port, "POST", "/v1/orders", b'{"password": 1}', {"Cookie": cookie}),
            ask(port, "DELETE", "/v1/orders/7", headers={"__Secure-jay_tracking": session}),
            ask(
                port,
                "PUT",
                "/v1/orders/8",
                b"x",
                {"X-JAY-TRACKING": session, "User-Agent": "shop/1"},
            ),
            ask(port, "HEAD", "/v1/items"),
            ask(port, "OPTIONS", "/v1/items", headers={"Origin": "https://www.example.com"}),
        ]
        assert [status for status, *_ in told] == [200] * 6
        assert json.loads(told[1][1]) == {
            "method": "POST", "path": "/v1/orders", "body": '{"password": 1}',
        }  # fmt: skip
        events = recorded(footfall, 6)
    by_method = {event["properties"]["method"]: event for event in events}
    assert {method: event["page"] for method, event in by_method.items()} == {
        "GET": "/v1/items/café", "POST": "/v1/orders", "DELETE": "/v1/orders/7",
        "PUT": "/v1/orders/8", "HEAD": "/v1/items", "OPTIONS": "/v1/items",
    }  # fmt: skip
    for method in ("GET", "POST", "DELETE", "PUT"):
        assert by_method[method]["session_id"] == session, method
        assert by_method[method]["properties"]["jay_session_id"] == session
    for method in ("HEAD", "OPTIONS"):
        assert "session_id" not in by_method[method]
    assert all(event["type"] == "request" for event in events)
    assert all(event["properties"]["host"] == "127.0.0.1" for event in events)
    assert by_method["PUT"]["context"]["user_agent"] == "shop/1"
    stored = footfall.events()
    assert b"secret" not in stored
    assert b"password" not in stored
    assert footfall.rejects() == b""


def test_a_compressed_and_a_large_body(footfall, api, workspace):
    with nginx(workspace, api, footfall.port) as port:
        compressed = ask(port, "POST", "/v1/a", b"x" * 100, {"Content-Encoding": "gzip"})
        large = ask(port, "POST", "/v1/b", b"x" * 900_000)
        assert (compressed[0], large[0]) == (200, 200)
        assert len(json.loads(large[1])["body"]) == 900_000
        pages = {event["page"] for event in recorded(footfall, 2)}
    assert pages == {"/v1/a", "/v1/b"}
    assert footfall.rejects() == b""


def test_without_footfall_the_api_answers_as_ever(api, workspace):
    with nginx(workspace, api, free_port()) as port:
        for number in range(20):
            status, body, _ = ask(port, "GET", f"/v1/{number}")
            assert (status, json.loads(body)["path"]) == (200, f"/v1/{number}")
    assert "Connection refused" in (workspace / "error.log").read_text()


def test_a_footfall_that_stalls_keeps_nobody_waiting(api, workspace):
    journal = GatedJournal()
    protocols = [p for p in installed() if p.name == "mirror"]
    sources = (source(protocols=("mirror",)),)
    with (
        Served(protocols=protocols, sources=sources, journal=journal) as stalled,
        nginx(workspace, api, stalled.port) as port,
    ):
        for number in range(20):
            status, body, _ = ask(port, "GET", f"/v1/{number}")
            assert (status, json.loads(body)["path"]) == (200, f"/v1/{number}")
        stalled.wait_for(lambda: journal.commits)
        assert stalled.events() == b"", "the answers came while nothing was stored"
        journal.open()
        assert len(recorded(stalled, 20)) == 20


def test_a_footfall_that_is_dead_to_the_world_holds_no_connection_for_long(api, workspace):
    """Accepts and says nothing. The next request of the same client comes through all the same."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(100)
        with nginx(workspace, api, deaf.getsockname()[1]) as port:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
            with contextlib.closing(connection):
                for number in range(3):
                    connection.request("GET", f"/v1/{number}")
                    answer = connection.getresponse()
                    assert json.loads(answer.read())["path"] == f"/v1/{number}"
