"""A real collector on 127.0.0.1 for tests: server, fast lane, endpoint, intake, in a thread.

And a client that is nothing but a socket, so that a test says which bytes go when.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import hashlib
import logging
import socket
import ssl
import subprocess
import threading
import time
from typing import NamedTuple

import echo
import structlog
import uvloop

from footfall.collect.agents import Agent
from footfall.collect.endpoint import Endpoint
from footfall.collect.enrich import Enricher, Tools
from footfall.collect.fastlane import fast_lane
from footfall.collect.ids import EventIds, RandomIds
from footfall.collect.intake import Intake
from footfall.collect.proxies import Proxies
from footfall.collect.server import collector_server
from footfall.collect.slowlane import SlowLane
from footfall.collect.sources import Sources
from footfall.collect.sweeping import sweep
from footfall.journal.contract import Position
from footfall.journal.engines.memory import MemoryJournal
from footfall.metrics import Tally
from footfall.settings import Limits, Server, Settings, Source

KEY = "site-key"
SITE = "https://www.example.com"
PATIENCE = 20
"""Seconds after which a test gives up. Never what is asserted."""


def source(**given):
    given = {
        "id": "site",
        "key_sha256": (hashlib.sha256(KEY.encode()).hexdigest(),),
        "protocols": ("echo", "pebble", "jay", "mirror", "vaix"),
        "origins": (SITE,),
        **given,
    }
    return Source(**given)


class Served:
    """`with Served() as served:`; afterwards `served.events()` and what was logged."""

    def __init__(
        self,
        *,
        protocols=(echo.PROTOCOL,),
        sources=None,
        limits=None,
        journal=None,
        server=None,
        tools=None,
        app=None,
        wrap=lambda app: app,
        host="127.0.0.1",
    ):
        self.limits = limits or Limits()
        self.journal = journal or MemoryJournal()
        self.sources = sources or (source(),)
        self._protocols = protocols
        self._server_settings = server or Server(limits=self.limits)
        self._tools = tools or Tools(parse_agent=lambda _agent: Agent())
        self._app, self._wrap, self._host = app, wrap, host
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.faults: list = []
        """What no code handled: the loop's own complaints."""
        self.logged: list[dict] = []

    def __enter__(self):
        structlog.configure(processors=[self._keep_log])
        logging.getLogger().addHandler(handler := _Keeping(self.logged))
        self._undo_logging = lambda: logging.getLogger().removeHandler(handler)
        self._thread.start()
        assert self._started.wait(PATIENCE)
        return self

    def __exit__(self, *_exc):
        self.stop()
        self._thread.join(PATIENCE)
        self._undo_logging()
        structlog.reset_defaults()
        assert not self._thread.is_alive(), "the server did not end"

    def stop(self):
        self.server.should_exit = True

    def _keep_log(self, _logger, method, event):
        self.logged.append({"level": method, **event})
        raise structlog.DropEvent

    def _run(self):
        uvloop.run(self._serve())

    async def _serve(self):
        self.loop = asyncio.get_running_loop()
        self.loop.set_exception_handler(lambda _loop, context: self.faults.append(context))
        settings, limits = self._server_settings, self.limits
        self.tally = Tally()
        self.intake = Intake(
            self.journal, Enricher(self._tools, 100), limits, EventIds(), self.tally
        )
        sources = Sources(self.sources, limits=limits)
        self.endpoint = Endpoint(self._protocols, sources, self.intake, limits, self.tally)
        proxies = Proxies(settings.trusted_proxies, settings.forwarded_header)
        slow = (
            self._app
            or SlowLane(
                settings=Settings(server=settings, sources=self.sources),
                protocols=self._protocols,
                journal=self.journal,
                proxies=proxies,
                metrics_directory=None,
                flush_metrics=self.tally.flush,
            ).app()
        )
        lane = fast_lane(self.endpoint, limits, proxies, RandomIds())
        self.server = collector_server(self._wrap(slow), lane, settings)
        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((self._host, 0))
        listening.listen(1024)
        self.port = listening.getsockname()[1]
        tasks = [
            asyncio.create_task(self.intake.run()),
            asyncio.create_task(sweep(self.server.open_connections)),
        ]
        self.loop.call_later(0.05, self._started.set)
        await self.server.serve(sockets=[listening])
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.intake.drained(), 5)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        gc.collect()  # so that futures nobody looked at complain now

    # What came of it

    def events(self) -> bytes:
        """Every stored event, one JSON object a line."""
        batch = asyncio.run(self.journal.read(Position(0, 0), 1 << 30))
        return b"".join(record.events for _, record in batch.records)

    def rejects(self) -> bytes:
        batch = asyncio.run(self.journal.read(Position(0, 0), 1 << 30))
        return b"".join(record.rejects for _, record in batch.records)

    def stored(self) -> list[str]:
        """The bodies of the stored events of the protocol `echo`."""
        return echo.bodies(self.events())

    def wait_for(self, condition, what="what was waited for"):
        """Wait until something is so; for what another thread does."""
        give_up = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < give_up, f"{what} did not come about"
            time.sleep(0.01)

    def assert_quiet(self):
        """No fault, no traceback: whatever strangers sent was a stranger's matter."""
        assert self.faults == []
        loud = {"error", "exception", "critical", "warning"}
        assert [entry for entry in self.logged if entry["level"] in loud] == []

    def connect(self, **options) -> Client:
        return Client(socket.create_connection(("127.0.0.1", self.port), PATIENCE), **options)

    def connect_tls(self, certificate) -> Client:
        context = ssl.create_default_context(cafile=str(certificate))
        plain = socket.create_connection(("127.0.0.1", self.port), PATIENCE)
        return Client(context.wrap_socket(plain, server_hostname="localhost"))

    def ask(self, data: bytes, method: str = "GET") -> Answer:
        """One request on a connection of its own."""
        with self.connect() as client:
            client.send(data)
            return client.answer(method)


class _Keeping(logging.Handler):
    def __init__(self, into):
        super().__init__(logging.WARNING)
        self._into = into

    def emit(self, record):
        if record.name.startswith("uvicorn"):
            self._into.append({"level": "error", "event": record.getMessage()})


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def closes(self) -> bool:
        return self.headers.get("connection") == "close"


class Client:
    """A socket, and as much HTTP as it takes to read answers."""

    def __init__(self, connection: socket.socket):
        self.socket = connection
        self._read = b""

    def __enter__(self):
        return self

    def __exit__(self, *_exc):
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def answer(self, method: str = "GET") -> Answer:
        """The next answer. Raises `EOFError` where the connection ended instead."""
        head = self._until(b"\r\n\r\n").decode("latin-1")
        line, *fields = head[:-4].split("\r\n")
        headers: dict[str, str] = {}
        for field in fields:
            name, _, value = field.partition(": ")
            assert name.lower() not in headers or name.lower() == "set-cookie", field
            headers[name.lower()] = value
        version, status = line.split(" ")[:2]
        assert version == "HTTP/1.1"
        if status == "100":
            assert not headers
            return Answer(100, {}, b"")
        return Answer(int(status), headers, self._body(int(status), headers, method))

    def _body(self, status, headers, method):
        if method == "HEAD" or status in {204, 304}:
            return b""
        if headers.get("transfer-encoding") == "chunked":
            body = b""
            while size := int(self._until(b"\r\n"), 16):
                body += self._exactly(size)
                assert self._until(b"\r\n") == b"\r\n"
            assert self._until(b"\r\n") == b"\r\n"
            return body
        return self._exactly(int(headers["content-length"]))

    def end(self) -> None:
        """The server ends the connection here, and cleanly."""
        assert self._read == b""
        assert self.socket.recv(1) == b""

    def ended(self) -> bool:
        """Whether the connection ended, cleanly or not."""
        try:
            return self.socket.recv(1) == b""
        except ConnectionError:
            return True

    def finish_sending(self) -> None:
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Leave without a word: the other side gets a reset."""
        self.socket.setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, (1).to_bytes(4, "little") + bytes(4)
        )
        self.socket.close()

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._read:
            self._more()
        at = self._read.index(mark) + len(mark)
        taken, self._read = self._read[:at], self._read[at:]
        return taken

    def _exactly(self, size: int) -> bytes:
        while len(self._read) < size:
            self._more()
        taken, self._read = self._read[:size], self._read[size:]
        return taken

    def _more(self):
        got = self.socket.recv(1 << 16)
        if not got:
            raise EOFError(self._read)
        self._read += got


def post(body: bytes = b"x", path: str = "/t", *headers: str) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: a", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def get(path: str = "/t", *headers: str, method: str = "GET") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: a", *headers]).encode() + b"\r\n\r\n"


def chunked(*pieces: bytes, path: str = "/t", headers: str = "", trailers: bytes = b"") -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n{headers}\r\n"
    body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return head.encode() + body + b"0\r\n" + trailers + b"\r\n"


def certificate(folder):
    """A certificate for localhost and its sub-domains, and its key."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-keyout", str(key), "-out", str(cert),
         "-addext", "subjectAltName=DNS:localhost,DNS:*.localhost,IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    return cert, key


class GatedJournal(MemoryJournal):
    """A journal whose commits wait until they are let through."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.commits = 0

    def open(self) -> None:
        self.gate.set()

    async def transact(self, units):
        self.commits += 1
        while not self.gate.is_set():
            await asyncio.sleep(0.005)
        return await super().transact(units)
