"""What signals ask for, and that none is slept through."""

from __future__ import annotations

import os
import signal
import time

import pytest

from footfall.supervisor.signals import Signals

LONG = 30.0


def awakened(signals, *fds) -> bool:
    """Whether a long sleep ended early."""
    began = time.monotonic()
    signals.wait(LONG, list(fds))
    return time.monotonic() - began < LONG / 2


@pytest.mark.parametrize(
    ("number", "stop", "reload"),
    [
        (signal.SIGTERM, True, False),
        (signal.SIGINT, True, False),
        (signal.SIGHUP, False, True),
        (signal.SIGCHLD, False, False),
    ],
)
def test_a_signal_that_came_before_the_sleep_ends_it(number, stop, reload):
    signals = Signals()
    with signals.heeded():
        os.kill(os.getpid(), number)
        assert awakened(signals)
        assert (signals.stop, signals.reload) == (stop, reload)
        began = time.monotonic()
        signals.wait(0.02, [])
        assert time.monotonic() - began >= 0.02, "it ends one sleep only"


def test_the_sleep_ends_where_something_can_be_read():
    read, write = os.pipe()
    os.write(write, b"1")
    assert awakened(Signals(), read)
    os.close(read)
    os.close(write)


def test_afterwards_signals_are_heeded_as_before():
    heard = []
    before = signal.signal(signal.SIGHUP, lambda *_: heard.append("before"))
    try:
        signals = Signals()
        with signals.heeded():
            os.kill(os.getpid(), signal.SIGHUP)
        os.kill(os.getpid(), signal.SIGHUP)
        assert (signals.reload, heard) == (True, ["before"])
        assert signal.set_wakeup_fd(-1) == -1
    finally:
        signal.signal(signal.SIGHUP, before)
