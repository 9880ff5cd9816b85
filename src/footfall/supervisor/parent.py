"""The life of the parent process: what it owns, and what its children are given of it.

Each child inherits the listening socket of its role and one end of a pipe that closes when this
process is gone (however it went). The data directory's lock stays held until the last of them has
ended.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from footfall.console.token import VARIABLE, console_token
from footfall.data import DataDirectory
from footfall.errors import AddressInUse, DataDirectoryInUse, FootfallError, NotStarted
from footfall.settings import Settings
from footfall.supervisor.child import CHILD_FAILED, JOURNAL_FAILED, Child, run
from footfall.supervisor.signals import Signals

START_SECONDS = 60.0
LOCK_SECONDS = 3.0
WORKER_STOP_SECONDS = 30.0
METRICS_KINDS = ("counter", "histogram", "gauge_livesum")
"""The files that one process counts in begin with these."""
METRICS_BYTES = 1 << 18

Say = Callable[[str], None]


class Supervisor:
    """Runs until it is told to stop; see the package's docstring."""

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
        self._signals = Signals()
        self._sockets: dict[str, socket.socket] = {}
        self._lock_fd = -1
        self._alive_read, self._alive_write = os.pipe()
        self._children = [
            Child("worker"),
            *(Child("collector", index) for index in range(settings.server.workers)),
        ]

    def run(self) -> int:
        """Serve until SIGTERM or SIGINT; the process's exit code."""
        server = self._settings.server
        with self._signals.heeded(), self._lock() as self._lock_fd:
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
        listening = self._sockets[child.role]
        orders = {
            "config": str(self._config) if self._config else None,
            "overrides": dict(self._overrides),
            "dev": self._settings.dev,
            "data": str(self._data.path),
            "socket": listening.fileno(),
            "alive": self._alive_read,
            "addresses": {name: _url(self._settings, name, s) for name, s in self._sockets.items()},
        }
        fds = (listening.fileno(), self._alive_read, self._lock_fd)
        child.start(orders, fds, self._environment(child))

    def _environment(self, child: Child) -> dict[str, str]:
        """Ours, and for the worker alone the console's token."""
        own = {"PROMETHEUS_MULTIPROC_DIR": str(self._data.metrics)}
        if child.role == "worker":
            own[VARIABLE] = self._console_token
        return {name: text for name, text in os.environ.items() if name != VARIABLE} | own

    def _recover(self) -> None:
        """Verify the journal in a process of its own, before any child opens it."""
        orders = {
            "role": "recover",
            "name": "recover",
            "data": str(self._data.path),
            "alive": self._alive_read,
        }
        if run(orders, (self._alive_read, self._lock_fd)) != 0:
            raise NotStarted("The journal could not be opened.")

    def _supervise(self) -> int:
        announced = False
        begun = time.monotonic()
        while not self._signals.stop:
            awaited = [fd for child in self._children for fd in child.awaited]
            self._signals.wait(0.5 if announced else 0.05, awaited)
            if self._signals.reload:
                self._signals.reload = False
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
        if child.is_due():
            self._start(child)
            return
        code = child.look()
        if code == JOURNAL_FAILED:
            self._restart_all()
        elif code == CHILD_FAILED and first:
            raise NotStarted(f"The {child.name} could not start.")

    def _restart_all(self) -> None:
        """A sync failed: end everybody, verify the log, and begin again."""
        _end(self._children, WORKER_STOP_SECONDS)
        self._recover()

    def _reload(self) -> None:
        """SIGHUP: check the file here, so that a mistake in it changes nothing."""
        try:
            self._reread()
        except (FootfallError, OSError) as fault:
            self._tell(f"Not reloaded.\n{fault}")
            return
        for child in self._children:
            child.reload()

    def _stop(self) -> None:
        """Collectors first, so that the worker can load what they still committed."""
        for listening in self._sockets.values():
            listening.close()  # the children's copies go on until they have answered
        collectors = [child for child in self._children if child.role == "collector"]
        worker = [child for child in self._children if child.role == "worker"]
        _end(collectors, self._settings.server.limits.shutdown_seconds + 5.0)
        _end(worker, WORKER_STOP_SECONDS)

    # Words

    def _announce(self) -> None:
        tracking = _url(self._settings, "collector", self._sockets["collector"])
        console = _url(self._settings, "worker", self._sockets["worker"])
        address = f"{console}/console?token={self._console_token}"
        self._tell(f"Footfall accepts requests on {tracking}, console on {address}")

    def _tell(self, text: str) -> None:
        """Whoever started the server may have stopped listening; that must not end it."""
        with contextlib.suppress(OSError):
            self._say(text)


def _end(children: list[Child], seconds: float) -> None:
    """End them all at once; those that have not within `seconds` are killed."""
    for child in children:
        child.terminate()
    deadline = time.monotonic() + seconds
    for child in children:
        child.end(deadline)


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
