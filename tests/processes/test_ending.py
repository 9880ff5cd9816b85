"""How a server ends, on purpose and not, and what is left then."""

from __future__ import annotations

import os
import signal
import time

import pytest
from load import Load
from running import eventually, is_alive

pytestmark = pytest.mark.slow


def answers(server):
    try:
        return server.get("/readyz").status == 200
    except OSError:
        return False


def test_a_stop_under_load_loses_nothing_and_leaves_nothing(start):
    server = start("--workers", 2)
    with Load(server.port) as load:
        load.wait_for(500)
        before = time.monotonic()
        code = server.stop()
    assert code == 0
    # Whatever had been sent was answered, and each 204 was true.
    assert load.unanswered(before) == []
    assert set(load.answers.values()) == {204}
    assert "control.sock" not in os.listdir(server.data)
    assert [line for line in server.log() if line["level"] != "info"] == []
    load.check(server.data)


def test_ctrl_c_ends_as_cleanly(start):
    server = start()
    with Load(server.port, clients=2) as load:
        load.wait_for(50)
        server.children()
        server.signal(signal.SIGINT)
        assert server.ended() == 0
    load.check(server.data)


def test_a_stop_while_it_starts_is_a_stop(start):
    for seconds in (0.3, 0.6, 0.9):
        server = start(ready=False)
        time.sleep(seconds)
        server.signal(signal.SIGTERM)
        assert server.ended() in {0, -signal.SIGTERM}
    start()


def test_all_die_with_the_supervisor_and_the_next_start_follows_at_once(start):
    server = start("--workers", 2)
    with Load(server.port) as load:
        load.wait_for(200)
        children = server.children()
        server.kill()
        second = start()  # on the same directory, at once
        assert not any(map(is_alive, children))
        load.port = second.port
        load.wait_for(200)
    load.check(second.data)


@pytest.mark.parametrize("name", ["collector-0", "worker"])
def test_a_child_that_dies_is_started_again(start, name):
    server = start("--workers", 2)
    with Load(server.port) as load:
        load.wait_for(200)
        first = server.child(name)
        os.kill(first, signal.SIGKILL)
        # The others go on meanwhile.
        load.wait_for(200)
        assert server.child(name) != first
        eventually(lambda: "running" in server.status(), "status is answered")
        load.wait_for(200)
        (line,) = server.log("child ended")
        assert (line["child"], line["code"]) == (name, -signal.SIGKILL)
        load.stop()
    load.check(server.data)


def test_a_child_that_keeps_dying_is_given_time(start):
    """Each wait is longer than the one before it, up to a bound."""
    server = start()
    for _ in range(3):
        os.kill(server.child("worker"), signal.SIGKILL)
        count = len(server.log("child ended"))
        eventually(lambda count=count: len(server.log("child ended")) > count, "it is noted")
    waits = [line["restart_in_s"] for line in server.log("child ended")]
    assert waits == sorted(set(waits)), waits
    assert answers(server)  # nothing of this is a collector's matter


def test_nobody_needs_to_read_what_it_prints(start, tmp_path):
    """Its reader may go away: `footfall serve | head -1`."""
    file = tmp_path / "footfall.toml"
    file.write_text("")
    server = start()
    server.process.stdout.close()
    file.write_text("[server")
    server.signal(signal.SIGHUP)
    os.kill(server.child("worker"), signal.SIGKILL)
    eventually(lambda: server.log("child ended"), "it looks after its children")
    assert answers(server)
    assert server.stop() == 0
