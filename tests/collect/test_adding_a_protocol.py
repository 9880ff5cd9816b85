"""The protocol that `docs/adding-a-protocol.md` walks through works as it stands there."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import sys
import types
from pathlib import Path
from uuid import uuid4

import pytest

from footfall.collect.contract import Reason, Refusal, Request
from footfall.collect.endpoint import Endpoint
from footfall.collect.enrich import Enricher, Tools
from footfall.collect.ids import EventIds
from footfall.collect.intake import Intake
from footfall.collect.sources import Sources
from footfall.journal.contract import Position
from footfall.journal.engines.memory import MemoryJournal
from footfall.metrics import Tally
from footfall.settings import Limits, Source

PAGE = Path(__file__).parents[2] / "docs" / "adding-a-protocol.md"


@pytest.fixture(scope="module")
def ratings():
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    module = types.ModuleType("ratings")
    sys.modules["ratings"] = module
    exec(compile(code, str(PAGE), "exec"), module.__dict__)
    yield module
    del sys.modules["ratings"]


async def answers(ratings, bodies, key="k"):
    source = Source(
        id="site",
        key_sha256=(hashlib.sha256(b"k").hexdigest(),),
        protocols=("ratings",),
        protocol_settings={"ratings": ratings.Ratings(most_stars=3)},
    )
    journal, tally, limits = MemoryJournal(), Tally(), Limits()
    enricher = Enricher(Tools(parse_agent=lambda agent: None), 10)
    intake = Intake(journal, enricher, limits, EventIds(), tally)
    endpoint = Endpoint([ratings.PROTOCOL], Sources([source]), intake, limits, tally)
    running = asyncio.create_task(intake.run())
    replies = []
    for body in bodies:
        request = Request(
            method="POST",
            path="/ratings/a-1",
            headers={b"x-api-key": key.encode()},
            body=body,
            params={"article": "a-1"},
            received_at=1 << 60,
            new_uuid=lambda: str(uuid4()),
        )
        endpoint.handle(endpoint.match(request.path), request, replies.append)
    await intake.drained()
    running.cancel()
    batch = await journal.read(Position(0, 0))
    events = b"".join(record.events for _, record in batch.records).splitlines()
    return [(reply.status, json.loads(reply.body)) for reply in replies], events


def test_it_decides_in_order_and_stores_what_it_took(ratings):
    bodies = [b'{"stars":3,"reader":"r"}', b'{"stars":1,"reader":"r"}', b'{"stars":4}', b"["]
    replies, events = asyncio.run(answers(ratings, bodies))
    by_status = sorted(replies, key=lambda reply: reply[0])
    assert by_status[:2] == [(200, {"first": True}), (200, {"first": False})]
    assert [status for status, _ in by_status[2:]] == [400, 422]
    assert by_status[3][1]["fields"] == {"stars": "Must be a whole number from 1 to 3."}
    assert [json.loads(event)["properties"] for event in events] == [{"stars": 3}, {"stars": 1}]


def test_it_knows_its_sources(ratings):
    replies, events = asyncio.run(answers(ratings, [b'{"stars":3}'], key="other"))
    assert (replies[0][0], events) == (401, [])


@pytest.mark.parametrize("reason", Reason)
def test_it_words_every_refusal(ratings, reason):
    assert ratings.refuse(Refusal(reason=reason, detail="x")).body == b'{"error":"x"}'
