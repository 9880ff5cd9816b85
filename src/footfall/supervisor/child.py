"""One process that should be running: how it is started, awaited, put off and ended.

A child is `python -m footfall.app` with its orders as JSON. It inherits what its orders name by
descriptor, and the end of a pipe that it writes a byte to when it is ready.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

CHILD_COMMAND = (sys.executable, "-m", "footfall.app")
"""What starts a child; its orders follow as one argument."""
JOURNAL_FAILED = 75
"""A child's exit code when the journal must be verified before anybody writes to it again."""
CHILD_FAILED = 1
"""A child's exit code when it met what it told in words; at the first start nothing goes on."""
RESTART_SECONDS = (0.0, 0.5, 1.0, 2.0, 5.0)
"""Waits before a child is started again, longer each time it fails soon after its start."""
STEADY_SECONDS = 30.0
"""A child that ran for so long has its waits forgotten."""
MEMORY = {
    "worker": {"MALLOC_MMAP_THRESHOLD_": str(1 << 20), "MALLOC_TRIM_THRESHOLD_": str(4 << 20)},
    "collector": {"MALLOC_MMAP_THRESHOLD_": str(32 << 20), "MALLOC_TRIM_THRESHOLD_": str(32 << 20)},
}
"""For glibc's malloc, unless the environment says otherwise. A worker gives back at once what a
batch of megabytes took: left to itself malloc keeps such blocks, 90 MB more under load. A collector
keeps what a group of large requests took for the next one: to have it mapped and cleared anew cost
a fifth of its events in posts of a hundred."""


class Child:
    """One process that should be running."""

    def __init__(self, role: str, index: int = 0) -> None:
        self.role = role
        self.name = role if role == "worker" else f"{role}-{index}"
        self.ready = False
        """It has told that it does its work, and has not ended."""
        self._process: subprocess.Popen[bytes] | None = None
        self._ready_fd = -1
        """Where it tells so; -1 where that is not awaited."""
        self._reload = False
        """Asked for before it was ready; by then it may have read its settings already."""
        self._started = 0.0
        self._failures = 0
        self._start_at = 0.0

    @property
    def awaited(self) -> list[int]:
        """The descriptor that can be read once it is ready, where that is awaited."""
        return [self._ready_fd] if self._ready_fd >= 0 else []

    def is_due(self) -> bool:
        """Whether it does not run and is to be started now."""
        return self._process is None and time.monotonic() >= self._start_at

    def start(
        self, orders: Mapping[str, object], fds: Sequence[int], environment: Mapping[str, str]
    ) -> None:
        """Start it with these orders and descriptors; where that is not possible, put it off."""
        ready_read, ready_write = os.pipe()
        own = {"role": self.role, "name": self.name, "ready": ready_write}
        self.ready, self._ready_fd, self._reload = False, ready_read, False
        self._started = time.monotonic()
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own module
                _command({**orders, **own}),
                stdin=subprocess.DEVNULL,
                pass_fds=(*fds, ready_write),
                env={**MEMORY.get(self.role, {}), **environment},
                start_new_session=True,  # Ctrl+C reaches the supervisor, which ends them in order
            )
        except OSError as fault:  # no memory or no process left: that may pass
            self._put_off(f"not started: {fault.strerror}")
        finally:
            os.close(ready_write)

    def look(self) -> int | None:
        """Note whether it is ready; its exit code, where it was found to have ended just now.

        It is then put off: due again after a while.
        """
        if self._process is None:
            return None
        self._look_whether_ready(self._process)
        code = self._process.poll()
        if code is not None:
            self._put_off("ended", code=code)
        return code

    def reload(self) -> None:
        """Have it read its settings anew, if it may have read them already."""
        if self._process is None:
            return
        if self.ready:
            self._process.send_signal(signal.SIGHUP)
        else:
            self._reload = True

    def terminate(self) -> None:
        """Ask it to end; `end` waits for that."""
        if self._process is not None:
            self._process.terminate()

    def end(self, deadline: float) -> None:
        """Wait for its end until `deadline`, by the monotonic clock; then make it end."""
        if self._process is None:
            return
        try:
            self._process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reap()

    def _look_whether_ready(self, process: subprocess.Popen[bytes]) -> None:
        if self._ready_fd < 0 or not select.select([self._ready_fd], [], [], 0)[0]:
            return
        self.ready = os.read(self._ready_fd, 1) == b"1"
        self._close_ready()
        if self.ready and self._reload:
            self._reload = False
            process.send_signal(signal.SIGHUP)

    def _put_off(self, event: str, **said: object) -> None:
        """Note that it does not run, and when it is started again."""
        self._reap()
        now = time.monotonic()
        self._failures = 0 if now - self._started > STEADY_SECONDS else self._failures + 1
        wait = RESTART_SECONDS[min(self._failures, len(RESTART_SECONDS) - 1)]
        self._start_at = now + wait
        _log(f"child {event}", child=self.name, **said, restart_in_s=wait)

    def _reap(self) -> None:
        self._process = None
        self.ready = False
        self._close_ready()

    def _close_ready(self) -> None:
        if self._ready_fd >= 0:
            os.close(self._ready_fd)
            self._ready_fd = -1


def run(orders: Mapping[str, object], fds: Sequence[int]) -> int:
    """Run a child that does one thing, to its end; its exit code."""
    return subprocess.run(  # noqa: S603 - our own module
        _command(orders),
        stdin=subprocess.DEVNULL,
        check=False,
        pass_fds=fds,
        start_new_session=True,
    ).returncode


def _command(orders: Mapping[str, object]) -> list[str]:
    return [*CHILD_COMMAND, json.dumps(orders)]


def _log(event: str, **said: object) -> None:
    """One line of the log, in the form of `footfall.logs`, which is too heavy for this process."""
    moment = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    line = {**said, "event": event, "process": "supervisor", "level": "error", "timestamp": moment}
    with contextlib.suppress(OSError):  # its reader is gone or its disk is full
        print(json.dumps(line), file=sys.stderr, flush=True)  # noqa: T201 - the log
