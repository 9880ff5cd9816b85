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
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

from footfall.console.token import VARIABLE, console_token
from footfall.data import DataDirectory
from footfall.errors import AddressInUse, DataDirectoryInUse, FootfallError, NotStarted
from footfall.settings import Settings

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
START_SECONDS = 60.0
LOCK_SECONDS = 3.0
WORKER_STOP_SECONDS = 30.0
METRICS_KINDS = ("counter", "histogram", "gauge_livesum")
"""The files that one process counts in begin with these."""
METRICS_BYTES = 1 << 18
MEMORY = {
    "worker": {"MALLOC_MMAP_THRESHOLD_": str(1 << 20), "MALLOC_TRIM_THRESHOLD_": str(4 << 20)},
    "collector": {"MALLOC_MMAP_THRESHOLD_": str(32 << 20), "MALLOC_TRIM_THRESHOLD_": str(32 << 20)},
}
"""For glibc's malloc, unless the environment says otherwise. A worker gives back at once what a
batch of megabytes took: left to itself malloc keeps such blocks, 90 MB more under load. A collector
keeps what a group of large requests took for the next one: to have it mapped and cleared anew cost
a fifth of its events in posts of a hundred."""

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
    reload: bool = False
    """Asked for before it was ready; by then it may have read its settings already."""

    @property
    def name(self) -> str:
        return self.role if self.role == "worker" else f"{self.role}-{self.index}"


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
        self._console_token = console_token(os.environ)
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
            self._make_metrics()
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

    def _make_metrics(self) -> None:
        """Counters begin at nought with each start, as Prometheus expects.

        A file per child, not per process: one that is started again goes on counting in it. Its
        space is taken here: the files are mapped, and a mapped write that a full disk has no room
        for would end the process.
        """
        self._data.metrics.mkdir(mode=0o700, exist_ok=True)
        for file in self._data.metrics.glob("*.db"):
            file.unlink()
        for child in self._children:
            for kind in METRICS_KINDS:
                file = self._data.metrics / f"{kind}_{child.name}.db"
                file.write_bytes(bytes(METRICS_BYTES))

    # Children

    def _start(self, child: Child) -> None:
        ready_read, ready_write = os.pipe()
        listening = self._sockets[child.role]
        parameters: dict[str, Any] = {
            "role": child.role,
            "name": child.name,
            "config": str(self._config) if self._config else None,
            "overrides": dict(self._overrides),
            "dev": self._settings.dev,
            "data": str(self._data.path),
            "socket": listening.fileno(),
            "alive": self._alive_read,
            "ready": ready_write,
            "addresses": {name: _url(self._settings, name, s) for name, s in self._sockets.items()},
        }
        child.ready, child.ready_fd, child.reload = False, ready_read, False
        child.started = time.monotonic()
        try:
            child.process = subprocess.Popen(  # noqa: S603 - our own module
                [*CHILD_COMMAND, json.dumps(parameters)],
                stdin=subprocess.DEVNULL,
                pass_fds=(listening.fileno(), self._alive_read, ready_write, self._lock_fd),
                env=self._environment(child),
                start_new_session=True,  # Ctrl+C reaches the supervisor, which ends them in order
            )
        except OSError as fault:  # no memory or no process left: that may pass
            self._put_off(child, f"not started: {fault.strerror}")
        finally:
            os.close(ready_write)

    def _environment(self, child: Child) -> dict[str, str]:
        """Ours, and for the worker alone the console's token."""
        own = {"PROMETHEUS_MULTIPROC_DIR": str(self._data.metrics)}
        if child.role == "worker":
            own[VARIABLE] = self._console_token
        memory = MEMORY.get(child.role, {})
        return memory | {name: text for name, text in os.environ.items() if name != VARIABLE} | own

    def _recover(self) -> None:
        """Verify the journal in a process of its own, before any child opens it."""
        parameters = {
            "role": "recover",
            "name": "recover",
            "data": str(self._data.path),
            "alive": self._alive_read,
        }
        process = subprocess.run(  # noqa: S603 - our own module
            [*CHILD_COMMAND, json.dumps(parameters)],
            stdin=subprocess.DEVNULL,
            check=False,
            pass_fds=(self._alive_read, self._lock_fd),
            start_new_session=True,
        )
        if process.returncode != 0:
            raise NotStarted("The journal could not be opened.")

    def _supervise(self) -> int:
        announced = False
        begun = time.monotonic()
        while not self._asked.stop:
            self._wait(0.5 if announced else 0.05)
            if self._asked.reload:
                self._asked.reload = False
                self._reload()
            for child in self._children:
                self._look_at(child, first=not announced)
            ready = all(child.ready for child in self._children)
            if ready and not announced:
                announced = True
                self._announce()
            if not announced and time.monotonic() - begun > START_SECONDS:
                raise NotStarted(f"Not every process was ready within {START_SECONDS:.0f} s.")
        return 0

    def _look_at(self, child: Child, *, first: bool) -> None:
        if child.process is None:
            if time.monotonic() >= child.start_at:
                self._start(child)
            return
        self._look_whether_ready(child)
        code = child.process.poll()
        if code is None:
            return
        self._put_off(child, "ended", code=code)
        if code == JOURNAL_FAILED:
            self._restart_all()
        elif code == CHILD_FAILED and first:
            raise NotStarted(f"The {child.name} could not start.")

    def _look_whether_ready(self, child: Child) -> None:
        if child.ready_fd < 0 or not select.select([child.ready_fd], [], [], 0)[0]:
            return
        child.ready = os.read(child.ready_fd, 1) == b"1"
        os.close(child.ready_fd)
        child.ready_fd = -1
        if child.ready and child.reload and child.process is not None:
            child.reload = False
            child.process.send_signal(signal.SIGHUP)

    def _put_off(self, child: Child, event: str, **said: object) -> None:
        """Note that a child does not run, and when it is started again."""
        self._reap(child)
        now = time.monotonic()
        child.failures = 0 if now - child.started > STEADY_SECONDS else child.failures + 1
        wait = RESTART_SECONDS[min(child.failures, len(RESTART_SECONDS) - 1)]
        child.start_at = now + wait
        _log(f"child {event}", child=child.name, **said, restart_in_s=wait)

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
        except (FootfallError, OSError) as fault:
            self._tell(f"Not reloaded.\n{fault}")
            return
        for child in self._children:
            if child.process is None:
                continue  # it will read them as they are
            if child.ready:
                child.process.send_signal(signal.SIGHUP)
            else:
                child.reload = True

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
        address = f"{console}/console?token={self._console_token}"
        self._tell(f"Footfall accepts requests on {tracking}, console on {address}")

    def _tell(self, text: str) -> None:
        """Whoever started the server may have stopped listening; that must not end it."""
        with contextlib.suppress(OSError):
            self._say(text)


def _log(event: str, **said: object) -> None:
    """One line of the log, in the form of `footfall.logs`, which is too heavy for this process."""
    moment = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    line = {**said, "event": event, "process": "supervisor", "level": "error", "timestamp": moment}
    with contextlib.suppress(OSError):  # its reader is gone or its disk is full
        print(json.dumps(line), file=sys.stderr, flush=True)  # noqa: T201 - the log


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
