"""Where the time of one vaix post goes: each step of the collector's path, timed by itself.

    python -m bench.request

One process, one connection without a network, no disk: processor time of the Python code only,
the best of several repetitions. What the system takes for reading, writing and syncing comes on
top; `bench.http` has the whole.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

import httptools
from starlette.applications import Starlette
from uvicorn.server import ServerState

from bench.http import lua_requests
from footfall.app.child import read_settings
from footfall.collect import framing, protocols
from footfall.collect.agents import parser
from footfall.collect.endpoint import Endpoint
from footfall.collect.enrich import Enricher, Tools
from footfall.collect.fastlane import fast_lane
from footfall.collect.ids import EventIds, RandomIds
from footfall.collect.intake import Intake, Waiting
from footfall.collect.proxies import Proxies
from footfall.collect.server import collector_server
from footfall.collect.sources import Sources
from footfall.journal.contract import Outcome, Record, Unit
from footfall.journal.group import decide, encode_record
from footfall.metrics import Tally

TIMES = 4000
GROUP = 64


def nothing(_keys: Sequence[str]) -> dict[str, bytes]:
    """What is stored for keys: nothing."""
    return {}


class Memory:
    """A journal that keeps nothing, and a connection that sends nothing."""

    async def transact(self, units: Sequence[Unit | Outcome]) -> Sequence[Outcome | Exception]:
        return decide(units, nothing, 0).results

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("127.0.0.1", 1) if name == "peername" else default

    def is_closing(self) -> bool:
        return False

    def write(self, data: bytes) -> None:
        pass


class Callbacks:
    """What a parser needs at least to give a request."""

    def on_message_begin(self) -> None:
        self.headers: list[tuple[bytes, bytes]] = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_url(self, url: bytes) -> None:
        self.url = url

    def on_headers_complete(self) -> None:
        self.known = dict(self.headers)

    def on_body(self, body: bytes) -> None:
        self.body = body

    def on_message_complete(self) -> None:
        pass


def best(work: Callable[[int], object], times: int = TIMES) -> float:
    """Microseconds a call, in the best of five runs."""
    found = float("inf")
    for _ in range(5):
        began = time.perf_counter()
        for turn in range(times):
            work(turn)
        found = min(found, time.perf_counter() - began)
    return found / times * 1e6


async def measure() -> list[tuple[str, float]]:
    settings = read_settings(None, {}, dev=True)
    limits, tally, nowhere = settings.server.limits, Tally(), Memory()
    intake = Intake(nowhere, Enricher(Tools(parser(1000)), 1000), limits, EventIds(), tally)
    endpoint = Endpoint(protocols.installed(), Sources(settings.sources), intake, limits, tally)
    lane = fast_lane(endpoint, limits, Proxies((), "x-forwarded-for"), RandomIds())
    server = collector_server(Starlette(), lane, settings.server)
    server.config.load()
    state = ServerState()
    state.default_headers = [(b"date", b"Fri, 01 Jan 2027 00:00:00 GMT")]
    connection = lane(server.config, state, {})
    connection.connection_made(nowhere)
    posts = [post.replace(b"bench-key", b"dev-key") for post in lua_requests("127.0.0.1")]
    rows: list[tuple[str, float]] = []

    def row(what: str, work: Callable[[int], object], times: int = TIMES) -> None:
        rows.append((what, best(work, times)))

    parsing = httptools.HttpRequestParser(Callbacks())
    row("(parse a head that was not seen before: httptools and its callbacks)",
        lambda n: parsing.feed_data(posts[n % len(posts)]))  # fmt: skip

    taken: list[Any] = []
    real_handle, endpoint.handle = endpoint.handle, lambda *a, **k: taken.append(a)

    def arrive(turn: int) -> None:
        connection.data_received(posts[turn % len(posts)])
        connection._turns.clear()

    row("find the head, make the request", arrive)
    requests = [arguments[1] for arguments in taken[: len(posts)]]
    match = taken[0][0]
    endpoint.handle = real_handle
    count = len(requests)
    decode, sources = match.protocol.decode, endpoint.sources
    row("decode: JSON, the vendor's checks", lambda n: decode(requests[n % count], sources))
    intents = [decode(request, sources) for request in requests]
    prepare, protocol = intake._prepare, match.protocol
    row("enrich, make the event and its bytes",
        lambda n: prepare(protocol, requests[n % count], intents[n % count]))  # fmt: skip
    unit, cell = prepare(protocol, requests[0], intents[0])
    intake._put = lambda waiting: None
    before = sum(time for _, time in rows[2:])
    whole = best(lambda n: endpoint.handle(match, requests[n % count], lambda reply: None))
    rows.append(("hand over: endpoint, queue", max(0.0, whole - before)))
    units = [unit] * GROUP
    rows.append(("decide", best(lambda n: decide(units, nothing, 0), 200) / GROUP))
    decided = decide(units, nothing, 0)
    record = Record(0, decided.events, decided.rejects, decided.changes)
    rows.append(("record to bytes", best(lambda n: encode_record(record), 200) / GROUP))
    answers: list[Any] = []
    endpoint._intake = type("Taker", (), {"take": lambda self, *a: answers.append(a[-1])})()
    for request in requests:
        endpoint.handle(match, request, lambda reply: framing.encode(reply, "POST", True, b""))
    waiting = [Waiting(unit, answer, 0, cell, 0.0) for answer in answers]

    def settle(turn: int) -> None:
        one = waiting[turn % count]
        one.answer = answers[turn % count]
        intake._settle(one, unit)

    row("settle, put the answer into bytes", settle)
    return rows


def table(rows: list[tuple[str, float]]) -> str:
    total = sum(time for what, time in rows if not what.startswith("("))
    lines = ["| step | µs | share |", "|---|---:|---:|"]
    for what, microseconds in rows:
        share = "" if what.startswith("(") else f"{microseconds / total:.0%}"
        lines.append(f"| {what} | {microseconds:.2f} | {share} |")
    return "\n".join([*lines, f"| **together** | **{total:.2f}** | |"])


def main() -> None:
    print(table(asyncio.run(measure())))


if __name__ == "__main__":
    main()
