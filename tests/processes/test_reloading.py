"""SIGHUP: sources are read anew, in every process, and nobody is disconnected."""

from __future__ import annotations

import http.client
import re
import signal

import pytest
from running import eventually, run, send

pytestmark = pytest.mark.slow


def block(name):
    """A source with a fresh key: its TOML, and the key."""
    made = run("source", "new", name, "--protocol", "vaix")
    key = made.stderr.rpartition(": ")[2].strip()
    return made.stdout.replace("client_ids = []", "client_ids = '*'"), key


def click(key):
    return {
        "Authorization": f"Bearer {key}", "x-vaix-client-id": "demo",
        "Content-Type": "application/json",
    }  # fmt: skip


BODY = b'{"event_type":"clicks:event","data":{"page":"/","location":"a:b","event_id":"1"}}'


def test_a_source_is_added_under_an_open_connection(start, tmp_path):
    file = tmp_path / "footfall.toml"
    first, key = block("first")
    file.write_text(first)
    server = start("--workers", 2, dev=False)
    late, late_key = block("late")
    connections = [http.client.HTTPConnection("127.0.0.1", server.port) for _ in range(20)]

    def statuses(key):
        path = "/api/tracker/events"
        return {send(c, "POST", path, BODY, click(key)).status for c in connections}

    assert statuses(key) == {204}
    assert statuses(late_key) == {401}
    mine = [connection.sock.getsockname() for connection in connections]

    file.write_text("[server")
    server.signal(signal.SIGHUP)
    assert server.read_line() == "Not reloaded.\n"
    assert "footfall.toml:1: not valid TOML" in server.read_line()
    assert statuses(key) == {204}
    assert server.status()["sources"] == ["first"]

    file.write_text(first + late)
    server.signal(signal.SIGHUP)
    eventually(lambda: statuses(late_key) == {204}, "the new source is taken")
    assert statuses(key) == {204}
    assert [connection.sock.getsockname() for connection in connections] == mine
    eventually(lambda: server.status()["sources"] == ["first", "late"], "the worker knows it too")

    file.write_text(late)
    server.signal(signal.SIGHUP)
    eventually(lambda: statuses(key) == {401}, "the old one is gone")
    assert len(server.children()) == 3
    assert server.log("child ended") == []
    for connection in connections:
        connection.close()


def test_a_reload_that_comes_early_is_not_lost(start, tmp_path):
    """While a child starts it has read the settings already, perhaps, and no handler yet."""
    file = tmp_path / "footfall.toml"
    first, _ = block("first")
    late, late_key = block("late")
    file.write_text(first)
    server = start(ready=False, dev=False)
    eventually(lambda: len(server.children()) == 2, "its children are started")
    file.write_text(first + late)
    server.signal(signal.SIGHUP)
    server.announced()

    def status():
        return server.request("POST", "/api/tracker/events", BODY, click(late_key)).status

    eventually(lambda: status() == 204, "the new source is taken")
    assert server.log("child ended") == []


def test_settings_of_the_server_itself_wait_for_a_restart(start, tmp_path):
    file = tmp_path / "footfall.toml"
    first, key = block("first")
    file.write_text(first)
    server = start(dev=False)
    late, late_key = block("late")
    file.write_text(first + late + "\n[server.limits]\nbody_bytes = 1024\n")
    server.signal(signal.SIGHUP)

    def status(key, body=BODY):
        return server.request("POST", "/api/tracker/events", body, click(key)).status

    eventually(lambda: status(late_key) == 204, "the new source is taken")
    assert status(key, BODY + b" " * 2000) == 204
    assert re.search(r'"reloaded"', server.log_text())
