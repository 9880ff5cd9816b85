"""What `footfall tail` shows of events: as they came, and without consent as the lake has them."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace

from footfall.journal.contract import Outcome
from footfall.journal.engines.memory import MemoryJournal
from footfall.lake import parsing
from footfall.model import Event, Facts, Reject
from footfall.service import LEFT_OUT, LocalService


def event(**given):
    fields = {
        "event_id": "e1", "source": "shop", "protocol": "vaix", "type": "x", "occurred_at": 1,
        "received_at": 2, "session_id": "s", "profile_id": "p", "user_id": "u",
        "page": "/a?user=u#u", "brand": "b", "country": "DE", "device": "mobile", "ip": "192.0.2.0",
        "playhead_s": 1.5, "properties": {"a": {"withheld": True}}, "context": {"b": "u"},
        "facts": Facts(traits={"email.main": "u"}),
    }  # fmt: skip
    return Event(**fields | given)


def tailed(*events, rejects=()):
    async def work():
        journal = MemoryJournal()
        await journal.transact([Outcome(events=events, rejects=rejects)])
        service = SimpleNamespace(_journal=journal)  # all that it asks
        lines = b"".join(
            [some async for some in LocalService.tail(service, follow=False, start="start")]
        )
        return [json.loads(line) for line in lines.splitlines()]

    return asyncio.run(work())


def test_an_event_with_consent_is_shown_whole():
    """Even where a property of its own has the mark's name."""
    (shown,) = tailed(event())
    assert shown["event"]["user_id"] == "u"
    assert shown["event"]["properties"] == {"a": {"withheld": True}}


def test_an_event_without_is_shown_as_the_lake_has_it():
    (shown,) = tailed(event(withheld=True))
    assert shown["event"] == {
        "event_id": "e1", "source": "shop", "protocol": "vaix", "type": "x", "occurred_at": 1,
        "received_at": 2, "page": "/a", "brand": "b", "country": "DE", "device": "mobile",
        "playhead_s": 1.5, "withheld": True,
    }  # fmt: skip
    assert shown["position"].startswith("0:")


def test_an_event_id_of_the_clients_is_not_shown_either():
    (shown,) = tailed(event(withheld=True, client_id_given=True, page=None))
    assert not {"event_id", "client_id_given", "page"} & shown["event"].keys()
    (shown,) = tailed(event(client_id_given=True))
    assert shown["event"]["event_id"] == "e1"


def test_order_and_rejects_stay():
    reject = Reject(received_at=1, protocol="vaix", reason="r", detail="d", status=400)
    shown = tailed(event(withheld=True), event(event_id="e2"), rejects=(reject,))
    assert [line.get("event", {}).get("event_id") for line in shown] == ["e1", "e2", None]
    assert shown[2]["reject"]["reason"] == "r"


def test_it_leaves_out_what_the_lake_leaves_out():
    nowhere = {name for name, value in parsing.WITHHELD.items() if value == "NULL"}
    assert nowhere | {"facts"} == LEFT_OUT
