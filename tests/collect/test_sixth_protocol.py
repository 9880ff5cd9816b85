"""A sixth protocol is one new file: `pebble.py`, served through everything that there is."""

from __future__ import annotations

import gzip
import json
import subprocess

import pebble
import pytest
from served import KEY, SITE, Served, post

from footfall.settings import Limits


@pytest.fixture(scope="module")
def served():
    with Served(protocols=(pebble.PROTOCOL,), limits=Limits(body_bytes=2000)) as running:
        yield running
    running.assert_quiet()


def throw(served, color, body, *headers, key=KEY):
    answer = served.ask(post(body, f"/pebble/{color}", f"X-Pebble-Key: {key}", *headers))
    return answer.status, json.loads(answer.body)


def test_it_decides_stores_and_answers(served):
    assert throw(served, "blue%20grey", b'{"grams":12}') == (200, {"first": True})
    assert throw(served, "blue%20grey", b'{"grams":1.5}') == (200, {"first": False})
    assert throw(served, "red", gzip.compress(b'{"grams":3}'), "Content-Encoding: gzip") == (
        200, {"first": True},
    )  # fmt: skip
    events = [json.loads(line) for line in served.events().splitlines()]
    kept = [(e["protocol"], e["type"], e["page"], e["properties"], e["ip"]) for e in events]
    assert kept == [
        ("pebble", "pebble", "blue grey", {"grams": 12}, "127.0.0.0"),
        ("pebble", "pebble", "blue grey", {"grams": 1.5}, "127.0.0.0"),
        ("pebble", "pebble", "red", {"grams": 3}, "127.0.0.0"),
    ]


def test_two_at_once_are_decided_in_order(served):
    one = post(b'{"grams":1}', "/pebble/twin", f"X-Pebble-Key: {KEY}")
    with served.connect() as client:
        client.send(one * 20)
        firsts = [json.loads(client.answer().body)["first"] for _ in range(20)]
    assert firsts == [True] + [False] * 19


def test_its_refusals_are_worded_counted_and_kept(served):
    assert throw(served, "red", b"{}", key="no") == (
        401,
        {"error": "Send your key in X-Pebble-Key."},
    )
    assert throw(served, "red", b"{}")[1] == {
        "error": "The pebble is not valid.", "grams": "Must be a number.",
    }  # fmt: skip
    assert throw(served, "red", b"[")[0] == 400
    assert throw(served, "red", b"{" + b" " * 2000 + b"}")[0] == 413
    served.wait_for(lambda: len(served.rejects().splitlines()) == 4)
    reasons = [json.loads(line)["reason"] for line in served.rejects().splitlines()]
    assert reasons == ["key_unknown", "content_not_valid", "body_not_valid", "body_too_large"]


def test_what_is_around_it_is_there_for_it(served):
    preflight = (
        f"OPTIONS /pebble/red HTTP/1.1\r\nHost: a\r\nOrigin: {SITE}\r\n"
        "Access-Control-Request-Method: POST\r\n\r\n"
    )
    answer = served.ask(preflight.encode())
    assert answer.status == 204
    assert answer.headers["access-control-allow-origin"] == SITE
    assert answer.headers["access-control-allow-headers"] == "Content-Type, X-Pebble-Key"
    assert served.ask(b"GET /pebble/red HTTP/1.1\r\n\r\n").status == 405
    assert served.ask(b"POST /pebble HTTP/1.1\r\n\r\n").status == 404


def test_curl(served):
    run = subprocess.run(
        ["curl", "-sS", "-i", f"http://127.0.0.1:{served.port}/pebble/green",
         "-H", f"X-Pebble-Key: {KEY}", "-d", '{"grams": 7}'],
        capture_output=True, timeout=20, check=True,
    )  # fmt: skip
    assert run.stdout.startswith(b"HTTP/1.1 200 OK\r\n")
    assert run.stdout.endswith(b'{"first":true}')
