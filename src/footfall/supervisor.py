"""The parent process: binds the ports, starts the children, restarts them, ends them cleanly.

Two kinds of children: **collectors** (the tracking port) and one **worker** (follows the journal,
loads the lake, answers SQL). They die with the supervisor, and a child that dies alone is
started again. This process does nothing else and loads nothing heavy, so that nothing which
happens to data can end it; what the children do is `footfall.app`'s matter.

Each child inherits the listening socket, one end of a pipe that closes when the supervisor is
gone (however it went), and one that it writes a byte to when it is ready. The data directory's
lock stays held until the last of them has ended.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from footfall.data import DataDirectory
from footfall.errors import AddressInUse, DataDirectoryInUse, FootfallError
from footfall.settings import Settings

JOURNAL_FAILED = 75
"""A child's exit code when the journal must be verified before anybody writes to it again."""
RESTART_SECONDS = (0.0, 0.5, 1.0, 2.0, 5.0)
"""Waits before a child is started again, longer each time it fails soon after its start."""
STEADY_SECONDS = 30.0
"""A child that ran for so long has its waits forgotten."""
START_SECONDS = 60.0
LOCK_SECONDS = 3.0
WORKER_STOP_SECONDS = 30.0

Say = Callable[[str], None]


@dataclass
class Child:
    """One process that should be running."""

    role: str
    index: int
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    failures: int = 0
    start_at: float = 0.0
    ready: bool = False
    ready_fd: int = -1

    @property
    def name(self) -> str:
        return self.role if self.role == "worker" else f"{self.role} {self.index}"


@dataclass
class Asked:
    """What signals have asked for."""

    stop: bool = False
    reload: bool = False
    wakeup: tuple[socket.socket, socket.socket] = field(default_factory=socket.socketpair)


class Supervisor:
    """Runs until it is told to stop; see the module's docstring."""

    def __init__(
        self,
        settings: Settings,
        *,
        config: Path | None,
        overrides: Mapping[str, object],
        say: Say,
        reread: Callable[[], object],
    ) -> None:
        self._settings = settings
        self._config = config
        self._overrides = overrides
        self._say = say
        self._reread = reread
        self._data = DataDirectory.create(settings.server.data)
        self._asked = Asked()
        self._sockets: dict[str, socket.socket] = {}
        self._lock_fd = -1
        self._alive_read, self._alive_write = os.pipe()
        self._children = [
            Child("worker", 0),
            *(Child("collector", index) for index in range(settings.server.workers)),
        ]

    def run(self) -> int:
        """Serve until SIGTERM or SIGINT; the process's exit code."""
        server = self._settings.server
        with self._signals(), self._lock() as self._lock_fd:
            self._sockets = {
                "collector": _listen(server.host, server.port, "--port"),
                "worker": _listen(server.console_host, server.console_port, "--console-port"),
            }
            self._clear_metrics()
            try:
                self._recover()
                for child in self._children:
                    self._start(child)
                return self._supervise()
            finally:
                self._stop()

    @contextlib.contextmanager
    def _lock(self) -> Iterator[int]:
        """The data directory. Children of a supervisor that was killed need a moment to end."""
        deadline = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                lock = self._data.lock()
                descriptor = lock.__enter__()
            except DataDirectoryInUse:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
            else:
                break
        try:
            yield descriptor
        finally:
            lock.__exit__(None, None, None)

    def _clear_metrics(self) -> None:
        """Counters begin at nought with each start, as Prometheus expects."""
        self._data.metrics.mkdir(mode=0o700, exist_ok=True)
        for file in self._data.metrics.glob("*.db"):
            file.unlink()

    # Children

    def _start(self, child: Child) -> None:
        ready_read, ready_write = os.pipe()
        listening = self._sockets[child.role]
        parameters: dict[str, Any] = {
            "role": child.role,
            "index": child.index,
            "config": str(self._config) if self._config else None,
            "overrides": dict(self._overrides),
            "dev": self._settings.dev,
            "data": str(self._data.path),
            "socket": listening.fileno(),
            "alive": self._alive_read,
            "ready": ready_write,
            "addresses": {name: _url(self._settings, name, s) for name, s in self._sockets.items()},
        }
        child.process = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-m", "footfall.app", json.dumps(parameters)],
            stdin=subprocess.DEVNULL,
            pass_fds=(listening.fileno(), self._alive_read, ready_write, self._lock_fd),
            env={**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(self._data.metrics)},
            start_new_session=True,  # Ctrl+C reaches the supervisor only, which ends them in order
        )
        os.close(ready_write)
        child.ready, child.ready_fd = False, ready_read
        child.started = time.monotonic()

    def _recover(self) -> None:
        """Verify the journal in a process of its own, before any child opens it."""
        parameters = {"role": "recover", "data": str(self._data.path)}
        process = subprocess.run(  # noqa: S603 - our own module
            [sys.executable, "-m", "footfall.app", json.dumps(parameters)],
            stdin=subprocess.DEVNULL,
            check=False,
            pass_fds=(self._lock_fd,),
        )
        if process.returncode != 0:
            raise FootfallError("The journal could not be opened; the lines above say why.")

    def _supervise(self) -> int:
        announced = False
        begun = time.monotonic()
        while not self._asked.stop:
            self._wait(0.5 if announced else 0.05)
            if self._asked.reload:
                self._asked.reload = False
                self._reload()
            for child in self._children:
                self._look_at(child)
            ready = all(child.ready for child in self._children)
            if ready and not announced:
                announced = True
                self._announce()
            if not announced and time.monotonic() - begun > START_SECONDS:
                raise FootfallError("The processes did not become ready; the lines above say why.")
        return 0

    def _look_at(self, child: Child) -> None:
        now = time.monotonic()
        if child.process is None:
            if now >= child.start_at:
                self._start(child)
            return
        if (
            not child.ready
            and child.ready_fd >= 0
            and select.select([child.ready_fd], [], [], 0)[0]
        ):
            child.ready = os.read(child.ready_fd, 1) == b"1"
            os.close(child.ready_fd)
            child.ready_fd = -1
        code = child.process.poll()
        if code is None:
            return
        self._reap(child)
        child.failures = 0 if now - child.started > STEADY_SECONDS else child.failures + 1
        wait = RESTART_SECONDS[min(child.failures, len(RESTART_SECONDS) - 1)]
        child.start_at = now + wait
        print(  # noqa: T201 - the supervisor's log
            json.dumps({
                "event": "child ended", "level": "error", "child": child.name, "code": code,
                "restart_in_s": wait,
            }),
            file=sys.stderr, flush=True,
        )  # fmt: skip
        if code == JOURNAL_FAILED:
            self._restart_all()

    def _restart_all(self) -> None:
        """A sync failed: end everybody, verify the log, and begin again."""
        for child in self._children:
            if child.process is not None:
                child.process.terminate()
        self._await_end(self._children, WORKER_STOP_SECONDS)
        self._recover()

    def _reap(self, child: Child) -> None:
        child.process = None
        child.ready = False
        if child.ready_fd >= 0:
            os.close(child.ready_fd)
            child.ready_fd = -1

    def _reload(self) -> None:
        """SIGHUP: check the file here, so that a mistake in it changes nothing."""
        try:
            self._reread()
        except FootfallError as fault:
            self._say(f"Not reloaded.\n{fault}")
            return
        for child in self._children:
            if child.process is not None:
                child.process.send_signal(signal.SIGHUP)

    def _stop(self) -> None:
        """Collectors first, so that the worker can load what they still committed."""
        for listening in self._sockets.values():
            listening.close()  # the children's copies go on until they have answered
        limits = self._settings.server.limits
        collectors = [child for child in self._children if child.role == "collector"]
        worker = [child for child in self._children if child.role == "worker"]
        for group, seconds in (
            (collectors, limits.shutdown_seconds + 5.0),
            (worker, WORKER_STOP_SECONDS),
        ):
            for child in group:
                if child.process is not None:
                    child.process.terminate()
            self._await_end(group, seconds)

    def _await_end(self, children: list[Child], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        for child in children:
            if child.process is None:
                continue
            try:
                child.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.process.kill()
                child.process.wait()
            self._reap(child)

    # Signals and words

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        asked = self._asked
        for end in asked.wakeup:
            end.setblocking(False)

        def stop(_number: int, _frame: FrameType | None) -> None:
            asked.stop = True

        def reload(_number: int, _frame: FrameType | None) -> None:
            asked.reload = True

        handlers = {
            signal.SIGTERM: stop,
            signal.SIGINT: stop,
            signal.SIGHUP: reload,
            signal.SIGCHLD: lambda _number, _frame: None,
        }
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        old_fd = signal.set_wakeup_fd(asked.wakeup[1].fileno(), warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(old_fd)
            for number, handler in before.items():
                signal.signal(number, handler)

    def _wait(self, seconds: float) -> None:
        """Sleep until a signal comes or the time is up."""
        wakeup = self._asked.wakeup[0]
        fds = [wakeup.fileno(), *(c.ready_fd for c in self._children if c.ready_fd >= 0)]
        if wakeup.fileno() in select.select(fds, [], [], seconds)[0]:
            with contextlib.suppress(BlockingIOError):
                wakeup.recv(4096)

    def _announce(self) -> None:
        tracking = _url(self._settings, "collector", self._sockets["collector"])
        console = _url(self._settings, "worker", self._sockets["worker"])
        self._say(f"Footfall accepts requests on {tracking}, console on {console}")


def _listen(host: str, port: int, flag: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as fault:
        listening.close()
        raise AddressInUse(
            f"{host}:{port} ({flag}) cannot be listened on: {fault.strerror}."
        ) from fault
    listening.listen(2048)
    listening.set_inheritable(True)
    return listening


def _url(settings: Settings, role: str, listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    scheme = "https" if role == "collector" and settings.server.tls_certificate else "http"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def serve(
    settings: Settings,
    *,
    config: Path | None = None,
    overrides: Mapping[str, object] | None = None,
    say: Say,
    reread: Callable[[], object] = lambda: None,
) -> int:
    """`footfall serve`: runs until it is told to stop; the exit code.

    `reread` reads and checks the settings anew, raising `SettingsError`; it is called at SIGHUP
    before the children are told to do the same.
    """
    return Supervisor(
        settings, config=config, overrides=overrides or {}, say=say, reread=reread
    ).run()
