"""footfall replay against a server on loopback."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

RECORDING = Path(__file__).parents[1] / "traffic" / "adobe-js-sdk-session.jsonl"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    refuse_from = 10_000

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.server.paths.append(self.path)
        body = b""
        if len(self.server.paths) >= self.refuse_from:
            body = b'{"message": "no\x1b[2J more"}'
            self.send_response(410)
        elif self.path.endswith("/sessions"):
            self.send_response(201)
            self.send_header("location", "/api/v1/sessions/abc")
        else:
            self.send_response(204)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.paths = []
        server.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_recording_that_is_answered_as_recorded(run, server):
    result = run("replay", RECORDING, "--to", server.url, "--no-wait")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.splitlines()[-1] == "22 of 22 answered as recorded"
    assert server.paths[1:] == ["/api/v1/sessions/abc/events"] * 21


def test_what_differs_is_shown(run, server, monkeypatch):
    monkeypatch.setattr(Handler, "refuse_from", 21)
    result = run("replay", RECORDING, "--to", server.url, "--speed", "1000")
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert lines[-1] == "20 of 22 answered as recorded"
    assert [line.split() for line in lines if line.endswith("differs")] == [
        ["21", "POST", "/api/v1/sessions/abc/events", "204", "410", "differs"],
        ["22", "POST", "/api/v1/sessions/abc/events", "204", "410", "differs"],
    ]
    assert '21: {"message": "no�[2J more"}' in lines


def test_what_cannot_be_done_is_said(run, server, tmp_path):
    (tmp_path / "bad.jsonl").write_text("{}\n")
    assert "bad.jsonl:1: " in run("replay", "bad.jsonl", "--to", server.url).stderr
    wrong = [
        (RECORDING, "--to", "127.0.0.1:80"),
        (RECORDING, "--to", server.url, "--source", "x"),
        (RECORDING, "--to", server.url, "--speed", "2", "--no-wait"),
        (RECORDING, "--to", server.url, "--speed", "0"),
        (RECORDING,),
    ]
    assert [run("replay", *arguments).exit_code for arguments in wrong] == [2] * len(wrong)
    assert server.paths == []


def test_nobody_there_is_said(run):
    result = run("replay", RECORDING, "--to", "http://127.0.0.1:1", "--no-wait")
    assert result.exit_code == 1
    assert "F602: " in result.stderr
