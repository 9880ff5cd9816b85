"""A server for Tracardi without sockets: endpoint, intake and a journal, asked from tests."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import golden
import msgspec

from footfall.app import erasing
from footfall.collect.agents import Agent
from footfall.collect.contract import Reply, Request
from footfall.collect.endpoint import Endpoint
from footfall.collect.enrich import Enricher, Tools
from footfall.collect.ids import EventIds
from footfall.collect.intake import Intake
from footfall.collect.protocols import tracardi
from footfall.collect.protocols.tracardi import identity
from footfall.collect.protocols.tracardi.issued import ProfileIds
from footfall.collect.protocols.tracardi.settings import Tracardi
from footfall.collect.sources import Sources
from footfall.journal.contract import Change, Outcome, Position
from footfall.journal.engines.memory import MemoryJournal
from footfall.metrics import Tally
from footfall.model import Erasure
from footfall.settings import Limits, Source

NOW = golden.NOW
SECOND, DAY = 1_000_000, identity.DAY
SECRET = golden.SECRET


def source(id_="site", **given):
    own = {name: given.pop(name) for name in list(given) if name in Tracardi.__slots__}
    return Source(
        id=id_, protocols=("tracardi",), protocol_settings={"tracardi": Tracardi(**own)}, **given
    )


def payload(*events, source="site", session="S1", profile=None, device=None, **more):
    """A tracker payload of events, each an object or just its type."""
    body: dict[str, Any] = {"source": {"id": source}, **more}
    if session is not None:
        body["session"] = {"id": session}
    if profile is not None:
        body["profile"] = {"id": profile}
    if device is not None:
        body["device"] = {"id": device}
    body["events"] = [{"type": one} if isinstance(one, str) else one for one in events]
    return body


def request(body, *, path="/track", at=NOW, **headers):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    path, _, query = path.partition("?")
    return Request(
        method="POST",
        path=path,
        query=query,
        headers={name.replace("_", "-").encode(): v.encode() for name, v in headers.items()},
        body=raw,
        received_at=at,
        new_uuid=lambda: str(uuid4()),
    )


class Edge:
    """What a client meets; `now` may be moved on."""

    def __init__(self, *listed, journal=None):
        self.now = NOW
        self.journal = journal or MemoryJournal(clock=lambda: self.now)
        self.sources = Sources(listed or [source()], secret=SECRET)
        limits, tally = Limits(), Tally()
        tools = Tools(parse_agent=lambda agent: Agent(device="bot" if "bot" in agent else None))
        self.intake = Intake(self.journal, Enricher(tools, 10), limits, EventIds(), tally)
        self._endpoint = Endpoint([tracardi.PROTOCOL], self.sources, self.intake, limits, tally)
        self._runner = asyncio.Runner()

    def __enter__(self):
        return self

    def __exit__(self, *_exc):
        self._runner.close()

    def reply(self, body, **given) -> Reply:
        (reply,) = self.replies([request(body, at=self.now, **given)])
        return reply

    def track(self, *events, **given) -> dict[str, Any]:
        """The body of a 200."""
        reply = self.reply(payload(*events, **given))
        assert reply.status == 200, reply
        return json.loads(reply.body)

    def profile(self, *events, **given) -> str | None:
        """The profile id that a client is told."""
        return self.track(*events, **given)["profile"]["id"]

    def replies(self, requests: Sequence[Request]) -> list[Reply]:
        """The answers to requests that arrive together, in their order."""
        return self._runner.run(self._ask(requests))

    async def _ask(self, requests):
        replies: dict[int, Reply] = {}
        running = asyncio.create_task(self.intake.run())
        for number, one in enumerate(requests):
            match = self._endpoint.match(one.path)

            def respond(reply, number=number):
                assert number not in replies, "a request is answered once"
                replies[number] = reply

            self._endpoint.handle(match, one, respond)
        await self.intake.drained()
        running.cancel()
        return [replies[number] for number in range(len(requests))]

    def events(self) -> list[dict[str, Any]]:
        batch = self._runner.run(self.journal.read(Position(0, 0), 1 << 30))
        return [json.loads(one) for _, r in batch.records for one in r.events.splitlines()]

    def changes(self) -> list[Change]:
        """Every change of the state so far."""
        batch = self._runner.run(self.journal.read(Position(0, 0), 1 << 30))
        return [change for _, record in batch.records for change in record.changes]

    def value(self, key) -> bytes | None:
        return self._runner.run(self.journal.get([key])).get(key)

    def known(self, profile_id, group="site") -> Any:
        """What is known of a profile: `Known`, `Alias`, `Gone` or None."""
        value = self.value(identity.profile_key(group, profile_id))
        if value is None:
            return ProfileIds(SECRET, group, DAY * 730).known(profile_id, self.now)
        return identity.read_profile(value)

    def forget(self, profile_id) -> None:
        """Take a profile out of the state, as an erasure does."""
        erasure = Erasure(profiles=(profile_id,))
        keys = erasing.keys(self.sources.all, erasure)
        changes = [Change(key, None, self.now) for key in keys]
        changes += erasing.ended(self.sources.all, erasure, self.now, SECRET)
        self._runner.run(self.journal.transact([Outcome(changes=tuple(changes))]))

    def stored(self) -> list[str]:
        """The types of the events that are kept as such."""
        return [event["type"] for event in self.events() if event.get("stored", True)]


def facts(event) -> dict[str, Any]:
    return event.get("facts", {})


def visits(events) -> list[str]:
    """The sessions that are visits, in order."""
    return [facts(event)["visit"] for event in events if "visit" in facts(event)]


def copy(struct, **changed):
    return msgspec.structs.replace(struct, **changed)
