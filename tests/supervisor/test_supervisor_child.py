"""One child: started with its orders, awaited, put off where it ends, and made to end."""

from __future__ import annotations

import json
import os
import select
import sys
import time

import pytest

from footfall.supervisor import child as module
from footfall.supervisor.child import Child

READ = "import json, os, signal, sys, time\norders = json.loads(sys.argv[1])\n"
READY = "os.write(orders['ready'], b'1')\n"
STAY = "time.sleep(60)\n"


@pytest.fixture
def started(monkeypatch):
    """Starts a child that runs a program; all of them are ended with the test."""
    children = []

    def start(program, *, role="collector", orders=None, fds=(), environment=None):
        child = Child(role)
        monkeypatch.setattr(module, "CHILD_COMMAND", (sys.executable, "-S", "-c", READ + program))
        child.start(orders or {}, fds, environment or {})
        children.append(child)
        return child

    yield start
    for child in children:
        child.end(0)


def until(condition):
    deadline = time.monotonic() + 10
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.002)
    return found


def ended(child):
    """Its exit code, once it has ended."""
    return until(lambda: [code] if (code := child.look()) is not None else [])[0]


def become_ready(child):
    assert select.select(child.awaited, [], [], 10)[0]
    assert child.look() is None
    assert child.ready
    assert child.awaited == []


def logged(capsys):
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_it_gets_its_orders_what_it_inherits_and_memory_as_its_role_wants_it(started):
    read, write = os.pipe()
    program = (
        "told = {'role': orders['role'], 'name': orders['name'], 'x': orders['x'],\n"
        "        'memory': os.environ['MALLOC_MMAP_THRESHOLD_'],\n"
        "        'trim': os.environ['MALLOC_TRIM_THRESHOLD_']}\n"
        "os.write(orders['out'], json.dumps(told).encode())\n"
    )
    started(
        program,
        role="worker",
        orders={"x": [1], "out": write},
        fds=(write,),
        environment={"MALLOC_TRIM_THRESHOLD_": "7"},
    )
    os.close(write)
    with open(read, "rb") as told:
        assert json.load(told) == {
            "role": "worker",
            "name": "worker",
            "x": [1],
            "memory": str(1 << 20),
            "trim": "7",
        }


def test_it_is_ready_when_it_says_so(started):
    child = started(READY + STAY)
    assert not child.ready
    become_ready(child)
    assert not child.is_due()


def test_one_that_ends_without_a_word_was_never_ready(started, capsys):
    child = started("sys.exit(3)")
    assert ended(child) == 3
    assert not child.ready
    assert child.awaited == []
    assert child.look() is None, "its end is told once"
    (line,) = logged(capsys)
    assert (line["event"], line["child"], line["code"]) == ("child ended", "collector-0", 3)


def test_the_wait_grows_with_every_failure_and_is_forgotten_after_a_steady_run(
    started, monkeypatch, capsys
):
    monkeypatch.setattr(module, "RESTART_SECONDS", (0.0, 60.0, 120.0))
    child = started("")
    waits = [0]
    for steady in (10.0, 10.0, 10.0, -1.0):
        ended(child)
        waits.append(logged(capsys)[0]["restart_in_s"])
        assert child.is_due() == (waits[-1] == 0)
        monkeypatch.setattr(module, "STEADY_SECONDS", steady)
        child.start({}, (), {})
    ended(child)
    assert waits[1:] == [60, 120, 120, 120]
    assert logged(capsys)[0]["restart_in_s"] == 0
    assert child.is_due()


def test_one_that_cannot_be_started_is_put_off(started, monkeypatch, capsys):
    child = started(STAY)
    child.end(0)
    monkeypatch.setattr(module, "CHILD_COMMAND", ("/nowhere/at-all",))
    child.start({}, (), {})
    assert (child.look(), child.awaited, child.is_due()) == (None, [], False)
    assert logged(capsys)[0]["event"] == "child not started: No such file or directory"


RELOADS = "signal.signal(signal.SIGHUP, lambda *_: sys.exit(5))\n"


def test_a_reload_is_put_to_it_at_once_where_it_is_ready(started):
    child = started(RELOADS + READY + STAY)
    become_ready(child)
    child.reload()
    assert ended(child) == 5


def test_a_reload_waits_until_it_is_ready(started):
    read, write = os.pipe()
    child = started(
        RELOADS + "os.read(orders['go'], 1)\n" + READY + STAY, orders={"go": read}, fds=(read,)
    )
    child.reload()
    assert child.look() is None
    os.write(write, b"x")
    assert ended(child) == 5
    os.close(read)
    os.close(write)


def test_one_that_does_not_run_needs_no_reload(started):
    child = started("")
    ended(child)
    child.reload()
    child.start({}, (), {})
    assert ended(child) == 0


def test_it_has_time_to_end_and_is_killed_after_that(started):
    orderly = started("signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\n" + READY + STAY)
    become_ready(orderly)
    deaf = started("signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + READY + STAY)
    become_ready(deaf)
    began = time.monotonic()
    for child in (orderly, deaf):
        child.terminate()
    orderly.end(began + 10)
    assert time.monotonic() - began < 5
    deaf.end(time.monotonic() + 0.05)
    assert time.monotonic() - began < 5
    assert not orderly.ready
    assert not deaf.ready
    assert orderly.is_due(), "nothing keeps it from being started again"
